"""A queue with a real training: its setup, a stop, and going on to more iterations."""

import signal
import subprocess
import sys
import time
import tomllib

import pytest

from lsd_experiments import checkpoints, networks
from lsd_experiments.errors import UserError
from lsd_experiments.installation import ROOT
from lsd_experiments.synthetic import write_synthetic
from lsd_experiments.trainings.command import table
from lsd_experiments.trainings.reading import read_queue
from lsd_experiments.trainings.running import run_queue
from lsd_experiments.trainings.setups import make_setup
from lsd_experiments.trainings.state import State
from tests.scripts import environment

VOXEL = (30, 9, 9)  # augmentation exchanges y and x
QUEUE = """
[[job]]
name = "baseline"
directory = "seed3/baseline"
steps = [["train.py", "@", "--data", "$out/../v.zarr", "--num-fmaps", "1", "--fmap-inc-factor", "1", "--seed", "3",
          "--num-workers", "0", "--save-every", "1"]]
[job.setup]
like = "zebrafinch/baseline"
network = {downsample_factors = [[1, 2, 2]]}
train_net = [24, 36, 32]
dataset = {voxel_size = [30, 9, 9]}
"""
SETUP = {"like": "zebrafinch/lsd", "network": {"downsample_factors": [[1, 2, 2]]}, "train_net": [24, 36, 32], "config": None,
         "dataset": {"voxel_size": [30, 9, 9]}}


def test_a_training_is_stopped_goes_on_and_then_further(tmp_path):
    write_synthetic(tmp_path / "v.zarr", (34, 70, 60), VOXEL, seed=1)
    out, file = tmp_path / "out", tmp_path / "queue.toml"
    file.write_text(QUEUE.replace("@", "5000"))
    process = subprocess.Popen([sys.executable, ROOT / "02_train/trainings.py", file, out], env=environment())
    end = time.monotonic() + 300
    while checkpoints.find_checkpoint(out / "seed3/baseline") is None:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    _, jobs = read_queue(file, out)
    stopped = State.read(out)
    reached = checkpoints.find_checkpoint(out / "seed3/baseline").iteration
    assert 0 < reached < 5000
    assert f"baseline stopped {reached}/5000" in " ".join(table(jobs, stopped).split())
    assert stopped.of(jobs[0]).seconds > 1

    file.write_text(QUEUE.replace("@", str(reached + 1)))
    _, jobs = read_queue(file, out)
    assert run_queue(jobs, State.read(out), parallel=1, threads=1) == 0
    checkpoint = checkpoints.find_checkpoint(out / "seed3/baseline")
    assert checkpoint.iteration == reached + 1
    assert checkpoint.network.downsample_factors == ((1, 2, 2),)
    log = (out / "logs/baseline.log").read_text()
    assert "from the start" in log
    assert f"from train_net_checkpoint_{reached}" in log
    assert State.read(out).of(jobs[0]).seconds > stopped.of(jobs[0]).seconds


def test_a_setup_is_a_copy_with_other_values(tmp_path):
    make_setup(tmp_path / "seed0/lsd", SETUP)
    made = networks.read(tmp_path / "seed0/lsd/train_net.json")
    assert (made.network.downsample_factors, made.input_shape) == (((1, 2, 2),), (24, 36, 32))
    assert networks.read(tmp_path / "seed0/lsd/config.json").input_shape == (96, 484, 484)  # mknet.py's
    said = tomllib.loads((tmp_path / "seed0/dataset.toml").read_text())
    published = tomllib.loads((ROOT / "02_train/zebrafinch/dataset.toml").read_text())
    assert said == published | {"voxel_size": [30, 9, 9]} != published
    (tmp_path / "seed0/lsd/kept").touch()
    make_setup(tmp_path / "seed0/lsd", SETUP)
    assert (tmp_path / "seed0/lsd/kept").exists()
    assert sorted(path.name for path in (tmp_path / "seed0").iterdir()) == ["dataset.toml", "expected.toml", "lsd"]


@pytest.mark.parametrize(("changed", "message"), [
    ({"like": "zebrafinch/lds"}, "'zebrafinch/lds': no such experiment in 02_train"),
    ({"network": {"downsampling_factors": []}}, "networks have no 'downsampling_factors'.*'downsample_factors'"),
    ({"train_net": [24, 36, 33]}, r"input shape \(24, 36, 33\) is not legal"),
])  # fmt: skip
def test_mistakes_leave_no_setup(tmp_path, changed, message):
    with pytest.raises(UserError, match=message):
        make_setup(tmp_path / "seed0/lsd", SETUP | changed)
    assert not (tmp_path / "seed0/lsd").exists()
    make_setup(tmp_path / "seed0/lsd", SETUP)
    with pytest.raises(UserError, match="is there, and was not made with this"):
        make_setup(tmp_path / "seed0/lsd", SETUP | {"train_net": [24, 40, 32]})


def test_a_job_whose_setup_is_wrong_fails_and_others_go_on(tmp_path, capsys):
    (tmp_path / "touch.py").write_text("open('made', 'w').close()")
    file = tmp_path / "queue.toml"
    file.write_text(QUEUE.replace("zebrafinch/baseline", "zebrafinch/none").replace("@", "1")
                    + f'[[job]]\nname = "other"\nsteps = [["{tmp_path}/touch.py"]]')
    _, jobs = read_queue(file, tmp_path / "out")
    assert run_queue(jobs, State(tmp_path / "out"), 1, 1) == 1
    assert "baseline: like = 'zebrafinch/none': no such experiment" in capsys.readouterr().err
    assert (tmp_path / "out/made").exists()
