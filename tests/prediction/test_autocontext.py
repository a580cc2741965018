"""Networks that take LSDs: of a prediction on disk, or made on the fly.

    raw   |------------------------|     14 less on each side in z, 20 in y, 16 in x is what affinities have context of
    LSDs      |----------------|
    affs          |--------|
"""

import shutil

import numpy as np
import pytest

from lsd_experiments import checkpoints, networks
from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.blockwise import Workers
from lsd_experiments.checkpoints.average import named_weights
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.networks import Head, Input, Network
from lsd_experiments.prediction.autocontext import find_lsd_network, lsds_record
from lsd_experiments.prediction.block import to_network_range
from lsd_experiments.prediction.blockwise import predict_blockwise, predict_scan
from lsd_experiments.prediction.plan import make_plan
from lsd_experiments.prediction.settings import PredictionSettings

LSD = Network(2, 2, ((1, 3, 2),), (Head("lsds", 10, "embedding"),))
INPUTS = {"aclsd": (Input("lsds", 10),), "acrlsd": (Input("raw"), Input("lsds", 10))}
INPUT_SHAPE, VOXEL_SIZE, OFFSET = (15, 28, 26), (50, 9, 4.6), (100, -27, 13.8)
SHAPE = (30, 60, 55)


def trained(directory, network, record, averages=None):
    """``averages``: what makes averages of the weights."""
    import keras

    keras.utils.set_random_seed(5)
    directory.mkdir()
    model = network.build(INPUT_SHAPE)
    model.set_weights([weights * (1.2 if weights.ndim > 1 else 1) for weights in model.get_weights()])
    networks.write(network, "config", INPUT_SHAPE, directory)
    made = {name: averages(np.asarray(values)) for name, values in named_weights(model).items()} if averages else None
    return checkpoints.save_checkpoint(model, directory, network, 3, {"voxel_size": VOXEL_SIZE, **record}, averages=made)


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    """02_train/fib25 with trained lsd, aclsd and acrlsd. Not to be changed."""
    directory = tmp_path_factory.mktemp("repository") / "02_train" / "fib25"
    directory.mkdir(parents=True)
    trained(directory / "lsd", LSD, {})
    record = {"lsds": lsds_record(find_lsd_network(directory / "aclsd", None, None, None))}
    for variant, inputs in INPUTS.items():
        trained(directory / variant, Network(2, 2, ((1, 3, 2),), (Head("affs", 3),), inputs=inputs), record)
    return directory


@pytest.fixture(scope="module")
def raw(make_raw):
    return str(make_raw(SHAPE))


@pytest.fixture
def plan(experiments, raw, tmp_path):
    def make(variant, out_file, **settings):
        given = {"raw_file": raw, **settings}
        return make_plan(PredictionSettings(str(experiments / variant), out_file=str(tmp_path / out_file), **given))
    return make


@pytest.fixture
def make_lsds(plan, tmp_path):
    """A function that predicts LSDs as predict_scan.py does."""
    def make(**settings):
        assert predict_scan(plan("lsd", "lsds.zarr", shrink=True, **settings))
        return str(tmp_path / "lsds.zarr")
    return make


def inner(container, box):
    """The affinities of the voxels in ``box``, counted from raw's first."""
    volume = open_volume(str(container), "volumes/affs")
    begin = [round((o - p) / v) for o, p, v in zip(volume.offset, OFFSET, VOXEL_SIZE, strict=True)]
    return volume.read()[:, *(slice(b - o, e - o) for b, e, o in zip(*box, begin, strict=True))]


BOTH_HAVE_CONTEXT = ((12, 20, 16), (18, 40, 39))


@pytest.mark.parametrize("seamless", [False, True], ids=["one block", "seamless"])
@pytest.mark.parametrize("variant", INPUTS)
def test_from_disk_and_on_the_fly_alike(variant, seamless, plan, make_lsds, tmp_path):
    """Without seams whatever the blocks; else where the blocks of both begin alike."""
    one_block = {} if seamless else {"input_shape": (40, 82, 80)}
    lsds = make_lsds(seamless=seamless, **one_block)
    begin, end = (np.array(corner) * VOXEL_SIZE + OFFSET for corner in BOTH_HAVE_CONTEXT)
    roi = {} if seamless else {"roi_offset": tuple(begin), "roi_shape": tuple(end - begin)}
    from_disk = plan(variant, "disk.zarr", lsds_file=lsds, seamless=seamless, **one_block, **roi)
    assert predict_scan(from_disk)
    on_the_fly = plan(variant, "fly.zarr", lsds_on_the_fly=True, shrink=True, seamless=seamless, **one_block)
    assert [one.trained.variant for one in on_the_fly.passes] == ["fib25/lsd", f"fib25/{variant}"]
    assert (on_the_fly.total.begin, on_the_fly.total.end) == BOTH_HAVE_CONTEXT
    assert predict_scan(on_the_fly)
    first, second = (inner(tmp_path / name, BOTH_HAVE_CONTEXT) for name in ("disk.zarr", "fly.zarr"))
    assert first.std() > 2
    assert np.abs(first.astype(int) - second).max() <= 1
    assert list(from_disk.inputs) == (["lsds"] if variant == "aclsd" else ["raw", "lsds"])  # aclsd needs no raw
    assert list(on_the_fly.inputs) == ["raw"]


