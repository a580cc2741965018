"""What zarr, N5 and HDF5 have in common: a tree of groups and arrays, and how a dataset's name finds its array."""

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.geometry import Box, Nanometres

LISTED = 30  # datasets named in an error, at most
VISITED = 200  # groups looked into for that, at most: a bucket may hold thousands


class Hierarchy(Protocol):
    """An open container. Paths are relative to it, ``""`` is its root."""

    container: str

    def array(self, path: str) -> Any | None:
        """The array at ``path``, or None if there is none."""

    def attrs(self, path: str) -> dict[str, Any]:
        """The attributes of the group or array at ``path``; empty if there is neither."""

    def children(self, path: str) -> list[str]:
        """The names in the group at ``path``."""

    def world(self, path: str) -> tuple[Nanometres | None, Nanometres | None]:
        """Voxel size and offset (z, y, x) in nm of the array at ``path``, None where not stored."""

    def channel_axis(self, path: str) -> bool | None:
        """Whether the array at ``path`` has a channel axis; None if that must be guessed from its shape."""


def open_in(tree: Hierarchy, dataset: str | None, default: str | None, voxel_size: Nanometres | None) -> Volume:
    """The volume of ``dataset`` in ``tree``; see :func:`lsd_experiments.arrays.open_volume`."""
    path = find(tree, dataset, default)
    array = tree.array(path)
    assert array is not None, f"{tree.container}: {path} vanished while it was opened"
    where = f"{tree.container}:{path}"
    stored, offset = tree.world(path)
    if stored is None and voxel_size is None:
        raise UserError(f"{where} has no voxel size. Add the attribute 'resolution': [z, y, x] in nm")
    return Volume(container=tree.container, dataset=path, array=array, attrs=tree.attrs(path),
                  voxel_size=voxel_size or stored or (), offset=offset or (0.0, 0.0, 0.0),
                  region=Box.of_shape([int(s) for s in array.shape[-3:]]),
                  channels=_channels(array.shape, tree.channel_axis(path), where))


def find(tree: Hierarchy, dataset: str | None, default: str | None) -> str:
    """The path of the array that ``dataset`` names: itself, its full resolution ``s0``, or its first OME scale level.

    :raises UserError: if there is none; the datasets that there are get listed.
    """
    if dataset is None:
        if tree.array("") is not None:
            return ""
        dataset = default or _full_resolution(tree, "")
    if dataset is not None:
        path = clean(dataset, tree.container)
        if tree.array(path) is not None:
            return path
        finer = _full_resolution(tree, path)
        if finer is not None:
            return finer
    present = list_arrays(tree)
    listed = ", ".join(present[:LISTED]) + (", ..." if len(present) > LISTED else "")
    holds = f"It holds {listed}" if any(present) else "It is one array itself" if present else "It holds no dataset"
    if dataset is None:
        raise UserError(f"{tree.container}: name one of its datasets. {holds}")
    raise UserError(f"{tree.container}: no dataset '{dataset}'{nearest(dataset, present) or '.'} {holds}")


def clean(dataset: str, container: str) -> str:
    """``dataset`` without outer slashes.

    :raises UserError: if it leads out of ``container``.
    """
    parts = [part for part in dataset.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise UserError(f"{container}: '{dataset}' is no dataset's name. Name one inside of the container, like "
                        "volumes/raw")
    return "/".join(parts)


def list_arrays(tree: Hierarchy) -> list[str]:
    """The paths of the arrays in ``tree``, sorted by level and name."""
    return list(_walk(tree))


def _walk(tree: Hierarchy) -> Iterator[str]:
    groups = [""]
    for visited, group in enumerate(groups):  # grows while it is read
        if visited == VISITED:
            return
        if tree.array(group) is not None:
            yield group
            continue
        groups += [f"{group}/{name}".lstrip("/") for name in tree.children(group)]


def _full_resolution(tree: Hierarchy, path: str) -> str | None:
    """The array of highest resolution in the multiscale group at ``path``, or None."""
    names = ["s0"]
    with contextlib.suppress(KeyError, IndexError, TypeError):
        names.append(tree.attrs(path)["multiscales"][0]["datasets"][0]["path"])
    paths = [f"{path}/{name}".lstrip("/") for name in names if isinstance(name, str) and ".." not in name]
    return next((p for p in paths if tree.array(p) is not None), None)


def _channels(shape: tuple[int, ...], has_channels: bool | None, where: str) -> int | None:
    if has_channels is None:
        has_channels = len(shape) > 3
    leading = len(shape) - 3 - has_channels
    if leading < 0 or any(s != 1 for s in shape[:leading]):
        raise UserError(f"{where} has the shape {tuple(shape)}; volumes are (z, y, x) or (c, z, y, x). Name another "
                        "dataset")
    return int(shape[-4]) if has_channels else None
