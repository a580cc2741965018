"""The challenge's networks: what the published ones gave with the same weights, and that they take what they say."""

import json

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from tests.cellmap.configured import settings
from tests.published import PUBLISHED, needs_published

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

from lsd_experiments.checkpoints.torch_weights import load_weights  # noqa: E402
from lsd_experiments.families.cellmap.networks import ResNet, UNet_2D, UNet_3D, ViTVNet, build, together  # noqa: E402

FILES = PUBLISHED / "csc_models"
FACTS = json.loads((FILES / "models.json").read_text()) if FILES.is_dir() else {"models": {}, "phase_a": 0}
MAKERS = {"UNet_2D(1,2)": lambda: UNet_2D(1, 2), "UNet_2D(1,3,trilinear)": lambda: UNet_2D(1, 3, trilinear=True),
          "UNet_3D(1,2)": lambda: UNet_3D(1, 2), "UNet_3D(1,1,trilinear)": lambda: UNet_3D(1, 1, True),
          "ResNet_2D_ngf4": lambda: ResNet(2, output_nc=2, ngf=4, n_blocks=2),
          "ResNet_3D_ngf4": lambda: ResNet(3, output_nc=3, ngf=4, n_blocks=2),
          "ResNet_2D_default": lambda: ResNet(2, output_nc=2), "ResNet_3D_default": lambda: ResNet(3, output_nc=2)}
TINY_VIT = {"hidden_size": 8, "mlp_dim": 6, "num_heads": 2, "num_layers": 2, "conv_first_channel": 4,
            "encoder_channels": (2, 3, 4), "decoder_channels": (4, 3, 3, 2, 2)}


def ruled(network):
    """The weights of the fixtures' rule."""
    for place, (name, tensor) in enumerate(network.state_dict().items()):
        s = np.sin(FACTS["phase_a"] + 0.37 * place + 0.731 * np.arange(tensor.numel()))
        last, shape = name.rpartition(".")[2], tuple(tensor.shape)
        values = {"running_mean": 0.1 * s, "running_var": 1 + 0.5 * s**2, "num_batches_tracked": np.full(s.shape, 7),
                  "weight": s * np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 1 + 0.2 * s}.get(last, 0.1 * s)
        tensor.copy_(torch.from_numpy(values.reshape(shape).astype(np.float32)))


def test_all_published_networks_are_compared():
    assert set(MAKERS) == set(FACTS["models"]) or not FILES.is_dir()


@needs_published
@pytest.mark.parametrize("name", MAKERS)
def test_parameters_and_names(name):
    with torch.device("meta"):
        network = MAKERS[name]()
    state = network.state_dict()
    assert list(state) == list(FACTS["models"][name]["state_dict"])
    assert {key: list(tensor.shape) for key, tensor in state.items()} == FACTS["models"][name]["state_dict"]
    assert sum(weights.numel() for weights in network.parameters()) == FACTS["models"][name]["parameters"]


@needs_published
@pytest.mark.parametrize("name", [name if "ngf4" in name else pytest.param(name, marks=pytest.mark.slow) for name in MAKERS])
def test_outputs(name):
    """With the published weights, or those of the rule; other weights give others."""
    fixture, facts, network = np.load(FILES / "outputs.npz"), FACTS["models"][name], MAKERS[name]()
    image = np.sin(FACTS["phase_a"] + 0.05 * np.arange(np.prod(facts["input_shape"])) ** 1.3)
    image = torch.from_numpy(image.reshape(facts["input_shape"]).astype(np.float32))
    if (FILES / f"{name}.pth").is_file():
        load_weights(network, FILES / f"{name}.pth")
        np.testing.assert_allclose(image, fixture[f"{name}/in"], atol=1e-6)
    else:
        ruled(network)
    with torch.inference_mode():
        found = network.eval()(image).numpy()
    np.testing.assert_allclose(found, fixture[f"{name}/out"], atol=1e-4)


@pytest.mark.parametrize("trilinear", [False, True])
def test_narrow_unets_take_any_size(trilinear):
    """The published 3-D one takes multiples of 16 only. What is outside of an image changes what is at its sides alone."""
    for network, shape in ((UNet_3D(1, 2, trilinear, width=2), (17, 16, 19)), (UNet_2D(1, 3, trilinear, width=2), (37, 50))):
        with torch.inference_mode():
            assert network.eval()(torch.rand(2, 1, *shape)).shape == (2, network.n_classes, *shape)


