"""UNETR and SwinUNETR, put together of MONAI's parts, as version 1.0 has them; names and shapes of tensors are its.

MONAI is imported here alone, when one of them is built: it takes seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration import Config

INSTALL = "pip install 'monai>=1.5' einops"
HALVED = 32  # SwinUNETR halves all axes five times
LAYERS = 12
PATCH = (16, 16, 16)  # voxels that become one token; a quarter along z where voxels are no cubes
ONCE, TWICE = (1, 2, 2), (2, 2, 2)
AT = (3, 6, 9)  # the layers whose tokens go to the decoder


def _swin_unetr(config: Config) -> nn.Module:
    _check_swin(config)
    model = config.MODEL
    made: nn.Module = _monai(config).nets.SwinUNETR(
        in_channels=model.IN_PLANES, out_channels=model.OUT_PLANES, depths=model.DEPTHS, num_heads=model.SWIN_UNETR_NUM_HEADS,
        feature_size=model.SWIN_UNETR_FEATURE_SIZE, norm_name=model.NORM_NAME, drop_rate=model.SWIN_UNETR_DROPOUT_RATE,
        attn_drop_rate=model.ATTN_DROP_RATE, dropout_path_rate=model.DROPOUT_PATH_RATE, normalize=model.NORMALIZE,
        use_checkpoint=model.USE_CHECKPOINT, spatial_dims=model.SPATIAL_DIMS, downsample=model.DOWNSAMPLE, use_v2=model.USE_V2)
    return made


def _check_swin(config: Config) -> None:
    model = config.MODEL
    _check_multiples(config, (HALVED,) * 3)
    if len(model.DEPTHS) != 4 or len(model.SWIN_UNETR_NUM_HEADS) != 4:
        raise config.wrong("MODEL.DEPTHS", f"is {model.DEPTHS}, and SWIN_UNETR_NUM_HEADS {model.SWIN_UNETR_NUM_HEADS}, but "
                           "swinunetr has four stages")
    _check_width(config, "MODEL.SWIN_UNETR_FEATURE_SIZE", model.SWIN_UNETR_FEATURE_SIZE, 12)
    if any((model.SWIN_UNETR_FEATURE_SIZE << stage) % heads for stage, heads in enumerate(model.SWIN_UNETR_NUM_HEADS)):
        raise config.wrong("MODEL.SWIN_UNETR_NUM_HEADS", f"is {model.SWIN_UNETR_NUM_HEADS}, which do not divide feature maps: "
                           f"{model.SWIN_UNETR_FEATURE_SIZE} of the first stage, and twice as many of each next one")
    for key, known in (("SPATIAL_DIMS", (3,)), ("DOWNSAMPLE", ("merging", "mergingv2"))):
        if (given := getattr(model, key)) not in known:
            raise config.wrong(f"MODEL.{key}", f"is {given}, but must be {' or '.join(map(str, known))}")


def _unetr(config: Config) -> nn.Module:
    _check_unetr(config)
    return Unetr(_monai(config), config, _patch(config), TWICE if config.DATASET.IS_ISOTROPIC else ONCE)


def _check_unetr(config: Config) -> None:
    model = config.MODEL
    _check_multiples(config, _patch(config))
    _check_width(config, "MODEL.HIDDEN_SIZE", model.HIDDEN_SIZE, model.UNETR_NUM_HEADS)
    if model.POS_EMBED not in ("conv", "perceptron"):
        raise config.wrong("MODEL.POS_EMBED", f"is {model.POS_EMBED}, but must be conv or perceptron")


def _patch(config: Config) -> tuple[int, ...]:
    """The voxels of a token."""
    return PATCH if config.DATASET.IS_ISOTROPIC else (PATCH[0] // 4, *PATCH[1:])


class Unetr(nn.Module):
    """A transformer's tokens, brought to more and more voxels by transposed convolutions.

    :param up: by how much the coarser levels double; the two finest ones always double all axes
    """

    def __init__(self, monai: Any, config: Config, patch: tuple[int, ...], up: tuple[int, ...]) -> None:
        super().__init__()
        model, blocks = config.MODEL, monai.blocks
        hidden, width = model.HIDDEN_SIZE, model.UNETR_FEATURE_SIZE
        self.tokens = [size // by for size, by in zip(model.INPUT_SIZE, patch, strict=True)]
        self.vit = monai.nets.ViT(
            model.IN_PLANES, model.INPUT_SIZE, patch, hidden, model.MLP_DIM, LAYERS, model.UNETR_NUM_HEADS,
            proj_type=model.POS_EMBED, dropout_rate=model.UNETR_DROPOUT_RATE)
        for block in self.vit.blocks:
            block.norm_cross_attn = nn.Identity()  # of later versions of MONAI, and not used

        def coarser(inputs: int, outputs: int, layers: int, by: tuple[int, ...]) -> nn.Module:
            made: nn.Module = blocks.UnetrPrUpBlock(3, inputs, outputs, layers, 3, 1, by, model.NORM_NAME, model.CONV_BLOCK,
                                                    model.RES_BLOCK)
            return made

        def decoder(inputs: int, outputs: int, by: tuple[int, ...], kernel: int | tuple[int, ...] = 3) -> nn.Module:
            made: nn.Module = blocks.UnetrUpBlock(3, inputs, outputs, kernel, by, model.NORM_NAME, model.RES_BLOCK)
            return made

        sections = (1, 3, 3)  # at the finest level
        self.encoder1 = blocks.UnetrBasicBlock(3, model.IN_PLANES, width, sections, 1, model.NORM_NAME, model.RES_BLOCK)
        self.encoder2 = nn.Sequential(coarser(hidden, 2 * width, 1, up), coarser(2 * width, 2 * width, 0, TWICE))
        self.encoder3, self.encoder4 = coarser(hidden, 4 * width, 1, up), coarser(hidden, 8 * width, 0, up)
        self.decoder5, self.decoder4 = decoder(hidden, 8 * width, up), decoder(8 * width, 4 * width, up)
        self.decoder3, self.decoder2 = decoder(4 * width, 2 * width, TWICE), decoder(2 * width, width, TWICE, sections)
        self.out = blocks.UnetOutBlock(3, width, model.OUT_PLANES)

    def forward(self, raw: Tensor) -> Tensor:
        """[b, IN_PLANES, z, y, x] to [b, OUT_PLANES, z, y, x]; of one size alone."""
        last, states = self.vit(raw)
        first, second, third = (self._voxels(states[number]) for number in AT)
        found = self.decoder5(self._voxels(last), self.encoder4(third))
        found = self.decoder4(found, self.encoder3(second))
        found = self.decoder3(found, self.encoder2(first))
        logits: Tensor = self.out(self.decoder2(found, self.encoder1(raw)))
        return logits

    def _voxels(self, tokens: Tensor) -> Tensor:
        """[b, tokens, c] as [b, c, z, y, x]."""
        return tokens.reshape(len(tokens), *self.tokens, -1).permute(0, 4, 1, 2, 3).contiguous()


def _check_multiples(config: Config, by: tuple[int, ...]) -> None:
    size, name = config.MODEL.INPUT_SIZE, config.MODEL.ARCHITECTURE
    if any(one % each for one, each in zip(size, by, strict=True)):
        raise config.wrong("MODEL.INPUT_SIZE", f"is {size}, but {name} takes multiples of {list(by)}, not 2n + 1")


def _check_width(config: Config, key: str, width: int, of: int) -> None:
    if width % of:
        raise config.wrong(key, f"is {width}, but must be a multiple of {of}")


def _monai(config: Config) -> Any:
    """MONAI's networks.

    :raises UserError: if it is not installed
    """
    try:
        import_module("einops")  # without it, MONAI fails later
        networks = import_module("monai.networks")
    except ImportError as error:
        raise UserError(f"MODEL.ARCHITECTURE: {config.MODEL.ARCHITECTURE} is put together of MONAI's parts, which cannot be "
                        f"imported ({error}). {INSTALL}") from error
    return networks


@dataclass(frozen=True)
class Transformer:
    """``build`` makes the network of a configuration; ``check`` says without it whether it could.

    Both raise a UserError if sizes do not fit, and ``build`` if MONAI is not installed.
    """

    build: Callable[[Config], nn.Module]
    check: Callable[[Config], None]


TRANSFORMERS = {"unetr": Transformer(_unetr, _check_unetr), "swinunetr": Transformer(_swin_unetr, _check_swin)}
