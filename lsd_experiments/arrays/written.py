"""Which chunks of a zarr volume were written, so that one that is gone, cut off, or another's is noticed.

    <dataset>/.blockwise/<host>.<pid>.<id>.jsonl   a line per block, appended by the process that wrote it
    <dataset>/.blockwise/chunks.npy                of a finished volume: [chunks along each axis] of checksum, size and time
    <dataset>/.blockwise/place.json                shape, type, voxel size and offset that it had then

It lies with the voxels, so that it moves and goes with them. A chunk's checksum is the CRC-32 of its voxels that gzip stores in
the file's last 8 bytes: to look at a chunk takes a few bytes of it. Chunks of zeros are written, too.
"""

import hashlib
import io
import itertools
import json
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.volume import Volume
from lsd_experiments.geometry import Box, to_nm
from lsd_experiments.writing import put_bytes, put_text, sync_directory

DIRECTORY = ".blockwise"  # as that of the container, which holds what is known of runs
CHUNK = np.dtype([("sum", "<u4"), ("size", "<u4"), ("changed", "<i8")])  # changed: when, in ns since 1970; 0 is not trusted
FRESH = 2 * 10**9  # ns; a file may change so soon after another change without another time
SYNCS = 8  # files at a time: the disk writes them together
GZIP_LEAST = 18  # bytes of a header and a trailer
SOUND, DAMAGED, OTHER = 0, 1, 2  # DAMAGED: gone or cut off; OTHER: whole, and not what was written


@dataclass(frozen=True)
class Faults:
    """Chunks of ``volume`` that are not what was written.

    ``kinds``: [chunks along each axis] of SOUND, DAMAGED and OTHER; ``identity``: what tells these changes from others, or "";
    ``place``: whether shape, type, voxel size or offset changed.
    """

    volume: Volume
    kinds: NDArray[np.uint8]
    identity: str
    place: bool

    def count(self, kind: int) -> int:
        """How many chunks are of ``kind``."""
        return int(np.count_nonzero(self.kinds == kind))

    def first(self, kind: int) -> str:
        """The first chunk of ``kind`` and where it is, and how many more there are."""
        index = tuple(int(i) for i in np.argwhere(self.kinds == kind)[0])
        more = self.count(kind) - 1
        return where(self.volume, index) + (f" and {more} more" if more else "")


def where(volume: Volume, index: tuple[int, ...]) -> str:
    """What messages call the chunk ``index``: its number along each axis, as its file is named, its voxels, and nm."""
    chunks = volume.array.chunks[-3:]
    begin = tuple(i * c for i, c in zip(index[-3:], chunks, strict=True))
    end = tuple(min(b + c, s) for b, c, s in zip(begin, chunks, volume.array.shape[-3:], strict=True))
    first = [o - f for o, f in zip(volume.offset, to_nm(volume.region.begin, volume.voxel_size), strict=True)]
    nm = [tuple(float(f"{o + n:.3f}") for o, n in zip(first, to_nm(voxels, volume.voxel_size), strict=True))
          for voxels in (begin, end)]
    return f"chunk {'.'.join(map(str, index))} (voxels {begin} to {end}, {nm[0]} to {nm[1]} nm)"


