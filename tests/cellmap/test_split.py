"""Splits: stratified, seeded, never with an empty side, replaced whole."""

import json
import os

import boto3
import pytest
from moto.server import ThreadedMotoServer

from lsd_experiments.arrays import s3
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.split import Crop, Layout, Row, divide, find_crops, read_split, shown, write_split
from tests.cellmap.small import boxes


def crops(*classes, datasets=("a", "b", "c")):
    return [Crop(datasets[n % len(datasets)], f"crop{n}", "a.zarr", "em", "a.zarr", f"gt/crop{n}", there)
            for n, there in enumerate(classes)]


def test_each_class_and_dataset_has_its_share():
    many = crops(*([("nuc", "er")] * 12 + [("nuc",)] * 12 + [("er", "mito")] * 6))
    divided = divide(many, ("nuc", "er", "mito"), 0.2, seed=3)
    validating = [crop for side, crop in divided if side == "validate"]
    assert [crop for _, crop in divided] == many
    assert len(validating) == 6
    for label, expected in (("nuc", 4.8), ("er", 3.6), ("mito", 1.2)):
        assert abs(sum(label in crop.classes for crop in validating) - expected) <= 1
    for dataset in "abc":
        assert sum(crop.dataset == dataset for crop in validating) == 2
    assert divided == divide(many, ("nuc", "er", "mito"), 0.2, seed=3)
    assert any(divided != divide(many, ("nuc", "er", "mito"), 0.2, seed=seed) for seed in range(4, 9))


@pytest.mark.parametrize("ratio", [0.01, 0.99])
@pytest.mark.parametrize("number", [2, 3, 7])
def test_a_crop_on_each_side(number, ratio):
    assert {side for side, _ in divide(crops(*[("nuc",)] * number), ("nuc",), ratio)} == {"train", "validate"}


def test_a_rare_class_trains():
    divided = divide(crops(("nuc", "mito"), ("nuc", "mito"), *[("nuc",)] * 8), ("nuc", "mito"), 0.6)
    assert sum(side == "train" and "mito" in crop.classes for side, crop in divided) == 1


@pytest.mark.parametrize(("force", "side"), [("train", "train"), ("validate", "validate")])
def test_all_classes_on_one_side(force, side):
    divided = divide(crops(*[("nuc", "er"), ("nuc",)] * 5), ("nuc", "er"), 0.3, force=force)
    assert all(crop.classes == ("nuc", "er") for found, crop in divided if found == side)
    assert {found for found, _ in divided} == {"train", "validate"}
    whole = divide(crops(*[("nuc", "er"), ("nuc",)] * 5), ("nuc", "er"), 0.3, force=True)
    assert len(whole) == 5


@pytest.mark.parametrize(("there", "ratio", "force", "message"), [
    ([("nuc",)], 0.5, False, "1 of 1 crops"), ([("nuc",)] * 3, 0.5, True, "leave out the demand"),
    ([("nuc",)] * 3, 0.5, "validate", "no crop has all classes"), ([("nuc",)] * 3, 1.0, False, "between 0 and 1"),
    ([("nuc",)] * 3, 0.0, False, "between 0 and 1"),
])
def test_refusals(there, ratio, force, message):
    with pytest.raises(UserError, match=message):
        divide(crops(*there), ("nuc", "er") if force else ("nuc",), ratio, force=force)


def test_rows_of_five_and_three_columns_comments_and_addresses(tmp_path, caplog):
    (tmp_path / "split.csv").write_text(
        '"train","s3://bucket/a/a.zarr","recon-1/em","s3://bucket/a/a.zarr","recon-1/labels/crop1/[nuc, er]"\n'
        '# "train","x.zarr","y","z.zarr","crop2/[nuc]"\n'
        '\n'
        'validate,/data/b.n5/em/raw,/data/b.n5/labels/crop9/[mito]\n'
        'train,short\n')
    assert read_split(tmp_path / "split.csv") == [
        Row("train", "s3://bucket/a/a.zarr", "recon-1/em", "s3://bucket/a/a.zarr", "recon-1/labels/crop1", ("nuc", "er")),
        Row("validate", "/data/b.n5", "em/raw", "/data/b.n5", "labels/crop9", ("mito",))]
    assert "line 5 has 2 columns" in caplog.text


@pytest.mark.parametrize(("text", "message"), [
    ("test,a.zarr,b,c.zarr,d/[e]\n", "line 1: 'test' is no side"), ("train,a.zarr,b,c.zarr,d\n", "does not end in its classes"),
    ("train,a,b/[e]\n", "is not in a container"),
])
def test_nonsense_in_a_split(tmp_path, text, message):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_split(tmp_path / "split.csv")
    with pytest.raises(UserError, match="make-datasplit"):
        read_split(tmp_path / "none.csv")


def test_a_split_is_replaced(tmp_path):
    path = tmp_path / "new" / "split.csv"
    write_split(path, [("train", crops(("nuc",))[0])])
    write_split(path, [("validate", crops(("nuc",))[0])])
    assert [row.side for row in read_split(path)] == ["validate"]
    assert [entry.name for entry in path.parent.iterdir()] == ["split.csv"]


