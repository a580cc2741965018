"""Contingency tables block by block: what the bootstrap draws from, and where errors are looked for.

All results of a comparison are counted in the same blocks of the ground truth's grid. Volumes are read by chunks; memory holds
the tables, not voxels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, open_volume, overlap, read_ids
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import Contingency, PairCounter, scores
from lsd_experiments.evaluation.volumes import blocks_of
from lsd_experiments.geometry import Box, Nanometres, Voxels, to_nm
from lsd_experiments.pipeline.evaluating import plan_evaluation
from lsd_experiments.pipeline.truths import Labels, evaluated_part
from lsd_experiments.report.comparing import Chosen
from lsd_experiments.report.results import Result
from lsd_experiments.segmentation.luts import lut_path, read_lut
from lsd_experiments.segmentation.relabeling import part_of

BLOCKS = 64  # about so many of a region
TOLERANCE = 1e-9  # of the scores of all blocks together, and those that were written


@dataclass(frozen=True)
class Counted:
    """A segmentation against its truth, in blocks.

    :param boxes: of the blocks, in voxels of ``labels``
    :param tables: of segments and labels, of each block
    :param lut: [2, n], the fragments of the region and their segments
    """

    fragments: Volume
    labels: Volume
    lut: NDArray[np.uint64]
    boxes: list[Box]
    tables: list[Contingency]

    def segments_in(self, box: Box) -> NDArray[np.uint64]:
        """[z, y, x] the segmentation in a box of the labels' grid; 0 where there are no fragments."""
        whole, inside = overlap(self.labels, self.fragments)
        shift = [f - t for f, t in zip(inside.begin, whole.begin, strict=True)]
        fragments = read_ids(self.fragments, box.shift(shift))
        ids, inverse = np.unique(fragments, return_inverse=True)
        segments: NDArray[np.uint64] = part_of(self.lut, ids)[1][inverse].reshape(fragments.shape)
        return segments


def count(result: Result, chosen: Chosen, about: int = BLOCKS) -> Counted | None:
    """``result`` at the chosen threshold, in blocks; None if that cannot be, with the reason in ``lacks``."""
    if result.kind != "labels" or result.config is None or not result.has_volumes:
        return None
    try:
        counted = _count(result, float(chosen.row["threshold"]), about)
    except UserError as error:
        result.lacks.append(f"no blocks, no pictures: {error}")
        return None
    found = scores(sum(counted.tables[1:], counted.tables[0]))
    if any(abs(found[key] - chosen.row[key]) > TOLERANCE for key in ("voi_split", "voi_merge")):
        result.lacks.append(
            f"no blocks, no pictures: the volumes give a VOI sum of {found['voi_sum']:.4f}, the scores say "
            f"{chosen.row['voi_sum']:.4f}"
        )
        return None
    return counted


def _count(result: Result, threshold: float, about: int) -> Counted:
    assert result.config is not None, "a bare file of scores"
    fragments = open_volume(*result.config.fragments_place)
    evaluation = plan_evaluation(result.config, fragments, None)
    truth = next(truth for truth in evaluation.truths if isinstance(truth, Labels))
    said = result.provenance.get("inputs", {}).get("labels", {}).get("fingerprint")
    if truth.described["fingerprint"] != said:
        raise UserError(f"{truth.volume.name} is not the ground truth that was scored against")
    box = evaluated_part(truth.volume, fragments, evaluation.settings.region)
    boxes = [block.intersect(box) for block in box.blocks(block_shape(box.shape, truth.volume.voxel_size, about))]
    tables = _tables(fragments, truth.volume, boxes, box)
    kept = [index for index, table in enumerate(tables) if len(table.counts)]
    if not kept:
        raise UserError(f"{truth.volume.name}: no voxel of the region is labelled")
    lut = part_of(
        read_lut(lut_path(fragments.container, evaluation.merge_function, threshold)),
        np.concatenate([tables[index].segments for index in kept]),
    )
    return Counted(fragments, truth.volume, lut, [boxes[index] for index in kept], [tables[index].relabel(lut) for index in kept])


def _tables(fragments: Volume, labels: Volume, boxes: Sequence[Box], box: Box) -> list[Contingency]:
    """The table of each of ``boxes``, which tile ``box``; each chunk is read once."""
    whole, inside = overlap(labels, fragments)
    shift = [f - t for f, t in zip(inside.begin, whole.begin, strict=True)]
    counters = [PairCounter() for _ in boxes]
    for part in blocks_of(labels, box):
        found, truth = read_ids(fragments, part.shift(shift)), read_ids(labels, part)
        for counter, block in zip(counters, boxes, strict=True):
            common = block.intersect(part)
            if not common.empty:
                index = common.shift([-b for b in part.begin]).slices
                counter.add(found[index], truth[index])
    return [counter.contingency() for counter in counters]


def block_shape(shape: Voxels, voxel_size: Nanometres, about: int) -> Voxels:
    """The shape of about ``about`` blocks, as near to cubes in the world as whole parts of ``shape`` (voxels) are."""
    size = np.array(to_nm(shape, voxel_size), float)
    parts = np.ones(3, int)
    while parts.prod() < about:
        growing = [axis for axis in range(3) if parts[axis] < shape[axis]]
        if not growing:
            break
        parts[max(growing, key=lambda axis: size[axis] / parts[axis])] += 1
    return tuple(int(-(-s // p)) for s, p in zip(shape, parts, strict=True))


def same_blocks(counted: Sequence[Counted]) -> bool:
    """Whether all were counted in the same blocks."""
    return len({tuple(one.boxes) for one in counted}) <= 1
