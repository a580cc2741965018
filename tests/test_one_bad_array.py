"""One array that is damaged, beside good ones: it is named, and those are listed, read, trained on, converted and shown."""

import json
import shutil
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.conversion.command import _parser, run
from lsd_experiments.datasets import load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.training.data import open_sample
from lsd_experiments.viewing import view_batch, view_data, view_results
from lsd_experiments.viewing.options import Named

DATASET = load_dataset(Path(__file__).parents[1] / "02_train/zebrafinch/dataset.toml")
RAW, LABELS, MASK, BAD = "volumes/raw", "volumes/labels/neuron_ids", "volumes/labels/labels_mask", "volumes/labels/old"
VALUES = np.arange(12 * 15 * 18, dtype=np.uint64).reshape(12, 15, 18) // 500 + 1
ARRAYS = {RAW: (VALUES % 200).astype(np.uint8), LABELS: VALUES, MASK: np.ones(VALUES.shape, np.uint8), BAD: VALUES}


def make(path: Path) -> Path:
    kind = path.suffix
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        root = (h5py.File(path, "w") if kind == ".h5" else
                zarr.open_group(zarr.N5Store(str(path)) if kind == ".n5" else zarr.DirectoryStore(str(path)), mode="w"))
    order = -1 if kind == ".n5" else 1
    for name, array in ARRAYS.items():
        made = root.create_dataset(name, data=array, chunks=(5, 6, 7))
        made.attrs.update({"resolution": [20, 9, 9][::order], "offset": [40, 90, 180][::order]})
    if kind == ".h5":
        root.close()
    return path


def text(name, content):
    def damage(path, bad):
        (path / bad / name).write_text(content)
    return damage


def said(name, **keys):
    def damage(path, bad):
        meta = json.loads((path / bad / name).read_text())
        (path / bad / name).write_text(json.dumps({**meta, **keys}))
    return damage


def chunks_of_both_names(path, bad):
    (path / bad / "0/0").mkdir(parents=True)


def head(path, bad):
    """Of the dataset, in HDF5."""
    with h5py.File(path) as file:
        address = h5py.h5o.get_info(file[bad].id).addr
    with path.open("r+b") as file:
        file.seek(address)
        file.write(b"\xff" * 64)


def kind_of_text(path, bad):
    with h5py.File(path, "a") as file:
        del file[bad]
        file[bad] = np.ones((3, 4))


DAMAGE = {
    ".zarr": [text(".zarray", "{"), text(".zarray", ""), text(".zarray", "5"), said(".zarray", shape=[-12, 15, 18]),
              said(".zarray", dtype="|O"), said(".zarray", compressor={"id": "nobody's"}), text(".zattrs", "{"),
              text(".zattrs", "5"), said(".zattrs", resolution="x"), chunks_of_both_names],
    ".n5": [text("attributes.json", "{"), text("attributes.json", "[]"), text("attributes.json", '{"dimensions": [1, 2]}'),
            said("attributes.json", dimensions=[18, 15, -12]), said("attributes.json", resolution=5)],
    ".h5": [head, kind_of_text],
}
CASES = [pytest.param(kind, damage, id=f"{kind}-{number}") for kind in DAMAGE for number, damage in enumerate(DAMAGE[kind])]


@pytest.fixture
def container(tmp_path, request):
    return make(tmp_path / f"a{request.param}")


@pytest.mark.parametrize(("container", "damage"), CASES, indirect=["container"])
def test_the_others_are_as_good_as_before(container, damage, tmp_path, caplog) -> None:
    damage(container, BAD)
    with pytest.raises(UserError, match=BAD):
        open_volume(container, BAD)
    assert set(list_datasets(container)) == set(ARRAYS)
    for name in (RAW, LABELS, MASK):
        np.testing.assert_array_equal(open_volume(container, name).read(), ARRAYS[name])
    with pytest.raises(UserError, match=f"no dataset 'volumes/rw'; did you mean '{RAW}'"):
        open_volume(container, "volumes/rw")
    sample = open_sample(DATASET, str(container))
    assert (sample.labels.read().max(), sample.labels_mask.shape) == (VALUES.max(), VALUES.shape)
    options = _parser("").parse_args([str(container), LABELS, str(tmp_path / "out.h5"), "labels"])
    run(options)
    np.testing.assert_array_equal(open_volume(tmp_path / "out.h5", "labels").read(), VALUES)
    shown = {view.volume.dataset for view in view_data.named_views([Named(str(container))], [])}
    assert shown == {RAW, LABELS, MASK}
    for views in (view_batch.batch_views, view_results.result_views):
        caplog.clear()
        assert {view.volume.dataset for view in views([str(container)])} == {RAW, LABELS, MASK}
        assert sum(BAD in message and message.startswith("not shown") for message in caplog.messages) == 1


@pytest.mark.parametrize(("container", "damage"), CASES, indirect=["container"])
def test_a_mask_that_is_damaged_is_not_taken_for_none(container, damage) -> None:
    """Neither is one that lost its metadata; without a mask, all labels would count."""
    damage(container, MASK)
    with pytest.raises(UserError, match=MASK):
        open_sample(DATASET, str(container))


@pytest.mark.parametrize("container", [".zarr", ".n5"], indirect=True)
def test_a_mask_whose_metadata_are_lost(container) -> None:
    for file in (container / MASK).glob("*"):
        if file.name in (".zarray", ".zattrs", "attributes.json"):
            file.unlink()
    with pytest.raises(UserError, match=f"no dataset '{MASK}'"):
        open_sample(DATASET, str(container))


@pytest.mark.parametrize("container", [".zarr", ".n5", ".h5"], indirect=True)
def test_no_mask_is_none(container, tmp_path) -> None:
    if container.suffix == ".h5":
        with h5py.File(container, "a") as file:
            del file[MASK]
    else:
        shutil.rmtree(container / MASK)
    crop = tmp_path / "crop.json"
    crop.write_text(json.dumps({"container": container.name, "offset": [60, 90, 180], "size": [100, 90, 90]}))
    for name in (container, crop):
        assert open_sample(DATASET, str(name)).labels_mask is None


@pytest.mark.parametrize("container", [".h5"], indirect=True)
def test_a_mask_behind_a_link_is_one(container) -> None:
    with h5py.File(container, "a") as file:
        file.move(MASK, "mask")
        file["mask"][0] = 0
        file[MASK] = h5py.SoftLink("/mask")
    mask = open_sample(DATASET, str(container)).labels_mask
    np.testing.assert_array_equal(mask.read().any((1, 2)), [False] + [True] * 11)


@pytest.mark.parametrize(("container", "damage"), CASES, indirect=["container"])
def test_a_container_with_nothing_good_is_refused(container, damage) -> None:
    for name in ARRAYS:
        damage(container, name)
    for views in (lambda name: view_data.named_views([Named(name)], []), lambda name: view_batch.batch_views([name]),
                  lambda name: view_results.result_views([name]), lambda name: open_sample(DATASET, name)):
        with pytest.raises(UserError, match=r"volumes/"):
            views(str(container))
