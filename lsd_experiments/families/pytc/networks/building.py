"""The network that a configuration describes."""

import torch
from torch import nn

from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.configuration.tree import DEFAULT
from lsd_experiments.families.pytc.networks import backbones
from lsd_experiments.families.pytc.networks.backbones import INVERTED, RESIDUAL, STAGES, Plan
from lsd_experiments.families.pytc.networks.deeplab import DeepLab
from lsd_experiments.families.pytc.networks.fpn import FeaturePyramid
from lsd_experiments.families.pytc.networks.layers import Style
from lsd_experiments.families.pytc.networks.residual import BLOCKS
from lsd_experiments.families.pytc.networks.resnet2d import RESNETS
from lsd_experiments.families.pytc.networks.transformers import TRANSFORMERS
from lsd_experiments.families.pytc.networks.unet import UNet, UNetPlus
from lsd_experiments.families.pytc.networks.unetv0 import DEPTH, UNetV0

# Of the EfficientNet of April 2021; the default of MODEL.BLOCKS that came later has one too few.
EFFICIENT_BLOCKS = (1, 2, 2, 2, 4)
BACKBONES = {"resnet": RESIDUAL, "repvgg": None, "efficientnet": tuple(INVERTED)}


def build(config: Config, fused: bool = False) -> nn.Module:
    """The network of ``config.MODEL``: [b, IN_PLANES, z, y, x] to [b, OUT_PLANES, z, y, x], linear; sections without z if 2-D.

    :param fused: with RepVGG blocks that are re-parameterised, as weights for deployment have them
    :raises UserError: if there is no such network
    """
    model = config.MODEL
    name, channels = model.ARCHITECTURE, (model.IN_PLANES, model.OUT_PLANES)
    style = Style(2 if is_flat(config) else 3, model.NORM_MODE, model.ACT_MODE, model.PAD_MODE)
    if name in ("unet_3d", "unet_plus_3d", "unet_2d"):
        _check_block(config, tuple(BLOCKS)[::2] if name == "unet_2d" else tuple(BLOCKS))
        made = UNetPlus if name == "unet_plus_3d" else UNet
        isotropy = model.ISOTROPY if style.dims == 3 else [True] * len(model.FILTERS)
        return made(style, model.BLOCK_TYPE, channels, model.FILTERS, isotropy, config.DATASET.IS_ISOTROPIC, model.POOLING_LAYER)
    if name == "fpn_3d":
        return _pyramid(config, style, fused or model.DEPLOY_MODE)
    if name == "unetv0":
        return _of_2019(config)
    if name.startswith("deeplab"):
        if model.BACKBONE not in RESNETS:
            raise config.wrong("MODEL.BACKBONE", f"is {model.BACKBONE}, but {name} has {', '.join(RESNETS)}")
        return DeepLab(style, name[-1], model.BACKBONE, *channels, auxiliary=model.AUX_OUT)
    return TRANSFORMERS[name].build(config)


def check_size(config: Config) -> None:
    """Let the network run on the shape of ``MODEL.INPUT_SIZE``, without data.

    :raises UserError: if it does not take it, or gives another size
    """
    if config.MODEL.ARCHITECTURE in TRANSFORMERS:  # which MONAI does not build without data
        TRANSFORMERS[config.MODEL.ARCHITECTURE].check(config)
        return
    shape = tuple(config.MODEL.INPUT_SIZE[1:] if is_flat(config) else config.MODEL.INPUT_SIZE)
    with torch.device("meta"):
        network = build(config).eval()
        try:
            found = network(torch.empty(1, config.MODEL.IN_PLANES, *shape))
        except RuntimeError as error:  # what PyTorch raises of shapes
            reason = " ".join(str(error).split())[:120]
            raise config.wrong("MODEL.INPUT_SIZE", f"is {config.MODEL.INPUT_SIZE}: the network does not take it ({reason}). Take "
                               "another one") from error
    given = (found["out"] if isinstance(found, dict) else found).shape[2:]
    if tuple(given) != shape:
        raise config.wrong("MODEL.INPUT_SIZE", f"is {config.MODEL.INPUT_SIZE}: the network gives {list(given)} of it. Take "
                           "another one")


def is_flat(config: Config) -> bool:
    """Whether the network is one for sections."""
    name: str = config.MODEL.ARCHITECTURE
    return name == "unet_2d" or name.startswith("deeplab")


def _pyramid(config: Config, style: Style, fused: bool) -> FeaturePyramid:
    model = config.MODEL
    if model.BACKBONE not in BACKBONES:
        raise config.wrong("MODEL.BACKBONE", f"is {model.BACKBONE}, but fpn_3d has {', '.join(BACKBONES)}")
    kinds = BACKBONES[model.BACKBONE]
    if kinds is not None:
        _check_block(config, kinds)
    if len(model.FILTERS) != STAGES:
        raise config.wrong("MODEL.FILTERS", f"has {len(model.FILTERS)} stages, but fpn_3d {STAGES}")
    isotropy = [True] * STAGES if config.DATASET.IS_ISOTROPIC else model.ISOTROPY
    blocks, kernels, later = _blocks(config)
    plan = Plan(style, model.BLOCK_TYPE, model.IN_PLANES, model.FILTERS, isotropy, blocks, kernels, model.ATTENTION, fused, later)
    return FeaturePyramid(style, getattr(backbones, model.BACKBONE)(plan), model.OUT_PLANES, model.FILTERS, isotropy)


def _blocks(config: Config) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """Blocks and kernels of the stages, and whether an EfficientNet is of the later form: where its blocks are stated."""
    model = config.MODEL
    efficient, stated = model.BACKBONE == "efficientnet", config.where("MODEL.BLOCKS") != DEFAULT
    needed = STAGES if efficient else STAGES - 1
    blocks = EFFICIENT_BLOCKS if efficient and not stated else tuple(model.BLOCKS[:needed])
    if len(blocks) < needed or min(blocks) < 1:
        raise config.wrong("MODEL.BLOCKS", f"is {model.BLOCKS}, but {model.BACKBONE} has {needed} stages of one block or more")
    if efficient and (len(model.KERNEL_SIZES) != STAGES or any(size not in (3, 5) for size in model.KERNEL_SIZES)):
        raise config.wrong("MODEL.KERNEL_SIZES", f"is {model.KERNEL_SIZES}, but must be {STAGES} numbers, each 3 or 5")
    return blocks, tuple(model.KERNEL_SIZES), efficient and stated


def _of_2019(config: Config) -> UNetV0:
    model = config.MODEL
    if len(model.FILTERS) != DEPTH or min(model.FILTERS) < 16:
        raise config.wrong("MODEL.FILTERS", f"is {model.FILTERS}, but unetv0 has {DEPTH} levels of 16 feature maps or more: "
                           "32, 64, 128, 256, 256 as published")
    if set(config.INFERENCE.OUTPUT_ACT) != {"none"}:
        raise config.wrong("INFERENCE.OUTPUT_ACT", "must be none for unetv0, which ends with a sigmoid")
    return UNetV0(model.IN_PLANES, model.OUT_PLANES, model.FILTERS)


def _check_block(config: Config, kinds: tuple[str, ...]) -> None:
    if config.MODEL.BLOCK_TYPE not in kinds:
        found = f"is {config.MODEL.BLOCK_TYPE}, but {config.MODEL.ARCHITECTURE} has {', '.join(kinds)}"
        raise config.wrong("MODEL.BLOCK_TYPE", found)
