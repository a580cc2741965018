"""The engine with real worker processes; their block functions are in site/engine_factories.py."""

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import psutil
import pytest

from lsd_experiments.blockwise import Block, BlocksFailedError, BlockTask, Workers, run_blockwise
from lsd_experiments.blockwise.engine import clear_records
from lsd_experiments.blockwise.spec import TaskSpec, check_factory
from lsd_experiments.blockwise.worker import RunEnds, attempt
from lsd_experiments.errors import Unavailable, UserError
from lsd_experiments.geometry import Box
from lsd_experiments.locks import only_run
from tests.blockwise.running import alive, command, start, stuck, wait_for


def expected(shape, write_shape):
    """Each voxel's block number + 1."""
    array = np.zeros(shape, np.int32)
    for number, box in enumerate(Box.of_shape(shape).blocks(write_shape)):
        array[box.intersect(Box.of_shape(shape)).slices] = number + 1
    return array


@pytest.mark.parametrize("num_workers", [1, 3])
def test_every_voxel_is_worked_on_once(make_task, num_workers):
    task, array = make_task("fill", num_workers)
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))


def test_workers_are_other_processes(make_task, tmp_path):
    task, _ = make_task("fill")
    run_blockwise(task)
    processes = {int(path.read_text().split()[0]) for path in tmp_path.glob("by_*")}
    assert processes
    assert os.getpid() not in processes


def test_blocks_read_their_context(make_task, tmp_path):
    task, _ = make_task("fill", context=(1, 2, 0))
    run_blockwise(task)
    assert (tmp_path / "by_0").read_text().endswith(" (-1, -2, 0) (4, 6, 6)")
    assert (tmp_path / "by_8").read_text().endswith(" (5, 6, 0) (10, 14, 6)")


def test_total_need_not_start_at_the_origin(make_task):
    task, array = make_task("fill", total=Box((1, 3, 0), (7, 10, 6)))
    run_blockwise(task)
    assert not array[0].any()
    assert not array[:, :3].any()
    np.testing.assert_array_equal(array[1:, 3:], expected((6, 7, 6), task.write_shape))


def test_finished_blocks_are_skipped(make_task):
    task, array = make_task("fill")
    run_blockwise(task)
    once = array.copy()
    run_blockwise(task)  # working on a block again would add to it
    np.testing.assert_array_equal(array, once)


def test_failed_blocks_are_retried_reported_and_the_rest_is_done(make_task, tmp_path):
    broken = tmp_path / "broken"
    broken.touch()
    task, array = make_task("fail", blocks=[3, 4], broken=str(broken))
    with pytest.raises(BlocksFailedError) as caught:
        run_blockwise(task)
    message = str(caught.value)
    assert "2 of 9 blocks are missing" in message
    assert "block 3, voxels (3, 0, 0) to (6, 4, 6): ValueError: cannot do block 3; traceback in" in message
    trace, = re.findall(r"traceback in (\S+/3.txt)", message)
    assert "Traceback" in Path(trace).read_text()
    assert sorted(broken.read_text().split()) == ["3"] * 3 + ["4"] * 3  # a try and two retries each
    right = expected(array.shape, task.write_shape)
    np.testing.assert_array_equal(array, np.where((right == 4) | (right == 5), 0, right))

    broken.unlink()
    run_blockwise(task)  # only the two
    np.testing.assert_array_equal(array, right)


def test_what_may_pass_is_tried_again(make_task, tmp_path):
    """An error in each block, once."""
    task, array = make_task("overloaded", blocks=[*range(9)])
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    assert len(list(tmp_path.glob("tried_*"))) == 9


def test_killed_workers_are_replaced(make_task):
    task, array = make_task("die", blocks=[0, 5])
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))


@pytest.mark.parametrize(("function", "line"), [
    ("refuse", "weights.h5: not there. Train first"),
    ("out_of_reach", "the database went away. Start it"),
])
def test_user_error_of_a_factory_and_what_all_blocks_need_end_the_run(make_task, function, line):
    task, array = make_task(function)
    with pytest.raises(UserError) as caught:
        run_blockwise(task)
    assert str(caught.value) == line
    assert not array.any()


def test_user_error_is_forgotten_when_mended(make_task):
    task, array = make_task("refuse")
    with pytest.raises(UserError):
        run_blockwise(task)
    mended, _ = make_task("fill")
    run_blockwise(mended)
    assert array.all()


