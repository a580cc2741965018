"""Targets by the option strings of TARGET_OPT.

| option | target | channels, type |
|---|---|---|
| ``0``, ``0-a-b`` | foreground; that of the ids a, b only | 1, float32 |
| ``1`` | synaptic polarity: odd ids (pre), even ids (post), both | 3, float32 |
| ``1-1`` | the same as classes 0, 1, 2 | none, int64 |
| ``2``, ``2-dz-dy-dx-v1``, ``-v2`` | affinities, see :mod:`~lsd_experiments.families.pytc.affinities` | 3, float32 |
| ``3-size-ratio-n`` | small objects; n has no effect, as published | 1, float32 |
| ``4-width-background`` | contours of instances | 1, float32 |
| ``5``, ``5-2d``, ``5-3d`` | distance to the instance's boundary in classes 0 to 10 | none, int64 |
| ``5-2d-padded-quantized-z-erosion`` | the same (1.0.0), as a number unless quantized | 1, float32 |
| ``6``, ``6-2d-a-b`` | signed distance to the foreground's boundary, tanh | 1, float32 |
| ``7`` | flows to the middle of instances | 2, float32 |
| ``9-n`` | classes | none, int64 |
| ``all`` | the labels | 1, float32 |

Two revisions of the published program are told apart, by the name of a commit and of a version: options of family 5 mean
different targets, of which the later one's is a float32 without classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc import distances, regions
from lsd_experiments.families.pytc.affinities import DIRECT, affinities
from lsd_experiments.families.pytc.configuration.options import QUANTISED, configured_channels
from lsd_experiments.families.pytc.flows import flows
from lsd_experiments.families.pytc.label_edits import dilate, widen_boundaries

Labels = NDArray[Any]
Target = NDArray[np.float32] | NDArray[np.int64]

TUTORIAL, LATEST = "e29beadc", "v1.0.0"
REVISIONS = (TUTORIAL, LATEST)
LATER_DISTANCE = ("2d", "0", "0", "5.0", "0")  # what "5" alone means at LATEST
SIGNED_DISTANCE = ("2d", "8", "50")
MODES = ("2d", "3d")


def make_targets(labels: Labels, options: Sequence[str], erosion: int | Sequence[int | None] | None = None,
                 dilation: int | Sequence[int | None] | None = None, revision: str = TUTORIAL) -> list[Target]:
    """One target for each of ``options``.

    :param labels: [z, y, x] integers, 0 is background
    :param erosion: LABEL_EROSION, for all targets or for each, by how much boundaries between objects are widened
    :param dilation: LABEL_DILATION, after the erosion, in the same way
    :raises UserError: if an option is none, or there are not as many erosions or dilations as options
    """
    steps = list(zip(_for_each(erosion, options, "LABEL_EROSION"), _for_each(dilation, options, "LABEL_DILATION"), strict=True))
    edited = {step: edit(labels, *step) for step in set(steps)}
    return [make_target(edited[step], option, revision) for step, option in zip(steps, options, strict=True)]


def _for_each(steps: int | Sequence[int | None] | None, options: Sequence[str], key: str) -> list[int | None]:
    if steps is None or isinstance(steps, int):
        return [steps] * len(options)
    if len(steps) != len(options):
        raise UserError(f"MODEL.{key}: has {len(steps)} values for {len(options)} targets. Give one each, or one number")
    return list(steps)


def keeps_ids(options: Sequence[str]) -> bool:
    """Whether what a target is depends on which id an object has, so that labels must keep theirs."""
    return any(option.split("-")[0] in ("1", "9", "all") or option.startswith("0-") for option in options)


def edit(labels: Labels, erosion: int | None, dilation: int | None) -> Labels:
    """``labels`` [z, y, x] after erosion and dilation."""
    labels = widen_boundaries(labels, erosion) if erosion else labels
    return dilate(labels, dilation) if dilation else labels


def make_target(labels: Labels, option: str, revision: str = TUTORIAL) -> Target:
    """The target that ``option`` names; see the module.

    :raises UserError: if it names none
    """
    family, *fields = option.split("-")
    if family not in FAMILIES:
        raise UserError(f"MODEL.TARGET_OPT: no target '{option}': it must begin with one of {', '.join(FAMILIES)}")
    return FAMILIES[family](labels, fields, option, revision)


def channels_of(option: str, revision: str = TUTORIAL, flat: bool = False) -> int:
    """How many channels a network's output has for the target ``option``; ``flat``: of single sections."""
    family, *fields = option.split("-")
    if family not in FAMILIES:
        raise UserError(f"MODEL.TARGET_OPT: no target '{option}': it must begin with one of {', '.join(FAMILIES)}")
    if family == "9":
        _numbers(fields, 1, option)
    if family == "5" and revision == LATEST:  # where "5" alone is no classes
        return QUANTISED if _later_distance(fields, option)[2] else 1
    return configured_channels(option, flat) or 1


