"""What is predicted, and what is written about it. No network is run."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from zarr import open_array

from lsd_experiments import checkpoints
from lsd_experiments.arrays import create_volume, fingerprint, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.prediction.blockwise import predict_scan
from lsd_experiments.prediction.plan import check_raw, make_plan
from lsd_experiments.prediction.settings import PredictionSettings

SHAPE = (20, 30, 40)


def test_all_of_raw_or_what_has_context(make_raw, plan):
    raw = make_raw(SHAPE)
    assert plan(raw).total == Box((0, 0, 0), SHAPE)
    shrunk = plan(raw, shrink=True)
    assert shrunk.total == Box((6, 10, 8), (14, 20, 32))  # raw less half the context on each side
    assert shrunk.offset == pytest.approx((100 + 6 * 50, -27 + 10 * 9, 4.6 * 3 + 8 * 4.6))


def test_an_roi_in_nm(make_raw, plan):
    given = plan(make_raw(SHAPE), shrink=True, roi_offset=(150, -9, 4.6 * 5), roi_shape=(250, 90, 46))
    assert given.total == Box((1, 2, 2), (6, 12, 12))  # an ROI is taken as it is, shrink or not
    assert given.offset == pytest.approx((150, -9, 23))
    with pytest.raises(UserError, match="the ROI has no shape"):
        plan(make_raw(SHAPE), roi_offset=(150, -9, 23))
    with pytest.raises(UserError, match=r"reaches outside of .*raw.zarr:volumes/raw"):
        plan(make_raw(SHAPE), roi_offset=(0, 0, 23), roi_shape=(50, 90, 46))


def test_blocks_are_no_larger_than_what_there_is(make_raw, plan):
    assert plan(make_raw(SHAPE)).write_shape == (3, 8, 10)
    assert plan(make_raw((2, 4, 40))).write_shape == (2, 5, 10)
    assert plan(make_raw(SHAPE), input_shape=(20, 25, 24)).write_shape == (8, 5, 8)
    with pytest.raises(UserError, match=r"y = 24 \(nearest: 22 or 25\).* The nearest legal shape is \(20, 25, 24\)"):
        plan(make_raw(SHAPE), input_shape=(20, 24, 24))


def test_a_worker_plans_the_same_though_a_newer_checkpoint_appears(setup, make_raw, tmp_path):
    """Training may go on in the directory that is predicted with."""
    import shutil

    moving = tmp_path / "02_train" / "fib25" / "moving"
    shutil.copytree(setup, moving)
    first = make_plan(PredictionSettings(str(moving), str(make_raw(SHAPE)), "out.zarr"))
    (newest,) = moving.glob("*_7.weights.h5")
    shutil.copy(newest, checkpoints.checkpoint_path(moving, 8))
    again = PredictionSettings.from_json(json.loads(json.dumps(dataclasses.asdict(first.settings))))
    assert again == first.settings
    assert make_plan(again).trained.checkpoint.path == newest
    assert make_plan(PredictionSettings(str(moving), str(make_raw(SHAPE)), "out.zarr")).trained.checkpoint.path != newest


def test_the_best_checkpoint_is_one_of_an_iteration(setup, make_raw, tmp_path):
    copy = shutil.copytree(setup.parent, tmp_path / "fib25") / setup.name
    asked = PredictionSettings(str(copy), str(make_raw((17, 32, 31))), str(tmp_path / "out.zarr"), iteration="best")
    with pytest.raises(UserError, match=r"no best checkpoint \(found: 7\)"):
        make_plan(asked)
    only = copy / "train_net_checkpoint_7.weights.h5"
    only.rename(copy / "train_net_checkpoint_7.best.weights.h5")
    assert make_plan(asked).settings.iteration == 7
    assert make_plan(make_plan(asked).settings).provenance()["key"] == make_plan(asked).provenance()["key"]


def test_what_is_written_next_to_the_outputs(setup, make_raw, plan, tmp_path):
    import lsd_experiments

    predict_scan(plan(make_raw((7, 13, 23)), roi_offset=(150, -9, 23), roi_shape=(100, 90, 46)))
    for name, channels in (("lsds", 2), ("affs", 3)):
        array = open_array(str(tmp_path / "prediction.zarr"), path=f"volumes/{name}", mode="r")
        assert (array.shape, array.dtype, array.compressor.codec_id) == ((channels, 2, 10, 10), np.uint8, "gzip")
        attrs = array.attrs.asdict()
        assert attrs["resolution"] == [50, 9, 4.6]
        assert attrs["offset"] == pytest.approx([150, -9, 23])
        assert "finished" in attrs
        made_by = attrs["provenance"]
        assert made_by["version"] == lsd_experiments.__version__
        assert {"commit", "date", "versions"} <= made_by.keys()
        assert {"keras", "numpy", "python"} <= made_by["versions"].keys()
        parameters, inputs = made_by["parameters"], made_by["inputs"]
        assert (parameters["variant"], parameters["iteration"]) == ("fib25/tiny", 7)
        assert (parameters["input_shape"], parameters["precision"]) == ([14, 28, 26], "float32")
        assert parameters["roi_offset"] == pytest.approx([150, -9, 23])
        assert parameters["roi_shape"] == pytest.approx([100, 90, 46])
        (checkpoint,) = setup.glob("*.weights.h5")
        assert inputs["sha256_of_checkpoint"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        raw = open_volume(make_raw((7, 13, 23)), "volumes/raw")
        assert inputs["raw"] == {"name": f"{Path(raw.container).name}:volumes/raw", "fingerprint": fingerprint(raw)}


def test_crops_of_one_volume_are_different_inputs(make_raw, plan, tmp_path):
    """The same output from another part of raw must not pass for a resumed one."""
    found = []
    for begin in (100, 150):
        crop = tmp_path / f"crop_{begin}.json"
        crop.write_text(json.dumps({"container": str(make_raw(SHAPE)), "offset": [begin, -27, 13.8], "size": [500, 90, 92]}))
        made_by = plan(crop, roi_offset=(200, -27, 13.8), roi_shape=(100, 90, 46)).provenance()
        found.append((made_by["parameters"], made_by["inputs"]))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


@pytest.mark.parametrize("place", [(0, 0, 0), (9, 14, 19)])
def test_what_is_no_number_is_found_before_anything_is_predicted(place, plan, tmp_path):
    values = np.zeros((10, 15, 20), np.float32)
    volume = create_volume(tmp_path / "float.zarr", "volumes/raw", values.shape, (50, 9, 4.6), (0, 0, 0), "float32")
    check_raw(plan(tmp_path / "float.zarr"))
    values[place] = np.nan
    volume.write(volume.box, values)
    with pytest.raises(UserError, match=r"float.zarr:volumes/raw: the value at .* is nan"):
        check_raw(plan(tmp_path / "float.zarr"))
    with pytest.raises(UserError, match="nan"):
        predict_scan(plan(tmp_path / "float.zarr"))
    assert not (tmp_path / "prediction.zarr").exists()


def test_only_what_is_read_is_checked(plan, tmp_path):
    values = np.zeros((40, 15, 20), np.float32)
    values[30] = np.nan
    volume = create_volume(tmp_path / "float.zarr", "volumes/raw", values.shape, (50, 9, 4.6), (0, 0, 0), "float32")
    volume.write(volume.box, values)
    far, near = ({"roi_offset": (50 * z, 0, 0), "roi_shape": (150, 135, 92)} for z in (20, 24))
    check_raw(plan(tmp_path / "float.zarr", **far))
    with pytest.raises(UserError, match=r"the value at \(30, 0, 0\) is nan; 300 of"):
        check_raw(plan(tmp_path / "float.zarr", **near))


def test_raw_of_a_type_that_is_none(plan, tmp_path):
    with pytest.raises(UserError, match=r"volumes/raw: arrays of type '<c8' are no volumes"):
        create_volume(tmp_path / "int.zarr", "volumes/raw", (10, 15, 20), (50, 9, 4.6), (0, 0, 0), "complex64")
    with pytest.raises(UserError, match=r"volumes/raw: arrays of type '<c8' are no volumes"):
        check_raw(plan(tmp_path / "int.zarr"))


def test_the_dataset_of_raw(make_raw, plan, tmp_path):
    assert plan(make_raw(SHAPE)).inputs["raw"].dataset == "volumes/raw"
    create_volume(tmp_path / "em.zarr", "em", SHAPE, (50, 9, 4.6), (0, 0, 0), "uint8")
    assert plan(tmp_path / "em.zarr", raw_dataset="em").inputs["raw"].dataset == "em"
    with pytest.raises(UserError, match=r"no dataset 'volumes/raw'. It holds em"):
        plan(tmp_path / "em.zarr")
    create_volume(tmp_path / "em.zarr", "volumes/raw", SHAPE, (50, 9, 4.6), (0, 0, 0), "uint8", channels=2)
    with pytest.raises(UserError, match="has 2 channels"):
        plan(tmp_path / "em.zarr")
