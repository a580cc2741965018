"""Descriptors of a label array: what is refused, and what of the array is looked at."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lsd_experiments.descriptors.channels import parse_components
from lsd_experiments.descriptors.windows import radius
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres, Voxels


def local_shape_descriptors(labels: np.ndarray[Any, Any], sigma: float | Sequence[float], voxel_size: Sequence[float],
                            downsample: int = 1, components: str | None = None, *,
                            roi: Box | None = None) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Local shape descriptors of ``labels``, with a Gaussian window.

    labels: [z, y, x] or [y, x] integer, 0 is background.
    sigma: standard deviation of the window in nm, one number or one per axis.
    voxel_size: nm per axis; may be fractional.
    downsample: compute on every ``downsample``-th voxel of each axis and repeat; each voxel of full resolution still
        gets the values of its own object. The shape of ``labels`` is a multiple of it.
    components: ascending digits of the wanted channels ("0129"); None: all (:data:`~.channels.COMPONENTS`).
    roi: compute inside this box of ``labels`` only; the labels around it (:func:`context`) still count. It begins
        and ends on multiples of ``downsample``.

    Returns [c, z, y, x] or [c, y, x] float32 in [0, 1], of the shape of ``roi`` (default: of ``labels``).
    Raises :class:`~lsd_experiments.errors.UserError` for labels, sizes, components or a roi that do not fit.
    """
    labels = np.asarray(labels)
    dims = labels.ndim
    if dims not in (2, 3):
        raise UserError(f"labels of shape {labels.shape}: expected the axes [z, y, x] or [y, x]")
    if labels.dtype.kind not in "iub":
        raise UserError(f"labels of type {labels.dtype}: expected integers; convert them, e.g. labels.astype('uint64')")
    sigma, voxel_size = _per_axis("sigma", sigma, dims), _per_axis("voxel_size", voxel_size, dims)
    channels = parse_components(components, dims)
    _check_downsample(labels.shape, downsample)
    roi = _check_roi(roi, labels.shape, downsample)
    shape = (len(channels), *roi.shape)
    if roi.empty:
        return np.zeros(shape, np.float32)

    steps, factors = tuple(v * downsample for v in voxel_size), (downsample,) * dims
    margin = [radius(s, step) * downsample for s, step in zip(sigma, steps, strict=True)]
    seen = roi.grow(margin).intersect(Box.of_shape(labels.shape))
    labels, inner = labels[seen.slices], roi.shift([-b for b in seen.begin])
    if dims == 2:  # one section, and a window without extent along z
        labels, inner = labels[None], Box((0, *inner.begin), (1, *inner.end))
        sigma, steps, factors = (1.0, *sigma), (math.inf, *steps), (1, *factors)

    from lsd_experiments.descriptors.objects import describe_objects  # imports numba
    return describe_objects(labels, inner, sigma, steps, factors, channels).reshape(shape)


def _per_axis(name: str, value: float | Sequence[float], dims: int) -> Nanometres:
    """``value`` as one positive number for each axis; a single sigma holds for all."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise UserError(f"{name}={value!r}: expected numbers in nm") from None
    if name == "sigma" and array.ndim == 0:
        array = np.full(dims, array)
    if array.shape != (dims,):
        raise UserError(f"{name}={value!r}: expected {dims} numbers in nm, one for each axis")
    if not (np.isfinite(array).all() and (array > 0).all()):
        raise UserError(f"{name}={value!r}: every number must be finite and more than 0 nm")
    return tuple(float(v) for v in array)


def _check_downsample(shape: Voxels, downsample: int) -> None:
    if isinstance(downsample, bool) or not isinstance(downsample, int | np.integer) or downsample < 1:
        raise UserError(f"downsample={downsample!r}: expected a whole number of at least 1")
    if any(s % downsample for s in shape):
        near = tuple(max(1, round(s / downsample)) * int(downsample) for s in shape)
        raise UserError(f"labels of shape {shape}: not a multiple of downsample={downsample}; "
                        f"the nearest that is: {near}")


def _check_roi(roi: Box | None, shape: Voxels, downsample: int) -> Box:
    """``roi``, or the whole array."""
    whole = Box.of_shape(shape)
    if roi is None:
        return whole
    if len(roi.begin) != len(shape) or not whole.contains(roi):
        raise UserError(f"roi {roi.begin} to {roi.end}: not inside the labels of shape {shape}; give a box inside them")
    if any(v % downsample for v in (*roi.begin, *roi.end)):
        begin = tuple(v // downsample * downsample for v in roi.begin)
        end = tuple(-(-v // downsample) * downsample for v in roi.end)
        raise UserError(f"roi {roi.begin} to {roi.end}: not on multiples of downsample={downsample}; "
                        f"the nearest around it: {begin} to {end}")
    return roi