def _foreground(labels: Labels, fields: Sequence[str], option: str, revision: str) -> Target:
    ids = _numbers(fields, len(fields), option)
    mask = np.isin(labels, ids) if ids else labels > 0
    return mask[None].astype(np.float32)


def _polarity(labels: Labels, fields: Sequence[str], option: str, revision: str) -> Target:
    there = labels > 0
    odd = there & (labels % 2 == 1)
    if not fields:
        return np.stack([odd, there & ~odd, there]).astype(np.float32)
    if _numbers(fields, 1, option)[0] not in (0, 1):
        raise _wrong(option, "1-1 for classes, 1 for three channels")
    if fields == ["0"]:
        return _polarity(labels, (), option, revision)
    return np.where(odd, 1, np.where(there, 2, 0)).astype(np.int64)


def _affinities(labels: Labels, fields: Sequence[str], option: str, revision: str) -> Target:
    if not fields:
        return affinities(labels)
    *numbers, version = fields
    if version not in ("v0", "v1", "v2") or len(numbers) != labels.ndim:
        raise _wrong(option, "2-1-1-1-v1: a distance along each axis, and v1 or v2")
    values = _numbers(numbers, labels.ndim, option)
    if version == "v0" and tuple(values) != DIRECT[:labels.ndim]:
        raise _wrong(option, "v1 or v2 for distances other than 1")
    return affinities(labels, values, version == "v2")


def _small_objects(labels: Labels, fields: Sequence[str], option: str, revision: str) -> Target:
    size, ratio, _ = _numbers(fields, 3, option)  # the last one has no effect, as published
    if ratio < 1:
        raise _wrong(option, "a ratio of at least 1")
    mask = regions.small_objects(labels, size, ratio)
    return mask[None].astype(np.float32)


def _contours(labels: Labels, fields: Sequence[str], option: str, revision: str) -> Target:
    width, background = _numbers(fields, 2, option)
    return regions.contours(labels, width, bool(background))[None].astype(np.float32)


def _instance_distance(labels: Labels, fields: Sequence[str], option: str, revision: str) -> Target:
    if revision == TUTORIAL:
        if len(fields) > 1 or fields not in ([], *([mode] for mode in MODES)):
            raise _wrong(option, "5, 5-2d or 5-3d")
        return distances.quantized(distances.instance_distance(labels, *(fields or ["2d"])))
    mode, padded, quantized, spacing, erosion = _later_distance(fields, option)
    distance = distances.instance_distance(labels, mode, padded=padded, spacing=(spacing, 1, 1), erosion=erosion,
                                           background_between=True)
    return (distances.quantized(distance) if quantized else distance)[None].astype(np.float32)


def _later_distance(fields: Sequence[str], option: str) -> tuple[str, bool, bool, float, int]:
    mode, *numbers = fields or LATER_DISTANCE
    if mode not in MODES or len(numbers) != len(LATER_DISTANCE) - 1:
        raise _wrong(option, "5, or 5-2d-padded-quantized-spacing-erosion like 5-2d-0-0-5.0-0")
    padded, quantized, spacing, erosion = _floats(numbers, option)
    return mode, bool(padded), bool(quantized), spacing, int(erosion)


def _signed_distance(labels: Labels, fields: Sequence[str], option: str, revision: str) -> Target:
    mode, *scales = fields or SIGNED_DISTANCE
    if mode not in MODES or len(scales) != 2:
        raise _wrong(option, "6, or 6-2d-8-50: the mode, and the scales of distances in foreground and background")
    foreground, background = _floats(scales, option)
    if min(foreground, background) <= 0:
        raise _wrong(option, "scales greater than 0")
    return distances.signed_distance(labels, mode, foreground, background)[None]


def _flows(labels: Labels, fields: Sequence[str], option: str, revision: str) -> Target:
    return flows(labels)


def _classes(labels: Labels, fields: Sequence[str], option: str, revision: str) -> Target:
    return labels.astype(np.int64)


def _labels(labels: Labels, fields: Sequence[str], option: str, revision: str) -> Target:
    return labels[None].astype(np.float32)


def _numbers(fields: Sequence[str], count: int, option: str) -> list[int]:
    if len(fields) != count or not all(field.isdigit() for field in fields):
        raise _wrong(option, f"{count} whole number{'' if count == 1 else 's'} after the first")
    return [int(field) for field in fields]


def _floats(fields: Sequence[str], option: str) -> list[float]:
    try:
        return [float(field) for field in fields]
    except ValueError:
        raise _wrong(option, "numbers there") from None


def _wrong(option: str, wanted: str) -> UserError:
    return UserError(f"MODEL.TARGET_OPT: '{option}' is not understood: give {wanted}")


FAMILIES: dict[str, Callable[[Labels, Sequence[str], str, str], Target]] = {
    "0": _foreground, "1": _polarity, "2": _affinities, "3": _small_objects, "4": _contours, "5": _instance_distance,
    "6": _signed_distance, "7": _flows, "9": _classes, "all": _labels,
}
