"""Optimizers and learning rates: a training goes on from a published checkpoint as the published program does."""

import json

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.checkpoints import for_inference, load, read, resume, write
from lsd_experiments.families.pytc.configuration import load as configure
from tests.families.pytc.models import NAMES, arrays, checkpoint, config_of, described, facts, network_range
from tests.published import PUBLISHED, needs_published

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

from torch.nn import functional  # noqa: E402

from lsd_experiments.families.pytc.networks.building import build  # noqa: E402
from lsd_experiments.families.pytc.solving.averaging import Averaging  # noqa: E402
from lsd_experiments.families.pytc.solving.optimizer import clip_gradients, make_optimizer  # noqa: E402
from lsd_experiments.families.pytc.solving.schedule import make_schedule, step_schedule  # noqa: E402

SCHEDULES = PUBLISHED / "pytc_inference/lr_schedules.json"
LR_CASES = json.loads(SCHEDULES.read_text()) if SCHEDULES.is_file() else {}
SMOOTH = 100  # of the Dice loss


def loss_of(config, output, found):
    """The losses of the fixtures by their definitions, summed by ``LOSS_WEIGHT``; and each of them by its name."""
    parts, total, first = {}, 0, 0
    for index, (target_name, losses) in enumerate(zip(config.MODEL.TARGET_OPT, config.MODEL.LOSS_OPTION, strict=True)):
        target = torch.from_numpy(found[f"train_target{index}"].astype(np.float32))
        predicted = output[:, first:first + target.shape[1]]
        first += target.shape[1]
        for number, name in enumerate(losses):
            weight = torch.from_numpy(found[f"train_weight{index}_{number}"].astype(np.float32))
            if name == "WeightedBCEWithLogitsLoss":
                loss = functional.binary_cross_entropy_with_logits(predicted, target, weight)
            elif name == "DiceLoss":
                p, t = torch.sigmoid(predicted).flatten(1), target.flatten(1)
                loss = (1 - (2 * (p * t).sum(1) + SMOOTH) / (p.sum(1) + t.sum(1) + SMOOTH)).mean()
            else:
                loss = ((torch.tanh(predicted) - target) ** 2).sum() / (target.shape[0] * target[0, 0].numel())
            loss = loss * config.MODEL.LOSS_WEIGHT[index][number]
            parts[f"{target_name}_{name}_{index}"] = float(loss.detach())
            total = total + loss
    return total, parts


@needs_published
@pytest.mark.parametrize("name", NAMES)
def test_a_step_from_a_published_checkpoint(name, tmp_path):
    """Output, losses, gradients, weights and running means after a step, and the learning rate that comes."""
    config, found, known = config_of(name, tmp_path), arrays(name), facts(name)
    network = build(config).train()
    optimizer = make_optimizer(config, network)
    schedule = make_schedule(config, optimizer)
    saved = read(checkpoint(name))
    load(network, saved)
    assert resume(saved, optimizer, schedule) == known["iteration_in_checkpoint"] == 7
    assert optimizer.param_groups[0]["lr"] == pytest.approx(known["lr_used_in_step"], rel=1e-12)

    output = network(torch.from_numpy(network_range(found["train_raw_uint8"]))[:, None])
    np.testing.assert_allclose(output.detach().numpy(), found["train_out"], rtol=1e-4, atol=1e-5)
    loss, parts = loss_of(config, output, found)
    assert float(loss.detach()) == pytest.approx(known["loss"], rel=1e-4)
    assert parts == pytest.approx(known["loss_parts"], rel=1e-4)
    loss.backward()
    norms = {key: float(parameter.grad.norm()) for key, parameter in network.named_parameters()}
    wanted = {key: both[0] for key, both in known["grad_norm_and_sum"].items()}
    assert norms == pytest.approx(wanted, rel=1e-3, abs=1e-6)  # that of a bias before a batch norm is 0, but for rounding
    clip_gradients(config, optimizer)
    optimizer.step()
    step_schedule(schedule, float(loss.detach()))
    state = network.state_dict()
    after = [key for key in found.files if key.startswith("after_step/")]
    assert after
    for key in after:
        np.testing.assert_allclose(state[key.removeprefix("after_step/")].numpy(), found[key], rtol=1e-4, atol=1e-6)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(known["lr_after_step"], rel=1e-9)


