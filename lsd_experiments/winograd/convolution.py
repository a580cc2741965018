"""3 x 3 x 3 convolutions of many channels on a CPU: Winograd's, with matrix products by NumPy. See :mod:`.kernels`."""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.winograd import kernels

Floats = NDArray[np.float32]

ALIGNMENT = 64  # bytes
ROOM = 2**29  # bytes of a transformed kernel; of larger ones, some output channels at a time
SMALL = 10**6  # multiplications up to which OpenBLAS multiplies matrices as they lie, at once as fast as large ones
TILES = 48, 160  # in work at a time: at least, where that makes products small; otherwise
TILES_OF_GRADIENT = 320  # more, since each product is added to a sum as large as the weights


def convolve(inputs: Floats, kernel: Floats, bias: Floats, least: float = 0.0) -> Floats:
    """What a valid convolution with ``kernel``, plus ``bias``, makes of ``inputs``, and ``least`` where that is below it.

    Equal to the plain sum up to rounding, for any number of threads alike: as many as the process may use.

    :param inputs: [z, y, x, in] float32; at least 3 along each axis of space
    :param kernel: [3, 3, 3, in, out]; bias: [out]
    :returns: [z - 2, y - 2, x - 2, out]
    """
    channels = max(1, int(ROOM / (64 * 4 * kernel.shape[3])))
    parts = [slice(begin, begin + channels) for begin in range(0, len(bias), channels)]
    if len(parts) > 1:
        return np.concatenate([convolve(inputs, kernel[..., part], bias[part], least) for part in parts], axis=3)
    inputs, shape = _whole_tiles(inputs, 2)
    even = tuple(size - 2 for size in inputs.shape[:3])
    outputs = _empty((*even, kernel.shape[4]))
    with ThreadPoolExecutor(threads()) as pool, _one_thread_per_product():
        _fill(inputs, _transformed(kernel, pool), bias, least, outputs, pool)
    z, y, x = shape
    return outputs if even == shape else np.ascontiguousarray(outputs[:z, :y, :x])


def input_gradient(gradient: Floats, kernel: Floats) -> Floats:
    """The gradient by the inputs [z + 2, y + 2, x + 2, in], from that by what the convolution gives, [z, y, x, out]."""
    padded = np.pad(gradient, [(2, 2)] * 3 + [(0, 0)])
    turned = np.ascontiguousarray(kernel[::-1, ::-1, ::-1].transpose(0, 1, 2, 4, 3))
    return convolve(padded, turned, np.zeros(kernel.shape[3], np.float32), -np.inf)


def kernel_gradient(inputs: Floats, gradient: Floats) -> Floats:
    """The gradient by the kernel [3, 3, 3, in, out], from that by what the convolution gives, [z, y, x, out]."""
    (inputs, _), (gradient, _) = _whole_tiles(inputs, 2), _whole_tiles(gradient, 0)
    channels = inputs.shape[3], gradient.shape[3]
    with ThreadPoolExecutor(threads()) as pool, _one_thread_per_product():
        u = _products(inputs, gradient, pool)
        kernel = np.empty((27, *channels), np.float32)

        def work(inputs: Sequence[int]) -> None:
            room = np.empty((84, channels[1]), np.float32)
            for i in inputs:
                kernels.gather_kernel(u, i, room, kernel)

        _share(work, range(channels[0]), pool)
    return kernel.reshape(3, 3, 3, *channels)


