"""What formats share that have a line for each node: numbers in a text, and parents that become edges."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.skeletons.skeleton import Skeletons

ROOT = -1  # the parent of a node without one
LARGEST = 2**63


@dataclass
class Nodes:
    """Nodes as they are read; ``links`` are (place in the file, tree, id of a node, id of another)."""

    path: Path
    ids: list[int] = field(default_factory=list)
    positions: list[tuple[float, ...]] = field(default_factory=list)
    index: dict[tuple[Hashable, int], int] = field(default_factory=dict)
    links: list[tuple[str, Hashable, int, int]] = field(default_factory=list)

    def add(self, place: str, tree: Hashable, node: int, position: tuple[float, ...]) -> None:
        """:raises UserError: if the tree has that id already, at another position."""
        known = self.index.setdefault((tree, node), len(self.ids))
        if known == len(self.ids):
            self.ids.append(node)
            self.positions.append(position)
        elif self.positions[known] != position:
            raise UserError(f"{self.path}: {place}: node {node} is there twice. Give each node an id of its own")

    def skeletons(self) -> Skeletons:
        """:raises UserError: if a link leads to a node that is not there."""
        edges = [(self._find(place, tree, first), self._find(place, tree, second)) for place, tree, first, second in self.links]
        is_unique = len(set(self.ids)) == len(self.ids)
        return Skeletons.of(np.array(self.positions, np.float64), edges, self.ids if is_unique else None)

    def _find(self, place: str, tree: Hashable, node: int) -> int:
        if (tree, node) not in self.index:
            raise UserError(f"{self.path}: {place}: leads to node {node}, which is not there. Correct the id, or add the node")
        return self.index[tree, node]


def whole(path: Path, place: str, name: str, text: str | None) -> int:
    """:raises UserError: if ``text`` is no whole number that 64 bits hold."""
    try:
        number = int(text or "")
        if -LARGEST <= number < LARGEST:
            return number
    except ValueError:
        pass
    raise UserError(f"{path}: {place}: {name} is {text!r}, not a whole number. Correct it")


def real(path: Path, place: str, name: str, text: str | None) -> float:
    """:raises UserError: if ``text`` is no finite number."""
    try:
        number = float(text or "")
        if np.isfinite(number):
            return number
    except ValueError:
        pass
    raise UserError(f"{path}: {place}: {name} is {text!r}, not a number. Correct it")


def lines(path: Path) -> Iterable[tuple[int, str]]:
    """The lines of a text, numbered from 1.

    :raises UserError: if it is no text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            yield from enumerate(file, 1)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no text ({error.reason} at byte {error.start}). Name a file of skeletons") from error
