"""zarr 3 and precomputed, which tensorstore reads: from files, over HTTP, from buckets."""

import json
import multiprocessing
import pickle
import struct

import boto3
import numpy as np
import pytest
import zarr
from moto.server import ThreadedMotoServer

from lsd_experiments.arrays import find_volume, fingerprint, list_datasets, open_volume
from lsd_experiments.arrays.opening import is_one_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

DATASETS = {"zarr3": "volumes/raw", "sharded3": "volumes/raw", "turned3": "volumes/raw", "ome": "em", "raw": "", "jpeg": "",
            "png": "", "segmentation": "", "sharded": ""}
KINDS = {name: "zarr3" if name.endswith("3") or name == "ome" else "precomputed" for name in DATASETS}


def check(volume, raw, name) -> None:
    wanted = raw.astype(np.uint64) << 40 if name == "segmentation" else raw
    tolerance = {"atol": 12} if name == "jpeg" else {"atol": 0}
    assert (volume.voxel_size, volume.offset) == ((40, 10, 4.6), (120, 30, 0))
    assert (volume.shape, volume.dtype, volume.channels) == (raw.shape, wanted.dtype, None)
    assert volume.chunks == ((2, 4, 3) if KINDS[name] == "zarr3" else (2, 3, 4))
    values = volume.read(Box((-1, 2, 3), (4, 5, 9)), fill=1)
    assert (values[0] == 1).all()
    assert (values[..., 4:] == 1).all()
    np.testing.assert_allclose(values[1:, :, :4].astype(float), wanted[:4, 2:5, 3:].astype(float), rtol=0, **tolerance)
    np.testing.assert_allclose(volume.read().astype(float), wanted.astype(float), rtol=0, **tolerance)


@pytest.mark.parametrize("name", DATASETS)
def test_files(trees, raw, name) -> None:
    volume = open_volume(trees / name, DATASETS[name])
    check(volume, raw, name)
    check(open_volume(*volume.place), raw, name)
    check(open_volume(f"file://{trees / name}", "-"), raw, name)
    assert open_volume(f"{KINDS[name]}://{trees / name}", "-").place == volume.place
    assert fingerprint(open_volume(trees / name, "-")) == fingerprint(volume)


def test_scale_levels(trees, raw) -> None:
    assert list_datasets(trees / "raw") == ["scale1", "scale2"]
    assert list_datasets(trees / "ome") == ["em/0", "em/1"]
    for name, dataset in (("raw", "scale2"), ("ome", "em/1")):
        volume = open_volume(trees / name, dataset)
        assert volume.voxel_size == (40, 20, 9.2)
        np.testing.assert_allclose(volume.offset, (120, 20 if name == "raw" else 30, 0), atol=1e-9)
        np.testing.assert_array_equal(volume.read(), raw[:, ::2, ::2])
    assert is_one_volume(str(trees / "raw"))
    assert not is_one_volume(str(trees / "ome"))
    assert open_volume(trees / "raw", default="volumes/raw").shape == raw.shape
    assert find_volume(trees / "raw", "volumes/labels/labels_mask") is None
    with pytest.raises(UserError, match=r"raw: no dataset 'scale3'; did you mean 'scale2'\? It holds scale1, scale2"):
        open_volume(trees / "raw", "scale3")
    with pytest.raises(UserError, match="only zarr is written"):
        open_volume(trees / "raw", writable=True)


def test_channels(trees, raw) -> None:
    volume = open_volume(trees / "channels3", "volumes/raw")
    assert volume.channels == 2
    np.testing.assert_array_equal(volume.read(Box((1, 2, 3), (4, 8, 6))), np.stack([raw, 255 - raw])[:, 1:4, 2:8, 3:6])


@pytest.mark.parametrize("name", ["sharded3", "jpeg"])
def test_other_processes(trees, raw, name) -> None:
    """Workers of a training are forked, with volumes that were read before; those of stages get them pickled, or by name."""
    volume = open_volume(trees / name, DATASETS[name])
    whole = volume.read()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(), whole)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for values in pool.map(volume.read, [volume.box] * 3):
            np.testing.assert_array_equal(values, whole)
    np.testing.assert_array_equal(volume.read(), whole)


@pytest.mark.parametrize("name", DATASETS)
def test_http(server, raw, name) -> None:
    check(open_volume(f"{server.url}/{name}", DATASETS[name]), raw, name)
    check(open_volume(f"{KINDS[name]}://{server.url}/{name}/", DATASETS[name]), raw, name)
    pipe = {"precomputed": "neuroglancer-precomputed"}.get(KINDS[name], KINDS[name])
    volume = open_volume(f"{server.url}/{name}/|{pipe}:", DATASETS[name])
    assert volume.container == f"{KINDS[name]}://{server.url}/{name}"


@pytest.mark.parametrize("name", ["sharded3", "sharded", "jpeg"])
def test_google(google, raw, name) -> None:
    volume = open_volume(f"gs://{name}", DATASETS[name])
    check(volume, raw, name)
    assert volume.container == f"gs://{name}"


@pytest.fixture(scope="module")
def amazon(trees):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    client.create_bucket(Bucket="data")
    for name in ("sharded3", "ome", "png"):
        for file in (trees / name).rglob("*"):
            if file.is_file():
                client.upload_file(str(file), "data", f"in/{file.relative_to(trees)}", {"ACL": "public-read"})
    yield url
    server.stop()


