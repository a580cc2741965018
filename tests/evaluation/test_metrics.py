"""Scores against hand computation, brute force over voxels, waterz and scikit-image."""

import math

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import evaluate_segmentation

RANDOM = np.random.default_rng(7)


def ids(*values):
    return np.array(values, np.uint64)


@pytest.mark.parametrize(("segmentation", "labels", "expected"), [
    # one object halved: a voxel's half takes one bit to name
    (ids(1, 1, 2, 2), ids(5, 5, 5, 5), {"voi_split": 1, "voi_merge": 0, "rand_split": 0.5, "rand_merge": 1}),
    (ids(5, 5, 5, 5), ids(1, 1, 2, 2), {"voi_split": 0, "voi_merge": 1, "rand_split": 1, "rand_merge": 0.5}),
    (ids(7, 7, 3, 3), ids(1, 1, 2, 2), {"voi_sum": 0, "nvi_sum": 0, "rand_split": 1, "adapted_rand_error": 0}),
    # 3 + 1: H(1/4) bits, 10/16
    (ids(1, 1, 1, 2), ids(9, 9, 9, 9), {"voi_split": 2 - 0.75 * math.log2(3), "rand_split": 10 / 16, "voi_merge": 0}),
    # pairs of different voxels: 3 kept of 6 in the label and 3 in the segments
    (ids(1, 1, 1, 2), ids(9, 9, 9, 9), {"adapted_rand_error": 1 - 2 * 3 / (3 + 6)}),
    # two segments shuffled against two labels: nothing is known
    (ids(1, 2, 1, 2), ids(1, 1, 2, 2), {"voi_split": 1, "voi_merge": 1, "nvi_sum": 1, "adapted_rand_error": 1}),
    # a single voxel, and objects of one voxel each
    (ids(4), ids(9), {"voi_sum": 0, "adapted_rand_error": 0}),
    (ids(1, 2, 3), ids(3, 2, 1), {"voi_sum": 0, "adapted_rand_error": 0}),
])
def test_by_hand(segmentation, labels, expected):
    scores = evaluate_segmentation(segmentation, labels)
    assert {key: scores[key] for key in expected} == pytest.approx(expected, abs=1e-12)


def test_unlabelled_voxels_are_ignored():
    labels = ids(1, 1, 0, 0)
    assert evaluate_segmentation(ids(4, 4, 4, 5), labels)["voi_sum"] == 0
    assert evaluate_segmentation(ids(4, 4, 4, 5), labels)["voxels"] == 2
    assert evaluate_segmentation(ids(4, 4, 4, 5), ids(1, 1, 2, 2))["voi_sum"] > 0  # labelled, they count


def test_segment_zero_is_a_segment():
    labels = ids(1, 1, 2, 2)
    assert evaluate_segmentation(ids(1, 1, 0, 0), labels)["voi_sum"] == 0
    assert evaluate_segmentation(ids(0, 0, 0, 0), labels)["voi_merge"] == 1
    assert evaluate_segmentation(ids(0, 1, 2, 2), labels)["voi_split"] == 0.5


def test_names_do_not_matter_but_partitions_do():
    labels = blobs()
    segmentation = blobs()
    renamed = (segmentation * 2654435761 + 3).astype(np.uint64)
    scores = evaluate_segmentation(segmentation, labels)
    assert evaluate_segmentation(renamed, labels) == pytest.approx(scores, abs=1e-12)
    changed = segmentation.copy()
    changed[0] = segmentation.max() + 1
    assert evaluate_segmentation(changed, labels)["voi_sum"] != pytest.approx(scores["voi_sum"], abs=1e-3)


def test_a_merge_raises_voi_merge_only_and_a_split_voi_split_only():
    labels = np.repeat(np.arange(1, 9, dtype=np.uint64), 10).reshape(8, 10)
    merged, split = labels.copy(), labels.copy()
    merged[merged == 2] = 1
    split[0, :5] = 99
    merge, cut = (evaluate_segmentation(s, labels) for s in (merged, split))
    assert merge["voi_split"] == 0 < merge["voi_merge"] == pytest.approx(20 / 80)
    assert cut["voi_merge"] == 0 < cut["voi_split"] == pytest.approx(10 / 80)
    assert (merge["rand_split"], cut["rand_merge"]) == (1, 1)
    assert max(merge["rand_merge"], cut["rand_split"]) < 1


def test_swapping_the_two_swaps_split_and_merge():
    a, b = blobs(), blobs() + 1  # no zeros in b; a's become ids, too
    there, back = evaluate_segmentation(a + 1, b), evaluate_segmentation(b, a + 1)
    assert there["voi_split"] == pytest.approx(back["voi_merge"])
    assert there["rand_split"] == pytest.approx(back["rand_merge"])
    assert there["adapted_rand_error"] == pytest.approx(back["adapted_rand_error"])
    assert there["voi_split"] != pytest.approx(there["voi_merge"], abs=1e-3)


