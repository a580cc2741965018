"""Weights of a target's voxels by the option strings of WEIGHT_OPT.

| option | weight |
|---|---|
| ``0`` | none: an array of one 0, ``NO_WEIGHT``; at 1.0.0 the valid mask, if there is one |
| ``1`` | 1 for the commoner of foreground (not 0) and background, n for the other, which is n times as rare; n is at most 19 |
| ``1-1`` | the same, after the foreground was dilated by a voxel in its section |
| ``2-w0-w1`` | w1 in objects, up to w0 between two near ones, at least 1; by the labels before erosion |

The share of the foreground is taken over all channels together; under a valid mask, published and kept, all channels' foreground
is divided by the mask's voxels counted once. A target of one value has weight 1 everywhere; the mask counts there at 1.0.0 only.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.compiled import compiled
from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.targets import LATEST, TUTORIAL, Labels, Target

Weights = NDArray[np.float32] | NDArray[np.int64]
Mask = NDArray[Any]

NO_WEIGHT = np.zeros(1, np.int64)
LEAST_SHARE = 0.05
SIGMA = 5.0  # voxels
LEAST_WEIGHT = 1.0
SQUARE = np.ones((3, 3), np.bool_)


def make_weights(targets: Sequence[Target], options: Sequence[Sequence[str]], labels: Labels, mask: Mask | None = None,
                 revision: str = TUTORIAL) -> list[list[Weights]]:
    """For each target the weights of each of its losses.

    :param options: WEIGHT_OPT, for each target a list
    :param labels: [z, y, x] before erosion
    :param mask: [z, y, x], 0 where the labels are not valid
    :raises UserError: if an option is none
    """
    return [[make_weight(target, option, labels, mask, revision) for option in chosen]
            for target, chosen in zip(targets, options, strict=True)]


def make_weight(target: Target, option: str, labels: Labels, mask: Mask | None = None, revision: str = TUTORIAL) -> Weights:
    """The weights that ``option`` names, in the shape of ``target``; see the module.

    :raises UserError: if it names none
    """
    family, *fields = option.split("-")
    if option == "0":
        return mask[None].astype(np.float32) if mask is not None and revision == LATEST else NO_WEIGHT
    if option in ("1", "1-1"):
        return balancing(target, mask, option == "1-1", revision)
    if family == "2" and len(fields) == 2:
        try:
            between, inside = map(float, fields)
        except ValueError:
            raise _wrong(option) from None
        return border_weights(labels, between, inside)
    raise _wrong(option)


def _wrong(option: str) -> UserError:
    return UserError(f"MODEL.WEIGHT_OPT: no weights '{option}': take 0, 1, 1-1 or, with two numbers, like 2-10-5")


def balancing(target: Target, mask: Mask | None = None, dilated: bool = False, revision: str = TUTORIAL) -> NDArray[np.float32]:
    """Weights that make foreground and background of ``target`` [c, z, y, x] count alike; see the module.

    Under a ``mask`` of zeros only, all weights are 0.
    """
    if target.min() == target.max():
        if mask is not None and revision == LATEST:
            return mask[None].astype(np.float32)
        return np.ones(target.shape, np.float32)
    valid = None if mask is None else np.broadcast_to(mask != 0, target.shape[-3:])
    share = _share(target, valid)
    common = share > 1 - share
    factor = np.float32(max(share, 1 - share) / min(share, 1 - share))
    foreground = _dilate(target != 0) if dilated else target
    weights = np.empty(target.shape, np.float32)
    inside, outside = (np.float32(1), factor) if common else (factor, np.float32(1))
    _choose(np.ascontiguousarray(foreground).reshape(-1), inside, outside, weights.reshape(-1))
    if valid is not None:
        weights *= valid
    return weights


@compiled
def _choose(foreground: Any, inside: Any, outside: Any, weights: Any) -> None:
    for i in range(len(weights)):
        weights[i] = inside if foreground[i] != 0 else outside


def _share(target: Target, valid: Mask | None) -> float:
    if valid is None:
        share = float(np.count_nonzero(target)) / target.size
    else:
        share = float(np.count_nonzero((target != 0) & (valid != 0))) / max(float(np.count_nonzero(valid)), 1)
    return float(np.clip(share, LEAST_SHARE, 1 - LEAST_SHARE))


def _dilate(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(mask, SQUARE.reshape((1,) * (mask.ndim - 2) + SQUARE.shape)))


def border_weights(labels: Labels, between: float, inside: float) -> NDArray[np.float32]:
    """``inside`` in objects, and up to ``between`` in the background near two of them: [1, z, y, x], at least 1.

    With d1 and d2 the distances to the two nearest objects in the section, ``between * exp(-(d1 + d2)^2 / (2 * 5^2))``.
    """
    weights = np.stack([_border_section(section, between, inside) for section in labels])
    return np.clip(weights, LEAST_WEIGHT, max(between, inside, LEAST_WEIGHT)).astype(np.float32)[None]


def _border_section(section: Labels, between: float, inside: float) -> NDArray[np.float64]:
    from scipy.ndimage import distance_transform_edt

    weights = np.where(section > 0, inside, 0.0)
    ids = np.unique(section[section > 0])
    if len(ids) < 2:
        return weights
    nearest = np.full((2, *section.shape), np.inf)
    for id_ in ids:
        distance = distance_transform_edt(section != id_)
        nearest[1] = np.minimum(nearest[1], np.maximum(nearest[0], distance))
        nearest[0] = np.minimum(nearest[0], distance)
    falling = between * np.exp(-(nearest.sum(axis=0) ** 2) / (2 * SIGMA**2))
    return np.where(section > 0, weights, falling)
