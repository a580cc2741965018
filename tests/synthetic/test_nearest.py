"""The search for the nearest neurite against looking at all balls."""

import numpy as np

from lsd_experiments.synthetic.kernels import nearest_neurites, stamp_balls

VOXEL = np.array([20.0, 9.0, 9.0])
SHAPE = (19, 37, 41)


def balls(rng, n=60):
    extent = VOXEL * SHAPE
    owners = np.sort(rng.integers(0, 9, n)).astype(np.int32)
    return rng.uniform(-0.2, 1.2, (n, 3)) * extent, rng.uniform(40, 150, n), owners


def places(warp):
    return np.moveaxis(np.indices(SHAPE).astype(float), 0, -1) * VOXEL + np.moveaxis(warp, 0, -1)


def test_as_all_balls():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        points, radii, owners = balls(rng)
        warp = rng.uniform(-30, 30, (3, *SHAPE)).astype(np.float32)
        ball, surface, gap = np.empty(SHAPE, np.int32), np.empty(SHAPE, np.float32), np.empty(SHAPE, np.float32)
        nearest_neurites(points, radii, owners, warp, VOXEL, 30.0, ball, surface, gap)
        distance = np.linalg.norm(places(warp)[..., None, :] - points, axis=-1) - radii
        per_owner = np.stack([distance[..., owners == o].min(-1) if (owners == o).any() else np.full(SHAPE, np.inf)
                              for o in range(9)], -1)
        assert (owners[ball] == per_owner.argmin(-1)).all()
        assert (ball == distance.argmin(-1)).all()
        np.testing.assert_allclose(surface, distance.min(-1), atol=1e-2)
        first, second = np.moveaxis(np.sort(per_owner, -1)[..., :2], -1, 0)
        np.testing.assert_allclose(gap, second - first, atol=1e-2)


def test_stamped_inside_the_owner_only():
    rng = np.random.default_rng(0)
    points, radii, owners = balls(rng, 5)
    warp = rng.uniform(-30, 30, (3, *SHAPE)).astype(np.float32)
    label = rng.integers(0, 9, SHAPE).astype(np.int32)
    field = np.full(SHAPE, 1e3, np.float32)
    stamp_balls(points, radii, owners, warp, VOXEL, label, field)
    distance = np.linalg.norm(places(warp)[..., None, :] - points, axis=-1) - radii
    expected = np.where(label[..., None] == owners, distance, np.inf).min(-1)
    near = expected < 40
    assert near.any()
    np.testing.assert_allclose(field[near], expected[near], atol=1e-2)
    assert (field[~near] >= 40).all()
