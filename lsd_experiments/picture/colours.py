"""Colours of ids: the same for the same id everywhere, and segments coloured as the labels that they match."""

import colorsys

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.evaluation import Contingency, contingency

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 times the golden ratio: steps of it spread hues evenly, however many there are


def colours_of(ids: NDArray[np.integer]) -> NDArray[np.float64]:
    """[..., 3] red, green and blue in [0, 1] for each id; black for 0."""
    unique, inverse = np.unique(ids, return_inverse=True)
    colours = np.array([_colour(int(i)) for i in unique]).reshape(-1, 3)
    return np.asarray(colours[inverse].reshape(*ids.shape, 3))


def match_colours(segmentation: NDArray[np.integer], labels: NDArray[np.integer]) -> dict[int, int]:
    """For each segment the id whose colour it takes: its label's, or one of its own.

    Largest overlaps choose first; a label's colour is given once, so that the parts of a split label differ.
    """
    own = {int(s): _own(int(s)) for s in np.unique(segmentation)}
    return own | _matched(contingency(segmentation, labels))


def _matched(table: Contingency) -> dict[int, int]:
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for index in np.argsort(-table.counts, kind="stable"):
        segment, label = int(table.segments[index]), int(table.labels[index])
        if segment not in matched and segment != 0:
            matched[segment] = _own(segment) if label in taken else label
            taken.add(label)
    return matched


def _own(segment: int) -> int:
    """An id that is unlikely to be a label's, so that its colour is, too."""
    return segment ^ 2**40 if segment else 0


def _colour(identity: int) -> tuple[float, float, float]:
    if identity == 0:
        return (0.0, 0.0, 0.0)
    hue = identity * GOLDEN % 2**64 / 2**64
    return colorsys.hsv_to_rgb(hue, (0.55, 0.75, 0.95)[identity % 3], (1.0, 0.8)[identity // 3 % 2])
