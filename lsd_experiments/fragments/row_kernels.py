"""The compiled loops over rows. Imported only where they are used: numba takes a second to import.

All that is done along z and y is done to whole rows along x, which processors do 8 or 16 voxels at a time.
"""

import numpy as np

from lsd_experiments.compiled import compiled


@compiled
def squared_distances(foreground, farthest):  # type: ignore[no-untyped-def]
    """Squared distance to the nearest background voxel [z, y, x] int32, exact; ``farthest`` where there is no background.

    The time of a row grows with the greatest distance in it: a hundred voxels are slower than the usual tens.

    :param foreground: [z, y, x] bool
    :param farthest: more than any squared distance
    """
    in_rows = np.empty(foreground.shape, np.int32)
    in_planes = np.empty(foreground.shape, np.int32)
    _along_x(foreground, np.int32(farthest), in_rows)
    _nearer(in_rows, in_planes, 1, np.int32(farthest))
    _nearer(in_planes, in_rows, 0, np.int32(farthest))
    return in_rows


@compiled
def box_maximum(values, size):  # type: ignore[no-untyped-def]
    """The maximum [z, y, x] of int32 ``values`` in a box of ``size`` voxels, as scipy.ndimage.maximum_filter places it."""
    before, after = size // 2, size - 1 - size // 2
    in_rows, in_planes = np.empty(values.shape, np.int32), np.empty(values.shape, np.int32)
    width = values.shape[2]
    for z in range(values.shape[0]):
        for y in range(values.shape[1]):
            row, highest = values[z, y], in_rows[z, y]
            highest[:] = row
            for step in range(1, min(before, width - 1) + 1):
                _raise_row(highest[step:], row[:width - step])
            for step in range(1, min(after, width - 1) + 1):
                _raise_row(highest[:width - step], row[step:])
    _raise_rows(in_rows, in_planes, 1, before, after)
    _raise_rows(in_planes, in_rows, 0, before, after)
    return in_rows


@compiled
def _along_x(foreground, farthest, squared):  # type: ignore[no-untyped-def]
    depth, height, width = foreground.shape
    for z in range(depth):
        for y in range(height):
            distance = width  # to the last background, which may be none
            for x in range(width):
                distance = distance + 1 if foreground[z, y, x] else 0
                squared[z, y, x] = distance
            distance = width
            for x in range(width - 1, -1, -1):
                distance = min(distance + 1, squared[z, y, x])
                squared[z, y, x] = distance * distance if distance < width else farthest


@compiled
def _nearer(squared, result, axis, farthest):  # type: ignore[no-untyped-def]
    """Of each voxel the minimum over voxels n steps along an axis (0 or 1) of their squared distance + n ** 2."""
    size = squared.shape[axis]
    for z in range(squared.shape[0]):
        for y in range(squared.shape[1]):
            row = result[z, y]
            row[:] = squared[z, y]
            at = z if axis == 0 else y
            largest = farthest
            for step in range(1, size):
                if largest <= step * step:
                    break
                one, two = max(at - step, 0), min(at + step, size - 1)  # beyond the border again the last, which is no nearer
                if axis == 0:
                    largest = _lower_row(row, squared[one, y], squared[two, y], np.int32(step * step))
                else:
                    largest = _lower_row(row, squared[z, one], squared[z, two], np.int32(step * step))


@compiled
def _raise_rows(values, highest, axis, before, after):  # type: ignore[no-untyped-def]
    size = values.shape[axis]
    for z in range(values.shape[0]):
        for y in range(values.shape[1]):
            row = highest[z, y]
            row[:] = values[z, y]
            at = z if axis == 0 else y
            for other in range(max(at - before, 0), min(at + after + 1, size)):
                _raise_row(row, values[other, y] if axis == 0 else values[z, other])


@compiled
def _lower_row(row, one, two, more):  # type: ignore[no-untyped-def]
    """The largest of what is left of the row."""
    largest = np.int32(0)
    for x in range(len(row)):
        row[x] = min(row[x], min(one[x], two[x]) + more)
        largest = max(largest, row[x])
    return largest


@compiled
def _raise_row(row, other):  # type: ignore[no-untyped-def]
    for x in range(len(row)):
        row[x] = max(row[x], other[x])
