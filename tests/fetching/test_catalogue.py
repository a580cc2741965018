"""``datasets.toml``: whole, and of one mind with the experiments' declarations."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

from lsd_experiments.datasets import load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.fetching.catalogue import Entry, load_catalogue
from lsd_experiments.fetching.command import CATALOGUE, choose_volumes


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue(CATALOGUE)


def test_all_volumes_are_there(catalogue) -> None:
    assert {name: len(entry.volumes) for name, entry in catalogue.datasets.items()} == {"zebrafinch": 33, "fib25": 4, "hemi": 8}
    assert catalogue.bucket.name == "open-neurodata"


@pytest.mark.parametrize("name", ["zebrafinch", "fib25", "hemi"])
def test_it_agrees_with_the_experiments(catalogue, name) -> None:
    entry, dataset = catalogue.datasets[name], load_dataset(Path(__file__).parents[2] / "02_train" / name / "dataset.toml")
    assert entry.voxel_size == dataset.voxel_size
    assert (entry.raw, entry.labels) == (dataset.raw, dataset.labels)
    assert entry.background_ids == dataset.background_ids
    assert entry.prefix == f"funke/{name}/training/"  # where the keys are
    assert dataset.directory == Path(__file__).parents[2] / "01_data" / entry.prefix  # where training looks
    assert dataset.predicted == entry.volumes[0]  # what is predicted by default is fetched by default
    assert all(any(fnmatch(volume, pattern) for pattern in dataset.volumes) for volume in entry.volumes)
    if dataset.probabilities is None:
        assert entry.probabilities is None
    else:
        published = dict(zip(dataset.volumes, dataset.probabilities, strict=True))
        assert dict(zip(entry.volumes, entry.probabilities, strict=True)) == published
        assert sum(entry.probabilities) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "reason"), [({"volumes": ("a.zarr", "a.zarr")}, "twice"), ({"probabilities": (1.0,)}, "as many")]
)
def test_a_wrong_entry_is_refused(catalogue, change, reason) -> None:
    values = catalogue.datasets["hemi"].model_dump()
    assert Entry(**values).volumes
    with pytest.raises(ValueError, match=reason):
        Entry(**values | change)


def test_what_options_choose(catalogue) -> None:
    def names(*options):
        return [volume for _, volume in choose_volumes(catalogue, *options)]

    assert names(None, None, False) == [
        "gt_z255-383_y1407-1663_x1535-1791.zarr",
        "tstvol-520-1.zarr",
        "eb-inner-groundtruth-with-context-x20172-y2322-z14332.zarr",
    ]
    assert len(names(None, None, True)) == 45
    assert len(names(["fib25", "hemi"], None, True)) == 12
    assert names(None, ["trvol-250-2.zarr/", "trvol-250-2.zarr"], False) == ["trvol-250-2.zarr"]
    assert names(["fib25"], ["of-another-bucket.zarr"], False) == ["of-another-bucket.zarr"]


@pytest.mark.parametrize(
    ("datasets", "volumes", "reason"),
    [
        (["zebrafinsh"], None, "did you mean 'zebrafinch'"),
        (
            None,
            ["trvol-250-3.zarr"],
            r"no volume 'trvol-250-3.zarr' in zebrafinch, fib25, hemi; did you mean 'trvol-250-\d.zarr'",
        ),
        (["fib25"], ["../x"], r"^--volume '../x': is no volume's name. Name the volume alone, like tstvol-520-1.zarr$"),
        (["fib25"], ["trvol-250-1.zarr", "../../../etc"], "^--volume '../../../etc': is no volume's name"),
        (None, ["training/trvol-250-1.zarr"], "like gt_z255"),
        (["fib25"], [".."], "is no volume's name"),
        (["fib25"], [""], "is no volume's name"),
    ],
)
def test_mistakes_are_explained(catalogue, datasets, volumes, reason) -> None:
    with pytest.raises(UserError, match=reason):
        choose_volumes(catalogue, datasets, volumes, False)
