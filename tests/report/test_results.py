"""What is read of results, and what is refused."""

import json

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.networks import Head, Network
from lsd_experiments.networks.layers import gflop, parameters
from lsd_experiments.networks.network import Input
from lsd_experiments.prediction.autocontext import lsds_record
from lsd_experiments.prediction.loading import find_trained
from lsd_experiments.report import read_results
from lsd_experiments.report.costs import cost_of
from tests.report.making import LAST, NETWORKS, save_network


def read(*places):
    return read_results([str(place) for place in places])


def by_name(results):
    return {(result.network, result.kind): result for result in results}


def test_configurations_of_a_directory(results):
    found = by_name(read(results))
    assert sorted(found) == sorted(
        (f"seed{seed}/{name}", kind) for seed in (0, 1) for name in NETWORKS for kind in ("labels", "skeletons")
    )
    one = found["seed1/mtlsd", "labels"]
    assert [row["threshold"] for row in one.rows] == [0, 0.25, 0.5, 0.75]
    assert (one.iteration, one.training.seed, [*one.made], one.lacks) == (
        LAST,
        1,
        ["evaluate", "extract_fragments", "predict"],
        [],
    )
    scored = json.loads((results / "mtlsd_1_hist_quant_50.json").read_text())
    assert one.rows == scored["curves"]["hist_quant_50"]


def test_the_curves_of_a_training_end_at_its_checkpoint(results):
    found = by_name(read(results / "baseline_0.toml", results / "baseline_1.toml"))
    first, second = (found[f"seed{seed}/baseline", "labels"].training for seed in (0, 1))
    assert first.curves["loss"] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3)), (4, 0.25)]
    assert (first.curves["validation loss"], second.curves.get("validation loss")) == ([(2, 0.25), (4, 0.125)], None)


def test_a_log_that_ends_within_a_record(copied):
    """A killed process leaves one; what is before it counts."""
    file = next((copied / "networks/seed0/mtlsd/log").iterdir())
    file.write_bytes(file.read_bytes()[:-5])
    training = read(copied / "mtlsd_0.toml")[0].training
    assert [step for step, _ in training.curves["loss"]] == [1, 2, 3, 4]
    file.write_bytes(file.read_bytes()[:20])
    assert "loss" not in read(copied / "mtlsd_0.toml")[0].training.curves


def test_costs(results):
    found = by_name(read(results))
    first, second = (cost_of(found[f"seed{seed}/mtlsd", "labels"]) for seed in (0, 1))
    assert (first.training, second.training) == (100, None)
    voxels = np.prod(NETWORKS["mtlsd"].output_shape(NETWORKS["mtlsd"].smallest_input_shape))
    # of the last start of a worker, and of the one before it: 4 runs in 2 s
    assert first.prediction == pytest.approx(2 / 4 / voxels * 1e6)
    assert first.step == pytest.approx(3 * first.operations * voxels * 1e-6)


def test_costs_of_auto_context(copied):
    """Those of the frozen network come on top: its weights, its passes over as many voxels, and one pass in each step."""
    lsd = Network(2, 1, ((1, 2, 2),), (Head("lsds", 10),))
    acrlsd = Network(2, 1, ((1, 2, 2),), (Head("affs", 3),), inputs=(Input(), Input("lsds", 10)))
    networks = copied / "networks/seed0"
    save_network(networks / "lsd", lsd, 0)
    save_network(networks / "acrlsd", acrlsd, 0, {"lsds": lsds_record(find_trained(networks / "lsd"))})
    text = (copied / "mtlsd_0.toml").read_text()
    (copied / "mtlsd_0.toml").write_text(text.replace("seed0/mtlsd", "seed0/acrlsd"))
    result = read(copied / "mtlsd_0.toml")[0]
    shape = acrlsd.smallest_input_shape
    before = lsd.input_shape_for(shape)
    cost, pass_before = cost_of(result), gflop(lsd, before)
    assert result.lacks == []
    assert cost.parameters == parameters(lsd) + parameters(acrlsd)
    each = gflop(acrlsd, shape) / np.prod(acrlsd.output_shape(shape)) + pass_before / np.prod(lsd.output_shape(before))
    assert cost.operations == pytest.approx(each * 1e3)
    assert cost.step == pytest.approx((3 * gflop(acrlsd, shape) + pass_before) / 1e3)
    assert cost.prediction is None  # two networks ran, or one read what the other had made: the logs do not say which
    (networks / "lsd/train_net_checkpoint_4.weights.h5").unlink()
    without = read(copied / "mtlsd_0.toml")[0]
    assert (cost_of(without).parameters, cost_of(without).operations) == (None, None)
    assert "acrlsd needs the network" in without.lacks[0]


def test_costs_of_a_queue(copied):
    """Of all jobs of this directory until the checkpoint's iteration; the training's own file comes first."""
    jobs = {"networks/seed1/mtlsd/2": 10.0, "networks/seed1/mtlsd/4": 20.5, "networks/seed1/mtlsd/6": 99.0,
            "networks/seed1/mtlsd/4/test": 7.0, "networks/seed0/mtlsd/4": 1.0}
    (copied / "queue.json").write_text(json.dumps({name: {"seconds": seconds} for name, seconds in jobs.items()}))
    found = by_name(read(copied / "mtlsd_0.toml", copied / "mtlsd_1.toml", copied / "baseline_1.toml"))
    costs = {network: cost_of(result).training for (network, kind), result in found.items() if kind == "labels"}
    assert costs == {"seed0/mtlsd": 100, "seed1/mtlsd": 30.5, "seed1/baseline": None}


def test_scores_without_a_configuration(copied):
    (labels, skeletons) = read(copied / "mtlsd_0_hist_quant_50.json")
    assert (labels.kind, skeletons.kind, labels.network, labels.training, labels.has_volumes) == (
        "labels",
        "skeletons",
        "seed0/mtlsd",
        None,
        False,
    )


def test_the_same_scores_twice_are_one_result(results):
    assert len(read(results, results / "mtlsd_0.toml", results / "mtlsd_0_hist_quant_50.json")) == len(read(results))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere", "no such file or directory"),
        ("networks", "holds no scores"),
        ("skeletons.csv", "'skeletons.csv' is no|skeletons.csv"),
        ("bad.json", "not what evaluate.py writes"),
        ("new.toml", "holds no scores"),
        ("without.toml", r"has no \[evaluate\]"),
    ],
)
def test_what_is_refused(copied, place, said):
    (copied / "bad.json").write_text('{"scores": {}}')
    text = (copied / "mtlsd_0.toml").read_text()
    (copied / "new.toml").write_text(text.replace("mtlsd_0.zarr", "new.zarr"))
    (copied / "without.toml").write_text(text.partition("[evaluate]")[0])
    with pytest.raises(UserError, match=said):
        read(copied / place)


def test_fragments_that_were_made_anew_are_not_taken(copied):
    """Their provenance is no longer that which the scores name."""
    path = copied / "mtlsd_0.zarr/volumes/fragments/.zattrs"
    attrs = json.loads(path.read_text())
    attrs["provenance"]["key"] = "0" * 16
    path.write_text(json.dumps(attrs))
    (result, _) = read(copied / "mtlsd_0.toml")
    assert (result.has_volumes, result.lacks) == (False, ["the fragments are not those that were scored: no blocks, no pictures"])
