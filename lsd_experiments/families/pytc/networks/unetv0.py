"""``unetv0``, the network of the CREMI tutorial of 2019: it halves within sections alone, and ends with a sigmoid."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

ONE, FLAT, CUBE = (1, 1, 1), (1, 3, 3), (3, 3, 3)
MOMENTUM = 0.001  # of the batch norms of that time


class Norm(nn.BatchNorm3d):
    """A batch norm, with what its weights of that time have besides: sums over several devices, which are not used here."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=MOMENTUM)
        self.register_buffer("_tmp_running_mean", torch.zeros(channels))
        self.register_buffer("_tmp_running_var", torch.ones(channels))
        self.register_buffer("_running_iter", torch.ones(1))


def convolved(inputs: int, outputs: int, kernel: tuple[int, int, int], dilation: tuple[int, int, int] = ONE,
              act: bool = True) -> nn.Sequential:
    """A convolution of what is padded before it, a norm, and an activation or none."""
    padding = [side for size, step in zip(kernel, dilation, strict=True) for side in (size // 2 * step,) * 2][::-1]
    convolution = nn.Sequential(nn.ReplicationPad3d(tuple(padding)),
                                nn.Conv3d(inputs, outputs, kernel, dilation=dilation, bias=False))
    return nn.Sequential(convolution, Norm(outputs), *([nn.ELU(inplace=True)] if act else []))


class Block(nn.Module):
    """A residual block: two convolutions of ``kernel``, or (None) a bottleneck with a dilated one."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int] | None) -> None:
        super().__init__()
        if kernel is None:
            layers = [convolved(inputs, outputs, ONE), convolved(outputs, outputs, CUBE, (1, 2, 2)),
                      convolved(outputs, outputs, ONE, act=False)]
        else:
            layers = [convolved(inputs, outputs, kernel), convolved(outputs, outputs, kernel, act=False)]
        self.conv = nn.Sequential(*layers)
        self.projector = convolved(inputs, outputs, ONE, act=False)
        self.elu = nn.ELU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, z, y, x]."""
        return cast(Tensor, self.elu(self.conv(x) + self.projector(x)))


class SpatialExcitation(nn.Module):
    """Adds what is there times weights of channels that differ from place to place."""

    def __init__(self, channels: int, reduction: int, pool: tuple[int, int, int]) -> None:
        super().__init__()
        squeezed = channels // reduction
        self.se = nn.Sequential(
            nn.AvgPool3d(pool, pool), nn.Conv3d(channels, squeezed, 1), Norm(squeezed), nn.ELU(inplace=True),
            nn.Conv3d(squeezed, channels, 1), Norm(channels), nn.Sigmoid(),
            nn.Upsample(scale_factor=pool, mode="trilinear", align_corners=False))

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, z, y, x]."""
        return cast(Tensor, x + self.se(x) * x)


LEVELS: tuple[tuple[tuple[int, int, int] | None, int, tuple[int, int, int]], ...] = (  # kernel, reduction of channels, pooling
    (FLAT, 2, (1, 16, 16)), (FLAT, 4, (1, 8, 8)), (CUBE, 8, (1, 4, 4)), (None, 16, (2, 2, 2)), (None, 16, (2, 2, 2)))
DEPTH = len(LEVELS)


class UNetV0(nn.Module):
    """Sizes are even along z, multiples of 32 along y and x; what comes out is in [0, 1]."""

    def __init__(self, inputs: int, outputs: int, filters: Sequence[int]) -> None:
        super().__init__()
        widths = [inputs, *filters]
        for level in range(DEPTH):
            name = f"layer{level + 1}_E" if level < DEPTH - 1 else "center"
            self.add_module(name, _level(level, widths[level], filters[level]))
        for level in range(DEPTH - 1):
            self.add_module(f"layer{level + 1}_D", _level(level, filters[level], filters[level]))
        for level in range(DEPTH - 1):
            self.add_module(f"conv{level + 1}", convolved(filters[level + 1], filters[level], ONE))
        self.down = nn.MaxPool3d((1, 2, 2), (1, 2, 2))
        self.up = nn.Upsample(scale_factor=(1, 2, 2), mode="trilinear", align_corners=False)
        self.fconv = convolved(filters[0], outputs, CUBE, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, z, y, x]."""
        skipped = []
        for level in range(DEPTH - 1):
            skipped.append(self.get_submodule(f"layer{level + 1}_E")(x))
            x = self.down(skipped[-1])
        x = self.get_submodule("center")(x)
        for level in range(DEPTH - 2, -1, -1):
            x = self.up(self.get_submodule(f"conv{level + 1}")(x)) + skipped[level]
            x = self.get_submodule(f"layer{level + 1}_D")(x)
        return torch.sigmoid(self.fconv(x))


def _level(level: int, inputs: int, outputs: int) -> nn.Sequential:
    kernel, reduction, pool = LEVELS[level]
    return nn.Sequential(Block(inputs, outputs, kernel), SpatialExcitation(outputs, reduction, pool))
