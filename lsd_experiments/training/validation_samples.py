"""The parts of volumes that a training validates on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from lsd_experiments.datasets import Dataset
from lsd_experiments.errors import UserError
from lsd_experiments.intensity import Range, kind_of
from lsd_experiments.training.data import Sample, open_sample
from lsd_experiments.training.kept import part_box, volume_of

if TYPE_CHECKING:
    from lsd_experiments.training.options import TrainingOptions


def kept_samples(dataset: Dataset, options: "TrainingOptions", ranges: Mapping[str, Range]) -> list[Sample]:
    """The parts that ``dataset`` keeps, each as a sample whose ``only`` it is, if ``options`` ask for validation.

    :param ranges: of raw of each type, as it is scaled in training
    :raises UserError: if there is none, or its raw is of a type that is not trained on
    """
    if options.validate_every is None:
        if options.validate_segmentation:
            raise UserError("--validate-segmentation: is for --validate-every N. Give both, or none")
        return []
    if not dataset.validation:
        raise UserError(f"--validate-every: the dataset.toml of {dataset.name} keeps no part for validation. Write "
                        "[[validation]] with volume, offset and size into it (docs/experiments.md), or leave the option out")
    samples = []
    for part in dataset.validation:
        sample = open_sample(dataset, str(volume_of(dataset, part)), resample=options.resample)
        kind = kind_of(sample.raw.dtype)
        if kind not in ranges:
            raise UserError(f"{sample.raw.name}: is of type {kind}, and what is trained on of {', '.join(ranges)}. Keep a part "
                            "of a volume of that type for validation")
        only = part_box(dataset, part, sample.labels)
        samples.append(replace(sample, kept=(), only=only, raw_range=ranges[kind]))
    return samples
