"""The Gaussian window along one axis, and its moments.

Positions are relative to the window's centre and in units of sigma, u = steps * spacing / sigma: moments of relative
positions are the same everywhere, and lose no digits to cancellation as moments of absolute positions do.
"""

from typing import Any

import numpy as np

WINDOW_SIGMAS = 3.0  # as published: scipy's gaussian_filter with truncate=3


def radius(sigma: float, spacing: float) -> int:
    """Voxels of ``spacing`` (nm) from the window's centre to its end; as scipy rounds it."""
    return int(WINDOW_SIGMAS * (sigma / spacing) + 0.5)


def moments(sigma: float, spacing: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[3, 2 * radius + 1]: the window w, which sums to 1, then u * w and u^2 * w."""
    r = radius(sigma, spacing)
    u = np.arange(-r, r + 1) * (spacing / sigma) if r else np.zeros(1)
    window = np.exp(-0.5 * u**2)
    window /= window.sum()
    return np.stack([window, u * window, u**2 * window])


def running_sums(kernels: np.ndarray[Any, np.dtype[np.float64]],
                 reach: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[3, 2 * reach + 1]: at ``reach - s``, the sums of ``kernels`` over all steps < s, for ``-reach <= s <= reach``.

    The moments over a run of voxels begin <= v < end, seen from x, are ``sums[x - end + reach] - sums[x - begin +
    reach]``; double precision keeps that difference as good as the sum over the run.
    """
    r = kernels.shape[1] // 2
    spread = np.zeros((3, 2 * (reach + r + 1)))
    spread[:, reach + 1:reach + 2 * r + 2] = kernels  # step d stands at d + reach + r + 1
    sums = np.cumsum(spread, axis=1)  # sums[i]: over steps < i - reach - r
    return np.ascontiguousarray(sums[:, r:r + 2 * reach + 1][:, ::-1])
