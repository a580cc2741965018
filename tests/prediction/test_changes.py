"""Raw and checkpoint change, or chunks are lost, in a prediction or between two runs: never a mix that is called done."""

import itertools
import re
import shutil

import numpy as np
import pytest

from lsd_experiments import checkpoints
from lsd_experiments.arrays import open_volume
from lsd_experiments.blockwise import Workers
from lsd_experiments.errors import UserError
from lsd_experiments.prediction import blockwise
from lsd_experiments.prediction.plan import make_plan
from lsd_experiments.prediction.settings import PredictionSettings
from tests.pipeline.here import run_here
from tests.prediction.conftest import INPUT_SHAPE, ITERATION, NETWORK, ROOT, VOXEL_SIZE
from tests.scripts import run_script

SHAPE = (4, 9, 11)  # 2 x 2 x 2 blocks
MAKERS = {"predict_scan": blockwise.predict_scan,
          "predict_blockwise": lambda plan, overwrite=False: blockwise.predict_blockwise(plan, Workers(num_workers=1), overwrite)}


@pytest.fixture
def place(setup, make_raw, tmp_path):
    """A setup and raw of our own, to be changed."""
    shutil.copytree(setup, tmp_path / "02_train/fib25/tiny")
    shutil.copytree(make_raw(SHAPE), tmp_path / "raw.zarr")
    return tmp_path


def plan_in(place, out_file="out.zarr"):
    return make_plan(PredictionSettings(str(place / "02_train/fib25/tiny"), str(place / "raw.zarr"), str(place / out_file)))


def change_raw(place):
    open_volume(place / "raw.zarr", "volumes/raw", writable=True).array[2, 3:8, 4:9] = 0


def change_checkpoint(place):
    import keras

    keras.utils.set_random_seed(4)
    checkpoints.save_checkpoint(NETWORK.build(INPUT_SHAPE), place / "02_train/fib25/tiny", NETWORK, ITERATION,
                                {"voxel_size": VOXEL_SIZE, "seed": 4})


CHANGES = {"raw": change_raw, "sha256_of_checkpoint": change_checkpoint}


def after_block(monkeypatch, number, disturb):
    """Have ``disturb`` called when so many blocks are done."""
    real = blockwise._writer

    def disturbed(plan):
        write, count = real(plan), itertools.count(1)

        def process(box, predicted):
            write(box, predicted)
            if next(count) == number:
                disturb()
        return process
    monkeypatch.setattr(blockwise, "_writer", disturbed)


@pytest.fixture(params=MAKERS)
def predict(request, monkeypatch):
    monkeypatch.setattr(blockwise, "run_blockwise", run_here)
    return MAKERS[request.param]


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("block", [2, 8])
def test_an_input_that_changes_meanwhile(place, predict, what, block, monkeypatch, read):
    with monkeypatch.context() as patch:
        after_block(patch, block, lambda: CHANGES[what](place))
        with pytest.raises(UserError, match=rf"predict: its input changed meanwhile: {what} was .*not called finished"):
            predict(plan_in(place))
    for name in ("lsds", "affs"):
        assert "finished" not in open_volume(place / "out.zarr", f"volumes/{name}").attrs
    with pytest.raises(UserError, match=rf"out\.zarr:volumes/\w+ exists and was made with {what} = .*--overwrite"):
        predict(plan_in(place))
    assert predict(plan_in(place), overwrite=True)
    predict(plan_in(place, "alone.zarr"))
    for name, values in read(place / "alone.zarr").items():
        np.testing.assert_array_equal(read(place / "out.zarr")[name], values)
    assert not predict(plan_in(place))  # negative control: nothing changed since


@pytest.mark.parametrize("what", CHANGES)
def test_an_input_that_changes_between_a_kill_and_the_next_run(place, predict, what, monkeypatch):
    def kill():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        after_block(patch, 3, kill)
        with pytest.raises(KeyboardInterrupt):
            predict(plan_in(place))
    CHANGES[what](place)
    with pytest.raises(UserError, match=rf"exists and was made with {what} = "):
        predict(plan_in(place))


@pytest.mark.parametrize("head", ["affs", "lsds"])
def test_a_chunk_that_is_lost_meanwhile_is_made_again(place, predict, head, monkeypatch, read):
    predict(plan_in(place, "alone.zarr"))
    lost = place / "out.zarr/volumes" / head / "0.0.0.0"
    with monkeypatch.context() as patch:
        after_block(patch, 4, lost.unlink)
        try:
            predict(plan_in(place))
        except UserError as error:  # the scan goes over all blocks once
            assert re.search(rf"volumes/{head}: when all blocks were done, chunk 0\.0\.0\.0 .* is gone", str(error))  # noqa: PT017
    predict(plan_in(place))
    for name, values in read(place / "alone.zarr").items():
        np.testing.assert_array_equal(read(place / "out.zarr")[name], values)


CONFIG = """out_file = "out.zarr"
[fragments]
fragments_in_xy = false
block_size = [150, 72, 46]
context = [50, 9, 4.6]
"""


def test_a_chunk_that_is_lost_between_runs_is_named_by_the_next_stage_and_made_again(run, make_raw, tmp_path):
    """As a user runs them."""
    arguments = ("predict.py", "--raw-file", make_raw(SHAPE), "--output", tmp_path / "out.zarr", "--num-workers", 1)
    run(*arguments)
    chunks = {path: (path.read_bytes(), path.stat().st_ctime_ns) for path in (tmp_path / "out.zarr/volumes").glob("*/0.*")}
    lost = tmp_path / "out.zarr/volumes/affs/0.1.0.1"
    lost.unlink()
    (tmp_path / "config.toml").write_text(CONFIG)
    refused = extract_fragments(tmp_path)
    assert refused.returncode == 2
    place = r"chunk 0\.1\.0\.1 \(voxels \(3, 0, 10\) to \(4, 8, 11\), \(250\.0, -27\.0, 59\.8\) to \(300\.0, 45\.0, 64\.4\) nm\)"
    assert re.fullmatch(rf"error: \S*out\.zarr:volumes/affs: {place}: gone or cut off\. Run predict again.*\n", refused.stderr)
    again = run(*arguments)
    assert "1 of 8 finished blocks are done again: what they wrote is gone" in again.stderr
    assert all(path.read_bytes()[8:] == content[8:] for path, (content, _) in chunks.items())  # gzip notes the time before
    kept = [path for path, (_, changed) in chunks.items() if path.stat().st_ctime_ns == changed]
    assert len(kept) == len(chunks) - 2  # the block writes both heads
    assert extract_fragments(tmp_path).returncode == 0


def extract_fragments(directory):
    return run_script(ROOT / "03_predict/extract_fragments.py", "config.toml", cwd=directory)
