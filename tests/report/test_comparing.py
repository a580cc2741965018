"""What is compared with what, which rows count, and how variants are named."""

import json
import shutil

import numpy as np
import pytest

from lsd_experiments.report import compare, read_results
from tests.report.making import NETWORKS, run_here_stages, save_network


def comparisons_of(*places, validation=()):
    return compare(read_results([str(place) for place in places]), read_results([str(place) for place in validation]))


def of_labels(*places, **more):
    (found,) = [comparison for comparison in comparisons_of(*places, **more) if comparison.kind == "labels"]
    return found


def change(path, what):
    summary = json.loads(path.read_text())
    what(summary)
    path.write_text(json.dumps(summary))


def test_seeds_are_one_variant(results):
    comparison = of_labels(results)
    assert [(variant.name, variant.seeds) for variant in comparison.variants] == [("mtlsd", [0, 1]), ("baseline", [0, 1])]
    sums = [
        min(
            row["voi_sum"]
            for row in json.loads((results / f"mtlsd_{seed}_hist_quant_50.json").read_text())["curves"]["hist_quant_50"]
        )
        for seed in (0, 1)
    ]
    first = comparison.variants[0]
    assert (first.mean("voi_sum"), first.spread("voi_sum")) == pytest.approx((np.mean(sums), abs(sums[0] - sums[1]) / 2**0.5))
    assert sums[1] > sums[0] > 0


def test_one_seed_has_no_spread(results):
    comparison = of_labels(results / "mtlsd_0.toml")
    assert [(variant.seeds, variant.spread("voi_sum")) for variant in comparison.variants] == [([0], None)]


def test_run_lengths_of_the_same_threshold_stand_beside_labels(results):
    comparison = of_labels(results / "mtlsd_0.toml")
    (chosen,) = comparison.variants[0].chosen
    rows = json.loads((results / "mtlsd_0_hist_quant_50.json").read_text())["curves"]["hist_quant_50, skeletons"]
    assert chosen.get("erl") == next(row["erl"] for row in rows if row["threshold"] == chosen.row["threshold"])
    assert chosen.get("voi_sum") == chosen.row["voi_sum"]  # not that of nodes


@pytest.mark.parametrize(
    "what",
    [
        lambda summary: summary["curves"]["hist_quant_50"].pop(),
        lambda summary: summary["provenance"]["inputs"]["labels"].update(fingerprint="sha256:other"),
        lambda summary: summary["provenance"]["parameters"].update(roi_offset=[200, 90, -45], roi_shape=[520, 351, 351]),
        lambda summary: summary["provenance"]["inputs"]["luts"].update(name="hist_quant_75"),
    ],
    ids=["thresholds", "labels", "region", "merge function"],
)
def test_others_are_not_compared(copied, what):
    change(copied / "baseline_0_hist_quant_50.json", what)
    found = [
        {variant.name for variant in comparison.variants}
        for comparison in comparisons_of(copied / "mtlsd_0.toml", copied / "mtlsd_1.toml", copied / "baseline_0.toml")
        if comparison.kind == "labels"
    ]
    assert found == [{"mtlsd"}, {"baseline"}]


def test_another_name_of_the_truth_is_the_same_truth(copied):
    """Its fingerprint counts, as long as its name does not say more: a result from a moved container."""
    change(
        copied / "baseline_0_hist_quant_50.json",
        lambda summary: summary["provenance"]["inputs"]["labels"].update(name="moved.zarr:labels"),
    )
    assert len(of_labels(copied / "mtlsd_0.toml", copied / "baseline_0.toml").variants) == 2


