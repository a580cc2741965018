"""Which workers there are, what they are at, and what their deaths mean.

Workers that did a block and then were killed, preempted or out of time are replaced as often as it takes. Of the others,
those count that died one after the other, while no block was done:

- in their factory, each one;
- in their first block, the blocks, each once: one that kills its worker is given up when it was tried often enough.

The run is hopeless when these are ``max_start_failures`` and no worker that is past its factory is alive; or, where some
always are, when so many times more blocks killed their workers.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[dict[str, Any]], None]


@dataclass
class Worker:
    """What is known of one.

    :param counted: whether its death was, before its line closed
    :param blocks: the block in work, of each thread
    :param waiting: the threads whose block failed, and that wait until another worker begins one
    """

    answer: Answer
    alive: bool = True
    ready: bool = False
    worked: bool = False
    counted: bool = False
    blocks: dict[int, int] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)


class Crew:
    """The workers of a run; ``limit`` of ``number`` may die in a row.

    :ivar dead: workers that died since a block was done, those that did one aside
    :ivar log: file and offset of what the last of them said
    """

    def __init__(self, limit: int, number: int) -> None:
        self.dead = 0
        self.log: tuple[str, int] = "", 0
        self._limit, self._number = limit, number
        self._workers: dict[str, Worker] = {}
        self._starts = 0  # of those that died, those that did not get to a block
        self._others = 0  # of the others, those whose blocks had not killed one before
        self._killers: set[int] = set()  # the blocks in which they died
        self._lost: set[int] = set()  # blocks that were in work as their worker died, also one that did others
        self._recent: deque[float] = deque(maxlen=60)  # when workers died without having done one

    def block_is_done(self) -> None:
        """What died before says nothing about the run any more."""
        self.dead, self._starts, self._others = 0, 0, 0
        self._killers.clear()

    def came(self, name: str, answer: Answer) -> None:
        """A worker, or another one of that name."""
        self._workers[name] = Worker(answer)

    def said(self, name: str, message: Mapping[str, Any]) -> None:
        """What a worker did."""
        worker = self._workers.get(name)
        if worker is None:  # its slot was quicker to tell that it died
            return
        worker.ready = True
        if "begins" in message:
            self._begins(worker, message["begins"], message["thread"], message["asks"])
        elif "refused" in message:
            worker.blocks.pop(message["thread"], None)
        elif "failed" in message:
            worker.blocks.pop(message["thread"], None)
            worker.waiting.append(message["thread"])
        elif "done" in message:
            worker.blocks.pop(message["thread"], None)
            worker.worked = True
            self.block_is_done()
        elif "worked" in message:
            worker.worked = True
            self.block_is_done()
        self._let_go()

    def went(self, name: str, answer: Answer) -> None:
        """A worker is gone, well or not."""
        worker = self._workers.get(name)
        if worker is not None and worker.answer is answer:  # and not a later one
            worker.alive = False
            self._lost.update(worker.blocks.values())
        self._let_go()

    def died(self, name: str, log: str, offset: int) -> None:
        """A worker failed, or did not even come."""
        worker = self._workers.get(name)
        if worker is not None and worker.counted:
            worker = None  # that was the one before, and this one did not come
        elif worker is not None and worker.alive:
            worker.counted = True  # its line will close; and if it is the next one's already, it must be answered
        else:
            self._workers.pop(name, None)
        if worker is not None:
            self._lost.update(worker.blocks.values())
            if worker.worked:
                return
        self.dead += 1
        self.log = log, offset
        self._recent.append(time.monotonic())
        if worker is not None and worker.blocks:
            self._others += self._killers.isdisjoint(worker.blocks.values())
            self._killers.update(worker.blocks.values())
        else:
            self._starts += 1
        self._let_go()

    def recent(self) -> int:
        """Workers that died without having done a block in the last ten minutes."""
        while self._recent and time.monotonic() - self._recent[0] > 600:
            self._recent.popleft()
        return len(self._recent)

    def hopeless(self) -> bool:
        """Whether no worker can do anything."""
        in_work = any(worker.alive and worker.ready and not worker.counted for worker in self._workers.values())
        return self._others >= self._limit * (self._number + 1) or (self._starts + self._others >= self._limit and not in_work)

    def _begins(self, worker: Worker, block: int, thread: int, asks: bool) -> None:
        if any(block in other.blocks.values() for other in self._workers.values() if other is not worker):
            self._lost.add(block)  # its line has not closed yet
        worker.blocks[thread] = block
        if asks:
            worker.answer({"thread": thread, "alone": block in self._lost})
        for other in self._workers.values():
            if other is not worker and other.waiting:
                return other.answer({"thread": other.waiting.pop(0)})

    def _let_go(self) -> None:
        """If nobody is left who could take the block of one that waits, it goes on itself."""
        there = [worker for worker in self._workers.values() if worker.alive and worker.ready]
        if there and all(worker.waiting for worker in there):
            there[0].answer({"thread": there[0].waiting.pop(0), "nobody": True})
