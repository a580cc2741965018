"""Volumes that a stage writes block by block.

An output volume has two attributes: ``provenance`` (see :mod:`lsd_experiments.provenance`), written before its first
block, and ``finished``, the date on which its last block was done. Which chunks were written, see
:mod:`lsd_experiments.arrays.written`.
"""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, create_volume, open_volume
from lsd_experiments.arrays.creating import check_zarr
from lsd_experiments.arrays.written import DAMAGED, OTHER, Faults, written_chunks
from lsd_experiments.blockwise.blocks import block_number
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres, Voxels
from lsd_experiments.provenance import now
from lsd_experiments.stages.states import State, check_unchanged, state_of
from lsd_experiments.writing import sync

CHUNK = 64  # voxels per axis that chunks come near to
CHUNK_BYTES = 2**29  # of one chunk, at most: a worker holds some of them
BASE_MEMORY = 300 * 2**20  # bytes of a worker before its first block, without a network


@dataclass(frozen=True)
class VolumeArtifact:
    """A volume that a stage makes blockwise.

    :param write_shape: voxels that one block writes; chunks divide it, so that no two blocks write the same chunk
    :param attrs: attributes that it gets besides, for those who read it
    """

    container: str
    dataset: str
    shape: Voxels
    voxel_size: Nanometres
    offset: Nanometres
    dtype: str
    write_shape: Voxels
    channels: int | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.container}:{self.dataset}"

    @property
    def records(self) -> Path:
        """The directory that its blocks are recorded in: hidden in the container, so that they move together."""
        return records_directory(self.container, self.dataset)

    @property
    def bytes(self) -> int:
        """What its voxels take without compression."""
        return math.prod(self.shape) * (self.channels or 1) * np.dtype(self.dtype).itemsize

    def planned(self, provenance: Mapping[str, Any]) -> Volume:
        """The volume as it will be: for plans only, it cannot be read."""
        leading = () if self.channels is None else (self.channels,)
        array = Planned((*leading, *self.shape), np.dtype(self.dtype), (*leading, *chunk_shape(self.write_shape)))
        return Volume(self.container, self.dataset, array, self.voxel_size, self.offset, Box.of_shape(self.shape),
                      self.channels, {"provenance": dict(provenance), "finished": "planned"})

    def stored(self) -> dict[str, Any]:
        """What it says made it; empty if it is not there, or says nothing."""
        found = find_output(self.container, self.dataset)
        stored = found.attrs.get("provenance") if found is not None else None
        return stored if isinstance(stored, dict) else {}

    def state(self, made: Mapping[str, Any]) -> State:
        """What there is of it.

        :raises UserError: if something else is in its place, which is not ours to make anew
        """
        check_zarr(Path(self.container))
        found = find_output(self.container, self.dataset)
        if found is None and Path(self.container, self.dataset).exists():
            raise UserError(f"{self.name} is a group, not a dataset of its own. Name another dataset")
        if found is None:
            check_chunks(self)
            return State("new")
        state = state_of(self.name, found.attrs.get("provenance"), "finished" in found.attrs, made)
        return _state_of_chunks(found) if state.kind == "done" else state

    def prepare(self, made: Mapping[str, Any], anew: bool = False) -> None:
        """Create it unless it is there; it is not finished then.

        :raises UserError: if it is there, and was made with other parameters or from other inputs
        """
        found = find_output(self.container, self.dataset)
        if found is None or anew:
            check_chunks(self)
            _remove_leftovers(Path(self.container, self.dataset))
            create_volume(
                self.container, self.dataset, self.shape, self.voxel_size, self.offset, self.dtype, channels=self.channels,
                chunks=chunk_shape(self.write_shape), attrs={**self.attrs, "provenance": dict(made)}, overwrite=anew)
            return
        check_unchanged(self.name, found.attrs.get("provenance"), made)
        check_chunks(self, found.chunks)
        if "finished" in found.attrs:
            self._note_finished(None)

    def missing_blocks(self, done: NDArray[np.int64]) -> dict[str, list[int]]:
        """Those of the blocks ``done`` that have not written all of their chunks, or whose chunks are others."""
        written = written_chunks(open_volume(self.container, self.dataset)) if len(done) else None
        if written is None:
            return {}
        places = written.blocks(written.unwritten().kinds, self.write_shape)
        begins = [tuple(p * w for p, w in zip(place, self.write_shape, strict=True)) for place in places]
        found = {block_number(Box.of_shape(self.shape), self.write_shape, begin) for begin in begins}
        missing = sorted(found.intersection(done.tolist()))
        names = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        return {f"what they wrote is gone, or not as they wrote it (blocks {names})": missing}

    def finish(self) -> None:
        """Note that all blocks are done.

        :raises UserError: if a chunk is not what a block wrote
        """
        _finish_chunks(open_volume(self.container, self.dataset, writable=True))
        for left in Path(self.container, self.dataset).glob("*.partial"):  # chunks of workers that died while they wrote
            left.unlink(missing_ok=True)
        self._note_finished(now())

    def report(self) -> str:
        """Where it is."""
        return f"{self.container}: {self.dataset}"

    def _note_finished(self, when: str | None) -> None:
        attrs = open_volume(self.container, self.dataset, writable=True).array.attrs
        if when is None:
            del attrs["finished"]
        else:
            attrs["finished"] = when
        sync(Path(self.container, self.dataset, ".zattrs"))


