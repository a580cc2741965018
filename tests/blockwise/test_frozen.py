"""Workers that are stopped are replaced, and what they do later counts for nothing; see site/engine_factories.py."""

import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from lsd_experiments.blockwise import BlocksFailedError, Workers, run_blockwise
from lsd_experiments.blockwise.heartbeat import Clock
from tests.blockwise.running import alive, program, wait_for
from tests.blockwise.test_launch import expected, notes

pytestmark = pytest.mark.kills

AWAY = """
import os, sys, time
note = sys.argv[1]
if os.fork() == 0:  # out of reach of the run: a child of nobody
    os.setsid()
    parent = os.getpid()
    if os.fork() == 0:
        while os.getppid() == parent:
            time.sleep(0.01)
        os.execvp(sys.argv[2], sys.argv[2:])
    os._exit(0)
os.wait()
while not os.path.exists(note):
    time.sleep(0.1)
"""


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """What is said nothing of for two seconds counts as frozen."""
    monkeypatch.setenv("LSD_WORKER_SILENCE", "2")


def stopped(directory):
    """The workers that were stopped."""
    return {path.name.removeprefix("stopped_"): int(path.read_text() or 0) for path in directory.glob("stopped_*")}


@pytest.mark.parametrize(("num_workers", "places"), [(1, ["factory"]), (1, [0]), (2, [0, 1]), (2, [8]), (1, ["exit"])])
def test_a_run_whose_workers_are_stopped_ends_and_is_equal(make_task, tmp_path, num_workers, places):
    """The only one, some, all at once; before the first block, in one, after the last."""
    task, array = make_task("stop_once", num_workers, places=places)
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    assert set(stopped(tmp_path)) == set(map(str, places))
    assert not any(alive(pid) for pid in stopped(tmp_path).values())
    logs = "".join(path.read_text() for path in (task.records / "logs" / "a_stage").glob("*.err"))
    assert "frozen: its worker " in logs or places == ["exit"]


@pytest.mark.parametrize("prefix", [(), ("nice", "-n", "1")])
def test_a_worker_that_is_stopped_before_it_came_is_replaced(make_task, tmp_path, monkeypatch, prefix):
    monkeypatch.setenv("STOPPED_AT_START", str(tmp_path / "stopped_start"))
    task, array = make_task("fill", workers=Workers(num_workers=1, prefix=prefix))
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    assert not alive(stopped(tmp_path)["start"])


@pytest.mark.parametrize("threads", [1, 3])
def test_a_block_that_stops_each_worker_is_reported(make_task, monkeypatch, threads):
    """With block_timeout the worker's own watch is stopped, too; the server's is not."""
    monkeypatch.delenv("LSD_WORKER_SILENCE")
    workers = Workers(num_workers=1, block_timeout=0.3, max_retries=1)
    task, array = make_task("stop_always", workers=workers, blocks=[4])
    with pytest.raises(BlocksFailedError, match=r"1 of 9 blocks are missing\n  block 4, voxels .*: "
                                                r"frozen: timed out after 0\.3 s, and its worker did not end; noted in"):
        run_blockwise(replace(task, threads=threads))
    np.testing.assert_array_equal(array > 0, expected(array.shape, task.write_shape) != 5)


def test_a_worker_that_goes_on_in_time_is_left_alone(make_task, tmp_path, monkeypatch):
    monkeypatch.setenv("LSD_WORKER_SILENCE", "30")

    def go_on():
        wait_for(lambda: stopped(tmp_path).get("4"))
        time.sleep(1)
        os.kill(stopped(tmp_path)["4"], signal.SIGCONT)

    threading.Thread(target=go_on, daemon=True).start()
    task, array = make_task("stop_once", num_workers=1, places=[4])
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    assert {int(note[0]) for note in notes(tmp_path)} == {stopped(tmp_path)["4"]}


def test_a_worker_that_cannot_be_killed_is_replaced_and_does_not_count_when_it_wakes(make_task, tmp_path):
    """As one elsewhere, or one that waits for a disk that is gone."""
    away = program(tmp_path / "bin", "away", AWAY)
    task, array = make_task("stop_once", workers=Workers(num_workers=1, prefix=(str(away), str(tmp_path / "end"))), places=[4])
    try:
        run_blockwise(task)
        np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
        sleeper = stopped(tmp_path)["4"]
        assert alive(sleeper)
        done = (task.records / "done" / "done" / "c" / "0" / "0" / "0").read_bytes()
        assert done == b"\1" * 9
    finally:
        for pid in stopped(tmp_path).values():
            os.kill(pid, signal.SIGCONT)
        (tmp_path / "end").touch()
    wait_for(lambda: not alive(sleeper))


def test_code_that_lets_no_other_thread_run_is_not_frozen(make_task, tmp_path, monkeypatch):
    task, array = make_task("hold", num_workers=1, blocks=[4], seconds=4)
    monkeypatch.setenv("LSD_WORKER_SILENCE", "60")
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    assert len({note[0] for note in notes(tmp_path)}) == 1

    monkeypatch.setenv("LSD_WORKER_SILENCE", "1")  # negative control
    again, _ = make_task("hold", workers=Workers(num_workers=1, max_retries=0), blocks=[4], seconds=60)
    with pytest.raises(BlocksFailedError, match=r"block 4, voxels .*: frozen: its worker gave no sign of life for 1 s"):
        run_blockwise(replace(again, records=tmp_path / "others"))


def test_the_time_in_which_the_server_itself_was_stopped_does_not_count():
    clock = Clock(0.05)
    time.sleep(0.3)
    assert clock.look() == 0.05
    assert 0.05 <= clock.look() < 0.1