def test_the_lsds_matter(plan, make_lsds, tmp_path):
    lsds = make_lsds()
    predict_scan(plan("acrlsd", "first.zarr", lsds_file=lsds))
    volume = open_volume(lsds, "volumes/lsds", writable=True)
    volume.write(volume.box, 255 - volume.read())
    predict_scan(plan("acrlsd", "second.zarr", lsds_file=lsds))
    first, second = (inner(tmp_path / name, BOTH_HAVE_CONTEXT) for name in ("first.zarr", "second.zarr"))
    assert not np.array_equal(first, second)


def test_flipped_descriptors_are_those_of_flipped_raw(plan, make_lsds, raw):
    """One block of one patch: the mean with what the network makes of both inputs reversed in y, by hand."""
    planned = plan("acrlsd", "flipped.zarr", lsds_file=make_lsds(), flips="y")
    assert planned.write_shape == (3, 7, 10)  # a voxel less in y
    assert predict_scan(planned)
    begin, margin = planned.total.begin, (6, 10, 8)
    box = Box.of_shape(INPUT_SHAPE, [b - m - lost for b, m, lost in zip(begin, margin, (0, 1, 0), strict=True)])
    lsds = planned.inputs["lsds"]
    apart = [round((a - b) / v) for a, b, v in zip(lsds.offset, OFFSET, VOXEL_SIZE, strict=True)]
    arrays = {"raw": to_network_range(open_volume(raw, "volumes/raw").read(box)),
              "lsds": lsds.read(box.shift([-a for a in apart])).astype(np.float32) / 255}
    model = planned.trained.model(INPUT_SHAPE, "float32")
    plain, turned = model.predict(arrays)["affs"], arrays["lsds"].copy()
    inside = np.minimum(4 * turned[6:9].max(axis=0), 1)
    for channel in (1, 6, 8):  # of y, zy and yx
        turned[channel] = np.where(inside == 1, 1 - turned[channel], turned[channel] + inside * (1 - 2 * turned[channel]))
    flipped = model.predict({"raw": arrays["raw"][:, ::-1].copy(), "lsds": turned[:, :, ::-1].copy()})["affs"][:, :, ::-1]
    moved = np.stack([flipped[0, :, 1:], flipped[1, :, :-1], flipped[2, :, 1:]])
    wanted = np.floor((plain[:, :, 1:] + moved) / 2 * np.float32(255))
    found = open_volume(planned.settings.out_file, "volumes/affs").read(Box.of_shape((3, 7, 10)))
    assert found.std() > 2
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("how", ["disk", "fly"])
def test_workers_and_scan_agree(how, plan, make_lsds, tmp_path):
    settings = {"lsds_on_the_fly": True, "shrink": True} if how == "fly" else {"lsds_file": make_lsds()}
    predict_scan(plan("acrlsd", "scan.zarr", **settings))
    assert predict_blockwise(plan("acrlsd", "workers.zarr", **settings), Workers(num_workers=2))
    first, second = (open_volume(str(tmp_path / name), "volumes/affs").read() for name in ("scan.zarr", "workers.zarr"))
    np.testing.assert_array_equal(first, second)
    assert first.std() > 2


def test_the_lsds_of_predict_scan_are_the_default(experiments, plan, raw, make_lsds, tmp_path):
    with pytest.raises(UserError) as refused:
        plan("aclsd", "affs.zarr")
    message = str(refused.value)
    expected = experiments / "lsd" / "test_prediction.zarr"
    assert message.startswith(f"aclsd needs LSDs at {expected} (volumes/lsds): ")
    assert f"Run predict_scan.py in {experiments / 'lsd'} first" in message
    assert "--lsds-on-the-fly" in message
    shutil.copytree(make_lsds(), expected)
    try:
        planned = plan("aclsd", "affs.zarr", raw_file=None)
        assert planned.total.shape == planned.inputs["lsds"].shape == (18, 40, 39)
    finally:
        shutil.rmtree(expected)


