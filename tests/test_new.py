"""02_train/new.py: an experiment on one's own data trains, predicts and has a row, by files in its directory alone."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.datasets import find_dataset, load_dataset, new_command
from lsd_experiments.datasets.dataset import FILE
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.configuration import load_pipeline
from tests.scripts import run_script

ROOT = Path(__file__).parents[1]
VOXEL_SIZE, OFFSET, SHAPE = (16, 8, 8), (32, -16, 24), (30, 70, 80)
NARROW = ("--num-fmaps", 1, "--fmap-inc-factor", 1, "--input-shape", 24, 60, 60, "--seed", 7, "--num-workers", 0)


def write(path, raw="em/raw", labels="cells/gt_ids", mask=None, voxel_size=VOXEL_SIZE, dtype=np.uint8):
    """A volume of boxes with background between them, whose datasets are called as nobody else calls them."""
    z, y, x = np.indices(SHAPE)
    ids = np.where((z % 6 == 5) | (y % 12 == 11) | (x % 14 == 13), 0, 1 + z // 6 * 100 + y // 12 * 10 + x // 14)
    arrays = {raw: np.random.default_rng(0).integers(0, 200, SHAPE).astype(dtype), labels: ids.astype(np.uint64)}
    for name, values in (arrays | ({mask: np.ones(SHAPE, np.uint8)} if mask else {})).items():
        volume = create_volume(str(path), name, SHAPE, voxel_size, OFFSET, values.dtype)
        volume.write(volume.box, values)
    return path


def run(directory, script, *arguments):
    done = run_script(script, *arguments, cwd=directory)
    assert done.returncode == 0, done.stderr
    return done


def new(experiments, *arguments):
    """The command, in this process."""
    new_command.new_experiment(new_command._parser(None).parse_args([*map(str, arguments)]), experiments)


@pytest.fixture
def experiments(tmp_path):
    """02_train of a copy of the repository, with one experiment in it."""
    directory = tmp_path / "repository" / "02_train"
    shutil.copytree(ROOT / "02_train" / "synthetic", directory / "synthetic", ignore=lambda _, names: [
        name for name in names if "." in name and not name.endswith((".py", ".toml"))])  # fmt: skip
    for script in ("new.py", "status.py"):
        shutil.copy(ROOT / "02_train" / script, directory)
    (directory.parent / "lsd_experiments").symlink_to(ROOT / "lsd_experiments")
    return directory


def test_it_builds_trains_predicts_and_has_a_row(experiments, tmp_path):
    """Of the status table, which nobody has told of it."""
    write(tmp_path / "a.zarr")
    made = run(tmp_path, experiments / "new.py", "mylab/first", "--like", "synthetic/mtlsd", "--data", "a.zarr")
    setup = experiments / "mylab" / "first"
    assert made.stdout.splitlines()[:2] == [str(setup.parent / FILE), str(setup / "mknet.py")]
    assert "raw em/raw (uint8, 30 x 70 x 80 voxels), labels cells/gt_ids (uint64, 30 x 70 x 80 where there is raw), no mask" in \
        made.stderr
    assert "are those of synthetic/mtlsd, for voxels of 20 x 9 x 9 nm, not 16 x 8 x 8" in made.stderr
    row = run(tmp_path, experiments / "status.py", "--print", "--only", "mylab/first").stdout.splitlines()[-1]
    assert row == "| mylab | first | 0.3 M parameters, 20x60x60 and 32x124x124 | - | one, 40x100x100 | " \
                  "10x96x128x128, 3x96x128x128 |"


def test_it_works_anywhere_with_its_dataset_beside_it(experiments, tmp_path):
    """And says what it lacks, without."""
    new(experiments, "mylab/first", "--like", "synthetic/mtlsd", "--data", write(tmp_path / "a.zarr"))
    moved = tmp_path / "elsewhere" / "02_train" / "second"
    shutil.copytree(experiments / "mylab" / "first", moved)
    shutil.copy(experiments / "mylab" / FILE, moved.parent)
    run(moved, "train.py", 2, *NARROW)
    run(moved, "predict_scan.py", "--input-shape", 24, 60, 60)
    predicted = open_volume(str(moved / "test_prediction.zarr"), "volumes/affs")
    assert predicted.voxel_size == VOXEL_SIZE
    assert predicted.read().any()
    (moved.parent / FILE).unlink()
    lost = run_script("train.py", 3, *NARROW, cwd=moved)
    assert (lost.returncode, lost.stderr.count("\n")) == (2, 1)
    assert f"has a dataset.toml, which says what the data are. Copy that of its dataset to {moved.parent}" in lost.stderr


def test_what_is_written(experiments, tmp_path):
    """A place outside, names and a voxel size that are given; the docstrings tell of the new dataset; then one more variant."""
    names = {"raw": "x/y", "labels": "x/z", "mask": "x/w"}
    for name in ("a*.zarr", "b/c.zarr"):
        write(tmp_path / "data" / name, **names)
    crop = tmp_path / "data" / "b" / "crop.json"
    crop.write_text(json.dumps({"container": "c.zarr", "offset": OFFSET, "size": (480, 560, 640)}))
    given = ("--raw", "x/y", "--labels", "x/z", "--labels-mask", "x/w", "--voxel-size", *VOXEL_SIZE)
    place = tmp_path / "there" / "mine" / "wide"
    new(experiments, place, "--like", ROOT / "02_train/fib25/mtlsd", *given, "--data",
        tmp_path / "data" / "a*.zarr", crop)  # fmt: skip
    dataset = load_dataset(place)
    assert (dataset.name, repr(dataset.voxel_size), dataset.directory) == ("mine", "(16, 8, 8)", tmp_path / "data")
    assert [path.name for path, _ in dataset.training_volumes()] == ["a*.zarr", "crop.json"]
    assert (dataset.raw, dataset.labels, dataset.labels_mask, dataset.predicted) == ("x/y", "x/z", "x/w", "a*.zarr")
    assert "mine voxels are (16, 8, 8) nm." in (place / "mknet.py").read_text()
    assert "Numbers: those of fib25/mtlsd. Axes are (z, y, x)." in (place / "train.py").read_text()
    segment = load_pipeline(place / "segment.toml")
    assert (segment.setup, segment.raw_dataset, segment.evaluate.labels_dataset) == (str(place), "x/y", "x/z")
    assert [b % v for b, v in zip(segment.fragments.block_size, VOXEL_SIZE, strict=True)] == [0, 0, 0]
    assert tomllib.loads((place / "segment.toml").read_text())["raw_file"] == str(tmp_path / "data" / "a*.zarr")

    new(experiments, place.parent / "more", "--like", place)
    assert find_dataset(place.parent / "more") == dataset
    assert (place.parent / "more" / "train.py").read_text() == (place / "train.py").read_text()
    assert {path.name for path in place.iterdir()} == {"mknet.py", "train.py", "predict.py", "predict_scan.py", "view_batch.py",
                                                      "train_net.json", "config.json", "segment.toml"}  # fmt: skip


def test_voxels_that_are_no_cubes_are_warned_of(experiments, tmp_path, capsys):
    new(experiments, "mine/a", "--like", ROOT / "02_train/fib25/mtlsd", "--data", write(tmp_path / "a.zarr"))
    assert "warning: voxels of fib25 are alike along more axes" in capsys.readouterr().err
    new(experiments, "other/a", "--like", "synthetic/mtlsd", "--data", write(tmp_path / "b.zarr", voxel_size=(40, 4, 4)))
    assert "warning" not in capsys.readouterr().err


def test_other_types_of_raw_say_what_they_hold(experiments, tmp_path, capsys):
    new(experiments, "mine/a", "--like", "synthetic/mtlsd", "--data", write(tmp_path / "a.zarr", dtype=np.uint16))
    assert "raw becomes [0, 1]: uint16 from 0 to 199" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (("synthetic/mtlsd", "--like", "synthetic/mtlsd"), "synthetic/mtlsd: is there already. Name another variant"),
    (("mine/a", "--like", "synthetic/mtlsdd", "--data", "a.zarr"), "--like synthetic/mtlsdd: no such directory"),
    (("mine/a", "--like", "synthetic/mtlsd"), "mine is a new dataset: which volumes are its"),
    (("mine/..", "--like", "synthetic/mtlsd", "--data", "a.zarr"), "mine/..: an experiment is DATASET/VARIANT of 02_train"),
    (("mine", "--like", "synthetic/mtlsd", "--data", "a.zarr"), "mine: an experiment is DATASET/VARIANT of 02_train"),
    (("synthetic/a", "--like", "synthetic/mtlsd", "--data", "a.zarr"), "says what the data are. Leave out --data"),
    (("mine/a", "--like", "synthetic/mtlsd", "--data", "none.zarr"), "none.zarr: no such file or directory"),
    (("mine/a", "--like", "synthetic/mtlsd", "--data", "s3://a/b.zarr"), "--data s3://a/b.zarr: a dataset's volumes lie in"),
    (("mine/a", "--like", "synthetic/mtlsd", "--data", "a.zarr", "--voxel-size", 8, 8, 8), "not (8, 8, 8) nm, that of mine"),
    (("mine/a", "--like", "synthetic/mtlsd", "--data", "a.zarr", "--raw", "cells/em"), "no dataset 'cells/em'"),
    (("mine/a", "--like", "synthetic/mtlsd", "--data", "two.zarr"), "two.zarr: which of its datasets is raw? It has cells/"),
    (("mine/a", "--like", "synthetic/mtlsd", "--data", "a.zarr", "--labels", "cells/none"), "no dataset 'cells/none'"),
])  # fmt: skip
def test_what_is_refused_leaves_nothing(experiments, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.zarr")
    write(write(tmp_path / "two.zarr"), raw="em/raw_2", labels="cells/gt_ids_2")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?")):
        new(experiments, *arguments)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mknet_that_fails_leaves_nothing(experiments, tmp_path):
    broken = experiments / "synthetic" / "broken"
    shutil.copytree(experiments / "synthetic" / "mtlsd", broken)
    (broken / "mknet.py").write_text("raise SystemExit('no network today')")
    with pytest.raises(UserError, match=r"broken/mknet.py: fails: no network today. Correct it"):
        new(experiments, "mine/a", "--like", "synthetic/broken", "--data", write(tmp_path / "a.zarr"))
    assert not (experiments / "mine").exists()


def test_a_voxel_size_for_volumes_that_store_none(experiments, tmp_path, capsys):
    """It serves training and prediction, too: by a crop beside dataset.toml. Volumes that store one stay as they are."""
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.zarr")
    for name in ("a", "b"):
        for array in ("em/raw", "cells/gt_ids"):
            (tmp_path / f"{name}.zarr" / array / ".zattrs").unlink()
    volumes = [tmp_path / f"{name}.zarr" for name in ("a", "b", "c")]
    with pytest.raises(UserError, match="em/raw has no voxel size"):
        new(experiments, "mine/first", "--like", "synthetic/mtlsd", "--data", *volumes)
    with pytest.raises(UserError, match=r"not \(8, 8, 8\) nm, that of mine"):  # of c, after crops were made
        new(experiments, "mine/first", "--like", "synthetic/mtlsd", "--data", *volumes, "--voxel-size", 8, 8, 8)
    assert not (experiments / "mine").exists()
    new(experiments, "mine/first", "--like", "synthetic/mtlsd", "--data", *volumes, "--voxel-size", *VOXEL_SIZE)
    dataset = load_dataset(experiments / "mine")
    paths = [path for path, _ in dataset.training_volumes()]
    assert paths == [experiments / "mine" / "a.json", experiments / "mine" / "b1.json", tmp_path / "c.zarr"]
    assert {open_volume(path, dataset.labels).voxel_size for path in paths} == {VOXEL_SIZE}
    assert str(paths[0]) in capsys.readouterr().out.splitlines()
    setup = experiments / "mine" / "first"
    run(setup, "train.py", 1, *NARROW)
    run(setup, "predict_scan.py", "--input-shape", 24, 60, 60)
    assert open_volume(str(setup / "test_prediction.zarr"), "volumes/affs").voxel_size == VOXEL_SIZE
