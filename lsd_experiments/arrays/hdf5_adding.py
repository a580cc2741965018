"""Add a dataset to an HDF5 file, or make a file of it.

It is written to ``.<container>.partial``, a hidden file beside the container, and then copied into it; where there is no
container yet, the file is renamed. HDF5 cannot stand a full disk: what it could not write it tries to write again when it closes
the file, and the process crashes. So the disk is asked before each block, and before the copy, and always keeps some room.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments.errors import UserError

WORK = "another run is adding a dataset"
DATA = "data"  # the dataset's name in a file that is not whole
GZIP = 4  # h5py's own level
KEPT = 2**23  # bytes that closing a file may take, amply: what HDF5 holds of a dataset's chunks (1 MB) and of their index


@contextmanager
def add_to_hdf5(
    root: Path, path: str, shape: Sequence[int], chunks: Sequence[int], dtype: Any, attrs: dict[str, Any], overwrite: bool
) -> Iterator[Any]:
    """The new dataset ``path`` of the file ``root``, to be written while this is open; see ``adding``."""
    is_new = not root.exists()
    if not is_new:
        root.open("a").close()  # the system's refusal, if it is one, before there is work
        with _open(root, "r") as file:
            _check_place(root, file, path, overwrite)
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = root.with_name(f".{root.name}.partial")
    name = path if is_new else DATA
    beside = _open(partial, "w")  # or another run has it open
    try:
        with beside as file:
            array = file.create_dataset(name, shape, dtype, chunks=tuple(chunks), compression="gzip", compression_opts=GZIP)
            for key, value in attrs.items():
                array.attrs[key] = json.dumps(value) if isinstance(value, Mapping) else value
            yield _Watched(array, root)
        if is_new and not root.exists():
            partial.rename(root)
        else:
            _copy(partial, name, root, path, overwrite)
    finally:
        partial.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Watched:
    """The new dataset, with an eye on the disk that ``root`` is to be on."""

    dataset: Any
    root: Path

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.dataset.shape)

    @property
    def dtype(self) -> Any:
        return self.dataset.dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        return tuple(self.dataset.chunks)

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[index]

    def __setitem__(self, index: Any, values: Any) -> None:
        _check_room(self.root, values.nbytes)
        self.dataset[index] = values


def _check_room(root: Path, size: int) -> None:
    """Raise the OSError of a full disk, if ``size`` bytes would leave less than :data:`KEPT`."""
    if shutil.disk_usage(root.parent).free < size + KEPT:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(root))


def _copy(partial: Path, name: str, root: Path, path: str, overwrite: bool) -> None:
    """Copy the dataset ``name`` of the file ``partial`` to ``path`` in the file ``root``."""
    import h5py

    _check_room(root, partial.stat().st_size)
    with _open(partial, "r") as source, _open(root, "r+") as file:
        _check_place(root, file, path, overwrite)
        group = file.require_group(f"/{path}".rpartition("/")[0] or "/")
        hidden = f".{path.rpartition('/')[2]}.partial"
        for left in [hidden] if hidden in group else []:
            del group[left]
        h5py.h5o.copy(source.id, name.encode(), group.id, hidden.encode())
        if path in file:
            del file[path]
        group.move(hidden, path.rpartition("/")[2])


def _open(path: Path, mode: str) -> Any:
    """The open file; HDF5 locks it."""
    import h5py

    try:
        return h5py.File(path, mode)
    except BlockingIOError as error:
        raise UserError(f"{path}: open in another program, or {WORK}. Close it there first") from error


def _check_place(root: Path, file: Any, path: str, overwrite: bool) -> None:
    import h5py

    parts = path.split("/")
    for depth in range(1, len(parts)):
        parent = "/".join(parts[:depth])
        if isinstance(file.get(parent), h5py.Dataset):
            raise UserError(f"{root}:{parent} is a dataset, so that {path} cannot be put into it. Name another dataset")
    if path in file and not overwrite:
        raise UserError(f"{root}:{path}: exists already. Remove it, or name another output")
    if isinstance(file.get(path), h5py.Group):
        raise UserError(f"{root}:{path} is a group. Name another dataset")
