"""Scores on skeletons: by hand, against loops over nodes and voxels, and each quirk of the published code.

    skeleton 0    0---1---2---3        edges of 10 nm, 30 nm in all
    skeleton 1    4---5                10 nm, 50 nm beside it
"""

import re

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import evaluate_luts, evaluate_segmentation, evaluate_skeletons
from lsd_experiments.evaluation.node_objects import check_nodes
from lsd_experiments.skeletons import Skeletons

TWO = Skeletons.of([(0, 0, 0), (0, 0, 10), (0, 0, 20), (0, 0, 30), (0, 50, 0), (0, 50, 10)], [(0, 1), (1, 2), (2, 3), (4, 5)])
RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize(("segments", "expected"), [
    # perfect: (30^2 + 10^2) / 40
    ([7, 7, 7, 7, 9, 9], {"erl": 25, "max_erl": 25, "normalized_erl": 1, "xpress_normalized_erl": 1.25, "splits": 0, "merges": 0,
                          "rand_split": 1, "rand_merge": 1, "voi_sum": 0, "xpress_erl_rand": 1, "xpress_erl_voi": 1}),
    # halved: no edge over the border counts, 10^2 + 10^2 are left of 30^2
    ([7, 7, 8, 8, 9, 9], {"erl": 300 / 40, "normalized_erl": 0.3, "splits": 1, "merges": 0, "split_skeletons": 1,
                          "rand_split": (4 + 4 + 4) / (16 + 4), "rand_merge": 1, "voi_merge": 0, "voi_split": 4 / 6}),
    # merged: neither runs anywhere
    ([7, 7, 7, 7, 7, 7], {"erl": 0, "splits": 0, "merges": 1, "merging_segments": 1, "rand_split": 1, "rand_merge": 20 / 36}),
    # a single node that is merged: what else skeleton 0 has is right, skeleton 1 has nothing
    ([7, 7, 9, 9, 9, 9], {"erl": 100 / 40, "splits": 1, "merges": 1}),
    # on the background each node is alone: two splits more, no merge
    ([7, 7, 7, 0, 0, 0], {"erl": 400 / 40, "splits": 2, "merges": 0, "background_nodes": 3, "segments": 1, "rand_merge": 1}),
])
def test_by_hand(segments, expected):
    row = evaluate_skeletons(TWO, segments)
    assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-12)
    assert (row["skeletons"], row["nodes"], row["path_length"]) == (2, 6, 40)


def test_the_combined_scores():
    row = evaluate_skeletons(TWO, [7, 7, 8, 8, 8, 9])
    rand, voi = (row["rand_split"] + row["rand_merge"]) / 2, 1 - (row["nvi_split"] + row["nvi_merge"]) / 2
    assert row["xpress_rand"] == rand < 1 > voi == row["xpress_voi"]
    assert row["xpress_erl_rand"] == pytest.approx((row["normalized_erl"] + rand) / 2)
    assert row["xpress_erl_voi"] == pytest.approx((row["normalized_erl"] + voi) / 2)


@pytest.mark.parametrize("seed", range(8))
def test_against_loops_over_nodes(seed):
    skeletons, segments = forest(seed, 60), np.random.default_rng(seed).integers(0, 12, 60)
    row, expected = evaluate_skeletons(skeletons, segments), loops(skeletons, own_objects(segments))
    assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-9)
    table = evaluate_segmentation(own_objects(segments), skeletons.components + 1)
    shared = ("rand_split", "rand_merge", "voi_split", "voi_merge", "nvi_split", "nvi_merge")
    assert {key: row[key] for key in shared} == pytest.approx({key: table[key] for key in shared})


@pytest.mark.parametrize("seed", range(8))
def test_parity_is_what_drawing_into_a_volume_gives(seed):
    rng = np.random.default_rng(seed)
    skeletons = forest(seed, 60, side=4)  # many nodes share a voxel
    volume = rng.integers(0, 6, (4, 4, 4)).astype(np.uint64)
    voxels = np.floor(skeletons.positions).astype(np.int64)
    row = evaluate_skeletons(skeletons, volume[tuple(voxels.T)], parity=True, voxels=voxels)
    segments, drawn = draw(skeletons, volume, voxels)
    expected = loops(skeletons, segments)
    erl = expected.pop("erl") / np.mean([length for length in lengths_of(skeletons) if length > 0])
    table = evaluate_segmentation(volume, drawn)
    expected |= {key: table[key] for key in ("rand_split", "rand_merge", "voi_split", "voi_merge", "nvi_split", "nvi_merge")}
    expected["xpress_erl_rand"] = (erl + (table["rand_split"] + table["rand_merge"]) / 2) / 2
    expected["xpress_erl_voi"] = (erl + 1 - (table["nvi_split"] + table["nvi_merge"]) / 2) / 2
    assert {key: row[key] for key in expected if key != "max_erl"} == pytest.approx(
        {key: value for key, value in expected.items() if key != "max_erl"}, abs=1e-9)


