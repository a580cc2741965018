"""Copies of experiments, and commands in them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from lsd_experiments.datasets import load_dataset
from lsd_experiments.scenario import copy_experiment, environment, run_script
from tests.scripts import ROOT

MTLSD = ROOT / "02_train" / "synthetic" / "mtlsd"


@pytest.mark.parametrize("own", [False, True])
def test_a_copy_has_what_makes_an_experiment(tmp_path, own):
    """Its dataset's file may be in it; what was made there is left, and so are modes."""
    source = copy_experiment(MTLSD, tmp_path / "read" / "only")
    if own:
        (source.parent / "dataset.toml").rename(source / "dataset.toml")
    (source / "train_net_checkpoint_2.h5").touch()
    (source / "train.py").chmod(0o444)
    copied = copy_experiment(source, tmp_path / "copy" / "of_it")
    assert {path.name for path in copied.iterdir()} == {path.name for path in source.iterdir()} - {"train_net_checkpoint_2.h5"}
    assert load_dataset(copied).voxel_size == (20, 9, 9)
    (copied / "train.py").write_text("print(1 + 1)")
    assert run_script(copied, "train.py", capture_output=True).stdout == "2\n"


def test_commands_find_this_package_first(monkeypatch, tmp_path):
    (tmp_path / "lsd_experiments.py").write_text("raise SystemExit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "import lsd_experiments; print(lsd_experiments.__path__)"
    assert str(ROOT / "lsd_experiments") in run_script(ROOT, "-c", code, capture_output=True).stdout
    assert environment(A="b")["A"] == "b"


@pytest.mark.parametrize("by_terminal", [True, False])
def test_a_step_that_is_stopped_ends_by_itself(tmp_path, by_terminal):
    """Ctrl-C, which all processes of a terminal get, and SIGTERM, which one gets: the script saves what it has."""
    (tmp_path / "script.py").write_text(
        "import signal, sys, time\n"
        "def stop(number, _):\n    time.sleep(0.5)\n    open('saved', 'w').close()\n    sys.exit(128 + number)\n"
        "signal.signal(signal.SIGINT, stop), signal.signal(signal.SIGTERM, stop)\nopen('begun', 'w').close()\ntime.sleep(60)\n")
    code = f"from lsd_experiments.scenario import step; step('a title', {str(tmp_path)!r}, 'script.py', '1')"
    process = subprocess.Popen([sys.executable, "-c", code], env=environment(), start_new_session=True, stderr=subprocess.PIPE,
                               text=True)
    while not (tmp_path / "begun").exists() and process.poll() is None:
        time.sleep(0.02)
    if by_terminal:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.terminate()
    assert process.wait(30) == (130 if by_terminal else 143)
    assert (tmp_path / "saved").exists()
    assert process.stderr.read() == f"\n==> a title\n    cd {tmp_path}; python script.py 1\n"
