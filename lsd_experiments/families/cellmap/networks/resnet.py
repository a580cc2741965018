"""The challenge's ResNets: residual blocks at a quarter of the size, instance norms, linear.

Sides that are no multiples of 4 give larger outputs, which are cut; with ``padding_type="valid"`` outputs are smaller.
Names of modules are the published ones, so that weights load.
"""

import itertools
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

PADS = {"reflect": (nn.ReflectionPad2d, nn.ReflectionPad3d), "same": (nn.ReflectionPad2d, nn.ReflectionPad3d),
        "replicate": (nn.ReplicationPad2d, nn.ReplicationPad3d)}
PADDINGS = (*PADS, "zeros", "valid")
DROPPED = 0.2
Layer = Callable[..., nn.Module]


class _Parts:
    """The layers of a network in ``dims`` dimensions; ``padding``: one of :data:`PADDINGS`."""

    def __init__(self, dims: int, padding: str, norm: Layer, activation: Layer) -> None:
        if padding not in PADDINGS:
            raise ValueError(f"padding_type is {padding!r}, not one of {', '.join(PADDINGS)}")
        self.dims, self.padding, self.norm, self.activation = dims, padding, norm, activation
        self.bias = getattr(norm, "func", norm) in (nn.InstanceNorm2d, nn.InstanceNorm3d)  # batch norms have their own
        self.convolution: Any = (nn.Conv2d, nn.Conv3d)[dims - 2]
        self.up: Any = (nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 2]
        self.between = 0 if padding == "valid" else 1  # padding of convolutions that halve

    def pad(self, width: int) -> list[nn.Module]:
        return [PADS[self.padding][self.dims - 2](width)] if self.padding in PADS else []

    def full(self, inputs: int, outputs: int, kernel: int, bias: bool) -> list[nn.Module]:
        """A convolution that keeps the size, unless padding is ``valid``."""
        around = kernel // 2 if self.padding == "zeros" else 0
        return [*self.pad(kernel // 2), self.convolution(inputs, outputs, kernel, padding=around, bias=bias)]


class ResnetBlock(nn.Module):
    """Two convolutions beside what they get."""

    def __init__(self, parts: _Parts, channels: int, dropout: bool) -> None:
        super().__init__()
        layers = [*parts.full(channels, channels, 3, parts.bias), parts.norm(channels), parts.activation()]
        layers += [nn.Dropout(DROPPED)] if dropout else []
        self.conv_block = nn.Sequential(*layers, *parts.full(channels, channels, 3, parts.bias), parts.norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.conv_block(x)
        return _middle(x, found) + found


class ResNet(nn.Module):
    """See the module.

    :param ndims: 2 or 3
    :param output_nc: channels of the output; default: ``ngf``
    :param ngf: feature maps at full size
    """

    def __init__(self, ndims: int, input_nc: int = 1, output_nc: int | None = None, ngf: int = 64,
                 norm_layer: Layer | None = None, use_dropout: bool = False, n_blocks: int = 6,
                 padding_type: str = "reflect", activation: Layer = nn.ReLU, n_downsampling: int = 2) -> None:
        super().__init__()
        if ndims not in (2, 3):
            raise ValueError(f"ndims is {ndims}, not 2 or 3")
        instance: Layer = (nn.InstanceNorm2d, nn.InstanceNorm3d)[ndims - 2]
        parts = _Parts(ndims, padding_type.lower(), norm_layer or instance, activation)
        self.smaller = parts.padding == "valid"
        widths = [ngf * 2**level for level in range(n_downsampling + 1)]
        layers = [*parts.full(input_nc, ngf, 7, parts.bias), parts.norm(ngf), activation()]
        for before, after in itertools.pairwise(widths):
            layers += [parts.convolution(before, after, 3, stride=2, padding=parts.between, bias=parts.bias), parts.norm(after),
                       activation()]
        layers += [ResnetBlock(parts, widths[-1], use_dropout) for _ in range(n_blocks)]
        for before, after in itertools.pairwise(widths[::-1]):
            layers += [parts.up(before, after, 3, stride=2, padding=parts.between, output_padding=parts.between, bias=parts.bias),
                       parts.norm(after), activation()]
        self.model = nn.Sequential(*layers, *parts.full(ngf, ngf if output_nc is None else output_nc, 7, True))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.model(x)
        return found if self.smaller else found[(..., *(slice(0, size) for size in x.shape[2:]))]


def _middle(x: Tensor, like: Tensor) -> Tensor:
    """The voxels of ``x`` in the middle, as many as ``like`` has."""
    begins = [(there - here) // 2 for there, here in zip(x.shape[2:], like.shape[2:], strict=True)]
    return x[(..., *(slice(begin, begin + size) for begin, size in zip(begins, like.shape[2:], strict=True)))]


class Resnet2D(ResNet):
    """Of sections, [b, c, y, x]."""

    def __init__(self, **more: Any) -> None:
        super().__init__(2, **more)


class Resnet3D(ResNet):
    """Of volumes, [b, c, z, y, x]."""

    def __init__(self, **more: Any) -> None:
        super().__init__(3, **more)
