"""TIFF stacks: one file or one per section; voxel sizes of ImageJ and OME."""

import json

import numpy as np
import pytest
import tifffile

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

IMAGEJ = {"imagej": True, "resolution": (1 / 0.0046, 100.0), "metadata": {"axes": "ZYX", "spacing": 0.04, "unit": "um"}}
OME = {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeZ": 0.04, "PhysicalSizeY": 10, "PhysicalSizeYUnit": "nm",
                                 "PhysicalSizeX": 46, "PhysicalSizeXUnit": "Å"}}


@pytest.mark.parametrize("options", [IMAGEJ, OME], ids=["ImageJ", "OME"])
def test_voxel_sizes_that_are_stored(tmp_path, raw, options) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", raw, **options)
    volume = open_volume(tmp_path / "stack.tif")
    assert volume.voxel_size == pytest.approx((40, 10, 4.6), rel=1e-5)
    assert (volume.offset, volume.shape, volume.channels, volume.dtype) == ((0, 0, 0), (5, 7, 9), None, np.uint16)
    np.testing.assert_array_equal(volume.read(), raw)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)},
                                     {"bigtiff": True, "byteorder": ">"}],
                         ids=["contiguous", "compressed", "tiled", "big-endian"])
def test_boxes(tmp_path, raw, options) -> None:
    tifffile.imwrite(tmp_path / "stack.tiff", raw, **options)
    volume = open_volume(tmp_path / "stack.tiff", voxel_size=(40, 10, 4.6))
    np.testing.assert_array_equal(volume.read(Box((1, 2, 3), (4, 5, 9))), raw[1:4, 2:5, 3:9])
    outside = np.full((7, 9), 3)
    np.testing.assert_array_equal(volume.read(Box((-1, 0, 0), (1, 7, 9)), fill=3), np.stack([outside, raw[0]]))


def test_sections_in_files_of_their_own(tmp_path, raw) -> None:
    (tmp_path / "sections").mkdir()
    for number, section in enumerate(raw):
        tifffile.imwrite(tmp_path / f"sections/z{number + 8}.tif", section)  # z8, z9, z10: not in the order of letters
    volume = open_volume(tmp_path / "sections", voxel_size=(40, 10, 4.6))
    np.testing.assert_array_equal(volume.read(), raw)
    np.testing.assert_array_equal(volume.read(Box((2, 0, 1), (4, 7, 3))), raw[2:4, :, 1:3])
    tifffile.imwrite(tmp_path / "sections/z10.tif", raw[2, :, :4])
    with pytest.raises(UserError, match=r"z10.tif: a section of uint16 of shape \(7, 4\) among others of uint16 of \(7, 9\)"):
        volume.read()


def test_without_a_voxel_size_a_crop_gives_it(tmp_path, raw) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", raw)
    with pytest.raises(UserError, match=r"stack.tif: stores no voxel size. Name a crop file"):
        open_volume(tmp_path / "stack.tif")
    (tmp_path / "stack.json").write_text(json.dumps({"container": "stack.tif", "voxel_size": [40, 10, 4.6]}))
    assert open_volume(tmp_path / "stack.json", default="volumes/raw").voxel_size == (40, 10, 4.6)


def test_what_is_no_stack(tmp_path, raw) -> None:
    tifffile.imwrite(tmp_path / "flat.tif", raw[0])
    with pytest.raises(UserError, match=r"of shape \(7, 9\) .*volumes are \[z, y, x\]"):
        open_volume(tmp_path / "flat.tif", voxel_size=(1, 1, 1))
    (tmp_path / "broken.tif").write_bytes(b"no TIFF")
    with pytest.raises(UserError, match=r"broken.tif: cannot be read as TIFF"):
        open_volume(tmp_path / "broken.tif")
    with pytest.raises(UserError, match="no such file"):
        open_volume(tmp_path / "absent.tif")
    tifffile.imwrite(tmp_path / "stack.tif", raw)
    with pytest.raises(UserError, match="a TIFF stack has no datasets, 'volumes/raw' was asked for"):
        open_volume(tmp_path / "stack.tif", "volumes/raw")


def test_a_truncated_section_is_named(tmp_path, raw) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", raw, compression="zlib")
    with tifffile.TiffFile(tmp_path / "stack.tif") as file:
        where = file.pages[3].dataoffsets[0]
    with (tmp_path / "stack.tif").open("r+b") as damaged:
        damaged.seek(where)
        damaged.write(b"damaged")
    with pytest.raises(UserError, match=r"stack.tif: chunk 3.0.0 cannot be read"):
        open_volume(tmp_path / "stack.tif", voxel_size=(1, 1, 1)).read()
