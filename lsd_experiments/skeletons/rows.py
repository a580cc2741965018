"""What formats share that have a line for each node: numbers in a text, and parents that become edges."""

import codecs
import io
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.skeletons.skeleton import Skeletons

ROOT = -1  # the parent of a node without one
LARGEST = 2**63
DIGITS = 20  # of such a number, at most
SHOWN = 60  # characters of a value in a message
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


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
    """The whole number that ``text`` says, also as ``1.0``, as programs write it that know no others.

    :raises UserError: if it is none that 64 bits hold.
    """
    if NUMBER.fullmatch(text or ""):
        number = Decimal(text or "")
        if number.adjusted() < DIGITS and number == int(number) and -LARGEST <= number < LARGEST:
            return int(number)
    raise UserError(f"{path}: {place}: {name} is {shown(text)}, not a whole number. Correct it")


def real(path: Path, place: str, name: str, text: str | None) -> float:
    """:raises UserError: if ``text`` is no finite number."""
    if NUMBER.fullmatch(text or "") and np.isfinite(number := float(text or "")):
        return number
    raise UserError(f"{path}: {place}: {name} is {shown(text)}, not a number. Correct it")


def shown(text: str | None) -> str:
    """``text``, as messages quote it."""
    return repr(text) if text is None or len(text) <= SHOWN else f"{text[:SHOWN]!r}..."


def lines(path: Path) -> Iterable[tuple[int, str]]:
    """The lines of a text, numbered from 1. It is UTF-8, UTF-16 with its mark, or else of one byte for a character.

    :raises UserError: if it is no text.
    """
    text = _decoded(path.read_bytes())
    if text is None:
        raise UserError(f"{path}: is no text. Name a file of skeletons")
    yield from enumerate(io.StringIO(text, newline=None), 1)


def _decoded(data: bytes) -> str | None:
    encodings = ("utf-16",) if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ("utf-8-sig", "latin-1")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
            return None if "\0" in text or "\ufeff" in text else text
        except UnicodeDecodeError:
            pass
    return None
