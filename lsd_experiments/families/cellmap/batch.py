"""Score several submissions, one after the other, or by workers here or on a cluster.

    data_path,evaluation_id
    submissions/a.zip,first

Each gets ``<results>/<evaluation_id>/result.json`` and ``result_extended.json``, or ``failed.txt``. One that fails does not stop
the others.
"""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lsd_experiments.blockwise import Block, BlockTask, Workers, run_blockwise
from lsd_experiments.blockwise.engine import clear_records
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.evaluation import Rules, evaluate
from lsd_experiments.families.cellmap.manifest import Target, read_manifest
from lsd_experiments.families.cellmap.results import write_results
from lsd_experiments.geometry import Box
from lsd_experiments.provenance import key
from lsd_experiments.stages.states import tie_records
from lsd_experiments.writing import put_text

COLUMNS = ("data_path", "evaluation_id")
RESULT, EXTENDED, FAILED = "result.json", "result_extended.json", "failed.txt"
MEMORY = 4 * 2**30  # bytes of a worker: measured, of crops of 600 cubed


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
                   manifest: str | None = None, workers: Workers | None = None) -> dict[str, str]:
    """What each submission scored, or why it could not be scored, by its name.

    :param workers: score one each at a time; when such a run was stopped, the same again goes on (default: this process does)
    :raises BlocksFailedError: if workers ended in an error of ours; the others' results are there
    """
    if workers is None:
        targets = None if manifest is None else read_manifest(manifest)
        for path, name in rows:
            evaluate_one(path, truth, results / name, rules, targets)
    else:
        if manifest is not None:
            read_manifest(manifest)
        _evaluate_by(workers, rows, truth, results, rules, manifest)
    return {name: _told(results / name) for _, name in rows}


def evaluate_one(path: str | Path, truth: str | Path, results: Path, rules: Rules, targets: Sequence[Target] | None) -> None:
    """Score a submission; of one that cannot be scored the directory ``results`` says why."""
    results.mkdir(parents=True, exist_ok=True)
    failed = results / FAILED
    try:
        result, extended = evaluate(path, truth, rules, targets)
    except UserError as error:
        for left in (results / RESULT, results / EXTENDED):  # of a run before
            left.unlink(missing_ok=True)
        put_text(failed, f"{error}\n")
        return
    write_results(results / RESULT, result, extended)
    failed.unlink(missing_ok=True)


def _told(results: Path) -> str:
    failed = results / FAILED
    if failed.is_file():
        return f"failed: {failed.read_text().strip()}"
    return f"{json.loads((results / RESULT).read_text())['overall_score']:.4f}"


def _evaluate_by(workers: Workers, rows: Sequence[tuple[Path, str]], truth: str | Path, results: Path, rules: Rules,
                 manifest: str | None) -> None:
    """A block is a submission."""
    settings = {"rows": [(str(path.absolute()), name) for path, name in rows], "truth": str(Path(truth).absolute()),
                "results": str(results.absolute()), "manifest": manifest and str(Path(manifest).absolute()),
                "rules": {**asdict(rules), "instances": list(rules.instances)}}
    results.mkdir(parents=True, exist_ok=True)
    task = BlockTask("batch_eval", Box.of_shape((len(rows),)), (1,), f"{__name__}:make_worker", settings,
                     results / ".blockwise", context=(0,), workers=workers, memory=MEMORY)
    tie_records(task.records, key("batch_eval", settings, {}))
    run_blockwise(task)
    clear_records(task.records)  # what is scored again is scored anew


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What scores one submission; the arguments are those of :func:`batch_evaluate`."""
    targets = None if values["manifest"] is None else read_manifest(values["manifest"])
    rules = Rules(**values["rules"])

    def process(block: Block) -> None:
        path, name = values["rows"][block.number]
        evaluate_one(path, values["truth"], Path(values["results"]) / name, rules, targets)
    return process
