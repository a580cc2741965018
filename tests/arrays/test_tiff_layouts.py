"""What the pages of a TIFF file are: sections, channels, or nothing that is one volume."""

import imageio.v2 as imageio
import numpy as np
import pytest
import tifffile
from skimage import io as skimage_io

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

NM = (40.0, 10.0, 4.6)


def page_by_page(path, raw, **options):
    with tifffile.TiffWriter(path) as writer:
        for section in raw:
            writer.write(section, **options)


def by_imageio(path, raw):
    with imageio.get_writer(path) as writer:
        for section in raw:
            writer.append_data(section)


def by_skimage(path, raw):
    for section in raw:
        skimage_io.imsave(path, section, append=True, check_contrast=False)


def by_pillow(path, raw):
    from PIL import Image

    first, *others = [Image.fromarray(section) for section in raw]
    first.save(path, save_all=True, append_images=others)


@pytest.mark.filterwarnings("ignore:.*plugin.*:FutureWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("write", [page_by_page, by_imageio, by_skimage, by_pillow], ids=lambda write: write.__name__)
def test_pages_that_were_appended_are_a_stack(tmp_path, raw, write):
    write(tmp_path / "a.tif", raw)
    volume = open_volume(tmp_path / "a.tif", voxel_size=NM)
    assert (volume.shape, volume.channels, volume.dtype) == (raw.shape, None, raw.dtype)
    np.testing.assert_array_equal(volume.read(), raw)
    np.testing.assert_array_equal(volume.read(Box((1, 2, 3), (4, 5, 9))), raw[1:4, 2:5, 3:9])


def other_type(raw):
    return raw[:2].astype(np.uint8)


def other_size(raw):
    return raw[:2, :4]


def a_colour(raw):
    return np.zeros((2, *raw.shape[1:], 3), raw.dtype)


@pytest.mark.parametrize("other", [other_type, other_size, a_colour], ids=lambda other: other.__name__)
@pytest.mark.parametrize("metadata", [{}, {"metadata": None}], ids=["tifffile's metadata", "none"])
def test_pages_of_two_kinds_are_refused(tmp_path, raw, other, metadata):
    tifffile.imwrite(tmp_path / "a.tif", raw, **metadata)
    assert open_volume(tmp_path / "a.tif", voxel_size=NM).shape == raw.shape
    tifffile.imwrite(tmp_path / "a.tif", other(raw), append=True, **metadata)
    with pytest.raises(UserError, match=r"a.tif: page 5 is .* page 0 is uint16 of \(7, 9\)"):
        open_volume(tmp_path / "a.tif", voxel_size=NM)


def test_two_stacks_in_a_file_are_refused(tmp_path, raw):
    for _ in range(2):
        tifffile.imwrite(tmp_path / "a.tif", raw, append=True)
    with pytest.raises(UserError, match=r"a.tif: holds 2 stacks or images, of \(5, 7, 9\), \(5, 7, 9\)"):
        open_volume(tmp_path / "a.tif", voxel_size=NM)


def test_small_versions_of_the_pages_do_not_count(tmp_path, raw):
    tifffile.imwrite(tmp_path / "a.tif", raw, metadata=None)
    tifffile.imwrite(tmp_path / "a.tif", raw[:, ::2, ::2], append=True, subfiletype=1, metadata=None)
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif", voxel_size=NM).read(), raw)


@pytest.mark.parametrize(("options", "order"), [
    ({"photometric": "rgb"}, (1, 2, 3, 0)),
    ({"photometric": "rgb", "planarconfig": "separate"}, (1, 0, 2, 3)),
    ({"imagej": True, "metadata": {"axes": "ZCYX"}}, (1, 0, 2, 3)),
    ({"ome": True, "metadata": {"axes": "CZYX"}}, (0, 1, 2, 3)),
    ({"ome": True, "metadata": {"axes": "ZCYX"}, "compression": "zlib"}, (1, 0, 2, 3)),
], ids=["colours", "colours in planes", "ImageJ", "OME", "OME, compressed"])
def test_colours_and_channels_come_first(tmp_path, raw, options, order):
    values = np.stack([raw, raw + 1000, raw + 2000]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values.transpose(order), **options)
    volume = open_volume(tmp_path / "a.tif", voxel_size=NM)
    assert (volume.shape, volume.channels) == (raw.shape, 3)
    np.testing.assert_array_equal(volume.read(), values)
    np.testing.assert_array_equal(volume.read(Box((1, 2, 3), (4, 5, 9))), values[:, 1:4, 2:5, 3:9])


@pytest.mark.parametrize(("axes", "words"), [("CYX", "its 5 pages channels"), ("TYX", "its 5 pages points in time")])
@pytest.mark.parametrize("program", ["imagej", "ome"])
def test_sections_that_are_called_otherwise_are_read_with_a_word(tmp_path, raw, caplog, axes, words, program):
    tifffile.imwrite(tmp_path / "a.tif", raw, metadata={"axes": axes}, **{program: True})
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif", voxel_size=NM).read(), raw)
    assert words in caplog.text
    caplog.clear()
    tifffile.imwrite(tmp_path / "a.tif", raw, metadata={"axes": "ZYX"}, **{program: True})
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif", voxel_size=NM).read(), raw)
    assert not caplog.text


@pytest.mark.parametrize("shape", [(2, 5, 7, 9), (7, 9), (7, 9, 3)])
def test_what_is_no_stack(tmp_path, shape):
    colours = {"photometric": "rgb"} if shape[-1] == 3 else {}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8), **colours)
    with pytest.raises(UserError, match=r"a.tif: a TIFF of shape .*; volumes are \[z, y, x\]"):
        open_volume(tmp_path / "a.tif", voxel_size=NM)


