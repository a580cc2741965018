"""Where the voxels of a class lie: an array with attributes, or a group of scale levels, in a directory, a zip file or a bucket.

The place of an array is, as the challenge's toolbox writes it, in the attributes ``voxel_size`` (or ``resolution``, ``scale``)
and ``translation`` (or ``offset``), z, y, x in nm; that of a scale level of OME-Zarr in its group.

Zip files are read where they are: nothing is unpacked.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import ome
from lsd_experiments.arrays.addresses import is_address, parse
from lsd_experiments.arrays.hierarchy import Hierarchy
from lsd_experiments.arrays.metadata import triple
from lsd_experiments.arrays.n5 import N5
from lsd_experiments.arrays.zarrs import Zarr
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres, Voxels

SIZES, PLACES = ("voxel_size", "resolution", "scale"), ("translation", "offset")


@dataclass(frozen=True)
class Level:
    """An array of one class at one scale.

    ``voxel_size``, ``translation``: (z, y, x) in nm, None where not stored; ``begin``: where its first voxel begins, which is
    not the translation where that means the voxel's centre.
    """

    name: str
    array: Any
    voxel_size: Nanometres | None
    translation: Nanometres | None
    begin: Nanometres | None
    kind: str  # "ome", "group" or "array"

    @property
    def shape(self) -> Voxels:
        """Voxels along (z, y, x)."""
        return tuple(int(n) for n in self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the voxels, in native byte order."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype).newbyteorder("=")
        return dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """:raises UserError: if a chunk cannot be read"""
        try:
            return np.asarray(self.array[index]).astype(self.dtype, copy=False)
        except UserError:
            raise
        except Exception as error:  # whatever codecs and stores make of damaged chunks
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise UserError(f"{self.name}: a chunk cannot be read ({reason}). It is damaged or incomplete: make it "
                            "again") from error


def open_tree(container: str | Path) -> Hierarchy:
    """The zarr or N5 directory, zip file of a zarr, or address ``container``, for reading.

    :raises UserError: if it is none
    """
    name = str(container)
    if is_address(name) and parse(name).scheme != "file":
        from lsd_experiments.arrays.remote import open_remote

        return open_remote(parse(name))
    path = Path(parse(name).path)
    if not path.exists():
        raise UserError(f"{name}: no such file or directory. Name a zarr directory, or a zip file of one")
    if path.is_dir():
        return _open_directory(path)
    return Zarr(name, _ZipStore(name))


def _open_directory(path: Path) -> Hierarchy:
    from lsd_experiments.arrays import local
    from lsd_experiments.arrays.zarr_arrays import Directory

    if path.suffix == ".n5" or local.kind_of(path) in ("n5", "zarr3"):
        return local.open_directory(parse(str(path)))
    return Zarr(str(path), Directory(str(path)))


def _ZipStore(name: str) -> Any:
    import zarr

    from lsd_experiments.arrays.zarr_arrays import repaired

    class Store(zarr.ZipStore):
        def __getitem__(self, key: str) -> Any:
            try:
                value = super().__getitem__(key)
            except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
                raise UserError(f"{name}: {key} cannot be read ({error}). Make the zip file again") from error
            return repaired(value, f"{name}:{key.rpartition('/')[0]}") if key.endswith(".zarray") else value

    try:
        return Store(name, mode="r")
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{name}: is no zip file ({error}). Name a zarr directory, or a zip file of one") from error


def levels(tree: Hierarchy, path: str) -> list[Level]:
    """The scale levels of the class at ``path``: one of an array, those of a group; none if there is neither.

    :raises UserError: if what their metadata say is nonsense
    """
    array = tree.array(path)
    if array is not None:
        return [_level(tree, path, array, "array")]
    attrs = tree.attrs(path)
    if "multiscales" in attrs and not isinstance(tree, N5):
        return _ome_levels(tree, path, attrs)
    found = ((f"{path}/{name}", tree.array(f"{path}/{name}")) for name in tree.children(path))
    return [_level(tree, name, array, "group") for name, array in found if array is not None]


def place(attrs: Mapping[str, Any], where: str) -> tuple[Nanometres | None, Nanometres | None]:
    """Voxel size and translation (z, y, x) in nm that the attributes of an array say; None where they do not."""
    size = next((attrs[key] for key in SIZES if attrs.get(key) is not None), None)
    translation = next((attrs[key] for key in PLACES if attrs.get(key) is not None), None)
    return (None if size is None else triple(size, f"{where}: its voxel size", positive=True),
            None if translation is None else triple(translation, f"{where}: its translation"))


def _level(tree: Hierarchy, path: str, array: Any, kind: str) -> Level:
    where = f"{tree.container}:{path}"
    _check_axes(array, where)
    size, translation = tree.world(path) if isinstance(tree, N5) else place(tree.attrs(path), where)
    return Level(where, array, size, translation, translation, kind)


def _check_axes(array: Any, where: str) -> None:
    if len(array.shape) != 3:
        raise UserError(f"{where} has {len(array.shape)} axes, not z, y, x. Write each class as an array of its own")


def _ome_levels(tree: Hierarchy, path: str, attrs: dict[str, Any]) -> list[Level]:
    where = f"{tree.container}:{path}"
    images = ome.tables(attrs["multiscales"], f"{where}: 'multiscales'")
    found, said = [], []  # a level may be said that was not fetched: where others begin depends on it all the same
    for dataset in ome.tables(images[0].get("datasets") if images else None, f"{where}: 'datasets' of its multiscales"):
        name = str(dataset.get("path"))
        array = tree.array(f"{path}/{name}") if ".." not in name else None
        said.append(_transform(dataset, f"{where}/{name}"))
        if array is not None:
            _check_axes(array, f"{where}/{name}")
            found.append((f"{where}/{name}", array, *said[-1]))
    translations = {translation for _, translation in said}
    finest = min((size for size, _ in said if size is not None), default=None)
    return [Level(name, array, size, translation, _begin(size, translation, finest, len(translations) > 1), "ome")
            for name, array, size, translation in found]


def _transform(dataset: Mapping[str, Any], where: str) -> tuple[Nanometres | None, Nanometres | None]:
    """Scale and translation of a level, as its own transformations say: the challenge has no others, in nm."""
    said = {table.get("type"): table for table in ome.tables(dataset.get("coordinateTransformations"), where)}
    scale, translation = (said[kind].get(kind) if kind in said else None for kind in ("scale", "translation"))
    return (None if scale is None else triple(scale, f"{where}: its scale", positive=True),
            None if translation is None else triple(translation, f"{where}: its translation"))


def _begin(size: Nanometres | None, translation: Nanometres | None, finest: Nanometres | None,
           centres: bool) -> Nanometres | None:
    """Where a level begins; levels whose translations differ (0, 2, 6 of voxels of 4, 8, 16 nm) mean the voxels' ``centres``."""
    if not centres or size is None or translation is None or finest is None:
        return translation
    return tuple(t - (s - f) / 2 for t, s, f in zip(translation, size, finest, strict=True))
