"""Who works on which block. A block is done when the worker that it was given to says so, and nobody else."""

import asyncio
from collections import deque
from typing import Any

from lsd_experiments.blockwise.heartbeat import Clock
from lsd_experiments.blockwise.listener import Line
from lsd_experiments.blockwise.monitor import Monitor
from lsd_experiments.blockwise.processes import Slot
from lsd_experiments.blockwise.schedule import Schedule

LOST = "its worker died each time (killed, out of memory, or cut off from here)"


class Dispatch:
    """Gives the blocks of ``schedule`` to the workers of a run.

    :param threads: of each worker
    :ivar over: no block is left that could be done
    """

    def __init__(self, schedule: Schedule, monitor: Monitor, clock: Clock, threads: int) -> None:
        self.slots: dict[str, Slot] = {}
        self.over = asyncio.Event()
        self._schedule, self._monitor, self._clock, self._threads = schedule, monitor, clock, threads
        self._waiting: deque[tuple[Slot, int]] = deque()

    def expect(self, slot: Slot) -> None:
        """From now on, the worker of ``slot`` may come."""
        self.slots[slot.name] = slot

    def give_up(self, slot: Slot, why: str = LOST) -> None:
        """Hear nothing more of the worker of ``slot``, and have others do its blocks."""
        line = slot.line
        if line is not None:
            self._leave(slot, why)
            line.cut()
        self.slots.pop(slot.name, None)

    def came(self, line: Line) -> bool:  # noqa: D102
        slot = self.slots.get(line.worker)
        if slot is None or slot.line is not None:
            return False
        slot.line, slot.heard = line, self._clock.look()
        self._monitor.worker_came(slot.name, line.say)
        return True

    def went(self, line: Line) -> None:  # noqa: D102
        slot = self.slots.get(line.worker)
        if slot is not None and slot.line is line:
            self._leave(slot, LOST)

    def said(self, line: Line, message: dict[str, Any]) -> None:  # noqa: D102
        slot = self.slots.get(line.worker)
        if slot is None or slot.line is not line:
            return
        slot.heard = self._clock.look()
        if "wants" in message:
            self._waiting.append((slot, message["thread"]))
        elif "done" in message:
            if slot.blocks.pop(message["done"], None) is None:
                return
            self._schedule.done(message["done"])
            self._monitor.worker_said(slot.name, message)
        elif "failed" in message or "refused" in message:
            block: int = message["failed" if "failed" in message else "refused"]
            self._monitor.worker_said(slot.name, message)
            if slot.blocks.pop(block, None) is not None:
                self._schedule.failed(block, "what it raised was not recorded")
        elif "alive" not in message:
            self._monitor.worker_said(slot.name, message)
        self.hand_out()

    def hand_out(self) -> None:
        """Give the blocks that can be worked on to the threads that want one."""
        while self._waiting and (block := self._schedule.take()) is not None:
            slot, thread = self._waiting.popleft()
            assert slot.line is not None, "who is gone wants nothing"
            slot.blocks[block] = self._clock.now, thread
            slot.line.say({"thread": thread, "block": block})
            self._monitor.worker_said(slot.name, {"begins": block, "thread": thread, "asks": self._threads > 1})
        if self._waiting and self._schedule.is_over():
            self._dismiss()

    def _dismiss(self) -> None:
        for slot, thread in self._waiting:
            slot.told = True
            if slot.line is not None:
                slot.line.say({"thread": thread, "block": None})
        self._waiting.clear()
        self.over.set()

    def _leave(self, slot: Slot, why: str) -> None:
        slot.line, slot.lost = None, self._clock.look()
        self._waiting = deque(each for each in self._waiting if each[0] is not slot)
        blocks, slot.blocks = slot.blocks, {}
        self._monitor.worker_went(slot.name)
        for block in blocks:
            self._schedule.failed(block, why)
        if self._schedule.is_over():
            self._dismiss()
        self.hand_out()
