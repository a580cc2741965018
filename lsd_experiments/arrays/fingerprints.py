"""What tells volumes apart, wherever they lie: a digest of shape, place, type and voxels.

Of small volumes all voxels count; of larger ones a sample, the same for the same shape, so that a petavoxel takes seconds, too.
A change between the samples goes unnoticed.
"""

import hashlib
import json
import math
from collections.abc import Iterator

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


def _looked_at(volume: Volume) -> Iterator[Box]:
    """All of a small volume, slab by slab; a sample of boxes of a large one."""
    plane = math.prod(volume.shape[1:]) * (volume.channels or 1) * volume.dtype.itemsize
    if plane * volume.shape[0] <= WHOLE:
        yield from (box.intersect(volume.box) for box in volume.box.blocks((SIDE, *volume.shape[1:])))
        return
    generator = np.random.default_rng(0)
    last = [(size - 1) // SIDE for size in volume.shape]
    places = [(0, 0, 0), last, *(generator.integers(0, last, endpoint=True).tolist() for _ in range(SAMPLES))]
    for place in places:
        yield Box.of_shape((SIDE,) * 3, [SIDE * p for p in place]).intersect(volume.box)
