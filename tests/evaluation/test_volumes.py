"""Volumes on disk: anisotropic voxels, offsets that are not zero, a segmentation smaller than the labels."""

import json
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import evaluate_segmentation, evaluate_volumes
from lsd_experiments.geometry import Box
from tests.scripts import run_script

ROOT = Path(__file__).resolve().parents[2]
VOXEL = (40.0, 4.6, 9.0)
BEGIN = (2, 5, 7)  # of the segmentation, in voxels of the labels


@pytest.fixture
def arrays():
    rng = np.random.default_rng(1)
    labels = np.kron(rng.integers(0, 9, (4, 5, 6)), np.ones((3, 5, 5))).astype(np.uint64)
    segmentation = labels[2:10, 5:25, 7:28].copy()
    segmentation[:, 10:] += 50
    return segmentation, labels


@pytest.fixture
def container(arrays, tmp_path):
    segmentation, labels = arrays
    offset = (400.0, 900.0, 1800.0)
    inner = tuple(o + b * v for o, b, v in zip(offset, BEGIN, VOXEL, strict=True))
    path = tmp_path / "data.zarr"
    for name, values, at in (("seg", segmentation, inner), ("labels", labels, offset)):
        volume = create_volume(str(path), name, values.shape, VOXEL, at, values.dtype, chunks=(3, 7, 8))
        volume.write(Box.of_shape(values.shape), values)
    return path


def volumes(container):
    return open_volume(str(container), "seg"), open_volume(str(container), "labels")


@pytest.mark.parametrize("voxels", [1, 500, 2**23])
def test_as_in_memory_whatever_the_block(container, arrays, voxels, monkeypatch):
    monkeypatch.setattr("lsd_experiments.evaluation.volumes.BLOCK_VOXELS", voxels)
    segmentation, labels = arrays
    expected = evaluate_segmentation(segmentation, labels[2:10, 5:25, 7:28])
    assert evaluate_volumes(*volumes(container)) == pytest.approx(expected)
    assert expected != pytest.approx(evaluate_segmentation(segmentation, labels[:8, :20, :21]))  # offsets matter


def test_a_part(container, arrays):
    segmentation, labels = arrays
    box = Box((3, 6, 9), (8, 20, 27))
    expected = evaluate_segmentation(segmentation[1:6, 1:15, 2:20], labels[box.slices])
    assert evaluate_volumes(*volumes(container), box) == pytest.approx(expected)


def test_crops_as_the_parts_that_they_are(container, arrays, tmp_path):
    """The segmentation's first voxel is (2, 5, 7) of the labels; its crop begins at voxel 3 of z, the labels' at 4."""
    segmentation, labels = arrays
    for dataset, begin, size in (("seg", (3, 5, 7), (6, 20, 21)), ("labels", (4, 0, 0), (5, 25, 30))):
        place = {"offset": [o + b * v for o, b, v in zip((400, 900, 1800), begin, VOXEL, strict=True)],
                 "size": [s * v for s, v in zip(size, VOXEL, strict=True)]}
        (tmp_path / f"{dataset}.json").write_text(json.dumps({"container": "data.zarr", "dataset": dataset, **place}))
    found = evaluate_volumes(open_volume(tmp_path / "seg.json"), open_volume(tmp_path / "labels.json"))
    assert found == pytest.approx(evaluate_segmentation(segmentation[2:7], labels[4:9, 5:25, 7:28]))
    assert found != pytest.approx(evaluate_volumes(*volumes(container)))


def test_a_part_outside(container):
    with pytest.raises(UserError, match="not covered by both"):
        evaluate_volumes(*volumes(container), Box((0, 0, 0), (4, 9, 9)))


def test_unfit_volumes(container):
    segmentation, _ = volumes(container)
    far = create_volume(str(container), "far", (3, 3, 3), VOXEL, (400 + 40 * 50, 900, 1800), np.uint64)
    floats = create_volume(str(container), "floats", segmentation.shape, VOXEL, segmentation.offset, np.float32)
    empty = create_volume(str(container), "empty", segmentation.shape, VOXEL, segmentation.offset, np.uint64)
    unlabelled = r"seg against .*empty: no voxel .* labelled"
    for labels, message in ((far, "do not overlap"), (floats, "float32"), (empty, unlabelled)):
        with pytest.raises(UserError, match=message):
            evaluate_volumes(segmentation, labels)


def evaluate(*arguments):
    return run_script(ROOT / "03_predict" / "evaluate_volumes.py", *arguments)


def test_the_command(container, arrays, tmp_path):
    segmentation, labels = arrays
    roi = ["--roi-offset", 400 + 3 * 40, 900 + 6 * 4.6, 1800 + 9 * 9, "--roi-shape", 5 * 40, 14 * 4.6, 18 * 9]
    done = evaluate(container, "seg", container, "labels", *roi, "--out", tmp_path / "scores")
    assert (done.returncode, done.stderr) == (0, "")
    expected = evaluate_segmentation(segmentation[1:6, 1:15, 2:20], labels[3:8, 6:20, 9:27])
    assert f"{expected['voi_sum']:.3f}" in done.stdout
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["curves"][""][0] == pytest.approx(expected)
    assert written["provenance"]["inputs"]["labels"].endswith("data.zarr:labels")


def test_the_command_refuses_in_one_line(container, tmp_path):
    table = [
        ((container, "seg", container, "neuron_ids"), "labels"),  # what is there is listed
        ((container, "seg", tmp_path / "none.zarr", "labels"), "none.zarr"),
        ((container, "seg", container, "labels", "--roi-offset", 0, 0, 0), "--roi-shape"),
        ((container, "seg", container, "labels", "--roi-offset", 0, 900, 1800, "--roi-shape", 40, 46, 90), "outside"),
    ]
    before = sorted(tmp_path.rglob("*"))
    for arguments, message in table:
        done = evaluate(*arguments, "--out", tmp_path / "scores")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert message in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("which", ["segmentation", "labels"])
def test_negative_ids_are_refused_with_their_place_in_the_block_that_holds_them(tmp_path, which):
    shape, begin = (3, 4, 5), (40.0, 9.0, 18.0)
    for name in ("segmentation", "labels"):
        values = np.ones(shape, np.int64)
        if name == which:
            values[2, 1, 3] = -1
        create_volume(tmp_path / f"{name}.zarr", "ids", shape, (20, 9, 9), begin, np.int64).array[:] = values
    volumes = [open_volume(tmp_path / f"{name}.zarr", "ids") for name in ("segmentation", "labels")]
    with pytest.raises(UserError, match=rf"{which}.zarr:ids: holds the id -1 at voxel \(2, 1, 3\), \(80, 18, 45\) nm.*convert.py "
                                        r".*--exclude -1"):
        evaluate_volumes(*volumes)
    assert evaluate_volumes(*volumes, Box((0, 0, 0), (2, 4, 5)))["voi_sum"] == 0  # no block there holds it
