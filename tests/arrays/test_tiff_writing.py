"""TIFF stacks that are written block by block: whole or not at all."""

import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from lsd_experiments.arrays import create_stack, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from tests import disks

from .conftest import OFFSET, VOXEL_SIZE


def write(path, values, **options):
    with create_stack(path, values.shape, VOXEL_SIZE, OFFSET, values.dtype, **options) as volume:
        for box in volume.box.blocks((2, 3, 4)):
            inside = box.intersect(volume.box)
            volume.write(inside, values[inside.slices])


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("dtype", [np.uint16, np.uint64])
def test_what_is_written_is_read(tmp_path, raw, dtype):
    write(tmp_path / "deep/a.tif", raw.astype(dtype))
    found = open_volume(tmp_path / "deep/a.tif")
    np.testing.assert_array_equal(found.read(), raw)
    assert (found.voxel_size, found.offset, found.dtype) == (VOXEL_SIZE, OFFSET, dtype)
    assert names(tmp_path / "deep") == ["a.tif"]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "deep/a.tif"), raw)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_leaves_what_was_there(tmp_path, raw, error):
    write(tmp_path / "a.tif", raw)

    def fail():
        with create_stack(tmp_path / "a.tif", raw.shape, VOXEL_SIZE, OFFSET, np.uint8, overwrite=True) as volume:
            volume.write(Box.of_shape((1, 1, 1)), np.ones((1, 1, 1), np.uint8))
            raise error

    with pytest.raises(error):
        fail()
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif").read(), raw)
    assert names(tmp_path) == ["a.tif"]


def test_it_is_replaced_only_if_asked(tmp_path, raw):
    write(tmp_path / "a.tif", raw)
    with pytest.raises(UserError, match="exists already"):
        write(tmp_path / "a.tif", raw + 1)
    write(tmp_path / "a.tif", raw + 1, overwrite=True)
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif").read(), raw + 1)
    (tmp_path / "sections.tif").mkdir()
    with pytest.raises(UserError, match="is a directory"):
        write(tmp_path / "sections.tif", raw, overwrite=True)


@pytest.mark.parametrize("dtype", [bool, complex])
def test_types_that_tiff_has_not(tmp_path, raw, dtype):
    with pytest.raises(UserError, match="TIFF holds integers and floats, not"):
        write(tmp_path / "a.tif", raw.astype(dtype))
    assert names(tmp_path) == []


def test_a_disk_that_is_too_small(tmp_path):
    """It is told before anything is written; a memory map alone would end the process later, without a word."""
    values = np.ones((8, 256, 512), np.uint8)
    with disks.small_disk(tmp_path / "disk", "900k") as disk:
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as error:
            write(disk / "a.tif", values)
        assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(disk / "a.tif"))
        assert names(disk) == []
        write(disk / "a.tif", values[:4])


KILLED = """
import sys
import numpy as np
from lsd_experiments.arrays import create_stack

with create_stack(sys.argv[1], (5, 7, 9), (1, 1, 1), (0, 0, 0), np.uint8) as volume:
    print("half way", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_and_one_that_was_killed_is_no_hindrance(tmp_path, raw):
    path = tmp_path / "a.tif"
    first = subprocess.Popen([sys.executable, "-c", KILLED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline() == "half way\n"
        with pytest.raises(UserError, match="another run is writing it"):
            write(path, raw)
        first.send_signal(signal.SIGKILL)
    finally:
        first.kill()
        first.communicate()
    assert names(tmp_path) == [".a.tif.partial"]
    write(path, raw)
    np.testing.assert_array_equal(open_volume(path).read(), raw)
    assert names(tmp_path) == ["a.tif"]


@pytest.mark.parametrize("description", ["a stack of mine", "[1, 2]", "7", '{"author": "me"}'])
def test_descriptions_of_other_programs(tmp_path, raw, description):
    sizes = {"PhysicalSizeZ": 0.04, "PhysicalSizeY": 0.01, "PhysicalSizeX": 0.0046}
    tifffile.imwrite(tmp_path / "a.tif", raw, ome=True, metadata={"axes": "ZYX", "Description": description, **sizes})
    found = open_volume(tmp_path / "a.tif")
    assert found.voxel_size == pytest.approx((40, 10, 4.6))
    assert found.offset == (0, 0, 0)


def test_one_section(tmp_path, raw):
    """z, y and x of length 1 are no axes that were left out, where the file says which is which."""
    for part in (raw[:1], raw[:, :1], raw[..., :1], raw[:1, :1, :1]):
        write(tmp_path / "a.tif", part, overwrite=True)
        np.testing.assert_array_equal(open_volume(tmp_path / "a.tif").read(), part)
