"""The network of a configuration: its ``model``, or the one that ``model_name`` and ``model_kwargs`` stand for."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.cellmap.networks.resnet import ResNet
from lsd_experiments.families.cellmap.networks.unet import UNet_2D, UNet_3D
from lsd_experiments.families.cellmap.networks.vitnet import ViTVNet

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.configuration import Settings

MAKERS: dict[str, Callable[[int, Mapping[str, Any]], nn.Module]] = {
    "2d_unet": lambda classes, more: UNet_2D(**{"n_channels": 1, "n_classes": classes, **more}),
    "3d_unet": lambda classes, more: UNet_3D(**{"n_channels": 1, "n_classes": classes, **more}),
    "2d_resnet": lambda classes, more: ResNet(2, **{"output_nc": classes, **more}),
    "3d_resnet": lambda classes, more: ResNet(3, **{"output_nc": classes, **more}),
    "vitnet": lambda classes, more: ViTVNet(**{"out_channels": classes, **more}),
}
NAMES = tuple(MAKERS)


def build(settings: "Settings") -> tuple[nn.Module, str]:
    """The module, on the CPU, and its name, under which its checkpoints are kept. Weights are drawn from ``random_seed``.

    :raises UserError: if there is none of this name, or it does not take its ``model_kwargs``
    """
    name = str(settings.model_name)
    if settings.model is not None:
        return settings.model, name
    maker = MAKERS.get(name)
    if maker is None:
        raise UserError(f"{settings.path}: model_name '{name}' is none of {', '.join(NAMES)}, and there is no model"
                        f"{nearest(name, NAMES)}. Take one of these, or define model")
    more = dict(settings.model_kwargs or {})
    if name == "vitnet":
        more.setdefault("img_size", tuple(settings.input_array_info["shape"]))
    torch.manual_seed(settings.random_seed)
    try:
        return maker(len(settings.classes), more), name
    except (TypeError, ValueError) as error:
        said = str(error).replace("__init__() ", "")
        raise UserError(f"{settings.path}: model_kwargs: {name} does not take them ({said}). Correct model_kwargs") from error
