"""A crop stands wherever a container does, and ``-`` for the only dataset, in every command and configuration key."""

from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, find_volume
from lsd_experiments.arrays.creating import check_zarr
from lsd_experiments.datasets import load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.configuration import load_pipeline
from lsd_experiments.training.data import find_samples
from tests.places import tables
from tests.places.cases import CASES, READ, expected, found, options, run
from tests.places.listing import keys
from tests.places.listing import options as all_options
from tests.places.scene import ALONE, FORMS, OF_TIFF, Scene

FITTING = [(name, form) for name, case in CASES.items() for form in FORMS
           if not (form in OF_TIFF and case.kind in ("affs", "lsds"))]


@pytest.fixture(scope="module")
def scene_of(tmp_path_factory):
    """A function that gives the scene of a case, and what the part of it gives; made once."""
    made, directories = {}, {}

    def scene_of(name):
        case = CASES[name]
        if name not in made:
            key = (case.kind, case.voxel_size)
            directories.setdefault(key, tmp_path_factory.mktemp(case.kind))
            scene = Scene(directories[key], *key)
            made[name] = scene, expected(case, scene)
        return made[name]

    return scene_of


def test_every_option_and_key_is_accounted_for():
    named = READ | tables.WRITTEN | tables.OTHER_FILES | tables.NO_PLACE
    there = {*all_options(), *(key for key in keys() if not key.startswith("workers."))}
    missing = [name for name in there if not {name, _alone(name)} & named]
    assert not missing, f"say in tests/places what these name: {missing}"
    assert not {name for name in named if name not in there} - {_alone(name) for name in there}, "no such option or key any more"
    assert {("convert.py", "input"), "fragments.mask_file"} <= there


def _alone(name):
    """Of an option or key, without its command or section."""
    return name[1].rpartition(" ")[2] if isinstance(name, tuple) else name.rpartition(".")[2]


@pytest.mark.parametrize(("name", "form"), [(name, form) for name, form in FITTING if CASES[name].has_dataset])
def test_a_place_is_what_it_stands_for(name, form, scene_of):
    case, (make, dataset) = CASES[name], FORMS[form]
    scene, wanted = scene_of(name)
    assert case.find(scene, make(scene), dataset or scene.dataset) == wanted
    if form in ALONE and case.is_optional:
        assert case.find(scene, make(scene), None) == wanted


@pytest.mark.parametrize(("name", "form"), [(name, form) for name, form in FITTING if not CASES[name].has_dataset])
def test_a_container_is_what_it_stands_for(name, form, scene_of):
    case, (make, _) = CASES[name], FORMS[form]
    scene, wanted = scene_of(name)
    assert wanted[0] in case.find(scene, make(scene), None)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.has_dataset])
def test_of_several_the_only_one_is_refused_and_the_whole_is_another(name, scene_of):
    case = CASES[name]
    scene, wanted = scene_of(name)
    for container in (scene.whole(), scene.plain_crop()):
        with pytest.raises(UserError, match=rf"name one of its datasets. It holds other, {scene.dataset}"):
            case.find(scene, container, "-")
    if name != "submission":  # its region is named, and the same of both
        assert case.find(scene, scene.whole(), scene.dataset) != wanted


def test_a_training_volume_is_a_crop_of_a_container(tmp_path):
    """It holds raw, labels and their mask, so that a crop of it names no dataset."""
    scenes = {kind: Scene(tmp_path, kind) for kind in ("raw", "labels", "mask")}
    for scene in scenes.values():
        for name, values, begin in (("all.zarr", scene.values, scene.offset), ("part.zarr", scene.part, scene.begin)):
            made = create_volume(tmp_path / name, scene.dataset, values.shape, scene.voxel_size, begin, values.dtype)
            made.write(made.box, values)
    scenes["raw"].crop("part.json", "all.zarr")
    scenes["raw"].crop("outer.json", "part.json", is_part=False)
    dataset = load_dataset(Path(__file__).parents[2] / "02_train/fib25/dataset.toml")
    dataset = dataset.model_copy(update={"voxel_size": scenes["raw"].voxel_size})

    def samples(name):
        volumes = options("02_train/fib25/mtlsd/train.py", 1, "--data", tmp_path / name).data
        sample, = find_samples(dataset, volumes)
        return [found(volume) for volume in (sample.raw, sample.labels, sample.labels_mask)], sample.shift

    assert samples("part.json") == samples("outer.json") == samples("part.zarr") != samples("all.zarr")
    scenes["raw"].crop("raw.json", "all.zarr", dataset="volumes/raw")
    with pytest.raises(UserError, match=r"raw\.json: stands for the dataset 'volumes/raw', not 'volumes/labels/neuron_ids'"):
        samples("raw.json")


