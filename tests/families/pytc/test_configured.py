"""Samplers of configurations, on a synthetic SNEMI3D."""

import copy
import json

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.samples.configured import dealt, find_files, training_sampler, validation_sampler
from lsd_experiments.families.pytc.samples.sources import Chunks
from lsd_experiments.families.pytc.synthetic import write_snemi3d
from tests.families.pytc.small import tiles
from tests.published import PUBLISHED, needs_published
from tests.scripts import run_script

pytestmark = needs_published


@pytest.fixture(scope="module")
def snemi3d(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "snemi3d"
    write_snemi3d(path, (14, 110, 116), seed=1)
    return path


@pytest.fixture
def tree(snemi3d):
    """The published configuration, merged as published, for smaller samples of these volumes."""
    merges = json.loads((PUBLISHED / "pytc_inference" / "config_merges.json").read_text())
    key = "published SNEMI/SNEMI-Base.yaml + SNEMI/SNEMI-Affinity-UNet.yaml"
    tree = copy.deepcopy(merges[key]["config"])
    tree["MODEL"]["INPUT_SIZE"] = [7, 65, 65]
    tree["DATASET"] |= {"INPUT_PATH": str(snemi3d), "IMAGE_NAME": "image/train-input.tif", "LABEL_NAME": "seg/train-labels.tif",
                        "PAD_SIZE": [2, 20, 20]}
    return tree


def test_a_published_configuration(tree):
    sampler = training_sampler(tree)
    assert sampler.augmentor.source_shape == (9, 132, 132)
    assert sampler.augmentor.smooths
    made = sampler.sample(0, 0)
    assert made.image.shape == (1, 7, 65, 65)
    assert [target.shape for target in made.targets] == [(3, 7, 65, 65)]
    assert [[weight.shape for weight in row] for row in made.weights] == [[(3, 7, 65, 65), (1,)]]
    assert 0.2 < made.targets[0].mean() < 1
    assert sampler.sample(0, 0).place == made.place
    assert training_sampler(tree, seed=1).sample(0, 0).place != made.place


def test_validation_is_not_augmented(tree):
    assert validation_sampler(tree) is None
    tree["DATASET"] |= {"VAL_IMAGE_NAME": "image/test-input.tif", "VAL_LABEL_NAME": "seg/test-labels.h5"}
    sampler = validation_sampler(tree)
    assert sampler.augmentor.source_shape == (7, 65, 65)
    assert not sampler.augmentor.smooths
    assert sampler.sample(3, 1).targets[0].shape == (3, 7, 65, 65)


def test_rejection_masks_and_several_volumes(tree, snemi3d, tmp_path):
    np.save(tmp_path / "mask.npy", np.ones((14, 110, 116), np.uint8))
    tree["DATASET"] |= {"IMAGE_NAME": "image/train-input.tif@image/test-input.tif",
                        "LABEL_NAME": ["seg/train-labels.tif", "seg/test-labels.h5"],
                        "VALID_MASK_NAME": [str(tmp_path / "mask.npy")] * 2, "DISTRIBUTED": True}
    tree["DATASET"]["REJECT_SAMPLING"] |= {"SIZE_THRES": 10, "P": 0.5}
    ranks = [training_sampler(tree, rank=rank, ranks=2) for rank in range(2)]
    assert [sampler.sources[0].image.container.rpartition("/")[2] for sampler in ranks] == ["train-input.tif", "test-input.tif"]
    assert ranks[0].rejection.tests
    assert ranks[0].trials == 1000
    tree["DATASET"]["REJECT_SAMPLING"]["NUM_TRIAL"] = 51
    assert training_sampler(tree).trials == 51
    assert ranks[0].sources[0].mask is not None
    tree["DATASET"]["DISTRIBUTED"] = False
    assert len(training_sampler(tree, rank=1, ranks=2).sources) == 2


def test_single_sections(tree):
    tree["DATASET"]["DO_2D"] = True
    with pytest.raises(UserError, match=r"DATASET.DO_2D: MODEL.INPUT_SIZE has 7 sections"):
        training_sampler(tree)
    tree["MODEL"]["INPUT_SIZE"] = [1, 65, 65]
    made = training_sampler(tree).sample(0, 0)
    assert made.image.shape == (1, 65, 65)
    assert made.targets[0].shape == made.weights[0][0].shape == (2, 65, 65)
    assert made.weights[0][1].shape == (1,)


def test_chunks_of_tiles(tree, tmp_path):
    values = np.random.default_rng(0).integers(1, 9, (12, 90, 96), np.uint8)
    tree["DATASET"] |= {"INPUT_PATH": str(tmp_path), "IMAGE_NAME": tiles(tmp_path, values, 40, "im").name,
                        "LABEL_NAME": tiles(tmp_path, values, 40, "seg").name, "DO_CHUNK_TITLE": 1, "DATA_CHUNK_NUM": [1, 2, 2],
                        "CHUNK_IND_SPLIT": "1-2", "DATA_CHUNK_STRIDE": False}
    tree["MODEL"]["INPUT_SIZE"] = [5, 17, 17]
    tree["AUGMENTOR"] = {name: values | {"ENABLED": False} if isinstance(values, dict) else values
                         for name, values in tree["AUGMENTOR"].items()}
    sampler = training_sampler(tree)
    assert sampler.sources[0].chunks.chosen == (2, 3)
    assert sampler.sample(0, 0).image.shape == (1, 5, 17, 17)
    tree["DATASET"]["CHUNK_IND_SPLIT"] = "2-2"
    with pytest.raises(UserError, match=r"DATASET.CHUNK_IND_SPLIT: 2-2 names no part"):
        training_sampler(tree)


@pytest.mark.parametrize(("section", "change", "message"), [
    ("DATASET", {"LABEL_MAG": 2}, "DATASET.LABEL_MAG"), ("DATASET", {"LABEL_NAME": None}, "DATASET.LABEL_NAME: names no volume"),
    ("DATASET", {"IMAGE_NAME": "none.h5"}, "none.h5"), ("DATASET", {"IMAGE_NAME": "list.txt"}, "list.txt cannot be read"),
    ("DATASET", {"PAD_SIZE": [0, 0, 0]}, "DATASET.PAD_SIZE"),
    ("DATASET", {"IMAGE_SCALE": [1, 2, 2], "LABEL_SCALE": [2, 2, 2]}, "differ"),
])
def test_what_cannot_be_sampled(tree, section, change, message):
    tree[section] |= change
    with pytest.raises(UserError, match=message):
        training_sampler(tree)


def test_files_by_name(tmp_path):
    assert [str(path) for path in find_files("a", "x.h5@y.h5", False, "k")] == ["a/x.h5", "a/y.h5"]
    assert [str(path) for path in find_files(["a", "b"], ["x.h5", "y.h5"], False, "k")] == ["a/x.h5", "b/y.h5"]
    assert [str(path) for path in find_files("a", "/x.h5@y.h5", True, "k")] == ["/x.h5", "y.h5"]
    (tmp_path / "list.txt").write_text("x.h5\n\ny.h5\n")
    assert find_files(str(tmp_path), "list.txt", False, "k") == [tmp_path / "x.h5", tmp_path / "y.h5"]
    with pytest.raises(UserError, match=r"k: 3 files in 2 folders"):
        find_files("a@b", "x@y@z", False, "k")


def test_pytorch_is_imported_for_losses_and_batches_only():
    modules = ("targets", "weights", "rejection", "samples.configured", "waterz", "scores", "synthetic", "fetching")
    code = "; ".join(f"import lsd_experiments.families.pytc.{name}" for name in modules)
    assert run_script("-c", code, without=["torch"]).returncode == 0
    assert run_script("-c", "import lsd_experiments.families.pytc.losses", without=["torch"]).returncode != 0


def test_volumes_and_chunks_are_dealt():
    assert [dealt("abc", rank, 2) for rank in range(2)] == [["a", "c"], ["b"]]
    assert [dealt("ab", rank, 3) for rank in range(3)] == [["a"], ["b"], ["a"]]
    assert [Chunks((1, 1, 5)).part(part, 2).chosen for part in range(2)] == [(0, 1), (2, 3, 4)]
