"""csc train: exact gradients, each parameter's effect, runs that are interrupted and go on, checkpoints."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lsd_experiments.errors import UserError
from tests.cellmap.configured import VOXEL, settings, write_challenge

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

from lsd_experiments.families.cellmap import checkpoints  # noqa: E402
from lsd_experiments.families.cellmap.checkpoints import Record  # noqa: E402
from lsd_experiments.families.cellmap.losses import make_criterion  # noqa: E402
from lsd_experiments.families.cellmap.training.solving import device_of  # noqa: E402
from lsd_experiments.families.cellmap.training.stepping import Trainer  # noqa: E402
from lsd_experiments.families.cellmap.training.training import network_of, train, where_to_begin  # noqa: E402
from lsd_experiments.families.pytc.training.processes import Processes  # noqa: E402
from lsd_experiments.locks import only_run  # noqa: E402

ROOT = Path(__file__).parents[2]
TOML = """
batch_size = 2
classes = ["mito", "er"]
device = "cpu"
epochs = 3
iterations_per_epoch = 3
gradient_accumulation_steps = 2
learning_rate = 0.01
model_kwargs = {width = 1}
scheduler = "StepLR"
scheduler_kwargs = {step_size = 1, gamma = 0.5}
weight_loss = false
[input_array_info]
shape = [1, 16, 16]
scale = [8, 4, 4]
"""
DIES = """
import os, signal, sys
from lsd_experiments.families.cellmap import checkpoints, command
write = checkpoints.write
def dies(path, *values, **more):
    write(path, *values, **more)
    if path.name.endswith("_2.pth"):
        os.kill(os.getpid(), signal.SIGKILL)
