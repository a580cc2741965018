"""convert.py as a user runs it."""

import json
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, list_datasets, open_volume
from lsd_experiments.conversion import View, view, writing
from lsd_experiments.conversion import convert as write_view
from lsd_experiments.errors import UserError
from tests import disks
from tests.scripts import run_script

from .conftest import DATASET, OFFSET, SHAPE, VOXEL_SIZE

SCRIPT = Path(__file__).resolve().parents[2] / "01_data/convert.py"


def run(*arguments):
    return run_script(SCRIPT, *arguments)


def test_the_published_commands(write, values, tmp_path):
    """HDF5 to zarr, and zarr to HDF5 at a third of the resolution; transposed, with some labels alone."""
    raw = write("xpress-training-raw.h5", values, "volumes/raw", (33, 33, 33), (99, 99, 99))
    container = tmp_path / "xpress-challenge.zarr"
    done = run(*raw, container, "volumes/training_raw")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{container}:volumes/training_raw: (7, 11, 13) uint16, (33, 33, 33) nm each, from (99, 99, 99) nm\n"
    out = tmp_path / "submission.h5"
    done = run(container, "volumes/training_raw", out, "submission", "--downsample", 3, "--transpose", 1, "--keep_labels", 3, 6)
    assert done.returncode == 0, done.stderr
    expected = values[::3, ::3, ::3].T
    found = open_volume(out, "submission")
    np.testing.assert_array_equal(found.read(), np.where(np.isin(expected, [3, 6]), expected, 0))
    assert found.read().any()
    assert (found.voxel_size, found.offset) == ((99, 99, 99), (99, 99, 99))


@pytest.mark.parametrize(("options", "turned"), [
    ([], False), (["--transpose"], True), (["--transpose", "0"], False), (["--transpose", "--downsample", "1"], True),
])  # fmt: skip
def test_spellings_of_transpose(write, values, convert, tmp_path, options, turned):
    convert(*write("in.zarr", values), tmp_path / "out.zarr", "out", *options)
    assert open_volume(tmp_path / "out.zarr", "out").shape == (SHAPE[::-1] if turned else SHAPE)


@pytest.mark.parametrize("name", ["out.zarr", "out.n5", "out.h5"])
def test_made_alike_it_is_left_and_made_otherwise_it_stays(write, values, convert, tmp_path, capsys, name):
    source, out = write("in.zarr", values), tmp_path / name
    convert(*source, out, "out", "--downsample", 2)
    before = {path: path.stat().st_mtime_ns for path in [out, *out.rglob("*")]}
    convert(*source, out, "out", "--downsample", 2)
    assert capsys.readouterr().out.endswith(f"{name}:out: is there already, made like this\n")
    with pytest.raises(UserError, match=r"downsample = 2, now it is 3\. .*--overwrite"):
        convert(*source, out, "out", "--downsample", 3)
    write("other.zarr", values[::-1])
    with pytest.raises(UserError, match=r"made with volume = .*--overwrite"):
        convert(tmp_path / "other.zarr", DATASET, out, "out", "--downsample", 2)
    assert {path: path.stat().st_mtime_ns for path in [out, *out.rglob("*")]} == before
    convert(*source, out, "out", "--downsample", 3, "--overwrite")
    np.testing.assert_array_equal(open_volume(out, "out").read(), values[::3, ::3, ::3])


@pytest.mark.parametrize("name", ["all.zarr", "all.n5", "all.h5"])
def test_what_others_made_is_not_replaced(write, values, convert, name):
    container, dataset = write(name, values)
    source = write("in.h5", values + 1)
    with pytest.raises(UserError, match="does not say what made it"):
        convert(*source, container, dataset)
    with pytest.raises(UserError, match=r"is a group|no dataset 'volumes'"):
        convert(*source, container, "volumes")
    with pytest.raises(UserError, match="is a group"):
        convert(*source, container, "volumes", "--overwrite")
    with pytest.raises(UserError, match="is a dataset"):
        convert(*source, container, f"{dataset}/deeper")
    np.testing.assert_array_equal(open_volume(container, dataset).read(), values)
    assert list_datasets(container) == [dataset]


def test_a_stack_that_is_there_is_not_replaced(write, values, convert, tmp_path):
    source, out = write("in.zarr", values), tmp_path / "out.tif"
    convert(*source, out, "-")
    before = out.read_bytes()
    with pytest.raises(UserError, match=r"out.tif: exists already. .*--overwrite"):
        convert(*source, out, "-", "--downsample", 2)
    assert out.read_bytes() == before
    convert(*source, out, "-", "--downsample", 2, "--overwrite")
    np.testing.assert_array_equal(open_volume(out).read(), values[::2, ::2, ::2])


