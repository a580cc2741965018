import errno
import zipfile

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.segmentation import lut_path, make_mappable, read_lut, threshold_range, write_lut
from lsd_experiments.segmentation.tables import ARRAY, find_table

LUT = np.array([[2, 5, 9], [2, 2, 9]], np.uint64)
UNSORTED = LUT[:, [2, 0, 1]]


def save(path, array, compressed=True, name=ARRAY):
    """As others do."""
    (np.savez_compressed if compressed else np.savez)(path, **{name: array})
    return path


def test_luts_have_the_published_names_and_content(tmp_path):
    path = lut_path(str(tmp_path), "hist_quant_75", 0.29)
    assert path.relative_to(tmp_path).as_posix() == "luts/fragment_segment/seg_edges_hist_quant_75_29.npz"
    write_lut(path, LUT)
    with np.load(path) as file:
        assert file.files == ["fragment_segment_lut"]
        np.testing.assert_array_equal(file["fragment_segment_lut"], LUT)
        assert file["fragment_segment_lut"].dtype == np.uint64
    assert zipfile.ZipFile(path).testzip() is None
    np.testing.assert_array_equal(read_lut(path), LUT)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_ours_are_mapped_read_only_and_aligned(tmp_path):
    write_lut(tmp_path / "lut.npz", LUT)
    lut = read_lut(tmp_path / "lut.npz")
    assert isinstance(lut, np.memmap)
    assert lut.flags.aligned
    assert lut.offset % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        lut[0, 0] = 1
    assert not isinstance(read_lut(save(tmp_path / "other.npz", LUT)), np.memmap)


def test_equal_tables_are_equal_files(tmp_path):
    for name in "ab":
        write_lut(tmp_path / name, LUT)
    write_lut(tmp_path / "c", LUT * np.uint64(2))
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_tables_are_written_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("lsd_experiments.segmentation.tables.ROWS", 7)
    lut = np.cumsum(np.ones((2, 100), np.uint64), axis=1)
    write_lut(tmp_path / "lut.npz", lut)
    np.testing.assert_array_equal(read_lut(tmp_path / "lut.npz"), lut)


def test_an_empty_table(tmp_path):
    write_lut(tmp_path / "lut.npz", LUT[:, :0])
    assert read_lut(tmp_path / "lut.npz").shape == (2, 0)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("array", [LUT, UNSORTED, LUT.astype(np.int64), UNSORTED.astype(">u8"), np.asfortranarray(UNSORTED)])
def test_tables_of_others_are_read_and_made_mappable(tmp_path, array, compressed):
    path = save(tmp_path / "lut.npz", array, compressed)
    np.testing.assert_array_equal(read_lut(path), LUT)
    assert find_table(path) is None or not find_table(path).ascends  # nothing vouches for it
    make_mappable(path)
    assert find_table(path).ascends
    np.testing.assert_array_equal(read_lut(path), LUT)


def test_a_mappable_table_is_left_alone(tmp_path):
    write_lut(tmp_path / "lut.npz", LUT)
    before = (tmp_path / "lut.npz").stat()
    make_mappable(tmp_path / "lut.npz")
    after = (tmp_path / "lut.npz").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_missing_luts_are_refused_with_what_is_there(tmp_path):
    for threshold in (0.1, 0.5):
        write_lut(lut_path(str(tmp_path), "mean", threshold), LUT)
    with pytest.raises(UserError, match=r"mean_30\.npz: no such look-up table.*there are thresholds 0\.1, 0\.5"):
        read_lut(lut_path(str(tmp_path), "mean", 0.3))
    for threshold in threshold_range((0, 1), 0.02):
        write_lut(lut_path(str(tmp_path), "hist_quant_50", threshold), LUT)
    with pytest.raises(UserError, match=r"there are 50 thresholds, the nearest 0\.4, 0\.42, 0\.44, 0\.46, 0\.48, 0\.5$"):
        read_lut(lut_path(str(tmp_path), "hist_quant_50", 0.452))


@pytest.mark.parametrize("compressed", [None, True, False])
def test_a_table_that_is_cut_off_anywhere_is_refused(tmp_path, compressed):
    path = tmp_path / "lut.npz"
    if compressed is None:
        write_lut(path, LUT)
    else:
        save(path, LUT, compressed)
    whole = path.read_bytes()
    np.testing.assert_array_equal(read_lut(path), LUT)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        for function in (read_lut, make_mappable):
            with pytest.raises(UserError, match=r"lut\.npz: not a look-up table, or cut off"):
                function(path)


@pytest.mark.parametrize("array", [LUT[0], LUT.T, LUT.astype(float), LUT[None]])
@pytest.mark.parametrize("compressed", [True, False])
def test_other_arrays_are_refused(tmp_path, array, compressed):
    with pytest.raises(UserError, match="not a look-up table"):
        read_lut(save(tmp_path / "lut.npz", array, compressed))


def test_damaged_tables_are_refused(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 no")
    save(tmp_path / "name.npz", LUT, name="lut")
    with zipfile.ZipFile(tmp_path / "empty.npz", "w") as file:
        file.writestr(f"{ARRAY}.npy", b"")
    for name in ("broken", "name", "empty"):
        with pytest.raises(UserError, match=f"{name}.npz: not a look-up table"):
            read_lut(tmp_path / f"{name}.npz")


def test_damaged_compressed_tables_are_refused_or_whole(tmp_path):
    whole = save(tmp_path / "lut.npz", LUT).read_bytes()
    refused = 0
    for position in range(len(whole)):
        (tmp_path / "lut.npz").write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1:])
        try:
            lut = read_lut(tmp_path / "lut.npz")
        except UserError:
            refused += 1
        else:
            np.testing.assert_array_equal(lut, LUT)
    assert refused > len(whole) / 2


def test_a_full_disk_leaves_nothing(small_disk):
    large = np.cumsum(np.ones((2, 10**5), np.uint64), axis=1)  # 1.6 MB
    write_lut(small_disk / "lut.npz", large[:, :10**4])
    with pytest.raises(OSError, match="No space left") as error:
        write_lut(small_disk / "lut.npz", large)
    assert error.value.errno == errno.ENOSPC
    assert "lut.npz" in error.value.filename
    assert [path.name for path in small_disk.iterdir()] == ["lut.npz"]
    assert read_lut(small_disk / "lut.npz").shape == (2, 10**4)  # the older one
