"""Networks: with published weights they give the published outputs; at full width they are of the published size."""

import json
import sys

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc import recognising
from lsd_experiments.families.pytc.checkpoints import for_inference, load, read
from tests.families.pytc.models import MODELS, NAMES, arrays, checkpoint, config_of, described, facts, network_range
from tests.published import PUBLISHED, needs_published

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

from lsd_experiments.families.pytc.networks.building import build, check_size  # noqa: E402
from lsd_experiments.families.pytc.networks.layers import count  # noqa: E402
from lsd_experiments.families.pytc.networks.repvgg import fuse, is_fused  # noqa: E402

PYRAMID = {"ARCHITECTURE": "fpn_3d", "FILTERS": [32, 64, 96, 128, 160]}
SWIN = {"ARCHITECTURE": "swinunetr", "INPUT_SIZE": [32, 32, 64], "SWIN_UNETR_FEATURE_SIZE": 12}
UNETR = {"ARCHITECTURE": "unetr", "INPUT_SIZE": [8, 32, 48], "HIDDEN_SIZE": 24, "UNETR_NUM_HEADS": 4, "MLP_DIM": 32,
         "UNETR_FEATURE_SIZE": 4}
PLUS = {"ARCHITECTURE": "unet_plus_3d", "BLOCK_TYPE": "residual_se"}
WIDE = {  # what the published files say of networks at full width
    "snemi": {"BLOCK_TYPE": "residual_se"}, "snemi_lr": {"BLOCK_TYPE": "residual_se"}, "snemi_mer": {"BLOCK_TYPE": "residual_se"},
    "snemi_resnet": {**PYRAMID, "BLOCK_TYPE": "residual_se"},
    "snemi_effnet": {**PYRAMID, "BACKBONE": "efficientnet", "BLOCK_TYPE": "inverted_res"},
    "cremi": PLUS, "cremi_dt": PLUS, "cremi_regu": PLUS,
    "cremi_repvgg": {**PYRAMID, "BACKBONE": "repvgg"}, "cremi_fpn": {**PYRAMID, "BLOCK_TYPE": "residual_se"},
}
OTHERWISE = {  # of the first revision
    "cremi": {"BLOCK_TYPE": "residual_se"}, "cremi_dt": {"BLOCK_TYPE": "residual_se"},
    "cremi_repvgg": {**PYRAMID, "BACKBONE": "repvgg", "BLOCKS": [4, 4, 4, 4]},
}
FULL = [(revision, name) for revision in ("59f031b6", "e29beadc", "v0.22", "v1.0.0") for name in WIDE]


def run(network, raw):
    with torch.no_grad():
        return network(torch.from_numpy(network_range(raw))[None, None]).numpy()


@needs_published
@pytest.mark.parametrize("name", NAMES)
def test_published_outputs(name, tmp_path):
    network = build(config_of(name, tmp_path))
    assert [[key, list(tensor.shape)] for key, tensor in network.state_dict().items()] == [
        list(item) for item in (facts(name)["state_dict"].items() if isinstance(facts(name)["state_dict"], dict)
                                else facts(name)["state_dict"])]
    assert count(network) == facts(name)["parameters_total"]
    before = run(network.eval(), arrays(name)["eval0_raw_uint8"])
    load(network, read(checkpoint(name)))
    for case in (0, 1):
        expected = arrays(name)[f"eval{case}_out"]
        np.testing.assert_allclose(run(network, arrays(name)[f"eval{case}_raw_uint8"]), expected, rtol=1e-4, atol=1e-5)
    assert abs(before - arrays(name)["eval0_out"]).max() > 0.1


@needs_published
@pytest.mark.parametrize(("revision", "name"), FULL)
def test_published_sizes(revision, name):
    """Parameters, buffers and entries of the networks at full width, of all revisions; the shapes that encoders give."""
    facts = json.loads((MODELS / f"full_width_{revision}.json").read_text())[name]
    if "error" in facts:
        assert (name, facts["error"]) == ("snemi_effnet", "IndexError: list index out of range")  # ours builds
        return
    model = (OTHERWISE if revision == "59f031b6" else {}).get(name, WIDE[name]) | {"FILTERS": facts["filters"]}
    with torch.device("meta"):
        network = build(described(outputs=facts["output"][1], **model))
        state = network.state_dict()
        shapes = []
        for layer in getattr(network, "down_layers", []):
            layer.register_forward_hook(lambda _, __, output: shapes.append(list(output.shape)))
        output = network(torch.empty(facts["input"]))
    assert (count(network), len(state)) == (facts["parameters"], facts["entries_in_state_dict"])
    assert sum(buffer.numel() for buffer in network.buffers()) == facts["buffers"]
    assert (list(output.shape), shapes) == (facts["output"], facts["encoder_stage_shapes"])


@needs_published
def test_group_norms_of_other_widths_are_refused():
    for revision in ("59f031b6", "e29beadc", "v0.22", "v1.0.0"):
        said = json.loads((MODELS / f"full_width_{revision}.json").read_text())["gn with default filters 28,36,48,64,80"]
        assert "Error" in said
    with pytest.raises(UserError, match="NORM_MODE gn takes feature maps that are multiples of 8"):
        described(NORM_MODE="gn")


