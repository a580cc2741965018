"""What tells volumes apart, wherever they lie: a digest of shape, place, type and voxels.

Of small volumes all voxels count; of larger ones a sample, the same for the same shape, so that a petavoxel takes seconds, too.
A change between the samples is seen by the sizes and times of the files (:func:`look`), unless all of them are new: a copy.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lsd_experiments.arrays.volume import Volume
from lsd_experiments.geometry import Box

WHOLE = 2**26  # bytes up to which all voxels count
SAMPLES = 64  # boxes of larger volumes, besides the first and the last
SIDE = 64  # voxels of a box along each axis


def fingerprint(volume: Volume) -> str:
    """``sha256:`` and 16 hexadecimal digits; equal for equal volumes in any format and place.

    :raises UserError: if a chunk that is looked at cannot be decoded
    """
    about = [volume.shape, volume.channels, str(volume.dtype), [round(v, 6) for v in volume.voxel_size],
             [round(o, 3) for o in volume.offset]]
    digest = hashlib.sha256(json.dumps(about).encode())
    for box in _looked_at(volume):
        digest.update(np.ascontiguousarray(volume.read(box)).data)
    return f"sha256:{digest.hexdigest()[:16]}"


def look(volume: Volume) -> dict[str, int] | None:
    """How many files ``volume`` has, their bytes, and when (ns since 1970) the first and the last of them changed.

    None if there are none here, or all voxels count in the fingerprint anyway.
    """
    if _is_small(volume) or "://" in volume.container:
        return None
    sizes, times = [], []
    for path in _files(Path(volume.container), volume.dataset):
        stat = path.stat()
        sizes.append(stat.st_size)
        times.append(stat.st_ctime_ns)
    return {"files": len(sizes), "bytes": sum(sizes), "oldest": min(times), "newest": max(times)} if sizes else None


def has_chunks(volume: Volume) -> bool:
    """Whether anything was ever written into ``volume``, as far as that can be told."""
    return "://" in volume.container or next(_files(Path(volume.container), volume.dataset), None) is not None


def _files(container: Path, dataset: str) -> Iterator[Path]:
    """Those with voxels."""
    place = container / dataset if (container / dataset).is_dir() else container
    if place.is_file():
        yield place
    for directory, names, files in os.walk(place):
        names[:] = [name for name in names if not name.startswith(".")]
        yield from (Path(directory, name) for name in files if not name.startswith(".") and name != "attributes.json")


def _is_small(volume: Volume) -> bool:
    """Whether all voxels count."""
    return math.prod(volume.shape) * (volume.channels or 1) * volume.dtype.itemsize <= WHOLE


def _looked_at(volume: Volume) -> Iterator[Box]:
    """All of a small volume, slab by slab; a sample of boxes of a large one."""
    if _is_small(volume):
        yield from (box.intersect(volume.box) for box in volume.box.blocks((SIDE, *volume.shape[1:])))
        return
    generator = np.random.default_rng(0)
    last = [(size - 1) // SIDE for size in volume.shape]
    places = [(0, 0, 0), last, *(generator.integers(0, last, endpoint=True).tolist() for _ in range(SAMPLES))]
    for place in places:
        yield Box.of_shape((SIDE,) * 3, [SIDE * p for p in place]).intersect(volume.box)
