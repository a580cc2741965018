"""Images at any scale, patches of them through matrices: what is read is what is there, and where it is."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.data import turning
from lsd_experiments.families.cellmap.data.images import Cache, Image
from lsd_experiments.families.cellmap.data.warping import on_grid, read_patch
from lsd_experiments.families.cellmap.synthetic import put_image
from lsd_experiments.geometry import Box
from tests.cellmap import tissue


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("images")
    tissue.write(path)
    return path


def image(root, group=tissue.RAW, scale=tissue.VOXEL, kind="raw", place=None, cache=None):
    return Image(f"{root}/data/ds_a/ds_a.zarr", group, scale, kind, place, cache or Cache())


def crop(root, label="mito"):
    return image(root, f"{tissue.LABELS}/crop1/{label}", kind="labels")


def centre_of(found, begin, shape):
    return [o + (b + n / 2) * s for o, b, n, s in zip(found.offset, begin, shape, found.scale, strict=True)]


def test_boxes_of_an_image(root):
    found = image(root, cache=Cache(32**3))  # less than the image
    assert found.offset == tissue.BEGIN
    for box in (Box((0, 0, 0), (24, 40, 44)), Box((20, 30, 31), (24, 40, 33)), Box((-2, 35, -3), (3, 45, 4))):
        for _ in range(2):
            values = found.read(box, fill=9)
            padded = np.pad(tissue.raw(), 6, constant_values=9)
            assert np.array_equal(values, padded[box.shift((6, 6, 6)).slices])
            assert found.cache.size <= found.cache.limit


def test_what_was_read_is_kept(root, monkeypatch):
    found = image(root)
    found.read(found.box)
    monkeypatch.setattr(type(found.volume), "read", lambda *_: pytest.fail("read again"))
    assert np.array_equal(found.read(Box((1, 2, 3), (9, 39, 40))), tissue.raw()[1:9, 2:39, 3:40])
    found.cache.clear()
    with pytest.raises(pytest.fail.Exception, match="read again"):
        found.read(found.box)


def test_the_scale_level_that_fits_best(root):
    """Two levels are stored, of (16, 8, 8) and (32, 16, 16) nm, which share a corner."""
    coarse = image(root, scale=(32, 16, 16))
    assert coarse.level().name.endswith("s1")
    assert (coarse.shape, coarse.offset) == ((12, 20, 22), tissue.BEGIN)
    assert coarse.read(Box((0, 0, 0), (1, 1, 1)))[0, 0, 0] == tissue.raw()[:2, :2, :2].astype(int).sum() // 8
    assert crop(root).level((30, 15, 15)).name.endswith("s1")
    assert crop(root).level((17, 9, 8)).name.endswith("s0")


def test_other_scales_are_resampled(root):
    ramp = image(root, scale=(16, 8, 6))  # along x, 4 new voxels in 3 old ones
    values = ramp.read(Box((0, 0, 4), (1, 1, 12)))[0, 0]
    expected = 5 * ((np.arange(4, 12) + 0.5) * 6 / 8 - 0.5)
    assert np.abs(values - expected).max() <= 0.51
    labels = image(root, f"{tissue.LABELS}/crop1/mito", (16, 8, 6), "labels")
    own = crop(root)
    row = own.read(own.box)[0, 0]
    found = labels.read(labels.box)[0, 0]
    assert np.array_equal(found, row[((np.arange(len(found)) + 0.5) * 6 / 8).astype(int)])


def test_n5(tmp_path, root):
    from lsd_experiments.arrays.creating import write_metadata
    from lsd_experiments.arrays.n5 import store

    (tmp_path / "a.n5/em").mkdir(parents=True)
    (tmp_path / "a.n5/attributes.json").write_text('{"n5": "2.0.0"}')
    write_metadata(store(tmp_path / "a.n5/em/s0"), tissue.SHAPE, (16, 16, 16), "uint8",
                   {"resolution": [8, 8, 16], "offset": list(tissue.BEGIN[::-1])})
    import zarr

    zarr.Array(store(tmp_path / "a.n5/em/s0"), read_only=False)[:] = tissue.raw()
    found = Image(str(tmp_path / "a.n5"), "em", tissue.VOXEL, "raw")
    assert found.offset == tissue.BEGIN
    assert np.array_equal(found.read(found.box), tissue.raw())


def test_no_image(root):
    with pytest.raises(UserError, match=r"there is no image.*make-datasplit"):
        _ = image(root, "recon-1/em/none").volume
    with pytest.raises(UserError, match="no such file"):
        _ = Image(f"{root}/none.zarr", "a", tissue.VOXEL, "raw").volume


def labels_around(begin, shape):
    """crop1's mito at ``begin`` (of the crop) with NaN where it ends."""
    first, last = tissue.CROPS[1]
    whole = np.full(np.add(tissue.SHAPE, 40), np.nan, np.float32)
    inside = tuple(slice(b, e) for b, e in zip(first, last, strict=True))
    whole[20:-20, 20:-20, 20:-20][inside] = tissue.ids("mito")[inside]
    box = Box.of_shape(shape, np.add(begin, first)).shift((20, 20, 20))
    return whole[box.slices]


