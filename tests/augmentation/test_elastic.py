"""Our elastic augmentation against gunpowder's, on the same random numbers."""

import warnings

import numpy as np
import pytest

gp = pytest.importorskip("gunpowder")

from lsd_experiments.augmentation.elastic import ElasticAugment  # noqa: E402
from lsd_experiments.augmentation.warp import warp  # noqa: E402
from lsd_experiments.geometry import Box  # noqa: E402

RAW, LABELS = gp.ArrayKey("RAW_E"), gp.ArrayKey("LABELS_E")
UNIT = gp.Coordinate(20, 9, 9)


class Checkered(gp.BatchProvider):
    """A smooth image and blocky labels, defined everywhere."""

    def setup(self):
        for key, interpolatable in ((RAW, True), (LABELS, False)):
            roi = gp.Roi((-2000,) * 3, (180 * 200, 180 * 200, 180 * 200))
            self.provides(key, gp.ArraySpec(roi=roi, voxel_size=UNIT, interpolatable=interpolatable))

    def provide(self, request):
        batch = gp.Batch()
        for key, asked in request.array_specs.items():
            spec = self.spec[key].copy()
            spec.roi = asked.roi
            z, y, x = np.meshgrid(
                *(np.arange(b, e) for b, e in zip(asked.roi.begin / UNIT, asked.roi.end / UNIT, strict=True)),
                indexing="ij",
            )
            smooth = (np.sin(z / 3) + np.sin(y / 7) + np.cos(x / 11)).astype(np.float32)
            values = smooth if key == RAW else ((z // 5) * 10007 + (y // 9) * 101 + x // 8 + 10**6).astype(np.uint64)
            batch[key] = gp.Array(values, spec)
        return batch


ELASTIC = {
    "zebrafinch": {"control_point_spacing": (4, 4, 10), "jitter_sigma": (0, 2, 2), "prob_slip": 0.05, "prob_shift": 0.05,
                   "max_misalign": 10},
    "rotation": {"control_point_spacing": (40, 40, 40), "jitter_sigma": (0, 0, 0)},
    "jitter": {"control_point_spacing": (40, 40, 40), "jitter_sigma": (2, 2, 2), "prob_slip": 0.01, "prob_shift": 0.01,
               "max_misalign": 1},
}  # fmt: skip


def theirs(**elastic):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gp.ElasticAugment(**{"rotation_interval": (0, np.pi / 2), "subsample": 8, **elastic})


def augmented(node, seed):
    request = gp.BatchRequest(random_seed=seed)
    request.add(RAW, gp.Coordinate(30, 60, 68) * UNIT)
    request.add(LABELS, gp.Coordinate(12, 30, 24) * UNIT)
    with gp.build(Checkered() + node) as pipeline:
        batch = pipeline.request_batch(request)
    return batch[RAW].data, batch[LABELS].data


@pytest.mark.parametrize("elastic", ELASTIC.values(), ids=ELASTIC)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equals_gunpowder(elastic, seed):
    raw, labels = augmented(ElasticAugment(**elastic), seed)
    their_raw, their_labels = augmented(theirs(**elastic), seed)
    assert raw.shape == their_raw.shape
    np.testing.assert_allclose(raw, their_raw, atol=2e-3)
    assert np.mean(labels != their_labels) < 2e-3  # ties of rounding


def test_another_seed_gives_another_sample():
    first, _ = augmented(ElasticAugment(**ELASTIC["zebrafinch"]), 1)
    second, _ = augmented(ElasticAugment(**ELASTIC["zebrafinch"]), 2)
    assert np.abs(first - second).max() > 0.1


def test_sections_are_misaligned_only_when_asked():
    still = ElasticAugment((4, 4, 10), (0, 0, 0), rotation_interval=(0, 0))
    slipping = ElasticAugment((4, 4, 10), (0, 0, 0), rotation_interval=(0, 0), prob_slip=0.5, max_misalign=10)
    raw, _ = augmented(still, 5)
    moved, _ = augmented(slipping, 5)
    changed = np.abs(raw - moved).max(axis=(1, 2)) > 1e-3
    assert changed.any()
    assert not changed.all()


def test_identity_gives_the_source_and_zero_outside():
    shape = (4, 5, 6)
    source = np.arange(120, dtype=np.float32).reshape(shape)
    coarse = np.array(np.meshgrid([0, 3], [0, 4], [0, 5], indexing="ij"), np.float32)
    shifts = np.zeros((4, 2), np.float32)
    for interpolate in (True, False):
        np.testing.assert_allclose(
            warp(source, (0, 0, 0), coarse, shifts, shape, Box.of_shape(shape), interpolate), source, atol=1e-4
        )
    shifts[2] = (0, 3)  # section 2 comes from three voxels further right
    moved = warp(source, (0, 0, 0), coarse, shifts, shape, Box.of_shape(shape), False)
    np.testing.assert_array_equal(moved[2, :, :3], source[2, :, 3:])
    assert not moved[2, :, 3:].any()
    np.testing.assert_array_equal(moved[1], source[1])


@pytest.mark.parametrize("cut", [0, 4])
def test_each_voxel_is_that_of_its_place(cut):
    """Also at the source's edges, where it has no neighbours, and beyond: ``cut`` voxels of it are missing on each side."""
    from scipy.ndimage import map_coordinates, zoom

    shape = (12, 30, 33)
    rng = np.random.default_rng(0)
    grid = np.meshgrid(*(np.linspace(0, size - 1, nodes) for size, nodes in zip(shape, (3, 6, 9), strict=True)), indexing="ij")
    coarse = (np.array(grid) + rng.uniform(-2, 2, (3, 3, 6, 9))).astype(np.float32)
    begin, end = (-3 + cut,) * 3, tuple(size + 3 - cut for size in shape)
    source = rng.random([e - b for b, e in zip(begin, end, strict=True)], np.float32)
    ours = [
        warp(values, begin, coarse, np.zeros((12, 2), np.float32), shape, Box.of_shape(shape), interpolate)
        for values, interpolate in ((source, True), ((source * 255).astype(np.uint8), False))
    ]
    places = np.array([zoom(axis, np.divide(shape, axis.shape), order=1) for axis in coarse]) - np.reshape(begin, (3, 1, 1, 1))
    last = np.reshape(source.shape, (3, 1, 1, 1)) - 1.0
    inside = ((places >= 0) & (places <= last)).all(0)
    assert inside.all() == (cut == 0)
    linear = np.where(inside, map_coordinates(source, places, order=1), 0)
    clear = (np.minimum(abs(places), abs(places - last)) > 1e-2).all(0)  # of the edge, which rounding may lead over
    assert clear.mean() > 0.9
    np.testing.assert_allclose(ours[0][clear], linear[clear], atol=1e-4)
    near = np.floor(places + 0.5).astype(int)
    inside = ((near >= 0) & (near <= last)).all(0)
    nearest = (source * 255).astype(np.uint8)[tuple(np.clip(near, 0, last.astype(int)))]
    assert np.mean(ours[1] == np.where(inside, nearest, 0)) > 0.999, "all but for rounding"
