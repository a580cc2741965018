"""``python -m lsd_experiments.blockwise.server``: daisy's scheduler for one task.

Reads a :class:`~lsd_experiments.blockwise.spec.TaskSpec` as JSON from the standard input, and writes how far it is to
the standard output, one JSON object per line. daisy starts the workers, and listens on a port of 127.0.0.1.
"""

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lsd_experiments.blockwise.blocks import count_blocks
from lsd_experiments.blockwise.spec import TaskSpec, end_with_parent
from lsd_experiments.blockwise.worker import work
from lsd_experiments.geometry import Box

FOR_EVER = 1e9  # seconds; None means 600 to daisy
MAX_WORKER_RESTARTS = 16  # of workers that crashed (out of memory); an exception in a block does not end a worker


def main() -> None:
    """Run the task of the standard input."""
    end_with_parent()
    spec = TaskSpec.from_json(sys.stdin.read())
    serve(spec)


def serve(spec: TaskSpec) -> None:
    """Have all blocks of ``spec`` worked on that are not done yet."""
    import daisy.v2 as daisy
    from daisy.logging import set_log_basedir

    set_log_basedir(Path(spec.records) / "logs")
    observer = _Observer()
    try:
        states = daisy.run_blockwise(_task(spec), progress=observer, host="127.0.0.1", summary=False,
                                     return_states=True)
    except RuntimeError as error:
        if "abandoned" not in str(error):
            raise
        print(error, file=sys.stderr)
        observer.say(abandoned=True)
    else:
        observer.on_progress(states)


def _task(spec: TaskSpec) -> Any:
    import daisy.v2 as daisy

    read = Box.of_shape(spec.write_shape, spec.begin).grow(spec.context)
    overall = spec.total.grow(spec.context)
    return daisy.Task(
        task_id=spec.name,
        total_roi=daisy.Roi(overall.begin, overall.shape),
        read_roi=daisy.Roi(read.begin, read.shape),
        write_roi=daisy.Roi(spec.begin, spec.write_shape),
        process_function=partial(work, spec.to_json()),
        fit="overhang",
        read_write_conflict=spec.read_write_conflict,
        max_workers=min(spec.num_workers, count_blocks(spec.total, spec.write_shape)),
        max_retries=spec.workers["max_retries"],
        max_worker_restarts=MAX_WORKER_RESTARTS,
        timeout=spec.workers["block_timeout"] or FOR_EVER,
        tracking_path=str(Path(spec.records) / "done"),
    )


class _Observer:
    """What daisy reports to."""

    def __init__(self) -> None:
        self._state = {"total": 0, "completed": 0, "skipped": 0, "failed": 0, "abandoned": False}

    def on_start(self, states: Mapping[str, Any]) -> None:
        """Nothing yet: daisy has not counted what it skips."""

    def on_progress(self, states: Mapping[str, Any]) -> None:
        """Some blocks are done."""
        (state,) = states.values()
        self.say(total=state.total_block_count, completed=state.completed_count, skipped=state.skipped_count,
                 failed=state.failed_count)

    def on_finish(self, states: Mapping[str, Any]) -> None:
        """All blocks are done, or failed."""
        self.on_progress(states)

    def say(self, **changes: Any) -> None:
        """Write the state, with ``changes``."""
        self._state.update(changes)
        print(json.dumps(self._state), flush=True)


if __name__ == "__main__":
    main()
