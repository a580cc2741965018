"""DeepLab v3 for sections: a residual network, convolutions of several dilations, and one of three heads.

Unlike the published program nothing is downloaded: weights of ImageNet are not taken.
"""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from lsd_experiments.families.pytc.networks.layers import Style, concatenate
from lsd_experiments.families.pytc.networks.resnet2d import EXPANSION, WIDTHS, ResNet

RATES = (12, 24, 36)
WIDTH = 256
TOP, LOW, AUX = WIDTHS[3] * EXPANSION, WIDTHS[0] * EXPANSION, WIDTHS[2] * EXPANSION


class DeepLab(nn.Module):
    """``head``: a, b or c; with ``auxiliary`` training also gets what the stage before the last says."""

    def __init__(self, style: Style, head: str, backbone: str, inputs: int, outputs: int, auxiliary: bool) -> None:
        super().__init__()
        self.backbone = ResNet(style, backbone, inputs)
        self.aux_classifier = _auxiliary(style, outputs) if auxiliary else None
        self.classifier = {"a": _head_a, "b": HeadB, "c": HeadC}[head](style, outputs)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """``x``: [b, c, y, x]; a dict of "out" and "aux" if there are two."""
        features = self.backbone(x)
        top = (features[3], features[0]) if isinstance(self.classifier, HeadC) else (features[3],)
        found = _resized(self.classifier(*top), x)
        if self.aux_classifier is None:
            return found
        return {"out": found, "aux": _resized(self.aux_classifier(features[2]), x)}


class Pyramid(nn.Module):
    """The same features at several dilations and as their mean, brought together."""

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.convs = nn.ModuleList([
            style.convolved(TOP, WIDTH, 1), *(style.convolved(TOP, WIDTH, 3, 1, rate, rate) for rate in RATES),
            Mean(style)])
        self.project = style.convolved(5 * WIDTH, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, y, x]."""
        return cast(Tensor, self.project(concatenate([convolve(x) for convolve in self.convs])))


class Mean(nn.Sequential):
    """The mean of a section, everywhere."""

    def __init__(self, style: Style) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *style.convolved(TOP, WIDTH, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, y, x]."""
        return functional.interpolate(super().forward(x), x.shape[-2:], mode="bilinear", align_corners=False)


def _head_a(style: Style, outputs: int) -> nn.Sequential:
    return nn.Sequential(Pyramid(style), *style.convolved(WIDTH, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, outputs, 1))


class HeadB(nn.Module):
    """With a step at twice the size."""

    def __init__(self, style: Style, outputs: int) -> None:
        super().__init__()
        self.aspp = Pyramid(style)
        self.conv1 = style.convolved(WIDTH, 128, 3, padding=1)
        last = style.convolution(128, outputs, 3, padding=1, bias=True)
        self.conv2 = nn.Sequential(*style.convolved(128, 128, 3, padding=1), last)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, y, x]."""
        found = self.conv1(self.aspp(x))
        size = [2 * length - length % 2 for length in found.shape[-2:]]
        return cast(Tensor, self.conv2(functional.interpolate(found, size, mode="bilinear", align_corners=True)))


class HeadC(nn.Module):
    """With features of the first stage, at a quarter of the size."""

    LOW_WIDTH = 32

    def __init__(self, style: Style, outputs: int) -> None:
        super().__init__()
        self.aspp = Pyramid(style)
        self.conv = style.convolved(LOW, self.LOW_WIDTH, 1)
        both = style.convolved(WIDTH + self.LOW_WIDTH, WIDTH, 3, padding=1)
        self.classifier = nn.Sequential(*both, nn.Conv2d(WIDTH, outputs, 1))

    def forward(self, x: Tensor, low: Tensor) -> Tensor:
        """``x``, ``low``: [b, c, y, x] of the last and the first stage."""
        return cast(Tensor, self.classifier(concatenate([_resized(self.aspp(x), low), self.conv(low)])))


def _auxiliary(style: Style, outputs: int) -> nn.Sequential:
    return nn.Sequential(*style.convolved(AUX, AUX // 4, 3, padding=1), nn.Conv2d(AUX // 4, outputs, 1))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)
