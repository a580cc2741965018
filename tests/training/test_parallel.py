"""Several devices take the step that one takes with the whole batch; half precision scales its loss."""

import json

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from tests.scripts import of_backend, run_script

RUNS = {  # in this order: TensorFlow has two logical devices for a start, or none
    "two": {"devices": 2},
    "two, malis": {"devices": 2, "malis": True},
    "one": {},
    "one, malis": {"malis": True},
    "half": {"precision": "float16"},
    "overflow": {"precision": "float16", "factor": 1e5},  # raw is infinite in half precision
}
SCRIPT = """
import json, sys
import numpy as np
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.parallel import prepare_backend
out, runs = sys.argv[1], json.loads(sys.argv[2])
prepare_backend(2)
from lsd_experiments import frameworks
frameworks.import_keras()
import keras
from lsd_experiments.networks import Head, Network
from lsd_experiments.targets import Affinities, SquaredError
from lsd_experiments.training import Adam, Malis
from lsd_experiments.training.trainable import TrainableModel
network = Network(4, 2, ((1, 2, 2),), (Head("affs", 3),), architecture="funlib")
shape = network.output_shape(network.smallest_input_shape)
arrays = {}
for name, run in runs.items():
    if run.get("devices", 1) == 1 and keras.backend.backend() == "jax":
        keras.distribution.set_distribution(None)
    options = TrainingOptions(1, learning_rate=0.01, precision=run.get("precision", "float32"), devices=run.get("devices", 1),
                              average_weights=0.5)
    trainer = TrainableModel.start(network, network.smallest_input_shape, options, Adam(),
                            {"affs": SquaredError("sum_of_weights").in_keras(Affinities())}, 1, None)
    random, losses = np.random.default_rng(1), []
    for step in range(4):
        raw = random.uniform(-1, 1, (2, 1, *network.smallest_input_shape)) * run.get("factor", 1)
        targets, weights = random.random((2, 2, 3, *shape))
        weights[1] *= 0.1 * (random.random(weights[1].shape) < 0.2)  # samples of unequal weight
        if run.get("malis") and step >= 2:
            targets = np.round(targets)
            weights = np.concatenate((np.ones_like(targets), np.ones((2, 1, *shape))), axis=1)
        if run.get("malis") and step == 2:
            trainer.use_losses({"affs": Malis().in_keras(Affinities())})
        trainer.use_learning_rate(0.01 / (step + 1))
        losses.append(trainer.step({"raw": raw}, {"affs": targets}, {"affs": weights})["loss"])
    optimizer = trainer.model.optimizer
    with trainer.averaged():
        averaged = trainer.predict({"raw": raw})["affs"]
    found = {"losses": losses, "predicted": trainer.predict({"raw": raw})["affs"],
             "weights": np.concatenate([weight.ravel() for weight in trainer.model.get_weights()]),
             "averages": np.concatenate([values.ravel() for values in trainer.average.arrays().values()]),
             "averaged": averaged, "rate": keras.ops.convert_to_numpy(optimizer.learning_rate),
             "scale": keras.ops.convert_to_numpy(getattr(optimizer, "dynamic_scale", 0)),
             "steps": keras.ops.convert_to_numpy(optimizer.iterations)}
    arrays.update({f"{name}/{key}": value for key, value in found.items()})
np.savez(out, **arrays)
"""


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def trained(request, tmp_path_factory):
    """What each run gives, by name."""
    pytest.importorskip(request.param)
    path = tmp_path_factory.mktemp("parallel") / "trained.npz"
    runs = {name: run for name, run in RUNS.items() if request.param == "tensorflow" or "malis" not in name}
    ran = run_script("-c", SCRIPT, path, json.dumps(runs), env=of_backend(request.param), frameworks=True)
    assert ran.returncode == 0, ran.stderr
    found = {name: {} for name in runs}
    with np.load(path) as arrays:
        for key, values in arrays.items():
            name, what = key.split("/")
            found[name][what] = values
    return found


def test_two_devices_take_the_steps_of_one_with_a_batch_of_two(trained):
    for name in ("", ", malis"):
        if f"one{name}" in trained:
            one, two = trained[f"one{name}"], trained[f"two{name}"]
            for key, values in one.items():
                np.testing.assert_allclose(two[key], values, rtol=2e-5, atol=1e-5, err_msg=f"{name} {key}")
            assert np.ptp(one["losses"]) > 1e-3
            assert one["steps"] == 4
            assert one["rate"] == pytest.approx(0.0025)
            assert not np.array_equal(one["averaged"], one["predicted"])
            assert not np.array_equal(one["averages"], one["weights"])


def test_half_precision_is_close_to_single_and_skips_steps_that_overflow(trained):
    single, half, overflow = trained["one"], trained["half"], trained["overflow"]
    np.testing.assert_allclose(half["losses"], single["losses"], rtol=2e-2)
    assert not np.array_equal(half["predicted"], single["predicted"])
    assert (half["scale"], half["steps"]) == (2**15, 4)
    assert (overflow["scale"], overflow["steps"]) == (2**11, 0)  # halved by each of four steps, which were skipped
    assert np.isfinite(overflow["weights"]).all()
    assert not np.array_equal(overflow["weights"], half["weights"])


def test_half_precision_on_several_devices_of_a_cpu_is_refused():
    tf = pytest.importorskip("tensorflow")
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("GPUs have it")
    run = json.dumps({"both": {"devices": 2, "precision": "float16"}})
    ran = run_script("-c", SCRIPT, "nowhere.npz", run, frameworks=True)
    assert "UserError: --precision float16 with --devices: TensorFlow has no half precision on several" in ran.stderr


def test_what_cannot_be_is_refused(monkeypatch):
    import keras

    from lsd_experiments.training.parallel import KerasDevices, find_devices

    assert isinstance(find_devices(1), KerasDevices)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(UserError, match="--devices 2: torch trains on one"):
        find_devices(2)
