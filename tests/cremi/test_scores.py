"""CREMI's scores, against what the published package gave (fixtures), SciPy, and by hand."""

import itertools
import json

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import contingency, mask_curves, volumes
from lsd_experiments.evaluation import scores as segmentation_scores
from lsd_experiments.evaluation.adapted_rand import adapted_rand
from lsd_experiments.evaluation.borders import near_border
from lsd_experiments.evaluation.classes import class_scores, count_classes
from lsd_experiments.evaluation.mask_curves import Levels
from lsd_experiments.evaluation.mask_distances import MaskVoxels, count_beyond, distance_statistics, distances
from lsd_experiments.evaluation.mask_scores import best_row, score_masks, score_thresholds
from lsd_experiments.evaluation.partners import score_partners
from lsd_experiments.families.cremi.clefts import score_cleft_volumes
from lsd_experiments.families.cremi.files import in_memory
from lsd_experiments.families.cremi.ids import BACKGROUND, UNKNOWN, cleft_masks, is_id
from lsd_experiments.families.cremi.neurons import in_pixels, masked, score_neuron_volumes, score_neurons
from lsd_experiments.families.cremi.partners import voxels_at
from lsd_experiments.geometry import Box
from tests.published import PUBLISHED, needs_published

METRICS = PUBLISHED / "cremi_metrics"
VOXEL_SIZE = (40.0, 4.0, 4.0)
ERRORS = {"acc_false_positives": 0, "acc_false_negatives": 1}


def published(name):
    path = METRICS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


CLEFTS, NEURONS, PARTNERS = published("clefts"), published("neuron_ids").get("results", {}), published("synaptic_partners")
EMPTY = {"test_empty", "truth_empty", "both_empty", "truth_all_invalid"}  # where the published code measures to a phantom point
# In a section without any border its mask is of that kind, too.
PHANTOM = {f"{case}/border={border}" for case in ("gt_single_id", "drop10percent_1000vox") for border in (4, 10, 25)}


@needs_published
@pytest.mark.parametrize("key", [key for key in CLEFTS if key.split("/")[0] not in EMPTY])
def test_clefts_as_published(key):
    case, voxel_size = key.split("/resolution=")
    voxel_size, arrays = tuple(map(float, voxel_size.strip("()").split(","))), np.load(METRICS / "clefts.npz")
    test, truth = map(MaskVoxels.of, cleft_masks(arrays[f"{case}/test"], arrays[f"{case}/truth"]))
    found = distances(test, truth, voxel_size), distances(truth, test, voxel_size)
    want = CLEFTS[key]
    assert (test.count, truth.count) == (want["test_cleft_voxels"], want["truth_cleft_voxels"])
    for tolerance in (100, 200, 400):
        counts = [count_beyond(side, tolerance) for side in found]
        assert counts == [want[f"count_false_{kind}({tolerance})"] for kind in ("positives", "negatives")]
    for name, side in ERRORS.items():
        assert distance_statistics(found[side]) == pytest.approx(want[name], rel=1e-9)
    scores = score_masks(test, truth, voxel_size)
    assert scores["false_positives"] == want["count_false_positives(200)"]
    assert scores["adf"] == pytest.approx(want["acc_false_negatives"]["mean"], rel=1e-9)


@needs_published
@pytest.mark.parametrize("case", [name for name in published("pytc_metrics_e29beadc") if name.startswith("clefts/")])
def test_clefts_as_pytorch_connectomics_has_them(case):
    want = published("pytc_metrics_e29beadc")[case]["cremi_distance(pred,gt,(40,4,4))"]
    arrays = np.load(METRICS / "clefts.npz")
    test, truth = map(MaskVoxels.of, cleft_masks(arrays[f"{case[7:]}/test"], arrays[f"{case[7:]}/truth"]))
    scores = score_masks(test, truth, VOXEL_SIZE)
    if "error" in want:
        assert scores["mean_distance"] is None
    else:
        assert [scores["adgt"], scores["adf"]] == pytest.approx(want, rel=1e-9)
        assert scores["mean_distance"] == pytest.approx(np.mean(want), rel=1e-9)


