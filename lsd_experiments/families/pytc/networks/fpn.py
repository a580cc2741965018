"""A feature pyramid: what a backbone's stages give, brought to one width and added from the lowest up."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from lsd_experiments.families.pytc.networks.layers import Style, initialise


class FeaturePyramid(nn.Module):
    """``backbone``: gives features of all stages, whose channels are ``filters``."""

    def __init__(self, style: Style, backbone: nn.Module, outputs: int, filters: Sequence[int], isotropy: Sequence[bool]) -> None:
        super().__init__()
        self.style, width = style, filters[0]
        self.backbone = backbone
        self.latlayers = nn.ModuleList(style.convolved(number, width, 1) for number in filters)
        self.smooth = nn.ModuleList()
        for isotropic in isotropy:
            kernel, padding = style.kernel(3, isotropic)
            self.smooth.append(style.convolved(width, width, kernel, padding=padding))
        kernel, padding = style.kernel(5, isotropy[0])
        self.conv_out = style.linear(width, outputs, kernel, padding)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, z, y, x]."""
        features = [layer(stage) for layer, stage in zip(self.latlayers, self.backbone(x), strict=True)]
        found = features.pop()
        for stage, below in reversed(list(enumerate(features, start=1))):
            found = self.smooth[stage](self.style.upsampled(found, below)) + below
        return cast(Tensor, self.conv_out(self.smooth[0](found)))
