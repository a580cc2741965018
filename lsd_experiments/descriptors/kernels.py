"""The compiled part. An object is a list of runs (z, y, x_begin, x_end); runs of one object are sorted by z, y, x.

For each object, and each strip of ``LANES`` voxels along x in which it needs values:

    along x   runs -> 1 x xx                    differences of running sums: no window is walked
    along y   1 x xx -> 1 x xx y xy yy          the window, over rows of the object
    along z   -> 1 x xx y xy yy z zx zy zz      the window, only where the object itself is

then the ten moments become the ten channels. Positions are in units of sigma, relative to the voxel.
"""

from typing import Any

import numba
import numpy as np

from lsd_experiments.descriptors.simd import LANES, window_moments

# (channel of the input, power of the position): what each output sums
ALONG_Y = ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 2))
ALONG_Z = ((0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (0, 1), (1, 1), (3, 1), (0, 2))
moments_along_y = window_moments(ALONG_Y)
moments_along_z = window_moments(ALONG_Z)

compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)


@compiled
def find_runs(labels: Any, box: Any) -> Any:
    """Runs of equal non-zero labels inside ``box``: [n, 4] (z, y, x_begin, x_end) in voxels of ``labels``, and their [n] ids."""
    count = 0
    for z in range(box[0, 0], box[1, 0]):
        for y in range(box[0, 1], box[1, 1]):
            last = np.uint64(0)
            for x in range(box[0, 2], box[1, 2]):
                count += labels[z, y, x] != last and labels[z, y, x] != 0
                last = labels[z, y, x]
    runs, ids = np.empty((count, 4), np.int32), np.empty(count, np.uint64)
    n = 0
    for z in range(box[0, 0], box[1, 0]):
        for y in range(box[0, 1], box[1, 1]):
            x = box[0, 2]
            while x < box[1, 2]:
                begin, label = x, labels[z, y, x]
                while x < box[1, 2] and labels[z, y, x] == label:
                    x += 1
                if label != 0:
                    runs[n] = z, y, begin, x
                    ids[n] = label
                    n += 1
    return runs, ids


