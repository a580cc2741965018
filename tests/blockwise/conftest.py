import os
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.blockwise import BlockTask, Workers
from lsd_experiments.geometry import Box
from tests.blockwise.running import end_all

SHAPE = (7, 10, 6)
WRITE = (3, 4, 6)  # 3 x 3 x 1 blocks, the last ones reach over the end


@pytest.fixture(autouse=True)
def no_run_is_left():
    yield
    end_all()


@pytest.fixture
def workers_find_factories(monkeypatch):
    paths = [Path(__file__).parent / "site", Path(__file__).parents[2]]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))


@pytest.fixture
def make_task(tmp_path, workers_find_factories):
    """A function that gives a task for one of engine_factories' functions, and the array that it fills."""
    path = tmp_path / "array.raw"
    array = np.memmap(path, np.int32, "w+", shape=SHAPE)

    def make(function, num_workers=2, context=(0, 0, 0), total=None, workers=None, **settings):
        settings = {"path": str(path), "shape": SHAPE, **settings}
        task = BlockTask("a_stage", total or Box.of_shape(SHAPE), WRITE, f"lsd_experiments.engine_factories:{function}",
                         settings, tmp_path / "records", context=context, workers=workers or Workers(num_workers=num_workers))
        return task, array
    return make
