"""One array in a file: MRC, NRRD, NIfTI and npy, by the libraries that own these formats.

    MRC     [z, y, x]; Angstrom. Bytes are signed, but where IMOD wrote them as unsigned
    NRRD    x is first in its header; nm by "space units", or "units". Compressed, it is read whole
    NIfTI   [x, y, z]; nm by xyzt_units. Compressed, it is read whole
    npy     [z, y, x]; says nothing of voxels

The origin that a file says is where its first voxel begins. A voxel size that is not said is given.
"""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.axes import arrange, guess_channels
from lsd_experiments.arrays.metadata import NM_PER, Place, placed
from lsd_experiments.arrays.tiff import no_voxel_size
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres

FORMATS = {".mrc": "MRC", ".rec": "MRC", ".map": "MRC", ".mrcs": "MRC", ".st": "MRC", ".nrrd": "NRRD", ".nhdr": "NRRD",
           ".nii": "NIfTI", ".npy": "npy"}  # fmt: skip
IMOD, SIGNED = 1146047817, 1  # in MRC's header: the mark of IMOD, and the bit that says that bytes are signed
DIGITS = 7  # of float32, in which MRC and NIfTI say sizes


@dataclass(frozen=True)
class Content:
    """``values`` may be mapped, or a NIfTI proxy; ``names`` are its axes, or None if they are to be guessed."""

    values: Any
    names: list[str] | None = None
    voxel_size: Nanometres | None = None
    offset: Nanometres | None = None


class FileArray:
    """The array in a file, which is opened anew in each process."""

    read_only = True

    def __init__(self, path: Path, content: Content) -> None:
        self.path = path
        self.shape, self.dtype, self.chunks = tuple(content.values.shape), np.dtype(content.values.dtype), None
        self.__dict__["_values"] = content.values

    @cached_property
    def _values(self) -> Any:
        return load(self.path).values

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_values"}

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return np.array(self._values[index])


def format_of(name: str) -> str | None:
    """The format of a file by its name, or None if it is none of these."""
    return "NIfTI" if name.lower().endswith(".nii.gz") else FORMATS.get(Path(name).suffix.lower())


def open_file(path: Path, dataset: str | None, voxel_size: Nanometres | None) -> Volume:
    """The volume in the file ``path``.

    :param voxel_size: (z, y, x) in nm; comes before the stored one
    :raises UserError: if ``dataset`` is not None, the file is damaged, holds no volume, or has no voxel size
    """
    if dataset:
        raise UserError(f"{path}: {format_of(path.name)} has no datasets, '{dataset}' was asked for. Write - in place of the "
                        "dataset, or leave it empty")
    content = load(path)
    array: Any = FileArray(path, content)
    if array.dtype.kind not in "buif":
        raise UserError(f"{path}: arrays of type {array.dtype} are no volumes. Name another file")
    if min(array.shape, default=0) < 1:
        raise UserError(f"{path} has the shape {array.shape}: it holds no voxel. Name another file")
    if content.names is None:
        has_channels = guess_channels(array.shape, str(path), False, False)
    else:
        array, has_channels = arrange(array, content.names, str(path))
    if voxel_size is None and content.voxel_size is None:
        raise no_voxel_size(path)
    size, offset = placed(voxel_size, lambda _: (content.voxel_size, content.offset), str(path))
    return Volume(str(path), "", array, size, offset, Box.of_shape([int(s) for s in array.shape[-3:]]),
                  int(array.shape[-4]) if has_channels else None)


def load(path: Path) -> Content:
    """What the file ``path`` holds.

    :raises UserError: if it is missing or damaged, or its library is not installed
    """
    kind = str(format_of(path.name))
    if not path.is_file():
        raise UserError(f"{path}: no such file or directory")
    try:
        return LOADERS[kind](path)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # of any kind, where these libraries meet damage
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: cannot be read as {kind} ({reason}). Fetch or make it again") from error


def _library(name: str, package: str, path: Path) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"{path}: is read by {package}, which is not installed. Install it: pip install 'lsd-experiments[images]'"
                        ) from error


def _load_npy(path: Path) -> Content:
    return Content(np.load(path, mmap_mode="r", allow_pickle=False))


def _load_mrc(path: Path) -> Content:
    mrcfile = _library("mrcfile", "mrcfile", path)
    with mrcfile.mmap(path, permissive=False) as file:
        header, values = file.header, file.data
        if [int(header[key]) for key in ("mapc", "mapr", "maps")] not in ([1, 2, 3], [0, 0, 0]):
            raise UserError(f"{path}: its axes are turned (MAPC, MAPR, MAPS). Write it with x fastest, then y, then z")
        stamp, flags = np.frombuffer(header["extra2"].tobytes()[40:48], header["mode"].dtype)
        if values.dtype == np.int8 and stamp == IMOD and not flags & SIGNED:
            values = values.view(np.uint8)
        sizes = [_rounded(file.voxel_size[axis] / 10) for axis in "zyx"]
        origin = [_rounded(header["origin"][axis] / 10) for axis in "zyx"]
        starts = [int(header[f"n{axis}start"]) * size for axis, size in zip("zyx", sizes, strict=True)]
        is_said = all(size > 0 and math.isfinite(size) for size in sizes)
        return Content(values, None, tuple(sizes), tuple(origin if any(origin) else starts)) if is_said else Content(values)


