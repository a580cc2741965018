"""convert.py --dtype, --range, --channel, --exclude: what comes out, what is refused, and that advice works as printed."""

import json
import shlex
import shutil

import numpy as np
import pytest
import tifffile
import zarr

from lsd_experiments.arrays import check_labels, list_datasets, open_volume, read_ids
from lsd_experiments.conversion import command
from lsd_experiments.errors import UserError
from lsd_experiments.families.xpress import masks as xpress
from lsd_experiments.fitting import check_raw
from lsd_experiments.training import ranges

from .conftest import OFFSET, SHAPE, VOXEL_SIZE

OUT = "volumes/out"


def filled(dtype, value, elsewhere=1):
    """One ``value`` at (3, 4, 5) among others."""
    values = np.full(SHAPE, elsewhere, dtype)
    values[3, 4, 5] = value
    return values


@pytest.fixture
def cast(write, convert, tmp_path):
    """What convert.py makes of an array, and how it opens."""

    def cast(values, *options, out="out.zarr"):
        shutil.rmtree(tmp_path / "in.zarr", ignore_errors=True)
        convert(*write("in.zarr", values), tmp_path / out, OUT if out != "out.tif" else "-", *options)
        return open_volume(tmp_path / out, None if out == "out.tif" else OUT)

    return cast


@pytest.mark.parametrize(("dtype", "value", "target"), [
    ("float32", 255, "uint8"), ("float64", 2**53, "uint64"), ("float64", 2**63, "uint64"), ("float32", -3, "int8"),
    ("bool", True, "uint8"),
    ("uint64", 2**53 + 1, "uint64"), ("uint64", 2**64 - 1, "uint64"), ("uint64", 2**63 - 1, "int64"),
    ("int64", 2**63 - 1, "uint64"),
    ("int64", -(2**63), "int64"), ("uint64", 65535, "uint16"), ("int16", -128, "int8"), ("uint16", 65535, "float32"),
    ("int64", -(2**63), "float64"), ("float64", 0.1, "float32"), ("float16", 2.0, "uint64"),
])  # fmt: skip
def test_values_that_fit_are_kept(cast, dtype, value, target):
    values = filled(dtype, value)
    found = cast(values, "--dtype", target)
    assert (found.dtype, found.voxel_size) == (np.dtype(target), VOXEL_SIZE)
    assert found.offset == pytest.approx(OFFSET)
    expected = values.astype(target)
    np.testing.assert_array_equal(found.read(), expected)
    if np.dtype(target).kind in "iu":
        assert int(found.read()[3, 4, 5]) == int(values[3, 4, 5])


@pytest.mark.parametrize(("dtype", "value", "target"), [
    ("uint16", 256, "uint8"), ("int64", -1, "uint64"), ("int8", -1, "uint8"), ("uint64", 2**63, "int64"),
    ("uint64", 2**64 - 1, "int32"),
    ("float32", 0.5, "uint8"), ("float32", np.nan, "uint8"), ("float32", np.inf, "uint64"), ("float32", -np.inf, "int16"),
    ("float64", 2.0**64, "uint64"), ("float64", 2.0**63, "int64"), ("float32", -1, "uint64"), ("float32", 256, "uint8"),
    ("uint32", 2**24 + 1, "float32"), ("uint64", 2**64 - 1, "float64"), ("int64", 2**53 + 1, "float64"),
    ("float64", 1e300, "float32"),
])  # fmt: skip
def test_values_that_do_not_fit_are_refused_with_their_place(cast, tmp_path, dtype, value, target):
    with pytest.raises(UserError, match=r"in.zarr:volumes/in: the value \S+ at voxel \(3, 4, 5\), \(240, 100, 36.8\) nm does "
                                        rf"not fit into {target}\. "):
        cast(filled(dtype, value), "--dtype", target)
    assert not (tmp_path / "out.zarr").exists() or OUT not in list_datasets(tmp_path / "out.zarr")


