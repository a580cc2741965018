import numpy as np
import pytest
import waterz
from waterz._agglomerate import _load_prebuilt

from lsd_experiments.agglomeration import agglomerate, merge_scores, scoring_function
from lsd_experiments.agglomeration.agglomerating import unite
from lsd_experiments.agglomeration.functions import SCORING_FUNCTIONS
from lsd_experiments.agglomeration.merging import Merging, mean_of_greatest, united
from lsd_experiments.errors import UserError


def brute_force(num_nodes, pairs, merges, scores):
    """Merge region by region, and look at every pair after every merge."""
    region = list(range(num_nodes))
    found = [np.nan] * len(pairs)
    for (a, b), score in zip(merges, scores, strict=True):
        old, new = region[b], region[a]
        region = [new if r == old else r for r in region]
        for index, (u, v) in enumerate(pairs):
            if np.isnan(found[index]) and region[u] == region[v]:
                found[index] = score
    return found


@pytest.mark.parametrize("seed", range(5))
def test_merge_scores_against_brute_force(seed):
    random = np.random.default_rng(seed)
    nodes = 40
    merges = random.integers(0, nodes, (30, 2))
    pairs = np.array([(u, v) for u in range(nodes) for v in range(u + 1, nodes)])
    scores = random.random(30)  # need not ascend
    expected = brute_force(nodes, pairs, merges, scores)
    assert 0 < np.isnan(expected).sum() < len(pairs)
    np.testing.assert_array_equal(merge_scores(nodes, pairs, merges, scores), expected)


def test_merge_scores_of_a_drawn_tree():
    """0 -.1- 1    2 -.2- 3      4 stays alone
          `----.5----´
    """
    merges = np.array([[0, 1], [3, 2], [1, 3]])
    pairs = np.array([[0, 1], [2, 3], [0, 3], [1, 2], [0, 4]])
    np.testing.assert_array_equal(merge_scores(5, pairs, merges, np.array([0.1, 0.2, 0.5])), [0.1, 0.2, 0.5, 0.5, np.nan])


def strip(*affinities):
    """One row of voxels with the given x affinities between them, and no others: [3, 1, 1, n + 1]."""
    affs = np.zeros((3, 1, 1, len(affinities) + 1), np.float32)
    affs[2, 0, 0, 1:] = affinities
    return affs


def test_an_affinity_joins_a_voxel_and_the_one_before():
    fragments = np.array([[[5, 9, 7]]], np.uint64)
    u, v, scores = agglomerate(strip(0.9, 0.2), fragments, "mean")
    order = np.argsort(u * 10 + v)
    np.testing.assert_array_equal(np.stack([u, v])[:, order], [[5, 7], [9, 9]])
    np.testing.assert_allclose(scores[order], [0.1, 0.8], atol=1 / 256)


def test_background_has_no_edges():
    fragments = np.array([[[5, 0, 7]]], np.uint64)
    assert [len(values) for values in agglomerate(strip(0.9, 0.9), fragments, "mean")] == [0, 0, 0]
    assert [len(values) for values in agglomerate(strip(0.9, 0.9), fragments * 0, "mean")] == [0, 0, 0]


def test_edges_of_no_affinity_never_unite():
    u, v, scores = agglomerate(strip(0.0), np.array([[[1, 2]]], np.uint64), "mean")
    assert (u, v) == (1, 2)
    assert np.isnan(scores).all()


def test_uint8_is_scaled():
    fragments = np.array([[[1, 2]]], np.uint64)
    _, _, from_bytes = agglomerate((strip(0.8) * 255).astype(np.uint8), fragments, "mean")
    _, _, from_floats = agglomerate(strip(0.8), fragments, "mean")
    np.testing.assert_allclose(from_bytes, from_floats, atol=0.01)


def test_only_direct_neighbours_count():
    fragments = np.array([[[1, 2, 3]]], np.uint64)
    affs = np.concatenate([strip(0.9, 0.2), np.ones((9, 1, 1, 3), np.float32)])
    np.testing.assert_array_equal(agglomerate(affs, fragments, "hist_quant_50")[2],
                                  agglomerate(affs[:3], fragments, "hist_quant_50")[2])


def test_quantiles_order_the_scores():
    """Two fragments that touch over 20 faces with affinities 0, .05, ... .95: a higher quantile sees a higher affinity."""
    affs = np.zeros((3, 1, 20, 2), np.float32)
    affs[2, 0, :, 1] = np.arange(20) / 20
    fragments = np.broadcast_to(np.array([1, 2], np.uint64), (1, 20, 2)).copy()
    scores = [agglomerate(affs, fragments, f"hist_quant_{q}")[2][0] for q in (10, 25, 50, 75, 90)]
    np.testing.assert_allclose(scores, [0.9, 0.75, 0.5, 0.25, 0.1], atol=0.06)


