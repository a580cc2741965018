"""Watershed fragments, against mahotas and scipy (which the published code used) and on inputs drawn by hand."""

import mahotas
import numpy as np
import pytest
from scipy import ndimage

from lsd_experiments.fragments import boundary_distance, watershed_fragments
from lsd_experiments.fragments.kernels import flood
from lsd_experiments.fragments.row_kernels import box_maximum
from lsd_experiments.fragments.watershed import mean_affinity


def noise(shape, seed=0, channels=3, sigma=1.5):
    """Smooth random affinities, uint8."""
    random = np.random.default_rng(seed)
    affs = ndimage.gaussian_filter(random.standard_normal((channels, *shape)), (0, sigma, sigma, sigma))
    return np.clip(affs / affs.std() * 60 + 140, 0, 255).astype(np.uint8)


def published_3d(affs):
    """The published rule, step by step, for affinities of three channels."""
    foreground = affs.mean(axis=0) > 127.5
    distance = ndimage.distance_transform_edt(foreground)
    seeds, count = ndimage.label(ndimage.maximum_filter(distance, 10) == distance)
    return mahotas.cwatershed(distance.max() - distance, seeds), count


def draw(*rows):
    """Affinities [3, 1, y, x] float of one section: 1 where there is an ``o``, else 0."""
    section = np.array([[c == "o" for c in row] for row in rows], np.float32)
    return np.stack([section[None]] * 3)


@pytest.mark.parametrize("seed", range(3))
def test_parity_is_the_published_rule_in_3d(seed):
    affs = noise((20, 24, 22), seed)
    expected, count = published_3d(affs)
    assert count > 5
    np.testing.assert_array_equal(watershed_fragments(affs, fragments_in_xy=False, parity=True), expected)


def test_floats_give_what_uint8_gives():
    affs = noise((8, 20, 20))
    np.testing.assert_array_equal(watershed_fragments(affs, False), watershed_fragments(affs.astype(np.float32) / 255, False))


def test_sections_are_independent_in_2d():
    affs = noise((5, 30, 30))
    together = watershed_fragments(affs, fragments_in_xy=True)
    for z in range(5):
        alone = watershed_fragments(affs[:, z:z + 1], fragments_in_xy=True)[0]
        section = together[z]
        assert len(set(np.unique(section)) & set(np.unique(together[:z]))) == 0
        pairs = {(a, b) for a, b in zip(alone.ravel(), section.ravel(), strict=True)}
        assert len(pairs) == len(np.unique(alone)) == len(np.unique(section))
    assert len(np.unique(watershed_fragments(affs, fragments_in_xy=False))) < len(np.unique(together))


def test_2d_sees_the_y_and_x_affinities_only():
    affs = noise((4, 30, 30))
    other_z = affs.copy()
    other_z[0] = 255 - other_z[0]
    np.testing.assert_array_equal(watershed_fragments(affs, True), watershed_fragments(other_z, True))
    other_y = affs.copy()
    other_y[1] = 255 - other_y[1]
    assert (watershed_fragments(affs, True) != watershed_fragments(other_y, True)).any()


def test_two_rooms_are_two_fragments_that_fill_the_wall():
    affs = draw("ooooooo.ooooooo",
                "ooooooo.ooooooo",
                "ooooooo.ooooooo",
                "ooooooo.ooooooo",
                "ooooooo.ooooooo")
    fragments = watershed_fragments(affs, fragments_in_xy=True, min_seed_distance=5)[0]
    assert len(np.unique(fragments[:, :7])) == 1
    assert len(np.unique(fragments[:, 8:])) == 1
    assert fragments[0, 0] != fragments[0, -1]
    assert (fragments > 0).all()


def test_nearer_maxima_than_the_seed_distance_are_one_seed():
    affs = draw("ooooooooo.ooooo",
                "ooooooooooooooo",
                "ooooooooo.ooooo")
    assert watershed_fragments(affs, True, min_seed_distance=30).max() == 1
    assert watershed_fragments(affs, True, min_seed_distance=3).max() == 2


def test_background_far_from_foreground_is_no_fragment():
    affs = draw(*["oooooo" + "." * 30] * 4)
    fragments = watershed_fragments(affs, True)[0]
    assert (fragments[:, :6] == 1).all()
    assert (fragments[:, 20:] == 0).all()
    published = watershed_fragments(affs, True, parity=True)[0]  # there the empty space is a fragment, too
    assert published[0, 30] not in (0, published[0, 0])


