"""A setup directory whose network is a PyTorch module, predicted in this process and by daisy workers."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.blockwise import Workers
from lsd_experiments.checkpoints.torch_weights import load_weights
from lsd_experiments.errors import UserError
from lsd_experiments.networks import Head, Input, TorchNetwork, read, write
from lsd_experiments.networks.files import read_any
from lsd_experiments.networks.protocols import Model, NetworkLike
from lsd_experiments.networks.torch_model import TorchModel
from lsd_experiments.prediction.blockwise import predict_blockwise, predict_scan
from lsd_experiments.prediction.loading import find_trained
from lsd_experiments.prediction.plan import make_plan
from lsd_experiments.prediction.settings import PredictionSettings

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

PUBLISHED = Path(__file__).parents[3] / "shared" / "fixtures" / "published"
VOXEL_SIZE = (50, 9, 4.6)
CODE = '''
import torch
from beside import CHANNELS

class Net(torch.nn.Module):
    """Takes 2 voxels off in z, 6 in y and x; sizes in y are even."""
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv3d(1, 4, (3, 3, 3))
        self.down = torch.nn.Conv3d(4, 4, (1, 2, 1), stride=(1, 2, 1))
        self.up = torch.nn.ConvTranspose3d(4, 4, (1, 2, 1), stride=(1, 2, 1))
        self.last = torch.nn.Conv3d(4, CHANNELS + 2, (1, 5, 5))

    def forward(self, raw):
        x = self.up(torch.relu(self.down(torch.relu(self.first(raw)))))
        both = torch.sigmoid(3 * self.last(x))
        return {"affs": both[:, :CHANNELS], "lsds": both[:, CHANNELS:]}

def logits():
    return torch.nn.Conv3d(1, 3, 3)

def three():
    return 3
'''
HEADS = (Head("affs", 3), Head("lsds", 2))
NETWORK = TorchNetwork("network.py:Net", HEADS, voxel_size=VOXEL_SIZE)
INPUT_SHAPE, OUTPUT_SHAPE = (6, 16, 17), (4, 10, 11)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Of no known dataset, and nowhere near the repository. Not to be changed."""
    directory = tmp_path_factory.mktemp("anywhere") / "mylab" / "net"
    directory.mkdir(parents=True)
    write_setup(directory)
    return directory


def write_setup(directory):
    (directory / "network.py").write_text(CODE)
    (directory / "beside.py").write_text("CHANNELS = 3\n")
    write(NETWORK, "config", INPUT_SHAPE, directory)
    torch.manual_seed(0)
    torch.save(find_module(directory).state_dict(), directory / "train_net_checkpoint_20.pth")


def find_module(directory):
    return TorchModel.build(read_any(directory / "config.json")[0], directory, INPUT_SHAPE, "float32").module


def by_torch(directory, raw):
    """The whole volume at once, with zeros around it: what each voxel is for any block that begins at an even one."""
    module = find_module(directory)
    module.load_state_dict(torch.load(directory / "train_net_checkpoint_20.pth", weights_only=True))
    padded = np.pad(raw, ((1, 1), (3, 3 + raw.shape[1] % 2), (3, 3)))
    values = torch.from_numpy(padded.astype(np.float32) / 255 * 2 - 1)[None, None]
    with torch.inference_mode():
        outputs = module(values)
    return {name: np.floor(output[0].numpy() * np.float32(255))[:, :, :raw.shape[1]] for name, output in outputs.items()}


def test_the_shapes_are_probed(directory):
    network, input_shape = read_any(directory / "config.json")
    assert (network.context, network.stride, network.smallest_input_shape) == ((2, 6, 6), (1, 2, 1), (3, 8, 7))
    assert network.parameters == sum(parameter.numel() for parameter in find_module(directory).parameters())
    assert network.num_fmaps == 3  # what the largest map holds, per voxel of the input
    assert input_shape == INPUT_SHAPE
    assert isinstance(network, NetworkLike)
    assert network.input_shape_for((4, 9, 11)) == INPUT_SHAPE
    with pytest.raises(UserError, match=r"y = 17 \(nearest: 16 or 18\)"):
        network.check_input_shape((6, 17, 17))
    values = json.loads((directory / "config.json").read_text())
    assert values["output_shape"] == list(OUTPUT_SHAPE)


