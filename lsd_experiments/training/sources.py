"""The start of the training pipeline: samples as gunpowder sources, and random locations."""

from collections.abc import Sequence

import gunpowder as gp
import numpy as np
from numpy.typing import NDArray

from lsd_experiments import arrays
from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.labels import hide_negative
from lsd_experiments.geometry import Box
from lsd_experiments.sources import Read, VolumeSource, reopened
from lsd_experiments.training.data import Sample
from lsd_experiments.training.decoded import Room
from lsd_experiments.training.kept import hide
from lsd_experiments.training.keys import COUNTED, LABELS, LABELS_MASK, RAW, UNLABELED
from lsd_experiments.training.places import Location

LAST_SAFE_ID = 2**31 - 1


class LabelsSource(VolumeSource):
    """The labels of ``sample``: negative ids are 0 where a mask is 0, and an error elsewhere."""

    def __init__(self, sample: Sample, unit: gp.Coordinate, read: Read = Volume.read) -> None:
        super().__init__(LABELS, sample.labels, sample.shift, unit, interpolatable=False, read=read)
        self.sample = sample

    def _read(self, box: Box) -> NDArray[np.generic]:
        ids = self._load(box)

        def hidden() -> NDArray[np.bool_]:  # opened here: this is another process than the one that made the sample
            masks = [arrays.read_mask(reopened(mask), box) for mask in self.sample.masks]
            return ~np.logical_and.reduce(masks) if masks else np.zeros(box.shape, bool)

        return hide(hide_negative(ids, hidden, self.volume, box, self.sample.command), box, self.sample.kept)


class MaskSource(VolumeSource):
    """A mask of ``sample``, of any type, as uint8: 1 where it is not 0, which is what gunpowder's nodes take."""

    def __init__(
        self, key: gp.ArrayKey, mask: Volume, sample: Sample, unit: gp.Coordinate, read: Read = Volume.read
    ) -> None:
        super().__init__(key, mask, sample.shift, unit, interpolatable=False, read=read)
        self.kept = sample.kept
        self.array_spec.dtype = np.dtype(np.uint8)

    def _read(self, box: Box) -> NDArray[np.generic]:
        return hide(arrays.as_mask(self._load(box), self.volume.name).view(np.uint8), box, self.kept)


class BoxSource(gp.BatchProvider):
    """A mask without a volume, as uint8, wherever there are ``labels``: ``inside`` in the boxes, and 1 - ``inside`` elsewhere.

    As LABELS_MASK, it is that of a volume that has none.
    """

    def __init__(self, key: gp.ArrayKey, labels: VolumeSource, boxes: Sequence[Box], inside: int = 0) -> None:
        self.key, self.labels, self.boxes, self.inside = key, labels, boxes, inside

    def setup(self) -> None:
        """Announce the mask."""
        spec = self.labels.array_spec.copy()
        spec.dtype = np.dtype(np.uint8)
        self.provides(self.key, spec)

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        """Ones and zeros."""
        spec = self.spec[self.key].copy()
        spec.roi = request[self.key].roi
        voxels = (spec.roi - self.labels.array_spec.roi.begin) / spec.voxel_size
        box = Box(tuple(voxels.begin), tuple(voxels.end))
        outside = hide(np.ones(box.shape, np.uint8), box, self.boxes)
        batch = gp.Batch()
        batch[self.key] = gp.Array(1 - outside if self.inside else outside, spec)
        return batch


class SmallIds(gp.BatchFilter):
    """Renumbers the labels of a request if one is too great for int32, to which gunpowder's AddAffinities casts them."""

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> None:
        """Renumber in place; 0 stays 0."""
        labels = batch[LABELS]
        if labels.data.max(initial=0) > LAST_SAFE_ID:
            import fastremap

            labels.data = fastremap.renumber(labels.data, preserve_zero=True)[0].astype(labels.data.dtype)


def sample_source(
    sample: Sample, unit: gp.Coordinate, parity: bool = False, counted: bool = False, room: Room | None = None
) -> gp.BatchProvider:
    """Raw, labels and their masks of one training volume; ``parity``: ids are as they are, however great.

    ``counted``: with COUNTED, too. ``room``: for what was decoded.
    """

    def read(volume: Volume) -> Read:
        decoded = room.decoded(volume) if room else None
        return decoded.read if decoded else Volume.read

    labels = LabelsSource(sample, unit, read(sample.labels))
    stored = sample.labels_mask
    mask = MaskSource(LABELS_MASK, stored, sample, unit, read(stored)) if stored else BoxSource(LABELS_MASK, labels, sample.kept)
    raw = VolumeSource(
        RAW, sample.raw, (0, 0, 0), unit, interpolatable=True, scaling=sample.raw_range, read=read(sample.raw)
    )
    sources = [raw, labels if parity else labels + SmallIds(), mask]
    if sample.unlabeled_mask is not None:
        sources.append(MaskSource(UNLABELED, sample.unlabeled_mask, sample, unit, read(sample.unlabeled_mask)))
    if counted:
        boxes = (sample.only,) if sample.only else sample.kept
        sources.append(BoxSource(COUNTED, labels, boxes, inside=int(sample.only is not None)))
    together: gp.BatchProvider = tuple(sources) + gp.MergeProvider()
    return together


class RandomLocation(gp.BatchFilter):
    """Moves each request to a random place, so that its output is one of ``places``; what is asked for around it moves along.

    Unlike gunpowder's, it looks at the output itself and not at all that augmentation reads for it, and does not search.
    """

    def __init__(self, places: Location) -> None:
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
