"""The min-cut metric: by hand, and cuts against all ways to part a small graph.

    axon 0    1---2---3---4        fragments; merge scores 0.1 along axons
                  :
    axon 1    5---6---7---8        2---6 has 0.4
"""

import itertools
import random

import numpy as np
import pytest

from lsd_experiments.evaluation import evaluate_mincut
from lsd_experiments.evaluation.cutting import Group, split_graph
from lsd_experiments.rag import open_store
from lsd_experiments.segmentation import find_segments
from lsd_experiments.skeletons import Skeletons

AXONS = Skeletons.of([(0, y, 10 * x) for y in (0, 50) for x in range(4)], [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7)])
FRAGMENTS = list(range(1, 9))
EDGES = {(1, 2): 0.1, (2, 3): 0.1, (3, 4): 0.1, (5, 6): 0.1, (6, 7): 0.1, (7, 8): 0.1, (2, 6): 0.4}


def needed(threshold, edges=EDGES, fragments=FRAGMENTS, parity=False):
    """(splits, merges, unsplittable fragments) of the segments that ``edges`` give at ``threshold``."""
    ids, u, v, scores = arrays(edges)
    luts = find_segments(ids, u, v, scores, [threshold], parity)
    row, = evaluate_mincut(AXONS, fragments, luts, [(u, v, scores)], parity)
    assert row["threshold"] == threshold
    return row["splits_needed"], row["merges_needed"], row["unsplittable_fragments"]


def arrays(edges):
    u, v = np.array(sorted(edges), np.uint64).T
    return np.unique([u, v]), u, v, np.array([edges[pair] for pair in sorted(edges)], np.float64)


def test_two_axons_and_one_weak_edge():
    assert needed(0.5) == (1, 0, 0)
    assert needed(0.2) == (0, 0, 0)
    assert needed(0.05) == (0, 6, 0)  # eight pieces of two axons


def test_background_and_fragments_that_nobody_merged():
    assert needed(0.2, fragments=[1, 2, 0, 4, 5, 6, 7, 8]) == (0, 0, 0)
    assert needed(0.05, fragments=[1, 2, 0, 4, 5, 6, 7, 8]) == (0, 5, 0)  # of 0 there is nothing to join
    assert needed(0.2, fragments=[0] * 8) == (0, 0, 0)


def test_a_fragment_of_two_axons_cannot_be_split():
    shared = [1, 2, 3, 4, 5, 2, 7, 8]  # fragment 2 has a node of each
    assert needed(0.2, fragments=shared) == (0, 1, 1)  # axon 1 is in its own segment and in that of axon 0
    assert needed(0.2, fragments=[2] * 8) == (0, 0, 1)
    assert needed(0.2)[2] == 0


def test_a_cut_through_an_axon_needs_a_merge():
    """The axons cross at 9; between 2 and 6, which are closest, the doubtful edges are those of axon 0."""
    edges = {(1, 2): 0.1, (2, 9): 0.4, (3, 9): 0.1, (3, 4): 0.1, (5, 6): 0.1, (6, 9): 0.1, (6, 7): 0.1, (7, 8): 0.1}
    assert needed(0.5, edges) == (2, 1, 0)  # 1 and 2 come off; then 3 and 4
    assert needed(0.2, edges) == (1, 1, 0)


def test_the_paper_takes_a_split_edge_off_instead_of_counting_segments():
    assert needed(0.05) == (0, 6, 0)
    assert needed(0.05, parity=True) == (0, 4, 0)  # three split edges of each
    halved = {**EDGES, (2, 3): 0.9}
    assert needed(0.2, halved) == (0, 1, 0)
    assert needed(0.2, halved, parity=True) == (0, 0, 0)  # though it is in two pieces
    there_and_back = {**EDGES, (1, 3): 0.1, (1, 2): 0.9, (2, 3): 0.9, (2, 6): 0.9}  # 2 alone between 1 and 3
    assert needed(0.2, there_and_back) == needed(0.2, there_and_back, parity=True) == (0, 1, 0)


