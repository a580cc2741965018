"""Ctrl-C in each stage."""

import signal

import pytest

from tests.faults.comparing import compare_files, compare_graphs, read_graph
from tests.faults.databases import Sqlite
from tests.faults.running import DELAYS, STAGES, Progress, Run, wait_until
from tests.faults.scene import write_config

pytestmark = pytest.mark.kills


def test_ctrl_c_in_each_stage(scene, reference, tmp_path):
    """Status 130, no traceback, nothing left running; the next run goes on from there."""
    directory = tmp_path / "interrupted"
    config, progress = write_config(directory, scene), Progress(directory / "out.zarr")
    for stage in STAGES:
        run = Run(config, tmp_path / f"{stage}.log", delays=DELAYS)
        assert wait_until(lambda stage=stage: progress.has_begun(stage), run), run.text()
        done = progress.done(stage)
        assert done < progress.total(stage), f"{stage} was over too soon"
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 130, run.text()
        assert run.text().endswith("interrupted\n")  # behind a bar, if that was at the moment being drawn
        assert "Traceback" not in run.text()
        assert done <= progress.done(stage) < progress.total(stage)
    run = Run(config, tmp_path / "last.log")
    assert run.wait() == 0, run.text()
    assert not compare_files(reference, directory)
    assert not compare_graphs(read_graph(str(reference / "out.db")), Sqlite().graph(directory))
