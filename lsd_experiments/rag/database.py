"""What the region graph asks of a database. SQL goes through it as written for both, with ``?`` for parameters."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LAYOUT = 2  # of the tables; 1 had one row per edge, and no sums


@dataclass(frozen=True)
class Rows:
    """Rows to insert into ``table``.

    :param values: [n] with one field per column, in the table's order; NaN becomes NULL
    """

    table: str
    values: NDArray[np.void]


Command = tuple[str, tuple[Any, ...]]  # SQL and its parameters
Statement = Command | Rows


class Database(ABC):
    """An open database that holds a region graph and nothing else.

    :ivar name: what messages call it; never holds a password
    :ivar table_options: what CREATE TABLE ends with
    """

    name: str
    table_options: str = ""

    @abstractmethod
    def transact(self, statements: Sequence[Statement]) -> None:
        """Execute all statements, or none of them."""

    @abstractmethod
    def fetch(self, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The few rows that a query gives."""

    @abstractmethod
    def read(self, query: str, parameters: tuple[Any, ...], kind: DTypeLike) -> NDArray[np.void]:
        """The many rows that a query gives, as an array whose fields are named as the columns; NULL is NaN."""

    @abstractmethod
    def tables(self) -> list[str]:
        """The names of all tables, sorted."""

    @abstractmethod
    def check(self) -> None:
        """Have the database look at itself, where that is cheap.

        :raises UserError: if it is damaged
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""
