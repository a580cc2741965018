"""The MALIS loss and its phase: value and gradient on every backend, the switch, and stops on either side of it."""

import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

from lsd_experiments import frameworks
from lsd_experiments.checkpoints import find_checkpoint
from lsd_experiments.malis import connected_objects, edge_weights, malis_weights
from lsd_experiments.networks import Head, Network
from lsd_experiments.targets import DIRECT, Affinities, SquaredError
from lsd_experiments.training import Malis, Phase
from tests.scripts import of_backend, run_script

AFFS, AFFS_ONLY = Affinities(), Network(1, 2, ((1, 2, 2),), (Head("affs", 3),))

SCRIPT = """
import sys
from lsd_experiments import frameworks
frameworks.import_keras()
import keras
import numpy as np
from lsd_experiments.networks import Head, Network
from lsd_experiments.targets import Affinities, SquaredError
from lsd_experiments.training import Adam, Malis
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.trainable import TrainableModel
with np.load(sys.argv[1]) as arrays:
    raw, targets, usual, known, *weights = (arrays[name] for name in arrays)
network = Network(1, 1, ((1, 2, 2),), (Head("affs", 3),))
trainer = TrainableModel.start(network, network.smallest_input_shape, TrainingOptions(1, learning_rate=0.01),
                        Adam(), {"affs": SquaredError().in_keras(Affinities())}, 1, None)
trainer.model.set_weights(weights)
losses = [trainer.step({"raw": raw}, {"affs": targets}, {"affs": usual})["loss"]]
trainer.use_losses({"affs": Malis().in_keras(Affinities())})
losses += [trainer.step({"raw": raw}, {"affs": targets}, {"affs": known})["loss"] for _ in range(2)]
print(keras.backend.backend(), int(trainer.model.optimizer.iterations), *losses)
"""


def affinities(labels):
    """[c, z, y, x], 1 where a voxel and its neighbour carry the same non-zero label; 0 where there is no neighbour."""
    found = np.zeros((3, *labels.shape), np.float32)
    found[0, 1:] = (labels[1:] == labels[:-1]) & (labels[1:] > 0)
    found[1, :, 1:] = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] > 0)
    found[2, :, :, 1:] = (labels[:, :, 1:] == labels[:, :, :-1]) & (labels[:, :, 1:] > 0)
    return found


@pytest.fixture
def example():
    """Targets, a prediction whose values all differ, and mask and objects, of two samples: [b, c, z, y, x]."""
    random = np.random.default_rng(5)
    labels = random.integers(0, 3, (2, 3, 4, 5))
    objects = np.stack([connected_objects(sample) for sample in labels])
    targets = np.stack([affinities(sample) for sample in labels])
    prediction = random.permutation(np.linspace(0.02, 0.98, targets.size)).reshape(targets.shape).astype(np.float32)
    mask = random.random(targets.shape) < 0.8
    return targets, prediction, np.concatenate((mask, objects[:, None]), axis=1, dtype=np.float32)


def loss(targets, prediction, known):
    """By the definition: the mean over samples of sum(weights * error^2)."""
    weights = [
        np.add(*malis_weights(prediction[i], known[i, -1], DIRECT, known[i, :-1] > 0)) for i in range(len(prediction))
    ]
    return float((np.stack(weights) * (prediction.astype(float) - targets) ** 2).sum() / len(prediction))


def last(array):
    return np.moveaxis(array, 1, -1)


def test_value_and_gradient_of_the_loss(example):
    tf = pytest.importorskip("tensorflow")
    frameworks.import_keras()
    targets, prediction, known = example
    given = tf.Variable(last(prediction))
    with tf.GradientTape() as tape:
        value = Malis().in_keras(AFFS)(tf.constant(last(np.concatenate((targets, known), axis=1))), given)
    assert float(value) == pytest.approx(loss(*example), rel=1e-5)
    found = np.moveaxis(tape.gradient(value, given).numpy(), -1, 1)
    np.testing.assert_allclose(found, Malis().gradient(AFFS, prediction, targets, known), rtol=1e-5, atol=1e-9)
    # A step so small that the order of affinities, and so the spanning tree, does not change.
    step = float(np.diff(np.sort(prediction.ravel())).min()) / 8
    for index in list(np.ndindex(*prediction.shape))[::5]:
        up, down = prediction.astype(float), prediction.astype(float)
        up[index] += step
        down[index] -= step
        numeric = (loss(targets, up, known) - loss(targets, down, known)) / (2 * step)
        assert found[index] == pytest.approx(numeric, rel=1e-3, abs=1e-6)
    assert np.count_nonzero(found) > 20