def test_no_foreground_gives_no_fragment():
    empty = np.zeros((3, 4, 12, 12), np.uint8)
    assert not watershed_fragments(empty, False).any()
    assert (watershed_fragments(empty, False, parity=True) == 1).all()


@pytest.mark.parametrize("fragments_in_xy", [False, True])
def test_no_background_gives_one_fragment(fragments_in_xy):
    affs = np.full((3, 3, 15, 15), 255, np.uint8)
    fragments = watershed_fragments(affs, fragments_in_xy)
    assert len(np.unique(fragments)) == (3 if fragments_in_xy else 1)
    assert (fragments > 0).all()


def test_long_range_channels_do_not_count():
    """The published rule averages all twelve: long range affinities, lower near every boundary, make boundaries thicker."""
    affs = np.concatenate([noise((6, 30, 30)), np.zeros((9, 6, 30, 30), np.uint8)])
    np.testing.assert_array_equal(watershed_fragments(affs, False), watershed_fragments(affs[:3], False))
    assert (mean_affinity(affs, False) > 127.5).any()
    assert not (mean_affinity(affs, False, parity=True) > 127.5).any()  # no foreground: no neurite found
    assert (watershed_fragments(affs, False, parity=True) == 1).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 30), (9, 1, 1), (5, 40, 3), (17, 18, 19)])
@pytest.mark.parametrize("share", [0.3, 0.95, 0.999])
def test_distance_is_that_of_scipy(shape, share):
    foreground = np.random.default_rng(0).random(shape) < share
    foreground[0, 0, 0] = False
    np.testing.assert_array_equal(boundary_distance(foreground), np.rint(ndimage.distance_transform_edt(foreground) ** 2))


def test_distance_without_background_is_one_value():
    assert len(np.unique(boundary_distance(np.ones((2, 9, 5), bool)))) == 1


def test_distance_of_voxels_in_another_order_in_memory():
    foreground = noise((12, 20, 20))[0] > 120
    np.testing.assert_array_equal(boundary_distance(foreground.T), boundary_distance(foreground).T)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 40), (13, 5, 9)])
@pytest.mark.parametrize("size", [1, 2, 5, 10, 60])
def test_box_maximum_is_that_of_scipy(shape, size):
    values = np.random.default_rng(0).integers(0, 1000, shape).astype(np.int32)
    np.testing.assert_array_equal(box_maximum(values, size), ndimage.maximum_filter(values, size))


@pytest.mark.parametrize("shape", [(1, 1, 9), (1, 15, 16), (9, 10, 11)])
def test_flood_is_the_watershed_of_mahotas(shape):
    random = np.random.default_rng(0)
    level = random.integers(1, 6, shape).astype(np.int32)  # many voxels of each level: ties
    seeds = np.where(random.random(shape) < 0.1, random.integers(1, 50, shape), 0).astype(np.int32)
    found = np.empty(shape, np.uint64)
    flood(level, seeds, 0, found)
    np.testing.assert_array_equal(found, mahotas.cwatershed(5 - level, seeds))
    assert len(np.unique(found)) > 1 or shape[1] == 1
    flood(np.where(level > 2, level, 0).astype(np.int32), seeds, 100, found)
    assert not found[level <= 2].any()
    assert not (found[level > 2] == 100).any()


def test_too_few_channels_are_refused():
    with pytest.raises(AssertionError, match="2 channels"):
        watershed_fragments(np.zeros((2, 3, 3, 3), np.uint8), False)


def test_what_is_foreground_may_be_said():
    affs = np.full((3, 1, 9, 20), 0.9, np.float32)
    affs[:, :, :, 10] = 0.6  # a boundary of a network that is not sure
    whole = watershed_fragments(affs, True, min_seed_distance=3)
    assert whole[0, 4, 5] == whole[0, 4, 15]
    parts = watershed_fragments(affs, True, min_seed_distance=3, foreground_threshold=0.7)
    assert parts[0, 4, 5] != parts[0, 4, 15]
    in_bytes = (affs * 255).astype(np.uint8)
    np.testing.assert_array_equal(watershed_fragments(in_bytes, True, min_seed_distance=3, foreground_threshold=0.7), parts)
