"""Which crops are predicted, and where: test crops where they are scored, annotated ones where they are annotated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.manifest import Target, crop_name, read_manifest
from lsd_experiments.families.cellmap.sources import levels, open_tree
from lsd_experiments.families.cellmap.split.finding import Crop, Layout, directories, find_crops, split_container
from lsd_experiments.geometry import Nanometres

TEST, ALL = "test", "*"


@dataclass(frozen=True)
class Place:
    """A crop to predict: ``classes`` of it, from ``begin`` to ``end`` (z, y, x) nm, of the raw at ``group`` of ``container``."""

    dataset: str
    name: str
    container: str
    group: str
    classes: tuple[str, ...]
    begin: Nanometres
    end: Nanometres


def find_places(layout: Layout, asked: Sequence[str], classes: Sequence[str], manifest: str) -> tuple[list[Place], list[str]]:
    """The crops that are ``asked`` for: ``test``, ``*`` (all annotated ones), or names like crop557 or 557.

    A test crop has those of ``classes`` that it is scored in; others have all of them.

    :returns: the crops, and a line for each that is left out
    :raises UserError: if a crop is not there, or none is left
    """
    targets = read_manifest(manifest) if TEST in asked or (ALL not in asked and _is_file(manifest)) else []
    scored = {crop: [target for target in targets if target.crop == crop] for crop in dict.fromkeys(t.crop for t in targets)}
    names = [name for one in asked for name in (scored if one == TEST else [one if one == ALL else crop_name(one)])]
    annotated = [name for name in names if name not in scored]
    found = find_crops(layout, None, crops=annotated) if annotated else []
    places, left = [], []
    for name in dict.fromkeys(names):
        if name in scored:
            place, reason = _test_place(layout, scored[name], classes)
            places += [place] if place else []
            left += [reason] if reason else []
            continue
        of_name = [crop for crop in found if name == crop.name or (name == ALL and not set(classes).isdisjoint(crop.classes))]
        if not of_name:
            what = "crop with one of " + ", ".join(classes) if name == ALL else name
            raise UserError(f"--crops: there is no {what} with raw at {layout.search_path}, nor in the manifest {manifest}. Name "
                            "others")
        places += [_annotated_place(crop, classes) for crop in of_name]
    if not places:
        raise UserError(f"--crops: none is left. {'. '.join(left) or 'Name others'}")
    return list(dict.fromkeys(places)), left


def _is_file(path: str) -> bool:
    from pathlib import Path

    return Path(path).is_file()


def _test_place(layout: Layout, targets: Sequence[Target], classes: Sequence[str]) -> tuple[Place | None, str | None]:
    name, dataset = targets[0].crop, targets[0].dataset
    wanted = [target for target in targets if target.label in classes]
    if not wanted:
        return None, f"{name} is left out: it is scored in none of {', '.join(classes)}"
    path = layout.search_path.replace("{name}", layout.raw_name).replace("{dataset}", dataset)
    if not directories(path):
        return None, f"{name} is left out: there is no raw at {path}. Fetch it with csc fetch-data"
    begins = [target.translation for target in wanted]
    ends = [[t + n * v for t, n, v in zip(target.translation, target.shape, target.voxel_size, strict=True)] for target in wanted]
    labels = {target.label for target in wanted}
    return Place(dataset, name, *split_container(path), tuple(label for label in classes if label in labels),
                 tuple(np.min(begins, axis=0).tolist()), tuple(np.max(ends, axis=0).tolist())), None


def _annotated_place(crop: Crop, classes: Sequence[str]) -> Place:
    """Where the first of its classes is annotated."""
    path = f"{crop.labels}/{crop.group}"
    for label in directories(path):
        found = [level for level in levels(open_tree(crop.labels), f"{crop.group}/{label}") if level.voxel_size and level.begin]
        if found:
            finest = min(found, key=lambda level: level.voxel_size or ())
            assert finest.begin is not None
            assert finest.voxel_size is not None
            end = tuple(b + n * v for b, n, v in zip(finest.begin, finest.shape, finest.voxel_size, strict=True))
            return Place(crop.dataset, crop.name, crop.raw, crop.raw_group, tuple(classes), finest.begin, end)
    raise UserError(f"{path}: no class says where it is. Fetch it again, or name other crops")
