"""The whole road with one's own data, by commands alone: a plan, training, prediction, segmentation, evaluation, a picture.

Networks are as small as they get, and trained for a few steps: what comes out is worth nothing, and where it lies counts.
"""

import json
import tomllib
from pathlib import Path

import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.checkpoints import find_best
from lsd_experiments.errors import UserError
from lsd_experiments.families.lsd import segment
from lsd_experiments.scenario import newest_segmentation
from tests.planning.conftest import SHAPE, VOXEL_SIZE
from tests.scripts import ROOT, run_script

VNC = ROOT.parent / "shared/data/vnc/stack1_z0-14.h5"
PART = {"offset": [0, 60 * 4.6, 780 * 4.6], "size": [14 * 50, 160 * 4.6, 160 * 4.6]}


def run(directory, script, *arguments):
    done = run_script(script, *arguments, cwd=directory)
    assert done.returncode == 0, done.stderr
    return done


def best_scores(directory, name):
    (path,) = directory.glob(f"{name}_hist_quant_*.json")
    (best,) = json.loads(path.read_text())["best"].values()
    return best


@pytest.mark.skipif(not VNC.is_file(), reason="the VNC stack is not here (../shared/data/vnc)")
def test_four_commands_on_a_serial_section_stack(plan, tmp_path, capsys):
    """50 x 4.6 x 4.6 nm; of its mitochondria, since it has no neurons."""
    for name, dataset in (("raw", "volumes/raw"), ("ids", "volumes/labels/mitochondria")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"container": str(VNC), "dataset": dataset, **PART}))
    directory = plan("--raw", tmp_path / "raw.json", "--labels", tmp_path / "ids.json", "--memory", 0.1)
    assert "14 x 160 x 160 voxels of 50 x 4.6 x 4.6 nm" in capsys.readouterr().out
    run(directory / "mtlsd", "train.py", 2, "--validate-every", 1, "--num-fmaps", 1, "--fmap-inc-factor", 1, "--num-workers", 0,
        "--seed", 1)
    assert find_best(directory / "mtlsd").iteration in (1, 2)
    run(ROOT / "03_predict", "run.py", directory / "predict.toml")
    found = open_volume(directory / "mylab.zarr", newest_segmentation(directory / "mylab.zarr"))
    assert (found.voxel_size, found.shape) == ((50, 4.6, 4.6), (14, 160, 160))
    assert found.offset == pytest.approx(PART["offset"])
    assert 0 < best_scores(directory, "mylab")["voi_sum"] < 20


@pytest.fixture
def steps(monkeypatch):
    """The steps that ``segment`` takes, each run in a fork."""
    taken = []

    def step(_, directory, script, *arguments):
        taken.append(script)
        if script == "train.py":
            arguments = (*arguments, "--num-fmaps", "1", "--fmap-inc-factor", "1", "--num-workers", "0")
        run(ROOT / directory, script, *arguments)

    monkeypatch.setattr(segment, "step", step)
    return taken


def test_one_command_on_sections_that_say_nothing(sections, tmp_path, steps, capsys, monkeypatch):
    """A directory of sections, and labels in npy; the voxel size that is given serves to the end. The same again does nothing.

    Paths are relative to where the user is.
    """
    monkeypatch.chdir(tmp_path)
    here = [str(path.relative_to(tmp_path)) for path in sections]
    words = [*here, "--voxel-size", "24", "9", "9", "--minutes", "0.2", "--memory", "0.1", "--name", "./mine"]
    assert segment.segment(segment.parser().parse_args(words)) == 0
    assert steps == ["plan.py", "train.py", "run.py", "picture.py"]
    said = capsys.readouterr().out
    best = best_scores(tmp_path / "mine", "mine")
    assert f"sum {best['voi_sum']:.3f}" in said
    assert "Too few validations to say what more time would bring" in said
    config = tomllib.loads((tmp_path / "mine" / "predict.toml").read_text())
    assert config["evaluate"]["roi_offset"] == [0, 0, 9 * 64]
    found = open_volume(tmp_path / "mine" / "mine.zarr", newest_segmentation(tmp_path / "mine" / "mine.zarr"))
    assert (found.voxel_size, found.shape, found.offset) == (VOXEL_SIZE, SHAPE, (0, 0, 0))
    for picture in ("plan.png", "mine.png"):
        assert (tmp_path / "mine" / picture).read_bytes().startswith(b"\x89PNG")

    steps.clear()
    before = (tmp_path / "mine" / "mtlsd" / "validation.csv").read_text()
    assert segment.segment(segment.parser().parse_args(words)) == 0
    assert steps == ["run.py", "picture.py"]
    assert (tmp_path / "mine" / "mtlsd" / "validation.csv").read_text() == before
    with pytest.raises(UserError, match=r"mine: is there already, and not of these volumes. Name what .* by --name"):
        segment.segment(segment.parser().parse_args([words[0], words[0], *words[2:]]))


def test_what_training_takes(tmp_path):
    """The time that is decided on stays when the command runs again, unless there is more of it."""
    path = tmp_path / "segment.json"
    assert segment._target(path, 10, 300) == 300
    assert segment._target(path, 10, 500) == segment._target(path, 5, 100) == 300
    assert segment._target(path, 20, 700) == 700


@pytest.mark.parametrize(("raw", "name"), [
    ("data/raw.zarr", "raw"), ("my volume.n5/", "my_volume"), ("s3://bucket/em/fib-8nm", "fib-8nm"), ("..", "volume"),
])
def test_what_is_called_after_raw(raw, name):
    assert segment._name_of(raw) == name


def test_missing_files_are_said_first(tmp_path, steps):
    options = segment.parser().parse_args([str(tmp_path / "no.zarr"), str(tmp_path / "no.npy"), "--name", str(tmp_path / "a")])
    with pytest.raises(AssertionError, match=r"error: --raw .*no.zarr: no such file or directory"):
        segment.segment(options)
    assert steps == ["plan.py"]
    assert not Path(tmp_path / "a").exists()
