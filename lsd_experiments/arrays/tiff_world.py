"""The voxel size and offset that a TIFF stack stores: OME's, ImageJ's, or as :mod:`tiff_writing` wrote them."""

import json
import xml.etree.ElementTree as xml
from collections.abc import Mapping
from typing import Any

from lsd_experiments.arrays.metadata import nm_per, triple, world
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres

World = tuple[Nanometres | None, Nanometres | None]


def stack_world(file: Any, where: str, given: Nanometres | None) -> World:
    """Voxel size and offset (z, y, x) in nm of ``file``, an open ``tifffile.TiffFile``; None where not stored.

    :param given: the voxel size that the user says; then nothing that is stored is an error
    :raises UserError: if what is stored is nonsense
    """
    try:
        voxel_size, offset = _stored(file, where)
    except UserError:
        if given is None:
            raise
        voxel_size, offset = None, None
    return given or voxel_size, offset


def _stored(file: Any, where: str) -> World:
    if file.is_ome:
        description = _parsed(file.ome_metadata, where)
        voxel_size, offset = world(_described(description), f"{where}: OME description")
        return voxel_size or _ome_voxel_size(description, where), offset
    if file.is_imagej:
        return _imagej_voxel_size(file, where), None
    shaped: Any = (file.shaped_metadata or ({},))[0]
    return world(shaped if isinstance(shaped, Mapping) else {}, f"{where}: ImageDescription")


def _parsed(metadata: str, where: str) -> xml.Element:
    try:
        return xml.fromstring(metadata)
    except (xml.ParseError, ValueError) as error:
        raise UserError(f"{where}: its OME metadata is no XML ({error}). Say the voxel size: --voxel-size, or 'voxel_size' in a "
                        "crop file") from error


def _first(root: xml.Element, tag: str) -> xml.Element | None:
    return next((e for e in root.iter() if e.tag.rpartition("}")[2] == tag), None)


def _described(root: xml.Element) -> dict[str, Any]:
    """The attributes that the description of the first image holds; none in files of other programs."""
    description = _first(root, "Description")
    try:
        attrs = json.loads((None if description is None else description.text) or "{}")
    except ValueError:
        return {}
    return attrs if isinstance(attrs, dict) else {}


def _ome_voxel_size(root: xml.Element, where: str) -> Nanometres | None:
    """``PhysicalSize`` of the first image; its unit is µm where not said (the OME schema's default)."""
    pixels = _first(root, "Pixels")
    if pixels is None or any(f"PhysicalSize{a}" not in pixels.attrib for a in "ZYX"):
        return None
    units = [pixels.attrib.get(f"PhysicalSize{a}Unit", "µm") for a in "ZYX"]
    if {"pixel", "reference frame"} & {*units}:  # OME's words for sizes that are not known
        return None
    stored = [_number(pixels.attrib[f"PhysicalSize{a}"]) for a in "ZYX"]
    sizes = triple(stored, f"{where}: PhysicalSize of its OME metadata", positive=True)
    return tuple(size * nm_per(unit, f"{where}: OME metadata") for size, unit in zip(sizes, units, strict=True))


def _number(text: str) -> float | str:
    """``text`` as a number, or as it is if it is none."""
    try:
        return float(text)
    except ValueError:
        return text


def _imagej_voxel_size(file: Any, where: str) -> Nanometres | None:
    """``spacing`` along z, and the tags' pixels per ``unit`` along y and x; None if one is not stored."""
    metadata, tags = file.imagej_metadata or {}, file.pages[0].tags
    unit = metadata.get("unit", "")
    units = [_letter(metadata.get(key, unit)) for key in ("zunit", "yunit")] + [_letter(unit)]
    is_calibrated = {"XResolution", "YResolution"} <= {tag.name for tag in tags}
    if "spacing" not in metadata or {"", "pixel", "pixels"} & {*units} or not is_calibrated:
        return None
    z, y, x = (nm_per(unit, f"{where}: ImageJ metadata") for unit in units)
    (ny, dy), (nx, dx) = (tags[tag].value for tag in ("YResolution", "XResolution"))
    if not (ny and nx):
        raise UserError(f"{where}: ImageJ's tags say no pixels per {unit}. Say the voxel size: --voxel-size, or 'voxel_size' in "
                        "a crop file")
    spacing = _number(metadata["spacing"])
    return triple([spacing * z, dy / ny * y, dx / nx * x], f"{where}: ImageJ's voxel size", positive=True)


def _letter(unit: object) -> str:
    return str(unit).replace("\\u00B5", "µ").strip()  # ImageJ escapes the letter


def _number(value: object) -> float:
    try:
        return abs(float(str(value)))  # ImageJ writes a negative one for stacks from below
    except ValueError:
        return float("nan")
