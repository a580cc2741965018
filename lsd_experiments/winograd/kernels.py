"""The compiled part of 3 x 3 x 3 convolutions with fewer multiplications (Winograd's F(2 x 2 x 2, 3 x 3 x 3)).

Along one axis, two neighbouring outputs y of a kernel g take four inputs d, and four multiplications instead of six:

    d  0 1 2 3        v0 = d0 - d2   u0 = g0                       m = u * v
    y    0 1          v1 = d1 + d2   u1 = (g0 + g1 + g2) / 2       y0 = m0 + m1 + m2
                      v2 = d2 - d1   u2 = (g0 - g1 + g2) / 2       y1 = m1 - m2 - m3
                      v3 = d1 - d3   u3 = g2

Along three axes that makes tiles of 2 x 2 x 2 outputs out of 4 x 4 x 4 inputs, with 64 multiplications instead of 216; over
channels, each of the 64 is a matrix product. Arrays are [z, y, x * c] float32: the innermost axis holds all channels of a row.
``rows``: rows of tiles along x, numbered over (z, y); the tiles of a job are those of its rows, one after the other.
"""

from typing import Any

import numpy as np

from lsd_experiments.compiled import compiled

POINTS = 4  # per axis
TILE = 2  # outputs per axis

fast = compiled(fastmath={"contract", "nsz", "arcp"}, error_model="numpy")

# v[k] = d[FIRST[k]] + SIGN[k] * d[SECOND[k]]
FIRST, SECOND, SIGN = (0, 1, 2, 1), (2, 2, 1, 3), (-1.0, 1.0, -1.0, -1.0)
# the gradient by m[k] = FRONT[k] * (that by y0) + BACK[k] * (that by y1)
FRONT, BACK = (1.0, 1.0, 1.0, 0.0), (0.0, 1.0, -1.0, -1.0)


