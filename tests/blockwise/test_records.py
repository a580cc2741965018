"""What is in the records of a run, also when it was damaged."""

import json
import os

import numpy as np
import pytest

from lsd_experiments.blockwise import records as records_module
from lsd_experiments.blockwise import run_blockwise
from lsd_experiments.blockwise.engine import clear_records
from lsd_experiments.blockwise.records import failure, last_words, prune_logs, remove
from lsd_experiments.errors import UserError
from tests.blockwise.test_launch import expected


@pytest.mark.parametrize("name", ["zarr.json", "done/zarr.json", "failures/zarr.json"])
def test_a_record_of_finished_blocks_that_was_cut_off_is_made_anew(make_task, caplog, name):
    task, array = make_task("fill", num_workers=1)
    run_blockwise(task)
    path = task.records / "done" / name
    path.write_bytes(path.read_bytes()[:10])
    run_blockwise(task)
    assert f"{path} was cut off" in caplog.text
    np.testing.assert_array_equal(array, 2 * expected(array.shape, task.write_shape))  # all blocks were done again
    run_blockwise(task)
    np.testing.assert_array_equal(array, 2 * expected(array.shape, task.write_shape))  # negative control
    assert json.loads(path.read_text())


def test_cleared_records_are_gone_at_once_or_it_is_said(tmp_path, monkeypatch):
    records = tmp_path / "records"
    (records / "done").mkdir(parents=True)
    monkeypatch.setattr(records_module.shutil, "rmtree", lambda path, ignore_errors: None)  # as where a file is open over NFS
    clear_records(records)
    assert not records.exists()
    monkeypatch.undo()
    assert len(list(tmp_path.glob(".records.removed-*"))) == 1
    with pytest.raises(UserError, match=r"records: cannot be removed \(No such file"):
        remove(records)
    assert not list(tmp_path.glob(".records.removed-*"))


def test_the_newest_logs_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(records_module, "MOST_LOGS", 3)
    monkeypatch.setattr(records_module, "MOST_BYTES", 100)
    for number, size in enumerate((1, 1, 90, 5, 1)):
        (tmp_path / f"worker_{number}.err").write_bytes(bytes(size))
        os.utime(tmp_path / f"worker_{number}.err", (number, number))
    prune_logs(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"worker_{number}.err" for number in (2, 3, 4)}
    monkeypatch.setattr(records_module, "MOST_BYTES", 50)
    prune_logs(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"worker_{number}.err" for number in (3, 4)}
    prune_logs(tmp_path / "none")


def test_last_words_are_the_last_of_this_worker(tmp_path):
    log = tmp_path / "worker_0.err"
    log.write_text("of another one\n")
    assert "said nothing" in last_words(str(log), log.stat().st_size)
    log.write_text("of another one\n2026-01-01 10:00:00,000 INFO:lsd_experiments.blockwise.worker:a_stage: begins on host\n")
    assert "said nothing" in last_words(str(log), len("of another one\n"))
    offset = log.stat().st_size
    log.write_text(log.read_text() + "x\n" * 10**5 + "the end\n")
    assert last_words(str(log), offset).endswith("    x\n    the end")


@pytest.mark.parametrize(("text", "lines"), [
    ("", ["block 7", "what happened is not known"]), ("block 7, voxels", ["block 7, voxels", "what happened is not known"]),
    ("block 7\nTraceback\nValueError: no\n", ["block 7", "Traceback", "ValueError: no"])])
def test_failures_that_were_cut_off(tmp_path, text, lines):
    (tmp_path / "7.txt").write_text(text)
    assert failure(tmp_path / "7.txt") == lines
