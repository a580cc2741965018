"""Keras, the PyTorch example and ONNX give the same outputs, for each kind of network; and TensorFlow 1's."""

from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from lsd_experiments.checkpoints import load_checkpoint, require_checkpoint
from lsd_experiments.export import export_checkpoint

from .conftest import NETWORKS, ROOT, assert_equal, predict, random_inputs

FIXTURES = ROOT.parent / "shared/fixtures/tf1_checkpoints"


@pytest.fixture(scope="module")
def files_of(checkpoint_of, tmp_path_factory):
    """By the name of a network: its weights for PyTorch, and its ONNX file."""

    @cache
    def export(name):
        return export_both(checkpoint_of(name), tmp_path_factory.mktemp("exported"))

    return export


def export_both(checkpoint, directory):
    paths = directory / "net.safetensors", directory / "net.onnx"
    for path, format in zip(paths, ("torch", "onnx"), strict=True):
        export_checkpoint(checkpoint, path, format)
    return paths


def run_torch(example, path, inputs):
    with torch.inference_mode():
        unet = example.load(path)
        found = unet(*(torch.from_numpy(inputs[name]) for name in unet.inputs))
    return {name: array.numpy() for name, array in found.items()}


def run_onnx(path, inputs):
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other processes need the cores
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))


@pytest.mark.parametrize(
    ("name", "steps"),
    [*((name, (0, 0, 0)) for name in NETWORKS), ("small", (1, 0, 0)), ("small", (2, 0, 3))],
    ids=lambda value: value if isinstance(value, str) else str(value),
)
def test_keras_torch_and_onnx_agree(checkpoint_of, files_of, example, name, steps):
    """At the smallest legal shape, and at ``steps`` of legal shapes from it."""
    network = NETWORKS[name]
    shape = tuple(s + step * n for s, step, n in zip(network.smallest_input_shape, network.stride, steps, strict=True))
    model = network.build(shape)
    load_checkpoint(model, checkpoint_of(name).path)
    inputs = random_inputs(network, shape)
    expected = predict(model, inputs)
    assert all(values.shape[2:] == network.output_shape(shape) for values in expected.values())
    weights, graph = files_of(name)
    assert_equal(run_torch(example, weights, inputs), expected, 1e-5)
    assert_equal(run_onnx(graph, inputs), expected, 1e-5)


def test_a_batch_gives_what_its_images_give(files_of, example):
    inputs = random_inputs(NETWORKS["small"], NETWORKS["small"].smallest_input_shape, n=2)
    weights, graph = files_of("small")
    singles = [run_onnx(graph, {name: array[i : i + 1] for name, array in inputs.items()}) for i in (0, 1)]
    expected = {name: np.concatenate([single[name] for single in singles]) for name in singles[0]}
    assert_equal(run_onnx(graph, inputs), expected, 1e-5)
    assert_equal(run_torch(example, weights, inputs), expected, 1e-5)


@pytest.mark.parametrize(
    ("layer", "wrong"),
    [
        ("unet_layer_1_left_1", lambda kernel: kernel.transpose(1, 0, 2, 3, 4)),
        ("unet_layer_1_left_1", lambda kernel: kernel.transpose(0, 1, 2, 4, 3)),
        ("unet_up_1_to_0", lambda kernel: kernel[..., ::-1]),
    ],
    ids=["transposed", "other axes", "mirrored"],
)
def test_a_wrong_layout_that_fits_would_be_seen(files_of, example, tmp_path, layer, wrong):
    """The control: one kernel is wrong, and has the right shape."""
    inputs = random_inputs(NETWORKS["small"], NETWORKS["small"].smallest_input_shape)
    weights, metadata = read(files_of("small")[0])
    weights[f"{layer}.weight"] = np.ascontiguousarray(wrong(weights[f"{layer}.weight"]))
    save_file(weights, tmp_path / "wrong.safetensors", metadata)
    right = run_torch(example, files_of("small")[0], inputs)
    found = run_torch(example, tmp_path / "wrong.safetensors", inputs)
    assert max(np.abs(found[name] - right[name]).max() for name in right) > 1e-3


def read(path):
    """The arrays and the metadata of a safetensors file."""
    with safe_open(path, framework="np") as file:
        return load_file(path), file.metadata()


@pytest.mark.parametrize("name", ["fib25_baseline", "zebrafinch_aclsd", "zebrafinch_mtlsd"])
def test_published_code_and_exports_agree(example, tmp_path, name):
    """Checkpoints of TensorFlow 1, and what its graph gave."""
    if not FIXTURES.is_dir():
        pytest.skip("needs the checkpoints written by the published code, which are not part of the repository")
    checkpoint = require_checkpoint(FIXTURES / name)
    reference = dict(np.load(FIXTURES / name / "reference.npz"))
    values = reference.pop("input").astype(np.float32) / 255
    (source,) = checkpoint.network.inputs
    inputs = {source.name: values[None, None] * 2 - 1 if values.ndim == 3 else values[None]}
    expected = {head.name: reference[head.published_name][None] for head in checkpoint.network.heads}
    torch_file, onnx_file = export_both(checkpoint, tmp_path)
    for found in (run_torch(example, torch_file, inputs), run_onnx(onnx_file, inputs)):
        assert set(found) == set(expected)
        for head, array in expected.items():
            np.testing.assert_allclose(found[head], array, rtol=0, atol=1e-5)