def test_what_is_not_lsds_is_refused(plan, raw, tmp_path):
    with pytest.raises(UserError, match="has no channels, LSDs have 10"):
        plan("aclsd", "out.zarr", lsds_file=raw, lsds_dataset="volumes/raw")
    create_volume(tmp_path / "lsds.zarr", "volumes/lsds", (9, 9, 9), VOXEL_SIZE, OFFSET, "uint8", channels=10,
                  attrs={"provenance": {"stage": "predict"}})
    with pytest.raises(UserError, match=r"lsds.zarr:volumes/lsds is not finished. Run predict_scan.py in .*lsd first"):
        plan("aclsd", "out.zarr", lsds_file=str(tmp_path / "lsds.zarr"))
    for settings, message in (
        ({"lsds_on_the_fly": True, "lsds_file": "x.zarr"}, "made on the fly, but lsds_file"),
        ({"lsds_on_the_fly": True, "lsds_dataset": "x"}, "made on the fly, but lsds_dataset"),
        ({"lsds_iteration": 3}, "read from disk, but lsds_iteration"),
    ):
        with pytest.raises(UserError, match=message):
            plan("aclsd", "out.zarr", **settings)
    with pytest.raises(UserError, match="raw: no volume is named"):
        plan("acrlsd", "out.zarr", raw_file=None)
    for settings in ({"lsds_on_the_fly": True}, {"lsds_file": "x.zarr"}):
        with pytest.raises(UserError, match=f"fib25/lsd takes no LSDs, but {next(iter(settings))} was given"):
            plan("lsd", "out.zarr", **settings)


def test_lsds_of_another_network_than_trained_with(plan, make_lsds, tmp_path, caplog):
    lsds = make_lsds()
    plan("aclsd", "out.zarr", lsds_file=lsds)
    assert not caplog.messages
    array = open_volume(lsds, "volumes/lsds", writable=True).array
    made_by = array.attrs["provenance"]
    array.attrs["provenance"] = {**made_by, "inputs": {**made_by["inputs"], "sha256_of_checkpoint": "0" * 64}}
    plan("aclsd", "out.zarr", lsds_file=lsds)
    assert "made by another LSD network than the one that fib25/aclsd was trained with" in caplog.messages[0]


@pytest.mark.parametrize("variant", INPUTS)
def test_lsds_of_another_volume(variant, plan, make_lsds, raw, tmp_path):
    """Also where raw is named but not read."""
    lsds = make_lsds()
    shutil.copytree(raw, tmp_path / "other.zarr")
    with pytest.raises(UserError, match=r"lsds.zarr:volumes/lsds: was made of .*raw.zarr:volumes/raw, not of .*other.zarr"):
        plan(variant, "out.zarr", lsds_file=lsds, raw_file=str(tmp_path / "other.zarr"))
    assert plan(variant, "out.zarr", lsds_file=lsds).inputs["lsds"].container == lsds


def test_provenance(plan, make_lsds):
    on_disk = plan("acrlsd", "out.zarr", lsds_file=make_lsds()).provenance()["inputs"]
    assert {"raw", "raw_shape", "lsds", "lsds_shape", "sha256_of_checkpoint"} <= on_disk.keys()
    on_the_fly = plan("acrlsd", "out.zarr", lsds_on_the_fly=True).provenance()["inputs"]
    assert len(on_the_fly["sha256_of_lsds_checkpoint"]) == 64
    assert "lsds" not in on_the_fly


@pytest.fixture
def averaged(tmp_path):
    """02_train/fib25 with an lsd that has averages of its weights, and an acrlsd that was trained with it."""
    directory = tmp_path / "averaged" / "fib25"
    directory.mkdir(parents=True)
    record = {"average": {"decay": 0.9, "steps": 3}}
    trained(directory / "lsd", LSD, record, averages=lambda values: -values)
    record = {"lsds": lsds_record(find_lsd_network(directory / "acrlsd", None, None, None))}
    trained(directory / "acrlsd", Network(2, 2, ((1, 3, 2),), (Head("affs", 3),), inputs=INPUTS["acrlsd"]), record)
    return directory


def test_averages_make_the_lsds_that_were_trained_with(averaged, raw, tmp_path, caplog):
    """On the fly whatever the second network predicts with; on disk others are warned of."""
    def planned(variant, out="out.zarr", **settings):
        return make_plan(PredictionSettings(str(averaged / variant), raw_file=raw, out_file=str(tmp_path / out), **settings))

    for plain in (False, True):
        on_the_fly = planned("acrlsd", lsds_on_the_fly=True, plain_weights=plain)
        first, last = (one.trained for one in on_the_fly.passes)
        assert (first.averaged, last.averaged) == (True, False)
        parameters = on_the_fly.provenance()["parameters"]
        assert parameters["lsds_averaged_weights"] is True
        assert "averaged_weights" not in parameters
    assert last.checkpoint.record["lsds"]["averaged_weights"] is True
    for plain, warned in ((False, 0), (True, 1)):
        predict_scan(planned("lsd", "lsds.zarr", shrink=True, plain_weights=plain), overwrite=True)
        from_disk = planned("acrlsd", lsds_file=str(tmp_path / "lsds.zarr"))
        assert "lsds_averaged_weights" not in from_disk.provenance()["parameters"]
        messages = [message for message in caplog.messages if "made with the plain weights of the LSD network" in message]
        assert len(messages) == warned
