"""Raw in [0, 1]."""

import re

import numpy as np
import pytest

from lsd_experiments.arrays import to_unit_range
from lsd_experiments.errors import UserError


@pytest.mark.parametrize(("dtype", "highest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_integers_fill_the_range(dtype, highest) -> None:
    values = to_unit_range(np.array([0, highest // 5, highest], dtype))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [0, 0.2, 1], atol=1e-6)
    if dtype == np.uint16:
        assert highest / 255**2 > 1.007  # the old rule left the range


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_kept(dtype) -> None:
    values = to_unit_range(np.array([0, 0.25, 1], dtype))
    assert values.dtype == np.float32
    assert values.tolist() == [0, 0.25, 1]


def test_no_values() -> None:
    assert to_unit_range(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize(("values", "message"), [
    (np.array([0, 255.0]), "em.zarr: float raw from 0 to 255. Scale it"),
    (np.array([-0.5, 0.5]), "float raw from -0.5 to 0.5"),
    (np.array([[0, 1], [0.5, np.nan]]), r"the value at \(1, 1\) of shape \(2, 2\) is nan"),
    (np.array([0, np.inf]), r"the value at \(1,\) of shape \(2,\) is inf"),
    (np.array([1], np.int32), "raw of type int32"),
    (np.array([True]), "raw of type bool"),
])
def test_what_is_no_raw(values, message) -> None:
    with pytest.raises(UserError, match=message):
        to_unit_range(values, name="em.zarr")


@pytest.mark.parametrize("raw", [np.array([-3, 0, 5], np.int16), np.array([2**40, 2**41]), np.array([True, False]),
                                 np.array([7, 7])])
def test_what_the_message_says_works(raw) -> None:
    import lsd_experiments.intensity

    with pytest.raises(UserError, match=r"In Python, lsd_experiments\.intensity\.scale") as caught:
        to_unit_range(raw)
    said = re.search(r"In Python, (.*) makes", str(caught.value))[1]
    scaled = eval(said, {"lsd_experiments": lsd_experiments, "raw": raw})  # as printed
    assert (scaled.dtype, scaled.min()) == (np.float32, 0)
    np.testing.assert_array_equal(to_unit_range(scaled), scaled)
    assert scaled.max() == (raw.max() > raw.min())
