"""``csc batch-eval``."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.commands.options import Subparsers, add_scoring, rules

if TYPE_CHECKING:
    from lsd_experiments.blockwise import Workers

OF_JOBS = ("num_workers", "cpus", "memory", "time_limit", "queue", "host")


def batch_eval(options: argparse.Namespace) -> int:
    """Score the submissions of a table."""
    from lsd_experiments.blockwise import BlocksFailedError
    from lsd_experiments.families.cellmap.batch import batch_evaluate, read_batch

    rows, workers = read_batch(options.csv_path), _workers(options)
    try:
        told = batch_evaluate(rows, options.truth_path, options.results, rules(options), options.manifest, workers)
    except BlocksFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, score in told.items():
        print(f"{name}  {score}")
    return int(any(score.startswith("failed") for score in told.values()))


def _workers(options: argparse.Namespace) -> "Workers | None":
    """Those that the options describe; None: this process."""
    from lsd_experiments.blockwise import Workers
    from lsd_experiments.settings import parse_settings

    named = {name: getattr(options, name) for name in OF_JOBS if getattr(options, name) is not None}
    if options.cluster is None and set(named) - {"num_workers"}:
        option = sorted(set(named) - {"num_workers"})[0]
        raise UserError(f"--{option.replace('_', '-')} is of a cluster's jobs. Name one with --cluster, or leave it out")
    if not named and options.cluster is None:
        return None
    values = {"kind": options.cluster or "local", "num_workers": 4, "cpus": 1, "memory": "8 GB" if options.cluster else None}
    return parse_settings({**values, **named}, Workers, "batch-eval")


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("batch-eval", help="score the submissions of a table")
    parser.set_defaults(command=batch_eval)
    parser.add_argument("--csv-path", "--csv_path", "-c", type=Path, required=True, help="columns data_path,evaluation_id")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where results are put (default: %(default)s)")
    add_scoring(parser)
    jobs = parser.add_argument_group("workers", "each scores one submission at a time (default: this process does, all)")
    jobs.add_argument("--cluster", "-C", choices=("slurm", "lsf"), help="as jobs of it: docs/clusters.md")
    jobs.add_argument("--num-workers", "-w", type=cli.positive, metavar="N", help="at a time (default on a cluster: 4)")
    jobs.add_argument("--num-cpus", "--num_cpus", "-n", dest="cpus", type=cli.positive, metavar="N", help="of a job (default: 1)")
    jobs.add_argument("--memory", metavar="SIZE", help="of a job (default: 8 GB)")
    jobs.add_argument("--time-limit", metavar="H:MM:SS", help="of a job")
    jobs.add_argument("--queue", metavar="NAME", help="the partition of Slurm, the queue of LSF")
    jobs.add_argument("--host", metavar="ADDRESS", help="of this machine, that jobs reach")
