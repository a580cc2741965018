"""Masks from probabilities."""

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.blockwise import Block
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.thresholding.blockwise import above, close_gaps, make_worker, threshold_stage
from lsd_experiments.thresholding.settings import ThresholdSettings


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
def test_above_is_above(dtype):
    """At the threshold itself is not; each channel has its own."""
    values = np.array([0, 0.2, 0.4, 0.6, 1]).reshape(1, 1, 5)
    stored = np.round(values * 255).astype(np.uint8) if dtype == "uint8" else values.astype(dtype)
    assert above(stored, [0.5]).ravel().tolist() == [0, 0, 0, 1, 1]
    assert above(stored, [1]).ravel().tolist() == [0] * 5
    assert above(stored, [0]).ravel().tolist() == [0, 1, 1, 1, 1]
    both = above(np.stack([stored, stored]), [0.5, 0.1])
    assert both.dtype == np.uint8
    assert both.reshape(2, 5).tolist() == [[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]]
    assert above(np.full((1, 1, 1), 102, np.uint8), [0.4]).item() == 0  # 102 / 255


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan, np.inf])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(UserError, match=r"probabilities of type float32 from .*Scale them to \[0, 1\]"):
        above(np.full((1, 1, 1), value, np.float32), [0.5])


def test_gaps_along_z_are_closed():
    """As the runs of 0 between two 1, column by column; ends of the volume are none."""
    column = [0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0]
    mask = np.array(column, np.uint8).reshape(1, -1, 1, 1)
    assert close_gaps(mask, 1).ravel().tolist() == [0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0]
    assert close_gaps(mask, 2).ravel().tolist() == [0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0]
    assert close_gaps(mask, 3).ravel().tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]
    assert close_gaps(mask, 0).ravel().tolist() == column
    assert close_gaps(mask, 40).ravel().tolist() == close_gaps(mask, 3).ravel().tolist()


@pytest.mark.parametrize("channels", [None, 2])
def test_blocks_close_as_the_whole_volume_does(tmp_path, channels):
    rng = np.random.default_rng(0)
    shape = (11, 9, 10) if channels is None else (channels, 11, 9, 10)
    values = (255 * (rng.random(shape) < 0.25)).astype(np.uint8)
    volume = create_volume(tmp_path / "p.zarr", "p", (11, 9, 10), (40, 4, 4), (80, 8, 12), "uint8", channels=channels)
    volume.write(volume.box, values)
    digests = set()
    for gap in (0, 2):
        settings = ThresholdSettings(dataset="p", close_sections=gap, out_dataset=f"m{gap}", block_size=(80, 16, 20))
        stage = threshold_stage(open_volume(tmp_path / "p.zarr", "p"), str(tmp_path / "p.zarr"), settings)
        stage.prepare(False, stage.made)
        work = make_worker(dict(stage.work.settings))
        for number, box in enumerate(Box.of_shape((11, 9, 10)).blocks(stage.work.write_shape)):
            work(Block(number, box, box))
        expected = close_gaps((values > 127).astype(np.uint8), gap)
        np.testing.assert_array_equal(open_volume(tmp_path / "p.zarr", f"m{gap}").read(), expected)
        digests.add(stage.made["key"])
        assert ("close_sections" in stage.made["parameters"]) == (gap > 0), "without it, what was made before is up to date"
    assert len(digests) == 2
