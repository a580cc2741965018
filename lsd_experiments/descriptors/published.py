"""Descriptors as ``lsds`` 0.1.3 computes them, rounding errors and all; for trainings that are to be as published.

Float32 throughout, with coordinates that count from the array's first voxel: see docs/methods.md for what that does. Gaussian
filters are SciPy's, of the object's own bounding box: beyond it there are zeros, and nothing is asked for.
"""

from itertools import combinations
from typing import Any

import numpy as np

from lsd_experiments.descriptors.objects import VARIANCE_FLOOR
from lsd_experiments.descriptors.windows import WINDOW_SIGMAS
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres

Array = np.ndarray[Any, Any]
PAIRS = list(combinations(range(3), 2))  # zy, zx, yx


def published_descriptors(labels: Array, sigma: float, voxel_size: Nanometres, downsample: int, roi: Box) -> Array:
    """Descriptors [10, z, y, x] float32 inside ``roi`` of ``labels`` [z, y, x]; see :func:`.local_shape_descriptors`.

    An object that the sampling misses has size 1, and minus the voxel's own position as its offset.

    :raises UserError: if ``roi`` is not on multiples of ``downsample``
    """
    import fastremap
    from scipy.ndimage import find_objects

    if any(v % downsample for v in (*roi.begin, *roi.end)):
        raise UserError(
            f"as published, descriptors of {roi.shape} voxels from {roi.begin} on are not made: neither may leave a remainder by "
            f"{downsample}. Take another --input-shape, or train without --parity"
        )
    numbers = fastremap.renumber(np.ascontiguousarray(labels), preserve_zero=True)[0]
    boxes = find_objects(numbers.astype(np.int32))
    lsds = np.zeros((10, *roi.shape), np.float32)
    for number in fastremap.unique(numbers[roi.slices]):
        if number:
            _add_object(lsds, numbers, int(number), _around(boxes[number - 1], downsample), sigma, voxel_size, downsample, roi)
    return np.clip(lsds, 0, 1, out=lsds)


def _around(slices: tuple[slice, ...], downsample: int) -> Box:
    """The sampled voxels whose blocks hold the object at ``slices``."""
    return Box(tuple(s.start // downsample for s in slices), tuple(-(-s.stop // downsample) for s in slices))


def _add_object(lsds: Array, numbers: Array, number: int, sampled: Box, sigma: float, voxel_size: Nanometres, downsample: int,
                roi: Box) -> None:
    """Write the descriptors of one object to ``lsds``; ``sampled``: where it lies, in sampled voxels."""
    inner = Box(tuple(b // downsample for b in roi.begin), tuple(e // downsample for e in roi.end)).intersect(sampled)
    whole = Box(*(tuple(v * downsample for v in place) for place in (sampled.begin, sampled.end)))
    mask = (numbers[whole.slices] == number)[(slice(None, None, downsample),) * 3].astype(np.float32)
    steps = [size * downsample for size in voxel_size]
    axes = [np.arange(b, e) * step for b, e, step in zip(sampled.begin, sampled.end, steps, strict=True)]
    coordinates = np.array(np.meshgrid(*axes, indexing="ij"), np.float32)
    values = _statistics(mask, coordinates, sigma, steps, inner.shift([-b for b in sampled.begin]).slices)
    for axis in (1, 2, 3):
        values = values.repeat(downsample, axis)
    here = Box(*(tuple(v * downsample for v in place) for place in (inner.begin, inner.end)))
    own = numbers[here.slices] == number
    there = (slice(None), *here.shift([-b for b in roi.begin]).slices)
    lsds[there] = np.where(own, values, lsds[there])


def _statistics(mask: Array, coordinates: Array, sigma: float, steps: list[float], inner: tuple[slice, ...]) -> Array:
    """[10, ...] of the object ``mask`` (float32, 1 inside) at the sampled voxels ``inner``; the order of operations matters."""
    from scipy.ndimage import gaussian_filter

    def sums(values: Array) -> Array:
        filtered = gaussian_filter(values, [sigma / step for step in steps], mode="constant", cval=0.0, truncate=WINDOW_SIGMAS)
        return np.asarray(filtered[inner])

    masked = coordinates * mask
    size = sums(mask)
    size[size == 0] = 1
    mean = np.array([sums(values) for values in masked]) / size
    products = [(a, a) for a in range(3)] + PAIRS
    covariance = np.array([sums(masked[a] * masked[b]) for a, b in products]) / size
    covariance -= np.array([mean[a] * mean[b] for a, b in products])
    variance, correlation = covariance[:3], covariance[3:]
    variance[variance < VARIANCE_FLOOR] = VARIANCE_FLOOR
    for values, (a, b) in zip(correlation, PAIRS, strict=True):
        values /= np.sqrt(variance[a] * variance[b])
    offset = (mean - coordinates[(slice(None), *inner)]) / np.float32(sigma) * np.float32(0.5) + np.float32(0.5)
    correlation = correlation * np.float32(0.5) + np.float32(0.5)
    return np.concatenate([offset, variance / np.float32(sigma**2), correlation, size[None]])
