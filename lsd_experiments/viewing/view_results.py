"""The command behind 03_predict/view.py: raw, affinities, LSDs, fragments, segmentations and ground truth together."""

import argparse
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.arrays import Volume, list_datasets, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.provenance import provenance_in
from lsd_experiments.targets import KNOWN
from lsd_experiments.viewing.layers import View, checked
from lsd_experiments.viewing.linking import PAGE, linked_volumes
from lsd_experiments.viewing.server import add_server_options, serve, serve_links

# The layers' order, by the last part of their datasets' names; what fits none comes last.
PREDICTED = (rf"(pred_)?({target.named}).*" for target in reversed(KNOWN))
ORDER = (r"raw", *PREDICTED, r"fragments.*", r"(seg.*|components)", r"(neuron_ids|labels)", r".*masks?")
VISIBLE = (r"raw", r"(seg.*|components)", r"(neuron_ids|labels)")  # the newest of each; of the last two, only one

logger = logging.getLogger(__name__)


def main(description: str | None) -> None:
    """Run the command."""
    parser = cli.parser(description)
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="the config that the results were made with")
    parser.add_argument("-f", "--file", action="append", default=[], metavar="FILE",
                        help="a container, or FILE:DATASET; may be repeated")
    parser.add_argument("--link", action="store_true", help="print a link to neuroglancer's page for what [export] wrote, or for "
                        "precomputed and OME-Zarr volumes, which it reads itself")
    parser.add_argument("--page", default=PAGE, metavar="URL", help="of --link: where neuroglancer is (default: %(default)s)")
    add_server_options(parser)

    def command(options: argparse.Namespace) -> None:
        if options.link:
            exported = [*exported_names(options.config), *options.file]
            serve_links(lambda: linked_volumes(exported), options.bind_address, options.port, options.page)
            return
        names = [*config_names(options.config), *options.file]
        if not names:
            raise UserError("nothing to show. Name a config, or containers with -f FILE")
        serve(lambda: result_views(names), options.bind_address, options.port)

    cli.run(command, parser)


def result_views(names: list[str]) -> list[View]:
    """The volumes of ``names`` (``container`` or ``container:dataset``), raw first and segmentations over it.

    Visible are raw and the newest segmentation, or the labels if there is none.
    """
    found = {(view.volume.name, view.volume.region): view for name in names for view in _views(name)}  # crops are volumes, too
    views = sorted(found.values(), key=lambda view: _rank(view.name))
    visible = [_newest([view for view in views if re.fullmatch(pattern, view.name)]) for pattern in VISIBLE]
    shown = [visible[0], visible[1] or visible[2]]
    return [replace(view, visible=any(view is other for other in shown)) for view in views]


def _newest(views: list[View]) -> View | None:
    """The one that a stage finished last; of volumes that do not say when, the first."""
    return max(views, key=lambda view: str(view.volume.attrs.get("finished", "")), default=None)


def _views(name: str) -> Iterator[View]:
    """The volume ``container:dataset``, or all of ``container`` that is for people."""
    container, _, dataset = name.rpartition(":")
    is_address = dataset.startswith("//") or re.search("https?://[^/]*$", container)  # its ":", or that of a server's port
    if container and not is_address and not Path(name).exists():
        yield _view(open_volume(container, dataset))
        return
    datasets = list_datasets(name)
    if not any(datasets):
        yield _view(open_volume(name))
    errors = []
    for dataset in filter(None, datasets):
        try:
            volume = open_volume(name, dataset)
            if not _is_internal(volume):
                yield _view(volume)
        except UserError as error:
            errors.append(error)
    if errors and len(errors) == len(datasets):
        raise errors[0]
    for refusal in errors:
        logger.warning("not shown: %s", refusal)


def _is_internal(volume: Volume) -> bool:
    """Whether it is of use to the next stage alone: the parts of each block, which components are made of."""
    return provenance_in(volume.attrs).get("stage") == "label_blocks"


def _view(volume: Volume) -> View:
    return checked(View(Path(volume.dataset).name or Path(volume.place[0]).stem, volume))


def _rank(title: str) -> int:
    return next((rank for rank, pattern in enumerate(ORDER) if re.fullmatch(pattern, title)), len(ORDER))


def exported_names(config: str | None) -> list[str]:
    """What the [export] of a config wrote, in the format that it says now: others may lie beside it.

    :raises UserError: if it has none, or nothing was written yet
    """
    if config is None:
        return []
    from lsd_experiments.conversion.settings import SUFFIXES
    from lsd_experiments.pipeline.configuration import load_any

    settings = load_any(config)
    if settings.export is None:
        raise UserError(f"{config}: has no [export]. Add one, or name precomputed and OME-Zarr volumes with -f FILE")
    suffix = SUFFIXES[settings.export.format]
    found = sorted(str(path) for path in settings.export_directory.glob(f"[!.]*{suffix}"))
    if not found:
        raise UserError(f"{settings.export_directory}: no {suffix} is exported yet. Run export.py first")
    return found


def config_names(config: str | None) -> list[str]:
    """What the stages of a config read and made: raw, all of the output, and labels."""
    if config is None:
        return []
    from lsd_experiments.pipeline.configuration import load_any

    settings = load_any(config)
    names = [f"{settings.raw_file}:{settings.raw_dataset}"] if settings.raw_file else []
    names += [settings.out_file] if Path(settings.out_file).exists() else []
    names += [":".join(place) for place in settings.places if place[0] != settings.out_file]
    if settings.evaluate is not None and settings.evaluate.labels_file is not None:
        names.append(f"{settings.evaluate.labels_file}:{settings.evaluate.labels_dataset}")
    return names
