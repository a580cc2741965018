"""Score several submissions, one after the other.

    data_path,evaluation_id
    submissions/a.zip,first

Each gets ``<results>/<evaluation_id>/result.json`` and ``result_extended.json``. One that fails does not stop the others.
"""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.evaluation import Rules, evaluate
from lsd_experiments.families.cellmap.manifest import Target
from lsd_experiments.families.cellmap.results import write_results

COLUMNS = ("data_path", "evaluation_id")
logger = logging.getLogger(__name__)


def read_batch(path: str | Path) -> list[tuple[Path, str]]:
    """Submissions and their names; paths are relative to the table.

    :raises UserError: if the table is not there, lacks a column, or a name is no file's, or there twice
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such table of submissions. Write one with the columns {', '.join(COLUMNS)}")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
        raise UserError(f"{path}: has no column {missing[0]}. Its first line is {','.join(COLUMNS)}")
    found = [(path.parent / row["data_path"].strip(), row["evaluation_id"].strip()) for row in rows]
    names = [name for _, name in found]
    for number, name in enumerate(names, 2):
        if not name or "/" in name or name in (".", ".."):
            raise UserError(f"{path}: line {number}: '{name}' is no name of a directory. Correct evaluation_id")
        if names.count(name) > 1:
            raise UserError(f"{path}: evaluation_id '{name}' is there twice. Give each its own")
    return found


def batch_evaluate(rows: Sequence[tuple[Path, str]], truth: str | Path, results: Path, rules: Rules,
                   targets: Sequence[Target] | None = None) -> dict[str, str]:
    """What each submission scored, or why it could not be scored, by its name."""
    told = {}
    for path, name in rows:
        try:
            result, extended = evaluate(path, truth, rules, targets)
        except UserError as error:
            told[name] = f"failed: {error}"
            continue
        (results / name).mkdir(parents=True, exist_ok=True)
        write_results(results / name / "result.json", result, extended)
        told[name] = f"{result['overall_score']:.4f}"
    return told
