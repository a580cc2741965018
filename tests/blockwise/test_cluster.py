"""Jobs: the commands as text, for Slurm and LSF, and runs on a Slurm of the tests' own (see slurm.py)."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lsd_experiments.blockwise import BlocksFailedError, Workers, run_blockwise
from lsd_experiments.blockwise.cluster import cancel, job_id, script, submit_command
from lsd_experiments.blockwise.job_wait import is_over, pause
from lsd_experiments.blockwise.spec import TaskSpec
from lsd_experiments.errors import UserError
from tests.blockwise import slurm
from tests.blockwise.running import alive, command, processes_with, start, stuck, wait_for
from tests.blockwise.test_launch import expected

needs_slurm = pytest.mark.skipif(slurm.missing() is not None, reason=str(slurm.missing()))
ALL = {"num_workers": 4, "cpus": 3, "gpus": 1, "memory": "8 GB", "time_limit": "1-02:03:04", "queue": "q", "options": ["--x=1"]}
JOBS = {"kind": "slurm", "num_workers": 2, "cpus": 1, "memory": "100 MB"}


def spec(**workers):
    return TaskSpec("s", "lsd_experiments.a:b", {}, "/r", (0,), (4,), (1,), (0,), False, 2, 1, 2, [],
                    Workers(**workers).model_dump(mode="json"))


def test_sbatch_command():
    assert submit_command(spec(kind="slurm", **ALL), "name", "/o", "/e") == [
        "sbatch", "--parsable", "--x=1", "--job-name=name", "--no-requeue", "--export=ALL", "--ntasks=1", "--cpus-per-task=3",
        "--gres=gpu:1", "--mem=7630M", "--time=1-02:03:04", "--partition=q", "--output=/o", "--error=/e", "--open-mode=append"]
    assert submit_command(spec(kind="slurm"), "name", "/o", "/e") == [
        "sbatch", "--parsable", "--job-name=name", "--no-requeue", "--export=ALL", "--ntasks=1", "--cpus-per-task=2",
        "--output=/o", "--error=/e", "--open-mode=append"]


def test_bsub_command():
    """As text only: there is no LSF to try it on."""
    assert submit_command(spec(kind="lsf", **ALL), "name", "/o", "/e") == [
        "bsub", "--x=1", "-J", "name", "-rn", "-n", "3", "-R", "span[hosts=1]", "-gpu", "num=1", "-M", "8000MB",
        "-R", "rusage[mem=8000MB]", "-W", "26:04", "-q", "q", "-o", "/o", "-e", "/e"]
    assert submit_command(spec(kind="lsf"), "name", "/o", "/e") == [
        "bsub", "-J", "name", "-rn", "-n", "2", "-R", "span[hosts=1]", "-o", "/o", "-e", "/e"]


def test_scripts_are_quoted_and_answers_read():
    assert script(["nice", "a b", "$(c)"]) == "#!/bin/sh\nexec nice 'a b' '$(c)'\n"
    assert job_id("slurm", "12;cluster\n") == job_id("slurm", "12\n") == "12"
    assert job_id("lsf", "Job <12> is submitted to default queue <normal>.\n") == "12"


def test_a_job_is_over_when_it_is_not_listed_any_more():
    assert not is_over("7", b"", 100.0)  # not asked yet
    for asked, listed, over in ((99, {}, False), (101, {}, True), (101.5, {"7": "RUNNING"}, False),
                                (101, {"8": "RUNNING", "17": "PENDING", "71": "RUNNING"}, True)):
        assert is_over("7", json.dumps({"asked": asked, "states": listed}).encode(), 100.0) == over


def test_looks_at_many_jobs_are_rare():
    assert pause(0) == 0.5
    assert pause(10**4) < pause(10**5) < pause(10**6) == 30


@pytest.mark.parametrize("text", ["{}", "[]", '{"kind"', '{"kind": "slurm", "name": 3}', '{"kind": "x", "name": "lsd-a"}'])
def test_a_damaged_name_of_jobs_is_refused(tmp_path, text):
    cancel(tmp_path)  # there are none
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "name.json").write_text(text)
    with pytest.raises(UserError, match=r"name\.json: not what this software writes there"):
        cancel(tmp_path)


def test_a_cluster_that_is_not_here_is_named(make_task, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for kind, program in (("slurm", "sbatch"), ("lsf", "bsub")):
        task, _ = make_task("fill", workers=Workers(kind=kind, num_workers=1))
        with pytest.raises(UserError, match=f"kind = '{kind}' needs the program {program}, which is not on this machine's PATH"):
            run_blockwise(task)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm.slurm(tmp_path_factory.mktemp("slurm")) as conf:
        yield conf


@pytest.fixture
def in_cluster(cluster, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(cluster))
    yield cluster
    subprocess.run(["scontrol", "update", "partitionname=short", "state=up"], check=True)
    left = slurm.jobs(cluster)
    subprocess.run(["scancel", "--user=root"], check=True)
    wait_for(lambda: not slurm.jobs(cluster))
    assert not left


@pytest.mark.cluster
@needs_slurm
def test_a_run_on_slurm_gives_the_same(make_task, in_cluster, tmp_path):
    task, array = make_task("nice", workers=Workers(**JOBS))
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    assert not (task.records / "jobs" / "name.json").exists()
    assert "job 1" in "".join(path.read_text() for path in (task.records / "logs" / "a_stage").glob("*.err"))


@pytest.mark.cluster
@needs_slurm
def test_a_job_that_fails_at_start_stops_the_run(make_task, in_cluster):
    task, _ = make_task("broken_factory", workers=Workers(**JOBS, max_start_failures=1))
    with pytest.raises(BlocksFailedError, match=r"workers died one after the other(.|\n)*RuntimeError: no such device"):
        run_blockwise(task)


@pytest.mark.cluster
@needs_slurm
def test_what_sbatch_refuses_stops_the_run(make_task, in_cluster):
    task, _ = make_task("fill", workers=Workers(**JOBS, queue="none", max_start_failures=1))
    with pytest.raises(BlocksFailedError, match=r"--partition=none.* failed: sbatch: error: .*partition"):
        run_blockwise(task)


@pytest.mark.cluster
@needs_slurm
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_cancels_its_jobs(make_task, in_cluster, tmp_path, number, status):
    task, _ = make_task("fill")
    process = start(command(task.settings["path"], **{**JOBS, "num_workers": 6}))  # four run, two are pending
    wait_for(lambda: len(stuck(tmp_path)) == 4, seconds=40)
    wait_for(lambda: len(slurm.jobs(in_cluster)) == 6)
    workers = stuck(tmp_path)
    assert all(alive(worker) for worker in workers)
    process.send_signal(number)
    assert process.wait(timeout=30) == status
    assert not slurm.jobs(in_cluster)
    wait_for(lambda: not any(alive(worker) for worker in workers))


@pytest.mark.cluster
@needs_slurm
def test_killed_runs_leave_nothing_that_works(make_task, in_cluster, tmp_path, monkeypatch):
    """Everything here dies at once: workers elsewhere end by themselves, jobs that wait are cancelled by the next run."""
    monkeypatch.setenv("WHICH_TEST", str(tmp_path))
    task, array = make_task("fill", workers=Workers(**JOBS))
    process = start(command(task.settings["path"], **{**JOBS, "num_workers": 5}))
    wait_for(lambda: len(stuck(tmp_path)) == 4 and len(slurm.jobs(in_cluster)) == 5, seconds=40)
    workers = stuck(tmp_path)
    subprocess.run(["scontrol", "update", "partitionname=short", "state=down"], check=True)  # so that the fifth stays pending
    here = {process.pid, *processes_with(f"WHICH_TEST={tmp_path}")} - set(processes_with("SLURM_JOB_ID="))
    assert len(here) >= 7  # the run, its server, a slot per job
    for number in (signal.SIGSTOP, signal.SIGKILL):  # none sees another one die
        for pid in here:
            os.kill(pid, number)
    process.wait()
    wait_for(lambda: not any(alive(worker) for worker in workers), seconds=5)
    wait_for(lambda: [job.split()[2] for job in slurm.jobs(in_cluster)] == ["PENDING"], seconds=30)
    assert (task.records / "jobs" / "name.json").exists()

    subprocess.run(["scontrol", "update", "partitionname=short", "state=up"], check=True)
    run_blockwise(task)
    np.testing.assert_array_equal(array, expected(array.shape, task.write_shape))
    assert not slurm.jobs(in_cluster)


@pytest.mark.cluster
@needs_slurm
def test_jobs_end_with_a_run_that_is_killed(make_task, in_cluster, tmp_path):
    """Its server and its jobs see that; while it is there, its job lasts."""
    task, _ = make_task("fill")
    process = start(command(task.settings["path"], **{**JOBS, "num_workers": 1}))
    wait_for(lambda: len(stuck(tmp_path)) == 1, seconds=40)
    worker, = stuck(tmp_path)
    time.sleep(1.5)
    assert alive(worker)
    process.kill()
    process.wait()
    wait_for(lambda: not alive(worker), seconds=5)
    wait_for(lambda: not slurm.jobs(in_cluster))


@pytest.mark.cluster
@needs_slurm
def test_a_job_that_starts_after_its_run_ends_at_once(make_task, in_cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("LSD_LIFELINE", "127.0.0.1:1")  # nobody listens
    monkeypatch.setenv("LSD_LIFELINE_TOKEN", "x")
    task, _ = make_task("fill")
    run_blockwise(task)  # for its task.json
    words = [sys.executable, "-m", "lsd_experiments.blockwise.worker", str(task.records / "task.json")]
    subprocess.run(["sbatch", "--parsable", "--wait", f"--output={tmp_path}/log"], input=script(words), text=True, check=False)
    assert "ConnectionError: no scheduler at 127.0.0.1:1" in (tmp_path / "log").read_text()


@pytest.mark.cluster
@needs_slurm
def test_a_job_that_is_stopped_is_cancelled_and_replaced(make_task, in_cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("LSD_WORKER_SILENCE", "3")
    task, array = make_task("stop_once", workers=Workers(**{**JOBS, "num_workers": 1}), places=[4])
    run_blockwise(task)
    # Cancelled, it wakes: it may add the number of its block once more before it ends. Stages write, and the same.
    found = np.where(array == 10, 5, array)
    np.testing.assert_array_equal(found, expected(array.shape, task.write_shape))
    wait_for(lambda: not alive(int((tmp_path / "stopped_4").read_text())))
    log = "".join(path.read_text() for path in (task.records / "logs" / "a_stage").glob("*.err"))
    assert log.count("job ") == 2
    assert "frozen: its worker gave no sign of life for 3 s" in log
