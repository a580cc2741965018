"""What is below a feature pyramid: five stages, each of which halves, called ``layer0`` to ``layer4``."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from lsd_experiments.families.pytc.networks.inverted import DILATIONS, Inverted, InvertedDilated
from lsd_experiments.families.pytc.networks.layers import Sizes, Style, concatenate
from lsd_experiments.families.pytc.networks.repvgg import RepVGG
from lsd_experiments.families.pytc.networks.residual import Residual

STAGES = 5
INVERTED = {"inverted_res": Inverted, "inverted_res_dilated": InvertedDilated}
RESIDUAL = ("residual", "residual_se")


@dataclass(frozen=True)
class Plan:
    """``channels``: of what goes in; ``filters``, ``isotropy``: of each stage; ``blocks``: of each, but for the first in most."""

    style: Style
    kind: str
    channels: int
    filters: Sequence[int]
    isotropy: Sequence[bool]
    blocks: Sequence[int]
    kernels: Sequence[int] = (3, 3, 5, 3, 3)
    attention: str = "squeeze_excitation"
    fused: bool = False
    later: bool = False


class Backbone(nn.ModuleDict):
    """Parts that are applied one after the other; those called layer... are the features."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features [b, c, (z,) y, x] of each stage, of ``x``."""
        found = []
        for name, part in self.items():
            x = part(x)
            if name.startswith("layer"):
                found.append(x)
        return found


def resnet(plan: Plan) -> Backbone:
    """A residual network."""
    style = plan.style
    kernel, padding = style.kernel(5, plan.isotropy[0])
    first = style.convolved(plan.channels, plan.filters[0], kernel, padding=padding)
    return Backbone(OrderedDict(layer0=first, **_stages(plan, lambda inputs, outputs, stride, isotropic: Residual(
        style, plan.kind, inputs, outputs, stride, isotropic))))


def repvgg(plan: Plan) -> Backbone:
    """A RepVGG network; its norms are batch norms, whatever the style's."""
    def block(inputs: int, outputs: int, stride: Sizes, isotropic: bool) -> nn.Module:
        return RepVGG(plan.style, inputs, outputs, stride, isotropic, plan.fused)

    first = nn.Sequential(block(plan.channels, plan.filters[0], 1, plan.isotropy[0]))
    return Backbone(OrderedDict(layer0=first, **_stages(plan, block)))


def efficientnet(plan: Plan) -> Backbone:
    """An EfficientNet; its fourth stage halves within sections alone, as published."""
    style, first = plan.style, plan.filters[0]
    dilated = plan.later and plan.kind == "inverted_res_dilated"
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=Dilated(style, plan.channels, first) if dilated else style.convolution(plan.channels, first, 3, 1, 1),
        bn1=style.norm_layer(first), relu=style.activation())
    steps: tuple[Sizes, ...] = (1, 2, 2, (1, 2, 2), 2)
    make = INVERTED[plan.kind]
    for stage, (outputs, kernel, number, isotropic) in enumerate(
            zip(plan.filters, plan.kernels, plan.blocks, plan.isotropy, strict=True)):
        inputs = plan.filters[max(0, stage - 1)]
        parts[f"layer{stage}"] = nn.Sequential(*(
            make(style, outputs if block else inputs, outputs, kernel, 1 if block else steps[stage], isotropic, plan.attention,
                 plan.later) for block in range(number)))
    return Backbone(parts)


class Dilated(nn.Module):
    """Convolutions of all dilations, beside each other."""

    def __init__(self, style: Style, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ModuleList(style.convolution(inputs, outputs // len(DILATIONS), 3, 1, dilation, dilation)
                                  for dilation in DILATIONS)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, z, y, x]."""
        return concatenate([convolve(x) for convolve in self.conv])


def _stages(plan: Plan, make: Callable[[int, int, Sizes, bool], nn.Module]) -> dict[str, nn.Module]:
    """All but the first; the first block of each halves."""
    found = {}
    for stage in range(1, STAGES):
        inputs, outputs, isotropic = plan.filters[stage - 1], plan.filters[stage], plan.isotropy[stage]
        halving = plan.style.halving(isotropic)
        found[f"layer{stage}"] = nn.Sequential(*(
            make(outputs if block else inputs, outputs, 1 if block else halving, isotropic)
            for block in range(plan.blocks[stage - 1])))
    return found
