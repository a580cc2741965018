"""Training: published steps, runs that are interrupted and go on, several processes, and what cannot be trained."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc import command
from lsd_experiments.families.pytc.configuration import load
from lsd_experiments.families.pytc.synthetic import write_snemi3d
from tests.families.pytc.models import NAMES, arrays, checkpoint, config_of, facts, network_range
from tests.published import needs_published
from tests.scripts import run_script

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

from lsd_experiments.families.pytc import checkpoints  # noqa: E402
from lsd_experiments.families.pytc.criterion import criterion_of  # noqa: E402
from lsd_experiments.families.pytc.samples.loader import Batch  # noqa: E402
from lsd_experiments.families.pytc.targets import make_targets  # noqa: E402
from lsd_experiments.families.pytc.training.processes import Processes  # noqa: E402
from lsd_experiments.families.pytc.training.showing import montage, pie  # noqa: E402
from lsd_experiments.families.pytc.training.starting import where_to_begin  # noqa: E402
from lsd_experiments.families.pytc.training.stepping import Trainer  # noqa: E402
from lsd_experiments.families.pytc.training.training import train  # noqa: E402
from lsd_experiments.families.pytc.training.validating import Validation  # noqa: E402
from lsd_experiments.families.pytc.weights import make_weights  # noqa: E402
from lsd_experiments.locks import only_run  # noqa: E402

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "02_train/snemi3d"
FILES = ["--config-base", str(FOLDER / "configs/SNEMI-Base.yaml"), "--config-file",
         str(FOLDER / "configs/SNEMI-Affinity-UNet.yaml")]
TINY = {"DATASET.IMAGE_NAME": "image/train-input.tif", "DATASET.LABEL_NAME": "seg/train-labels.tif", "SYSTEM.NUM_CPUS": 0,
        "DATASET.PAD_SIZE": [2, 20, 20], "MODEL.INPUT_SIZE": [5, 17, 17], "MODEL.OUTPUT_SIZE": [5, 17, 17],
        "MODEL.FILTERS": [4, 5], "MODEL.ISOTROPY": [False, True],
        "SOLVER.ITERATION_TOTAL": 6, "SOLVER.ITERATION_SAVE": 2, "SOLVER.WARMUP_ITERS": 2,
        "MONITOR.ITERATION_NUM": [2, 4]}
VALIDATED = {"DATASET.VAL_IMAGE_NAME": "image/test-input.tif", "DATASET.VAL_LABEL_NAME": "seg/test-labels.h5",
             "SOLVER.ITERATION_VAL": 3}
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # as here: sums of other numbers of threads differ in their last bits
DIES = """
import os, signal, sys
sys.argv[0] = "main.py"
from lsd_experiments.families.pytc import checkpoints, command
write = checkpoints.write
def dies(path, *values, **more):
    write(path, *values, **more)
    os.kill(os.getpid(), signal.SIGKILL)