def _products(inputs: Floats, gradient: Floats, pool: ThreadPoolExecutor) -> Floats:
    """The gradient by the transformed kernel, [64, in, out]."""
    depth, height, width, channels = gradient.shape
    tiles_x = width // kernels.TILE
    count = (depth // kernels.TILE) * (height // kernels.TILE)
    rows = max(1, TILES_OF_GRADIENT // tiles_x)
    flat_inputs, flat_gradient = _flat(inputs), _flat(gradient)
    sums: list[Floats] = []

    def work(jobs: Sequence[int]) -> None:
        v = np.empty((64, rows * tiles_x, inputs.shape[3]), np.float32)
        m = np.empty((64, rows * tiles_x, channels), np.float32)
        row, row_m = np.empty(flat_inputs.shape[2], np.float32), np.empty(flat_gradient.shape[2], np.float32)
        total = np.zeros((64, inputs.shape[3], channels), np.float32)
        product = np.empty(total.shape[1:], np.float32)
        sums.append(total)
        for first in jobs:
            last = min(first + rows, count)
            tiles = (last - first) * tiles_x
            kernels.transform_input(flat_inputs, first, last, row, v[:, :tiles])
            kernels.transform_gradient(flat_gradient, first, last, row_m, m[:, :tiles])
            for k in range(64):
                np.matmul(v[k, :tiles].T, m[k, :tiles], out=product)
                total[k] += product

    _share(work, range(0, count, rows), pool)
    for total in sums[1:]:
        sums[0] += total
    return sums[0]


def _whole_tiles(array: Floats, context: int) -> tuple[Floats, tuple[int, ...]]:
    """``array`` [z, y, x, c] with zeros at its end, so that without ``context`` it is of whole tiles; that shape without them."""
    shape = tuple(size - context for size in array.shape[:3])
    if any(size % kernels.TILE for size in shape):
        array = np.pad(array, [(0, size % kernels.TILE) for size in shape] + [(0, 0)])
    return np.ascontiguousarray(array), shape


def _flat(array: Floats) -> Floats:
    return array.reshape(*array.shape[:2], -1)


def threads() -> int:
    """Threads that a convolution takes: one for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fill(inputs: Floats, u: Floats, bias: Floats, least: float, outputs: Floats, pool: ThreadPoolExecutor) -> None:
    depth, height, width, channels = outputs.shape
    tiles_x = width // kernels.TILE
    count = (depth // kernels.TILE) * (height // kernels.TILE)
    rows = max(1, _tiles(inputs.shape[3] * channels) // tiles_x)
    flat_inputs, flat_outputs = _flat(inputs), _flat(outputs)

    def work(jobs: Sequence[int]) -> None:
        v = np.empty((len(u), rows * tiles_x, inputs.shape[3]), np.float32)
        m = np.empty((len(u), rows * tiles_x, channels), np.float32)
        row, sums = np.empty(flat_inputs.shape[2], np.float32), np.empty((16, width * channels), np.float32)
        for first in jobs:
            last = min(first + rows, count)
            tiles = (last - first) * tiles_x
            kernels.transform_input(flat_inputs, first, last, row, v[:, :tiles])
            np.matmul(v[:, :tiles], u, out=m[:, :tiles])
            kernels.transform_output(m[:, :tiles], first, last, sums, bias, least, flat_outputs)

    _share(work, range(0, count, rows), pool)


def _transformed(kernel: Floats, pool: ThreadPoolExecutor) -> Floats:
    """``kernel`` as 64 matrices [in, out]."""
    channels = kernel.shape[3:]
    u, taps = np.empty((64, *channels), np.float32), kernel.reshape(27, *channels)

    def work(inputs: Sequence[int]) -> None:
        room = np.empty((84, channels[1]), np.float32)
        for i in inputs:
            kernels.transform_kernel(taps, i, room, u)

    _share(work, range(channels[0]), pool)
    return u


def _share(work: Callable[[Sequence[int]], None], jobs: Sequence[int], pool: ThreadPoolExecutor) -> None:
    """Let each thread do ``work`` for every n-th job."""
    n = threads()
    for done in [pool.submit(work, jobs[k::n]) for k in range(n)]:
        done.result()


def _tiles(weights: int) -> int:
    """Tiles in work at a time, for matrices of so many ``weights``."""
    least, usual = TILES
    return SMALL // weights if SMALL // weights >= least else usual


def _empty(shape: Sequence[int]) -> Floats:
    """Room that begins where TensorFlow takes it as it is, without a copy."""
    flat = np.empty(math.prod(shape) + ALIGNMENT // 4, np.float32)
    begin = -flat.ctypes.data % ALIGNMENT // 4
    return flat[begin : begin + math.prod(shape)].reshape(shape)


def _one_thread_per_product() -> AbstractContextManager[Any]:
    limits: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limits


@cache
def _libraries() -> Any:
    """Those that are loaded, numpy's BLAS among them: looking for them takes as long as a small convolution."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
