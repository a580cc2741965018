"""How raw becomes [0, 1]: settings, samples, outliers."""

import numpy as np
import pytest

from lsd_experiments import intensity, raw_range
from lsd_experiments.arrays import create_volume
from lsd_experiments.errors import UserError


@pytest.fixture
def make(tmp_path):
    def volume(values, name="raw"):
        made = create_volume(str(tmp_path / "a.zarr"), f"volumes/{name}", values.shape, (20, 9, 9), (40, 9, 18), values.dtype)
        made.write(made.box, values)
        return made
    return volume


@pytest.mark.parametrize(("given", "found"), [
    ("type", "type"), (["type"], "type"), (["0", "4095"], (0, 4095)), ([-5, 5.5], (-5, 5.5)),
    (("0.1%", "99.9%"), ("0.1%", "99.9%")),
])
def test_settings(given, found):
    assert raw_range.parse(given) == found


@pytest.mark.parametrize("given", ["tpye", [1], [1, 2, 3], [2, 1], [1, 1], ["1%", 2], [1, "x"], ["-1%", "5%"], [0, 1e999], []])
def test_what_is_none(given):
    with pytest.raises(UserError, match=r"raw_range: .* neither"):
        raw_range.parse(given, "raw_range")


@pytest.mark.parametrize(("dtype", "low_high"), [
    ("uint16", (96, 4096)), ("int16", (-2000, 2000)), ("uint32", (2**31, 2**31 + 4000)), ("float32", (-1, 1)),
    ("float64", (0, 1e9)), ("uint8", (0, 100)),
])
def test_scaling(dtype, low_high):
    low, high = low_high
    values = np.array([low, low + (high - low) / 4, high], dtype)
    scaled = intensity.scale(values, low_high)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [0, 0.25, 1], atol=1e-6)
    beyond = intensity.scale(values, (low + (high - low) / 4, high - (high - low) / 4))
    assert (beyond[0], beyond[-1]) == (0, 1)


def test_bool_is_0_and_1(make):
    raw = make(np.arange(24).reshape(2, 3, 4) % 3 == 0)
    assert intensity.held(intensity.sample(raw)) == intensity.type_range(raw.dtype) == (0, 1)
    assert set(intensity.scale(raw.read(), (0, 1)).ravel()) == {0, 1}


def test_hot_and_dead_voxels_do_not_count():
    values = np.random.default_rng(0).integers(100, 4000, 10**5).astype(np.uint16)
    assert intensity.held(values) == (100, 3999)
    values[:3] = 65535, 0, 0
    low, high = intensity.held(values)
    assert (low, high) == pytest.approx((0, 3999), abs=3)  # 0 is not far from the others, 65535 is
    values[:50] = 65535  # more than a few
    assert intensity.held(values)[1] == 65535


def test_percentiles_are_of_all_volumes(make):
    volumes = [make(np.arange(1000, dtype=np.int16).reshape(10, 10, 10) + first, f"{first}") for first in (0, 1000)]
    assert intensity.by_setting(volumes, ("10%", "90%")) == pytest.approx((199.9, 1799.1))
    assert intensity.by_setting(volumes[:1], ("10%", "90%")) == pytest.approx((99.9, 899.1))
    with pytest.raises(UserError, match="is 5: raw of one value"):
        intensity.by_setting([make(np.full((4, 4, 4), 5, np.int16), "flat")], ("1%", "99%"))


def test_samples_of_a_large_volume_are_the_same_each_time(make, monkeypatch):
    raw = make(np.random.default_rng(0).integers(0, 4096, (40, 50, 60)).astype(np.uint16))
    whole = intensity.sample(raw)
    assert whole.size == 40 * 50 * 60
    for name, value in (("WHOLE", 1000), ("BOXES", 5), ("SIDE", 8)):
        monkeypatch.setattr(intensity, name, value)
    first, second = intensity.sample(raw), intensity.sample(raw)
    assert first.size == 5 * 8**3
    np.testing.assert_array_equal(first, second)


def test_what_is_not_finite_is_counted_and_placed(make, monkeypatch):
    values = np.random.default_rng(0).random((9, 10, 11), np.float32)
    good = make(values, "good")
    values[4, 5, 6] = values[7, 0, 0] = np.inf
    values[8, 1, 1] = np.nan
    raw = make(values)
    for pieces in (2**24, 120):
        monkeypatch.setattr(intensity, "WHOLE", pieces)
        intensity.check_all_finite(good)
        with pytest.raises(UserError, match=r"volumes/raw: the value at \(4, 5, 6\) is inf; 3 of 990 voxels are no"):
            intensity.check_all_finite(raw)
