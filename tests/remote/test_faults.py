"""What is absent, damaged, refused or out of reach, and names that say nothing: one line, and never zeros by mistake."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.arrays.tensor_process import PROCESS
from lsd_experiments.errors import Passing, UserError


@pytest.fixture
def copy(trees, tmp_path):
    """A function that copies one of ``trees``, which may then be damaged."""
    return lambda name: shutil.copytree(trees / name, tmp_path / name)


CHUNKS = {"raw": ("", "scale1/0-4_3-6_3-5"), "jpeg": ("", "scale1/0-4_3-6_3-5"), "png": ("", "scale1/0-4_3-6_3-5"),
          "segmentation": ("", "scale1/0-4_3-6_3-5"), "zarr3": ("volumes/raw", "volumes/raw/c/0/0/0"),
          "sharded3": ("volumes/raw", "volumes/raw/c/0/0/0"), "sharded": ("", "scale1/0.shard")}


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_that_are_absent_or_damaged(copy, trees, name) -> None:
    dataset, file = CHUNKS[name]
    path = copy(name) / file
    whole, content = open_volume(trees / name, dataset).read(), path.read_bytes()
    path.unlink()
    left = open_volume(path.parents[file.count("/")], dataset).read()
    assert ((left == whole) | (left == 0)).all()
    assert not left[0, 0, 0]
    assert whole[0, 0, 0]
    for damaged in (content[:len(content) // 2], b"", bytes(len(content))[:None if name != "raw" else 5]):
        path.write_bytes(damaged)
        if name in ("segmentation", "sharded") and damaged == bytes(len(content)):
            continue  # a table at 0, and a shard without chunks
        volume = open_volume(path.parents[file.count("/")], dataset)
        with pytest.raises(UserError, match=r"chunk (0\.)?\d\.\d\.\d cannot be read \(.*It is damaged or incomplete") as raised:
            volume.read()
        assert "\n" not in str(raised.value)
    path.write_bytes(content)
    np.testing.assert_array_equal(volume.read(), whole)


def mutations(value):
    """Tables and lists like ``value``, each with one value that is nonsense."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        for wrong in ({"a": [None]}, -1, "nonsense", 2**70, []):
            changed = value.copy()
            changed[key] = wrong
            yield changed
        for inside in mutations(inner):
            changed = value.copy()
            changed[key] = inside
            yield changed
    if isinstance(value, dict):
        yield from ({k: v for k, v in value.items() if k != key} for key in value)


@pytest.mark.parametrize(("name", "dataset", "file"), [
    ("sharded3", "volumes/raw", "volumes/raw/zarr.json"), ("sharded", "", "info"), ("ome", "em", "em/zarr.json")])
def test_metadata_that_is_nonsense(copy, name, dataset, file) -> None:
    path = copy(name) / file
    root, metadata = path.parents[file.count("/")], json.loads(path.read_text())
    refused = []
    for text in ["", "{", "[]", "[1]", "null", "7", *map(json.dumps, mutations(metadata))]:
        path.write_text(text)
        try:
            list_datasets(root)
            open_volume(root, dataset, voxel_size=(40, 10, 5)).read()
        except UserError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert not [message for message in refused if "\n" in message]
    path.write_text(json.dumps(metadata))
    open_volume(root, dataset).read()


def test_what_is_no_volume(copy, tmp_path) -> None:
    info = copy("raw") / "info"
    stored = json.loads(info.read_text())
    for change, message in (({"@type": "neuroglancer_legacy_mesh"}, "of a 'neuroglancer_legacy_mesh', not of a volume"),
                            ({"graph": {}}, "a graphene volume"),
                            ({"data_type": "complex64"}, "of type 'complex64' are no volumes"),
                            ({"scales": [{**stored["scales"][0], "key": "gone"}]}, "its directory .*gone is not there")):
        info.write_text(json.dumps(stored | change))
        with pytest.raises(UserError, match=message):
            open_volume(info.parent)
    info.write_text(json.dumps(stored))
    (info.parent / "scale1/0-4_3-6_3-5").rename(info.parent / "scale1/0-4_3-6_3-5.gz")
    with pytest.raises(UserError, match=r"compressed as files \(0-4_3-6_3-5.gz\), which only cloud-volume reads. Decompress all"):
        open_volume(info.parent)
    with pytest.raises(UserError, match=r"precomputed:///.*: no precomputed volume \(it has no info"):
        open_volume(f"precomputed://{tmp_path}")


