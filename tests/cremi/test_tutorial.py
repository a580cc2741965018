"""The flags of the tutorial of 2019: what they mean, as it prints them, and what has no meaning."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.families.cremi import tutorial_command
from lsd_experiments.families.cremi.tutorial import inference_config, training_config, weights_of
from lsd_experiments.families.pytc.samples.configured import find_files
from tests.cremi.test_training import checkpoints, run, sample_of

TRAIN = ("-t {} -dn images/im_A_v2_200.h5@images/im_B_v2_200.h5@images/im_C_v2_200.h5 -ln gt-syn/syn_A_v2_200.h5@"
         "gt-syn/syn_B_v2_200.h5@gt-syn/syn_C_v2_200.h5 -o {}/outputs/unetv0 -lr 1e-03 --iteration-total 100000 --iteration-save "
         "10000 -mi 8,256,256 -g 4 -c 4 -b 8 -ac unetv0")
TEST = ("-t {} -dn images/im_A_v2_200.h5@images/im_B_v2_200.h5@images/im_C_v2_200.h5 -o {}/outputs/unetv0/test -mi 8,256,256 "
        "-g 4 -c 4 -b 16 -ac unetv0 -lm True -pm {}/outputs/unetv0/volume_50000.pth")
SMALL = ["MODEL.FILTERS", "[16,16,16,16,16]", "MODEL.INPUT_SIZE", "[4,32,32]"]


def parsed(monkeypatch, text, test=False):
    """The options that ``text`` stands for."""
    found = []
    monkeypatch.setattr(tutorial_command, "_test" if test else "_train", lambda options: found.append(options))
    run(tutorial_command.test if test else tutorial_command.train, "x.py", shlex.split(text), monkeypatch)
    return found[0]


def said(monkeypatch, capsys, text, test=False):
    """What is printed of a mistake, which is one line."""
    assert run(tutorial_command.test if test else tutorial_command.train, "x.py", shlex.split(text), monkeypatch) == 2
    error = capsys.readouterr().err
    *before, line = error.splitlines()
    assert not any(before), before
    return line


def test_what_the_printed_training_means(monkeypatch):
    config = training_config(parsed(monkeypatch, TRAIN.format("/cremi/", "/cremi")))
    solver, dataset, model = config.SOLVER, config.DATASET, config.MODEL
    assert (solver.BASE_LR, solver.ITERATION_TOTAL, solver.ITERATION_SAVE, solver.SAMPLES_PER_BATCH) == (1e-3, 100000, 10000, 8)
    assert (model.ARCHITECTURE, model.INPUT_SIZE, model.OUTPUT_SIZE, model.OUT_PLANES, model.TARGET_OPT) == (
        "unetv0", [8, 256, 256], [8, 256, 256], 1, ["0"])
    assert (config.SYSTEM.NUM_GPUS, config.SYSTEM.NUM_CPUS, dataset.REJECT_SAMPLING.SIZE_THRES) == (4, 4, 101)
    assert find_files(dataset.INPUT_PATH, dataset.LABEL_NAME, False, "")[2] == Path("/cremi/gt-syn/syn_C_v2_200.h5")
    assert config.where("MODEL.INPUT_SIZE") == "-mi"
    assert training_config(parsed(monkeypatch, TRAIN.format("/cremi/", "/cremi") + " --task 2")).tree == config.tree
    neurons = training_config(parsed(monkeypatch, TRAIN.format("/cremi/", "/cremi") + " --task 1")).MODEL
    assert (neurons.TARGET_OPT, neurons.OUT_PLANES) == (["2"], 3)


def test_what_the_printed_inference_means(monkeypatch, tmp_path):
    options = parsed(monkeypatch, TEST.format("/cremi/", "/cremi", tmp_path), True)
    config = inference_config(options)
    assert (config.INFERENCE.STRIDE, config.DATASET.PAD_SIZE, config.INFERENCE.SAMPLES_PER_BATCH) == ([4, 128, 128],) * 2 + (16,)
    assert (config.MODEL.INPUT_SIZE, config.INFERENCE.OUTPUT_ACT, config.INFERENCE.AUG_NUM) == ([8, 256, 256], ["none"], None)
    assert weights_of(options) == tmp_path / "outputs/unetv0/volume_50000.pth"
    ours = tmp_path / "outputs/unetv0/checkpoint_50000.pth.tar"
    ours.parent.mkdir(parents=True)
    ours.touch()
    assert weights_of(options) == ours


@pytest.mark.parametrize(("text", "loaded"), [("-lm True -pm a.pth", True), ("-lm False -pm a.pth", False), ("", False)])
def test_false_is_false(monkeypatch, text, loaded):
    options = parsed(monkeypatch, f"-ac unetv0 -mi 8,64,64 {text}")
    assert (weights_of(options) is not None) is loaded
    assert training_config(options).SOLVER.ITERATION_RESTART is loaded


@pytest.mark.parametrize(("text", "message"), [
    ("-ac unetv0 --foo", "--foo"), ("-ac unetv0 --iteration 3", "--iteration"), ("-ac unetv2", "unetv2"), ("", "-ac"),
    ("-ac unetv0 --task 3", "--task"), ("-ac unetv0 -lm maybe", "'maybe' is neither True nor False"),
    ("-ac unetv0 -mi 8,256", "'8,256' is no size"), ("-ac unetv0 -pm a.pth", "-lm True"), ("-ac unetv0 -lm True", "-pm"),
    ("-ac unetv0 -ft True", "-ft"), ("-ac unetv0 -lt 2", "-lt 2"), ("-ac unetv0 -b 0", "-b"),
    ("-ac unetv0 -mi 8,100,100", "-mi: MODEL.INPUT_SIZE is [8, 100, 100]"),
    ("-ac unetv0 -mi 8,64,64 -t a@b -dn c@d@e -ln c@d@e", "3 files in 2 folders"), ("-ac unetv0 MODEL.FILTRS 3", "MODEL.FILTRS"),
])
def test_what_has_no_meaning(monkeypatch, capsys, tmp_path, text, message):
    assert message in said(monkeypatch, capsys, f"-o {tmp_path}/out {text}")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "message"), [
    ("-ac unetv0", "-lm True -pm"), ("-ac unetv0 -lm False -pm a", "-lm"), ("-ac unetv0 -ln a", "-ln"),
    ("-ac unetv0 -mi 8,64,64 -dn {0}/a@{0}/b -t c@d@e -lm True -pm b", "2 files in 3 folders"),
])
def test_what_has_no_meaning_in_an_inference(monkeypatch, capsys, tmp_path, text, message):
    assert message.format(tmp_path) in said(monkeypatch, capsys, text.format(tmp_path), True)


def test_the_printed_command_lines_run(monkeypatch, tmp_path, capsys):
    """On small files, with a narrow network, for two iterations: KEY VALUE pairs say so."""
    import h5py

    for folder in ("images", "gt-syn"):
        (tmp_path / folder).mkdir()
    for number, letter in enumerate("ABC"):
        raw, clefts = sample_of(tmp_path / "x.hdf", (6 + number, 60, 64), seed=number)
        (tmp_path / "x.hdf").unlink()
        for name, values in ((f"images/im_{letter}", raw), (f"gt-syn/syn_{letter}", (clefts < 2**64 - 2).astype(np.uint64))):
            with h5py.File(tmp_path / f"{name}_v2_200.h5", "w") as file:
                file["main"] = values
    fewer = ["SOLVER.ITERATION_TOTAL", 2, "DATASET.PAD_SIZE", "[4,32,32]", "SYSTEM.NUM_CPUS", 0]
    training = [*shlex.split(TRAIN.format(f"{tmp_path}/", tmp_path)), *SMALL, *fewer]
    assert run(tutorial_command.train, "train.py", training, monkeypatch) == 0
    out = tmp_path / "outputs/unetv0"
    assert checkpoints.read(out / "checkpoint_00002.pth.tar").iteration == 2
    larger = ["INFERENCE.STRIDE", "[4,32,32]", "INFERENCE.PAD_SIZE", "[0,0,0]"]
    inference = shlex.split(TEST.format(f"{tmp_path}/", tmp_path, tmp_path).replace("_50000", "_00002"))
    assert run(tutorial_command.test, "test.py", [*inference, *SMALL, *larger], monkeypatch) == 0
    for number in range(3):
        with h5py.File(out / f"test/volume_{number}.h5") as file:
            assert file["vol0"].shape == (1, 6 + number, 60, 64)
    capsys.readouterr()
    assert run(tutorial_command.test, "test.py", [*inference, *SMALL, *larger], monkeypatch) == 2
    assert "volume_0.h5: is there. Pass --overwrite" in capsys.readouterr().err
