"""The command, as a user types it, on the synthetic challenge."""

import json
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import lsd_experiments
from lsd_experiments.families.cellmap.command import main
from lsd_experiments.families.cellmap.manifest import read_manifest
from lsd_experiments.families.cellmap.packing import put_array
from lsd_experiments.families.cellmap.sources import levels, open_tree
from lsd_experiments.families.cellmap.split import read_split
from lsd_experiments.families.cellmap.submissions import open_submission
from lsd_experiments.families.cellmap.synthetic import CLASSES, write_cellmap
from tests.blockwise import slurm
from tests.scripts import run_script

ROOT = Path(__file__).parents[2]
SHAPE = (32, 48, 72)


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    path = tmp_path_factory.mktemp("cellmap") / "challenge"
    assert write_cellmap(path, SHAPE, seed=2)
    return path


def csc(*arguments, status=0):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == status


def test_the_entry_point_and_the_module():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["csc"].partition(":")
    assert callable(getattr(import_module(module), function))
    ended = run_script("-m", "lsd_experiments.families.cellmap", "version", without=("torch", "tensorflow"))
    assert (ended.returncode, ended.stdout) == (0, f"{lsd_experiments.__version__}\n")


def test_the_challenge_is_of_the_layout(challenge):
    targets = read_manifest(challenge / "data/test_crop_manifest.csv")
    assert {target.crop for target in targets} == {"crop11", "crop12"}
    assert {target.label for target in targets} == {*CLASSES}
    truth = open_submission(challenge / "truth/ground_truth.zarr")
    for target in targets:
        level = truth.levels(target.crop, target.label)[0]
        assert (level.voxel_size, level.begin, level.shape) == (target.voxel_size, target.translation, target.shape)
        assert bool(level[:].any()) == (target.label != "nuc")
    tree = open_tree(challenge / "data/made_b/made_b.zarr")
    raw = levels(tree, "recon-1/em/fibsem-uint8")
    assert [level.shape for level in raw] == [SHAPE, tuple(n // 2 for n in SHAPE)]
    assert raw[0].begin == pytest.approx(raw[1].begin)
    assert raw[0].translation != raw[1].translation  # of voxels' centres
    # Labels lie on raw's voxels: dark membranes of mitochondria are those of raw.
    crop = levels(tree, "recon-1/labels/groundtruth/crop4/mito_mem")[0]
    at = [round((c - r) / v) for c, r, v in zip(crop.begin, raw[0].begin, crop.voxel_size, strict=True)]
    patch = raw[0][tuple(slice(a, a + n) for a, n in zip(at, crop.shape, strict=True))]
    assert patch[crop[:] > 0].mean() < 85 < patch[crop[:] == 0].mean()
    assert write_cellmap(challenge, SHAPE, seed=2) is False


def test_parts_exclude_each_other_and_unannotated_ones_are_not_there(challenge):
    tree = open_tree(challenge / "data/made_a/made_a.zarr")
    crop = {label: levels(tree, f"recon-1/labels/groundtruth/crop1/{label}")[0][:] > 0 for label in CLASSES}
    assert np.array_equal(crop["mito"], crop["mito_mem"] ^ crop["mito_lum"])
    assert not (crop["ecs"] & crop["cell"]).any()
    assert set(tree.children("recon-1/labels/groundtruth/crop2")) == {*CLASSES} - {"mito_mem", "mito_lum"}


def test_from_the_split_to_a_checked_and_scored_submission(challenge, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(challenge)
    csc("make-datasplit", "-c", "mito,cell,mito_mem", "-vr", 0.3, "-cp", tmp_path / "split.csv")
    rows = read_split(tmp_path / "split.csv")
    assert {row.side for row in rows} == {"train", "validate"}
    assert all(Path(row.labels, row.group).is_dir() and row.raw.startswith("/") for row in rows)  # wherever training runs
    assert "mito_mem" in capsys.readouterr().out
    csc("make-datasplit", "-c", "mito", "--scale", 15, "-cp", tmp_path / "none.csv", status=2)  # labels are of 16 nm and 13.92
    csc("make-datasplit", "-c", "mito", "--scale", 16, "-cp", tmp_path / "fine.csv")
    capsys.readouterr()
    csc("make-datasplit", "-c", "mito", "--crops", "1,crop2,99", "--datasets", "made_?,mad_b", "-cp", tmp_path / "some.csv")
    told = capsys.readouterr()
    assert told.err == "--datasets mad_b: no crop with raw has one of mito\n--crops 99: no crop with raw has one of mito\n"
    assert "crops      1         1" in told.out
    csc("make-datasplit", "-c", "mito", "--crops", "99", "-cp", tmp_path / "none.csv", status=2)
    assert "one of mito in --crops 99. Correct" in capsys.readouterr().err
    assert len(read_split(tmp_path / "fine.csv")) == 6
    capsys.readouterr()
    csc("get-counts", "-c", "mito,mito_mem")
    assert capsys.readouterr().out == "made_a: mito 3, mito_mem 2\nmade_b: mito 3, mito_mem 2\n"
    # The truth as if it were processed.
    truth = open_submission("truth/ground_truth.zarr")
    targets = read_manifest("data/test_crop_manifest.csv")
    for target in (target for target in targets if target.name != "crop12/mito"):
        values = truth.levels(target.crop, target.label)[0][:]
        put_array(tmp_path / f"processed/{target.dataset}.zarr/{target.name}", values, target)
    submission = tmp_path / "submission.zarr"
    csc("pack-results", "-i", f"{tmp_path}/processed/{{dataset}}.zarr/{{crop}}", "-o", submission)
    assert "crop12/mito is missing" in capsys.readouterr().out
    csc("validate", tmp_path / "submission.zip", status=1)
    assert "crop12/mito is missing" in capsys.readouterr().out
    csc("validate", "truth/ground_truth.zarr")
    assert capsys.readouterr().out == "Pass\n"
    result = tmp_path / "result.json"
    for rules in ("2025-09", "2026-06", "latest"):
        csc("evaluate", "-s", "truth/ground_truth.zarr", "-t", "truth/ground_truth.zarr", "-r", result, "--rules", rules)
        assert json.loads(result.read_text())["overall_score"] == 1
        csc("evaluate", "-s", tmp_path / "submission.zip", "-t", "truth/ground_truth.zarr", "-r", result, "--rules", rules)
        found = json.loads(result.read_text())
        assert 0 < found["overall_score"] < 1
        assert found["rules"] == rules
    assert json.loads((tmp_path / "result_extended.json").read_text())["beside"]["intervals"]["overall_score"][0] < 1


@pytest.mark.parametrize(("arguments", "message"), [
    (["--queue", "short"], "--queue is of a cluster's jobs"), (["-C", "slurm", "--memory", "8"], "'memory': memory is a number"),
    (["-C", "lsf", "--time-limit", "8"], "'time_limit': a time limit is"), (["-C", "pbs"], "invalid choice: 'pbs'"),
    (["-C", "slurm", "--host", "0.0.0.0"], "stands for all"), (["-m", "none.csv"], "no such manifest"),
    (["-m", "none.csv", "-w", 1], "no such manifest"),
])
def test_workers_that_are_none(challenge, tmp_path, capsys, arguments, message):
    (tmp_path / "table.csv").write_text(f"data_path,evaluation_id\n{challenge / 'truth/ground_truth.zarr'},first\n")
    csc("batch-eval", "-c", tmp_path / "table.csv", "--results", tmp_path / "results", *arguments, status=2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "results/first/result.json").exists()


@pytest.mark.cluster
@pytest.mark.skipif(slurm.missing() is not None, reason=str(slurm.missing()))
def test_several_submissions_on_slurm(challenge, tmp_path, monkeypatch, capsys):
    truth = challenge / "truth/ground_truth.zarr"
    (tmp_path / "table.csv").write_text(f"data_path,evaluation_id\n{truth},first\nnone.zip,second\n")
    with slurm.slurm(tmp_path / "slurm") as conf:
        monkeypatch.setenv("SLURM_CONF", str(conf))
        csc("batch-eval", "-c", tmp_path / "table.csv", "-t", truth, "--results", tmp_path / "results", "-C", "slurm", "-w", 2,
            "--memory", "500 MB", status=1)
        assert not slurm.jobs(conf)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "first  1.0000"
    assert "no such file" in second


def test_several_submissions(challenge, tmp_path, capsys):
    truth = challenge / "truth/ground_truth.zarr"
    table = tmp_path / "table.csv"
    table.write_text(f"data_path,evaluation_id\n{truth},first\nnone.zip,second\n")
    csc("batch-eval", "-c", table, "-t", truth, "--results", tmp_path / "results", status=1)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "first  1.0000"
    assert "no such file" in second
    assert json.loads((tmp_path / "results/first/result.json").read_text())["overall_score"] == 1
    # By workers it is the same, and what was scored by a run before does not stand for what cannot be scored any more.
    (tmp_path / "results/second").mkdir(exist_ok=True)
    (tmp_path / "results/second/result.json").write_text("{}")
    csc("batch-eval", "-c", table, "-t", truth, "--results", tmp_path / "results", "--num-workers", 1, status=1)
    assert capsys.readouterr().out.splitlines() == [first, second]
    assert not (tmp_path / "results/second/result.json").exists()
    for text, message in (("data_path\nx\n", "no column evaluation_id"),
                          ("data_path,evaluation_id\nx,../a\n", "no name of a directory"),
                          ("data_path,evaluation_id\nx,a\ny,a\n", "there twice")):
        table.write_text(text)
        csc("batch-eval", "-c", table, "-t", truth, status=2)
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (["validate", "x.zip", "-m", "none.csv"], "no such manifest"), (["make-datasplit", "-c", "golgi"], "no crop with raw"),
    (["make-datasplit", "--scale", "4,4"], "has 2 numbers"), (["evaluate", "-s", "none.zip"], "no such file"),
    (["get-counts", "-sp", "x"], "has no {dataset}"),
    (["pack-results", "-o", "x.zip", "-m", "data/test_crop_manifest.csv"], "zarr directory"),
])
def test_mistakes(challenge, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(challenge)
    csc(*arguments, status=2)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_door(tmp_path):
    options = ("--kind", "cellmap", "--shape", 32, 48, 72, "--seed", 2)
    ended = run_script(ROOT / "01_data/make_synthetic.py", tmp_path / "small", *options)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "small/truth/ground_truth.zarr/crop11/mito/.zarray").is_file()
    again = run_script(ROOT / "01_data/make_synthetic.py", tmp_path / "small", "--kind", "cellmap", "--shape", 32, 32, 72)
    assert again.returncode == 2
    assert "not made with these options" in again.stderr


@pytest.mark.parametrize(("text", "message"), [
    ("a,b\n", "first line"), ("{h}\n1,d,mito,[8;8;8],[0;0],[4;4;4]\n", "translation is"), ("{h}\n1,d,mito\n", "has 3 columns"),
    ("{h}\n1,d,mito,[8;8;8],[0;0;0],[4;4;0]\n", "are none"), ("{h}\n" + "1,d,mito,[8;8;8],[0;0;0],[4;4;4]\n" * 2, "there twice"),
])
def test_manifests_that_are_none(tmp_path, capsys, text, message):
    path = tmp_path / "manifest.csv"
    path.write_text(text.replace("{h}", "crop_name,dataset,class_label,voxel_size,translation,shape"))
    csc("validate", tmp_path, "-m", path, status=2)
    assert message in capsys.readouterr().err
