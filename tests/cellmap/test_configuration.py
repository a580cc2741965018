"""Configurations: Python as published, TOML, defaults as documented, and what is refused."""

import sys

import pytest
import torch

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap import transforms as T
from lsd_experiments.families.cellmap.configuration import PARAMETERS, defaults, read

PUBLISHED = """
from upath import UPath
import torch
import torchvision.transforms.v2 as T
from cellmap_segmentation_challenge.utils import get_tested_classes
from cellmap_data.transforms.augment import NaNtoNum, GaussianNoise

learning_rate = 0.01
batch_size = 3
input_array_info = {"shape": (16, 16, 8), "scale": (8, 8, 16)}
init_model_features = 32   # a name of its own
classes = ["nuc", "er"]
model_name = "mine"
model = torch.nn.Conv3d(1, len(classes), 1)
scored = get_tested_classes()
logs_save_path = UPath("tensorboard/{model_name}").path
train_raw_value_transforms = T.Compose([T.ToDtype(torch.float, scale=True), NaNtoNum({"nan": 0}), GaussianNoise(std=0.1)])

if __name__ == "__main__":
    from cellmap_segmentation_challenge import train
    train(__file__)
"""


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_python_file_as_published(tmp_path, monkeypatch):
    monkeypatch.delenv("SEED", raising=False)
    settings = read(written(tmp_path / "some/train_3D.py", PUBLISHED))
    assert (settings.batch_size, settings.learning_rate, settings.classes) == (3, 0.01, ("nuc", "er"))
    assert settings.target_array_info == {"shape": (16, 16, 8), "scale": (8.0, 8.0, 16.0)}
    assert isinstance(settings.model, torch.nn.Conv3d)
    assert settings.checkpoint_path(3) == tmp_path / "some/checkpoints/mine_3.pth"
    assert settings.checkpoint_path("*", "2d_unet").name == "2d_unet_*.pth"
    assert (settings.logs_path, settings.split_path) == (tmp_path / "some/tensorboard/mine", tmp_path / "some/datasplit.csv")
    assert (settings.model_to_load, settings.epochs, settings.random_seed) == ("mine", 1000, 42)
    x = torch.full((1, 2, 2), 51, dtype=torch.uint8)
    assert settings.val_raw_value_transforms(x).allclose(torch.tensor(0.2))
    assert settings.train_raw_value_transforms(x).std() > 0
    assert not any(name.startswith(("cellmap_", "torchvision.", "upath")) for name in sys.modules)


DOCUMENTED = {
    "batch_size": 8, "classes": ("nuc", "er"), "criterion": torch.nn.BCEWithLogitsLoss, "criterion_kwargs": {},
    "datasplit_path": "datasplit.csv", "device": None, "epochs": 1000, "filter_by_scale": False, "force_all_classes": "validate",
    "gradient_accumulation_steps": 1, "input_array_info": {"shape": (1, 128, 128), "scale": (8, 8, 8)},
    "iterations_per_epoch": 1000, "learning_rate": 0.0001, "load_model": "latest", "logs_save_path": "tensorboard/{model_name}",
    "max_grad_norm": None, "model": None, "model_kwargs": {}, "model_name": "2d_unet",
    "model_save_path": "checkpoints/{model_name}_{epoch}.pth", "model_to_load": "2d_unet", "random_seed": 42, "scheduler": None,
    "scheduler_kwargs": {}, "target_array_info": {"shape": (1, 128, 128), "scale": (8, 8, 8)}, "use_mutual_exclusion": False,
    "spatial_transforms": {"mirror": {"axes": {"x": 0.5, "y": 0.5}}, "transpose": {"axes": ["x", "y"]},
                           "rotate": {"axes": {"x": [-180, 180], "y": [-180, 180]}}}, "use_s3": False,
    "validation_batch_limit": None, "validation_prob": 0.15, "validation_time_limit": None, "weighted_sampler": True,
    "weight_loss": True,
}
CODE = {"optimizer", "target_value_transforms", "train_raw_value_transforms", "val_raw_value_transforms"}
BESIDE = {"base_experiment_path", "dataloader_kwargs", "low_is_best", "process_func", "smoothing_window"}