def test_other_parameters_are_another_variant(copied):
    (copied / "again.toml").write_text(
        (copied / "mtlsd_0.toml")
        .read_text()
        .replace("mtlsd_0.zarr", "again.zarr")
        .replace("[fragments]", '[fragments]\naffs_file = "mtlsd_0.zarr"\nmin_seed_distance = 3')
    )
    run_here_stages(copied / "again.toml", 1)
    comparison = of_labels(copied / "mtlsd_0.toml", copied / "again.toml")
    assert sorted(variant.name for variant in comparison.variants) == [
        "mtlsd (min_seed_distance 10)",
        "mtlsd (min_seed_distance 3)",
    ]
    assert sorted(comparison.differences["extract_fragments.min_seed_distance"]) == ["10", "3"]
    named = of_labels(f"both={copied / 'mtlsd_0.toml'}", f"both={copied / 'again.toml'}")
    assert [variant.name for variant in named.variants] == ["both"]
    assert named.differences == {"extract_fragments.min_seed_distance": ["10, 3"]} or named.differences == {
        "extract_fragments.min_seed_distance": ["3, 10"]
    }


def test_options_of_training_are_another_variant(copied):
    save_network(copied / "other/seed0/mtlsd", NETWORKS["mtlsd"], 0, average_weights=0.5, decay=(2, 4))
    config = (copied / "mtlsd_0.toml").read_text().replace('"networks/', '"other/')
    (copied / "averaged.toml").write_text(config.replace("[evaluate]", '[evaluate]\nout_prefix = "averaged"'))
    shutil.copy(copied / "mtlsd_0_hist_quant_50.json", copied / "averaged.json")
    change(copied / "averaged.json", lambda summary: summary["provenance"].update(key="averaged"))
    comparison = of_labels(copied / "mtlsd_0.toml", copied / "averaged.toml")
    assert sorted(variant.name for variant in comparison.variants) == [
        "mtlsd (average_weights -, decay -)", "mtlsd (average_weights 0.5, decay 2 4)"]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_validations_the_one_that_was_made_alike(copied, order):
    def at(threshold, function):
        def change_it(summary):
            for row in summary["curves"]["hist_quant_50"]:
                row["voi_sum"] = 0.0 if row["threshold"] == threshold else 9.0
            summary["provenance"]["key"] = function
            summary["provenance"]["inputs"]["luts"]["name"] = function
        return change_it

    config = (copied / "mtlsd_0.toml").read_text()
    before = json.loads((copied / "mtlsd_0_hist_quant_50.json").read_text())["provenance"]["inputs"]["luts"]["name"]
    for threshold, function in ((0.75, before), (0.25, "another")):
        name = f"validation_{threshold}"
        (copied / f"{name}.toml").write_text(config.replace("[evaluate]", f'[evaluate]\nout_prefix = "{name}"'))
        shutil.copy(copied / "mtlsd_0_hist_quant_50.json", copied / f"{name}.json")
        change(copied / f"{name}.json", at(threshold, function))
    validation = [copied / "validation_0.75.toml", copied / "validation_0.25.toml"][::order]
    chosen = of_labels(copied / "mtlsd_0.toml", validation=validation).variants[0].chosen[0]
    assert (chosen.row["threshold"], chosen.by) == (0.75, "validation")


def test_thresholds_of_a_validation(copied):
    path = copied / "mtlsd_0_hist_quant_50.json"
    text = path.read_text()

    def worse(summary):
        for row in summary["curves"]["hist_quant_50"]:
            row["voi_sum"] = 0.0 if row["threshold"] == 0.75 else 9.0
        summary["provenance"]["key"] = "validation"

    change(path, worse)
    (copied / "validation.json").write_text(path.read_text())
    (copied / "validation.toml").write_text(
        (copied / "mtlsd_0.toml").read_text().replace("[evaluate]", '[evaluate]\nout_prefix = "validation"')
    )
    path.write_text(text)
    chosen = of_labels(copied / "mtlsd_0.toml", validation=[copied / "validation.toml"]).variants[0].chosen[0]
    free = of_labels(copied / "mtlsd_0.toml").variants[0].chosen[0]
    assert (chosen.row["threshold"], chosen.by, free.row["threshold"], free.by) == (
        0.75,
        "validation",
        free.row["threshold"],
        "test",
    )
    assert free.row["threshold"] != 0.75
    other = of_labels(copied / "mtlsd_1.toml", validation=[copied / "validation.toml"]).variants[0].chosen[0]
    assert other.by == "test"  # another seed's threshold is not taken