checkpoints.write = dies
command.main(None)
"""


@pytest.fixture(scope="module")
def snemi3d(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "snemi3d"
    write_snemi3d(path, (8, 60, 64), seed=1)
    return path


@pytest.fixture
def pairs_of(snemi3d, tmp_path):
    """KEY VALUE pairs of a tiny training that writes to ``tmp_path / out``."""
    def make(out="out", **others):
        values = TINY | {"DATASET.INPUT_PATH": snemi3d, "DATASET.OUTPUT_PATH": tmp_path / out} | others
        return [text for key, value in values.items() for text in (key, str(value))]
    return make


@pytest.fixture
def config_with(pairs_of):
    def make(out="out", **others):
        return load(FILES[3], FILES[1], pairs_of(out, **others))
    return make


@pytest.fixture(scope="module")
def whole(snemi3d, tmp_path_factory):
    """What a training that was not interrupted ends in."""
    out = tmp_path_factory.mktemp("whole")
    values = TINY | {"DATASET.INPUT_PATH": snemi3d, "DATASET.OUTPUT_PATH": out}
    assert train(load(FILES[3], FILES[1], [text for key, value in values.items() for text in (key, str(value))])) == 0
    return out / "checkpoint_00006.pth.tar"


def main(arguments, monkeypatch):
    """The status of main.py in this process."""
    monkeypatch.setattr(sys, "argv", ["main.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command.main("")
    return ended.value.code


def assert_same(first, second, equal=torch.equal):
    first, second = (checkpoints.read(path) for path in (first, second))
    assert first.iteration == second.iteration
    for name, tensor in first.state.items():
        assert equal(tensor, second.state[name]), name
    for number, state in first.optimizer["state"].items():
        for name, tensor in state.items():
            assert equal(tensor, second.optimizer["state"][number][name]), name
    assert first.lr_scheduler == second.lr_scheduler


@needs_published
@pytest.mark.parametrize("name", NAMES)
def test_a_published_step(name, tmp_path):
    """From gray values and labels to targets, weights, loss and its parts, the rate that comes, and weights."""
    config, found, known = config_of(name, tmp_path), arrays(name), facts(name)
    trainer = Trainer(config, criterion_of(config.tree), Processes(torch.device("cpu")), 0)
    assert trainer.take(checkpoints.read(checkpoint(name)), resume=True) == 7
    assert trainer.rate == pytest.approx(known["lr_used_in_step"], rel=1e-12)
    model, samples = config.MODEL, []
    for labels in found["train_label"]:
        targets = make_targets(labels, model.TARGET_OPT, model.LABEL_EROSION, model.LABEL_DILATION)
        samples.append((targets, make_weights(targets, model.WEIGHT_OPT, labels)))
    targets = [torch.from_numpy(np.stack(parts)) for parts in zip(*(sample[0] for sample in samples), strict=True)]
    weights = [[torch.from_numpy(np.stack(parts)) for parts in zip(*rows, strict=True)]
               for rows in zip(*(sample[1] for sample in samples), strict=True)]
    batch = Batch(7, torch.from_numpy(network_range(found["train_raw_uint8"]))[:, None], targets, weights)
    prediction, means = trainer.step(batch)
    np.testing.assert_allclose(prediction.numpy(), found["train_out"], rtol=1e-4, atol=1e-5)
    assert means == pytest.approx({"Loss": known["loss"], **known["loss_parts"]}, rel=1e-4)
    assert trainer.rate == pytest.approx(known["lr_after_step"], rel=1e-9)
    state = trainer.network.state_dict()
    for key in (key for key in found.files if key.startswith("after_step/")):
        np.testing.assert_allclose(state[key.removeprefix("after_step/")].numpy(), found[key], rtol=1e-4, atol=1e-6)


def test_after_a_kill_it_goes_on_to_the_same_weights(whole, pairs_of, tmp_path, monkeypatch, capsys):
    """By the same command; the checkpoint that was saved last is whole."""
    arguments = [*FILES, *pairs_of()]
    died = subprocess.run([sys.executable, "-c", DIES, *arguments], cwd=ROOT, env=os.environ | ONE_THREAD, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert [path.name for path in (tmp_path / "out").glob("checkpoint*")] == ["checkpoint_00002.pth.tar"]
    left = tmp_path / "out/.checkpoint_00004.pth.tar.12345"
    left.write_bytes(b"a part")
    assert main(arguments, monkeypatch) == 0
    assert not left.exists()
    assert "training until iteration 6, from " in (said := capsys.readouterr().err)
    assert "out/checkpoint_00002.pth.tar, on cpu" in said
    assert_same(whole, tmp_path / "out/checkpoint_00006.pth.tar")
    first, second = (checkpoints.read(tmp_path / f"out/checkpoint_0000{number}.pth.tar") for number in (4, 6))
    assert any(not torch.equal(tensor, second.state[name]) for name, tensor in first.state.items())
    assert main(arguments, monkeypatch) == 0
    assert "has 6 iterations, of SOLVER.ITERATION_TOTAL 6: there is nothing to train" in capsys.readouterr().err


@pytest.mark.parametrize("others", [
    {"SOLVER.NAME": "AdamW", "SOLVER.LR_SCHEDULER_NAME": "OneCycle"}, {"SOLVER.LR_SCHEDULER_NAME": "ReduceLROnPlateau"},
    {"SOLVER.SWA.ENABLED": True, "SOLVER.SWA.START_ITER": 3, "SOLVER.SWA.MERGE_ITER": 1, "SOLVER.SWA.BN_UPDATE_ITER": 2},
    VALIDATED, {"SOLVER.NAME": "Adam", "SOLVER.LR_SCHEDULER_NAME": "MultiStepLR", "SOLVER.STEPS": [1, 5]},
], ids=str)
def test_going_on_is_as_if_never_stopped(others, config_with, tmp_path):
    """From the fourth iteration, in another directory."""
    assert train(config_with("whole", **others)) == 0
    assert train(config_with("on", **others), tmp_path / "whole/checkpoint_00004.pth.tar") == 0
    assert_same(*(tmp_path / name / "checkpoint_00006.pth.tar" for name in ("whole", "on")))
    for path in (tmp_path / "on").glob("checkpoint_[sb]*"):
        whole, on = (checkpoints.read(tmp_path / name / path.name) for name in ("whole", "on"))
        assert all(torch.equal(tensor, on.state[name]) for name, tensor in whole.state.items())
        assert whole.more.get("best_loss") == on.more.get("best_loss")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_checkpoint(number, whole, config_with, tmp_path, capsys):
    """The same with a worker process as without one."""
    config = config_with(**{"SYSTEM.NUM_CPUS": 1, "SOLVER.ITERATION_SAVE": 100, "MONITOR.ITERATION_NUM": [1, 1]})
    ended = threading.Event()

    def interrupt():
        while not ended.wait(0.002):
            if any((tmp_path / "out").glob("log*")):  # iterations begin
                os.kill(os.getpid(), number)
                return

    thread = threading.Thread(target=interrupt)
    thread.start()
    status = train(config)
    ended.set()
    thread.join()
    assert status == 128 + number
    saved, = (tmp_path / "out").glob("checkpoint*")
    assert saved.name != "checkpoint_00006.pth.tar"
    assert "saved; run the same command to go on" in capsys.readouterr().err
    assert train(config) == 0
    assert_same(whole, tmp_path / "out/checkpoint_00006.pth.tar")


def test_two_processes_are_one(snemi3d, pairs_of, config_with, tmp_path, monkeypatch):
    """Over gloo, with synchronised batch norms: this process, and main.py as torchrun starts it."""
    others = {"SOLVER.ITERATION_TOTAL": 3, "SOLVER.ITERATION_SAVE": 3, **VALIDATED}
    assert train(config_with("one", **others)) == 0
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    arguments = [*FILES, "--distributed", "--local_rank=0", *pairs_of("two", **others)]
    child = subprocess.Popen([sys.executable, str(FOLDER / "main.py"), *arguments],
                             env=os.environ | environment | ONE_THREAD | {"RANK": "1"})
    for name, value in (environment | {"RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    assert main(arguments, monkeypatch) == 0
    assert child.wait() == 0
    one, two = (tmp_path / name / "checkpoint_00003.pth.tar" for name in ("one", "two"))
    assert_same(one, two, lambda first, second: torch.allclose(first, second, rtol=1e-4, atol=1e-6))
    first, second = (checkpoints.read(path) for path in (one, two))
    assert first.more["best_loss"] == pytest.approx(second.more["best_loss"], rel=1e-5)
    assert train(config_with("half", **others, **{"SOLVER.SAMPLES_PER_BATCH": 1})) == 0
    half = checkpoints.read(tmp_path / "half/checkpoint_00003.pth.tar")
    assert not torch.allclose(half.state["conv_in.0.weight"], second.state["conv_in.0.weight"], rtol=1e-4, atol=1e-6)


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_what_a_run_leaves(config_with, tmp_path):
    """The best checkpoint, averaged weights, the configuration, log.txt, and TensorBoard's curves, pictures and texts."""
    config = config_with(**VALIDATED, **{"SOLVER.SWA.ENABLED": True, "SOLVER.SWA.START_ITER": 3, "SOLVER.SWA.MERGE_ITER": 1,
                                         "SOLVER.SWA.BN_UPDATE_ITER": 2, "MONITOR.LOG_OPT": [0, 1, 1],
                                         "SOLVER.CLIP_GRADIENTS.ENABLED": True})
    assert train(config) == 0
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir() if path.name[:3] != "log"}
    assert names == {"config.yaml", ".training.lock", "checkpoint_best.pth.tar", "checkpoint_swa.pth.tar",
                     *(f"checkpoint_0000{number}.pth.tar" for number in (2, 4, 6))}
    assert load(out / "config.yaml").tree == config.tree
    assert (out / "log.txt").read_text().count("train_loss=") == 3
    averaged = checkpoints.for_inference(config, checkpoints.read(out / "checkpoint_swa.pth.tar"))
    last = checkpoints.read(out / "checkpoint_00006.pth.tar")
    assert not torch.equal(averaged.conv_in[0].weight, last.state["conv_in.0.weight"])

    best = checkpoints.read(out / "checkpoint_best.pth.tar")
    trainer = Trainer(config, criterion_of(config.tree), Processes(torch.device("cpu")), 5)
    trainer.take(best, resume=True)
    validation = Validation.of(config)
    assert len(validation.places) == 3 * 7 * 7  # [8, 60, 64] voxels in steps of [2, 8, 8]
    assert validation.loss(trainer)[0] == pytest.approx(best.more["best_loss"], rel=1e-5)
    curves, pictures, texts = events(next(out.glob("log2*")))
    assert set(curves) == {"Loss", "Learning Rate", "2_WeightedBCEWithLogitsLoss_0", "2_DiceLoss_0", "Validation_Loss"}
    assert curves["Validation_Loss"] == {3: pytest.approx(curves["Validation_Loss"][3]), 6: curves["Validation_Loss"][6]}
    assert min(curves["Validation_Loss"].values()) == pytest.approx(best.more["best_loss"], rel=1e-5)
    assert list(curves["Loss"]) == [2, 4, 6]
    assert pictures == {"Loss Ratio", "Consecutive_2_0", "Consecutive_2_0_Val"}
    assert texts == {"Config/text_summary", "Model Architecture/text_summary"}