@pytest.mark.parametrize("name", ["sharded3", "ome", "png"])
def test_amazon(amazon, raw, name, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", amazon)
    check(open_volume(f"s3://data/in/{name}", DATASETS[name]), raw, name)
    check(open_volume(f"{KINDS[name]}://s3://data/in/{name}", "-"), raw, name)


def test_a_part_of_a_huge_volume(google, trees, raw) -> None:
    """An exavoxel, of which one chunk was ever written: opening asks for metadata, reading for the chunks of the box."""
    info = json.loads((trees / "raw/info").read_text())
    place = {"size": [2**20] * 3, "chunk_sizes": [[64] * 3], "key": "there", "voxel_offset": [0, 0, 0]}
    info["scales"] = [info["scales"][0] | place]
    (trees / "huge/there").mkdir(parents=True)
    (trees / "huge/info").write_text(json.dumps(info))
    chunk = np.arange(64**3, dtype=np.uint32).astype(np.uint8).reshape(64, 64, 64)
    (trees / "huge/there/640000-640064_320000-320064_6400-6464").write_bytes(chunk.tobytes())
    volume = open_volume("precomputed://gs://huge")
    assert google.asked == ["huge/info"] * 3
    google.asked.clear()
    values = volume.read(Box((6399, 320000, 640060), (6402, 320003, 640064)))
    np.testing.assert_array_equal(values, np.concatenate([np.zeros((1, 3, 4), np.uint8), chunk[:2, :3, 60:]]))
    assert len(google.asked) == 2
    google.asked.clear()
    assert fingerprint(volume).startswith("sha256:")
    assert 2 <= len(google.asked) <= 66


def test_chunks_that_a_program_wrote_by_hand(tmp_path) -> None:
    """Two labels in a block of compressed_segmentation, by neuroglancer's description of it; and plain zarr 3."""
    labels = np.zeros((8, 8, 8), np.uint64)
    labels[2, 3, 4:] = 2**63 + 5
    words = [sum(int(labels.ravel()[32 * w + bit] != 0) << bit for bit in range(32)) for w in range(16)]
    table = 2 + len(words)
    content = struct.pack("<I", 1) + struct.pack("<II", table | 1 << 24, 2) + struct.pack("<16I", *words)
    content += struct.pack("<QQ", 0, 2**63 + 5)
    scale = {"key": "a", "size": [8, 8, 8], "resolution": [4, 5, 30], "voxel_offset": [10, 20, -3], "chunk_sizes": [[8, 8, 8]],
             "encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 8, 8]}
    info = {"type": "segmentation", "data_type": "uint64", "num_channels": 1, "scales": [scale], "mesh": "mesh"}
    (tmp_path / "a").mkdir()
    (tmp_path / "info").write_text(json.dumps(info))
    (tmp_path / "a/10-18_20-28_-3-5").write_bytes(content)
    volume = open_volume(tmp_path)
    assert (volume.voxel_size, volume.offset) == ((30, 5, 4), (-90, 100, 40))
    np.testing.assert_array_equal(volume.read(), labels)
    meta = {"zarr_format": 3, "node_type": "array", "shape": [2, 3, 4], "data_type": "int16", "fill_value": 7,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 3, 4]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": [{"name": "bytes", "configuration": {"endian": "big"}}],
            "attributes": {"voxel_size": [30, 5, 4], "units": ["nm"] * 3}}
    (tmp_path / "plain/c/1/0").mkdir(parents=True)
    (tmp_path / "plain/zarr.json").write_text(json.dumps(meta))
    (tmp_path / "plain/c/1/0/0").write_bytes(np.arange(12, dtype=">i2").tobytes())
    plain = open_volume(tmp_path / "plain")
    assert plain.voxel_size == (30, 5, 4)
    np.testing.assert_array_equal(plain.read(), [np.full((3, 4), 7), np.arange(12).reshape(3, 4)])


@pytest.fixture(scope="module")
def older(trees, raw):
    """zarr 2 and N5; the latter has no attributes at its root."""
    with pytest.warns(FutureWarning, match="N5Store is deprecated"):
        n5 = zarr.N5Store(str(trees / "old_n5"))
    for store, order in ((zarr.DirectoryStore(str(trees / "old.zarr")), 1), (n5, -1)):
        made = zarr.open_group(store, mode="w").create_dataset("volumes/raw", data=raw, chunks=(2, 4, 3))
        made.attrs.put({"resolution": [40, 10, 4.6][::order], "offset": [120, 30, 0][::order]})
    (trees / "old_n5/attributes.json").unlink()
    (trees / "old_n5/volumes/attributes.json").unlink()


def test_zarr_2_and_n5_by_their_own_library(older, trees, google, raw) -> None:
    for name in (trees / "old_n5", f"n5://{trees}/old_n5", f"n5://{google.url}/old_n5", "n5://gs://old_n5", "gs://old.zarr",
                 f"zarr://{google.url}/old.zarr", f"zarr2://{trees}/old.zarr"):
        volume = open_volume(name, "volumes/raw")
        assert isinstance(volume.array, zarr.Array)
        assert (volume.voxel_size, volume.offset) == ((40, 10, 4.6), (120, 30, 0))
        np.testing.assert_array_equal(volume.read(), raw)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(), raw)
    zarr.consolidate_metadata(zarr.DirectoryStore(str(trees / "old.zarr")))
    assert list_datasets("gs://old.zarr") == ["volumes/raw"]
    with pytest.raises(UserError, match=r"gs://old_n5: may be read, but its server does not list what is there. Name the d"):
        open_volume("n5://gs://old_n5")