@pytest.mark.parametrize(("matrix", "expected"), [
    (np.eye(3), lambda v: v), (np.diag([1.0, 1, -1]), lambda v: v[:, :, ::-1]), (np.diag([-1.0, 1, 1]), lambda v: v[::-1]),
    (np.eye(3)[[0, 2, 1]], lambda v: v.swapaxes(1, 2)), (turning.about("z", 90), lambda v: np.rot90(v, -1, (1, 2))),
    (turning.about("z", 180), lambda v: v[:, ::-1, ::-1]), (turning.about("x", 180), lambda v: v[::-1, ::-1]),
    (turning.about("y", -180), lambda v: v[::-1, :, ::-1]),
])
def test_mirrors_transpositions_and_quarter_turns_are_exact(root, matrix, expected):
    shape, begin = (7, 12, 12), (-3, -2, 14)  # partly outside
    for found, values in ((crop(root), labels_around(begin, shape)),
                          (image(root, place=crop(root).offset), None)):
        centre = centre_of(crop(root), begin, shape)
        if values is None:
            first = np.add(begin, tissue.CROPS[1][0])
            values = tissue.raw()[Box.of_shape(shape, first).slices]
        patch = read_patch(found, centre, shape, matrix)
        assert np.array_equal(patch, expected(values), equal_nan=patch.dtype.kind == "f")


def test_transposed_axes_of_other_voxels_keep_their_nanometres(root):
    """z and y change places: along z, of 16 nm, every second voxel of y; along y, of 8 nm, between those of z."""
    found, shape = image(root), (4, 8, 6)
    centre = centre_of(found, (8, 16, 20), shape)
    patch = read_patch(found, centre, shape, np.eye(3)[[1, 0, 2]]).astype(float)
    z = (np.arange(8) + 0.5 - 4) / 2 + 8 + 2 - 0.5  # where steps along y lead along z
    y = (np.arange(4) + 0.5 - 2) * 2 + 16 + 4 - 0.5
    assert np.ptp(z) == 3.5
    assert np.ptp(y) == 6
    places = np.broadcast_arrays(z[None, :, None], y[:, None, None], np.arange(20.0, 26))
    assert np.abs(patch - map_coordinates(tissue.raw().astype(float), places, order=1)).max() < 0.51


@pytest.mark.parametrize("shape", [(8, 12, 10), (1, 13, 11), (9, 1, 12)])
@pytest.mark.parametrize("matrix", [turning.about("x", 33), turning.about("z", -71) @ turning.about("y", 12)])
def test_any_rotation_is_one_of_the_tissue(root, shape, matrix):
    """Beside scipy, in nm."""
    own = crop(root)
    centre = centre_of(own, (6, 5, -5), shape)
    along = ((np.arange(n) + 0.5 - n / 2) * s for n, s in zip(shape, tissue.VOXEL, strict=True))
    out = np.stack(np.meshgrid(*along, indexing="ij"))
    world = np.einsum("ab,b...->a...", matrix, out) + np.reshape(centre, (3, 1, 1, 1))
    for found, order in ((image(root, place=own.offset), 1), (own, 0)):
        places = (world - np.reshape(found.offset, (3, 1, 1, 1))) / np.reshape(found.scale, (3, 1, 1, 1)) - 0.5
        values = found.read(found.box).astype(np.float32)
        patch = read_patch(found, centre, shape, matrix)
        if order:
            expected = map_coordinates(values, places, order=1, mode="constant")
            assert np.abs(patch - expected).max() < 0.51
        else:
            inside = np.all([(p >= -0.5) & (p < n - 0.5) for p, n in zip(places, values.shape, strict=True)], axis=0)
            expected = map_coordinates(values, places, order=0, mode="nearest")
            assert (np.isnan(patch) == ~inside).all()
            assert (patch[inside] == expected[inside]).mean() > 0.999  # but for ties
            assert not inside.all()
            assert inside.mean() > 0.2


@pytest.mark.parametrize("order", [[0, 2, 1], [1, 0, 2], [2, 1, 0]])
@pytest.mark.parametrize("shape", [(1, 12, 11), (7, 8, 12)])
def test_raw_and_labels_stay_together(tmp_path, shape, order):
    """Odd and even sides: what would be read between voxels is moved to them, in raw and labels alike."""
    labels = tissue.ids("mito")
    for name, values in (("raw", np.where(labels > 0, 200, 50).astype(np.uint8)), ("labels", labels)):
        put_image(tmp_path / "a.zarr", name, values, (8.0, 8.0, 8.0), (24.0, 8.0, 16.0))
    raw, own = (Image(f"{tmp_path}/a.zarr", name, (8.0, 8.0, 8.0), name) for name in ("raw", "labels"))
    centre, matrix = centre_of(own, (8, 14, 16), shape), np.eye(3)[order]
    moved = on_grid(own, centre, shape, matrix)
    assert (np.abs(np.subtract(moved, centre)) <= 4).all()
    patch = read_patch(own, moved, shape, matrix)
    assert 0 < (patch > 0).mean() < 1
    assert np.array_equal(read_patch(raw, moved, shape, matrix), np.where(patch > 0, 200, 50))
    between = read_patch(raw, np.add(moved, 4), shape, matrix)
    assert {*np.unique(between)} - {50, 200}  # interpolated


def test_draws_of_each_transform():
    random = np.random.default_rng(0)
    drawn = {name: [turning.draw({name: {"axes": axes}}, random) for _ in range(40)]
             for name, axes in (("mirror", {"x": 0.5}), ("transpose", ["y", "x"]), ("rotate", {"z": [-180, 180]}))}
    assert {tuple(np.diag(m)) for m in drawn["mirror"]} == {(1, 1, 1), (1, 1, -1)}
    assert {tuple(m.argmax(1)) for m in drawn["transpose"]} == {(0, 1, 2), (0, 2, 1)}
    for matrix in drawn["rotate"]:
        assert np.allclose(matrix @ matrix.T, np.eye(3))
        assert matrix[0].tolist() == [1, 0, 0]
    assert len({m[1, 1] for m in drawn["rotate"]}) == 40
    assert np.array_equal(turning.draw({}, random), np.eye(3))