def test_how_many_do_not_fit(cast):
    values = filled("int16", -1)
    values[3, 5, :3] = -2
    with pytest.raises(UserError, match=r"does not fit into uint64, nor do 3 others near it\. Of labels.* --exclude -2 -1; "):
        cast(values, "--dtype", "uint64")
    expected = np.where(values < 0, 0, values)
    np.testing.assert_array_equal(cast(values, "--exclude", "-1", "-2", "--dtype", "uint64").read(), expected)
    np.testing.assert_array_equal(cast(values, "--dtype", "int64", "--overwrite").read(), values)


def test_place_and_values_under_transpose_and_stride(cast):
    values = filled("uint16", 300)
    values[2, 4, 6] = 299
    with pytest.raises(UserError, match=r"the value 299 at voxel \(2, 4, 6\)"):
        cast(values, "--dtype", "uint8", "--transpose", "--downsample", 2)
    values[2, 4, 6] = 7
    found = cast(values, "--dtype", "uint8", "--transpose", "--downsample", 2)
    np.testing.assert_array_equal(found.read(), values[::2, ::2, ::2].T.astype(np.uint8))


@pytest.mark.parametrize(("dtype", "low", "high", "target"), [
    ("uint16", 100, 700, None), ("uint16", 100, 700, "uint8"), ("int16", -200, 300, "uint16"), ("float32", 0.5, 800.25, "uint8"),
    ("uint32", 0, 900, "float32"), ("uint16", 100, 700, "int8"),
])  # fmt: skip
def test_a_range_becomes_all_of_the_type(cast, values, capsys, dtype, low, high, target):
    given = values.astype(dtype)
    found = cast(given, "--range", low, high, *(["--dtype", target] if target else []))
    kind = np.dtype(target or "uint8")
    least, greatest = (0, 1) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
    share = (np.clip(given.astype(float), low, high) - low) / (high - low)
    expected = least + share * (greatest - least)
    assert found.dtype == kind
    np.testing.assert_allclose(found.read(), expected if kind.kind == "f" else np.rint(expected), rtol=1e-6)
    outside = int(((given < low) | (given > high)).sum())
    said = capsys.readouterr().out
    assert f"{low:g} to {high:g} became all of {kind}; {outside} of 1001 values were outside, clipped\n" in said
    assert outside > 0


@pytest.mark.parametrize(("options", "message"), [
    (["--range", "5", "5"], "the first must be the lower one"),
    (["--range", "0", "inf"], "Name two numbers"),
    (["--range", "0", "5", "--dtype", "uint64"], "--range is for raw"),
    (["--channel", "0"], r"is \[z, y, x\], without channels"),
])  # fmt: skip
def test_options_that_do_not_fit(cast, values, options, message):
    with pytest.raises(UserError, match=message):
        cast(values, *options)


def test_nan_is_not_clipped(cast):
    with pytest.raises(UserError, match=r"the value nan at voxel \(3, 4, 5\), .* is no number\. Replace"):
        cast(filled("float32", np.nan), "--range", 0, 1)


def test_it_is_made_again_only_if_asked_for_otherwise(cast, values, capsys):
    cast(values, "--range", 0, 2000)
    cast(values, "--range", 0, 2000)
    assert capsys.readouterr().out.endswith("is there already, made like this\n")
    with pytest.raises(UserError, match="range = "):
        cast(values, "--range", 0, 1000)


@pytest.mark.parametrize("out", ["out.zarr", "out.n5", "out.h5", "out.tif"])
def test_one_channel_into_any_format(cast, values, out):
    both = np.stack([values, values[::-1]])
    found = cast(both, "--channel", 1, "--range", 0, 1000, out=out)
    expected = np.rint(np.clip(both[1] / 1000.0, 0, 1) * 255)
    np.testing.assert_array_equal(found.read(), expected)
    assert (found.channels, found.dtype, found.voxel_size) == (None, np.uint8, pytest.approx(VOXEL_SIZE))
    with pytest.raises(UserError, match="has the channels 0 to 1"):
        cast(both, "--channel", 2)