def test_a_file_by_hand_is_probed_when_it_is_read(directory, tmp_path):
    for name in ("network.py", "beside.py", "train_net_checkpoint_20.pth"):
        (tmp_path / name).write_bytes((directory / name).read_bytes())
    values = {"module": "network.py:Net", "heads": [{"name": "affs", "channels": 3}, {"name": "lsds", "channels": 2}]}
    (tmp_path / "config.json").write_text(json.dumps({"input_shape": INPUT_SHAPE, "network": values}))
    network, _ = read_any(tmp_path / "config.json")
    assert network.context == (2, 6, 6)
    assert find_trained(tmp_path).checkpoint.iteration == 20
    with pytest.raises(UserError, match=r"config.json: is of a PyTorch module, network.py:Net, which can be predicted with"):
        read(tmp_path / "config.json")


def test_workers_predict_what_the_module_gives_at_once(directory, make_raw, tmp_path):
    shape = (9, 25, 26)
    raw = open_volume(make_raw(shape), "volumes/raw").read()
    settings = PredictionSettings(str(directory), str(make_raw(shape)), str(tmp_path / "scan.zarr"))
    plan = make_plan(settings)
    assert plan.write_shape == OUTPUT_SHAPE
    assert predict_scan(plan)
    assert predict_blockwise(make_plan(PredictionSettings(str(directory), str(make_raw(shape)), str(tmp_path / "b.zarr"))),
                             Workers(num_workers=2))
    wanted = by_torch(directory, raw)
    for head in HEADS:
        scanned = open_volume(str(tmp_path / "scan.zarr"), f"volumes/{head.name}").read()
        np.testing.assert_array_equal(open_volume(str(tmp_path / "b.zarr"), f"volumes/{head.name}").read(), scanned)
        assert np.abs(scanned - wanted[head.name]).max() <= 1  # sums in another order, then truncated
        assert scanned.std() > 10
    parameters = plan.provenance()["parameters"]
    assert parameters["framework"] == "torch"
    assert "keras_backend" not in parameters
    assert not predict_scan(make_plan(settings))


def test_other_code_is_another_network(directory, make_raw, tmp_path):
    """The file of weights alone does not say what is predicted."""
    def key(setup):
        return make_plan(PredictionSettings(str(setup), str(make_raw((9, 25, 26))), str(tmp_path / "o.zarr"))).provenance()["key"]

    copy = tmp_path / "mylab" / "net"
    copy.mkdir(parents=True)
    for path in directory.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    assert key(copy) == key(directory)
    (copy / "network.py").write_text(CODE.replace("3 * self.last", "2 * self.last"))
    assert key(copy) != key(directory)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model_state_dict": s, "optimizer": {}},
                                  lambda s: {f"module.{name}": tensor for name, tensor in s.items()}])
def test_files_as_training_programs_write_them(directory, tmp_path, wrap):
    network, _ = read_any(directory / "config.json")
    model = TorchModel.build(network, directory, INPUT_SHAPE, "float32")
    assert isinstance(model, Model)
    state = torch.load(directory / "train_net_checkpoint_20.pth", weights_only=True)
    torch.save(wrap(state), tmp_path / "w.pth")
    model.load(tmp_path / "w.pth")
    for name, tensor in model.module.state_dict().items():
        assert torch.equal(tensor, state[name])


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published programs' outputs are not here")
@pytest.mark.parametrize("path", sorted(PUBLISHED.rglob("*.pth*")), ids=lambda path: path.name)
def test_files_that_published_programs_wrote_are_read(directory, path):
    """PyTorch Connectomics' and CellMap's; of another module, which is what is said."""
    with pytest.raises(UserError, match=f"{path.name}: is not of this module: has no first.weight"):
        load_weights(find_module(directory), path)


