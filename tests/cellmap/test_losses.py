"""The loss: known voxels alone, weights of positive ones, criteria of all kinds."""

import math

import pytest

from lsd_experiments.errors import UserError
from tests.cellmap.configured import settings

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

from lsd_experiments.families.cellmap.losses import make_criterion  # noqa: E402

NAN = math.nan
TARGET = torch.tensor([[[[1.0, 0.0, NAN]], [[NAN, NAN, 1.0]]]])  # [1, 2, 1, 3]: 3 of 6 are known
OUTPUT = torch.tensor([[[[0.3, -1.0, 5.0]], [[2.0, 9.0, 0.5]]]])


def mean(criterion, output=OUTPUT, target=TARGET):
    sums = criterion([output] if isinstance(output, torch.Tensor) else output, target)
    return float(sums.total / sums.known)


def entropy(value, target, weight=1.0):
    likely = 1 / (1 + math.exp(-value))
    return -(weight * target * math.log(likely) + (1 - target) * math.log(1 - likely))


def test_the_mean_is_over_known_voxels(tmp_path):
    """Published: over all of them, so that what is unknown makes the loss smaller."""
    expected = (entropy(0.3, 1) + entropy(-1, 0) + entropy(0.5, 1)) / 3
    criterion = make_criterion(settings(tmp_path))
    assert mean(criterion) == pytest.approx(expected, rel=1e-6)
    other = OUTPUT.clone()
    other[0, 0, 0, 2] = -7  # unknown
    assert mean(criterion, other) == pytest.approx(expected, rel=1e-6)
    other[0, 0, 0, 0] = -7
    assert mean(criterion, other) > expected + 1
    assert float(criterion([OUTPUT], TARGET).known) == 0.5


def test_nothing_known_is_no_loss_and_no_gradient(tmp_path):
    output = OUTPUT.clone().requires_grad_()
    sums = make_criterion(settings(tmp_path))([output], torch.full_like(TARGET, NAN))
    sums.total.backward()
    assert (float(sums.total.detach()), float(sums.known), float(output.grad.abs().sum())) == (0, 0, 0)


@pytest.mark.parametrize("name", ["BCEWithLogitsLoss", "MultiLabelSoftMarginLoss", "MSELoss", "L1Loss"])
def test_weights_are_of_positive_voxels(name, tmp_path):
    """Criteria that take pos_weight get it, others are multiplied."""
    given = settings(tmp_path, criterion=name)
    plain, weighted = (make_criterion(given, weights) for weights in (None, torch.tensor([3.0, 1.0])))
    if name == "BCEWithLogitsLoss":
        assert mean(weighted) == pytest.approx((entropy(0.3, 1, 3) + entropy(-1, 0) + entropy(0.5, 1)) / 3, rel=1e-6)
    elif name != "MultiLabelSoftMarginLoss":
        power = 2 if name == "MSELoss" else 1
        assert mean(weighted) == pytest.approx((3 * 0.7**power + 1 + 0.5**power) / 3, rel=1e-6)
        assert mean(plain) == pytest.approx((0.7**power + 1 + 0.5**power) / 3, rel=1e-6)


def test_keywords_reach_the_criterion(tmp_path):
    found = make_criterion(settings(tmp_path, criterion_kwargs={"pos_weight": [2.0, 5.0]}))
    assert found.module.pos_weight.shape == (2, 1, 1)
    assert mean(found) == pytest.approx((entropy(0.3, 1, 2) + entropy(-1, 0) + entropy(0.5, 1, 5)) / 3, rel=1e-6)
    with pytest.raises(UserError, match=r"train.toml: criterion_kwargs: criterion does not take them .*'weigth'"):
        make_criterion(settings(tmp_path, criterion_kwargs={"weigth": 1}))
    with pytest.raises(UserError, match="reduction is not taken"):
        make_criterion(settings(tmp_path, criterion_kwargs={"reduction": "sum"}))


def test_criteria_of_ones_own(tmp_path):
    """That give one number: what is unknown has no gradient; made ones; several outputs are averaged."""
    def dice(output, target):
        likely = output.sigmoid()
        return 1 - 2 * (likely * target).sum() / (likely + target).sum()

    output = OUTPUT.clone().requires_grad_()
    made = make_criterion(settings(tmp_path, criterion=lambda: dice))
    made([output], TARGET).total.backward()
    assert output.grad[0, 1, 0, 1] == 0
    assert output.grad[0, 0, 0, 0] != 0
    made = make_criterion(settings(tmp_path, criterion=torch.nn.MSELoss()))
    assert mean(made) == pytest.approx((0.49 + 1 + 0.25) / 3, rel=1e-6)
    several = make_criterion(settings(tmp_path))
    assert mean(several, [OUTPUT, -OUTPUT]) == pytest.approx((mean(several) + mean(several, -OUTPUT)) / 2, rel=1e-6)
    with pytest.raises(UserError, match=r"criterion: does not take outputs of \[1, 3, 1, 3\] and targets of \[1, 2, 1, 3\]"):
        several([torch.zeros(1, 3, 1, 3)], TARGET)
