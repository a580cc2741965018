"""CREMI's scores of synaptic clefts, of volumes on disk; definitions in :mod:`lsd_experiments.evaluation.mask_scores`.

Files of CREMI have 2^64 - 1 where there is no cleft, and 0 is a cleft like any other. What has no 2^64 - 1 anywhere, like a
mask, or components that are numbered from 1, has 0 in its place, unless a background is named.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.mask_curves import MOST, Levels
from lsd_experiments.evaluation.mask_distances import MaskCollector
from lsd_experiments.evaluation.mask_scores import TOLERANCE, Row, score_masks, score_thresholds
from lsd_experiments.evaluation.volumes import blocks_of
from lsd_experiments.families.cremi.ids import BACKGROUND, UNKNOWN, cleft_masks, is_id
from lsd_experiments.families.cremi.neurons import covering, read_true_ids

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume

LOGGER = logging.getLogger(__name__)


def score_cleft_volumes(prediction: "Volume", truth: "Volume", tolerance: float = TOLERANCE, background: int | None = None,
                        true_background: int | None = None) -> Row:
    """The scores of the clefts of ``prediction``, ids or a mask.

    :param background: what is no cleft in the prediction; None: see the module; and so ``true_background``
    :raises UserError: if the volumes do not fit each other, or it is no mask and no ids
    """
    from lsd_experiments.arrays import check_labels

    _check_ids(prediction, background)
    check_labels(truth)
    if background is None:
        background = background_of(prediction)
    if true_background is None:
        true_background = background_of(truth)
    shift = covering(prediction, truth)
    mine, theirs, marked = MaskCollector(truth.shape), MaskCollector(truth.shape), 0
    for block in blocks_of(truth, truth.box):
        found, true = cleft_masks(_one(prediction.read(block.shift(shift))), truth.read(block), background, true_background)
        mine.add(block, found)
        theirs.add(block, true)
        marked += int(np.count_nonzero(true))
    _warn_of_share(truth, marked)
    return score_masks(mine.voxels(), theirs.voxels(), truth.voxel_size, tolerance)


def score_probability_volumes(
    prediction: "Volume", truth: "Volume", thresholds: Sequence[float], tolerance: float = TOLERANCE, channel: int = 0,
    true_background: int | None = None,
) -> list[Row]:
    """The scores of what is above each of ``thresholds`` in [0, 1], of a channel of probabilities; each volume is read once.

    :raises UserError: if they are no probabilities, or the volumes do not fit each other
    """
    from lsd_experiments.arrays import check_labels
    from lsd_experiments.thresholding.blockwise import check_probabilities

    check_probabilities(prediction)
    check_labels(truth)
    if channel >= (prediction.channels or 1):
        raise UserError(f"{prediction.name} has {prediction.channels or 1} channels, counted from 0: there is no {channel}")
    if true_background is None:
        true_background = background_of(truth)
    chosen = sorted({*thresholds})
    if len(chosen) > MOST:
        raise UserError(f"{len(chosen)} thresholds: at most {MOST} are scored in one pass. Name fewer")
    shift, theirs = covering(prediction, truth), MaskCollector(truth.shape)
    levels, marked = Levels(truth.shape, [limit_of(prediction, threshold) for threshold in chosen]), 0
    for block in blocks_of(truth, truth.box):
        values, ids = prediction.read(block.shift(shift)), truth.read(block)
        values = values[channel] if values.ndim == 4 else values
        _check_range(prediction, values)
        levels.add(block, values, ~is_id(ids, UNKNOWN))
        true = cleft_masks(ids, ids, true_background, true_background)[1]
        theirs.add(block, true)
        marked += int(np.count_nonzero(true))
    _warn_of_share(truth, marked)
    rows = dict(zip(chosen, score_thresholds(levels, chosen, theirs.voxels(), truth.voxel_size, tolerance), strict=True))
    return [rows[threshold] for threshold in thresholds]


def limit_of(probabilities: "Volume", threshold: float) -> float:
    """``threshold`` in [0, 1] as a value of the volume: uint8 is 0 to 255."""
    return 255 * threshold if probabilities.dtype == np.uint8 else threshold


def background_of(volume: "Volume") -> int:
    """What is no cleft: 2^64 - 1 if it is anywhere, else 0."""
    if volume.dtype.itemsize < 8:
        return 0
    for block in blocks_of(volume, volume.box):
        if is_id(volume.read(block), BACKGROUND).any():
            return BACKGROUND
    return 0


def _check_ids(prediction: "Volume", background: int | None) -> None:
    if prediction.dtype.kind not in "uib" or prediction.channels not in (None, 1):
        raise UserError(f"{prediction.name} is of type {prediction.dtype}, with {prediction.channels or 1} channels; ids and "
                        "masks of clefts are integers of one. Name others, or thresholds of probabilities by --threshold")
    if prediction.dtype == np.uint8 and background is None and _largest(prediction) > 1:
        raise UserError(f"{prediction.name} is of type uint8, with values above 1: probabilities, it seems. Pass --threshold or "
                        "--curve; or, if these are ids, --background 0")


def _warn_of_share(truth: "Volume", clefts: int) -> None:
    """If so many voxels are clefts that the truth may be something else, such as neurons."""
    voxels = int(np.prod(truth.shape, dtype=np.int64))
    if 2 * clefts > voxels:
        LOGGER.warning("%s: %.0f %% of the voxels are clefts. If it is of neurons, or has another background, name another "
                       "dataset or --truth-background", truth.name, 100 * clefts / voxels)


def _largest(volume: "Volume") -> int:
    return max(int(volume.read(block).max(initial=0)) for block in blocks_of(volume, volume.box))


def _check_range(volume: "Volume", values: NDArray[Any]) -> None:
    if values.dtype.kind == "f" and values.size and not (values.min() >= 0 and values.max() <= 1):
        raise UserError(f"{volume.name}: probabilities from {values.min():g} to {values.max():g}. Scale them to [0, 1]")


def _one(values: NDArray[Any]) -> NDArray[Any]:
    values = values[0] if values.ndim == 4 else values
    return read_true_ids(values) if values.dtype == np.int64 else values