def test_white_that_is_zero_is_said(tmp_path, raw, caplog):
    tifffile.imwrite(tmp_path / "a.tif", raw, photometric="miniswhite")
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif", voxel_size=NM).read(), raw)
    assert "its 0 is white" in caplog.text


@pytest.mark.parametrize("compression", ["lzw", "zstd", "zlib", "packbits", "lzma"])
def test_compressions_without_loss(tmp_path, raw, compression):
    tifffile.imwrite(tmp_path / "a.tif", raw, compression=compression)
    volume = open_volume(tmp_path / "a.tif", voxel_size=NM)
    np.testing.assert_array_equal(volume.read(Box((1, 2, 3), (4, 5, 9))), raw[1:4, 2:5, 3:9])


def test_jpeg(tmp_path):
    smooth = np.stack([np.add.outer(np.arange(32), np.arange(48)) + 10 * z for z in range(3)]).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", smooth, compression="jpeg", photometric="minisblack")
    found = open_volume(tmp_path / "a.tif", voxel_size=NM).read()
    np.testing.assert_allclose(found.astype(float), smooth, atol=4)


def test_a_compression_that_is_missing_names_its_package(tmp_path, raw, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", raw, compression="lzw")
    monkeypatch.delitem(tifffile.TIFF.DECOMPRESSORS._codecs, 5, raising=False)
    monkeypatch.setattr(tifffile.tifffile, "imagecodecs", None)  # as where it is not installed
    with pytest.raises(UserError, match=r"a.tif: compressed as LZW, which needs the package imagecodecs"):
        open_volume(tmp_path / "a.tif", voxel_size=NM)


@pytest.mark.parametrize(("metadata", "expected"), [
    ({"unit": "nm", "zunit": "um", "spacing": 0.04}, (40, 10, 4.6)),
    ({"unit": "nm", "spacing": 40, "yunit": "pm"}, (40, 0.01, 4.6)),
    ({"unit": "nm", "spacing": -40}, (40, 10, 4.6)),
])
def test_the_units_of_imagej(tmp_path, raw, metadata, expected):
    tifffile.imwrite(tmp_path / "a.tif", raw, imagej=True, resolution=(1 / 4.6, 1 / 10), metadata={"axes": "ZYX", **metadata})
    assert open_volume(tmp_path / "a.tif").voxel_size == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("options", [
    {"imagej": True, "resolution": (1, 1), "metadata": {"axes": "ZYX", "spacing": 1, "unit": "pixels"}},
    {"imagej": True, "resolution": (1, 1), "metadata": {"axes": "ZYX", "spacing": 1, "unit": "furlong"}},
    {"imagej": True, "resolution": (1, 1), "metadata": {"axes": "ZYX", "spacing": 0, "unit": "nm"}},
    {"imagej": True, "resolution": ((0, 1), (1, 1)), "metadata": {"axes": "ZYX", "spacing": 1, "unit": "nm"}},
    {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeZ": 1, "PhysicalSizeY": 1, "PhysicalSizeX": 1,
                               **{f"PhysicalSize{axis}Unit": "pixel" for axis in "ZYX"}}},
    {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeZ": -1, "PhysicalSizeY": 1, "PhysicalSizeX": 1}},
    {"metadata": {"axes": "ZYX", "resolution": "large"}},
], ids=["pixels", "no unit", "no spacing", "no resolution", "OME pixels", "negative", "text"])
def test_a_voxel_size_that_is_given_comes_first(tmp_path, raw, options):
    tifffile.imwrite(tmp_path / "a.tif", raw, **options)
    volume = open_volume(tmp_path / "a.tif", voxel_size=NM)
    assert (volume.voxel_size, volume.offset) == (NM, (0, 0, 0))
    np.testing.assert_array_equal(volume.read(), raw)
    with pytest.raises(UserError, match=r"a\.tif"):
        open_volume(tmp_path / "a.tif")
