"""A crop wherever a container is read: every configuration key, and the commands; the same as the part that it stands for."""

import json

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.configuration import load_pipeline, with_num_workers
from lsd_experiments.pipeline.evaluating import _truths
from lsd_experiments.pipeline.running import run_stage
from tests.pipeline.here import blocks_here

pytestmark = pytest.mark.usefixtures(blocks_here.__name__)

SHAPE, VOXEL_SIZE, OFFSET = (27, 40, 41), (20, 9, 9), (200, 90, -45)  # of the fixtures
BEGIN, SIZE = (3, 8, 5), (20, 30, 32)  # of the crop, voxels
PLACE = {"offset": [o + b * v for o, b, v in zip(OFFSET, BEGIN, VOXEL_SIZE, strict=True)],
         "size": [s * v for s, v in zip(SIZE, VOXEL_SIZE, strict=True)]}
INSIDE = tuple(slice(b, b + s) for b, s in zip(BEGIN, SIZE, strict=True))


@pytest.fixture
def crop(tmp_path, out_file):
    """A function that writes a crop file; its container is relative to it."""

    def crop(name, **more):
        path = tmp_path / "crops" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"container": "../out.zarr", **PLACE, **more}))
        return f"crops/{name}"

    return crop


@pytest.mark.parametrize("is_named", [False, True])
def test_affinities_labels_and_mask(crop, config, tmp_path, affs, labels, is_named):
    """Workers see the crop, too: what comes out is what comes of a copy of the part."""
    mask = np.ones(SHAPE, np.uint16)
    mask[:, :14] = 0
    mask *= 256
    create_volume(tmp_path / "out.zarr", "mask", SHAPE, VOXEL_SIZE, OFFSET, np.uint16).array[:] = mask
    part = [o + b * v for o, b, v in zip(OFFSET, BEGIN, VOXEL_SIZE, strict=True)]
    for dataset, values, channels in (("volumes/affs", affs[:, *INSIDE], 3), ("mask", mask[INSIDE], None),
                                      ("volumes/labels/neuron_ids", labels[INSIDE], None)):
        made = create_volume(tmp_path / "copy.zarr", dataset, SIZE, VOXEL_SIZE, part, values.dtype, channels=channels)
        made.array[:] = values
    found = {}
    settings = "affs_file = '{affs_file}'\nmask_file = '{mask_file}'\n{mask_dataset}\nfragments_file = '{out}'"
    for name in ("crop", "copy"):
        files = {"affs_file": "volumes/affs", "mask_file": "mask", "labels_file": "volumes/labels/neuron_ids"}
        if name == "crop":
            places = {key: crop(f"{key}.json", **({"dataset": dataset} if is_named else {})) for key, dataset in files.items()}
        else:
            places = dict.fromkeys(files, "copy.zarr")
        mask_dataset = "" if is_named and name == "crop" else "mask_dataset = 'mask'"
        path = config(top=f"db = '{name}.db'", evaluate=f"labels_file = '{places['labels_file']}'\nout_prefix = '{name}'",
                      fragments=settings.format(**places, mask_dataset=mask_dataset, out=f"{name}_out.zarr"))
        for stage in ("extract_fragments", "agglomerate", "find_segments", "evaluate"):
            run_stage(stage, with_num_workers(load_pipeline(path), 1))
        found[name] = open_volume(tmp_path / f"{name}_out.zarr", "volumes/fragments")
    assert found["crop"].offset == found["copy"].offset == tuple(part)
    np.testing.assert_array_equal(found["crop"].read(), found["copy"].read())
    assert found["crop"].read()[:, 6:].any()
    assert not found["crop"].read()[:, :6].any()
    curves = [json.loads((tmp_path / f"{name}.json").read_text())["curves"] for name in ("crop", "copy")]
    assert curves[0] == curves[1]


def test_a_default_dataset_gives_way_to_that_of_a_crop_and_a_named_one_does_not(crop, config, tmp_path):
    config(top=f"raw_file = '{crop('raw.json', dataset='volumes/labels/neuron_ids')}'",
           evaluate=f"labels_file = '{crop('labels.json', dataset='volumes/labels/neuron_ids')}'")
    loaded = load_pipeline(tmp_path / "config.toml")
    assert open_volume(loaded.raw_file, loaded.raw_dataset).shape == SIZE
    assert _truths(loaded.evaluate, False)[0].volume.shape == SIZE
    path = config(top=f"raw_file = '{crop('raw.json', dataset='volumes/labels/neuron_ids')}'\nraw_dataset = 'volumes/raw'")
    loaded = load_pipeline(path)
    with pytest.raises(UserError, match="stands for the dataset 'volumes/labels/neuron_ids', not 'volumes/raw'"):
        open_volume(loaded.raw_file, loaded.raw_dataset)
    loaded = load_pipeline(config(top=f"raw_file = '{crop('raw.json')}'"))  # that names none: the default stays
    assert loaded.raw_dataset == "volumes/raw"


@pytest.mark.parametrize("key", ["out_file", "fragments_file"])
def test_nothing_is_written_to_a_crop(crop, config, tmp_path, key):
    path = config(fragments=f"fragments_file = '{crop('out.json')}'" if key == "fragments_file" else "")
    if key == "out_file":
        path.write_text(path.read_text().replace('out_file = "out.zarr"', f'out_file = "{crop("out.json")}"'))
    with pytest.raises(UserError, match=rf"'{key}' is .*out.json, a crop: nothing is written to one"):
        load_pipeline(path)


def test_labels_that_are_none_are_refused_before_anything_is_done(config, tmp_path, out_file):
    create_volume(out_file, "floats", SHAPE, VOXEL_SIZE, OFFSET, np.float32)
    config(evaluate="labels_file = 'out.zarr'\nlabels_dataset = 'floats'")
    with pytest.raises(UserError, match=r"out.zarr:floats is of type float32; labels are integers"):
        _truths(load_pipeline(tmp_path / "config.toml").evaluate, False)