def _load_nrrd(path: Path) -> Content:
    nrrd = _library("nrrd", "pynrrd", path)
    header = nrrd.read_header(str(path))
    is_mapped = header.get("encoding") == "raw" and "data file" not in header and "datafile" not in header
    values = _map_nrrd(path, nrrd, header) if is_mapped else nrrd.read(str(path), index_order="C")[0]
    dimension = int(header["dimension"])
    kinds = list(header.get("kinds", ["domain"] * dimension))
    spatial = [axis for axis in range(dimension) if kinds[axis] in ("domain", "space", "???", "none")]
    if len(spatial) != 3:
        return Content(values)
    names = ["xyz"[spatial.index(axis)] if axis in spatial else "c" for axis in range(dimension)]
    return Content(values, names[::-1], *_nrrd_world(header, spatial))


def _map_nrrd(path: Path, nrrd: Any, header: Any) -> Any:
    """The values of a file that is not compressed, as a memory map [z, y, x]."""
    with path.open("rb") as file:
        nrrd.read_header(file)
        begin = file.tell()
    dtype = np.dtype(nrrd.reader._determine_datatype(header))
    shape = tuple(int(size) for size in header["sizes"][::-1])
    skips = any(int(header.get(key, 0)) for key in ("line skip", "lineskip", "byte skip", "byteskip"))
    if skips or path.stat().st_size != begin + math.prod(shape) * dtype.itemsize:
        return nrrd.read(str(path), index_order="C")[0]  # which says what is wrong
    return np.memmap(path, dtype, "r", begin, shape)


def _nrrd_world(header: Any, spatial: list[int]) -> Place:
    """Voxel size and offset in nm; None where no units are said. Axes that do not lie along x, y and z have no offset."""
    directions = header.get("space directions")
    if directions is not None:
        matrix = np.array([directions[axis] for axis in spatial] if len(directions) > 3 else directions, float)
        sizes, units = np.linalg.norm(matrix, axis=1), header.get("space units")
        is_straight = np.allclose(matrix, np.diag(sizes), rtol=0, atol=1e-6 * sizes.max())
    else:
        listed, units = header.get("spacings"), header.get("units")
        sizes = np.array([listed[axis] for axis in spatial], float) if listed is not None else None
        units = [units[axis] for axis in spatial] if units is not None and len(units) > 3 else units
        is_straight = True
    factors = [NM_PER.get(str(unit).strip().strip('"').lower(), math.nan) for unit in units or ()]
    if sizes is None or len(factors) != 3 or not np.isfinite([*factors, *sizes]).all() or not (sizes > 0).all():
        return None, None
    origin = header.get("space origin")
    voxel_size = tuple(float(s * f) for s, f in zip(sizes, factors, strict=True))[::-1]
    if origin is None or not is_straight:
        return voxel_size, None
    return voxel_size, tuple(float(o * f) for o, f in zip(origin, factors, strict=True))[::-1]


def _load_nifti(path: Path) -> Content:
    nibabel = _library("nibabel", "nibabel", path)
    image = nibabel.load(path)
    values = np.asanyarray(image.dataobj)  # mapped, where it is neither compressed nor scaled
    unit = image.header.get_xyzt_units()[0]
    factor = {"mm": 1e6, "micron": 1e3, "meter": 1e9}.get(unit)
    names = ["x", "y", "z", "t", "c"][:values.ndim]
    if factor is None or len(names) < 3:
        return Content(values.transpose(), names[::-1])
    matrix, sizes = image.affine[:3, :3], [_rounded(zoom * factor) for zoom in image.header.get_zooms()[:3]]
    is_straight = np.allclose(matrix, np.diag(image.header.get_zooms()[:3]), rtol=1e-5, atol=1e-9)
    begin = tuple(_rounded(o * factor) for o in image.affine[:3, 3])[::-1] if is_straight else None
    return Content(values.transpose(), names[::-1], tuple(sizes)[::-1], begin)


def _rounded(value: Any) -> float:
    return float(f"{float(value):.{DIGITS}g}")


LOADERS: dict[str, Callable[[Path], Content]] = {"MRC": _load_mrc, "NRRD": _load_nrrd, "NIfTI": _load_nifti, "npy": _load_npy}
