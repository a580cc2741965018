"""The start of the training pipeline: samples as gunpowder sources, random locations, and seeds.

gunpowder counts in whole world units. Here its origin is the first voxel of each sample's raw, and its unit the largest
that makes the voxel size whole: 1 nm for (20, 9, 9), 1/3 nm for 100/3.
"""

import math
import multiprocessing
import os
import signal
from collections.abc import Sequence
from fractions import Fraction

import gunpowder as gp
import numpy as np

from lsd_experiments import arrays
from lsd_experiments.arrays import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.training.data import Sample
from lsd_experiments.training.keys import LABELS, LABELS_MASK, RAW

LAST_SAFE_ID = 2**31 - 1  # gunpowder's AddAffinities casts labels to int32
MANY_TRIES = 100_000


def world_units(voxel_size: Sequence[float]) -> gp.Coordinate:
    """``voxel_size`` in the whole units that gunpowder counts in."""
    fractions = [Fraction(size).limit_denominator(1000) for size in voxel_size]
    unit = math.lcm(*(fraction.denominator for fraction in fractions))
    return gp.Coordinate(int(fraction * unit) for fraction in fractions)


class SampleSource(gp.BatchProvider):
    """Reads raw, labels and labels mask of one training volume; without a mask, all labels count.

    Each process opens the files for itself.
    """

    def __init__(self, sample: Sample, unit: gp.Coordinate) -> None:
        self.sample = sample
        self.unit = unit
        self._opened: tuple[int, dict[gp.ArrayKey, Volume | None]] | None = None

    def setup(self) -> None:
        """Announce the three arrays."""
        raw, labels = self.sample.raw, self.sample.labels
        self._provide(RAW, raw.shape, (0, 0, 0), gp.ArraySpec(voxel_size=self.unit, interpolatable=True, dtype=_raw_dtype(raw)))
        for key, dtype in ((LABELS, np.uint64), (LABELS_MASK, np.uint8)):
            self._provide(key, labels.shape, self.sample.shift, gp.ArraySpec(voxel_size=self.unit, interpolatable=False, dtype=dtype))

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        """Read what is asked for."""
        batch = gp.Batch()
        for key, asked in request.array_specs.items():
            spec = self.spec[key].copy()
            spec.roi = asked.roi
            batch[key] = gp.Array(self._read(key, asked.roi), spec)
        return batch

    def _provide(self, key: gp.ArrayKey, shape: Voxels, begin: Voxels, spec: gp.ArraySpec) -> None:
        spec.roi = gp.Roi(begin, shape) * self.unit
        self.provides(key, spec)

    def _read(self, key: gp.ArrayKey, roi: gp.Roi) -> np.ndarray:
        begin = tuple(roi.begin / self.unit)
        box = Box.of_shape(tuple(roi.shape / self.unit), begin if key == RAW else np.subtract(begin, self.sample.shift).tolist())
        dtype = self.spec[key].dtype
        volume = self._volumes()[key]
        if box.empty or volume is None:
            return np.ones(box.shape, dtype)
        values = volume.read(box)
        if key == RAW and volume.dtype.kind == "f":
            return arrays.to_unit_range(values, name=volume.name)
        if key == LABELS and values.max(initial=0) > LAST_SAFE_ID:
            import fastremap

            values, _ = fastremap.renumber(values, preserve_zero=True)
        return values.astype(dtype, copy=False)

    def _volumes(self) -> dict[gp.ArrayKey, Volume | None]:
        if self._opened is None or self._opened[0] != os.getpid():
            volumes = {RAW: self.sample.raw, LABELS: self.sample.labels, LABELS_MASK: self.sample.labels_mask}
            self._opened = os.getpid(), {key: v and arrays.open_volume(v.container, v.dataset) for key, v in volumes.items()}
        return self._opened[1]


class RandomLocation(gp.RandomLocation):
    """gunpowder's, but with an end: it would search for ever for a place that the mask covers enough."""

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Choose a place for ``request``."""
        self.tries = 0
        return super().prepare(request)

    def _RandomLocation__is_min_masked(self, random_shift: gp.Coordinate, request: gp.BatchRequest) -> bool:  # noqa: N802
        self.tries += 1
        if self.tries > MANY_TRIES:
            raise UserError(f"no place to train on: in {MANY_TRIES} tries the labels mask covered {self.min_masked:.0%} of no "
                            "sample. Make the input smaller with --input-shape, or correct the mask")
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


def cause_of(error: BaseException) -> BaseException:
    """The error at the bottom of gunpowder's nested ones, as one that can be pickled."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error if isinstance(error, UserError) else RuntimeError(f"{type(error).__name__}: {error}")


def _raw_dtype(raw: Volume) -> np.dtype:
    return np.dtype(np.float32) if raw.dtype.kind == "f" else raw.dtype
