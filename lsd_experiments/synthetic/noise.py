"""Smooth random fields."""

import math

import numpy as np


def smooth_noise(shape: tuple[int, ...], scale: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """Noise of mean 0 and standard deviation 1 that varies over about ``scale`` voxels per axis.

    Random values on a grid of spacing ``scale``, interpolated by cubic B-splines.

    :returns: ``shape`` float32
    """
    bases = [_splines(n, max(1.0, s)) for n, s in zip(shape, scale, strict=True)]
    field = rng.standard_normal([basis.shape[1] for basis in bases], dtype=np.float32)
    for axis, basis in enumerate(bases):
        field = np.moveaxis(np.tensordot(basis, field, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field)


def _splines(n: int, scale: float) -> np.ndarray:
    """[n, knots] float32, cubic B-splines at n places, scaled so that knots of variance 1 give variance 1."""
    place = np.arange(n) / scale + 1
    distance = np.abs(place[:, None] - np.arange(math.ceil((n - 1) / scale) + 3)[None])
    weights = np.where(distance < 1, 2 / 3 - distance**2 + distance**3 / 2, np.clip(2 - distance, 0, None) ** 3 / 6)
    return np.asarray(weights / np.sqrt((weights**2).sum(1, keepdims=True)), np.float32)
