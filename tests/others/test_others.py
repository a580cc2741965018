"""Each format against the programs that it is of: their files, read by us, and ours, read by them.

They lie in environments of their own, which ``tests/others/install.sh`` makes; without these the tests skip.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.conversion import View, convert
from lsd_experiments.conversion.formats import Options

pytestmark = pytest.mark.others

HERE = Path(__file__).parent
PLACE = HERE.parents[1] / ".venv-others"
VOXEL_SIZE, OFFSET, SHAPE = (40.0, 9.0, 4.6), (80.0, 27.0, 13.8), (12, 20, 40)  # 2, 3 and 3 voxels


def theirs(environment, program, *arguments):
    """What ``program`` prints as JSON; None if it prints nothing."""
    python = PLACE / environment / "bin/python"
    if not python.exists():
        pytest.skip(f"{environment} is not here: tests/others/install.sh installs it")
    done = subprocess.run([python, "-P", HERE / "programs" / program, *map(str, arguments)], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout) if done.stdout else None


@pytest.fixture
def raw(tmp_path):
    """[12, 20, 40] uint8, every voxel different from its neighbours."""
    values = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    np.save(tmp_path / "raw.npy", values)
    return values


@pytest.fixture
def labels(tmp_path):
    values = np.random.default_rng(1).integers(0, 3, SHAPE).astype(np.uint64) * (2**63 + 5)
    np.save(tmp_path / "labels.npy", values)
    return values


def check(found, expected, voxel_size=VOXEL_SIZE, offset=OFFSET):
    np.testing.assert_array_equal(found.read(), expected)
    assert found.dtype == expected.dtype
    assert found.voxel_size == pytest.approx(voxel_size, rel=1e-12)
    assert found.offset == pytest.approx(offset, rel=1e-12)


def test_theirs_zarr_tensorstore_and_ome_zarr(raw, tmp_path):
    theirs("ome-zarr", "ome.py", "write", tmp_path)
    for name, dataset in (("plain.zarr", "volumes/raw"), ("sharded.zarr", "volumes/raw"), ("ts.precomputed", None),
                          ("ome.zarr", None)):
        check(open_volume(tmp_path / name, dataset), raw)
    coarser = list_datasets(tmp_path / "ome.zarr")[1]
    check(open_volume(tmp_path / "ome.zarr", coarser), raw[:, ::2, ::2], (40, 18, 9.2))


def test_theirs_cloud_volume(raw, labels, tmp_path):
    theirs("cloud-volume", "cloud.py", "write", tmp_path)
    for name, values in (("raw", raw), ("png", raw), ("labels", labels)):
        check(open_volume(tmp_path / f"{name}.precomputed"), values)


def test_theirs_webknossos(raw, tmp_path):
    """Its voxel size is in a file of its own, and to be given; it is a part of a larger array, from its first voxel on."""
    theirs("webknossos", "webknossos_.py", "write", tmp_path)
    found = open_volume(tmp_path / "webknossos", "raw/1", voxel_size=VOXEL_SIZE)
    whole = found.box
    assert whole.shape[2] >= SHAPE[2] + 3
    part = found.crop(type(whole)((2, 3, 3), tuple(n + b for n, b in zip(SHAPE, (2, 3, 3), strict=True))))
    check(part, raw)


@pytest.fixture
def ours(tmp_path):
    """A function that writes values with convert.py's function: the directory, and our volume of each level."""
    from lsd_experiments.arrays import create_volume

    def make(values, name, dataset, **options):
        container = tmp_path / "in.zarr"
        source = create_volume(container, f"volumes/{name}", SHAPE, VOXEL_SIZE, OFFSET, values.dtype)
        source.write(source.box, values)
        out = tmp_path / f"{name}.out"
        convert(View(open_volume(container, f"volumes/{name}")), str(out), dataset, options=Options(**options))
        return out, [open_volume(out, level) for level in list_datasets(out)]
    return make


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("name", ["raw", "labels"])
def test_ours_ome_zarr(raw, labels, ours, name, sharded):
    out, levels = ours(raw if name == "raw" else labels, name, None, format="ome-zarr", levels=3, sharded=sharded)
    found = theirs("ome-zarr", "ome.py", "read", out)
    assert (found["model"], found["axes"]) == ("Image" if name == "raw" else "ImageLabel", ["z", "y", "x"])
    assert found["dtype"] == levels[0].dtype.name
    for level, values, scale, translation in zip(levels, found["arrays"], found["scales"], found["translations"], strict=True):
        np.testing.assert_array_equal(level.read(), np.array(values, level.dtype))
        assert tuple(scale) == level.voxel_size
        half = [(v - w) / 2 for v, w in zip(scale, VOXEL_SIZE, strict=True)]
        assert translation == pytest.approx([o + h for o, h in zip(level.offset, half, strict=True)], rel=1e-12)


@pytest.mark.parametrize("sharded", [False, True])
def test_ours_zarr_3(labels, ours, sharded):
    out, [level] = ours(labels, "labels", "volumes/labels", format="zarr3", sharded=sharded)
    found = theirs("ome-zarr", "ome.py", "read", out / "volumes/labels")
    np.testing.assert_array_equal(level.read(), np.array(found["arrays"][0], np.uint64))
    assert (found["dtype"], tuple(found["attributes"]["resolution"])) == ("uint64", VOXEL_SIZE)
    assert (found["shards"] is not None) == sharded


@pytest.mark.parametrize(("name", "encoding"), [("raw", "raw"), ("labels", "raw"), ("labels", "compressed_segmentation")])
def test_ours_precomputed(raw, labels, ours, name, encoding):
    out, levels = ours(raw if name == "raw" else labels, name, None, format="precomputed", levels=3, encoding=encoding)
    found = theirs("cloud-volume", "cloud.py", "read", out)
    assert (found["type"], found["encoding"]) == ("image" if name == "raw" else "segmentation", encoding)
    assert (found["dtype"], found["made"]) == (levels[0].dtype.name, "convert")
    for level, theirs_ in zip(levels, found["levels"], strict=True):
        np.testing.assert_array_equal(level.read(), np.array(theirs_["values"], level.dtype))
        assert tuple(theirs_["resolution"][::-1]) == level.voxel_size
        offset = [o * v for o, v in zip(theirs_["offset"], theirs_["resolution"], strict=True)]
        assert offset[::-1] == pytest.approx(level.offset, rel=1e-12)
