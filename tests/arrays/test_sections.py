"""Directories of sections: all alike, in order, TIFF or PNG, whatever the directory is called."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

NM = (40.0, 10.0, 4.6)


def save(path, section):
    if path.suffix == ".png":
        Image.fromarray(section).save(path)
    else:
        tifffile.imwrite(path, section)


@pytest.fixture
def write(tmp_path):
    """Writes sections into a directory."""

    def write(sections, suffix=".tif", name="stack", files="z{}"):
        (tmp_path / name).mkdir(exist_ok=True)
        for number, section in enumerate(sections):
            save(tmp_path / name / f"{files.format(number + 8)}{suffix}", section)
        return tmp_path / name

    return write


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
@pytest.mark.parametrize("name", ["stack", "stack.v2", "2020.10.11", "stack.tif", "stack.h5"])
def test_sections_are_read(write, raw, suffix, dtype, name):
    values = (raw % 250).astype(dtype)
    volume = open_volume(write(values, suffix, name), voxel_size=NM)
    assert (volume.shape, volume.dtype, volume.channels, volume.voxel_size) == (raw.shape, dtype, None, NM)
    np.testing.assert_array_equal(volume.read(), values)
    np.testing.assert_array_equal(volume.read(Box((1, 2, 3), (4, 5, 9))), values[1:4, 2:5, 3:9])


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("change", [lambda s: s.astype(np.uint8), lambda s: s[:, :4],
                                    lambda s: np.stack([s.astype(np.uint8)] * 3, -1)], ids=["type", "size", "colours"])
@pytest.mark.parametrize("number", [0, 2, 4])
def test_a_section_of_another_kind_is_refused(write, raw, suffix, change, number):
    directory = write(raw, suffix)
    save(directory / f"z{number + 8}{suffix}", change(raw[number]))
    with pytest.raises(UserError, match=r"z\d+\.(tif|png): a section of uint.* among others of uint"):
        open_volume(directory, voxel_size=NM)


def test_a_section_that_changes_after_opening_is_refused(write, raw):
    """Its values would be wrapped, or stand for another type."""
    volume = open_volume(write(raw), voxel_size=NM)
    save(write(raw[:0]) / "z10.tif", raw[2].astype(np.int32))
    np.testing.assert_array_equal(volume.read(Box((0, 0, 0), (2, 7, 9))), raw[:2])
    with pytest.raises(UserError, match=r"z10.tif: a section of int32"):
        volume.read()


def test_sections_with_several_pages_are_refused(write, raw):
    directory = write(raw)
    tifffile.imwrite(directory / "z9.tif", raw[:2])
    with pytest.raises(UserError, match=r"z9.tif: a section with 2 pages"):
        open_volume(directory, voxel_size=NM)


def test_two_formats_are_refused(write, raw):
    write(raw)
    with pytest.raises(UserError, match=r"stack: holds sections as PNG and as TIFF"):
        open_volume(write(raw, ".png"), voxel_size=NM)


@pytest.mark.parametrize(("remove", "add", "words"), [
    ("z10.tif", None, "z11.tif follows on z9.tif"), (None, "z09.tif", "z9.tif follows on z09.tif"),
    (None, "b9.tif", "names of 2 kinds"), (None, None, None), ("z8.tif", None, None), ("z12.tif", None, None)])
def test_gaps_and_twins_are_said(write, raw, caplog, remove, add, words):
    directory = write(raw)
    if remove:
        (directory / remove).unlink()
    if add:
        save(directory / add, raw[0])
    open_volume(directory, voxel_size=NM)
    assert words in caplog.text if words else not caplog.text


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_colours_are_channels(write, raw, suffix):
    colours = np.stack([raw, raw + 1, raw + 2], axis=-1).astype(np.uint8)
    volume = open_volume(write(colours, suffix), voxel_size=NM)
    assert (volume.shape, volume.channels) == (raw.shape, 3)
    np.testing.assert_array_equal(volume.read(Box((1, 2, 3), (4, 5, 9))), np.moveaxis(colours, -1, 0)[:, 1:4, 2:5, 3:9])


def test_numbers_of_a_palette_are_the_values(tmp_path):
    values = np.arange(63, dtype=np.uint8).reshape(7, 9)
    image = Image.new("P", (9, 7))
    image.putdata(values.ravel().tolist())
    image.putpalette([255 - i % 256 for i in range(768)])
    (tmp_path / "labels").mkdir()
    image.save(tmp_path / "labels/1.png")
    np.testing.assert_array_equal(open_volume(tmp_path / "labels", voxel_size=NM).read(), values[np.newaxis])


def test_a_png_of_four_bits_is_refused_since_its_values_would_be_multiplied(tmp_path):
    (tmp_path / "few").mkdir()
    imwrite_four_bits(tmp_path / "few/1.png")
    with pytest.raises(UserError, match=r"1.png: a PNG of a kind that is not read"):
        open_volume(tmp_path / "few", voxel_size=NM)


def imwrite_four_bits(path):
    """A grey PNG of 2 x 2 pixels with 4 bits each, by hand: Pillow does not write it."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 2, 2, 4, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\x12\0\x34"))
                     + chunk(b"IEND", b""))


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_damaged_sections_are_named(write, raw, suffix):
    directory = write(raw, suffix)
    file = directory / f"z10{suffix}"
    whole = file.read_bytes()
    for part in range(0, len(whole) - 16, 7):  # a PNG is whole without its last 12 bytes, a TIFF without padding
        file.write_bytes(whole[:part])
        with pytest.raises(UserError, match=rf"z10{suffix}"):
            open_volume(directory, voxel_size=NM).read()
    file.write_bytes(whole)
    np.testing.assert_array_equal(open_volume(directory, voxel_size=NM).read(), raw)


def test_a_directory_is_a_zarr_if_it_says_so(tmp_path, raw, write):
    zarr.open_group(str(tmp_path / "stack"), mode="w").create_dataset("raw", data=raw).attrs["resolution"] = NM
    write(raw[:2])
    assert open_volume(tmp_path / "stack", "raw").shape == raw.shape


def test_without_voxel_size(write, raw):
    with pytest.raises(UserError, match=r"stack: stores no voxel size"):
        open_volume(write(raw, ".png"))
    with pytest.raises(UserError, match=r"stack: a directory of sections has no datasets, 'raw' was asked for"):
        open_volume(write(raw, ".png"), "raw")
