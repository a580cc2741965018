"""Workers that die, blocks that hang, disks that are full; the block functions are in site/engine_factories.py."""

import errno
import json
import os
import signal
import sqlite3
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from lsd_experiments.blockwise import BlocksFailedError, Workers, run_blockwise
from lsd_experiments.blockwise.disk import full_disk, paths_in
from lsd_experiments.errors import UserError
from tests.blockwise.running import alive, command, start, stuck, wait_for
from tests.blockwise.test_launch import expected
from tests.disks import small_disk

pytestmark = pytest.mark.kills


def test_workers_may_be_preempted_again_and_again(make_task, tmp_path):
    task, array = make_task("preempted", workers=Workers(num_workers=2, max_retries=20))
    task = replace(task, write_shape=(2, 2, 6))
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    assert len((tmp_path / "deaths").read_text()) > 16  # as many as one run once had for all its workers


@pytest.mark.parametrize("limit", [1, 4])
def test_workers_that_only_die_stop_the_run(make_task, limit):
    task, array = make_task("broken_factory", workers=Workers(num_workers=1, max_start_failures=limit))
    with pytest.raises(BlocksFailedError, match=rf"^a_stage: ({limit}|{limit + 1}) workers died one after the other"):
        run_blockwise(task)
    assert not array.any()


def test_a_block_that_kills_its_workers_is_reported(make_task):
    """And the others are done."""
    task, array = make_task("die", workers=Workers(num_workers=2, max_retries=0), blocks=[4])
    with pytest.raises(BlocksFailedError, match=r"1 of 9 blocks are missing\n  block 4, voxels .*: its worker died each time"):
        run_blockwise(task)
    right = expected(array.shape, task.write_shape)
    np.testing.assert_array_equal(array, np.where(right == 5, 0, right))


def test_a_hung_block_is_killed_retried_and_reported(make_task, tmp_path):
    task, array = make_task("hang", workers=Workers(num_workers=2, block_timeout=0.5, max_retries=1), blocks=[4])
    with pytest.raises(BlocksFailedError, match=r"1 of 9 blocks are missing\n  block 4, voxels .*: timed out after 0\.5 s; "):
        run_blockwise(task)
    assert (tmp_path / "hung").read_text() == "4\n4\n"
    right = expected(array.shape, task.write_shape)
    np.testing.assert_array_equal(array, np.where(right == 5, 0, right))
    logs = "".join(path.read_text() for path in (task.records / "logs" / "a_stage").glob("*.err"))
    assert "in sometimes" in logs  # where it hung

    run_blockwise(replace(task, settings={**task.settings, "blocks": []}))
    np.testing.assert_array_equal(array, right)


def test_a_scheduler_that_is_killed_is_reported(make_task, tmp_path):
    task, array = make_task("fill")
    process = start(command(task.settings["path"]), stderr=subprocess.PIPE)
    wait_for(lambda: len(stuck(tmp_path)) == 2)
    workers = stuck(tmp_path)
    os.kill(json.loads((task.records / "progress.json").read_text())["pid"], signal.SIGKILL)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"a_stage: daisy failed (see {task.records}/logs/server.log)" in said
    wait_for(lambda: not any(alive(worker) for worker in workers))
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))


def test_an_address_of_another_machine_is_refused(make_task):
    task, _ = make_task("fill", workers=Workers(num_workers=1, host="203.0.113.7"))
    with pytest.raises(UserError, match=r"host = 203\.0\.113\.7 is no address of this machine"):
        run_blockwise(task)


@pytest.mark.parametrize("records_too", [False, True])
def test_a_full_disk_ends_the_run_and_a_rerun_goes_on(make_task, tmp_path, records_too):
    with small_disk(tmp_path / "disk", "1m") as disk:
        task, array = make_task("write_much", much=str(disk))
        task = replace(task, records=disk / "records") if records_too else task
        with pytest.raises(UserError, match=rf"^{disk}\S*: no space left\. Make room there, and run this again"):
            run_blockwise(task)
        assert not array.all()
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        run_blockwise(task)
        assert all(path.stat().st_size == 300_000 for path in disk.glob("much_*"))
        right = expected(array.shape, task.write_shape)
        times = array // right  # a block that was done, and not yet recorded as the run ended, is done again
        assert times.min() == 1
        assert times.max() <= 2
        np.testing.assert_array_equal(array, times * right)


def test_what_counts_as_a_full_disk(tmp_path):
    def raised(error, cause=None):
        try:
            raise error from cause
        except Exception as caught:
            return caught

    line = f"{tmp_path}: no space left. Make room there, and run this again: finished blocks are kept"
    assert full_disk(raised(OSError(errno.ENOSPC, "No space left on device")), [tmp_path / "not" / "there"]) == line
    assert full_disk(raised(OSError(errno.ENOSPC, "No space left on device", "/x/y")), []).startswith("/x/y: no space left.")
    quota = raised(RuntimeError("wrapped"), OSError(errno.EDQUOT, "no"))
    assert full_disk(quota, [tmp_path]) == line.replace("no space left", "the quota is used up")
    assert full_disk(raised(OSError(errno.EACCES, "no")), [tmp_path]) is None
    assert full_disk(raised(RuntimeError("database or disk is full")), [tmp_path]) is None

    store = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    store.execute("create table a (x)")
    store.execute("pragma max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as caught:
        store.execute("insert into a values (?)", [bytes(10**6)])
    assert full_disk(caught.value, [tmp_path]) == line.replace("no space left", "no space left for the database")


def test_paths_in_settings():
    assert list(paths_in({"a": "/x", "b": ["volumes/raw", ["/y", 3]], "c": None})) == ["/x", "/y"]
