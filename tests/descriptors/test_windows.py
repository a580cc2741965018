import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from lsd_experiments.descriptors.windows import moments, radius, running_sums


@pytest.mark.parametrize(("sigma", "spacing"), [(80, 8), (120, 40), (120, 18), (10, 9), (2, 20)])
def test_the_window_is_scipys(sigma, spacing):
    impulse = np.zeros(101)
    impulse[50] = 1
    expected = gaussian_filter1d(impulse, sigma / spacing, mode="constant", truncate=3)
    r = radius(sigma, spacing)
    assert np.count_nonzero(expected) == 2 * r + 1
    np.testing.assert_allclose(moments(sigma, spacing)[0], expected[50 - r:51 + r], atol=1e-15)


def test_moments_are_in_units_of_sigma():
    window, first, second = moments(30, 10)
    u = np.arange(-9, 10) / 3
    np.testing.assert_allclose(first, u * window)
    np.testing.assert_allclose(second, u**2 * window)


@pytest.mark.parametrize("reach", [3, 30])
def test_running_sums_give_the_moments_of_a_run(reach):
    kernels = moments(30, 10)  # 9 voxels to either side
    sums = running_sums(kernels, reach)
    assert sums.shape == (3, 2 * reach + 1)
    x, (begin, end) = 1, (-1, 3)
    direct = kernels[:, 9 + begin - x:9 + end - x].sum(axis=1)
    np.testing.assert_allclose(sums[:, x - end + reach] - sums[:, x - begin + reach], direct, atol=1e-15)
    assert np.abs(sums[:, x - end + reach] - sums[:, x - begin + reach - 1] - direct).max() > 1e-3