def test_a_dataset_onto_itself(write, values, convert):
    """The result takes its place when it is whole, and is read from until then."""
    for name in ("in.zarr", "in.h5"):
        container, dataset = write(name, values)
        convert(container, dataset, container, dataset, "--downsample", 2, "--overwrite")
        np.testing.assert_array_equal(open_volume(container, dataset).read(), values[::2, ::2, ::2])


@pytest.mark.parametrize(("arguments", "message"), [
    (("absent.h5", "raw", "o.zarr", "o"), "absent.h5: no such file or directory"),
    (("in.h5", "volumes/inn", "o.zarr", "o"), "no dataset 'volumes/inn'; did you mean 'volumes/in'?"),
    (("in.h5", DATASET, "o.nrrd", "o"), "o.nrrd: of no format that is written. Name a .zarr, .n5, .h5"),
    (("in.h5", DATASET, "s3://bucket/o.zarr", "o"), "of no format that is written"),
    (("in.h5", DATASET, "directory", "o"), "directory: of no format that is written"),
    (("in.h5", DATASET, "file.zarr", "o"), "file.zarr: is there, and is neither zarr, N5 nor HDF5"),
    (("in.h5", DATASET, "empty.zarr", "o"), "empty.zarr: is there, and is neither zarr, N5 nor HDF5"),
    (("in.h5", DATASET, "file.h5", "o"), "file.h5: cannot be read as HDF5"),
    (("in.h5", DATASET, "o.zarr", "-"), "o.zarr: name the dataset that is to be written"),
    (("in.h5", DATASET, "o.zarr", "../o"), "'../o' is no dataset's name"),
    (("in.h5", DATASET, "o.tif", "o"), "o.tif: a TIFF stack has no datasets. Write - in place of 'o'"),
    (("affs.h5", DATASET, "o.tif", "-"), "has 2 channels; a TIFF stack is [z, y, x]. Write zarr or HDF5"),
    (("bool.zarr", DATASET, "o.tif", "-"), "o.tif: TIFF holds integers and floats, not bool"),
    (("five.h5", DATASET, "o.zarr", "o"), "has the shape (2, 2, 7, 11, 13); volumes are (z, y, x) or (c, z, y, x)"),
    (("two.h5", DATASET, "o.zarr", "o"), "has the shape (11, 13)"),
    (("in.tif", "-", "o.zarr", "o"), "in.tif: stores no voxel size"),
    (("in.tif", "raw", "o.zarr", "o"), "a TIFF stack has no datasets, 'raw' was asked for"),
    (("in.h5", DATASET, "o.zarr", "o", "--downsample", "9"), "has 7 voxels along z, fewer than a step of 9"),
])  # fmt: skip
def test_mistakes_are_one_line_and_leave_nothing(write, values, convert, tmp_path, monkeypatch, arguments, message):
    affs = np.stack([values] * 2)
    for name, array in (("in.h5", values), ("in.tif", values), ("affs.h5", affs), ("bool.zarr", values > 7),
                        ("five.h5", np.stack([affs] * 2)), ("two.h5", values[0])):  # fmt: skip
        write(name, array)
    for name in ("file.zarr", "file.h5"):
        (tmp_path / name).write_text("no volume")
    for name in ("directory", "empty.zarr"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as error:
        convert(*arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("options", [["--downsample", "0"], ["--transpose", "2"], ["--keep_labels", "1.5"], ["--keep-labels"],
                                     ["--voxel-size", "1", "0", "1"], ["--voxel-size", "1", "nan", "1"], ["--voxel-size", "1"]])
def test_what_is_no_value(convert, options):
    with pytest.raises(SystemExit) as ended:
        convert("in.h5", "raw", "out.zarr", "raw", *options)
    assert ended.value.code == 2


def test_the_only_dataset_and_a_crop(write, values, convert, tmp_path):
    _, dataset = write("in.zarr", values)
    place = {"offset": [OFFSET[0] + 40, OFFSET[1], OFFSET[2]], "size": [80, VOXEL_SIZE[1] * 2, VOXEL_SIZE[2] * 3]}
    (tmp_path / "crop.json").write_text(json.dumps({"container": "in.zarr", "dataset": dataset, **place}))
    convert(tmp_path / "crop.json", "-", tmp_path / "out.tif", "-")
    found = open_volume(tmp_path / "out.tif")
    np.testing.assert_array_equal(found.read(), values[1:3, :2, :3])
    assert found.offset == pytest.approx(place["offset"])


@pytest.mark.parametrize(("name", "how"), [
    ("out.zarr", signal.SIGINT), ("out.zarr", signal.SIGKILL), ("out.ome.zarr", signal.SIGKILL), ("out.h5", signal.SIGINT),
    ("out.h5", signal.SIGKILL), ("out.tif", signal.SIGINT), ("out.tif", signal.SIGKILL)])  # fmt: skip
def test_interrupted_it_leaves_no_result_and_goes_on_or_starts_again(tmp_path, name, how):
    """An input that takes a while: many blocks of zeros, which are not stored. Of directories, what was done is kept for the
    same command; another one begins anew."""
    source, out = tmp_path / "in.zarr", tmp_path / name
    create_volume(source, "raw", (1600, 256, 256), VOXEL_SIZE, OFFSET, np.uint64)
    dataset = "-" if name.endswith("tif") else "volumes/raw"
    command = [sys.executable, SCRIPT, source, "raw", out, dataset]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    def is_begun(path):
        return path.is_dir() if "zarr" in name else path.stat().st_size

    while not [path for path in tmp_path.rglob(".*.partial") if is_begun(path)]:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(how)
    told = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert told == ("", "interrupted\n")
        assert process.returncode == 130
        assert bool([*tmp_path.rglob(".*.partial")]) == name.endswith("zarr")
    assert not out.is_file()
    assert not (out / dataset).exists()
    write_view(View(open_volume(source, "raw"), 16), str(out), None if dataset == "-" else dataset)
    assert open_volume(out, None if dataset == "-" else dataset).shape == (100, 16, 16)
    assert not [*tmp_path.rglob(".*.partial")]


@pytest.mark.parametrize("name", ["out.zarr", "out.n5", "out.ome.zarr", "out.h5", "out.tif"])
def test_a_disk_that_is_full(write, tmp_path, name):
    """One line and no half result; what an HDF5 file holds already stays whole: HDF5 itself would crash. What was done of a
    directory is kept for the same command."""
    values = np.random.default_rng(0).integers(0, 255, (32, 256, 512), np.uint8)  # 4 MB, which do not get smaller
    source = write("in.h5", values)
    with disks.small_disk(tmp_path / "disk", "14m") as disk:
        out, dataset = disk / name, "-" if name.endswith("tif") else "volumes/raw"
        more = ["--levels", 1] if "ome" in name else []
        assert run(*source, out, dataset, *more).returncode == 0, "the control"
        (disk / "other").write_bytes(bytes(4_000_000 if name.endswith("h5") else 8_000_000))
        second = (disk / "out2.tif", "-") if name.endswith("tif") else (out, "volumes/more")
        done = run(*source, *second, *more)
        assert (done.returncode, done.stdout) == (2, "")
        assert "no space left on device. Name a place that can be written, or make room there" in done.stderr
        assert done.stderr.count("\n") == 1
        np.testing.assert_array_equal(open_volume(out, None if dataset == "-" else dataset).read(), values)
        left = [path.name for path in disk.rglob("*") if ".partial" in path.name or "2.tif" in path.name]
        assert left == ([] if name.endswith(("h5", "tif")) else [".more.partial"])
        (disk / "other").unlink()
        if not name.endswith("h5"):  # which is copied, and takes twice its size for a moment
            assert run(*source, *second, *more).returncode == 0


def test_memory_does_not_grow_with_the_volume(tmp_path, monkeypatch):
    for module, name in ((view, "READ_BYTES"), (writing, "BLOCK_BYTES"), (writing, "COVER_BYTES")):
        monkeypatch.setattr(module, name, 2**18)
    monkeypatch.setattr(writing, "fingerprint", lambda volume: "")  # which reads a bounded number of boxes
    for stride in (1, 4):
        peaks = []
        for sections in (64, 512):
            volume = create_volume(tmp_path / f"{stride}.zarr", str(sections), (sections, 64, 64), VOXEL_SIZE, OFFSET, np.uint64,
                                   chunks=(32, 32, 32))  # fmt: skip
            volume.write(volume.box, np.full(volume.shape, 7, np.uint64))
            tracemalloc.start()
            write_view(View(volume, stride), str(tmp_path / f"{stride}.h5"), f"out{sections}")
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[0] > 2**17
        assert peaks[1] < 1.5 * peaks[0]  # of 8 times the voxels


def test_the_source_is_decoded_about_once(tmp_path):
    """Where it is compressed section by section, blocks of whole sections are read."""
    with h5py.File(tmp_path / "in.h5", "w") as file:
        made = file.create_dataset("raw", (200, 300, 300), np.uint8, chunks=(1, 300, 300), compression="gzip")
        made.attrs["resolution"] = VOXEL_SIZE
    made = View(open_volume(tmp_path / "in.h5", "raw"))
    assert writing.block_shape(made, (64, 64, 64))[1:] == (320, 320)
    assert writing.block_shape(View(made.source, transpose=True), (64, 64, 64))[:2] == (320, 320)
