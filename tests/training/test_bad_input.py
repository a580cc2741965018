"""What a user of train.py can do wrong: one line, status 2, nothing written. Real commands, in one setup directory."""

import json
import shutil

import numpy as np
import pytest

RAW = np.random.default_rng(0).random((40, 90, 80), np.float32)
NAN = np.where(np.indices(RAW.shape).sum(axis=0) == 100, np.nan, RAW).astype(np.float32)
SPARSE = np.zeros((24, 60, 56), np.uint8)
SPARSE[::4] = 1
HALF = np.full((24, 60, 56), 7, np.uint64)
HALF[:, 50:] = 3


@pytest.fixture(scope="module")
def setup(make_setup):
    return make_setup()


def refused(setup, *arguments):
    """The error of ``train.py 5`` with ``arguments``, which must leave all as it was."""
    before = setup.tree()
    ran = setup.run("train.py", 5, *arguments)
    assert ran.returncode == 2, (ran.returncode, ran.stderr)
    assert ran.stdout == ""
    assert ran.stderr.startswith("error: ")
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert setup.tree() == before
    return ran.stderr


VOLUMES = {
    "float labels": ({"labels": np.zeros((24, 60, 56), np.float32)}, ["neuron_ids is of type float32", "labels are integers"]),
    "no overlap": ({"inside": (100, 0, 0)}, ["do not overlap"]),
    "other voxel size": ({"voxel_size": (20, 9, 10)}, ["(20, 9, 10) nm", "(20, 9, 9) nm", "synthetic"]),
    "empty mask": ({"mask": np.zeros((24, 60, 56), np.uint8)}, ["labels_mask", "leaves no place", "at most 0%"]),
    "mask without room": ({"mask": SPARSE}, ["leaves no place", "50% are needed"]),
    "NaN in raw": ({"raw": NAN}, ["volumes/raw", "is nan"]),
    "raw of one value": ({"raw": np.full(RAW.shape, 700, np.uint16)}, ["volumes/raw: all", "is 700", "--raw-range LOW HIGH"]),
    "no object": ({"labels": np.zeros((24, 60, 56), np.uint64)}, ["neuron_ids: all labels are 0", "--force"]),
    "one object": ({"labels": np.full((24, 60, 56), 7, np.uint32)}, ["all labels are 7", "no object ends", "--force"]),
    "one object where it counts": ({"labels": HALF, "mask": (HALF == 7).astype(np.uint8)}, ["7 where the labels mask counts"]),
    "labels in x, y, z": ({"labels": np.ones((80, 90, 40), np.uint64), "inside": (0, 0, 0)}, ["another order, x, y, z"]),
    "colours": ({"raw": np.zeros((3, 40, 90, 80), np.uint8)}, ["3 channels", "convert.py", "--channel 0"]),
}


@pytest.mark.parametrize("case", VOLUMES)
def test_volumes(setup, write_volume, tmp_path, case):
    changes, words = VOLUMES[case]
    container = write_volume(tmp_path / "bad.zarr", **changes)
    said = refused(setup, *setup.options, "--data", setup.volume, container)
    for word in words:
        assert word in said
    assert "bad.zarr" in said


def test_a_missing_container(setup):
    assert "/nowhere.zarr: no such file" in refused(setup, *setup.options, "--data", "/nowhere.zarr")


def test_no_volumes_at_all(setup):
    said = refused(setup, *setup.options[2:])
    assert "01_data/funke/synthetic/training: no training volumes" in said


def test_another_dataset_is_not_taken_for_the_one_that_train_py_names(setup):
    """Though there is a dataset.toml around the directory; one of another name that is there is taken."""
    script, beside = setup.directory / "train.py", setup.directory.parent / "dataset.toml"
    before, fine = script.read_text(), beside.parent / "fine.toml"
    script.write_text(before.replace("../dataset.toml", "../fine.toml"))
    try:
        said = refused(setup, *setup.options)
        assert "/fine.toml: no such file, which train.py names as its dataset" in said
        fine.write_text(beside.read_text().replace("voxel_size = [20", "voxel_size = [21"))
        assert "not (21, 9, 9) nm, that of" in refused(setup, *setup.options)
    finally:  # all tests here share the directory
        script.write_text(before)
        fine.unlink(missing_ok=True)


def test_a_missing_dataset_lists_those_that_are_there(setup, tmp_path):
    container = tmp_path / "bad.zarr"
    shutil.copytree(setup.volume, container)
    (container / "volumes/labels/neuron_ids").rename(container / "volumes/labels/cells")
    said = refused(setup, *setup.options, "--data", container)
    assert "volumes/labels/neuron_ids" in said
    assert "volumes/labels/cells" in said


