"""The command behind 03_predict/scores.py."""

import argparse
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.writing import put_text


def main(description: str | None) -> None:
    """Run the command."""
    cli.run(lambda options: options.command(options), _parser(description))


def add(options: argparse.Namespace) -> None:
    """Add scores; what is wrong with one file is said before any is added."""
    from lsd_experiments.scores.database import ScoresDatabase
    from lsd_experiments.scores.entries import read_entries

    entries = [entry for path in options.scores for entry in read_entries(path, options.network, options.iteration)]
    ScoresDatabase(options.db).add(entries)
    checkpoints = len({(entry.network, entry.checkpoint) for entry in entries})
    print(f"{options.db}: {len(entries)} rows of {checkpoints} checkpoint{'s' if checkpoints != 1 else ''}")


def show(options: argparse.Namespace) -> None:
    """Print the table, best first."""
    from lsd_experiments.scores.database import ScoresDatabase
    from lsd_experiments.scores.tables import as_csv, as_text, best_first, of_one_truth

    entries = of_one_truth(ScoresDatabase(options.db).entries(), options.truth)
    metric, chosen = best_first(entries, options.by, options.top, options.one_per_checkpoint)
    if options.csv is not None:
        put_text(options.csv, as_csv(chosen))
    print(as_text(chosen, metric))


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    commands = parser.add_subparsers(required=True, metavar="add | show")
    adding = commands.add_parser("add", help="put scores into the table")
    adding.set_defaults(command=add)
    adding.add_argument("scores", nargs="+", metavar="SCORES.json", help="what evaluate.py wrote")
    adding.add_argument("--network", metavar="NAME", help="that predicted the affinities, if the scores do not say so")
    adding.add_argument("--iteration", type=cli.positive, metavar="N", help="its checkpoint's, if the scores do not say so")
    showing = commands.add_parser("show", help="print the table, best first")
    showing.set_defaults(command=show)
    showing.add_argument("--by", metavar="SCORE", help="which score decides (default: xpress_erl_rand, or voi_sum of labels)")
    showing.add_argument("--top", type=cli.positive, metavar="N", help="the N best only")
    showing.add_argument("--one-per-checkpoint", action="store_true", help="the best of each checkpoint only")
    showing.add_argument("--truth", metavar="NAME", help="against which ground truth, if there are several")
    showing.add_argument("--csv", type=Path, metavar="OUT.csv", help="write these rows with all scores")
    for command in (adding, showing):
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # here, too
        command.add_argument("--db", default="validation_results.db", metavar="FILE", help="the table (default: %(default)s)")
    return parser
