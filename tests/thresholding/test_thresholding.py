"""Masks from probabilities."""

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.thresholding.blockwise import above


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
