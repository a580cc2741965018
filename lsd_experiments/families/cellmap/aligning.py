"""The voxels of a class brought to the grid of a test crop, as the challenge's evaluation does before it scores.

The level that fits best is resampled if its voxel size differs (classes of instances: nearest, others: linear, and above 0.5),
moved by whole voxels to where it belongs, and cut, or filled up with 0.

``parity``: the shift as the published program rounds it, which is off by one where the crop's translation is no multiple of
its voxels (14 of the 16 test crops), or where a float quotient falls below a whole number; that of ``"2025-09"`` also cuts off
what is moved beyond the end of the source. Else it is the nearest one.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.classes import INSTANCES
from lsd_experiments.families.cellmap.manifest import Target
from lsd_experiments.families.cellmap.sources import Level
from lsd_experiments.geometry import Voxels

LARGEST_RATIO = 16**3  # voxels of a source, for each of the crop
THRESHOLD = 0.5
LARGE = 500 * 2**20 / 4  # voxels: 500 MiB of float32
SLAB = 2**26  # voxels that are resampled at a time


def load_aligned(levels: Sequence[Level], target: Target, instances: Collection[str] = INSTANCES,
                 parity: bool | str = False) -> NDArray[Any]:
    """The voxels of ``target``, of the source's type, or bool where a class that is not of instances was resampled.

    :param levels: of the class, at least one
    :raises UserError: if the source is too large for the crop, or cannot be read
    """
    level = best_level(levels, target)
    check_ratio(level, target)
    image: Any
    if level.voxel_size is not None and not np.allclose(level.voxel_size, target.voxel_size):
        scale = np.divide(level.voxel_size, target.voxel_size)
        image = nearest(level, scale) if target.label in instances else linear(level, scale) > THRESHOLD
    elif level.voxel_size is None and level.shape != target.shape:
        image = _fitted(level, target, instances)
    else:
        image = level
    return _moved(image, shift_of(level, target, parity), target.shape, cut=parity == "2025-09")


def _fitted(level: Level, target: Target, instances: Collection[str]) -> NDArray[Any]:
    """A level without a voxel size: centred; one that is :data:`LARGE`, and has not fewer voxels along any axis, is taken to
    be of the same place, and resampled, as the challenge does."""
    scale = np.divide(target.shape, level.shape)
    if np.prod(level.shape, dtype=float) <= LARGE or (scale > 1).any():
        return centred(level[:], target.shape)
    return nearest(level, scale) if target.label in instances else linear(level, scale) > THRESHOLD


def best_level(levels: Sequence[Level], target: Target) -> Level:
    """The level to resample from: of OME-Zarr, with the least relative difference to the crop's voxels; of other groups, not
    coarser than these and nearest to them. Levels without a voxel size come last."""
    wanted = np.asarray(target.voxel_size)

    def badness(level: Level) -> float:
        if level.voxel_size is None:
            return np.inf
        size = np.asarray(level.voxel_size)
        if level.kind == "ome":
            return float((abs(size - wanted) / wanted).sum())
        return float(np.linalg.norm(size - wanted)) + (0 if (size <= wanted).all() else 1e6)

    return min(levels, key=badness)


def check_ratio(level: Level, target: Target) -> None:
    """:raises UserError: if the source has too many voxels for the crop."""
    ratio = float(np.prod(level.shape, dtype=float) / np.prod(target.shape, dtype=float))
    if ratio > LARGEST_RATIO:
        raise UserError(f"{level.name} has {ratio:.0f} times the voxels of {target.name}, and {LARGEST_RATIO} times are taken at "
                        "most. Write it at a voxel size nearer to the crop's")


def nearest(image: Any, scale: Sequence[float] | NDArray[Any]) -> NDArray[Any]:
    """``image`` with ``scale`` times its voxels along each axis, each of the value of the voxel that its centre lies in.

    :param image: [z, y, x], an array or a level, of which some sections are in memory at a time
    """
    index = []
    for length, factor in zip(image.shape, scale, strict=True):
        new = resampled_length(length, factor)
        index.append(np.clip(np.floor((np.arange(new) + 0.5) * (length / new)), 0, length - 1).astype(int))
    result = np.empty([len(along) for along in index], image.dtype)
    for begin, end in _slabs(image.shape):
        inside = slice(*np.searchsorted(index[0], (begin, end)))
        result[inside] = image[begin:end][np.ix_(index[0][inside] - begin, *index[1:])]
    return result


def linear(image: Any, scale: Sequence[float] | NDArray[Any]) -> NDArray[np.floating]:
    """``image`` with ``scale`` times its voxels along each axis, interpolated, smoothed before where that makes fewer voxels.

    Beyond the border is 0. As published, a NaN anywhere makes all NaN.

    :param image: as of :func:`nearest`; each section is made smaller at once
    """
    shape = [resampled_length(length, factor) for length, factor in zip(image.shape, scale, strict=True)]
    sections, lows, highs = [], [], []
    for begin, end in _slabs(image.shape):
        values = image[begin:end]
        lows.append(values.min())
        highs.append(values.max())
        sections.append(_interpolated(values, (len(values), *shape[1:])))
    return np.asarray(np.clip(_interpolated(np.concatenate(sections), shape), np.min(lows), np.max(highs)))


def _interpolated(values: NDArray[Any], shape: Sequence[int]) -> NDArray[np.floating]:
    from scipy import ndimage

    factors = np.divide(values.shape, shape)
    values = values.astype(np.float64 if values.dtype.kind in "ui" or values.dtype == np.float64 else np.float32, copy=False)
    if (factors > 1).any():
        values = ndimage.gaussian_filter(values, np.maximum(0, (factors - 1) / 2), mode="grid-constant", cval=0)
    if tuple(shape) != values.shape:
        values = ndimage.zoom(values, 1 / factors, order=1, mode="grid-constant", cval=0, grid_mode=True)
    return values


def _slabs(shape: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and end sections of parts of :data:`SLAB` voxels at most, or of one section."""
    sections = max(1, SLAB // max(1, shape[1] * shape[2]))
    yield from ((begin, min(begin + sections, shape[0])) for begin in range(0, shape[0], sections))


def resampled_length(length: int, factor: float) -> int:
    """Voxels along an axis of ``length`` after it was scaled by ``factor``; at least one."""
    return max(1, int(np.round(length * factor)))


def centred(image: NDArray[Any], shape: Voxels) -> NDArray[Any]:
    """``image`` cut, or filled up with 0, evenly on both sides, to ``shape``: all that can be done without a voxel size."""
    padding = [((wanted - found) // 2, wanted - found - (wanted - found) // 2) if found < wanted else (0, 0)
               for found, wanted in zip(image.shape, shape, strict=True)]
    padded = np.pad(image, padding)
    begins = [(found - wanted) // 2 for found, wanted in zip(padded.shape, shape, strict=True)]
    return np.asarray(padded[tuple(slice(b, b + n) for b, n in zip(begins, shape, strict=True))])


def shift_of(level: Level, target: Target, parity: bool | str = False) -> Voxels:
    """By how many voxels of ``target`` the source begins after it."""
    size, wanted = np.asarray(target.voxel_size), np.asarray(target.translation)
    if parity:
        return (0, 0, 0) if level.translation is None else _published_shift(np.asarray(level.translation), wanted, size)
    if level.begin is None:
        return (0, 0, 0)
    exact = np.round((np.asarray(level.begin) - wanted) / size, 6)
    return tuple(int(n) for n in np.ceil(exact - 0.5))  # half a voxel counts as none, as published


def _published_shift(translation: NDArray[Any], wanted: NDArray[Any], size: NDArray[Any]) -> Voxels:
    difference = (translation // size) * size - wanted
    return tuple(int(n) for n in (abs(difference) // size) * np.sign(difference))


def _moved(image: Any, shift: Voxels, shape: Voxels, cut: bool) -> NDArray[Any]:
    """``image`` from ``shift`` on in zeros of ``shape``; only what lies inside is read. ``cut``: as in 2025."""
    begins = [max(0, s) for s in shift]
    ends = [min(n, length + min(s, 0) if cut else s + length) for n, s, length in zip(shape, shift, image.shape, strict=True)]
    if begins == [0, 0, 0] and shift == (0, 0, 0) and tuple(image.shape) == shape:
        return np.asarray(image[:])
    result = np.zeros(shape, image.dtype)
    if all(b < e for b, e in zip(begins, ends, strict=True)):
        inside = tuple(slice(b - s, e - s) for b, e, s in zip(begins, ends, shift, strict=True))
        result[tuple(slice(b, e) for b, e in zip(begins, ends, strict=True))] = image[inside]
    return result