@needs_published
def test_the_network_of_2019():
    """In single precision its outputs are rounded by up to 1e-4: those in double differ from the published ones by 5e-5, too."""
    directory = PUBLISHED / "pytc_2019_unetv0"
    facts = json.loads((directory / "unetv0_9c0c879e.json").read_text())
    found = np.load(directory / "unetv0_9c0c879e.npz")
    network = build(described(outputs=3, ARCHITECTURE="unetv0", FILTERS=facts["filters"]))
    names = facts["state_dict"]
    assert [[name, list(tensor.shape)] for name, tensor in network.state_dict().items()] == [
        list(item) for item in (names.items() if isinstance(names, dict) else names)]
    assert count(network) == facts["parameters"]
    load(network, read(directory / "volume_00100.pth"))
    network.eval()
    with torch.no_grad():
        for case in (0, 1):
            difference = np.abs(network(torch.from_numpy(found[f"in{case}"])).numpy() - found[f"out{case}"])
            assert np.mean(difference <= 1e-5) > 0.99
            assert difference.max() < 1e-4
        network.train()
        np.testing.assert_allclose(network(torch.from_numpy(found["train_in"])).numpy(), found["train_out"], atol=1e-5)
    for outputs in (3, 1):
        with torch.device("meta"):
            wide = build(described(outputs=outputs, ARCHITECTURE="unetv0", FILTERS=[32, 64, 128, 256, 256]))
        assert count(wide) == facts[f"full_width_parameters/unetv0/out={outputs}"]


def shaken(network):
    """With norms that are not those of the beginning."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def test_re_parameterised_blocks_give_the_same(tmp_path):
    config = described(**{**PYRAMID, "FILTERS": [4, 6, 6, 8, 8], "BACKBONE": "repvgg"})
    network = shaken(build(config))
    x = torch.randn(1, 1, 5, 17, 33)
    with torch.no_grad():
        before = network(x)
    path = tmp_path / "a.pth.tar"
    torch.save({"state_dict": network.state_dict()}, path)
    fuse(network)
    assert is_fused(list(network.state_dict()))
    torch.save({"state_dict": network.state_dict()}, tmp_path / "fused.pth.tar")
    deployed = config_with(config, "MODEL.DEPLOY_MODE", True)
    assert list(build(deployed).state_dict()) == list(network.state_dict())
    with torch.no_grad():
        for found in (network, for_inference(config, read(path)), for_inference(deployed, read(path)),
                      for_inference(config, read(tmp_path / "fused.pth.tar"))):
            torch.testing.assert_close(found(x), before, rtol=1e-4, atol=1e-4)
            assert is_fused(list(found.state_dict()))
            assert not torch.equal(found(x), before)


def config_with(config, name, value):
    return type(config)({**config.values, name: config.values[name]._replace(value=value)})


@pytest.mark.parametrize("model", [
    {"BLOCK_TYPE": "residual_pa", "ACT_MODE": "gelu", "NORM_MODE": "in"},
    {"BLOCK_TYPE": "residual_se_pa", "ACT_MODE": "leaky_relu", "NORM_MODE": "none", "PAD_MODE": "zeros"},
    {"POOLING_LAYER": True, "INPUT_SIZE": [8, 32, 32], "ACT_MODE": "swish", "PAD_MODE": "circular"},
    {"ARCHITECTURE": "unet_plus_3d", "NORM_MODE": "in", "FILTERS": [4, 4, 4, 4, 4]},
    {"ARCHITECTURE": "unet_plus_3d", "NORM_MODE": "gn", "FILTERS": [8, 8, 8], "ISOTROPY": [False, True, True]},
    {**PYRAMID, "BACKBONE": "efficientnet", "BLOCK_TYPE": "inverted_res", "FILTERS": [4, 4, 8, 8, 8], "ATTENTION": "strip_pool"},
    {**PYRAMID, "BACKBONE": "efficientnet", "BLOCK_TYPE": "inverted_res_dilated", "FILTERS": [4, 8, 8, 8, 8],
     "BLOCKS": [1, 1, 1, 1, 2], "ATTENTION": "plane_pool", "NORM_MODE": "sync_bn"},
    {**PYRAMID, "BACKBONE": "efficientnet", "BLOCK_TYPE": "inverted_res", "FILTERS": [4, 8, 8, 8, 8], "BLOCKS": [1, 2, 1, 1, 1]},
], ids=str)
def test_other_blocks(model):
    """They keep sizes, and give each voxel of the output by what is around it: a far one changes nothing, a near one does."""
    network = build(described(**{"FILTERS": [4, 4, 4, 4, 4], **model})).eval()
    sizes = (8, 32, 32) if model.get("POOLING_LAYER") else (9, 33, 49)
    x = torch.randn(1, 1, *sizes)
    changed = x.clone()
    changed[0, 0, 4, 16, 16] += 1
    with torch.no_grad():
        first, second = network(x), network(changed)
    assert first.shape == (1, 1, *sizes)
    assert torch.isfinite(first).all()
    assert (first - second).abs()[0, 0, 4, 14:19, 14:19].max() > 0
    network.train()(x).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_pre_activation_leaves_what_it_adds():
    """Without a norm an activation in place would change what is added to the block's output."""
    from lsd_experiments.families.pytc.networks.layers import Style
    from lsd_experiments.families.pytc.networks.residual import Residual

    block = Residual(Style(norm="none", act="relu"), "residual_pa", 2, 2)
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    x = -torch.rand(1, 2, 3, 5, 5)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("model", [
    {"ARCHITECTURE": "unet_2d", "FILTERS": [4, 4, 4], "BLOCK_TYPE": "residual_se"},
    {"ARCHITECTURE": "unet_2d", "FILTERS": [16, 16], "NORM_MODE": "gn"},
    *({"ARCHITECTURE": f"deeplabv3{head}", "BACKBONE": "resnet50"} for head in "abc"),
], ids=str)
def test_networks_of_sections(model):
    network = build(described(**model)).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 1, 33, 65)).shape == (1, 1, 33, 65)


