"""Whether volumes that are looked at together lie on each other: their axes, and what of one lies outside of the other."""

import itertools
import math
from collections.abc import Sequence

from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.advice import convert_command
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

AXES = "zyx"


def check_axes(volume: Volume, of: Volume) -> None:
    """:raises UserError: if the axes of ``volume`` are those of ``of`` in another order, by its shape, offset or voxel size."""
    looked_at = [("voxels", volume.shape, of.shape), ("nm of a voxel", volume.voxel_size, of.voxel_size)]
    if sorted(volume.shape) == sorted(of.shape):  # others may begin anywhere
        looked_at.append(("nm of offset", volume.offset, of.offset))
    for what, ours, theirs in looked_at:
        orders = itertools.permutations(range(3))
        order = next((order for order in orders if _alike([ours[axis] for axis in order], theirs)), None)
        if order is not None and not _alike(ours, theirs):
            names = ", ".join(AXES[order.index(axis)] for axis in range(3))
            raise UserError(f"{volume.name} has {_show(ours)} {what}, {of.name} {_show(theirs)}: its axes are in another order, "
                            f"{names}. Store them as z, y, x, or name another dataset")


def say_outside(volume: Volume, of: Volume, inside: Box) -> str | None:
    """How much of ``volume`` lies outside of ``of``, by axis; None if nothing does. ``inside``: the part that does not."""
    if inside == volume.box:
        return None
    parts = []
    for axis, begin, end, size in zip(AXES, inside.begin, inside.end, volume.shape, strict=True):
        sides = [f"{count} {side}" for count, side in ((begin, "before"), (size - end, "behind")) if count]
        if sides:
            parts.append(f"along {axis} {' and '.join(sides)} of {size}")
    voxels = math.prod(volume.shape)
    lost = voxels - math.prod(inside.shape)
    return (f"{volume.name} sticks out of {of.name}: {'; '.join(parts)} voxels ({lost / voxels:.1%} of its voxels) lie outside, "
            "and are not looked at")


def check_raw(raw: Volume, dataset: str) -> None:
    """:raises UserError: if ``raw`` cannot be raw: of channels, or no numbers. ``dataset``: what the advice calls one channel."""
    if raw.channels is not None:
        raise UserError(f"{raw.name}: has {raw.channels} channels; raw is [z, y, x]. Name another dataset, or take one of them: "
                        f"{convert_command(raw, '--channel', '0', dataset=dataset)}")
    if raw.dtype.kind not in "uifb":
        raise UserError(f"{raw.name}: raw of type {raw.dtype}. Name a dataset of integers or floats")


def _alike(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-6) for a, b in zip(first, second, strict=True))


def _show(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:.10g}" for v in values) + ")"