checkpoints.write = dies
command.main(["train", sys.argv[1]])
"""


class Convolution(torch.nn.Module):
    """The least network; its weights are the same each time."""

    def __init__(self, channels=2):
        super().__init__()
        self.last = torch.nn.Conv2d(1, channels, 3, padding=1)
        with torch.no_grad():
            self.last.weight.copy_(torch.linspace(-0.3, 0.4, 9 * channels).view_as(self.last.weight))
            self.last.bias.zero_()

    def forward(self, image):
        return self.last(image)


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    path = tmp_path_factory.mktemp("challenge")
    write_challenge(path)
    return path


@pytest.fixture
def make(challenge, tmp_path):
    """Settings in a directory of their own, with the split of the challenge."""
    def make(name="one", **others):
        (tmp_path / name).mkdir(exist_ok=True)
        others.setdefault("model", Convolution())
        return settings(tmp_path / name, datasplit_path=str(challenge / "datasplit.csv"), **others)
    return make


def trained(given):
    assert train(given) == 0
    return checkpoints.read(checkpoints.find(given, "latest"))


def weights(given):
    return trained(given).state["last.weight"]


def alone():
    return Processes(torch.device("cpu"))


def batches(number=2, known=True):
    generator = torch.Generator().manual_seed(5)
    images = torch.rand(number, 1, 6, 7, generator=generator)
    targets = (torch.rand(number, 2, 6, 7, generator=generator) > 0.5).float()
    if not known:
        targets[0, 1], targets[0, 0, :5] = torch.nan, torch.nan
    return images, targets


@pytest.mark.parametrize("known", [True, False])
def test_accumulated_batches_are_one(known, make):
    """The gradient is the mean over all known voxels of both, however they are distributed."""
    images, targets = batches(known=known)
    found = []
    for parts in ([slice(0, 2)], [slice(0, 1), slice(1, 2)]):
        trainer = Trainer(make(optimizer=torch.optim.SGD), Convolution(), make_criterion(make()), alone())
        for iteration, part in enumerate(parts):
            trainer.accumulate(iteration, images[part], targets[part])
        trainer.update()
        found.append((trainer.network.last.weight - Convolution().last.weight).detach())
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-7)
    assert found[0].abs().max() > 1e-4


def test_gradients_are_clipped_once_when_all_are_there(make):
    """Published: before each of the accumulated batches."""
    images, targets = batches()
    for norm in (None, 1e-3):
        given = make(max_grad_norm=norm, optimizer="SGD", learning_rate=1.0, gradient_accumulation_steps=2)
        trainer = Trainer(given, Convolution(), make_criterion(given), alone())
        for number in range(2):
            trainer.accumulate(number, images[number:number + 1], targets[number:number + 1])
        trainer.update()
        moved = [(after - before).detach() for after, before in zip(trainer.network.parameters(), Convolution().parameters(),
                                                                    strict=True)]
        length = float(torch.cat([one.flatten() for one in moved]).norm())
        assert length == pytest.approx(1e-3, rel=1e-3) if norm else length > 0.01


def test_unknown_batches_change_no_weight(make):
    images, targets = batches()
    trainer = Trainer(make(), Convolution(), make_criterion(make()), alone())
    trainer.accumulate(0, images, torch.full_like(targets, torch.nan))
    trainer.update()
    assert torch.equal(trainer.network.last.weight, Convolution().last.weight)


EFFECTS = {
    "batch_size": 1, "learning_rate": 0.1, "iterations_per_epoch": 2, "epochs": 1, "gradient_accumulation_steps": 2,
    "max_grad_norm": 1e-4, "optimizer": torch.optim.SGD, "random_seed": 2, "criterion": torch.nn.MSELoss, "weight_loss": True,
    "criterion_kwargs": {"pos_weight": [3.0, 3.0]},
    "scheduler": (torch.optim.lr_scheduler.StepLR, {"step_size": 1}),
    "scheduler_kwargs": (torch.optim.lr_scheduler.StepLR, {"step_size": 1, "gamma": 0.9}),
}


@pytest.fixture(scope="module")
def plain(challenge, tmp_path_factory):
    given = settings(tmp_path_factory.mktemp("plain"), datasplit_path=str(challenge / "datasplit.csv"), model=Convolution())
    return weights(given)


@pytest.mark.parametrize("name", EFFECTS)
def test_a_parameter_has_an_effect(name, make, plain):
    """On the weights that come out; without it they are the same again."""
    value = EFFECTS[name]
    changes = {"scheduler": value[0], "scheduler_kwargs": value[1]} if name.startswith("scheduler") else {name: value}
    found = weights(make(**changes))
    assert not torch.equal(found, plain)
    if name == "batch_size":
        assert torch.equal(weights(make("again")), plain)
    if name == "scheduler_kwargs":
        assert not torch.equal(weights(make("less", scheduler=value[0], scheduler_kwargs=EFFECTS["scheduler"][1])), found)


def test_where_things_are_put(make, tmp_path):
    """Names and paths: model_name, model_save_path, logs_save_path; epochs in total, iterations of an epoch."""
    given = make(model_name="mine", model_save_path="kept/{model_name}-{epoch}.pth", logs_save_path="board/{model_name}")
    assert trained(given).epoch == 2
    assert {path.name for path in (tmp_path / "one/kept").iterdir()} == {"mine-1.pth", "mine-2.pth", "mine-record.json",
                                                                         "mine-record.lock"}
    curves, pictures = events(next((tmp_path / "one/board/mine").iterdir()))
    assert curves["loss"] == [1, 2, 3, 4, 5, 6]
    assert curves["lr"] == curves["validation"] == [1, 2]
    assert {"train/mito", "train/er", "validation/mito"} <= set(pictures)
    assert trained(make(model_name="mine", model_save_path="kept/{model_name}-{epoch}.pth", epochs=3)).iteration == 9


def events(path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    tags = found.Tags()
    return {tag: [event.step for event in found.Scalars(tag)] for tag in tags["scalars"]}, tags["images"]


def test_a_configuration_without_a_model_trains_that_of_the_name(make):
    """Published: it fails before the model is made."""
    found = trained(make(model=None, epochs=1, input_array_info={"shape": (1, 16, 16), "scale": VOXEL}))
    assert found.state["inc.double_conv.0.weight"].shape == (1, 1, 3, 3)
    assert json.loads(json.dumps(found.more["settings"]))["model_kwargs"] == {"width": 1}
    assert found.more["preprocessing"]["raw"]


def test_a_network_in_three_dimensions(make):
    given = make(model=torch.nn.Conv3d(1, 2, 3, padding=1), input_array_info={"shape": (4, 8, 8), "scale": VOXEL}, epochs=1)
    assert trained(given).epoch == 1


@pytest.mark.parametrize("low_is_best", [True, False])
def test_a_validation_that_is_no_number_is_never_the_best(low_is_best):
    record = Record()
    assert [record.add(epoch, value, 1, low_is_best) for epoch, value in enumerate((math.nan, 0.5, math.nan, math.inf), 1)] == [
        False, True, False, False]
    assert (record.best, record.latest, record.validation) == (2, 4, {2: 0.5})
    before = Record(1, 1, {1: math.nan}, {1: math.nan})  # as it was recorded
    assert before.add(2, 0.7, 1, low_is_best)
    assert before.best == 2


def test_best_is_recorded_smoothed_and_of_the_right_sense(make):
    """The epoch itself; published: the index of TensorBoard's events, of which the first is never the best."""
    record = Record()
    bests = [record.add(epoch, value, 1, True) for epoch, value in enumerate((0.3, 0.4, 0.2, None), 1)]
    assert (bests, record.best, record.latest) == ([True, False, True, False], 3, 4)
    high, smooth = Record(), Record()
    for epoch, value in enumerate((0.3, 0.4, 0.2), 1):
        high.add(epoch, value, 1, False)
        smooth.add(epoch, value, 2, True)
    assert (high.best, smooth.best) == (2, 1)  # means 0.3, 0.35, 0.3: the first of the best
    assert Record.of(json.loads(json.dumps(record.described()))) == record
    record.add(3, 0.9, 1, True)  # begun again after the second epoch
    assert (record.best, record.validation) == (1, {1: 0.3, 2: 0.4, 3: 0.9})
    given = make(epochs=3, learning_rate=3.0)  # what it learns is wrong
    trained(given)
    kept = checkpoints.read_record(given)
    assert kept.best == min(kept.validation, key=kept.validation.get)
    assert [checkpoints.read(given.checkpoint_path(epoch)).goes_on for epoch in (1, 2, 3)] == [
        epoch in (kept.best, 3) for epoch in (1, 2, 3)]
    assert weights(make(epochs=3, learning_rate=3.0, low_is_best=False, smoothing_window=2, model_name="high")) is not None
    other = checkpoints.read_record(make(model_name="high"))
    assert other.best == max(other.smoothed, key=other.smoothed.get)
    assert other.smoothed[2] == pytest.approx((other.validation[1] + other.validation[2]) / 2)


