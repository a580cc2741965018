"""Where the errors are: against loops over all pairs of nodes, and that crowds of skeletons stay bounded."""

import itertools

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import evaluate_skeletons, find_errors
from lsd_experiments.skeletons import Skeletons

TWO = Skeletons.of([(0, 0, 0), (0, 0, 10), (0, 0, 20), (0, 40, 20), (0, 50, 10)], [(0, 1), (1, 2), (3, 4)])


def test_by_hand():
    splits, merges = find_errors(TWO, [7, 9, 9, 9, 0])
    assert splits.edges.tolist() == [0, 2]
    assert splits.components.tolist() == [0, 1]
    assert splits.positions.tolist() == [[[0, 0, 0], [0, 0, 10]], [[0, 40, 20], [0, 50, 10]]]
    assert splits.segments.tolist() == [[7, 9], [9, 0]]
    assert (merges.segments.tolist(), merges.components.tolist(), merges.count) == ([9], [[0, 1]], 1)
    assert merges.positions.tolist() == [[[0, 0, 20], [0, 40, 20]]]  # the closest, not the first
    none = find_errors(TWO, [7, 7, 7, 9, 9])
    assert (len(none[0].edges), len(none[1].segments), none[1].count) == (0, 0, 0)
    assert none[1].positions.shape == (0, 2, 3)


@pytest.mark.parametrize("seed", range(5))
def test_against_loops_over_pairs_of_nodes(seed):
    skeletons, segments = forest(seed, 70), np.random.default_rng(seed).integers(0, 6, 70)
    splits, merges = find_errors(skeletons, segments)
    u, v = skeletons.edges.T
    assert splits.edges.tolist() == np.flatnonzero((segments[u] != segments[v]) | (segments[u] == 0)).tolist()
    expected = {}
    for i, j in itertools.permutations(range(70), 2):
        if segments[i] == segments[j] != 0 and skeletons.components[i] < skeletons.components[j]:
            key = (int(segments[i]), int(skeletons.components[i]), int(skeletons.components[j]))
            expected[key] = min(expected.get(key, np.inf), distance(skeletons.positions[[i, j]]))
    keys = [(int(s), *c.tolist()) for s, c in zip(merges.segments, merges.components, strict=True)]
    assert dict(zip(keys, map(distance, merges.positions), strict=True)) == pytest.approx(expected)
    row = evaluate_skeletons(skeletons, segments)
    assert (len(splits.edges), len(keys)) == (row["splits"], row["merges"]) == (row["splits"], merges.count)


def test_of_a_crowd_the_largest_and_their_nearest_are_located():
    singles, seconds = [(0, 10 * i, 0) for i in range(9)], [(0, 10 * i, 1) for i in range(3)]
    skeletons = Skeletons.of(singles + seconds, [(i, 9 + i) for i in range(3)])
    _, merges = find_errors(skeletons, np.ones(12, int), crowd=3)
    assert merges.count == 9 * 8 // 2
    assert merges.components.tolist() == [[0, 1], [0, 2], [1, 2], *([2, i] for i in range(3, 9))]
    _, all_of_them = find_errors(skeletons, np.ones(12, int))
    assert len(all_of_them.segments) == all_of_them.count == merges.count


def test_bad_input():
    with pytest.raises(UserError, match="for 5 nodes"):
        find_errors(TWO, [1, 2])


def distance(ends):
    return float(np.linalg.norm(ends[0] - ends[1]))


def forest(seed, nodes):
    rng = np.random.default_rng(seed)
    edges = [(i, int(rng.integers(max(0, i - 6), i))) for i in range(1, nodes) if rng.random() < 0.85]
    return Skeletons.of(rng.uniform(0, 100, (nodes, 3)), edges)
