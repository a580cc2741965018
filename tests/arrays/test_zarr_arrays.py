"""zarr's metadata: what is repaired, what is refused; absent chunks; chunks that hold too much."""

import gzip
import json
import pickle

import numcodecs
import numpy as np
import pytest
import zarr

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError


def change(sample, **keys) -> None:
    """Set keys of raw's .zarray; None removes, ``...`` is null."""
    file = sample.container / "volumes/raw/.zarray"
    meta = {**json.loads(file.read_text()), **keys}
    file.write_text(json.dumps({k: None if v is ... else v for k, v in meta.items() if v is not None}))


def nest(directory) -> None:
    for chunk in [p for p in directory.iterdir() if p.name[0].isdecimal()]:
        target = directory / chunk.name.replace(".", "/")
        if target != chunk:
            target.parent.mkdir(parents=True, exist_ok=True)
            chunk.rename(target)


@pytest.mark.parametrize("value", [..., None, 0])
def test_absent_chunks_are_zero(sample, value) -> None:
    change(sample, fill_value=value)
    (sample.container / "volumes/raw/1.1.1").unlink()
    expected = sample.raw.copy()
    expected[2:4, 3:6, 4:8] = 0
    for _ in range(5):
        _ = [np.full(expected.shape, 7, expected.dtype) for _ in range(50)]  # what uninitialised memory would be
        volume = open_volume(sample.container, "volumes/raw")
        np.testing.assert_array_equal(volume.read(), expected)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(), expected)


def test_a_fill_value_counts(sample) -> None:
    change(sample, fill_value=9)
    (sample.container / "volumes/raw/1.1.1").unlink()
    assert (open_volume(sample.container, "volumes/raw").read()[2:4, 3:6, 4:8] == 9).all()


@pytest.mark.parametrize(("text", "value"), [("NaN", np.nan), ("Infinity", np.inf), ("-Infinity", -np.inf), (..., 0)])
def test_fill_values_of_floats(sample, text, value) -> None:
    change(sample, dtype="<f4", fill_value=text)
    for chunk in (sample.container / "volumes/raw").glob("[0-9]*"):
        chunk.unlink()
    np.testing.assert_array_equal(open_volume(sample.container, "volumes/raw").read(), np.full((5, 7, 9), value, "f4"))


@pytest.mark.parametrize("said", [None, ".", "/"])
@pytest.mark.parametrize("nested", [False, True])
def test_chunks_are_found_however_they_are_named(sample, said, nested) -> None:
    change(sample, dimension_separator=said)
    if nested:
        nest(sample.container / "volumes/raw")
    np.testing.assert_array_equal(open_volume(sample.container, "volumes/raw").read(), sample.raw)


def test_chunks_of_both_names(sample) -> None:
    (sample.container / "volumes/raw/0/0").mkdir(parents=True)
    with pytest.raises(UserError, match=r"volumes/raw: has chunks named like 0\.0\.0 and others like 0/0/0"):
        open_volume(sample.container, "volumes/raw")


@pytest.mark.parametrize("keys", [
    {key: value} for key in ("shape", "chunks")
    for value in ([0, 7, 9], [-6, 7, 9], [10**12, 7, 9], [5, 7], [5, 7, 9, 1], [5.0, 7, 9], ["5", 7, 9], [True, 7, 9],
                  5, "5", {}, ...)
] + [{"fill_value": v} for v in ("NaN", "x", -1, 70000, [], {}, 0.5)]
  + [{"dtype": v} for v in ("|O", "<c8", "|S5", "<M8[s]", [["a", "<u2"]], 5, "nonsense", ...)]
  + [{"compressor": v} for v in ({"id": "unknown"}, {}, 5, "gzip", [1], {"id": "blosc", "cname": 5, "x": 1})]
  + [{"filters": v} for v in (5, "x", [5], [{"id": "nope"}])]
  + [{"zarr_format": v} for v in (3, 1, "x", True, [2], ...)]
  + [{"order": v} for v in ("X", 5)] + [{"dimension_separator": v} for v in ("-", 5)])
def test_metadata_that_is_nonsense(sample, keys) -> None:
    change(sample, **keys)
    with pytest.raises(UserError, match=r"sample\.zarr:volumes/raw"):
        open_volume(sample.container, "volumes/raw")
    assert open_volume(sample.container, "volumes/affs").channels == 3


def test_a_version_as_text(sample) -> None:
    change(sample, zarr_format="2")
    np.testing.assert_array_equal(open_volume(sample.container, "volumes/raw").read(), sample.raw)


CODECS = [None, numcodecs.Blosc(), numcodecs.GZip(), numcodecs.Zlib(), numcodecs.BZ2(), numcodecs.LZMA(), numcodecs.LZ4(),
          numcodecs.Zstd(), numcodecs.Blosc("zstd", shuffle=2)]


@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_a_chunk_is_not_decoded_beyond_its_size(sample, codec) -> None:
    array = zarr.open(str(sample.container / "b"), mode="w", shape=(4, 8, 8), chunks=(2, 8, 8), dtype="u2", compressor=codec)
    values = np.random.default_rng(1).integers(0, 9, (4, 8, 8)).astype("u2")
    array[:] = values
    volume = open_volume(sample.container, "b", voxel_size=(1, 1, 1))
    np.testing.assert_array_equal(volume.read(), values)
    bomb = np.zeros(2**23, "u1")
    (sample.container / "b/1.0.0").write_bytes(bytes(bomb[:2**20]) if codec is None else codec.encode(bomb))
    with pytest.raises(UserError, match=r"b: chunk 1\.0\.0 cannot be read"):
        volume.read()


def test_gzip_of_several_parts(sample) -> None:
    array = zarr.open(str(sample.container / "b"), mode="w", shape=(1, 8, 8), dtype="u1", compressor=numcodecs.GZip())
    array[:] = 0
    parts = [gzip.compress(bytes(range(n, n + 32))) for n in (0, 32)]
    (sample.container / "b/0.0.0").write_bytes(b"".join(parts))
    assert open_volume(sample.container, "b", voxel_size=(1, 1, 1)).read().ravel().tolist() == list(range(64))
