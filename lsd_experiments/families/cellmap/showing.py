"""What ``csc visualize`` shows: raw, and of each crop and class the ground truth, the prediction, what was made of it, and what
is submitted. Classes of instances are segmentations, others masks.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.cellmap.classes import INSTANCES
from lsd_experiments.families.cellmap.places import ALL, CropPlace, filled_in, find_places, open_class
from lsd_experiments.geometry import Box

if TYPE_CHECKING:
    from lsd_experiments.picture.panels import Panel
    from lsd_experiments.viewing.layers import View

KINDS = ("gt", "predictions", "processed", "submission")
TITLES = dict(zip(KINDS, ("ground truth", "prediction", "processed", "submission"), strict=True))
RAW = "raw"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """A class of a crop, of one of :data:`KINDS`; or raw, of which crop and class are empty."""

    kind: str
    dataset: str
    crop: str
    label: str
    volume: Volume

    @property
    def name(self) -> str:
        """What its layer is called."""
        return f"{self.crop}/{self.kind}/{self.label}" if self.crop else self.kind

    @property
    def is_segmentation(self) -> bool:
        """Whether its values are ids of objects."""
        return self.label in INSTANCES and self.kind != "predictions"


def find_shown(patterns: Mapping[str, str], raw: str, datasets: Collection[str] = ALL, crops: Collection[str] = ALL,
               classes: Collection[str] = ALL, known: Mapping[str, str] | None = None) -> list[Shown]:
    """What is there, by dataset: raw first, then crop by crop. What cannot be opened is left out, with a warning.

    :param patterns: where the crops of each kind lie
    :param raw: where raw lies, with {dataset}
    :param known: the datasets of crops, for patterns without {dataset}
    :raises UserError: if there is nothing
    """
    places = [(kind, place) for kind, pattern in patterns.items() for place in find_places(pattern, datasets, crops)]
    of_crop = dict(known or {}) | {place.crop: place.dataset for _, place in places if place.dataset}
    found = [one for kind, place in places for one in _of_place(kind, place, of_crop, datasets, classes)]
    if not found:
        raise UserError(f"nothing to show: no {', '.join(patterns)} of {', '.join(crops)} with {', '.join(classes)} in the "
                        f"datasets {', '.join(datasets)} at {', '.join(patterns.values())}. Correct the names")
    there = sorted({one.dataset for one in found})
    _tell_absent(datasets, there)
    _tell_absent([name for name in crops if name not in (known or ())], {one.crop for one in found})
    _tell_absent(classes, {one.label for one in found})
    raws = [one for dataset in there for one in _opened(RAW, dataset, "", "", filled_in(raw, dataset, ""))]
    return sorted([*raws, *found], key=lambda one: (one.dataset, one.kind != RAW, one.crop, one.label))


def _tell_absent(asked: Collection[str], there: Collection[str]) -> None:
    for name in asked:
        if not any(fnmatchcase(one, name) for one in there):
            logger.warning("not shown: there is no %s%s", name, nearest(name, there))


def _of_place(kind: str, place: CropPlace, of_crop: Mapping[str, str], datasets: Collection[str],
              classes: Collection[str]) -> list[Shown]:
    dataset = place.dataset or of_crop.get(place.crop, "")
    if not place.dataset and "*" not in datasets and dataset not in datasets:
        return []
    labels = [label for label in place.classes if "*" in classes or label in classes]
    return [one for label in labels for one in _opened(kind, dataset, place.crop, label, f"{place.path}/{label}")]


def _opened(kind: str, dataset: str, crop: str, label: str, path: str) -> list[Shown]:
    try:
        return [Shown(kind, dataset, crop, label, open_class(path))]
    except UserError as error:
        logger.warning("not shown: %s", error)
        return []


def views_of(shown: Sequence[Shown]) -> "dict[str, list[View]]":
    """The layers of each dataset's viewer. Visible are raw, and of each kind the first class."""
    from lsd_experiments.viewing.layers import Kind, View

    views: dict[str, list[View]] = {}
    seen = set()
    for one in shown:
        is_raw = one.kind in (RAW, "predictions")
        kind = Kind.RAW if is_raw else Kind.LABELS if one.is_segmentation else Kind.MASK
        visible = (one.dataset, one.kind) not in seen
        seen.add((one.dataset, one.kind))
        views.setdefault(one.dataset or "submission", []).append(View(one.name, one.volume, kind, visible))
    return views


