"""All outputs of the published toolbox that need no network: equal under ``parity``, and by default where it has no defect."""

import csv
import json
import zipfile

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.aligning import load_aligned
from lsd_experiments.families.cellmap.classes import INSTANCES, TESTED, excluded_by
from lsd_experiments.families.cellmap.evaluation import Rules, evaluate
from lsd_experiments.families.cellmap.manifest import Target, read_manifest, write_manifest
from lsd_experiments.families.cellmap.packing import pack
from lsd_experiments.families.cellmap.sources import Level, open_tree
from lsd_experiments.families.cellmap.split import Layout, counts, divide, find_crops, published_sides, read_split, write_split
from lsd_experiments.families.cellmap.validating import validate
from tests.published import PUBLISHED, needs_published

CSC = PUBLISHED / "csc"
pytestmark = needs_published

OURS = {"rules", "parity", "version", "beside", "git_version"}
# The published shift is off by one where source or target lie between multiples of the target's voxels.
SHIFTED = {"instance shift 7.9 0.1 -0.1", "target off grid, shift 8.0", "target off grid, shift 16.0"}
# Scores that differ by default: of strays that are taken for parts of partners, of a moved crop off the grid, of too many
# instances, of groups of levels.
DIFFERS = {"2026-06": {"perfect", "errors", "missing", "half_resolution", "double_resolution", "shifted", "offset_plus_one",
                       "no_metadata", "many_instances", "logits", "no_prefix", "multiscale_group"},
           "2025-09": {"offset_plus_one", "multiscale_group"}}
FILES = {"2026-06": "2026-06-30", "2025-09": "2025-09-09"}


def read(name):
    return json.loads((CSC / name).read_text()) if CSC.is_dir() else {}


def cases():
    return [(rules, name) for rules, file in FILES.items() for name in read(f"results_{file}.json")]


def same(published, ours, where=""):
    """What differs: counts and texts exactly, scores by more than 1e-6."""
    if isinstance(published, dict):
        keys = published.keys() ^ ours.keys()
        found = [f"{where}/{key} is there once" for key in sorted(keys - OURS)]
        return found + [line for key in published.keys() & ours.keys() - OURS for line in same(published[key], ours[key],
                                                                                             f"{where}/{key}")]
    if isinstance(published, float) and isinstance(ours, (int, float)):
        return [] if ours == pytest.approx(published, abs=1e-6, rel=1e-6) else [f"{where}: {published}, ours {ours}"]
    return [] if published == ours else [f"{where}: {published}, ours {ours}"]


def results(name, rules, parity):
    return evaluate(CSC / f"submission_{name}.zip", CSC / "ground_truth.zarr.zip", Rules(rules, parity),
                    read_manifest(CSC / "test_crop_manifest.csv"))


@pytest.mark.parametrize(("rules", "name"), cases())
def test_scores(rules, name):
    published = read(f"results_{FILES[rules]}.json")[name]
    if "error" in published:
        with pytest.raises(UserError, match="none of the crops"):
            results(name, rules, parity=True)
        return
    for parity in (True, False):
        result, extended = results(name, rules, parity)
        assert (result["rules"], result["parity"]) == (rules, parity)
        different = same(published["result.json"], result)
        if published["result_extended.json"]:
            different += same(published["result_extended.json"], extended)
        assert bool(different) == (not parity and name in DIFFERS[rules]), different[:5]


def test_what_the_defects_hide():
    """The right values: of what is equal to the truth, or cut off it, by default and, for comparison, with parity."""
    result, extended = results("many_instances", "2026-06", parity=False)
    assert extended["crop501"]["mito"] | {"voxel_size": 0} == {
        "tp": 0, "fp": 0, "fn": 5, "hausdorff_norm_sum": 0.0, "n_hausdorff": 5, "status": "skipped_too_many_instances",
        "num_voxels": 34560, "voxel_size": 0, "is_missing": False}
    assert result["label_scores"]["mito"]["combined_score"] == 0
    assert results("many_instances", "2026-06", parity=True)[0]["label_scores"]["mito"]["combined_score"] == 1  # published
    for rules in ("2026-06", "2025-09"):
        result, _ = results("multiscale_group", rules, parity=False)
        assert result["label_scores"]["er"]["iou"] == 1
    assert results("no_prefix", "2025-09", parity=False)[0]["overall_score"] == pytest.approx(
        results("perfect", "2025-09", parity=False)[0]["overall_score"])


def test_a_crop_off_the_grid_that_begins_a_voxel_later_loses_only_that_voxel():
    _, extended = results("offset_plus_one", "2026-06", parity=False)
    _, perfect = results("perfect", "2026-06", parity=False)
    _, published = results("offset_plus_one", "2026-06", parity=True)
    right, wrong = extended["crop502"]["er"], published["crop502"]["er"]
    assert (right["fp"], right["tp"] + right["fn"]) == (0, perfect["crop502"]["er"]["tp"])
    assert wrong["fp"] > 0


@pytest.mark.parametrize("name", sorted(read("load_aligned.json")))
def test_alignment(name):
    about, arrays = read("load_aligned.json")[name], np.load(CSC / "load_aligned.npz")

    def triple(values):
        return None if values is None else tuple(values)

    if about["levels"] is None:
        place = triple(about["source_translation"])
        levels = [Level(name, arrays[f"{name}/source"], triple(about["source_voxel_size"]), place, place, "array")]
    else:
        levels = [Level(name, arrays[f"{name}/source_s{number}"], triple(size), triple(place), triple(place), about["kind"])
                  for number, (size, place) in enumerate(about["levels"])]
    target = Target("crop1", "made", about["class"], tuple(about["target_voxel_size"]), tuple(about["target_translation"]),
                    tuple(about["target_shape"]))
    if "error" in about:
        with pytest.raises(UserError, match="9709 times the voxels"):
            load_aligned(levels, target)
        return
    for parity in (True, False):
        ours, published = load_aligned(levels, target, parity=parity), arrays[f"{name}/result"]
        assert ours.dtype == published.dtype
        assert np.array_equal(ours, published) == (parity or name not in SHIFTED)


