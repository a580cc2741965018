"""What a dataset is, from volumes that nobody has described: which of their datasets is what, and their voxel size."""

import glob
import json
from collections.abc import Sequence
from pathlib import Path

from lsd_experiments import arrays
from lsd_experiments.datasets.dataset import Dataset
from lsd_experiments.errors import NoVoxelSize, UserError
from lsd_experiments.writing import put_text

PARTS = {  # of a dataset's name, by which it is taken for what it is; the first that fits counts
    "raw": ("raw", "em", "image"),
    "labels": ("neuron_ids", "labels", "gt_labels", "neurons", "segmentation", "ids", "seg", "gt"),
    "labels_mask": ("labels_mask", "mask"),
    "unlabeled_mask": ("unlabeled_mask", "unlabelled_mask"),
}
OPTIONAL = ("labels_mask", "unlabeled_mask")


def look(name: str, containers: Sequence[str], like: Dataset, voxel_size: Sequence[float] | None = None,
         **named: str | None) -> Dataset:
    """The dataset ``name`` of training volumes in ``containers``.

    :param like: whose names of datasets are taken where the volumes have them
    :param voxel_size: (z, y, x) in nm (default: that of the first volume's raw)
    :param named: names of datasets, by the keys of :data:`PARTS`; what is None is found out
    :raises UserError: if a container is not there or what is raw, or labels, is not known
    """
    for container in containers:
        if "://" in container:
            raise UserError(f"--data {container}: a dataset's volumes lie in a directory. Fetch it first")
    found = {key: named.get(key) or find(key, containers[0], like) for key in PARTS}
    raw = arrays.open_volume(containers[0], found["raw"])
    directory, names = _places(containers)
    return Dataset(
        name=name,
        voxel_size=_numbers(voxel_size or raw.voxel_size),
        directory=directory,
        volumes=tuple(glob.escape(volume) for volume in names),
        **{key: value for key, value in found.items() if value is not None},
        predicted=names[0],
    )


def with_voxel_size(container: str, voxel_size: Sequence[float] | None, like: Dataset, place: Path, crops: list[Path],
                    **named: str | None) -> str:
    """``container``; or, if its raw or labels store no voxel size, a crop in ``place`` that says it, which joins ``crops``.

    :raises UserError: if there is none, and none is given
    """
    if "://" in container:  # is refused
        return container
    try:
        for key in ("raw", "labels"):
            arrays.open_volume(container, named.get(key) or find(key, container, like))
    except NoVoxelSize:
        if voxel_size is None:
            raise
        crop = place / f"{Path(container).stem}{len(crops) or ''}.json"
        crops.append(crop)
        put_text(crop, json.dumps({"container": str(Path(container).resolve()), "voxel_size": list(voxel_size)}) + "\n")
        return str(crop)
    return container


def find(key: str, container: str, like: Dataset) -> str | None:
    """The dataset of ``container`` that is ``key``: called as in ``like``, or by the part of its name that says so.

    :raises UserError: if it is not known; of masks None is given then
    """
    there = arrays.list_datasets(container)
    usual: str | None = getattr(like, key)
    if usual is not None and (usual in there or any(name.startswith(f"{usual}/") for name in there)):
        return usual
    mask = "mask" in key
    candidates = [name for name in there if ("mask" in name) == mask]
    for part in PARTS[key]:
        fitting = [name for name in candidates if part in name.lower().split("/")[-1]]
        if key == "labels_mask":
            fitting = [name for name in fitting if "unlabel" not in name]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            break
    if key in OPTIONAL:
        return None
    raise UserError(f"{container}: which of its datasets is {key}? It has {', '.join(there) or 'none'}. Name it by --{key}")


def _places(containers: Sequence[str]) -> tuple[Path, tuple[str, ...]]:
    """The directory that all lie in, and their names there."""
    paths = [Path(container).resolve() for container in containers]
    directory = paths[0].parent
    while not all(path.is_relative_to(directory) for path in paths):
        directory = directory.parent
    return directory, tuple(path.relative_to(directory).as_posix() for path in paths)


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
    """Whole numbers as such."""
    return tuple(int(value) if float(value).is_integer() else float(value) for value in values)
