"""Residual blocks: two convolutions, to which what goes in is added."""

from typing import cast

from torch import Tensor, nn

from lsd_experiments.families.pytc.networks.attention import REDUCTIONS, SqueezeExcitation
from lsd_experiments.families.pytc.networks.layers import Sizes, Style

BLOCKS = {  # whether a norm comes before its convolution, and whether channels are weighted
    "residual": (False, False), "residual_pa": (True, False), "residual_se": (False, True), "residual_se_pa": (True, True),
}


class Residual(nn.Module):
    """A block of ``kind``, see :data:`BLOCKS`; kernels stay within sections, unless ``isotropic``."""

    def __init__(self, style: Style, kind: str, inputs: int, outputs: int, stride: Sizes = 1, isotropic: bool = False) -> None:
        super().__init__()
        norm_first, squeezed = BLOCKS[kind]
        kernel, padding = style.kernel(3, isotropic)
        if norm_first:
            layers = nn.Sequential(style.before(inputs, outputs, kernel, stride, padding),
                                   style.before(outputs, outputs, kernel, 1, padding))
        else:
            layers = nn.Sequential(style.convolved(inputs, outputs, kernel, stride, padding),
                                   style.inactive.convolved(outputs, outputs, kernel, 1, padding))
        self.conv = nn.Sequential(layers, SqueezeExcitation(outputs, REDUCTIONS[style.dims], style.act)) if squeezed else layers
        same = inputs == outputs and stride == 1
        self.projector = nn.Identity() if same else style.inactive.convolved(inputs, outputs, 1, stride)
        self.act = nn.Identity() if norm_first else style.activation()

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, ...]."""
        return cast(Tensor, self.act(self.conv(x) + self.projector(x)))