def test_edges_that_never_merge_cost_nothing_with_parity():
    edges = {**EDGES, (3, 7): np.nan}
    assert needed(0.3, edges) == (0, 0, 0)
    assert needed(0.3, edges, parity=True)[0] == 1  # the old rule joins the two there


def test_all_thresholds_read_the_store_once(tmp_path):
    ids, u, v, scores = arrays(EDGES)
    with open_store(tmp_path / "rag.db", create=True) as store:
        store.write_nodes(1, 8, ids, np.zeros((8, 3)))
        store.create_edges("mean")
        store.write_edges("mean", 1, u, v, scores, np.ones(7), np.ones(7, np.int64))
        luts = find_segments(ids, u, v, scores, (0.05, 0.2, 0.5))
        rows = evaluate_mincut(AXONS, FRAGMENTS, luts, store.iterate_edges("mean", batch=3))
    assert [(row["threshold"], row["splits_needed"], row["merges_needed"]) for row in rows] == [
        (0.05, 0, 6), (0.2, 0, 0), (0.5, 1, 0)]
    assert evaluate_mincut(AXONS, FRAGMENTS, [], []) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_is_the_cheapest_of_all(seed):
    rng = np.random.default_rng(seed)
    vertices = int(rng.integers(3, 9))
    edges = np.array([pair for pair in itertools.combinations(range(vertices), 2) if rng.random() < 0.6] or [(0, 1)])
    weights = rng.uniform(0, 1, len(edges))
    cuts, parts = split_graph(edges, weights, vertices, [one(0), one(vertices - 1)])
    cost = weights[parts[edges[:, 0]] != parts[edges[:, 1]]].sum()
    costs = []
    for sides in itertools.product((False, True), repeat=vertices - 2):
        side = np.array([False, *sides, True])
        costs.append(weights[side[edges[:, 0]] != side[edges[:, 1]]].sum())
    assert (cuts, len(np.unique(parts))) == (1, 2)
    assert cost == pytest.approx(min(costs), abs=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_groups_are_apart_in_the_end(seed):
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, 60, (200, 2))
    edges = np.unique(np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1), axis=0)
    members = np.split(rng.permutation(60)[:30], [3, 9, 17])
    groups = [Group(np.repeat(those, 2), rng.uniform(0, 9, (2 * len(those), 3))) for those in members]
    cuts, parts = split_graph(edges, rng.uniform(0, 1, len(edges)), 60, groups)
    seen = [set(parts[those].tolist()) for those in members]
    assert all(not a & b for a, b in itertools.combinations(seen, 2))
    assert cuts == len(np.unique(parts)) - 1  # each adds a part
    assert split_graph(edges, np.ones(len(edges)), 60, groups[:1]) == (0, pytest.approx(np.zeros(60)))


def test_the_random_graph_of_the_published_tests():
    """funlib/tests/test_split_merge.py of funkelab/funlib.evaluate: 18 splits between ten vertices and ten."""
    source = random.Random(2)
    places = np.array([[source.random() for _ in "zyx"] for _ in range(1000)])
    weights = {}
    for _ in range(10000):
        ends = source.randint(0, 999), source.randint(0, 999)
        weights[min(ends), max(ends)] = source.random()
    edges = np.array([pair for pair in weights if pair[0] != pair[1]])
    groups = [Group(those, places[those]) for those in (np.arange(10), np.arange(200, 210))]
    assert split_graph(edges, np.array([weights[u, v] for u, v in edges]), 1000, groups)[0] == 18


def test_groups_in_two_graphs_count_a_cut():
    cuts, parts = split_graph(np.array([[0, 1], [2, 3]]), np.ones(2), 4, [one(0), one(3)])
    assert (cuts, parts[0] == parts[1], parts[2] == parts[3], parts[0] == parts[3]) == (1, True, True, False)


def one(vertex):
    return Group(np.array([vertex]), np.array([[0.0, 0.0, vertex]]))
