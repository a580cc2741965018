"""What all commands share: how they end, and how they say why.

Exit statuses: 0 done, 1 failed (our fault, or some blocks failed), 2 the user's mistake, 130 interrupted, 143 terminated.
"""

import argparse
import errno
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from lsd_experiments.errors import UserError

# What the file system refuses is the user's to mend; any other OSError is ours.
REFUSALS = {
    errno.ENOENT,  # also what making a directory in /proc ends with
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
}


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every command has; ``description`` is the command's docstring."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debug", action="store_true", help="log in detail, and give the traceback of an error")
    return parser


def positive(text: str) -> int:
    """The whole number above 0 that ``text`` says, for argparse."""
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number


def positive_number(text: str) -> float:
    """The finite number above 0 that ``text`` says, for argparse."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def not_negative(text: str) -> int:
    """The whole number from 0 on that ``text`` says, for argparse."""
    number = _whole(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0")
    return number


def add_raw_range(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--raw-range``, whose words :func:`lsd_experiments.intensity.parse` reads."""
    parser.add_argument(
        "--raw-range",
        nargs="+",
        metavar="VALUE",
        help="which raw becomes 0 and which 1: two numbers, two percentiles like 0.1%% 99.9%%, or the word type, for the range of "
        f"its type (default: {default})",
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def run(
    command: Callable[[argparse.Namespace], int | None],
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None = None,
) -> None:
    """Parse ``arguments`` (default: the command line), call ``command`` with them, and exit with its status.

    A :class:`UserError`, and what the file system refuses, becomes one line on the error stream and status 2; with
    ``--debug`` its traceback comes first. An error of ours keeps its traceback.
    """
    options = parser.parse_args(arguments)
    # Only our own detail: numba alone logs thousands of lines for each function that it compiles.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s:%(name)s:%(message)s")
    if options.debug:
        logging.getLogger("lsd_experiments").setLevel(logging.DEBUG)
    with refusals(options.debug):
        status = command(options) or 0
    sys.stdout.flush()
    sys.exit(status)


@contextmanager
def described(description: str | None) -> Iterator[None]:
    """For a script without options of its own: parses the command line, and ends the process as :func:`run` does."""
    options = parser(description).parse_args()
    with refusals(options.debug):
        yield


@contextmanager
def refusals(debug: bool = False) -> Iterator[None]:
    """While open, a user's mistake and Ctrl-C end the process as :func:`run` says."""
    try:
        yield
    except UserError as error:
        status = _refuse(str(error), debug)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        remedy = "Name a place that can be written, or make room there"
        if error.errno == errno.ENOENT:
            remedy = "Correct the path, or name another place"
        status = _refuse(f"{error.filename or 'output'}: {os.strerror(error.errno).lower()}. {remedy}", debug)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    else:
        return
    sys.stdout.flush()
    sys.exit(status)


def _refuse(message: str, debug: bool) -> int:
    if debug:
        logging.getLogger(__name__).exception("the error below was raised here")
    print(f"error: {message}", file=sys.stderr)
    return 2
