"""csc fetch-data: what is fetched is what is of use, is what was there, and lies where it belongs."""

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.command import main
from lsd_experiments.families.cellmap.data.images import Image
from lsd_experiments.families.cellmap.fetching import choose, read_sources
from lsd_experiments.families.cellmap.manifest import Target, write_manifest
from lsd_experiments.families.cellmap.synthetic import put_image
from lsd_experiments.geometry import Box
from tests.cellmap import tissue

SHAPE, VOXEL, BEGIN = (150, 40, 140), (16.0, 8.0, 8.0), (160.0, 88.0, 40.0)  # chunks of 64
CROP = ((70, 8, 70), (90, 28, 90))  # in chunk 1 along z, of 0 to 2


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """A directory as the bucket is: one dataset, an annotated crop in it; a manifest of it and of a test crop."""
    root = tmp_path_factory.mktemp("bucket")
    container = root / "jrc_a/jrc_a.zarr"
    raw = np.random.default_rng(0).integers(1, 255, SHAPE, np.uint8)
    put_image(container, tissue.RAW, raw, VOXEL, BEGIN)
    place = tuple(b + n * v for b, n, v in zip(BEGIN, CROP[0], VOXEL, strict=True))
    labels = (raw[Box(*CROP).slices] > 100).astype(np.uint16)
    for label in ("mito", "er"):
        put_image(container, f"{tissue.LABELS}/crop7/{label}", labels, VOXEL, place)
    address = "s3://cells/jrc_a/jrc_a.zarr"
    (root / "manifest.csv").write_text("id,dataset,alignment,gt_source,em_url\n"
                                       f"7,jrc_a,recon-1,{address}/{tissue.LABELS}/crop7,{address}/{tissue.RAW}\n")
    write_manifest(root / "test.csv", [Target("crop9", "jrc_a", "mito", (32.0, 16.0, 16.0), BEGIN, (4, 4, 4))])
    return root, raw


def fetch(bucket, dest, *more, crops="7", expect=0):
    root, _ = bucket
    arguments = ["fetch-data", "--crops", crops, "--dest", str(dest), "--crop-manifest", str(root / "manifest.csv"), "--manifest",
                 str(root / "test.csv"), *more]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code in (expect, None if expect == 0 else expect)


def chunks(dest, level):
    top = dest / "jrc_a/jrc_a.zarr" / tissue.RAW / level
    return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file() and not path.name.startswith(".")}


def test_a_crop_and_raw_around_it(bucket, tmp_path, capsys):
    mirror = ("--mirror", str(bucket[0]))
    fetch(bucket, tmp_path / "data", "--dry-run", *mirror)
    told = capsys.readouterr().out
    assert "to fetch" in told
    assert "total:" in told
    assert "free:" in told
    assert not (tmp_path / "data").exists()
    fetch(bucket, tmp_path / "data", *mirror)
    assert chunks(tmp_path / "data", "s0") == {"1/0/1"}
    assert chunks(tmp_path / "data", "s1") == {"0/0/0"}
    container = str(tmp_path / "data/jrc_a/jrc_a.zarr")
    labels = Image(container, f"{tissue.LABELS}/crop7/er", VOXEL, "labels")
    raw = Image(container, tissue.RAW, VOXEL, "raw", labels.offset)
    assert np.array_equal(labels.read(labels.box), bucket[1][Box(*CROP).slices] > 100)
    assert raw.offset == BEGIN
    assert np.array_equal(raw.read(Box(*CROP)), bucket[1][Box(*CROP).slices])
    capsys.readouterr()
    fetch(bucket, tmp_path / "data", *mirror)
    assert capsys.readouterr().out.count("there already") == 2


def test_padding_reaches_other_chunks(bucket, tmp_path):
    fetch(bucket, tmp_path, "--raw-padding", "10", "--mirror", str(bucket[0]))
    assert chunks(tmp_path, "s0") == {f"{z}/0/{x}" for z in (0, 1) for x in (0, 1)}


