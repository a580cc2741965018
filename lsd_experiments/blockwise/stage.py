"""What a stage's output says about itself, so that a rerun goes on, does nothing, or makes it anew.

An output volume has two attributes: ``provenance`` (see :mod:`lsd_experiments.provenance`), written before its first
block, and ``finished``, the date on which its last block was done. A rerun with the same parameters and inputs goes on
where the last one stopped; with other ones all blocks are done again, since one array would hold the results of both.
Which chunks were written, see :mod:`lsd_experiments.arrays.written`.
"""

import datetime
import json
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, create_volume, fingerprint, open_volume
from lsd_experiments.arrays.creating import check_zarr
from lsd_experiments.arrays.fingerprints import has_chunks, look
from lsd_experiments.arrays.written import DAMAGED, OTHER, Faults, written_chunks
from lsd_experiments.blockwise.blocks import block_number
from lsd_experiments.blockwise.states import State, check_unchanged, state_of
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres, Voxels, to_voxels
from lsd_experiments.provenance import fingerprint_of
from lsd_experiments.writing import put_text, sync

CHUNK = 64  # voxels per axis that chunks come near to
CHUNK_BYTES = 2**29  # of one chunk, at most: a worker holds some of them
STAGES = ("predict", "extract_fragments", "extract_segmentation", "threshold", "label_blocks", "extract_components")  # volumes
BASE_MEMORY = 300 * 2**20  # bytes of a worker before its first block, without a network


@dataclass(frozen=True)
class OutputVolume:
    """A volume that a stage makes blockwise.

    :param write_shape: voxels that one block writes; chunks divide it, so that no two blocks write the same chunk
    """

    container: str
    dataset: str
    shape: Voxels
    voxel_size: Nanometres
    offset: Nanometres
    dtype: str
    write_shape: Voxels
    channels: int | None = None

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
        array = _Unmade((*leading, *self.shape), np.dtype(self.dtype), (*leading, *chunk_shape(self.write_shape)))
        return Volume(self.container, self.dataset, array, self.voxel_size, self.offset, Box.of_shape(self.shape),
                      self.channels, {"provenance": dict(provenance), "finished": "planned"})


@dataclass(frozen=True)
class _Unmade:
    """What a plan knows of an array that is not there yet."""

    shape: Voxels
    dtype: np.dtype[Any]
    chunks: Voxels


def records_directory(container: str, name: str) -> Path:
    """Where the blocks of stage or dataset ``name``, whose output is in ``container``, are recorded."""
    return Path(container) / ".blockwise" / name.replace("/", "_")


def prepare_volume(output: OutputVolume, provenance: Mapping[str, Any], overwrite: bool = False) -> bool:
    """Create ``output`` unless it is there; whether it is there and finished.

    :raises UserError: if it is there, and was made with other parameters or from other inputs.
    """
    found = find_volume(output.container, output.dataset)
    if found is None or overwrite:
        check_chunks(output)
        _remove_leftovers(Path(output.container, output.dataset))
        found = create_volume(
            output.container, output.dataset, output.shape, output.voxel_size, output.offset, output.dtype,
            channels=output.channels, chunks=chunk_shape(output.write_shape), attrs={"provenance": dict(provenance)},
            overwrite=overwrite)
    else:
        check_unchanged(output.name, found.attrs.get("provenance"), provenance)
        check_chunks(output, found.chunks)
        if "finished" in found.attrs and _state_of_chunks(found).kind != "done":
            finish_volume(output, False)
            return False
    return "finished" in found.attrs


def volume_state(output: OutputVolume, provenance: Mapping[str, Any]) -> State:
    """What there is of ``output``.

    :raises UserError: if something else is in its place, which is not ours to make anew
    """
    check_zarr(Path(output.container))
    found = find_volume(output.container, output.dataset)
    if found is None and Path(output.container, output.dataset).exists():
        raise UserError(f"{output.name} is a group, not a dataset of its own. Name another dataset")
    if found is None:
        check_chunks(output)
        return State("new")
    state = state_of(output.name, found.attrs.get("provenance"), "finished" in found.attrs, provenance)
    return _state_of_chunks(found) if state.kind == "done" else state


