"""The command behind 01_data/view_data.py: raw, labels and their mask of training volumes."""

import argparse
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.viewing.layers import Kind, View
from lsd_experiments.viewing.server import add_server_options, serve

SHOWN = {"volumes/raw": Kind.RAW, "volumes/labels/neuron_ids": Kind.LABELS,
         "volumes/labels/labels_mask": Kind.MASK, "volumes/labels/mask": Kind.MASK}


def main(description: str | None, data_dir: Path) -> None:
    """Run the command; ``data_dir`` is where volumes are looked for if none is named."""
    parser = cli.parser(description)
    parser.add_argument("-d", "--data-dir", action="append", default=[], metavar="DIR",
                        help="a volume, or a directory of volumes; may be repeated (default: the first fetched)")
    parser.add_argument("-f", "--file", action="append", default=[], metavar="FILE", help="a volume; may be repeated")
    add_server_options(parser)

    def command(options: argparse.Namespace) -> None:
        containers = [*options.file, *(c for name in options.data_dir for c in containers_in(Path(name)))]
        serve(lambda: data_views(containers or _first(data_dir)), options.bind_address, options.port)

    cli.run(command, parser)


def containers_in(directory: Path) -> list[str]:
    """``directory`` itself if it is a container, or else the ``*.zarr`` and ``*.n5`` in it.

    :raises UserError: if there is none.
    """
    if not directory.is_dir() or directory.suffix in (".zarr", ".n5"):
        return [str(directory)]
    found = sorted(str(path) for path in directory.iterdir() if path.suffix in (".zarr", ".n5"))
    if not found:
        raise UserError(f"{directory}: holds no .zarr or .n5. Name a volume")
    return found


def data_views(containers: list[str]) -> list[View]:
    """Raw, labels and mask of ``containers``, as far as they are there."""
    views = []
    for container in containers:
        present = list_datasets(container)
        named = [name for name in SHOWN if name in present]
        prefix = f"{Path(container).stem} " if len(containers) > 1 else ""
        if not named:
            volume = open_volume(container, default="volumes/raw")
            views.append(View(prefix + (volume.dataset or "raw"), volume))
        for name in named:
            kind = SHOWN[name]
            title = prefix + name.rsplit("/", 1)[-1]
            views.append(View(title, open_volume(container, name), kind, visible=kind is not Kind.MASK))
    return views


def _first(data_dir: Path) -> list[str]:
    found = sorted(str(path) for path in data_dir.glob("funke/*/training/*.zarr"))
    if not found:
        raise UserError(f"{data_dir}: no volume was fetched yet. Name one with -d DIR")
    return found[:1]
