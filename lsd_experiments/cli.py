"""What all commands share: how they end, and how they say why.

Exit statuses: 0 done, 1 failed (our fault, or some blocks failed), 2 the user's mistake, 130 interrupted, 141 nobody reads
what is printed any more (``| head``), 143 terminated.
"""

import argparse
import errno
import logging
import math
import os
import re
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TextIO

from lsd_experiments.errors import UserError, without_passwords
from lsd_experiments.logs import log_to_terminal

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
# The names of what is written beside its place and then renamed: their groups are the name of the place.
BESIDE = [
    re.compile(pattern)
    for pattern in (
        r"\.(.+?)(?:\.[a-z0-9_]{8}|\.\d+)?\.partial",
        r"\.?(.+)\.partial-\d+(\..*)?",
        r"\.(train_net_checkpoint_\d+(?:\.best)?)\.\d+(\.weights\.h5)",
        r"\.(.+)\.\d+",
        r"\.blockwise",
    )
]


BEST = "best"  # in place of a checkpoint's iteration


class Parser(argparse.ArgumentParser):
    """One that quotes no passwords, also of URLs in place of other arguments, which argparse says that it does not know."""

    def error(self, message: str) -> NoReturn:  # noqa: D102
        super().error(without_passwords(message))


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every command has; ``description`` is the command's docstring."""
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debug", action="store_true", help="log in detail, and give the traceback of an error")
    return parser


def positive(text: str) -> int:
    """The whole number above 0 that ``text`` says, for argparse."""
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number


def checkpoint(text: str) -> int | str:
    """The iteration above 0 that ``text`` says, or ``best``, for argparse."""
    return text if text == BEST else positive(text)


def positive_number(text: str) -> float:
    """The finite number above 0 that ``text`` says, for argparse."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def share(text: str) -> float:
    """The number from 0 on, but below 1, that ``text`` says, for argparse."""
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 on and below 1")
    return number


def not_negative(text: str) -> int:
    """The whole number from 0 on that ``text`` says, for argparse."""
    number = _whole(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0")
    return number


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
    with unread_output():
        sys.exit(_status(command, parser, arguments))


def _status(
    command: Callable[[argparse.Namespace], int | None], parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> int:
    options = parser.parse_args(arguments)
    log_to_terminal(options.debug)
    with refusals(options.debug):
        status = command(options) or 0
    return status


@contextmanager
def unread_output() -> Iterator[None]:
    """While open, and at its end, output that nobody reads any more ends the process without a word, with status 141."""
    _open_streams()
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _is_unread(sys.stdout):
            raise
        # What is still in the buffer goes nowhere, too, or Python would say so at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _open_streams() -> None:
    """Have standard streams that were closed lead nowhere: not into the files that would get their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(number, True)
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115  (for as long as the process is there)


def _is_unread(stream: TextIO) -> bool:
    """Whether ``stream`` is a pipe, or a socket, whose other end is closed."""
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)
    except (OSError, ValueError):  # no file
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


@contextmanager
def described(description: str | None) -> Iterator[None]:
    """For a script without options of its own: parses the command line, and ends the process as :func:`run` does."""
    with unread_output():
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
        status = _refuse(f"{_named(error)}: {os.strerror(error.errno).lower()}. {remedy}", debug)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    else:
        return
    sys.exit(status)


def _named(error: OSError) -> str:
    """The place that ``error`` is about, by its own name: not that of what is written beside it and then renamed."""
    within = re.search(r"name = '([^']+)'", str(error))  # HDF5's library
    path = error.filename or (within and within[1])
    if not isinstance(path, str):
        return "output"
    kept: list[str] = []
    for part in Path(path).parts:
        kept.append(part)
        for pattern in BESIDE:
            if match := pattern.fullmatch(part):
                kept[-1] = "".join(group or "" for group in match.groups())
                return str(Path(*kept))
    return path


def _refuse(message: str, debug: bool) -> int:
    if debug:
        where = without_passwords(traceback.format_exc())
        logging.getLogger(__name__).error("the error below was raised here\n%s", where.rstrip())
    print(f"error: {without_passwords(message)}", file=sys.stderr)
    return 2