def _state_of_chunks(volume: Volume) -> State:
    """What there is of a finished volume: ``begun`` if chunks are missing, ``done`` with a reason if some were changed."""
    faults = _check(volume)
    if faults is None:
        return State("done")
    if faults.count(DAMAGED):
        return State("begun", f"{volume.name}: {faults.first(DAMAGED)}: gone or cut off")
    return State("done", f"{volume.name}: {_changes(faults)}" if faults.identity else "")


def _changes(faults: Faults) -> str:
    """What changed since the volume was finished, in words."""
    what = faults.first(OTHER) if faults.count(OTHER) else "its shape, type, voxel size or offset"
    return f"{what}: changed since it was finished"


def _check(volume: Volume) -> Faults | None:
    """What is not as it was when ``volume`` was finished; None if that is not known."""
    written = written_chunks(volume)
    return written.check() if written is not None else None


def missing_blocks(outputs: Iterable[OutputVolume], done: NDArray[np.int64]) -> dict[str, list[int]]:
    """Those of the blocks ``done`` that have not written all of their chunks of ``outputs``, or whose chunks are others."""
    if not len(done):
        return {}
    found: set[int] = set()
    for output in outputs:
        written = written_chunks(open_volume(output.container, output.dataset))
        if written is None:
            continue
        box = Box.of_shape(output.shape)
        for place in written.blocks(written.unwritten().kinds, output.write_shape):
            begin = tuple(p * w for p, w in zip(place, output.write_shape, strict=True))
            found.add(block_number(box, output.write_shape, begin))
    missing = sorted(found.intersection(done.tolist()))
    names = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
    return {f"what they wrote is gone, or not as they wrote it (blocks {names})": missing}


def open_output(container: str, dataset: str) -> tuple[Volume, Callable[[Box], None]]:
    """A volume to write blocks to, and what is to be called when all of a block is written; after that it is on the disk."""
    volume = open_volume(container, dataset, writable=True)
    written = written_chunks(volume)
    return volume, written.note if written is not None else lambda box: None


def stored_provenance(output: OutputVolume) -> dict[str, Any]:
    """What ``output`` says of itself; empty if it is not there, or says nothing."""
    found = find_volume(output.container, output.dataset)
    stored = found.attrs.get("provenance") if found is not None else None
    return stored if isinstance(stored, dict) else {}


def _remove_leftovers(path: Path) -> None:
    """What a run that was killed while it replaced the dataset ``path`` left beside it."""
    for left in (*path.parent.glob(f".{path.name}.*.old"), *path.parent.glob(f".{path.name}.*.partial")):
        shutil.rmtree(left)


def find_volume(container: str, dataset: str) -> Volume | None:
    """The zarr volume ``dataset`` of ``container``, or None if there is none."""
    return open_volume(container, dataset) if (Path(container) / dataset / ".zarray").is_file() else None


def finish_volume(output: OutputVolume, finished: bool = True) -> None:
    """Note that all blocks are done, or that they are not.

    :raises UserError: if a chunk is not what a block wrote
    """
    volume = open_volume(output.container, output.dataset, writable=True)
    attrs = volume.array.attrs
    if finished:
        _finish_chunks(volume)
        for left in Path(output.container, output.dataset).glob("*.partial"):  # chunks of workers that died while they wrote
            left.unlink(missing_ok=True)
        attrs["finished"] = now()
    else:
        attrs.pop("finished", None)
    sync(Path(output.container, output.dataset, ".zattrs"))


def _finish_chunks(volume: Volume) -> None:
    written = written_chunks(volume)
    if written is None or not written.exists:
        return
    faults = written.finish()
    for kind, word in ((DAMAGED, "is gone or cut off"), (OTHER, "is not what was written there")):
        if faults.count(kind):
            raise UserError(f"{volume.name}: when all blocks were done, {faults.first(kind)} {word}. Run this again: blocks "
                            "whose chunks are as they were written are kept")


