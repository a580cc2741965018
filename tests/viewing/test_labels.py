"""Labels and masks in the viewers: what is no id is refused as everywhere, or masked; masks count where they are not 0."""

import json

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.viewing import Kind, View, view_batch, view_data, view_results
from lsd_experiments.viewing.layers import checked, guess_kind, layers
from lsd_experiments.viewing.lazy import LazyArray
from lsd_experiments.viewing.options import Named

SHAPE, VOXEL_SIZE, OFFSET = (4, 5, 6), (40, 10, 8), (80, 30, 16)
LABELS, MASK = "volumes/labels/neuron_ids", "volumes/labels/labels_mask"
ALL = (slice(0, 4), slice(0, 5), slice(0, 6))


def write(path, dataset, values):
    volume = create_volume(path, dataset, values.shape, VOXEL_SIZE, OFFSET, values.dtype)
    volume.write(volume.box, values)
    return volume


def labels(dtype, first=-1):
    values = np.arange(2, 2 + 4 * 5 * 6).reshape(SHAPE).astype(dtype)
    values[1, 2, 3] = first
    return values


@pytest.fixture
def path(tmp_path):
    """With raw; a container for labels."""
    write(tmp_path / "sample.zarr", "volumes/raw", np.full(SHAPE, 9, np.uint8))
    return tmp_path / "sample.zarr"


WAYS = {
    "view_data --datasets": lambda path: view_data.named_views([Named(str(path), (LABELS,))], []),
    "view.py": lambda path: view_results.result_views([f"{path}:{LABELS}"]),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_negative_ids_are_refused_unless_masked(path, dtype, way) -> None:
    write(path, LABELS, labels(dtype))
    with pytest.raises(UserError, match=rf"sample.zarr:{LABELS}: holds the id -1 .*exclude it: .*--exclude -1"):
        way(path)
    mask = np.full(SHAPE, 256, np.uint16)
    mask[1, 2, 3] = 0
    write(path, MASK, mask)
    view, = way(path)
    (_, layer, _), = layers(view)
    shown = layer.source[0].url.data[ALL]
    assert shown.dtype == np.uint64
    assert shown.tolist() == labels(dtype, first=0).tolist()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_mask_of_other_voxels_takes_out_nothing(path, way) -> None:
    write(path, LABELS, labels(np.int64))
    write(path, MASK, np.zeros((4, 5, 5), np.uint8))
    with pytest.raises(UserError, match="holds the id -1"):
        way(path)


@pytest.mark.parametrize(("values", "message"), [
    (labels(np.int64), "holds the id -1"), (labels(np.float32), "is of type float32; labels are integers"),
    (labels(bool), "is of type bool; labels are integers"),
])
def test_raw_is_shown_beside_labels_that_are_none(path, values, message, caplog) -> None:
    write(path, LABELS, values)
    assert [view.name for view in view_data.data_views([str(path)])] == ["raw"]
    assert [record.getMessage().startswith("not shown: ") for record in caplog.records] == [True]
    assert message in caplog.text
    if values.dtype.kind == "i":
        assert [view.name for view in view_results.result_views([str(path)])] == ["raw"]
        assert [view.name for view in view_batch.batch_views([str(path)])] == ["raw"]
    with pytest.raises(UserError, match=r"labels are integers|holds the id -1"):
        checked(View("labels", open_volume(path, LABELS), Kind.LABELS))


def test_in_a_directory_the_others_are_shown(path, tmp_path) -> None:
    write(path, LABELS, labels(np.int64))
    write(tmp_path / "z.zarr", LABELS, labels(np.int64, first=1))
    views = view_data.named_views([], [str(tmp_path)])
    assert [view.name for view in views] == ["sample raw", "z neuron_ids"]


def test_large_volumes_are_checked_where_they_are_looked_at(path) -> None:
    volume = write(path, LABELS, labels(np.int32))
    array = LazyArray(volume, is_segmentation=True)
    assert array[0:1, 0:5, 0:6].tolist() == labels(np.int32)[:1].tolist()
    with pytest.raises(ValueError, match="holds the id -1"):
        array[ALL]
    with pytest.raises(UserError, match="is of type float64; labels are integers"):
        LazyArray(write(path, "floats", labels(np.float64)), is_segmentation=True)


def test_the_greatest_id_of_uint64_is_one(path) -> None:
    values = labels(np.uint64, first=2**64 - 1)
    view = checked(View("labels", write(path, LABELS, values), Kind.LABELS))
    (_, layer, _), = layers(view)
    assert layer.source[0].url.data[ALL].tolist() == values.tolist()


@pytest.mark.parametrize(("dtype", "counts"), [(bool, 1), (np.uint8, 255), (np.uint16, 256), (np.uint32, 2**31), (np.int64, -1),
                                               (np.uint64, 2**63), (np.float32, 0.5)])
def test_masks_of_any_type_count_where_they_are_not_0(path, dtype, counts) -> None:
    values = np.zeros(SHAPE, dtype)
    values[2] = counts
    write(path, MASK, values)
    view = next(view for view in view_data.data_views([str(path)]) if view.kind is Kind.MASK)
    (_, layer, _), = layers(view)
    shown = layer.source[0].url.data[ALL]
    assert shown.dtype == np.uint8
    assert shown.tolist() == (values != 0).astype(int).tolist()


def test_negative_integers_without_a_name_of_labels_are_grey_values(path) -> None:
    assert guess_kind(write(path, "ct", labels(np.int32, first=-1000))) is Kind.RAW
    assert guess_kind(write(path, "main", labels(np.int32, first=1))) is Kind.LABELS
    assert guess_kind(write(path, "volumes/raw_ct", labels(np.uint32, first=1))) is Kind.RAW
    raw = LazyArray(write(path, "volumes/raw_64", labels(np.int64, first=-1000)))
    assert raw[1:2, 2:3, 3:4].tolist() == [[[-1000]]]


def test_crops_of_one_dataset_are_volumes_of_their_own(path, tmp_path) -> None:
    """Which volume is meant tells its region, not its name alone."""
    for n in range(2):
        place = {"offset": [80, 30, 16 + 24 * n], "size": [160, 50, 24]}
        (tmp_path / f"{n}.json").write_text(json.dumps({"container": "sample.zarr", "dataset": "volumes/raw", **place}))
    views = view_results.result_views([str(tmp_path / "0.json"), str(tmp_path / "1.json"), str(tmp_path / "0.json")])
    assert [view.volume.offset for view in views] == [(80, 30, 16), (80, 30, 40)]
    assert [view.visible for view in views] == [True, False]


def test_a_configuration_with_skeletons_alone(path, tmp_path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("out_file = 'sample.zarr'\n[fragments]\nfragments_in_xy = true\n[evaluate]\nskeletons_file = 's.csv'\n")
    assert view_results.config_names(str(config)) == [str(path)]
