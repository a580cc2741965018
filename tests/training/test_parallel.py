"""Several devices take the step that one takes with the whole batch; half precision scales its loss."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lsd_experiments.errors import UserError

SCRIPT = """
import json, sys
import numpy as np
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.parallel import prepare_backend
out, devices, precision, scale, *more = sys.argv[1:]
devices = int(devices)
prepare_backend(devices)
from lsd_experiments import frameworks
frameworks.import_keras()
import keras
from lsd_experiments.networks import Head, Network
from lsd_experiments.training.malis_loss import malis_error
from lsd_experiments.training.trainer import Trainer, weighted_error
network = Network(4, 2, ((1, 2, 2),), (Head("affs", 3),), architecture="funlib")
options = TrainingOptions(1, learning_rate=0.01, precision=precision, devices=devices)
trainer = Trainer.start(network, network.smallest_input_shape, options, weighted_error("sum_of_weights"), 1, None)
random, losses, shape = np.random.default_rng(1), [], network.output_shape(network.smallest_input_shape)
for step in range(4):
    raw = random.uniform(-1, 1, (2, 1, *network.smallest_input_shape)) * float(scale)
    targets, weights = random.random((2, 2, 3, *shape))
    weights[1] *= 0.1 * (random.random(weights[1].shape) < 0.2)  # samples of unequal weight
    if step == 2 and "malis" in more:
        trainer.use_loss("affs", malis_error(((-1, 0, 0), (0, -1, 0), (0, 0, -1))))
    if step >= 2 and "malis" in more:
        targets = np.round(targets)
        weights = np.concatenate((np.ones_like(targets), np.ones((2, 1, *shape))), axis=1)
    losses.append(trainer.step({"raw": raw}, {"affs": targets}, {"affs": weights})["loss"])
predicted = trainer.predict({"raw": raw})["affs"]
weights = {str(n): weight for n, weight in enumerate(trainer.model.get_weights())}
optimizer = trainer.model.optimizer
scale, steps = (keras.ops.convert_to_numpy(value) for value in (getattr(optimizer, "dynamic_scale", 0), optimizer.iterations))
np.savez(out, losses=losses, predicted=predicted, scale=scale, steps=steps, **weights)
"""


def train(path, devices, backend, precision="float32", scale=1.0, *more):
    pytest.importorskip(backend)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    command = [sys.executable, "-c", SCRIPT, str(path), str(devices), precision, str(scale), *more]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.parametrize(("backend", "more"), [("tensorflow", ()), ("tensorflow", ("malis",)), ("jax", ())])
def test_two_devices_take_the_steps_of_one_with_a_batch_of_two(backend, more, tmp_path):
    one, two = (train(tmp_path / f"{n}.npz", n, backend, "float32", 1.0, *more) for n in (1, 2))
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=2e-5, atol=1e-5, err_msg=name)
    assert np.ptp(one["losses"]) > 1e-3
    assert two["predicted"].shape == (2, 3, *two["predicted"].shape[2:])


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_half_precision_is_close_to_single_and_skips_steps_that_overflow(backend, tmp_path):
    single, half = (train(tmp_path / f"{precision}.npz", 1, backend, precision) for precision in ("float32", "float16"))
    np.testing.assert_allclose(half["losses"], single["losses"], rtol=2e-2)
    assert half["scale"] == 2**15
    assert half["steps"] == 4
    assert not np.array_equal(half["predicted"], single["predicted"])
    overflown = train(tmp_path / "large.npz", 1, backend, "float16", 1e5)  # raw is infinite in half precision
    assert overflown["scale"] == 2**11  # halved by each of four steps
    assert overflown["steps"] == 0
    assert all(np.isfinite(overflown[str(n)]).all() for n in range(4))


def test_what_cannot_be_is_refused(monkeypatch):
    import keras

    from lsd_experiments.training.parallel import KerasDevices, find_devices

    assert isinstance(find_devices(1), KerasDevices)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(UserError, match="--devices 2: torch trains on one"):
        find_devices(2)
