"""The challenge's U-Nets: four times halved, batch norms, [b, c, (z,) y, x] of any size to as many voxels, linear.

Names of modules are the published ones, so that weights load.
"""

from typing import Any

import torch
from torch import Tensor, nn

WIDTH = 64  # feature maps of the finest level, as published
LEVELS = 4
KINDS: dict[int, dict[str, Any]] = {
    2: {"convolution": nn.Conv2d, "norm": nn.BatchNorm2d, "pool": nn.MaxPool2d, "up": nn.ConvTranspose2d, "mode": "bilinear"},
    3: {"convolution": nn.Conv3d, "norm": nn.BatchNorm3d, "pool": nn.MaxPool3d, "up": nn.ConvTranspose3d, "mode": "trilinear"},
}


class DoubleConvolution(nn.Module):
    """Twice a convolution of 3 voxels along each axis, its norm, a ReLU."""

    def __init__(self, dims: int, inputs: int, outputs: int, between: int | None = None) -> None:
        super().__init__()
        kind, between = KINDS[dims], between or outputs
        layers: list[nn.Module] = []
        for before, after in ((inputs, between), (between, outputs)):
            layers += [kind["convolution"](before, after, 3, padding=1, bias=False), kind["norm"](after), nn.ReLU(inplace=True)]
        self.double_conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.double_conv(x)
        return found


class Down(nn.Module):
    """The maximum of 2 voxels along each axis, and a double convolution."""

    def __init__(self, dims: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(KINDS[dims]["pool"](2), DoubleConvolution(dims, inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.maxpool_conv(x)
        return found


class Up(nn.Module):
    """Twice the voxels, beside those of the level's way down, and a double convolution. ``linear``: interpolated."""

    def __init__(self, dims: int, inputs: int, outputs: int, linear: bool) -> None:
        super().__init__()
        if linear:
            self.up: nn.Module = nn.Upsample(scale_factor=2, mode=KINDS[dims]["mode"], align_corners=True)
        else:
            self.up = KINDS[dims]["up"](inputs, inputs // 2, 2, stride=2)
        self.conv = DoubleConvolution(dims, inputs, outputs, inputs // 2 if linear else None)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        """See the class."""
        x = self.up(x)
        missing = [there - here for there, here in zip(beside.shape[2:], x.shape[2:], strict=True)]
        pads = [side for lack in reversed(missing) for side in (lack // 2, lack - lack // 2)]
        found: Tensor = self.conv(torch.cat([beside, nn.functional.pad(x, pads)], dim=1))
        return found


class _Last(nn.Module):
    def __init__(self, dims: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = KINDS[dims]["convolution"](inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.conv(x)
        return found


class UNet(nn.Module):
    """See the module. ``trilinear``: interpolate on the way up, in 2-D, too; ``width``: 64 as published."""

    dims = 3

    def __init__(self, n_channels: int, n_classes: int, trilinear: bool = False, width: int = WIDTH) -> None:
        super().__init__()
        self.n_channels, self.n_classes, self.trilinear = n_channels, n_classes, trilinear
        dims, widths, by = self.dims, [width * 2**level for level in range(LEVELS + 1)], 2 if trilinear else 1
        self.inc = DoubleConvolution(dims, n_channels, width)
        for level in range(1, LEVELS + 1):
            last = level == LEVELS
            setattr(self, f"down{level}", Down(dims, widths[level - 1], widths[level] // (by if last else 1)))
        for level in range(1, LEVELS + 1):
            last = level == LEVELS
            outputs = widths[LEVELS - level] // (1 if last else by)
            setattr(self, f"up{level}", Up(dims, widths[LEVELS - level + 1], outputs, trilinear))
        self.outc = _Last(dims, width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        levels = [self.inc(x)]
        for level in range(1, LEVELS + 1):
            levels.append(getattr(self, f"down{level}")(levels[-1]))
        found: Tensor = levels.pop()
        for level in range(1, LEVELS + 1):
            found = getattr(self, f"up{level}")(found, levels.pop())
        last: Tensor = self.outc(found)
        return last


class UNet_2D(UNet):
    """Of sections, [b, c, y, x]."""

    dims = 2


class UNet_3D(UNet):
    """Of volumes, [b, c, z, y, x]."""