@pytest.mark.parametrize("dtype", [np.uint64, np.int64, np.uint32, np.uint8, np.bool_])
def test_against_brute_force(dtype):
    for _ in range(5):
        high = 2 if dtype is np.bool_ else 4
        segmentation, labels = RANDOM.integers(0, high, (2, 3, 4, 2)).astype(dtype)
        expected = brute_force(segmentation.ravel().tolist(), labels.ravel().tolist())
        scores = evaluate_segmentation(segmentation, labels)
        assert {key: scores[key] for key in expected} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_as_waterz_and_scikit_image(seed, capfd):
    import waterz
    from skimage.metrics import adapted_rand_error, variation_of_information

    rng = np.random.default_rng(seed)
    labels, segmentation = blobs(rng), blobs(rng)
    scores = evaluate_segmentation(segmentation, labels)
    ours = {key: scores[key] for key in ("voi_split", "voi_merge", "rand_split", "rand_merge")}
    assert ours == pytest.approx(waterz.evaluate(segmentation, labels), abs=1e-9)
    # scikit-image gives H(truth given test) first when ground truth comes first: splits
    theirs = variation_of_information(labels.astype(int), segmentation.astype(int), ignore_labels=[0])
    assert (scores["voi_split"], scores["voi_merge"]) == pytest.approx(tuple(theirs), abs=1e-9)
    error, _, _ = adapted_rand_error(labels.astype(int), segmentation.astype(int))
    assert scores["adapted_rand_error"] == pytest.approx(error, abs=1e-12)
    capfd.readouterr()  # waterz prints


def test_strided_arrays_are_read_in_place():
    segmentation, labels = RANDOM.integers(0, 5, (2, 6, 8, 10))
    expected = evaluate_segmentation(segmentation.copy(), labels.copy())
    assert evaluate_segmentation(segmentation.T, labels.T) == pytest.approx(expected)
    assert evaluate_segmentation(segmentation[::-1, ::-1], labels[::-1, ::-1]) == pytest.approx(expected)
    assert evaluate_segmentation(segmentation[::-1], labels) != pytest.approx(expected)


@pytest.mark.parametrize(("segmentation", "labels", "message"), [
    (np.ones((2, 3), int), np.ones((3, 2), int), r"shape \(2, 3\).*\(3, 2\)"),
    (np.ones(3), np.ones(3, int), "ids of the segmentation are of type float64"),
    (np.ones(3, int), np.ones(3, np.float32), "ids of the labels are of type float32"),
    (np.ones(3, int), np.zeros(3, int), "no voxel of the region is labelled"),
    (np.ones(0, int), np.ones(0, int), "no voxel of the region is labelled"),
    (np.ones(3, int), np.array([1, -1, 2]), "ids of the labels include -1"),
    (np.int64(3), np.int64(3), "single numbers"),
])
def test_bad_input(segmentation, labels, message):
    with pytest.raises(UserError, match=message) as raised:
        evaluate_segmentation(segmentation, labels)
    assert "\n" not in str(raised.value)


def blobs(rng=RANDOM):
    """[9, 20, 20] uint64, a dozen objects and some background."""
    coarse = rng.integers(0, 12, (3, 5, 5)).astype(np.uint64)
    return np.kron(coarse, np.ones((3, 4, 4), np.uint64))


def brute_force(segmentation, labels):
    """All scores from their definitions, over voxels and pairs of voxels."""
    voxels = [(s, t) for s, t in zip(segmentation, labels, strict=True) if t]
    n = len(voxels)

    def share(**given):
        return sum(all({"s": s, "t": t}[k] == v for k, v in given.items()) for s, t in voxels) / n

    split = -sum(math.log2(share(s=s, t=t) / share(t=t)) for s, t in voxels) / n
    merge = -sum(math.log2(share(s=s, t=t) / share(s=s)) for s, t in voxels) / n
    together = {"st": 0, "s": 0, "t": 0}
    for s, t in voxels:
        for u, v in voxels:
            together["st"] += (s, t) == (u, v)
            together["s"] += s == u
            together["t"] += t == v
    pairs = {key: count - n for key, count in together.items()}  # of different voxels
    both = pairs["s"] + pairs["t"]
    return {"voi_split": split, "voi_merge": merge, "voi_sum": split + merge,
            "rand_split": together["st"] / together["t"], "rand_merge": together["st"] / together["s"],
            "adapted_rand_error": 1 - 2 * pairs["st"] / both if both else 0}
