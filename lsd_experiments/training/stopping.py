"""What keeps a training from its directory, or ends it before its last iteration."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LOCK = ".training.lock"  # of a training in its directory
WORK = "another training is at work in this directory"  # what is said where that is held
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class NotFinite(Exception):
    """The loss, or a weight, is not a number any more."""


@contextmanager
def stop_requests() -> Iterator[Callable[[], int]]:
    """Turns SIGTERM and Ctrl-C into a question: the signal that asked for a stop, or 0. A second Ctrl-C interrupts at once."""
    received: list[int] = []
    main_process = os.getpid()

    def remember(number: int, _: Any) -> None:
        if os.getpid() == main_process and received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, remember) for number in SIGNALS}
    try:
        yield lambda: received[0] if received else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
