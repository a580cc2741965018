"""``--file FILE [--datasets D ...]``, any number of times: datasets belong to the file before them."""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

from lsd_experiments.errors import UserError


class Named(NamedTuple):
    """A container, and the datasets of it that are to be shown; none: those that are known."""

    file: str
    datasets: tuple[str, ...] = ()


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--file`` and ``--datasets``; both are found by :func:`named_files`."""
    parser.add_argument("-f", "--file", action=_File, default=[], metavar="FILE", help="a volume; may be repeated")
    parser.add_argument("--datasets", action=_Datasets, dest="file", nargs="+", metavar="D",
                        help="datasets of the file named before (default: raw, labels and their masks)")


def named_files(options: argparse.Namespace) -> list[Named]:
    """The files of ``options``, with their datasets.

    :raises UserError: if datasets come before any file.
    """
    if options.file and not options.file[0].file:
        raise UserError(f"--datasets {' '.join(options.file[0].datasets)}: of which file? Name it before, with --file FILE")
    return list(options.file)


class _File(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:
        namespace.file = [*namespace.file, Named(values)]


class _Datasets(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: str | Sequence[Any] | None,
                 option_string: str | None = None) -> None:
        *before, last = namespace.file or [Named("")]
        namespace.file = [*before, Named(last.file, (*last.datasets, *(values or ())))]