def test_a_server_that_fails_for_a_while(server, raw) -> None:
    failed = set()

    def status(path, is_there):
        if path in failed or not is_there:
            return 200 if is_there else 404
        failed.add(path)
        return 503

    server.status = status
    volume = open_volume(f"{server.url}/raw")
    np.testing.assert_array_equal(volume.read(), raw)
    assert len(failed) == 1 + 18  # info, and the chunks


@pytest.mark.parametrize("failure", [500, 429, 403, 401, 302])
def test_a_chunk_that_is_not_given_is_not_taken_for_absent(server, impatient, failure) -> None:
    volume = open_volume(f"{server.url}/raw")
    server.status = lambda path, is_there: failure if path.endswith("0-4_3-6_3-5") else 200 if is_there else 404
    with pytest.raises(UserError, match=f"HTTP( code)? {failure}") as raised:
        volume.read()
    assert isinstance(raised.value, Passing) == (failure in (500, 429))


@pytest.mark.parametrize("name", ["sharded3", "sharded", "zarr3"])
def test_a_server_that_gives_whole_files_only(server, raw, monkeypatch, name) -> None:
    """Like Python's http.server: what is not sharded is read all the same."""
    monkeypatch.setattr(server, "_part", lambda wanted, length: None)
    volume = open_volume(f"{server.url}/{name}", CHUNKS[name][0])
    if name == "zarr3":
        np.testing.assert_array_equal(volume.read(), raw)
        return
    with pytest.raises(UserError, match=r"its server gives no parts of files \(Range\), and shards are read in parts\. Have it"):
        volume.read()


def test_google_says_403_of_what_is_not_there(google, raw) -> None:
    """Where a bucket may not be listed; where it may, that is a refusal."""
    for is_listed, bucket in ((False, "sharded"), (True, "raw")):
        google.status = lambda path, is_there, is_listed=is_listed, bucket=bucket: (
            200 if is_there else (200 if is_listed else 403) if path == bucket else 403)
        volume = open_volume(f"gs://{bucket}")
        np.testing.assert_array_equal(volume.read(), raw)
        lost = "0-4_3-6_3-5" if is_listed else "0.shard"
        before = google.status
        google.status = lambda path, is_there, before=before, lost=lost: 403 if path.endswith(lost) else before(path, is_there)
        volume = open_volume(f"gs://{bucket}")
        if is_listed:
            with pytest.raises(UserError, match=r"gs://raw.*the server refuses to show it \(HTTP 403\). Ask who keeps it$"):
                volume.read()
        else:
            left = volume.read()
            assert ((left == raw) | (left == 0)).all()
            assert 0 < (left == 0).sum() < left.size


def test_the_reader_is_killed(trees, raw) -> None:
    volume = open_volume(trees / "raw")
    os.kill(PROCESS.child.pid, signal.SIGKILL)
    PROCESS.child.wait()
    np.testing.assert_array_equal(volume.read(), raw)


@pytest.mark.parametrize(("name", "message"), [
    ("gs://", r"gs://: names no bucket\. Write gs://bucket/path"),
    ("precomputed://https://", "names no server"),
    ("http:///path", "names no server"),
    ("precomptued://gs://b/p", r"'precomptued://' is not read; did you mean 'precomputed'\?"),
    ("precomputed://data/raw", "a path from the root"),
    ("gs://b/p|nifti:", r"gs://b/p\|nifti:: '\|nifti:' is no format"),
    ("https://ann:hush@host/raw", "https://host/raw: an address with a password or a query, left out here"),
    ("https://host/raw?X-Amz-Signature=hush", "https://host/raw: an address with a password"),
    ("precomputed://s3://ann:hush@bucket/raw", "precomputed://s3://bucket/raw: an address with a password"),
    ("http://127.0.0.1:1/raw", "http://127.0.0.1:1/raw: cannot be read .*Could not connect to server"),
    ("precomputed://http://host.invalid/raw", "http://host.invalid/raw: cannot be read .*Could not resolve host"),
])
def test_addresses_that_are_none(name, message, impatient) -> None:
    with pytest.raises(UserError, match=message) as raised:
        open_volume(name)
    assert "hush" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nothing_lies_there(server, google) -> None:
    for name in (f"{server.url}/absent", "gs://absent", f"precomputed://{server.url}/zarr3", "precomputed://gs://absent/too"):
        with pytest.raises(UserError, match=r"no such (bucket|place), no .*precomputed there \(none of .*info\), or not for all"):
            open_volume(name)
    with pytest.raises(UserError, match="no dataset 'volumes/labels', and its server does not list"):
        open_volume("gs://zarr3", "volumes/labels")
