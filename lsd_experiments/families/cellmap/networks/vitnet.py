"""The challenge's ViTNet: a transformer over the coarsest features of a small convolutional way down, and a way up again.

    raw -> 16, 32, 32 feature maps at 1, 1/2, 1/4 -> patches of 8 voxels of these -> transformer -> five times doubled

Its size is fixed: ``img_size``, whose sides are multiples of 32. Names of modules are the published ones, so that weights load.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

DOWN = 4  # how much smaller the features are that are cut into patches
POOLED = 2  # times that these are halved for the way up
EPSILON = 1e-6
SMALL = 1e-5  # weights of the last convolution, before training


@dataclass(frozen=True)
class Plan:
    """The published values."""

    patch_size: int = 8
    hidden_size: int = 252
    mlp_dim: int = 3072
    num_heads: int = 12
    num_layers: int = 12
    attention_dropout_rate: float = 0.0
    dropout_rate: float = 0.1
    conv_first_channel: int = 512
    encoder_channels: tuple[int, ...] = (16, 32, 32)
    decoder_channels: tuple[int, ...] = (96, 48, 32, 32, 16)
    input_channels: int = 1


class Attention(nn.Module):
    """Of all patches to all, by several heads."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.heads, self.each = plan.num_heads, plan.hidden_size // plan.num_heads
        inner = self.heads * self.each
        self.query, self.key, self.value = (nn.Linear(plan.hidden_size, inner) for _ in range(3))
        self.out = nn.Linear(plan.hidden_size, plan.hidden_size)
        self.dropped = plan.attention_dropout_rate

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        query, key, value = (part(x).unflatten(-1, (self.heads, self.each)).transpose(1, 2)
                             for part in (self.query, self.key, self.value))
        share = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(self.each), dim=-1)
        share = nn.functional.dropout(share, self.dropped, self.training)
        found: Tensor = self.out((share @ value).transpose(1, 2).flatten(2))
        return nn.functional.dropout(found, self.dropped, self.training)


class Perceptron(nn.Module):
    """Two layers."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(plan.hidden_size, plan.mlp_dim), nn.Linear(plan.mlp_dim, plan.hidden_size)
        self.dropout = nn.Dropout(plan.dropout_rate)
        for layer in (self.fc1, self.fc2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.dropout(self.fc2(self.dropout(nn.functional.gelu(self.fc1(x)))))
        return found


class Block(nn.Module):
    """Attention and perceptron, each beside what it gets."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(plan.hidden_size, eps=EPSILON)
        self.ffn_norm = nn.LayerNorm(plan.hidden_size, eps=EPSILON)
        self.ffn, self.attn = Perceptron(plan), Attention(plan)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = x + self.attn(self.attention_norm(x))
        found: Tensor = x + self.ffn(self.ffn_norm(x))
        return found


class Way(nn.Module):
    """Twice a convolution of 3 voxels and a ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(nn.Conv3d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True),
                                         nn.Conv3d(outputs, outputs, 3, padding=1), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.double_conv(x)
        return found


class Halving(nn.Module):
    """The maximum of 2 voxels along each axis, and a :class:`Way`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool3d(2), Way(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.maxpool_conv(x)
        return found


class Encoder(nn.Module):
    """Features at five sizes, the coarsest first."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        first, second, third = plan.encoder_channels
        self.inc, self.down1, self.down2 = Way(plan.input_channels, first), Halving(first, second), Halving(second, third)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class."""
        found = [self.inc(x)]
        found.append(self.down1(found[-1]))
        found.append(self.down2(found[-1]))
        for _ in range(POOLED):
            found.append(nn.functional.max_pool3d(found[-1], 2))
        return found[::-1]


class Embeddings(nn.Module):
    """A vector for each patch, and what tells its place."""

    def __init__(self, plan: Plan, grid: Sequence[int]) -> None:
        super().__init__()
        self.hybrid_model = Encoder(plan)
        size = plan.patch_size
        self.patch_embeddings = nn.Conv3d(plan.encoder_channels[-1], plan.hidden_size, size, stride=size)
        self.position_embeddings = nn.Parameter(torch.zeros(1, math.prod(grid), plan.hidden_size))
        self.dropout = nn.Dropout(plan.dropout_rate)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See the class."""
        features = self.hybrid_model(x)
        patches = self.patch_embeddings(features[POOLED]).flatten(2).transpose(1, 2)
        return self.dropout(patches + self.position_embeddings), features


class Layers(nn.Module):
    """The blocks, one after the other."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Block(plan) for _ in range(plan.num_layers))
        self.encoder_norm = nn.LayerNorm(plan.hidden_size, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for block in self.layer:
            x = block(x)
        found: Tensor = self.encoder_norm(x)
        return found


class Transformer(nn.Module):
    """Patches with what they know of all others [b, patch, channel], and the features."""

    def __init__(self, plan: Plan, grid: Sequence[int]) -> None:
        super().__init__()
        self.embeddings, self.encoder = Embeddings(plan, grid), Layers(plan)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See the class."""
        patches, features = self.embeddings(x)
        return self.encoder(patches), features


class Doubling(nn.Module):
    """Twice the voxels, the features of that size beside them, and two convolutions."""

    def __init__(self, inputs: int, beside: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _convolved(inputs + beside, outputs), _convolved(outputs, outputs)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        """See the class."""
        x = nn.functional.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)
        found: Tensor = self.conv2(self.conv1(torch.cat([x, beside], dim=1)))
        return found


class Decoder(nn.Module):
    """From patches to voxels."""

    def __init__(self, plan: Plan, grid: Sequence[int]) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.conv_more = _convolved(plan.hidden_size, plan.conv_first_channel)
        first, second, third = plan.encoder_channels
        inputs = (plan.conv_first_channel, *plan.decoder_channels[:-1])
        self.blocks = nn.ModuleList(map(Doubling, inputs, (third, third, third, second, first), plan.decoder_channels))

    def forward(self, patches: Tensor, features: list[Tensor]) -> Tensor:
        """See the class."""
        x: Tensor = self.conv_more(patches.transpose(1, 2).unflatten(2, self.grid))
        for block, beside in zip(self.blocks, features, strict=True):
            x = block(x, beside)
        return x


class ViTVNet(nn.Module):
    """See the module.

    :param config: values of :class:`Plan` that are others; or ``ViT-V-Net``
    :param img_size: (z, y, x) voxels of inputs and outputs
    """

    def __init__(self, out_channels: int, config: str | Mapping[str, Any] = "ViT-V-Net",
                 img_size: Sequence[int] = (128, 128, 128)) -> None:
        super().__init__()
        plan = Plan() if isinstance(config, str) else replace(Plan(), **config)
        unit = DOWN * plan.patch_size
        if len(img_size) != 3 or any(size < unit or size % unit for size in img_size):
            raise ValueError(f"img_size is {tuple(img_size)}, not three multiples of {unit}")
        if plan.hidden_size % plan.num_heads:
            raise ValueError(f"hidden_size is {plan.hidden_size}, no multiple of num_heads, {plan.num_heads}")
        grid = [size // unit for size in img_size]
        self.transformer, self.decoder = Transformer(plan, grid), Decoder(plan, grid)
        self.reg_head = nn.Sequential(nn.Conv3d(plan.decoder_channels[-1], out_channels, 3, padding=1))
        nn.init.normal_(self.reg_head[0].weight, std=SMALL)
        nn.init.zeros_(self.reg_head[0].bias)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        patches, features = self.transformer(x)
        found: Tensor = self.reg_head(self.decoder(patches, features))
        return found


def _convolved(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs), nn.ReLU(inplace=True))
