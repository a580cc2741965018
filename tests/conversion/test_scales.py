"""zarr 3, OME-Zarr and precomputed as convert.py writes them: each level, read again, against voxels counted one by one."""

import json
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.arrays.levels import plan_levels
from lsd_experiments.conversion import View, making, writing
from lsd_experiments.conversion import convert as write_view
from lsd_experiments.conversion.formats import Options
from lsd_experiments.conversion.reducing import reduce
from lsd_experiments.errors import UserError

from .conftest import DATASET, OFFSET, SHAPE, VOXEL_SIZE

LABELS = "volumes/labels/neuron_ids"
# format, options, dataset: OME-Zarr also as the whole container
SCALED = [("ome-zarr", [], "em/raw"), ("ome-zarr", ["--shard"], "-"), ("precomputed", [], "-"),
          ("precomputed", ["--encoding", "raw"], "-")]
ALL = [("zarr3", [], "volumes/raw"), ("zarr3", ["--shard"], "-"), *SCALED]


def coarser(values, first, factors, how):
    """One level, voxel by voxel; voxel v of ``values`` is voxel ``first + v`` of the grid that its levels lie on."""
    members = {}
    for index in np.ndindex(values.shape):
        place = tuple((i + b) // f for i, b, f in zip(index, first, factors, strict=True))
        members.setdefault(place, []).append(values[index].item())
    begin = tuple(b // f for b, f in zip(first, factors, strict=True))
    made = np.zeros([max(place[axis] for place in members) - begin[axis] + 1 for axis in range(3)], values.dtype)
    for place, those in members.items():
        ways = {"mean": round(Fraction(sum(those), len(those))), "nearest": those[0], "mode": Counter(those).most_common(1)[0][0]}
        made[tuple(p - b for p, b in zip(place, begin, strict=True))] = ways[how]
    return made, begin


@pytest.fixture
def labels():
    """[7, 11, 13] uint64 of few ids, the greatest one among them."""
    values = np.random.default_rng(1).integers(1, 4, SHAPE).astype(np.uint64)
    values[values == 3] = 2**64 - 1
    return values


@pytest.mark.parametrize("is_labels", [True, False], ids=["labels", "raw"])
@pytest.mark.parametrize(("kind", "options", "dataset"), ALL)
def test_read_again_it_is_the_same(write, values, labels, convert, tmp_path, kind, options, dataset, is_labels):
    stored = labels if is_labels else values
    out = tmp_path / "out"
    convert(*write("in.zarr", stored, LABELS if is_labels else DATASET), out, dataset, "--format", kind, *options)
    found = open_volume(out, None if dataset == "-" else dataset)
    np.testing.assert_array_equal(found.read(), stored)
    assert (found.dtype, found.channels) == (stored.dtype, None)
    assert found.voxel_size == VOXEL_SIZE
    assert found.offset == pytest.approx(OFFSET, rel=1e-15)
    if kind != "precomputed":
        assert found.offset == OFFSET
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.zarr", "out"]
    assert not [*out.rglob(".*"), *out.rglob("*.partial")]


@pytest.mark.parametrize(("kind", "options", "dataset"), SCALED)
@pytest.mark.parametrize("how", ["mean", "mode", "nearest"])
def test_levels(write, values, labels, convert, tmp_path, kind, options, dataset, how):
    """Each is made of the one before; voxel sizes and places are exact, also where a level begins before the volume does."""
    stored = labels if how == "mode" else values
    place = write("in.zarr", stored, LABELS if how == "mode" else DATASET)
    way = ["--reduce", how] if how == "nearest" else []
    convert(*place, tmp_path / "out", dataset, "--format", kind, "--levels", 5, *options, *way)
    names = list_datasets(tmp_path / "out")
    assert len(names) == 5
    first = (3, -1, 3) if kind == "precomputed" else (0, 0, 0)
    expected, size, offset = stored, VOXEL_SIZE, OFFSET
    for name, factors in zip(names, [(1, 1, 1), (1, 1, 2), (1, 1, 2), (1, 1, 2), (2, 2, 2)], strict=True):
        before = first
        expected, first = coarser(expected, first, factors, how)
        offset = [o - (b - f * n) * s for o, b, f, n, s in zip(offset, before, factors, first, size, strict=True)]
        size = [s * f for s, f in zip(size, factors, strict=True)]
        found = open_volume(tmp_path / "out", name)
        assert found.voxel_size == pytest.approx(size, rel=1e-15)
        assert found.offset == pytest.approx(offset, rel=1e-12, abs=1e-12)
        np.testing.assert_array_equal(found.read(), expected)
        assert found.dtype == stored.dtype


@pytest.mark.parametrize(("name", "dtype", "is_labels"), [
    ("stack.tif", np.uint64, True), ("stack.npy", np.uint32, True), ("labels.tif", np.uint16, True),
    ("out.precomputed", np.uint8, True), ("in.ome.zarr", np.uint16, True),
    ("stack.tif", np.uint16, False), ("raw.npy", np.uint32, False)])  # fmt: skip
def test_what_has_no_dataset_to_say_what_it_is(write, convert, tmp_path, capsys, name, dtype, is_labels):
    """Files, and precomputed volumes: ids are not averaged where the type, the file's name or its metadata say what they are."""
    values = np.where(np.arange(13) % 2, 8, 2).astype(dtype) * np.ones(SHAPE, dtype)
    source = (str(tmp_path / name), "-")
    if name.endswith("npy"):
        np.save(source[0], values)
    elif name.endswith("tif"):
        write(name, values)
    else:
        convert(*write("in.zarr", values, LABELS), *source)
    words = [] if name.endswith(("precomputed", "ome.zarr")) else ["--voxel-size", *VOXEL_SIZE]
    convert(*source, tmp_path / "out.ome.zarr", "-", "--levels", 2, *words)
    assert f"2 resolutions, {'labels by mode' if is_labels else 'raw by mean'}" in capsys.readouterr().out
    assert set(np.unique(open_volume(tmp_path / "out.ome.zarr", "s1").read())) == ({2} if is_labels else {2, 5})


def test_which_axes_are_halved():
    sizes = [level.voxel_size for level in plan_levels((100, 900, 900), (40, 4, 4), (0, 0, 0))]
    assert sizes == [(40, 4, 4), (40, 8, 8), (40, 16, 16), (40, 32, 32), (80, 64, 64)]
    shapes = [level.shape for level in plan_levels((1, 300, 300), (40, 4, 4), (0, 0, 0))]
    assert shapes == [(1, 300, 300), (1, 150, 150), (1, 75, 75), (1, 38, 38)]
    assert len(plan_levels((64, 64, 64), (1, 1, 1), (0, 0, 0))) == 1
    assert len(plan_levels((4, 1, 1), (1, 1, 1), (0, 0, 0), most=9)) == 3


@pytest.mark.parametrize("kind", ["zarr3", "ome-zarr", "precomputed"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "uint32", "float32", "int64", "float64", "float16",
                                   "bool"])
def test_the_dtype_stays_or_is_refused(write, convert, tmp_path, kind, dtype):
    values = (np.random.default_rng(0).normal(size=SHAPE) * 50).astype(dtype)
    source, dataset = write("in.zarr", values), "-"
    if kind == "precomputed" and dtype in ("int64", "float64", "float16", "bool"):
        with pytest.raises(UserError, match=r"which precomputed does not hold\. Name --dtype"):
            convert(*source, tmp_path / "out", dataset, "--format", kind)
        assert not (tmp_path / "out").exists()
        return
    convert(*source, tmp_path / "out", dataset, "--format", kind)
    found = open_volume(tmp_path / "out").read()
    np.testing.assert_array_equal(found, values)
    assert found.dtype == dtype


@pytest.mark.parametrize(("kind", "options", "dataset"), ALL)
def test_channels(write, values, convert, tmp_path, kind, options, dataset):
    affs = np.stack([values, values + 1000]).astype(np.uint16)
    convert(*write("in.h5", affs), tmp_path / "out", dataset, "--format", kind, *options)
    found = open_volume(tmp_path / "out", None if dataset == "-" else dataset)
    assert found.channels == 2
    np.testing.assert_array_equal(found.read(), affs)


def test_jpeg_loses_little(write, convert, tmp_path):
    values = np.add.outer(np.arange(20), np.add.outer(np.arange(30), 3 * np.arange(40))).astype(np.uint8)
    convert(*write("in.zarr", values), tmp_path / "out.precomputed", "-", "--encoding", "jpeg")
    found = open_volume(tmp_path / "out.precomputed").read()
    assert 0 < np.abs(found.astype(int) - values).max() < 12


def test_an_offset_between_voxels(write, values, convert, tmp_path):
    """Precomputed cannot say it; OME-Zarr can."""
    source = write("in.zarr", values, offset=(20, 0, 0))
    with pytest.raises(UserError, match=r"is no whole number of voxels .* Write OME-Zarr"):
        convert(*source, tmp_path / "out.precomputed", "-")
    convert(*source, tmp_path / "out.ome.zarr", "-")
    assert open_volume(tmp_path / "out.ome.zarr").offset == (20, 0, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.zarr", "out.ome.zarr"]


class Stop(Exception):
    pass


@pytest.mark.parametrize(("name", "kind", "dataset"), [
    ("out.zarr", "zarr", "a"), ("out.n5", "n5", "a"), ("out.zarr", "zarr3", "a"), ("out.zarr", "ome-zarr", None),
    ("out", "precomputed", None)])  # fmt: skip
def test_an_interrupted_run_goes_on(write, tmp_path, monkeypatch, name, kind, dataset):
    """Blocks that were done keep their files; of another source, or otherwise, it begins anew."""
    monkeypatch.setattr(writing, "BLOCK_BYTES", 1)
    monkeypatch.setattr(making, "BLOCK_BYTES", 1)
    values = np.random.default_rng(2).integers(0, 99, (70, 130, 65)).astype(np.uint16)  # 2 x 3 x 2 blocks
    view = View(open_volume(*write("in.h5", values)))
    options, out = Options(kind, levels=2 if kind in ("ome-zarr", "precomputed") else None), str(tmp_path / name)
    done = []

    def stop(after):
        def progress(voxels):
            done.append(voxels)
            if len(done) == after:
                raise Stop
        return progress

    def files():
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file() and "in.h5" not in path.name
                and path.suffix != ".json" and not set(path.parts) & {".making", ".blockwise"} and path.name[0] != "."
                and path.name not in ("info", "provenance")}  # fmt: skip

    with pytest.raises(Stop):
        write_view(view, out, dataset, progress=stop(5), options=options)
    before = {path.relative_to(tmp_path).name: when for path, when in files().items()}
    assert len(files()) >= 5 - (kind == "n5")
    monkeypatch.setattr(making, "block_function", spied := spy(making.block_function))
    skipped = []
    write_view(view, out, dataset, progress=stop(99), options=options, skipped=skipped.append)
    assert len(skipped) == 5  # done before, and not again
    assert spied.blocks[0] == len(done) - 5
    after = {path.relative_to(tmp_path).name: when for path, when in files().items()}
    assert before.keys() <= after.keys()
    found = open_volume(out, dataset)
    np.testing.assert_array_equal(found.read(), values)

    write("other.h5", values + 1)
    other = View(open_volume(tmp_path / "other.h5", DATASET))
    done.clear()
    with pytest.raises(Stop):
        write_view(other, out, dataset, True, stop(3), options)
    np.testing.assert_array_equal(open_volume(out, dataset).read(), values)
    write_view(view, out, dataset, True, options=options)  # the control: what was begun of the other one does not get in
    np.testing.assert_array_equal(open_volume(out, dataset).read(), values)
    assert not [*tmp_path.rglob("*.partial")]


@pytest.mark.parametrize("is_shown", [False, True])
def test_the_command_goes_on(write, convert, tmp_path, monkeypatch, capsys, is_shown):
    """Whether there is a terminal, on which a bar is shown, or not."""
    monkeypatch.setattr(writing, "BLOCK_BYTES", 1)
    values = np.random.default_rng(2).integers(0, 99, (3, 130, 65)).astype(np.uint16)
    source, out = write("in.h5", values), str(tmp_path / "out")

    def stop(voxels):
        raise Stop

    with pytest.raises(Stop):
        write_view(View(open_volume(*source)), out, None, progress=stop, options=Options("zarr3"))
    monkeypatch.setattr(making, "block_function", spied := spy(making.block_function))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_shown)
    convert(*source, out, "-", "--format", "zarr3")
    assert spied.blocks[0] == 6 - 1  # of 1 x 3 x 2
    np.testing.assert_array_equal(open_volume(out).read(), values)
    assert ("converting" in capsys.readouterr().err) == is_shown


def test_one_run_at_a_time(write, values, tmp_path):
    view, out = View(open_volume(*write("in.zarr", values))), str(tmp_path / "out")

    def again(voxels):
        with pytest.raises(UserError, match=r"out: another run is writing it\. Wait for it"):
            write_view(view, out, None, options=Options("precomputed"))

    write_view(view, out, None, progress=again, options=Options("precomputed"))
    np.testing.assert_array_equal(open_volume(out).read(), values)


def test_means_of_floats():
    """What is not a number stays one; infinities, too."""
    values = np.array([[[1, 2, np.nan, 4, np.inf, -np.inf, np.inf, 5]]], np.float32)
    found = reduce(values, (1, 1, 2), "mean")
    np.testing.assert_array_equal(found, np.array([[[1.5, np.nan, np.nan, np.inf]]], np.float32))
    assert found.dtype == np.float32
    largest = np.full((2, 2, 2), np.finfo(np.float32).max, np.float32)
    assert reduce(largest, (2, 2, 2), "mean") == largest[0, 0, 0]


def spy(function):
    """``function``, counting the blocks that are worked on."""
    def spied(*arguments):
        process = function(*arguments)

        def counted(block):
            spied.blocks[0] += 1
            process(block)
        return counted

    spied.blocks = [0]
    return spied


@pytest.mark.parametrize(("kind", "dataset"), [("zarr3", "raw"), ("ome-zarr", "-"), ("precomputed", "-")])
def test_made_alike_it_is_left_and_made_otherwise_it_stays(write, values, convert, tmp_path, capsys, kind, dataset):
    source, out = write("in.zarr", values, offset=(240, -200, 27.6)), tmp_path / "out"  # 6 voxels
    convert(*source, out, dataset, "--format", kind, "--downsample", 2)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    convert(*source, out, dataset, "--format", kind, "--downsample", 2)
    assert "is there already, made like this" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"downsample = 2, now it is 3\. .*--overwrite"):
        convert(*source, out, dataset, "--format", kind, "--downsample", 3)
    if kind != "zarr3":
        with pytest.raises(UserError, match=r"levels = 1, now it is 2\. .*--overwrite"):
            convert(*source, out, dataset, "--format", kind, "--downsample", 2, "--levels", 2)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    convert(*source, out, dataset, "--format", kind, "--downsample", 3, "--overwrite")
    np.testing.assert_array_equal(open_volume(out, None if dataset == "-" else dataset).read(), values[::3, ::3, ::3])


