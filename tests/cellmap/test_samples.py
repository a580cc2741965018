"""Samples: of the classes that are asked for, unknown where nobody annotated, the same again after a resume."""

import dataclasses
import hashlib
import os

import boto3
import numpy as np
import pytest
import torch
from moto.server import ThreadedMotoServer

from lsd_experiments.arrays import s3
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap import transforms as T
from lsd_experiments.families.cellmap.data.choosing import Chooser
from lsd_experiments.families.cellmap.data.crops import infer_absent, tile_begins
from lsd_experiments.families.cellmap.data.loading import load_batches
from lsd_experiments.families.cellmap.data.preprocessing import Preprocessing
from lsd_experiments.families.cellmap.data.samples import Samples, ValidationTiles
from lsd_experiments.families.cellmap.data.splitting import rows_of
from lsd_experiments.families.cellmap.data.weights import MOST, class_weights, count
from lsd_experiments.families.cellmap.split import Row
from lsd_experiments.geometry import Box
from tests.cellmap import tissue

MITO, ECS, ER, NUC = range(4)
TURNED = {"mirror": {"axes": {"x": 0.5}}, "transpose": {"axes": ["y", "x"]}, "rotate": {"axes": {"z": [-180, 180]}}}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("samples")
    (path / "datasplit.csv").write_text("".join(tissue.write(path)))
    return path


def samples(root, side="train", **changes):
    return Samples(tissue.settings(root, **changes), side)


def same(one, other):
    return one.input.equal(other.input) and one.target.nan_to_num(7).equal(other.target.nan_to_num(7))


def number(place):
    return int(place.crop[-1])


def test_a_sample_is_what_is_there(root):
    batch = samples(root).batch(3)
    assert batch.input.shape == (2, 1, 8, 12, 12)
    assert batch.target.shape == (2, 4, 8, 12, 12)
    assert batch.input.dtype == batch.target.dtype == torch.float32
    for image, target, place in zip(batch.input, batch.target, batch.places, strict=True):
        box = Box.of_shape((8, 12, 12), np.add(place.begin, tissue.CROPS[number(place)][0])).slices
        assert np.array_equal(image[0].numpy(), tissue.raw()[box] / np.float32(255))
        for label, name in enumerate(("mito", "ecs", "er", "nuc")):
            if name in tissue.ANNOTATED[number(place)]:
                assert np.array_equal(target[label].numpy(), tissue.ids(name)[box] > 0)
            else:
                assert target[label].isnan().all()


def test_annotated_and_absent_is_not_unknown(root):
    made = [samples(root).batch(n) for n in range(8)]
    of_second = [target for batch in made for target, place in zip(batch.target, batch.places, strict=True) if number(place) == 2]
    assert of_second
    assert all((target[NUC] == 0).all() and target[ECS].isnan().all() for target in of_second)


