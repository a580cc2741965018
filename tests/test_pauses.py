"""Pauses between tries grow, and stay within their bounds."""

import pytest

from lsd_experiments.pauses import growing_pause


@pytest.mark.parametrize(("tries", "most"), [(1, 0.5), (2, 1), (4, 4), (7, 20), (5000, 20)])
def test_pauses_grow_up_to_the_longest(tries, most):
    pauses = [growing_pause(tries, 0.5, 20) for _ in range(100)]
    assert most / 2 <= min(pauses) < max(pauses) <= most