def test_weights_that_were_never_averaged(whole, config_with, tmp_path, caplog):
    """A training that has ended already is asked for averaged weights: those that a network begins with are none."""
    averaged = {"SOLVER.SWA.ENABLED": True, "SOLVER.SWA.START_ITER": 3, "SOLVER.SWA.MERGE_ITER": 1}
    assert train(config_with(**averaged), whole) == 0
    assert "no weights were averaged in this training" in caplog.text
    assert not (tmp_path / "out/checkpoint_swa.pth.tar").exists()


def events(folder):
    """The curves of a folder of TensorBoard's, by iteration, and the tags of its pictures and texts."""
    from lsd_experiments import frameworks

    with frameworks.hidden("tensorflow"):
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    curves, pictures, texts = {}, set(), set()
    for file in folder.iterdir():
        for event in LegacyEventFileLoader(str(file)).Load():
            for value in event.summary.value:
                kind = value.WhichOneof("value")
                if kind == "simple_value":
                    curves.setdefault(value.tag, {})[event.step] = value.simple_value
                else:
                    (pictures if kind == "image" else texts).add(value.tag)
    return curves, pictures, texts


@pytest.mark.parametrize(("targets", "losses", "weights", "others"), [
    (["2-1-1-1-v1", "2-2-3-3-v1"], ["WeightedBCEWithLogitsLoss"] * 2, ["1", "1"], {"MODEL.LABEL_EROSION": [1, 2]}),
    (["0", "6"], ["WeightedBCEWithLogitsLoss", "WeightedMSE"], ["1", "0"], {
        "MODEL.REGU_OPT": ["FgDT"], "MODEL.REGU_TARGET": [[0, 1]], "MODEL.REGU_WEIGHT": [1.0]}),
    (["4-1-1", "5-2d"], ["WeightedBCEFocalLoss", "WeightedCE"], ["1-1", "0"], {}),
    (["9-8"], ["WeightedCE"], ["0"], {"DATASET.LABEL_BINARY": True}),
    (["2"], ["DiceLoss"], ["2-10-5"], {
        "MODEL.ARCHITECTURE": "unet_2d", "DATASET.DO_2D": True, "MODEL.INPUT_SIZE": [1, 33, 33], "MODEL.OUTPUT_SIZE": [1, 33, 33],
        "MODEL.FILTERS": [16, 16]}),
], ids=str)
def test_all_kinds_of_targets(targets, losses, weights, others, config_with, tmp_path):
    """An iteration of each, with a picture for each target."""
    count = {"2": 3, "5": 11, "9": 8}
    channels = sum(count.get(target[0], 1) for target in targets) - ("DATASET.DO_2D" in others)
    parts = {"MODEL.TARGET_OPT": targets, "MODEL.LOSS_OPTION": [[loss] for loss in losses], "MODEL.OUT_PLANES": channels,
             "MODEL.WEIGHT_OPT": [[weight] for weight in weights], "MODEL.LOSS_WEIGHT": [[1.0]] * len(targets),
             "MODEL.OUTPUT_ACT": [["sigmoid" if loss == "DiceLoss" else "none"] for loss in losses],
             "INFERENCE.OUTPUT_ACT": ["softmax" if loss == "WeightedCE" else "sigmoid" for loss in losses]}
    config = config_with(**parts | others | VALIDATED, **{"SOLVER.ITERATION_TOTAL": 1, "MONITOR.ITERATION_NUM": [1, 1]})
    assert train(config) == 0
    curves, pictures, _ = events(next((tmp_path / "out").glob("log2*")))
    named = {f"{target}_{loss}_{number}" for number, (target, loss) in enumerate(zip(targets, losses, strict=True))}
    regularisers = {"FgDT_0_1"} if "MODEL.REGU_OPT" in others else set()
    assert set(curves) == named | regularisers | {"Loss", "Learning Rate", "Validation_Loss"}
    shown = {f"Consecutive_{target}_{number}" for number, target in enumerate(targets)}
    assert pictures - {"Loss Ratio"} == shown | {f"{name}_Val" for name in shown}


