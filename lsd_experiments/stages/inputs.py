"""What a stage reads: described for its provenance, and checked to be whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsd_experiments.arrays import Volume, fingerprint
from lsd_experiments.arrays.alignments import carried
from lsd_experiments.arrays.fingerprints import has_chunks, look
from lsd_experiments.arrays.grids import show
from lsd_experiments.arrays.resampling import Resampled
from lsd_experiments.arrays.written import DAMAGED
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels, to_voxels
from lsd_experiments.provenance import fingerprint_of, network_of, provenance_in
from lsd_experiments.stages.volumes import Planned, changes, chunk_faults

STAGES = ("predict", "extract_fragments", "extract_segmentation", "threshold", "label_blocks", "extract_components")  # volumes


def check_finished(volume: Volume, command: str) -> None:
    """:raises UserError: if a stage began ``volume`` and did not finish it; ``command`` would."""
    if provenance_in(volume.attrs) and "finished" not in volume.attrs:
        raise UserError(f"{volume.name} is not finished. Run {command} first")


def check_whole(volume: Volume) -> None:
    """:raises UserError: if ``volume`` is of a stage that began it and did not finish it; it may be any other volume"""
    stage = provenance_in(volume.attrs).get("stage")
    if stage in STAGES:
        check_finished(volume, stage)


def check_as_finished(volume: Volume, command: str) -> None:
    """:raises UserError: if ``volume`` is not as ``command`` finished it, of something that must not be changed alone"""
    faults = chunk_faults(volume)
    if faults is not None and faults.identity:
        raise UserError(f"{volume.name}: {changes(faults)}, so that it does not fit the region graph. Put back what was there, "
                        f"or remove the files of such chunks and run {command} again, which makes them anew")


def describe_input(volume: Volume) -> dict[str, Any]:
    """``volume`` as an entry of the inputs in a provenance: its name, and its fingerprint, which alone counts.

    The fingerprint of what a stage made is its key, and what changed since it was finished; of anything else it is
    :func:`~lsd_experiments.arrays.fingerprint`. ``content`` (of what versions before made, that recorded no chunks) and
    ``files`` tell of changes later, see :func:`~lsd_experiments.stages.states.changed_input`.

    :raises UserError: if chunks are gone or cut off that were written
    """
    if isinstance(volume.array, Resampled):
        source = describe_input(volume.array.source)
        grid = f"resampled to {volume.array.kind} of {show(volume.voxel_size)} nm from {show(volume.offset)} nm on"
        return {**source, "name": f"{source['name']}, {grid}", "fingerprint": f"{source['fingerprint']}, {grid}"}
    faults = chunk_faults(volume)
    if faults is not None and faults.count(DAMAGED):
        maker = provenance_in(volume.attrs).get("stage")
        raise UserError(f"{volume.name}: {faults.first(DAMAGED)}: gone or cut off. "
                        + (f"Run {maker} again: it makes only what is missing" if maker in STAGES else "Fetch or make it again"))
    made = volume.attrs.get("provenance")
    key = fingerprint_of(made) if isinstance(made, Mapping) and "key" in made and "finished" in volume.attrs else None
    is_whole = volume.region == Box.of_shape(volume.array.shape[-3:])
    part = "" if is_whole else f", voxels {volume.region.begin} to {volume.region.end}"
    changed = f", changed {faults.identity}" if faults is not None and faults.identity else ""
    found = f"{key}{changed}{part}" if key else f"{fingerprint(volume)}{changed}"
    described: dict[str, Any] = {"name": f"{Path(volume.container).name}:{volume.dataset}{part}", "fingerprint": found}
    if faults is not None or isinstance(volume.array, Planned):
        return described
    if key and has_chunks(volume):
        described["content"] = fingerprint(volume)
    files = look(volume)
    return {**described, "files": files} if files else described


def facts_of(volume: Volume) -> dict[str, Any]:
    """What the provenance of what is made of ``volume``, on its voxels, says for people: its network, and its alignment."""
    return {**network_of(volume.attrs.get("provenance")), **carried(volume)}


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
