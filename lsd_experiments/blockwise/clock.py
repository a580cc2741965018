"""Seconds that this process lived through: while it is stopped itself, or its machine sleeps, nobody else is late."""

import time


class Clock:
    """Counts from 0; one step between two looks is at most ``step`` seconds.

    :ivar now: the time, as of the last look
    """

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self._step, self._last = step, time.monotonic()

    def look(self) -> float:
        """The time."""
        last, self._last = self._last, time.monotonic()
        self.now += min(self._last - last, self._step)
        return self.now
