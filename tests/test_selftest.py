"""``python -m lsd_experiments.selftest``, as users of an image or of a checkout run it. The GPUs here are made of text."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest

from lsd_experiments.arrays import create_volume
from lsd_experiments.errors import UserError
from lsd_experiments.installation import Image
from lsd_experiments.selftest import checks, gpu, running
from lsd_experiments.selftest.about import image_lines
from tests.disks import small_disk

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ["make_synthetic.py", "mknet.py", "train.py", "run.py"]
H100 = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5a6fdd26-8d3b-0c1b-93ad-0db9ed4c1c1d)\n"
READ_ONLY = 'mount --make-rprivate / && mount -o remount,bind,ro / && exec "$@"'
IMAGE = Image(version="0.1.0", commit="abcdef123456", built="2026-11-21T18:00:00+00:00", variant="cpu", packages="0123" * 16,
              base="docker.io/library/python:3.11-slim-bookworm")


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "lsd_experiments.selftest", *options]


def environment(temporary: Path, root: Path = ROOT, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(temporary), **more}


def run(words: list[str], cwd: Path, **options: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=500, **options)


@pytest.fixture
def checkout(tmp_path):
    """A copy of this checkout's scripts and package, which a test may break."""
    root = tmp_path / "checkout"
    for name in ("01_data", "02_train/synthetic", "03_predict", "lsd_experiments"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "snapshots", "log", "*_check*"))
    return root


def test_passes_where_nothing_but_a_small_temporary_directory_can_be_written(tmp_path):
    """As in a read-only image without a home directory, whose /tmp is more than twice as large as this disk."""
    with ExitStack() as stack:
        words, home = command(), {"HOME": "/nonexistent", "NUMBA_CACHE_DIR": ""}
        place = tmp_path
        if os.geteuid() == 0 and run(["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", "true"], tmp_path).returncode == 0:
            place = stack.enter_context(small_disk(tmp_path / "disk", "26m"))
            words = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", *words]
            refused = run([*words[:6], "touch", str(ROOT / "new")], tmp_path)
            assert "Read-only file system" in refused.stderr
        ended = run(words, Path("/"), env=environment(place, **home))
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
        lines = ended.stdout.splitlines()
        assert [line.split()[0] for line in lines[-5:-1]] == SCRIPTS
        assert "fragments, " in lines[-2]
        assert lines[-1].startswith("self-test passed in ")
        assert lines[-1].endswith(" s")
        assert not list(place.iterdir())


@pytest.mark.parametrize(("script", "words"), [
    ("print('begun')\nraise RuntimeError('no volume today')", ["begun", "RuntimeError: no volume today", "ended with status 1"]),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ["was ended by signal 9"]),
    ("print('well done')", ["well done", "volume.zarr"]),
], ids=["raises", "is killed", "writes nothing"])
def test_a_step_that_fails_is_named(checkout, tmp_path, script, words):
    (checkout / "01_data" / "make_synthetic.py").write_text(script)
    (tmp_path / "t").mkdir()
    ended = run(command(), checkout, env=environment(tmp_path / "t", checkout))
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1].split()[::3] == ["make_synthetic.py", "failed"]
    assert ended.stderr.splitlines()[-1].startswith("error: self-test failed: make_synthetic.py: ")
    assert all(word in ended.stderr for word in words), ended.stderr
    assert not list((tmp_path / "t").iterdir())


def test_debug_shows_what_scripts_say(checkout, tmp_path):
    (checkout / "01_data" / "make_synthetic.py").write_text("print('hello', flush=True); raise SystemExit(3)")
    shown, kept = (run(command(*options), checkout, env=environment(tmp_path, checkout)) for options in (["--debug"], []))
    assert (shown.stderr.count("hello"), kept.stderr.count("hello")) == (2, 1)  # as it goes, and among the last lines


@pytest.mark.parametrize("place", ["missing", "file"])
def test_without_a_temporary_directory(tmp_path, place):
    (tmp_path / "file").touch()
    ended = run(command(), tmp_path, env=environment(tmp_path / place))
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / place}: no temporary directory can be made there")
    assert "TMPDIR" in line


