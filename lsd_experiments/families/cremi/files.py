"""Files of CREMI, format 0.2: HDF5 with

    attribute file_format              "0.2"
    /volumes/raw                       uint8
    /volumes/labels/neuron_ids         uint64
    /volumes/labels/clefts             uint64, 2^64 - 1 where there is none, 2^64 - 2 where nobody knows
    /annotations                       see :mod:`lsd_experiments.families.cremi.annotations`

Volumes have the attributes ``resolution`` (nm; z, y, x), ``offset`` (nm; where it is not 0) and ``comment``. Each may be
missing, and each opens by :func:`lsd_experiments.arrays.open_volume`, so that they are input of training like any other volume.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, add_volume, check_labels, find_volume
from lsd_experiments.arrays.creating import default_chunks
from lsd_experiments.errors import UserError
from lsd_experiments.families.cremi.annotations import Annotations, read_annotations, write_annotations
from lsd_experiments.families.cremi.neurons import read_true_ids
from lsd_experiments.geometry import Box, Nanometres

FORMAT = "0.2"
DATASETS = {"raw": "volumes/raw", "neuron_ids": "volumes/labels/neuron_ids", "clefts": "volumes/labels/clefts"}


@dataclass(frozen=True)
class CremiFile:
    """What is in a file; ``comments`` are those of the volumes, by name."""

    raw: Volume | None = None
    neuron_ids: Volume | None = None
    clefts: Volume | None = None
    annotations: Annotations = field(default_factory=Annotations)
    comments: Mapping[str, str] = field(default_factory=dict)

    @property
    def volumes(self) -> dict[str, Volume]:
        """Those that there are, by name."""
        return {name: volume for name in DATASETS if (volume := getattr(self, name)) is not None}


def read_cremi(path: str | Path) -> CremiFile:
    """What is in ``path``; volumes are open, nothing of them is read.

    :raises UserError: if it is no such file, or of another format
    """
    import h5py

    annotations = read_annotations(path)
    with h5py.File(path, "r", locking=False) as file:
        found = file.attrs.get("file_format")
    found = found.decode() if isinstance(found, bytes) else found
    if found != FORMAT:
        raise UserError(f"{path}: is of file_format {found!r}, not '{FORMAT}'. Its volumes open like those of any HDF5 file")
    volumes = {name: volume for name, dataset in DATASETS.items() if (volume := find_volume(path, dataset)) is not None}
    comments = {name: str(volume.attrs["comment"]) for name, volume in volumes.items() if volume.attrs.get("comment")}
    return CremiFile(annotations=annotations, comments=comments, **volumes)


def write_cremi(path: str | Path, content: CremiFile, overwrite: bool = False) -> None:
    """Write ``content`` to ``path``, block by block; it appears when it is whole.

    :raises UserError: if it is there and not ``overwrite``, is no name of such a file, or labels are none
    """
    path = Path(path)
    check_place(path, overwrite)
    new = path.with_name(f".{path.name}.{FORMAT}.partial.hdf")  # of a name that volumes can be added to
    path.parent.mkdir(parents=True, exist_ok=True)
    new.unlink(missing_ok=True)
    try:
        for name, volume in content.volumes.items():
            _copy(volume, new, name)
        _finish(new, content)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def in_memory(values: NDArray[Any], resolution: Nanometres, offset: Nanometres = (0.0, 0.0, 0.0)) -> Volume:
    """A volume of an array [z, y, x], to be written."""
    return Volume("memory", "", values, tuple(resolution), tuple(offset), Box.of_shape(values.shape))


def check_place(path: Path, overwrite: bool) -> None:
    """:raises UserError: if a file of CREMI cannot be written to ``path``."""
    if path.suffix.lower() not in (".hdf", ".h5", ".hdf5") or path.is_dir():
        raise UserError(f"{path}: files of CREMI are HDF5. Name one that ends in .hdf")
    if path.exists() and not overwrite:
        raise UserError(f"{path}: exists already. Pass --overwrite to replace it, or name another place")


def _copy(volume: Volume, path: Path, name: str) -> None:
    if name == "raw":
        if volume.dtype != np.uint8 or volume.channels is not None:
            raise UserError(f"{volume.name}: is of type {volume.dtype}; raw of CREMI is uint8 [z, y, x]. Convert it first")
    else:
        check_labels(volume)
    chunks = default_chunks(volume.shape)
    dtype = np.uint8 if name == "raw" else np.uint64
    with add_volume(path, DATASETS[name], volume.shape, volume.voxel_size, volume.offset, dtype, chunks=chunks) as new:
        for block in volume.box.blocks(chunks):
            box = block.intersect(volume.box)
            values = volume.read(box)
            new.write(box, values if name == "raw" else read_true_ids(values))


def _finish(path: Path, content: CremiFile) -> None:
    import h5py

    with h5py.File(path, "a") as file:
        file.attrs["file_format"] = FORMAT
        for name, volume in content.volumes.items():
            attrs = file[DATASETS[name]].attrs
            attrs["resolution"] = np.asarray(volume.voxel_size, np.float64)
            del attrs["offset"]
            if any(volume.offset):
                attrs["offset"] = np.asarray(volume.offset, np.float64)
            attrs["comment"] = content.comments.get(name, "")
        if content.annotations.ids:
            write_annotations(file, content.annotations)
