"""What the exported files say of themselves, and what they refuse."""

import hashlib
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from lsd_experiments.checkpoints import require_checkpoint, save_checkpoint
from lsd_experiments.checkpoints.average import named_weights
from lsd_experiments.errors import UserError
from lsd_experiments.export import export_checkpoint, onnx_file
from lsd_experiments.export.graph import crops, onnx_graph, up_crops
from lsd_experiments.export.weights import torch_weights
from lsd_experiments.networks import Head, Input, Network
from lsd_experiments.networks.files import from_json
from lsd_experiments.networks.layers import layers

from .conftest import NETWORKS, ZEBRAFINCH, random_inputs


@pytest.fixture
def exported(checkpoint_of, tmp_path):
    """Exports the network of a name, and returns the file."""

    def export(name, suffix, input_shape=None):
        path = tmp_path / f"net{suffix}"
        export_checkpoint(checkpoint_of(name), path, {".onnx": "onnx"}.get(suffix, "torch"), input_shape)
        return path

    return export


def check_metadata(metadata, checkpoint, format):
    assert from_json(json.loads(metadata["network"])) == checkpoint.network
    assert json.loads(metadata["voxel_size"]) == [20, 9, 9]
    made = json.loads(metadata["provenance"])
    assert made["parameters"] == {"format": format, "input_shape": None, "iteration": 7}
    assert made["inputs"]["sha256_of_checkpoint"] == hashlib.sha256(checkpoint.path.read_bytes()).hexdigest()
    assert made["inputs"]["checkpoint"].endswith("acrlsd/train_net_checkpoint_7.weights.h5")
    assert not made["inputs"]["checkpoint"].startswith("/")


def test_averages_are_exported_where_there_are_some(tmp_path):
    network = NETWORKS["small"]
    model = network.build(network.smallest_input_shape)
    averages = {name: np.full(variable.shape, 0.5, np.float32) for name, variable in named_weights(model).items()}
    save_checkpoint(model, tmp_path, network, 8, {"average": {"decay": 0.5, "steps": 2}}, averages=averages)
    checkpoint, found = require_checkpoint(tmp_path), []
    for plain in (False, True):
        export_checkpoint(checkpoint, tmp_path / "net.safetensors", "torch", plain=plain)
        with safe_open(tmp_path / "net.safetensors", framework="pt") as file:
            made = json.loads(file.metadata()["provenance"])
        assert made["parameters"].get("averaged_weights", False) is not plain
        found.append(load_file(tmp_path / "net.safetensors"))
    assert all((values == 0.5).all() for values in found[0].values())
    for name, values in torch_weights(model).items():
        np.testing.assert_array_equal(found[1][name], values)


def test_the_state_dict_has_the_published_names_in_torchs_layout(exported, checkpoint_of):
    path = exported("acrlsd", ".safetensors")
    with safe_open(path, framework="pt") as file:
        check_metadata(file.metadata(), checkpoint_of("acrlsd"), "torch")
    found = {name: tuple(array.shape) for name, array in load_file(path).items()}
    network = NETWORKS["acrlsd"]
    expected = {}
    for layer in layers(network, network.smallest_input_shape):
        channels = (layer.channels_out, layer.channels_in)
        channels = channels[::-1] if layer.kind == "upsampling" else channels
        expected |= {f"{layer.name}.weight": (*channels, *layer.kernel), f"{layer.name}.bias": (layer.channels_out,)}
    assert found == expected
    assert found["unet_layer_0_left_0.weight"] == (2, 11, 3, 3, 3)
    assert found["unet_up_1_to_0.weight"] == (4, 2, 1, 3, 3)


def test_onnx_says_what_goes_in_and_out(exported, checkpoint_of):
    model = onnx.load(exported("acrlsd", ".onnx"))
    onnx.checker.check_model(model, full_check=True)
    check_metadata({entry.key: entry.value for entry in model.metadata_props}, checkpoint_of("acrlsd"), "onnx")
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert NETWORKS["acrlsd"].smallest_input_shape == (39, 214, 214)
    assert all(word in model.doc_string for word in ("(39, 214, 214)", "(3, 27, 27)", "(36, 212, 212)", "Sheridan"))
    assert [shape_of(array) for array in model.graph.input] == [["n", 1, "z", "y", "x"], ["n", 10, "z", "y", "x"]]
    assert [array.name for array in model.graph.input] == ["raw", "lsds"]
    assert ["[-1, 1]" in array.doc_string for array in model.graph.input] == [True, False]
    assert ["[0, 1]" in array.doc_string for array in model.graph.input] == [False, True]
    (affs,) = model.graph.output
    assert (affs.name, shape_of(affs)) == ("affs", ["n", 3, "z_out", "y_out", "x_out"])


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_others_can_read_the_file(exported, tmp_path, suffix):
    (tmp_path / "other").touch()
    assert exported("small", suffix).stat().st_mode == (tmp_path / "other").stat().st_mode


