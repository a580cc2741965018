"""Configurations: merged as the published program merges them, and refused where they are wrong, with the file and line."""

import json
from pathlib import Path

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration import load
from lsd_experiments.families.pytc.configuration.checks import REFUSED
from lsd_experiments.families.pytc.configuration.defaults import KNOWN, LATER, PUBLISHED, flat
from tests.published import PUBLISHED as FIXTURES
from tests.published import needs_published

FILES = FIXTURES / "pytc_inference"
TRAIN = Path(__file__).parents[3] / "02_train"
OURS = TRAIN / "snemi3d/configs"
MERGES = json.loads((FILES / "config_merges.json").read_text()) if FILES.is_dir() else {}
HONOURED = {"MODEL.MIXED_PRECESION"}  # the published program takes it back without --distributed


def merged(name, **others):
    """What we make of the case ``name`` of the fixture."""
    pairs = MERGES[name].get("pairs", [])
    flags = {"inference": name.endswith("--inference"), "distributed": name.endswith("--distributed")}
    if name.startswith("own"):
        base = None if "file only" in name else FILES / "own_base.yaml"
        return load(FILES / "own_file.yaml", base, pairs, **flags)
    folder = TRAIN / ("cremi" if "CREMI" in name else "snemi3d") / "configs"
    files = [folder / Path(part).name for part in name.removeprefix("published ").removesuffix(" --inference").split(" + ")]
    return load(files[1], files[0], pairs, **flags)


@needs_published
def test_the_defaults_are_the_published_ones():
    assert flat(MERGES["defaults"]) == PUBLISHED
    assert not set(flat(LATER)) & set(PUBLISHED)


@needs_published
@pytest.mark.parametrize("name", [name for name in MERGES if "config" in MERGES[name]])
def test_merged_as_published(name, caplog):
    config = merged(name)
    found = {key: located.value for key, located in config.values.items() if key not in LATER}
    expected = flat(MERGES[name]["config"])
    assert {key for key, value in expected.items() if found[key] != value} <= (HONOURED if "mixed" in name else set())
    assert len(caplog.records) == len(MERGES[name]["warnings"])


@needs_published
@pytest.mark.parametrize("name", [name for name in MERGES if "error" in MERGES[name] and name.startswith("own")])
def test_refused_as_published(name):
    with pytest.raises(UserError) as error:
        merged(name)
    said = str(error.value)
    assert "\n" not in said
    assert MERGES[name]["pairs"][0] in said


def test_what_is_said_of_a_wrong_value(tmp_path):
    file = tmp_path / "a.yaml"
    for text, said in (
        ("MODEL:\n  FILTRS: [1]", f"{file}:2: MODEL.FILTRS is no key; did you mean 'MODEL.FILTERS'?"),
        ("MODEL:\n  IN_PLANES: 1\n  FILTERS: [a, 2]", f"{file}:3: MODEL.FILTERS is ['a', 2], but a list of whole numbers"),
        ("SOLVER:\n  BASE_LR: 1", f"{file}:2: SOLVER.BASE_LR is 1, but a decimal number is asked for: write 1.0"),
        ("MODEL:\n  FILTERS: [1]\n  FILTERS: [1]", f"{file}:3: MODEL.FILTERS stands twice"),
        ("MODEL: 3", f"{file}:1: MODEL is no mapping"),
        ("- 3", f"{file}:1: the file is no mapping"),
        ("MODEL:\n  FILTERS: [1", f"{file}:2: is no YAML"),
        ("MODEL:\n  BACKBONE: !!python/object/apply:os.system [true]", f"{file}:2: the value cannot be read"),
        ("MODEL:\n  NORM_MODE: batch", f"{file}:2: MODEL.NORM_MODE is 'batch', none of bn"),
        ("MODEL:\n  NORM_MODE: gn", f"{file}:2: MODEL.NORM_MODE gn takes feature maps that are multiples of 8"),
        ("MODEL:\n  OUT_PLANES: 2", "MODEL.TARGET_OPT (by default) the targets ['0'] have 1 channels, but MODEL.OUT_PLANES is 2"),
        ("MODEL:\n  TARGET_OPT: ['0', '2']\n  OUT_PLANES: 4",
         "MODEL.LOSS_OPTION (by default) has 1 parts, but MODEL.TARGET_OPT 2"),
        ("MODEL:\n  WEIGHT_OPT: [['1', '0']]", f"{file}:2: MODEL.WEIGHT_OPT has another number of entries"),
        ("MODEL:\n  PRE_MODEL: a.pth", f"{file}:2: MODEL.PRE_MODEL is not read by the published code. Pass --checkpoint"),
        ("INFERENCE:\n  STRIDE: [0, 1, 1]", f"{file}:2: INFERENCE.STRIDE is [0, 1, 1], but must be three numbers"),
        ("INFERENCE:\n  OUTPUT_ACT: [sigmod]", f"{file}:2: INFERENCE.OUTPUT_ACT has 'sigmod', none of"),
        ("AUGMENTOR:\n  ADDITIONAL_TARGETS_TYPE: [img]", f"{file}:2: AUGMENTOR.ADDITIONAL_TARGETS_TYPE has 'img', but"),
        ("AUGMENTOR:\n  ADDITIONAL_TARGETS_NAME: [skeleton]",
         f"{file}:2: AUGMENTOR.ADDITIONAL_TARGETS_NAME has 'skeleton', but knows label"),
        ("MODEL:\n  FILTERS: null", f"{file}:2: MODEL.FILTERS is None, but needs a value"),
    ):
        file.write_text(text)
        with pytest.raises(UserError) as error:
            load(file)
        assert str(error.value).startswith(said), str(error.value)
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UserError, match=str(path)):
            load(path)


