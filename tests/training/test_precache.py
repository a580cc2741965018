"""Batches by number: the same ones in the same order for any number of workers, which end with their process."""

import os
import random
import signal
import subprocess
import sys
import time

import gunpowder as gp
import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.training.precache import PreCache, WorkersDied

KEY = gp.ArrayKey("NUMBERS")


class Numbers(gp.BatchProvider):
    """Random numbers; how long they take differs from batch to batch."""

    def __init__(self, what=None):
        self.what = what

    def setup(self):
        self.provides(KEY, gp.ArraySpec(roi=gp.Roi((0,), (100,)), voxel_size=(1,)))

    def provide(self, request):
        values = np.array([random.random() for _ in range(request[KEY].roi.shape[0])])
        if self.what is not None:
            self.what()
        time.sleep(0.05 * random.random())
        batch = gp.Batch()
        batch[KEY] = gp.Array(values, gp.ArraySpec(roi=request[KEY].roi, voxel_size=(1,)))
        return batch


def request():
    asked = gp.BatchRequest()
    asked[KEY] = gp.ArraySpec(roi=gp.Roi((10,), (5,)))
    return asked


def batches(count, workers, seed=1, first=0, what=None):
    node = PreCache(seed, first, workers, 2)
    with gp.build(Numbers(what) + node) as pipeline:
        return [pipeline.request_batch(request())[KEY].data for _ in range(count)]


def test_the_seed_and_its_number_determine_a_batch():
    here = batches(6, workers=0)
    assert len({values.tobytes() for values in here}) == 6
    np.testing.assert_array_equal(batches(6, workers=1), here)
    np.testing.assert_array_equal(batches(6, workers=3), here)
    np.testing.assert_array_equal(batches(3, workers=2, first=3), here[3:])
    assert not np.array_equal(batches(6, workers=0, seed=2), here)


def refuse():
    raise UserError("raw: NaN")


def fail():
    raise ValueError("some numbers")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def cause(error):
    from lsd_experiments.sources import cause_of

    return cause_of(error)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("what", "kind", "text"), [(refuse, UserError, "raw: NaN"), (fail, RuntimeError, "ValueError: some")])
def test_an_error_is_reduced_to_its_cause(workers, what, kind, text):
    with pytest.raises(gp.PipelineRequestError) as error:
        batches(1, workers, what=what)
    found = cause(error.value)
    assert type(found) is kind
    assert str(found).startswith(text)
    assert "\n" not in str(found)


def test_a_worker_that_dies_ends_the_training():
    with pytest.raises(gp.PipelineRequestError) as error:
        batches(1, 2, what=die)
    assert isinstance(cause(error.value), WorkersDied)
    assert "--num-workers" in str(cause(error.value))


class Large(Numbers):
    """Batches that do not fit into a pipe."""

    def setup(self):
        self.provides(KEY, gp.ArraySpec(roi=gp.Roi((0,), (1_000_000,)), voxel_size=(1,)))

    def provide(self, request):
        batch = gp.Batch()
        batch[KEY] = gp.Array(np.zeros(request[KEY].roi.shape), gp.ArraySpec(roi=request[KEY].roi, voxel_size=(1,)))
        return batch


def test_a_worker_that_dies_while_it_sends_is_noticed():
    asked = gp.BatchRequest()
    asked[KEY] = gp.ArraySpec(roi=gp.Roi((0,), (1_000_000,)))
    node = PreCache(1, 0, 2, 1)
    with gp.build(Large() + node) as pipeline:
        for _ in range(3):
            assert pipeline.request_batch(asked)[KEY].data.size == 1_000_000
        time.sleep(0.5)  # half of the next ones is in the pipes
        for process, _ in node.workers:
            process.kill()
        with pytest.raises(gp.PipelineRequestError) as error:
            pipeline.request_batch(asked)
    assert isinstance(cause(error.value), WorkersDied)


ORPHANS = """
import sys
sys.path.insert(0, {here!r})
from lsd_experiments import frameworks
frameworks.import_gunpowder()
import gunpowder as gp
from test_precache import Numbers, PreCache, request
node = PreCache(1, 0, 2, 2)
with gp.build(Numbers() + node) as pipeline:
    pipeline.request_batch(request())
    print(*(process.pid for process, _ in node.workers), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_process(number):
    """gunpowder's own PreCache waits for ever to put a last message into its full queue."""
    import psutil

    code = ORPHANS.format(here=os.path.dirname(__file__))  # noqa: PTH120
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    workers = [psutil.Process(int(word)) for word in process.stdout.readline().split()]
    assert len(workers) == 2
    time.sleep(0.3)  # all caches are full
    process.send_signal(number)
    assert process.wait() == -number
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
