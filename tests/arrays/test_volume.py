"""Reading: what a box gives, inside, partly outside and wholly outside; damaged chunks."""

import itertools
import pickle
import shutil

import numcodecs
import numpy as np
import pytest
import zarr

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box


def test_metadata(sample) -> None:
    raw, affs = open_volume(sample.container, "volumes/raw"), open_volume(sample.container, "volumes/affs")
    assert raw.name == f"{sample.container}:volumes/raw"
    assert (raw.shape, raw.channels, raw.dtype, raw.chunks) == ((5, 7, 9), None, np.uint16, (2, 3, 4))
    assert (raw.voxel_size, raw.offset) == (sample.voxel_size, sample.offset)
    assert raw.end == pytest.approx((120 + 5 * 40, 30 + 7 * 10, 12 * 4.6))
    assert (affs.shape, affs.channels, affs.chunks) == ((5, 7, 9), 3, (2, 3, 4))


@pytest.mark.parametrize("begin", list(itertools.product((-3, 0, 2), (-8, -1, 3), (-2, 4, 20))))
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4), (9, 9, 30)])
def test_a_box_is_the_padded_array_there(sample, begin, shape) -> None:
    margin = 60
    for dataset, array in (("volumes/raw", sample.raw), ("volumes/affs", sample.affs)):
        box = Box.of_shape(shape, begin)
        pad = [(0, 0)] * (array.ndim - 3) + [(margin, margin)] * 3
        padded = np.pad(array, pad, constant_values=7)
        expected = padded[(..., *box.shift((margin,) * 3).slices)]
        read = open_volume(sample.container, dataset).read(box, fill=7)
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, expected)


def test_all_of_it(sample) -> None:
    np.testing.assert_array_equal(open_volume(sample.container, "volumes/raw").read(), sample.raw)
    np.testing.assert_array_equal(open_volume(sample.container, "volumes/affs").read(), sample.affs)


def test_ids_above_2_to_the_63(sample) -> None:
    labels = open_volume(sample.container, "volumes/labels/neuron_ids")
    assert labels.dtype == np.uint64
    assert int(labels.read(Box((4, 6, 8), (5, 7, 9)))[0, 0, 0]) == 2**63 + 314


def test_a_crop_has_nothing_outside(sample) -> None:
    crop = open_volume(sample.container, "volumes/raw").crop(Box((1, 2, 3), (3, 6, 5)))
    assert crop.shape == (2, 4, 2)
    assert crop.offset == pytest.approx((160, 50, 6 * 4.6))
    np.testing.assert_array_equal(crop.read(), sample.raw[1:3, 2:6, 3:5])
    np.testing.assert_array_equal(crop.crop(Box((1, 1, 0), (2, 2, 2))).read(), sample.raw[2:3, 3:4, 3:5])
    outside = crop.read(Box((-1, 0, 0), (0, 4, 2)), fill=9)
    assert (outside == 9).all()
    assert (sample.raw[0, 2:6, 3:5] != 9).all()  # it is the crop that hides these


def test_a_volume_can_be_sent_to_another_process(sample) -> None:
    sent = pickle.loads(pickle.dumps(open_volume(sample.container, "volumes/raw")))
    np.testing.assert_array_equal(sent.read(), sample.raw)


@pytest.mark.parametrize("content", [b"", b"not compressed", None], ids=["empty", "noise", "truncated"])
@pytest.mark.parametrize("compressor", [numcodecs.Blosc(), numcodecs.GZip(5), numcodecs.Zstd(), numcodecs.LZ4(), None],
                         ids=str)
def test_a_damaged_chunk_is_named(sample, content, compressor) -> None:
    group = zarr.open_group(str(sample.container), mode="a")["volumes"]
    made = group.create_dataset("affs", data=sample.affs, chunks=(1, 2, 3, 4), compressor=compressor, overwrite=True)
    made.attrs["resolution"] = [40, 10, 4.6]
    chunk = sample.container / "volumes/affs/2.1.0.1"
    chunk.write_bytes(chunk.read_bytes()[:-8] if content is None else content)
    volume = open_volume(sample.container, "volumes/affs")
    with pytest.raises(UserError, match=r"sample.zarr:volumes/affs: chunk 2\.1\.0\.1 cannot be read"):
        volume.read()
    np.testing.assert_array_equal(volume.read(Box((0, 0, 0), (2, 3, 4))), sample.affs[:, :2, :3, :4])  # the others can


def test_a_chunk_that_was_never_written_is_zero(sample) -> None:
    (sample.container / "volumes/raw/1.1.1").unlink()
    read = open_volume(sample.container, "volumes/raw").read()
    assert (read[2:4, 3:6, 4:8] == 0).all()
    assert read.sum() == sample.raw.sum() - sample.raw[2:4, 3:6, 4:8].sum()


def test_opening_reads_no_chunk(sample) -> None:
    for chunk in (sample.container / "volumes/raw").glob("*.*.*"):
        chunk.write_bytes(b"damaged")
    assert open_volume(sample.container, "volumes/raw").shape == (5, 7, 9)
    shutil.rmtree(sample.container / "volumes/raw")
    with pytest.raises(UserError, match="no dataset"):
        open_volume(sample.container, "volumes/raw")