@dataclass(frozen=True)
class Planned:
    """What a plan knows of an array that is not there yet."""

    shape: Voxels
    dtype: np.dtype[Any]
    chunks: Voxels


def records_directory(container: str, name: str) -> Path:
    """Where the blocks of stage or dataset ``name``, whose output is in ``container``, are recorded."""
    return Path(container) / ".blockwise" / name.replace("/", "_")


def _state_of_chunks(volume: Volume) -> State:
    """What there is of a finished volume: ``begun`` if chunks are missing, ``done`` with a reason if some were changed."""
    faults = chunk_faults(volume)
    if faults is None:
        return State("done")
    if faults.count(DAMAGED):
        return State("begun", f"{volume.name}: {faults.first(DAMAGED)}: gone or cut off")
    return State("done", f"{volume.name}: {changes(faults)}" if faults.identity else "")


def changes(faults: Faults) -> str:
    """What changed since the volume was finished, in words."""
    what = faults.first(OTHER) if faults.count(OTHER) else "its shape, type, voxel size or offset"
    return f"{what}: changed since it was finished"


def chunk_faults(volume: Volume) -> Faults | None:
    """What is not as it was when ``volume`` was finished; None if that is not known."""
    written = written_chunks(volume)
    return written.check() if written is not None else None


def open_output(container: str, dataset: str) -> tuple[Volume, Callable[[Box], None]]:
    """A volume to write blocks to, and what is to be called when all of a block is written; after that it is on the disk."""
    volume = open_volume(container, dataset, writable=True)
    written = written_chunks(volume)
    return volume, written.note if written is not None else lambda box: None


def _remove_leftovers(path: Path) -> None:
    """What a run that was killed while it replaced the dataset ``path`` left beside it."""
    for left in (*path.parent.glob(f".{path.name}.*.old"), *path.parent.glob(f".{path.name}.*.partial")):
        shutil.rmtree(left)


def find_output(container: str, dataset: str) -> Volume | None:
    """The zarr volume ``dataset`` of ``container``, or None if there is none."""
    return open_volume(container, dataset) if (Path(container) / dataset / ".zarray").is_file() else None


def _finish_chunks(volume: Volume) -> None:
    written = written_chunks(volume)
    if written is None or not written.exists:
        return
    faults = written.finish()
    for kind, word in ((DAMAGED, "is gone or cut off"), (OTHER, "is not what was written there")):
        if faults.count(kind):
            raise UserError(f"{volume.name}: when all blocks were done, {faults.first(kind)} {word}. Run this again: blocks "
                            "whose chunks are as they were written are kept")


def chunk_shape(write_shape: Sequence[int]) -> Voxels:
    """The divisor of each number of ``write_shape`` that comes nearest to :data:`CHUNK` (as a ratio)."""
    return tuple(min((d for d in range(1, n + 1) if n % d == 0), key=lambda d: abs(math.log(d / CHUNK)))
                 for n in write_shape)


def check_chunks(output: VolumeArtifact, chunks: Voxels | None = None) -> None:
    """:raises UserError: if two blocks of ``output`` would write to one chunk, or its chunks are larger than a worker can hold.

    :param chunks: of the volume that is there; without, those that it will have
    """
    if chunks is not None and any(w % c for w, c in zip(output.write_shape, chunks, strict=True)):
        fitting = [max(c, round(w / c) * c) for w, c in zip(output.write_shape, chunks, strict=True)]
        nm = [float(f"{n * v:.6g}") for n, v in zip(fitting, output.voxel_size, strict=True)]
        raise UserError(f"{output.name}: its chunks are {list(chunks)} voxels, so that two blocks of "
                        f"{list(output.write_shape)} would write to one. Take blocks of {fitting} voxels, {nm} nm, or pass "
                        "--overwrite")
    size = math.prod(chunks or chunk_shape(output.write_shape)) * (output.channels or 1) * np.dtype(output.dtype).itemsize
    if size > CHUNK_BYTES:
        fitting = [max(CHUNK, round(w / CHUNK) * CHUNK) for w in output.write_shape]
        nm = [float(f"{n * v:.6g}") for n, v in zip(fitting, output.voxel_size, strict=True)]
        raise UserError(f"{output.name}: blocks of {list(output.write_shape)} voxels divide into no smaller chunks than of "
                        f"{size / 2**30:.1f} GiB. Take blocks of {fitting} voxels, {nm} nm")
