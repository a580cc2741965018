"""What each block wrote into the region graph: the table ``blocks``, with a row per stage and block.

A block writes its row in the transaction of its nodes or edges: how many rows these are, and their checksum. So a graph that was
put back to an older state, lost rows or was damaged is told from one that is whole, whatever the scheduler recorded elsewhere.

The checksum of rows is the sum, modulo 2^64, of a hash of each: it does not depend on their order, and that of a table is the
sum of its blocks'.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.rag.database import Command

BLOCKS = "blocks"
CREATE_BLOCKS: Command = ("CREATE TABLE IF NOT EXISTS blocks (stage TEXT NOT NULL, block BIGINT NOT NULL, "
                            "written BIGINT NOT NULL, checksum BIGINT NOT NULL, PRIMARY KEY (stage, block))", ())
LEDGER = np.dtype([("block", np.int64), ("written", np.int64), ("checksum", np.int64)])

NOT_A_NUMBER = np.uint64(0x7FF8000000000000)
FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of splitmix64 (Steele et al., 2014)


@dataclass
class Tally:
    """How many rows, and their checksum."""

    rows: int = 0
    checksum: int = 0

    def add(self, rows: NDArray[np.void]) -> None:
        """Count ``rows``, and all of their columns but ``block``."""
        names = [name for name in rows.dtype.names or () if name != "block"]
        mixed = np.zeros(len(rows), np.uint64)
        for name in names:
            mixed = _mix(mixed ^ _bits(rows[name]))
        self.rows += len(rows)
        self.checksum = (self.checksum + int(mixed.sum(dtype=np.uint64))) % 2**64

    @classmethod
    def of(cls, rows: NDArray[np.void]) -> "Tally":
        """That of ``rows``."""
        tally = cls()
        tally.add(rows)
        return tally

    @classmethod
    def of_ledger(cls, ledger: NDArray[np.void]) -> "Tally":
        """That of all rows of the blocks in ``ledger``, of kind :data:`LEDGER`."""
        total = int(ledger["checksum"].astype(np.uint64).sum(dtype=np.uint64))
        return cls(int(ledger["written"].sum()), total)

    @property
    def stored(self) -> int:
        """The checksum as databases keep it: signed."""
        return self.checksum - 2**64 if self.checksum >= 2**63 else self.checksum


def note_block(stage: str, block: int, tally: Tally) -> list[Command]:
    """What notes that ``block`` of ``stage`` has written its rows."""
    return [("DELETE FROM blocks WHERE stage = ? AND block = ?", (stage, int(block))),
            ("INSERT INTO blocks VALUES (?, ?, ?, ?)", (stage, int(block), tally.rows, tally.stored))]


def forget_blocks(stage: str) -> Command:
    """What forgets all blocks of ``stage``."""
    return ("DELETE FROM blocks WHERE stage = ?", (stage,))


def _bits(values: NDArray[np.generic]) -> NDArray[np.uint64]:
    """``values`` as 64 bits; one NaN is as another, and 0.0 as -0.0, which SQLite does not tell apart."""
    if values.dtype.kind == "f":
        numbers = values.astype(np.float64) + 0.0
        return np.where(np.isnan(numbers), NOT_A_NUMBER, numbers.view(np.uint64))
    return values.astype(np.int64).view(np.uint64)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * FACTORS[0]
    values = (values ^ (values >> np.uint64(27))) * FACTORS[1]
    mixed: NDArray[np.uint64] = values ^ (values >> np.uint64(31))
    return mixed
