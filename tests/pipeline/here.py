"""Blocks in this process, for tests of what stages do with what they find: workers and their server are tested elsewhere."""

import pytest

from lsd_experiments.blockwise.blocks import block_at, grid_shape
from lsd_experiments.blockwise.done_blocks import DoneBlocks
from lsd_experiments.blockwise.spec import load_factory
from lsd_experiments.pipeline import running


@pytest.fixture
def blocks_here(monkeypatch):
    """Stages work on their blocks in this process."""
    monkeypatch.setattr(running, "run_blockwise", run_here)


def run_here(task, show=None):
    """Work on all blocks of ``task`` that are not done yet, as :func:`~lsd_experiments.blockwise.run_blockwise` does."""
    done = DoneBlocks(task.records / "done", grid_shape(task.total, task.write_shape))
    process = load_factory(task.factory)(task.settings)
    for number in (done.mask().ravel() == 0).nonzero()[0].tolist():
        process(block_at(task.total, task.write_shape, task.context, number))
        done.add(number)
