"""The six example configurations, and the whole way from crops to scores."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'lsd-experiments[torch]'")

from lsd_experiments.families.cellmap import command
from lsd_experiments.families.cellmap.configuration import read
from lsd_experiments.families.cellmap.manifest import read_manifest
from lsd_experiments.families.cellmap.places import open_class
from lsd_experiments.families.cellmap.processing import read_processing
from lsd_experiments.families.cellmap.synthetic import write_cellmap
from tests.cellmap.test_command import csc

EXAMPLES = Path(__file__).parents[2] / "02_train/cellmap"


@pytest.mark.parametrize("name", ["train", "predict", "process"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_an_example_runs_its_command(name, dimensions, monkeypatch):
    path = EXAMPLES / f"{name}_{dimensions}D.py"
    called = []
    monkeypatch.setattr(command, "main", called.append)
    monkeypatch.setattr("sys.argv", [str(path), "--debug"])
    monkeypatch.setattr("sys.path", [*sys.path])
    runpy.run_path(str(path), run_name="__main__")
    config = path if name != "predict" else path.with_name(f"train_{dimensions}D.py")
    assert called == [[name, str(config), "--debug"]]


@pytest.mark.parametrize(("dimensions", "shape", "parameters"), [(2, (1, 128, 128), 8), (3, (128, 128, 128), 3)])
def test_an_example_says_what_the_published_one_does(dimensions, shape, parameters):
    import torch

    settings = read(EXAMPLES / f"train_{dimensions}D.py")
    assert settings.input_array_info == settings.target_array_info == {"shape": shape, "scale": (8.0, 8.0, 8.0)}
    assert (settings.classes, settings.batch_size, settings.epochs) == (("nuc", "er"), parameters, 1000)
    assert settings.model_name == f"{dimensions}d_unet"
    assert settings.split_path == EXAMPLES / "datasplit.csv"
    with torch.no_grad():
        assert settings.model.eval()(torch.zeros(1, 1, *[32] * dimensions)).shape == (1, 2, *[32] * dimensions)
    processing = read_processing(EXAMPLES / f"process_{dimensions}D.py")
    assert processing.of("nuc").minimum_size == 1000
    assert processing.of("er").method_of("er", None) == "threshold"


TRAIN = """
import torch

classes = ["mito", "mito_mem", "cell"]
input_array_info = target_array_info = {"shape": (12, 16, 16), "scale": (16, 16, 16)}
model_name = "small"
model = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(4, len(classes), 1))
learning_rate = 0.01
batch_size = 2
epochs = 1
iterations_per_epoch = 8
"""


def test_from_crops_to_scores(tmp_path, monkeypatch, capsys):
    """make-datasplit, train, predict, process, pack-results, validate, evaluate."""
    assert write_cellmap(tmp_path / "challenge", (32, 48, 72), seed=2)
    monkeypatch.chdir(tmp_path / "challenge")
    Path("train.py").write_text(TRAIN)
    Path("process.py").write_text("processing = {'mito': {'minimum_size': 2}}\n")
    csc("make-datasplit", "-c", "mito,mito_mem,cell", "-vr", "0.3")
    csc("train", "train.py")
    csc("predict", "train.py", "--crops", "crop12")
    csc("process", "process.py", "--crops", "12")
    targets = {target.name: target for target in read_manifest("data/test_crop_manifest.csv") if target.crop == "crop12"}
    for label in ("mito", "mito_mem", "cell"):
        logits = open_class(f"data/predictions/made_b.zarr/crop12/{label}")
        made = open_class(f"data/processed/made_b.zarr/crop12/{label}")
        assert np.array_equal(made.read() > 0, logits.read() > 0) or label == "mito"
        assert made.offset == pytest.approx(targets[f"crop12/{label}"].translation)
    csc("pack-results")
    assert "3 classes packed, 11 missing" in capsys.readouterr().out
    csc("validate", "data/submission.zip", status=1)
    findings = capsys.readouterr().out.splitlines()
    assert all("is missing" in finding for finding in findings)
    csc("evaluate", "-t", "truth/ground_truth.zarr")
    scores = json.loads(Path("result.json").read_text())
    assert set(scores["label_scores"]) >= {"mito", "mito_mem", "cell"}
    assert 0 <= scores["overall_score"] < 1