@needs_published
@pytest.mark.parametrize("name", LR_CASES)
def test_learning_rates(name):
    facts = LR_CASES[name]
    if "lr_used_at_iteration" not in facts:
        assert name in ("ReduceLROnPlateau", "OneCycle")  # tested below: the published OneCycle cannot be built
        return
    options = facts["options"]
    config = configure(pairs=[str(part) for part in options])
    schedule = schedule_of(config)
    wanted = {int(iteration): rate for iteration, rate in facts["lr_used_at_iteration"].items()}
    found = {}
    for iteration in range(min(max(wanted), 10001) + 1):
        if iteration in wanted:
            found[iteration] = schedule.optimizer.param_groups[0]["lr"]
        schedule.optimizer.step()
        schedule.step()
    for iteration in [iteration for iteration in wanted if iteration not in found]:  # far ones, without the way there
        schedule.last_epoch = iteration
        found[iteration] = schedule.get_lr()[0]
    assert found == pytest.approx(wanted, rel=1e-9)


def schedule_of(config):
    return make_schedule(config, torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], config.SOLVER.BASE_LR))


def test_one_cycle_ends_after_all_iterations():
    config = configure(pairs=["SOLVER.LR_SCHEDULER_NAME", "OneCycle", "SOLVER.ITERATION_TOTAL", "20", "SOLVER.BASE_LR", "0.5"])
    schedule = schedule_of(config)
    rates = []
    for _ in range(20):
        rates.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.optimizer.step()
        if len(rates) < 20:
            schedule.step()
    assert max(rates) == pytest.approx(0.5)
    assert rates[0] == pytest.approx(0.5 / 25)
    assert rates[-1] < rates[0] / 1000


def test_a_plateau_lowers_the_rate():
    config = configure(pairs=["SOLVER.LR_SCHEDULER_NAME", "ReduceLROnPlateau"])
    schedule = schedule_of(config)
    for _ in range(1002):
        step_schedule(schedule, 1.0)
    assert schedule.optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)
    falling = schedule_of(config)
    for iteration in range(1002):
        step_schedule(falling, 1 / (iteration + 1))
    assert falling.optimizer.param_groups[0]["lr"] == 0.001


def test_steps_out_of_order_are_refused():
    with pytest.raises(UserError, match=r"SOLVER.STEPS is \[5, 3\], but iterations must be in ascending order"):
        schedule_of(configure(pairs=["SOLVER.STEPS", "[5, 3]"]))


@pytest.mark.parametrize(("name", "made"), [("SGD", "SGD"), ("Adam", "Adam"), ("AdamW", "AdamW")])
def test_groups(name, made):
    """Norms and biases have their own decay, biases their own rate."""
    config = configure(pairs=["SOLVER.NAME", name, "SOLVER.BIAS_LR_FACTOR", "2.0", "SOLVER.WEIGHT_DECAY_NORM", "0.5",
                              "SOLVER.WEIGHT_DECAY_BIAS", "0.25", "MODEL.FILTERS", "[4, 4]", "MODEL.ISOTROPY", "[True, False]"])
    network = build(config)
    optimizer = make_optimizer(config, network)
    assert type(optimizer).__name__ == made
    found = {id(group["params"][0]): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups}
    assert len(found) == len(list(network.parameters()))
    assert found[id(network.conv_in[0].weight)] == (0.001, 0.0001)
    assert found[id(network.conv_in[1].bias)] == (0.001, 0.5)
    assert found[id(network.conv_out[0].bias)] == (0.002, 0.25)


