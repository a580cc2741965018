"""train.py as real processes: stopped by signals, killed, resumed."""

import os
import re
import signal

import h5py
import numpy as np
import psutil
import pytest

from lsd_experiments.checkpoints import find_checkpoint

pytestmark = pytest.mark.kills
LAST = 50


def wait_for(process, iteration):
    """Read the progress bar until it shows ``iteration``; returns the one that it shows."""
    shown = ""
    while True:
        character = process.stderr.read(1)
        assert character, f"ended with {process.wait()}: {shown}"
        shown += character
        numbers = re.findall(rf"(\d+)/{LAST} \[", shown)
        if numbers and int(numbers[-1]) >= iteration:
            return int(numbers[-1])


def stop(setup, iteration, how, *options):
    """Train until the bar shows ``iteration``, then ``how(process)``; its status, last words, and that iteration."""
    process = setup.start("train.py", LAST, *setup.options, "--num-workers", 1, *options)
    try:
        shown = wait_for(process, iteration)
        family = psutil.Process(process.pid).children(recursive=True)
        assert family  # the worker
        how(process)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, "left workers behind"
    return process.returncode, said.strip(), shown


def of_group(number):
    return lambda process: os.killpg(process.pid, number)


def arrays(path):
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return found


@pytest.fixture(scope="module")
def interrupted(make_setup):
    """A training stopped by SIGTERM, then by Ctrl-C, then killed while it saved often, then finished."""
    setup = make_setup()
    told = {"setup": setup}

    def beside(process):
        os.killpg(process.pid, signal.SIGSTOP)  # so that it does not come to its end meanwhile
        before = setup.tree()
        told["second"] = setup.run("train.py", LAST, *setup.options), setup.tree() == before
        os.killpg(process.pid, signal.SIGCONT)
        os.killpg(process.pid, signal.SIGTERM)

    told["terminated"] = (*stop(setup, 4, beside), find_checkpoint(setup.directory).iteration)
    start = told["terminated"][-1]
    told["interrupted"] = (*stop(setup, start + 3, of_group(signal.SIGINT)), find_checkpoint(setup.directory).iteration)
    start = told["interrupted"][-1]
    kill = stop(setup, start + 5, lambda process: process.kill(), "--save-every", 2)
    told["killed"] = (*kill, find_checkpoint(setup.directory).iteration)
    told["before the end"] = {path.name for path in setup.directory.iterdir()}
    told["finished"] = setup.run("train.py", LAST, *setup.options, "--num-workers", 1)
    return told


@pytest.mark.parametrize(("what", "status"), [("terminated", 143), ("interrupted", 130)])
def test_a_signal_saves_a_checkpoint_and_stops(interrupted, what, status):
    found, said, shown, saved = interrupted[what]
    assert found == status
    assert said.endswith(f"stopped at iteration {saved}: saved; run the same command to go on")
    assert shown <= saved < LAST


def test_a_second_training_in_the_directory_is_refused(interrupted):
    """And changes nothing; the first goes on. That one that was killed leaves no lock, ``finished`` shows."""
    second, nothing_changed = interrupted["second"]
    directory = interrupted["setup"].directory
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr == (
        f"error: {directory}: another training is at work in this directory. Wait for it, or stop it first\n"
    )
    assert nothing_changed
    assert interrupted["terminated"][0] == 143
    assert interrupted["finished"].returncode == 0


def test_kill_9_loses_at_most_save_every(interrupted):
    status, _, shown, saved = interrupted["killed"]
    assert status == -signal.SIGKILL
    assert interrupted["interrupted"][-1] < saved < LAST
    assert saved % 2 == 0
    assert shown - saved <= 2  # the bar moves before the checkpoint of an iteration is written


def test_it_goes_on_from_the_newest_checkpoint_and_says_so(interrupted):
    finished, start = interrupted["finished"], interrupted["killed"][-1]
    assert finished.returncode == 0
    first = finished.stderr.splitlines()[0]
    assert first == f"training until iteration {LAST}, from train_net_checkpoint_{start}.weights.h5"
    assert (interrupted["setup"].directory / "snapshots" / f"batch_{start + 1}.hdf").is_file()


def test_all_that_is_said_is_ours(interrupted):
    """No word of TensorFlow, gunpowder or numba."""
    finished = interrupted["finished"]
    assert finished.stdout == ""
    lines = [line for line in re.split(r"[\r\n]+", finished.stderr) if line]
    assert len(lines) > 1
    assert all(line.startswith(("training until iteration", "training: ")) for line in lines), finished.stderr


def test_it_gives_the_weights_of_a_training_in_one_go(interrupted, make_setup):
    setup = interrupted["setup"]
    straight = make_setup()
    ran = straight.run("train.py", LAST, *straight.options, "--num-workers", 2)
    assert ran.returncode == 0, ran.stderr
    here, there = (arrays(find_checkpoint(s.directory).path) for s in (setup, straight))
    assert find_checkpoint(setup.directory).iteration == find_checkpoint(straight.directory).iteration == LAST
    assert set(here) == set(there)
    for name, array in here.items():
        np.testing.assert_array_equal(array, there[name], err_msg=name)


def test_nothing_to_do_is_said_and_nothing_written(interrupted):
    setup = interrupted["setup"]
    before = setup.tree()
    for iterations in (LAST, 1):
        ran = setup.run("train.py", iterations, *setup.options)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith(f"nothing to do: train_net_checkpoint_{LAST}.weights.h5 is at iteration {LAST}, ")
    assert setup.tree() == before


def test_another_architecture_is_refused(interrupted):
    setup = interrupted["setup"]
    before = setup.tree()
    ran = setup.run("train.py", LAST + 1, "--data", setup.volume)
    assert ran.returncode == 2
    assert re.fullmatch(r"error: .*train_net_checkpoint_50.*num_fmaps is 1, not 8\. Give the options.*\n", ran.stderr)
    assert setup.tree() == before


def test_help_is_complete(interrupted):
    setup = interrupted["setup"]
    ran = setup.run("train.py", "--help")
    assert ran.returncode == 0
    for option in ("data", "batch-size", "num-workers", "save-every", "snapshot-every", "seed", "num-fmaps",
                   "fmap-inc-factor", "input-shape", "log-dir", "precision", "debug"):  # fmt: skip
        assert f"--{option}" in ran.stdout
