"""The compiled part. An object is its runs (z, y, x_begin, x_end), sorted by z, y, x.

For each object, and each strip of ``LANES`` voxels along x in which it wants values:

    along x   runs -> 1 x xx                    differences of running sums: no window is walked
    along y   1 x xx -> 1 x xx y xy yy          the window, over the object's rows
    along z   -> 1 x xx y xy yy z zx zy zz      the window, only where the object itself is

then the ten moments become the ten channels. Positions are in units of sigma, relative to the voxel. Coordinates are in
sampled voxels (every ``step``-th), unless a name says ``full``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.ir as ir  # type: ignore[import-untyped]
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lsd_experiments.compiled import compiled

LANES = 8  # float32 per vector: one AVX register, two of NEON
ROUNDING = np.float32(2e-6)  # of a mean of squares: 10 to 20 units in the last place, what the three sums may lose

fast = compiled(error_model="numpy", fastmath=True)  # division by 0 gives what the machine gives; sums in any order


def window_moments(outputs: Sequence[tuple[int, int]]) -> Callable[..., None]:
    """A function for compiled code, ``f(out, o, values, v, taps, kernels, k)``, that sums over ``taps`` steps t.

    For each (channel, power) of ``outputs`` it writes one vector, in their order, from element o of ``out`` on: the sum
    of ``kernels[k + 3 * t + power] * values[v + t * stride + channel * LANES]``, where stride is LANES times the number
    of channels. The arrays are flat float32. It is written in LLVM's vector types, because the sums (6 or 10 vectors)
    must stay in registers over the whole window, which the automatic vectorizer does not achieve.
    """
    flat, index = types.Array(types.float32, 1, "C"), types.intp

    @intrinsic  # type: ignore[untyped-decorator]
    def accumulate(typingctx: Any, out: Any, o: Any, values: Any, v: Any, taps: Any, kernels: Any, k: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = [context.make_array(flat)(context, builder, arguments[i]).data for i in (0, 2, 5)]
            first = [builder.gep(pointer, [arguments[i]]) for pointer, i in zip(data, (1, 3, 6), strict=True)]
            _emit(builder, first[0], first[1], first[2], arguments[4], outputs)
            return context.get_dummy_value()

        return types.void(flat, index, flat, index, index, flat, index), codegen

    return accumulate  # type: ignore[no-any-return]


def _emit(builder: Any, out: Any, values: Any, kernels: Any, taps: Any, outputs: Sequence[tuple[int, int]]) -> None:
    """The loop of :func:`window_moments`; ``out``, ``values`` and ``kernels`` are pointers to their first elements."""
    vector, channels = ir.VectorType(ir.FloatType(), LANES), 1 + max(channel for channel, _ in outputs)

    def at(pointer: Any, step: Any, width: int, offset: int) -> Any:
        index = builder.add(builder.mul(step, ir.Constant(taps.type, width)), ir.Constant(taps.type, offset))
        return builder.gep(pointer, [index])

    def vector_at(pointer: Any, step: Any, width: int, offset: int) -> Any:
        return builder.bitcast(at(pointer, step, width, offset), vector.as_pointer())

    zero = ir.Constant(vector, [0.0] * LANES)
    sums = [cgutils.alloca_once(builder, vector) for _ in outputs]
    for total in sums:
        builder.store(zero, total)
    with cgutils.for_range(builder, taps) as loop:
        inputs = [builder.load(vector_at(values, loop.index, channels * LANES, c * LANES), align=4)
                  for c in range(channels)]
        weights = [_broadcast(builder, builder.load(at(kernels, loop.index, 3, power)), vector) for power in range(3)]
        for total, (channel, power) in zip(sums, outputs, strict=True):
            product = builder.fmul(inputs[channel], weights[power], flags=["fast"])
            builder.store(builder.fadd(builder.load(total), product, flags=["fast"]), total)
    for i, total in enumerate(sums):
        builder.store(builder.load(total), vector_at(out, ir.Constant(taps.type, 0), 1, i * LANES), align=4)


@intrinsic  # type: ignore[untyped-decorator]
def blend(typingctx: Any, out: Any, o: Any, values: Any, v: Any, labels: Any, n: Any, label: Any) -> Any:
    """LANES of ``values``, from v on, go to ``out``, from o on, where ``labels``, from n on, are ``label``."""
    flat, flat_labels, index = types.Array(types.float32, 1, "C"), types.Array(types.uint64, 1, "C"), types.intp

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        floats, integers = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.IntType(64), LANES)
        pointers = [builder.bitcast(builder.gep(context.make_array(array)(context, builder, arguments[i]).data,
                                                [arguments[i + 1]]), vector.as_pointer())
                    for i, array, vector in ((0, flat, floats), (2, flat, floats), (4, flat_labels, integers))]
        old, new = (builder.load(pointer, align=4) for pointer in pointers[:2])
        same = builder.icmp_unsigned("==", builder.load(pointers[2], align=8), _broadcast(builder, arguments[6], integers))
        builder.store(builder.select(same, new, old), pointers[0], align=4)
        return context.get_dummy_value()

    return types.void(flat, index, flat, index, flat_labels, index, types.uint64), codegen


def _broadcast(builder: Any, scalar: Any, vector: Any) -> Any:
    """``scalar`` in every lane."""
    undefined, lanes = ir.Constant(vector, ir.Undefined), ir.VectorType(ir.IntType(32), LANES)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(lanes, [0] * LANES))


# (channel of the input, power of the position): what each output sums
moments_along_y = window_moments(((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 2)))
moments_along_z = window_moments(((0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (0, 1), (1, 1), (3, 1), (0, 2)))


@fast
def bounding_box(runs: Any, first: int, last: int, step: Any) -> Any:
    """The box [2, 3] around runs ``first`` to ``last`` - 1, in units of ``step`` (z, y, x) voxels.

    Far away, and of negative size, if there are none.
    """
    box = np.empty((2, 3), np.int64)
    box[0], box[1] = 1 << 40, -1
    for i in range(first, last):
        z, y = runs[i, 0] // step[0], runs[i, 1] // step[1]
        box[0, 0], box[1, 0] = min(box[0, 0], z), max(box[1, 0], z + 1)
        box[0, 1], box[1, 1] = min(box[0, 1], y), max(box[1, 1], y + 1)
        box[0, 2] = min(box[0, 2], runs[i, 2] // step[2])
        box[1, 2] = max(box[1, 2], (runs[i, 3] - 1) // step[2] + 1)
    return box


@fast
def mark_wanted(wanted: Any, targets: Any, first: int, last: int, step: Any, origin: Any, strip: int) -> None:
    """Set ``wanted`` [y, z], which begins at ``origin``, where a target run (full) touches the strip."""
    wanted[:] = 0
    for i in range(first, last):
        if targets[i, 2] // step[2] < strip + LANES and (targets[i, 3] - 1) // step[2] >= strip:
            wanted[targets[i, 1] // step[1] - origin[1], targets[i, 0] // step[0] - origin[0]] = 1


@fast
def sum_along_x(rows: Any, runs: Any, n: int, last: int, z: int, y0: int, y1: int, strip: int, radius: int,
                sums: Any) -> Any:
    """Fill ``rows``, flat [y1 - y0, 3, LANES], with the moments along x of section ``z``.

    n: a run before or in that section. Returns the next section's first run, and begin and end of the rows that hold
    anything.
    """
    top, bottom, reach = y1, y0, sums.shape[1] // 2
    rows[:] = 0
    while n < last and runs[n, 0] <= z:
        y, begin, end = runs[n, 1], runs[n, 2], runs[n, 3]
        if runs[n, 0] == z and y0 <= y < y1 and begin < strip + LANES + radius and end + radius > strip:
            for power in range(3):
                for lane in range(LANES):
                    x = strip + lane + reach
                    moment = np.float32(sums[power, x - end] - sums[power, x - begin])
                    rows[((y - y0) * 3 + power) * LANES + lane] += moment
            top, bottom = min(top, y), max(bottom, y + 1)
        n += 1
    return n, top, bottom


@fast
def variance(square: Any, mean: Any) -> Any:
    """Variance from the mean of squares and the mean; exactly 0 where only rounding is left of it."""
    difference = square - mean * mean
    return difference if difference > ROUNDING * square else np.float32(0)


@fast
def to_channels(m: Any, floor: Any) -> None:
    """Ten moments, flat [10, LANES], become ten channels in place. An object out of sight has no offset and no size."""
    none, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    for i in range(LANES):
        count = m[i]
        inverse = one / count if count > 0 else none
        x, y, z = m[LANES + i] * inverse, m[3 * LANES + i] * inverse, m[6 * LANES + i] * inverse
        xx = variance(m[2 * LANES + i] * inverse, x)
        yy = variance(m[5 * LANES + i] * inverse, y)
        zz = variance(m[9 * LANES + i] * inverse, z)
        yx = m[4 * LANES + i] * inverse - x * y if yy * xx > 0 else none
        zx = m[7 * LANES + i] * inverse - x * z if zz * xx > 0 else none
        zy = m[8 * LANES + i] * inverse - y * z if zz * yy > 0 else none
        xx, yy, zz = max(xx, floor[2]), max(yy, floor[1]), max(zz, floor[0])
        m[i], m[LANES + i], m[2 * LANES + i] = z * half + half, y * half + half, x * half + half
        m[3 * LANES + i], m[4 * LANES + i], m[5 * LANES + i] = zz, yy, xx
        m[6 * LANES + i] = zy / np.sqrt(zz * yy) * half + half
        m[7 * LANES + i] = zx / np.sqrt(zz * xx) * half + half
        m[8 * LANES + i] = yx / np.sqrt(yy * xx) * half + half
        m[9 * LANES + i] = count
    for i in range(10 * LANES):
        m[i] = min(max(m[i], none), one)


@fast
def write(lsds: Any, labels: Any, label: int, origin: Any, step: Any, channels: Any, z: int, y: int, strip: int,
          values: Any, repeated: Any) -> None:
    """Give ``values``, flat [10, LANES], of the strip at (z, y) to the full voxels of ``label``, each ``step`` times.

    repeated: room for [10, LANES * step[2]].
    """
    for i in range(len(values)):
        for v in range(i * step[2], (i + 1) * step[2]):
            repeated[v] = values[i]
    width, first, size = LANES * step[2], strip * step[2] - origin[2], lsds[0].size
    whole = min(width, lsds.shape[3] - first) // LANES * LANES  # the last strip may reach beyond the row
    flat, flat_labels = lsds.reshape(-1), labels.reshape(-1)
    for full_z in range(z * step[0], (z + 1) * step[0]):
        for full_y in range(y * step[1], (y + 1) * step[1]):
            here = (full_z * labels.shape[1] + full_y) * labels.shape[2] + strip * step[2]
            there = ((full_z - origin[0]) * lsds.shape[2] + full_y - origin[1]) * lsds.shape[3] + first
            for i in range(len(channels)):
                for v in range(0, whole, LANES):
                    blend(flat, there + i * size + v, repeated, channels[i] * width + v, flat_labels, here + v, label)
                for v in range(whole, min(width, lsds.shape[3] - first)):
                    if flat_labels[here + v] == label:
                        flat[there + i * size + v] = repeated[channels[i] * width + v]


@fast
def sum_along_y(planes: Any, rows: Any, runs: Any, n: int, last: int, box: Any, seen: Any, strip: int, radius_x: int,
                sums: Any, kernel_y: Any) -> None:
    """Fill ``planes``, flat [y, z, 6, LANES], for the rows of ``box`` and the sections of ``seen``.

    runs ``n`` to ``last`` - 1 are the object's; seen: the box [2, 3] of those that matter to ``box``. rows: room
    for the moments along x of one section.
    """
    radius, sections = len(kernel_y) // 6, seen[1, 0] - seen[0, 0]
    for z in range(seen[0, 0], seen[1, 0]):
        n, top, bottom = sum_along_x(rows, runs, n, last, z, seen[0, 1], seen[1, 1], strip, radius_x, sums)
        for y in range(box[0, 1], box[1, 1]):
            begin, end = max(top, y - radius), min(bottom, y + radius + 1)
            moments_along_y(planes, ((y - box[0, 1]) * sections + z - seen[0, 0]) * 6 * LANES,
                            rows, (begin - seen[0, 1]) * 3 * LANES, end - begin, kernel_y, (begin - y + radius) * 3)


@fast
def describe(lsds: Any, labels: Any, origin: Any, step: Any, channels: Any, ids: Any, targets: Any, target_starts: Any,
             runs: Any, run_bounds: Any, kernel_z: Any, kernel_y: Any, sums: Any, radius_x: int, floor: Any) -> None:
    """Fill ``lsds`` [c, z, y, x] for the objects ``ids``.

    labels: [z, y, x] uint64, full; origin: where ``lsds`` begins in it. targets: the full runs that want values, those
    of object k from ``target_starts[k]`` on; runs: of the sampled voxels, which are what counts; run_bounds: [objects,
    2] first and last + 1 of each object. kernel_z, kernel_y: flat [taps, 3]; sums: of :func:`~.windows.running_sums`
    along x. floor: [3] of the variances (z, y, x).
    """
    radius, one = (len(kernel_z) // 6, len(kernel_y) // 6), np.ones(3, np.int64)
    values, repeated = np.empty(10 * LANES, np.float32), np.empty(10 * LANES * step[2], np.float32)
    for k in range(len(ids)):
        first, last = target_starts[k], target_starts[k + 1]
        run_first, run_last = run_bounds[k]
        box, seen = bounding_box(targets, first, last, step), bounding_box(runs, run_first, run_last, one)
        for axis in range(2):
            seen[0, axis] = max(seen[0, axis], box[0, axis] - radius[axis])
            seen[1, axis] = max(seen[0, axis], min(seen[1, axis], box[1, axis] + radius[axis]))
        sections = seen[1, 0] - seen[0, 0]
        wanted = np.empty((box[1, 1] - box[0, 1], box[1, 0] - box[0, 0]), np.uint8)
        planes = np.empty(len(wanted) * sections * 6 * LANES, np.float32)
        rows = np.empty((seen[1, 1] - seen[0, 1]) * 3 * LANES, np.float32)
        for strip in range(box[0, 2], box[1, 2], LANES):
            mark_wanted(wanted, targets, first, last, step, box[0], strip)
            sum_along_y(planes, rows, runs, run_first, run_last, box, seen, strip, radius_x, sums, kernel_y)
            for j in range(wanted.shape[0]):
                for i in range(wanted.shape[1]):
                    if wanted[j, i]:
                        z = i + box[0, 0]
                        begin, end = max(seen[0, 0], z - radius[0]), min(seen[1, 0], z + radius[0] + 1)
                        moments_along_z(values, 0, planes, (j * sections + begin - seen[0, 0]) * 6 * LANES, end - begin,
                                        kernel_z, (begin - z + radius[0]) * 3)
                        to_channels(values, floor)
                        write(lsds, labels, ids[k], origin, step, channels, z, j + box[0, 1], strip, values, repeated)
