"""Residual U-Nets in two and three dimensions, and UNet++-like ones whose decoder gets the lowest features at all levels."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from lsd_experiments.families.pytc.networks.attention import NonLocal
from lsd_experiments.families.pytc.networks.layers import Style, initialise
from lsd_experiments.families.pytc.networks.residual import Residual


class UNet(nn.Module):
    """Each level is a convolution and a residual block; what the decoder upsamples is added to what the encoder had.

    With strides sizes are halved as 2n+1 -> n+1, and corners stay where they are; with ``pooling`` as 2n -> n.
    ``isotropy``: of each level, whether it halves and looks along z; ``isotropic``: of all, first and last convolution included.
    """

    def __init__(
        self, style: Style, kind: str, channels: tuple[int, int], filters: Sequence[int], isotropy: Sequence[bool],
        isotropic: bool = False, pooling: bool = False,
    ) -> None:
        super().__init__()
        self.style, self.pooling = style, pooling
        kernel, padding = style.kernel(5, isotropic)
        self.conv_in = style.convolved(channels[0], filters[0], kernel, padding=padding)
        self.conv_out = style.linear(filters[0], channels[1], kernel, padding)
        levels = [isotropic or level for level in isotropy]
        self.down_layers = nn.ModuleList(
            self._down(kind, filters[max(0, level - 1)], number, levels[level], level == 0)
            for level, number in enumerate(filters))
        self.up_layers = nn.ModuleList(
            self._up(kind, filters[level], filters[level - 1], levels[level]) for level in range(1, len(filters)))
        initialise(self)

    def _down(self, kind: str, inputs: int, outputs: int, isotropic: bool, first: bool) -> nn.Sequential:
        style = self.style
        kernel, padding = style.kernel(3, isotropic)
        halving = style.halving(isotropic)
        pool = {2: nn.MaxPool2d, 3: nn.MaxPool3d}[style.dims]
        return nn.Sequential(
            pool(halving, halving) if self.pooling and not first else nn.Identity(),
            style.convolved(inputs, outputs, kernel, 1 if self.pooling or first else halving, padding),
            Residual(style, kind, outputs, outputs))  # within sections at all levels, as published

    def _up(self, kind: str, inputs: int, outputs: int, isotropic: bool) -> nn.ModuleList:
        kernel, padding = self.style.kernel(3, isotropic)
        return nn.ModuleList([self.style.convolved(inputs, outputs, kernel, padding=padding),
                              Residual(self.style, kind, outputs, outputs)])

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, z, y, x] or [b, c, y, x]."""
        x = self.conv_in(x)
        skipped = []
        for layer in self.down_layers:
            x = layer(x)
            skipped.append(x)
        x = bottom = self.at_the_bottom(skipped.pop())
        for level, skip in reversed(list(enumerate(skipped))):
            convolve, block = cast(nn.ModuleList, self.up_layers[level])
            x = self.upsampled(convolve(x), skip) + skip
            x = block(self.injected(level, bottom, x))
        return cast(Tensor, self.conv_out(x))

    def upsampled(self, features: Tensor, like: Tensor) -> Tensor:
        """``features`` at the size of ``like``."""
        return self.style.upsampled(features, like, align_corners=not self.pooling)

    def at_the_bottom(self, x: Tensor) -> Tensor:
        """What becomes of the lowest features."""
        return x

    def injected(self, level: int, bottom: Tensor, x: Tensor) -> Tensor:
        """``x`` with what comes from the lowest features."""
        return x


class UNetPlus(UNet):
    """With a non-local block at the bottom, and its features added at each level of the decoder."""

    def __init__(
        self, style: Style, kind: str, channels: tuple[int, int], filters: Sequence[int], isotropy: Sequence[bool],
        isotropic: bool = False, pooling: bool = False,
    ) -> None:
        super().__init__(style, kind, channels, filters, isotropy, isotropic, pooling)
        # A kernel of 1 with a padding of 1, as published: the border is doubled before it is upsampled.
        self.feat_layers = nn.ModuleList(style.convolved(filters[-1], number, 1, padding=1) for number in filters[:-1])
        self.non_local = NonLocal(style, filters[-1])

    def at_the_bottom(self, x: Tensor) -> Tensor:
        """See :class:`UNet`."""
        return cast(Tensor, self.non_local(x))

    def injected(self, level: int, bottom: Tensor, x: Tensor) -> Tensor:
        """See :class:`UNet`."""
        return self.upsampled(self.feat_layers[level](bottom), x) + x
