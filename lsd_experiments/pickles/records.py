"""What stands for a pickle's names and calls."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Global:
    """A class or function that a pickle names; it was not looked for."""

    module: str
    name: str


@dataclass(eq=False, slots=True)
class Foreign:
    """What a pickle would have made by calling ``module.name``, or by its ``__new__``, with ``args`` and ``kwargs``.

    ``state`` is what it would have been given then (None: nothing); ``items`` is what would have been appended or added to it, or
    pairs of key and value. A call of something that is no global has the module and name "", and what was called as its first
    argument. Equal is only the same one.
    """

    module: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[Any, Any] = field(default_factory=dict)
    state: Any = None
    items: list[Any] = field(default_factory=list)

    def append(self, item: Any) -> None:
        """What would have been appended to it."""
        self.items.append(item)

    def __repr__(self) -> str:
        return f"<pickled {self.module}.{self.name}>"
