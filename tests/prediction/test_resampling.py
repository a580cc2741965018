"""Raw of other voxels than the network's, resampled on demand."""

import dataclasses

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.arrays.resampling import resampled
from lsd_experiments.blockwise import Workers
from lsd_experiments.errors import UserError
from lsd_experiments.prediction.blockwise import predict_blockwise, predict_scan

VOXEL_SIZE = (50, 9, 4.6)  # of the network
FINER, OFFSET, SHAPE = (25, 9, 3.1), (75, -27, 13.8), (14, 20, 34)


@pytest.fixture
def finer(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    volume = create_volume(tmp_path / "finer.zarr", "volumes/raw", SHAPE, FINER, OFFSET, "uint8")
    volume.write(volume.box, values)
    return tmp_path / "finer.zarr"


def test_it_is_refused_unless_asked_for(finer, plan):
    with pytest.raises(UserError, match=r"voxels of \(25, 9, 3.1\) nm, .* pass --resample \(resample = true in \[predict\]\)"):
        plan(finer)


@pytest.mark.parametrize("settings", [{}, {"seamless": True}, {"blend": "gaussian", "patch_step": (3, 6, 4)}])
def test_the_outputs_are_those_of_the_resampled_volume(finer, plan, tmp_path, read, settings):
    """On the network's grid, block by block; in another process, too."""
    made = resampled(open_volume(finer, "volumes/raw"), VOXEL_SIZE, "raw")
    stored = create_volume(tmp_path / "made.zarr", "volumes/raw", made.shape, VOXEL_SIZE, made.offset, "uint8")
    stored.write(stored.box, made.read())
    predict_scan(plan(tmp_path / "made.zarr", tmp_path / "expected.zarr", **settings))
    predict_scan(plan(finer, tmp_path / "out.zarr", resample=True, **settings))
    outputs = [tmp_path / "out.zarr"]
    if not settings:
        predict_blockwise(plan(finer, tmp_path / "workers.zarr", resample=True), Workers(num_workers=1))
        outputs.append(tmp_path / "workers.zarr")
    expected = read(tmp_path / "expected.zarr")
    for output in outputs:
        for name, values in read(output).items():
            np.testing.assert_array_equal(values, expected[name])
        affs = open_volume(output, "volumes/affs")
        assert (affs.voxel_size, affs.offset, affs.shape) == (VOXEL_SIZE, OFFSET, (7, 20, 23))


def test_what_it_was_made_of_is_noted(finer, plan, make_raw):
    raw = plan(finer, resample=True).provenance()["inputs"]["raw"]
    assert "finer.zarr:volumes/raw, resampled to raw of (50, 9, 4.6) nm from (75, -27, 13.8) nm on" in raw["name"]
    source = open_volume(finer, "volumes/raw", writable=True)
    source.write(source.box, source.read() // 2)
    assert plan(finer, resample=True).provenance()["inputs"]["raw"]["fingerprint"] != raw["fingerprint"]
    of_its_size = make_raw((17, 32, 31))
    keys = {plan(of_its_size, resample=resample).provenance()["key"] for resample in (False, True)}
    assert len(keys) == 1  # nothing is resampled there


def test_an_roi_is_on_the_grid_of_the_network(finer, plan):
    asked = {"roi_offset": (125, -18, 13.8 + 4.6), "roi_shape": (100, 90, 46)}
    made = plan(finer, resample=True, **asked)
    assert made.total.begin == (1, 1, 1)
    with pytest.raises(UserError, match="is not on the voxel grid"):
        plan(finer, resample=True, **{**asked, "roi_offset": (100, -18, 18.4)})
    assert dataclasses.replace(made.settings, resample=False) != made.settings
