"""Networks and models of Keras and of PyTorch are asked for the same; Keras' own names stand in its modules only."""

import re
from pathlib import Path

import numpy as np
import pytest

import lsd_experiments
from lsd_experiments.errors import UserError
from lsd_experiments.networks import Head, Network, TorchNetwork
from lsd_experiments.networks.protocols import Model, NetworkLike, Trainable, input_array

PACKAGE = Path(lsd_experiments.__file__).parent
KERAS_MODULES = {
    "checkpoints/adam.py", "checkpoints/average.py", "checkpoints/into_model.py", "checkpoints/own.py",
    "checkpoints/tensorflow1.py", "export/weights.py", "families/xpress/import_command.py", "networks/keras_model.py",
    "networks/model.py", "networks/network.py", "networks/processor.py", "targets/losses.py", "targets/malis.py",
    "training/average.py", "training/experiment.py", "training/parallel.py", "training/trainable.py", "winograd/layer.py",
}
NETWORK = Network(2, 2, ((1, 2, 2),), (Head("affs", 3),))


def test_keras_is_known_to_its_own_modules_only():
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")
             if re.search(r"^\s*(import keras|from keras)|keras\.Model", path.read_text(), flags=re.MULTILINE)}
    assert found == KERAS_MODULES


def test_all_have_what_is_asked_for(tmp_path):
    from lsd_experiments.networks.keras_model import KerasModel
    from lsd_experiments.networks.torch_model import TorchModel
    from lsd_experiments.training.trainable import TrainableModel

    assert isinstance(NETWORK, NetworkLike)
    assert isinstance(TorchNetwork("network.py:Net", (Head("affs", 3),)), NetworkLike)
    model = KerasModel.build(NETWORK, (15, 20, 22), "float32")
    assert isinstance(model, Model)
    assert isinstance(TorchModel(None, None, (1, 1, 1)), Model)
    assert issubclass(TrainableModel, Trainable)
    raw = {"raw": np.random.default_rng(0).uniform(-1, 1, (15, 20, 22))}
    path = model.save(tmp_path, 3, {"seed": 1})
    other = KerasModel.build(NETWORK, (15, 20, 22), "float32")
    assert not np.array_equal(other.predict(raw)["affs"], model.predict(raw)["affs"])
    other.load(path)
    np.testing.assert_array_equal(other.predict(raw)["affs"], model.predict(raw)["affs"])


def test_a_network_is_written_as_before_unless_it_names_its_neighbours(tmp_path):
    from lsd_experiments.networks.files import from_json, to_json

    assert "neighborhood" not in to_json(NETWORK)["heads"][0]
    neighborhood = ((-1, 0, 0), (0, 2, 0))
    named = Network(2, 2, ((1, 2, 2),), (Head("affs", 2, neighborhood=neighborhood),))
    again = from_json(to_json(named))
    assert again.heads[0].neighborhood == neighborhood
    assert again == Network(2, 2, ((1, 2, 2),), (Head("affs", 2),))  # weights of before are of this network


def test_an_input_that_does_not_fit_is_named():
    assert input_array("raw", 1, (2, 3, 4), {"raw": np.zeros((2, 3, 4))}).shape == (1, 2, 3, 4)
    with pytest.raises(UserError, match=r"'lsds' has shape \(2, 3, 4\); the network takes \(10, 2, 3, 4\)"):
        input_array("lsds", 10, (2, 3, 4), {"lsds": np.zeros((2, 3, 4))})