def test_factory_that_breaks_stops_the_run(make_task, tmp_path):
    task, _ = make_task("broken_factory")
    with pytest.raises(BlocksFailedError, match=r"workers died one after the other without a block done(.|\n)*"
                                                r"The last words in .*/logs/a_stage/worker_\d.err:\n(.|\n)*no such device"):
        run_blockwise(task)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_stops_its_workers_and_can_go_on(make_task, tmp_path, number, status):
    task, array = make_task("fill")
    process = start(command(task.settings["path"]))
    wait_for(lambda: len(list(tmp_path.glob("stuck_*"))) == 2)
    below = psutil.Process(process.pid).children(recursive=True)
    assert {each.pid for each in below} > set(stuck(tmp_path))
    process.send_signal(number)
    assert process.wait(timeout=20) == status
    wait_for(lambda: not any(alive(each.pid) for each in below))
    assert array[:3, :8].all()  # what was done before
    assert not array[3:].any()

    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))


def test_workers_end_with_a_killed_run(make_task, tmp_path):
    task, _ = make_task("fill")
    process = start(command(task.settings["path"]))
    wait_for(lambda: len(list(tmp_path.glob("stuck_*"))) == 2)
    below = psutil.Process(process.pid).children(recursive=True)
    assert {each.pid for each in below} > set(stuck(tmp_path))
    process.kill()
    process.wait()
    wait_for(lambda: not any(alive(each.pid) for each in below))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_second_run_on_the_same_records_is_refused(make_task, tmp_path, number):
    """And changes nothing; when the first one is gone, also if it was killed, a third goes on from there."""
    task, array = make_task("fill")
    words = command(task.settings["path"])
    first = start(words)
    wait_for(lambda: len(list(tmp_path.glob("stuck_*"))) == 2)
    workers = [int(path.read_text()) for path in tmp_path.glob("stuck_*")]
    wait_for(lambda: json.loads((task.records / "progress.json").read_text())["running"] == 2)  # nothing changes from here on
    before = sorted(tmp_path.rglob("*"))
    second = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr == f"error: {tmp_path}/records: another run is at work on these blocks. Wait for it, or stop it first\n"
    with pytest.raises(UserError, match="another run is at work"):
        clear_records(task.records)  # what --overwrite begins with
    assert sorted(tmp_path.rglob("*")) == before
    assert first.poll() is None
    assert all(alive(worker) for worker in workers)

    first.send_signal(number)
    first.wait(timeout=20)
    wait_for(lambda: not any(alive(worker) for worker in workers))
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))


def test_runs_with_records_of_their_own_do_not_meet(make_task, tmp_path):
    task, array = make_task("fill")
    with only_run(tmp_path / "others"):
        run_blockwise(task)
    assert array.all()
    clear_records(task.records)
    assert not task.records.exists()


def test_where_there_are_no_locks_a_run_warns(tmp_path, monkeypatch, caplog):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with only_run(tmp_path / "records"):
        assert "the file system has no locks" in caplog.text


@pytest.mark.parametrize("name", ["os:system", "lsd_experiments", "lsd_experimentsx.a:b", "lsd_experiments.a:b c", ":"])
def test_factory_outside_of_the_package_is_refused(name):
    with pytest.raises(ValueError, match="worker factory"):
        check_factory(name)
    check_factory("lsd_experiments.blockwise.worker:work")


def test_spec_survives_json():
    spec = spec_of("/r")
    assert TaskSpec.from_json(spec.to_json()) == spec


def test_what_a_block_raises_is_recorded_and_ends_the_run_if_no_other_could(tmp_path):
    (tmp_path / "failed").mkdir()
    spec, block, done = spec_of(tmp_path), Block(7, Box((0,), (1,)), Box((0,), (1,))), []

    def raising(error):
        def process(block):
            raise error
        return process

    failure = tmp_path / "failed" / "7.txt"
    assert isinstance(attempt(raising(ValueError("no")), block, spec), ValueError)
    assert "Traceback" in failure.read_text()
    assert isinstance(attempt(raising(UserError("chunk 3 is damaged")), block, spec), UserError)
    assert failure.read_text() == "block 7, voxels (0,) to (1,)\nchunk 3 is damaged\n"
    assert attempt(done.append, block, spec) is None
    assert done == [block]
    assert not failure.exists()
    with pytest.raises(RunEnds, match="start it"):
        attempt(raising(Unavailable("start it")), block, spec)


def spec_of(records):
    return TaskSpec("s", "lsd_experiments.a:b", {"x": [1, None]}, str(records), (0, 1, 2), (3, 4, 5), (1, 1, 1), (2, 2, 2),
                    False, 3, 1, 1, [], Workers().model_dump(mode="json"))


def test_task_needs_a_block_shape(tmp_path):
    task = BlockTask("s", Box((0,), (4,)), (0,), "lsd_experiments.a:b", {}, tmp_path)
    with pytest.raises(AssertionError, match="blocks of shape"):
        run_blockwise(task)