@pytest.mark.parametrize("kind", ["contiguous", "compressed", "planar", "directory", "imagej"])
def test_a_channel_of_a_colour_tiff(convert, tmp_path, kind):
    values = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)
    path = tmp_path / ("colours" if kind == "directory" else "colours.tif")
    if kind == "directory":
        path.mkdir()
        for z, section in enumerate(values):
            tifffile.imwrite(path / f"{z}.tif", section, photometric="rgb")
    elif kind == "imagej":  # z, c, y, x
        tifffile.imwrite(path, np.moveaxis(values, -1, 1), imagej=True, metadata={"axes": "ZCYX"})
    elif kind == "planar":
        tifffile.imwrite(path, np.moveaxis(values, -1, 1), photometric="rgb", planarconfig="separate")
    else:
        tifffile.imwrite(path, values, photometric="rgb", compression="zlib" if kind == "compressed" else None)
    convert(path, "-", tmp_path / "out.zarr", OUT, "--channel", 1, "--voxel-size", 40, 8, 4)
    found = open_volume(tmp_path / "out.zarr", OUT)
    np.testing.assert_array_equal(found.read(), values[..., 1])
    assert found.voxel_size == (40, 8, 4)
    with pytest.raises(UserError, match="has the channels 0 to 2"):
        convert(path, "-", tmp_path / "out.zarr", "other", "--channel", 3, "--voxel-size", 40, 8, 4)


# What is refused as labels, and the ids after the command that the message prints.
REFUSED = {
    "bool": (filled(bool, False), None), "float": (filled(np.float32, 3), None),
    "channels": (np.stack([filled(np.uint8, 7)] * 2), None),
    "negative": (filled(np.int64, -1), 0), "more negative": (filled(np.int8, -128), 0),
}  # fmt: skip


@pytest.mark.parametrize("place", ["in.zarr", "in.n5", "in.h5", "in.tif", "in it.zarr", "crop"])
@pytest.mark.parametrize("kind", REFUSED)
def test_the_command_that_a_message_prints_works(write, convert, tmp_path, kind, place):
    values, instead = REFUSED[kind]
    if place == "in.tif" and kind in ("bool", "channels"):
        pytest.skip("opened otherwise")
    name = ("in.zarr" if kind in ("bool", "channels") else "in.tif") if place == "crop" else place
    container, dataset = write(name, values)
    if container.endswith(".tif") or place == "crop":
        crop = tmp_path / "crop.json"
        named = {} if container.endswith(".tif") else {"dataset": dataset}
        crop.write_text(json.dumps({"container": container, "voxel_size": [40, 8, 4], **named}))
        volume = open_volume(crop)
    else:
        volume = open_volume(container, dataset)

    def check(volume):
        check_labels(volume)
        return read_ids(volume)

    with pytest.raises(UserError, match=r"01_data/convert.py ") as caught:
        check(volume)
    arguments = shlex.split(str(caught.value).rpartition("convert.py ")[2])
    convert(*arguments)
    made = open_volume(arguments[2], arguments[3])
    expected = values[0] if kind == "channels" else values.astype(np.int64)
    np.testing.assert_array_equal(check(made), np.where(expected < 0, instead or 0, expected))
    assert made.voxel_size == volume.voxel_size


def test_the_command_for_what_is_only_read_works(convert, tmp_path):
    """Labels in TIFF, of which add_labels_mask.py makes no mask."""
    values = filled(np.uint16, 9)
    tifffile.imwrite(tmp_path / "in.tif", values, photometric="minisblack")
    (tmp_path / "crop.json").write_text(json.dumps({"container": "in.tif", "voxel_size": [40, 8, 4]}))
    with pytest.raises(UserError, match="is only read") as caught:
        xpress._labels(str(tmp_path / "crop.json"), None)
    arguments = shlex.split(str(caught.value).rpartition("convert.py ")[2])
    convert(*arguments)
    assert arguments[3] == xpress.LABELS
    xpress.add_labels_mask(xpress._parser(None).parse_args([arguments[2]]))
    assert open_volume(arguments[2], xpress.MASK).read().all()