def test_load_model(make, plain):
    """latest goes on, best goes on from there, None begins anew; epochs are those in total."""
    given = make(epochs=3, learning_rate=3.0)
    first = trained(given)
    assert train(given) == 0  # nothing is left
    assert where_to_begin(given) == (given.checkpoint_path(3), True)
    assert torch.equal(weights(make(epochs=3, learning_rate=3.0, load_model=None)), first.state["last.weight"])
    best = checkpoints.read_record(given).best
    assert where_to_begin(make(load_model="best")) == (given.checkpoint_path(best), True)
    network, found = network_of(make(load_model="best"))
    assert found.epoch == best
    assert not network.training
    assert torch.equal(network.last.weight, checkpoints.read(given.checkpoint_path(best)).state["last.weight"])
    with pytest.raises(UserError, match=r"there is no checkpoint. Train one with csc train"):
        network_of(make(model_name="none"))


def test_model_to_load(make):
    """Weights of another model are where this one begins; from then on it goes on from its own."""
    first = trained(make())
    other = make(model_name="other", model_to_load="2d_unet", learning_rate=1e-9, epochs=1)
    assert where_to_begin(other) == (other.checkpoint_path(2, "2d_unet"), False)
    torch.testing.assert_close(weights(other), first.state["last.weight"], rtol=0, atol=1e-6)
    assert where_to_begin(other)[1]


def test_their_checkpoints_are_read_and_written(make, tmp_path):
    """A bare state_dict; its epoch is in its name. --export writes one."""
    from lsd_experiments.families.cellmap import command

    given = make(epochs=6)
    theirs = given.checkpoint_path(5)
    theirs.parent.mkdir(parents=True)
    state = {f"module.{name}": tensor + 1 for name, tensor in Convolution().state_dict().items()}
    torch.save(state, theirs)
    found = trained(given)
    assert (found.epoch, found.iteration) == (6, 18)
    assert (found.state["last.weight"] - Convolution().last.weight).mean() > 0.5
    (tmp_path / "one/train.py").write_text("import torch\nmodel = torch.nn.Sequential()\nmodel_name = '2d_unet'\n")
    with pytest.raises(SystemExit) as ended:
        command.main(["train", str(tmp_path / "one/train.py"), "--export", str(tmp_path / "bare.pth")])
    assert ended.value.code == 0
    bare = torch.load(tmp_path / "bare.pth", weights_only=True)
    assert set(bare) == set(Convolution().state_dict())
    assert torch.equal(bare["last.weight"], found.state["last.weight"])


