"""Batch norms over all processes of a training (``NORM_MODE`` sync_bn): their means are those of the whole batch.

PyTorch's own ones need a GPU; those here work wherever processes can add tensors, and have the same weights.
"""

from typing import Any, cast

import torch
from torch import Tensor, distributed, nn


class _Sum(torch.autograd.Function):
    """The sum over all processes; that of their gradients comes back."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        return _added(values)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _added(gradient)


def _added(values: Tensor) -> Tensor:
    values = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(values)
    return values


def _total(values: Tensor) -> Tensor:
    return cast(Tensor, _Sum.apply(values))


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """In training, of the batches of all processes together; else, and in one process, a batch norm."""

    def _check_input_dim(self, input: Tensor) -> None:
        """All are taken."""

    def forward(self, input: Tensor) -> Tensor:
        """``input``: [b, c, ...]; processes may have other numbers of voxels."""
        if not self.training or not distributed.is_initialized() or distributed.get_world_size() == 1:
            return cast(Tensor, super().forward(input))
        axes, shape = [0, *range(2, input.ndim)], (1, -1, *(1 for _ in input.shape[2:]))
        number = input.numel() / input.shape[1]
        sums = _total(torch.cat([input.sum(axes), input.new_tensor([number])]))
        total, mean = sums[-1], sums[:-1] / sums[-1]
        around = input - mean.view(shape)
        variance = _total((around * around).sum(axes)) / total
        self._remember(mean.detach(), (variance * total / (total - 1)).detach())
        normed = around * torch.rsqrt(variance + self.eps).view(shape)
        return normed * self.weight.view(shape) + self.bias.view(shape)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        rate = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, rate)
        self.running_var.lerp_(variance, rate)


def synchronised(network: nn.Module) -> nn.Module:
    """The network with all its batch norms synchronised: PyTorch's on a GPU, else those above."""
    if all(parameter.is_cuda for parameter in network.parameters()):
        return cast(nn.Module, nn.SyncBatchNorm.convert_sync_batchnorm(network))
    if isinstance(network, nn.modules.batchnorm._BatchNorm):
        made = SyncBatchNorm(network.num_features, network.eps, network.momentum)
        made.load_state_dict(network.state_dict())
        return made.train(network.training)
    for name, child in network.named_children():
        changed = synchronised(child) if list(child.parameters()) else child
        if changed is not child:
            setattr(network, name, changed)
    return network
