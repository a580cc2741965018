"""Inverted residual blocks: a depth-wise convolution, or dilated ones of parts of the channels, between two of single voxels.

The first form (2021) adds what goes in where shapes are the same; the later one (2022) brings it to the same shape elsewhere.
"""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from lsd_experiments.families.pytc.networks.attention import attention
from lsd_experiments.families.pytc.networks.layers import Sizes, Style, concatenate

DILATIONS = (1, 2, 4, 8)


class Inverted(nn.Module):
    """``kernel``: its size within sections, and along z if ``isotropic``; ``later``: see above."""

    def __init__(self, style: Style, inputs: int, outputs: int, kernel: int, stride: Sizes, isotropic: bool, attend: str,
                 later: bool) -> None:
        super().__init__()
        self.layers1 = nn.Sequential(
            *style.convolved(inputs, inputs, 1), depthwise(style, inputs, kernel, stride, isotropic), style.norm_layer(inputs),
            style.activation())
        self.layers2 = nn.Sequential(style.convolution(inputs, outputs, 1), style.norm_layer(outputs))
        self.attention = attention(attend, inputs)
        _set_shortcut(self, style, inputs, outputs, stride, isotropic, later)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, z, y, x]."""
        return _with_shortcut(self, self.layers2(self.attention(self.layers1(x))), x)


class InvertedDilated(nn.Module):
    """As :class:`Inverted`, with one dilation for each quarter of the channels."""

    def __init__(self, style: Style, inputs: int, outputs: int, kernel: int, stride: Sizes, isotropic: bool, attend: str,
                 later: bool) -> None:
        super().__init__()
        part = inputs // len(DILATIONS)
        self.DWConv = nn.ModuleList(depthwise(style, part, kernel, stride, isotropic, dilation) for dilation in DILATIONS)
        self.layers1_a = style.convolved(inputs, inputs, 1)
        self.layers1_b = nn.Sequential(style.norm_layer(inputs), style.activation())
        self.layers2 = nn.Sequential(style.convolution(inputs, outputs, 1), style.norm_layer(outputs))
        self.attention = attention(attend, inputs)
        _set_shortcut(self, style, inputs, outputs, stride, isotropic, later)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, z, y, x]."""
        parts = self.layers1_a(x).chunk(len(DILATIONS), dim=1)
        found = concatenate([convolve(part) for convolve, part in zip(self.DWConv, parts, strict=True)])
        return _with_shortcut(self, self.layers2(self.attention(self.layers1_b(found))), x)


def depthwise(style: Style, channels: int, kernel: int, stride: Sizes, isotropic: bool, dilation: int = 1) -> nn.Module:
    """A convolution of each channel with itself that keeps sizes, but for its stride."""
    spread = (kernel - 1) * dilation // 2
    if isotropic:
        return style.convolution(channels, channels, kernel, stride, spread, dilation, channels)
    return style.convolution(channels, channels, (1, kernel, kernel), _flat(stride), (0, spread, spread),
                             (1, dilation, dilation), channels)


def _flat(stride: Sizes) -> Sizes:
    return (1, stride, stride) if isinstance(stride, int) else stride


def _set_shortcut(block: nn.Module, style: Style, inputs: int, outputs: int, stride: Sizes, isotropic: bool, later: bool) -> None:
    step = stride if isotropic else _flat(stride)
    steps = (step,) * 3 if isinstance(step, int) else step
    same = inputs == outputs and steps == (1, 1, 1)
    if later:
        pointwise = style.inactive.convolved(inputs, outputs, 1)
        halved = nn.Sequential(nn.AvgPool3d(steps, steps), pointwise)
        block.projector = nn.Identity() if same else pointwise if steps == (1, 1, 1) else halved
    else:
        block.shortcut = same


def _with_shortcut(block: nn.Module, found: Tensor, x: Tensor) -> Tensor:
    projector = getattr(block, "projector", None)
    if projector is None:
        return found + x if block.shortcut else found
    odd = [int(found.shape[axis] != x.shape[axis] and x.shape[axis] % 2 == 1) for axis in (4, 3, 2)]
    if any(odd):  # so that its mean over two has as many as the convolution gives
        x = functional.pad(x, [side for one in odd for side in (one, one)], mode="replicate")
    return cast(Tensor, found + projector(x))
