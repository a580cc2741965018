"""The same places of several segmentations, side by side: raw, ground truth, and each variant."""

from collections.abc import Mapping
from pathlib import Path

from lsd_experiments.arrays import Volume, open_volume, overlap, read_ids
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.picture.figure import draw
from lsd_experiments.picture.panels import Panel, panels
from lsd_experiments.report.blocks import Counted
from lsd_experiments.report.places import Place, window
from lsd_experiments.report.results import Result

SIZE = 2000.0  # nm that are shown along y and x, at most
FEWEST = 64  # voxels that are, where there are as many
COLUMNS, WIDTH = 5, 2.2  # of panels; inches


def draw_place(path: Path, place: Place, counted: Mapping[str, Counted], raw: Volume | None) -> None:
    """Write the picture of a place in all segmentations, by their names, to ``path``."""
    first = next(iter(counted.values()))
    whole = Box(
        tuple(min(box.begin[axis] for box in first.boxes) for axis in range(3)),
        tuple(max(box.end[axis] for box in first.boxes) for axis in range(3)),
    )
    voxel = first.labels.voxel_size
    side = min(SIZE, *(voxel[axis] * whole.shape[axis] for axis in (1, 2)))
    box = window(place.at, whole, [max(FEWEST, round(side / voxel[axis])) for axis in (1, 2)])
    truth = read_ids(first.labels, box)
    images = [Panel("ground truth", panels(labels=truth)[0].image)]
    if raw is not None:
        here, there = overlap(first.labels, raw)
        shift = [r - t for r, t in zip(there.begin, here.begin, strict=True)]
        images.insert(0, panels(raw=raw.read(box.shift(shift)))[0])
    images += [Panel(name, panels(segmentation=one.segments_in(box), labels=truth)[0].image) for name, one in counted.items()]
    draw(images, path, "", voxel, COLUMNS, WIDTH, mark=(place.at[1] - box.begin[1], place.at[2] - box.begin[2]))


def raw_of(result: Result) -> Volume | None:
    """The raw volume that was predicted, if it is there and on the grid of the labels."""
    if result.config is None or result.config.raw_file is None or result.config.predict.resample:
        return None
    try:
        return open_volume(result.config.raw_file, result.config.raw_dataset)
    except UserError as error:
        result.lacks.append(str(error))
        return None