def test_texts_that_stand_for_values(tmp_path):
    """As in files of v1.0.0: AUG_NUM: None is no text, nor are tuples; keys of later versions and earlier spellings are known."""
    file = tmp_path / "later.yaml"
    file.write_text("MODEL:\n  POOING_LAYER: True\n  INPUT_SIZE: [8, 64, 64]\n  DEPTHS: (2, 2, 2, 2)\n  FILTERS: [32, 64, 96]\n"
                    "  ISOTROPY: [False, False, True]\n  NORM_MODE: gn\nSOLVER:\n  BASE_LR: 1e-3\nAUGMENTOR:\n  SMOOTH: False\n"
                    "MONITOR:\n  ITERATION_NUM: [200, 1000]\nINFERENCE:\n  AUG_NUM: None\n  PAD_SIZE: [4, 32, 32]\n")
    config = load(file)
    assert (config.INFERENCE.AUG_NUM, config.MODEL.DEPTHS, config.SOLVER.BASE_LR) == (None, [2, 2, 2, 2], 0.001)
    assert config.MODEL.POOLING_LAYER
    assert config.where("MODEL.POOLING_LAYER") == f"{file}:2"
    assert (config.where("MODEL.ACT_MODE"), config.MODEL["ACT_MODE"]) == ("default", "elu")


@pytest.mark.parametrize("variant", sorted(path.stem for path in OURS.glob("SNEMI-Aff*")))
def test_the_files_of_the_challenge(variant, tmp_path):
    """All of them load, the multiple erosion rates, too, and what is saved is the same configuration."""
    config = load(OURS / f"{variant}.yaml", OURS / "SNEMI-Base.yaml", inference=True)
    assert config.DATASET.IMAGE_NAME == "test-input.tif"
    erosion = [1, 2, 4] if "MER" in variant else 1
    assert erosion == config.MODEL.LABEL_EROSION
    config.save(tmp_path / "config.yaml")
    assert load(tmp_path / "config.yaml").tree == config.tree
    assert "&" not in (tmp_path / "config.yaml").read_text()


LATER_BASE = """
SYSTEM: {NUM_GPUS: 1, NUM_CPUS: 1}
AUGMENTOR: {SMOOTH: False}
MODEL:
  INPUT_SIZE: [17, 257, 257]
  OUTPUT_SIZE: [17, 257, 257]
  IN_PLANES: 1
  OUT_PLANES: 3
  TARGET_OPT: ["2"]
  LABEL_EROSION: 1
  LOSS_OPTION: [["WeightedBCEWithLogitsLoss", "DiceLoss"]]
  LOSS_WEIGHT: [[1.0, 0.5]]
  WEIGHT_OPT: [["1", "0"]]
  OUTPUT_ACT: [["none", "sigmoid"]]
  FILTERS: [32, 64, 96, 128, 160]
  NORM_MODE: gn
DATASET:
  IMAGE_NAME: image/train-input.tif
  LABEL_NAME: seg/train-labels.tif
  INPUT_PATH: datasets/SNEMI3D/
  PAD_SIZE: [4, 64, 64]
SOLVER: {LR_SCHEDULER_NAME: WarmupCosineLR, BASE_LR: 0.02, ITERATION_STEP: 1, ITERATION_SAVE: 10000, ITERATION_TOTAL: 150000}
INFERENCE:
  INPUT_SIZE: [17, 513, 513]
  OUTPUT_SIZE: [17, 513, 513]
  OUTPUT_ACT: ["sigmoid"]
  IMAGE_NAME: test-input.tif
  PAD_SIZE: [4, 32, 32]
  AUG_MODE: min
  AUG_NUM: None
  STRIDE: [8, 256, 256]
"""


def test_the_base_of_version_1(tmp_path):
    """Its values, as they are written there, below our variants' files."""
    (tmp_path / "base.yaml").write_text(LATER_BASE)
    config = load(OURS / "SNEMI-Affinity-UNet.yaml", tmp_path / "base.yaml", inference=True)
    assert (config.MODEL.NORM_MODE, config.MODEL.INPUT_SIZE, config.INFERENCE.AUG_NUM) == ("gn", [17, 513, 513], None)
    assert not config.AUGMENTOR.SMOOTH


def test_the_challenge_has_its_files():
    assert {path.stem.rpartition("-")[2] for path in OURS.glob("*.yaml")} == {
        "Base", "UNet", "LR", "MER", "2x", "ResNet", "EffNet"}


@needs_published
def test_a_saved_configuration_of_the_published_program():
    """With anchors and aliases."""
    config = load(FILES / "end_to_end/config.yaml")
    assert config.MODEL.FILTERS == [4, 6, 8, 10, 12]
    assert config.DATASET.PAD_SIZE == config.INFERENCE.PAD_SIZE == [2, 4, 4]


def test_nothing_that_is_refused_is_refused_by_default():
    load()
    assert set(REFUSED) <= set(KNOWN)


def test_the_page_has_every_key_that_is_refused():
    page = (OURS.parents[2] / "docs/snemi3d.md").read_text()
    assert not [name for name in REFUSED if name.rpartition(".")[2] not in page]