def test_an_illegal_input_shape_names_the_nearest(setup):
    said = refused(setup, *setup.options, "--input-shape", "24", "61", "60")
    assert "y = 61 (nearest: 60 or 64)" in said
    assert "(24, 60, 60)" in said


@pytest.mark.parametrize("given", [["1"], ["5", "5"], ["9", "1"], ["1%", "2"], ["nan", "1"], ["1%", "101%"], ["tpye"]])
def test_a_range_that_is_none(setup, given):
    assert "--raw-range" in refused(setup, *setup.options, "--raw-range", *given)


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf"])
def test_a_learning_rate_that_is_none(setup, rate):
    assert "--learning-rate" in refused(setup, *setup.options, f"--learning-rate={rate}")


def test_a_log_directory_that_cannot_be_made(setup, tmp_path):
    (tmp_path / "file").write_text("")
    said = refused(setup, *setup.options, "--log-dir", tmp_path / "file" / "log")
    assert "file: not a directory" in said
    assert (tmp_path / "file").read_text() == ""


def test_snapshots_that_are_a_file(setup):
    path = setup.directory / "snapshots"
    path.write_text("")
    try:
        assert "snapshots: not a directory" in refused(setup, *setup.options)
    finally:
        path.unlink()


def test_a_missing_and_a_broken_network_file(setup):
    path = setup.directory / "train_net.json"
    whole = path.read_text()
    try:
        path.write_text(whole[:50])
        assert "train_net.json: is not a network file" in refused(setup, *setup.options)
        values = json.loads(whole)
        values["network"]["num_fmap"] = 3
        path.write_text(json.dumps(values))
        assert "did you mean 'num_fmaps'" in refused(setup, *setup.options)
        path.unlink()
        assert "train_net.json: no such file. Run mknet.py in " in refused(setup, *setup.options)
    finally:
        path.write_text(whole)


def test_a_damaged_checkpoint(setup):
    path = setup.directory / "train_net_checkpoint_3.weights.h5"
    path.write_bytes(b"half a checkpoint")
    try:
        said = refused(setup, *setup.options)
        assert "train_net_checkpoint_3.weights.h5: is not a checkpoint" in said
        assert "Remove it" in said
    finally:
        path.unlink()


def test_what_argparse_refuses(setup):
    for arguments, word in ((["--batch-size", "0"], "not above 0"), (["--num-worker", "many"], "--num-workers")):
        ran = setup.run("train.py", 5, *arguments)
        assert ran.returncode == 2
        assert word in ran.stderr.splitlines()[-1]
    assert setup.run("train.py").returncode == 2


def test_debug_gives_the_traceback(setup):
    ran = setup.run("train.py", 5, *setup.options, "--data", "/nowhere.zarr", "--debug")
    assert ran.returncode == 2
    assert "Traceback" in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("error: /nowhere.zarr")


PARTS = {
    "no part": ("", (), ["keeps no part for validation", "[[validation]]"]),
    "no such volume": ('volume = "nine.zarr"', (), ["nine.zarr: no such volume", "Fetch it, or correct it"]),
    "outside": ('volume = "volume.zarr"\noffset = [0, 0, 0]\nsize = [20, 9, 9]', (), ["holds no voxel"]),
    "half of it": ('volume = "volume.zarr"\noffset = [0, 0, 0]', (), ["offset and size come together"]),
    "all": ('volume = "volume.zarr"', (), ["all labels are kept for validation", "--data"]),
    "alone": ("", ("--validate-segmentation",), ["--validate-every N"]),
}


@pytest.fixture
def keep(setup):
    """A function that writes [[validation]] into the dataset.toml."""
    file = setup.directory.parent / "dataset.toml"
    text = file.read_text()

    def write(part):
        directory = json.dumps(str(setup.volume.rpartition("/")[0]))
        here = text.replace('"../../01_data/funke/synthetic/training"', directory)
        file.write_text(f"{here}\n[[validation]]\n{part}\n" if part else here)
    yield write
    file.write_text(text)


@pytest.mark.parametrize("case", PARTS)
def test_parts_that_are_kept(setup, keep, case):
    part, options, words = PARTS[case]
    keep(part)
    said = refused(setup, *setup.options, *(options or ("--validate-every", "1")))
    for word in words:
        assert word in said


@pytest.mark.parametrize("arguments", [("--validate-every", "0"), ("--minutes", "0"), ("--minutes", "-1")])
def test_numbers_above_0(setup, arguments):
    ran = setup.run("train.py", 5, *setup.options, *arguments)
    assert ran.returncode == 2
    assert "is not above 0" in ran.stderr.splitlines()[-1]


def test_no_best_yet(setup):
    ran = setup.run("predict.py", "--raw-file", setup.volume, "--checkpoint", "best")
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "no best checkpoint (found: none). Train with --validate-every" in ran.stderr
