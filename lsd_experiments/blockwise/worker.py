"""What a worker does: call the stage's factory once, then work on blocks until none is left.

Run by :mod:`~lsd_experiments.blockwise.launch` in the process that daisy starts, or as a command of its own,
``python -m lsd_experiments.blockwise.worker RECORDS/task.json``, on any machine that sees the same files.

A block that raises is recorded with its traceback and given back as failed; the worker goes on. What is the same for every
block, a :class:`UserError` or a full disk, ends the run. A factory that raises ends the worker.
"""

import faulthandler
import logging
import os
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsd_experiments.blockwise.blocks import Block, block_number
from lsd_experiments.blockwise.disk import full_disk, paths_in
from lsd_experiments.blockwise.lifeline import RELAY, Lifeline, split_address
from lsd_experiments.blockwise.spec import BlockFunction, TaskSpec, describe, end_with_parent, load_factory
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box


class RunEnds(Exception):
    """The run must end with this line for the user."""


def main() -> None:
    """Work for the run whose specification the command line names."""
    end_with_parent()
    work(TaskSpec.from_json(Path(sys.argv[1]).read_text()))


def work(spec: TaskSpec) -> None:
    """The life of one worker; the environment says where the run is.

    :raises ConnectionError: if there is no run
    """
    import daisy.v2 as daisy

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s:%(name)s:%(message)s")  # to the worker's log
    logging.getLogger("lsd_experiments").setLevel(logging.INFO)
    context = daisy.Context.from_env()
    lifeline = Lifeline(worker=context["worker_id"], port=int(context["port"]))
    if RELAY in os.environ:
        context["hostname"], port = split_address(os.environ[RELAY])
        context["port"] = str(port)
    try:
        process = load_factory(spec.factory)(spec.settings)
        loops = [threading.Thread(target=_loop, args=(spec, process, context.copy(), lifeline)) for _ in range(spec.threads - 1)]
        for loop in loops:
            loop.start()
        _loop(spec, process, context, lifeline)
        for loop in loops:
            loop.join()
    except BaseException as error:
        line = str(error) if isinstance(error, UserError) else full_disk(error, _places(spec))
        if line:
            lifeline.stop(line)
        raise


def _loop(spec: TaskSpec, process: BlockFunction, context: Any, lifeline: Lifeline) -> None:
    """Work on blocks until none is left; what goes wrong besides blocks ends the process."""
    import daisy.v2 as daisy

    try:
        client = daisy.Client(context)
        while True:
            with client.acquire_block() as given:
                if given is None:
                    return
                block = _block(spec, given)
                try:
                    with _time_limit(spec, block, lifeline):
                        done = attempt(process, block, spec)
                except RunEnds as error:
                    lifeline.stop(str(error))
                if done:
                    lifeline.worked()
                else:
                    given.status = daisy.BlockStatus.FAILED
    except BaseException:
        try:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)  # the other threads, too


def attempt(process: BlockFunction, block: Block, spec: TaskSpec) -> bool:
    """Work on ``block``; whether it succeeded.

    :raises RunEnds: if no other block could
    """
    failure = Path(spec.records) / "failed" / f"{block.number}.txt"
    try:
        try:
            process(block)
        except UserError as error:
            raise RunEnds(str(error)) from error
        except Exception as error:
            _stop_if_disk_is_full(error, spec)
            where, last = describe(block.number, block.write), " ".join(str(error).split())  # one line
            print(f"{where} failed on {socket.gethostname()}", file=sys.stderr)
            traceback.print_exc()
            sys.stderr.flush()
            _put(failure, f"{where}\n{traceback.format_exc()}\n{type(error).__name__}: {last}\n")
            return False
        failure.unlink(missing_ok=True)
    except OSError as error:
        _stop_if_disk_is_full(error, spec)
        raise
    return True


def _stop_if_disk_is_full(error: Exception, spec: TaskSpec) -> None:
    line = full_disk(error, _places(spec))
    if line:
        raise RunEnds(line) from error


def _places(spec: TaskSpec) -> list[str]:
    return [spec.records, *paths_in(spec.settings)]


@contextmanager
def _time_limit(spec: TaskSpec, block: Block, lifeline: Lifeline) -> Iterator[None]:
    """End this process if what is done inside takes longer than a block may; the record says where it was."""
    limit = spec.workers["block_timeout"]

    def end() -> None:
        line = f"timed out after {limit:g} s"
        print(f"{describe(block.number, block.write)} {line}", file=sys.stderr)
        faulthandler.dump_traceback(all_threads=True)
        try:
            _put(Path(spec.records) / "failed" / f"{block.number}.txt", f"{describe(block.number, block.write)}\n{line}\n")
            lifeline.worked()  # this death is the block's fault
        finally:
            os._exit(1)

    timer = threading.Timer(limit, end) if limit else None
    if timer:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer:
            timer.cancel()


def _block(spec: TaskSpec, given: Any) -> Block:
    """Our block for daisy's."""
    read, write = (Box(tuple(roi.begin), tuple(roi.end)) for roi in (given.read_roi, given.write_roi))
    return Block(block_number(spec.total, spec.write_shape, write.begin), read, write)


def _put(path: Path, text: str) -> None:
    """Write a file that others read, whole or not at all."""
    part = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}")
    part.write_text(text)
    part.replace(path)


if __name__ == "__main__":
    main()