@compiled
def bounds(runs: Any, first: int, last: int, step: Any) -> Any:
    """The box [2, 3] of runs ``first`` to ``last``, in units of ``step`` (z, y, x) voxels."""
    box = np.empty((2, 3), np.int64)
    box[0], box[1] = 1 << 40, -1
    for i in range(first, last):
        z, y = runs[i, 0] // step[0], runs[i, 1] // step[1]
        box[0, 0], box[1, 0] = min(box[0, 0], z), max(box[1, 0], z + 1)
        box[0, 1], box[1, 1] = min(box[0, 1], y), max(box[1, 1], y + 1)
        box[0, 2], box[1, 2] = min(box[0, 2], runs[i, 2] // step[2]), max(box[1, 2], (runs[i, 3] - 1) // step[2] + 1)
    return box


@compiled
def mark(needed: Any, targets: Any, first: int, last: int, step: Any, origin: Any, strip: int) -> None:
    """Set ``needed`` [y, z] where a target run touches the strip of LANES voxels at ``strip``."""
    needed[:] = 0
    for i in range(first, last):
        if targets[i, 2] // step[2] < strip + LANES and (targets[i, 3] - 1) // step[2] >= strip:
            needed[targets[i, 1] // step[1] - origin[1], targets[i, 0] // step[0] - origin[0]] = 1


@compiled
def along_x(rows: Any, sums: Any, begin: int, end: int, strip: int, row: int) -> None:
    """Add to row ``row`` of ``rows`` (flat [y, 3, LANES]) the moments of one run, seen from the strip."""
    reach = sums.shape[1] // 2
    for power in range(3):
        for lane in range(LANES):
            x = strip + lane + reach
            rows[(row * 3 + power) * LANES + lane] += np.float32(sums[power, x - end] - sums[power, x - begin])


@compiled
def to_channels(m: Any, floor: Any) -> None:
    """Ten moments, flat [10, LANES], become ten channels in place."""
    for lane in range(LANES):
        count = m[lane]
        inverse = np.float32(1) / count if count > 0 else np.float32(0)  # an object out of sight has no offset and no size
        x, y, z = m[LANES + lane] * inverse, m[3 * LANES + lane] * inverse, m[6 * LANES + lane] * inverse
        xx = max(m[2 * LANES + lane] * inverse - x * x, floor[2])
        yy = max(m[5 * LANES + lane] * inverse - y * y, floor[1])
        zz = max(m[9 * LANES + lane] * inverse - z * z, floor[0])
        yx = m[4 * LANES + lane] * inverse - x * y
        zx = m[7 * LANES + lane] * inverse - x * z
        zy = m[8 * LANES + lane] * inverse - y * z
        half = np.float32(0.5)
        m[lane], m[LANES + lane], m[2 * LANES + lane] = z * half + half, y * half + half, x * half + half
        m[3 * LANES + lane], m[4 * LANES + lane], m[5 * LANES + lane] = zz, yy, xx
        m[6 * LANES + lane] = zy / np.sqrt(zz * yy) * half + half
        m[7 * LANES + lane] = zx / np.sqrt(zz * xx) * half + half
        m[8 * LANES + lane] = yx / np.sqrt(yy * xx) * half + half
        m[9 * LANES + lane] = count
    for i in range(10 * LANES):
        m[i] = min(max(m[i], np.float32(0)), np.float32(1))


@compiled
def write(lsds: Any, labels: Any, label: int, origin: Any, step: Any, channels: Any, z: int, y: int, strip: int, values: Any) -> None:
    """Give ``values`` [10, LANES] of the strip at (z, y) to the full-resolution voxels of ``label``."""
    begin, end = strip * step[2], min((strip + LANES) * step[2], origin[2] + lsds.shape[3])
    for full_z in range(z * step[0], (z + 1) * step[0]):
        for full_y in range(y * step[1], (y + 1) * step[1]):
            for i in range(len(channels)):
                first = channels[i] * LANES
                for x in range(begin, end):
                    if labels[full_z, full_y, x] == label:
                        lsds[i, full_z - origin[0], full_y - origin[1], x - origin[2]] = values[first + (x - begin) // step[2]]


@compiled
def fill_rows(rows: Any, runs: Any, n: int, last: int, z: int, y0: int, y1: int, strip: int, radius: int, sums: Any) -> Any:
    """Moments along x of section z's rows y0 to y1, from run ``n`` on: the next section's run, and the rows that hold anything."""
    top, bottom = y1, y0
    rows[:] = 0
    while n < last and runs[n, 0] <= z:
        y = runs[n, 1]
        if runs[n, 0] == z and y0 <= y < y1 and runs[n, 2] < strip + LANES + radius and runs[n, 3] + radius > strip:
            along_x(rows, sums, runs[n, 2], runs[n, 3], strip, y - y0)
            top, bottom = min(top, y), max(bottom, y + 1)
        n += 1
    return n, top, bottom


@compiled
def describe(lsds: Any, labels: Any, origin: Any, step: Any, channels: Any, ids: Any, targets: Any, target_bounds: Any,
             runs: Any, run_bounds: Any, kernel_z: Any, kernel_y: Any, sums: Any, radius_x: int, floor: Any) -> None:
    """Fill ``lsds`` [c, z, y, x] for all objects.

    labels: [z, y, x] uint64, full resolution, and origin: where ``lsds`` begins in it. step: (z, y, x) voxels. targets: runs of full resolution that
    want values; runs: the runs of the voxels that count, every ``step``-th. target_bounds, run_bounds: [objects, 2] first and
    last + 1 of each object. kernel_z, kernel_y: flat [taps, 3]; sums: :func:`~.windows.running_sums` along x.
    """
    radius_z, radius_y = len(kernel_z) // 6, len(kernel_y) // 6
    values = np.empty(10 * LANES, np.float32)
    for k in range(len(ids)):
        first, last = target_bounds[k]
        run_first, run_last = run_bounds[k]
        box, seen = bounds(targets, first, last, step), bounds(runs, run_first, run_last, np.array([1, 1, 1]))
        z0, z1 = max(seen[0, 0], box[0, 0] - radius_z), min(seen[1, 0], box[1, 0] + radius_z)
        y0, y1 = max(seen[0, 1], box[0, 1] - radius_y), min(seen[1, 1], box[1, 1] + radius_y)
        nz, ny = max(0, z1 - z0), max(0, y1 - y0)
        height, depth = box[1, 1] - box[0, 1], box[1, 0] - box[0, 0]
        rows = np.empty(ny * 3 * LANES, np.float32)
        planes = np.empty(height * nz * 6 * LANES, np.float32)
        needed = np.empty((height, depth), np.uint8)
        for strip in range(box[0, 2], box[1, 2], LANES):
            mark(needed, targets, first, last, step, box[0], strip)
            n = run_first
            for z in range(z0, z1):
                n, top, bottom = fill_rows(rows, runs, n, run_last, z, y0, y1, strip, radius_x, sums)
                for j in range(height):
                    y = j + box[0, 1]
                    begin, end = max(top, y - radius_y), min(bottom, y + radius_y + 1)
                    moments_along_y(planes, (j * nz + z - z0) * 6 * LANES, rows, (begin - y0) * 3 * LANES, end - begin,
                                    kernel_y, (begin - y + radius_y) * 3)
            for j in range(height):
                for i in range(depth):
                    if needed[j, i]:
                        z = i + box[0, 0]
                        begin, end = max(z0, z - radius_z), min(z1, z + radius_z + 1)
                        moments_along_z(values, 0, planes, (j * nz + begin - z0) * 6 * LANES, end - begin,
                                        kernel_z, (begin - z + radius_z) * 3)
                        to_channels(values, floor)
                        write(lsds, labels, ids[k], origin, step, channels, z, j + box[0, 1], strip, values)
