"""RepVGG blocks: three branches in training, which are one convolution afterwards (re-parameterised)."""

from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn

from lsd_experiments.families.pytc.networks.layers import Sizes, Style

FUSED = "rbr_reparam"  # the one convolution


class RepVGG(nn.Module):
    """A convolution, one of single voxels, and what goes in, each with a batch norm, added; or the one that they are together."""

    def __init__(self, style: Style, inputs: int, outputs: int, stride: Sizes, isotropic: bool, fused: bool) -> None:
        super().__init__()
        self.act = style.activation()
        kernel, padding = style.kernel(3, isotropic)
        self._shape = (inputs, outputs, kernel, stride, padding)
        self._style = style
        if fused:
            self.add_module(FUSED, self._one())
            return
        self.rbr_identity = nn.BatchNorm3d(inputs) if inputs == outputs and stride == 1 else None
        self.rbr_dense = _normed(style.convolution(inputs, outputs, kernel, stride, padding), outputs)
        self.rbr_1x1 = _normed(style.convolution(inputs, outputs, 1, stride), outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: [b, c, z, y, x]."""
        if FUSED in self._modules:
            return cast(Tensor, self.act(self.get_submodule(FUSED)(x)))
        found = self.rbr_dense(x) + self.rbr_1x1(x)
        return cast(Tensor, self.act(found if self.rbr_identity is None else found + self.rbr_identity(x)))

    def fuse(self) -> None:
        """Make the branches one convolution, which gives the same in evaluation."""
        if FUSED in self._modules:
            return
        with torch.no_grad():
            dense, bias = _folded(self.rbr_dense.conv.weight, self.rbr_dense.bn)
            kernel = dense.clone()
            middle = tuple(size // 2 for size in kernel.shape[2:])
            single, more = _folded(self.rbr_1x1.conv.weight, self.rbr_1x1.bn)
            kernel[(..., *middle)] += single[..., 0, 0, 0]
            bias = bias + more
            if self.rbr_identity is not None:
                same = torch.eye(kernel.shape[0], device=kernel.device)[..., None, None, None]
                scaled, more = _folded(same, self.rbr_identity)
                kernel[(..., *middle)] += scaled[..., 0, 0, 0]
                bias = bias + more
            one = self._one().to(kernel.device)
            cast(Tensor, one.weight).copy_(kernel)
            cast(Tensor, one.bias).copy_(bias)
        del self.rbr_dense, self.rbr_1x1, self.rbr_identity
        self.add_module(FUSED, one)

    def _one(self) -> nn.Module:
        inputs, outputs, kernel, stride, padding = self._shape
        return self._style.convolution(inputs, outputs, kernel, stride, padding, bias=True)


def fuse(network: nn.Module) -> None:
    """Re-parameterise all blocks of a network, for inference; others are left as they are."""
    for module in list(network.modules()):
        if isinstance(module, RepVGG):
            module.fuse()


def is_fused(names: list[str]) -> bool:
    """Whether weights of these names are of re-parameterised blocks."""
    return any(f".{FUSED}." in name for name in names)


def _normed(convolution: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(conv=convolution, bn=nn.BatchNorm3d(channels)))


def _folded(kernel: Tensor, norm: nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """A kernel and bias that are a ``kernel`` with a batch norm behind it."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return kernel * scale[:, None, None, None, None], norm.bias - norm.running_mean * scale
