"""Layers that weight channels or voxels by what is elsewhere: squeeze and excitation, strips, planes, and all with all."""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from lsd_experiments.families.pytc.networks.layers import Style, activation

REDUCTIONS = {2: 16, 3: 4}  # of squeeze and excitation, by dimensions
STRIPS = ((3, 1, 1), (1, 3, 1), (1, 1, 3))
PLANES = ((3, 3, 1), (1, 3, 3), (3, 1, 3))


class SqueezeExcitation(nn.Module):
    """Channels times a weight of each, which two layers make of all channels' means."""

    def __init__(self, channels: int, reduction: int, act: str) -> None:
        super().__init__()
        squeezed = channels // reduction
        self.fc = nn.Sequential(nn.Linear(channels, squeezed, bias=False), activation(act),
                                nn.Linear(squeezed, channels, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, ...]."""
        weights = cast(Tensor, self.fc(x.flatten(2).mean(2)))
        return x * weights.view(*weights.shape, *(1 for _ in x.shape[2:]))


class Pooled(nn.Module):
    """Voxels times weights of three means: over all but one axis (strips), or over one axis (planes)."""

    REDUCTION = 4

    def __init__(self, channels: int, kernels: tuple[tuple[int, int, int], ...], names: tuple[str, str, str], act: str) -> None:
        super().__init__()
        self.names = names
        squeezed = channels // self.REDUCTION
        for name, kernel in zip(names, kernels, strict=True):
            padding = tuple(size // 2 for size in kernel)
            self.add_module(f"conv_{name}", nn.Conv3d(channels, squeezed, kernel, padding=padding))
        self.relu = activation(act)
        self.conv1x1x1 = nn.Conv3d(squeezed, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, z, y, x]."""
        found = 0
        for name in self.names:
            means = x.mean([2 + axis for axis in range(3) if "zyx"[axis] not in name], keepdim=True)
            found = found + self.relu(self.get_submodule(f"conv_{name}")(means))
        return cast(Tensor, x * self.conv1x1x1(found).sigmoid())


class NonLocal(nn.Module):
    """Adds to each voxel what all others are, weighted by how alike they are."""

    def __init__(self, style: Style, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 2)
        self.g = nn.Conv3d(channels, inner, 1)
        self.W = nn.Sequential(nn.Conv3d(inner, channels, 1), style.norm_layer(channels))
        self.theta, self.phi = nn.Conv3d(channels, inner, 1), nn.Conv3d(channels, inner, 1)
        norm = self.W[1]
        if getattr(norm, "weight", None) is not None:  # nothing is added in the beginning
            nn.init.zeros_(cast(Tensor, norm.weight))
            nn.init.zeros_(cast(Tensor, norm.bias))

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, z, y, x]."""
        likeness = functional.softmax(self.theta(x).flatten(2).transpose(1, 2) @ self.phi(x).flatten(2), dim=-1)
        found = (likeness @ self.g(x).flatten(2).transpose(1, 2)).transpose(1, 2)
        return cast(Tensor, self.W(found.reshape(*found.shape[:2], *x.shape[2:])) + x)


def attention(name: str, channels: int, act: str = "relu") -> nn.Module:
    """The attention of an inverted residual block."""
    if name == "squeeze_excitation":
        return SqueezeExcitation(channels, 8, act)
    if name == "strip_pool":
        return Pooled(channels, STRIPS, ("z", "y", "x"), act)
    if name == "plane_pool":
        return Pooled(channels, PLANES, ("zy", "yx", "xz"), act)
    return nn.Identity()