def test_parity_ignores_the_first_skeleton_in_rand_and_voi():
    broken = [1, 2, 3, 4, 9, 9]
    fixed, published = evaluate_skeletons(TWO, broken), evaluate_skeletons(TWO, broken, parity=True)
    assert (published["rand_split"], published["voi_split"]) == (1, 0)
    assert fixed["rand_split"] < 1
    assert fixed["voi_split"] > 0
    broken = [7, 7, 7, 7, 1, 2]  # the second is not ignored
    assert evaluate_skeletons(TWO, broken, parity=True)["rand_split"] == 0.5


def test_parity_is_not_bounded_by_one():
    perfect = [7, 7, 7, 7, 9, 9]
    assert evaluate_skeletons(TWO, perfect)["xpress_erl_rand"] == 1
    assert evaluate_skeletons(TWO, perfect, parity=True)["xpress_erl_rand"] == pytest.approx((1.25 + 1) / 2)


def test_parity_leaves_the_first_skeleton_out_of_the_perfect_run_length():
    assert evaluate_skeletons(TWO, [7, 7, 7, 7, 9, 9], parity=True)["max_erl"] == 100 / 40
    assert evaluate_skeletons(TWO, [7, 7, 7, 7, 9, 9])["max_erl"] == (900 + 100) / 40


def test_of_nodes_in_one_voxel_the_last_counts_with_parity():
    skeletons = Skeletons.of([*TWO.positions.tolist(), (90, 0, 0), (90, 0, 10)], [*TWO.edges.tolist(), (6, 7)])
    segments = [7, 7, 7, 7, 9, 9, 9, 3]
    voxels = np.array([(0, 0, i) for i in range(8)])
    voxels[6] = voxels[5]  # of skeletons 1 and 2: drawn last is the one of skeleton 2
    shared = evaluate_skeletons(skeletons, segments, parity=True, voxels=voxels)
    assert shared["rand_merge"] == (1 + 1 + 1) / (2**2 + 1)  # segment 9: a voxel of each
    apart = evaluate_skeletons(skeletons, segments, parity=True)
    assert apart["rand_merge"] == (4 + 1 + 1) / (3**2 + 1)  # a node more
    assert evaluate_skeletons(skeletons, segments, voxels=voxels) == evaluate_skeletons(skeletons, segments)


def test_nodes_in_one_voxel_of_the_background_are_together_with_parity():
    segments, voxels = [7, 7, 0, 0, 9, 9], np.array([(0, 0, i) for i in (0, 1, 2, 2, 3, 4)])
    published, fixed = (evaluate_skeletons(TWO, segments, parity, voxels) for parity in (True, False))
    assert (published["splits"], published["erl"]) == (1, 300 / 40)  # the edge between them is right
    assert (fixed["splits"], fixed["erl"]) == (2, 200 / 40)


def test_the_papers_background():
    segments = [7, 7, 7, 0, 0, 0]
    split, omitted = evaluate_skeletons(TWO, segments), evaluate_skeletons(TWO, segments, background="omitted")
    assert (split["splits"], omitted["splits"]) == (2, 0)
    assert (split["merges"], omitted["merges"]) == (0, 0)
    assert split["erl"] == omitted["erl"] == 10
    table = evaluate_segmentation(np.array(segments), TWO.components + 1)  # segment 0 is one like any other
    assert omitted["voi_merge"] == pytest.approx(table["voi_merge"])
    assert omitted["voi_merge"] > 0 == split["voi_merge"]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_nodes_and_names_of_segments_do_not_matter(seed):
    skeletons, segments = forest(seed, 60), np.random.default_rng(seed).integers(0, 12, 60)
    order = np.random.default_rng(seed).permutation(60)
    place = np.argsort(order)
    shuffled = Skeletons.of(skeletons.positions[order], place[skeletons.edges])
    row = evaluate_skeletons(skeletons, segments)
    renamed = np.where(segments[order] > 0, 2**63 + 5 * segments[order].astype(np.uint64), 0).astype(np.uint64)
    assert evaluate_skeletons(shuffled, renamed) == pytest.approx(row)
    changed = segments.copy()
    changed[skeletons.edges[0]] = 50, 51
    assert evaluate_skeletons(skeletons, changed) != pytest.approx(row)