def test_validation_limits(make):
    """Both hold, whichever comes first."""
    from lsd_experiments.families.cellmap.data.samples import ValidationTiles
    from lsd_experiments.families.cellmap.training.validating import Validation

    def score(**others):
        given = make(batch_size=1, **others)
        trainer = Trainer(given, Convolution(), make_criterion(given), alone())
        seen = []
        trainer.evaluate = lambda *tensors, run=trainer.evaluate: seen.append(1) or run(*tensors)
        return Validation(given, ValidationTiles(given)).score(trainer)[0], len(seen)

    everything, number = score()
    assert number == 10 * 3 * 2  # [10, 24, 14] voxels in tiles of [1, 8, 8]
    one = score(validation_batch_limit=5)
    assert one[1] == 5
    assert one == score(validation_batch_limit=5)
    assert one[0] != everything
    assert score(validation_time_limit=1e-9, validation_batch_limit=5)[1] == 1
    assert score(validation_time_limit=1e9)[1] == number


def test_without_validation_crops_there_is_no_best(make, challenge, tmp_path, capsys):
    split = tmp_path / "train.csv"
    split.write_text((challenge / "datasplit.csv").read_text().splitlines()[0] + "\n")
    given = settings(tmp_path, model=Convolution(), datasplit_path=str(split), epochs=1)
    assert train(given) == 0
    assert "there is no validation crop" in capsys.readouterr().err
    with pytest.raises(UserError, match="no best checkpoint is recorded"):
        checkpoints.find(given, "best")


def test_device(make):
    assert device_of(make(device="cpu"), {}).type == "cpu"
    assert device_of(make(device=None), {}).type == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"train.toml: device: cuda:1 is not there. Give cpu"):
            device_of(make(device="cuda:1"), {})


@pytest.fixture(scope="module")
def whole(challenge, tmp_path_factory):
    """What a training of :data:`TOML` that was not interrupted ends in."""
    return run_in(tmp_path_factory.mktemp("whole"), challenge)


def run_in(directory, challenge):
    return trained(read_in(directory, challenge))


def read_in(directory, challenge):
    from lsd_experiments.families.cellmap.configuration import read

    (directory / "train.toml").write_text(f'datasplit_path = "{challenge / "datasplit.csv"}"\n' + TOML)
    return read(directory / "train.toml")


def assert_same(first, second, equal=torch.equal):
    assert (first.epoch, first.iteration, first.more["record"]) == (second.epoch, second.iteration, second.more["record"])
    assert first.more["scheduler"] == second.more["scheduler"]
    for name, tensor in first.state.items():
        assert equal(tensor, second.state[name]), name
    for number, state in first.more["optimizer"]["state"].items():
        for name, tensor in state.items():
            assert equal(tensor, second.more["optimizer"]["state"][number][name]), name


def test_after_a_kill_it_goes_on_to_the_same_weights(whole, challenge, tmp_path):
    """Between the second checkpoint and what records it."""
    given = read_in(tmp_path, challenge)
    died = subprocess.run([sys.executable, "-c", DIES, str(given.path)], cwd=ROOT, capture_output=True,
                          env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())})
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert checkpoints.epochs(given) == [1, 2]
    left = given.checkpoint_path(3).with_name(".2d_unet_3.pth.12345")
    left.write_bytes(b"a part")
    assert_same(trained(given), whole)
    assert not left.exists()


@pytest.mark.parametrize(("number", "when"), [(signal.SIGTERM, 5), (signal.SIGINT, 4)])
def test_asked_to_stop_it_saves_within_the_epoch(number, when, whole, challenge, tmp_path, monkeypatch, capsys):
    """After all batches that are accumulated: the third one of an epoch of three stands alone, and the epoch ends with it."""
    given, step = read_in(tmp_path, challenge), Trainer.accumulate

    def signalled(self, iteration, *tensors):
        if iteration == when - 1:
            signal.raise_signal(number)
        return step(self, iteration, *tensors)

    monkeypatch.setattr(Trainer, "accumulate", signalled)
    assert train(given) == 128 + number
    assert "stopped in epoch 2: saved; run the same command to go on" in capsys.readouterr().err
    stopped = checkpoints.read(given.checkpoint_path("stopped"))
    assert (stopped.epoch, stopped.iteration, stopped.done) == (1, 5, 2)
    monkeypatch.undo()
    assert_same(trained(given), whole)
    assert not given.checkpoint_path("stopped").exists()


