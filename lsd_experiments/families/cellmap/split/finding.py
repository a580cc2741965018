"""The annotated crops on disk: a class is annotated where its directory exists, even if it holds only zeros.

    data/{dataset}/{dataset}.zarr/recon-1/{name}      search path; {name} is one of the next two
    em/fibsem-uint8                                   raw
    labels/groundtruth/{crop}/{label}                 labels
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.sources import levels, open_tree

CONTAINER = re.compile(r"(.*?\.(?:zarr|n5))(?:/|$)(.*)")
FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Layout:
    """Where things lie, as patterns: see the module."""

    search_path: str = "data/{dataset}/{dataset}.zarr/recon-1/{name}"
    raw_name: str = "em/fibsem-uint8"
    crop_name: str = "labels/groundtruth/{crop}/{label}"


@dataclass(frozen=True)
class Crop:
    """An annotated crop. Paths of containers are absolute, groups lie in them; ``classes`` in the order that was asked for."""

    dataset: str
    name: str
    raw: str
    raw_group: str
    labels: str
    group: str
    classes: tuple[str, ...]


def find_crops(layout: Layout, classes: Sequence[str], scale: Sequence[float] | None = None, datasets: Iterable[str] = ("*",),
               crops: Iterable[str] = ("*",)) -> list[Crop]:
    """The crops that have raw, and one of ``classes`` at least, sorted by dataset and number.

    :param scale: (z, y, x) in nm: only classes whose finest level has voxels of that size at most, along each axis
    :param datasets: patterns of names, like jrc_*; ``crops`` the same
    :raises UserError: if the patterns are none
    """
    datasets, crops = list(datasets), list(crops)
    found = []
    for dataset, crop, path in sorted(_groups(layout), key=lambda one: (one[0], _number(one[1]), one[1])):
        if not any(fnmatchcase(dataset, pattern) for pattern in datasets) or not any(fnmatchcase(crop, name) for name in crops):
            continue
        raw = _raw(layout, dataset)
        there = tuple(label for label in classes if (path / label).is_dir() and (scale is None or _is_fine(path / label, scale)))
        if raw is not None and there:
            container, group = split_container(str(path))
            found.append(Crop(dataset, crop, *split_container(raw), container, group, there))
    return found


def counts(layout: Layout, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Of each dataset with raw, in how many crops each class is annotated; classes that are nowhere in it are left out."""
    found: dict[str, dict[str, int]] = {}
    for crop in find_crops(layout, classes):
        of_dataset = found.setdefault(crop.dataset, {})
        for label in crop.classes:
            of_dataset[label] = of_dataset.get(label, 0) + 1
    return found


def split_container(path: str) -> tuple[str, str]:
    """``a/b.zarr`` and ``c/d`` of ``a/b.zarr/c/d``; of the first such directory.

    :raises UserError: if there is none
    """
    match = CONTAINER.match(path)
    if match is None:
        raise UserError(f"{path}: is not in a container, whose name ends in .zarr or .n5. Correct the path")
    return match[1], match[2].strip("/")


def _groups(layout: Layout) -> list[tuple[str, str, Path]]:
    """Dataset, crop and directory of each crop on disk."""
    pattern = str(Path(layout.search_path.replace("{name}", layout.crop_name).removesuffix("/{label}")).absolute())
    for field in ("dataset", "crop"):
        if f"{{{field}}}" not in pattern:
            raise UserError(f"{pattern}: has no {{{field}}}, so that crops are not found by it. Write it where their names "
                            "differ")
    if unknown := {*FIELD.findall(pattern)} - {"dataset", "crop"}:
        raise UserError(f"{pattern}: {{{sorted(unknown)[0]}}} is not known. Write {{dataset}}, {{crop}}, and {{name}}")
    seen: set[str] = set()

    def named(match: re.Match[str]) -> str:
        if match[1] in seen:
            return f"(?P={match[1]})"
        seen.add(match[1])
        return f"(?P<{match[1]}>[^/]+)"

    parts = re.split(r"(\{\w+\})", str(Path(pattern)))
    expression = re.compile("".join(FIELD.sub(named, part) if FIELD.fullmatch(part) else re.escape(part) for part in parts))
    paths = Path(Path(pattern).anchor or ".").glob(FIELD.sub("*", str(Path(pattern).relative_to(Path(pattern).anchor))))
    matches = ((expression.fullmatch(str(path)), path) for path in paths if path.is_dir())
    return [(match["dataset"], match["crop"], path) for match, path in matches if match]


def _raw(layout: Layout, dataset: str) -> str | None:
    """The raw of a dataset, if need be beside it in N5."""
    path = str(Path(layout.search_path.replace("{name}", layout.raw_name).replace("{dataset}", dataset)).absolute())
    return next((name for name in (path, path.replace(".zarr", ".n5", 1)) if Path(name).is_dir()), None)


def _is_fine(path: Path, scale: Sequence[float]) -> bool:
    """Whether the finest level at ``path`` has voxels of ``scale`` (nm) at most."""
    container, group = split_container(str(path))
    sizes = [level.voxel_size for level in levels(open_tree(container), group) if level.voxel_size is not None]
    return bool(sizes) and all(size <= most for size, most in zip(min(sizes), scale, strict=True))


def _number(crop: str) -> int:
    return int(re.sub(r"\D", "", crop) or 0)
