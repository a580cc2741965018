"""Scores, against what can be counted by hand, or by brute force."""

import json

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.optimize import linear_sum_assignment

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.evaluation import RULES, Rules, evaluate
from lsd_experiments.families.cellmap.evaluation.beside import intervals, summary
from lsd_experiments.families.cellmap.evaluation.distances import matched_distances
from lsd_experiments.families.cellmap.evaluation.instances import largest_distance, normalized, score_instances
from lsd_experiments.families.cellmap.evaluation.matching import match_all, match_overlapping
from lsd_experiments.families.cellmap.evaluation.overlaps import components, objects, overlaps
from lsd_experiments.families.cellmap.results import write_results
from tests.cellmap.small import VOXEL, boxes, put, target


def scored(truth, prediction, rules="2026-06", parity=False):
    return score_instances(objects(truth), components(prediction), VOXEL, rules, parity)[0]


def random_labels(seed, shape=(9, 11, 13), ids=8):
    return np.kron(np.random.default_rng(seed).integers(0, ids, [-(-n // 3) for n in shape]), np.ones((3, 3, 3), int))[
        tuple(slice(n) for n in shape)].astype(np.uint32)


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_whole_distance_transforms(seed):
    truth, prediction = objects(random_labels(seed)), objects(np.roll(random_labels(seed), (1, 0, 2), (0, 1, 2)))
    pairs = (np.arange(5), np.array([1, 2, 0, 5, 6]))  # any: they need not overlap
    found = matched_distances(truth, prediction, pairs, VOXEL)
    for one, other, distance in zip(truth.ids[pairs[0]], prediction.ids[pairs[1]], found, strict=True):
        a, b = truth.labels == one, prediction.labels == other
        expected = max(distance_transform_edt(~b, sampling=VOXEL)[a].max(), distance_transform_edt(~a, sampling=VOXEL)[b].max())
        assert distance == pytest.approx(expected, rel=1e-6)
        assert expected > 0


@pytest.mark.parametrize("seed", range(4))
def test_the_sparse_matching_costs_what_the_one_of_all_pairs_does(seed):
    truth, prediction = objects(random_labels(seed, ids=30)), components(np.roll(random_labels(seed, ids=30), 1, 0))
    found = overlaps(truth, prediction)
    gain = np.zeros((len(truth.ids), len(prediction.ids)))
    gain[found.truths, found.predictions] = 1_000_001 - ((1 - found.ious.astype(np.float32).astype(float)) * 1e6).astype(int)
    truths, predictions = match_overlapping(found, *gain.shape)
    assert len({*truths}) == len({*predictions}) == len(truths) > 10
    assert gain[truths, predictions].min() > 0
    assert gain[truths, predictions].sum() == gain[linear_sum_assignment(gain, maximize=True)].sum()
    assert len(match_all(found, *gain.shape)[0]) == min(gain.shape)  # of 2025: those that do not overlap are matched, too


def test_counts_and_distances_of_three_boxes():
    truth = boxes()
    prediction = np.where(truth == 2, 0, truth)
    prediction[1:4, 1:5, 1] = 0  # one voxel of 6 nm shorter
    prediction[10:, 12:, :2] = 9  # a stray
    cap = largest_distance(VOXEL, truth.shape)
    assert cap == 24
    norms = normalized([6, 0, cap, cap], VOXEL)
    assert scored(truth, prediction) == {"tp": 2, "fp": 1, "fn": 1, "hausdorff_norm_sum": pytest.approx(norms.sum(), rel=1e-6),
                                          "n_hausdorff": 4, "status": "scored"}
    # The latest rules: nothing for those without a partner, and 0.1 of the largest distance of one that has.
    least = float(normalized(cap, VOXEL))
    matched = 0.1 + 0.9 * (norms[:2] - least) / (1 - least)
    assert scored(truth, prediction, "latest")["hausdorff_norm_sum"] == pytest.approx(matched.sum(), rel=1e-6)
    far = np.zeros_like(truth)
    far[1, 1, 1], far[11, 1, 1] = 1, 0
    stretched = np.zeros_like(truth)
    stretched[1:, 1, 1] = 1  # 10 voxels of 4 nm: farther than the cap
    assert scored(far, stretched, "latest")["hausdorff_norm_sum"] == pytest.approx(0.1, abs=1e-6)


def test_a_stray_that_keeps_its_number_is_no_part_of_a_partner():
    """Truth 5 is the third object of the prediction; its second, a stray, would have the number of truth 2, which is lost."""
    truth = boxes()
    prediction = np.where(truth == 2, 0, truth)
    prediction[10:, 12:, :2] = 9
    right, published = scored(truth, prediction), scored(truth, prediction, parity=True)
    assert right["hausdorff_norm_sum"] == pytest.approx(normalized([0, 0, 24, 24], VOXEL).sum(), rel=1e-6)
    assert {**right, "hausdorff_norm_sum": 0} == {**published, "hausdorff_norm_sum": 0}


def test_one_id_in_two_pieces_is_two_objects_of_a_prediction_and_one_of_the_truth():
    values = np.zeros((5, 6, 7), np.uint8)
    values[0, 0, :], values[4, 5, :3] = 3, 3
    assert (len(objects(values).ids), len(components(values).ids)) == (1, 2)
    assert scored(values, values)["fp"] == 1


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint64", "int32", "float16", "float32"])
def test_types_of_ids(dtype):
    values = (boxes() > 0 if dtype == "bool" else boxes()).astype(dtype)
    assert len(components(values).ids) == 3
    large = np.where(boxes() == 5, np.uint64(2**63 + 1), boxes().astype(np.uint64))
    assert len(objects(large).ids) == len(components(large).ids) == 3
    assert len(objects(np.where(boxes() == 5, -1, boxes().astype(np.int32))).ids) == 3


def test_ids_far_apart_cost_no_memory():
    """Tables by id would take 50 GB."""
    truth = np.where(boxes() == 5, 2**31 - 1, boxes().astype(np.int64))
    assert scored(truth, boxes(), "latest")["hausdorff_norm_sum"] == 3


def test_too_many_instances_are_never_neutral():
    truth, noise = np.zeros((12, 14, 16), np.uint8), np.arange(12 * 14 * 16).reshape(12, 14, 16) + 1
    truth[2:9, 2:9, 2:9] = 1
    for rules in ("2026-06", "latest"):
        assert scored(truth, noise, rules) == {"tp": 0, "fp": 0, "fn": 1, "hausdorff_norm_sum": 0.0, "n_hausdorff": 1,
                                               "status": "skipped_too_many_instances"}
        assert scored(truth, noise, rules, parity=True)["fn"] == 0  # published
    assert scored(truth, noise, "2025-09")["combined_score"] == 0


@pytest.fixture
def truth(tmp_path):
    mask = np.ones((12, 14, 16), np.uint8)
    mask[:, :, 12:] = 0
    return put(tmp_path / "truth.zarr", mito=boxes(), er=(boxes() > 1).astype(np.uint8), er_mask=mask, nuc=boxes() * 0)


@pytest.mark.parametrize("rules", RULES)
def test_the_truth_scores_1_and_a_moved_one_less(truth, tmp_path, rules):
    assert evaluate(truth, truth, Rules(rules))[0]["overall_score"] == 1
    moved = put(tmp_path / "moved.zarr", mito=np.roll(boxes(), 1, 2), er=(np.roll(boxes(), 1, 1) > 1).astype(np.uint8),
                nuc=boxes() * 0)
    result, extended = evaluate(moved, truth, Rules(rules))
    assert 0.3 < result["overall_score"] < 0.999
    assert 0 < extended["beside"]["panoptic_quality"]["mito"] < 1
    assert extended["beside"]["crops"]["crop7"]["mito"]["voi_split"] > 0


def test_masked_voxels_do_not_count(truth, tmp_path):
    er = (boxes() > 1).astype(np.uint8)
    er[:, :, 12:] = 1 - er[:, :, 12:]
    wrong = put(tmp_path / "wrong.zarr", er=er)
    result, extended = evaluate(wrong, truth, Rules("2026-06"))
    assert result["label_scores"]["er"] == {"iou": 1.0}
    assert "er_mask" not in extended["crop7"]
    assert evaluate(wrong, truth, Rules("2026-06", parity=True))[1]["crop7"]["er_mask"]["is_missing"]  # published: a class itself
    er[:, :, 0] = 1
    assert evaluate(put(tmp_path / "other.zarr", er=er), truth, Rules("2026-06"))[0]["label_scores"]["er"]["iou"] < 1


def test_what_cannot_be_read_or_aligned_counts_as_missing(truth, tmp_path):
    damaged = put(tmp_path / "damaged.zarr", mito=boxes(), er=boxes())
    (damaged / "crop7/mito/0.0.0").write_bytes(b"no chunk")
    fine = tmp_path / "damaged.zarr/crop7/er/.zattrs"
    fine.write_text(json.dumps({"voxel_size": "eight"}))
    _, extended = evaluate(damaged, truth, Rules("2026-06"))
    crop = extended["crop7"]
    for label in ("mito", "er"):
        assert crop[label]["is_missing"]
        assert crop[label]["status"].startswith("failed: ")
    assert (crop["mito"]["fn"], crop["mito"]["n_hausdorff"], crop["er"]["fn"]) == (3, 3, 12 * 14 * 16)
    assert crop["nuc"]["status"] == "missing"


def test_another_submission_and_unknown_rules_are_refused(truth, tmp_path):
    other = put(tmp_path / "other.zarr", mito=(boxes(), target("mito", crop="crop8")))
    with pytest.raises(UserError, match="none of the crops"):
        evaluate(other, truth)
    with pytest.raises(UserError, match="did you mean '2026-06'"):
        Rules("2026-6")


def test_intervals_are_seeded_and_widen_with_the_crops_differences():
    def crops(*ious):
        return {f"crop{number}": {"er": {"tp": iou, "fp": 100 - iou, "fn": 0}} for number, iou in enumerate(ious)}

    narrow, wide = (intervals(crops(*ious), "2026-06", ()) for ious in ((80, 80, 80, 80), (20, 100, 90, 40)))
    assert narrow["overall_semantic_score"] == [0.8, 0.8]
    low, high = wide["overall_semantic_score"]
    assert 0.2 <= low < 0.625 < high <= 1
    assert wide == intervals(crops(20, 100, 90, 40), "2026-06", ())
    assert intervals(crops(3), "2026-06", ()) == {}


def test_what_is_told_beside_over_crops():
    told = {"crop1": {"mito": {"tp": 3, "fp": 1, "fn": 0, "sum_iou": 2.5, "voi_split": 0.2},
                      "nuc": {"tp": 0, "fp": 0, "fn": 0, "sum_iou": 0.0}},
            "crop2": {"mito": {"tp": 1, "fp": 0, "fn": 3, "sum_iou": 0.9, "voi_split": 0.6}},
            "crop3": {"mito": {"tp": 0, "fp": 0, "fn": 0, "sum_iou": 0.0}}}
    found = summary(told)
    assert found.values == {"panoptic_quality": {"mito": 3.4 / 6, "nuc": 1.0}, "voi_split": {"mito": pytest.approx(0.4)}}
    low, high = found.intervals["panoptic_quality"]["mito"]
    assert 0.9 / 2.5 <= low < 3.4 / 6 < high <= 1
    assert found.intervals["voi_split"]["mito"] == pytest.approx([0.2, 0.6])
    assert found.intervals["panoptic_quality"]["nuc"] == [1, 1]
    assert summary({"crop1": told["crop1"]}).intervals == {}


def test_numbers_that_are_none_are_null(tmp_path):
    beside = write_results(tmp_path / "a" / "result.json", {"a": float("nan")}, {"b": [float("inf"), 1]})
    assert json.loads((tmp_path / "a/result.json").read_text()) == {"a": None}
    assert beside.name == "result_extended.json"
    assert json.loads(beside.read_text()) == {"b": [None, 1]}
