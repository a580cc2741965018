"""The start of the training pipeline: samples as gunpowder sources, and random locations."""

import gunpowder as gp
import numpy as np

from lsd_experiments.sources import VolumeSource
from lsd_experiments.training.data import Sample
from lsd_experiments.training.keys import LABELS, LABELS_MASK, RAW, UNLABELED
from lsd_experiments.training.places import Places

LAST_SAFE_ID = 2**31 - 1


class AllLabels(gp.BatchProvider):
    """The labels mask of a volume that has none: 1 wherever there are labels."""

    def __init__(self, labels: VolumeSource) -> None:
        self.labels = labels

    def setup(self) -> None:
        """Announce the mask."""
        spec = self.labels.array_spec.copy()
        spec.dtype = np.dtype(np.uint8)
        self.provides(LABELS_MASK, spec)

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        """Ones."""
        spec = self.spec[LABELS_MASK].copy()
        spec.roi = request[LABELS_MASK].roi
        batch = gp.Batch()
        batch[LABELS_MASK] = gp.Array(np.ones(spec.roi.shape / spec.voxel_size, np.uint8), spec)
        return batch


class SmallIds(gp.BatchFilter):
    """Renumbers the labels of a request if one is too great for int32, to which gunpowder's AddAffinities casts them."""

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> None:
        """Renumber in place; 0 stays 0."""
        labels = batch[LABELS]
        if labels.data.max(initial=0) > LAST_SAFE_ID:
            import fastremap

            labels.data = fastremap.renumber(labels.data, preserve_zero=True)[0].astype(labels.data.dtype)


class Binary(gp.BatchFilter):
    """1 where a mask is not 0, as gunpowder's AddAffinities takes it."""

    def __init__(self, key: gp.ArrayKey) -> None:
        self.key = key

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> None:
        """In place."""
        batch[self.key].data = (batch[self.key].data != 0).astype(np.uint8)


def sample_source(sample: Sample, unit: gp.Coordinate, parity: bool = False) -> gp.BatchProvider:
    """Raw, labels and their masks of one training volume; ``parity``: ids are as they are, however great."""
    labels = VolumeSource(LABELS, sample.labels, sample.shift, unit, interpolatable=False)
    mask = (
        AllLabels(labels)
        if sample.labels_mask is None
        else VolumeSource(LABELS_MASK, sample.labels_mask, sample.shift, unit, interpolatable=False)
    )
    raw = VolumeSource(RAW, sample.raw, (0, 0, 0), unit, interpolatable=True, scaling=sample.raw_range)
    sources = [raw, labels if parity else labels + SmallIds(), mask]
    if sample.unlabeled_mask is not None:
        unlabeled = VolumeSource(UNLABELED, sample.unlabeled_mask, sample.shift, unit, interpolatable=False)
        sources.append(unlabeled + Binary(UNLABELED))
    together: gp.BatchProvider = tuple(sources) + gp.MergeProvider()
    return together


class RandomLocation(gp.BatchFilter):
    """Moves each request to a random place, so that its output is one of ``places``; what is asked for around it moves along.

    Unlike gunpowder's, it looks at the output itself and not at all that augmentation reads for it, and does not search.
    """

    def __init__(self, places: Places) -> None:
        self.places = places

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        """What is upstream at the place that was drawn, as if it were where it was asked for."""
        unit = self.spec[RAW].voxel_size
        # Around the output's centre, but for labels, which reach further on the side of the affinities' neighbours.
        asked = request[RAW].roi / unit
        output = asked.begin + (asked.shape - gp.Coordinate(self.places.output_shape)) / 2
        shift = (gp.Coordinate(self.places.draw()) - output) * unit
        moved = request.copy()
        for key, spec in request.items():
            moved[key].roi = spec.roi.shift(shift)
        batch = self.get_upstream_provider().request_batch(moved)
        for key, spec in request.items():
            batch[key].spec.roi = spec.roi.copy()
        return batch
