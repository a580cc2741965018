"""Pack what was processed for the challenge: each class of each test crop at its grid, in a zarr, and a zip file of it.

    submission.zarr/crop557/mito    [z, y, x]; attributes voxel_size, translation (nm), shape; z, y, x
    submission.zip                  the same, paths relative to submission.zarr

Instances are of the smallest unsigned type that holds all ids: none is changed. Other classes are 0 and 1 in uint8. Equal
inputs give equal bytes.
"""

import os
import shutil
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.aligning import load_aligned
from lsd_experiments.families.cellmap.classes import INSTANCES
from lsd_experiments.families.cellmap.manifest import Target
from lsd_experiments.families.cellmap.places import VALUES
from lsd_experiments.families.cellmap.sources import Level, levels, open_tree
from lsd_experiments.families.cellmap.split.finding import split_container

PROCESSED = "data/processed/{dataset}.zarr/{crop}"
CHUNK = 128  # voxels along each axis, as long as the crop has them
EXACT = {2: 2**11, 4: 2**24, 8: 2**53}  # ids up to which floats of so many bytes are exact
SINCE_1980 = (1980, 1, 1, 0, 0, 0)  # the time of all members of a zip file


@dataclass
class Packed:
    """What became of the manifest's crops and classes, by names like crop557/mito."""

    packed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)


def pack(processed: str, output: str | Path, targets: Sequence[Target], overwrite: bool = False,
         instances: Collection[str] = INSTANCES) -> Packed:
    """Write the zarr ``output`` and the zip file beside it; both appear when they are whole.

    :param processed: where crops lie, with {dataset} and {crop}
    :raises UserError: if nothing is there, or what is there is not finished, the output is there already, or ids cannot be kept
    """
    output = Path(output)
    archive = output.with_suffix(".zip")
    if output.suffix != ".zarr":
        raise UserError(f"{output}: a submission is a zarr directory. Name it like submission.zarr")
    for path in (output, archive):
        if path.exists() and not overwrite:
            raise UserError(f"{path}: exists already. Pass --overwrite to replace it, or name another place")
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    zipped = archive.with_name(f".{archive.name}.{os.getpid()}.partial")
    try:
        told = _write(processed, partial, targets, instances)
        zip_tree(partial, zipped)
        if output.exists():
            shutil.rmtree(output)
        partial.rename(output)
        zipped.replace(archive)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        zipped.unlink(missing_ok=True)
    return told


def _write(processed: str, root: Path, targets: Sequence[Target], instances: Collection[str]) -> Packed:
    from tqdm import tqdm

    told = Packed()
    put_group(root)
    for target in tqdm(targets, desc="packing", unit="class", disable=None):
        found = processed_levels(processed, target)
        put_group(root / target.crop)
        if not found:
            told.missing.append(target.name)
            continue
        put_array(root / target.crop / target.label, packable(load_aligned(found, target, instances), target, instances), target)
        told.packed.append(target.name)
    if not told.packed:
        raise UserError(f"{processed}: none of the {len(targets)} classes of test crops is there, like "
                        f"{where(processed, targets[0])}/{targets[0].label}. Run csc process, or name another --input-search-path"
                        if targets else "the manifest has no crop. Name another")
    told.extra = _extra(processed, targets)
    return told


def where(processed: str, target: Target) -> str:
    """The path of a crop."""
    return processed.replace("{dataset}", target.dataset).replace("{crop}", target.crop)


def processed_levels(processed: str, target: Target) -> list[Level]:
    """The levels of what was processed for ``target``; empty if there is nothing.

    :raises UserError: if it is not finished, or was not processed
    """
    container, group = split_container(where(processed, target))
    if not Path(container).exists():
        return []
    path = f"{group}/{target.label}".lstrip("/")
    if not (Path(container) / path).is_dir():
        return []
    tree = open_tree(container)
    _check_processed(tree.attrs(path), f"{container}:{path}")
    return levels(tree, path)


def _check_processed(attrs: Mapping[str, Any], name: str) -> None:
    """:raises UserError: if csc process did not finish it, or it is what csc predict makes"""
    if "provenance" in attrs and "finished" not in attrs:
        raise UserError(f"{name} is not finished. Run csc process again, which goes on")
    if (values := attrs.get(VALUES)) in ("logits", "probabilities"):
        raise UserError(f"{name} holds {values}, as csc predict makes them. Run csc process, and name what that makes")


def packable(values: NDArray[Any], target: Target, instances: Collection[str] = INSTANCES) -> NDArray[Any]:
    """``values`` as they are stored: ids in the smallest unsigned type, or 1 where they are above 0.

    :raises UserError: if ids are negative, no whole numbers, or of floats that are not exact any more
    """
    if target.label not in instances:
        return (values > 0).astype(np.uint8)
    if values.dtype.kind == "f":
        values = _whole(values, target)
    if values.size and values.min() < 0:
        raise UserError(f"{target.name}: holds the negative id {values.min()}. Ids of instances are 1 and up")
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _whole(values: NDArray[Any], target: Target) -> NDArray[np.int64]:
    if not np.isfinite(values).all() or (values % 1).any():
        raise UserError(f"{target.name}: its ids are no whole numbers, but {values.dtype}. Write instances, not logits or "
                        "probabilities")
    most = EXACT[values.dtype.itemsize]
    if values.max(initial=0) >= most:
        raise UserError(f"{target.name}: ids from {most} on are not exact in {values.dtype}. Write them as uint32 or uint64")
    return values.astype(np.int64)


def zip_tree(root: Path, archive: Path) -> None:
    """A zip file of all files in ``root``, in order of their names, with one time: equal trees give equal files."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as file:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            member = zipfile.ZipInfo(path.relative_to(root).as_posix(), SINCE_1980)
            member.external_attr, member.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            with path.open("rb") as source, file.open(member, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)


def put_group(path: Path) -> None:
    """A zarr group at ``path``."""
    path.mkdir(parents=True, exist_ok=True)
    (path / ".zgroup").write_text('{\n    "zarr_format": 2\n}')


def put_array(path: Path, values: NDArray[Any], target: Target) -> None:
    """``values`` at ``path`` as a submission has them."""
    import numcodecs
    import zarr

    chunks = tuple(min(CHUNK, length) for length in values.shape)
    array = zarr.create(values.shape, chunks=chunks, dtype=values.dtype, fill_value=0, store=zarr.DirectoryStore(str(path)),
                        compressor=numcodecs.Zstd(3), dimension_separator=".")
    array[:] = values
    array.attrs.put({"shape": list(target.shape), "translation": list(target.translation), "voxel_size": list(target.voxel_size)})


def _extra(processed: str, targets: Sequence[Target]) -> list[str]:
    """Classes in the crops' places that are not scored there."""
    scored = {target.name for target in targets}
    found = []
    for crop, place in sorted({(target.crop, where(processed, target)) for target in targets}):
        names = sorted(path.name for path in Path(place).iterdir() if path.is_dir()) if Path(place).is_dir() else []
        found += [f"{crop}/{name}" for name in names if f"{crop}/{name}" not in scored]
    return found
