"""Write a view of a volume into a container, in the format that lies there, is asked for, or its suffix says.

The result appears when it is whole. What becomes a directory goes on where an interrupted run stopped; what becomes a file begins
anew. What else a container holds stays.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lsd_experiments.arrays import add_volume, can_add, create_stack, find_volume, fingerprint
from lsd_experiments.arrays.alignments import carried
from lsd_experiments.arrays.creating import default_chunks
from lsd_experiments.blockwise import BlockTask
from lsd_experiments.conversion import making
from lsd_experiments.conversion.formats import ANY, FILES, WHOLE, Options, format_of, layout_of, record
from lsd_experiments.conversion.layouts import Layout, stored_provenance
from lsd_experiments.conversion.places import check_target, prepare_target, target_of
from lsd_experiments.conversion.view import View
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Voxels
from lsd_experiments.masks.blockwise import grow
from lsd_experiments.provenance import provenance
from lsd_experiments.stages.states import check_unchanged

STAGE = "convert"
BLOCK_BYTES = 2**26  # of the source in a block, about
COVER_BYTES = 2**29  # at most, where the source's chunks are flat or long: each is decoded once then


Work = Callable[[BlockTask, Callable[[], making.Process]], None]  # does a level: by workers, or by the function given here


def check_output(container: str, dataset: str | None, asked: str | None = None) -> str:
    """The format that is written there; ``asked``: the one that is asked for.

    :raises UserError: if nothing can be written: no known format, or no dataset where there must be one
    """
    path, kind = Path(container), format_of(container, asked)
    if kind in WHOLE and dataset is not None:
        what = "TIFF stack" if kind == "tiff" else "precomputed volume"
        raise UserError(f"{container}: a {what} has no datasets. Write - in place of '{dataset}'")
    if kind in ("zarr", "n5", "hdf5"):
        if path.exists() and not can_add(path):
            raise UserError(f"{container}: is there, and is neither zarr, N5 nor HDF5. Name another output")
        if dataset is None:
            raise UserError(f"{container}: name the dataset that is to be written, like volumes/raw, in place of -")
    return kind


def is_converted(view: View, container: str, dataset: str | None, options: Options = ANY) -> bool:
    """Whether the result is there already, of these voxels and made like this.

    :raises UserError: if it is there, and was made otherwise, or does not say how.
    """
    kind = check_output(container, dataset, options.format)
    if kind == "tiff":
        return False  # it does not say how it was made
    if kind in (*FILES, "zarr", "n5"):
        found = find_volume(container, str(dataset)) if can_add(container) else None
        is_there, name, stored = found is not None, found and found.name, found and found.attrs.get("provenance")
    else:
        target = target_of(container, dataset)
        is_there, name = target.is_dir() and any(target.iterdir()), str(target)
        stored = stored_provenance(kind, target) if is_there else None
    if is_there:
        check_unchanged(str(name), stored, describe(view, record(layout_of(view, kind, options)) if kind not in FILES else {}))
    return is_there


def describe(view: View, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """The provenance of the result; ``more``: what it depends on besides."""
    source = view.source
    keep = None if view.keep is None else sorted(view.keep)
    parameters: dict[str, Any] = {"downsample": view.stride, "transpose": view.transpose, "keep_labels": keep, **(more or {})}
    if view.resample is not None:
        parameters |= {"resample": list(view.resample), "nearest": view.nearest}
    if view.exclude:
        parameters["exclude"] = sorted(view.exclude)
    if view.cast is not None:
        parameters |= {"dtype": str(view.cast.dtype), "range": view.cast.limits and list(view.cast.limits)}
    made = provenance(STAGE, parameters, {"volume": {"name": source.name, "fingerprint": fingerprint(source)}})
    return {**made, **carried(source)}


def convert(
    view: View,
    container: str,
    dataset: str | None,
    overwrite: bool = False,
    progress: Callable[[int], Any] = lambda voxels: None,
    options: Options = ANY,
    skipped: Callable[[int], Any] = lambda voxels: None,
) -> None:
    """Write ``view`` to ``container:dataset`` (None: TIFF, or the container itself).

    :param progress: is told of voxels that are done; ``skipped``: of those that an interrupted run did before

    :raises UserError: if it is there and not ``overwrite``, or cannot be there; if the source cannot be read.
    """
    kind = check_output(container, dataset, options.format)
    view.check()
    if kind in FILES:
        options.check(kind)
        return write_file(view, container, dataset, describe(view), overwrite, progress)
    layout = layout_of(view, kind, options)

    def work(task: BlockTask, process: Callable[[], making.Process]) -> None:
        making.work_here(task, process(), lambda box, was_done: (skipped if was_done else progress)(math.prod(box.shape)))

    write_directory(view, layout, container, dataset, describe(view, record(layout)), work, overwrite)


def write_directory(view: View, layout: Layout, container: str, dataset: str | None, made: dict[str, Any], work: Work,
                    overwrite: bool = False) -> None:
    """Write ``view`` as ``layout`` says, with provenance ``made``; ``work`` does the levels, one after the other.

    :raises UserError: if it is there and not ``overwrite``, or cannot be there
    """
    target = target_of(container, dataset)

    def check() -> None:
        check_target(layout.kind, container, dataset, overwrite)

    check()
    prepare_target(layout.kind, container, dataset)
    with making.begun(layout, target, made, target.name.partition(".")[0], check) as directory:
        for number in range(len(layout.levels)):
            shape = making.coarse_shape(layout, number) if number else block_shape(view, layout.units(0))
            task = making.level_task(layout, directory, number, shape, view.source.place)
            work(task, lambda number=number: making.block_function(layout, directory, number, lambda: view))  # type: ignore[misc]
        check()
        making.finish(layout, target)


def write_file(view: View, container: str, dataset: str | None, made: dict[str, Any], overwrite: bool,
               progress: Callable[[int], Any]) -> None:
    """Write ``view`` as HDF5, or as a TIFF stack, which has no dataset and does not say what ``made`` it."""
    source, chunks = view.source, default_chunks(view.shape)
    if dataset is not None:
        output = add_volume(
            container, dataset, view.shape, view.voxel_size, view.offset, view.dtype, chunks=chunks,
            channels=source.channels, attrs={"provenance": made}, overwrite=overwrite)  # fmt: skip
    elif source.channels is not None:
        raise UserError(f"{source.name} has {source.channels} channels; a TIFF stack is [z, y, x]. Write zarr or HDF5, or "
                        "take one by --channel")
    else:
        output = create_stack(container, view.shape, view.voxel_size, view.offset, view.dtype, overwrite)
    with output as volume:
        for block in view.box.blocks(block_shape(view, chunks)):
            box = block.intersect(view.box)
            volume.write(box, view.read(box))
            progress(math.prod(box.shape))


def block_shape(view: View, chunks: Sequence[int]) -> Voxels:
    """Whole chunks of the result; about whole ones of the source, too, where this takes no more than :data:`COVER_BYTES`."""
    needed = [max(c, min(n, s)) for c, n, s in zip(chunks, view.chunks or chunks, view.shape, strict=True)]
    cover = tuple(-(-n // c) * c for c, n in zip(chunks, needed, strict=True))
    block = cover if math.prod(cover) * view.source_bytes <= COVER_BYTES else tuple(chunks)
    return grow(block, view.shape, BLOCK_BYTES // view.source_bytes)
