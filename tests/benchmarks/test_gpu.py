"""benchmarks/gpu.py at toy size on the CPU: its parts run, and one that fails or takes too long costs the others nothing."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FOUR = {"bfloat16", "tf32", "float32", "float16"}


@pytest.fixture(scope="module")
def gpu():
    """The script as a module; it finds common.py beside it."""
    sys.path.insert(0, str(BENCHMARKS))
    specification = importlib.util.spec_from_file_location("gpu_benchmark", BENCHMARKS / "gpu.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["gpu_benchmark"] = module
    specification.loader.exec_module(module)
    yield module
    sys.path.remove(str(BENCHMARKS))
    del sys.modules["gpu_benchmark"]


def test_the_plan_has_every_part_the_training_last(gpu):
    parts = gpu.plan(["jax", "torch"])
    assert {part.name for part in parts} == {"machine", "forward", "step", "wait", "workers", "train"}
    assert [part.title for part in parts if part.name == "forward"] == ["forward PyTorch", "forward jax", "forward torch"]
    assert parts[-1].title == "train jax"
    assert sum(part.seconds for part in parts[:-1] if part.backend != "torch") + gpu.RESERVE <= 460  # of 470


def test_failures_and_timeouts_are_lines(gpu, tmp_path):
    parts = [gpu.Part("nothing", 30), gpu.Part("machine", 0.05), gpu.Part("machine", 30)]
    rows = gpu.run_parts(parts, 60, tmp_path, ["--toy"])
    assert [row["note"] for row in rows[:2]] == ["failed: KeyError: 'nothing'", "ended after 0 s: what it had until then counts"]
    assert {row.get("precision") for row in rows[3:]} == FOUR
    assert all(row["rate"] > 0 for row in rows[3:])
    assert gpu.run_parts(parts[:2], 0.0, tmp_path, ["--toy"]) == [
        {"part": name, "note": "left out: no time was left"} for name in ("nothing", "machine")]


def test_outputs_are_compared_with_those_of_pytorch(gpu, tmp_path):
    for name, value in {"a": 0.5, "b": 0.25, "c": 0.0}.items():
        np.save(tmp_path / f"{name}.npy", np.full(3, value))
    rows = [{"what": "x", "candidate": "jax", "precision": "float32", "outputs": str(tmp_path / "a.npy")},
            {"what": "x", "candidate": "PyTorch", "precision": "bfloat16", "outputs": str(tmp_path / "b.npy")},
            {"what": "x", "candidate": "PyTorch", "precision": "float32", "outputs": str(tmp_path / "c.npy")},
            {"what": "x", "candidate": "torch", "note": "failed: no memory | at all"}]
    found = gpu.compared(rows)
    assert [row.get("difference") for row in found] == [0.5, 0.25, 0.0, None]
    assert not any("outputs" in row for row in found)
    lines = gpu.table(found).splitlines()
    assert len(lines) == 6
    assert lines[2] == "| - | x | jax | float32 | - | - | - | - | 5e-01 |  |"
    assert "no memory / at all" in lines[5]


def test_without_a_gpu_nothing_is_measured_at_full_size(gpu, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert gpu.run_part(gpu.Part("step", 60, "PyTorch"), 60, tmp_path, []) == [
        {"part": "step PyTorch", "note": "failed: PyTorch sees no GPU"}]


@pytest.mark.slow
@pytest.mark.parametrize(("part", "backend"), [
    ("forward", "PyTorch"), ("forward", "jax"), ("forward", "torch"), ("forward", "tensorflow"),
    ("step", "PyTorch"), ("step", "jax"), ("step", "torch"), ("wait", "jax"), ("workers", "torch"), ("train", "torch")])
def test_parts(gpu, tmp_path, monkeypatch, part, backend):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rows = gpu.compared(gpu.run_part(gpu.Part(part, 300, backend), 300, tmp_path, ["--toy"]))
    assert rows
    assert not [row["note"] for row in rows if "failed" in row.get("note", "") or "ended" in row.get("note", "")]
    if part in ("forward", "step"):
        assert {row["precision"] for row in rows} >= (FOUR if backend == "PyTorch" else {"bfloat16"})
        assert all(row["candidate"] == backend and row["with_copies"] > 0 for row in rows)
    if part == "forward":
        assert all(row["difference"] < 0.02 for row in rows)
    if part in ("wait", "train"):
        assert "3 iterations; waits" in rows[0]["note"]
    if part == "workers":
        assert [row["what"].rpartition(", ")[2] for row in rows] == ["1 worker", "2 workers", "two workers beside one"]
        assert "networks ran" in rows[0]["note"]


@pytest.mark.slow
def test_the_command(tmp_path):
    command = [sys.executable, BENCHMARKS / "gpu.py", "--toy", "--only", "machine", "--out", tmp_path / "gpu", "--minutes", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert len(rows) == 5
    assert (tmp_path / "gpu.md").read_text() == done.stdout