def test_a_model_is_saved_and_loaded(directory, tmp_path):
    network, _ = read_any(directory / "config.json")
    model = TorchModel.build(network, directory, INPUT_SHAPE, "float32")
    path = model.save(tmp_path, 7, {"seed": 3})
    assert [one.name for one in tmp_path.iterdir()] == [path.name] == ["train_net_checkpoint_7.pth"]
    raw = {"raw": np.random.default_rng(0).uniform(-1, 1, INPUT_SHAPE)}
    other = TorchModel.build(network, directory, INPUT_SHAPE, "float32")
    assert not np.array_equal(other.predict(raw)["affs"], model.predict(raw)["affs"])
    other.load(path)
    np.testing.assert_array_equal(other.predict(raw)["affs"], model.predict(raw)["affs"])
    reduced = TorchModel(network, model.module, INPUT_SHAPE, "bfloat16").predict(raw)["affs"]
    assert 0 < np.abs(reduced - model.predict(raw)["affs"]).max() < 0.1


class Evil:
    def __reduce__(self):
        return (sys.exit, (3,))


def test_what_is_wrong_with_weights_is_said(directory, tmp_path):
    network, _ = read_any(directory / "config.json")
    model = TorchModel.build(network, directory, INPUT_SHAPE, "float32")
    state = model.module.state_dict()
    torch.save({**state, "last.bias": torch.zeros(4)}, tmp_path / "shape.pth")
    with pytest.raises(UserError, match=r"shape.pth: is not of this module: has last.bias of shape \(4,\), not \(5,\)"):
        model.load(tmp_path / "shape.pth")
    other = {name: tensor for name, tensor in state.items() if name != "up.bias"}
    torch.save({**other, "x": torch.zeros(1)}, tmp_path / "names.pth")
    with pytest.raises(UserError, match=r"has no up.bias, has x, which the module has not"):
        model.load(tmp_path / "names.pth")
    torch.save({"state_dict": state, "optimizer": Evil()}, tmp_path / "evil.pth")  # would end this process
    with pytest.raises(UserError, match=r"evil.pth: is no file .* damaged \(it holds a sys.exit\). Save the module's state_dict"):
        model.load(tmp_path / "evil.pth")
    torch.save(model.module.last, tmp_path / "module.pth")
    with pytest.raises(UserError, match=r"^\S+module.pth: is no file .*, or damaged \(it holds a torch\.nn\.\S+\)\. Save"):
        model.load(tmp_path / "module.pth")
    with pytest.raises(UserError, match=r"nothing says which weights are the best \(found: .*20\). Name an iteration"):
        find_trained(directory, "best")
    (tmp_path / "cut.pth").write_bytes((directory / "train_net_checkpoint_20.pth").read_bytes()[:-200])
    with pytest.raises(UserError, match=r"cut.pth: is no file of weights, or damaged"):
        model.load(tmp_path / "cut.pth")
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    with pytest.raises(UserError, match="holds no state_dict"):
        model.load(tmp_path / "none.pth")
    with pytest.raises(UserError, match=r"no weights of iteration 4 named train_net_checkpoint_\{iteration\}.pth \(found: 20\)"):
        find_trained(directory, 4)


def test_weights_that_do_not_load_leave_no_output(make_raw, tmp_path):
    write_setup(directory := tmp_path)
    weights = directory / "train_net_checkpoint_20.pth"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-200])
    settings = PredictionSettings(str(directory), str(make_raw((9, 25, 26))), str(tmp_path / "out.zarr"))
    with pytest.raises(UserError, match="is no file of weights, or damaged"):
        predict_scan(make_plan(settings))
    assert not (tmp_path / "out.zarr").exists()
    weights.write_bytes(whole)
    assert predict_scan(make_plan(settings))