def test_beyond_what_is_annotated_is_unknown_and_raw_goes_on(root):
    """A patch larger than the crop lies about its middle."""
    batch = samples(root, input_array_info={"shape": (20, 12, 30), "scale": tissue.VOXEL}).batch(0)
    for image, target, place in zip(batch.input, batch.target, batch.places, strict=True):
        (z0, _, x0), (z1, _, x1) = tissue.CROPS[number(place)]
        known = ~target[MITO].isnan()
        assert known.any(2).any(1).sum() == z1 - z0
        assert known.any(0).any(0).sum() == min(30, x1 - x0)
        assert abs(int(known.any(2).any(1).float().argmax()) - (20 - (z1 - z0)) // 2) <= 1
        assert (image[0] > 0).float().mean() > 0.9


def test_the_same_after_a_resume_by_ranks_and_workers(root):
    turned = {"spatial_transforms": TURNED, "train_raw_value_transforms": [T.ToDtype(torch.float, True), T.GaussianNoise(0, 0.1)]}
    whole = samples(root, **turned)
    batches = [whole.batch(n) for n in (0, 1, 2)]
    assert not same(batches[0], batches[1])
    again = samples(root, **turned)
    torch.manual_seed(3)
    assert same(again.batch(2), batches[2])
    settings = tissue.settings(root, **turned)
    for rank in (0, 1):
        part = Samples(settings, "train", rank, 2).batch(1)
        assert part.input.equal(batches[1].input[rank:rank + 1])
    loaded = list(load_batches(whole, range(3), {"num_workers": 2}))
    assert all(same(one, other) for one, other in zip(loaded, batches, strict=True))
    with pytest.raises(UserError, match="shared by 3"):
        Samples(settings, "train", 0, 3)
    with pytest.raises(UserError, match="did you mean 'num_workers'"):
        next(load_batches(whole, range(1), {"num_worker": 2}))


def test_what_a_worker_meets_is_said(tmp_path):
    (tmp_path / "datasplit.csv").write_text("".join(tissue.write(tmp_path)))
    chunk = next(path for path in tmp_path.rglob("0") if "mito" in str(path) and path.is_file() and "s0" in str(path))
    chunk.write_bytes(b"no chunk")
    with pytest.raises(UserError, match="cannot be read"):
        list(load_batches(samples(tmp_path, classes=["mito"]), range(6), {"num_workers": 1}))


def test_classes_take_turns(root):
    found = samples(root, classes=["mito", "ecs", "nuc"])
    drawn = [place.label for n in range(12) for place in found.batch(n).places]
    assert {label: drawn.count(label) for label in drawn} == {"mito": 8, "ecs": 8, "nuc": 8}
    assert drawn[:3] != drawn[3:6] or drawn[3:6] != drawn[6:9]


def test_places_are_equally_probable_without():
    chooser = Chooser([("a",), ("a",)], [30.0, 10.0], False, False, 4, 0)
    drawn = [chooser.choose(n, slot)[0] for n in range(100) for slot in range(4)]
    assert 70 < drawn.count(1) < 130


def test_each_batch_has_all_classes_if_that_is_demanded():
    annotated = [("a", "b")] * 20 + [("c",), ("a", "d")]
    free, forced = (Chooser(annotated, None, True, force, 3, 1) for force in (False, True))

    def there(chooser, n):
        return {label for slot in range(3) for label in annotated[chooser.choose(n, slot)[0]]}

    assert any(there(free, n) != {*"abcd"} for n in range(20))
    assert all(there(forced, n) == {*"abcd"} for n in range(20))
    assert len({tuple(forced.choose(n, slot)[0] for slot in range(3)) for n in range(20)}) > 15
    with pytest.raises(UserError, match="3 crops are needed for all of a, b, c, d, and batches have 2"):
        Chooser(annotated, None, True, True, 2, 1)


def test_demanded_classes_have_voxels_where_there_are_such(root):
    """ecs is every fifth plane along x: a patch of two planes may miss it."""
    info = {"shape": (2, 2, 2), "scale": tissue.VOXEL}
    found = [samples(root, input_array_info=info, force_all_classes=force, classes=["ecs", "nuc"]) for force in (True, False)]
    positive = [[bool((one.batch(n).target[:, 0] == 1).any()) for n in range(30)] for one in found]
    assert sum(positive[0]) > 25 > sum(positive[1])


def test_what_excludes_a_class_tells_that_it_is_absent(root):
    labels = np.array([[np.nan, np.nan, np.nan, 1], [0, 5, np.nan, 5]], np.float32)[..., None, None]
    infer_absent(labels, ["mito", "ecs"])
    assert np.array_equal(labels[..., 0, 0], [[np.nan, 0, np.nan, 1], [0, 5, np.nan, 5]], equal_nan=True)
    labels = np.array([[np.nan], [5]], np.float32)[..., None, None]
    infer_absent(labels, ["mito", "mito_mem"])  # a part of it
    assert np.isnan(labels[0]).all()


@pytest.mark.parametrize("length", [5, 8, 9, 16, 21])
def test_tiles_cover_a_crop(length):
    covered = np.zeros(length + 20, int)
    for begin in tile_begins(Box((3,), (3 + length,)), (8,))[0]:
        covered[begin + 10:begin + 18] += 1
    assert covered[13:13 + length].min() == 1
    assert covered[:13].sum() + covered[13 + length:].sum() == max(0, 8 - length)


def test_tiles_that_validate(root):
    tiles = ValidationTiles(tissue.settings(root, classes=["ecs", "er"]))
    batches = [tiles.batch(n) for n in range(len(tiles))]
    assert [batch.input.shape[0] for batch in batches] == [2] * 4
    box = tissue.CROPS[3]
    seen = np.zeros(np.subtract(box[1], box[0]), int)
    for batch in batches:
        for place, target in zip(batch.places, batch.target, strict=True):
            seen[Box.of_shape((8, 12, 12), place.begin).slices] += 1
            whole = Box.of_shape((8, 12, 12), np.add(place.begin, box[0])).slices
            assert np.array_equal(target[1].numpy(), tissue.ids("er")[whole] > 0)
    assert seen.min() == seen.max() == 1
    assert all(same(one, other) for one, other in zip(load_batches(tiles, range(4), {"num_workers": 1}), batches, strict=True))
    assert len(ValidationTiles(tissue.settings(root, classes=["mito"]))) == 0


def test_batches_that_validate_have_all_classes_as_far_as_tiles_go(root, caplog):
    rows = [dataclasses.replace(row, side="validate") for row in rows_of(tissue.settings(root))]
    rows = [row for row in rows if row.group[-1] in "13"]
    settings = tissue.settings(root, classes=["mito", "er"], force_all_classes="validate")
    tiles = ValidationTiles(settings, rows=rows)
    sides = [[tiles.tiles[2 * n + slot][0] for slot in tiles.slots_of(n)] for n in range(len(tiles))]
    assert all(sorted(side) == [0, 1] for side in sides[:8])
    plain = ValidationTiles(settings.replace(force_all_classes=False), rows=rows)
    assert sorted(plain.tiles) == sorted(tiles.tiles) != tiles.tiles


def digest(root):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


def test_weights_of_classes(root):
    before = digest(root)
    found = samples(root)
    mito = [tissue.ids("mito")[Box(*tissue.CROPS[n]).slices] > 0 for n in (1, 2)]
    ecs = tissue.ids("ecs")[Box(*tissue.CROPS[1]).slices] > 0
    positive, known = sum(int(v.sum()) for v in mito), sum(v.size for v in mito)
    assert count(found)[:2] == [(positive, known), (int(ecs.sum()), ecs.size)]
    weights = class_weights(found)
    assert weights[MITO].item() == pytest.approx((known - positive) / positive)
    assert weights[NUC] == weights[ER] == 1  # absent, and annotated nowhere
    assert digest(root) == before


def test_weights_are_capped(root, monkeypatch):
    found = samples(root, classes=["mito", "ecs"])
    for counts, expected in (((1, 10**9), MOST), ((10**9, 10**9 + 1), 1 / MOST), ((1, 4), 3.0)):
        monkeypatch.setattr("lsd_experiments.families.cellmap.data.weights.count", lambda _, counts=counts: [counts] * 2)
        assert class_weights(found).tolist() == pytest.approx([expected] * 2)


def test_flat_samples(root):
    for shape in ((1, 12, 14), (8, 1, 14), (8, 12, 1)):
        batch = samples(root, input_array_info={"shape": shape, "scale": tissue.VOXEL}, spatial_transforms=TURNED).batch(0)
        flat = tuple(n for n in shape if n > 1)
        assert batch.input.shape == (2, 1, *flat)
        assert batch.target.shape == (2, 4, *flat)
        assert not batch.target[:, MITO].isnan().all()


def test_targets_of_another_scale_share_the_middle(root):
    info = {"shape": (4, 6, 6), "scale": (32, 16, 16)}
    batch = samples(root, target_array_info=info, classes=["mito"]).batch(0)
    assert batch.input.shape[2:] == (8, 12, 12)
    assert batch.target.shape[2:] == (4, 6, 6)
    for image, place in zip(batch.input, batch.places, strict=True):
        first = np.add(np.multiply(place.begin, 2), tissue.CROPS[number(place)][0])
        assert np.array_equal(image[0].numpy(), tissue.raw()[Box.of_shape((8, 12, 12), first).slices] / np.float32(255))


def test_one_preprocessing(root):
    said = {"train_raw_value_transforms": [T.ToDtype(torch.float), T.GaussianNoise(std=9)]}
    settings = tissue.settings(root, **said)
    plain, training = Preprocessing.raw(settings), Preprocessing.raw(settings, training=True)
    x = torch.arange(8, dtype=torch.uint8)[None]
    assert plain(x).equal(x.float())
    assert training(x, seed=1).equal(training(x, seed=1))
    assert not training(x, seed=1).equal(training(x, seed=2))
    assert Preprocessing.of(plain.description).description == plain.description == [{"ToDtype": {"dtype": "float32",
                                                                                                 "scale": False}}]
    assert Preprocessing(lambda x: x).description != plain.description


EFFECTS = {
    "batch_size": 3, "classes": ["mito"], "input_array_info": {"shape": (6, 12, 12), "scale": tissue.VOXEL},
    "target_array_info": {"shape": (4, 6, 6), "scale": tissue.VOXEL}, "random_seed": 7, "spatial_transforms": TURNED,
    "target_value_transforms": [T.Binarize(2)], "train_raw_value_transforms": [T.ToDtype(torch.float)],
    "use_mutual_exclusion": True, "weighted_sampler": False, "datasplit_path": "other.csv",
}


@pytest.mark.parametrize("name", EFFECTS)
def test_a_parameter_has_an_effect(root, name):
    rows = (root / "datasplit.csv").read_text().splitlines()
    (root / "other.csv").write_text(rows[1].replace("validate", "train"))
    base, changed = samples(root), samples(root, **{name: EFFECTS[name]})

    def drawn(of):
        return [of.batch(n) for n in range(4)]

    assert all(same(one, other) for one, other in zip(drawn(base), drawn(samples(root)), strict=True))
    assert not all(one.input.shape == other.input.shape and one.target.shape == other.target.shape and same(one, other)
                   for one, other in zip(drawn(base), drawn(changed), strict=True))


@pytest.mark.parametrize("axis", ["mirror", "transpose", "rotate"])
def test_a_spatial_transform_has_an_effect(root, axis):
    turned = samples(root, spatial_transforms={axis: TURNED[axis]})
    assert not all(same(samples(root).batch(n), turned.batch(n)) for n in range(6))


def test_parameters_of_validation_have_an_effect(root):
    said = {"classes": ["ecs", "er"]}
    base = ValidationTiles(tissue.settings(root, **said))
    limited = ValidationTiles(tissue.settings(root, validation_batch_limit=3, **said))
    timed = ValidationTiles(tissue.settings(root, validation_time_limit=9, **said))
    assert (len(base), len(limited), len(timed)) == (4, 3, 4)
    assert base.tiles != limited.tiles == timed.tiles
    assert sorted(base.tiles) == sorted(timed.tiles)
    value = tissue.settings(root, val_raw_value_transforms=[T.ToDtype(torch.float)], **said)
    assert ValidationTiles(value).batch(0).input.allclose(base.batch(0).input * 255)
    assert len(samples(root, iterations_per_epoch=5)) == 5
    assert Samples(tissue.settings(root), "train", memory=7).cache.limit == 7


@pytest.mark.parametrize(("changes", "train", "validate"), [
    ({}, 2, 1), ({"validation_prob": 0.6}, 1, 2), ({"filter_by_scale": True, "classes": ["mito", "ecs"]}, 2, 1),
    ({"filter_by_scale": (8, 8, 8)}, None, None), ({"classes": ["mito"]}, 1, 1),
])
def test_a_split_is_made_where_there_is_none(root, tmp_path, changes, train, validate):
    (tmp_path / "data").symlink_to(root / "data")
    settings = tissue.settings(tmp_path, datasplit_path="new/split.csv", **changes)
    if train is None:
        with pytest.raises(UserError, match="no crop with raw"):
            rows_of(settings)
        return
    sides = [row.side for row in rows_of(settings)]
    assert (sides.count("train"), sides.count("validate")) == (train, validate)
    assert (tmp_path / "new/split.csv").is_file()
    again = rows_of(settings.replace(validation_prob=0.5))
    assert [row.side for row in again] == sides  # it is there


def test_the_bucket(tmp_path):
    from lsd_experiments.families.cellmap.data import splitting

    settings = tissue.settings(tmp_path)
    with pytest.raises(UserError, match=f"{tmp_path}/data/"):
        rows_of(settings)
    looked = []
    original = splitting.find_crops
    try:
        splitting.find_crops = lambda layout, *_: looked.append(layout.search_path) or []
        with pytest.raises(UserError, match="s3://janelia"):
            rows_of(settings.replace(use_s3=True))
    finally:
        splitting.find_crops = original
    assert looked == [splitting.BUCKET]


def test_rows_as_they_are(tmp_path, root):
    """A path that is relative is one from the split's place; rows without a class are left out."""
    (tmp_path / "split.csv").write_text("train,data/a.zarr,em,data/a.zarr,gt/crop1/[mito]\n"
                                        "train,b.zarr,em,b.zarr,gt/crop2/[ld]\n")
    rows = rows_of(tissue.settings(tmp_path, datasplit_path="split.csv"))
    assert rows == [Row("train", str(tmp_path / "data/a.zarr"), "em", str(tmp_path / "data/a.zarr"), "gt/crop1", ("mito",))]
    with pytest.raises(UserError, match=r"there is no image|no such file"):
        samples(tmp_path, datasplit_path="split.csv").batch(0)
    with pytest.raises(UserError, match="no crop of vim is to train"):
        samples(root, classes=["vim"])


@pytest.fixture
def server(monkeypatch):
    s3._filesystem.cache_clear()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="us-east-1", aws_access_key_id="a",
                          aws_secret_access_key="b")
    client.create_bucket(Bucket="cells", ACL="public-read")
    yield client
    server.stop()
    s3._filesystem.cache_clear()


def test_from_a_server(root, server, tmp_path):
    """The rows' paths are addresses, and a server of this machine has the files; one process after the other reads."""
    for path in (root / "data/ds_a").rglob("*"):
        if path.is_file() and not {"ecs", "nuc", "crop2"} & {*path.parts}:
            key = str(path.relative_to(root / "data"))
            server.put_object(Bucket="cells", Key=key, Body=path.read_bytes(), ACL="public-read")
    line = (root / "datasplit.csv").read_text().splitlines()[0]
    (tmp_path / "near.csv").write_text(line)
    (tmp_path / "far.csv").write_text(line.replace(f"{root}/data", "s3://cells"))
    near, far = (samples(tmp_path, datasplit_path=f"{name}.csv", classes=["mito"]) for name in ("near", "far"))
    assert far.crops[0].row.raw == "s3://cells/ds_a/ds_a.zarr"
    assert same(far.batch(0), near.batch(0))
    assert all(same(batch, near.batch(0)) for batch in load_batches(far, [0], {"num_workers": 1}))