def test_deeplab_is_on_the_residual_network_that_all_know():
    """ResNet-50 of three channels has 25 557 032 parameters, of which what classifies has 2 049 000."""
    with torch.device("meta"):
        network = build(described(ARCHITECTURE="deeplabv3a", BACKBONE="resnet50", IN_PLANES=3, AUX_OUT=True))
    assert count(network.backbone) == 25_557_032 - 2_049_000
    assert "backbone.layer1.0.downsample.1.running_var" in network.state_dict()
    assert set(network.train()(torch.empty(2, 3, 65, 65, device="meta"))) == {"out", "aux"}


def test_without_monai(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(UserError, match=r"unetr is put together of MONAI's parts, which cannot be imported .*pip install 'monai"):
        build(described(**UNETR))


@pytest.mark.parametrize("model", [SWIN, UNETR, {**UNETR, "INPUT_SIZE": [16, 32, 48], "POS_EMBED": "conv"}], ids=str)
def test_transformers(model, tmp_path):
    """They give the size they get, all of them learns, and their checkpoints are known. Needs MONAI, which no extra brings."""
    pytest.importorskip("monai", reason="MONAI is not installed")
    config = described(outputs=3, **model)
    check_size(config)
    torch.manual_seed(0)
    network = build(config)
    raw = torch.randn(1, 1, *config.MODEL.INPUT_SIZE)
    found = network(raw)
    assert found.shape == (1, 3, *config.MODEL.INPUT_SIZE)
    (found ** 2).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert recognising.describe(network.state_dict())["network"] == model["ARCHITECTURE"]
    torch.manual_seed(1)
    other = build(config).eval()
    assert not torch.equal(other(raw), network.eval()(raw))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(raw), network(raw))


@pytest.mark.parametrize(("model", "said"), [
    ({"ARCHITECTURE": "swinunetr"}, "MODEL.INPUT_SIZE is .17, 257, 257., but swinunetr takes multiples of .32, 32, 32."),
    ({"ARCHITECTURE": "unetr", "INPUT_SIZE": [6, 32, 32]}, "but unetr takes multiples of .4, 16, 16., not 2n . 1"),
    ({**SWIN, "SWIN_UNETR_FEATURE_SIZE": 18}, "MODEL.SWIN_UNETR_FEATURE_SIZE is 18, but must be a multiple of 12"),
    ({**SWIN, "SWIN_UNETR_NUM_HEADS": [3, 6, 12, 25]}, "MODEL.SWIN_UNETR_NUM_HEADS is .3, 6, 12, 25., which do not divide"),
    ({**SWIN, "DOWNSAMPLE": "max"}, "MODEL.DOWNSAMPLE is max, but must be merging or mergingv2"),
    ({**UNETR, "UNETR_NUM_HEADS": 5}, "MODEL.HIDDEN_SIZE is 24, but must be a multiple of 5"),
    ({"ARCHITECTURE": "unet_2d", "BLOCK_TYPE": "residual_pa"}, "MODEL.BLOCK_TYPE is residual_pa, but unet_2d has residual, "),
    ({**PYRAMID, "BACKBONE": "resnet50"}, "MODEL.BACKBONE is resnet50, but fpn_3d has resnet, repvgg, efficientnet"),
    ({"ARCHITECTURE": "deeplabv3a"}, "MODEL.BACKBONE .by default. is resnet, but deeplabv3a has resnet50"),
    ({**PYRAMID, "FILTERS": [8, 8], "ISOTROPY": [True, True]}, "MODEL.FILTERS has 2 stages, but fpn_3d 5"),
    ({**PYRAMID, "BLOCKS": [2, 2]}, "MODEL.BLOCKS is .2, 2., but resnet has 4 stages"),
    ({"ARCHITECTURE": "unetv0", "FILTERS": [16, 16]}, "MODEL.FILTERS is .16, 16., but unetv0 has 5 levels"),
], ids=str)
def test_networks_that_there_are_not(model, said):
    with pytest.raises(UserError, match=said):
        build(described(**model))
