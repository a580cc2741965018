"""Align a stack, and bring predictions back, volumes on disk."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.alignment.estimating import Estimate, estimate
from lsd_experiments.alignment.filling import ATTRIBUTE as OUTSIDE
from lsd_experiments.alignment.filling import UNKNOWN, check_fill, nothing, outside
from lsd_experiments.alignment.maps import angle, apply
from lsd_experiments.alignment.notes import NAME as NOTES
from lsd_experiments.alignment.notes import Notes
from lsd_experiments.alignment.record import NAME, AlignedSection, Alignment, mark, read_alignment, to_json, write_alignment
from lsd_experiments.alignment.registration import Model
from lsd_experiments.alignment.warping import aligner, unaligner
from lsd_experiments.arrays import Volume, add_volume, has_dataset, open_volume
from lsd_experiments.arrays.alignments import ATTRIBUTE as ALIGNMENT
from lsd_experiments.arrays.alignments import check_same_alignment, key_of, mark_of
from lsd_experiments.arrays.creating import check_zarr, default_chunks
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres, Voxels, to_nm
from lsd_experiments.locks import only_run
from lsd_experiments.provenance import provenance, provenance_in
from lsd_experiments.stages import VolumeArtifact
from lsd_experiments.stages.inputs import describe_input
from lsd_experiments.stages.volumes import open_output
from lsd_experiments.writing import put_text

Missing = Literal["copy", "remove", "keep"]
Make = Callable[[Box], tuple[NDArray[Any], ...]]  # the values of a block, of each volume
Place = tuple[Voxels, Nanometres, Nanometres]  # shape, voxel size, offset
MISSING = ("copy", "remove", "keep")
LOGGER = logging.getLogger(__name__)
HDF5 = (".h5", ".hdf", ".hdf5")
TURNED = 1.0  # degrees by which directions are warned of
BLOCK = (8, 512, 512)  # voxels that are made at a time
UNDO = "undo_alignment"  # the stage
MASK = "_source_mask"  # ends the name of the mask that says where there was a source


def plan_alignment(raw: Volume, found: Estimate, model: Model, missing: Missing = "copy") -> Alignment:
    """The aligned volume that holds all of every section; ``missing``: what becomes of sections that show nothing.

    ``copy``: they show the nearest good section; ``remove``: they are left out; ``keep``: they stay as they are.
    """
    bad = sorted({*found.findings.get("missing", ()), *found.findings.get("damaged", ())})
    good = [z for z in range(raw.shape[0]) if z not in bad]

    def raw_source(z: int) -> int:
        return min(good, key=lambda other: (abs(other - z), other)) if z in bad and missing == "copy" else z

    sections = tuple(AlignedSection(z, raw_source(z)) for z in range(raw.shape[0]) if missing != "remove" or z in good)
    corners = np.array([[0, 0, raw.shape[1] - 1, raw.shape[1] - 1], [0, raw.shape[2] - 1, 0, raw.shape[2] - 1]], np.float64)
    moved = np.stack([apply(one.matrix, corners) for one in found.maps])
    begin = np.floor(moved.min((0, 2)) + 1e-6).astype(int)
    end = np.ceil(moved.max((0, 2)) - 1e-6).astype(int) + 1
    offset = [raw.offset[0], *(o + n for o, n in zip(raw.offset[1:], to_nm(begin.tolist(), raw.voxel_size[1:]), strict=True))]
    maps = tuple(one.moved(-begin) if begin.any() else one for one in found.maps)
    shape = (len(sections), *(end - begin).tolist())
    return Alignment(raw.name, raw.shape, raw.voxel_size, raw.offset, shape, tuple(offset), model, sections, maps, found.findings,
                     tuple(found.scores), mark_of(raw) or "")


def align_stack(
    raw: Volume, container: str | Path, labels: Sequence[Volume] = (), model: Model = "rigid", missing: Missing = "copy",
    close_cracks: bool = True, overwrite: bool = False, fill: int | None = None,
) -> Alignment:
    """Align ``raw``, and ``labels`` with it, into the zarr ``container``, under the names of their datasets.

    What is there, made like this, is left; what was begun goes on: whole volumes, and blocks of them.

    :param fill: of labels where no section is (default: see :mod:`.filling`)
    :raises UserError: if raw is no stack, or the container holds something else
    """
    import zarr

    container = Path(container)
    if container.suffix != ".zarr":
        raise UserError(f"{container}: aligned volumes are zarr. Name a container that ends in .zarr")
    check_zarr(container)
    if raw.channels is not None:
        raise UserError(f"{raw.name} has {raw.channels} channels; a stack is [z, y, x]. Name another dataset")
    for volume in labels:
        check_same_alignment(raw, volume)
        check_fill(volume, fill)
    for volume in (raw, *labels):
        if container.exists() and not (container / NAME).exists() and has_dataset(container, volume.dataset or "raw"):
            raise UserError(f"{container}: has a {volume.dataset or 'raw'} that no alignment made. Name a container of its own")
    parameters = {"model": model, "missing": missing, "close_cracks": close_cracks}
    made = provenance("align", parameters, {"raw": describe_input(raw)})
    zarr.open_group(zarr.DirectoryStore(str(container)), mode="a")
    with only_run(container, container / ".alignment.lock", "another command is at work on it"):
        alignment = _alignment(container, made, overwrite, lambda notes: plan_alignment(
            raw, estimate(raw, model, close_cracks, notes), model, missing))
        for volume in (raw, *labels):
            is_raw = volume is raw
            value = 0 if is_raw else outside(volume, fill)
            attrs = {ALIGNMENT: mark(alignment, container), **({} if is_raw else {OUTSIDE: value})}
            artifact = VolumeArtifact(str(container), volume.dataset or "raw", alignment.aligned_shape, alignment.voxel_size,
                                      alignment.aligned_offset, str(volume.dtype), BLOCK, volume.channels, attrs)
            make = aligner(volume, alignment, not is_raw, value, is_raw, margin=1 if value == UNKNOWN else 0)
            inputs = {**made["inputs"], "volume": describe_input(volume)}
            asked = {} if is_raw or fill is None else {"fill": fill}  # not named where it is not: as of versions before
            write_blocks(artifact, provenance("align", {**parameters, **asked}, inputs), _alone(make), (), overwrite)
    return alignment


def undo_alignment(
    prediction: Volume, container: str | Path, out: str | Path, dataset: str, nearest: bool | None = None, fill: float | None =
    None, overwrite: bool = False,
) -> Alignment:
    """Bring ``prediction`` of the volumes in ``container`` back to the stack: to ``out``, HDF5 or zarr, as ``dataset``.

    Beside it goes ``<dataset>_source_mask``, uint8, 1 where a voxel has a source. What was interrupted goes on: what is for HDF5
    is made in a hidden zarr container beside it, and then copied.

    :param nearest: as labels need it; else values are interpolated (default: see :func:`is_labels`)
    :param fill: of voxels without a source (default: 2^64 - 1 of labels that have it anywhere, else 0)
    :raises UserError: if it is not on the aligned grid, or ``out`` is there and holds something else
    """
    alignment = read_alignment(container)
    if nearest is None:
        nearest = is_labels(prediction)
    _check_undo(prediction, alignment, container, Path(out))
    check_fill(prediction, fill)
    _warn_of_turns(prediction, alignment)
    value = (nothing(prediction) if nearest else 0) if fill is None else fill
    make = unaligner(prediction, alignment, nearest, value)
    attrs = {OUTSIDE: value, **({ALIGNMENT: alignment.stack_mark} if alignment.stack_mark else {})}
    parameters = {"alignment": to_json(replace(alignment, stack="")), "nearest": nearest, "fill": fill}
    made = provenance(UNDO, parameters, {"prediction": describe_input(prediction)})
    place = (alignment.shape, alignment.voxel_size, alignment.offset)
    if Path(out).suffix.lower() in HDF5:
        _undo_to_hdf5(Path(out), dataset, place, prediction, make, made, overwrite, attrs)
        return alignment
    write_blocks(*_artifacts(out, dataset, place, prediction, made, make, attrs), overwrite)
    return alignment


def _artifacts(out: str | Path, dataset: str, place: Place, prediction: Volume, made: Mapping[str, Any], make: Make,
               attrs: Mapping[str, Any]) -> tuple[VolumeArtifact, Mapping[str, Any], Make, list[VolumeArtifact]]:
    """The arguments of :func:`write_blocks` for what is brought back, and its mask."""
    first, mask = (VolumeArtifact(str(out), name, *place, dtype, BLOCK, channels, own) for name, dtype, channels, own in (
        (dataset, str(prediction.dtype), prediction.channels, attrs), (dataset + MASK, "uint8", None, {})))
    return first, made, make, [mask]


def _check_undo(prediction: Volume, alignment: Alignment, container: str | Path, out: Path) -> None:
    """:raises UserError: if the prediction is not one of the aligned volumes, or it cannot be brought back so"""
    if out.suffix.lower() not in (*HDF5, ".zarr"):
        raise UserError(f"{out}: what is brought back is HDF5 or zarr. Name a file that ends in .hdf or .zarr")
    own, stack = (prediction.shape, prediction.offset), (alignment.shape, alignment.offset)
    if own == stack != (alignment.aligned_shape, alignment.aligned_offset):
        raise UserError(f"{prediction.name} is on the grid of the stack, not on that of the aligned volumes. Name what was "
                        "predicted on the aligned ones")
    theirs = mark_of(prediction)
    if not theirs and provenance_in(prediction.attrs).get("stage") == UNDO:
        raise UserError(f"{prediction.name} was brought back to its stack already. Name what was predicted on the "
                        "aligned volumes")
    if theirs and key_of(theirs) != key_of(mark(alignment, container)):
        raise UserError(f"{prediction.name} lies on another alignment ({theirs}) than {container}. Name the container that it "
                        "was predicted on")


def _warn_of_turns(prediction: Volume, alignment: Alignment) -> None:
    """If channels may be directions, such as affinities, which turn with their section."""
    farthest = max((abs(angle(alignment.maps[section.source].matrix)) for section in alignment.sections), default=0.0)
    if (prediction.channels or 1) >= 3 and farthest > TURNED:
        LOGGER.warning("%s: sections are turned back by up to %.1f degrees; if its %s channels are affinities, their directions "
                       "are not turned with them", prediction.name, farthest, prediction.channels)


def is_labels(prediction: Volume) -> bool:
    """Whether it is taken for labels: integers, but for uint8, which probabilities are stored as."""
    return prediction.dtype.kind in "uib" and prediction.dtype != np.uint8


def write_blocks(first: VolumeArtifact, made: Mapping[str, Any], make: Callable[[Box], tuple[NDArray[Any], ...]],
                 others: Sequence[VolumeArtifact] = (), overwrite: bool = False) -> None:
    """Make what is left of volumes, block by block; ``make`` gives the values of each.

    :raises UserError: if something else is in their place
    """
    from tqdm import tqdm

    artifacts = [first, *others]
    states = [artifact.state(made) for artifact in artifacts]
    if all(state.kind == "done" for state in states) and not overwrite:
        return
    anew = overwrite and any(state.kind != "new" for state in states)
    for artifact in artifacts:
        artifact.prepare(made, anew)
    box = Box.of_shape(first.shape)
    blocks = list(box.blocks(first.write_shape))
    left = sorted({number for artifact in artifacts for numbers in artifact.missing_blocks(np.arange(len(blocks))).values()
                   for number in numbers})
    outputs = [open_output(artifact.container, artifact.dataset) for artifact in artifacts]
    for number in tqdm(left, desc=first.dataset, unit="block", leave=False, disable=None):
        block = blocks[number].intersect(box)
        for (volume, note), values in zip(outputs, make(block), strict=True):
            volume.write(block, values)
            note(block)
    for artifact in reversed(artifacts):
        artifact.finish()


def _alignment(container: Path, made: Mapping[str, Any], overwrite: bool, make: Callable[[Notes], Alignment]
               ) -> Alignment:
    """That of the container, if it was made like this; else a new one."""
    note = container / ".alignment.made.json"
    if (container / NAME).exists() and not overwrite:
        stored = json.loads(note.read_text()) if note.exists() else {}
        if stored.get("key") != made["key"]:
            raise UserError(f"{container / NAME}: exists, and was made from another stack, or with other options. Pass "
                            "--overwrite to make it anew, or name another container")
        return read_alignment(container)
    notes = Notes(container / NOTES, made["key"])
    alignment = make(notes)
    put_text(note, json.dumps({"key": made["key"]}))
    write_alignment(alignment, container)
    notes.remove()
    return alignment


def _undo_to_hdf5(out: Path, dataset: str, place: Place, prediction: Volume, make: Make, made: Mapping[str, Any], overwrite: bool,
                  attrs: Mapping[str, Any]) -> None:
    """Both volumes into an HDF5 file; each appears when it is whole."""
    left = [name for name in (dataset + MASK, dataset) if overwrite or not _is_made(out, name, made)]
    if not left:
        return
    beside = out.with_name(f".{out.name}.{dataset.replace('/', '.')}.zarr")
    beside.mkdir(parents=True, exist_ok=True)
    with only_run(out, beside / ".lock", "another command is at work on it"):
        arguments = _artifacts(beside, dataset, place, prediction, made, make, attrs)
        is_stale = any(artifact.state(made).kind == "stale" for artifact in (arguments[0], *arguments[3]))
        write_blocks(*arguments, overwrite=is_stale)  # hidden: what another command left there is of no use to anybody
        for name in left:
            source, chunks = open_volume(beside, name), default_chunks(place[0])
            with add_volume(out, name, *place, source.dtype, chunks=chunks, channels=source.channels,
                            attrs={"provenance": dict(made), **(attrs if name == dataset else {})},
                            overwrite=overwrite) as volume:
                for block in volume.box.blocks(tuple(max(1, b // c) * c for b, c in zip((64, 512, 512), chunks, strict=True))):
                    box = block.intersect(volume.box)
                    volume.write(box, source.read(box))
        shutil.rmtree(beside)


def _is_made(out: Path, name: str, made: Mapping[str, Any]) -> bool:
    """Whether the dataset is in the file, made like this.

    :raises UserError: if it was made otherwise
    """
    if not out.exists() or not has_dataset(out, name):
        return False
    if provenance_in(open_volume(out, name).attrs).get("key") != made["key"]:
        raise UserError(f"{out}: {name}: exists, and was made from something else. Pass --overwrite to replace it, or name "
                        "another by --out-dataset")
    return True


def _alone(make: Callable[[Box], NDArray[Any]]) -> Callable[[Box], tuple[NDArray[Any], ...]]:
    return lambda box: (make(box),)
