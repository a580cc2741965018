"""The tutorial of docs/snemi3d.md, from a synthetic challenge to scores: what one command leaves is what the next one takes."""

import csv
import shutil
import sys

import pytest
import tifffile

from lsd_experiments.arrays import open_volume
from lsd_experiments.families.pytc import command, segment_command
from lsd_experiments.families.pytc.synthetic import write_snemi3d
from lsd_experiments.pipeline import command as pipeline_command
from tests.scripts import ROOT

pytest.importorskip("torch", reason="PyTorch, the extra 'torch', is not installed")

PREDICT, TRAIN = ROOT / "03_predict", ROOT / "02_train/snemi3d"
CONFIGURATION = ["--config-base", TRAIN / "configs/SNEMI-Base.yaml", "--config-file", TRAIN / "configs/SNEMI-Affinity-UNet.yaml"]
SIZE, WIDE = "[5,17,17]", "[7,33,33]"
NARROW = {"SYSTEM.NUM_CPUS": 0, "MODEL.FILTERS": "[4,5]", "MODEL.ISOTROPY": "[False,True]", "MODEL.INPUT_SIZE": SIZE,
          "MODEL.OUTPUT_SIZE": SIZE, "DATASET.PAD_SIZE": "[2,8,8]", "SOLVER.ITERATION_TOTAL": 2,
          "INFERENCE.INPUT_SIZE": WIDE, "INFERENCE.OUTPUT_SIZE": WIDE, "INFERENCE.STRIDE": "[4,32,32]",
          "INFERENCE.PAD_SIZE": "[1,4,4]"}  # what the published sizes are, so that it takes seconds
TRAINED = ("DATASET.INPUT_PATH ../../01_data/snemi3d DATASET.IMAGE_NAME image/train-input.tif "
           "DATASET.LABEL_NAME seg/train-labels.tif")
TESTED = "INFERENCE.INPUT_PATH ../../01_data/snemi3d INFERENCE.IMAGE_NAME image/test-input.tif"
TRUTH = "../../01_data/snemi3d/seg/test-labels.h5"


@pytest.fixture
def run(monkeypatch, capsys):
    """A command's main in this process; what it prints."""
    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return said.out
    return run


def test_from_a_challenge_to_scores(run, tmp_path, monkeypatch):
    """The image stores no voxel size, as the challenge's: that of the affinities and labels is snemi3d_*.json's."""
    write_snemi3d(tmp_path / "01_data/snemi3d", (8, 60, 64))
    image = tmp_path / "01_data/snemi3d/image/test-input.tif"
    _without_voxel_size(image)
    (place := tmp_path / "02_train/snemi3d").mkdir(parents=True)
    monkeypatch.chdir(place)
    pairs = [word for key, value in NARROW.items() for word in (key, value)] + [*TRAINED.split(), *TESTED.split()]
    run(lambda: command.main(""), *CONFIGURATION, *pairs)
    predict = [*CONFIGURATION, "--inference", "--checkpoint", "outputs/SNEMI_UNet/checkpoint_00002.pth.tar", *pairs]
    assert run(lambda: command.main(""), *predict).strip() == "outputs/SNEMI_UNet/test/result_xy.h5"
    zarr = run(lambda: command.main(""), *predict, "INFERENCE.OUTPUT_NAME", "result.zarr")
    assert zarr.strip() == "outputs/SNEMI_UNet/test/result_xy.zarr", "as the configuration's AUG_NUM names it"
    said = run(lambda: segment_command.main(""), "outputs/SNEMI_UNet/test/result_xy.h5", "segmentation.zarr", "--voxel-size",
               30, 6, 6, "--labels", TRUTH, "--scores", "scores")
    assert "best by snemi3d_rand_error: segmentation.zarr:segmentation_" in said
    assert len(list(csv.DictReader((place / "scores.csv").open()))) == 3
    blocks = _blockwise(run, tmp_path)
    memory = open_volume(place / "segmentation.zarr", "segmentation_0.3")
    assert blocks.voxel_size == memory.voxel_size == (30, 6, 6)
    assert blocks.shape == memory.shape == (8, 60, 64)


def _blockwise(run, directory):
    """The segmentation of run.py snemi3d.toml."""
    shutil.copytree(PREDICT, directory / "03_predict", ignore=lambda _, names: [name for name in names if "snemi3d" not in name])
    said = run(lambda: pipeline_command.main("run", ""), directory / "03_predict/snemi3d.toml", "--num-workers", 1)
    assert "<- best" in said
    return open_volume(directory / "03_predict/snemi3d.zarr", said.split()[-1])


def _without_voxel_size(path):
    values = tifffile.imread(path)
    tifffile.imwrite(path, values)
    assert values.std() > 5
