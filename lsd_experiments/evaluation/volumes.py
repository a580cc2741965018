"""Evaluation of volumes on disk, block by block."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.counting import Contingency, PairCounter
from lsd_experiments.evaluation.metrics import scores
from lsd_experiments.geometry import Box, Voxels

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume

BLOCK_VOXELS = 2**23  # read at a time of each volume, at most, unless a chunk is larger


def evaluate_volumes(segmentation: "Volume", labels: "Volume", box: Box | None = None) -> dict[str, float]:
    """The scores of a segmentation on disk, where it and its ground truth overlap.

    :param box: the part to evaluate, in voxels of ``labels`` from its first, inside the overlap (default: all of it)
    :raises UserError: if the volumes do not fit each other, are not labels, not finished, hold negative ids, or no voxel there
        is labelled
    """
    from lsd_experiments.stages.inputs import check_whole

    check_whole(segmentation)
    check_whole(labels)
    try:
        return scores(volume_contingency(segmentation, labels, box))
    except UserError as error:
        raise UserError(f"{segmentation.name} against {labels.name}: {error}") from error


def volume_contingency(segmentation: "Volume", labels: "Volume", box: Box | None = None) -> Contingency:
    """The table of a segmentation (or fragments) on disk; arguments and errors as :func:`evaluate_volumes`."""
    from lsd_experiments.arrays import check_labels, overlap, read_ids
    from lsd_experiments.arrays.alignments import check_same_alignment

    check_labels(segmentation)
    check_labels(labels)
    check_same_alignment(segmentation, labels)
    whole, in_segmentation = overlap(labels, segmentation)
    shift = tuple(s - t for s, t in zip(in_segmentation.begin, whole.begin, strict=True))
    box = whole if box is None else box
    if not whole.contains(box):
        raise UserError(f"the region {box.begin} to {box.end} (voxels of {labels.name}) is not covered by both, "
                        f"which share {whole.begin} to {whole.end}. Name a smaller one")
    counter = PairCounter()
    for block in blocks_of(labels, box):
        counter.add(read_ids(segmentation, block.shift(shift)), read_ids(labels, block))
    return counter.contingency()


def blocks_of(volume: "Volume", box: Box) -> Iterator[Box]:
    """The parts of ``box`` that are read at a time, of whole chunks of ``volume``; a bar shows how far that is."""
    from tqdm import tqdm

    blocks = [block.intersect(box) for block in _aligned(box, volume).blocks(_block_shape(volume, box.shape))]
    yield from tqdm(blocks, desc="comparing", unit="block", leave=False, disable=None)


def _aligned(box: Box, volume: "Volume") -> Box:
    """The box from the corner of the chunk in which it begins, so that no chunk is read twice."""
    chunks = volume.chunks or (1, 1, 1)
    return Box(tuple(b // c * c for b, c in zip(box.begin, chunks, strict=True)), box.end)


def _block_shape(volume: "Volume", shape: Voxels) -> Voxels:
    """Whole chunks, doubled along x, then y, then z, until the block is large or covers ``shape``."""
    block = list(volume.chunks or (1, *shape[1:]))
    for axis in (2, 1, 0):
        while block[axis] < shape[axis] and 2 * block[0] * block[1] * block[2] <= BLOCK_VOXELS:
            block[axis] *= 2
    return tuple(block)