class Written:
    """The record of the chunks of ``volume``; see :func:`written_chunks`."""

    def __init__(self, volume: Volume) -> None:
        array = volume.array
        self._volume = volume
        self._chunks, self._itemsize = tuple(map(int, array.chunks)), int(array.dtype.itemsize)
        self._grid = tuple(-(-s // c) for s, c in zip(array.shape, self._chunks, strict=True))
        self._dataset = Path(str(array.store.path), str(array.path))
        self._directory = self._dataset / DIRECTORY
        self._separator = str(getattr(array, "_dimension_separator", None) or ".")
        self._lock = threading.Lock()
        self._log = self._directory / f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}.jsonl"

    @property
    def exists(self) -> bool:
        """Whether anything was recorded: versions before did not."""
        return bool(self._directory.is_dir())

    def note(self, box: Box) -> None:
        """Record that all chunks of ``box`` were written, as they are now: on the disk when this returns, and so is the record.

        :raises OSError: if a chunk is not there
        """
        begin = [0] * (len(self._chunks) - 3) + [b // c for b, c in zip(box.begin, self._chunks[-3:], strict=True)]
        stop = [*self._grid[:-3], *(-(-e // c) for e, c in zip(box.end, self._chunks[-3:], strict=True))]
        stop = [min(s, g) for s, g in zip(stop, self._grid, strict=True)]
        paths = [self._path(index) for index in itertools.product(*map(range, begin, stop))]
        with ThreadPoolExecutor(min(SYNCS, len(paths))) as pool:
            sums = list(pool.map(_sync_and_sum, paths))
        for directory in {path.parent for path in paths}:
            sync_directory(directory)
        self._append(json.dumps({"begin": begin, "end": stop, "sums": sums}) + "\n")

    def unwritten(self) -> Faults:
        """What is not as some process recorded it, of a volume that is not finished."""
        seen, whole = self._look(None)
        return self._faults(self._kinds(seen, whole), seen)

    def finish(self) -> Faults:
        """Put the records together, unless there are faults, which are given."""
        seen, whole = self._look(None)
        kinds = self._kinds(seen, whole)
        if not kinds.any():
            seen["changed"][seen["changed"] > time.time_ns() - FRESH] = 0
            put_bytes(self._directory / "chunks.npy", _npy(seen))
            put_text(self._directory / "place.json", json.dumps(_place(self._volume)))
            for log in self._directory.glob("*.jsonl"):
                log.unlink(missing_ok=True)
        return self._faults(kinds, seen)

    def check(self) -> Faults | None:
        """What is not as it was when the volume was finished; None if that is not known."""
        known = self._finished()
        if known is None:
            return None
        seen, whole = self._look(known)
        other = np.where(seen["sum"] == known["sum"], SOUND, OTHER)
        return self._faults(np.where(whole, other, DAMAGED).astype(np.uint8), seen)

    def blocks(self, kinds: NDArray[np.uint8], write_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Where in the grid of blocks of ``write_shape`` voxels a chunk is not SOUND, in order."""
        steps = np.array([w // c for w, c in zip(write_shape, self._chunks[-3:], strict=True)])
        places = np.unique(np.argwhere(kinds)[:, -3:] // steps, axis=0)
        return [tuple(map(int, place)) for place in places]

    def _append(self, line: str) -> None:
        """One line by one call, so that threads do not mix theirs; it is on the disk when this returns."""
        with self._lock:
            new = not self._log.exists()
            if new:
                self._directory.mkdir(exist_ok=True)
            file = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, line.encode())
                os.fsync(file)
            finally:
                os.close(file)
            if new:
                sync_directory(self._directory)
                sync_directory(self._dataset)

    def _path(self, index: tuple[int, ...]) -> Path:
        return Path(self._dataset, self._separator.join(map(str, index)))

    def _look(self, known: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Sum, size and time of each chunk, and whether it is whole; a file of a ``known`` size and time is not opened."""
        seen, whole = np.zeros(self._grid, CHUNK), np.zeros(self._grid, bool)
        size_of_one = math.prod(self._chunks) * self._itemsize % 2**32
        root = f"{self._dataset}/"
        for index in np.ndindex(self._grid):
            path = root + self._separator.join(map(str, index))
            try:
                stat = os.stat(path)  # noqa: PTH116 (of a million chunks)
                if known is not None and stat.st_ctime_ns == known[index]["changed"] and stat.st_size == known[index]["size"]:
                    seen[index], whole[index] = known[index], True
                    continue
                if stat.st_size < GZIP_LEAST:
                    continue
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                    file.seek(stat.st_size - 8)
                    crc, size = _sum(file.read(8))
            except (FileNotFoundError, NotADirectoryError):
                continue
            seen[index], whole[index] = (crc, stat.st_size, stat.st_ctime_ns), size == size_of_one
        return seen, whole

    def _kinds(self, seen: NDArray[Any], whole: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Of chunks that any process may have recorded, more than once."""
        keys = (np.arange(seen.size, dtype=np.uint64).reshape(self._grid) << np.uint64(32)) | seen["sum"].astype(np.uint64)
        recorded = np.concatenate([*self._recorded(), np.zeros(0, np.uint64)])
        return np.where(whole, np.where(np.isin(keys, recorded), SOUND, OTHER), DAMAGED).astype(np.uint8)

    def _recorded(self) -> Iterator[NDArray[np.uint64]]:
        """Number of a chunk << 32 | sum, of all records that there are."""
        known = self._finished()
        if known is not None:
            yield (np.arange(known.size, dtype=np.uint64) << np.uint64(32)) | known["sum"].ravel().astype(np.uint64)
        for log in sorted(self._directory.glob("*.jsonl")):
            for line in log.read_text(errors="replace").splitlines():
                try:
                    said = json.loads(line)
                    ranges = [np.arange(b, e) for b, e in zip(said["begin"], said["end"], strict=True)]
                    numbers = np.ravel_multi_index(np.ix_(*ranges), self._grid).ravel().astype(np.uint64)
                    yield (numbers << np.uint64(32)) | np.array(said["sums"], np.uint64)
                except (ValueError, KeyError, TypeError):  # the last one of a process that was killed
                    continue

    def _finished(self) -> NDArray[Any] | None:
        try:
            known: NDArray[Any] = np.load(self._directory / "chunks.npy", allow_pickle=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, EOFError):
            known = np.zeros(0, CHUNK)
        if known.dtype != CHUNK or known.shape != self._grid:  # damaged, or the array is another: nothing is as it was
            return np.zeros(self._grid, CHUNK)
        return known

    def _faults(self, kinds: NDArray[np.uint8], seen: NDArray[Any]) -> Faults:
        try:
            place = json.loads((self._directory / "place.json").read_text()) != _place(self._volume)
        except FileNotFoundError:
            place = False
        except ValueError:
            place = True
        identity = ""
        if place or (kinds == OTHER).any():
            others = np.flatnonzero(kinds == OTHER)
            changes = [_place(self._volume) if place else None, others.tolist(), seen["sum"].ravel()[others].tolist()]
            identity = hashlib.sha256(json.dumps(changes).encode()).hexdigest()[:8]
        return Faults(self._volume, kinds, identity, place)


def written_chunks(volume: Volume) -> Written | None:
    """The record of the chunks of ``volume``; None where none is kept: it is no zarr directory, or not of gzip's chunks."""
    import zarr

    array = volume.array
    store = getattr(array, "store", None)
    is_directory = isinstance(store, zarr.DirectoryStore) and not isinstance(store, zarr.n5.N5Store)
    if not is_directory or getattr(getattr(array, "compressor", None), "codec_id", "") != "gzip":
        return None
    return Written(volume)


def record_all(volume: Volume) -> None:
    """Record all chunks of ``volume`` as they are; they are on the disk when this returns.

    Nothing where no record is kept, or some were never written and stand for zeros.
    """
    written = written_chunks(volume)
    if written is not None:
        with suppress(FileNotFoundError):
            for slab in volume.box.blocks((volume.array.chunks[-3], *volume.shape[1:])):
                written.note(slab.intersect(volume.box))
            written.finish()


def _place(volume: Volume) -> list[Any]:
    """As JSON has it; of all of the array."""
    first = [o - f for o, f in zip(volume.offset, to_nm(volume.region.begin, volume.voxel_size), strict=True)]
    return [list(map(int, volume.array.shape)), str(volume.dtype), [round(float(v), 6) for v in volume.voxel_size],
            [round(float(o), 3) for o in first]]


def _sync_and_sum(path: Path) -> int:
    """The checksum of a chunk that is on the disk now."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
        return _sum(os.pread(file, 8, max(0, os.fstat(file).st_size - 8)))[0]
    finally:
        os.close(file)


def _sum(tail: bytes) -> tuple[int, int]:
    """What gzip's last 8 bytes say: CRC-32 and bytes of what was compressed."""
    return int.from_bytes(tail[:4], "little"), int.from_bytes(tail[4:8], "little")


def _npy(values: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()