def test_weights_to_begin_with(whole, config_with, tmp_path):
    """With ITERATION_RESTART from the first iteration, without from where they were saved; a directory goes on from its own."""
    first = checkpoints.read(whole)
    config = config_with(**{"SOLVER.ITERATION_TOTAL": 1, "SOLVER.ITERATION_RESTART": True, "SOLVER.BASE_LR": 1e-12})
    assert train(config, whole) == 0
    made = checkpoints.read(tmp_path / "out/checkpoint_00001.pth.tar")
    torch.testing.assert_close(made.state["conv_in.0.weight"], first.state["conv_in.0.weight"])
    onward = config_with("onward", **{"SOLVER.ITERATION_TOTAL": 7})
    assert where_to_begin(onward, tmp_path / "onward", whole) == (whole, True)
    assert train(onward, whole) == 0
    assert [path.name for path in (tmp_path / "onward").glob("checkpoint*")] == ["checkpoint_00007.pth.tar"]
    assert where_to_begin(onward, tmp_path / "onward", whole) == (tmp_path / "onward/checkpoint_00007.pth.tar", True)
    assert where_to_begin(onward, whole.parent, whole.with_name("checkpoint_00002.pth.tar"))[0].name == "checkpoint_00002.pth.tar"
    with pytest.raises(UserError, match=r"begins anew with its weights.*Name another DATASET.OUTPUT_PATH"):
        where_to_begin(config, whole.parent, whole)