def test_the_command_for_a_colour_tiff_works(convert, tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)
    tifffile.imwrite(tmp_path / "in.tif", values, photometric="rgb")
    crop = tmp_path / "crop.json"
    crop.write_text(json.dumps({"container": "in.tif", "voxel_size": [40, 8, 4]}))
    with pytest.raises(UserError, match=r"has 3 channels; .* take one channel: ") as caught:
        check_labels(open_volume(crop))
    arguments = shlex.split(str(caught.value).rpartition("convert.py ")[2])
    convert(*arguments)
    np.testing.assert_array_equal(open_volume(arguments[2], arguments[3]).read(), values[..., 0])


def test_great_ids_pass_unchanged(cast):
    """2^64 - 1 and 2^64 - 2, CREMI's, beside each other; only what is excluded goes."""
    values = np.full(SHAPE, 2**64 - 2, np.uint64)
    values[3, 4, 5], values[0] = 2**64 - 1, 2**53 + 1
    np.testing.assert_array_equal(cast(values).read(), values)
    np.testing.assert_array_equal(cast(values, "--exclude", "-1", "--overwrite").read(), np.where(values == 2**64 - 1, 0, values))


def test_an_excluded_id_stays_excluded_in_provenance(cast, tmp_path):
    cast(filled(np.uint64, 9), "--exclude", 9)
    assert zarr.open(str(tmp_path / "out.zarr"))[OUT].attrs["provenance"]["parameters"]["exclude"] == [9]
    with pytest.raises(UserError, match="exclude = "):
        cast(filled(np.uint64, 9), "--exclude", 8)


def test_options_are_in_the_help(capsys):
    with pytest.raises(SystemExit):
        command._parser(None).parse_args(["--help"])
    said = capsys.readouterr().out
    assert all(option in said for option in ("--dtype", "--range LOW HIGH", "--channel N", "--exclude ID"))


@pytest.mark.parametrize("name", ["in.zarr", "in it.n5", "in.h5"])
def test_the_command_for_raw_with_channels_works(write, convert, tmp_path, name):
    values = np.random.default_rng(0).integers(0, 255, (2, *SHAPE), np.uint8)
    raw = open_volume(*write(name, values))
    with pytest.raises(UserError, match=r"has 2 channels; raw is \[z, y, x\]") as caught:
        check_raw(raw, "volumes/raw")
    arguments = shlex.split(str(caught.value).rpartition("convert.py ")[2])
    convert(*arguments)
    made = open_volume(arguments[2], arguments[3])
    check_raw(made, "volumes/raw")
    np.testing.assert_array_equal(made.read(), values[0])
    assert (made.voxel_size, made.offset) == (raw.voxel_size, raw.offset)


def test_the_command_for_faint_raw_works(write, convert, tmp_path, caplog):
    values = np.random.default_rng(0).integers(-2000, 2000, SHAPE, np.int16)
    full = open_volume(*write("full.zarr", values))
    faint = open_volume(*write("faint.zarr", (values // 10).astype(np.int16)))
    assert ranges._held([full, faint], None) == (values.min(), values.max())
    (said,) = [message for message in caplog.messages if "it will be faint" in message]
    assert said.startswith(faint.name)
    arguments = shlex.split(said.rpartition("convert.py ")[2])
    convert(*arguments)
    made = open_volume(arguments[2], arguments[3]).read()
    assert (made.dtype, made.min(), made.max()) == (np.uint8, 0, 255)
    assert np.abs(made / 255 - (values // 10 + 200) / 399).max() < 0.01
