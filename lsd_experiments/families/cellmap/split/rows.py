"""The CSV of a split, as the challenge writes it: a row for each crop, quoted, without a header.

    "train","data/a/a.zarr","recon-1/em/fibsem-uint8","data/a/a.zarr","recon-1/labels/groundtruth/crop234/[nuc,er]"

Also read: three columns (side, and whole paths of raw and of the crop), and rows that begin with ``#``, which are left out. Paths
may be addresses, ``s3://bucket/a.zarr``.
"""

import csv
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.split.finding import Crop, split_container
from lsd_experiments.writing import put_text

SIDES = ("train", "validate")
CLASSES = re.compile(r"(.*?)/?\[([^\[\]]*)\]")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """A crop and its side. Paths of containers, or addresses; ``raw_group`` and ``group`` lie in them."""

    side: str
    raw: str
    raw_group: str
    labels: str
    group: str
    classes: tuple[str, ...]


def read_split(path: str | Path) -> list[Row]:
    """The rows of the CSV ``path``, in its order; a line with too few columns is left out, with a warning.

    :raises UserError: if it is not there, or a row is nonsense
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such split. Make one with csc make-datasplit")
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, values in enumerate(csv.reader(file, skipinitialspace=True), 1):
            if not values or values[0].lstrip().startswith("#"):
                continue
            if len(values) < 3:
                logger.warning("%s: line %d has %d columns, not 5 or 3, and is left out", path, number, len(values))
                continue
            rows.append(_row([value.strip() for value in values], f"{path}: line {number}"))
    return rows


def write_split(path: str | Path, divided: Iterable[tuple[str, Crop]]) -> None:
    """Write the CSV ``path``; one that is there is replaced at once, when the new one is whole."""
    lines = []
    for side, crop in divided:
        values = (side, crop.raw, crop.raw_group, crop.labels, f"{crop.group}/[{','.join(crop.classes)}]")
        lines.append(",".join('"' + value.replace('"', '""') + '"' for value in values))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    put_text(Path(path), "\n".join(lines) + "\n")


def shown(rows: Iterable[tuple[str, Sequence[str]]], classes: Sequence[str]) -> str:
    """How many crops each side has, and in how many each class is annotated, as a table.

    :param rows: side and classes of each crop
    """
    listed = list(rows)
    lines = [["", *SIDES], ["crops", *(str(sum(side == one for side, _ in listed)) for one in SIDES)]]
    lines += [[label, *(str(sum(side == one and label in there for side, there in listed)) for one in SIDES)]
              for label in classes]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in
                                                              zip(line[1:], widths[1:], strict=True))]) for line in lines)


def _row(values: list[str], where: str) -> Row:
    if values[0] not in SIDES:
        raise UserError(f"{where}: '{values[0]}' is no side. Write train or validate")
    match = CLASSES.fullmatch(values[4] if len(values) >= 5 else values[2])
    if match is None:
        raise UserError(f"{where}: '{values[-1]}' does not end in its classes, like crop234/[nuc,er]. Correct it")
    classes = tuple(label.strip() for label in match[2].split(",") if label.strip())
    if len(values) >= 5:
        return Row(values[0], values[1], values[2], values[3], match[1], classes)
    return Row(values[0], *split_container(values[1]), *split_container(match[1]), classes)
