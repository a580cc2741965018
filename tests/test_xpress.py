"""What docs/xpress.md has that a page's commands cannot run to their end: the viewers, which stay, and the published training."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lsd_experiments import frameworks, networks
from lsd_experiments.checkpoints import save_checkpoint
from lsd_experiments.networks import Head, Network
from tests.scripts import run_script

ROOT = Path(__file__).parents[1]
BASELINE = ROOT / "02_train" / "xpress" / "baseline"


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    """A tiny synthetic challenge, without masks."""
    directory = tmp_path_factory.mktemp("challenge")
    script = ROOT / "01_data" / "make_synthetic.py"
    run_script(script, directory / "xpress-challenge.zarr", "--kind", "axons", "--shape", 48, 48, 48).check_returncode()
    return directory


@pytest.fixture
def baseline(tmp_path):
    """A copy of the directory, with the descriptions of a narrow network."""
    directory = tmp_path / "02_train" / "xpress" / "baseline"
    shutil.copytree(BASELINE, directory, ignore=lambda _, names: [n for n in names if not n.endswith((".py", ".sh"))])
    shutil.copy(BASELINE.parent / "dataset.toml", directory.parent)
    return directory


def url_of(command, directory):
    """What a viewer prints before it stays; it is ended by Ctrl-C."""
    running = subprocess.Popen([sys.executable, *command], cwd=directory, env={**os.environ, "PYTHONPATH": str(ROOT)},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = running.stdout.readline().strip()
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert (running.returncode, errors.splitlines()[-1:]) == (130, ["interrupted"]), errors
    return url


def test_the_challenge_is_shown_with_its_skeletons(challenge):
    command = [ROOT / "01_data" / "view_data.py", "--file", "xpress-challenge.zarr", "--datasets", "volumes/validation_raw",
               "volumes/validation_labels", "--graphs", "XPRESS_validation_skels.npz"]
    assert url_of(command, challenge).startswith("http://127.0.0.1:")


def test_a_batch_of_the_baseline_is_shown(challenge, baseline):
    container = challenge / "xpress-challenge.zarr"
    for script in ("add_labels_mask", "add_unlabeled_mask"):
        run_script(ROOT / "01_data" / f"{script}.py", container).check_returncode()
    small = ("--num-fmaps", "1", "--fmap-inc-factor", "1", "--input-shape", "100", "100", "100", "--num-workers", "0")
    for command in (["mknet.py"], ["train.py", "1", "--data", container, *small]):
        ran = run_script(*command, cwd=baseline)
        assert ran.returncode == 0, ran.stderr
    assert url_of(["view_batch.py"], baseline).startswith("http://127.0.0.1:")


def test_the_published_training_ends_at_iteration_400000(baseline):
    """And does nothing when it is run again."""
    narrow = ("--num-fmaps", "1", "--fmap-inc-factor", "1")
    frameworks.import_keras()
    network = Network(1, 1, ((2, 2, 2),) * 3, (Head("affs", 12, predicted=3),), architecture="funlib")
    save_checkpoint(network.build(network.smallest_input_shape), baseline, network, 400_000, {"voxel_size": [33, 33, 33]})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ran = subprocess.run([baseline / "train.sh", *narrow], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "nothing to do: train_net_checkpoint_400000.weights.h5 is at iteration 400000, "
                                               "400000 were asked for\n"), ran.stderr
    assert networks.read(baseline / "train_net.json").network.num_fmaps == 24
