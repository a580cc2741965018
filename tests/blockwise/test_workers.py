"""The section [workers], and how many workers fit a machine."""

import os
import stat
import sys
from pathlib import Path

import pytest

from lsd_experiments.blockwise import Workers, WorkersConfig, count_workers, machine
from lsd_experiments.blockwise.workers import parse_memory
from lsd_experiments.errors import UserError
from lsd_experiments.settings import load_settings, parse_settings

CONFIG = """
kind = "slurm"
num_workers = 4
queue = "short"
memory = "8 GB"
[predict]
gpus = 1
queue = "gpu"
time_limit = "2-00:00:00"
[extract_segmentation]
kind = "local"
"""


def test_a_stage_takes_what_is_not_its_own_from_the_section(tmp_path):
    (tmp_path / "workers.toml").write_text(CONFIG)
    config = load_settings(tmp_path / "workers.toml", WorkersConfig)
    common = Workers(kind="slurm", num_workers=4, queue="short", memory="8 GB")
    assert config.for_stage("agglomerate") == common
    assert config.for_stage("predict") == common.model_copy(update={"gpus": 1, "queue": "gpu", "time_limit": "2-00:00:00"})
    assert config.for_stage("extract_segmentation").kind == "local"
    assert WorkersConfig.model_validate(config.model_dump()) == config  # unset keys stay unset


@pytest.mark.parametrize(("values", "line"), [
    ({"kind": "pbs"}, "'kind': Input should be 'local', 'slurm' or 'lsf', found 'pbs'"),
    ({"num_workers": 0}, "'num_workers': Input should be greater than or equal to 1, found 0"),
    ({"memory": "8"}, "'memory': memory is a number and one of MB, GB, TB, MiB, GiB, TiB, like '8 GB', found '8'"),
    ({"time_limit": "90"}, "'time_limit': a time limit is H:MM:SS or D-HH:MM:SS, like '8:00:00' or '2-00:00:00', found '90'"),
    ({"host": "0.0.0.0"},
     "'host': host is the one address that workers connect to; this one stands for all, found '0.0.0.0'"),
    ({"predict": {"gpu": 1}}, "unknown key 'predict.gpu'; did you mean 'gpus'?"),
    ({"predictt": {}}, "unknown key 'predictt'; did you mean 'predict'?"),
    ({"options": ["--array=1-3"]},
     "'options': --array=1-3 is set by this software, which finds its jobs by their name, found ['--array=1-3']"),
])
def test_mistakes_are_named(values, line):
    with pytest.raises(UserError) as caught:
        parse_settings(values, WorkersConfig, "config.toml")
    assert str(caught.value) == f"config.toml: {line}"


@pytest.mark.parametrize(("text", "size"), [("8 GB", 8 * 10**9), ("1.5GiB", 3 * 2**29), ("500 MB", 5 * 10**8)])
def test_memory(text, size):
    assert parse_memory(text) == size


def test_workers_fit_cores_and_memory():
    free = machine.available_memory()
    assert 2**26 < free < 2**50
    assert count_workers(Workers()) == len(os.sched_getaffinity(0))
    assert count_workers(Workers(cpus=10**6)) == 1
    assert count_workers(Workers(), default_cpus=10**6) == 1
    assert count_workers(Workers(), memory_estimate=2 * free) == 1
    assert count_workers(Workers(memory="1 MB"), memory_estimate=2 * free) == len(os.sched_getaffinity(0))
    assert count_workers(Workers(num_workers=50)) == 50
    with pytest.raises(UserError, match="kind = 'slurm' needs num_workers"):
        count_workers(Workers(kind="slurm"))


def test_a_stage_that_uses_all_cores_is_told_how_many_its_jobs_have():
    assert count_workers(Workers(), default_cpus=None) == 1
    with pytest.raises(UserError, match="kind = 'slurm' needs cpus for this stage, the cores of one job"):
        count_workers(Workers(kind="slurm", num_workers=2), default_cpus=None)
    assert count_workers(Workers(kind="slurm", num_workers=2, cpus=8), default_cpus=None) == 2
    assert count_workers(Workers(kind="slurm", num_workers=2)) == 2


def test_what_a_control_group_leaves(tmp_path, monkeypatch):
    group = tmp_path / "outer" / "inner"
    group.mkdir(parents=True)
    for directory, limit in ((group, "max"), (group.parent, str(900 * 2**20))):
        (directory / "memory.max").write_text(f"{limit}\n")
        (directory / "memory.current").write_text(f"{400 * 2**20}\n")
        (directory / "memory.stat").write_text(f"anon 5\ninactive_file {100 * 2**20}\n")
    assert machine._left(group) > 2**60
    assert machine._left(group.parent) == 600 * 2**20
    assert machine._left(tmp_path) > 2**60


def test_what_a_control_group_of_version_1_leaves(tmp_path, monkeypatch):
    """Its controllers are mounted side by side; in a container the path is the host's, and only the outermost group is there."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    for controller in ("memory", "cpu"):
        (tmp_path / controller).mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text(f"{2**26}\n")
    (tmp_path / "memory/memory.usage_in_bytes").write_text(f"{2**25}\n")
    (tmp_path / "memory/memory.stat").write_text(f"inactive_file 3\ntotal_inactive_file {2**20}\ntotal_active_file 1\n")
    (tmp_path / "member").write_text("4:memory:/docker/abc\n3:cpuacct,cpu:/docker/abc\n2:pids:/docker\n0::/\n")
    monkeypatch.setattr(machine, "MEMBER", tmp_path / "member")
    assert machine.available_memory() == 2**25 + 2**20 + 1
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    for quota, cores in (("-1", len(os.sched_getaffinity(0))), ("100000", 1), ("30000", 1)):
        (tmp_path / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
        assert machine.cores() == cores


def test_cores_of_a_control_group(tmp_path, monkeypatch):
    for text, cores in (("250000 100000\n", 2), ("max 100000\n", 1 << 30)):
        (tmp_path / "cpu.max").write_text(text)
        assert machine._quota(tmp_path) == cores
    monkeypatch.setattr(machine, "_groups", lambda controller: [tmp_path])
    assert machine.cores() == len(os.sched_getaffinity(0))
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert machine.cores() == 1


def test_gpus_are_divided(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-abc")
    assert machine.gpu_slots(1) == ["4", "5", "GPU-abc"]
    assert machine.gpu_slots(2) == ["4,5"]
    assert count_workers(Workers(gpus=3, cpus=1)) == 1
    with pytest.raises(UserError, match=r"2 workers with 2 GPUs each, but this machine's GPUs are enough for 1\. "):
        count_workers(Workers(gpus=2, num_workers=2))
    assert count_workers(Workers(kind="slurm", gpus=2, num_workers=2)) == 2  # the machines that have them are others

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    fake = tmp_path / "nvidia-smi"
    fake.write_text(f"#!{sys.executable}\nprint('GPU 0: NVIDIA A (UUID: GPU-1)')\nprint('GPU 1: NVIDIA A (UUID: GPU-2)')\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert machine.gpu_ids() == ["0", "1"]
    monkeypatch.setenv("PATH", str(Path(tmp_path) / "empty"))
    with pytest.raises(UserError, match=r"gpus = 1 per worker, but nvidia-smi -L names 0"):
        machine.gpu_slots(1)
