"""The command behind 02_train/*/*/view_batch.py: all arrays of training snapshots (``snapshots/batch_<n>.hdf``)."""

import argparse
import logging
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.targets import KNOWN
from lsd_experiments.viewing.layers import View, checked
from lsd_experiments.viewing.server import add_server_options, serve

logger = logging.getLogger(__name__)
SHOWN_FIRST = ("volumes/raw", "volumes/labels/neuron_ids")
# The first that there is, is visible over raw: affinities before LSDs.
PREDICTIONS = [f"pred_{name}" for target in reversed(KNOWN) for name in ([target.snapshot_name] if target.snapshot_name else
                                                                         target.published_names)]


def main(description: str | None = None, directory: Path = Path()) -> None:
    """Run the command; ``directory`` is the experiment's, whose newest snapshot is shown if none is named."""
    parser = cli.parser(description)
    parser.add_argument("-f", "--file", action="append", default=[], metavar="FILE",
                        help="a snapshot; may be repeated (default: the newest in snapshots/)")
    add_server_options(parser)

    def command(options: argparse.Namespace) -> None:
        serve(lambda: batch_views(options.file or [newest(directory)]), options.bind_address, options.port)

    cli.run(command, parser)


def newest(directory: Path) -> str:
    """The snapshot of the highest iteration in ``directory``/snapshots.

    :raises UserError: if there is none.
    """
    found = [path for path in (directory / "snapshots").glob("batch_*.hdf") if path.stem.rsplit("_", 1)[-1].isdigit()]
    if not found:
        raise UserError(f"{directory / 'snapshots'}: holds no batch_<n>.hdf. Run train.py first, or name a snapshot "
                        "with -f FILE")
    return str(max(found, key=lambda path: int(path.stem.rsplit("_", 1)[-1])))


def batch_views(files: list[str]) -> list[View]:
    """All arrays of the snapshots ``files``, but for those that cannot be shown; raw and one prediction are visible."""
    views: list[View] = []
    errors: list[UserError] = []
    for file in files:
        datasets = list_datasets(file) or [""]  # a crop of one dataset
        first = [name for name in SHOWN_FIRST if name in datasets]
        prefix = f"{Path(file).stem} " if len(files) > 1 else ""
        prediction = next((name for name in PREDICTIONS if f"volumes/{name}" in datasets), None)
        for dataset in [*first, *(name for name in datasets if name not in first)]:
            try:
                volume = open_volume(file, dataset)
                name = volume.dataset.rsplit("/", 1)[-1]
                views.append(checked(View(prefix + name, volume, visible=name in ("raw", prediction))))
            except UserError as error:
                errors.append(error)
    if errors and not views:
        raise errors[0]
    for refusal in errors:
        logger.warning("not shown: %s", refusal)
    return views
