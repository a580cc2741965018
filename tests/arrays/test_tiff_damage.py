"""Damaged TIFF: the values that are there, or one line; never another error, and never fewer sections without a word."""

import numpy as np
import pytest
import tifffile

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError

NM = (40.0, 10.0, 4.6)
SIZES = {"PhysicalSizeZ": 0.04, "PhysicalSizeY": 0.01, "PhysicalSizeX": 0.0046}
WAYS = {
    "plain": {},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 0.04, "unit": "um"}, "resolution": (100, 100)},
    "ome": {"ome": True, "metadata": {"axes": "ZYX", **SIZES}},
    "lzw": {"compression": "lzw", "metadata": None},
    "bigtiff": {"bigtiff": True, "compression": "zlib"},
    "tiles": {"tile": (16, 16), "compression": "zstd"},
    "pages": None,
}


@pytest.fixture
def stack():
    return np.arange(20 * 7 * 9, dtype=np.uint16).reshape(20, 7, 9)


@pytest.fixture(params=WAYS)
def written(request, tmp_path, stack):
    """A file, and what it holds."""
    options = WAYS[request.param]
    if options is None:
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            for section in stack:
                writer.write(section)
    else:
        tifffile.imwrite(tmp_path / "a.tif", stack, **options)
    return tmp_path / "a.tif"


def outcome(path, stack, caplog):
    """What comes of reading ``path``."""
    caplog.clear()
    try:
        found = open_volume(path, voxel_size=NM).read()
    except UserError as error:
        return "refused" if str(path) in str(error) and "\n" not in str(error) else f"unclear: {error}"
    if found.shape != stack.shape or found.dtype != stack.dtype:
        return "said" if caplog.text else f"{found.dtype} of {found.shape} without a word"
    return "same" if (found == stack).all() else "other values"


def test_a_file_that_was_cut_off_is_refused(written, stack, caplog):
    whole = written.read_bytes()
    assert outcome(written, stack, caplog) == "same"
    for length in np.linspace(0, 0.99 * len(whole), 60).astype(int):  # the very last bytes may be padding
        written.write_bytes(whole[:length])
        assert outcome(written, stack, caplog) == "refused", f"{length} of {len(whole)} bytes"


def test_bits_and_bytes_that_changed(written, stack, caplog):
    """Pixels without a checksum may be others; their number and type may not."""
    whole = written.read_bytes()
    random = np.random.default_rng(14)
    found = []
    for number in range(120):
        damaged = bytearray(whole)
        place = int(random.integers(min(400, len(whole)) if number % 2 else len(whole)))
        if number % 3:
            damaged[place] ^= 1 << int(random.integers(8))
        else:
            damaged[place:place + 64] = bytes(len(damaged[place:place + 64]))
        written.write_bytes(damaged)
        found.append(outcome(written, stack, caplog))
    assert {*found} <= {"refused", "said", "same", "other values"}
    assert found.count("refused") > 20


def test_a_chain_of_pages_that_ends_early_is_said(tmp_path, stack, caplog):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for section in stack:
            writer.write(section, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        place = file.pages[11].offset + 2 + 12 * len(file.pages[11].tags)
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(place)
        file.write(bytes(4))
    assert open_volume(tmp_path / "a.tif", voxel_size=NM).shape == (12, 7, 9)
    assert "bytes that belong to none: it may hold more sections" in caplog.text


def test_pages_that_go_round_in_a_circle(tmp_path, stack):
    tifffile.imwrite(tmp_path / "a.tif", stack, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        place = file.pages[11].offset + 2 + 12 * len(file.pages[11].tags)
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(place)
        file.write((8).to_bytes(4, "little"))
    with pytest.raises(UserError, match=r"a.tif: its pages go round in a circle"):
        open_volume(tmp_path / "a.tif", voxel_size=NM)


@pytest.mark.parametrize(("stored", "claim"), [("SizeZ", (20, 40)), ("SizeZ", (20, 10)), ("SizeC", (1, 2)), ("SizeT", (1, 3))])
def test_ome_that_speaks_of_other_sections(tmp_path, stack, stored, claim):
    """As one of several files does, or one whose last sections were never written."""
    tifffile.imwrite(tmp_path / "a.tif", stack, ome=True, metadata={"axes": "ZYX"})
    whole = (tmp_path / "a.tif").read_bytes()
    before, after = (f'{stored}="{number}"'.encode() for number in claim)
    assert whole.count(before) == 1
    (tmp_path / "a.tif").write_bytes(whole.replace(before, after))
    with pytest.raises(UserError, match=r"a.tif: its metadata speak of \d+ sections, and it holds 20"):
        open_volume(tmp_path / "a.tif", voxel_size=NM)
