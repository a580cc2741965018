import numpy as np
import pytest
from scipy import ndimage

from lsd_experiments.fragments import extract_fragments
from lsd_experiments.fragments.blockwise import find_centers, number_fragments
from lsd_experiments.fragments.extraction import remove_fragments


def rooms(width=9, depth=1, wall=0.0, **inside):
    """Affinities [3, z, 9, 4 * width] of four rooms in a row, which have the affinities 1 or those of ``inside`` (z, y, x)."""
    affs = np.ones((3, depth, 9, 4 * width), np.float32)
    for channel, name in enumerate("zyx"):
        for room, value in enumerate(inside.get(name, (1, 1, 1, 1))):
            affs[channel, ..., room * width:(room + 1) * width] = value
    affs[..., width - 1::width] = wall
    affs[..., width::width] = wall  # the affinity of the first voxel to the wall's
    return affs


def rooms_of(fragments, width=9):
    """The fragment in the middle of each room."""
    return fragments[0, 4, width // 2::width]


def test_mask_is_boundary_and_no_fragment():
    affs = rooms()
    mask = np.ones(affs.shape[1:], np.uint8)
    mask[..., 9:18] = 0
    fragments = extract_fragments(affs, True, mask=mask, min_seed_distance=5)
    assert not fragments[..., 9:18].any()
    assert len(set(rooms_of(fragments))) == 4
    assert extract_fragments(affs, True, min_seed_distance=5)[..., 9:18].any()


def test_filter_removes_fragments_of_low_mean_affinity():
    affs = rooms(y=(1, 0.6, 1, 1), x=(1, 0.6, 1, 1))
    kept = rooms_of(extract_fragments(affs, True, filter_fragments=0.7, min_seed_distance=5)) > 0
    np.testing.assert_array_equal(kept, [True, False, True, True])
    assert (rooms_of(extract_fragments(affs, True, filter_fragments=0.4, min_seed_distance=5)) > 0).all()


def test_filter_in_2d_takes_y_and_x_affinities():
    """The published filter takes z and y: it removes a neurite that ends here in z, and keeps one of low x affinity."""
    affs = rooms(z=(1, 0, 1, 1), x=(1, 1, 0.4, 1), y=(1, 1, 0.9, 1))
    kept = rooms_of(extract_fragments(affs, True, filter_fragments=0.65, min_seed_distance=5)) > 0
    np.testing.assert_array_equal(kept, [True, True, False, True])
    published = rooms_of(extract_fragments(affs, True, filter_fragments=0.65, min_seed_distance=5, parity=True)) > 0
    np.testing.assert_array_equal(published, [True, False, True, True])


def test_filter_in_uint8_means_the_same():
    affs = rooms(y=(1, 0.6, 1, 1), x=(1, 0.6, 1, 1))
    as_bytes = (affs * 255).astype(np.uint8)
    np.testing.assert_array_equal(extract_fragments(as_bytes, True, filter_fragments=0.7, min_seed_distance=5),
                                  extract_fragments(affs, True, filter_fragments=0.7, min_seed_distance=5))


def test_epsilon_agglomeration_unites_over_weak_walls_only():
    affs = rooms(wall=0.45)
    affs[..., 17:19] = 0  # the second wall is solid
    apart = rooms_of(extract_fragments(affs, True, min_seed_distance=5))
    assert len(set(apart)) == 4
    united = rooms_of(extract_fragments(affs, True, epsilon_agglomerate=0.8, min_seed_distance=5))
    assert united[0] == united[1] != united[2] == united[3]


def test_replaced_sections_are_empty():
    fragments = extract_fragments(rooms(depth=3), True, replace_sections=[1], min_seed_distance=5)
    assert not fragments[1].any()
    assert fragments[0].all()
    assert fragments[2].all()


def test_remove_fragments_keeps_background_background():
    fragments = np.array([[[0, 1, 1, 5]]], np.uint64)
    values = np.array([[[9, 0, 4, 3]]], np.float32)
    np.testing.assert_array_equal(remove_fragments(fragments, values, 2.5), [[[0, 0, 0, 5]]])
    np.testing.assert_array_equal(remove_fragments(fragments, values, 2.0), fragments)


def test_parts_that_the_border_cut_off_get_numbers_of_their_own():
    fragments = np.array([[[7, 0, 7],
                           [7, 9, 7],
                           [9, 9, 9]]], np.uint64)
    numbered = number_fragments(fragments, 2**62)
    np.testing.assert_array_equal(numbered > 0, fragments > 0)
    assert numbered[0, 0, 0] == numbered[0, 1, 0] != numbered[0, 0, 2] == numbered[0, 1, 2]
    assert set(np.unique(numbered)) == {0, 2**62, 2**62 + 1, 2**62 + 2}


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 6, 2)])
def test_centers_are_centers_of_mass(shape):
    fragments = np.random.default_rng(0).choice(np.array([0, 3, 2**40], np.uint64), shape)
    ids, centers = find_centers(fragments)
    np.testing.assert_array_equal(ids, [3, 2**40])
    expected = [ndimage.center_of_mass(fragments == id_) for id_ in ids]
    np.testing.assert_allclose(centers, np.array(expected) + 0.5)


def test_centers_of_nothing():
    ids, centers = find_centers(np.zeros((2, 2, 2), np.uint64))
    assert ids.shape == (0,)
    assert centers.shape == (0, 3)
