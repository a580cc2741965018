"""What zarr, N5 and HDF5 have in common: a tree of groups and arrays, and how a dataset's name finds its array."""

import contextlib
import logging
from collections.abc import Hashable, Iterator
from typing import Any, Protocol

from lsd_experiments.arrays.axes import arrange, guess_channels
from lsd_experiments.arrays.metadata import Place, placed
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import Passing, UserError, nearest
from lsd_experiments.geometry import Box, Nanometres

logger = logging.getLogger(__name__)

LISTED = 30  # datasets named in an error, at most
ONLY = "-"  # in place of a dataset: the only one that there is
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

    def identity(self, path: str) -> Hashable:
        """Equal for two paths of the same group or array: those that are linked."""

    def world(self, path: str, offset_only: bool = False) -> Place:
        """Voxel size and offset (z, y, x) in nm of the array at ``path``, None where not stored."""

    def axes(self, path: str) -> list[str] | None:
        """The names of its axes (see ``axes.py``); None if they must be guessed from its shape."""


def open_in(tree: Hierarchy, dataset: str | None, default: str | None, voxel_size: Nanometres | None,
            writable: bool = False) -> Volume:
    """The volume of ``dataset`` in ``tree``; see :func:`lsd_experiments.arrays.open_volume`."""
    path = find(tree, dataset, default)
    array = tree.array(path)
    assert array is not None, f"{tree.container}: {path} vanished while it was opened"
    where = f"{tree.container}:{path}"
    if min(array.shape, default=0) < 1:
        raise UserError(f"{where} has the shape {tuple(array.shape)}: it holds no voxel. Name another dataset")
    names, attrs = tree.axes(path), tree.attrs(path)
    if names is None:
        has_channels = guess_channels(array.shape, where, writable, "provenance" in attrs)
    else:
        array, has_channels = arrange(array, names, where, writable)
    size, offset = placed(voxel_size, lambda offset_only: tree.world(path, offset_only), where)
    return Volume(container=tree.container, dataset=path, array=array, attrs=attrs, voxel_size=size, offset=offset,
                  region=Box.of_shape([int(s) for s in array.shape[-3:]]),
                  channels=int(array.shape[-4]) if has_channels else None)


def find(tree: Hierarchy, dataset: str | None, default: str | None) -> str:
    """The path of the array that ``dataset`` names: itself, its full resolution ``s0``, or its first OME scale level.

    :raises UserError: if there is none; the datasets that there are get listed.
    """
    if dataset in (None, ONLY):
        if tree.array("") is not None:
            return ""
        dataset = (None if dataset == ONLY else default) or _full_resolution(tree, "") or _only(tree)
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


def _only(tree: Hierarchy) -> str | None:
    """The only array of ``tree``, or the group of the only multiscale image; None if there are several."""
    present = list_arrays(tree)
    images = {path.rpartition("/")[0] if _is_level(tree, path) else path for path in present}
    return images.pop() or None if len(images) == 1 else None


def _is_level(tree: Hierarchy, path: str) -> bool:
    """Whether ``path`` is one of the scales of its group."""
    group = path.rpartition("/")[0]
    return path != _full_resolution(tree, "") and _full_resolution(tree, group) is not None


def clean(dataset: str, container: str) -> str:
    """``dataset`` without outer slashes.

    :raises UserError: if it leads out of ``container``.
    """
    parts = [part for part in dataset.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or not parts or parts == [ONLY]:
        raise UserError(f"{container}: '{dataset}' is no dataset's name. Name one inside of the container, like "
                        "volumes/raw")
    return "/".join(parts)


def list_arrays(tree: Hierarchy) -> list[str]:
    """The paths of the arrays in ``tree``, sorted by level and name; what is linked several times is there once."""
    return list(_walk(tree))


def _walk(tree: Hierarchy) -> Iterator[str]:
    groups, seen = [""], {tree.identity("")}
    for visited, group in enumerate(groups):  # grows while it is read
        if visited == VISITED:
            return
        below: list[str] = []
        try:
            is_array = tree.array(group) is not None
        except UserError as error:
            logger.warning("cannot be read: %s", error)  # it is named; those beside it are good
            is_array = True
        try:
            below = [] if is_array else tree.children(group)
        except UserError as error:
            if not group:
                raise
            logger.warning("cannot be read: %s", error)
            is_array = True
        if is_array:
            yield group
        for path in (f"{group}/{name}".lstrip("/") for name in below):
            identity = tree.identity(path)
            if identity not in seen:  # or a group that holds itself would be listed for ever
                seen.add(identity)
                groups.append(path)


def holds(tree: Hierarchy, path: str) -> bool:
    """Whether ``tree`` has something at ``path``, be it damaged, or no array at all; links are followed."""
    group, _, name = path.rpartition("/")
    try:
        return tree.array(path) is not None or name in tree.children(group)
    except Passing:
        raise
    except UserError:  # said where it is opened
        return True


def _full_resolution(tree: Hierarchy, path: str) -> str | None:
    """The array of highest resolution in the multiscale group at ``path``, or None."""
    names = ["s0"]
    with contextlib.suppress(KeyError, IndexError, TypeError):
        names.append(tree.attrs(path)["multiscales"][0]["datasets"][0]["path"])
    paths = [f"{path}/{name}".lstrip("/") for name in names if isinstance(name, str) and ".." not in name]
    return next((p for p in paths if tree.array(p) is not None), None)
