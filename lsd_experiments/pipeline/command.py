"""The commands of 03_predict/: one per stage, and one for all."""

import argparse
import sys
from collections.abc import Sequence

from lsd_experiments import cli
from lsd_experiments.errors import UserError, nearest


def main(stage: str, description: str | None, arguments: Sequence[str] | None = None) -> None:
    """Run one stage as a command.

    :param stage: its name, or ``run`` for all
    :param description: the docstring of the script
    """
    parser = cli.parser(description)
    parser.add_argument("config", metavar="CONFIG", help="TOML file with the settings; see docs/segmentation.md")
    parser.add_argument("--num-workers", type=cli.positive, help="processes at a time, in place of the configuration's")
    parser.add_argument("--overwrite", action="store_true", help="make anew what is there already")
    if stage == "run":
        parser.add_argument("--from", dest="first", metavar="STAGE", help="begin with this stage, so that --overwrite keeps "
                            "what the ones before made")
    cli.run(lambda options: _run(stage, options), parser, arguments)


def _run(stage: str, options: argparse.Namespace) -> int:
    from lsd_experiments.blockwise import BlocksFailedError
    from lsd_experiments.pipeline.settings import load_pipeline
    from lsd_experiments.pipeline.stages import STAGES

    config = load_pipeline(options.config)
    if options.num_workers is not None:
        config = config.model_copy(update={"num_workers": options.num_workers})
    names = [name for name in STAGES if name != "evaluate" or config.evaluate] if stage == "run" else [stage]
    if stage == "run" and config.setup is None:
        names.remove("predict")  # the affinities are there
    if getattr(options, "first", None) is not None:
        if options.first not in names:
            raise UserError(f"--from {options.first}: no stage of this configuration{nearest(options.first, names)}; there are "
                            f"{', '.join(names)}")
        names = names[names.index(options.first):]
    for name in names:
        try:
            result = STAGES[name](config, options.overwrite)
        except BlocksFailedError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        print(f"{name}: {result}" if len(result.splitlines()) == 1 else result, flush=True)
    return 0
