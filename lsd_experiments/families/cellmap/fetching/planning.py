"""Which files: all of a crop's labels, and of raw the chunks that it lies in, at the levels that are of use for it.

    DEST/{dataset}/{dataset}.zarr/{alignment}/labels/groundtruth/{crop}       as a whole, when all of it is there
    DEST/{dataset}/{dataset}.zarr/{alignment}/em/...                          chunks join those of other crops

A level of raw whose voxels are finer than 0.8 of the labels' along an axis is left out, with its metadata, so that nobody reads
zeros where nothing was fetched.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.fetching.remote_levels import METADATA, levels_of, metadata_of
from lsd_experiments.families.cellmap.fetching.wanted import Wanted
from lsd_experiments.families.cellmap.sources import Level
from lsd_experiments.fetching.plan import Plan, make_plan, whole_directory, within_directory
from lsd_experiments.fetching.stores import Store, StoredObject
from lsd_experiments.geometry import Box, Nanometres

FINEST = 0.8  # of the labels' voxels, which raw of use is not finer than
Chunk = tuple[int, ...]


@dataclass(frozen=True)
class Region:
    """Where a crop is: ``begin`` and ``end`` (z, y, x) in nm, and its finest voxels."""

    begin: Nanometres
    end: Nanometres
    voxel_size: Nanometres


def plan_crops(store_of: Callable[[str], Store], wanted: Sequence[Wanted], dest: Path, padding: int = 0,
               all_resolutions: bool = False, jobs: int = 16) -> list[tuple[Store, list[Plan]]]:
    """What is to be fetched to ``dest``, compared with what is there; nothing is written.

    :param store_of: the store of a bucket
    :param padding: voxels of raw around a crop, as many at each level
    :raises UserError: if a crop is not where the manifest says
    """
    planned: dict[str, list[Plan]] = {}
    regions = {one.crop: scored_region(one) for one in wanted if one.labels is None}
    of_raw: dict[tuple[str, str], list[Wanted]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        labelled = [one for one in wanted if one.labels]
        for one, (plan, region) in zip(labelled, pool.map(lambda one: _labels(store_of, one, dest), labelled), strict=True):
            planned.setdefault(_bucket(one.labels), []).append(plan)
            regions[one.crop] = region
        for one in wanted:
            of_raw.setdefault(one.raw, []).append(one)
        for (bucket, key), crops in of_raw.items():
            around = [regions[one.crop] for one in crops]
            directory = raw_directory(crops[0], dest)
            planned.setdefault(bucket, []).append(_raw(store_of(bucket), key, directory, around, padding, all_resolutions, pool))
    return [(store_of(bucket), plans) for bucket, plans in planned.items()]


def _bucket(place: tuple[str, str] | None) -> str:
    assert place is not None
    return place[0]


def alignment_directory(one: Wanted, dest: Path) -> Path:
    """Where the parts of a dataset are put."""
    return dest / one.dataset / f"{one.dataset}.zarr" / one.alignment


def raw_directory(one: Wanted, dest: Path) -> Path:
    """Where its raw is put: as in the bucket, from the alignment on."""
    parts = one.raw[1].split("/")
    return alignment_directory(one, dest).joinpath(*parts[parts.index(one.alignment) + 1:])


def scored_region(one: Wanted) -> Region:
    """Around all classes that are scored."""
    begin = np.min([target.translation for target in one.targets], axis=0)
    end = np.max([np.add(target.translation, np.multiply(target.shape, target.voxel_size)) for target in one.targets], axis=0)
    finest = np.min([target.voxel_size for target in one.targets], axis=0)
    return Region(tuple(begin.tolist()), tuple(end.tolist()), tuple(finest.tolist()))


def _labels(store_of: Callable[[str], Store], one: Wanted, dest: Path) -> tuple[Plan, Region]:
    assert one.labels is not None
    store, key = store_of(one.labels[0]), one.labels[1]
    objects = list(store.objects(f"{key}/"))
    if not objects:
        raise UserError(f"{store.name}: {key}: nothing is there. See to the manifest, or leave out {one.crop}")
    directory = alignment_directory(one, dest) / "labels/groundtruth" / one.crop
    classes = sorted({path.partition("/")[0] for path in (found.key.removeprefix(f"{key}/") for found in objects) if "/" in path})
    for label in classes:
        found = metadata_of(store, f"{key}/{label}")
        if ".zattrs" in found:
            level, _ = min(levels_of(store, f"{key}/{label}", found).values(), key=lambda one: one[0].voxel_size or ())
            return make_plan(whole_directory(f"{key}/", directory), objects), _region(level)
    raise UserError(f"{store.name}: {key}: no class in it says where it is. Leave out {one.crop}")


def _region(level: Level) -> Region:
    assert level.begin is not None
    assert level.voxel_size is not None
    end = tuple(b + n * v for b, n, v in zip(level.begin, level.shape, level.voxel_size, strict=True))
    return Region(level.begin, end, level.voxel_size)


def _raw(store: Store, key: str, directory: Path, regions: Sequence[Region], padding: int, all_resolutions: bool,
         pool: ThreadPoolExecutor) -> Plan:
    found = metadata_of(store, key)
    objects = {path: one for path, (one, _) in found.items() if path in METADATA}
    for path, (level, mark) in levels_of(store, key, found).items():
        near = [one for one in regions if all_resolutions or is_useful(level, one)]
        chunks = {chunk for one in near for chunk in chunks_of(level, one, padding)}
        if chunks:
            objects |= {name: one for name, (one, _) in found.items() if name.startswith(f"{path}/")}
            rows = sorted({chunk[:2] for chunk in chunks})
            for listed in pool.map(lambda row, path=path, mark=mark: list(_row(store, f"{key}/{path}", row, mark)), rows):
                objects |= {one.key.removeprefix(f"{key}/"): one for chunk, one in listed if chunk in chunks}
    return make_plan(within_directory(f"{key}/", directory), objects.values())


def is_useful(level: Level, region: Region) -> bool:
    """Whether the voxels of ``level`` are not much finer than the crop's."""
    assert level.voxel_size is not None
    return all(size >= FINEST * wanted for size, wanted in zip(level.voxel_size, region.voxel_size, strict=True))