@pytest.mark.parametrize("kind", ["zarr3", "ome-zarr"])
def test_a_container_keeps_what_else_it_holds(write, values, convert, tmp_path, kind):
    source, out = write("in.zarr", values), tmp_path / "out.zarr"
    convert(*source, out, "volumes/a", "--format", "zarr3")
    convert(*source, out, "volumes/deep/b", "--format", kind)
    assert sorted(list_datasets(out)) == ["volumes/a", "volumes/deep/b" + ("/s0" if kind == "ome-zarr" else "")]
    for name, message in (("volumes", "is a group that holds others"), ("volumes/a/deeper", "is a dataset"),
                          ("volumes/deep/b/c", "is a dataset"), ("-", "does not say that this software wrote it")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            convert(*source, out, name, "--format", kind, "--overwrite")
    np.testing.assert_array_equal(open_volume(out, "volumes/a").read(), values)


def test_a_directory_of_others_is_not_replaced(write, values, convert, tmp_path):
    source = write("in.zarr", values)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "info").write_text(json.dumps({"scales": [{}]}))
    for kind in ("precomputed", "ome-zarr"):
        with pytest.raises(UserError, match=r"does not say (what made|that this)|is precomputed, not"):
            convert(*source, theirs, "-", "--format", kind, "--overwrite")
    assert [path.name for path in theirs.iterdir()] == ["info"]
    with pytest.raises(UserError, match="is zarr, not zarr3"):
        convert(*source, source[0], "more", "--format", "zarr3")


