"""What validations found, beside the checkpoints: ``validation.csv``, a row for each, of all runs of the training."""

import csv
import io
import time
from collections.abc import Mapping
from pathlib import Path

from lsd_experiments.errors import UserError
from lsd_experiments.writing import put_text

NAME = "validation.csv"
ITERATION, SECONDS = "iteration", "seconds"  # of training until then, all runs together


class Curve:
    """The rows of ``directory`` until iteration ``start``, and those that are added.

    :raises UserError: if there is a file that is no curve
    """

    def __init__(self, directory: Path, start: int) -> None:
        self.path = directory / NAME
        self.rows = [row for row in read_curve(directory) if row[ITERATION] <= start]
        self._before = self.rows[-1][SECONDS] if self.rows else 0.0
        self._begin = time.monotonic()

    def add(self, iteration: int, scores: Mapping[str, float]) -> None:
        """Write one more row."""
        seconds = round(self._before + time.monotonic() - self._begin, 1)
        self.rows.append({ITERATION: iteration, SECONDS: seconds, **scores})
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        put_text(self.path, text.getvalue())


def read_curve(directory: Path) -> list[dict[str, float]]:
    """The rows of ``validation.csv``: numbers by their columns, without those that are empty; none if there is no file.

    :raises UserError: if it is no such file
    """
    path = directory / NAME
    if not path.is_file():
        return []
    try:
        with path.open(newline="") as file:
            found = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
        return [{**row, ITERATION: int(row[ITERATION]), SECONDS: row[SECONDS]} for row in found]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"{path}: is not what train.py writes there ({error}). Move it away") from error