def chunks_of(level: Level, region: Region, padding: int) -> Iterator[Chunk]:
    """The numbers of the chunks of ``level`` that hold ``region`` and ``padding`` voxels around it."""
    assert level.begin is not None
    assert level.voxel_size is not None
    begin = [math.floor(round((at - b) / v, 3)) for at, b, v in zip(region.begin, level.begin, level.voxel_size, strict=True)]
    end = [math.ceil(round((at - b) / v, 3)) for at, b, v in zip(region.end, level.begin, level.voxel_size, strict=True)]
    box = Box(tuple(begin), tuple(end)).grow((padding,) * 3).intersect(Box.of_shape(level.shape))
    if box.empty:
        return
    yield from itertools.product(*(range(b // c, -(-e // c)) for b, e, c in
                                   zip(box.begin, box.end, level.array.chunks, strict=True)))


def _row(store: Store, key: str, row: tuple[int, ...], mark: str) -> Iterator[tuple[Chunk, StoredObject]]:
    """The chunks at (z, y): one listing, which also says which of them are there at all."""
    prefix = f"{key}/{mark.join(map(str, row))}{mark}"
    for found in store.objects(prefix):
        name = found.key.removeprefix(prefix)
        if name.isdecimal():
            yield (*row, int(name)), found


def put_groups(wanted: Sequence[Wanted], dest: Path) -> None:
    """Write the ``.zgroup`` files above what was fetched, where they lack."""
    from lsd_experiments.families.cellmap.packing import put_group

    for one in wanted:
        container = dest / one.dataset / f"{one.dataset}.zarr"
        places = [raw_directory(one, dest), *([alignment_directory(one, dest) / "labels/groundtruth"] if one.labels else [])]
        for place in places:
            below = place.relative_to(container).parts
            for depth in range(len(below) + 1):
                group = container.joinpath(*below[:depth])
                if not (group / ".zgroup").exists() and not (group / ".zarray").exists():
                    put_group(group)
