"""``csc batch-eval``."""

import argparse
from pathlib import Path

from lsd_experiments.families.cellmap.commands.options import Subparsers, add_scoring, rules, targets


def batch_eval(options: argparse.Namespace) -> int:
    """Score the submissions of a table."""
    from lsd_experiments.families.cellmap.batch import batch_evaluate, read_batch

    told = batch_evaluate(read_batch(options.csv_path), options.truth_path, options.results, rules(options), targets(options))
    for name, score in told.items():
        print(f"{name}  {score}")
    return int(any(score.startswith("failed") for score in told.values()))


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("batch-eval", help="score the submissions of a table, one after the other")
    parser.set_defaults(command=batch_eval)
    parser.add_argument("--csv-path", "--csv_path", "-c", type=Path, required=True, help="columns data_path,evaluation_id")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where results are put (default: %(default)s)")
    add_scoring(parser)
