"""Residual networks of sections, as torchvision has them, without what classifies: the backbones of DeepLab."""

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from lsd_experiments.families.pytc.networks.backbones import Backbone
from lsd_experiments.families.pytc.networks.layers import Style

EXPANSION = 4
WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True)
class Depths:
    """Blocks of each stage; ``groups`` and ``width`` of their middle convolution."""

    blocks: tuple[int, int, int, int]
    groups: int = 1
    width: int = 64


RESNETS = {
    "resnet50": Depths((3, 4, 6, 3)), "resnet101": Depths((3, 4, 23, 3)), "resnet152": Depths((3, 8, 36, 3)),
    "resnext50_32x4d": Depths((3, 4, 6, 3), 32, 4), "resnext101_32x8d": Depths((3, 4, 23, 3), 32, 8),
    "wide_resnet50_2": Depths((3, 4, 6, 3), 1, 128), "wide_resnet101_2": Depths((3, 4, 23, 3), 1, 128),
}


class Bottleneck(nn.Module):
    """Three convolutions, of which the middle one may halve; what goes in is added."""

    def __init__(self, style: Style, inputs: int, planes: int, stride: int, depths: Depths) -> None:
        super().__init__()
        width, outputs = planes * depths.width // 64 * depths.groups, planes * EXPANSION
        self.conv1, self.bn1 = style.convolution(inputs, width, 1), style.norm_layer(width)
        self.conv2 = style.convolution(width, width, 3, stride, 1, groups=depths.groups)
        self.bn2 = style.norm_layer(width)
        self.conv3, self.bn3 = style.convolution(width, outputs, 1), style.norm_layer(outputs)
        self.relu = style.activation()
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(style.convolution(inputs, outputs, 1, stride), style.norm_layer(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, y, x]."""
        found = self.relu(self.bn1(self.conv1(x)))
        found = self.relu(self.bn2(self.conv2(found)))
        found = self.bn3(self.conv3(found))
        return cast(Tensor, self.relu(found + (x if self.downsample is None else self.downsample(x))))


class ResNet(Backbone):
    """Features of the four stages, at a quarter of the size to a 32nd."""

    def __init__(self, style: Style, name: str, inputs: int) -> None:
        depths = RESNETS[name]
        parts: dict[str, nn.Module] = {
            "conv1": style.convolution(inputs, 64, 7, 2, 3), "bn1": style.norm_layer(64), "relu": style.activation(),
            "maxpool": nn.MaxPool2d(3, 2, 1)}
        channels = 64
        for stage, (planes, number) in enumerate(zip(WIDTHS, depths.blocks, strict=True)):
            layers = []
            for block in range(number):
                layers.append(Bottleneck(style, channels, planes, 2 if stage and not block else 1, depths))
                channels = planes * EXPANSION
            parts[f"layer{stage + 1}"] = nn.Sequential(*layers)
        super().__init__(parts)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
