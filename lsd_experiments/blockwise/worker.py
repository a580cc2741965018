"""What a worker does: call the stage's factory once, then work on blocks until none is left.

Run by :mod:`~lsd_experiments.blockwise.start_worker` in the process that the server forks, or as a command of its own,
``python -m lsd_experiments.blockwise.worker RECORDS/task.json``, on any machine that sees the same files.

A block that raises is recorded, a :class:`UserError` with its line, others with their traceback, and given back as failed.
Then the worker waits until another one has begun a block, which may be that one; or, if there is no other one, for some
seconds, since what is wrong may pass. So it is with a :class:`Passing` one.
What is the same for every block (:class:`Unavailable`, a full disk, a UserError of the factory) ends the run. A factory that
raises something else ends the worker.
"""

import faulthandler
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lsd_experiments.blockwise.blocks import Block, block_at
from lsd_experiments.blockwise.connection import Connection
from lsd_experiments.blockwise.disk import full_disk, paths_in
from lsd_experiments.blockwise.spec import BlockFunction, TaskSpec, describe, end_with_parent, load_factory
from lsd_experiments.blockwise.threads import Turns
from lsd_experiments.errors import Passing, Unavailable, UserError
from lsd_experiments.logs import FORMAT
from lsd_experiments.writing import put_text

logger = logging.getLogger(__name__)


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
    logging.basicConfig(level=logging.WARNING, format=FORMAT, force=True)  # to the worker's log, and not as the server's
    logging.getLogger("lsd_experiments").setLevel(logging.INFO)
    logger.info("%s: begins on %s, process %d", spec.name, socket.gethostname(), os.getpid())
    connection = Connection()
    try:
        process = load_factory(spec.factory)(spec.settings)
        connection.say(ready=True)
        turns = Turns()
        loops = [threading.Thread(target=_loop, args=(spec, process, connection, turns, number))
                 for number in range(1, spec.threads)]
        for loop in loops:
            loop.start()
        _loop(spec, process, connection, turns, 0)
        for loop in loops:
            loop.join()
        logger.info("%s: ends, since no block is left", spec.name)
    except BaseException as error:
        line = str(error) if _is_final(error) else full_disk(error, _places(spec))
        if line:
            connection.stop(line)
        raise


def _loop(spec: TaskSpec, process: BlockFunction, connection: Connection, turns: Turns, thread: int) -> None:
    """Work on blocks until none is left; what goes wrong besides blocks ends the process."""
    try:
        failures = Counter[int]()
        while True:
            turns.take()
            connection.say(wants=True, thread=thread)
            number = connection.answer(thread)["block"]
            if number is None:
                return turns.taken()
            block = block_at(spec.total, spec.write_shape, spec.context, number)
            with turns.work(spec.threads > 1 and connection.answer(thread)["alone"]):
                failure = _work_on(spec, process, block, connection)
            if failure is None:
                connection.say(done=number, thread=thread)
            elif _is_final(failure):  # it is the same elsewhere
                connection.say(refused=number, thread=thread, why=str(failure))
            else:
                turns.hold()
                connection.say(failed=number, thread=thread)
                failures[number] += 1
                if "nobody" in connection.answer(thread):
                    time.sleep(pause(failures[number], spec.workers["max_retries"]))
                turns.release()
    except BaseException:
        try:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)  # the other threads, too


def _is_final(error: BaseException) -> bool:
    return isinstance(error, UserError) and not isinstance(error, Passing)


def _work_on(spec: TaskSpec, process: BlockFunction, block: Block, connection: Connection) -> Exception | None:
    try:
        with _time_limit(spec, block, connection):
            return attempt(process, block, spec)
    except RunEnds as error:
        connection.stop(str(error))


def pause(failures: int, max_retries: int) -> float:
    """Seconds before a worker that is the only one tries a block again that failed here ``failures`` times."""
    return min(30.0, 0.5 * 4.0 ** (failures - 1)) if failures <= max_retries else 0.0


def attempt(process: BlockFunction, block: Block, spec: TaskSpec) -> Exception | None:
    """Work on ``block``; what it raised.

    :raises RunEnds: if no other block could
    """
    failure = Path(spec.records) / "failed" / f"{block.number}.txt"
    try:
        try:
            process(block)
        except Unavailable as error:
            raise RunEnds(str(error)) from error
        except Exception as error:
            _stop_if_disk_is_full(error, spec)
            _record(failure, describe(block.number, block.write), error)
            return error
        failure.unlink(missing_ok=True)
    except OSError as error:
        _stop_if_disk_is_full(error, spec)
        raise
    return None


def _record(path: Path, where: str, error: Exception) -> None:
    """Note in the log and in ``path`` what a block raised; the first line of that is ``where``, the last one what it was."""
    last = " ".join(str(error).split())  # one line
    if isinstance(error, UserError):
        print(f"{where} failed on {socket.gethostname()}: {last}", file=sys.stderr, flush=True)
        put_text(path, f"{where}\n{last}\n")
        return
    print(f"{where} failed on {socket.gethostname()}", file=sys.stderr)
    traceback.print_exc()
    sys.stderr.flush()
    put_text(path, f"{where}\n{traceback.format_exc()}\n{type(error).__name__}: {last}\n")


def _stop_if_disk_is_full(error: Exception, spec: TaskSpec) -> None:
    line = full_disk(error, _places(spec))
    if line:
        raise RunEnds(line) from error


def _places(spec: TaskSpec) -> list[str]:
    return [spec.records, *paths_in(spec.settings)]


@contextmanager
def _time_limit(spec: TaskSpec, block: Block, connection: Connection) -> Iterator[None]:
    """End this process if what is done inside takes longer than a block may; the record says where it was."""
    limit = spec.workers["block_timeout"]

    def end() -> None:
        line = f"timed out after {limit:g} s"
        print(f"{describe(block.number, block.write)} {line}", file=sys.stderr)
        faulthandler.dump_traceback(all_threads=True)
        try:
            put_text(Path(spec.records) / "failed" / f"{block.number}.txt", f"{describe(block.number, block.write)}\n{line}\n")
            connection.say(worked=True)  # this death is the block's fault
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


if __name__ == "__main__":
    main()
