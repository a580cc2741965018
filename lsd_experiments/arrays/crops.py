"""A crop: a JSON file that stands for part of a volume; and one of several crops, which stands for a container.

    {"container": "sample.zarr", "dataset": "volumes/raw", "offset": [800, 90, 90], "size": [2000, 900, 900]}

``offset`` and ``size`` are in nm (z, y, x) and on the voxel grid; both or none. ``dataset`` may be left to who opens
it. ``voxel_size`` and ``begin``, where the first voxel of all that is there begins (nm), are for formats that store none.
A relative ``container`` is relative to the JSON file; it may be another crop.

    {"datasets": {"volumes/raw": {"container": "sections", "voxel_size": [40, 8, 8]},
                  "volumes/labels/neuron_ids": {"container": "labels.npy", "voxel_size": [40, 8, 8]}}}

has two datasets, each a crop, so that raw and labels that lie in different files can be trained on.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lsd_experiments.arrays.addresses import is_address
from lsd_experiments.arrays.grids import to_box
from lsd_experiments.arrays.hierarchy import ONLY
from lsd_experiments.arrays.metadata import triple
from lsd_experiments.arrays.public import address_of
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.geometry import Nanometres

KEYS = ("container", "dataset", "offset", "size", "voxel_size", "begin")
DATASETS = "datasets"
MOST_CROPS = 100  # of crops of crops: one that has more stands for itself


def open_crop(path: Path, dataset: str | None, default: str | None, voxel_size: Nanometres | None,
              open_volume: Callable[..., Volume]) -> Volume:
    """The volume that the crop file ``path`` stands for, or its ``dataset``; ``open_volume`` opens its container.

    :raises UserError: if the file is none, names another dataset than ``dataset``, or a place outside of the volume.
    """
    end_of(path)
    crop, name, where = _read(path), None, str(path)
    if DATASETS in crop:
        name = _which(path, crop[DATASETS], dataset, default)
        crop, where, dataset, default = crop[DATASETS][name], f"{path}: {name}", None, None
    named = crop.get("dataset")
    dataset = None if dataset == ONLY and named else dataset
    if dataset and named and dataset.strip("/") != named.strip("/"):
        raise UserError(f"{path}: stands for the dataset '{named}', not '{dataset}'. Name that one, or leave "
                        "'dataset' out of the crop")
    if "voxel_size" in crop and voxel_size is None:
        voxel_size = triple(crop["voxel_size"], f"{where}: 'voxel_size'", positive=True)
    volume = open_volume(_container(path, crop["container"]), named or dataset, default=default, voxel_size=voxel_size)
    if "begin" in crop:
        volume = replace(volume, offset=triple(crop["begin"], f"{where}: 'begin'"))
    if "offset" in crop:
        volume = volume.crop(to_box(volume, triple(crop["offset"], f"{where}: 'offset'"),
                                    triple(crop["size"], f"{where}: 'size'", positive=True)))
    return replace(volume, opened_as=(str(path), name or ("" if named else volume.place[1])))


def _which(path: Path, datasets: dict[str, Any], asked: str | None, default: str | None) -> str:
    """The name of the dataset that is asked for, or of the only one."""
    name = (default if default in datasets else None) if asked in (None, "", ONLY) else str(asked).strip("/")
    name = next(iter(datasets)) if name is None and len(datasets) == 1 else name
    if name is None:
        raise UserError(f"{path}: name one of its datasets. It holds {', '.join(datasets)}")
    if name not in datasets:
        raise UserError(f"{path}: no dataset '{name}'{nearest(name, datasets) or '.'} It holds {', '.join(datasets)}")
    return name


def list_in_crop(path: Path, list_datasets: Callable[[str], list[str]]) -> list[str]:
    """The datasets that the crop file ``path`` has, or may stand for a part of; none if it names the one."""
    end_of(path)
    crop = _read(path)
    if DATASETS in crop:
        return list(crop[DATASETS])
    return [] if crop.get("dataset") else list_datasets(_container(path, crop["container"]))


def has_in_crop(path: Path, dataset: str, has_dataset: Callable[[str, str], bool]) -> bool:
    """Whether the crop file ``path`` has ``dataset``, or may stand for a part of it."""
    end_of(path)
    crop = _read(path)
    if DATASETS in crop:
        return dataset.strip("/") in crop[DATASETS]
    named = crop.get("dataset", "").strip("/")
    return named in ("", dataset.strip("/")) and has_dataset(_container(path, crop["container"]), dataset)


def _container(path: Path, container: str) -> str:
    named = address_of(container, path.parent)
    return named if is_address(named) else str(path.parent / container)


def end_of(path: str | Path) -> str:
    """The container that the crop file ``path`` stands for a part of, by way of others; one of several datasets is its own.

    :raises UserError: if a crop is none, or stands for itself
    """
    seen: set[Path] = set()
    place = str(path)
    while not is_address(place) and place.lower().endswith(".json"):
        if Path(place).resolve() in seen:
            raise UserError(f"{path}: stands for itself, by its container '{place}'. Name the volume")
        seen.add(Path(place).resolve())
        crop = _read(Path(place))
        if DATASETS in crop:
            _check_ends(Path(place), crop[DATASETS])
            break
        place = _container(Path(place), crop["container"])
    return place


def _check_ends(path: Path, datasets: dict[str, Any]) -> None:
    """That none of the datasets is of another such file, which might be this one."""
    for name, crop in datasets.items():
        place, steps = _container(path, crop["container"]), 0
        while not is_address(place) and place.lower().endswith(".json"):
            inner, steps = _read(Path(place)), steps + 1
            if DATASETS in inner or steps > MOST_CROPS:
                raise UserError(f"{path}: {name} is of {place}, which has 'datasets', too, or stands for itself. Name the volume")
            place = _container(Path(place), inner["container"])


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        crop = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(crop, dict) or DATASETS not in crop:
        _check(crop, str(path))
        return crop
    datasets = crop[DATASETS]
    if len(crop) > 1 or not isinstance(datasets, dict) or not datasets:
        raise UserError(f"{path}: 'datasets' stands alone, and is a table of one crop or more by their names. Correct it")
    for name, inner in datasets.items():
        if name != name.strip("/") or not name:
            raise UserError(f"{path}: '{name}' is no dataset's name. Name one like volumes/raw")
        _check(inner, f"{path}: {name}")
    return crop


def _check(crop: Any, where: str) -> None:
    """:raises UserError: if ``crop`` has no container, or a key that is not known or not whole."""
    if not isinstance(crop, dict) or not isinstance(crop.get("container"), str):
        raise UserError(f"{where}: no crop, which is a table with a 'container'")
    for key in crop:
        if key not in KEYS:
            raise UserError(f"{where}: unknown key '{key}'{nearest(key, KEYS)}")
    if not isinstance(crop.get("dataset", ""), str):
        raise UserError(f"{where}: 'dataset' is {crop['dataset']!r}, not a name")
    if ("offset" in crop) != ("size" in crop):
        raise UserError(f"{where}: 'offset' and 'size' come together. Give both, or none")
