"""The command behind 01_data/view_data.py: raw, labels and their mask of training volumes, any datasets, and skeletons."""

import argparse
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.arrays import has_dataset, list_datasets, open_volume
from lsd_experiments.arrays.local import kind_of
from lsd_experiments.arrays.opening import HDF5_SUFFIXES
from lsd_experiments.checkpoints import SUFFIX
from lsd_experiments.errors import UserError
from lsd_experiments.fetching.fetched import fetched_volumes
from lsd_experiments.skeletons import read_skeletons
from lsd_experiments.viewing.layers import Kind, View, checked
from lsd_experiments.viewing.options import Named, add_file_options, named_files
from lsd_experiments.viewing.server import add_server_options, serve
from lsd_experiments.viewing.skeletons import SkeletonView

SHOWN = {"volumes/raw": Kind.RAW, "volumes/labels/neuron_ids": Kind.LABELS,
         "volumes/labels/labels_mask": Kind.MASK, "volumes/labels/mask": Kind.MASK,
         "volumes/labels/unlabeled_mask": Kind.MASK,
         # The XPRESS challenge's container; its volumes lie in different places.
         "volumes/training_raw": Kind.RAW, "volumes/validation_raw": Kind.RAW, "volumes/test_raw": Kind.RAW,
         "volumes/training_gt_labels": Kind.LABELS, "volumes/training_gt_labels_mask": Kind.MASK,
         "volumes/training_gt_unlabeled_mask": Kind.MASK}

logger = logging.getLogger(__name__)


def main(description: str | None, data_dir: Path) -> None:
    """Run the command; ``data_dir`` is where volumes are looked for if none is named."""
    def command(options: argparse.Namespace) -> None:
        serve(lambda: collect(options, data_dir), options.bind_address, options.port)

    cli.run(command, make_parser(description))


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """The command's options."""
    parser = cli.parser(description)
    parser.add_argument("-d", "--data-dir", action="append", default=[], metavar="DIR",
                        help="all volumes in a directory and below, the first one visible; may be repeated (default: the first "
                             "that was fetched)")
    add_file_options(parser)
    parser.add_argument("-g", "--graphs", action="extend", nargs="+", default=[], metavar="SKELETONS",
                        help="skeletons to be shown over the volumes: .npz (XPRESS), .swc, .nml or .csv")
    parser.add_argument("--scale", type=cli.positive_number, metavar="NM", help="nm per unit of SKELETONS (default: 1)")
    parser.add_argument("-n", "--no-browser", action="store_true", help="no browser is opened in any case; the URL is printed")
    add_server_options(parser)
    return parser


def collect(options: argparse.Namespace, data_dir: Path) -> list[View | SkeletonView]:
    """What ``options`` name, skeletons last; if that is nothing, the first volume in ``data_dir``."""
    if options.scale is not None and not options.graphs:
        raise UserError("--scale is of skeletons. Name them with --graphs, or leave it out")
    volumes = named_views(named_files(options), options.data_dir)
    graphs = [SkeletonView(Path(file).stem, read_skeletons(file, options.scale or 1)) for file in options.graphs]
    return [*(volumes if volumes or graphs else data_views(_first(data_dir))), *graphs]


def named_views(files: Sequence[Named], directories: Sequence[str]) -> list[View]:
    """Of the containers ``files``, and of all in ``directories``, of which the first one is visible.

    :raises UserError: if a file cannot be shown, or nothing in a directory can.
    """
    several = len(files) + len(directories) > 1
    views: list[View] = []
    for file, datasets in files:
        views += dataset_views(file, datasets, several) if datasets else data_views([file], several)
    for directory in directories:
        containers = containers_in(Path(directory))
        found = data_views(containers, titled=several, lenient=len(containers) > 1)
        if not found:
            raise UserError(f"{directory}: none of the {len(containers)} containers in it can be shown. Name one with -f FILE")
        views += found
    return views


def dataset_views(file: str, datasets: Sequence[str], titled: bool = False) -> list[View]:
    """The ``datasets`` of ``file``; all but masks are visible."""
    prefix = f"{Path(file).stem} " if titled else ""
    volumes = [open_volume(file, dataset) for dataset in datasets]
    views = [checked(View(prefix + (volume.dataset.rsplit("/", 1)[-1] or Path(file).stem), volume)) for volume in volumes]
    return [replace(view, visible=view.kind is not Kind.MASK) for view in views]


def containers_in(directory: Path) -> list[str]:
    """``directory`` itself if it is no directory of containers, or else the zarr, N5, precomputed and HDF5 in it and below.

    In the order of their names, in which numbers count as numbers.

    :raises UserError: if there is none.
    """
    if not directory.is_dir() or _is_container(directory):
        return [str(directory)]
    found: list[Path] = []
    for parent, directories, files in os.walk(directory):
        below = {name: _is_container(Path(parent) / name) for name in directories if not name.startswith(".")}
        found += [Path(parent) / name for name in below if below[name]]
        found += [Path(parent) / name for name in files if _is_hdf5(name)]
        directories[:] = [name for name in below if not below[name]]
    if not found:
        raise UserError(f"{directory}: holds no zarr, N5 or HDF5. Name a volume")
    return [str(path) for path in sorted(found, key=_natural)]


def _is_hdf5(name: str) -> bool:
    """By its name; a checkpoint's suffix says that it holds weights."""
    return Path(name).suffix.lower() in HDF5_SUFFIXES and not name.startswith(".") and not name.endswith(SUFFIX)


def _is_container(directory: Path) -> bool:
    return directory.suffix in (".zarr", ".n5") or kind_of(directory) is not None


def _natural(path: Path) -> list[tuple[int, str]]:
    """``a2`` before ``a10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def data_views(containers: list[str], titled: bool = False, lenient: bool = False) -> list[View]:
    """Raw, labels and masks of ``containers``, as far as they are there; raw and labels are visible.

    ``titled``: layers carry their container's name, as they do if there are several. ``lenient``: containers that cannot be
    shown are named in the log, and only the first one that can is visible.
    """
    views: list[View] = []
    for container in containers:
        prefix = f"{Path(container).stem} " if titled or len(containers) > 1 else ""
        try:
            found = list(_views(container, prefix))
        except UserError as error:
            if not lenient:
                raise
            logger.warning("not shown: %s", error)
            continue
        views += [replace(view, visible=False) for view in found] if lenient and views else found
    return views


def _views(container: str, prefix: str) -> Iterator[View]:
    named = [name for name in SHOWN if has_dataset(container, name)] if any(list_datasets(container)) else []
    if not named:
        volume = open_volume(container, default="volumes/raw")
        yield checked(View(prefix + (volume.dataset or "raw"), volume))
    errors: list[UserError] = []
    for name in named:
        kind = SHOWN[name]
        is_first = kind is not Kind.RAW or name == next(other for other in named if SHOWN[other] is Kind.RAW)
        try:
            yield checked(View(prefix + name.rsplit("/", 1)[-1], open_volume(container, name), kind,
                               visible=is_first and kind is not Kind.MASK))
        except UserError as error:
            errors.append(error)
    if len(errors) == len(named) and errors:
        raise errors[0]
    for refusal in errors:
        logger.warning("not shown: %s", refusal)  # labels that do not cover a crop of raw, what is damaged


def _first(data_dir: Path) -> list[str]:
    found = fetched_volumes(data_dir)
    if not found:
        raise UserError(f"{data_dir}: no volume was fetched yet. Name one with -d DIR")
    return found[:1]
