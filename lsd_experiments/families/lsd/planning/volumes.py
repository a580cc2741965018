"""Raw and labels as they are named on the command line, each as a crop: container, dataset, and what it does not say itself."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lsd_experiments import arrays
from lsd_experiments.arrays.addresses import is_address
from lsd_experiments.arrays.grids import show
from lsd_experiments.arrays.hierarchy import ONLY
from lsd_experiments.arrays.public import address_of
from lsd_experiments.datasets.dataset import Dataset
from lsd_experiments.datasets.looking import find
from lsd_experiments.errors import NotListed, NoVoxelSize, UserError
from lsd_experiments.families.lsd.planning.limiting import cropped, part_of
from lsd_experiments.fitting import check_axes
from lsd_experiments.geometry import to_voxels

Crop = dict[str, Any]
USUAL = Dataset(name="usual", voxel_size=(1, 1, 1), directory=Path(), volumes=("*",))


@dataclass(frozen=True)
class Named:
    """What was named: ``raw``, ``labels`` and ``mask`` are a container, and perhaps a dataset in it."""

    raw: Sequence[str]
    labels: Sequence[str]
    mask: Sequence[str] | None = None
    voxel_size: Sequence[float] | None = None
    labels_begin: Sequence[float] | None = None


def crops_of(named: Named) -> tuple[Crop, Crop, Crop | None]:
    """Raw, labels and the labels' mask, if there is one, as crops that open everywhere.

    :raises UserError: if one is missing, or it cannot be known how large its voxels are, or where it lies
    """
    raw, labels = _crop("raw", named.raw), _crop("labels", named.labels)
    mask = _mask(named, labels)
    opened = _with_voxel_size("--raw", raw, named.voxel_size)
    placed = _place_labels(labels, opened, named)
    if mask is not None and ("voxel_size" in labels or "begin" in labels):
        mask |= {key: labels[key] for key in ("voxel_size", "begin") if key in labels}
    return _limited(raw, labels, mask, opened, placed)


def _limited(raw: Crop, labels: Crop, mask: Crop | None, opened: arrays.Volume, placed: arrays.Volume
             ) -> tuple[Crop, Crop, Crop | None]:
    """The three, of labels that are too many only a part.

    :raises UserError: if they share nothing
    """
    found = part_of(placed, opened)
    if found is None:
        return raw, labels, mask
    box, share = found
    print(f"{placed.name}: {_by(placed.shape)} voxels are more than training holds: of them {_by(box.shape)} are taken, of which "
          f"{share:.0%} of what was looked at are labelled", file=sys.stderr)
    return raw, cropped(labels, placed, box), mask and cropped(mask, placed, box)


def _crop(kind: str, words: Sequence[str]) -> Crop:
    """The container by its full path, and its dataset, where it has some."""
    if len(words) > 2:
        raise UserError(f"--{kind}: {' '.join(words)} are {len(words)} words. Name a container and, if it has several, a dataset")
    container = address_of(words[0])
    if not is_address(container):
        container = str(Path(container).resolve())
        if not Path(container).exists():
            raise UserError(f"--{kind} {words[0]}: no such file or directory. Correct the path")
    if len(words) == 2 and words[1] != ONLY:
        return {"container": container, "dataset": words[1]}
    there = arrays.list_datasets(container)
    if not any(there):
        return {"container": container}
    several = len(there) > 1 and (ONLY if len(words) == 2 else _found(kind, container))  # "-" of several is refused when opened
    return {"container": container, "dataset": several or there[0]}


def _found(kind: str, container: str) -> str:
    try:
        return str(find(kind, container, USUAL))
    except UserError as error:
        raise UserError(str(error).replace(f"Name it by --{kind}", f"Name it behind the container: --{kind} {container} DATASET")
                        ) from error


def _mask(named: Named, labels: Crop) -> Crop | None:
    """The mask that is named, or the labels mask that lies beside the labels."""
    if named.mask:
        return _crop("labels_mask", named.mask)
    container = labels["container"]
    if "dataset" not in labels:
        return None
    try:
        found = find("labels_mask", container, USUAL)
    except NotListed:  # by a server: then only its usual name is looked for
        found = USUAL.labels_mask if arrays.has_dataset(container, USUAL.labels_mask) else None
    return {"container": container, "dataset": found} if found else None


def _with_voxel_size(option: str, crop: Crop, voxel_size: Sequence[float] | None) -> arrays.Volume:
    """The volume; where it stores no voxel size, or another one is given, ``crop`` gets that."""
    try:
        stored = arrays.open_volume(crop["container"], crop.get("dataset"))
    except NoVoxelSize as error:
        if voxel_size is None:
            raise UserError(f"{option} {crop['container']}: stores no voxel size. Say how large its voxels are, in nm, by "
                            "--voxel-size Z Y X") from error
        stored = None
    if voxel_size is not None and (stored is None or not _alike(stored.voxel_size, voxel_size)):
        if stored is not None:
            print(f"warning: {stored.name}: says that its voxels are {show(stored.voxel_size)} nm; --voxel-size counts",
                  file=sys.stderr)
        crop["voxel_size"] = list(voxel_size)
        return arrays.open_volume(crop["container"], crop.get("dataset"), voxel_size=voxel_size)
    assert stored is not None
    return stored


def _place_labels(labels: Crop, raw: arrays.Volume, named: Named) -> arrays.Volume:
    """The labels; where they do not say where they lie they begin where raw does, if they are as large, or where is said."""
    is_placed = True
    try:
        arrays.open_volume(labels["container"], labels.get("dataset"))
    except NoVoxelSize:
        is_placed = False
    opened = _with_voxel_size("--labels", labels, raw.voxel_size if not is_placed else named.voxel_size)
    if named.labels_begin is not None:
        labels["begin"] = list(named.labels_begin)
        opened = replace(opened, offset=tuple(named.labels_begin))
    elif not is_placed and opened.shape != raw.shape:
        check_axes(opened, raw)
        raise UserError(f"--labels {labels['container']}: {_by(opened.shape)} voxels that do not say where they lie, beside raw "
                        f"of {_by(raw.shape)}. Say where they begin, in nm, by --labels-offset Z Y X, or name as many")
    elif not is_placed and any(raw.offset):
        labels["begin"] = list(raw.offset)
        opened = replace(opened, offset=raw.offset)
    elif opened.shape == raw.shape and to_voxels([a - b for a, b in zip(opened.offset, raw.offset, strict=True)],
                                                 raw.voxel_size) != (0, 0, 0):
        print(f"warning: {opened.name}: as large as raw, and begins at {show(opened.offset)} nm, raw at {show(raw.offset)} nm. "
              f"If they are the same place: --labels-offset {' '.join(f'{value:.10g}' for value in raw.offset)}", file=sys.stderr)
    return opened


def _alike(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(abs(a - b) <= 1e-3 * b for a, b in zip(first, second, strict=True))


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
