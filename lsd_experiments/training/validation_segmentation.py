"""The segmentation of a validation's blocks, and its VOI: watershed, agglomeration and scores as of 03_predict, in memory."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.agglomeration import agglomerate
from lsd_experiments.arrays import read_mask
from lsd_experiments.datasets import Dataset
from lsd_experiments.datasets.new_files import MERGE, SECTIONS
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import best, contingency, evaluate_thresholds
from lsd_experiments.fragments import extract_fragments
from lsd_experiments.geometry import Box
from lsd_experiments.prediction.block import to_disk_range
from lsd_experiments.segmentation.segments import find_segments, threshold_range
from lsd_experiments.targets import DIRECT, Target
from lsd_experiments.training.data import Sample
from lsd_experiments.training.experiment import Experiment

THRESHOLDS = threshold_range((0, 1), 0.02)
SHOWN = ("voi_split", "voi_merge", "voi_sum", "threshold")


def segmented_target(experiment: Experiment) -> Target:
    """That which fragments are made of: affinities whose first neighbours are the direct ones.

    :raises UserError: if there is none
    """
    for target in experiment.targets:
        if tuple(getattr(target, "neighborhood", ()))[: len(DIRECT)] == DIRECT:
            return target
    raise UserError("--validate-segmentation: no head of this experiment makes affinities of direct neighbours, to be segmented. "
                    "Leave it out: the loss says which checkpoint is best")


def segmented_scores(
    experiment: Experiment, dataset: Dataset, sample: Sample, predicted: Sequence[tuple[Box, Mapping[str, NDArray[np.float32]]]]
) -> dict[str, float]:
    """The scores of the best threshold; ``predicted``: the heads of boxes of labels, which tile one, [c, z, y, x] in [0, 1]."""
    name = segmented_target(experiment).name
    begin, end = predicted[0][0].begin, predicted[-1][0].end
    whole = Box(begin, end)
    assert sample.only is not None, "a sample of training"
    affs = np.empty((len(DIRECT), *whole.shape), np.uint8)
    for box, heads in predicted:
        affs[:, *box.shift([-b for b in begin]).slices] = to_disk_range(heads[name][: len(DIRECT)])
    inside = whole.intersect(sample.only)
    affs = np.ascontiguousarray(affs[:, *inside.shift([-b for b in begin]).slices])
    z, _, x = dataset.voxel_size
    sections = z > SECTIONS * x
    fragments = extract_fragments(affs, sections)
    u, v, scores = agglomerate(affs, fragments, MERGE[sections])
    ids = np.unique(fragments)
    tables = find_segments(ids[ids > 0], u, v, scores, THRESHOLDS)
    rows = evaluate_thresholds(contingency(fragments, counted_labels(sample, inside)), tables)
    row = rows[best(rows, "voi_sum")]
    return {name: float(row[name]) for name in SHOWN}


def counted_labels(sample: Sample, box: Box) -> NDArray[np.uint64]:
    """The labels that count, 0 elsewhere."""
    labels = sample.labels.read(box).astype(np.int64 if sample.labels.dtype.kind == "i" else np.uint64)
    for mask in sample.masks:
        labels = np.where(read_mask(mask, box), labels, 0)
    return np.maximum(labels, 0).astype(np.uint64)
