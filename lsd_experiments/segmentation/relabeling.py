"""Replace fragments by their segments."""

import mmap

import numpy as np
from numpy.typing import NDArray


def relabel(fragments: NDArray[np.uint64], lut: NDArray[np.uint64], out: NDArray[np.uint64] | None = None) -> NDArray[np.uint64]:
    """The segments of ``fragments``; 0, and fragments that are not in the table, become 0.

    Of a memory-mapped table, only what the fragments need comes into memory, and it goes again.

    :param fragments: any shape
    :param lut: [2, n], with ascending fragment ids
    :param out: where to write them, of the same shape, contiguous; may be ``fragments`` (default: a new array)
    """
    from lsd_experiments.segmentation.relabel_kernels import look_up

    out = np.empty(fragments.shape, np.uint64) if out is None else out
    assert out.shape == fragments.shape, f"{out.shape} is not {fragments.shape}"
    assert out.flags.c_contiguous, "it would be written to a copy"
    if lut.shape[1]:
        ids, segments = (np.asarray(row) for row in lut)
        look_up(np.ascontiguousarray(fragments, np.uint64).reshape(-1), ids, segments, out.reshape(-1))
        _release(lut)
    else:
        out[...] = 0
    return out


def part_of(lut: NDArray[np.uint64], ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """[2, k] the rows of a table for ``ids``, of which some may be equal, ascending; in memory."""
    ids = np.unique(ids)
    return np.stack([ids, segments_of(ids, lut)])


def segments_of(ids: NDArray[np.uint64], lut: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """[k] the segment of each of ``ids`` [k]; 0 for 0, and for fragments that are not in the table.

    :param lut: [2, n], with ascending fragment ids
    """
    ids = np.asarray(ids, np.uint64)  # of another type, the search would convert all of the table
    segments = np.zeros(len(ids), np.uint64)
    if lut.shape[1] and len(ids):
        places = np.minimum(np.searchsorted(lut[0], ids), lut.shape[1] - 1)
        known = (lut[0][places] == ids) & (ids > 0)
        segments[known] = lut[1][places[known]]
        _release(lut)
    return segments


def _release(lut: NDArray[np.uint64]) -> None:
    """Let the pages of a memory-mapped table go, which would stay in this process until it ends; the file has them."""
    if isinstance(lut.base, mmap.mmap):
        lut.base.madvise(mmap.MADV_DONTNEED)
