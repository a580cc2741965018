"""Convolutions with their norms and activations, in two and three dimensions: the parts that all networks here are made of.

Names of modules are those of PyTorch Connectomics, so that its weights load: ``0`` is a convolution, ``1`` its norm.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Sizes = int | tuple[int, ...]
CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
BATCH_NORMS: dict[int, Any] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
INSTANCE_NORMS: dict[int, Any] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
GROUPS = {2: 16, 3: 8}  # of group norms
LEAK = 0.2


@dataclass(frozen=True)
class Style:
    """What the layers of a network have in common.

    ``norm``: bn, sync_bn, in, gn or none; sync_bn is a batch norm, which training over several processes makes a common one.
    """

    dims: int = 3
    norm: str = "bn"
    act: str = "elu"
    pad: str = "replicate"

    def convolution(
        self, inputs: int, outputs: int, kernel: Sizes, stride: Sizes = 1, padding: Sizes = 0, dilation: Sizes = 1,
        groups: int = 1, bias: bool = False,
    ) -> nn.Module:
        """A convolution, padded in the style's way."""
        return CONVOLUTIONS[self.dims](inputs, outputs, kernel, stride, padding, dilation, groups, bias, self.pad)

    def norm_layer(self, channels: int) -> nn.Module:
        """The norm of ``channels``."""
        if self.norm == "gn":
            return nn.GroupNorm(GROUPS[self.dims], channels)
        if self.norm == "in":
            return INSTANCE_NORMS[self.dims](channels)
        return nn.Identity() if self.norm == "none" else BATCH_NORMS[self.dims](channels)

    def activation(self, inplace: bool = True) -> nn.Module:
        """The activation."""
        return activation(self.act, inplace)

    def convolved(
        self, inputs: int, outputs: int, kernel: Sizes, stride: Sizes = 1, padding: Sizes = 0, dilation: Sizes = 1,
        groups: int = 1, bias: bool = False,
    ) -> nn.Sequential:
        """A convolution, its norm, its activation."""
        return nn.Sequential(self.convolution(inputs, outputs, kernel, stride, padding, dilation, groups, bias),
                             self.norm_layer(outputs), self.activation())

    def before(
        self, inputs: int, outputs: int, kernel: Sizes, stride: Sizes = 1, padding: Sizes = 0, dilation: Sizes = 1,
        groups: int = 1,
    ) -> nn.Sequential:
        """A norm, its activation, the convolution. The activation leaves what it gets as it is: a residual block adds that."""
        return nn.Sequential(self.norm_layer(inputs), self.activation(inplace=False),
                             self.convolution(inputs, outputs, kernel, stride, padding, dilation, groups))

    def linear(self, inputs: int, outputs: int, kernel: Sizes, padding: Sizes = 0) -> nn.Sequential:
        """The last convolution of a network: with a bias, without norm and activation."""
        return self.bare.convolved(inputs, outputs, kernel, padding=padding, bias=True)

    @property
    def bare(self) -> "Style":
        """Without norm and activation."""
        return dataclasses.replace(self, norm="none", act="none")

    @property
    def inactive(self) -> "Style":
        """Without activation."""
        return dataclasses.replace(self, act="none")

    def kernel(self, size: int, isotropic: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """A kernel, and the padding that keeps sizes; in three dimensions within sections, unless ``isotropic``."""
        flat = self.dims == 3 and not isotropic
        sizes = (1, size, size) if flat else (size,) * self.dims
        return sizes, tuple(size // 2 for size in sizes)

    def halving(self, isotropic: bool) -> Sizes:
        """The stride that halves a stage."""
        return (1, 2, 2) if self.dims == 3 and not isotropic else 2

    def upsampled(self, features: Tensor, like: Tensor, align_corners: bool = True) -> Tensor:
        """``features`` interpolated to the size of ``like``."""
        mode = {2: "bilinear", 3: "trilinear"}[self.dims]
        return nn.functional.interpolate(features, like.shape[2:], mode=mode, align_corners=align_corners)


def activation(name: str, inplace: bool = True) -> nn.Module:
    """The activation ``name``."""
    makers: dict[str, Any] = {
        "relu": lambda: nn.ReLU(inplace), "leaky_relu": lambda: nn.LeakyReLU(LEAK, inplace), "elu": lambda: nn.ELU(1.0, inplace),
        "gelu": nn.GELU, "swish": nn.SiLU, "efficient_swish": nn.SiLU, "none": nn.Identity,
    }
    module: nn.Module = makers[name]()
    return module


def initialise(module: nn.Module) -> None:
    """Orthogonal kernels, as published."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d | nn.Linear) and part.weight.numel():
            nn.init.orthogonal_(part.weight)


def count(module: nn.Module) -> int:
    """The number of weights and biases."""
    return sum(parameter.numel() for parameter in module.parameters())


def concatenate(parts: list[Tensor]) -> Tensor:
    """Along channels."""
    return torch.cat(parts, dim=1)