def test_the_gradient_is_not_that_of_the_usual_loss(example):
    """The control."""
    targets, prediction, known = example
    usual = SquaredError().gradient(AFFS, prediction, targets, known[:, :3])
    assert not np.allclose(usual, Malis().gradient(AFFS, prediction, targets, known))


def test_the_phase_of_an_iteration(experiment):
    """It is the loss of the step that follows the iteration; the LSDs' is the usual one in both phases."""
    phased = replace(experiment, phases=(Phase(after=2, target="affs", loss=Malis()),))
    usual = {"lsds": SquaredError(), "affs": SquaredError()}
    assert [phased.losses(iteration) for iteration in (0, 1, 2, 3)] == [usual] * 2 + [{**usual, "affs": Malis()}] * 2
    assert phased.with_malis_from(0).losses(0)["affs"] == Malis()
    assert experiment.losses(10**6) == usual


def test_samples_of_a_batch_weigh_alike(example):
    _, prediction, known = example
    weights = edge_weights(prediction, known, DIRECT)
    for i in range(2):
        assert weights[i].sum() == pytest.approx(2 / 2, rel=1e-5)  # two passes, two samples
        alone = edge_weights(prediction[i : i + 1], known[i : i + 1], DIRECT)
        np.testing.assert_allclose(weights[i], alone[0] / 2, rtol=1e-6)


@pytest.fixture
def steps(tmp_path, capsys):
    """The losses of a usual step and two of MALIS, as TensorFlow has them here; and the file of what went into them."""
    pytest.importorskip("tensorflow")
    network = Network(1, 1, ((1, 2, 2),), (Head("affs", 3),))
    shape = network.smallest_input_shape
    random = np.random.default_rng(6)
    labels = random.integers(0, 3, network.output_shape(shape))
    targets, objects = affinities(labels)[None], connected_objects(labels)[None, None]
    raw = random.uniform(-1, 1, (1, 1, *shape))
    frameworks.import_keras()
    weights = [random.normal(0, 0.5, weight.shape) for weight in network.build(shape).get_weights()]
    path = tmp_path / "arrays.npz"
    known = np.concatenate((np.ones_like(targets), objects), axis=1)
    np.savez(path, raw, targets, np.ones_like(targets), known, *weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["", str(path)])
        exec(compile(SCRIPT, "steps", "exec"), {})
    return path, capsys.readouterr().out.split()


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_give_the_same_losses(steps, backend):
    pytest.importorskip(backend)
    path, expected = steps
    ran = run_script("-c", SCRIPT, path, env=of_backend(backend), frameworks=True)
    assert ran.returncode == 0, ran.stderr
    name, iterations, *losses = ran.stdout.split()
    assert (name, iterations, len(losses)) == (backend, "3", 3)
    assert expected[:2] == ["tensorflow", "3"]
    np.testing.assert_allclose([float(loss) for loss in losses], [float(loss) for loss in expected[2:]], rtol=1e-3)
    assert float(losses[2]) < float(losses[1])


def all_arrays(path):
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return found


@pytest.fixture
def train_until(make_run, experiment):
    """A function that trains until each of ``stops`` in turn; it gives the last run, and the weights and moments after it."""

    def train_until(name, *stops, malis_from):
        phases = () if malis_from is None else (Phase(malis_from, "affs", Malis()),)
        affs_only = replace(experiment, targets=experiment.targets[1:], phases=phases)
        for iterations in stops:
            run, train = make_run(name, network=AFFS_ONLY, experiment=affs_only, iterations=iterations, snapshot_every=2)
            assert train() == 0
            assert find_checkpoint(run.directory).iteration == iterations  # N is the last one, whatever the start
        return run, all_arrays(find_checkpoint(run.directory).path)

    return train_until