@needs_published
@pytest.mark.parametrize("key", [key for key in NEURONS if key not in PHANTOM])
def test_neurons_as_published(key):
    case, border = key.split("/border=")
    border, want, arrays = None if border == "None" else float(border), NEURONS[key], np.load(METRICS / "neuron_ids.npz")
    segmentation, truth = arrays[f"{case}/seg"], arrays[f"{case}/gt"]
    if case == "gt_all_background":
        with pytest.raises(UserError, match="no voxel of the truth is left"):
            score_neurons(segmentation, truth, VOXEL_SIZE, border)
        return
    scores = score_neurons(segmentation, truth, VOXEL_SIZE, border)
    assert scores["ignored_voxels"] == want["ignored_voxels"]
    if "error" in want["voi"]:  # of ids that the published code cannot hold
        renamed = np.where(segmentation == BACKGROUND, 10**6, segmentation)
        assert scores == score_neurons(renamed, truth, VOXEL_SIZE, border)
        return
    found = [scores[name] for name in ("voi_split", "voi_merge", "adapted_rand_error", "adapted_rand_precision",
                                       "adapted_rand_recall")]
    wanted = [want["voi"]["split"], want["voi"]["merge"], *want["adapted_rand_precision_recall"]]
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@needs_published
def test_without_a_border_nothing_is_left_out():
    """The published code measures to a point that is none; ``border=1`` is of the border itself, and has none of it."""
    truth = np.load(METRICS / "neuron_ids.npz")["gt_single_id/gt"]
    assert {NEURONS[f"gt_single_id/border={border}"]["ignored_voxels"] > 0 for border in (4, 10, 25)} == {True}
    assert not near_border(truth, 6.25).any()
    assert near_border(np.load(METRICS / "neuron_ids.npz")["identical/gt"], 6.25).any()


@needs_published
@pytest.mark.parametrize("case", ["identical", "gt_with_background"])
@pytest.mark.parametrize("border", [1, 4, 10, 25])
def test_masked_truth_as_published(case, border):
    arrays = np.load(METRICS / "neuron_ids.npz")
    found = masked(arrays[f"{case}/gt"], in_pixels(border, VOXEL_SIZE))
    np.testing.assert_array_equal(found, arrays[f"{case}/masked_gt/border={border}"])


@needs_published
@pytest.mark.parametrize("pixels", ["0", "0.5", "1", "1.5", "2", "6.25"])
def test_borders_as_published(pixels):
    arrays = np.load(METRICS / "neuron_ids.npz")
    np.testing.assert_array_equal(near_border(arrays["identical/gt"], float(pixels))[0], arrays[f"border2d/{pixels}"])


@needs_published
@pytest.mark.parametrize("key", PARTNERS.get("results", {}))
def test_partners_as_published(key):
    case, tolerance, offset = (part.partition("=")[2] or part for part in key.split("/"))
    offset, want = np.array(offset.strip("()").split(","), float), PARTNERS["results"][key]
    segmentation = np.load(METRICS / "synaptic_partners.npz")["segmentation"]
    found, truth = (np.reshape(PARTNERS["pairs"][case][side], (-1, 2, 3)) for side in ("reconstruction", "groundtruth"))

    def segments(places):
        return segmentation[tuple(np.moveaxis(voxels_at(places + offset, VOXEL_SIZE, offset, segmentation.shape), -1, 0))]

    scores = score_partners(found, truth, segments(found), segments(truth), float(tolerance))
    if "error" in want:
        assert (scores["fscore"], scores["matches"]) == (0, [])
        assert (scores["false_positives"], scores["false_negatives"]) == (len(found), len(truth))
        return
    assert [scores[name] for name in ("fscore", "precision", "recall")] == pytest.approx(
        [want[name] for name in ("fscore", "precision", "recall")], rel=1e-9)
    assert (scores["false_positives"], scores["false_negatives"]) == (want["fp"], want["fn"])
    assert [match[:2] for match in scores["matches"]] == [tuple(match[:2]) for match in want["matches"]]
    assert [match[2] for match in scores["matches"]] == pytest.approx([match[2] for match in want["matches"]], rel=1e-9)


@pytest.mark.parametrize("voxel_size", [(40.0, 4.0, 4.0), (50.0, 4.6, 4.6), (1.0, 3.0, 2.0)])
@pytest.mark.parametrize("share", [0.001, 0.3])
def test_distances_are_those_of_the_whole_volume(voxel_size, share):
    rng = np.random.default_rng(1)
    sources, targets = rng.random((7, 33, 29)) < 0.2, rng.random((7, 33, 29)) < share
    targets[0, 0, 0] = True
    targets[3:5] = False  # sections without any
    found = np.concatenate(distances(MaskVoxels.of(sources), MaskVoxels.of(targets), voxel_size))
    np.testing.assert_allclose(found, distance_transform_edt(~targets, sampling=voxel_size)[sources], rtol=1e-12)


