"""What a stage's output says about itself, so that a rerun goes on, does nothing, or refuses.

An output volume has two attributes: ``provenance`` (see :mod:`lsd_experiments.provenance`), written before its first
block, and ``finished``, the date on which its last block was done. A rerun with the same parameters and inputs goes on
where the last one stopped; with other ones it refuses, since one array would hold the results of both.
"""

import datetime
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments.arrays import Volume, create_volume, open_volume
from lsd_experiments.blockwise.engine import clear_records
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres, Voxels, to_voxels

CHUNK = 64  # voxels per axis that chunks come near to


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


def records_directory(container: str, name: str) -> Path:
    """Where the blocks of stage or dataset ``name``, whose output is in ``container``, are recorded."""
    return Path(container) / ".blockwise" / name.replace("/", "_")


def prepare_volume(output: OutputVolume, provenance: Mapping[str, Any], overwrite: bool = False) -> bool:
    """Create ``output`` unless it is there; whether it is there and finished.

    :raises UserError: if it is there, and was made with other parameters or from other inputs.
    """
    found = find_volume(output.container, output.dataset)
    if found is not None and not overwrite:
        check_unchanged(output.name, found.attrs.get("provenance"), provenance)
        return "finished" in found.attrs
    clear_records(output.records)
    create_volume(output.container, output.dataset, output.shape, output.voxel_size, output.offset, output.dtype,
                  channels=output.channels, chunks=chunk_shape(output.write_shape),
                  attrs={"provenance": dict(provenance)}, overwrite=overwrite)
    return False


def find_volume(container: str, dataset: str) -> Volume | None:
    """The zarr volume ``dataset`` of ``container``, or None if there is none."""
    return open_volume(container, dataset) if (Path(container) / dataset / ".zarray").is_file() else None


def finish_volume(output: OutputVolume, finished: bool = True) -> None:
    """Note that all blocks are done, or that they are not."""
    attrs = open_volume(output.container, output.dataset, writable=True).array.attrs
    if finished:
        attrs["finished"] = now()
    else:
        attrs.pop("finished", None)


def check_finished(volume: Volume, command: str) -> None:
    """:raises UserError: if a stage began ``volume`` and did not finish it; ``command`` would."""
    if "provenance" in volume.attrs and "finished" not in volume.attrs:
        raise UserError(f"{volume.name} is not finished. Run {command} first")


def describe_input(volume: Volume) -> str:
    """``volume`` as an entry of the inputs in a provenance.

    If it is known when it was made that identifies it, wherever its container is moved to; else its place does. Of a crop,
    its voxels are named, too.
    """
    made = volume.attrs.get("provenance", {})
    name = f"{Path(volume.container).name}:{volume.dataset} of {made['date']}" if "date" in made else volume.name
    is_whole = volume.region == Box.of_shape(volume.array.shape[-3:])
    return name if is_whole else f"{name}, voxels {volume.region.begin} to {volume.region.end}"


def check_unchanged(name: str, stored: Any, provenance: Mapping[str, Any]) -> None:
    """:raises UserError: if ``stored`` has other parameters or inputs than ``provenance``; the first one is named."""
    remedy = "Choose another output, or pass --overwrite to make it anew"
    if not isinstance(stored, Mapping):
        raise UserError(f"{name} exists, and does not say what made it. {remedy}")
    old, new = _flat(stored), _flat(provenance)
    for key in sorted(old.keys() | new.keys(), key=lambda key: (key != "stage", key)):
        if old.get(key) != new.get(key):
            raise UserError(f"{name} exists and was made with {key} = {_show(old, key)}, now it is {_show(new, key)}. "
                            f"{remedy}")


def _flat(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What must not change, with one key per value, as JSON has it."""
    values = json.loads(json.dumps({key: provenance.get(key) for key in ("stage", "parameters", "inputs")}))
    return {"stage": values["stage"], **(values["parameters"] or {}), **(values["inputs"] or {})}


def _show(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key]) if key in values else "not given"


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


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write ``values``, beside the place and then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.partial")
    part.write_text(json.dumps(values, indent=1) + "\n")
    part.replace(path)


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
