"""Fingerprints: equal for equal volumes wherever they lie, and different for different ones."""

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, fingerprint, fingerprints, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

SHAPE, VOXEL_SIZE, OFFSET = (9, 20, 31), (20, 9, 4.6), (40, -9, 0)


def make(container, values, voxel_size=VOXEL_SIZE, offset=OFFSET, chunks=None):
    volume = create_volume(str(container), "raw", values.shape, voxel_size, offset, values.dtype, chunks=chunks)
    volume.write(volume.box, values)
    return volume


@pytest.fixture
def values():
    return np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)


def test_place_name_and_chunks_do_not_count(values, tmp_path):
    first = fingerprint(make(tmp_path / "a.zarr", values))
    assert fingerprint(make(tmp_path / "b.zarr", values, chunks=(4, 5, 6))) == first
    (tmp_path / "a.zarr").rename(tmp_path / "c.zarr")
    assert fingerprint(open_volume(str(tmp_path / "c.zarr"), "raw")) == first


def test_one_voxel_counts_and_so_do_place_and_size_in_the_world(values, tmp_path):
    prints = {fingerprint(make(tmp_path / "a.zarr", values)),
              fingerprint(make(tmp_path / "b.zarr", values, voxel_size=(20, 9, 4.5))),
              fingerprint(make(tmp_path / "c.zarr", values, offset=(40, -9, 4.6))),
              fingerprint(make(tmp_path / "d.zarr", values.astype(np.uint16)))}
    values[8, 19, 30] ^= 1
    prints.add(fingerprint(make(tmp_path / "e.zarr", values)))
    assert len(prints) == 5


def test_of_large_volumes_a_sample_counts_that_holds_both_ends(values, tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "WHOLE", 1000)
    monkeypatch.setattr(fingerprints, "SIDE", 4)
    monkeypatch.setattr(fingerprints, "SAMPLES", 8)
    volume = make(tmp_path / "a.zarr", values)
    before = fingerprint(volume)
    assert fingerprint(make(tmp_path / "b.zarr", values)) == before
    read = sum(1 for _ in fingerprints._looked_at(volume))
    assert read == 10
    looked_at = np.zeros(SHAPE, bool)
    for box in fingerprints._looked_at(volume):
        looked_at[box.slices] = True
    assert 0 < looked_at.sum() < looked_at.size / 2
    for place in ((0, 0, 0), (8, 19, 30)):
        volume.write(Box.of_shape((1, 1, 1), place), np.full((1, 1, 1), 255 - values[place], np.uint8))
        assert fingerprint(volume) != before
        volume.write(Box.of_shape((1, 1, 1), place), values[place].reshape(1, 1, 1))
    assert fingerprint(volume) == before


def test_a_damaged_chunk_is_named(values, tmp_path):
    volume = make(tmp_path / "a.zarr", values, chunks=(4, 5, 6))
    chunk = tmp_path / "a.zarr" / "raw" / "1.2.3"
    chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(UserError, match=r"raw: chunk 1\.2\.3 cannot be read"):
        fingerprint(volume)
