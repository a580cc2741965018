"""Chunks of HDF5 that are compared with their size: HDF5 itself does not.

It inflates a chunk to whatever its stream holds, and gives what was in memory for what is missing of a chunk that is too
short. So chunks that are deflated (gzip), shuffled or not, are decoded here, to exactly their size. All others are read by
HDF5: of those without a filter it reads as many bytes as belong; what it makes of other filters (lzf, szip, Fletcher-32,
plug-ins) is not compared.
"""

import itertools
import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFLATE, SHUFFLE = 1, 2  # HDF5's numbers


def read(dataset: Any, index: tuple[Any, ...]) -> Any:
    """``dataset[index]`` of a dataset of numbers; ``index`` has integers and slices.

    :raises Exception: if a chunk cannot be decoded, or is of another size
    """
    filters = _filters(dataset)
    if not all(map(_is_simple, index)) or not filters or not set(filters) <= {DEFLATE, SHUFFLE}:
        return dataset[index]
    whole = [*index, *(slice(None) for _ in dataset.shape[len(index):])]
    slices = [i if isinstance(i, slice) else slice(i, i + 1) for i in whole]
    begin, end, _ = zip(*(part.indices(size) for part, size in zip(slices, dataset.shape, strict=True)), strict=True)
    values = np.empty([max(0, e - b) for b, e in zip(begin, end, strict=True)], dataset.dtype)
    for place in itertools.product(*(range(b // c * c, e, c) for b, e, c in zip(begin, end, dataset.chunks, strict=True))):
        low = [max(b, p) for b, p in zip(begin, place, strict=True)]
        high = [min(e, p + c) for e, p, c in zip(end, place, dataset.chunks, strict=True)]
        to, of = (tuple(slice(a - o, z - o) for a, z, o in zip(low, high, origin, strict=True)) for origin in (begin, place))
        chunk = _decoded(dataset, place, filters)
        values[to] = dataset[tuple(map(slice, low, high))] if chunk is None else chunk[of]
    return values[tuple(0 if isinstance(i, int) else slice(None) for i in whole)]


def _is_simple(part: Any) -> bool:
    return part.step in (None, 1) if isinstance(part, slice) else isinstance(part, int) and part >= 0


def _filters(dataset: Any) -> list[int]:
    """The numbers of the filters of a chunk as it is written; -1 if its values are not stored as numpy has them."""
    import h5py

    if dataset.dtype.kind not in "uif" or h5py.h5t.py_create(dataset.dtype) != dataset.id.get_type():
        return [-1]
    created = dataset.id.get_create_plist()
    return [created.get_filter(number)[0] for number in range(created.get_nfilters())]


def _decoded(dataset: Any, place: tuple[int, ...], filters: list[int]) -> NDArray[Any] | None:
    """The chunk that begins at ``place``, whole; or None, if there is none, or HDF5 cannot read it, and says why."""
    try:
        skipped, content = dataset.id.read_direct_chunk(place)
    except (OSError, RuntimeError, ValueError):
        return None
    size = math.prod(dataset.chunks) * int(dataset.dtype.itemsize)
    for number in reversed(range(len(filters))):
        if skipped >> number & 1:
            continue
        if filters[number] == DEFLATE:
            content = _inflated(content, size)
        elif len(content) == size:
            content = np.frombuffer(content, np.uint8).reshape(dataset.dtype.itemsize, -1).T.tobytes()
    if len(content) != size:
        raise ValueError(f"{len(content)} bytes, where {size} belong")
    return np.frombuffer(content, dataset.dtype).reshape(dataset.chunks)


def _inflated(content: bytes, size: int) -> bytes:
    stream = zlib.decompressobj()
    values = stream.decompress(content, size + 1)
    if len(values) > size:
        raise ValueError(f"more than the {size} bytes that belong there")
    if not stream.eof:
        raise ValueError("incomplete")
    return values