def test_a_test_crop_has_raw_of_its_scale(bucket, tmp_path):
    """Of 32 nm voxels: the level of 16 nm is left out, and the other one is where it was."""
    fetch(bucket, tmp_path / "a", "--mirror", str(bucket[0]), crops="test")
    assert chunks(tmp_path / "a", "s0") == set()
    assert chunks(tmp_path / "a", "s1") == {"0/0/0"}
    found = Image(str(tmp_path / "a/jrc_a/jrc_a.zarr"), tissue.RAW, (32.0, 16.0, 16.0), "raw")
    whole = Image(str(bucket[0] / "jrc_a/jrc_a.zarr"), tissue.RAW, (32.0, 16.0, 16.0), "raw")
    assert found.offset == whole.offset == BEGIN
    assert np.array_equal(found.read(Box((0, 0, 0), (4, 4, 4))), whole.read(Box((0, 0, 0), (4, 4, 4))))
    assert Image(str(tmp_path / "a/jrc_a/jrc_a.zarr"), tissue.RAW, VOXEL, "raw").level().name.endswith("s1")
    fetch(bucket, tmp_path / "b", "--mirror", str(bucket[0]), "--all-resolutions", crops="9")
    assert chunks(tmp_path / "b", "s0") == {"0/0/0"}


def test_crops_join_those_that_are_there(bucket, tmp_path):
    mirror = ("--mirror", str(bucket[0]))
    fetch(bucket, tmp_path, *mirror, crops="9")
    fetch(bucket, tmp_path, *mirror, crops="7")
    assert chunks(tmp_path, "s0") == {"1/0/1"}
    assert (tmp_path / "jrc_a/jrc_a.zarr" / tissue.LABELS / "crop7/mito/s0/.zarray").is_file()


def test_from_a_server_again_what_is_damaged(bucket, tmp_path, monkeypatch):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_bucket(Bucket="cells", ACL="public-read")
        for path in (bucket[0] / "jrc_a").rglob("*"):
            if path.is_file():
                key = str(path.relative_to(bucket[0]))
                client.put_object(Bucket="cells", Key=key, Body=path.read_bytes(), ACL="public-read")
        fetch(bucket, tmp_path, "--endpoint-url", url)
        chunk = tmp_path / "jrc_a/jrc_a.zarr" / tissue.RAW / "s0/1/0/1"
        good = chunk.read_bytes()
        chunk.write_bytes(good[:-7])
        fetch(bucket, tmp_path, "--endpoint-url", url)
        assert chunk.read_bytes() == good
    finally:
        server.stop()


@pytest.mark.parametrize(("row", "message"), [
    ("7,../a,recon-1,s3://b/k/recon-1,s3://b/k/recon-1", "no name of a directory"),
    ("7,a,..,s3://b/k,s3://b/k", "no name of a directory"),
    ("../7,a,recon-1,s3://b/k,s3://b/recon-1/k", "no name of a directory"),
    ("7,a,recon-1,https://b/k,s3://b/recon-1", "no place in a bucket"), ("7,a,recon-1,s3://b/../k,s3://b/recon-1", "no place"),
    ("7,a,recon-1,s3://b/k,s3://b/em", "no recon-1 in it"), ("7,a,recon-1", "3 columns"),
])
def test_manifests_that_lead_elsewhere(tmp_path, row, message):
    (tmp_path / "m.csv").write_text(f"id,dataset,alignment,gt_source,em_url\n{row}\n")
    with pytest.raises(UserError, match=message):
        read_sources(tmp_path / "m.csv")
    with pytest.raises(UserError, match="no such manifest"):
        read_sources(tmp_path / "none.csv")


def test_which_crops(bucket):
    sources = read_sources(bucket[0] / "manifest.csv")
    other = [Target("crop9", "jrc_b", "mito", VOXEL, BEGIN, (4, 4, 4))]
    with pytest.raises(UserError, match="no crop8 in the manifests of 1 annotated and 0 test crops"):
        choose("7,8", sources, [])
    with pytest.raises(UserError, match="has none"):
        choose("test", sources, [])
    with pytest.raises(UserError, match="no annotated crop is of jrc_b"):
        choose("all", sources, other)
    with pytest.raises(UserError, match="names no crop"):
        choose(",", sources, [])
    assert [one.crop for one in choose("all", sources, [])] == ["crop7"]


def test_a_crop_that_is_not_there(bucket, tmp_path, capsys):
    text = (bucket[0] / "manifest.csv").read_text().replace("crop7", "crop8")
    (tmp_path / "manifest.csv").write_text(text)
    fetch(bucket, tmp_path / "data", "--mirror", str(bucket[0]), "--crop-manifest", str(tmp_path / "manifest.csv"), expect=2)
    assert "crop8: nothing is there" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
