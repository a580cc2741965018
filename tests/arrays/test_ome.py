"""OME-Zarr 0.4: scale levels, units, axes."""

import json

import numpy as np
import pytest
import zarr

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError

ZYX = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
TC = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]


@pytest.fixture
def write(tmp_path, raw):
    """Write an image of two levels with the given axes; the second is half as large in y and x."""
    def write(axes=ZYX, whole=(), leading=(), names=("0", "scale/1")):
        path, datasets = tmp_path / "image.zarr", []
        root = zarr.open_group(zarr.DirectoryStore(str(path)), mode="w")
        ones = [1] * (len(axes) - 3)
        for step, name in zip((1, 2), names, strict=True):
            level = np.broadcast_to(raw[:, ::step, ::step], (*leading, 5, -(-7 // step), -(-9 // step)))
            root.array(name, level, dimension_separator="/")
            datasets.append({"path": name, "coordinateTransformations": [
                {"type": "scale", "scale": [*ones, 40, 10 * step, 4.6 * step]},
                {"type": "translation", "translation": [*(0 for _ in ones), 120, 30, 13.8]}]})
        image = {"version": "0.4", "axes": axes, "datasets": datasets}
        root.attrs["multiscales"] = [{**image, "coordinateTransformations": whole} if whole else image]
        return path
    return write


def test_levels(write, raw) -> None:
    path = write()
    full, half = open_volume(path, "0"), open_volume(path, "scale/1")
    assert (full.voxel_size, full.offset) == ((40, 10, 4.6), (120, 30, 13.8))
    assert (half.voxel_size, half.offset, half.shape) == ((40, 20, 9.2), pytest.approx((120, 25, 11.5)), (5, 4, 5))
    np.testing.assert_array_equal(full.read(), raw)
    np.testing.assert_array_equal(half.read(), raw[:, ::2, ::2])
    assert open_volume(path).dataset == "0"  # the image stands for its full resolution


def test_an_image_inside_of_a_container(write, tmp_path, raw) -> None:
    write()
    outer = tmp_path / "outer.zarr"
    zarr.open_group(str(outer), mode="w").create_group("em")
    (tmp_path / "image.zarr").rename(outer / "em/fibsem")
    assert open_volume(outer, "em/fibsem").dataset == "em/fibsem/0"
    assert open_volume(outer, "em/fibsem/scale/1").voxel_size == (40, 20, 9.2)


def test_units(write) -> None:
    axes = [{**axis, "unit": unit} for axis, unit in zip(ZYX, ("micrometer", "nanometer", "angstrom"), strict=True)]
    volume = open_volume(write(axes), "0")
    assert volume.voxel_size == pytest.approx((40_000, 10, 0.46))
    assert volume.offset == pytest.approx((120_000, 30, 1.38))


def test_transformations_of_the_whole_image_come_second(write) -> None:
    whole = [{"type": "scale", "scale": [2, 3, 1]}, {"type": "translation", "translation": [1, 0, 0]}]
    volume = open_volume(write(whole=whole), "0")
    assert volume.voxel_size == (80, 30, 4.6)
    assert volume.offset == (241, 90, 13.8)


def test_leading_axes(write, raw) -> None:
    single = open_volume(write(TC + ZYX, leading=(1, 1)), "0")
    assert (single.channels, single.shape, single.voxel_size) == (None, (5, 7, 9), (40, 10, 4.6))
    np.testing.assert_array_equal(single.read(), raw)
    several = open_volume(write(TC + ZYX, leading=(1, 3)), "0")
    assert several.channels == 3
    assert several.read().shape == (3, 5, 7, 9)


@pytest.mark.parametrize(("axes", "leading", "message"), [
    (TC + ZYX, (2, 1), "axis t has the length 2"),
    ([{**ZYX[0], "name": "a"}, *ZYX[1:]], (), r"its axes are \['a', 'y', 'x'\], not z, y, x"),
    ([{"name": name} for name in "zyx"], (), 'axis z has no unit. Add "unit": "nanometer"'),
    ([{**axis, "unit": "second"} for axis in ZYX], (), "'second' is no unit of length"),
    (TC + ZYX, (1,), "5 axes .* for the shape"),
])
def test_images_that_are_not_read(write, axes, leading, message) -> None:
    with pytest.raises(UserError, match=message):
        open_volume(write(axes, leading=leading), "0")


def test_a_transformation_from_a_file(write) -> None:
    path = write()
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"] = [{"type": "affine", "path": "matrix"}]
    (path / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(UserError, match=r"is not read. Write scale and translation"):
        open_volume(path, "0")
