"""kill -9 of workers, schedulers and runs, again and again through all stages: the result is that of an undisturbed run."""

import os

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from tests.faults.comparing import compare_files, compare_graphs, read_graph
from tests.faults.databases import Sqlite
from tests.faults.killing import LEAST, run_through
from tests.faults.running import RECORDS, Progress, Run, wait_until
from tests.faults.scene import BLOCKS, MERGE_FUNCTION, write_config

pytestmark = pytest.mark.kills


def test_the_scene_is_worth_killing_in(reference):
    """Each stage has blocks enough, and makes something that a block more or less would change."""
    progress = Progress(reference / "out.zarr")
    assert {stage: progress.done(stage) for stage in BLOCKS} == BLOCKS
    affs, fragments, segmentation = (open_volume(str(reference / "out.zarr"), f"volumes/{name}").read()
                                     for name in ("affs", "fragments", "segmentation_40"))
    assert affs.std() > 50
    assert 100 * BLOCKS["extract_fragments"] < len(np.unique(fragments))
    assert 100 < len(np.unique(segmentation)) < len(np.unique(fragments)) / 2
    graph = Sqlite().graph(reference)
    assert graph[f"edges_{MERGE_FUNCTION}"].total() > graph["nodes"].total() > 1000


def test_killed_runs_end_as_undisturbed_ones(scene, reference, database, tmp_path):
    seed = int(os.environ.get("KILLS_SEED", "1"))
    directory = tmp_path / f"killed_{database.kind}"
    report = run_through(write_config(directory, scene, database.config(directory)), directory / "out.zarr", tmp_path, seed)
    print(report)
    assert report.kills >= LEAST
    assert all(report.stages[stage] for stage in RECORDS), "a blockwise stage was not hit"
    assert set(report.targets) == {"worker", "scheduler", "template", "run"}
    assert not compare_files(reference, directory)
    assert not compare_graphs(read_graph(str(reference / "out.db")), database.graph(directory))


@pytest.mark.parametrize(("stage", "factory"), [
    ("extract_fragments", "lsd_experiments.fragments.blockwise:make_worker"),
    ("agglomerate", "lsd_experiments.agglomeration.blockwise:make_worker")])
def test_a_worker_killed_between_its_rows_and_its_mark(scene, reference, database, tmp_path, stage, factory):
    """The block's rows are in the database, and nobody knows; it is done again: no row stays behind, and none is doubled."""
    directory, mark = tmp_path / f"{stage}_{database.kind}", tmp_path / "mark"
    config = write_config(directory, scene, database.config(directory), affs=reference / "out.zarr")
    run = Run(config, tmp_path / "log", FAULTS_DIE=f"{factory} 5 {mark}")
    assert run.wait() == 0, run.text()
    assert 0 <= int(mark.read_text()) < BLOCKS[stage], "no worker was killed"
    assert not compare_graphs(read_graph(str(reference / "out.db")), database.graph(directory))


def test_victims_are_of_the_run(scene, tmp_path):
    """Negative control: nothing else of this machine, another run and this process included, is among what may be killed."""
    run, other = (Run(write_config(tmp_path / name, scene), tmp_path / f"{name}.log") for name in ("one", "other"))
    try:
        assert wait_until(lambda: bool(run.victims("worker") and other.victims("worker")), run)
        found = {target: {process.pid for process in run.victims(target)} for target in ("worker", "scheduler", "run")}
        others = {process.pid for process in other.descendants()} | {other.process.pid, os.getpid(), os.getppid()}
        assert [len(found[target]) for target in ("run", "scheduler")] == [1, 1]
        assert 1 <= len(found["worker"]) <= 2
        assert found["run"] == {run.process.pid}
        assert not set().union(*found.values()) & others
    finally:
        for each in (run, other):
            each.process.kill()
            each.wait()