def test_the_tutorials_commands(whole, snemi3d, pairs_of, tmp_path, monkeypatch, capsys):
    """Inference of what was trained; pairs may stand before options."""
    pairs = pairs_of(**{"INFERENCE.INPUT_PATH": snemi3d, "INFERENCE.IMAGE_NAME": "image/test-input.tif", "INFERENCE.AUG_NUM": 0,
                        "INFERENCE.INPUT_SIZE": [5, 33, 33], "INFERENCE.OUTPUT_SIZE": [5, 33, 33],
                        "INFERENCE.PAD_SIZE": [0, 0, 0],
                        "INFERENCE.STRIDE": [3, 32, 32], "INFERENCE.OUTPUT_PATH": tmp_path / "test"})
    assert main([*FILES, *pairs, "--inference", "--checkpoint", whole], monkeypatch) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "test/result.h5")
    import h5py

    with h5py.File(tmp_path / "test/result.h5") as file:
        assert (file["vol0"].shape, file["vol0"].dtype) == ((3, 8, 60, 64), np.uint8)
        assert json.loads(file["vol0"].attrs["configuration"])["MODEL"]["FILTERS"] == [4, 5]


@pytest.mark.parametrize(("change", "message"), [
    ({"DATASET.IMAGE_NAME": "image/none.tif"}, "image/none.tif: no such file"),
    ({"DATASET.LABEL_NAME": None}, "DATASET.LABEL_NAME: names no volume"),
    ({"DATASET.VAL_IMAGE_NAME": "none.h5", "DATASET.VAL_LABEL_NAME": "none.h5"}, "none.h5: no such file"),
    ({"SOLVER.BSE_LR": 0.1}, "SOLVER.BSE_LR is no key; did you mean 'SOLVER.BASE_LR'?"),
    ({"MODEL.INPUT_SIZE": [5, 301, 301], "MODEL.OUTPUT_SIZE": [5, 301, 301]}, ", 427) that MODEL.INPUT_SIZE with its"),
    ({"MODEL.OUTPUT_SIZE": [5, 9, 9]}, "networks give the size they get, [5, 17, 17]"),
    ({"DATASET.LOAD_2D": True}, "DATASET.LOAD_2D is not supported"),
    ({"MODEL.REGU_OPT": ["Bnary"], "MODEL.REGU_TARGET": [[0]], "MODEL.REGU_WEIGHT": [1.0]}, "MODEL.REGU_OPT: unknown 'Bnary'"),
    ({"MODEL.LOSS_OPTION": [["DiceLoss", "WeightedBCE"]], "MODEL.OUTPUT_ACT": [["none", "none"]]},
     "WeightedBCE is a loss of probabilities. Give it sigmoid, or take WeightedBCEWithLogitsLoss"),
    ({"MONITOR.VIS_OPT": [1, 16]}, "MONITOR.VIS_OPT is [1, 16]"), ({"MONITOR.ITERATION_NUM": [0, 1]}, "must be above 0"),
    ({"SOLVER.SWA.ENABLED": True}, "START_ITER (by default) is 90000: from there on no multiple of MERGE_ITER 10 comes before"),
    ({"SOLVER.SWA.ENABLED": True, "SOLVER.SWA.START_ITER": 3, "SOLVER.SWA.MERGE_ITER": 6}, "no weights would be averaged"),
])
def test_what_cannot_be_trained(change, message, pairs_of, tmp_path, monkeypatch, capsys):
    """One line, status 2, and nothing written."""
    assert main([*FILES, *pairs_of(**change)], monkeypatch) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "message"), [
    (["--distributed"], "--distributed: RANK is not set, as torchrun does"), (["--inference"], "--inference: needs the weights"),
    (["--inference", "--distributed"], "--distributed: is for training"), (["--parity"], "--parity: is for --inference"),
    (["--inference", "--seed", "0"], "--seed: is for training"), (["--num-workers", "2"], "--num-workers: is for --inference"),
    (["--inference", "--num-workers", "2", "--checkpoint", "none"], "several workers write zarr alone"),
    (["--checkpoint", "none.pth.tar"], "none.pth.tar: no such file"), (["SOLVER.NAME"], "SOLVER.NAME: has no value"),
])
def test_wrong_options(arguments, message, pairs_of, monkeypatch, capsys):
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert main([*FILES, *pairs_of(), *arguments], monkeypatch) == 2
    assert message in capsys.readouterr().err


