"""Training in this process: what it writes, where, and when."""

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import gunpowder as gp
import h5py
import numpy as np
import pytest

from lsd_experiments import networks
from lsd_experiments.checkpoints import find_checkpoint, read_checkpoint
from lsd_experiments.networks import Head
from lsd_experiments.networks.files import to_json
from lsd_experiments.prediction.loading import find_trained
from lsd_experiments.targets import DIRECT, SquaredError
from lsd_experiments.training.keys import LABELS, LABELS_MASK, head_keys, snapshot_names
from lsd_experiments.training.tensorboard import middle_section

MTLSD = {
    "volumes/raw", "volumes/labels/neuron_ids", "volumes/labels/mask", "volumes/labels/gt_mask",
    "volumes/gt_embedding", "volumes/pred_embedding", "volumes/embedding_gradient",
    "volumes/gt_affinities", "volumes/pred_affinities", "volumes/affs_gradient",
}  # fmt: skip


@pytest.fixture
def trained(make_run):
    """Five iterations, a checkpoint every two and a snapshot every three, of batches of two; then two more."""
    run, train = make_run(iterations=5, save_every=2, snapshot_every=3, batch_size=2)
    assert train() == 0
    resumed, train = make_run(iterations=7, save_every=2, snapshot_every=3)
    assert train() == 0
    return run, resumed


def snapshots(directory):
    return sorted(path.name for path in (directory / "snapshots").iterdir())


def test_what_is_written_and_when(trained, network):
    run, resumed = trained
    kept = sorted(path.name for path in run.directory.glob("*.h5"))
    assert kept == [f"train_net_checkpoint_{n}.weights.h5" for n in (2, 4, 5, 6, 7)]
    assert snapshots(run.directory) == [f"batch_{n}.hdf" for n in (1, 4, 6)]  # the first of each run, then every third
    assert resumed.start == 5
    assert sorted(path.name for path in run.directory.iterdir() if path.name.startswith(".")) == []
    record = find_checkpoint(run.directory).record
    assert record["seed"] == resumed.seed == 3
    assert record["input_shape"] == [16, 36, 32]
    assert record["voxel_size"] == [20, 9, 9]
    made_by = record["provenance"]
    assert made_by["stage"] == "train"
    assert made_by["parameters"]["iterations"] == 7
    assert made_by["parameters"]["learning_rate"] == 0.5e-4
    assert made_by["inputs"]["dataset"] == "zebrafinch"
    assert made_by["inputs"]["data"][0].endswith("volume.zarr")
    assert read_checkpoint(run.directory / kept[0]).network == network
    check_snapshot(run.directory / "snapshots" / "batch_4.hdf")
    check_log(run.directory / "log")


def check_snapshot(path):
    with h5py.File(path, "r") as file:
        found = {}
        file.visititems(lambda name, node: found.update({name: node}) if isinstance(node, h5py.Dataset) else None)
        assert set(found) == MTLSD
        shapes = {name: node.shape for name, node in found.items()}
        assert shapes["volumes/raw"] == (16, 36, 32)
        assert shapes["volumes/labels/neuron_ids"] == shapes["volumes/labels/mask"] == (4, 20, 16)
        assert shapes["volumes/gt_embedding"] == shapes["volumes/embedding_gradient"] == (10, 4, 20, 16)
        assert shapes["volumes/pred_affinities"] == shapes["volumes/labels/gt_mask"] == (3, 4, 20, 16)
        for name, node in found.items():
            assert node.attrs["resolution"].tolist() == [20, 9, 9]
            raw = name == "volumes/raw"
            assert node.attrs["offset"].tolist() == ([0, 0, 0] if raw else [6 * 20, 8 * 9, 8 * 9])
        raw = found["volumes/raw"][:]
        assert 0 <= raw.min() < raw.max() <= 1
        predicted = found["volumes/pred_affinities"][:]
        assert 0 < predicted.min() <= predicted.max() < 1
        assert file.attrs["iteration"] == 4
        assert file.attrs["loss"] > 0
        assert json.loads(file.attrs["provenance"])["parameters"]["batch_size"] == 2


