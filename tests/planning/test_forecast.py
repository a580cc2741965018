"""What more training would bring."""

import pytest

from lsd_experiments.families.lsd.forecast import Validation, forecast, shown, validations


def curve(losses, step=100):
    return [Validation(step * n, 60.0 * n, loss) for n, loss in enumerate(losses, 1)]


def test_a_power_goes_on():
    falling = curve([2 * (100 * n) ** -0.5 for n in range(1, 7)])
    assert forecast(falling) == pytest.approx(2 * 1200**-0.5)
    assert "It still falls: if it goes on so, 6 minutes more would bring it to about 0.058" in shown(falling)[-1]


@pytest.mark.parametrize(("losses", "words"), [
    ([0.5, 0.4], "Too few validations"),
    ([], "Too few validations"),
    ([0.5, 0.3, 0.3, 0.3, 0.3], "has levelled off"),
    ([0.5, 0.2, 0.3, 0.3, 0.4], "It was least at 200, long before the end"),
    ([0.5, 0.4, 0.3, 0.2, 0.21], "It still falls"),  # but for noise
])
def test_others(losses, words):
    assert words in shown(curve(losses))[-1]


def test_the_file(tmp_path):
    path = tmp_path / "validation.csv"
    assert validations(tmp_path) == []
    path.write_text("iteration,seconds,loss,affs_loss\n10,2.5,0.5,0.25\n20,5,0.25,0.1\n")
    assert validations(tmp_path) == [Validation(10, 2.5, 0.5), Validation(20, 5, 0.25)]
