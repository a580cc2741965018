"""The scheduler of one task, a process of its own (:mod:`~lsd_experiments.blockwise.template`).

Writes how far it is to the standard output, one JSON object per line. It starts the workers
(:mod:`~lsd_experiments.blockwise.start_worker`), replaces those that die or freeze, and gives them blocks over their lines
(:mod:`~lsd_experiments.blockwise.connection`), in the order of daisy's scheduler. All of it is one thread.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import resource
import secrets
import sys
import traceback
from collections.abc import Awaitable, Collection
from functools import partial
from pathlib import Path
from typing import NoReturn

from lsd_experiments.blockwise import cluster, connection
from lsd_experiments.blockwise.disk import full_disk
from lsd_experiments.blockwise.dispatch import Dispatch
from lsd_experiments.blockwise.heartbeat import Clock, why_frozen
from lsd_experiments.blockwise.listener import Listener
from lsd_experiments.blockwise.monitor import TICK, Monitor
from lsd_experiments.blockwise.processes import Slot
from lsd_experiments.blockwise.schedule import Schedule
from lsd_experiments.blockwise.spec import TaskSpec, end_with_parent
from lsd_experiments.errors import UserError
from lsd_experiments.logs import FORMAT

logger = logging.getLogger(__name__)

GOODBYE = 10.0  # seconds in which workers may end by themselves when no block is left
LAST_WORDS = 5.0  # seconds in which what a dead worker said may arrive


def serve(spec: TaskSpec, parent: int, keep: Collection[int]) -> NoReturn:
    """Run a task, and end this process, which also ends with the process ``parent``.

    :param keep: descriptors that workers may have, too
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    end_with_parent(partial(cluster.cancel_unattended, Path(spec.records)), parent)
    logging.basicConfig(level=logging.INFO, format=FORMAT)  # to logs/server.log
    asyncio.run(Server(spec, keep).run())
    raise AssertionError("it ends the process")


class Server:
    """Has all blocks of ``spec`` worked on that are not done yet; ``keep``: see :func:`serve`."""

    def __init__(self, spec: TaskSpec, keep: Collection[int] = ()) -> None:
        self._keep_open = keep
        self._spec, self._monitor, self._clock = spec, Monitor(spec), Clock(2 * TICK)
        self._given_up: list[Slot] = []
        try:
            self._schedule = Schedule(spec)
        except OSError as error:
            line = full_disk(error, [spec.records])
            if line is None:
                raise
            self._monitor.end(user_error=line)

    async def run(self) -> NoReturn:
        """Ends the process."""
        self._dispatch = Dispatch(self._schedule, self._monitor, self._clock, self._spec.threads)
        await self._listen()
        state = self._schedule.state()
        left = state.total_block_count - state.completed_count
        tasks = [asyncio.create_task(_or_end(self._keep(index))) for index in range(min(self._spec.num_workers, left))]
        tasks.append(asyncio.create_task(_or_end(self._watch())))
        if self._spec.workers["kind"] != "local":
            tasks.append(asyncio.create_task(_or_end(asyncio.to_thread(cluster.keep_states, Path(self._spec.records)))))
        if left:
            await self._dispatch.over.wait()
        end = self._clock.look() + GOODBYE
        while any(slot.line for slot in self._dispatch.slots.values()) and self._clock.look() < end:
            await asyncio.sleep(0.01)
        self._monitor.on_progress(self._schedule.state())
        self._monitor.end()

    async def _listen(self) -> None:
        """Listen for workers, and tell them where, by this process's environment, which they get."""
        token = secrets.token_hex(16)
        try:
            listener = Listener(self._spec.workers["host"], token, self._dispatch)
        except UserError as error:
            self._monitor.end(user_error=str(error))
        os.environ[connection.ADDRESS], os.environ[connection.TOKEN] = listener.address, token
        await listener.serve(_end)

    async def _keep(self, index: int) -> None:
        """Have a worker, and another one when that is gone."""
        for life in itertools.count():
            await asyncio.sleep(self._monitor.delay())
            try:
                slot = Slot(self._spec, index, life, self._clock.look(), self._keep_open)
            except OSError as error:  # no process to be had
                print(f"worker {index} cannot be started: {error}", file=sys.stderr, flush=True)
                self._monitor.slot_died(f"{index}.{life}", str(Path(self._spec.records) / "logs" / "server.log"), 0)
                continue
            self._dispatch.expect(slot)
            logger.info("%s: worker %s begins, process %d", self._spec.name, slot.name, slot.pid)
            await slot.ended.wait()
            logger.info("%s: worker %s ended, with status %s", self._spec.name, slot.name, slot.look())
            end = self._clock.look() + LAST_WORDS
            while slot.line is not None and self._clock.look() < end:
                await asyncio.sleep(0.01)
            self._dispatch.give_up(slot)
            if slot.look() == 0 and not slot.told:
                slot.note("the worker ended, with status 0, before its work was done")
            if not slot.told:
                self._monitor.slot_died(slot.name, slot.log, slot.offset)

    async def _watch(self) -> None:
        """Look for frozen workers, and tell how far the run is."""
        while True:
            now = self._clock.look()
            for slot in list(self._dispatch.slots.values()):
                why = None if slot.look() is not None else why_frozen(self._spec, slot, now)
                if why:
                    self._replace(slot, why)
            self._given_up = [slot for slot in self._given_up if slot.look() is None]  # those that ended leave no zombies
            self._monitor.on_progress(self._schedule.state())
            self._monitor.watch()
            await asyncio.sleep(TICK)

    def _replace(self, slot: Slot, why: str) -> None:
        slot.note(f"frozen: {why}; this worker is given up, and replaced")
        job = slot.line.hello.get("job") if slot.line is not None else None
        self._dispatch.give_up(slot, f"frozen: {why}")
        slot.kill()
        if job is not None:
            cluster.cancel_job(self._spec.workers["kind"], str(job))
        self._given_up.append(slot)
        slot.ended.set()


async def _or_end(work: Awaitable[object]) -> None:
    try:
        await work
    except Exception as error:
        _end(error)


def _end(error: BaseException) -> NoReturn:
    """What went wrong here must not leave a run that waits for ever."""
    with contextlib.suppress(OSError):
        traceback.print_exception(error)
        sys.stderr.flush()
    os._exit(1)
