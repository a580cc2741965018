"""Segmentations by the names of zudi-lin's waterz, and the scores of SNEMI3D, against what the published programs gave."""

import json
import logging
import math

import mahotas
import numpy as np
import pytest
from skimage.metrics import adapted_rand_error

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import contingency, evaluate_segmentation
from lsd_experiments.families.pytc.scores import adapted_rand, binary_jaccard, scores, voi
from lsd_experiments.families.pytc.waterz import fragments_2d, merge_function, segment
from tests.published import PUBLISHED, needs_published

FILE = PUBLISHED / "waterz" / "waterz.npz"
METRICS = PUBLISHED / "cremi_metrics"
THRESHOLDS = (0.1, 0.2, 0.3, 0.5, 0.6)


def fixture():
    with np.load(FILE) as file:
        return {name: file[name] for name in file}


def same_partition(one, other):
    """Whether two segmentations differ in their ids only, of which 0 is one."""
    table = np.unique(np.stack([one.ravel(), other.ravel()]).astype(np.uint64), axis=1)
    return len(np.unique(table[0])) == len(np.unique(table[1])) == table.shape[1]


@needs_published
def test_published_fragments():
    given = fixture()
    assert same_partition(fragments_2d(given["affs_uint8"]), given["fragments2d"])
    assert not same_partition(fragments_2d(255 - given["affs_uint8"]), given["fragments2d"])


def brute_fragments(affs):
    boundary = 1 - np.float32(0.5) * (affs[1] + affs[2])
    fragments, count = np.zeros(boundary.shape, np.uint64), 0
    for z, section in enumerate(boundary):
        seeds, found = mahotas.label(mahotas.regmax(mahotas.distance(section < 0.5)))
        fragments[z] = mahotas.cwatershed(section, seeds) + count
        count += found
    return fragments


def test_fragments_are_those_of_the_published_steps():
    affs = np.random.default_rng(2).random((3, 3, 30, 34), np.float32)
    affs[:, 1] = 1  # nothing is far from a boundary
    affs[:, 2] = 0
    assert same_partition(fragments_2d(affs), brute_fragments(affs))
    assert fragments_2d(affs).min() == 1


@needs_published
@pytest.mark.parametrize("kind", ["2d", "3d"])
@pytest.mark.parametrize("name", ["aff50_his256", "aff85_his256", "aff50_his256_all_contacts"])
def test_published_segmentations(kind, name):
    given = fixture()
    published = [given[f"{kind}/{name}/{threshold}"] for threshold in THRESHOLDS]
    ours = "hist_quant_50" if name.endswith("all_contacts") else name
    made = segment(given["affs_uint8"], THRESHOLDS, ours, fragments=kind, aff_threshold=(0.05, 0.995) if kind == "3d" else None)
    assert all(same_partition(one, other) for one, other in zip(made, published, strict=True))
    assert not same_partition(made[0], published[-1])


@needs_published
@pytest.mark.parametrize("kind", ["2d", "3d"])
@pytest.mark.parametrize("name", ["aff50_his256", "aff85_his256", "aff50_his256_all_contacts"])
def test_published_scores_of_segmentations(kind, name):
    given, results = fixture(), json.loads((PUBLISHED / "waterz" / "waterz.json").read_text())["results"]
    assert results["fragments"] == len(np.unique(given["fragments2d"]))
    for threshold in THRESHOLDS:
        expected = results[f"{kind}/{name}/{threshold}"]
        found = scores(given[f"{kind}/{name}/{threshold}"], given["ground_truth"])
        assert expected["segments"] == found["segments"]
        for key in ("voi_split", "voi_merge", "rand_split", "rand_merge"):
            assert found[key] == pytest.approx(expected[key], rel=1e-9), (threshold, key)


@needs_published
def test_thresholds_in_any_order_and_twice():
    affs = fixture()["affs_uint8"]
    ascending = segment(affs, [0.1, 0.3, 0.6])
    mixed = segment(affs, [0.6, 0.1, 0.3, 0.1])
    for one, other in zip(mixed, [ascending[2], ascending[0], ascending[1], ascending[0]], strict=True):
        assert same_partition(one, other)
    assert not same_partition(mixed[0], mixed[1])


@needs_published
def test_thresholds_of_affinities_count_in_3d_only(caplog):
    affs = fixture()["affs_uint8"]
    loose, tight = (segment(affs, [0.3], fragments="3d", aff_threshold=pair)[0] for pair in ((0.05, 0.995), (0.6, 0.8)))
    assert not same_partition(loose, tight)
    with caplog.at_level(logging.WARNING):
        warned, = segment(affs, [0.3], aff_threshold=(0.6, 0.8))
    assert "aff_threshold (0.6, 0.8) has no effect on fragments in 2-D" in caplog.text
    assert same_partition(warned, segment(affs, [0.3])[0])


