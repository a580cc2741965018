"""What the variables of a TensorFlow 1 checkpoint say of the network that they are of.

The published networks name their variables ``<scope>/<layer>/kernel`` and ``.../bias``, scopes being those of the original setups
(``setup01``, ``setup23``); slots of the optimizer have one more part. Scope and architecture are found from names and shapes.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lsd_experiments.checkpoints.comparing import weight_shapes
from lsd_experiments.errors import UserError
from lsd_experiments.networks.network import Head, Input, Network, Shape
from lsd_experiments.targets import KNOWN, LocalShapeDescriptors

FIRST = "unet_layer_0_left_0"
# Of heads in published checkpoints, where ours differ.
NAMES = {theirs: target.name for target in KNOWN for theirs in target.published_names if theirs != target.name}
ORDER = [target.name for target in KNOWN]  # of heads in a network; others follow
LSDS = Input(LocalShapeDescriptors.name, LocalShapeDescriptors.channels)
INPUTS = {1: (Input("raw"),), 10: (LSDS,), 11: (Input("raw"), LSDS)}  # by their channels


@dataclass(frozen=True)
class Layout:
    """The network of one scope of a checkpoint, as the shapes of its variables tell it.

    ``shapes``: by ``<layer>/kernel`` and ``<layer>/bias``. ``fmaps``: per level.
    """

    path: Path
    scope: str
    shapes: Mapping[str, tuple[int, ...]]
    fmaps: tuple[int, ...]
    downsample_factors: tuple[Shape, ...]
    num_fmaps_out: int
    heads: tuple[Head, ...]
    channels_in: int

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def network(self) -> Network:
        """The network whose weights these are.

        :raises UserError: if there is none: a layer that differs is named.
        """
        if self.channels_in not in INPUTS:
            raise UserError(f"{self.path}: takes {self.channels_in} channels. Known are 1 (raw), 10 (LSDs) and 11 (raw and LSDs)")
        network = Network(
            num_fmaps=self.fmaps[0],
            fmap_inc_factor=self.fmaps[1] // self.fmaps[0] if len(self.fmaps) > 1 else 1,
            downsample_factors=self.downsample_factors,
            heads=self.heads,
            num_fmaps_out=None if self.num_fmaps_out == self.fmaps[0] else self.num_fmaps_out,
            inputs=INPUTS[self.channels_in],
        )
        for name, shape in weight_shapes(network).items():
            found = self.shapes.get(name)
            if found != shape:
                raise UserError(
                    f"{self.path}: is not of a network that is known: {name} in {self.scope or 'no scope'} is "
                    f"{found or 'missing'}, where the other layers ask for {shape}. Name another checkpoint"
                )
        return network


def find_layout(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    """The layout of a checkpoint at ``path`` with variables of these ``shapes``, by their full names.

    :raises UserError: if they are not of one U-Net.
    """
    scope = find_scope(path, shapes)
    own = re.compile(re.escape(f"{scope}/" if scope else "") + r"([^/]+/(?:kernel|bias))")
    weights = {match[1]: shape for name, shape in shapes.items() if (match := own.fullmatch(name))}

    def kernel(layer: str) -> tuple[int, ...]:
        shape = weights.get(f"{layer}/kernel", ())
        if len(shape) != 5 or not all(shape):
            found = "missing" if f"{layer}/kernel" not in weights else f"of shape {shape}"
            raise UserError(f"{path}: is not of a network that is known: {layer}/kernel in {scope or 'no scope'} is {found}")
        return shape

    levels = sum(1 for name in weights if re.fullmatch(r"unet_layer_\d+_left_0/kernel", name))
    factors = [kernel(f"unet_up_{level + 1}_to_{level}")[:3] for level in range(levels - 1)]
    heads = [name.removesuffix("_0/kernel") for name in weights if name.endswith("_0/kernel") and not name.startswith("unet_")]
    return Layout(
        path=path,
        scope=scope,
        shapes=weights,
        fmaps=tuple(kernel(f"unet_layer_{level}_left_0")[4] for level in range(levels)),
        downsample_factors=tuple((z, y, x) for z, y, x in factors),
        num_fmaps_out=kernel("unet_layer_0_right_1" if levels > 1 else "unet_layer_0_left_1")[4],
        heads=_heads({name: kernel(f"{name}_0")[4] for name in heads}),
        channels_in=kernel(FIRST)[3],
    )


def find_scope(path: Path, names: Iterable[str]) -> str:
    """The scope of the U-Net; of several, that which was trained.

    :raises UserError: if there is none, or no telling which.
    """
    names = list(names)
    found = re.compile(rf"(?:(.+)/)?{FIRST}/kernel")
    scopes = sorted({match[1] or "" for name in names if (match := found.fullmatch(name))})
    if not scopes:
        some = ", ".join(sorted(names)[:3]) or "nothing"
        raise UserError(f"{path}: holds no U-Net of the experiments: no {FIRST}/kernel, but {some}. Name another checkpoint")
    if len(scopes) > 1:
        slot = re.compile(rf"(.+?)/(?:\1/)?{FIRST}/kernel/\w+")
        trained = sorted({match[1] for name in names if (match := slot.fullmatch(name))} & set(scopes))
        if len(trained) != 1:
            raise UserError(f"{path}: holds several networks: {', '.join(scopes)}. Name a checkpoint that holds one")
        return trained[0]
    return scopes[0]


def _heads(channels: Mapping[str, int]) -> tuple[Head, ...]:
    """The heads, by their published names, in the order in which networks have them."""
    heads = [Head(NAMES.get(name, name), count, name if name in NAMES else None) for name, count in channels.items()]
    return tuple(sorted(heads, key=lambda h: (ORDER.index(h.name) if h.name in ORDER else len(ORDER), h.name)))