def test_a_checkpoint_of_another_network(whole, config_with, tmp_path):
    other = config_with(**{"MODEL.FILTERS": [4, 6]})
    with pytest.raises(UserError, match=r"is not of this network.*--allow-partial"):
        train(other, whole)
    assert list(tmp_path.iterdir()) == []
    restarted = config_with(**{"MODEL.FILTERS": [4, 6], "SOLVER.ITERATION_RESTART": True, "SOLVER.ITERATION_TOTAL": 1})
    assert train(restarted, whole, allow_partial=True) == 0


def test_one_training_at_a_time(config_with, tmp_path):
    with only_run(tmp_path / "out", tmp_path / "out/.training.lock"), pytest.raises(UserError, match="another training is at"):
        train(config_with())


def test_a_loss_that_is_no_number(config_with, tmp_path, capsys):
    assert train(config_with(**{"SOLVER.BASE_LR": 1e30, "SOLVER.WARMUP_ITERS": 0, "SOLVER.ITERATION_SAVE": 6})) == 1
    assert "training stopped, no checkpoint of it was saved. Lower SOLVER.BASE_LR" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("checkpoint*"))


def test_without_pytorch():
    ended = run_script(FOLDER / "main.py", *FILES, without=["torch"])
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: PyTorch is not installed, which training and inference here need.")


def test_pictures():
    """Two rows of three sections, the first channels as colours; shares of a pie by area."""
    image = np.linspace(0, 1, 5 * 2 * 4).reshape(1, 5, 2, 4)
    affs = np.zeros((3, 5, 2, 4))
    affs[0, 2] = 1
    made = montage([image, affs], 3)
    assert made.shape == (4, 12, 3)
    np.testing.assert_array_equal(made[:2, :4, 0], (image[0, 1] * 255).astype(np.uint8))
    assert (made[2:, 4:8] == (255, 0, 0)).all()
    assert not made[2:, :4].any()
    drawn = pie({"a": 3.0, "b": 1.0})
    blue, red = ((drawn[:256] == colour).all(-1).sum() for colour in ((66, 133, 244), (234, 67, 53)))
    assert blue / red == pytest.approx(3, rel=0.03)
