"""What aligned labels have where no section is, and what is brought back has where nothing came from.

Of ids like CREMI's, 2^64 - 1 says that there is nothing: no cleft, or of neurons no label. What lies outside of a section nobody
knows, which only clefts have an id for, 2^64 - 2; of neurons it is as good as not labelled. Clefts are told by the name of the
dataset, or, unless that says neurons, by what they hold: 2^64 - 1 nearly everywhere.
"""

import numpy as np

from lsd_experiments.arrays import Volume
from lsd_experiments.errors import UserError

NOTHING, UNKNOWN = 2**64 - 1, 2**64 - 2  # ids in CREMI's files: no cleft or no neuron, and clefts that nobody knows
ATTRIBUTE = "outside"  # of a volume: the value
MOSTLY = 0.5  # of the voxels: clefts are thin, and neurons fill the tissue


def outside(labels: Volume, fill: float | None = None) -> float:
    """What aligned ``labels`` have where there is no section; ``fill``: what is asked for.

    :raises UserError: if their type does not hold that
    """
    check_fill(labels, fill)
    if fill is not None or labels.dtype != np.uint64:
        return fill or 0
    name = labels.dataset.rsplit("/", 1)[-1].lower()
    if "cleft" in name:
        return UNKNOWN
    share = _share_of_nothing(labels)
    if share > MOSTLY and "neuron" not in name:
        return UNKNOWN
    return NOTHING if share else 0


def nothing(labels: Volume) -> int:
    """What says that there is no object: 2^64 - 1, if labels have it anywhere (CREMI's files), else 0."""
    return NOTHING if labels.dtype == np.uint64 and _share_of_nothing(labels, any_is_enough=True) else 0


def check_fill(volume: Volume, fill: float | None) -> None:
    """:raises UserError: if the type of ``volume`` does not hold ``fill``"""
    if fill is None or volume.dtype.kind not in "uib":
        return
    low, high = (0, 1) if volume.dtype.kind == "b" else (np.iinfo(volume.dtype).min, np.iinfo(volume.dtype).max)
    if not low <= fill <= high:
        raise UserError(f"--fill {fill}: {volume.name} is of type {volume.dtype}, from {low} to {high}. Give a value of these")


def in_words(value: float) -> str:
    """``value`` as messages print it."""
    named = {NOTHING: "2^64 - 1", UNKNOWN: "2^64 - 2 (unknown)"}
    return named.get(int(value), f"{value:g}") if value == value else "nan"


def _share_of_nothing(labels: Volume, any_is_enough: bool = False) -> float:
    chunks, found = labels.chunks or (1, *labels.shape[1:]), 0
    for block in labels.box.blocks(tuple(min(n, max(c, 256)) for c, n in zip(chunks, labels.shape, strict=True))):
        found += int(np.count_nonzero(labels.read(block.intersect(labels.box)) == np.uint64(NOTHING)))
        if found and any_is_enough:
            return 1.0
    return found / max(1, int(np.prod(labels.shape, dtype=np.int64)))
