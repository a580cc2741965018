"""How far a run is, and when it must not go on.

Deaths of workers count against the run only while they say that no worker can do anything, see
:mod:`~lsd_experiments.blockwise.restarts`. Blocks that raise a UserError are reported in the end, but if the first
``REFUSED`` ones do and none is done, the mistake is that of all blocks: the run ends.
"""

import datetime
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from lsd_experiments.blockwise.blocks import count_blocks
from lsd_experiments.blockwise.restarts import Answer, Crew
from lsd_experiments.blockwise.spec import TaskSpec

TICK = 0.5  # seconds
REFUSED = 20  # blocks


class Monitor:
    """Keeps the state of a run, in ``records/progress.json`` and on the standard output, one JSON object per line."""

    def __init__(self, spec: TaskSpec) -> None:
        self.state: dict[str, Any] = {
            "name": spec.name, "total": count_blocks(spec.total, spec.write_shape), "completed": 0, "skipped": 0, "failed": 0,
            "running": 0, "workers": 0, "started": _now(), "updated": _now(), "pid": os.getpid(), "ended": False}
        self._path = Path(spec.records) / "progress.json"
        self._limit = spec.workers["max_start_failures"]
        self._crew = Crew(self._limit, spec.num_workers)
        self._answers: dict[str, Answer] = {}
        self._said = ""
        self._done = False  # whether this run did a block
        self._refused: set[int] = set()  # blocks that raised a UserError

    def on_progress(self, state: Any) -> None:
        """daisy's counts are ``state``."""
        self.state.update(total=state.total_block_count, completed=state.completed_count, skipped=state.skipped_count,
                          failed=state.failed_count, running=state.processing_count)

    def worker_came(self, worker: str, answer: Answer) -> None:
        """Its factory may still be at work."""
        self._answers[worker] = answer
        self._crew.came(worker, answer)
        self.state["workers"] += 1

    def worker_said(self, worker: str, message: Mapping[str, Any]) -> None:
        """What it did, or got to do."""
        if "stop" in message:
            self.end(user_error=str(message["stop"]))
        self._crew.said(worker, message)
        self._done = self._done or "done" in message
        if "refused" in message and not self._done:
            self._refused.add(message["refused"])
            if len(self._refused) >= REFUSED:
                self.end(user_error=str(message["why"]))

    def worker_went(self, worker: str) -> None:
        """It ended, or its machine did, or it is given up."""
        self._crew.went(worker, self._answers.pop(worker))
        self.state["workers"] -= 1

    def slot_died(self, worker: str, log: str, offset: int) -> None:
        """The run ends with the next tick if these were too many."""
        self._crew.died(worker, log, offset)

    def delay(self) -> float:
        """Seconds that the next worker is to wait before it starts: where one dies again and again, others may not."""
        return float(max(0, self._crew.recent() - int(self._limit) + 1))

    def watch(self) -> None:
        """Say what changed, and end the run when workers only die; to be called every ``TICK`` seconds."""
        if self._crew.hopeless():
            self.end(dead=self._crew.dead, log=self._crew.log)
        self.say()

    def say(self) -> None:
        """Write the state if it changed."""
        text = json.dumps({**self.state, "updated": None})
        if text != self._said:
            self._said = text
            self.state["updated"] = _now()
            _put(self._path, self.state)
            _tell(self.state)

    def end(self, **why: Any) -> NoReturn:
        """Write the last state, with ``why``, and end this process."""
        self.state.update(ended=True, running=0, workers=0)
        self.state["updated"] = _now()
        _put(self._path, self.state)
        _tell({**self.state, **why})
        os._exit(0)


def _tell(state: Mapping[str, Any]) -> None:
    """At once, and not through ``sys.stdout``, whose half-written line a worker forked meanwhile would write, too."""
    os.write(1, (json.dumps(state) + "\n").encode())


def _put(path: Path, state: Mapping[str, Any]) -> None:
    part = path.with_name(f".{path.name}.partial")
    try:
        part.write_text(json.dumps(state) + "\n")
        part.replace(path)
    except OSError as error:  # the disk is full, as the workers will say
        print(f"{path}: {error}", file=sys.stderr)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
