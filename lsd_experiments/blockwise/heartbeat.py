"""Workers whose heartbeat is missed: stopped, or waiting for a file system or a device that is gone, they never end.

The server gives them up: it takes their blocks back, hears nothing of them any more, kills what it can, and starts others. What
they did counts when they said so before; a block in work was as if it had never been begun, since another worker writes the
same.
"""

import time

from lsd_experiments.blockwise.connection import quiet
from lsd_experiments.blockwise.processes import Slot, descendants, is_stopped
from lsd_experiments.blockwise.spec import TaskSpec

STOPPED = 30.0  # seconds in which who stopped a worker may let it go on
BROKEN = 30.0  # seconds in which a process must end whose line broke


class Clock:
    """Seconds that this process lived through: while it is stopped itself, or its machine sleeps, nobody else is late.

    Counts from 0; one step between two looks is at most ``step`` seconds.

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


def block_limit(spec: TaskSpec) -> float | None:
    """Seconds after which a block is taken back; workers end themselves before, at ``block_timeout``, if they can."""
    limit: float | None = spec.workers["block_timeout"]
    if limit is None:
        return None
    return limit * (2 if spec.threads > 1 else 1) + min(15.0, max(2.0, limit))  # one that is alone waits before


def why_frozen(spec: TaskSpec, slot: Slot, now: float) -> str | None:
    """Why the worker of ``slot`` counts as frozen, in words; None if it does not."""
    limit = block_limit(spec)
    if limit is not None and any(now - since > limit for since, _ in slot.blocks.values()):
        return f"timed out after {spec.workers['block_timeout']:g} s, and its worker did not end"
    patience = quiet()
    silent = now - (slot.started if slot.line is None else slot.heard)
    is_ours = spec.workers["kind"] == "local"
    if slot.line is not None and silent > patience:
        return f"its worker gave no sign of life for {patience:g} s"
    if slot.line is None and slot.lost is not None and is_ours and now - slot.lost > BROKEN:
        return f"its worker's line broke, and its process was still there {BROKEN:g} s later"
    alone = is_ours and not spec.workers["prefix"] and not spec.workers["image"]  # others may wait for their turn somewhere
    if slot.line is None and slot.lost is None and alone and silent > patience:
        return f"its worker was not there {patience:g} s after its start"
    return _stopped(slot, now, min(STOPPED, patience), silent)


def _stopped(slot: Slot, now: float, patience: float, silent: float) -> str | None:
    if slot.line is not None and silent < patience / 2:  # it gives signs of life
        slot.stopped = None
        return None
    if not any(map(is_stopped, (slot.pid, *descendants(slot.pid)))):
        slot.stopped = None
    elif slot.stopped is None:
        slot.stopped = now
    elif now - slot.stopped > patience:
        return f"its worker was stopped for {patience:g} s (SIGSTOP, Ctrl-Z, a debugger)"
    return None