@pytest.mark.parametrize(("padding", "expected"), [("reflect", (17, 22)), ("zeros", (17, 22)), ("replicate", (17, 22)),
                                                     ("valid", (13, 17))])
def test_resnets_give_as_many_voxels_unless_they_are_valid(padding, expected):
    network = ResNet(2, output_nc=2, ngf=2, n_blocks=1, padding_type=padding, use_dropout=True, norm_layer=torch.nn.BatchNorm2d)
    with torch.inference_mode():
        shape = network.eval()(torch.rand(1, 1, *((44, 48) if padding == "valid" else (17, 22)))).shape
    assert shape == (1, 2, *expected)
    assert network.model[1 if padding in ("reflect", "replicate") else 0].bias is None  # a batch norm has one
    with pytest.raises(ValueError, match="padding_type is 'mirror', not one of reflect, same, replicate, zeros, valid"):
        ResNet(2, padding_type="mirror")


def test_vitnet_knows_all_of_an_image():
    """Its size is fixed, and a voxel far away changes a prediction through attention."""
    torch.manual_seed(0)
    network = ViTVNet(2, TINY_VIT, img_size=(32, 64, 32)).eval()
    torch.nn.init.normal_(network.reg_head[0].weight)
    image = torch.rand(1, 1, 32, 64, 32)
    with torch.inference_mode():
        found = network(image)
        image[..., 60, :] += 10
        assert found.shape == (1, 2, 32, 64, 32)
        assert not torch.equal(found[..., 0, :], network(image)[..., 0, :])
    assert {"transformer.embeddings.hybrid_model.down1.maxpool_conv.1.double_conv.0.weight",
            "transformer.encoder.layer.1.attn.key.bias", "transformer.embeddings.position_embeddings",
            "decoder.blocks.4.conv1.1.running_var", "reg_head.0.weight"} <= set(network.state_dict())
    with pytest.raises(ValueError, match=r"img_size is .32, 40, 32., not three multiples of 32"):
        ViTVNet(2, img_size=(32, 40, 32))


@pytest.mark.parametrize(("name", "more"), [("2d_unet", {"width": 2}), ("3d_unet", {"width": 1}), ("2d_resnet", {"ngf": 2}),
                                              ("3d_resnet", {"ngf": 2, "n_blocks": 1}), ("vitnet", {"config": TINY_VIT})])
def test_a_name_and_its_keywords_are_a_network(name, more, tmp_path):
    """Seeded, with a channel for each class; vitnet has the size of its input."""
    shape = (32, 32, 64) if name == "vitnet" else (1, 16, 16)
    made = settings(tmp_path, model=None, model_name=name, model_kwargs=more, classes=["er", "nuc", "mito"],
                    input_array_info={"shape": shape, "scale": (8, 8, 8)})
    network, called = build(made)
    assert called == name
    again = build(made)[0].state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in network.state_dict().items())
    size = shape if name == "vitnet" else (16,) * (2 if name.startswith("2") else 3)
    with torch.inference_mode():
        assert network.eval()(torch.rand(1, 1, *size)).shape == (1, 3, *size)


def test_what_is_no_network_is_named(tmp_path):
    with pytest.raises(UserError, match=r"model_name '3d_unett' is none of .* did you mean '3d_unet'"):
        build(settings(tmp_path, model=None, model_name="3d_unett"))
    with pytest.raises(UserError, match=r"2d_unet does not take them .*wide"):
        build(settings(tmp_path, model=None, model_name="2d_unet", model_kwargs={"wide": 3}))
    with pytest.raises(UserError, match=r"model is a str. Give a torch.nn.Module"):
        build(settings(tmp_path, model="unet"))
    mine = torch.nn.Conv2d(1, 2, 1)
    assert build(settings(tmp_path, model=mine, model_name="own"))[0] is mine


def test_outputs_by_name_are_put_together():
    one, two = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    assert torch.equal(together({"b": two, "a": one}, ["a", "b"])[0], torch.cat([one, two], 1))
    assert len(together({"deep": one, "fine": two}, ["a", "b"])) == len(together((one, two), ["a"])) == 2
    assert together(one, ["a"])[0] is one
    with pytest.raises(UserError, match="gives a str, not a tensor"):
        together("none", ["a"])
