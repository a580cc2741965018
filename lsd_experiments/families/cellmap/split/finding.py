"""The annotated crops on disk, or in a bucket: a class is annotated where its directory exists, even if it holds only zeros.

    data/{dataset}/{dataset}.zarr/recon-1/{name}      search path; {name} is one of the next two
    em/fibsem-uint8                                   raw
    labels/groundtruth/{crop}/{label}                 labels
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from lsd_experiments.arrays.addresses import is_address
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.sources import levels, open_tree

CONTAINER = re.compile(r"(.*?\.(?:zarr|n5))(?:/|$)(.*)")
FIELD = re.compile(r"\{(\w+)\}")
ROOT = re.compile(r"(\w+://[^/]+|)/(.*)")  # a server and bucket, or nothing


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


def find_crops(layout: Layout, classes: Sequence[str] | None, scale: Sequence[float] | None = None,
               datasets: Iterable[str] = ("*",), crops: Iterable[str] = ("*",)) -> list[Crop]:
    """The crops that have raw, and one of ``classes`` at least, sorted by dataset and number.

    :param classes: None: any
    :param scale: (z, y, x) in nm: only classes whose finest level has voxels of that size at most, along each axis
    :param datasets: patterns of names, like jrc_*; ``crops`` the same
    :raises UserError: if the patterns are none
    """
    datasets, crops = list(datasets), list(crops)
    found = []
    for dataset, crop, path in sorted(_groups(layout), key=lambda one: (one[0], _number(one[1]), one[1])):
        if not any(fnmatchcase(dataset, pattern) for pattern in datasets) or not any(fnmatchcase(crop, name) for name in crops):
            continue
        annotated = set(directories(path))
        wanted = sorted(annotated) if classes is None else classes
        there = tuple(label for label in wanted if label in annotated and (scale is None or _is_fine(f"{path}/{label}", scale)))
        raw = _raw(layout, dataset) if there else None
        if raw is not None:
            container, group = split_container(path)
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


def _groups(layout: Layout) -> list[tuple[str, str, str]]:
    """Dataset, crop and path of each crop."""
    pattern = _absolute(layout.search_path.replace("{name}", layout.crop_name).removesuffix("/{label}"))
    for field in ("dataset", "crop"):
        if f"{{{field}}}" not in pattern:
            raise UserError(f"{pattern}: has no {{{field}}}, so that crops are not found by it. Write it where their names "
                            "differ")
    if unknown := {*FIELD.findall(pattern)} - {"dataset", "crop"}:
        raise UserError(f"{pattern}: {{{sorted(unknown)[0]}}} is not known. Write {{dataset}}, {{crop}}, and {{name}}")
    return [(names["dataset"], names["crop"], path) for names, path in matches(pattern)]


def matches(pattern: str) -> list[tuple[dict[str, str], str]]:
    """The directories that ``pattern`` with fields like {crop} fits, and what its fields are called in each.

    :raises UserError: if it has another bucket for each field
    """
    pattern = _absolute(pattern)
    match = ROOT.match(pattern)
    if match is None or FIELD.search(match[1]):
        raise UserError(f"{pattern}: buckets are not looked for. Write the bucket's name")
    root, rest = match.groups()
    return list(_walk(root, rest.split("/"), {}))


def _walk(path: str, parts: Sequence[str], names: dict[str, str]) -> Iterator[tuple[dict[str, str], str]]:
    """What the fields in ``parts`` are called below ``path``, and the path of each: only directories on the way are listed."""
    if not parts:
        yield names, path
        return
    part = FIELD.sub(lambda match: names.get(match[1], match[0]), parts[0])
    if not FIELD.search(part):
        yield from _walk(f"{path}/{part}", parts[1:], names)
        return
    pieces = re.split(r"(\{\w+\})", part)
    expression = "".join(_as_expression(piece, again=piece in pieces[:number]) for number, piece in enumerate(pieces))
    for name in directories(path or "/"):
        match = re.fullmatch(expression, name)
        if match:
            yield from _walk(f"{path}/{name}", parts[1:], {**names, **match.groupdict()})


def _as_expression(piece: str, again: bool) -> str:
    """The regular expression of a field, which has been there before or not, or of other text."""
    if not FIELD.fullmatch(piece):
        return re.escape(piece)
    return f"(?P={piece[1:-1]})" if again else f"(?P<{piece[1:-1]}>.+)"


def _raw(layout: Layout, dataset: str) -> str | None:
    """The raw of a dataset, if need be beside it in N5."""
    path = _absolute(layout.search_path.replace("{name}", layout.raw_name).replace("{dataset}", dataset))
    return next((name for name in (path, path.replace(".zarr", ".n5", 1)) if directories(name)), None)


def _absolute(pattern: str) -> str:
    """``pattern`` from the root of the file system, or of a server, on."""
    return pattern.rstrip("/") if is_address(pattern) else str(Path(pattern).absolute())


def directories(path: str) -> list[str]:
    """The names of the directories in ``path``, a directory or an ``s3://`` address; none if it is not there.

    :raises UserError: if a server does not list what it has
    """
    if is_address(path):
        from lsd_experiments.families.cellmap.split.bucket import directories_in_bucket

        return directories_in_bucket(path)
    return sorted(entry.name for entry in Path(path).iterdir() if entry.is_dir()) if Path(path).is_dir() else []


def _is_fine(path: str, scale: Sequence[float]) -> bool:
    """Whether the finest level at ``path`` has voxels of ``scale`` (nm) at most."""
    container, group = split_container(path)
    sizes = [level.voxel_size for level in levels(open_tree(container), group) if level.voxel_size is not None]
    return bool(sizes) and all(size <= most for size, most in zip(min(sizes), scale, strict=True))


def _number(crop: str) -> int:
    return int(re.sub(r"\D", "", crop) or 0)