def test_with_too_little_room(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        ended = run(command(), tmp_path, env=environment(disk))
        assert not list(disk.iterdir())
    assert ended.returncode == 2
    assert ended.stderr == (f"error: {disk}: 1 MB are free, and the self-test needs 24. Make room there, or set TMPDIR to "
                            "another place\n")


@pytest.mark.kills
@pytest.mark.parametrize(("number", "status", "there"), [
    (signal.SIGTERM, 143, "volume.zarr"),
    (signal.SIGINT, 130, "prediction.zarr/.blockwise/*/logs/*/*.err"),
], ids=["in training", "in a worker"])
def test_nothing_is_left_of_one_that_is_stopped(tmp_path, number, status, there):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = psutil.Popen(command(), cwd="/", env=environment(tmp_path), **pipes)
    end = time.monotonic() + 300
    while not list(tmp_path.glob(f"lsd-selftest-*/{there}")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(1)
    below = process.children(recursive=True)
    assert below
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert said == ("interrupted\n" if number == signal.SIGINT else "")
    assert not list(tmp_path.iterdir())
    assert not psutil.wait_procs(below, timeout=10)[1], "outlived the self-test"


def test_a_command_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "GRACE", 0.2)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('begun', flush=True); time.sleep(60)"
    runner = running.Runner(lambda: None)
    ended = runner.run([sys.executable, "-c", stubborn], tmp_path, os.environ, limit=2)
    assert (ended.last_lines, ended.problem) == (["begun"], "has not ended after 2 s")
    assert runner.run([sys.executable, "-c", "print('a\\rb')"], tmp_path, os.environ, limit=60) == running.Ended("a\rb\n", None)


def test_last_lines_are_what_a_terminal_shows():
    bar = "\rtraining: 0%\rtraining: 100%\n"
    assert running.Ended(f"{bar}\n  File x\n", None).last_lines == ["training: 100%", "  File x"]
    assert len(running.Ended("line\n" * 100, None).last_lines) == running.LINES


def test_versions_in_a_checkout_and_in_an_image(checkout, tmp_path):
    """TensorFlow is not imported where no GPU is seen."""
    words = [sys.executable, "-X", "importtime", "-m", "lsd_experiments.selftest", "--versions"]
    environ = environment(tmp_path / "missing", checkout)
    outside = run(words, checkout, env=environ)
    (checkout / "image.json").write_text(json.dumps(IMAGE.__dict__))
    inside = run(words, checkout, env=environ)
    assert outside.returncode == inside.returncode == 0
    assert "commit abcdef123456\n" in inside.stdout
    assert "commit unknown\n" in outside.stdout
    assert all(line in inside.stdout and line not in outside.stdout for line in image_lines(IMAGE))
    assert all(value in " ".join(image_lines(IMAGE)) for name, value in IMAGE.__dict__.items() if name != "commit")
    for ended in (outside, inside):
        assert f"Python {sys.version.split()[0]} ({sys.executable})\n" in ended.stdout
        assert f"numpy {np.__version__}, " in ended.stdout
        assert "lsd_experiments.provenance" in ended.stderr
        assert ("tensorflow" in ended.stderr) == gpu.CONTROL.exists()


def test_an_image_that_does_not_say_what_it_is(checkout, tmp_path):
    (checkout / "image.json").write_text("{}")
    ended = run(command("--versions"), checkout, env=environment(tmp_path, checkout))
    assert ended.returncode == 2
    assert "image.json" in ended.stderr.splitlines()[-1]


@pytest.mark.skipif(gpu.CONTROL.exists(), reason="a GPU is here")
def test_a_gpu_is_seen_but_tensorflow_is_not_for_it(tmp_path):
    """nvidia-smi lists one; TensorFlow is asked for real."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n[ $1 = -L ] && echo '{H100.strip()}'\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    ended = run(command("--versions"), tmp_path, env=environment(tmp_path, PATH=path, CUDA_VISIBLE_DEVICES="0"))
    assert ended.returncode == 0
    line = ended.stdout.splitlines()[-1]
    assert line.startswith("GPU: seen (NVIDIA H100 80GB HBM3), but ")
    assert "CPU build of TensorFlow" in line or "cannot use it: " in line
    program.write_text("#!/bin/sh\nexit 9\n")
    ended = run(command("--versions"), tmp_path, env=environment(tmp_path, PATH=path))
    assert ended.stdout.splitlines()[-1].startswith("GPU: none is seen. ")


# TensorFlow 2.21 with CUDA, where there is no driver.
NO_DRIVER = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795282763.283428   12000 port.cc:153] oneDNN custom operations are on. You may see slightly different results.
I0000 00:00:1795282763.284075   12000 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used.
E0000 00:00:1795282765.723063   12000 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: UNKNOWN ERROR (303)
"""
# And what it says where libraries are missing, of which this is the telling line.
NO_LIBRARIES = """\
2026-11-21 18:00:00.012345: I cuda_diagnostics.cc:198] kernel version seems to match DSO
2026-11-21 18:00:00.123456: W tensorflow/core/common_runtime/gpu/gpu_device.cc:2365] Cannot dlopen some GPU libraries.
"""


SEEN, UNUSABLE = "GPU: seen (A)", "GPU: seen (A), but TensorFlow cannot use it:"
CPU_BUILD = f"{SEEN}, but not usable: this is the CPU build of TensorFlow."


@pytest.mark.parametrize(("found", "expected"), [
    (gpu.Probe(), f"{CPU_BUILD} Run ./setup.sh install again: where nvidia-smi lists a GPU, it takes the build with CUDA"),
    (gpu.Probe(cuda=True, log=NO_DRIVER), f"{UNUSABLE} Could not find cuda drivers on your machine, GPU will not be used."),
    (gpu.Probe(cuda=True, log=NO_LIBRARIES), f"{UNUSABLE} Cannot dlopen some GPU libraries."),
    (gpu.Probe(cuda=True), f"{UNUSABLE} it lists none, and does not say why"),
    (gpu.Probe(error="ImportError: no\nlibrary"), f"{UNUSABLE} ImportError: no library"),
    (gpu.Probe(cuda=True, gpus=("A",)), f"{UNUSABLE} a matrix product on A gives wrong numbers"),
    (gpu.Probe(cuda=True, gpus=("A",), error="InternalError: no memory"), f"{UNUSABLE} InternalError: no memory"),
    (gpu.Probe(cuda=True, gpus=("NVIDIA A, 80 GB",), right=True, log=NO_DRIVER), f"{SEEN} and usable: NVIDIA A, 80 GB"),
])
def test_what_is_said_of_a_gpu(found, expected):
    assert gpu.gpu_line(["A"], found, in_image=False, visible="0") == expected


def test_what_is_said_where_none_is_seen():
    assert gpu.gpu_line(None, None) == ("GPU: none is seen. To use one in a container, start it with --nv on a machine that has "
                                        "one; elsewhere, install NVIDIA's driver")


def test_what_is_said_of_gpus_in_an_image():
    assert gpu.gpu_line(["A"], gpu.Probe(), in_image=True) == f"{CPU_BUILD} Build the image without --cpu"
    assert gpu.gpu_line([], gpu.Probe(cuda=True)).startswith("GPU: seen, but TensorFlow cannot use it: ")  # no nvidia-smi there
    assert gpu.gpu_line(["A", "B"], gpu.Probe()).startswith("GPU: seen (A, B), but ")


@pytest.mark.parametrize(("visible", "hides"), [("", True), ("-1", True), ("0", False), ("1,0", False), ("GPU-5a6f", False),
                                                (None, False)])
def test_gpus_that_are_hidden(visible, hides):
    line = gpu.gpu_line(["A"], gpu.Probe(cuda=True, log=NO_DRIVER), visible=visible)
    assert (line == f"{UNUSABLE} CUDA_VISIBLE_DEVICES={visible} hides all GPUs. Unset it") == hides


def test_a_reason_is_one_line():
    said = gpu.reason(gpu.Probe(cuda=True, error="x\n" * 1000))
    assert len(said) == gpu.LONGEST
    assert said.endswith("x...")


def test_names_that_the_driver_lists():
    slice_of_it = "  MIG 1g.10gb     Device  0: (UUID: MIG-8a2f4d52-0000-0000-0000-000000000000)\n"
    assert gpu.gpu_names(H100 + slice_of_it + "GPU 1: Tesla V100\n") == ["NVIDIA H100 80GB HBM3", "Tesla V100"]
    assert gpu.gpu_names("No devices found.\n") == []


def test_the_answer_of_the_process_that_asks_tensorflow():
    answer = json.dumps({"cuda": True, "gpus": ["A"], "right": True})
    said = f"{NO_DRIVER}\n{gpu.MARK}{answer}\n"
    assert gpu.read_probe(said, None) == gpu.Probe(cuda=True, gpus=("A",), right=True, log=said)
    crashed = gpu.read_probe("terminate called", "was ended by signal 6")
    assert gpu.reason(crashed) == "the process that asks TensorFlow was ended by signal 6"
    assert gpu.read_probe("", None).error == "the process that asks TensorFlow gave no answer"


def write(container: Path, dataset: str, value: int, shape: tuple[int, ...] = checks.SHAPE, channels: int | None = None) -> None:
    made = create_volume(container, dataset, shape, (20, 9, 9), (400, 900, 1800), "uint8", channels=channels, overwrite=True)
    made.write(made.box, np.full((*([channels] if channels else []), *shape), value, np.uint8))


def write_scores(path: Path, voi: float) -> None:
    row = {"threshold": 0.5, "voi_split": voi, "voi_merge": 1.0, "voi_sum": voi + 1.0, "adapted_rand_error": 0.5}
    path.write_text(json.dumps({"curves": {"mean": [row]}, "best": {"mean": row}}))


def test_what_must_be_in_the_outputs(tmp_path):
    container, scores = tmp_path / "prediction.zarr", tmp_path / "scores.json"
    for name, channels in (("affs", 3), ("lsds", 10), ("fragments", None), ("segmentation", None)):
        write(container, f"volumes/{name}", 1, channels=channels)
    write_scores(scores, 2.0)
    assert checks.pipeline(container, scores) == "1 fragments, 1 segments, VOI 3.00"
    for voi, text in ((float("nan"), "not finite"), (float("inf"), "not finite")):
        write_scores(scores, voi)
        with pytest.raises(checks.Missing, match=text):
            checks.pipeline(container, scores)
    scores.write_text('{"curves": {"mean": []}, "best": {}}')
    with pytest.raises(checks.Missing, match="no scores"):
        checks.best_voi(scores)
    with pytest.raises(checks.Missing, match=r"not as run.py writes it: FileNotFoundError"):
        checks.best_voi(tmp_path / "missing.json")
    write(container, "volumes/segmentation", 0)
    with pytest.raises(checks.Missing, match=r"volumes/segmentation is all 0$"):
        checks.pipeline(container, scores)
    write(container, "volumes/affs", 1, shape=(32, 80, 64), channels=3)
    with pytest.raises(checks.Missing, match=r"volumes/affs is 3 x 32 x 80 x 64, not 3 x 32 x 80 x 120"):
        checks.pipeline(container, scores)
    write(container, "volumes/affs", 0, channels=3)
    with pytest.raises(checks.Missing, match="all 0 in a channel"):
        checks.pipeline(container, scores)
    with pytest.raises(UserError, match="raw"):
        checks.volume(container)


@pytest.mark.parametrize(("said", "text"), [
    ("[00:12, loss=nan]", "the last loss is nan"),
    ("nothing", "the last loss is not told"),
    ("loss=nan]\rloss=0.26]", "no checkpoint of iteration 2"),  # finite at last
])
def test_what_must_be_there_after_training(tmp_path, said, text):
    with pytest.raises(checks.Missing, match=text):
        checks.training(tmp_path, said)