def test_the_only_labels_are_masked_by_themselves(tmp_path):
    """``-`` in both places of add_unlabeled_mask.py."""
    scene = Scene(tmp_path, "labels")
    path = scene.copy("copy.zarr")
    run("01_data/add_unlabeled_mask.py", path, "--input_ds_label", "-", "--input_ds_mask", "-")
    np.testing.assert_array_equal(find_volume(path, "volumes/training_gt_unlabeled_mask").read(), scene.part > 0)


NO_NAME = "'-' is no dataset's name"


@pytest.mark.parametrize(("command", "message"), [
    ("01_data/add_labels_mask.py gt.json", "gt.json: is only read"),
    ("01_data/add_unlabeled_mask.py gt.json --input_ds_mask other", "gt.json: is only read"),
    ("01_data/add_unlabeled_mask.py gt.zarr --input_ds_mask other --output_ds_label -", NO_NAME),
    ("01_data/convert.py gt.zarr other gt.json x", "gt.json: of no format that is written"),
    ("01_data/convert.py gt.zarr other new.zarr -", "name the dataset that is to be written"),
    ("01_data/create_masks.py gt.zarr --labels-dataset other --mask-dataset -", NO_NAME),
    ("01_data/create_masks.py gt.zarr --labels-dataset other --unlabeled --unlabeled-dataset -", NO_NAME),
    ("01_data/create_masks.py gt.zarr --labels-dataset other --output gt.json", "masks are put into zarr"),
    ("01_data/make_synthetic.py gt.json --shape 4 5 6", "synthetic volumes are zarr containers"),
])
def test_what_is_written_has_a_name_and_is_no_crop(command, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for dataset in ("volumes/training_gt_labels", "other"):
        create_volume("gt.zarr", dataset, (4, 5, 6), (40, 10, 8), (80, 0, 8), "uint64")
    (tmp_path / "gt.json").write_text('{"container": "gt.zarr"}')
    before = sorted(tmp_path.rglob("*"))
    script, *arguments = command.split()
    with pytest.raises(UserError, match=message):
        run(script, *arguments)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("door", ["predict.py", "predict_scan.py"])
def test_predictions_are_not_written_to_a_crop(door, tmp_path):
    parsed = options(f"02_train/fib25/mtlsd/{door}", "--output", tmp_path / "out.json")
    with pytest.raises(UserError, match=r"out\.json: is a crop, and nothing is written to one"):
        check_zarr(Path(parsed.out_file))


FRAGMENTS = "[fragments]\nfragments_in_xy = true\n"


@pytest.mark.parametrize(("lines", "message"), [
    (f"out_file = 'out.json'\n{FRAGMENTS}", "'out_file' is .*out.json, a crop"),
    (f"out_file = 'out.zarr'\n{FRAGMENTS}fragments_file = 'x.json'", "'fragments_file' is .*, a crop"),
    (f"out_file = 'out.zarr'\n{FRAGMENTS}fragments_dataset = '-'", "'fragments.fragments_dataset' is '-'"),
    (f"out_file = 'out.zarr'\n{FRAGMENTS}[extract]\nout_dataset = '-'", "'extract.out_dataset' is '-'"),
    # what is the only one now is not after the next stage
    (f"out_file = 'out.zarr'\n{FRAGMENTS}affs_dataset = '-'", "'fragments.affs_dataset' stands for the only"),
    (f"out_file = 'out.zarr'\nraw_dataset = '-'\nraw_file = 'r.json'\n{FRAGMENTS}", "'raw_dataset' stands for the only"),
    (f"out_file = 'out.zarr'\n{FRAGMENTS}mask_file = 'out.zarr'", "'fragments.mask_dataset' stands for the only"),
])
def test_keys_of_what_is_written(lines, message, tmp_path):
    (tmp_path / "r.json").write_text('{"container": "s.json"}')
    (tmp_path / "s.json").write_text('{"container": "out.zarr"}')
    path = tmp_path / "config.toml"
    path.write_text(lines)
    with pytest.raises(UserError, match=message):
        load_pipeline(path)
    for wrong, right in (("-", "x"), ("'out.json'", "'out'"), ("x.json", "x.zarr"), ("mask_file", "affs_file")):
        lines = lines.replace(wrong, right)
    path.write_text(lines)
    load_pipeline(path)
