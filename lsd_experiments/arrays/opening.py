"""Open a volume by the name of its container: which format that is, is decided here and nowhere else."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lsd_experiments.arrays import crops, hdf5, n5, s3, section_files, tiff, zarrs
from lsd_experiments.arrays.hierarchy import ONLY, Hierarchy, clean, holds, list_arrays, open_in
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError

HDF5_SUFFIXES = {".h5", ".hdf", ".hdf5"}
TIFF_SUFFIXES = {".tif", ".tiff"}
MARKS = (".zgroup", ".zarray", "zarr.json", "attributes.json")  # of zarr and N5


def open_volume(container: str | Path, dataset: str | None = None, *, default: str | None = None,
                voxel_size: Sequence[float] | None = None, writable: bool = False) -> Volume:
    """Open a volume; nothing but metadata is read.

    :param container: a zarr, OME-Zarr or N5 directory, an HDF5 file, a TIFF stack or a directory of sections, a crop
        (``.json``), or ``s3://bucket/prefix``. See ``docs/formats.md``.
    :param dataset: the array in it; a group stands for its full resolution. ``-``: the only one that there is. None or
        empty: the container itself (TIFF, a crop that names its dataset, a zarr that is an array), ``default``, or the only one.
    :param voxel_size: (z, y, x) in nm; overrides the stored one, and is needed where none is stored.
    :param writable: only for zarr.
    :raises UserError: if it is missing, is of no known format, or has no voxel size.
    """
    name, dataset = str(container), dataset or None
    override = None if voxel_size is None else tuple(float(v) for v in voxel_size)
    if is_crop(name):
        return crops.open_crop(Path(name), dataset, default, override, open_volume)
    if _is_images(name):
        open_images = section_files.open_directory if Path(name).is_dir() else tiff.open_stack
        return open_images(Path(name), None if dataset == ONLY else dataset, override)
    volume = open_in(_tree(name, writable), dataset, default, override, writable)
    if writable and getattr(volume.array, "read_only", True):
        raise UserError(f"{volume.name}: only zarr is written. Name a .zarr output")
    return replace(volume, writable=writable)


def find_volume(container: str | Path, dataset: str) -> Volume | None:
    """The volume ``dataset`` of ``container``, or None if there is none."""
    if not ("://" in str(container) or Path(container).exists()):
        return None
    if dataset == ONLY:
        return open_volume(container, dataset)
    return open_volume(container, dataset) if has_dataset(container, dataset) else None


def has_dataset(container: str | Path, dataset: str) -> bool:
    """Whether ``container`` has an array or a group ``dataset``, also a link, or one that cannot be read."""
    name = str(container)
    if is_crop(name):
        return crops.has_in_crop(Path(name), dataset, has_dataset)
    return not _is_images(name) and holds(_tree(name, writable=False), clean(dataset, name))


def list_datasets(container: str | Path) -> list[str]:
    """The datasets of ``container``; one that is a volume itself (TIFF, a crop that names its dataset) has none."""
    name = str(container)
    if _is_images(name):
        return []
    if is_crop(name):
        return crops.list_in_crop(Path(name), list_datasets)
    return list_arrays(_tree(name, writable=False))


def is_crop(container: str) -> bool:
    """Whether ``container`` is the name of a crop file."""
    return "://" not in container and Path(container).suffix.lower() == ".json"


def is_one_volume(container: str) -> bool:
    """Whether ``container`` is one volume, without names of datasets: TIFF, an array itself, or a crop of one or of a dataset.

    Buckets are not asked.
    """
    try:
        if is_crop(container) or _is_images(container):
            return not any(list_datasets(container))
        return Path(container).is_dir() and _tree(container, writable=False).array("") is not None
    except UserError:  # said where it is opened
        return False


def _tree(name: str, writable: bool) -> Hierarchy:
    if name.startswith("s3://"):
        return s3.open_bucket(name)
    path = Path(name)
    if not path.exists():
        raise UserError(f"{name}: no such file or directory. Name a zarr, N5, HDF5, TIFF or crop (.json)")
    if path.is_dir():
        return n5.open_local(name) if is_n5(path) else zarrs.open_local(name, writable)
    if path.suffix.lower() in HDF5_SUFFIXES:
        return hdf5.open_file(name)
    raise UserError(f"{name}: of no known format. Name a zarr or N5 directory, or a file ending in .h5, .hdf, .tif or "
                    ".json")


def is_n5(path: Path) -> bool:
    """Whether the directory ``path`` is N5."""
    is_zarr = any((path / file).is_file() for file in (".zgroup", ".zarray", "zarr.json"))
    return path.is_dir() and not is_zarr and (path.suffix == ".n5" or (path / "attributes.json").is_file())


def _is_images(name: str) -> bool:
    """Whether ``name`` is a TIFF file or a directory of sections, whatever the directory is called."""
    if name.startswith("s3://"):
        return False
    path = Path(name)
    if not path.is_dir():
        return path.suffix.lower() in TIFF_SUFFIXES
    is_marked = path.suffix in (".n5", ".zarr") or any((path / mark).is_file() for mark in MARKS)
    return not is_marked and section_files.is_directory_of_sections(path)
