"""A crop: a JSON file that stands for part of a volume.

    {"container": "sample.zarr", "dataset": "volumes/raw", "offset": [800, 90, 90], "size": [2000, 900, 900]}

``offset`` and ``size`` are in nm (z, y, x) and on the voxel grid; both or none. ``dataset`` may be left to who opens
it. ``voxel_size`` (nm) is for formats that store none. A relative ``container`` is relative to the JSON file; it
may be another crop.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lsd_experiments.arrays.grids import to_box
from lsd_experiments.arrays.hierarchy import ONLY
from lsd_experiments.arrays.metadata import triple
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.geometry import Nanometres

KEYS = ("container", "dataset", "offset", "size", "voxel_size")


def open_crop(path: Path, dataset: str | None, default: str | None, voxel_size: Nanometres | None,
              open_volume: Callable[..., Volume]) -> Volume:
    """The volume that the crop file ``path`` stands for; ``open_volume`` opens its container.

    :raises UserError: if the file is none, names another dataset than ``dataset``, or a place outside of the volume.
    """
    end_of(path)
    crop = _read(path)
    named = crop.get("dataset")
    dataset = None if dataset == ONLY and named else dataset
    if dataset and named and dataset.strip("/") != named.strip("/"):
        raise UserError(f"{path}: stands for the dataset '{named}', not '{dataset}'. Name that one, or leave "
                        "'dataset' out of the crop")
    if "voxel_size" in crop and voxel_size is None:
        voxel_size = triple(crop["voxel_size"], f"{path}: 'voxel_size'", positive=True)
    volume = open_volume(_container(path, crop["container"]), named or dataset, default=default, voxel_size=voxel_size)
    if "offset" in crop:
        volume = volume.crop(to_box(volume, triple(crop["offset"], f"{path}: 'offset'"),
                                    triple(crop["size"], f"{path}: 'size'", positive=True)))
    return replace(volume, opened_as=(str(path), "" if named else volume.place[1]))


def list_in_crop(path: Path, list_datasets: Callable[[str], list[str]]) -> list[str]:
    """The datasets that the crop file ``path`` may stand for a part of; none if it names the one."""
    end_of(path)
    crop = _read(path)
    return [] if crop.get("dataset") else list_datasets(_container(path, crop["container"]))


def has_in_crop(path: Path, dataset: str, has_dataset: Callable[[str, str], bool]) -> bool:
    """Whether the crop file ``path`` may stand for a part of ``dataset``."""
    end_of(path)
    crop = _read(path)
    named = crop.get("dataset", "").strip("/")
    return named in ("", dataset.strip("/")) and has_dataset(_container(path, crop["container"]), dataset)


def _container(path: Path, container: str) -> str:
    if container.startswith("s3://"):
        return container
    return str(path.parent / container)


def end_of(path: Path) -> str:
    """The container that the crop file ``path`` stands for a part of, by way of others.

    :raises UserError: if a crop is none, or stands for itself
    """
    seen = {path.resolve()}
    place = str(path)
    while not place.startswith("s3://") and place.lower().endswith(".json"):
        place = _container(Path(place), _read(Path(place))["container"])
        if Path(place).resolve() in seen:
            raise UserError(f"{path}: stands for itself, by its container '{place}'. Name the volume")
        seen.add(Path(place).resolve())
    return place


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        crop = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(crop, dict) or not isinstance(crop.get("container"), str):
        raise UserError(f"{path}: no crop, which is a table with a 'container'")
    for key in crop:
        if key not in KEYS:
            raise UserError(f"{path}: unknown key '{key}'{nearest(key, KEYS)}")
    if not isinstance(crop.get("dataset", ""), str):
        raise UserError(f"{path}: 'dataset' is {crop['dataset']!r}, not a name")
    if ("offset" in crop) != ("size" in crop):
        raise UserError(f"{path}: 'offset' and 'size' come together. Give both, or none")
    return crop