@pytest.mark.parametrize("merge_function", SCORING_FUNCTIONS)
def test_merge_functions_need_no_compiler(merge_function):
    assert _load_prebuilt(scoring_function(merge_function), 256) is not None


@pytest.mark.parametrize("merge_function", SCORING_FUNCTIONS)
def test_scores_segment_as_waterz_does(merge_function):
    """Uniting all edges up to a threshold gives what waterz gives for that threshold."""
    random = np.random.default_rng(1)
    affs = (random.random((3, 4, 12, 12)) ** 3).astype(np.float32)
    fragments = (1 + np.arange(4 * 6 * 6).reshape(4, 6, 6)).repeat(2, 1).repeat(2, 2).astype(np.uint64)
    threshold = 0.5
    expected, = waterz.agglomerate(affs, [threshold], fragments=fragments.copy(), discretize_queue=256,
                                   scoring_function=scoring_function(merge_function))
    u, v, scores = agglomerate(affs, fragments, merge_function)
    united = {(a, b) for a, b, score in zip(u, v, scores, strict=True) if score < threshold}
    name = {int(f): int(s) for f, s in zip(fragments.ravel(), expected.ravel(), strict=True)}
    monotone = {(a, b) for a, b in zip(u, v, strict=True) if name[int(a)] == name[int(b)]}
    assert united == monotone
    assert 0 < len(united) < len(u)
    np.testing.assert_array_equal(unite(affs, fragments, merge_function, threshold) == fragments, expected == fragments)


class Mean:
    """What waterz's ``mean`` knows of an edge, in its arithmetic."""

    def __init__(self, values):
        self.values = [(np.float32(one.mean(dtype=np.float32)), len(one)) for one in values]

    def score(self, edge):
        return float(np.float32(1) - self.values[edge][0])

    def join(self, source, target):
        (one, n), (other, m) = self.values[source], self.values[target]
        self.values[target] = np.float32((one * n + other * m) / (n + m)), n + m


@pytest.mark.parametrize("seed", range(4))
def test_regions_merge_in_the_order_of_waterz(seed):
    """With waterz's own statistics; affinities are multiples of 1/64, so that means are alike to the last bit but seldom."""
    random = np.random.default_rng(seed)
    affs = (random.integers(0, 65, (3, 3, 16, 16)) / 64).astype(np.float32)
    fragments = (1 + np.arange(3 * 8 * 8).reshape(3, 8, 8)).repeat(2, 1).repeat(2, 2).astype(np.uint64)
    pairs, greatest = mean_of_greatest(affs, fragments, 10**6)
    merging, merges = Merging(pairs, Mean(greatest.values)), []
    thresholds = [0.2, 0.35, 0.45, 0.5]
    steps = waterz.agglomerate(affs, thresholds, fragments=fragments.copy(), discretize_queue=256,
                               scoring_function=scoring_function("mean"))
    for threshold, expected in zip(thresholds, steps, strict=True):
        merges += merging.until(threshold)
        np.testing.assert_array_equal(united(fragments, merges), expected)
    assert 1 < len(np.unique(expected)) < 192


def test_the_mean_of_the_greatest():
    """Three fragments in a row: 1 and 2 share faces of 0.9, 0.1, 0.1, and 2 and 3 of 0.5, 0.5, 0.5."""
    affs = np.zeros((3, 1, 3, 3), np.float32)
    affs[2, 0, :, 1], affs[2, 0, :, 2] = (0.9, 0.1, 0.1), (0.5, 0.5, 0.5)
    fragments = np.broadcast_to(np.array([7, 8, 9], np.uint64), (1, 3, 3)).copy()
    for greatest, expected in ((1, [0.1, 0.5]), (2, [0.5, 0.5]), (3, [1 - 1.1 / 3, 0.5]), (50, [1 - 1.1 / 3, 0.5])):
        u, v, scores = agglomerate(affs, fragments, f"mean_max_{greatest}")
        assert (u.tolist(), v.tolist()) == ([7, 8], [8, 9])
        np.testing.assert_allclose(scores, expected, atol=1e-6)
        assert unite(affs, fragments, f"mean_max_{greatest}", 0.2)[0, 0].tolist() == ([7, 7, 9] if greatest == 1 else [7, 8, 9])
    none = agglomerate(affs, fragments * 0 + 3, "mean_max_2")
    assert [len(values) for values in none] == [0, 0, 0]


def test_unknown_merge_function_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="unknown merge function 'hist_quant_7'; did you mean 'hist_quant_75'"):
        agglomerate(strip(0.5), np.ones((1, 1, 2), np.uint64), "hist_quant_7")


def test_nothing_is_printed(capfd):
    agglomerate(strip(0.9, 0.2), np.array([[[5, 9, 7]]], np.uint64), "mean")
    assert capfd.readouterr().out == ""
