"""The start of the training pipeline: samples as gunpowder sources, random locations, and seeds."""

import multiprocessing
import os
import signal

import gunpowder as gp
import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.sources import VolumeSource, cause_of
from lsd_experiments.training.data import Sample
from lsd_experiments.training.keys import LABELS, LABELS_MASK, RAW

LAST_SAFE_ID = 2**31 - 1
MANY_TRIES = 100_000


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


def sample_source(sample: Sample, unit: gp.Coordinate) -> gp.BatchProvider:
    """Raw, labels and labels mask of one training volume."""
    labels = VolumeSource(LABELS, sample.labels, sample.shift, unit, interpolatable=False)
    mask = (
        AllLabels(labels)
        if sample.labels_mask is None
        else VolumeSource(LABELS_MASK, sample.labels_mask, sample.shift, unit, interpolatable=False)
    )
    raw = VolumeSource(RAW, sample.raw, (0, 0, 0), unit, interpolatable=True)
    together: gp.BatchProvider = (raw, labels + SmallIds(), mask) + gp.MergeProvider()  # noqa: RUF005 - a pipeline
    return together


class RandomLocation(gp.RandomLocation):
    """gunpowder's, but with an end: it would search for ever for a place that the mask covers enough."""

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Choose a place for ``request``."""
        self.tries = 0
        return super().prepare(request)

    def _RandomLocation__is_min_masked(self, random_shift: gp.Coordinate, request: gp.BatchRequest) -> bool:
        self.tries += 1
        if self.tries > MANY_TRIES:
            raise UserError(
                f"no place to train on: in {MANY_TRIES} tries the labels mask covered {self.min_masked:.0%} of no "
                "sample. Make the input smaller with --input-shape, or correct the mask"
            )
        return super()._RandomLocation__is_min_masked(random_shift, request)  # type: ignore[no-any-return]


class Seed(gp.BatchFilter):
    """Gives each batch that is made above a seed of its own, from the training's seed and the batch's number.

    The number is shared by the processes of a PreCache below. What goes wrong above is reduced to its cause, which, unlike
    gunpowder's error, can be sent between processes.
    """

    def __init__(self, seed: int, first_batch: int) -> None:
        self.seed = seed
        self.counter = multiprocessing.Value("q", first_batch)
        self.main_process = os.getpid()

    def request_batch(self, request: gp.BatchRequest) -> gp.Batch:
        """Pass ``request`` on with the seed of the next batch."""
        if os.getpid() != self.main_process:  # the training's own handlers are not for its workers
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        with self.counter.get_lock():
            number = self.counter.value
            self.counter.value += 1
        seeded = request.copy()
        seeded._random_seed = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
        try:
            return super().request_batch(seeded)
        except Exception as error:
            raise cause_of(error) from None

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        """What is above, unchanged."""
        return self.get_upstream_provider().request_batch(request)
