"""Where raw, predictions and what is made of them lie, and opening what is there.

    data/{dataset}/{dataset}.zarr/recon-1/em/fibsem-uint8        raw
    data/predictions/{dataset}.zarr/{crop}/{class}               what csc predict makes
    data/processed/{dataset}.zarr/{crop}/{class}                 what csc process makes of it
    data/submission.zarr/{crop}/{class}                          what csc pack-results makes of that

A class is an array, or a group of scale levels.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.manifest import crop_name
from lsd_experiments.families.cellmap.sources import place
from lsd_experiments.families.cellmap.split.finding import directories, matches, split_container

PREDICTIONS = "data/predictions/{dataset}.zarr/{crop}"
PROCESSED = "data/processed/{dataset}.zarr/{crop}"
ALL = ("*",)
VALUES = "values"  # the attribute of a prediction that says whether it holds logits or probabilities


@dataclass(frozen=True)
class CropPlace:
    """A crop: the directory ``path``, whose directories are its classes."""

    dataset: str
    crop: str
    path: str

    @property
    def classes(self) -> list[str]:
        """Sorted."""
        return [name for name in directories(self.path) if not name.startswith(".") and not re.fullmatch(r"\d+", name)]


def find_places(pattern: str, datasets: Collection[str] = ALL, crops: Collection[str] = ALL) -> list[CropPlace]:
    """The crops that lie as ``pattern`` says, with {crop} and, if datasets differ, {dataset}; sorted by dataset and number.

    :param datasets: names, or patterns like jrc_*; ``crops`` the same
    :raises UserError: if the pattern is none
    """
    check_pattern(pattern)
    found = [CropPlace(names.get("dataset", ""), names["crop"], path) for names, path in matches(pattern)
             if not names["crop"].startswith(".")]  # records of what is at work there
    return sorted((one for one in found if _fits(one.dataset, datasets) and _fits(one.crop, crops)),
                  key=lambda one: (one.dataset, int(re.sub(r"\D", "", one.crop) or 0), one.crop))


def check_pattern(pattern: str) -> None:
    """:raises UserError: if ``pattern`` has no {crop}, or a field that is not known"""
    fields = set(re.findall(r"\{(\w*)\}", pattern))
    if "crop" not in fields or not fields <= {"crop", "dataset"}:
        wrong = sorted(fields - {"crop", "dataset"})
        raise UserError(f"{pattern}: {f'{{{wrong[0]}}} is not known' if wrong else 'has no {crop}'}. Write it like {PREDICTIONS}")
    split_container(pattern)


def _fits(name: str, patterns: Collection[str]) -> bool:
    return not name or any(fnmatchcase(name, pattern) for pattern in patterns)


def crop_names(names: Sequence[str]) -> list[str]:
    """Names of crops, like crop557, of these, or of their numbers; patterns stay."""
    return [name if "*" in name else crop_name(name) for name in names]


def filled_in(pattern: str, dataset: str, crop: str) -> str:
    """The path of a crop."""
    return pattern.replace("{dataset}", dataset).replace("{crop}", crop)


def open_class(path: str | Path) -> Volume:
    """What lies at ``path``, which leads into a container; of a group, its finest level. Nothing but metadata is read.

    :raises UserError: if nothing does, or it has no voxel size
    """
    container, group = split_container(str(path))
    volume = open_volume(container, group)
    _, begin = place(volume.attrs, volume.name)  # of submissions: translation
    return volume if begin is None else replace(volume, offset=begin)