@fast
def transform_input(inputs: Any, first: int, last: int, row: Any, v: Any) -> None:
    """Fill ``v`` [64, tiles, c] with the tiles of rows ``first`` to ``last`` - 1; ``row``: room for [x * c]."""
    channels, tiles_y = v.shape[2], (inputs.shape[1] - 2) // TILE
    tiles_x = (inputs.shape[2] // channels - 2) // TILE
    for number in range(first, last):
        z, y, t = TILE * (number // tiles_y), TILE * (number % tiles_y), (number - first) * tiles_x
        for kz in range(POINTS):
            for ky in range(POINTS):
                _combine_rows(inputs, z, y, kz, ky, row)
                _split_row(row, v, POINTS * (POINTS * kz + ky), t, tiles_x)


@fast
def _combine_rows(inputs: Any, z: int, y: int, kz: int, ky: int, row: Any) -> None:
    a, b = inputs[z + FIRST[kz], y + FIRST[ky]], inputs[z + FIRST[kz], y + SECOND[ky]]
    c, d = inputs[z + SECOND[kz], y + FIRST[ky]], inputs[z + SECOND[kz], y + SECOND[ky]]
    sign_z, sign_y = np.float32(SIGN[kz]), np.float32(SIGN[ky])
    for i in range(len(row)):
        row[i] = (a[i] + sign_y * b[i]) + sign_z * (c[i] + sign_y * d[i])


@fast
def _split_row(row: Any, v: Any, k: int, t: int, tiles: int) -> None:
    channels = v.shape[2]
    for tile in range(tiles):
        begin = TILE * tile * channels
        d0, d1 = row[begin : begin + channels], row[begin + channels : begin + 2 * channels]
        d2, d3 = row[begin + 2 * channels : begin + 3 * channels], row[begin + 3 * channels : begin + 4 * channels]
        v0, v1, v2, v3 = v[k, t + tile], v[k + 1, t + tile], v[k + 2, t + tile], v[k + 3, t + tile]
        for i in range(channels):
            v0[i] = d0[i] - d2[i]
        for i in range(channels):
            v1[i] = d1[i] + d2[i]
        for i in range(channels):
            v2[i] = d2[i] - d1[i]
        for i in range(channels):
            v3[i] = d1[i] - d3[i]


@fast
def transform_output(m: Any, first: int, last: int, sums: Any, bias: Any, least: float, outputs: Any) -> None:
    """Write rows ``first`` to ``last`` - 1 of ``outputs``: of ``m`` [64, tiles, c], plus ``bias`` [c], at ``least`` so much.

    ``sums``: room for [16, x * c].
    """
    channels, tiles_y = m.shape[2], outputs.shape[1] // TILE
    tiles_x, low = outputs.shape[2] // channels // TILE, np.float32(least)
    for number in range(first, last):
        z, y, t = TILE * (number // tiles_y), TILE * (number % tiles_y), (number - first) * tiles_x
        for k in range(POINTS * POINTS):
            _join_row(m, POINTS * k, t, tiles_x, sums[k])
        for kz in range(POINTS):
            _join(sums[POINTS * kz], sums[POINTS * kz + 1], sums[POINTS * kz + 2], sums[POINTS * kz + 3])
        for oy in range(TILE):
            a, b, c, d = sums[oy], sums[POINTS + oy], sums[2 * POINTS + oy], sums[3 * POINTS + oy]
            front, back = outputs[z, y + oy], outputs[z + 1, y + oy]
            for x in range(TILE * tiles_x):
                for i in range(channels):
                    j = x * channels + i
                    front[j] = max(a[j] + b[j] + c[j] + bias[i], low)
                    back[j] = max(b[j] - c[j] - d[j] + bias[i], low)


@fast
def _join_row(m: Any, k: int, t: int, tiles: int, row: Any) -> None:
    channels = m.shape[2]
    for tile in range(tiles):
        m0, m1, m2, m3 = m[k, t + tile], m[k + 1, t + tile], m[k + 2, t + tile], m[k + 3, t + tile]
        begin = TILE * tile * channels
        left, right = row[begin : begin + channels], row[begin + channels : begin + 2 * channels]
        for i in range(channels):
            left[i] = m0[i] + m1[i] + m2[i]
        for i in range(channels):
            right[i] = m1[i] - m2[i] - m3[i]


@fast
def _join(a: Any, b: Any, c: Any, d: Any) -> None:
    """The two outputs take the place of ``a`` and ``b``."""
    for i in range(len(a)):
        left, right = a[i] + b[i] + c[i], b[i] - c[i] - d[i]
        a[i], b[i] = left, right


@fast
def transform_kernel(kernel: Any, i: int, room: Any, u: Any) -> None:
    """Fill ``u`` [64, in, out] with ``kernel`` [27, in, out], for input ``i``; ``room``: [84, out]."""
    a, b = room[:36], room[36:]
    for n in range(9):
        _spread(kernel[n, i], kernel[9 + n, i], kernel[18 + n, i], a[n], a[9 + n], a[18 + n], a[27 + n])
    for z in range(POINTS):
        for x in range(3):
            g, to = 9 * z + x, 12 * z + x
            _spread(a[g], a[g + 3], a[g + 6], b[to], b[to + 3], b[to + 6], b[to + 9])
    for n in range(POINTS * POINTS):
        g, to = 3 * n, POINTS * n
        _spread(b[g], b[g + 1], b[g + 2], u[to, i], u[to + 1, i], u[to + 2, i], u[to + 3, i])


@fast
def _spread(g0: Any, g1: Any, g2: Any, u0: Any, u1: Any, u2: Any, u3: Any) -> None:
    half = np.float32(0.5)
    for o in range(len(g0)):
        u0[o], u3[o] = g0[o], g2[o]
    for o in range(len(g0)):
        sides = g0[o] + g2[o]
        u1[o], u2[o] = (sides + g1[o]) * half, (sides - g1[o]) * half


@fast
def transform_gradient(gradient: Any, first: int, last: int, row: Any, m: Any) -> None:
    """Fill ``m`` [64, tiles, c] with the gradient by it, for rows ``first`` to ``last`` - 1 of that by the outputs.

    ``row``: room for [x * c]. The transpose of :func:`transform_output`.
    """
    channels, tiles_y = m.shape[2], gradient.shape[1] // TILE
    tiles_x = gradient.shape[2] // channels // TILE
    for number in range(first, last):
        z, y, t = TILE * (number // tiles_y), TILE * (number % tiles_y), (number - first) * tiles_x
        a, b, c, d = gradient[z, y], gradient[z, y + 1], gradient[z + 1, y], gradient[z + 1, y + 1]
        for kz in range(POINTS):
            for ky in range(POINTS):
                front, back = np.float32(FRONT[kz]), np.float32(BACK[kz])
                upper, lower = np.float32(FRONT[ky]), np.float32(BACK[ky])
                for i in range(len(row)):
                    row[i] = front * (upper * a[i] + lower * b[i]) + back * (upper * c[i] + lower * d[i])
                _split_gradient(row, m, POINTS * (POINTS * kz + ky), t, tiles_x)


@fast
def _split_gradient(row: Any, m: Any, k: int, t: int, tiles: int) -> None:
    channels = m.shape[2]
    for tile in range(tiles):
        begin = TILE * tile * channels
        left, right = row[begin : begin + channels], row[begin + channels : begin + 2 * channels]
        m0, m1, m2, m3 = m[k, t + tile], m[k + 1, t + tile], m[k + 2, t + tile], m[k + 3, t + tile]
        for i in range(channels):
            m0[i], m3[i] = left[i], -right[i]
        for i in range(channels):
            m1[i], m2[i] = left[i] + right[i], left[i] - right[i]


@fast
def gather_kernel(u: Any, i: int, room: Any, kernel: Any) -> None:
    """Fill the gradient by ``kernel`` [27, in, out] from that by ``u`` [64, in, out], for input ``i``; ``room``: [84, out].

    The transpose of :func:`transform_kernel`.
    """
    a, b = room[:36], room[36:]
    for n in range(POINTS * POINTS):
        g, to = 3 * n, POINTS * n
        _gather(u[to, i], u[to + 1, i], u[to + 2, i], u[to + 3, i], b[g], b[g + 1], b[g + 2])
    for z in range(POINTS):
        for x in range(3):
            g, to = 9 * z + x, 12 * z + x
            _gather(b[to], b[to + 3], b[to + 6], b[to + 9], a[g], a[g + 3], a[g + 6])
    for n in range(9):
        _gather(a[n], a[9 + n], a[18 + n], a[27 + n], kernel[n, i], kernel[9 + n, i], kernel[18 + n, i])


@fast
def _gather(u0: Any, u1: Any, u2: Any, u3: Any, g0: Any, g1: Any, g2: Any) -> None:
    half = np.float32(0.5)
    for o in range(len(u0)):
        middle = (u1[o] + u2[o]) * half
        g0[o], g2[o] = u0[o] + middle, u3[o] + middle
    for o in range(len(u0)):
        g1[o] = (u1[o] - u2[o]) * half
