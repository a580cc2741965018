"""The synthetic challenge: what is written where, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.skeletons import evaluate_skeletons
from lsd_experiments.families.xpress.synthetic import evaluation_roi, skeleton_file, synthesize_axons, write_challenge
from lsd_experiments.families.xpress.synthetic.challenge import annotated
from lsd_experiments.skeletons import crop, read_skeletons, segments_at
from tests.scripts import environment, run_script

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (48, 66, 51)
SPLITS = ("training", "validation", "test")
FILES = ["XPRESS_test_skels.npz", "XPRESS_training_skels.npz", "XPRESS_validation_skels.npz", "xpress.zarr"]


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    path = tmp_path_factory.mktemp("challenge") / "new" / "xpress.zarr"
    assert write_challenge(path, SHAPE, labeled=0.5, seed=4)
    return path


def volume(path, name):
    return open_volume(str(path), f"volumes/{name}")


def test_what_is_written(challenge):
    assert sorted(p.name for p in challenge.parent.iterdir()) == FILES
    for number, split in enumerate(SPLITS):
        expected = synthesize_axons(SHAPE, seed=(4, number))
        raw, truth = volume(challenge, f"{split}_raw"), volume(challenge, f"{split}_labels")
        assert (raw.dtype, truth.dtype) == (np.uint8, np.uint64)
        assert (raw.read() == expected.raw).all()
        assert (truth.read() == expected.labels).all()
        for each in (raw, truth):
            assert each.voxel_size == (33, 33, 33)
            assert each.offset == (0, 0, 0)
            assert each.attrs["provenance"]["parameters"] == {"kind": "axons", "shape": list(SHAPE), "density": 0.35,
                                                              "labeled": 0.5, "seed": 4}
    raws = [volume(challenge, f"{split}_raw").read() for split in SPLITS]
    assert (raws[0] != raws[1]).mean() > 0.5  # not the same volume three times
    assert (raws[1] != raws[2]).mean() > 0.5


def test_voxel_labels_are_sparse_and_in_an_inner_part(challenge):
    labels, truth = volume(challenge, "training_gt_labels"), volume(challenge, "training_labels").read()
    assert labels.dtype == np.uint64
    assert labels.shape == (30, 42, 33)
    assert labels.offset == (297, 396, 297)  # 9 and 12 voxels
    values, there = labels.read(), truth[9:39, 12:54, 9:42]
    assert ((values == there) | (values == 0)).all()
    chosen, ids = (len(np.setdiff1d(array, [0])) for array in (values, there))
    assert chosen == max(1, round(0.5 * ids))
    assert (truth[:30, :42, :33] != values)[values > 0].any()  # the offset matters


def test_annotated():
    labels = np.repeat(np.arange(11, dtype=np.uint64), 3)
    rng = np.random.default_rng(0)
    for share, count in ((1, 10), (0.4, 4), (1e-9, 1)):
        assert len(np.unique(annotated(labels, share, rng))) == count + 1
    assert annotated(labels, 0.4, rng).dtype == np.uint64


@pytest.mark.parametrize("split", SPLITS)
def test_skeletons_lie_in_the_axons(challenge, split):
    skeletons = read_skeletons(skeleton_file(challenge, split))
    truth = volume(challenge, f"{split}_labels")
    segments = segments_at(truth, skeletons)
    assert len(set(skeletons.ids.tolist())) == len(skeletons.ids) == len(segments)
    for component in range(skeletons.components.max() + 1):
        assert len(set(segments[skeletons.components == component])) == 1
    assert (segments > 0).all()
    assert len(set(segments)) >= 3


def test_the_truth_scores_best(challenge):
    """In the whole volume and in the region to evaluate; a truth with two axons made one does not."""
    whole, truth = read_skeletons(skeleton_file(challenge, "validation")), volume(challenge, "validation_labels")
    region = volume(challenge, "validation_raw").attrs["evaluation_roi"]
    for skeletons in (whole, crop(whole, region["begin"], region["shape"])):
        segments = segments_at(truth, skeletons)
        row = evaluate_skeletons(skeletons, segments)
        assert row["normalized_erl"] == pytest.approx(1)
        assert (row["splits"], row["merges"], row["background_nodes"]) == (0, 0, 0)
        ids = np.unique(segments)
        worse = evaluate_skeletons(skeletons, np.where(segments == ids[0], ids[-1], segments))
        assert worse["normalized_erl"] < 1
        assert worse["merges"] == 1


def test_regions_are_those_published():
    assert evaluation_roi((1200,) * 3, "validation") == ((8316,) * 3, (23067,) * 3)
    assert evaluation_roi((1200,) * 3, "test") == ((3267,) * 3, (33066,) * 3)


@pytest.mark.parametrize("shape", [(30, 30, 30), (48, 66, 51), (240, 240, 240), (1201, 500, 77)])
@pytest.mark.parametrize("split", SPLITS)
def test_regions_are_on_the_coarse_grid_and_inside(shape, split):
    begin, size = evaluation_roi(shape, split)
    for b, s, n in zip(begin, size, shape, strict=True):
        assert b % 99 == s % 99 == 0
        assert 0 <= b < b + s <= 33 * n
        assert s >= 0.4 * 33 * n


def test_the_region_is_written(challenge):
    for split in SPLITS:
        begin, size = evaluation_roi(SHAPE, split)
        assert volume(challenge, f"{split}_raw").attrs["evaluation_roi"] == {"begin": list(begin), "shape": list(size)}


def test_again_is_nothing_to_do_and_other_parameters_are_refused(challenge):
    modified = skeleton_file(challenge, "test").stat().st_mtime_ns
    assert not write_challenge(challenge, SHAPE, labeled=0.5, seed=4)
    with pytest.raises(UserError, match=r"other parameters \(labeled 0\.5\)"):
        write_challenge(challenge, SHAPE, labeled=0.6, seed=4)
    assert skeleton_file(challenge, "test").stat().st_mtime_ns == modified


def test_what_is_in_the_way_is_refused(tmp_path):
    file = tmp_path / "XPRESS_test_skels.npz"
    file.write_text("mine")
    with pytest.raises(UserError, match=r"XPRESS_test_skels\.npz: is there, but the container is not"):
        write_challenge(tmp_path / "xpress.zarr", (30, 30, 30))
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(file.name, "mine")]


def test_a_file_that_went_missing_is_named(tmp_path):
    path = tmp_path / "xpress.zarr"
    write_challenge(path, (30, 30, 30))
    skeleton_file(path, "training").unlink()
    with pytest.raises(UserError, match=r"XPRESS_training_skels\.npz: is not there, but"):
        write_challenge(path, (30, 30, 30))


@pytest.mark.parametrize("where", ["lsd_experiments.arrays.Volume.write", "lsd_experiments.skeletons.write_skeletons",
                                   "pathlib.Path.rename"])
def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch, where):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_challenge(tmp_path / "xpress.zarr", (30, 30, 30))
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


def make(*arguments, **variables):
    return run_script(ROOT / "01_data" / "make_synthetic.py", *arguments, env=environment(**variables))


def test_the_command_makes_the_same_in_each_process(tmp_path):
    """To the last bit, whatever the number of threads and Python's hashes; the command prints where to evaluate."""
    made = {}
    for name, threads in (("one", "1"), ("two", "2")):
        path = tmp_path / name / "xpress.zarr"
        done = make(path, "--kind", "axons", "--shape", 30, 36, 33, "--seed", 5, "--labeled", 0.7,
                    NUMBA_NUM_THREADS=threads, OMP_NUM_THREADS=threads, PYTHONHASHSEED=threads)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [str(path), "validation: evaluate at 198 297 198, shape 594 693 594 nm",
                                            "test: evaluate at 99 99 99, shape 792 990 891 nm"]
        made[name] = [volume(path, each).read().tobytes() for each in ("training_raw", "training_gt_labels", "test_labels")]
        made[name].append(read_skeletons(skeleton_file(path, "validation")).positions.tobytes())
    assert made["one"] == made["two"]
    assert len(set(map(len, made["one"]))) > 1  # they are read


@pytest.mark.parametrize(("arguments", "message"), [
    (("--shape", 40, 40, 20), "shape (40, 40, 20)"),
    (("--labeled", 0), "labeled 0.0"),
    (("--labeled", "nan"), "labeled nan"),
    (("--seed", -1), "seed -1"),
    (("--voxel-size", 33, 33, 33), "--voxel-size: not with --kind axons"),
    (("--offset", 0, 0, 0), "--offset: not with --kind axons"),
    (("--kind", "neuropil", "--labeled", 0.4), "--labeled: not with --kind neuropil"),
])
def test_the_command_refuses_in_one_line(tmp_path, arguments, message):
    done = make(tmp_path / "s.zarr", "--kind", "axons", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
