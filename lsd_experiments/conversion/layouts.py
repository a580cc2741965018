"""How a volume lies in a directory, by format: its metadata, and its levels, open for writing.

    zarr          one array, by zarr-python                        n5    the same
    zarr3         one array, by tensorstore; shards or not
    ome-zarr      the same at several resolutions, OME-Zarr 0.5
    precomputed   neuroglancer's, at several resolutions, by tensorstore
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.arrays import Volume, n5, precomputed_writing, zarr3_writing
from lsd_experiments.arrays.addresses import Address
from lsd_experiments.arrays.alignments import ATTRIBUTE as ALIGNMENT
from lsd_experiments.arrays.creating import default_chunks, for_funlib, plain, write_metadata
from lsd_experiments.arrays.levels import Level
from lsd_experiments.arrays.precomputed import ORDER
from lsd_experiments.arrays.tensor_writing import WritableTensorArray
from lsd_experiments.geometry import Box, Voxels

FORMATS = ("zarr", "n5", "zarr3", "ome-zarr", "precomputed")
SCALED = ("ome-zarr", "precomputed")  # at several resolutions
SHARDED = ("zarr3", "ome-zarr")  # on demand
SHARD = 4  # chunks along each axis


@dataclass(frozen=True)
class Layout:
    """How a volume is written.

    :param kind: one of :data:`FORMATS`
    :param how: levels are made of the one before, see :mod:`reducing`
    :param encoding: of precomputed; else empty
    """

    kind: str
    levels: tuple[Level, ...]
    dtype: np.dtype[Any]
    channels: int | None
    how: str = "mean"
    is_labels: bool = False
    is_sharded: bool = False
    encoding: str = ""

    def chunks(self, number: int) -> Voxels:
        """Voxels of a chunk of level ``number``."""
        scaled = self.kind == "precomputed"  # whose chunks are alike at all scales
        return default_chunks(self.levels[0 if scaled else number].shape)

    def units(self, number: int) -> Voxels:
        """Voxels that are written at once: a chunk, or a shard."""
        return tuple(c * SHARD for c in self.chunks(number)) if self.is_sharded else self.chunks(number)

    @property
    def names(self) -> list[str]:
        """Of the axes."""
        return ["z", "y", "x"] if self.channels is None else ["c", "z", "y", "x"]

    @property
    def leading(self) -> tuple[int, ...]:
        """The channels, if there are some, as the beginning of a shape."""
        return () if self.channels is None else (self.channels,)

    def to_json(self) -> dict[str, Any]:
        """For :meth:`from_json`."""
        levels = [vars(level) for level in self.levels]
        return {**vars(self), "levels": levels, "dtype": self.dtype.name}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Layout":
        """What :meth:`to_json` gave."""
        levels = tuple(Level(**{key: tuple(value) for key, value in level.items()}) for level in values["levels"])
        return cls(**{**values, "levels": levels, "dtype": np.dtype(values["dtype"])})


def create(layout: Layout, directory: Path, name: str, made: Mapping[str, Any]) -> None:
    """The metadata of an empty volume in ``directory``, called ``name`` and of provenance ``made``."""
    if layout.kind == "precomputed":
        precomputed_writing.write_info(directory, layout.levels, layout.dtype, layout.channels, layout.chunks(0),
                                       layout.encoding, layout.is_labels)
        precomputed_writing.write_provenance(directory, made)
    elif layout.kind == "ome-zarr":
        for number in range(len(layout.levels)):
            _create_zarr3(layout, directory / f"s{number}", number, {key: made[key] for key in (ALIGNMENT,) if key in made})
        ome = zarr3_writing.ome_attrs(name, layout.levels, layout.names, layout.is_labels, layout.how)
        zarr3_writing.write_group(directory, {"ome": ome, "provenance": dict(made)})
    elif layout.kind == "zarr3":
        _create_zarr3(layout, directory, 0, {**_place(layout), "provenance": dict(made)})
    else:
        attrs = {**_place(layout), "provenance": dict(made)}
        stored = n5.turned({key: attrs[key] for key in ("resolution", "offset", "provenance")}) if layout.kind == "n5" else attrs
        chunks = (*layout.leading, *layout.chunks(0))
        write_metadata(_store(layout, directory), (*layout.leading, *layout.levels[0].shape), chunks, layout.dtype, stored)


def open_level(layout: Layout, directory: Path, number: int) -> Volume:
    """Level ``number`` of the volume in ``directory``, to be written."""
    level, array = layout.levels[number], _array(layout, directory, number)
    if isinstance(array, WritableTensorArray):
        array.check()  # and the one that lay here before is forgotten
    return Volume(str(directory), "", array, level.voxel_size, level.offset, Box.of_shape(level.shape), layout.channels,
                  writable=True)


def stored_provenance(kind: str, directory: Path) -> Any:
    """What the volume in ``directory`` says made it; None if nothing, or it is of another kind."""
    names = {"precomputed": "provenance", "zarr": ".zattrs", "n5": "attributes.json"}
    try:
        said = json.loads((directory / names.get(kind, "zarr.json")).read_bytes())
    except (OSError, ValueError):
        return None
    if kind == "precomputed":
        return precomputed_writing.made_by(said)
    attrs = said.get("attributes") if isinstance(said, dict) and kind in SHARDED else said
    return attrs.get("provenance") if isinstance(attrs, dict) else None


def _array(layout: Layout, directory: Path, number: int) -> Any:
    if layout.kind in ("zarr", "n5"):
        import zarr

        return zarr.Array(_store(layout, directory))
    shape, chunks = layout.levels[number].shape, layout.chunks(number)
    address = Address(str(directory), None, "file", str(directory))
    if layout.kind == "precomputed":
        channels = layout.channels or 1
        return WritableTensorArray(address, None, "", {"driver": "neuroglancer_precomputed", "scale_index": number}, ORDER,
                                   [channels, *shape], layout.dtype.name, [channels, *chunks])
    whole, path = [*layout.leading, *shape], f"s{number}" if layout.kind == "ome-zarr" else ""
    return WritableTensorArray(address, None, path, {"driver": "zarr3"}, list(range(len(whole))), whole, layout.dtype.name,
                               [*layout.leading, *chunks])


def _create_zarr3(layout: Layout, directory: Path, number: int, attrs: Mapping[str, Any]) -> None:
    shards = (*layout.leading, *layout.units(number)) if layout.is_sharded else None
    zarr3_writing.write_array(directory, (*layout.leading, *layout.levels[number].shape), layout.dtype,
                              (*layout.leading, *layout.chunks(number)), shards, layout.names, attrs)


def _store(layout: Layout, directory: Path) -> Any:
    import zarr

    return n5.store(directory) if layout.kind == "n5" else zarr.DirectoryStore(str(directory))


def _place(layout: Layout) -> dict[str, Any]:
    level = layout.levels[0]
    return {**for_funlib(level.voxel_size, layout.channels), "resolution": [plain(v) for v in level.voxel_size],
            "offset": [plain(o) for o in level.offset]}
