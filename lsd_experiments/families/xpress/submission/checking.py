"""What is wrong with a submission."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.arrays.grids import show
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.skeleton_volumes import Roi
from lsd_experiments.families.xpress.regions import XPRESS_ROIS
from lsd_experiments.families.xpress.submission.making import DATASET, NAME, VOXEL_SIZE, shape_of

SECTIONS = 64  # read at a time


def check_submission(path: str | Path, roi: Roi = XPRESS_ROIS["test"]) -> list[str]:
    """All that is wrong with the file ``path``, a line for each; empty if the challenge takes it.

    :param roi: the region that it must have, offset and shape in nm
    :raises UserError: if there is no such file
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file. Name the submission")
    faults = [] if path.name == NAME else [f"the file is named {path.name}, not {NAME}"]
    try:
        with h5py.File(path, "r", locking=False) as file:
            return [*faults, *_faults(file, roi)]
    except OSError as error:
        return [*faults, f"it cannot be read as HDF5 ({_first_line(error)})"]


def print_faults(path: str | Path, roi: Roi = XPRESS_ROIS["test"]) -> int:
    """Print ``Pass``, or a line for each fault of the submission ``path``; the exit status."""
    faults = check_submission(path, roi)
    print("\n".join(faults) or "Pass")
    return 1 if faults else 0


def _faults(file: Any, roi: Roi) -> Iterator[str]:
    import h5py

    others = sorted(name for name in file if name != DATASET)
    link = file.get(DATASET, getlink=True)
    if link is None:
        yield f"it has no dataset '{DATASET}'" + (f", only {', '.join(others)}" if others else "")
        return
    if others:
        yield f"it holds more than '{DATASET}': {', '.join(others)}"
    if not isinstance(link, h5py.HardLink):
        yield f"'{DATASET}' is a link to another place, which is not sent along"
        return
    data = file[DATASET]
    if not isinstance(data, h5py.Dataset):
        yield f"'{DATASET}' is a group, not a dataset"
        return
    if data.is_virtual or data.external:
        yield "its voxels are in another file, which is not sent along"
        return
    yield from _faults_of_array(data, roi)


def _faults_of_array(data: Any, roi: Roi) -> Iterator[str]:
    if data.dtype != np.uint64:
        yield f"its voxels are of type {data.dtype}, not uint64"
    if data.shape != shape_of(roi):
        yield f"its shape is {data.shape} voxels, not {shape_of(roi)}"
    for key, expected in (("resolution", VOXEL_SIZE), ("offset", roi[0])):
        yield from _faults_of_attribute(key, data.attrs.get(key), expected)
    if data.ndim == 3 and data.size and data.dtype.kind in "iu":
        yield from _faults_of_ids(data)


def _faults_of_attribute(key: str, found: Any, expected: Sequence[float]) -> Iterator[str]:
    wanted = f"it must be {show(expected)} nm"
    if found is None:
        yield f"the attribute '{key}' is missing: {wanted}"
        return
    values = np.asarray(found)
    if values.shape != (3,) or values.dtype.kind not in "iuf":
        yield f"the attribute '{key}' is {found!r}: {wanted}"
    elif not np.allclose(values, expected, rtol=0, atol=1e-3):
        yield f"the attribute '{key}' is {show(values.tolist())}: {wanted}"


def _faults_of_ids(data: Any) -> Iterator[str]:
    """Whether there are two segments at least; read section by section."""
    ids: set[int] = set()
    lowest = 0
    try:
        for begin in range(0, len(data), SECTIONS):
            values = data[begin:begin + SECTIONS]
            lowest = min(lowest, int(values.min()))
            if len(ids) < 2:
                ids |= {*np.unique(values[values != 0])[:2].tolist()}
    except OSError as error:
        yield f"its voxels cannot be read ({_first_line(error)})"
        return
    if lowest < 0:
        yield f"it holds the negative id {lowest}"
    if not ids:
        yield "it is empty: all voxels are 0"
    elif len(ids) == 1:
        yield "it holds one segment only"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
