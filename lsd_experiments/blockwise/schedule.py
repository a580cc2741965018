"""Which block comes next: daisy's scheduler, without its server, which listens to whoever connects."""

from collections import Counter
from pathlib import Path
from typing import Any

from lsd_experiments.blockwise.blocks import Block, block_at, block_number, grid_shape
from lsd_experiments.blockwise.done_blocks import DoneBlocks
from lsd_experiments.blockwise.spec import TaskSpec, describe
from lsd_experiments.geometry import Box
from lsd_experiments.writing import put_text


class Schedule:
    """The blocks of ``spec`` that are not done yet; one that fails comes again after the others, ``max_retries`` times."""

    def __init__(self, spec: TaskSpec) -> None:
        import daisy.v2 as daisy

        self._spec, self._name = spec, "blocks"
        self._done = DoneBlocks(Path(spec.records) / "done", grid_shape(spec.total, spec.write_shape))
        read = Box.of_shape(spec.write_shape, spec.begin).grow(spec.context)
        overall = spec.total.grow(spec.context)
        self._scheduler = daisy.Scheduler(daisy.Task(
            task_id=self._name,
            total_roi=daisy.Roi(overall.begin, overall.shape),
            read_roi=daisy.Roi(read.begin, read.shape),
            write_roi=daisy.Roi(spec.begin, spec.write_shape),
            process_function=_never,
            fit="overhang",
            read_write_conflict=spec.read_write_conflict,
            max_retries=spec.workers["max_retries"],
            skip_mask=self._done.mask(),
        ))
        self._success, self._failure = daisy.BlockStatus.SUCCESS, daisy.BlockStatus.FAILED
        self._taken: dict[int, Any] = {}  # daisy's block for each number
        self._failures = Counter[int]()

    def take(self) -> int | None:
        """The number of a block that can be worked on now; None if there is none now."""
        given = self._scheduler.acquire_block(self._name)
        if given is None:
            return None
        number = block_number(self._spec.total, self._spec.write_shape, tuple(given.write_roi.begin))
        self._taken[number] = given
        return number

    def done(self, number: int) -> None:
        """One that was taken is done."""
        self._done.add(number)
        self._release(number, self._success)

    def failed(self, number: int, why: str) -> None:
        """One that was taken is not; if it was the last time, ``why`` is recorded unless its worker did."""
        self._failures[number] += 1
        if self._failures[number] > self._spec.workers["max_retries"]:
            path = Path(self._spec.records) / "failed" / f"{number}.txt"
            if not path.exists():
                put_text(path, f"{describe(number, self.block(number).write)}\n{why}\n")
        self._release(number, self._failure)

    def block(self, number: int) -> Block:
        """The boxes of a block."""
        return block_at(self._spec.total, self._spec.write_shape, self._spec.context, number)

    def state(self) -> Any:
        """daisy's counts."""
        return self._scheduler.task_states[self._name]

    def is_over(self) -> bool:
        """Whether no block is left that could be done."""
        return not self._taken and bool(self.state().is_done())

    def _release(self, number: int, status: Any) -> None:
        given = self._taken.pop(number)
        given.status = status
        self._scheduler.release_block(given)


def _never() -> None:
    raise AssertionError("daisy calls nothing here")
