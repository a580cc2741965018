"""``alignment.json``: all that is needed to make aligned volumes of a stack, and to go back.

    format            "alignment 1"
    stack             shape (voxels), voxel_size, offset (nm), (z, y, x), of the volume that was aligned, and its name; and
                      alignment, if it was itself aligned before: see :mod:`lsd_experiments.arrays.alignments`
    aligned           shape and offset of the aligned volumes
    model             shift, rigid or affine
    sections          of each aligned section: source, the stack's section that it is, and raw_source, whose raw it shows: another
                      one where raw is missing and the nearest section was copied in its place
    removed           sections of the stack that are in no aligned one
    maps              of each section of the stack: matrix [[a, b, c], [d, e, f]], and cracks
    findings          sections by what was found: missing, dark, bright, damaged, cracked, folded
    scores            of each section, correlation with the one before, 0 to 1; null where it was not compared

A pixel (y, x) of a section is at (a y + b x + c, d y + e x + f) of the aligned one, once its cracks are closed. A crack has
``axis`` (it runs along 0: y, 1: x), ``begin``, and for each pixel from there ``centres`` and ``widths`` across; ``reach``:
pixels across at which tissue is not displaced any more, null: two halves. See :mod:`lsd_experiments.alignment.maps` for the
formula.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.alignment.maps import IDENTITY, Crack, SectionMap
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres, Voxels
from lsd_experiments.writing import put_text

NAME, FORMAT = "alignment.json", "alignment 1"


@dataclass(frozen=True)
class AlignedSection:
    """``source``: the section of the stack that it is; ``raw_source``: the one whose raw it shows."""

    source: int
    raw_source: int


@dataclass(frozen=True)
class Alignment:
    """See the module; ``maps`` lead to aligned pixels whose first one is that of the aligned volume."""

    stack: str
    shape: Voxels
    voxel_size: Nanometres
    offset: Nanometres
    aligned_shape: Voxels
    aligned_offset: Nanometres
    model: str
    sections: tuple[AlignedSection, ...]
    maps: tuple[SectionMap, ...]
    findings: dict[str, list[int]] = field(default_factory=dict)
    scores: tuple[float | None, ...] = ()
    stack_mark: str = ""

    @property
    def removed(self) -> list[int]:
        """Sections of the stack that are in no aligned one."""
        return sorted({*range(self.shape[0])} - {section.source for section in self.sections})

    def place_of(self, source: int) -> int | None:
        """The aligned section that is section ``source`` of the stack; None if it was removed."""
        return next((z for z, section in enumerate(self.sections) if section.source == source), None)


def write_alignment(alignment: Alignment, container: str | Path) -> Path:
    """Write it beside the aligned volumes in ``container``; it is there whole or not at all."""
    path = Path(container) / NAME
    put_text(path, json.dumps(to_json(alignment), indent=1) + "\n")
    return path


def read_alignment(container: str | Path) -> Alignment:
    """That of the aligned volumes in ``container``.

    :raises UserError: if there is none, or it is damaged
    """
    path = Path(container) / NAME
    if not path.is_file():
        raise UserError(f"{path}: not there. Name the container that align.py wrote")
    try:
        values = json.loads(path.read_text())
        if values.get("format") != FORMAT:
            raise UserError(f"{path}: is of format {values.get('format')!r}, not '{FORMAT}'. Align the stack again")
        return from_json(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read ({type(error).__name__}: {error}). Align the stack again") from error


def mark(alignment: Alignment, container: str | Path) -> str:
    """What its aligned volumes in ``container`` say of themselves: see :mod:`lsd_experiments.arrays.alignments`."""
    counting = to_json(replace(alignment, stack="", findings={}, scores=()))
    digest = hashlib.sha256(json.dumps(counting, sort_keys=True).encode()).hexdigest()[:16]
    place, colon, dataset = alignment.stack.rpartition(":")
    stack = f"{Path(place).name}:{dataset}" if colon else Path(dataset).name
    return f"{digest}, {Path(container).name} of {stack}"


def to_json(alignment: Alignment) -> dict[str, Any]:
    """As JSON values."""
    stack: dict[str, Any] = {"name": alignment.stack, "shape": alignment.shape, "voxel_size": alignment.voxel_size,
                             "offset": alignment.offset}
    if alignment.stack_mark:
        stack["alignment"] = alignment.stack_mark
    return {
        "format": FORMAT, "stack": stack, "aligned": {"shape": alignment.aligned_shape, "offset": alignment.aligned_offset},
        "model": alignment.model, "removed": alignment.removed,
        "sections": [{"source": one.source, "raw_source": one.raw_source} for one in alignment.sections],
        "findings": alignment.findings, "scores": alignment.scores,
        "maps": maps_to_json(alignment.maps),
    }


def maps_to_json(maps: Sequence[SectionMap]) -> list[dict[str, Any]]:
    """As JSON values."""
    return [{"matrix": one.matrix.tolist(), "cracks": [*map(_crack_to_json, one.cracks)]} for one in maps]


def from_json(values: dict[str, Any]) -> Alignment:
    """What :func:`to_json` gave."""
    stack, aligned = values["stack"], values["aligned"]
    return Alignment(
        stack["name"], tuple(stack["shape"]), tuple(stack["voxel_size"]), tuple(stack["offset"]), tuple(aligned["shape"]),
        tuple(aligned["offset"]), values["model"], tuple(AlignedSection(**one) for one in values["sections"]),
        maps_from_json(values["maps"]),
        values["findings"], tuple(values["scores"]), stack.get("alignment", ""))


def maps_from_json(values: Sequence[dict[str, Any]]) -> tuple[SectionMap, ...]:
    """What :func:`maps_to_json` gave."""
    return tuple(SectionMap(_matrix(one["matrix"]), tuple(map(_crack_from_json, one["cracks"]))) for one in values)


def _matrix(values: Any) -> Any:
    matrix = np.asarray(values, np.float64)
    if matrix.shape != IDENTITY.shape or not np.isfinite(matrix).all():
        raise ValueError("a matrix is not of 2 x 3 numbers")
    return matrix


def _crack_to_json(crack: Crack) -> dict[str, Any]:
    reach = None if math.isinf(crack.reach) else crack.reach
    return {"axis": crack.axis, "begin": crack.begin, "reach": reach, "centres": crack.centres, "widths": crack.widths}


def _crack_from_json(values: dict[str, Any]) -> Crack:
    reach = math.inf if values["reach"] is None else float(values["reach"])
    return Crack(int(values["axis"]), int(values["begin"]), tuple(values["centres"]), tuple(values["widths"]), reach)
