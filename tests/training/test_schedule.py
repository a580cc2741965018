"""Learning rates: of an iteration, whatever came before."""

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.training import Experiment
from lsd_experiments.training.options import TrainingOptions, from_arguments, parser
from lsd_experiments.training.schedule import Schedule


@pytest.mark.parametrize(("warm_up", "decay", "rates"), [
    (0, None, {1: 2, 1000: 2}),
    (4, None, {1: 0.5, 2: 1, 3: 1.5, 4: 2, 5: 2}),
    (0, (10, 20), {10: 2, 11: 2 - 0.198, 15: 1.01, 20: 0.02, 21: 0.02, 1000: 0.02}),
    (4, (2, 4), {1: 0.5, 2: 1, 3: 1.5 * 0.505, 4: 0.02}),
])
def test_rates(warm_up, decay, rates):
    schedule = Schedule(2.0, warm_up, decay)
    assert {iteration: schedule.at(iteration) for iteration in rates} == pytest.approx(rates)
    assert schedule.varies == (len(set(rates.values())) > 1)


def asked(*arguments):
    experiment = Experiment("dataset.toml", "train_net.json", (), sampling=lambda: None)
    return from_arguments(parser("", experiment).parse_args(["9", *arguments]))


def test_options():
    plain = asked()
    assert not plain.schedule.varies
    assert not {"average_weights", "warm_up", "decay"} & plain.record().keys(), "records are as they were"
    options = asked("--warm-up", "3", "--decay", "5", "9", "--average-weights", "0.5", "--learning-rate", "0.1")
    assert options.schedule == Schedule(0.1, 3, (5, 9))
    assert options.record() | {"average_weights": 0.5, "warm_up": 3, "decay": (5, 9)} == options.record()
    assert "average_weights" not in TrainingOptions(9, average_weights=0.0).record(), "0: none"


@pytest.mark.parametrize(("arguments", "words"), [
    (["--decay", "9", "9"], "--decay 9 9: ends before it begins"),
    (["--average-weights", "1"], "1 is not from 0 on and below 1"),
    (["--average-weights", "nan"], "nan is not from 0 on and below 1"),
    (["--warm-up", "-1"], "-1 is below 0"),
])
def test_what_cannot_be(arguments, words, capsys):
    with pytest.raises((UserError, SystemExit)) as error:
        asked(*arguments)
    assert words in str(error.value) + capsys.readouterr().err
