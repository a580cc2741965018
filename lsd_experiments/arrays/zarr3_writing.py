"""Metadata of zarr 3 and OME-Zarr 0.5, as they are written; the chunks are tensorstore's to write.

    <container>/zarr.json         a group
    <dataset>/zarr.json           zarr 3: an array with the attributes of our zarr 2; OME-Zarr: a group with ``ome``
    <dataset>/s0/zarr.json ...    OME-Zarr: its levels
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.arrays.creating import plain
from lsd_experiments.arrays.levels import Level
from lsd_experiments.arrays.zarr3 import METADATA
from lsd_experiments.geometry import Nanometres
from lsd_experiments.writing import put_json

VERSION = "0.5"
ZSTD = {"name": "zstd", "configuration": {"level": 3, "checksum": True}}
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}


def write_group(directory: Path, attrs: Mapping[str, Any]) -> None:
    """``zarr.json`` of the group ``directory``, which is made if it is not there."""
    put_json(directory / METADATA, {"zarr_format": 3, "node_type": "group", "attributes": dict(attrs)})


def write_array(directory: Path, shape: Sequence[int], dtype: np.dtype[Any], chunks: Sequence[int],
                shards: Sequence[int] | None, names: Sequence[str], attrs: Mapping[str, Any]) -> None:
    """``zarr.json`` of an array of zeros, whose axes are called ``names``; ``shards``: whole chunks, in a file together."""
    inner: list[dict[str, Any]] = [BYTES, ZSTD]
    sharded = {"name": "sharding_indexed", "configuration": {
        "chunk_shape": list(chunks), "codecs": inner, "index_codecs": [BYTES, {"name": "crc32c"}], "index_location": "end"}}
    put_json(directory / METADATA, {
        "zarr_format": 3, "node_type": "array", "shape": list(shape), "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shards or chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": {"b": False, "f": 0.0}.get(dtype.kind, 0), "codecs": [sharded] if shards else inner,
        "attributes": dict(attrs), "dimension_names": list(names)})


def ome_attrs(name: str, levels: Sequence[Level], names: Sequence[str], is_labels: bool, how: str) -> dict[str, Any]:
    """The attribute ``ome`` of an image with these ``levels``, ``s0``, ``s1``, ...

    :param names: of the axes
    :param how: the levels were made
    """
    axes = [{"name": name, "type": "space", "unit": "nanometer"} if name in "zyx" else {"name": name, "type": "channel"}
            for name in names]
    leading = len(names) - 3
    datasets = []
    for number, level in enumerate(levels):
        scale = [*[1] * leading, *map(plain, level.voxel_size)]
        translation = [*[0] * leading, *map(plain, _centre(level, levels[0]))]
        datasets.append({"path": f"s{number}", "coordinateTransformations": [
            {"type": "scale", "scale": scale}, {"type": "translation", "translation": translation}]})
    image = {"name": name, "axes": axes, "datasets": datasets, **({"type": how} if len(levels) > 1 else {})}
    return {"version": VERSION, "multiscales": [image], **({"image-label": {}} if is_labels else {})}


def _centre(level: Level, finest: Level) -> Nanometres:
    """The centre of its first voxel, where that of the ``finest`` one's is its corner: half a voxel further for each halving.

    Exactly so that :mod:`~lsd_experiments.arrays.ome`, which takes that off again, gets the offset.
    """
    found = []
    for offset, size, least in zip(level.offset, level.voxel_size, finest.voxel_size, strict=True):
        half = (size - least) / 2
        about = offset + half
        near = (about, math.nextafter(about, -math.inf), math.nextafter(about, math.inf))
        found.append(next((value for value in near if value - half == offset), about))
    return tuple(found)