def test_names_of_merge_functions():
    assert merge_function("aff50_his256") == "hist_quant_50_initmax"
    assert merge_function("aff85_his256") == "hist_quant_85_initmax"
    assert merge_function("max10") == "mean_max_10"
    assert merge_function("hist_quant_75") == "hist_quant_75"


@pytest.mark.parametrize("name", ["aff50", "aff50_his0", "aff50_his128", "aff51_his256", "max0", "max", "aff_his256", ""])
def test_names_that_are_none(name):
    with pytest.raises(UserError, match=r"merge function"):
        merge_function(name)


@needs_published
def test_the_greatest_affinities():
    """The more of them count, the more like the mean of all."""
    given = fixture()
    few, many = (segment(given["affs_uint8"], THRESHOLDS, name) for name in ("max1", "max9999"))
    of_all = segment(given["affs_uint8"], THRESHOLDS, "mean")
    assert all(same_partition(one, other) for one, other in zip(many, of_all, strict=True))
    assert len(np.unique(few[0])) < len(np.unique(of_all[0]))
    assert len(np.unique(segment(given["affs_uint8"], [0.5], "max2", fragments="3d")[0])) > 1


def test_too_few_channels():
    with pytest.raises(UserError, match=r"2 channels"):
        segment(np.ones((2, 2, 4, 4), np.float32), [0.5])


def cases():
    text = (METRICS / "pytc_metrics_e29beadc.json").read_text() if METRICS.is_dir() else "{}"
    return json.loads(text)


@needs_published
@pytest.mark.parametrize("case", [name for name in cases() if not name.startswith("clefts/")])
def test_published_rand_and_voi(case):
    with np.load(METRICS / "neuron_ids.npz") as file:
        segmentation, truth = file[f"{case}/seg"], file[f"{case}/gt"]
    expected = cases()[case]
    error, precision, recall = expected["adapted_rand(seg,gt,all_stats=True)"]
    assert adapted_rand(segmentation, truth) == pytest.approx(
        {"error": error, "precision": precision, "recall": recall}, rel=1e-9, abs=1e-12)
    assert voi(segmentation, truth) == pytest.approx(tuple(expected["voi(seg,gt)"]), rel=1e-9, abs=1e-12)


@needs_published
@pytest.mark.parametrize("case", [name.removeprefix("clefts/") for name in cases() if name.startswith("clefts/")])
def test_published_jaccard(case):
    key = "get_binary_jaccard(pred 0.9/0, gt>0, thres [.5,.95])"
    background = np.uint64(2**64 - 1)
    with np.load(METRICS / "clefts.npz") as file:
        test, truth = (file[f"{case}/{name}"] for name in ("test", "truth"))
    expected = cases()[f"clefts/{case}"][key]
    found = binary_jaccard(np.where(test == background, 0, 0.9), np.where(truth == background, 0, 1), [0.5, 0.95])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@needs_published
@pytest.mark.parametrize("pixels", [0.5, 1, 1.5, 2, 6.25])
def test_voxels_near_borders_do_not_count(pixels):
    with np.load(METRICS / "neuron_ids.npz") as file:
        section, band = file["identical/gt"][:1], file[f"border2d/{pixels}"]
    assert scores(section, section, gt_border=pixels)["voxels"] == np.count_nonzero(section[0][~band])
    assert scores(section, section)["voxels"] == np.count_nonzero(section) > np.count_nonzero(section[0][~band])


def test_names_say_which_rand_error():
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, (3, 20, 20))
    segmentation = np.where(random.random(truth.shape) < 0.2, 0, truth)
    found = scores(segmentation, truth)
    error, _, _ = adapted_rand_error(truth, segmentation, ignore_labels=(0,))
    assert found["adapted_rand_error"] == pytest.approx(error)
    assert found["snemi3d_rand_error"] == adapted_rand(segmentation, truth)["error"]
    assert found["snemi3d_rand_error"] != pytest.approx(found["adapted_rand_error"], rel=1e-3)
    assert {key: found[key] for key in ("voi_split", "voi_merge")} == {
        key: evaluate_segmentation(segmentation, truth)[key] for key in ("voi_split", "voi_merge")}
    assert contingency(segmentation, truth).voxels == np.count_nonzero(truth)
    assert not math.isnan(found["snemi3d_rand_error"])