def check_log(directory):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(directory), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    assert set(tags["scalars"]) == {"loss", "lsds_loss", "affs_loss"}
    assert set(tags["images"]) == MTLSD
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6, 7]
    total = [a.value + b.value for a, b in zip(events.Scalars("lsds_loss"), events.Scalars("affs_loss"), strict=True)]
    np.testing.assert_allclose([event.value for event in events.Scalars("loss")], total, rtol=1e-5)
    images = events.Images("volumes/raw")
    assert [image.step for image in images] == [1, 4, 6]
    assert (images[0].height, images[0].width) == (36, 32)
    assert images[0].encoded_image_string.startswith(b"\x89PNG")


def test_ten_and_ten_are_twenty(make_run):
    """Here by two calls, with all that varies; with kills between real processes in test_commands.py."""
    vary = {"warm_up": 3, "decay": (3, 7), "learning_rate": 0.01}
    for name, steps in (("straight", [8]), ("halves", [4, 8])):
        for iterations in steps:
            average = {"average_weights": 0.75} if iterations == steps[0] else {}  # later as in the checkpoint
            run, train = make_run(name, iterations=iterations, **vary, **average)
            assert train() == 0
    assert run.options.average_weights == 0.75
    assert run.step.logs["learning_rate"] == pytest.approx(0.0001)
    here, there = (find_checkpoint(run.directory.parent / name).path for name in ("straight", "halves"))
    weights = [all_arrays(path) for path in (here, there)]
    assert set(weights[0]) == set(weights[1])
    assert len(weights[0]) > 30  # moments, too
    assert sum(name.startswith("average/") for name in weights[0]) == len(run.step.model.model.trainable_variables)
    assert read_checkpoint(there).record["average"] == {"decay": 0.75, "steps": 8}
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array, weights[1][name])
    other, train = make_run("other", iterations=8, seed=4, **vary, average_weights=0.75)
    assert train() == 0
    different = all_arrays(find_checkpoint(other.directory).path)
    assert any(not np.array_equal(array, different[name]) for name, array in weights[0].items())


def all_arrays(path):
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return found


def test_a_loss_that_is_no_number_stops_with_its_batch_saved(make_run, capsys):
    run, train = make_run(iterations=9, save_every=1)
    start = run.step.start

    def broken(losses):
        trainer = start(losses)
        step, steps = trainer.step, []

        def diverge(*arrays):
            steps.append(step(*arrays))
            return {**steps[-1], "loss": float("nan")} if len(steps) == 3 else steps[-1]

        return Spy(trainer, diverge)

    run.step.start = broken
    assert train() == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: the loss of iteration 3 is nan: training stopped")
    assert "batch_3.hdf" in error
    assert find_checkpoint(run.directory).iteration == 2
    assert snapshots(run.directory) == ["batch_1.hdf", "batch_3.hdf"]
    with h5py.File(run.directory / "snapshots" / "batch_3.hdf", "r") as file:
        assert "volumes/raw" in file
        assert np.isnan(file.attrs["loss"])


class Spy:
    """A trainer with another step."""

    def __init__(self, trainer, step):
        self.trainer, self.step = trainer, step

    def __getattr__(self, name):
        return getattr(self.trainer, name)


def test_weights_that_are_no_numbers_are_not_saved(make_run, capsys):
    run, train = make_run(iterations=6, save_every=2, learning_rate=1e38)
    assert train() == 1
    assert "finite" in capsys.readouterr().err.splitlines()[-1]
    assert find_checkpoint(run.directory) is None


def test_one_head_and_names_of_fib25(make_run, experiment, network):
    baseline = replace(network, heads=(Head("affs", 3),), num_fmaps_out=None)
    run, train = make_run(iterations=1, network=baseline, experiment=replace(experiment, targets=experiment.targets[1:]))
    assert train() == 0
    with h5py.File(run.directory / "snapshots" / "batch_1.hdf", "r") as file:
        assert set(file["volumes"]) == {"raw", "labels", "gt_affinities", "pred_affinities", "affs_gradient"}
    lsds = experiment.targets[:1]
    assert "volumes/gt_lsds" in snapshot_names((Head("lsds", 10),), lsds).values()  # fib25 and hemibrain call them so
    assert "volumes/gt_embedding" in snapshot_names((Head("lsds", 10, "embedding"),), lsds).values()