def shape_of(array):
    return [dim.dim_param or dim.dim_value for dim in array.type.tensor_type.shape.dim]


def run(path, inputs):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)


def test_a_file_for_one_shape_takes_no_other(exported):
    network = NETWORKS["small"]
    smallest, stride = network.smallest_input_shape, network.stride
    larger = tuple(np.add(smallest, stride).tolist())
    path = exported("small", ".onnx", input_shape=larger)
    graph = onnx.load(path).graph
    assert [shape_of(array) for array in graph.input] == [[1, 1, *larger]]
    assert [shape_of(array) for array in graph.output] == [[1, c, *network.output_shape(larger)] for c in (10, 3)]
    outputs = run(path, random_inputs(network, larger))
    assert [output.shape for output in outputs] == [(1, c, *network.output_shape(larger)) for c in (10, 3)]
    with pytest.raises(Exception, match="invalid dimensions"):
        run(path, random_inputs(network, smallest))


@pytest.mark.parametrize("surplus", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_a_shape_that_is_not_legal_is_refused_by_the_runtime(exported, surplus):
    """It would be computed wrongly; axis z of this network is pooled by 2, y by 4, x by 3."""
    network = NETWORKS["small"]
    path = exported("small", ".onnx")
    shape = tuple(np.add(network.smallest_input_shape, surplus).tolist())
    with pytest.raises(UserError, match="not legal"):
        network.check_input_shape(shape)
    with pytest.raises(Exception, match=r"(?i)concat"):
        run(path, random_inputs(network, shape))


@pytest.mark.parametrize("name", NETWORKS)
def test_crops_are_the_same_at_all_legal_shapes(name):
    network = NETWORKS[name]
    for steps in range(4):
        shape = tuple(s + steps * step for s, step in zip(network.smallest_input_shape, network.stride, strict=True))
        found = {layer.name: layer.output_shape for layer in layers(network, shape)}
        for level, (crop, up_crop) in enumerate(zip(crops(network), up_crops(network), strict=True)):
            skip, up = found[f"unet_layer_{level}_left_1"], found[f"unet_up_{level + 1}_to_{level}"]
            entry = tuple(size + 2 for size in found[f"unet_layer_{level}_right_0"])
            assert tuple(np.subtract(skip, entry)) == crop
            assert tuple(np.subtract(up, entry)) == up_crop
    assert any(map(any, up_crops(network))) == (network.architecture == "funlib")


def test_zebrafinch_crops_are_the_published():
    network = Network(12, 5, ZEBRAFINCH, (Head("affs", 3),))
    assert [tuple(c // 2 for c in crop) for crop in crops(network)] == [(14, 102, 102), (10, 30, 30), (6, 6, 6)]  # per side


def test_the_example_crops_like_the_published_code(example):
    """Of an odd surplus the smaller half comes off the front: of 7 to 4, voxels 1 to 4; of 8 to 2, voxels 3 and 4."""
    x = torch.arange(7.0)[:, None, None] * 100 + torch.arange(5.0)[:, None] * 10 + torch.arange(8.0)
    found = example.crop(x[None, None], (4, 5, 2))
    np.testing.assert_array_equal(found[0, 0].numpy(), x[1:5, :, 3:5].numpy())


def test_an_output_that_is_called_as_an_input_is_refused():
    network = Network(1, 2, ((1, 2, 2),), (Head("lsds", 4),), inputs=(Input("raw"), Input("lsds", 2)))
    with pytest.raises(UserError, match="'lsds' is an input and a head"):
        onnx_graph(network, {})


def test_weights_that_are_too_large_for_onnx_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "LIMIT", 2**20)
    with pytest.raises(UserError, match="ONNX file at most 2"):
        onnx_file.write_onnx(NETWORKS["small"], {"weight": np.zeros(2**18 + 1, np.float32)}, {}, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
