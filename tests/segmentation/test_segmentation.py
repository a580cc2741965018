import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import contingency, evaluate_thresholds
from lsd_experiments.segmentation import find_segments, part_of, relabel, segment, segments_of, threshold_name, threshold_range

FRAGMENTS = np.array([3, 5, 8, 20, 21], np.uint64)
U = np.array([3, 5, 8, 20], np.uint64)
V = np.array([5, 8, 20, 21], np.uint64)
SCORES = np.array([0.1, 0.5, np.nan, 0.3])  # 3 -.1- 5 -.5- 8 -never- 20 -.3- 21


def segments(threshold, **options):
    ((_, lut),) = find_segments(FRAGMENTS, U, V, SCORES, [threshold], **options)
    np.testing.assert_array_equal(lut[0], FRAGMENTS)
    return lut[1].tolist()


@pytest.mark.parametrize(("threshold", "expected"), [
    (0.0, [3, 5, 8, 20, 21]),
    (0.1, [3, 3, 8, 20, 21]),  # at most the threshold
    (0.3, [3, 3, 8, 20, 20]),
    (0.5, [3, 3, 3, 20, 20]),
    (1.0, [3, 3, 3, 20, 20]),
])
def test_segments_of_a_drawn_graph(threshold, expected):
    assert segments(threshold) == expected


def test_edges_without_a_score_never_unite():
    """As published, None became NaN, NaN > threshold is false, and such edges united at every threshold."""
    assert segments(0.0) == [3, 5, 8, 20, 21]
    assert segments(0.0, parity=True) == [3, 5, 8, 8, 21]


def test_no_segment_is_background():
    """As published, segments were numbered from 0: the first one was taken for background afterwards."""
    for _, lut in find_segments(FRAGMENTS, U, V, SCORES, threshold_range((0, 1), 0.1)):
        assert (lut[1] > 0).all()
        assert set(lut[1]) <= set(lut[0])


def test_all_thresholds_at_once_against_connected_components():
    random = np.random.default_rng(0)
    fragments = np.unique(random.integers(1, 2**60, 300).astype(np.uint64))
    ends = random.integers(0, len(fragments), (2, 600))
    scores = np.where(random.random(600) < 0.2, np.nan, random.random(600))
    thresholds = [0.9, 0.1, 0.5]
    shuffled = random.permutation(fragments)
    found = list(find_segments(shuffled, fragments[ends[0]], fragments[ends[1]], scores, thresholds))
    assert [threshold for threshold, _ in found] == [0.1, 0.5, 0.9]
    for threshold, lut in found:
        used = scores <= threshold
        graph = coo_array((np.ones(used.sum()), ends[:, used]), shape=(len(fragments),) * 2)
        count, labels = connected_components(graph, directed=False)
        smallest = np.array([fragments[labels == label].min() for label in range(count)])
        np.testing.assert_array_equal(lut, np.stack([fragments, smallest[labels]]))


def test_no_fragments_and_no_edges():
    nothing = np.zeros(0, np.uint64)
    ((_, lut),) = find_segments(nothing, nothing, nothing, np.zeros(0), [0.5])
    assert lut.shape == (2, 0)
    ((_, lut),) = find_segments(FRAGMENTS, nothing, nothing, np.zeros(0), [0.5])
    np.testing.assert_array_equal(lut, [FRAGMENTS, FRAGMENTS])


def test_edges_to_unknown_fragments_are_noticed():
    with pytest.raises(AssertionError, match="no node"):
        list(find_segments(FRAGMENTS[:-1], U, V, SCORES, [0.5]))


def test_threshold_range_excludes_its_end_and_does_not_drift():
    np.testing.assert_array_equal(threshold_range((0, 1), 0.02), np.round(np.arange(50) * 0.02, 10))
    assert threshold_range((0.5, 1), 1) == [0.5]
    assert threshold_range((0.1, 0.4), 0.1) == [0.1, 0.2, 0.3]
    assert len(np.arange(0.1, 0.4, 0.1)) == 4  # the published way: 0.4 sneaks in


def test_threshold_names_do_not_collide():
    """int(100 t) as published gives 28 for 0.29 and 57 for 0.58."""
    thresholds = threshold_range((0, 1), 0.01)
    assert [threshold_name(t) for t in thresholds] == [str(i) for i in range(100)]
    assert len({int(t * 100) for t in thresholds}) < 100
    fine = threshold_range((0, 1), 0.001)
    assert len({threshold_name(t) for t in fine}) == 1000
    assert [threshold_name(t) for t in (0.5, 0.05, 1, 0.525, 0.1 + 0.2, 1e-6)] == ["50", "5", "100", "52.5", "30", "0.0001"]


def test_relabel_gives_unknown_fragments_to_background():
    lut = np.array([[3, 5, 2**62], [3, 3, 2**62]], np.uint64)
    fragments = np.array([[[0, 3, 5], [4, 2**62, 2**63]]], np.uint64)
    np.testing.assert_array_equal(relabel(fragments, lut), [[[0, 3, 3], [0, 2**62, 0]]])
    assert not relabel(fragments, lut[:, :0]).any()
    with_zero = np.array([[0, 3], [7, 3]], np.uint64)  # background stays background
    np.testing.assert_array_equal(relabel(fragments, with_zero)[0, 0], [0, 3, 0])


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "int64"])
def test_relabel_takes_any_integers(dtype):
    lut = np.array([[3, 5, 2**62], [3, 3, 2**62]], np.uint64)
    found = relabel(np.array([[0, 3], [5, 6]], dtype), lut)
    assert found.dtype == np.uint64
    np.testing.assert_array_equal(found, [[0, 3], [3, 0]])