def test_heads_say_what_they_are_where_their_names_do_not(make_run, experiment, network):
    """In the checkpoint, from where predictions take it; those of usual names are written as before."""
    run, train = make_run("usual", iterations=1)
    assert run.network == network
    assert train() == 0
    assert to_json(find_checkpoint(run.directory).network) == to_json(network)
    targets = (replace(experiment.targets[0], name="shape"), replace(experiment.targets[1], name="bonds"))
    renamed = replace(network, heads=(Head("shape", 10), Head("bonds", 3)))
    run, train = make_run("renamed", iterations=1, network=renamed, experiment=replace(experiment, targets=targets))
    assert train() == 0
    networks.write(renamed, "config", run.input_shape, run.directory)
    shape, bonds = find_trained(run.directory).network.heads
    assert (shape.target, shape.neighborhood) == ("descriptors", None)
    assert (bonds.target, bonds.neighborhood) == ("affinities", DIRECT)
    _, train = make_run("renamed", iterations=2, network=renamed, experiment=replace(experiment, targets=targets))
    assert train() == 0  # it goes on


class AddForeground(gp.BatchFilter):
    """1 where there is a label; only the labels mask counts."""

    keys = head_keys("cell")

    def setup(self):
        for key in (self.keys.target, self.keys.weights):
            spec = self.spec[LABELS].copy()
            spec.dtype = np.float32
            self.provides(key, spec)

    def prepare(self, request):
        deps = gp.BatchRequest()
        deps[LABELS] = deps[LABELS_MASK] = request[self.keys.target].copy()
        return deps

    def process(self, batch, request):
        outputs, roi = gp.Batch(), request[self.keys.target].roi
        for key, source in ((self.keys.target, LABELS), (self.keys.weights, LABELS_MASK)):
            spec = self.spec[key].copy()
            spec.roi = roi
            outputs[key] = gp.Array((batch[source].crop(roi).data > 0).astype(np.float32)[None], spec)
        return outputs


@dataclass(frozen=True)
class Foreground:
    """A target that the package does not know."""

    name: str = "cell"
    loss: SquaredError = SquaredError("sum_of_weights")  # noqa: RUF009  frozen
    channels: int = 1
    has_mask: ClassVar = False
    snapshot_name: ClassVar = None

    def context(self, voxel_size):
        return (0, 0, 0)

    def nodes(self, dataset, parity):
        return AddForeground()


def test_a_target_of_ones_own_is_all_that_a_head_needs(make_run, experiment, network):
    mine = replace(network, heads=(Head("cell", 1),), num_fmaps_out=None)
    run, train = make_run(iterations=1, network=mine, experiment=replace(experiment, targets=(Foreground(),)))
    assert train() == 0
    assert set(run.step.logs) == {"loss", "cell_loss"}
    with h5py.File(run.directory / "snapshots" / "batch_1.hdf", "r") as file:
        assert set(file["volumes"]) == {"raw", "labels", "gt_cell", "pred_cell", "cell_gradient"}
        labels, mask = file["volumes/labels/neuron_ids"][:], file["volumes/labels/mask"][:]
        np.testing.assert_array_equal(file["volumes/gt_cell"][0], labels > 0)
        np.testing.assert_array_equal(file["volumes/cell_gradient"][0] != 0, mask > 0)


def test_the_constructor_writes_nothing(make_run):
    run, _ = make_run()
    assert list(run.directory.iterdir()) == []


def test_middle_section_of_what_snapshots_hold():
    ids = np.array([0, 5, 5, 7], np.uint64).reshape(1, 2, 2)
    colours = middle_section(ids)
    assert not colours[0, 0].any()
    assert (colours[0, 1] == colours[1, 0]).all()
    assert (colours[0, 1] != colours[1, 1]).any()
    values = np.zeros((3, 3, 2, 2), np.float32)
    values[0, 1] = 1  # red, in the middle section only
    assert middle_section(values)[0, 0].tolist() == [255, 0, 0]
    signed = np.array([-0.5, 0.5], np.float32).reshape(1, 1, 2)
    assert middle_section(signed)[0, :, 0].tolist() == [0, 255]
    assert middle_section(np.full((1, 2, 2), np.nan, np.float32)).tolist() == [[[0] * 3] * 2] * 2
    assert middle_section(np.ones((1, 2, 2), np.uint8)).min() == 255
