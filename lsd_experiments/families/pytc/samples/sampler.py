"""One sample after another: which place, which augmentation, which targets."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.label_edits import relabel
from lsd_experiments.families.pytc.rejection import Rejection
from lsd_experiments.families.pytc.samples.augmentor import Augmentor
from lsd_experiments.families.pytc.samples.copying import copy_paste
from lsd_experiments.families.pytc.samples.smoothing import smooth_outlines
from lsd_experiments.families.pytc.samples.sources import Source
from lsd_experiments.families.pytc.samples.warping import Floats, Geometry
from lsd_experiments.families.pytc.targets import TUTORIAL, Target, keeps_ids, make_targets
from lsd_experiments.families.pytc.weights import Weights, make_weights

TRIALS = 1000  # places that may be rejected in turn


@dataclass(frozen=True)
class Sample:
    """What a network is trained on; of flat sections all of it is without the z axis.

    :param image: [1, z, y, x]
    :param targets: [c, z, y, x] each; classes are [z, y, x]
    :param weights: of each target and loss; an array of one number is none
    :param labels: [z, y, x] before erosion
    :param place: the source, and where in it the sample was
    :param known: [1, z, y, x], 1 where it is known what is there, else 0; None: everywhere
    """

    image: Floats
    targets: list[Target]
    weights: list[list[Weights]]
    labels: NDArray[Any]
    place: tuple[int, tuple[int, ...]]
    known: NDArray[np.uint8] | None = None

    def flattened(self) -> "Sample":
        """The same of one section, without its z axis."""
        weights = [[weight if weight.ndim == 1 else weight[..., 0, :, :] for weight in row] for row in self.weights]
        known = None if self.known is None else self.known[:, 0]
        return Sample(self.image[:, 0], [target[..., 0, :, :] for target in self.targets], weights, self.labels[0], self.place,
                      known)


@dataclass(frozen=True)
class Sampler:
    """Samples from ``sources``; see the package. Options are those of MODEL and DATASET, under the same names.

    :param targets: TARGET_OPT
    :param weights: WEIGHT_OPT
    :param valid_ratio: VALID_RATIO: samples of which no more than this share is valid are drawn again
    :param trials: NUM_TRIAL: after so many samples in turn that do not fit there is an error
    :param mean: which gray value, 0 to 1, becomes 0
    :param std: and by what the rest is divided
    :raises UserError: if a source is smaller than a sample
    """

    sources: Sequence[Source]
    augmentor: Augmentor
    targets: Sequence[str]
    weights: Sequence[Sequence[str]]
    erosion: int | Sequence[int | None] | None = None
    dilation: int | Sequence[int | None] | None = None
    rejection: Rejection = field(default_factory=Rejection)
    valid_ratio: float = 0.5
    trials: int = TRIALS
    mean: float = 0.5
    std: float = 0.5
    seed: int = 0
    revision: str = TUTORIAL

    def __post_init__(self) -> None:
        assert self.sources, "a sampler has sources"
        for source in self.sources:
            source.check(self.augmentor.source_shape)

    def sample(self, iteration: int, slot: int) -> Sample:
        """The sample at ``slot`` of the whole batch of ``iteration``."""
        random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(iteration, slot)))
        for _ in range(self.trials):
            which, begin, source = self._draw_place(iteration, random)
            geometry = self.augmentor.draw_geometry(random)
            mask = source.read_mask(begin, self.augmentor.source_shape)
            mask = None if mask is None else geometry.labels(mask)
            if mask is not None and mask.mean() <= self.valid_ratio:
                continue
            labels = geometry.labels(source.read_labels(begin, self.augmentor.source_shape))
            if not self.rejection.tests or self.rejection.keeps(labels, random):
                return self._make(source, (which, begin), geometry, labels, mask, random)
        raise UserError(f"DATASET.REJECT_SAMPLING: {self.trials} samples in turn were rejected. Ask for fewer foreground voxels "
                        "(SIZE_THRES) or ids (DIVERSITY), lower P, or see to the valid masks")

    def sample_at(self, which: int, begin: tuple[int, ...]) -> Sample:
        """The sample of the source number ``which`` whose first voxel is at ``begin``; random effects are those of the seed."""
        random, source = np.random.default_rng(self.seed), self.sources[which]
        geometry, shape = self.augmentor.draw_geometry(random), self.augmentor.source_shape
        mask = source.read_mask(begin, shape)
        labels = geometry.labels(source.read_labels(begin, shape))
        return self._make(source, (which, begin), geometry, labels, None if mask is None else geometry.labels(mask), random)

    def _draw_place(self, iteration: int, random: np.random.Generator) -> tuple[int, tuple[int, ...], Source]:
        """A source, each as probable as it has places, and the first voxel of a place in it."""
        sources = [source.at(iteration, self.seed) for source in self.sources]
        places = [source.places(self.augmentor.source_shape) for source in sources]
        ends = list(itertools.accumulate(int(np.prod(counts, dtype=object)) for counts in places))
        drawn = random.random() * ends[-1]
        which = next((index for index, end in enumerate(ends) if drawn < end), len(ends) - 1)
        return which, tuple(int(random.integers(count)) for count in places[which]), sources[which]

    def _make(self, source: Source, place: tuple[int, tuple[int, ...]], geometry: Geometry, labels: NDArray[Any],
              mask: NDArray[np.uint8] | None, random: np.random.Generator) -> Sample:
        labels = labels.astype(np.int64) if keeps_ids(self.targets) else relabel(labels)
        image = geometry.image(source.read_image(place[1], self.augmentor.source_shape), self.augmentor.draw_values(random))
        mask = None if mask is None else geometry.swapped(mask)
        known = source.read_known(place[1], self.augmentor.source_shape)
        known = None if known is None else geometry.swapped(geometry.labels(known))
        if random.random() < self.augmentor.probability("COPYPASTE"):
            copy_paste(image, labels, self.augmentor.options["COPYPASTE"]["AUG_THRES"])  # type: ignore[index]
        self.augmentor.spoil(image, random)
        image -= np.float32(self.mean)
        image *= np.float32(1 / self.std)
        image, labels = geometry.swapped(image), geometry.swapped(labels)
        if self.augmentor.smooths and labels.dtype == np.int32:
            labels = smooth_outlines(labels)
        targets = make_targets(labels, self.targets, self.erosion, self.dilation, self.revision)
        if self.augmentor.flat:  # without the affinities along z
            targets = [target[int(option.startswith("2")):] for target, option in zip(targets, self.targets, strict=True)]
        weights = make_weights(targets, self.weights, labels, mask, self.revision)
        sample = Sample(image[None], targets, weights, labels, place, None if known is None else known[None])
        return sample.flattened() if self.augmentor.flat else sample