@pytest.mark.parametrize(("kind", "expected"), [("value", [0.5, -0.5, 0.25]), ("norm", [0.5 * 3 / 5, -0.5 * 4 / 5, 0.25])])
def test_gradients_are_clipped_one_by_one(kind, expected):
    config = configure(pairs=["SOLVER.CLIP_GRADIENTS.ENABLED", "True", "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", kind,
                              "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "0.5"])
    first, second = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [first]}, {"params": [second]}], 0.1)
    first.grad, second.grad = torch.tensor([3.0, -4.0]), torch.tensor([0.25])
    clip_gradients(configure(), optimizer)
    assert first.grad.tolist() == [3, -4]
    clip_gradients(config, optimizer)
    assert [*first.grad.tolist(), *second.grad.tolist()] == pytest.approx(expected, rel=1e-5)


def test_averaged_weights(tmp_path):
    """The mean of the weights after iterations 4 and 6, with batch norms of their own; the rate ends at a twentieth."""
    config = configure(pairs=["SOLVER.SWA.ENABLED", "True", "SOLVER.SWA.START_ITER", "4", "SOLVER.SWA.MERGE_ITER", "2",
                              "SOLVER.SWA.BN_UPDATE_ITER", "3", "MODEL.FILTERS", "[2, 2]", "MODEL.ISOTROPY", "[True, False]"])
    network = build(config)
    optimizer = make_optimizer(config, network)
    averaging = Averaging(config, network, optimizer)
    for iteration in range(8):
        with torch.no_grad():
            network.conv_out[0].bias.fill_(iteration)
        averaging.update(iteration)
        if averaging.begun(iteration):
            optimizer.step()
            averaging.schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.001 * 0.05)
    batch = torch.randn(2, 1, 3, 9, 9)
    found = averaging.finish(lambda: batch)
    assert found.conv_out[0].bias.tolist() == [5]
    assert int(found.conv_in[1].num_batches_tracked) > 0
    torch.save({"state_dict": averaging.model.state_dict()}, tmp_path / "checkpoint_swa.pth.tar")
    again = for_inference(config, read(tmp_path / "checkpoint_swa.pth.tar"))
    with torch.no_grad():
        torch.testing.assert_close(again(batch), found.eval()(batch))


def test_going_on_is_as_if_never_stopped(tmp_path):
    """With momentum and a learning rate that changes; what is read in between is what was written."""
    config = described(FILTERS=[2, 2], ISOTROPY=[False, True])
    cosine = config.values["SOLVER.LR_SCHEDULER_NAME"]._replace(value="WarmupCosineLR")
    config = type(config)({**config.values, "SOLVER.LR_SCHEDULER_NAME": cosine})
    batches = [torch.randn(2, 1, 3, 9, 9, generator=torch.Generator().manual_seed(number)) for number in range(4)]

    def train(parts, numbers):
        network, optimizer, schedule = parts
        for number in numbers:
            optimizer.zero_grad()
            network(batches[number]).square().mean().backward()
            optimizer.step()
            step_schedule(schedule, 0.0)

    def begin():
        torch.manual_seed(1)
        network = build(config).train()
        optimizer = make_optimizer(config, network)
        return network, optimizer, make_schedule(config, optimizer)

    whole, half, other = begin(), begin(), begin()
    train(whole, range(4))
    train(half, range(2))
    write(tmp_path / "checkpoint_00002.pth.tar", torch.nn.DataParallel(half[0]), 2, half[1], half[2])
    saved = read(tmp_path / "checkpoint_00002.pth.tar")
    load(other[0], saved)
    assert resume(saved, other[1], other[2]) == 2
    train(other, range(2, 4))
    for (name, first), second in zip(whole[0].state_dict().items(), other[0].state_dict().values(), strict=True):
        assert torch.equal(first, second), name
    assert not torch.equal(half[0].conv_in[0].weight, other[0].conv_in[0].weight)
