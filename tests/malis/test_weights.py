"""The weights of MALIS: examples that can be seen, and all pairs of tiny volumes."""

import numpy as np
import pytest

from lsd_experiments.malis import malis_weights

DIRECT = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
FAR = ((-1, 0, 0), (0, -1, 0), (0, 0, -1), (-1, 0, -2), (0, 2, -1))  # one offset points forwards
IN_A_ROW = ((0, 0, -1),)


def row(*values, dtype=np.float32):
    return np.array(values, dtype)[None, None]


def test_two_objects_in_a_row():
    """Affinities stand at the right one of their voxels::

    labels   1   1   1   2   2
    affs   -  .9  .2  .8  .7
    """
    weights = malis_weights(row(0.5, 0.9, 0.2, 0.8, 0.7)[None], row(1, 1, 1, 2, 2, dtype=int), IN_A_ROW)
    # .9 joins one pair of label 1, .2 two more; .7 the one of label 2.
    np.testing.assert_allclose(weights.positive, row(0, 1 / 4, 2 / 4, 0, 1 / 4)[None])
    # Six pairs of two labels, all joined by .8.
    np.testing.assert_allclose(weights.negative, row(0, 0, 0, 1, 0)[None])


def test_background_connects_and_is_in_no_pair():
    """Two objects with two voxels of background between them: the worst edge on the way is the one to cut."""
    weights = malis_weights(row(0.5, 0.1, 0.8, 0.3, 0.9, 0.2)[None], row(1, 1, 0, 0, 2, 2, dtype=int), IN_A_ROW)
    np.testing.assert_allclose(weights.negative, row(0, 0, 0, 1, 0, 0)[None])
    np.testing.assert_allclose(weights.positive, row(0, 0.5, 0, 0, 0, 0.5)[None])


def test_what_is_masked_out_joins_by_its_affinity_and_weighs_nothing():
    affs, labels = row(0.5, 0.4, 0.6, 0.8)[None], row(1, 1, 2, 2, dtype=int)
    mask = row(1, 0, 1, 1, dtype=bool)[None]
    weights = malis_weights(affs, labels, IN_A_ROW, mask)
    # The masked edge comes last in the negative pass: it joins two of the four pairs, which then weigh nothing.
    np.testing.assert_allclose(weights.negative, row(0, 0, 1, 0)[None])
    np.testing.assert_allclose(weights.positive, row(0, 0, 0, 1)[None])
    without = malis_weights(affs, labels, IN_A_ROW)
    np.testing.assert_allclose(without.positive, row(0, 0.5, 0, 0.5)[None])


def volume(seed, shape, objects, neighborhood, background):
    """Labels, many of them not connected, and affinities of which no two are alike."""
    random = np.random.default_rng(seed)
    labels = random.integers(1, objects + 1, shape)
    labels[random.random(shape) < background] = 0
    count = len(neighborhood) * labels.size
    affs = random.permutation(np.linspace(0.01, 0.99, count, dtype=np.float32)).reshape(-1, *shape)
    return affs, labels


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("neighborhood", [DIRECT, FAR])
@pytest.mark.parametrize(("objects", "background", "masked"), [(2, 0.0, 0.0), (3, 0.4, 0.0), (4, 0.2, 0.3), (30, 0.0, 0.0)])
def test_all_pairs(oracle, seed, neighborhood, objects, background, masked):
    affs, labels = volume(seed, (2, 4, 3), objects, neighborhood, background)
    mask = np.random.default_rng(seed).random(affs.shape) >= masked if masked else None
    found = malis_weights(affs, labels, neighborhood, mask)
    expected = oracle(affs, labels, neighborhood, mask)
    np.testing.assert_allclose(found.positive, expected[0], rtol=1e-12)
    np.testing.assert_allclose(found.negative, expected[1], rtol=1e-12)
    assert found.negative.sum() == pytest.approx(1)
    if mask is not None:  # the control: it matters
        assert any(not np.array_equal(a, b) for a, b in zip(found, malis_weights(affs, labels, neighborhood), strict=True))


def test_one_object_and_none():
    affs, labels = volume(0, (3, 4, 5), 1, DIRECT, 0.0)
    weights = malis_weights(affs, labels, DIRECT)
    assert weights.positive.sum() == pytest.approx(1)
    assert not weights.negative.any()
    nothing = malis_weights(affs, np.zeros_like(labels), DIRECT)
    assert not nothing.positive.any()
    assert not nothing.negative.any()


def test_edges_that_leave_the_volume_weigh_nothing():
    affs, labels = volume(1, (3, 4, 5), 2, DIRECT, 0.0)
    for weights in malis_weights(affs, labels, DIRECT):
        assert not weights[0, 0].any()
        assert not weights[1, :, 0].any()
        assert not weights[2, :, :, 0].any()
        assert weights[0, 1:].any()


def test_ids_may_be_large_and_types_any():
    affs, labels = volume(2, (2, 4, 3), 3, DIRECT, 0.2)
    large = np.where(labels > 0, labels.astype(np.uint64) + 2**40, 0)
    for kind in (affs, affs.astype(np.float64)[:, ::1], np.asfortranarray(affs)):
        for a, b in zip(malis_weights(kind, large, DIRECT), malis_weights(affs, labels, DIRECT), strict=True):
            np.testing.assert_array_equal(a, b)


def test_ties_are_broken_by_the_order_of_the_array():
    weights = malis_weights(row(0.5, 0.5, 0.5, 0.5)[None], row(1, 1, 1, 1, dtype=int), IN_A_ROW)
    np.testing.assert_allclose(weights.positive, row(0, 1 / 6, 2 / 6, 3 / 6)[None])


def test_affinities_beyond_0_and_1_are_ordered_too():
    """The network gives none, but a number is a number; set edges still come first and last."""
    weights = malis_weights(row(0, -1.5, -0.5, 3.0)[None], row(1, 1, 1, 1, dtype=int), IN_A_ROW)
    np.testing.assert_allclose(weights.positive, row(0, 3 / 6, 2 / 6, 1 / 6)[None])


def test_more_pairs_than_fit_in_32_bits():
    """Two halves of 64 * 64 * 64 voxels: 131072 squared pairs, through the one open door between them."""
    labels = np.ones((64, 64, 64), int)
    labels[:, :, 32:] = 2
    affs = np.full((3, 64, 64, 64), 0.1, np.float32)
    affs[2, 5, 6, 32] = 0.9
    weights = malis_weights(affs, labels, DIRECT)
    assert weights.negative[2, 5, 6, 32] == 1
    assert weights.negative.sum() == 1


def test_what_does_not_fit_together_is_refused():
    affs, labels = volume(3, (2, 3, 4), 2, DIRECT, 0.0)
    with pytest.raises(AssertionError, match=r"affs \(3, 2, 3, 4\)"):
        malis_weights(affs, labels, FAR)
    with pytest.raises(AssertionError, match=r"mask \(3, 2, 3, 3\)"):
        malis_weights(affs, labels, DIRECT, np.ones((3, 2, 3, 3), bool))
