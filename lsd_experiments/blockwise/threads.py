"""Whose turn it is among the threads of a worker.

Blocks are taken by one thread at a time. A block that was in work as its worker died is worked on alone: no other thread
has one meanwhile, so that a block that kills its worker takes no innocent ones with it. And while a block that failed
here waits for another worker, no thread takes any.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Of one worker."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taking = False  # one is about to take a block, or works on it alone
        self._working = 0
        self._held = 0

    def take(self) -> None:
        """Wait until this thread may ask for a block."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taking and not self._held)
            self._taking = True

    def taken(self) -> None:
        """Let the next one ask."""
        with self._changed:
            self._taking = False
            self._changed.notify_all()

    @contextmanager
    def work(self, alone: bool) -> Iterator[None]:
        """While open, this thread works on the block that it took."""
        with self._changed:
            if alone:
                self._changed.wait_for(lambda: not self._working)
            self._working += 1
        if not alone:
            self.taken()
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()
            if alone:
                self.taken()

    def hold(self) -> None:
        """From now on, no thread takes a block."""
        with self._changed:
            self._held += 1

    def release(self) -> None:
        """The end of :meth:`hold`."""
        with self._changed:
            self._held -= 1
            self._changed.notify_all()