def test_one_rule_for_empty_sides():
    full, none = (MaskVoxels.of(np.full((3, 4, 5), value)) for value in (True, False))
    for mask, truth, counts in ((none, full, (0, 60)), (full, none, (60, 0))):
        scores = score_masks(mask, truth, VOXEL_SIZE, tolerance=1e9)
        assert (scores["false_positives"], scores["false_negatives"], scores["f1"]) == (*counts, 0.0)
        assert [scores[name] for name in ("adgt", "adf", "mean_distance")] == [None] * 3
    both = score_masks(none, none, VOXEL_SIZE)
    assert [both[name] for name in ("f1", "adgt", "adf", "mean_distance", "false_positives")] == [1.0, 0, 0, 0, 0]
    no_pairs, pair = np.zeros((0, 2, 3)), np.zeros((1, 2, 3))
    ids = np.zeros((0, 2), int), np.ones((1, 2), int)
    assert score_partners(no_pairs, no_pairs, ids[0], ids[0])["fscore"] == 1
    assert score_partners(pair, no_pairs, ids[1], ids[0])["fscore"] == 0
    assert score_partners(pair, pair, ids[1], ids[1])["fscore"] == 1


def levels_of(probabilities, limits, known=True):
    levels = Levels(probabilities.shape, limits)
    for block in Box.of_shape(probabilities.shape).blocks((2, 23, 16)):
        box = block.intersect(Box.of_shape(probabilities.shape))
        levels.add(box, probabilities[box.slices], np.broadcast_to(known, box.shape))
    return levels


def flat(row):
    """Its numbers; -1 where there is none."""
    every = {**row, **{f"{name}/{key}": value for name in ("to_truth", "to_mask") for key, value in row[name].items()}}
    return {key: -1 if value is None else value for key, value in every.items() if not isinstance(value, dict)}


@pytest.mark.parametrize("steps", [0, 8])
@pytest.mark.parametrize(("voxel_size", "dtype"), [((40.0, 4.0, 4.0), "uint8"), ((50.0, 4.6, 4.6), "float32"),
                                                   ((3.0, 0.5, 0.2), "uint8")])
def test_thresholds_in_one_pass_are_the_masks_one_by_one(monkeypatch, voxel_size, dtype, steps):
    """With sections without any voxel, noise, thresholds that nothing exceeds, and either way to look for the nearest voxels."""
    monkeypatch.setattr(mask_curves, "STEPS", steps)
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.random((6, 40, 33)), (0, 2, 2)) - 0.02 * rng.random((6, 40, 33))
    probabilities = (np.clip(np.interp(noise, (0.4, 0.62), (0, 1)), 0, 1) * (255 if dtype == "uint8" else 1)).astype(dtype)
    probabilities[3] = 0
    truth, scale = np.zeros((6, 40, 33), bool), 255 if dtype == "uint8" else 1
    truth[2:4, 10:12, 5:20] = truth[5, 30:, 25:] = True
    limits = [scale * part for part in (0.0, 0.05, 0.5, 0.55, 0.8, 0.999, 1.0)]
    rows = score_thresholds(levels_of(probabilities, limits), limits, MaskVoxels.of(truth), voxel_size, 50)
    for row, limit in zip(rows, limits, strict=True):
        alone = score_masks(MaskVoxels.of(probabilities > limit), MaskVoxels.of(truth), voxel_size, 50)
        assert flat(row) == pytest.approx({**flat(alone), "threshold": limit}, rel=1e-12)
    assert len({row["adgt"] for row in rows}) >= 6
    assert rows[-1]["adgt"] is None, "nothing is above 1"
    assert best_row(rows) == max(range(len(rows)), key=lambda i: (rows[i]["f1"], -(rows[i]["mean_distance"] or 1e9)))


def test_thresholds_of_empty_sides():
    full, none = np.full((3, 4, 5), 200, np.uint8), np.zeros((3, 4, 5), np.uint8)
    for values, truth in itertools.product((full, none), (full > 0, none > 0)):
        [row] = score_thresholds(levels_of(values, [100]), [100], MaskVoxels.of(truth), VOXEL_SIZE, 200)
        assert row == {"threshold": 100.0, **score_masks(MaskVoxels.of(values > 100), MaskVoxels.of(truth), VOXEL_SIZE, 200)}
    [row] = score_thresholds(levels_of(full, [100], known=False), [100], MaskVoxels.of(full > 0), VOXEL_SIZE)
    assert row["to_truth"]["count"] == 0, "what is not known is not scored"


