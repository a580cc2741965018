"""Metadata of neuroglancer's precomputed volumes, as they are written; the chunks are tensorstore's to write.

    <directory>/info                      scales; sizes and offsets are x, y, z
    <directory>/provenance                as cloud-volume reads it
    <directory>/<x>_<y>_<z>/...           chunks of a scale, which is named by its voxel size
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.arrays.creating import plain
from lsd_experiments.arrays.levels import Level
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Voxels, to_voxels
from lsd_experiments.writing import put_json

TYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "float32")
COMPRESSED = "compressed_segmentation"
ENCODINGS = ("raw", "jpeg", COMPRESSED)
QUALITY = 90  # of jpeg
PROVENANCE = "provenance"


def default_encoding(dtype: np.dtype[Any], is_labels: bool) -> str:
    """That which loses nothing, and takes the least room."""
    return COMPRESSED if is_labels and dtype.name in ("uint32", "uint64") else "raw"


def check(name: str, dtype: np.dtype[Any], channels: int | None, encoding: str, is_labels: bool) -> None:
    """:raises UserError: if ``name``, a volume of this type, cannot be written so"""
    if dtype.name not in TYPES:
        better = {"b": "uint8", "i": "uint64 for ids, or int32", "f": "float32"}.get(dtype.kind, "float32")
        raise UserError(f"{name} is of type {dtype}, which precomputed does not hold. Name --dtype {better}, or write OME-Zarr")
    if encoding == COMPRESSED and dtype.name not in ("uint32", "uint64"):
        raise UserError(f"{name} is of type {dtype}; {COMPRESSED} holds uint32 and uint64. Name --dtype uint64, or the "
                        "encoding raw")
    if encoding == "jpeg" and is_labels:
        raise UserError(f"{name}: labels or a mask, and jpeg gives back other values than were written. Name the encoding raw, "
                        "or say that its kind is raw")
    if encoding == "jpeg" and (dtype != np.uint8 or channels not in (None, 1, 3)):
        raise UserError(f"{name} is {dtype} of {channels or 1} channels; jpeg holds uint8 of 1 or 3. Name the encoding raw")


def first_voxel(name: str, offset: Sequence[float], voxel_size: Sequence[float]) -> Voxels:
    """The offset in voxels.

    :raises UserError: if it is no whole number of them, which precomputed cannot say
    """
    found = to_voxels(offset, voxel_size)
    if found is None:
        raise UserError(f"{name}: its offset {list(offset)} nm is no whole number of voxels of {list(voxel_size)} nm, and "
                        "precomputed holds no other. Write OME-Zarr")
    return found


def write_info(directory: Path, levels: Sequence[Level], dtype: np.dtype[Any], channels: int | None, chunks: Sequence[int],
               encoding: str, is_labels: bool) -> None:
    """``info`` of a volume with a scale for each of the ``levels``, and their directories."""
    scales = []
    for level in levels:
        of_encoding: dict[str, dict[str, Any]] = {COMPRESSED: {"compressed_segmentation_block_size": [8, 8, 8]},
                                                  "jpeg": {"jpeg_quality": QUALITY}}
        scales.append({
            "key": scale_key(level), "size": level.shape[::-1], "voxel_offset": level.first[::-1],
            "resolution": [plain(v) for v in level.voxel_size[::-1]], "chunk_sizes": [list(chunks)[::-1]], "encoding": encoding,
            **of_encoding.get(encoding, {})})
        (directory / scale_key(level)).mkdir(parents=True, exist_ok=True)
    put_json(directory / "info", {
        "@type": "neuroglancer_multiscale_volume", "type": "segmentation" if is_labels else "image", "data_type": dtype.name,
        "num_channels": channels or 1, "scales": scales})


def write_provenance(directory: Path, made: Mapping[str, Any]) -> None:
    """What made the volume; ours is the first of ``processing``."""
    put_json(directory / PROVENANCE, {"description": "", "owners": [], "sources": [
        entry["name"] for entry in made["inputs"].values()], "processing": [{"method": dict(made), "by": made["software"]}]})


def made_by(said: Any) -> Any:
    """What :func:`write_provenance` was given, of the ``said`` content of its file; None if something else wrote it."""
    processing = said.get("processing") if isinstance(said, dict) else None
    first = processing[0] if isinstance(processing, list) and processing else None
    return first.get("method") if isinstance(first, dict) else None


def scale_key(level: Level) -> str:
    """The name of its scale: ``4_4_40``."""
    return "_".join(f"{v:g}" for v in level.voxel_size[::-1])
