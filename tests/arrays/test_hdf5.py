"""HDF5, chunked and not, and what is damaged."""

import multiprocessing
import resource
import zlib

import h5py
import numpy as np
import pytest

from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box


@pytest.fixture
def file(tmp_path, sample):
    """As gunpowder writes snapshots, and big-endian labels beside."""
    path = tmp_path / "batch_1.hdf"
    with h5py.File(path, "w") as root:
        arrays = {"volumes/raw": sample.raw, "volumes/gt_affinities": sample.affs,
                  "volumes/labels/neuron_ids": sample.raw.astype(">u8") + 2**63}
        for name, array in arrays.items():
            made = root.create_dataset(name, data=array, compression="gzip", chunks=(*(1,) * (array.ndim - 3), 2, 7, 9))
            made.attrs["resolution"], made.attrs["offset"] = sample.voxel_size, sample.offset
        root["plain"] = sample.raw
        root["plain"].attrs["voxel_size"] = (8, 8, 8)
        root["note"] = "a text"
    return path


def test_reading(file, sample) -> None:
    raw = open_volume(file, "volumes/raw")
    assert (raw.shape, raw.channels, raw.chunks) == ((5, 7, 9), None, (2, 7, 9))
    assert (raw.voxel_size, raw.offset) == (sample.voxel_size, sample.offset)
    np.testing.assert_array_equal(raw.read(), sample.raw)
    affs = open_volume(file, "/volumes/gt_affinities")
    assert affs.channels == 3
    np.testing.assert_array_equal(affs.read(Box((1, 2, 3), (4, 5, 9))), sample.affs[:, 1:4, 2:5, 3:9])


def test_big_endian_becomes_native(file, sample) -> None:
    labels = open_volume(file, "volumes/labels/neuron_ids")
    assert labels.dtype == np.dtype("uint64")
    assert labels.read().dtype.isnative
    np.testing.assert_array_equal(labels.read(), sample.raw.astype(np.uint64) + 2**63)


def test_synonyms_and_defaults(file) -> None:
    plain = open_volume(file, "plain")
    assert (plain.voxel_size, plain.offset, plain.chunks) == ((8, 8, 8), (0, 0, 0), None)


def test_datasets_are_listed(file) -> None:
    assert list_datasets(file) == ["plain", "volumes/gt_affinities", "volumes/raw", "volumes/labels/neuron_ids"]
    with pytest.raises(UserError, match="no dataset 'volumes/rae'; did you mean 'volumes/raw'"):
        open_volume(file, "volumes/rae")


def test_a_damaged_chunk_is_named(file, sample) -> None:
    with h5py.File(file) as root:
        where = root["volumes/raw"].id.get_chunk_info_by_coord((2, 0, 0))
    with file.open("r+b") as damaged:
        damaged.seek(where.byte_offset)
        damaged.write(b"\0" * where.size)
    volume = open_volume(file, "volumes/raw")
    with pytest.raises(UserError, match=r"batch_1.hdf:volumes/raw: chunk 1.0.0 cannot be read"):
        volume.read()
    np.testing.assert_array_equal(volume.read(Box((0, 0, 0), (2, 7, 9))), sample.raw[:2])


def test_what_is_no_hdf5(tmp_path) -> None:
    (tmp_path / "broken.h5").write_bytes(b"not HDF5")
    with pytest.raises(UserError, match=r"broken.h5: cannot be read as HDF5"):
        open_volume(tmp_path / "broken.h5", "volumes/raw")


def test_it_is_not_written(file) -> None:
    with pytest.raises(UserError, match="only zarr is written"):
        open_volume(file, "volumes/raw", writable=True)


def test_a_forked_process_reads(file, sample) -> None:
    volume = open_volume(file, "volumes/raw")
    volume.read()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for values in pool.map(volume.read, [volume.box] * 4):
            np.testing.assert_array_equal(values, sample.raw)


LAYOUTS = {
    "gzip": {"compression": "gzip"}, "shuffled": {"compression": "gzip", "shuffle": True}, "only shuffled": {"shuffle": True},
    "plain": {}, "lzf": {"compression": "lzf"}, "fletcher32": {"compression": "gzip", "fletcher32": True},
    "scaleoffset": {"scaleoffset": 0},  # HDF5 1.14.6 does not read it again where uint8 has a fill value
}


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<i4", "u8", "f2", ">f4", "bool"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_chunks_of_all_kinds(tmp_path, layout, dtype) -> None:
    """With chunks that are not there, and some that were written without their filter."""
    if layout == "scaleoffset" and dtype not in ("<i4", "u8"):
        pytest.skip("for integers")
    values = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 200, (2, 5, 7, 9)).astype(dtype)
    fill = 0 if dtype == "bool" else 3
    with h5py.File(tmp_path / "a.h5", "w") as root:
        made = root.create_dataset("a", values.shape, dtype, chunks=(1, 2, 4, 5), fillvalue=fill, **LAYOUTS[layout])
        made[:, :4] = values[:, :4]
        values[:, 4] = fill
        if layout == "gzip":
            made.id.write_direct_chunk((0, 2, 4, 5), np.ones((1, 2, 4, 5), dtype).tobytes(), filter_mask=1)
            values[0, 2:4, 4:, 5:] = 1
        made.attrs["resolution"] = (40, 10, 5)
    volume = open_volume(tmp_path / "a.h5", "a")
    np.testing.assert_array_equal(volume.read(), values)
    np.testing.assert_array_equal(volume.read(Box((1, 3, 2), (4, 6, 8))), values[:, 1:4, 3:6, 2:8])
    for index in ((0, slice(1, 3), 2, slice(None)), (1,), (slice(None), slice(None), slice(0, 7, 3)), (1, slice(2, 2)),
                  (-1, slice(-3, None), 2)):
        np.testing.assert_array_equal(volume.array[index], values[index])


SIZE = 2 * 7 * 9 * 2  # bytes of a chunk
WRONG = {
    "bomb": zlib.compress(bytes(2**26)), "a voxel more": zlib.compress(bytes(SIZE + 2)),
    "a voxel less": zlib.compress(bytes(SIZE - 2)), "nothing": zlib.compress(b""),
    "cut off": zlib.compress(bytes(range(SIZE)))[:-4], "no stream": b"x" * 40,
}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_a_chunk_is_of_its_size(tmp_path, sample, content, shuffle) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as root:
        made = root.create_dataset("a", data=sample.raw, chunks=(2, 7, 9), compression="gzip", shuffle=shuffle)
        made.attrs["resolution"] = (40, 10, 5)
        made.id.write_direct_chunk((2, 0, 0), content)
    volume = open_volume(tmp_path / "a.h5", "a")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"a.h5:a: chunk 1.0.0 cannot be read"):
        volume.read()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB; HDF5 took 64 MiB and more
    np.testing.assert_array_equal(volume.read(Box((0, 0, 0), (2, 7, 9))), sample.raw[:2])
