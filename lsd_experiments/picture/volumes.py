"""A picture of volumes on disk."""

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.picture.figure import check_suffix, write_picture

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume

KINDS = ("raw", "affs", "lsds", "segmentation", "labels")
OF_IDS = {"segmentation", "labels"}


def write_picture_of_volumes(path: str | Path, volumes: Mapping[str, "Volume"], section: int | None = None,
                             title: str = "") -> None:
    """Write one section of the region that all ``volumes`` share; only that section is read.

    :param volumes: any of raw, affs, lsds, segmentation and labels
    :param section: along z, from 0, in the shared region (default: its middle)
    :raises UserError: if none is given, they do not overlap, there is no such section, or ids are no ids
    """
    from lsd_experiments.arrays import Volume, check_labels, read_ids

    check_suffix(path)
    if not volumes:
        raise UserError("nothing to draw: give raw, affs, lsds, segmentation or labels")
    for name in OF_IDS & volumes.keys():
        check_labels(volumes[name])
    boxes = _shared(volumes)
    depth = next(iter(boxes.values())).shape[0]
    section = depth // 2 if section is None else section
    if not 0 <= section < depth:
        raise UserError(f"section {section}: the shared region has sections 0 to {depth - 1}")
    arrays: dict[str, Any] = {}
    for name, volume in volumes.items():
        arrays[name] = (read_ids if name in OF_IDS else Volume.read)(volume, _one_section(boxes[name], section))
    write_picture(path, **arrays, section=0, title=title, voxel_size=next(iter(volumes.values())).voxel_size)


def _shared(volumes: Mapping[str, "Volume"]) -> dict[str, Box]:
    """The region that all volumes share, in voxels of each."""
    from lsd_experiments.arrays import overlap

    first = next(iter(volumes.values()))
    pairs = {name: overlap(first, volume) for name, volume in volumes.items()}
    shared = reduce(Box.intersect, (box for box, _ in pairs.values()))
    if shared.empty:
        names = ", ".join(volume.name for volume in volumes.values())
        raise UserError(f"{names} share no voxel. Name volumes of one place")
    return {name: shared.shift([o - s for o, s in zip(other.begin, box.begin, strict=True)])
            for name, (box, other) in pairs.items()}


def _one_section(box: Box, section: int) -> Box:
    return Box((box.begin[0] + section, *box.begin[1:]), (box.begin[0] + section + 1, *box.end[1:]))