@pytest.mark.parametrize(("dtype", "number", "found"), [
    ("uint64", BACKGROUND, True), ("int64", BACKGROUND, True), ("int64", UNKNOWN, False), ("uint8", BACKGROUND, False),
    ("bool", 1, True), ("uint8", 255, True), ("bool", BACKGROUND, False),
])  # fmt: skip
def test_ids_go_by_their_bits(dtype, number, found):
    ids = np.full((2, 1), 1 if dtype == "bool" else np.iinfo(dtype).max if dtype != "int64" else -1, dtype)
    assert is_id(ids, number).all() == found


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_volumes_block_by_block_are_scored_as_arrays(tmp_path, monkeypatch, dtype):
    """With borders that reach over blocks, and a prediction that begins elsewhere."""
    monkeypatch.setattr(volumes, "BLOCK_VOXELS", 300)
    rng = np.random.default_rng(0)
    truth = np.kron(rng.integers(0, 4, (4, 3, 3)), np.ones((1, 9, 11), int)).astype(dtype)
    truth[1, :5] = np.uint64(BACKGROUND).astype(dtype)
    prediction = np.zeros((5, 31, 36), np.uint64)
    prediction[1:, 4:, 3:] = np.kron(rng.integers(0, 3, (4, 3, 3)), np.ones((1, 9, 11), int))
    stored = []
    for name, values, begin in (("t", truth, (80, 40, 20)), ("p", prediction, (40, 24, 8))):
        volume = create_volume(tmp_path / "v.zarr", name, values.shape, VOXEL_SIZE, begin, values.dtype, chunks=(2, 8, 8))
        volume.write(volume.box, values)
        stored.append(open_volume(tmp_path / "v.zarr", name))
    inner = prediction[1:, 4:, 3:]
    found = score_neuron_volumes(stored[1], stored[0], border=10)
    assert found == score_neurons(inner, truth.view(np.uint64), VOXEL_SIZE, 10)
    assert found["ignored_voxels"] > 5 * 33, "the borders count"
    clefts = score_cleft_volumes(stored[1], stored[0], 15)
    masks = cleft_masks(inner, truth, 0, BACKGROUND)
    assert clefts == score_masks(*map(MaskVoxels.of, masks), VOXEL_SIZE, 15)
    assert clefts["false_positives"] + clefts["false_negatives"] > 0


@needs_published
@pytest.mark.parametrize("case", [name for name in published("pytc_metrics_e29beadc") if not name.startswith("clefts/")])
def test_neurons_as_pytorch_connectomics_has_them(case):
    """Its functions take the truth as it is: id 0 is not labelled."""
    want, arrays = published("pytc_metrics_e29beadc")[case], np.load(METRICS / "neuron_ids.npz")
    table = contingency(arrays[f"{case}/seg"], arrays[f"{case}/gt"])
    rand, found = adapted_rand(table, arrays[f"{case}/gt"].size), segmentation_scores(table)
    assert [rand["error"], rand["precision"], rand["recall"]] == pytest.approx(
        want["adapted_rand(seg,gt,all_stats=True)"], rel=1e-9, abs=1e-12)
    assert [found["voi_split"], found["voi_merge"]] == pytest.approx(want["voi(seg,gt)"], rel=1e-9, abs=1e-12)


@needs_published
@pytest.mark.parametrize("case", [name for name in published("pytc_metrics_e29beadc") if name.startswith("clefts/")])
def test_overlaps_as_pytorch_connectomics_has_them(case):
    arrays = np.load(METRICS / "clefts.npz")
    test, truth = (arrays[f"{case[7:]}/{side}"] != BACKGROUND for side in ("test", "truth"))
    rows = published("pytc_metrics_e29beadc")[case]["get_binary_jaccard(pred 0.9/0, gt>0, thres [.5,.95])"]
    for mask, row in zip((test, np.zeros_like(test)), rows, strict=True):
        own, other = class_scores(count_classes(np.stack([mask, ~mask]), np.stack([truth, ~truth])))
        iou = [np.nan if score["iou"] is None else score["iou"] for score in (own, other)]
        found = [iou[0], np.mean(iou), *(np.nan if own[name] is None else own[name] for name in ("precision", "recall"))]
        assert found == pytest.approx(row, rel=1e-6, nan_ok=True)


def test_misuse_is_refused(tmp_path):
    """As the published code refuses it; offsets, which that ignores, count."""
    with pytest.raises(UserError, match="needs square pixels"):
        in_pixels(25, (40.0, 4.0, 8.0))
    ids = np.ones((3, 8, 9), np.uint64)
    truth = in_memory(ids, VOXEL_SIZE, (80.0, 40.0, 20.0))
    assert score_neuron_volumes(truth, truth)["adapted_rand_error"] == 0
    for other, said in ((in_memory(ids[:, 1:], VOXEL_SIZE, truth.offset), "all of the truth is scored"),
                        (in_memory(ids, (40.0, 8.0, 8.0), truth.offset), "voxels of"),
                        (in_memory(ids, VOXEL_SIZE, (80.0, 44.0, 20.0)), "all of the truth is scored")):
        with pytest.raises(UserError, match=said):
            score_neuron_volumes(other, truth)