def test_defaults_are_those_of_the_documentation(monkeypatch):
    monkeypatch.delenv("SEED", raising=False)
    settings = defaults("base")
    assert {*PARAMETERS} == {*DOCUMENTED} | CODE | BESIDE
    assert len(DOCUMENTED) + len(CODE) == 37
    assert {name: getattr(settings, name) for name in DOCUMENTED} == DOCUMENTED
    assert settings.optimizer is None  # RAdam of the model that there will be
    assert T.describe(settings.train_raw_value_transforms) == [
        {"ToDtype": {"dtype": "float32", "scale": True}}, {"NaNtoNum": {"params": {"nan": 0, "posinf": None, "neginf": None}}}]
    assert T.describe(settings.val_raw_value_transforms) == T.describe(settings.train_raw_value_transforms)
    assert T.describe(settings.target_value_transforms) == [{"ToDtype": {"dtype": "float32", "scale": False}},
                                                            {"Binarize": {"threshold": 0}}]


def test_toml(tmp_path):
    settings = read(written(tmp_path / "train.toml", """
classes = ["mito"]
base_experiment_path = "runs"
input_array_info = {shape = [64, 64], scale = [4, 4]}
criterion = "torch.nn.MSELoss"
optimizer = "AdamW"
scheduler = "StepLR"
scheduler_kwargs = {step_size = 2}
train_raw_value_transforms = [{ToDtype = {dtype = "float32", scale = true}}, {GaussianNoise = {std = 0.5}}]
target_value_transforms = ["Binarize"]
"""))
    assert settings.base_experiment_path == tmp_path / "runs"
    assert settings.input_array_info == {"shape": (1, 64, 64), "scale": (4.0, 4.0, 4.0)}
    assert (settings.criterion, settings.optimizer) == (torch.nn.MSELoss, torch.optim.AdamW)
    assert settings.scheduler is torch.optim.lr_scheduler.StepLR
    assert T.describe(settings.val_raw_value_transforms) == [{"ToDtype": {"dtype": "float32", "scale": True}}]


def test_a_seed_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SEED", "7")
    assert defaults().random_seed == 7
    assert read(written(tmp_path / "a.toml", "random_seed = 3")).random_seed == 3
    monkeypatch.setenv("SEED", "x")
    with pytest.raises(UserError, match="SEED"):
        defaults()


