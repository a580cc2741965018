"""``.pth.tar`` files: what they hold, and what is said of those that are not this network's."""

import json
import shutil

import pytest

from lsd_experiments.checkpoints import inspect_command
from lsd_experiments.checkpoints.torch_contents import inspect_torch
from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.checkpoints import KEYS, load, read, resume, write
from lsd_experiments.families.pytc.recognising import describe
from tests.families.pytc.models import MODELS, NAMES, arrays, checkpoint, config_of, described, facts
from tests.published import needs_published

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

from lsd_experiments.families.pytc.networks.building import build  # noqa: E402
from lsd_experiments.families.pytc.solving.optimizer import make_optimizer  # noqa: E402
from lsd_experiments.families.pytc.solving.schedule import make_schedule  # noqa: E402


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build(described(FILTERS=[2, 3], ISOTROPY=[False, True]))


@needs_published
@pytest.mark.parametrize("name", NAMES)
def test_a_published_file_written_again(name, tmp_path):
    """Has the same keys, tensors and states, which the published program reads in all revisions."""
    for revision in ("59f031b6", "v0.22", "v1.0.0"):
        known = json.loads((MODELS / f"other_revisions_{revision}.json").read_text()).get(name)
        assert known is None or (known["keys_in_file"], known["strict_load"]) == (list(KEYS), True)
    config = config_of(name, tmp_path)
    network = build(config)
    optimizer = make_optimizer(config, network)
    schedule = make_schedule(config, optimizer)
    saved = read(checkpoint(name))
    load(network, saved)
    write(tmp_path / "checkpoint_00007.pth.tar", network, resume(saved, optimizer, schedule), optimizer, schedule)
    published, ours = (torch.load(path, weights_only=True) for path in (checkpoint(name), tmp_path / "checkpoint_00007.pth.tar"))
    assert list(ours) == list(published) == list(KEYS)
    assert list(ours["state_dict"]) == list(published["state_dict"])
    assert all(torch.equal(ours["state_dict"][key], tensor) for key, tensor in published["state_dict"].items())
    assert ours["optimizer"]["param_groups"] == published["optimizer"]["param_groups"]
    for number, state in published["optimizer"]["state"].items():
        for key, value in state.items():
            assert torch.equal(torch.as_tensor(ours["optimizer"]["state"][number][key]), torch.as_tensor(value))
    for key, value in published["lr_scheduler"].items():
        assert ours["lr_scheduler"][key] == value, key


@pytest.mark.parametrize("wrapped", ["", "module.", "module.module."])
@pytest.mark.parametrize("bare", [True, False])
def test_names_of_wrappers(network, wrapped, bare, tmp_path):
    state = {wrapped + name: tensor for name, tensor in network.state_dict().items()}
    torch.save(state if bare else {"state_dict": state, "iteration": 3}, tmp_path / "a.pth")
    found = read(tmp_path / "a.pth")
    assert list(found.state) == list(network.state_dict())
    assert found.iteration == (None if bare else 3)


def test_what_differs_is_listed(network, tmp_path, caplog):
    state = dict(network.state_dict())
    del state["conv_in.0.weight"]
    state |= {"conv_out.0.bias": torch.zeros(2), "other": torch.zeros(1)}
    torch.save({"state_dict": state}, tmp_path / "a.pth.tar")
    found = read(tmp_path / "a.pth.tar")
    said = ("has no conv_in.0.weight, has other, which the module has not, has conv_out.0.bias of shape (2,), not (1,)")
    before = network.conv_in[0].weight.clone()
    with pytest.raises(UserError) as error:
        load(network, found)
    assert f"a.pth.tar: is not of this network: {said}. Pass --allow-partial" in str(error.value)
    torch.nn.init.zeros_(network.up_layers[0][0][0].weight)
    load(network, found, allow_partial=True)
    assert len(caplog.records) == 3
    assert torch.equal(network.conv_in[0].weight, before)
    assert torch.equal(network.up_layers[0][0][0].weight, state["up_layers.0.0.0.weight"])
    torch.save({"state_dict": {"other": torch.zeros(1)}}, tmp_path / "b.pth.tar")
    with pytest.raises(UserError, match="None of its tensors fits"):
        load(network, read(tmp_path / "b.pth.tar"), allow_partial=True)


