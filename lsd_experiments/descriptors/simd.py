"""One inner loop in LLVM's vector types: moments along an axis for ``LANES`` neighbouring voxels at once.

Written for numba in place of nested loops, because the accumulators (6 or 10 of them) must stay in vector registers over the
whole window, which the automatic vectorizer does not achieve.
"""

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8  # float32 per vector: one AVX register, two of NEON


def window_moments(outputs: Sequence[tuple[int, int]]) -> Callable[..., None]:
    """A function for numba code: ``f(out, o, values, v, taps, kernels, k)``.

    Over ``taps`` steps t it sums ``values`` with the kernels and writes, at element o of ``out``, one vector for each
    (channel, power) of ``outputs``:  out[i] = sum over t of kernels[k + 3 * t + power] * values[v + t * stride + channel * LANES].
    All arrays are flat, contiguous float32; stride is LANES times the number of channels that ``outputs`` names.
    """
    channels = 1 + max(channel for channel, _ in outputs)

    @intrinsic
    def accumulate(typingctx: Any, out: Any, o: Any, values: Any, v: Any, taps: Any, kernels: Any, k: Any) -> Any:
        flat = types.Array(types.float32, 1, "C")
        index = types.intp
        signature = types.void(flat, index, flat, index, index, flat, index)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _emit(context, builder, signature, arguments, outputs, channels)
            return context.get_dummy_value()

        return signature, codegen

    return accumulate


def _emit(context: Any, builder: Any, signature: Any, arguments: Any, outputs: Sequence[tuple[int, int]], channels: int) -> None:
    vector, integer = ir.VectorType(ir.FloatType(), LANES), context.get_value_type(types.intp)
    pointers = [context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in (0, 2, 5)]
    out, values, kernels = pointers
    o, v, taps, k = (arguments[i] for i in (1, 3, 4, 6))

    def element(pointer: Any, index: Any) -> Any:
        return builder.gep(pointer, [index])

    def as_vector(pointer: Any) -> Any:
        return builder.bitcast(pointer, vector.as_pointer())

    def constant(value: int) -> Any:
        return ir.Constant(integer, value)

    sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * LANES)) for _ in outputs]
    for total in sums:  # an alloca stands in the function's entry: reset it for every call
        builder.store(ir.Constant(vector, [0.0] * LANES), total)
    with cgutils.for_range(builder, taps) as loop:
        first = builder.add(v, builder.mul(loop.index, constant(channels * LANES)))
        loaded = [builder.load(as_vector(element(values, builder.add(first, constant(c * LANES)))), align=4)
                  for c in range(channels)]
        weight = builder.add(k, builder.mul(loop.index, constant(3)))
        weights = [_broadcast(builder, builder.load(element(kernels, builder.add(weight, constant(p)))), vector)
                   for p in range(3)]
        for total, (channel, power) in zip(sums, outputs, strict=True):
            product = builder.fmul(loaded[channel], weights[power], flags=["fast"])
            builder.store(builder.fadd(builder.load(total), product, flags=["fast"]), total)
    for i, total in enumerate(sums):
        builder.store(builder.load(total), as_vector(element(out, builder.add(o, constant(i * LANES)))), align=4)


def _broadcast(builder: Any, scalar: Any, vector: Any) -> Any:
    lane = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(lane, ir.Constant(vector, ir.Undefined), everywhere)
