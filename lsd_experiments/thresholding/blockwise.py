"""Masks of classes of a whole volume, block by block."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.arrays.creating import default_chunks
from lsd_experiments.blockwise import Block, BlockTask
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Voxels
from lsd_experiments.masks.blockwise import grow
from lsd_experiments.provenance import provenance_in
from lsd_experiments.stages import Stage, VolumeArtifact
from lsd_experiments.stages.inputs import check_finished, describe_input, facts_of, in_voxels
from lsd_experiments.stages.volumes import BASE_MEMORY, open_output
from lsd_experiments.thresholding.settings import ThresholdSettings

STAGE = "threshold"
BLOCK_VOXELS = 2**22  # that a block writes, about, where no size is given
BYTES_PER_VOXEL = 8  # of a worker's memory, for each voxel and channel of a block


def threshold_stage(probabilities: Volume, container: str, settings: ThresholdSettings) -> Stage:
    """The masks of the classes of ``probabilities``, in ``container``.

    :raises UserError: if they are no probabilities, or the settings do not fit them
    """
    check_probabilities(probabilities)
    if provenance_in(probabilities.attrs).get("stage") == "predict":
        check_finished(probabilities, "predict")
    channels, thresholds = selected(probabilities, settings), thresholds_of(probabilities, settings)
    write_shape = block_shape(probabilities, settings.block_size, "[threshold] block_size")
    output = VolumeArtifact(container, settings.out_dataset, probabilities.shape, probabilities.voxel_size,
                            probabilities.offset, "uint8", write_shape,
                            None if probabilities.channels is None else len(channels))
    # Not named where there is none: what was made before there was closing is as without it.
    closing = {"close_sections": settings.close_sections} if settings.close_sections else {}
    task = BlockTask(STAGE, probabilities.box, write_shape, f"{__name__}:make_worker", {
        "probabilities": probabilities.place, "masks": (container, settings.out_dataset), "channels": channels,
        "thresholds": thresholds, **closing,
    }, output.records, memory=BASE_MEMORY + BYTES_PER_VOXEL * (probabilities.channels or 1) * math.prod(write_shape),
        imports=(__name__,))
    parameters = {"channels": channels, "thresholds": thresholds, "block_shape": write_shape, **closing}
    return Stage(STAGE, parameters, {"probabilities": describe_input(probabilities)}, (output,), task,
                 facts_of(probabilities))


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; the arguments are those of :func:`threshold_stage`."""
    probabilities, (masks, note) = open_volume(*values["probabilities"]), open_output(*values["masks"])

    def process(block: Block) -> None:
        write = block.write.intersect(probabilities.box)
        gap = values.get("close_sections", 0)
        found = probabilities.read(write.grow((gap, 0, 0)))
        if probabilities.channels is not None:
            found = found[values["channels"]]
        mask = above(found, values["thresholds"], probabilities.name)
        masks.write(write, close_gaps(mask, gap)[..., gap:mask.shape[-3] - gap, :, :] if gap else mask)
        note(write)
    return process


def above(probabilities: NDArray[Any], thresholds: Sequence[float], name: str = "probabilities") -> NDArray[np.uint8]:
    """1 where ``probabilities`` [c, z, y, x] or [z, y, x] are above the threshold of their channel, else 0.

    :raises UserError: if they are floats outside of [0, 1], or not finite: of logits, another threshold would be meant
    """
    limits = np.asarray(thresholds, np.float64).reshape(-1, 1, 1, 1)
    if probabilities.dtype.kind == "f":
        if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1):  # NaN is neither
            raise UserError(f"{name}: probabilities of type {probabilities.dtype} from {probabilities.min():g} to "
                            f"{probabilities.max():g}. Scale them to [0, 1], or store uint8")
    else:
        limits = 255 * limits
    return (probabilities > (limits if probabilities.ndim == 4 else limits[0])).astype(np.uint8)


def close_gaps(mask: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """``mask`` [..., z, y, x], with 1 also between two voxels of 1 that at most ``longest`` sections along z part."""
    closed, along = mask.copy(), np.moveaxis(mask, -3, 0)
    filled = np.moveaxis(closed, -3, 0)
    for gap in range(1, longest + 1):
        between = along[:-gap - 1] & along[gap + 1:]
        for section in range(1, gap + 1):
            filled[section:section + len(between)] |= between
    return closed


def check_probabilities(volume: Volume) -> None:
    """:raises UserError: if ``volume`` cannot be probabilities."""
    if volume.dtype != np.uint8 and volume.dtype.kind != "f":
        raise UserError(f"{volume.name} is of type {volume.dtype}; probabilities are uint8 (0 to 255) or float (0 to 1)")


def selected(volume: Volume, settings: ThresholdSettings) -> list[int]:
    """The channels that are taken.

    :raises UserError: if one is not there, or they are not as many as their names
    """
    there = volume.channels or 1
    channels = list(range(there)) if settings.channels is None else list(settings.channels)
    wrong = [channel for channel in channels if channel >= there]
    if wrong:
        raise UserError(f"[threshold] channels = {channels}: {volume.name} has {there}, counted from 0. Leave out {wrong[0]}")
    if settings.classes is not None and len(settings.classes) != len(channels):
        raise UserError(f"[threshold] classes: {len(settings.classes)} names for {len(channels)} channels of {volume.name}. "
                        "Name each that is taken, or take others by channels")
    return channels


def thresholds_of(volume: Volume, settings: ThresholdSettings) -> list[float]:
    """One for each class.

    :raises UserError: if there are not as many
    """
    count = len(selected(volume, settings))
    if not isinstance(settings.threshold, tuple):
        return [settings.threshold] * count
    if len(settings.threshold) != count:
        raise UserError(f"[threshold] threshold: {len(settings.threshold)} numbers for {count} classes of {volume.name}. Give "
                        "one number for all, or one for each")
    return list(settings.threshold)


def block_shape(volume: Volume, size: Sequence[float] | None, key: str) -> Voxels:
    """The voxels of a block: of ``size`` (nm), or some whole chunks of ``volume``.

    :raises UserError: if ``size``, which messages call ``key``, does not fit
    """
    if size is not None:
        return in_voxels(size, volume, key)
    chunks = volume.chunks or default_chunks(volume.shape)
    first = [min(c, s) for c, s in zip(chunks, volume.shape, strict=True)]
    return grow(first, volume.shape, BLOCK_VOXELS // (volume.channels or 1))
