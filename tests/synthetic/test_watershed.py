"""The watershed on raw intensity of docs/examples, the score to beat: it runs, tunes, and is judged as others are."""

import json
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.families.xpress.synthetic import write_challenge
from tests.scripts import run_script

pytest.importorskip("skimage", reason="the example needs scikit-image")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    path = tmp_path_factory.mktemp("challenge") / "xpress.zarr"
    write_challenge(path, (60, 60, 60), seed=1)
    return path


def run(script, *arguments):
    done = run_script(ROOT / script, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()]


def test_the_best_of_training_segments_validation(challenge, tmp_path):
    out = tmp_path / "watershed.zarr"
    heads, *rows = run("docs/examples/watershed_on_raw.py", challenge, out, "--smoothing", 1, 9, "--background", 0,
                       "--bright", 0.65, "--depth", 2)
    assert [row[0] for row in rows] == ["training", "training", "validation"]
    best = max(rows[:2], key=lambda row: float(row[heads.index("xpress_erl_rand")]))
    assert rows[2][1:5] == best[1:5]
    assert rows[0][5:] != rows[1][5:]  # smoothing by 9 voxels leaves nothing of the axons

    raw, segmentation = open_volume(challenge, "volumes/validation_raw"), open_volume(out, "volumes/segmentation")
    assert (segmentation.shape, segmentation.dtype) == (raw.shape, np.uint64)
    assert (segmentation.voxel_size, segmentation.offset) == (raw.voxel_size, raw.offset)
    assert len(np.unique(segmentation.read())) > 5
    region = raw.attrs["evaluation_roi"]
    run("03_predict/evaluate_skeletons.py", out, challenge.with_name("XPRESS_validation_skels.npz"), "--segmentation-dataset",
        "volumes/segmentation", "--roi-offset", *region["begin"], "--roi-shape", *region["shape"], "--out", tmp_path / "scores")
    judged = json.loads((tmp_path / "scores.json").read_text())
    for name in ("xpress_erl_rand", "erl", "splits"):
        assert float(rows[2][heads.index(name)]) == pytest.approx(judged["scores"][name], rel=1e-3)
