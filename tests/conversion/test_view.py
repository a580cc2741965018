"""Every n-th voxel, transposed, some labels alone: against the whole array in memory."""

import itertools

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.arrays.resampling import resampled
from lsd_experiments.conversion import View, convert, view, writing
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

from .conftest import OFFSET, SHAPE, VOXEL_SIZE


@pytest.fixture(params=[1, 300, 2**26], ids="{} bytes at once".format)
def small_blocks(request, monkeypatch):
    for module, name in ((view, "READ_BYTES"), (writing, "BLOCK_BYTES"), (writing, "COVER_BYTES")):
        monkeypatch.setattr(module, name, request.param)


def expected_of(values, stride, transpose):
    """On all of it at once."""
    sampled = values[..., ::stride, ::stride, ::stride]
    return np.moveaxis(sampled, (-3, -2, -1), (-1, -2, -3)) if transpose else sampled


@pytest.mark.parametrize(("stride", "transpose"), [*itertools.product([1, 2, 3, 7], [False, True])])
@pytest.mark.parametrize("channels", [None, 3])
def test_as_on_the_whole_array(write, values, tmp_path, stride, transpose, channels, small_blocks):
    if channels:
        values = np.stack([values + 1000 * c for c in range(channels)]).astype(np.uint16)
    told = []
    made = View(open_volume(*write("in.zarr", values)), stride, transpose)
    convert(made, str(tmp_path / "out.zarr"), "out", progress=told.append)
    out, expected = open_volume(tmp_path / "out.zarr", "out"), expected_of(values, stride, transpose)
    assert expected.shape != values.shape or (stride == 1 and not transpose)  # no two axes are alike
    np.testing.assert_array_equal(out.read(), expected)
    turn = -1 if transpose else 1
    assert out.voxel_size == pytest.approx([v * stride for v in VOXEL_SIZE][::turn])
    assert out.offset == pytest.approx(OFFSET[::turn])
    assert sum(told) == np.prod(expected.shape[-3:])


def test_each_voxel_keeps_its_place(write, values):
    """The value says where a voxel was; the published offset, floored to the new voxels, would be another."""
    source = open_volume(*write("in.zarr", values, offset=(33.0, 66.0, 99.0), voxel_size=(33, 33, 33)))
    made = View(source, 2)
    assert made.offset == (33, 66, 99)
    assert [o // 66 * 66 for o in made.offset] == [0, 66, 66]
    for index in [(0, 0, 0), (3, 5, 6)]:
        value = int(made.read(Box.of_shape((1, 1, 1), index))[0, 0, 0])
        place = [o + i * v for o, i, v in zip(made.offset, index, made.voxel_size, strict=True)]
        original = np.unravel_index(value, SHAPE)
        assert place == [o + int(i) * 33 for o, i in zip(source.offset, original, strict=True)]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64])
def test_kept_labels(write, tmp_path, dtype):
    labels = np.random.default_rng(0).integers(0, 9, SHAPE).astype(dtype)
    if dtype == np.uint64:
        labels[labels == 8] = 2**64 - 3
        labels[labels == 7] = 2**64 - 2  # equal as floats
    keep = (0, 3, 2**64 - 3)
    convert(View(open_volume(*write("in.h5", labels)), keep=keep), str(tmp_path / "out.h5"), "out")
    expected = [value if int(value) in keep else 0 for value in labels.ravel()]
    assert len({*expected}) == (3 if dtype == np.uint64 else 2)
    out = open_volume(tmp_path / "out.h5", "out")
    np.testing.assert_array_equal(out.read().ravel(), np.array(expected, dtype))
    assert out.dtype == dtype


def test_labels_stay_labels(write, tmp_path):
    """Nothing is averaged."""
    labels = np.random.default_rng(0).choice(np.array([0, 1000], np.uint64), SHAPE)
    convert(View(open_volume(*write("in.zarr", labels)), 2), str(tmp_path / "out.zarr"), "out")
    assert {*np.unique(open_volume(tmp_path / "out.zarr", "out").read()).tolist()} == {0, 1000}


def test_a_part(write, values, tmp_path):
    """A crop of a volume, as a JSON file names it, too."""
    part = open_volume(*write("in.n5", values)).crop(Box((1, 3, 5), (6, 11, 12)))
    convert(View(part, 2, transpose=True), str(tmp_path / "out.zarr"), "out")
    out = open_volume(tmp_path / "out.zarr", "out")
    np.testing.assert_array_equal(out.read(), values[1:6:2, 3:11:2, 5:12:2].T)
    assert out.offset == pytest.approx([o + b * v for o, b, v in zip(OFFSET, (1, 3, 5), VOXEL_SIZE, strict=True)][::-1])


@pytest.mark.parametrize("stride", [8, 12, 1000])
def test_a_stride_past_the_end(write, values, stride):
    source = open_volume(*write("in.zarr", values))
    with pytest.raises(UserError, match=rf"has 7 voxels along z, fewer than a step of {stride}. Name a smaller"):
        View(source, stride).check()
    View(source, 7).check()


def test_ids_of_what_is_no_labels(write, values):
    for array, message in ((values.astype(np.float32), "labels are integers"), (np.stack([values] * 2), "has 2 channels")):
        source = open_volume(*write(f"{array.ndim}.zarr", array))
        with pytest.raises(UserError, match=message):
            View(source, keep=(1,)).check()


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("nearest", [False, True])
def test_resampled(write, values, tmp_path, nearest, transpose, small_blocks):
    """As of the module that resamples, block by block, and with all else that a view does."""
    source, size = open_volume(*write("in.zarr", values)), tuple(v * f for v, f in zip(VOXEL_SIZE, (2, 0.7, 1.3), strict=True))
    made = View(source, transpose=transpose, resample=size, nearest=nearest)
    convert(made, str(tmp_path / "out.zarr"), "out")
    expected, out = resampled(source, size, "labels" if nearest else "raw"), open_volume(tmp_path / "out.zarr", "out")
    turn = -1 if transpose else 1
    np.testing.assert_array_equal(out.read(), np.swapaxes(expected.read(), 0, 2) if transpose else expected.read())
    assert out.voxel_size == pytest.approx(size[::turn])
    assert out.offset == pytest.approx(OFFSET[::turn])
    assert not np.array_equal(resampled(source, size, "raw").read(), resampled(source, size, "labels").read())


@pytest.mark.parametrize(("dtype", "options", "words"), [
    (np.uint64, {"resample": (40, 40, 40)}, "as labels are, of which there is no mean. Add --nearest"),
    (np.uint8, {"resample": (40, 40, 40), "exclude": (3,)}, "Add --nearest"),
    (np.uint8, {"resample": (40, 40, 40), "stride": 2}, "--downsample and --resample"),
    (np.uint8, {"nearest": True}, "--nearest: is for --resample"),
])
def test_what_is_not_resampled(write, tmp_path, dtype, options, words):
    source = open_volume(*write("in.zarr", np.zeros(SHAPE, dtype)))
    with pytest.raises(UserError, match=words):
        convert(View(source, **options), str(tmp_path / "out.zarr"), "out")
    assert not (tmp_path / "out.zarr").exists()
