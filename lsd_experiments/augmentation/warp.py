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
AMPLE = 1e-2  # voxels from it beyond which no rounding leads


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
    stretches = _stretches(coarse.shape[3], shape[2], region.begin[2], region.end[2])
    kernel(np.ascontiguousarray(source), rows, *stretches, target)
    return target


def _stretches(nodes: int, size: int, begin: int, end: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """The voxels of a row that lie between the same two coarse nodes.

    Returns where each stretch of them begins, and the last one ends; its first node; each voxel's weight of the second node.
    """
    positions = np.arange(begin, end) * _step(nodes, size)
    first = np.minimum(positions.astype(np.intp), max(0, nodes - 2))
    starts = np.flatnonzero(np.diff(first, prepend=-1, append=-1))
    return starts, first[starts[:-1]], (positions - first).astype(np.float32)


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
def _source_voxel(ends: Any, w: Any) -> Any:
    """The source voxel (z, y, x), fractional, at the weight ``w`` between two coarse nodes, whose source voxels are ``ends``."""
    az, ay, ax, bz, by, bx = ends
    return az * (1 - w) + bz * w, ay * (1 - w) + by * w, ax * (1 - w) + bx * w


@compiled(inline="always")
def _ends(rows: Any, z: int, y: int, node: int) -> Any:
    """The source voxels of ``node`` of row (z, y), and of the one after it."""
    after = min(node + 1, rows.shape[3] - 1)
    return (
        rows[0, z, y, node], rows[1, z, y, node], rows[2, z, y, node],
        rows[0, z, y, after], rows[1, z, y, after], rows[2, z, y, after],
    )  # fmt: skip


@compiled(inline="always")
def _within(ends: Any, shape: Any) -> Any:
    """Whether all between two nodes, and its neighbours, are voxels of a source of ``shape``."""
    az, ay, ax, bz, by, bx = ends
    depth, height, width = shape
    return (
        min(az, bz) > AMPLE and max(az, bz) < depth - 1 - AMPLE
        and min(ay, by) > AMPLE and max(ay, by) < height - 1 - AMPLE
        and min(ax, bx) > AMPLE and max(ax, bx) < width - 1 - AMPLE
    )  # fmt: skip


@compiled
def _warp_nearest(source: Any, rows: Any, starts: Any, nodes: Any, weights: Any, target: Any) -> None:
    depth, height, width = source.shape
    flat = source.reshape(-1)
    half = np.float32(0.5)
    for z in range(target.shape[0]):
        for y in range(target.shape[1]):
            for n in range(len(nodes)):
                ends = _ends(rows, z, y, nodes[n])
                within = _within(ends, source.shape)
                for x in range(starts[n], starts[n + 1]):
                    fz, fy, fx = _source_voxel(ends, weights[x])
                    k, j, i = int(np.floor(fz + half)), int(np.floor(fy + half)), int(np.floor(fx + half))
                    inside = within or (0 <= k < depth and 0 <= j < height and 0 <= i < width)
                    target[z, y, x] = flat[np.uintp((k * height + j) * width + i)] if inside else 0


@compiled
def _warp_linear(source: Any, rows: Any, starts: Any, nodes: Any, weights: Any, target: Any) -> None:
    depth, height, width = source.shape
    flat = source.reshape(-1)
    # Unsigned, since numba asks of all others whether they count from the end.
    one, row, plane = np.uintp(1), np.uintp(width), np.uintp(height * width)
    for z in range(target.shape[0]):
        for y in range(target.shape[1]):
            for n in range(len(nodes)):
                ends = _ends(rows, z, y, nodes[n])
                within = _within(ends, source.shape)
                for x in range(starts[n], starts[n + 1]):
                    fz, fy, fx = _source_voxel(ends, weights[x])
                    if within:
                        k, j, i = np.uintp(fz), np.uintp(fy), np.uintp(fx)
                        deep, down, right = plane, row, one
                    elif -EDGE <= fz <= depth - 1 + EDGE and -EDGE <= fy <= height - 1 + EDGE and -EDGE <= fx <= width - 1 + EDGE:
                        fz, fy, fx = max(fz, 0.0), max(fy, 0.0), max(fx, 0.0)
                        k, deep = _clamped(fz, depth, plane)
                        j, down = _clamped(fy, height, row)
                        i, right = _clamped(fx, width, one)
                    else:
                        target[z, y, x] = 0
                        continue
                    wz, wy, wx = np.float32(fz - k), np.float32(fy - j), np.float32(fx - i)
                    first = k * plane + j * row + i
                    front = _bilinear(flat, first, down, right, wy, wx)
                    target[z, y, x] = front * (1 - wz) + _bilinear(flat, first + deep, down, right, wy, wx) * wz


@compiled(inline="always")
def _bilinear(flat: Any, first: Any, down: Any, right: Any, wy: Any, wx: Any) -> Any:
    top = flat[first] * (1 - wx) + flat[first + right] * wx
    bottom = flat[first + down] * (1 - wx) + flat[first + down + right] * wx
    return top * (1 - wy) + bottom * wy


@compiled(inline="always")
def _clamped(position: float, size: int, step: Any) -> Any:
    """The voxel before ``position``, on an axis of ``size`` voxels, and how far away the next one is: 0 for the last one."""
    voxel = min(int(position), size - 1)
    return np.uintp(voxel), step if voxel + 1 < size else np.uintp(0)
