"""CREMI's score of synaptic partners; see :mod:`lsd_experiments.evaluation.partners`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.partners import TOLERANCE, score_partners
from lsd_experiments.families.cremi.annotations import read_annotations
from lsd_experiments.geometry import Box

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume


def score_partner_files(prediction: str | Path, truth: str | Path, tolerance: float = TOLERANCE,
                        dataset: str = "volumes/labels/neuron_ids", ignore_alignment: bool = False) -> dict[str, Any]:
    """The scores of the annotations of the file ``prediction`` against those of ``truth``, by the neurons of the latter.

    :param ignore_alignment: take places of both as they are, whatever alignments they lie on
    :raises UserError: if a file or its neurons are missing, alignments are others, or a place lies outside of the neurons
    """
    from lsd_experiments.arrays import open_volume
    from lsd_experiments.arrays.alignments import check_same_marks, mark_of

    mine, theirs, neurons = read_annotations(prediction), read_annotations(truth), open_volume(truth, dataset)
    if mine.alignment and mark_of(neurons) is None and not ignore_alignment:
        raise UserError(f"{prediction}: its annotations lie on an aligned stack ({mine.alignment}), {neurons.name} does not. "
                        "Find the partners of what align.py --undo brought back, or name an aligned truth")
    if not ignore_alignment:
        check_same_marks((f"{prediction}:annotations", mine.alignment), (neurons.name, mark_of(neurons)))
    found, true = mine.pairs(), theirs.pairs()
    return score_partners(found, true, segments_at(neurons, found), segments_at(neurons, true), tolerance)


def segments_at(neurons: "Volume", places: NDArray[np.float64]) -> NDArray[np.uint64]:
    """[n, 2] the segments at ``places`` [n, 2, 3] (nm in the world).

    :raises UserError: if a place lies outside of the volume
    """
    outside = ((places < np.asarray(neurons.offset)) | (places > np.asarray(neurons.end))).any(-1)
    if outside.any():
        place = ", ".join(f"{value:g}" for value in places[outside][0])
        raise UserError(f"{neurons.name}: the annotated place ({place}) nm lies outside of it. Correct the offset of the "
                        "annotations, or leave it out")
    voxels = voxels_at(places, neurons.voxel_size, neurons.offset, neurons.shape).reshape(-1, 3)
    found = [int(neurons.read(Box.of_shape((1, 1, 1), tuple(map(int, voxel))))[0, 0, 0]) for voxel in voxels]
    return np.asarray(found, np.uint64).reshape(-1, 2)


def voxels_at(
    places: NDArray[np.float64], voxel_size: Sequence[float], offset: Sequence[float], shape: Sequence[int]
) -> NDArray[np.int64]:
    """The voxel that stands for each of ``places`` [..., 3] (nm): as published, the one whose first corner is nearest, and of two
    that are equally near the one with the even number."""
    voxels = np.rint((places - np.asarray(offset)) / np.asarray(voxel_size)).astype(np.int64)
    inside: NDArray[np.int64] = np.clip(voxels, 0, np.asarray(shape) - 1)
    return inside