class Foreign:
    """An object, which a file of weights has not."""


def test_files_that_are_none(network, tmp_path):
    path = tmp_path / "a.pth.tar"
    for values, said in (
        ({"state_dict": network.state_dict(), "epoch": Foreign()}, "it holds a .*Foreign"),
        ({"state_dict": {"a": 3}}, "holds no state_dict"),
        ({"state_dict": {"a": torch.zeros(1)}, "iteration": "3"}, "its iteration is '3', no number"),
        ({"state_dict": {"a": torch.zeros(1)}, "optimizer": [1]}, "its optimizer or lr_scheduler is no state"),
        ([1], "holds no state_dict"),
    ):
        torch.save(values, path)
        with pytest.raises(UserError, match=said):
            read(path)
    whole = path.read_bytes()
    for data in (b"", whole[:len(whole) // 2], b"PK" + whole[2:40]):
        path.write_bytes(data)
        with pytest.raises(UserError, match="is no file of weights, or damaged"):
            read(path)
    for missing, said in ((tmp_path / "none.pth.tar", "no such file"), (tmp_path, "is a directory. Name a checkpoint in it")):
        with pytest.raises(UserError, match=said):
            read(missing)


def test_states_of_other_optimizers(network, tmp_path):
    config = described(FILTERS=[2, 3], ISOTROPY=[False, True])
    wider = described(FILTERS=[2, 4], ISOTROPY=[False, True])
    adam = type(config)({**config.values, "SOLVER.NAME": config.values["SOLVER.NAME"]._replace(value="AdamW")})
    network(torch.randn(1, 1, 3, 9, 9)).sum().backward()
    optimizer = make_optimizer(config, network)
    optimizer.step()
    schedule = make_schedule(config, optimizer)
    path = tmp_path / "a.pth.tar"
    write(path, network, 4, optimizer, schedule)
    saved = read(path)
    for other, said in ((wider, "momentum_buffer of parameter .* has shape"), (adam, "its groups have no betas")):
        changed = make_optimizer(other, build(other))
        with pytest.raises(UserError, match=f"its optimizer is not that of this configuration .{said}"):
            resume(saved, changed, make_schedule(other, changed))
    deeper = build(described(FILTERS=[2, 3, 4], ISOTROPY=[False, True, True]))
    with pytest.raises(UserError, match=r"where the network has \d+ parameters"):
        resume(saved, make_optimizer(config, deeper), schedule)
    assert resume(saved, optimizer, schedule) == 4


def test_a_schedule_gives_its_progress_alone(network, tmp_path):
    """A foreign state sets no attributes, and what is configured stays."""
    config = described(FILTERS=[2, 3], ISOTROPY=[False, True])
    optimizer = make_optimizer(config, network)
    schedule = make_schedule(config, optimizer)
    state = {**schedule.state_dict(), "last_epoch": 5, "gamma": 7.0, "get_lr": 3}
    torch.save({"state_dict": network.state_dict(), "iteration": 5, "lr_scheduler": state}, tmp_path / "a.pth.tar")
    resume(read(tmp_path / "a.pth.tar"), optimizer, schedule)
    assert (schedule.last_epoch, schedule.gamma) == (5, 0.1)
    assert callable(schedule.get_lr)
    torch.save({"state_dict": network.state_dict(), "lr_scheduler": {"last_epoch": "x"}}, tmp_path / "b.pth.tar")
    with pytest.raises(UserError, match="last_epoch of its lr_scheduler is no number"):
        resume(read(tmp_path / "b.pth.tar"), optimizer, schedule)


def test_a_file_is_there_as_a_whole(network, tmp_path, monkeypatch):
    path = tmp_path / "a.pth.tar"
    write(path, network, 1)
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        write(path, network, 2, optimizer=3)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.pth.tar"]
    shutil.copy(path, tmp_path / "b.pth.tar")
    assert read(tmp_path / "b.pth.tar").iteration == 1


@needs_published
@pytest.mark.parametrize("name", NAMES)
def test_inspected(name):
    """What inspect_checkpoint.py says of published files."""
    contents = inspect_torch(checkpoint(name), describe)
    known = facts(name)
    assert (contents.iteration, contents.parameters) == (7, known["parameters_total"])
    assert contents.optimizer == ("Adam" if "adamw" in name else "SGD")
    assert contents.steps == (7 if "adamw" in name else None)
    lines = inspect_command.describe(contents)
    plus, squeezed = "unet_plus_3d" if "plus" in name else "unet_3d", "residual" if "adamw" in name else "residual_se"
    assert f"network            {plus}, {squeezed}\n" in lines
    assert f"output             {arrays(name)['eval0_out'].shape[1]} channel" in lines
    assert f"norm               {'gn' if name.endswith('gn') else 'bn or sync_bn'}\n" in lines
    assert "feature maps       8, 16, 16, 24, 24" in lines if name.endswith("gn") else "4, 6, 8, 10, 12" in lines


def test_inspected_of_other_networks(tmp_path):
    for model, said in (
        ({"ARCHITECTURE": "fpn_3d", "BACKBONE": "repvgg", "FILTERS": [4, 4, 4, 4, 5]}, "fpn_3d, repvgg"),
        ({"ARCHITECTURE": "fpn_3d", "BACKBONE": "efficientnet", "BLOCK_TYPE": "inverted_res", "FILTERS": [8, 8, 8, 8, 9]},
         "fpn_3d, efficientnet"),
        ({"ARCHITECTURE": "fpn_3d", "FILTERS": [4, 4, 4, 4, 5]}, "fpn_3d, resnet"),
        ({"ARCHITECTURE": "unetv0", "FILTERS": [16] * 5}, "unetv0 (2019)"),
        ({"ARCHITECTURE": "unet_2d", "FILTERS": [4, 5]}, "unet_2d, residual"),
    ):
        torch.save(build(described(**model)).state_dict(), tmp_path / "a.pth")
        contents = inspect_torch(tmp_path / "a.pth", describe)
        assert contents.facts["network"] == said
        assert contents.facts["input"] == "1 channel"
        assert (contents.iteration, contents.optimizer) == (None, None)
        assert "no state of it" in inspect_command.describe(contents)
    torch.save({"weight": torch.zeros(2, 3)}, tmp_path / "b.pt")
    assert inspect_torch(tmp_path / "b.pt", describe).facts == {}
    (tmp_path / "c.pth").write_bytes(b"no")
    with pytest.raises(UserError, match=r"c\.pth: is no file of weights"):
        inspect_torch(tmp_path / "c.pth")


def test_inspected_of_a_directory(tmp_path, capsys, monkeypatch):
    """The newest, the one that is named, or the best; what else lies there, and what is half written, does not count."""
    network = build(described(FILTERS=[4, 5], ISOTROPY=[False, True]))
    for name, iteration in (("checkpoint_00020.pth.tar", 20), ("checkpoint_00100.pth.tar", 100), ("checkpoint_best.pth.tar", 20)):
        write(tmp_path / name, network, iteration)
    for name in ("checkpoint_swa.pth.tar", ".checkpoint_00200.pth.tar.7", "checkpoint_00300.txt"):
        (tmp_path / name).write_bytes(b"no")

    def told(*arguments):
        monkeypatch.setattr("sys.argv", ["inspect_checkpoint.py", str(tmp_path), *arguments])
        with pytest.raises(SystemExit) as ended:
            inspect_command.main("", tmp_path, describe)
        return ended.value.code, capsys.readouterr()

    for arguments, name, iteration in (((), "00100", 100), (("--checkpoint", "20"), "00020", 20),
                                       (("--checkpoint", "best"), "best", 20)):
        status, said = told(*arguments)
        assert (status, said.out.splitlines()[0]) == (0, str(tmp_path / f"checkpoint_{name}.pth.tar"))
        assert f"iteration          {iteration}\n" in said.out
        assert "unet_3d, residual" in said.out
    status, said = told("--checkpoint", "21")
    assert (status, said.err) == (2, f"error: {tmp_path}: no checkpoint of iteration 21 (found: 20, 100). Name one that exists\n")
    for path in tmp_path.glob("*.tar"):
        path.unlink()
    status, said = told()
    assert (status, "no checkpoint (found: none)" in said.err) == (2, True)
