"""Gzip chunks: in one part as zarr and N5 write them, in several, and damaged."""

import gzip

import numpy as np
import pytest
from numcodecs import GZip

from lsd_experiments.arrays.codecs import GZIP_PART, CheckedGZip

VALUES = np.random.default_rng(0).integers(0, 4, 5000, np.uint8).tobytes()
WHOLE = gzip.compress(VALUES)
HALVES = gzip.compress(VALUES[:2500]) + gzip.compress(VALUES[2500:])


# Names do not tell the bytes: gzip notes the time in them.
@pytest.mark.parametrize("stored", [WHOLE, HALVES, gzip.compress(VALUES[:10]) + gzip.compress(VALUES[10:]), WHOLE + b"\x00" * 8,
                                    gzip.compress(GZIP_PART * 9 + VALUES[27:], 0), gzip.compress(b"")], ids=range(6))
def test_a_chunk_is_what_numcodecs_makes_of_it(stored) -> None:
    expected = GZip().decode(stored)
    assert bytes(CheckedGZip().decode(stored)) == bytes(expected)
    if len(expected):
        out = np.zeros(len(expected), np.uint8)
        CheckedGZip().decode(stored, out)
        assert out.tobytes() == bytes(expected)


@pytest.mark.parametrize("stored", [b"", WHOLE[:10], WHOLE[:-1], WHOLE[:-9], HALVES[:-20], WHOLE[:200] + b"\x00" + WHOLE[201:],
                                    WHOLE[:-8] + b"abcd" + WHOLE[-4:], WHOLE[:-4] + b"\xff\xff\xff\xff", WHOLE + b"more"],
                         ids=range(9))
def test_a_damaged_chunk_is_refused(stored) -> None:
    with pytest.raises(Exception, match=r"."):
        CheckedGZip().decode(stored, np.zeros(len(VALUES), np.uint8))