@pytest.mark.parametrize(("changes", "message"), [
    ({"module": "network.py:Missing"}, "network.py: has no function 'Missing'"),
    ({"module": "other.py:Net"}, "other.py: no such file"),
    ({"module": "network.py:three"}, r"network.py: three\(\) gives a int, not a torch.nn.Module"),
    ({"heads": (Head("affs", 4), Head("lsds", 2))}, r"gives affs \[1, 3, 4, 10, 11\].*config.json says affs \[b, 4, z, y, x\]"),
    ({"heads": (Head("boundaries", 1),)}, r"config.json says boundaries \[b, 1, z, y, x\]"),
    ({"context": (2, 6, 4)}, r"so that its context is \(2, 6, 6\), not \(2, 6, 4\)"),
    ({"inputs": (Input("raw", 2),)}, r"network.py:Net: does not take \(6, 16, 17\) \(RuntimeError"),
])
def test_what_does_not_fit_is_said(directory, tmp_path, changes, message):
    for name in ("network.py", "beside.py"):
        (tmp_path / name).write_bytes((directory / name).read_bytes())
    with pytest.raises(UserError, match=message):
        write(dataclasses.replace(NETWORK, **changes), "config", INPUT_SHAPE, tmp_path)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize(("code", "missing"), [
    ("import no_such_package.part\n", "no_such_package"),
    ("from beside import NOTHING\n", r"a name \(cannot import name 'NOTHING' from 'beside'.*\)"),
    ("def Net():\n    import no_such_package\n", "no_such_package"),
])
def test_a_missing_package_is_named(directory, tmp_path, code, missing):
    """With the file that imports it, at its top or when it is called."""
    (tmp_path / "beside.py").write_bytes((directory / "beside.py").read_bytes())
    (tmp_path / "network.py").write_text(code)
    with pytest.raises(UserError, match=rf"network.py: imports {missing}, which is not there. Install the package"):
        write(NETWORK, "config", INPUT_SHAPE, tmp_path)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize(("changes", "message"), [
    ({"module": "../network.py:Net"}, "module '../network.py:Net': is not <file>.py:<function>, of a file in the setup"),
    ({"module": "os:system"}, "is not <file>.py:<function>"),
    ({"weights": "../w_{iteration}.pth"}, "is not the name of a file"),
    ({"weights": "w.pth"}, "with {iteration} in it"),
    ({"stridde": [1, 1, 1]}, "unknown key 'stridde'; did you mean 'stride'"),
    ({"stride": [1, 1]}, r"stride is \[1, 1\], not three whole numbers"),
])
def test_a_file_that_is_wrong_is_refused(tmp_path, changes, message):
    values = {"module": "network.py:Net", "heads": [{"name": "affs", "channels": 3}], **changes}
    (tmp_path / "config.json").write_text(json.dumps({"input_shape": INPUT_SHAPE, "network": values}))
    with pytest.raises(UserError, match=message):
        read_any(tmp_path / "config.json")


def test_outputs_that_are_no_probabilities_are_refused(directory, tmp_path):
    """uint8 would wrap them."""
    network = TorchNetwork("network.py:logits", (Head("affs", 3),)).with_shapes(directory, INPUT_SHAPE)
    model = TorchModel.build(network, directory, INPUT_SHAPE, "float32")
    with pytest.raises(UserError, match=r"'affs' is from .*, not within 0 and 1. Let the module end with a sigmoid"):
        model.predict({"raw": np.random.default_rng(0).uniform(-1, 1, INPUT_SHAPE)})


def test_without_pytorch_it_is_named(directory, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="PyTorch is not installed"):
        find_trained(directory).model(INPUT_SHAPE, "float32")