def test_both_sides_are_counted():
    assert shown([("train", ("nuc", "er")), ("train", ("er",)), ("validate", ("nuc",))], ("nuc", "er")).split() == [
        "train", "validate", "crops", "2", "1", "nuc", "1", "1", "er", "2", "0"]


def test_crops_in_n5_beside_raw_in_n5_at_their_finest_scale(tmp_path):
    """N5 lists x, y, z: labels of 4 x 8 x 16 nm (z, y, x)."""
    from lsd_experiments.arrays.creating import write_metadata
    from lsd_experiments.arrays.n5 import store

    root = tmp_path / "jrc_a/jrc_a.n5/recon-1"
    for name, levels in (("em/fibsem-uint8", 1), ("labels/groundtruth/crop4/nuc", 2)):
        for level in range(levels):
            (root / name).mkdir(parents=True, exist_ok=True)
            size = [2**level * n for n in (4, 8, 16)]
            write_metadata(store(root / name / f"s{level}"), boxes().shape, (8, 8, 8), "uint8", {"resolution": size[::-1]})
    (tmp_path / "jrc_a/jrc_a.n5/attributes.json").write_text('{"n5": "2.0.0"}')
    layout = Layout(f"{tmp_path}/{{dataset}}/{{dataset}}.n5/recon-1/{{name}}")
    found = find_crops(layout, ("nuc", "er"), scale=(4, 8, 16))
    assert [(crop.dataset, crop.name, crop.classes) for crop in found] == [("jrc_a", "crop4", ("nuc",))]
    assert found[0].labels.endswith("jrc_a.n5")
    assert find_crops(layout, ("nuc",), scale=(8, 8, 8)) == []


def test_a_field_twice_is_one_name(tmp_path):
    for name in ("a_a", "a_b"):
        for part in ("raw", "labels/crop1/nuc"):
            (tmp_path / f"{name}.zarr" / part).mkdir(parents=True)
            (tmp_path / f"{name}.zarr/raw/s0").mkdir(exist_ok=True)
    layout = Layout(f"{tmp_path}/{{dataset}}_{{dataset}}.zarr/{{name}}", "raw", "labels/{crop}/{label}")
    assert [(crop.dataset, crop.labels) for crop in find_crops(layout, ("nuc",))] == [("a", f"{tmp_path}/a_a.zarr")]


@pytest.fixture
def bucket(monkeypatch):
    """``s3://cosem`` with one crop, on a server of this machine."""
    s3._filesystem.cache_clear()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="us-east-1", aws_access_key_id="a",
                          aws_secret_access_key="b")
    client.create_bucket(Bucket="cosem", ACL="public-read")
    transforms = [{"type": "scale", "scale": [4, 4, 4]}, {"type": "translation", "translation": [0, 0, 0]}]
    image = {"multiscales": [{"datasets": [{"path": "s0", "coordinateTransformations": transforms}]}]}
    array = {"zarr_format": 2, "shape": [8, 8, 8], "chunks": [8, 8, 8], "dtype": "|u1", "fill_value": 0, "order": "C",
             "compressor": None, "filters": None}
    root = "jrc_b/jrc_b.zarr/recon-1"
    for name, content in ((".zgroup", {"zarr_format": 2}), ("em/fibsem-uint8/s0/.zarray", array),
                          ("labels/groundtruth/crop6/er/.zattrs", image), ("labels/groundtruth/crop6/er/s0/.zarray", array)):
        place = f"{root}/{name}" if name != ".zgroup" else "jrc_b/jrc_b.zarr/.zgroup"
        client.put_object(Bucket="cosem", Key=place, Body=json.dumps(content), ACL="public-read")
    yield "s3://cosem/{dataset}/{dataset}.zarr/recon-1/{name}"
    server.stop()
    s3._filesystem.cache_clear()


def test_crops_in_a_bucket(bucket, tmp_path):
    found = find_crops(Layout(bucket), ("nuc", "er"), scale=(4, 4, 4))
    container, group = "s3://cosem/jrc_b/jrc_b.zarr", "recon-1/labels/groundtruth/crop6"
    assert found == [Crop("jrc_b", "crop6", container, "recon-1/em/fibsem-uint8", container, group, ("er",))]
    write_split(tmp_path / "split.csv", [("train", found[0])])
    assert read_split(tmp_path / "split.csv") == [Row("train", container, "recon-1/em/fibsem-uint8", container, group, ("er",))]
    assert find_crops(Layout(bucket), ("er",), scale=(2, 2, 2)) == []
    assert find_crops(Layout(bucket.replace("cosem", "none")), ("er",)) == []


@pytest.mark.parametrize(("pattern", "message"), [("data/a.zarr/{name}", "has no {dataset}"),
                                                  ("{dataset}.zarr/{label}/{name}", "{label} is not known"),
                                                  ("s3://{dataset}/{name}", "Write the bucket's name")])
def test_patterns_that_are_none(pattern, message):
    with pytest.raises(UserError, match=message):
        find_crops(Layout(pattern), ("nuc",))