def write_pictures(shown: Sequence[Shown], directory: str | Path, section: int | None = None) -> list[Path]:
    """A picture of one section of each crop and class: raw and all kinds that there are, on the voxels of the first.

    :param section: along z, from 0 (default: the middle one)
    :raises UserError: if a crop has no such section
    """
    from lsd_experiments.picture.figure import draw

    raws = {one.dataset: one.volume for one in shown if one.kind == RAW}
    together: dict[tuple[str, str, str], list[Shown]] = {}
    for one in shown:
        if one.kind != RAW:
            together.setdefault((one.dataset, one.crop, one.label), []).append(one)
    written = []
    for (dataset, crop, label), kinds in together.items():
        kinds = sorted(kinds, key=lambda one: KINDS.index(one.kind))
        grid = next((one.volume for one in kinds if one.kind != "predictions"), kinds[0].volume)
        number = grid.shape[0] // 2 if section is None else section
        if not 0 <= number < grid.shape[0]:
            raise UserError(f"--section {number}: {grid.name} has sections 0 to {grid.shape[0] - 1}. Name one of them")
        path = Path(directory) / f"{dataset or 'submission'}_{crop}_{label}.png"
        title = f"{dataset} {crop} {label}, section {number}"
        draw(_panels(kinds, raws.get(dataset), grid, number), path, title, grid.voxel_size)
        written.append(path)
    return written


def _panels(kinds: Sequence[Shown], raw: Volume | None, grid: Volume, section: int) -> "list[Panel]":
    from lsd_experiments.picture import Panel, colours_of, match_colours

    found = {one.kind: on_grid(one.volume, grid, section) for one in kinds}
    panels = [] if raw is None else [Panel(RAW, _grey(on_grid(raw, grid, section)))]
    truth = found.get("gt")
    for one in kinds:
        values = found[one.kind]
        if not one.is_segmentation:
            image = _grey(values if one.kind == "predictions" else (values > 0).astype(np.float32))
        elif one.kind == "gt" or truth is None:
            image = colours_of(values)
        else:
            partners = match_colours(values, truth)
            ids, inverse = np.unique(values, return_inverse=True)
            image = colours_of(np.array([partners[int(n)] for n in ids], np.uint64)[inverse].reshape(values.shape))
        panels.append(Panel(TITLES[one.kind], image))
    return panels


def on_grid(volume: Volume, grid: Volume, section: int) -> NDArray[Any]:
    """[y, x] of ``section`` of ``grid``: of each of its voxels the value of ``volume`` at its centre; 0 outside."""
    index = []
    for axis in range(3):
        voxels = np.array([section]) if axis == 0 else np.arange(grid.shape[axis])
        centres = grid.offset[axis] + (voxels + 0.5) * grid.voxel_size[axis]
        index.append(np.floor((centres - volume.offset[axis]) / volume.voxel_size[axis] + 1e-6).astype(int))
    box = Box(tuple(int(at.min()) for at in index), tuple(int(at.max()) + 1 for at in index))
    values = volume.read(box)
    values = values if volume.channels is None else values.max(0)
    found: NDArray[Any] = values[np.ix_(*(at - begin for at, begin in zip(index, box.begin, strict=True)))][0]
    return found


def _grey(values: NDArray[Any]) -> NDArray[np.float64]:
    """[y, x, 3] in [0, 1]: uint8 by its range, probabilities and masks as they are, others by theirs."""
    image = np.nan_to_num(values.astype(np.float64))
    low, high = (0.0, 255.0) if values.dtype == np.uint8 else (min(0.0, image.min()), max(1.0, image.max()))
    return np.repeat(((image - low) / (high - low))[..., None], 3, axis=-1)
