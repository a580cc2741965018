"""The names that docs/api.md promises: they are there, with these parameters; its examples are run by test_documentation.py."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
PROMISED = {  # the first parameters, and all others that may be given by name
    "networks.Network": ("num_fmaps fmap_inc_factor downsample_factors heads", "num_fmaps_out inputs architecture"),
    "networks.Head": ("name channels", "checkpoint_name predicted"),
    "networks.write": ("network name input_shape directory", ""),
    "checkpoints.load_checkpoint": ("model prefix", ""),
    "prediction.load_checkpoint": ("model prefix", ""),
    "prediction.predict_block": ("model arrays", ""),
    "descriptors.local_shape_descriptors": ("labels sigma voxel_size downsample components", "roi"),
    "arrays.open_volume": ("container dataset", "default voxel_size writable"),
    "arrays.create_volume": ("container dataset shape voxel_size offset dtype", "channels chunks attrs overwrite"),
    "fragments.extract_fragments": (
        "affs fragments_in_xy",
        "mask filter_fragments epsilon_agglomerate replace_sections min_seed_distance foreground_threshold parity",
    ),
    "agglomeration.agglomerate": ("affs fragments merge_function", ""),
    "segmentation.segment": ("fragments u v scores threshold parity", ""),
    "evaluation.evaluate_segmentation": ("segmentation labels", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_name_takes_what_it_took(name):
    module, attribute = name.split(".")
    package = importlib.import_module(f"lsd_experiments.{module}")
    assert attribute in package.__all__
    assert getattr(package, attribute).__doc__
    parameters = inspect.signature(getattr(package, attribute)).parameters
    first, by_name = (words.split() for words in PROMISED[name])
    assert list(parameters)[: len(first)] == first
    assert all(parameters[word].kind is not inspect.Parameter.KEYWORD_ONLY for word in first)
    assert set(by_name) <= set(parameters)
    more = set(parameters) - set(first) - set(by_name)
    assert all(parameters[word].default is not inspect.Parameter.empty for word in more), "a new one would break calls"


def test_the_page_names_them_all_and_uses_each():
    text = PAGE.read_text()
    examples = "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL))
    for name in PROMISED:
        attribute = name.partition(".")[2]
        assert f"`{name}" in text
        assert attribute in examples or name == "prediction.load_checkpoint"
    named = {name for name in re.findall(r"`([a-z]+\.\w+)", text.partition("##")[0]) if not name.startswith("lsd_experiments")}
    assert named == set(PROMISED)


def test_what_is_not_promised_is_no_attribute():
    with pytest.raises(ImportError, match="predict_blocks"):
        exec("from lsd_experiments.prediction import predict_blocks")


def test_the_names_cost_help_nothing():
    """predict.py --help imports this package, too."""
    code = "import sys, lsd_experiments.prediction.settings; assert 'numpy' not in sys.modules"
    code += "; from lsd_experiments.prediction import predict_block; assert 'numpy' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
