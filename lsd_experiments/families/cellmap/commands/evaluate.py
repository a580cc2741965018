"""``csc evaluate``."""

import argparse
from pathlib import Path

from lsd_experiments.families.cellmap.commands.options import Subparsers, add_scoring, rules, targets


def evaluate(options: argparse.Namespace) -> None:
    """Score a submission."""
    from lsd_experiments.families.cellmap.evaluation import evaluate
    from lsd_experiments.families.cellmap.results import shown, write_results

    result, extended = evaluate(options.submission_path, options.truth_path, rules(options), targets(options))
    beside = write_results(options.result_file, result, extended)
    print(f"rules {result['rules']}" + (", parity" if result["parity"] else ""))
    print(shown(result))
    print(options.result_file, beside)


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("evaluate", help="score a submission against a truth")
    parser.set_defaults(command=evaluate)
    parser.add_argument("--submission-path", "--submission_path", "-s", type=Path, default=Path("data/submission.zip"),
                        help="default: %(default)s")
    parser.add_argument("--result-file", "--result_file", "-r", type=Path, default=Path("result.json"),
                        help="%(default)s; beside it, result_extended.json has all counts")
    add_scoring(parser)
