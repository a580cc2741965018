"""Objects in blocks of labels: sizes, widths, and those that fall apart. Axes are (z, y, x), lengths in nm."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLED = 2**20  # voxels of a block that widths are taken of
SMALL = 100  # voxels: smaller objects have no width worth the name


@dataclass(frozen=True)
class Objects:
    """What blocks of labels hold together.

    ``sizes``: voxels of each object. ``labelled``: the share of voxels that are not 0. ``width``: at a typical labelled voxel,
    how long its object is along the axis along which it is shortest there. ``thin``: along each axis, how long the thinnest tenth
    of the objects are at most. ``apart``: objects of several parts, of which one lies free in a block. ``greatest``: the share of
    voxels whose id is the greatest that its type has.
    """

    sizes: NDArray[np.int64]
    labelled: float
    width: float
    thin: tuple[float, float, float]
    apart: tuple[int, ...]
    greatest: float


def look_at(blocks: Iterable[NDArray[np.integer]], voxel_size: Sequence[float]) -> Objects:
    """The objects in ``blocks`` [z, y, x], which are read one by one; an id is one object in all of them."""
    sizes: dict[int, int] = {}
    apart: set[int] = set()
    shortest: list[NDArray[np.float64]] = []
    along: list[NDArray[np.float64]] = []
    voxels, last = 0, 0
    for labels in blocks:
        voxels += labels.size
        last = int(np.iinfo(labels.dtype).max)
        ids, counts = np.unique(labels, return_counts=True)
        for identity, count in zip(ids.tolist(), counts.tolist(), strict=True):
            if identity:
                sizes[identity] = sizes.get(identity, 0) + count
        found = _lengths(labels, voxel_size)
        if found is not None:
            shortest.append(found[0])
            along.append(found[1])
            apart.update(falling_apart(labels))
    thin = np.percentile(np.concatenate(along), 10, axis=0) if any(map(len, along)) else np.zeros(3)
    return Objects(
        np.array(sorted(sizes.values(), reverse=True), np.int64),
        sum(sizes.values()) / max(1, voxels),
        float(np.median(np.concatenate(shortest))) if shortest else 0.0,
        (float(thin[0]), float(thin[1]), float(thin[2])),
        tuple(sorted(apart)),
        sizes.get(last, 0) / max(1, voxels),
    )


def _lengths(labels: NDArray[np.integer], voxel_size: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """At voxels of objects the shortest of their lengths, and [object, axis] the median lengths of those that are not small."""
    places = np.flatnonzero(labels)
    if not len(places):
        return None
    if len(places) > SAMPLED:
        places = np.random.default_rng(0).choice(places, SAMPLED, replace=False)
    lengths = np.stack([run_lengths(labels, axis).ravel()[places] * float(size) for axis, size in enumerate(voxel_size)], axis=1)
    ids = labels.ravel()[places]
    least = max(2, round(SMALL * len(places) / np.count_nonzero(labels)))
    medians = []
    order = np.argsort(ids, kind="stable")
    borders = np.flatnonzero(np.diff(ids[order])) + 1
    for part in np.split(order, borders):
        if len(part) >= least:
            medians.append(np.median(lengths[part], axis=0))
    return lengths.min(axis=1), np.array(medians).reshape(-1, 3)


def run_lengths(labels: NDArray[np.integer], axis: int) -> NDArray[np.int64]:
    """For each voxel of ``labels`` [z, y, x], how many voxels in a row along ``axis`` have its label."""
    moved = np.ascontiguousarray(np.moveaxis(labels, axis, -1))
    begins = np.ones(moved.shape, bool)
    begins[..., 1:] = moved[..., 1:] != moved[..., :-1]
    lengths = np.diff(np.append(np.flatnonzero(begins), moved.size))
    return np.moveaxis(np.repeat(lengths, lengths).reshape(moved.shape), -1, axis)


def falling_apart(labels: NDArray[np.integer]) -> list[int]:
    """Ids whose voxels are several parts, one of which touches no face of the block: they are not joined outside of it either."""
    import cc3d
    import fastremap

    ids, inverse = np.unique(labels, return_inverse=True)
    compact = inverse.reshape(labels.shape).astype(np.uint32)
    if ids[0] != 0:
        compact += 1
        ids = np.concatenate([[0], ids])
    parts = cc3d.connected_components(compact, connectivity=6)  # as fragments are, and objects of MALIS
    faces: set[int] = set()
    for axis in range(3):
        for side in (0, -1):
            faces.update(np.unique(np.take(parts, side, axis=axis)).tolist())
    owners = {int(part): int(of) for part, of in fastremap.component_map(parts, compact).items() if part and of}
    several = {of for of, count in Counter(owners.values()).items() if count > 1}
    free = {of for part, of in owners.items() if part not in faces}
    return sorted(int(ids[of]) for of in several & free)
