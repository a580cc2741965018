"""What a submission, or a truth, holds: crops, and in each its classes.

    submission.zarr/crop557/mito    an array, or a group of scale levels

It may be a directory or a zip file, lie one or two folders deeper, and name its crops 557. Zip files need no ``.zgroup``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lsd_experiments.arrays.hierarchy import Hierarchy
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.manifest import crop_name
from lsd_experiments.families.cellmap.sources import Level, levels, open_tree

CROP = re.compile(r"(crop)?\d+")
DEPTH = 3  # folders that are looked into for crops


@dataclass(frozen=True)
class Submission:
    """``crops``: by their names like crop557, the path of each, and of each of its classes."""

    name: str
    tree: Hierarchy
    root: str
    crops: dict[str, dict[str, str]]
    paths: dict[str, str]

    def levels(self, crop: str, label: str) -> list[Level]:
        """The scale levels of a class; empty if there is none.

        :raises UserError: if its metadata cannot be read
        """
        path = self.crops.get(crop, {}).get(label)
        return [] if path is None else levels(self.tree, path)


def open_submission(container: str | Path) -> Submission:
    """The submission, or truth, ``container``: metadata are read only as far as is needed to list classes.

    :raises UserError: if it is none, or several
    """
    path = Path(container)
    if path.is_dir() and not any(CROP.fullmatch(entry.name) for entry in path.iterdir()):
        inside = sorted(path.glob("*.zip"))
        if len(inside) > 1:
            raise UserError(f"{path}: holds {len(inside)} zip files. Name one of them")
        if inside:
            return open_submission(inside[0])
    tree = open_tree(container)
    roots = _roots(tree, "", DEPTH)
    if not roots:
        raise UserError(f"{container}: has no crops, which are called like crop557. Name the zarr, or zip file, that holds them")
    if len(roots) > 1:
        raise UserError(f"{container}: holds several submissions, {', '.join(roots)}. Name one of them")
    crops, paths = {}, {}
    for name in _below(tree, roots[0]):
        if CROP.fullmatch(name):
            crop, path_in = crop_name(name), f"{roots[0]}/{name}".lstrip("/")
            if crop in crops:
                raise UserError(f"{container}: has {crop} twice, also without 'crop'. Remove one")
            crops[crop] = {label: f"{path_in}/{label}" for label in _below(tree, path_in)}
            paths[crop] = path_in
    return Submission(str(container), tree, roots[0], dict(sorted(crops.items())), paths)


def _roots(tree: Hierarchy, path: str, depth: int) -> list[str]:
    """The folders that hold crops, nearest to ``path``."""
    names = _below(tree, path)
    if any(CROP.fullmatch(name) for name in names):
        return [path]
    return [root for name in names if depth for root in _roots(tree, f"{path}/{name}".lstrip("/"), depth - 1)]


def _below(tree: Hierarchy, path: str) -> list[str]:
    """The names in a folder, sorted, without files of attributes."""
    if tree.array(path) is not None:
        return []
    return sorted(name for name in tree.children(path) if not name.startswith((".", "__MACOSX")) and name != "attributes.json")
