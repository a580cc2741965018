"""evaluate_skeletons.py on real files: anisotropic voxels, an offset, zarr and HDF5; and on all thresholds of a pipeline.

    voxels along x    0 . . . . 1 . . . . 2      two skeletons along x, one wholly in segment 7; the other one's row is
    skeleton 0        7 7 7 7 7 7 7 7 7 7 7      split between segments 8 and 9
    skeleton 1        8 8 8 8 8 8 9 9 9 9 9
"""

import csv
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import evaluate_skeletons, evaluate_volumes, skeleton_command, skeleton_options
from lsd_experiments.evaluation.skeleton_pipeline import evaluate_graph
from lsd_experiments.evaluation.skeleton_volumes import nodes_in
from lsd_experiments.pipeline.configuration import load_pipeline
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.segmentation import lut_path
from lsd_experiments.skeletons import Skeletons, read_skeletons, write_skeletons
from lsd_experiments.stages.inputs import describe_input
from tests.scripts import run_script

SCRIPT = Path(__file__).resolve().parents[2] / "03_predict" / "evaluate_skeletons.py"
VOXEL, OFFSET = (40.0, 4.6, 9.0), (400.0, 900.0, 1800.0)
SHAPE = (6, 8, 22)


@pytest.fixture
def segmentation():
    values = np.zeros(SHAPE, np.uint64)
    values[:, :3], values[:, 5:, :12], values[:, 5:, 12:] = 7, 8, 9
    return values


@pytest.fixture
def skeletons():
    voxels = np.array([(3, y, x) for y in (1, 6) for x in range(0, 22, 2)])
    edges = [(i, i + 1) for i in range(21) if i != 10]
    return Skeletons.of((voxels + 0.5) * VOXEL + OFFSET, edges)


@pytest.fixture
def files(tmp_path, segmentation, skeletons):
    put(tmp_path / "seg.zarr", segmentation)
    write_skeletons(tmp_path / "skeletons.csv", skeletons)
    return tmp_path


def put(path, values, dataset="seg", attrs=None):
    volume = create_volume(str(path), dataset, values.shape[-3:], VOXEL, OFFSET, values.dtype, chunks=(4, 4, 5),
                           channels=len(values) if values.ndim == 4 else None, attrs=attrs)
    volume.write(volume.box, values)


def evaluate(*arguments):
    return run_script(SCRIPT, *arguments)


def output(*arguments):
    done = evaluate(*arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_a_segmentation(files, skeletons):
    printed = output(files / "seg.zarr", files / "skeletons.csv", "--out", files / "scores")
    segments = [7] * 11 + [8] * 6 + [9] * 5
    row = evaluate_skeletons(skeletons, segments)
    assert (row["splits"], row["merges"]) == (1, 0)
    assert f"{row['erl']:.1f}" in printed
    assert f"ERL+Rand {row['xpress_erl_rand']:.4f}" in printed
    published = evaluate_skeletons(skeletons, segments, parity=True)["xpress_erl_rand"]
    assert f"leader board, as published: {published:.6f}" in printed
    written = json.loads((files / "scores.json").read_text())
    assert written["scores"] == pytest.approx(row)
    assert written["leader_board"] == pytest.approx(published)
    assert written["provenance"]["inputs"]["segmentation"].endswith("seg.zarr:seg")
    error, = csv.DictReader((files / "scores.csv").open())
    assert (error["error"], error["segment"], error["other_segment"], error["skeleton"]) == ("split", "8", "9", "1")
    assert [float(error[key]) for key in ("z", "y", "x")] == pytest.approx(skeletons.positions[16])
    assert [float(error[f"other_{key}"]) for key in ("z", "y", "x")] == pytest.approx(skeletons.positions[17])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "<u4", ">u8", "int64"])
def test_any_integers_from_hdf5(files, segmentation, dtype):
    with h5py.File(files / "seg.h5", "w") as file:
        file.create_dataset("submission", data=segmentation.astype(dtype), compression="lzf")
        file["submission"].attrs.update(resolution=VOXEL, offset=OFFSET)
    assert output(files / "seg.h5", files / "skeletons.csv") == output(files / "seg.zarr", files / "skeletons.csv")


