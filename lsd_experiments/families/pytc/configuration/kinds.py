"""Kinds of values: numbers, decimal numbers, texts, yes or no, and lists of these."""

from dataclasses import dataclass
from typing import Any, NamedTuple

TYPES = {"int": int, "float": float, "text": str, "bool": bool}
WORDS = {"int": "whole number", "float": "decimal number", "text": "text", "bool": "True or False", "any": "value"}
SHOWN = 40  # characters of a value in a message


class Located(NamedTuple):
    """A value, and where it stands: a file and its line, or the command line."""

    value: Any
    where: str


@dataclass(frozen=True)
class Kind:
    """``name``: of what is inside; ``depth``: how many lists are around it."""

    name: str
    depth: int = 0

    def fits(self, value: Any) -> bool:
        """Whether ``value`` is of this kind. A whole number is no decimal one, unless it stands in a list."""
        return _fits(value, self.name, self.depth, inside=False)

    def __str__(self) -> str:
        words = WORDS[self.name]
        if not self.depth:
            return words if self.name == "bool" else f"a {words}"
        return f"a list of {'lists of ' * (self.depth - 1)}{words}s" if self.name != "bool" else f"a list of {words}"


def kind_of(value: Any) -> Kind:
    """The kind of a default, which is not None and of which a list is not empty."""
    if isinstance(value, list):
        inner = kind_of(value[0])
        return Kind(inner.name, inner.depth + 1)
    return Kind(next(name for name in ("bool", "int", "float", "text") if isinstance(value, TYPES[name])))


def show(value: Any) -> str:
    """``value`` in a message, however large it is."""
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if any(isinstance(item, list | tuple | dict) for item in value) else _short(list(value))
    return _short(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."


def _fits(value: Any, name: str, depth: int, inside: bool) -> bool:
    if depth:
        return isinstance(value, list) and all(_fits(item, name, depth - 1, True) for item in value)
    if name == "any":
        return isinstance(value, str | int | float | bool | None)
    if isinstance(value, bool) or name == "bool":
        return isinstance(value, bool) and name == "bool"
    if inside and name == "float":
        return isinstance(value, int | float)
    return isinstance(value, TYPES[name])
