"""What a worker process does: call the stage's factory once, then work on blocks until none is left.

A block that raises is recorded with its traceback and given back as failed; the worker goes on. A :class:`UserError` is
the same for every block, so its line is recorded and the remaining blocks are given back untouched.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import Any

from lsd_experiments.blockwise.blocks import Block, block_number
from lsd_experiments.blockwise.spec import BlockFunction, TaskSpec, end_with_parent, load_factory
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box


def work(spec_json: str) -> None:
    """The life of one worker; ``DAISY_CONTEXT`` in the environment says where the blocks come from."""
    import daisy.v2 as daisy

    end_with_parent()
    spec = TaskSpec.from_json(spec_json)
    records = Path(spec.records)
    process = _make(spec, records)
    client = daisy.Client()
    while True:
        with client.acquire_block() as given:
            if given is None:
                return
            if not attempt(process, _block(spec, given), records):
                given.status = daisy.BlockStatus.FAILED


def attempt(process: BlockFunction, block: Block, records: Path) -> bool:
    """Work on ``block``; whether it succeeded."""
    user_error, failure = records / "user_error.txt", records / "failed" / f"{block.number}.txt"
    if user_error.exists():
        return False
    try:
        process(block)
    except UserError as error:
        _put(user_error, str(error))
        return False
    except Exception as error:
        where = f"block {block.number}, voxels {block.write.begin} to {block.write.end}"
        print(f"{where} failed", file=sys.stderr)
        traceback.print_exc()
        last = " ".join(str(error).split())  # one line
        _put(failure, f"{where}\n{traceback.format_exc()}\n{type(error).__name__}: {last}\n")
        return False
    failure.unlink(missing_ok=True)
    return True


def _make(spec: TaskSpec, records: Path) -> BlockFunction:
    """The block function; if its factory fails, one that fails in the same way."""
    try:
        return load_factory(spec.factory)(spec.settings)
    except Exception as error:
        traceback.print_exc()
        cause = error

    def fail(block: Block) -> None:
        raise cause
    return fail


def _block(spec: TaskSpec, given: Any) -> Block:
    """Our block for daisy's."""
    read, write = (Box(tuple(roi.begin), tuple(roi.end)) for roi in (given.read_roi, given.write_roi))
    return Block(block_number(spec.total, spec.write_shape, write.begin), read, write)


def _put(path: Path, text: str) -> None:
    """Write a file that others read, whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)
