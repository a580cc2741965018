"""dataset.toml: where it is found, what it may say, and that the published ones say what was published."""

from pathlib import Path

import pytest

from lsd_experiments.datasets import datasets_below, find_dataset, load_dataset
from lsd_experiments.errors import UserError

EXPERIMENTS = Path(__file__).parents[2] / "02_train"
KNOWN = datasets_below(EXPERIMENTS)
PUBLISHED = [name for name, path in KNOWN.items() if path.with_name("expected.toml").is_file()]  # not those of whoever tests
LEAST = {"name": '"mine"', "voxel_size": "[50, 4.6, 4.6]", "directory": '"../../data"', "volumes": '["a.zarr", "b*.zarr"]'}


def write(path, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {key: value for key, value in (LEAST | changes).items() if value is not None}
    path.write_text("".join(f"{key} = {value}\n" for key, value in values.items()))
    return path


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_dataset_is_called_as_its_directory(name):
    dataset = load_dataset(KNOWN[name])
    assert dataset.name == name
    assert dataset.directory == (EXPERIMENTS.parent / "01_data" / dataset.directory.relative_to(EXPERIMENTS.parent / "01_data"))
    assert all(find_dataset(path.parent) == dataset for path in KNOWN[name].parent.glob("*/mknet.py"))


def test_what_was_published():
    zebrafinch, fib25, hemi, xpress = (load_dataset(KNOWN[name]) for name in ("zebrafinch", "fib25", "hemi", "xpress"))
    assert repr(zebrafinch.voxel_size) == "(20, 9, 9)"  # whole numbers stay so in checkpoints
    assert [dataset.voxel_size for dataset in (fib25, hemi, xpress)] == [(8, 8, 8), (8, 8, 8), (33, 33, 33)]
    assert dict(zip(fib25.volumes, fib25.probabilities, strict=True)) == {
        "trvol-250-1.zarr": 0.05, "trvol-250-2.zarr": 0.05, "tstvol-520-1.zarr": 0.45, "tstvol-520-2.zarr": 0.45}  # fmt: skip
    assert (hemi.background_ids, fib25.background_ids) == ((2**64 - 3,), ())
    assert xpress.unlabeled_mask == "volumes/training_gt_unlabeled_mask"
    assert (xpress.predicted, xpress.predicted_raw) == (*xpress.volumes, "volumes/validation_raw")


def test_it_is_found_in_the_directory_around_it_and_where_links_lead(tmp_path, monkeypatch):
    """Beside an experiment, in it, from within it, through a link to it; not farther up."""
    file = write(tmp_path / "mine" / "dataset.toml")
    setup = tmp_path / "mine" / "variant"
    (setup / "deeper").mkdir(parents=True)
    link = tmp_path / "elsewhere" / "link"
    link.parent.mkdir()
    link.symlink_to(setup)
    monkeypatch.chdir(setup)
    found = load_dataset(file)
    assert (found.voxel_size, found.directory) == ((50, 4.6, 4.6), tmp_path.parent / "data")
    assert all(load_dataset(place) == found for place in (setup, ".", link, file, str(file)))
    assert find_dataset(setup / "deeper") is None
    with pytest.raises(UserError, match=rf"^{tmp_path}/elsewhere: .* has a dataset.toml.* to {tmp_path}$"):
        load_dataset(link.parent)
    own = load_dataset(write(setup / "dataset.toml", name='"own"'))
    assert (own.name, load_dataset(setup), load_dataset(tmp_path / "mine")) == ("own", own, found)
    assert load_dataset(write(tmp_path / "mine" / "fine.toml", name='"fine"')).name == "fine"  # not the one beside it


@pytest.mark.parametrize(("changes", "message"), [
    ({"voxel_size": None}, r"'voxel_size' is missing$"),
    ({"voxel_sise": "[1, 1, 1]"}, r"unknown key 'voxel_sise'; did you mean 'voxel_size'\?$"),
    ({"voxel_size": "[50, 0, 4.6]"}, r"'voxel_size.1': Input should be greater than 0, found 0$"),
    ({"voxel_size": "[50, nan, 4.6]"}, r"'voxel_size.1': .*, found nan$"),
    ({"voxel_size": "[50, inf, 4.6]"}, r"'voxel_size.1.*': .*, found inf$"),
    ({"voxel_size": "[4.6, 4.6]"}, r"'voxel_size.2' is missing$"),
    ({"volumes": "[]"}, r"'volumes': "),
    ({"probabilities": "[1]"}, r"'probabilities': must be a number for each of the 2 volumes, not all 0, found"),
    ({"probabilities": "[0, 0]"}, r"'probabilities': must be a number for each of the 2 volumes, not all 0, found"),
    ({"raw_range": "[3, 3]"}, r"'raw_range': 3 3 is neither 'type', nor two numbers"),
    ({"name": "'"}, r"not valid TOML: "),
])  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(tmp_path, changes, message):
    with pytest.raises(UserError, match=rf"^{tmp_path}/dataset.toml: .*{message}") as error:
        load_dataset(write(tmp_path / "dataset.toml", **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("given", "found"), [
    ('"type"', "type"), ("[0, 4095]", (0, 4095)), ('["0.1%", "99.9%"]', ("0.1%", "99.9%")), (None, None),
])  # fmt: skip
def test_the_range_of_raw_is_written_as_train_py_takes_it(tmp_path, given, found):
    assert load_dataset(write(tmp_path / "dataset.toml", raw_range=given)).raw_range == found


def test_training_volumes_are_those_that_are_there(tmp_path):
    dataset = load_dataset(write(tmp_path / "x" / "mine" / "dataset.toml", probabilities="[0.8, 0.1]"))
    for name in ("b2.zarr", "a.zarr", "b1.zarr", "c.zarr"):
        (tmp_path / "data" / name).mkdir(parents=True)
    assert [(path.name, share) for path, share in dataset.training_volumes()] == [
        ("a.zarr", 0.8), ("b1.zarr", 0.1), ("b2.zarr", 0.1)]  # fmt: skip