def test_the_weights_of_a_model_of_ones_own_are_those_of_the_seed(tmp_path, monkeypatch):
    monkeypatch.delenv("SEED", raising=False)
    path = written(tmp_path / "a.py", "import torch\nmodel = torch.nn.Linear(3, 2)\n")
    state = torch.get_rng_state()
    first, again = (read(path).model.weight for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.setenv("SEED", "43")
    assert torch.equal(first, again)
    assert not torch.equal(first, read(path).model.weight)


def test_a_configuration_that_builds_on_another(tmp_path):
    written(tmp_path / "train_2D.py", "classes = ['er']\nbatch_size = 2\n")
    other = written(tmp_path / "process_2D.py", """
from cellmap_segmentation_challenge.utils import load_safe_config
config = load_safe_config("train_2D.py")
batch_size = getattr(config, "batch_size", 8)
classes = config.classes
def process_func(x):
    return x > 0.5
""")
    settings = read(other)
    assert (settings.batch_size, settings.classes) == (2, ("er",))
    assert settings.process_func(0.7)


@pytest.mark.parametrize(("name", "text", "message"), [
    ("a.toml", "bathc_size = 3", "no parameter 'bathc_size'; did you mean 'batch_size'"),
    ("a.toml", "nonsense = 3", "no parameter 'nonsense'$"),
    ("a.py", "weighted_samplers = True", "did you mean 'weighted_sampler'"),
    ("a.py", "x = 1\ny = 1 / 0\n", "a.py:2: ends in ZeroDivisionError"),
    ("a.py", "import sys\nsys.exit(3)\n", "a.py:2: ends in SystemExit"),
    ("a.py", "x = (", "is no Python"),
    ("a.py", "from cellmap_segmentation_challenge.models import VNet", "ends in ImportError"),
    ("a.py", "from cellmap_segmentation_challenge import train\ntrain(__file__)", "__main__"),
    ("a.py", "model = 3", "torch.nn.Module"),
    ("a.toml", "batch_size = 0", "batch_size is 0"), ("a.toml", "batch_size = true", "whole number"),
    ("a.toml", "gradient_accumulation_steps = 0", "1 or more"), ("a.toml", "learning_rate = -1.0", "above 0"),
    ("a.toml", "validation_prob = 1.0", "below 1"), ("a.toml", "classes = []", "list of names"),
    ("a.toml", "classes = ['a', 'a']", "twice"), ("a.toml", "load_model = 'lastest'", "did you mean 'latest'"),
    ("a.toml", "force_all_classes = 'training'", "did you mean 'train'"), ("a.toml", "use_s3 = 1", "True or False"),
    ("a.toml", "input_array_info = {shape = [8, 8, 8]}", "Give one array"),
    ("a.toml", "input_array_info = {shape = [8, 8, 0], scale = [1, 1, 1]}", "shape is"),
    ("a.toml", "input_array_info = {shape = [8, 8, 8], scale = [1, 1]}", "scale is"),
    ("a.toml", "target_array_info = {shape = [8, 8, 8], scale = [1, 1, 1]}", "flat"),
    ("a.toml", "spatial_transforms = {miror = {axes = {x = 0.5}}}", "did you mean 'mirror'"),
    ("a.toml", "spatial_transforms = {mirror = {axes = {w = 0.5}}}", "axes x, y and z"),
    ("a.toml", "spatial_transforms = {mirror = {axes = {x = 2}}}", "probability"),
    ("a.toml", "spatial_transforms = {rotate = {axes = {x = [3, 1]}}}", "two angles"),
    ("a.toml", "spatial_transforms = {rotate = {axes = ['x']}}", "two angles"),
    ("a.toml", "model_save_path = 'a.pth'", "no {epoch}"), ("a.toml", "logs_save_path = 'a/{model}'", "{model} is not known"),
    ("a.toml", "criterion = 'BCEWithLogitLoss'", "did you mean 'BCEWithLogitsLoss'"), ("a.toml", "device = 'gpu'", "no device"),
    ("a.toml", "train_raw_value_transforms = ['Binarise']", "did you mean 'Binarize'"),
    ("a.toml", "train_raw_value_transforms = [{GaussianNoise = {sigma = 1}}]", "does not take"),
    ("a.toml", "filter_by_scale = [1, 2]", "three numbers"), ("a.toml", "max_grad_norm = 0", "above 0"),
])
def test_refusals(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message) as caught:
        read(written(tmp_path / name, text))
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="no such configuration"):
        read(tmp_path / "none.py")


def test_value_transforms():
    x = torch.tensor([[0.0, torch.nan, 3.0]])
    assert T.Binarize()(x).nan_to_num(9).tolist() == [[0, 9, 1]]
    assert T.Binarize(3)(torch.tensor([3, 4])).tolist() == [0, 1]
    assert T.NaNtoNum({"nan": 5})(x).tolist() == [[0, 5, 3]]
    assert T.ToDtype("float32", scale=True)(torch.tensor([255], dtype=torch.uint8)).tolist() == [1.0]
    assert T.ToDtype(torch.float)(torch.tensor([255], dtype=torch.uint8)).tolist() == [255.0]
    assert T.ToDtype(torch.uint8, scale=True)(torch.tensor([1.0])).tolist() == [255]
    assert T.Normalize()(torch.tensor([51.0])).item() == pytest.approx(0.2)
    dot = torch.zeros(1, 5, 5, 5)
    dot[0, 2, 2, 2] = 1
    assert (T.GaussianBlur(3, 1.0)(dot)[0, :, 2, 2] > 0).tolist() == [False, False, True, False, False]
    assert (T.GaussianBlur(3, 1.0, dim=3)(dot)[0, :, 2, 2] > 0).tolist() == [False, True, True, True, False]
    assert T.GaussianBlur(5, 1.0)(torch.full((1, 5, 5), 2.0)).allclose(torch.tensor(2.0))
    ramp = torch.linspace(0, 1, 9)[None]
    for kind in (T.GaussianNoise, T.RandomContrast, T.RandomGamma):
        assert not kind()(ramp).equal(kind()(ramp))
    assert T.RandomContrast((1, 1))(ramp).allclose(ramp)
    assert T.RandomGamma((2, 2))(ramp).allclose(ramp**2)
    assert T.describe(T.from_names(T.describe(T.raw_default()), "here")) == T.describe(T.raw_default())
