"""The container of a synthetic volume, and the command that makes it."""

from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.synthetic import synthesize, write_synthetic
from tests.scripts import environment, run_script

ROOT = Path(__file__).resolve().parents[2]
SHAPE, VOXEL, OFFSET = (7, 30, 41), (40.0, 4.6, 9.0), (400.0, 46.0, 1800.0)


def test_what_is_written(tmp_path):
    path = tmp_path / "new" / "synthetic.zarr"
    assert write_synthetic(path, SHAPE, VOXEL, seed=3, offset=OFFSET)
    expected = synthesize(SHAPE, VOXEL, seed=3)
    raw, labels, mask = (open_volume(str(path), f"volumes/{name}")
                         for name in ("raw", "labels/neuron_ids", "labels/labels_mask"))
    for volume, dtype in ((raw, np.uint8), (labels, np.uint64), (mask, np.uint8)):
        assert (volume.shape, volume.dtype) == (SHAPE, dtype)
        assert volume.voxel_size == pytest.approx(VOXEL)
        assert volume.offset == pytest.approx(OFFSET)
        assert volume.attrs["provenance"]["parameters"]["seed"] == 3
    assert (raw.read() == expected.raw).all()
    assert (labels.read() == expected.labels).all()
    assert (mask.read() == (expected.labels > 0)).all()
    assert [p.name for p in path.parent.iterdir()] == ["synthetic.zarr"]


def test_again_is_nothing_to_do_and_other_parameters_are_refused(tmp_path):
    path = tmp_path / "s.zarr"
    assert write_synthetic(path, (3, 10, 10))
    modified = (path / "volumes/raw/.zattrs").stat().st_mtime_ns
    assert not write_synthetic(path, (3, 10, 10))
    with pytest.raises(UserError, match=r"other parameters \(seed 0\)"):
        write_synthetic(path, (3, 10, 10), seed=1)
    assert (path / "volumes/raw/.zattrs").stat().st_mtime_ns == modified


def test_nothing_else_is_overwritten(tmp_path):
    path = tmp_path / "precious.zarr"
    path.mkdir()
    (path / "data").write_text("mine")
    with pytest.raises(UserError, match="not a synthetic volume"):
        write_synthetic(path, (3, 10, 10))
    with pytest.raises(UserError, match=r"\.zarr"):
        write_synthetic(tmp_path / "x.h5", (3, 10, 10))
    with pytest.raises(UserError, match="offset"):
        write_synthetic(tmp_path / "x.zarr", (3, 10, 10), offset=(0, 0))
    assert [p.name for p in tmp_path.rglob("*")] == ["precious.zarr", "data"]


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lsd_experiments.arrays.Volume.write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_synthetic(tmp_path / "s.zarr", (3, 10, 10))
    assert not list(tmp_path.iterdir())


def make(*arguments, **variables):
    return run_script(ROOT / "01_data" / "make_synthetic.py", *arguments, env=environment(**variables))


def test_the_command(tmp_path):
    path = tmp_path / "s.zarr"
    done = make(path, "--shape", 4, 20, 30, "--voxel-size", *VOXEL, "--seed", 2, "--offset", *OFFSET)
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", str(path))
    raw = open_volume(str(path), "volumes/raw")
    assert raw.offset == pytest.approx(OFFSET)
    assert (raw.read() == synthesize((4, 20, 30), VOXEL, seed=2).raw).all()


def test_two_processes_make_the_same_volume_of_a_seed(tmp_path):
    """To the last bit, whatever the number of threads and Python's hashes."""
    made = {}
    for name, threads in (("one", "1"), ("two", "2")):
        done = make(tmp_path / f"{name}.zarr", "--shape", 5, 40, 50, "--voxel-size", *VOXEL, "--density", 8, "--seed", 5,
                    NUMBA_NUM_THREADS=threads, PYTHONHASHSEED=threads)
        assert done.returncode == 0, done.stderr
        made[name] = [open_volume(tmp_path / f"{name}.zarr", f"volumes/{dataset}").read().tobytes()
                      for dataset in ("raw", "labels/neuron_ids", "labels/labels_mask")]
    assert made["one"] == made["two"]
    other = synthesize((5, 40, 50), VOXEL, density=8, seed=6)
    assert made["one"][0] != other.raw.tobytes()
    assert made["one"][1] != other.labels.tobytes()


@pytest.mark.parametrize(("arguments", "message"), [
    (("--shape", 0, 3, 3), "shape (0, 3, 3)"),
    (("--voxel-size", 1, 1, -1), "voxel size"),
    (("--density", "nan"), "density nan"),
])
def test_the_command_refuses_in_one_line(tmp_path, arguments, message):
    done = make(tmp_path / "s.zarr", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
