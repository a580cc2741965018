"""The manifest of test crops: a row for each crop and class, which says where and how finely it is scored.

    crop_name,dataset,class_label,voxel_size,translation,shape
    557,jrc_ctl-id8-1,mito,[1.74;2.0;2.0],[23837.0;7599.0;35999.0],[600;600;600]

Triples are z, y, x; sizes and translations are in nm, shapes in voxels; the translation is where the first voxel begins.
"""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres, Voxels

COLUMNS = ("crop_name", "dataset", "class_label", "voxel_size", "translation", "shape")
WHERE = ("It is src/cellmap_segmentation_challenge/utils/test_crop_manifest.csv of the challenge's toolbox, or beside a "
         "synthetic challenge: name it with --manifest")


@dataclass(frozen=True)
class Target:
    """What one class is scored on in one test crop; sizes (z, y, x) in nm, ``shape`` in voxels."""

    crop: str  # like crop557
    dataset: str
    label: str
    voxel_size: Nanometres
    translation: Nanometres
    shape: Voxels

    @property
    def name(self) -> str:
        """What messages call it: ``crop557/mito``."""
        return f"{self.crop}/{self.label}"


def read_manifest(path: str | Path) -> list[Target]:
    """The rows of the manifest ``path``, in its order.

    :raises UserError: if it is not there, a row is nonsense, or a crop has a class twice
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such manifest of test crops. {WHERE}")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise UserError(f"{path}: its first line is not {','.join(COLUMNS)}. {WHERE}")
    targets = [_target(row, f"{path}: line {number}") for number, row in enumerate(rows[1:], 2) if row]
    seen: set[str] = set()
    for target in targets:
        if target.name in seen:
            raise UserError(f"{path}: {target.name} is there twice. Remove one of its lines")
        seen.add(target.name)
    return targets


def write_manifest(path: Path, targets: list[Target]) -> None:
    """Write ``targets`` as :func:`read_manifest` reads them; the file is there as a whole."""
    from lsd_experiments.writing import put_text

    rows = [",".join(COLUMNS)]
    for target in targets:
        triples = ("[" + ";".join(map(str, values)) + "]" for values in
                   (map(float, target.voxel_size), map(float, target.translation), map(int, target.shape)))
        rows.append(",".join((target.crop.removeprefix("crop"), target.dataset, target.label, *triples)))
    put_text(path, "\n".join(rows) + "\n")


def _target(row: list[str], where: str) -> Target:
    if len(row) != len(COLUMNS):
        raise UserError(f"{where} has {len(row)} columns, not {len(COLUMNS)}: {','.join(COLUMNS)}")
    voxel_size, translation, shape = (_triple(text, name, where) for text, name in zip(row[3:], COLUMNS[3:], strict=True))
    if min(voxel_size) <= 0 or min(shape) < 1 or any(n != int(n) for n in shape):
        raise UserError(f"{where}: voxels of {row[3]} nm and a shape of {row[5]} are none. Correct them")
    return Target(crop_name(row[0]), row[1], row[2], voxel_size, translation, tuple(int(n) for n in shape))


def crop_name(text: str) -> str:
    """``crop557`` of 557, or of itself."""
    return text if text.startswith("crop") else f"crop{text}"


def _triple(text: str, column: str, where: str) -> Nanometres:
    try:
        values = tuple(float(part) for part in text.strip().strip("[]").replace(",", ";").split(";"))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(map(math.isfinite, values)):
        raise UserError(f"{where}: {column} is {text!r}, not three numbers like [8.0;8.0;8.0]")
    return values