def test_relabel_of_more_ids_than_are_remembered():
    random = np.random.default_rng(0)
    ids = np.unique(random.integers(1, 2**63, 20_000)).astype(np.uint64)
    lut = np.stack([ids, random.permutation(ids)])
    fragments = random.choice(np.concatenate([ids, ids[:100] + np.uint64(1), np.zeros(100, np.uint64)]), (10, 20, 500))
    assert len(np.unique(fragments)) > 10_000
    expected = segments_of(fragments.ravel(), lut).reshape(fragments.shape)
    assert not expected.all()
    np.testing.assert_array_equal(relabel(fragments, lut), expected)
    np.testing.assert_array_equal(relabel(fragments[::2, ::-1], lut), expected[::2, ::-1])
    assert relabel(fragments, lut, out=fragments) is fragments
    np.testing.assert_array_equal(fragments, expected)


def test_relabel_does_not_write_to_a_copy():
    lut = np.ones((2, 1), np.uint64)
    with pytest.raises(AssertionError, match="copy"):
        relabel(lut, lut, out=np.ones((2, 2), np.uint64)[:, :1])


def test_segments_of_ids_in_any_order():
    lut = np.array([[3, 5, 9], [3, 3, 9]], np.uint64)
    assert segments_of(np.array([9, 4, 0, 5, 10], np.uint64), lut).tolist() == [9, 0, 0, 3, 0]
    assert segments_of(np.zeros(0, np.uint64), lut).tolist() == []


def test_part_of_a_table_evaluates_as_the_whole_one():
    random = np.random.default_rng(0)
    lut = np.stack([np.arange(1, 200, dtype=np.uint64), np.arange(1, 200, dtype=np.uint64) // np.uint64(3) + np.uint64(1)])
    fragments, labels = random.integers(0, 250, (2, 4000)).astype(np.uint64)
    counted = contingency(fragments[fragments < 50], labels[fragments < 50])
    part = part_of(lut, counted.segments)
    assert part.shape == (2, 50)
    whole, small = (evaluate_thresholds(counted, [(0.5, table)]) for table in (lut, part))
    assert whole == small
    assert small != evaluate_thresholds(counted, [(0.5, part[:, ::2])])


@pytest.mark.parametrize(("threshold", "expected"), [(0.0, [3, 5, 8, 20, 21]), (0.5, [3, 3, 3, 20, 20])])
def test_arrays_in_one_call(threshold, expected):
    volume = np.array([0, 3, 5, 8, 20, 21], np.uint64).reshape(1, 2, 3)
    found = segment(volume, U, V, SCORES, threshold)
    assert found.shape == (1, 2, 3)
    assert found.ravel().tolist() == [0, *expected]
    published = segment(volume, U, V, SCORES, threshold, parity=True)
    assert published[0, 0, 2] != published[0, 1, 1] or threshold > 0
    assert published[0, 1, 0] == published[0, 1, 1]  # an edge without a score unites
    with pytest.raises(UserError, match="an edge ends at 21, which is no fragment"):
        segment(volume[..., :2], U[3:], V[3:], SCORES[3:], threshold)
    assert not segment(np.zeros((2, 2, 2), np.uint64), U[:0], V[:0], SCORES[:0], threshold).any()


@pytest.mark.parametrize(("merge_function", "scores", "threshold", "in_table", "in_waterz"), [
    ("mean", [0.75], 0.75, 1, 0),  # waterz joins below the threshold, a table at it
    ("mean", [0.75], 0.76, 1, 1),
    ("mean", [0.7515, 0.7505], 0.751, 1, 0),  # of one 256th, the first is above the threshold: waterz stops
    ("mean", [0.7505, 0.7515], 0.751, 1, 1),
    ("mean", [0.7515, 0.7505], 0.755, 2, 2),
    ("hist_quant_75", [0.7515, 0.7505], 0.751, 0, 0),  # scores are centres of these 256ths, and so equal
    ("hist_quant_75", [0.7505, 0.7515], 0.755, 2, 2),
])  # fmt: skip
def test_with_mean_a_table_joins_more_than_waterz_itself(merge_function, scores, threshold, in_table, in_waterz):
    """As published: docs/differences.md. Pairs of fragments in a row: 1 1|2 2 . 3 3|4 4"""
    from lsd_experiments.agglomeration import agglomerate
    from lsd_experiments.agglomeration.agglomerating import unite

    row = np.concatenate([[2 * i + 1] * 2 + [2 * i + 2] * 2 + [0] for i in range(len(scores))]).astype(np.uint64)
    fragments = row.reshape(1, 1, -1)
    affs = np.ones((3, *fragments.shape), np.float32)
    affs[2, 0, 0, 2::5] = 1 - np.array(scores)
    found = segment(fragments, *agglomerate(affs, fragments, merge_function), threshold)
    assert len(np.unique(row)) - len(np.unique(found)) == in_table
    assert len(np.unique(row)) - len(np.unique(unite(affs, fragments, merge_function, threshold))) == in_waterz