def test_stops_around_the_switch_change_nothing(train_until):
    run, straight = train_until("straight", 4, malis_from=2)
    resumed, parts = train_until("parts", 1, 2, 3, 4, malis_from=2)
    assert (run.start, resumed.start) == (0, 3)
    assert set(straight) == set(parts)
    assert len(straight) > 10  # moments, too
    for name, array in straight.items():
        np.testing.assert_array_equal(array, parts[name])
    check_log(run.directory / "log")
    check_snapshots(run.directory / "snapshots")


def test_the_switch_of_the_start_is_kept(train_until, experiment):
    """Unless another one is asked for; a training that begins has the experiment's."""
    from lsd_experiments.training.options import TrainingOptions
    from lsd_experiments.training.preparing import decided

    run, _ = train_until("kept", 1, malis_from=2)
    phased = replace(experiment, phases=(Phase(10_000, "affs", Malis()),))
    for asked, checkpoint, expected in ((None, find_checkpoint(run.directory), 2), (None, None, 10_000),
                                        (7, find_checkpoint(run.directory), 7)):
        found, options = decided(phased, TrainingOptions(5, malis_from=asked), checkpoint)
        assert (found.malis_from, options.malis_from) == (expected, expected)


def check_log(directory):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    events.Reload()
    steps = {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert steps == {"loss": [1, 2, 3, 4], "affs_loss": [1, 2], "malis_loss": [3, 4]}


def check_snapshots(directory):
    assert sorted(path.name for path in directory.iterdir()) == ["batch_1.hdf", "batch_3.hdf"]
    with h5py.File(directory / "batch_3.hdf") as file:
        target, prediction, gradient = (
            file[f"volumes/{name}"][:] for name in ("gt_affinities", "pred_affinities", "affs_gradient")
        )
        assert set(file["volumes/labels"]) == {"neuron_ids", "mask", "gt_affs_mask"}
        objects, mask = connected_objects(file["volumes/labels/neuron_ids"][:]), file["volumes/labels/gt_affs_mask"][:]
        given = file.attrs["loss"]
    known = np.concatenate((mask, objects[None]), axis=0, dtype=np.float32)[None]
    assert loss(target[None], prediction[None], known) == pytest.approx(given, rel=1e-4)
    weights = edge_weights(prediction[None], known, DIRECT)[0]
    np.testing.assert_allclose(gradient, 2 * weights * (prediction - target), rtol=1e-4, atol=1e-9)


def test_the_phase_makes_a_difference_from_its_first_iteration_on(train_until):
    _, malis = train_until("malis", 2, malis_from=1)
    _, not_yet = train_until("not_yet", 2, malis_from=2)
    _, never = train_until("never", 2, malis_from=None)
    for name, array in never.items():
        np.testing.assert_array_equal(array, not_yet[name])
    assert any(not np.array_equal(array, malis[name]) for name, array in never.items())


def test_lsds_keep_their_loss(make_run, experiment):
    run, train = make_run(iterations=2, experiment=replace(experiment, phases=(Phase(1, "affs", Malis()),)))
    assert train() == 0
    assert set(run.step.logs) == {"loss", "lsds_loss", "malis_loss"}
    assert run.step.logs["loss"] == pytest.approx(run.step.logs["lsds_loss"] + run.step.logs["malis_loss"], rel=1e-5)


def test_the_option_is_there_for_malis_alone(root):
    def train(directory, *arguments):
        return run_script(root / "02_train" / directory / "train.py", *arguments)

    for variant in ("malis", "mtlsd_malis"):
        for dataset in ("zebrafinch", "fib25"):
            text = " ".join(train(f"{dataset}/{variant}", "--help").stdout.split())
            assert "--malis-from N" in text
            assert "comes after it (default: 10000, or as before)" in text
    refused = train("fib25/baseline", "10", "--malis-from", "5")
    assert (refused.returncode, "--malis-from" in refused.stderr) == (2, True)
    negative = train("fib25/malis", "10", "--malis-from", "-5")
    assert (negative.returncode, "-5 is below 0" in negative.stderr) == (2, True)
