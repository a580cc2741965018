"""Whether volumes fit each other, and nm to voxels of a volume."""

import math
from collections.abc import Sequence

from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres, to_nm, to_voxels


def to_box(volume: Volume, begin: Sequence[float], size: Sequence[float]) -> Box:
    """The ROI that starts at ``begin`` (nm, in the world) and has ``size`` (nm), in voxels of ``volume``.

    :raises UserError: if it is empty, off the volume's voxel grid, or not wholly inside of the volume.
    """
    if len(begin) != 3 or len(size) != 3:
        raise UserError("an ROI needs three numbers (z, y, x) for its offset and size; found "
                        f"{list(begin)} and {list(size)}")
    if not all(map(math.isfinite, (*begin, *size))):
        raise UserError(f"the ROI at {show(begin)} of size {show(size)} nm: is not of finite numbers. Give those")
    start = to_voxels([b - o for b, o in zip(begin, volume.offset, strict=True)], volume.voxel_size)
    shape = to_voxels(size, volume.voxel_size)
    if start is None or shape is None:
        raise UserError(f"the ROI at {show(begin)} of size {show(size)} nm is not on the voxel grid of {volume.name}, "
                        f"which has voxels of {show(volume.voxel_size)} nm from {show(volume.offset)}. "
                        f"{_on_grid(volume, begin, size)}")
    box = Box.of_shape(shape, start)
    if min(shape) < 1:
        raise UserError(f"the ROI of size {show(size)} nm holds no voxel of {volume.name}. Make it larger")
    if not volume.box.contains(box):
        end = [b + s for b, s in zip(begin, size, strict=True)]
        raise UserError(f"the ROI from {show(begin)} to {show(end)} nm reaches outside of {volume.name}, which covers "
                        f"{show(volume.offset)} to {show(volume.end)} nm. Name a part of that")
    return box


def _on_grid(volume: Volume, begin: Sequence[float], size: Sequence[float]) -> str:
    """What to write instead of an ROI between voxels: the nearest one on the grid."""
    start = [o + round((b - o) / v) * v for b, o, v in zip(begin, volume.offset, volume.voxel_size, strict=True)]
    extent = [max(1, round(s / v)) * v for s, v in zip(size, volume.voxel_size, strict=True)]
    return f"Take {show(start)} and {show(extent)}"


def overlap(first: Volume, second: Volume) -> tuple[Box, Box]:
    """The voxels that two volumes share: as a box of ``first``, and the same place as a box of ``second``.

    :raises UserError: if their voxel sizes differ, their voxels do not coincide, or they share none.
    """
    check_voxel_size(second, first.voxel_size, f"that of {first.name}")
    shift = to_voxels([b - a for a, b in zip(first.offset, second.offset, strict=True)], first.voxel_size)
    if shift is None:
        raise UserError(f"the voxels of {second.name} (offset {show(second.offset)} nm) lie between those of "
                        f"{first.name} (offset {show(first.offset)} nm, voxels of {show(first.voxel_size)} nm). "
                        "Correct an offset")
    shared = first.box.intersect(second.box.shift(shift))
    if shared.empty:
        raise UserError(f"{first.name} ({show(first.offset)} to {show(first.end)} nm) and {second.name} "
                        f"({show(second.offset)} to {show(second.end)} nm) do not overlap. Correct an offset, or name "
                        "another volume")
    return shared, shared.shift([-s for s in shift])


def check_voxel_size(
    volume: Volume, expected: Sequence[float], source: str = "that of the experiment", remedy: str = "resample it by convert.py"
) -> None:
    """:raises UserError: if ``volume`` has another voxel size than ``expected`` (nm); ``source`` says whose that is.

    ``remedy``: what to do, besides naming another volume.
    """
    if any(abs(a - b) > 1e-3 * b for a, b in zip(volume.voxel_size, expected, strict=True)):
        raise UserError(f"{volume.name} has voxels of {show(volume.voxel_size)} nm, not {show(expected)} nm, {source}. "
                        f"Name another volume or scale level, or {remedy}")


def show_place(volume: Volume, voxel: Sequence[int]) -> str:
    """Where ``voxel`` of ``volume`` is, in words: in the array that it is part of, and in the world."""
    nm = [o + n for o, n in zip(volume.offset, to_nm(voxel, volume.voxel_size), strict=True)]
    return f"at voxel {tuple(int(v + b) for v, b in zip(voxel, volume.region.begin, strict=True))}, {show(nm)} nm"


def show(values: Nanometres | Sequence[float]) -> str:
    """``(1, 2.5, 3)``: without needless decimals."""
    return "(" + ", ".join(f"{v:.10g}" for v in values) + ")"
