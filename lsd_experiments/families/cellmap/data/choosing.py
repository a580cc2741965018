"""Which crop a sample is of, and which class it is drawn for: a function of seed, iteration and slot alone."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from lsd_experiments.errors import UserError

TRIES = 10  # draws of a batch, until it has all classes by chance
BALANCE, FORCE = 0x62616C, 0x666F72  # apart from the samples' random streams
logger = logging.getLogger(__name__)
Choice = tuple[int, str | None]


@dataclass(frozen=True)
class Chooser:
    """Draws crops by the classes that are annotated in them.

    :param annotated: of each crop, its classes
    :param sizes: of each crop, how many places it has; None if ``balanced``
    :param balanced: classes take turns, each in a crop that has it; else all places are equally probable
    :param forced: whether each batch has all classes
    :raises UserError: if it cannot
    """

    annotated: Sequence[tuple[str, ...]]
    sizes: Sequence[float] | None
    balanced: bool
    forced: bool
    batch: int
    seed: int
    classes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        there = dict.fromkeys(label for labels in self.annotated for label in labels)
        object.__setattr__(self, "classes", tuple(there))
        object.__setattr__(self, "_batch", lru_cache(maxsize=8)(self._forced_batch))
        if self.forced:
            self._covering(np.random.default_rng(self.seed))

    def choose(self, iteration: int, slot: int) -> Choice:
        """The crop's number, and the class that it is drawn for, if it is for one."""
        if self.forced:
            found: Choice = self._batch(iteration)[slot]  # type: ignore[attr-defined]
            return found
        return self._draw(iteration * self.batch + slot, np.random.default_rng([self.seed, iteration, slot]))

    def _draw(self, number: int, random: np.random.Generator) -> Choice:
        if not self.balanced:
            weights = np.asarray(self.sizes or [1.0] * len(self.annotated), float)
            return int(random.choice(len(weights), p=weights / weights.sum())), None
        turn, place = divmod(number, len(self.classes))
        label = self.classes[np.random.default_rng([self.seed, BALANCE, turn]).permutation(len(self.classes))[place]]
        having = [index for index, labels in enumerate(self.annotated) if label in labels]
        return having[random.integers(len(having))], label

    def _forced_batch(self, iteration: int) -> list[Choice]:
        """Of all slots; as drawn, if that has all classes, else crops that cover them, and what was drawn in other slots."""
        random = np.random.default_rng([self.seed, FORCE, iteration])
        for _ in range(TRIES):
            drawn = [self._draw(iteration * self.batch + slot, random) for slot in range(self.batch)]
            if len({label for crop, _ in drawn for label in self.annotated[crop]}) == len(self.classes):
                return self._labelled(drawn)
        covering = self._covering(random)
        for slot, choice in zip(random.permutation(self.batch), covering, strict=False):
            drawn[slot] = choice
        missing = set(self.classes) - {label for crop, _ in drawn for label in self.annotated[crop]}
        assert not missing, f"iteration {iteration} lacks {missing}"
        return self._labelled(drawn)

    def _labelled(self, drawn: list[Choice]) -> list[Choice]:
        """``drawn``, each for a class that no other is for, as far as there are such."""
        left = set(self.classes) - {label for _, label in drawn}
        seen: set[str | None] = set()
        made: list[Choice] = []
        for crop, label in drawn:
            other = next((one for one in self.annotated[crop] if one in left), None)
            if other is not None and (label is None or label in seen):
                left.discard(other)
                label = other
            seen.add(label)
            made.append((crop, label))
        return made

    def _covering(self, random: np.random.Generator) -> list[Choice]:
        """As few crops as a greedy choice finds that have all classes, each for a class that those before lack."""
        lacking, chosen = set(self.classes), list[Choice]()
        while lacking:
            gains = np.array([len(lacking.intersection(labels)) for labels in self.annotated])
            best = int(random.choice(np.flatnonzero(gains == gains.max())))
            new = [label for label in self.annotated[best] if label in lacking]
            chosen.append((best, new[random.integers(len(new))]))
            lacking -= set(new)
        if len(chosen) > self.batch:
            raise UserError(f"force_all_classes: {len(chosen)} crops are needed for all of {', '.join(self.classes)}, and "
                            f"batches have {self.batch} samples. Raise batch_size, or set it to False")
        return chosen