def test_class_relations():
    published = read("class_relations.json")
    assert excluded_by() == published["all_classes_excluded_by"]
    assert list(TESTED) == published["tested_classes"]
    assert list(INSTANCES) == published["instance_classes"]
    for key in (key for key in published if key.startswith("subset ")):
        assert excluded_by(key.removeprefix("subset ").split(",")) == published[key]


def test_the_manifest(tmp_path):
    targets = read_manifest(CSC / "test_crop_manifest.csv")
    assert len(targets) == 13
    write_manifest(tmp_path / "again.csv", targets)
    assert (tmp_path / "again.csv").read_text() == (CSC / "test_crop_manifest.csv").read_text()


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("split")
    with zipfile.ZipFile(CSC / "datasplit_tree.zip") as archive:
        archive.extractall(root)
    return root


@pytest.mark.parametrize("name", sorted(name for name, about in read("datasplit.json").items() if "file" in about))
def test_splits(tree, tmp_path, name):
    """The same rows of the same draws; and read again as what they say."""
    about = read("datasplit.json")[name]
    options, classes = about["options"], about["options"]["classes"]
    ratio, force = options.get("validation_prob", 0.1), options.get("force_all_classes", False)
    found = find_crops(layout(tree), classes, options.get("scale"), options.get("datasets", ["*"]), options.get("crops", ["*"]))
    by_place = {f"{crop.labels}/{crop.group}": crop for crop in found}
    order = [(place.replace("{ROOT}", str(tree)), there) for place, there in about["order_found_on_this_disk"]]
    assert {place for place, there in order if there and "no_raw" not in place} == set(by_place)
    sides = published_sides([(there, place in by_place) for place, there in order], about["uniform_draw_per_crop_in_that_order"],
                            classes, ratio, force)
    divided = [(side, by_place[place]) for (place, _), side in zip(order, sides, strict=True) if side]
    write_split(tmp_path / "ours.csv", divided)
    published = (CSC / about["file"]).read_text().replace("{ROOT}", str(tree))
    assert (tmp_path / "ours.csv").read_text() == published
    rows = read_split(tmp_path / "ours.csv")
    assert [(row.side, row.group, row.classes) for row in rows] == [(side, crop.group, crop.classes) for side, crop in divided]
    # The published draw leaves a side empty; ours does not.
    if len(found) > 1:
        assert {side for side, _ in divide(found, classes, min(max(ratio, 0.1), 0.9), 1, force)} == {"train", "validate"}


def test_counts(tree):
    published = read("datasplit.json")["get_counts"]
    assert counts(layout(tree), ("nuc", "er", "mito")) == {name.removesuffix(".zarr"): found for name, found in published.items()}


def test_an_absent_class(tree):
    assert find_crops(layout(tree), ["golgi"]) == []


def layout(tree):
    return Layout(f"{tree}/{{dataset}}/{{dataset}}.zarr/recon-1/{{name}}")


def test_packing(tmp_path):
    """What was processed, packed: as published, but for ids above 255, which are kept."""
    with zipfile.ZipFile(CSC / "processed_tree.zip") as archive:
        archive.extractall(tmp_path / "processed")
    targets = read_manifest(CSC / "test_crop_manifest.csv")
    told = pack(str(tmp_path / "processed/{dataset}.zarr/{crop}"), tmp_path / "submission.zarr", targets)
    about, published = read("packed.json")["crops"], open_tree(CSC / "submission_packed_by_csc.zip")
    assert told.missing == ["crop501/mito_mem", "crop501/ecs", "crop504/mito_mem"]
    assert sorted(told.packed) == sorted(f"{crop}/{label}" for crop, labels in about.items() for label in labels)
    ours, truth = open_tree(tmp_path / "submission.zip"), open_tree(CSC / "ground_truth.zarr.zip")
    for name in told.packed:
        crop, label = name.split("/")
        values, wrapped = ours.array(name)[:], published.array(name)[:]
        assert np.array_equal(values.astype(np.uint8), wrapped), name
        assert (ours.attrs(name), values.shape) == (about[crop][label]["attrs"], wrapped.shape)
        if about[crop][label]["distinct_in_truth"] > 256:
            assert values.dtype == np.uint16
            assert len(np.unique(values)) == about[crop][label]["distinct_in_truth"]
            assert not np.array_equal(values, wrapped)
        else:
            assert values.dtype == np.uint8
        assert np.array_equal(values, truth.array(name)[:]), name
    with (CSC / "test_crop_manifest.csv").open() as file:
        assert {f"crop{row[0]}" for row in list(csv.reader(file))[1:]} == set(about)


@pytest.mark.parametrize(("name", "finding"), [
    ("perfect", None), ("empty", "holds nothing but zeros"), ("missing", "crop504 is missing"), ("no_prefix", "Rename it"),
    ("multiscale_group", "group of scale levels"), ("no_metadata", "no attribute voxel_size"), ("logits", "Threshold"),
    ("half_resolution", "resampled"), ("offset_plus_one", "off the published evaluation's grid"),
    ("packed_by_csc", "all 255 ids of uint8"), ("shifted", "it is moved by"), ("double_resolution", "is scored at"),
])
def test_findings(name, finding):
    findings = validate(CSC / f"submission_{name}.zip", read_manifest(CSC / "test_crop_manifest.csv"))
    assert findings == [] if finding is None else any(finding in line for line in findings), findings
    assert not any("\n" in line for line in findings)
