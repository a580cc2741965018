"""Read an array where a coarsely sampled transformation points to.

A transformation is ``coarse`` [3, z, y, x] float32: at the nodes of a coarse grid over an output of ``shape`` voxels, whose
corners are the corners of the output, the source voxel (z, y, x) that each output voxel comes from. Between nodes it is
linear. ``shifts`` [z, 2] float32 moves whole output sections, by voxels in y and x of the source.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.compiled import compiled
from lsd_experiments.geometry import Box

Floats = NDArray[np.float32]

EDGE = 1e-3  # voxels by which rounding may lead over the source's edge


def source_box(coarse: Floats, shifts: Floats, shape: Sequence[int], region: Box) -> Box:
    """The source voxels that ``region`` (a part of the output) comes from."""
    axes = [
        _positions(coarse.shape[1 + axis], shape[axis], region.begin[axis], region.end[axis], every=axis == 0)
        for axis in range(3)
    ]
    points = coarse
    for axis, (coordinates, size) in enumerate(zip(axes, shape, strict=True)):
        points = _interpolate(points, 1 + axis, coordinates * _step(coarse.shape[1 + axis], size))
    points[1:] += shifts[region.begin[0] : region.end[0]].T[:, :, None, None]
    low, high = points.min(axis=(1, 2, 3)), points.max(axis=(1, 2, 3))
    return Box(tuple(int(v) for v in np.floor(low)), tuple(int(v) + 1 for v in np.ceil(high)))


def warp(
    source: NDArray[Any],
    origin: Sequence[int],
    coarse: Floats,
    shifts: Floats,
    shape: Sequence[int],
    region: Box,
    interpolate: bool,
) -> NDArray[Any]:
    """The voxels of ``region``, read from ``source`` [z, y, x], whose first voxel is at ``origin`` in the source.

    Linear interpolation, or the nearest voxel; 0 where the transformation points outside of ``source``.
    """
    rows = coarse
    for axis in (0, 1):
        coordinates = np.arange(region.begin[axis], region.end[axis]) * _step(coarse.shape[1 + axis], shape[axis])
        rows = _interpolate(rows, 1 + axis, coordinates)
    rows[1:] += shifts[region.begin[0] : region.end[0]].T[:, :, None, None]
    rows -= np.asarray(origin, np.float32)[:, None, None, None]
    target = np.empty(region.shape, source.dtype)
    kernel = _warp_linear if interpolate else _warp_nearest
    kernel(np.ascontiguousarray(source), rows, _step(coarse.shape[3], shape[2]), region.begin[2], target)
    return target


def _step(nodes: int, size: int) -> float:
    """Coarse nodes per output voxel."""
    return (nodes - 1) / (size - 1) if size > 1 else 0.0


def _positions(nodes: int, size: int, begin: int, end: int, every: bool) -> NDArray[np.float64]:
    """Output coordinates between which the transformation is linear: the region's ends, and the nodes between them."""
    if every or nodes == 1:
        return np.arange(begin, end, dtype=float)
    at_nodes = np.arange(nodes) / _step(nodes, size)
    inside = at_nodes[(at_nodes > begin) & (at_nodes < end - 1)]
    return np.concatenate(([begin], inside, [end - 1]))


def _interpolate(values: Floats, axis: int, coordinates: NDArray[np.floating[Any]]) -> Floats:
    """``values`` at fractional ``coordinates`` along ``axis``."""
    last = values.shape[axis] - 1
    low = np.clip(np.floor(coordinates).astype(int), 0, max(0, last - 1))
    weight = (coordinates - low).astype(np.float32)
    weight = weight.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    below, above = np.take(values, low, axis), np.take(values, np.minimum(low + 1, last), axis)
    between: Floats = below * (1 - weight) + above * weight
    return between


@compiled(inline="always")
def _source_voxel(rows: Any, z: int, y: int, position: float) -> Any:
    """The source voxel (z, y, x), fractional, at ``position`` (in coarse nodes) of row (z, y)."""
    last = rows.shape[3] - 1
    node = min(int(position), max(0, last - 1))
    after = min(node + 1, last)
    w = np.float32(position - node)
    fz = rows[0, z, y, node] * (1 - w) + rows[0, z, y, after] * w
    fy = rows[1, z, y, node] * (1 - w) + rows[1, z, y, after] * w
    fx = rows[2, z, y, node] * (1 - w) + rows[2, z, y, after] * w
    return fz, fy, fx


@compiled
def _warp_nearest(source: Any, rows: Any, step: float, begin: int, target: Any) -> None:
    depth, height, width = source.shape
    half = np.float32(0.5)
    for z in range(target.shape[0]):
        for y in range(target.shape[1]):
            for x in range(target.shape[2]):
                fz, fy, fx = _source_voxel(rows, z, y, (begin + x) * step)
                k, j, i = int(np.floor(fz + half)), int(np.floor(fy + half)), int(np.floor(fx + half))
                inside = 0 <= k < depth and 0 <= j < height and 0 <= i < width
                target[z, y, x] = source[k, j, i] if inside else 0


@compiled
def _warp_linear(source: Any, rows: Any, step: float, begin: int, target: Any) -> None:
    depth, height, width = source.shape
    for z in range(target.shape[0]):
        for y in range(target.shape[1]):
            for x in range(target.shape[2]):
                fz, fy, fx = _source_voxel(rows, z, y, (begin + x) * step)
                if not (
                    -EDGE <= fz <= depth - 1 + EDGE and -EDGE <= fy <= height - 1 + EDGE and -EDGE <= fx <= width - 1 + EDGE
                ):
                    target[z, y, x] = 0
                    continue
                fz, fy, fx = max(fz, np.float32(0)), max(fy, np.float32(0)), max(fx, np.float32(0))
                k, j, i = min(int(fz), depth - 1), min(int(fy), height - 1), min(int(fx), width - 1)
                k1, j1, i1 = min(k + 1, depth - 1), min(j + 1, height - 1), min(i + 1, width - 1)
                wz, wy, wx = np.float32(fz - k), np.float32(fy - j), np.float32(fx - i)
                front = _bilinear(source, k, j, j1, i, i1, wy, wx)
                target[z, y, x] = front * (1 - wz) + _bilinear(source, k1, j, j1, i, i1, wy, wx) * wz


@compiled(inline="always")
def _bilinear(source: Any, k: int, j: int, j1: int, i: int, i1: int, wy: Any, wx: Any) -> Any:
    top = source[k, j, i] * (1 - wx) + source[k, j, i1] * wx
    bottom = source[k, j1, i] * (1 - wx) + source[k, j1, i1] * wx
    return top * (1 - wy) + bottom * wy