@pytest.mark.parametrize("seed", range(4))
def test_scores_lie_between_0_and_1_and_fall_with_damage(seed):
    skeletons = forest(seed, 80)
    segments = skeletons.components + 1
    damaged = segments.copy()
    damaged[np.random.default_rng(seed).choice(80, 30, replace=False)] = 1
    perfect, worse = evaluate_skeletons(skeletons, segments), evaluate_skeletons(skeletons, damaged)
    for key in ("normalized_erl", "xpress_rand", "xpress_voi", "xpress_erl_rand", "xpress_erl_voi"):
        assert 0 <= worse[key] < perfect[key] == pytest.approx(1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_any_integers(dtype):
    assert evaluate_skeletons(TWO, np.array([7, 7, 8, 8, 9, 9], dtype))["splits"] == 1


def test_all_thresholds_from_the_fragments():
    fragments = [1, 2, 3, 4, 5, 0]
    tables = [(0.5, [[1, 2, 3, 4, 5], [1, 1, 1, 1, 5]]), (0.2, [[1, 2, 3, 5], [1, 1, 3, 5]]), (0.8, [[1, 2, 3, 4, 5], [1] * 5])]
    rows = evaluate_luts(TWO, fragments, tables)
    assert [row["threshold"] for row in rows] == [0.2, 0.5, 0.8]
    for row, segments in zip(rows, ([1, 1, 3, 0, 5, 0], [1, 1, 1, 1, 5, 0], [1, 1, 1, 1, 1, 0]), strict=True):
        assert row == {"threshold": row["threshold"], **evaluate_skeletons(TWO, segments)}
    assert evaluate_luts(TWO, fragments, tables, parity=True)[0] != pytest.approx(rows[0])
    assert evaluate_luts(TWO, fragments, [(0.1, np.zeros((2, 0), np.uint64))])[0]["background_nodes"] == 6


@pytest.mark.parametrize(("skeletons", "segments", "parity", "message"), [
    (Skeletons.of([], []), [], False, "no node"),
    (Skeletons.of([(0, 0, 0)], []), [1], False, "no edge"),
    (TWO, [1, 2, 3], False, r"shape \(3,\) for 6 nodes"),
    (TWO, np.ones(6), False, "float64"),
    (TWO, [1, 1, -4, 1, 1, 1], False, "include -4"),
    (Skeletons.of([(0, 0, 0), (0, 0, 1)], [(0, 1)]), [1, 1], True, "leaves out the first skeleton"),
])
def test_bad_input(skeletons, segments, parity, message):
    with pytest.raises(UserError, match=message):
        evaluate_skeletons(skeletons, segments, parity)


def forest(seed, nodes, side=100):
    """Random trees, some of a single node, in a cube."""
    rng = np.random.default_rng(seed)
    edges = [(i, int(rng.integers(max(0, i - 6), i))) for i in range(1, nodes) if rng.random() < 0.85]
    return Skeletons.of(rng.uniform(0, side, (nodes, 3)), edges)


def own_objects(segments):
    """Each node on 0 gets an id of its own."""
    return np.where(segments == 0, 1000 + np.arange(len(segments)), segments).astype(np.uint64)


def lengths_of(skeletons):
    lengths = dict.fromkeys(range(skeletons.components.max() + 1), 0.0)
    for u, v in skeletons.edges:
        lengths[skeletons.components[u]] += np.linalg.norm(skeletons.positions[u] - skeletons.positions[v])
    return lengths.values()


def loops(skeletons, objects):
    """Run lengths and counts, by loops over edges, skeletons and objects."""
    of = {o: set(skeletons.components[objects == o].tolist()) for o in set(objects.tolist())}
    runs = dict.fromkeys(((c, o) for c in range(skeletons.components.max() + 1) for o in of), 0.0)
    splits = 0
    for u, v in skeletons.edges:
        splits += objects[u] != objects[v]
        if objects[u] == objects[v] and len(of[int(objects[u])]) == 1:
            runs[int(skeletons.components[u]), int(objects[u])] += np.linalg.norm(skeletons.positions[u] - skeletons.positions[v])
    lengths = list(lengths_of(skeletons))
    return {"erl": sum(run**2 for run in runs.values()) / sum(lengths), "max_erl": sum(n**2 for n in lengths) / sum(lengths),
            "splits": splits, "merges": sum(len(those) * (len(those) - 1) // 2 for those in of.values())}


def draw(skeletons, volume, voxels):
    """What the published code does: a fresh id in ``volume`` for each node that finds 0 there; skeletons drawn from number 0."""
    fresh, segments = int(volume.max()) + 1, []
    for voxel in map(tuple, voxels):
        if volume[voxel] == 0:
            volume[voxel] = fresh
            fresh += 1
        segments.append(int(volume[voxel]))
    drawn = np.zeros_like(volume)
    for component in range(skeletons.components.max() + 1):
        for node in np.flatnonzero(skeletons.components == component):
            drawn[tuple(voxels[node])] = component
    return np.array(segments), drawn


def test_what_the_message_about_types_says_works():
    ids = np.array([1.0, 2.0])
    with pytest.raises(UserError, match="the segments under the nodes are of type float64") as caught:
        check_nodes(ids, 2)
    said = re.search(r"pass (.*)", str(caught.value))[1]
    assert check_nodes(eval(said, {"ids": ids}), 2).tolist() == [1, 2]  # as printed