def check_finished(volume: Volume, command: str) -> None:
    """:raises UserError: if a stage began ``volume`` and did not finish it; ``command`` would."""
    if "provenance" in volume.attrs and "finished" not in volume.attrs:
        raise UserError(f"{volume.name} is not finished. Run {command} first")


def check_as_finished(volume: Volume, command: str) -> None:
    """:raises UserError: if ``volume`` is not as ``command`` finished it, of something that must not be changed alone"""
    faults = _check(volume)
    if faults is not None and faults.identity:
        raise UserError(f"{volume.name}: {_changes(faults)}, so that it does not fit the region graph. Put back what was there, "
                        f"or remove the files of such chunks and run {command} again, which makes them anew")


def describe_input(volume: Volume) -> dict[str, Any]:
    """``volume`` as an entry of the inputs in a provenance: its name, and its fingerprint, which alone counts.

    The fingerprint of what a stage made is its key, and what changed since it was finished; of anything else it is
    :func:`~lsd_experiments.arrays.fingerprint`. ``content`` (of what versions before made, that recorded no chunks) and
    ``files`` tell of changes later, see :func:`~lsd_experiments.blockwise.states.changed_input`.

    :raises UserError: if chunks are gone or cut off that were written
    """
    faults = _check(volume)
    if faults is not None and faults.count(DAMAGED):
        maker = volume.attrs.get("provenance", {}).get("stage")
        raise UserError(f"{volume.name}: {faults.first(DAMAGED)}: gone or cut off. "
                        + (f"Run {maker} again: it makes only what is missing" if maker in STAGES else "Fetch or make it again"))
    made = volume.attrs.get("provenance")
    key = fingerprint_of(made) if isinstance(made, Mapping) and "key" in made and "finished" in volume.attrs else None
    is_whole = volume.region == Box.of_shape(volume.array.shape[-3:])
    part = "" if is_whole else f", voxels {volume.region.begin} to {volume.region.end}"
    changed = f", changed {faults.identity}" if faults is not None and faults.identity else ""
    found = f"{key}{changed}{part}" if key else f"{fingerprint(volume)}{changed}"
    described: dict[str, Any] = {"name": f"{Path(volume.container).name}:{volume.dataset}{part}", "fingerprint": found}
    if faults is not None or isinstance(volume.array, _Unmade):
        return described
    if key and has_chunks(volume):
        described["content"] = fingerprint(volume)
    files = look(volume)
    return {**described, "files": files} if files else described


def in_voxels(size: Sequence[float], volume: Volume, key: str) -> Voxels:
    """``size`` (nm) in voxels of ``volume``.

    :param key: what messages call it
    :raises UserError: if it is no multiple of the voxel size
    """
    voxels = to_voxels(size, volume.voxel_size)
    if voxels is None or min(voxels) < 0:
        nearest = [max(1, round(s / v)) * v for s, v in zip(size, volume.voxel_size, strict=True)]
        raise UserError(f"{key} = {list(size)} nm is no multiple of the voxel size of {volume.name}, "
                        f"{list(volume.voxel_size)} nm. Take {[float(f'{n:.6g}') for n in nearest]}")
    return voxels


def chunk_shape(write_shape: Sequence[int], near: int = CHUNK) -> Voxels:
    """The divisor of each number of ``write_shape`` that comes nearest to ``near`` (as a ratio)."""
    return tuple(min((d for d in range(1, n + 1) if n % d == 0), key=lambda d: abs(math.log(d / near)))
                 for n in write_shape)


def check_chunks(output: OutputVolume, chunks: Voxels | None = None) -> None:
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


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write ``values``, beside the place and then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.partial"):  # of a process that was killed
        left.unlink(missing_ok=True)
    put_text(path, json.dumps(values, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """What :func:`write_json` wrote.

    :raises UserError: if it is something else
    """
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: no valid JSON ({error}). Pass --overwrite to make it anew") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: not what this software writes there. Pass --overwrite to make it anew")
    return values


def now() -> str:
    """The date and time, as provenance has it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
