"""The commands of a setup directory: ``predict_scan.py`` and ``predict.py``."""

import argparse
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.cli import positive
from lsd_experiments.options import add_options, given
from lsd_experiments.prediction.settings import PredictionSettings

if TYPE_CHECKING:
    from lsd_experiments.prediction.plan import Plan


def scan_main() -> None:
    """Predict a volume in this process; by default the part of raw whose context is raw too, as published."""
    setup, description = _caller()
    parser = _parser(description)
    parser.add_argument("--pad", action="store_true", help="predict all of raw; what its context lacks is 0")

    def command(arguments: argparse.Namespace) -> None:
        from lsd_experiments.prediction.blockwise import predict_scan
        from lsd_experiments.prediction.plan import make_plan

        plan = make_plan(_settings(arguments, setup, shrink=not arguments.pad))
        _report(plan, predict_scan(plan, arguments.overwrite))

    cli.run(command, parser)


def blockwise_main() -> None:
    """Predict all of a volume by daisy workers."""
    setup, description = _caller()
    parser = _parser(description)
    parser.add_argument("--num-workers", type=positive, default=1, help="processes that predict (default: 1)")

    def command(arguments: argparse.Namespace) -> int:
        from lsd_experiments.blockwise import BlocksFailedError, Workers
        from lsd_experiments.prediction.blockwise import predict_blockwise
        from lsd_experiments.prediction.plan import make_plan

        plan = make_plan(_settings(arguments, setup, shrink=False))
        try:
            _report(plan, predict_blockwise(plan, Workers(num_workers=arguments.num_workers), arguments.overwrite))
        except BlocksFailedError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        return 0

    cli.run(command, parser)


def _caller() -> tuple[Path, str]:
    """The directory and the docstring of the script that called a command."""
    names = inspect.stack()[2].frame.f_globals
    return Path(names["__file__"]).resolve().parent, names["__doc__"]


def _parser(description: str) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    add_options(parser, PredictionSettings)
    parser.set_defaults(out_file="test_prediction.zarr")
    parser.add_argument("--overwrite", action="store_true", help="make the output anew, also if it was made otherwise")
    return parser


def _settings(arguments: argparse.Namespace, setup: Path, shrink: bool) -> PredictionSettings:
    return PredictionSettings(setup=str(setup), shrink=shrink, **given(arguments, PredictionSettings))


def _report(plan: "Plan", predicted: bool) -> None:
    if not predicted:
        print("nothing to do: it was predicted before, with the same parameters", file=sys.stderr)
    if plan.trained.averaged:
        print(f"{plan.trained.checkpoint.path.name}: the averages of its weights were taken; --plain-weights takes the last ones",
              file=sys.stderr)
    print(f"{plan.settings.out_file}: {', '.join(output.dataset for output in plan.outputs.values())}")
