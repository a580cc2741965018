"""TIFF stacks: one file [z, y, x], or a directory of one section per file, in natural order of their names.

The voxel size comes from ImageJ's or OME's metadata, or is given. What :mod:`tiff_writing` wrote says it to the last bit, and the
offset; other stacks begin at 0. Sections are read one by one, so that a stack may be
larger than memory.
"""

import json
import re
import xml.etree.ElementTree as xml
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.arrays.metadata import nm_per, world
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres


class TiffStack:
    """Sections as one array [z, y, x]; section i is page i of a single file, or the only page of file i."""

    def __init__(self, files: list[Path], shape: tuple[int, ...], dtype: Any) -> None:
        self.files, self.shape, self.dtype = files, shape, np.dtype(dtype)
        self.chunks = (1, *shape[1:])

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_mapped"}

    @cached_property
    def _mapped(self) -> Any | None:
        """The single file as a memory map, or None if it is compressed or tiled."""
        import tifffile

        try:
            return tifffile.memmap(self.files[0], mode="r").reshape(self.shape) if len(self.files) == 1 else None
        except ValueError:
            return None

    def __getitem__(self, index: tuple[slice, ...]) -> Any:
        import tifffile

        if self._mapped is not None:
            return np.array(self._mapped[index])
        sections, *plane = index
        numbers = range(*sections.indices(self.shape[0]))
        if len(self.files) == 1:
            with tifffile.TiffFile(self.files[0]) as file:
                pages = file.series[0].pages
                return np.stack([pages[i].asarray()[tuple(plane)] for i in numbers])
        return np.stack([_section(self.files[i], self.shape[1:])[tuple(plane)] for i in numbers])


def is_directory_of_sections(path: Path) -> bool:
    """Whether ``path`` is a directory of TIFF files."""
    return path.is_dir() and not path.suffix and next(iter(_sections(path)), None) is not None


def open_stack(path: Path, dataset: str | None, voxel_size: Nanometres | None) -> Volume:
    """The stack at ``path``.

    :raises UserError: if ``dataset`` is not None, it is no stack of grey sections, or has no voxel size.
    """
    import tifffile

    if dataset:
        raise UserError(f"{path}: a TIFF stack has no datasets, '{dataset}' was asked for. Leave the dataset empty")
    if not path.exists():
        raise UserError(f"{path}: no such file or directory")
    files = _sections(path) if path.is_dir() else [path]
    try:
        with tifffile.TiffFile(files[0]) as file:
            series = file.series[0]
            shape, dtype, axes = _shape(series, not path.is_dir()), series.dtype, series.axes
            stored, offset = (None, None) if path.is_dir() else _world(file, str(path))
    except (tifffile.TiffFileError, IndexError) as error:
        raise UserError(f"{files[0]}: cannot be read as TIFF ({error}). Fetch or make it again") from error
    if path.is_dir():
        shape = (len(files), *shape)
    if len(shape) != 3 or "S" in axes:
        raise UserError(f"{path}: a TIFF of shape {series.shape} (axes {axes}); volumes are grey and [z, y, x]. "
                        "Convert it")
    if voxel_size is None and stored is None:
        raise UserError(f"{path}: stores no voxel size. Name a crop file (.json) instead that has "
                        f'{{"container": "{path.name}", "voxel_size": [z, y, x]}} in nm')
    return Volume(str(path), "", TiffStack(files, shape, dtype), voxel_size or stored or (), offset or (0.0, 0.0, 0.0),
                  Box.of_shape(shape))


def _shape(series: Any, is_stack: bool) -> tuple[int, ...]:
    """Without axes of length 1, unless a stack says that they are z, y or x."""
    lengths = dict(zip(series.get_axes(False), series.get_shape(False), strict=True))
    if is_stack and {*"ZYX"} <= {*lengths} and all(n == 1 for axis, n in lengths.items() if axis not in "ZYX"):
        return tuple(lengths[axis] for axis in "ZYX")
    return tuple(s for s in series.shape if s != 1)


def _sections(directory: Path) -> list[Path]:
    files = [f for f in directory.iterdir() if f.suffix.lower() in (".tif", ".tiff") and not f.name.startswith(".")]
    return sorted(files, key=lambda f: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", f.name)])


def _section(file: Path, shape: tuple[int, ...]) -> Any:
    import tifffile

    section = tifffile.imread(file).squeeze()
    if section.shape != shape:
        raise UserError(f"{file}: a section of shape {section.shape} among others of {shape}")
    return section


def _world(file: Any, where: str) -> tuple[Nanometres | None, Nanometres | None]:
    """Voxel size and offset in nm, None where not stored."""
    if file.is_ome:
        voxel_size, offset = world(_described(file.ome_metadata), f"{where}: OME description")
        return voxel_size or _ome_voxel_size(file.ome_metadata, where), offset
    if file.is_imagej:
        return _imagej_voxel_size(file, where), None
    return world((file.shaped_metadata or ({},))[0], f"{where}: ImageDescription")


def _described(metadata: str) -> dict[str, Any]:
    """The attributes that the description of the first image holds; none in files of other programs."""
    text = next((e.text for e in xml.fromstring(metadata).iter() if e.tag.rpartition("}")[2] == "Description"), None)
    try:
        attrs = json.loads(text or "{}")
    except ValueError:
        return {}
    return attrs if isinstance(attrs, dict) else {}


def _ome_voxel_size(metadata: str, where: str) -> Nanometres | None:
    """``PhysicalSize`` of the first image; its unit is µm where not said (the OME schema's default)."""
    pixels = next((e for e in xml.fromstring(metadata).iter() if e.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None or any(f"PhysicalSize{a}" not in pixels.attrib for a in "ZYX"):
        return None
    sizes = (float(pixels.attrib[f"PhysicalSize{a}"]) for a in "ZYX")
    units = (nm_per(pixels.attrib.get(f"PhysicalSize{a}Unit", "µm"), f"{where}: OME metadata") for a in "ZYX")
    return tuple(size * unit for size, unit in zip(sizes, units, strict=True))


def _imagej_voxel_size(file: Any, where: str) -> Nanometres | None:
    """``spacing`` along z, and the tags' pixels per ``unit`` along y and x; None if one is not stored."""
    metadata, tags = file.imagej_metadata or {}, file.pages[0].tags
    unit = str(metadata.get("unit", "")).replace("\\u00B5", "µ")  # ImageJ escapes the letter
    is_calibrated = {"XResolution", "YResolution"} <= {tag.name for tag in tags}
    if "spacing" not in metadata or unit in ("", "pixel") or not is_calibrated:
        return None
    factor = nm_per(unit, f"{where}: ImageJ metadata")
    pixels_per_unit = [tags[tag].value for tag in ("YResolution", "XResolution")]
    return (float(metadata["spacing"]) * factor, *(d / n * factor for n, d in pixels_per_unit))