def test_two_processes_are_one(whole, challenge, tmp_path, monkeypatch):
    """Over gloo, with batch norms of the whole batch: this process, and csc as torchrun starts it."""
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    given = read_in(tmp_path, challenge)
    child = subprocess.Popen([sys.executable, "-m", "lsd_experiments.families.cellmap", "train", str(given.path)], cwd=ROOT,
                             env=os.environ | environment | {"RANK": "1", "OMP_NUM_THREADS": "1"})
    for name, value in (environment | {"RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    assert train(given) == 0
    assert child.wait() == 0
    found = checkpoints.read(checkpoints.find(given, "latest"))
    for name, tensor in whole.state.items():
        torch.testing.assert_close(found.state[name], tensor, rtol=1e-3, atol=1e-4)
    assert found.more["record"]["validation"]["3"] == pytest.approx(whole.more["record"]["validation"]["3"], rel=1e-3)
    for name in environment | {"RANK": ""}:
        monkeypatch.delenv(name)
    other = trained(given.replace(batch_size=4, model_save_path="other/{model_name}_{epoch}.pth"))
    assert max(float((tensor - whole.state[name]).abs().max()) for name, tensor in other.state.items()) > 5e-3
    with pytest.raises(UserError, match=r"batch_size: a batch norm sees one value .*Give larger patches"):
        train(given.replace(batch_size=1, model_save_path="less/{model_name}_{epoch}.pth"))


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_one_training_at_a_time(make):
    given = make()
    directory = given.checkpoint_path(1).parent
    directory.mkdir(parents=True)
    with (only_run(directory, directory / "2d_unet_record.lock"),
          pytest.raises(UserError, match="another training of this model is at work")):
        train(given)


@pytest.mark.parametrize(("changes", "said"), [
    ({"optimizer": torch.optim.SGD(Convolution().parameters(), lr=1)}, "optimizer: has none of the model's parameters"),
    ({"optimizer": lambda parameters, lr: 3}, "optimizer: gives a int"),
    ({"scheduler": torch.optim.lr_scheduler.StepLR}, "scheduler_kwargs: scheduler does not take them .*step_size"),
    ({"scheduler": lambda optimizer: 3}, "scheduler: gives a int"),
    ({"model": torch.nn.Conv2d(1, 2, 9)}, r"input_array_info: the model does not take an input of \[8, 8\] voxels"),
    ({"model": Convolution(3)}, r"criterion: does not take outputs of \[2, 3, 8, 8\] and targets of \[2, 2, 8, 8\]"),
])
def test_what_does_not_fit_is_named(changes, said, make):
    with pytest.raises(UserError, match=f"train.toml: {said}"):
        train(make(**changes))


def test_weights_of_another_model_are_refused(make, capsys):
    class Two(Convolution):
        def __init__(self, channels):
            super().__init__(channels)
            self.first = torch.nn.Conv2d(1, 1, 1)

    trained(make(model=Two(2)))
    three = {"model": Two(3), "classes": ["mito", "er", "nuc"], "model_name": "three", "model_to_load": "2d_unet"}
    with pytest.raises(UserError, match=r"2d_unet_2.pth: is not of this model: has last.weight of shape .*--allow-partial"):
        train(make(**three))
    assert train(make(**three), allow_partial=True) == 0
    with pytest.raises(UserError, match="Correct model, or name another one"):
        train(make(model=torch.nn.Conv2d(1, 2, 1)))


def test_a_loss_that_is_no_number_ends_it(make, capsys):
    assert train(make(learning_rate=1e30, max_grad_norm=None, criterion=torch.nn.MSELoss, epochs=9)) == 1
    assert "Lower learning_rate, or set max_grad_norm" in capsys.readouterr().err


def test_a_plateau_is_told_by_the_validation(make):
    seen = []

    class Plateau(torch.optim.lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics, epoch=None):
            seen.append(metrics)
            super().step(metrics)

    given = make(scheduler=Plateau)
    trained(given)
    assert seen == list(checkpoints.read_record(given).validation.values())
