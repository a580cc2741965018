"""``s3://``: a real server on this machine; what cannot be reached."""

import multiprocessing
import socket

import boto3
import numpy as np
import pytest
import zarr
from moto.server import ThreadedMotoServer

from lsd_experiments.arrays import list_datasets, open_volume, s3
from lsd_experiments.errors import UserError
from lsd_experiments.fetching.s3 import S3Store
from lsd_experiments.geometry import Box


@pytest.fixture(autouse=True)
def _fresh_connection():
    s3._filesystem.cache_clear()
    yield
    s3._filesystem.cache_clear()


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def raw():
    return np.arange(5 * 7 * 9, dtype=np.uint16).reshape(5, 7, 9)


@pytest.fixture(scope="module")
def client(server, raw, tmp_path_factory):
    """``raw`` and affs as s3://data/samples/sample.zarr and sample.n5, for everybody to read."""
    client = boto3.client("s3", endpoint_url=server, region_name="us-east-1", aws_access_key_id="a",
                          aws_secret_access_key="b")
    client.create_bucket(Bucket="data")
    directory = tmp_path_factory.mktemp("s3")
    with pytest.warns(FutureWarning, match="N5Store is deprecated"):
        n5 = zarr.N5Store(str(directory / "sample.n5"))
    for store, order in ((zarr.DirectoryStore(str(directory / "sample.zarr")), 1), (n5, -1)):
        root = zarr.open_group(store, mode="w")
        for name, array in (("volumes/raw", raw), ("volumes/affs", np.stack([raw, raw + 1]))):
            made = root.create_dataset(name, data=array, chunks=(*(1,) * (array.ndim - 3), 3, 7, 5))
            made.attrs.put({"resolution": [40, 10, 4.6][::order], "offset": [120, 30, 0][::order]})
    for file in directory.rglob("*"):
        if file.is_file():
            client.upload_file(str(file), "data", f"samples/{file.relative_to(directory)}", {"ACL": "public-read"})
    return client


@pytest.fixture
def bucket(server, client, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    return client


@pytest.mark.parametrize("name", ["sample.zarr", "sample.n5"])
def test_reading(bucket, raw, name) -> None:
    volume = open_volume(f"s3://data/samples/{name}", "volumes/raw")
    assert volume.name == f"s3://data/samples/{name}:volumes/raw"
    assert (volume.voxel_size, volume.offset) == ((40, 10, 4.6), (120, 30, 0))
    np.testing.assert_array_equal(volume.read(Box((-1, 2, 3), (4, 5, 9)), fill=1)[1:], raw[:4, 2:5, 3:9])
    affs = open_volume(f"s3://data/samples/{name}/", "volumes/affs")
    np.testing.assert_array_equal(affs.read(), np.stack([raw, raw + 1]))


def test_datasets_are_listed(bucket) -> None:
    assert list_datasets("s3://data/samples/sample.zarr") == ["volumes/affs", "volumes/raw"]
    with pytest.raises(UserError, match="no dataset 'volumes/raww'; did you mean 'volumes/raw'"):
        open_volume("s3://data/samples/sample.zarr", "volumes/raww")


def test_a_forked_process_reads(bucket, raw) -> None:
    volume = open_volume("s3://data/samples/sample.zarr", "volumes/raw")
    volume.read()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for values in pool.map(volume.read, [volume.box] * 3):
            np.testing.assert_array_equal(values, raw)


def test_a_chunk_that_is_not_there_is_zero(bucket, raw) -> None:
    key = {"Bucket": "data", "Key": "samples/sample.zarr/volumes/raw/0.0.0"}
    content = bucket.get_object(**key)["Body"].read()
    bucket.delete_object(**key)
    volume = open_volume("s3://data/samples/sample.zarr", "volumes/raw")
    assert (volume.read(Box((0, 0, 0), (3, 7, 5))) == 0).all()
    bucket.put_object(**key, Body=content[:-4], ACL="public-read")
    with pytest.raises(UserError, match=r"sample.zarr:volumes/raw: chunk 0\.0\.0 cannot be read"):
        volume.read()
    bucket.put_object(**key, Body=content, ACL="public-read")
    np.testing.assert_array_equal(volume.read(), raw)


def test_a_failure_is_not_taken_for_a_missing_chunk(bucket, monkeypatch) -> None:
    volume = open_volume("s3://data/samples/sample.zarr", "volumes/raw")
    s3._filesystem.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_port()}")
    volume.array.chunk_store.process = -1  # as after a fork: connect anew
    with pytest.raises(UserError, match=r"sample.zarr: cannot be read from http://127.0.0.1"):
        volume.read()


def test_a_missing_bucket_or_container(bucket) -> None:
    for url in ("s3://absent/samples/sample.zarr", "s3://data/samples/absent.zarr"):
        with pytest.raises(UserError, match=f"{url}: no such bucket, no zarr or N5 there"):
            open_volume(url, "volumes/raw")
    bucket.put_object(Bucket="data", Key="private.zarr/.zgroup", Body=b"{}")
    with pytest.raises(UserError, match="or not for all to read"):
        open_volume("s3://data/private.zarr", "volumes/raw")
    with pytest.raises(UserError, match="names no bucket"):
        open_volume("s3://", "volumes/raw")


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_nobody_listens(monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_port()}")
    with pytest.raises(UserError, match=r"sample.zarr: cannot be read from http://127.0.0.1:\d+ \(.*AWS_ENDPOINT_URL"):
        open_volume("s3://data/sample.zarr", "volumes/raw")


def test_the_password_of_a_server_is_not_told(monkeypatch) -> None:
    """Messages are logged by workers, too, not only printed."""
    monkeypatch.setattr(s3, "OPENING", 0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://ann:hush@127.0.0.1:{unused_port()}")
    with pytest.raises(UserError, match=r"cannot be read from http://ann:\*\*\*@127.0.0.1") as caught:
        open_volume("s3://data/sample.zarr", "volumes/raw")
    assert "hush" not in str(caught.value)
    assert S3Store("data", "us-east-1").name.startswith("s3://data at http://ann:***@127.0.0.1")


@pytest.mark.timeout(60)  # with botocore's own timeouts it would be minutes
def test_nobody_answers(monkeypatch) -> None:
    """A server that accepts, and then says nothing: the timeouts count."""
    monkeypatch.setattr(s3, "READ_TIMEOUT", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(UserError, match="cannot be read from"):
            open_volume("s3://data/sample.zarr", "volumes/raw")


def test_it_is_not_written(bucket) -> None:
    with pytest.raises(UserError, match="only zarr is written"):
        open_volume("s3://data/samples/sample.zarr", "volumes/raw", writable=True)