@pytest.mark.parametrize(("arguments", "message"), [
    (("o.zarr", "o", "--levels", 2), "--levels is for ome-zarr and precomputed, and this is zarr"),
    (("o.h5", "o", "--shard"), "--shard is for zarr3 and ome-zarr, and this is hdf5"),
    (("o.ome.zarr", "-", "--encoding", "raw"), "--encoding is for precomputed, and this is ome-zarr"),
    (("o.precomputed", "o"), "a precomputed volume has no datasets. Write - in place of 'o'"),
    (("o.precomputed", "-", "--encoding", "jpeg"), "jpeg holds uint8 of 1 or 3. Name the encoding raw"),
    (("o.precomputed", "-", "--encoding", "compressed_segmentation"), "holds uint32 and uint64. Name --dtype uint64"),
    (("o.nrrd", "-"), "of no format that is written"),
    (("o.zarr", "-", "--format", "hdf5"), "no name of a file of format hdf5. Name a .h5 or .hdf"),
    (("s3://bucket/o", "-", "--format", "precomputed"), "of no format that is written"),
    (("file.zarr", "-", "--format", "zarr3"), "is there, and is a file"),
    (("o.zarr", "../o", "--format", "zarr3"), "'../o' is no dataset's name"),
])  # fmt: skip
def test_mistakes_leave_nothing(write, values, convert, tmp_path, monkeypatch, arguments, message):
    source = write("in.zarr", values)
    (tmp_path / "file.zarr").write_text("no volume")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as error:
        convert(*source, *arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_every_chunk_is_stored(write, convert, tmp_path):
    """Zeros, too, which cloud-volume takes for a loss where their file is not there; shards hold many chunks."""
    source = write("in.h5", np.zeros((65, 129, 20), np.uint64))
    for kind, options, count in (("precomputed", [], 6), ("zarr3", [], 6), ("zarr3", ["--shard"], 1)):
        out = tmp_path / f"{kind}{len(options)}"
        convert(*source, out, "-", "--format", kind, *options, *(["--levels", 1] if kind == "precomputed" else []))
        chunks = [path for path in out.rglob("*") if path.is_file() and path.name not in ("zarr.json", "info", "provenance")]
        assert len(chunks) == count


@pytest.mark.parametrize("dataset", ["volumes/labels/neuron_ids", "volumes/labels_mask", "segmentation"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_short_ids_are_not_averaged(write, convert, tmp_path, dtype, dataset):
    """Neither by --resample, which the type alone would let pass, nor in coarser levels; unless it is said to be raw."""
    values = np.where(np.arange(13) % 2, 8, 2).astype(dtype) * np.ones(SHAPE, dtype)  # 5 would be a third object
    source, size = write("in.zarr", values, dataset), [*VOXEL_SIZE[:2], 2 * VOXEL_SIZE[2]]
    for words, message in ((("out.zarr", "out", "--resample", *size), "labels or a mask, by its name, of which there is no mean"),
                           (("out.precomputed", "-", "--reduce", "mean"), "a mean of ids would be another id"),
                           (("out.precomputed", "-", "--encoding", "jpeg"), "jpeg gives back other values than were written")):
        with pytest.raises(UserError, match=message):
            convert(*source, tmp_path / words[0], *words[1:])
        assert not (tmp_path / words[0]).exists()
    convert(*source, tmp_path / "out.zarr", "nearest", "--resample", *size, "--nearest")
    assert set(np.unique(open_volume(tmp_path / "out.zarr", "nearest").read())) <= {2, 8}
    convert(*source, tmp_path / "out.zarr", "raw", "--resample", *size, "--kind", "raw")
    assert (open_volume(tmp_path / "out.zarr", "raw").read() == 5).all()
    convert(*source, tmp_path / "out.precomputed", "-", "--reduce", "mean", "--levels", 2, "--kind", "raw")
    assert (open_volume(tmp_path / "out.precomputed").read() == values).all()
    with pytest.raises(UserError, match="--kind is for ome-zarr and precomputed, and this is zarr"):
        convert(*source, tmp_path / "out.zarr", "as", "--kind", "raw")