def test_a_region_cuts_skeletons(files, skeletons):
    """Voxels 10 to 16 of x: nodes 5 to 7 and 16 to 18, of which one is in segment 8."""
    roi = ["--roi-offset", 400, 900, 1800 + 10 * 9, "--roi-shape", 240, 8 * 4.6, 6 * 9]
    between = ["--segmentation-dataset", "seg"]  # the two files
    printed = output(files / "seg.zarr", *between, files / "skeletons.csv", *roi, "--out", files / "scores")
    assert "2 skeletons" in printed
    inner = skeletons.keep(np.isin(np.arange(22), [5, 6, 7, 16, 17, 18]))
    row = json.loads((files / "scores.json").read_text())["scores"]
    assert row == pytest.approx(evaluate_skeletons(inner, [7, 7, 7, 8, 9, 9]))
    assert row["nodes"] == 6
    begin, shape = (",".join(map(str, part)) for part in (roi[1:4], roi[5:]))
    published = ["--segmentation_ds", "seg", "--skeleton_file", files / "skeletons.csv"]
    published += ["--roi_begin", begin, "--roi_shape", shape]
    assert output(files / "seg.zarr", *published) == printed


def test_what_leaves_the_region_and_comes_back_is_two_skeletons_there(files, skeletons):
    """Nodes 3 and 4 of a line lie outside."""
    volume = open_volume(files / "seg.zarr", "seg")
    line = Skeletons.of([*skeletons.positions[:5], skeletons.positions[11]], [(i, i + 1) for i in range(5)])
    found = nodes_in(volume, line, (OFFSET, (240, 8 * 4.6, 6 * 9)))
    assert (found.skeletons.components.tolist(), found.ids.tolist()) == ([0, 0, 0, 1], [7, 7, 7, 8])
    assert not nodes_in(volume, line).skeletons.components.any()


