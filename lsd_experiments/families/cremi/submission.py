"""What the CREMI challenge takes: for each of A+, B+ and C+ a file of format 0.2 with labels of the test volume.

    /volumes/labels/clefts       uint64, 2^64 - 1 where there is none
    /volumes/labels/neuron_ids   uint64
    /annotations                 synaptic partners

Labels have the test volume's 125 x 1250 x 1250 voxels of 40 x 4 x 4 nm. In the padded files these are in the middle of 200 x
3072 x 3072 voxels; labels of those say so by their offset. Which of the two a submission is of is seen by its raw volume, or by
its offset.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.arrays import Volume, check_labels, check_voxel_size, to_box
from lsd_experiments.arrays.alignments import container_of, mark_of
from lsd_experiments.arrays.grids import show
from lsd_experiments.arrays.looks import NO_LABELS, check_no_image, is_image
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.volumes import blocks_of
from lsd_experiments.families.cremi.clefts import background_of
from lsd_experiments.families.cremi.files import CremiFile, check_place, read_cremi, write_cremi
from lsd_experiments.families.cremi.ids import BACKGROUND, RESOLUTION, UNKNOWN, is_id
from lsd_experiments.families.cremi.neurons import read_true_ids
from lsd_experiments.geometry import Nanometres, Voxels, to_nm

SHAPE: Voxels = (125, 1250, 1250)  # voxels that are scored
PADDED: Voxels = (200, 3072, 3072)
PADDED_OFFSET: Nanometres = to_nm([(p - s) // 2 for p, s in zip(PADDED, SHAPE, strict=True)], RESOLUTION)  # (1480, 3644, 3644) nm
OFFSETS = {"cropped": (0.0, 0.0, 0.0), "padded": PADDED_OFFSET}
TASKS = ("clefts", "neuron_ids")


def make_submission(prediction: Volume, path: str | Path, task: str, background: int | None = None, volume: str = "cropped",
                    shape: Voxels = SHAPE, overwrite: bool = False) -> None:
    """Write the submission ``path`` of the labels ``prediction``, as much of them as is scored.

    :param task: ``clefts`` or ``neuron_ids``
    :param background: of clefts, what is none (default: 2^64 - 1 if that is there, else 0); it becomes 2^64 - 1
    :param volume: ``cropped`` or ``padded``: which raw volume was predicted, whose first voxel is at 0 nm
    :raises UserError: if it does not fit, or does not cover what is scored
    """
    path = Path(path)
    check_place(path, overwrite)
    check_voxel_size(prediction, RESOLUTION, "that of CREMI")
    mark = mark_of(prediction)
    if mark:
        raise UserError(f"{prediction.name} lies on an aligned stack ({mark}), not on the test volume. Bring it back first: "
                        f"align.py --undo {prediction.container} {container_of(mark)} OUT")
    offset = OFFSETS[volume]
    part = prediction.crop(to_box(prediction, offset, to_nm(shape, RESOLUTION)))
    check_labels(part)
    check_no_image(part)
    if task == "clefts":
        background = background_of(prediction) if background is None else background
        part = replace(part, array=_Ids(part.array, background))
    write_cremi(path, CremiFile(clefts=part) if task == "clefts" else CremiFile(neuron_ids=part), overwrite)


@dataclass(frozen=True)
class _Ids:
    """An array of ids with :data:`BACKGROUND` in place of ``background``; slices of it are read when they are asked for."""

    array: Any
    background: int
    dtype = np.dtype(np.uint64)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    def __getitem__(self, index: Any) -> Any:
        ids = read_true_ids(np.asarray(self.array[index]))
        return np.where(is_id(ids, self.background), np.uint64(BACKGROUND), ids)


def check_submission(path: str | Path, volume: str | None = None, shape: Voxels = SHAPE) -> list[str]:
    """All that is wrong with the file ``path``, a line for each; empty if the challenge takes it.

    :param volume: ``cropped`` or ``padded``: of which it is (default: either)
    :raises UserError: if there is no such file
    """
    try:
        content = read_cremi(path)
    except UserError as error:
        if not Path(path).is_file():
            raise
        return [str(error)]
    labels = {name: volume for name, volume in content.volumes.items() if name in TASKS}
    faults = [fault for name, found in labels.items() for fault in _faults(name, found, volume, shape)]
    if not labels and not content.annotations.ids:
        faults.append("it holds neither volumes/labels/clefts, nor volumes/labels/neuron_ids, nor annotations")
    if content.annotations.ids and not content.annotations.partners:
        faults.append("its annotations have no partners (annotations/presynaptic_site/partners)")
    if content.annotations.alignment:
        faults.append(f"its annotations lie on an aligned stack ({content.annotations.alignment}), not on the test volume: "
                      "find partners of what align.py --undo brought back")
    return faults


def _faults(name: str, found: Volume, volume: str | None, shape: Voxels) -> Iterator[str]:
    if found.dtype != np.uint64:
        yield f"{name}: its ids are of type {found.dtype}, not uint64"
    if not np.allclose(found.voxel_size, RESOLUTION):
        yield f"{name}: its resolution is {show(found.voxel_size)} nm; it must be {show(RESOLUTION)}, in the order z, y, x"
    mark = mark_of(found)
    if mark:
        yield f"{name}: it lies on an aligned stack ({mark}), not on the test volume: align.py --undo brings it back"
    yield from _faults_of_place(name, found, volume, shape)
    yield from _faults_of_ids(name, found)


def _faults_of_place(name: str, found: Volume, volume: str | None, shape: Voxels) -> Iterator[str]:
    if found.shape != shape:
        padded = ": the whole padded volume, of which only the middle is scored" if found.shape == PADDED else ""
        yield f"{name}: its shape is {found.shape} voxels, not {shape}{padded}"
        return
    taken = [offset for kind, offset in OFFSETS.items() if volume in (None, kind)]
    if not any(np.allclose(found.offset, offset) for offset in taken):
        words = " or ".join(show(offset) for offset in taken)
        yield f"{name}: its offset is {show(found.offset)} nm; it must be {words} nm"


def _faults_of_ids(name: str, found: Volume) -> Iterator[str]:
    if is_image(found):
        yield f"{name}: {NO_LABELS}"
        return
    ids: set[int] = set()
    for block in blocks_of(found, found.box):
        ids.update(map(int, np.unique(found.read(block))))
    if name == "clefts":
        yield from _faults_of_clefts(ids)
    elif ids <= {0} or ids <= {BACKGROUND}:
        yield f"{name}: it is empty: all voxels are {min(ids)}"
    elif BACKGROUND in ids:
        yield f"{name}: it holds 2^64 - 1, which the challenge's program cannot count. Give these voxels another id, 0 perhaps"


def _faults_of_clefts(ids: set[int]) -> Iterator[str]:
    if BACKGROUND not in ids:
        yield "clefts: no voxel is 2^64 - 1, which says that there is no cleft" + (": 0 is a cleft, too" if 0 in ids else "")
    elif ids == {BACKGROUND}:
        yield "clefts: it is empty: all voxels are 2^64 - 1"
    elif 0 in ids:
        yield "clefts: 0 is a cleft like any other. If it is background, make it 2^64 - 1"
    if UNKNOWN in ids:
        yield "clefts: it holds 2^64 - 2 (unknown), which counts as a cleft of a submission"
