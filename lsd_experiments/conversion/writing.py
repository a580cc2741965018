"""Write a view of a volume into a container: zarr, N5, HDF5 or TIFF, as its suffix says.

The result appears when it is whole; an interrupted run leaves nothing, and starts again. What else a container holds stays.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lsd_experiments.arrays import Volume, add_volume, can_add, create_stack, find_volume, fingerprint
from lsd_experiments.arrays.creating import default_chunks
from lsd_experiments.arrays.opening import HDF5_SUFFIXES, TIFF_SUFFIXES
from lsd_experiments.conversion.view import View
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Voxels
from lsd_experiments.masks.blockwise import grow
from lsd_experiments.provenance import provenance
from lsd_experiments.stages.states import check_unchanged

STAGE = "convert"
BLOCK_BYTES = 2**26  # of the source in a block, about
COVER_BYTES = 2**29  # at most, where the source's chunks are flat or long: each is decoded once then


def check_output(container: str, dataset: str | None) -> None:
    """:raises UserError: if nothing can be written there: no known suffix, or no dataset where there must be one."""
    path = Path(container)
    if is_tiff(container):
        if dataset is not None:
            raise UserError(f"{container}: a TIFF stack has no datasets. Write - in place of '{dataset}'")
        return
    known = path.suffix.lower() in {".zarr", ".n5", *HDF5_SUFFIXES} or (path.is_dir() and can_add(path))
    if "://" in container or not known:
        raise UserError(f"{container}: of no format that is written. Name a .zarr, .n5, .h5, .hdf, .hdf5, .tif or .tiff")
    if path.exists() and not can_add(path):
        raise UserError(f"{container}: is there, and is neither zarr, N5 nor HDF5. Name another output")
    if dataset is None:
        raise UserError(f"{container}: name the dataset that is to be written, like volumes/raw, in place of -")


def is_converted(view: View, container: str, dataset: str | None) -> bool:
    """Whether the result is there already, of these voxels and made like this.

    :raises UserError: if it is there, and was made otherwise, or does not say how.
    """
    if dataset is None or not can_add(container):
        return False  # TIFF does not say how it was made
    found = find_volume(container, dataset)
    if found is None:
        return False
    check_unchanged(found.name, found.attrs.get("provenance"), describe(view))
    return True


def describe(view: View) -> dict[str, Any]:
    """The provenance of the result."""
    source = view.source
    keep = None if view.keep is None else sorted(view.keep)
    parameters: dict[str, Any] = {"downsample": view.stride, "transpose": view.transpose, "keep_labels": keep}
    if view.resample is not None:
        parameters |= {"resample": list(view.resample), "nearest": view.nearest}
    if view.exclude:
        parameters["exclude"] = sorted(view.exclude)
    if view.cast is not None:
        parameters |= {"dtype": str(view.cast.dtype), "range": view.cast.limits and list(view.cast.limits)}
    return provenance(STAGE, parameters, {"volume": {"name": source.name, "fingerprint": fingerprint(source)}})


def convert(
    view: View,
    container: str,
    dataset: str | None,
    overwrite: bool = False,
    progress: Callable[[int], Any] = lambda voxels: None,
) -> None:
    """Write ``view`` to ``container:dataset`` (None: TIFF); ``progress`` is told of voxels that are done.

    :raises UserError: if it is there and not ``overwrite``, or cannot be there; if the source cannot be read.
    """
    check_output(container, dataset)
    view.check()
    chunks = default_chunks(view.shape)
    with _output(view, container, dataset, chunks, overwrite) as volume:
        for block in view.box.blocks(block_shape(view, chunks)):
            box = block.intersect(view.box)
            volume.write(box, view.read(box))
            progress(math.prod(box.shape))


def _output(
    view: View, container: str, dataset: str | None, chunks: Sequence[int], overwrite: bool
) -> AbstractContextManager[Volume]:
    source = view.source
    if dataset is not None:
        return add_volume(
            container, dataset, view.shape, view.voxel_size, view.offset, view.dtype, chunks=chunks,
            channels=source.channels, attrs={"provenance": describe(view)}, overwrite=overwrite)  # fmt: skip
    if source.channels is not None:
        raise UserError(f"{source.name} has {source.channels} channels; a TIFF stack is [z, y, x]. Write zarr or HDF5, or "
                        "take one by --channel")
    return create_stack(container, view.shape, view.voxel_size, view.offset, view.dtype, overwrite)


def block_shape(view: View, chunks: Sequence[int]) -> Voxels:
    """Whole chunks of the result; about whole ones of the source, too, where this takes no more than :data:`COVER_BYTES`."""
    needed = [max(c, min(n, s)) for c, n, s in zip(chunks, view.chunks or chunks, view.shape, strict=True)]
    cover = tuple(-(-n // c) * c for c, n in zip(chunks, needed, strict=True))
    block = cover if math.prod(cover) * view.source_bytes <= COVER_BYTES else tuple(chunks)
    return grow(block, view.shape, BLOCK_BYTES // view.source_bytes)


def is_tiff(container: str) -> bool:
    """Whether ``container`` is the name of a TIFF stack."""
    return Path(container).suffix.lower() in TIFF_SUFFIXES