def test_downsampling_looks_at_every_nth_voxel(files, skeletons):
    found = nodes_in(open_volume(files / "seg.zarr", "seg"), skeletons, downsampling=5)
    assert found.voxels[:, 2].tolist() == [x // 5 * 5 for x in range(0, 22, 2)] * 2
    assert found.voxels[:, 1].tolist() == [0] * 11 + [5] * 11
    assert found.ids.tolist() == [7] * 11 + [8] * 8 + [9] * 3  # x = 10 and 15 instead of 12 to 14, 16 to 18
    sparse = output(files / "seg.zarr", files / "skeletons.csv", "--downsampling", 5)
    assert sparse != output(files / "seg.zarr", files / "skeletons.csv")


def test_errors_are_told(files):
    printed = output(files / "seg.zarr", files / "skeletons.csv", "--print-errors")
    assert "skeleton 1: (540, 929.9, 1894.5) to (540, 929.9, 1912.5), segments 8 and 9" in printed
    assert "skeletons by their splits: 1 with 0, 1 with 1" in printed
    other = output(files / "seg.zarr", files / "skeletons.csv", "--print_errors", 1, "--print_in_xyz", 1)
    assert "skeleton 1: (1894.5, 929.9, 540) to (1912.5, 929.9, 540), segments 8 and 9" in other
    assert "splits (" not in output(files / "seg.zarr", files / "skeletons.csv", "--print_errors", 0)


def test_the_tutorials_command(tmp_path):
    """A submission at 99 nm, and skeletons of which some nodes lie outside of the challenge's region."""
    with h5py.File(tmp_path / "submission.h5", "w") as file:
        data = file.create_dataset("submission", (334,) * 3, np.uint8, chunks=(64,) * 3, compression="lzf")
        data[51:60, 51:60] = 3  # the region begins at voxel (8316 - 3267) / 99 = 51
        data[51:60, 51:60, 100:] = 4
        data.attrs.update(resolution=(99, 99, 99), offset=(3267, 3267, 3267))
    positions = [(8400 + z, 8400, x) for z in (0, 300) for x in range(7000, 31000, 500)]
    skeletons = Skeletons.of(positions, [(i, i + 1) for i in range(95) if i != 47])
    write_skeletons(tmp_path / "skeletons.npz", skeletons)
    named = ["--segmentation_ds", "submission", "--skeleton_file", tmp_path / "skeletons.npz", "--mode", "validation"]
    number = output(tmp_path / "submission.h5", *named, "--show_all_scores", 0)
    inside = skeletons.keep((skeletons.positions >= 8316).all(axis=1))
    voxels = ((inside.positions - 3267) // 99).astype(int)
    segments = np.where(voxels[:, 2] < 100, 3, 4)
    assert len(segments) == 2 * 45
    assert float(number) == evaluate_skeletons(inside, segments, parity=True, voxels=voxels)["xpress_erl_rand"]
    assert f"as published: {float(number):.6f}" in output(tmp_path / "submission.h5", *named)


def test_a_submission_is_checked(tmp_path):
    with h5py.File(tmp_path / "submission.h5", "w") as file:
        data = file.create_dataset("submission", (334,) * 3, np.uint64, chunks=(64,) * 3, compression="lzf")
        data[0, 0, :2] = 1, 2
        data.attrs.update(resolution=(99, 99, 99), offset=(3267, 3267, 3267))
    assert output(tmp_path / "submission.h5", "--check_submission", 1) == "Pass\n"
    done = evaluate(tmp_path / "submission.h5", "--check-submission", "--mode", "validation")
    assert done.returncode == 1
    assert "not (233, 233, 233)" in done.stdout


@pytest.mark.parametrize(("arguments", "message"), [
    ((), "no segmentation"),
    (("{}/seg.zarr",), "no skeletons"),
    (("{}/none.zarr", "{}/skeletons.csv"), "none.zarr"),
    (("{}/seg.zarr", "{}/none.csv"), "none.csv"),
    (("{}/seg.zarr", "{}/skeletons.csv", "--roi-offset", 0, 0, 0), "--roi-shape"),
    (("{}/seg.zarr", "{}/skeletons.csv", "--mode", "test"), "not on the voxel grid"),
    (("{}/seg.zarr", "{}/skeletons.csv", "--scale", 1000), "none of the 22 nodes"),
    (("{}/seg.zarr", "{}/skeletons.csv", "--mincut"), "--graph"),
    (("{}/seg.zarr", "{}/skeletons.csv", "--skeleton_file", "{}/other.csv"), "name the skeletons once"),
    (("{}/seg.zarr", "{}/skeletons.csv", "--mode", "test", "--roi-offset", 0, 0, 0, "--roi-shape", 9, 9, 9), "leave out --roi"),
    (("{}/seg.zarr", "{}/skeletons.csv", "--out", "s3://scores"), "files of this machine"),
    (("--graph", "{}/none.toml", "{}/skeletons.csv"), "none.toml"),
    (("--graph", "{}/none.toml", "{}/seg.zarr", "{}/skeletons.csv"), "Leave out"),
])
def test_mistakes_are_refused_in_one_line(files, arguments, message):
    before = sorted(files.rglob("*"))
    done = evaluate(*(str(argument).format(files) for argument in arguments))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert message in done.stderr
    assert sorted(files.rglob("*")) == before


def test_one_skeleton_has_scores_but_no_published_number(files, skeletons):
    write_skeletons(files / "one.csv", skeletons.keep(skeletons.components == 1))
    printed = output(files / "seg.zarr", files / "one.csv", "--out", files / "scores")
    assert "ERL+Rand" in printed
    assert "leader board" not in printed
    written = json.loads((files / "scores.json").read_text())
    assert written["leader_board"] is None
    assert (written["scores"]["skeletons"], written["scores"]["splits"]) == (1, 1)
    for option in (["--parity"], ["--show_all_scores", "0"]):
        done = evaluate(files / "seg.zarr", files / "one.csv", *option)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "parity leaves out the first skeleton" in done.stderr


@pytest.mark.parametrize("scale", ["0", "-1", "nan"])
def test_a_scale_is_above_0(files, scale):
    done = evaluate(files / "seg.zarr", files / "skeletons.csv", "--scale", scale)
    assert done.returncode == 2
    assert f"--scale: {scale} is not above 0" in done.stderr


def test_affinities_are_no_segmentation(files, skeletons):
    put(files / "affs.zarr", np.zeros((3, *SHAPE), np.uint8), "affs")
    with pytest.raises(UserError, match="3 channels"):
        nodes_in(open_volume(files / "affs.zarr", "affs"), skeletons)


@pytest.mark.parametrize("attrs", [{}, {"finished": "2024-01-01"}])
@pytest.mark.parametrize("stage", ["extract_segmentation", "extract_components", "make_synthetic"])
def test_an_unfinished_segmentation_is_not_scored(files, segmentation, stage, attrs):
    """Blocks that were not written yet are background there; of what no stage makes block by block, nothing is known."""
    put(files / "begun.zarr", segmentation, attrs={"provenance": {"stage": stage}, **attrs})
    options = skeleton_options.parser(None, {}).parse_args([str(files / "begun.zarr"), str(files / "skeletons.csv")])
    if attrs or stage == "make_synthetic":
        assert skeleton_command.main(options) == 0
        return
    with pytest.raises(UserError, match=f"begun.zarr:seg is not finished. Run {stage} first"):
        skeleton_command.main(options)
    with pytest.raises(UserError, match="is not finished"):
        evaluate_volumes(open_volume(files / "begun.zarr"), open_volume(files / "seg.zarr"))


def test_what_others_call_provenance_is_no_stage(files, segmentation):
    put(files / "theirs.zarr", segmentation, attrs={"provenance": "https://example.org"})
    theirs = open_volume(files / "theirs.zarr")
    assert evaluate_volumes(theirs, theirs)["voi_sum"] == 0
    assert describe_input(theirs)["name"] == "theirs.zarr:seg"


@pytest.fixture(scope="module")
def once_segmented(tmp_path_factory):
    """A pipeline of which the affinities doubt between x = 11 and 12, up to the look-up tables."""
    directory = tmp_path_factory.mktemp("pipeline")
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, :3], labels[:, 5:] = 1, 2
    affs = np.zeros((3, *SHAPE), np.uint8)
    for axis in range(3):
        affs[axis] = 255 * ((np.roll(labels, 1, axis) == labels) & (labels > 0))
    affs[1, :, 0] = affs[0, 0] = affs[2, :, :, 0] = 0
    affs[:, :, 5:, 11:13] //= 3
    done = {"provenance": {"stage": "predict", "parameters": {}, "inputs": {}, "date": "2024-01-01"}, "finished": "2024-01-01"}
    put(directory / "out.zarr", affs, "volumes/affs", done)
    (directory / "config.toml").write_text(
        'out_file = "out.zarr"\n[fragments]\nfragments_in_xy = false\nmin_seed_distance = 3\nblock_size = [240, 36.8, 99]\n'
        'context = [40, 4.6, 9]\n[agglomerate]\ncontext = [40, 4.6, 9]\nmerge_function = "mean"\n'
        '[find_segments]\nthresholds_minmax = [0.1, 1.0]\nthresholds_step = 0.4\n')
    for name in ("extract_fragments", "agglomerate", "find_segments"):
        run_stage(name, load_pipeline(directory / "config.toml"), False)
    return directory


@pytest.fixture
def pipeline(once_segmented, tmp_path, skeletons):
    shutil.copytree(once_segmented, tmp_path, dirs_exist_ok=True)
    write_skeletons(tmp_path / "skeletons.csv", skeletons)
    return tmp_path


def test_all_thresholds_of_a_pipeline(pipeline, skeletons):
    printed = output("--graph", pipeline / "config.toml", pipeline / "skeletons.csv", "--mincut", "--out", pipeline / "scores")
    rows = json.loads((pipeline / "scores.json").read_text())["curves"]["mean"]
    assert [row["threshold"] for row in rows] == pytest.approx([0.1, 0.5, 0.9])
    run_stage("extract_segmentation", load_pipeline(with_threshold(pipeline, 0.5)), False)
    volume = open_volume(pipeline / "out.zarr", "volumes/segmentation_50")
    found = nodes_in(volume, skeletons)
    assert {key: rows[1][key] for key in evaluate_skeletons(skeletons, found.ids)} == pytest.approx(
        evaluate_skeletons(skeletons, found.ids))
    assert "splits needed" in printed
    assert [row["splits_needed"] for row in rows] == [0, 0, 0]
    assert [row["merges_needed"] for row in rows] == [row["splits"] for row in rows]  # of lines
    assert rows[0]["splits"] > rows[-1]["splits"] == 0
    published = output("--graph", pipeline / "config.toml", pipeline / "skeletons.csv", "--parity")
    assert published != printed


def test_the_configuration_may_name_the_skeletons(pipeline):
    named = output("--graph", pipeline / "config.toml", pipeline / "skeletons.csv")
    config = pipeline / "config.toml"
    config.write_text(config.read_text() + '[evaluate]\nskeletons_file = "skeletons.csv"\n')
    assert output("--graph", config) == named
    config.write_text(config.read_text() + f"roi_offset = {list(OFFSET)}\nroi_shape = [240, 36.8, 90]\n")
    assert output("--graph", config) != named


def test_a_pipeline_without_tables_is_refused(pipeline):
    for path in (pipeline / "out.zarr" / "luts").rglob("*.json"):
        path.unlink()
    done = evaluate("--graph", pipeline / "config.toml", pipeline / "skeletons.csv")
    assert done.returncode == 2
    assert "find_segments" in done.stderr
    done = evaluate("--graph", pipeline / "config.toml", pipeline / "skeletons.csv", "--print-errors")
    assert (done.returncode, "do not fit" in done.stderr) == (2, True)


def test_tables_of_something_else_are_refused(pipeline):
    config = load_pipeline(pipeline / "config.toml")
    first, second = (lut_path(config.fragments_place[0], "mean", threshold) for threshold in (0.1, 0.9))
    evaluate_graph(config, read_skeletons(pipeline / "skeletons.csv"))
    shutil.copyfile(second, first)
    with pytest.raises(UserError, match="not the look-up table that find_segments wrote there"):
        evaluate_graph(config, read_skeletons(pipeline / "skeletons.csv"))


def with_threshold(directory, threshold):
    path = directory / "extract.toml"
    path.write_text((directory / "config.toml").read_text() + f"[extract]\nthreshold = {threshold}\n")
    return path


