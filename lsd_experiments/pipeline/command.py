"""The commands of 03_predict/: one per stage, one for all, and one that tells how far they are."""

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError, nearest

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from lsd_experiments.pipeline.settings import AnyPipeline


def main(stage: str, description: str | None, arguments: Sequence[str] | None = None) -> None:
    """Run one stage as a command.

    :param stage: its name, ``run`` for all, or ``status`` for how far they are
    :param description: the docstring of the script
    """
    parser = cli.parser(description)
    parser.add_argument("config", metavar="CONFIG", help="TOML file with the settings; see docs/segmentation.md")
    if stage == "status":
        cli.run(_status, parser, arguments)
    parser.add_argument("--num-workers", type=cli.positive, help="workers at a time, in place of the configuration's")
    parser.add_argument("--overwrite", action="store_true", help="make anew what is there already")
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be done, and why")
    if stage == "run":
        parser.add_argument("--from", dest="first", metavar="STAGE", help="begin with this stage, so that --overwrite keeps "
                            "what the ones before made")
    cli.run(lambda options: _run(stage, options), parser, arguments)


def _status(options: argparse.Namespace) -> None:
    from lsd_experiments.pipeline.configuration import load_any
    from lsd_experiments.pipeline.overview import describe_status, plan_stages
    from lsd_experiments.pipeline.plans import stage_names

    config = load_any(options.config)
    print(describe_status(config, plan_stages(config, stage_names(config))))


def _run(stage: str, options: argparse.Namespace) -> int:
    from lsd_experiments.blockwise import BlocksFailedError
    from lsd_experiments.pipeline.configuration import load_any, with_num_workers
    from lsd_experiments.pipeline.overview import describe_plan, plan_stages
    from lsd_experiments.pipeline.places import check_new_containers, check_places
    from lsd_experiments.pipeline.progress import ProgressView
    from lsd_experiments.pipeline.running import run_stage

    config = load_any(options.config)
    if options.num_workers is not None:
        config = with_num_workers(config, options.num_workers)
    names = _names(stage, config, getattr(options, "first", None))
    check_new_containers(config, names)
    stages = plan_stages(config, names, options.overwrite)  # all of them are possible, as far as can be known before the first
    check_places(config, stages)
    if options.dry_run:
        print(describe_plan(config, stages))
        return 0
    with ProgressView(names) as view:
        for name in names:
            try:
                report = run_stage(name, config, options.overwrite, view.of(name))
            except BlocksFailedError as error:
                failure = error
                break
            view.finished(name, report)
        else:
            _warn_of_stale(config, names)
            return 0
    print(f"error: {failure}", file=sys.stderr)
    return 1


def _warn_of_stale(config: "AnyPipeline", names: Sequence[str]) -> None:
    """Say so if a stage before the first of ``names`` is not what the configuration says: its output was used as it is."""
    from lsd_experiments.pipeline.overview import plan_stages
    from lsd_experiments.pipeline.plans import stage_names

    order = stage_names(config)
    before = order[:order.index(names[0])] if names[0] in order else []
    try:
        stages = plan_stages(config, before)
    except UserError:  # they cannot run here, and need not
        return
    for stage in stages:
        if stage.state.kind == "stale":
            logger.warning("%s is out of date (%s), and its output was used as it is: run.py makes it anew", stage.name,
                           stage.state.reason)


def _names(stage: str, config: "AnyPipeline", first: str | None) -> list[str]:
    """The stages to run.

    :raises UserError: if ``first`` is none of them
    """
    from lsd_experiments.pipeline.plans import check_stage, stage_names

    if stage != "run":
        check_stage(stage, config)
        return [stage]
    names = stage_names(config)
    if first is None:
        return names
    if first not in names:
        raise UserError(f"--from {first}: no stage of this configuration{nearest(first, names)}; there are {', '.join(names)}")
    return names[names.index(first):]
