"""The images of a section, before they are drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.picture.colours import colours_of, match_colours


@dataclass(frozen=True)
class Panel:
    """``image``: [y, x, 3] floats in [0, 1]."""

    title: str
    image: NDArray[np.float64]


def panels(raw: NDArray[np.generic] | None = None, affs: NDArray[np.generic] | None = None,
           lsds: NDArray[np.generic] | None = None, segmentation: NDArray[np.integer] | None = None,
           labels: NDArray[np.integer] | None = None, section: int | None = None) -> list[Panel]:
    """The panels of those arrays that are given; arguments as :func:`lsd_experiments.picture.write_picture`.

    :raises UserError: if nothing is given, shapes differ, or there is no such section
    """
    arrays = {"raw": raw, "affs": affs, "lsds": lsds, "segmentation": segmentation, "labels": labels}
    section = _section({name: array for name, array in arrays.items() if array is not None}, section)
    made = []
    if raw is not None:
        made.append(Panel("raw", np.repeat(_grey(raw[section])[..., None], 3, axis=-1)))
    if segmentation is not None:
        made.append(Panel("segmentation", _coloured(segmentation, labels, section)))
    if labels is not None:
        made.append(Panel("ground truth", colours_of(labels[section])))
    if affs is not None:
        made.append(Panel("affinities to z, y, x", _channels(affs, section, 0)))
    if lsds is not None:
        made.append(Panel("LSDs 0-2: mean offset z, y, x", _channels(lsds, section, 0)))
        if len(lsds) >= 6:
            made.append(Panel("LSDs 3-5: variance z, y, x", _channels(lsds, section, 3)))
    return made


def _section(arrays: dict[str, NDArray[np.generic]], section: int | None) -> int:
    if not arrays:
        raise UserError("nothing to draw: give raw, affs, lsds, segmentation or labels")
    for name, array in arrays.items():
        axes = "[c, z, y, x]" if name in ("affs", "lsds") else "[z, y, x]"
        if array.ndim != axes.count(",") + 1:
            raise UserError(f"{name} has shape {array.shape}; it must be {axes}")
    (first, shape), *others = ((name, array.shape[-3:]) for name, array in arrays.items())
    for name, other in others:
        if other != shape:
            raise UserError(f"{name} has {other} voxels, {first} {shape}: crop them to the same region")
    section = shape[0] // 2 if section is None else section
    if not 0 <= section < shape[0]:
        raise UserError(f"section {section}: the region has sections 0 to {shape[0] - 1}")
    return section


def _grey(image: NDArray[np.generic]) -> NDArray[np.float64]:
    """[y, x] in [0, 1]: uint8 by its range; others from their 1st to their 99th percentile."""
    values = np.asarray(image, np.float64)
    low, high = (0.0, 255.0) if image.dtype == np.uint8 else np.percentile(values, (1, 99))
    return np.asarray(np.clip((values - low) / max(high - low, 1e-12), 0, 1))


def _channels(array: NDArray[np.generic], section: int, first: int) -> NDArray[np.float64]:
    """[y, x, 3]: three channels as red, green and blue; missing ones are 0. uint8 is divided by 255."""
    chosen = np.asarray(array[first:first + 3, section], np.float64) / (255 if array.dtype == np.uint8 else 1)
    padded = np.concatenate([chosen, np.zeros((3 - len(chosen), *chosen.shape[1:]))])
    return np.asarray(np.clip(np.moveaxis(padded, 0, -1), 0, 1))


def _coloured(segmentation: NDArray[np.integer], labels: NDArray[np.integer] | None,
              section: int) -> NDArray[np.float64]:
    if labels is None:
        return colours_of(segmentation[section])
    colour_ids = match_colours(segmentation, labels)
    unique, inverse = np.unique(segmentation[section], return_inverse=True)
    ids = np.array([colour_ids[int(s)] for s in unique], np.uint64)
    return colours_of(ids[inverse].reshape(segmentation.shape[1:]))
