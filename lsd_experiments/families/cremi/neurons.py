"""CREMI's scores of neurons: VOI and adapted Rand, without the voxels near borders of the truth.

In the truth 2^64 - 1 is not labelled, and 0 is a neuron like any other. In a segmentation 0 is one segment for VOI, and as many
as it has voxels for the adapted Rand error (:mod:`lsd_experiments.evaluation.adapted_rand`). 2^64 - 1 is a segment there like
others.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.adapted_rand import adapted_rand
from lsd_experiments.evaluation.borders import halo_of, near_border
from lsd_experiments.evaluation.counting import PairCounter
from lsd_experiments.evaluation.metrics import scores
from lsd_experiments.evaluation.volumes import blocks_of
from lsd_experiments.families.cremi.ids import BACKGROUND
from lsd_experiments.geometry import Nanometres, Voxels

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume


def in_pixels(border: float | None, voxel_size: Nanometres) -> float | None:
    """``border`` (nm) in pixels; None if nothing is left out.

    :raises UserError: if pixels are not square
    """
    if voxel_size[1] != voxel_size[2]:
        raise UserError(f"the voxels are {voxel_size[1]:g} nm along y and {voxel_size[2]:g} nm along x; a border of so many nm "
                        "needs square pixels. Leave out --border-threshold, or resample the volumes")
    return border / voxel_size[1] if border else None


def masked(labels: NDArray[np.uint64], border: float | None) -> NDArray[np.uint64]:
    """``labels`` [z, y, x] with :data:`BACKGROUND` near borders (pixels, see :func:`in_pixels`)."""
    return labels if border is None else np.where(near_border(labels, border), np.uint64(BACKGROUND), labels)


class NeuronCounter:
    """Counts what the scores follow from, block by block."""

    def __init__(self) -> None:
        self._pairs, self._voxels, self._ignored = PairCounter(), 0, 0

    def add(self, segmentation: NDArray[np.integer], labels: NDArray[np.uint64]) -> None:
        """Blocks of one shape, [z, y, x]; the labels as of :func:`masked`."""
        labels = labels.astype(np.uint64, copy=False)
        self._pairs.add(segmentation, labels + np.uint64(1))  # 2^64 - 1 becomes 0, which is not counted
        self._voxels += labels.size
        self._ignored += int(np.count_nonzero(labels == np.uint64(BACKGROUND)))

    def scores(self) -> dict[str, float]:
        """``voi_split``, ``voi_merge`` (bits), ``voi_sum``, ``adapted_rand_{error,precision,recall}``, and counts.

        :raises UserError: if no voxel is left to score
        """
        table = self._pairs.contingency()
        if not table.voxels:
            raise UserError("no voxel of the truth is left to score: all are unlabelled, or near a border. Name another truth, "
                            "or a smaller --border-threshold")
        found, rand = scores(table), adapted_rand(table, self._voxels)
        return {**{key: found[key] for key in ("voi_split", "voi_merge", "voi_sum")}, "adapted_rand_error": rand["error"],
                "adapted_rand_precision": rand["precision"], "adapted_rand_recall": rand["recall"],
                "ignored_voxels": self._ignored, "voxels": table.voxels, "segments": found["segments"], "labels": found["labels"]}


def score_neurons(segmentation: NDArray[np.integer], labels: NDArray[np.uint64], voxel_size: Nanometres,
                  border: float | None = None) -> dict[str, float]:
    """The scores of arrays [z, y, x]; ``border``: nm around borders of the truth that are left out."""
    counter = NeuronCounter()
    counter.add(segmentation, masked(labels, in_pixels(border, voxel_size)))
    return counter.scores()


def score_neuron_volumes(segmentation: "Volume", truth: "Volume", border: float | None = None) -> dict[str, float]:
    """The scores of volumes on disk, block by block, wherever the truth is.

    :raises UserError: if they do not fit each other, or nothing is left to score
    """
    from lsd_experiments.arrays import check_labels, read_ids

    check_labels(segmentation)
    check_labels(truth)
    shift, pixels, counter = covering(segmentation, truth), in_pixels(border, truth.voxel_size), NeuronCounter()
    halo = (0, 0, 0) if pixels is None else halo_of(pixels)
    for block in blocks_of(truth, truth.box):
        wide = block.grow(halo).intersect(truth.box)
        labels = masked(read_true_ids(truth.read(wide)), pixels)
        inner = block.shift([-b for b in wide.begin]).slices
        counter.add(read_ids(segmentation, block.shift(shift)), labels[inner])
    return counter.scores()


def read_true_ids(ids: NDArray[np.integer]) -> NDArray[np.uint64]:
    """``ids`` of a truth as uint64, by their bits: -1 of int64 is 2^64 - 1, as in files of other tools."""
    return ids.view(np.uint64) if ids.dtype == np.int64 else ids.astype(np.uint64, copy=False)


def covering(prediction: "Volume", truth: "Volume") -> Voxels:
    """From the voxels of ``truth`` to those of ``prediction``.

    :raises UserError: if their voxels or their alignments are others, or the prediction does not cover the truth
    """
    from lsd_experiments.arrays import overlap
    from lsd_experiments.arrays.alignments import check_same_alignment

    check_same_alignment(prediction, truth)
    whole, theirs = overlap(truth, prediction)
    if whole != truth.box:
        raise UserError(f"{prediction.name} covers voxels {whole.begin} to {whole.end} of {truth.name}, which has "
                        f"{truth.shape}: all of the truth is scored. Predict the rest, correct an offset, or name a crop of "
                        "the truth")
    return tuple(t - w for t, w in zip(theirs.begin, whole.begin, strict=True))
