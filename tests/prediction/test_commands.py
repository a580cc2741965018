"""``predict.py`` and ``predict_scan.py`` of a setup directory, run as a user does."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.prediction.blockwise import predict_scan

ROOT = Path(__file__).parents[2]

MANY = (30, 32, 40)  # 10 x 4 x 4 blocks


def files_of(directory):
    """The files below a directory, with when and to what length they were written."""
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in Path(directory).rglob("*") if path.is_file()}


def chunks_of(container):
    parts = ((path, time, path.rpartition("/affs/")) for path, time in files_of(container).items())
    return {path: time for path, time, (_, within, name) in parts if within and not name.startswith(".")}


@pytest.fixture(scope="module")
def undisturbed(setup, make_raw, tmp_path_factory):
    """What an undisturbed scan gives for ``MANY``."""
    from lsd_experiments.prediction.plan import make_plan
    from lsd_experiments.prediction.settings import PredictionSettings

    out_file = tmp_path_factory.mktemp("undisturbed") / "prediction.zarr"
    predict_scan(make_plan(PredictionSettings(str(setup), str(make_raw(MANY)), str(out_file))))
    return out_file


def test_the_scan_predicts_what_has_context(run, make_raw, expected, read, tmp_path):
    shape = (17, 25, 30)
    done = run("predict_scan.py", "--raw-file", make_raw(shape))
    assert done.stdout == f"{tmp_path / 'test_prediction.zarr'}: volumes/lsds, volumes/affs\n"
    assert "error" not in done.stderr.lower()
    raw = open_volume(make_raw(shape), "volumes/raw").read()
    wanted = expected(raw, begin=(6, 10, 8), shape=(5, 5, 14), output_shape=(3, 5, 10))
    for name, values in read(tmp_path / "test_prediction.zarr").items():
        np.testing.assert_array_equal(values, wanted[name])
    assert open_volume(str(tmp_path / "test_prediction.zarr"), "volumes/affs").offset == pytest.approx((400, 63, 50.6))


def test_options(run, make_raw, expected, read, tmp_path):
    arguments = ("--raw-file", make_raw((7, 13, 23)), "--raw-dataset", "volumes/raw", "--checkpoint", 7, "--pad",
                 "--input-shape", 14, 25, 22, "--roi-offset", 150, -9, 23, "--roi-shape", 250, 90, 69,
                 "--output", "some/where.zarr")
    run("predict_scan.py", *arguments)
    raw = open_volume(make_raw((7, 13, 23)), "volumes/raw").read()
    wanted = expected(raw, begin=(1, 2, 2), shape=(5, 10, 15), output_shape=(2, 5, 6))
    for name, values in read(tmp_path / "some" / "where.zarr").items():
        np.testing.assert_array_equal(values, wanted[name])

    before = files_of(tmp_path)
    again = run("predict_scan.py", *arguments)
    assert "nothing to do" in again.stderr
    assert files_of(tmp_path) == before
    for other, key in ((("--input-shape", 14, 25, 24), "input_shape"), (("--roi-shape", 250, 90, 46), "roi_shape"),
                       (("--precision", "bfloat16"), "precision")):
        refused = run("predict_scan.py", *arguments, *other, status=2)
        assert refused.stderr.startswith(f"error: {tmp_path}/some/where.zarr:volumes/lsds exists and was made with {key} = ")
        assert refused.stderr.count("\n") == 1
        assert files_of(tmp_path) == before


def test_overwrite(plan, make_raw, expected, read, tmp_path):
    raw = open_volume(make_raw((4, 9, 11)), "volumes/raw").read()
    predict_scan(plan(make_raw((7, 13, 23))))
    assert predict_scan(plan(make_raw((4, 9, 11))), overwrite=True)
    for name, values in read(tmp_path / "prediction.zarr").items():
        np.testing.assert_array_equal(values, expected(raw)[name])


@pytest.mark.kills
def test_a_killed_prediction_goes_on(setup, run, make_raw, undisturbed, read, tmp_path):
    out_file = tmp_path / "prediction.zarr"
    arguments = ["--raw-file", str(make_raw(MANY)), "--output", str(out_file), "--num-workers", "2"]
    process = subprocess.Popen([sys.executable, setup / "predict.py", *arguments], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(chunks_of(out_file)) < 20:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)  # until the workers have noticed
    before = chunks_of(out_file)
    assert 20 <= len(before) < 10 * 4 * 4, "not killed in the middle"

    done = run("predict.py", *arguments)
    assert done.stdout == f"{out_file}: volumes/lsds, volumes/affs\n"
    after = chunks_of(out_file)
    assert len(after) == 10 * 4 * 4
    kept = [path for path, written in before.items() if after[path] == written]
    assert len(kept) >= len(before) - 4  # the blocks that were worked on when it was killed are made again
    for name, values in read(undisturbed).items():
        np.testing.assert_array_equal(read(out_file)[name], values)

    again = run("predict.py", *arguments)
    assert "nothing to do" in again.stderr
    assert chunks_of(out_file) == after


def test_the_volume_that_is_predicted_by_default(setup, run, make_raw, tmp_path):
    """What fetch_data.py fetches of fib25, where it puts it."""
    fetched = setup.parents[2] / "01_data" / "funke" / "fib25" / "training" / "tstvol-520-1.zarr"
    refused = run("predict.py", status=2)
    assert refused.stderr.startswith("error: raw: no volume is named, and none was fetched. Name one by --raw-file")
    fetched.parent.mkdir(parents=True)
    shutil.copytree(make_raw((7, 13, 23)), fetched)
    refused = run("predict_scan.py", status=2)
    assert refused.stderr.startswith(f"error: {fetched}:volumes/raw: (7, 13, 23) voxels are too few")
    shutil.rmtree(setup.parents[2] / "01_data")
    assert not any(tmp_path.iterdir())
