"""Which crops train and which validate.

Stratified: of each class, and of each dataset, about the same share validates; of one that has two crops or more, one trains.
At least one crop is on each side.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.split.finding import Crop

TRAIN, VALIDATE = "train", "validate"
LAST = 1000.0  # what it costs that none of several crops of a class trains


def divide(crops: Sequence[Crop], classes: Sequence[str], ratio: float = 0.1, seed: int = 42,
           force: bool | str = False) -> list[tuple[str, Crop]]:
    """Each crop with its side, in the order of ``crops``.

    :param ratio: share that validates, between 0 and 1
    :param force: on which side crops have all ``classes``: "train" or "validate", where others go to the other side; True:
        others are left out
    :raises UserError: if not one crop can be on each side
    """
    if not 0 < ratio < 1:
        raise UserError(f"a share of {ratio:g} to validate with leaves one side without a crop. Give one between 0 and 1")
    whole = [all(label in crop.classes for label in classes) for crop in crops]
    kept = [crop for crop, is_whole in zip(crops, whole, strict=True) if is_whole or force is not True]
    fixed = {True: None, TRAIN: True, VALIDATE: False}.get(force) if force else None
    if len(kept) < 2:
        raise UserError(f"{len(kept)} of {len(crops)} crops can be divided, and one is needed on each side. Name more datasets "
                        "or classes" + (", or leave out the demand for all classes" if force else ""))
    number = min(max(1, round(ratio * len(kept))), len(kept) - 1)
    chosen = np.zeros(len(kept), bool)
    free = np.ones(len(kept), bool)
    if fixed is not None:
        partial = np.array([not all(label in crop.classes for label in classes) for crop in kept])
        chosen, free = partial & fixed, ~partial
        _check_forced(free, str(force))
    _choose(chosen, free, _strata(kept, classes), number, np.random.default_rng(seed))
    return [(VALIDATE if validates else TRAIN, crop) for validates, crop in zip(chosen.tolist(), kept, strict=True)]


def published_sides(crops: Sequence[tuple[Sequence[str], bool]], draws: Sequence[float], classes: Sequence[str], ratio: float,
                    force: bool | str = False) -> list[str | None]:
    """The sides that the published program gives to crops, from its random numbers; None of those that it leaves out.

    The first crop that has any class always trains, as published.

    :param crops: of each, the classes that it has, and whether it has raw
    """
    sides: list[str | None] = []
    for (there, has_raw), draw in zip(crops, draws, strict=True):
        side = TRAIN if draw > ratio or not any(sides) else VALIDATE
        if not all(label in there for label in classes):
            side = {TRAIN: VALIDATE, VALIDATE: TRAIN}[side] if force == side and any(sides) else side
            if force is True:
                there = ()
        sides.append(side if there and has_raw else None)
    return sides


def _check_forced(free: NDArray[np.bool_], force: str) -> None:
    """:raises UserError: if no crop has all classes"""
    if not free.any():
        raise UserError(f"no crop has all classes, which those that {force} must have. Ask for fewer classes, or leave out the "
                        "demand")


def _strata(crops: Sequence[Crop], classes: Sequence[str]) -> NDArray[np.float64]:
    """[strata, crops]: 1 where a crop has a class, or is of a dataset."""
    rows = [[label in crop.classes for crop in crops] for label in classes]
    rows += [[crop.dataset == dataset for crop in crops] for dataset in sorted({crop.dataset for crop in crops})]
    strata = np.array([row for row in rows if any(row)], np.float64)
    return strata.reshape(-1, len(crops))


def _choose(chosen: NDArray[np.bool_], free: NDArray[np.bool_], strata: NDArray[np.float64], number: int,
            rng: np.random.Generator) -> None:
    """Choose among the ``free`` ones until ``number`` are ``chosen``: each time one that brings the shares nearest to it."""
    sizes = strata.sum(axis=1)
    share = number / strata.shape[1]
    order = rng.permutation(strata.shape[1])  # the first of equals
    while chosen.sum() < number or not chosen.any():
        candidates = [i for i in order if free[i] and not chosen[i]]
        if not candidates or chosen.sum() + 1 >= len(chosen):
            return
        counts = strata @ chosen
        costs = [_cost(counts + strata[:, i], sizes, share) for i in candidates]
        chosen[candidates[int(np.argmin(np.round(costs, 9)))]] = True


def _cost(counts: NDArray[np.float64], sizes: NDArray[np.float64], share: float) -> float:
    lacking = (counts >= sizes) & (sizes > 1)
    return float((((counts - share * sizes) ** 2) / sizes).sum() + LAST * lacking.sum())
