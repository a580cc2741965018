"""Predicted descriptors on disk against those of the ground truth, block by block."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.descriptors.agreement import CHANNELS, LEARNED, Agreement, AgreementSums, learned
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume

BLOCK = (64, 128, 128)  # voxels; their windows reach further
DESCRIPTORS = "descriptors"  # in a file: rows, one for each channel


def evaluate_descriptors(
    lsds: "Volume", labels: "Volume", sigma: float, mask: "Volume | None" = None, downsample: int = 2, box: Box | None = None
) -> list[Agreement]:
    """The agreement of each channel, inside of labelled objects, where both volumes lie, and the mask holds.

    :param lsds: [10, z, y, x], uint8 or in [0, 1]
    :param sigma: of the window, nm; ``downsample``: both as the network was trained
    :param box: the part that counts, in voxels of ``labels`` from its first, inside of both (default: where both lie)
    :raises UserError: if the volumes do not fit each other, or no voxel there is in an object
    """
    from tqdm import tqdm

    from lsd_experiments.arrays import overlap, to_unit_range

    _check(lsds, labels, sigma, downsample)
    shared, inside = overlap(labels, lsds)
    shift = [i - s for i, s in zip(inside.begin, shared.begin, strict=True)]
    if box is not None and not shared.contains(box):
        raise UserError(f"the region {box.begin} to {box.end} (voxels of {labels.name}) is not covered by {lsds.name}, "
                        f"which covers {shared.begin} to {shared.end}. Name a smaller one")
    shared = shared if box is None else box
    sums = AgreementSums()
    for block in tqdm(list(shared.blocks(BLOCK)), desc="comparing", unit="block", leave=False, disable=None):
        block = block.intersect(shared)
        counted, truth = _truth(labels, mask, block, sigma, downsample)
        sums.add(to_unit_range(lsds.read(block.shift(shift)), lsds.name), truth, counted)
    if not sums.voxels:
        raise UserError(f"{labels.name}: no voxel that {lsds.name} covers counts: all are background, or masked out. Name others")
    return list(sums.channels())


def _check(lsds: "Volume", labels: "Volume", sigma: float, downsample: int) -> None:
    """:raises UserError: if a volume is another kind or not finished, both are of other alignments, or the window is none"""
    from lsd_experiments.arrays import check_labels
    from lsd_experiments.arrays.alignments import check_same_alignment
    from lsd_experiments.stages.inputs import check_whole

    if lsds.channels != len(CHANNELS):
        has = f"{lsds.channels or 'no'} channels"
        raise UserError(f"{lsds.name}: has {has}, where descriptors have {len(CHANNELS)}. Name another dataset")
    check_labels(labels)
    for volume in (lsds, labels):
        check_whole(volume)
    check_same_alignment(lsds, labels)
    largest = max(size * voxels for size, voxels in zip(labels.voxel_size, labels.shape, strict=True))
    if sigma > largest:
        raise UserError(f"sigma {sigma:g} nm: is more than {labels.name} is long, {largest:g} nm. Give that of the network's "
                        "train.py")
    if downsample > BLOCK[0]:
        raise UserError(f"downsample {downsample}: is more than the {BLOCK[0]} sections of a block. Give that of the network's "
                        "train.py, which is 2 unless it says another")


def rows_of(found: Sequence[Agreement]) -> list[dict[str, Any]]:
    """As JSON values, one for each channel."""
    return [{"channel": name, **vars(one)} for name, one in zip(CHANNELS, found, strict=True)]


def in_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table as text, and how many channels follow the truth."""
    lines = [f"{'channel':<16}{'correlation':>12}{'error':>10}{'a constant':>12}"]
    for row in rows:
        correlation = "-" if row["correlation"] is None else f"{row['correlation']:.3f}"
        lines.append(f"{row['channel']:<16}{correlation:>12}{row['error']:>10.4f}{row['error_of_constant']:>12.4f}")
    above = learned(row["correlation"] for row in rows)
    return "\n".join([*lines, f"above {LEARNED:g} in {above} of {len(rows)} channels, {rows[0]['voxels']} voxels"])


def _truth(labels: "Volume", mask: "Volume | None", block: Box, sigma: float, downsample: int) -> tuple[Any, NDArray[np.float32]]:
    """Which voxels of ``block`` count, and its descriptors; windows reach as far as the volume does."""
    from lsd_experiments.arrays.labels import hide_negative
    from lsd_experiments.descriptors import local_shape_descriptors
    from lsd_experiments.descriptors.windows import radius

    reach = [radius(sigma, size * downsample) * downsample for size in labels.voxel_size]
    whole = Box(block.begin, tuple(b + -(-s // downsample) * downsample for b, s in zip(block.begin, block.shape, strict=True)))
    seen = whole.grow(reach)
    inside = _mask(labels, mask, seen)
    ids = hide_negative(labels.read(seen), lambda: ~inside, labels, seen)
    inner = Box.of_shape(whole.shape, tuple(reach))
    lsds = local_shape_descriptors(ids, sigma, labels.voxel_size, downsample, roi=inner)
    z, y, x = block.shape
    return ((ids > 0) & inside)[inner.slices][:z, :y, :x], lsds[:, :z, :y, :x]


def _mask(labels: "Volume", mask: "Volume | None", box: Box) -> NDArray[np.bool_]:
    """Where ``box`` of ``labels`` counts; outside of the mask's volume it does not."""
    from lsd_experiments.arrays import overlap, read_mask

    if mask is None:
        return np.ones(box.shape, bool)
    here, there = overlap(labels, mask)
    return read_mask(mask, box.shift([t - h for h, t in zip(here.begin, there.begin, strict=True)]))
