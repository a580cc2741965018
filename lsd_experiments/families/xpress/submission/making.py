"""Make a submission of a segmentation: every third voxel of 33 nm, or every one of 99 nm, in the challenge's region."""

import zipfile
from collections.abc import Collection
from functools import partial
from pathlib import Path

import numpy as np

from lsd_experiments.arrays import Volume, add_volume, check_labels, read_ids, to_box
from lsd_experiments.arrays.advice import exclude_command
from lsd_experiments.arrays.creating import default_chunks
from lsd_experiments.arrays.grids import show
from lsd_experiments.arrays.looks import check_no_image
from lsd_experiments.arrays.striding import strided
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.skeleton_volumes import Roi
from lsd_experiments.families.xpress.regions import XPRESS_ROIS
from lsd_experiments.geometry import Voxels, to_voxels
from lsd_experiments.provenance import network_of, provenance
from lsd_experiments.stages.inputs import check_whole, describe_input

NAME, DATASET = "submission.h5", "submission"  # of the challenge, to the letter
VOXEL_SIZE = (99.0, 99.0, 99.0)  # nm
STRIDES = (1, 3)  # of segmentations with voxels of 99 and 33 nm
AXES = "zyx"


def make_submission(segmentation: Volume, path: str | Path, roi: Roi = XPRESS_ROIS["test"], overwrite: bool = False) -> None:
    """Write the submission ``path``, block by block; it appears when it is whole.

    As published, a voxel gets the id of the first of the 27 that it covers: nothing is averaged.

    :param roi: offset and shape in nm
    :raises UserError: if the segmentation is none, does not fit or does not cover the region; if ``path`` is there already
    """
    from tqdm import tqdm

    path = Path(path)
    check_place(path, overwrite)
    sampled = sample(segmentation, roi)
    made = {**provenance("submission", {"roi_offset": list(roi[0]), "roi_shape": list(roi[1])},
                         {"segmentation": describe_input(segmentation)}), **network_of(segmentation.attrs.get("provenance"))}
    exclude = partial(_exclude, segmentation)
    new = path.with_name(f".{path.stem}.new.h5")  # a file of its own, so that nothing else is in it
    new.unlink(missing_ok=True)
    chunks, attrs = default_chunks(sampled.shape), {"provenance": made}
    blocks = list(sampled.box.blocks(chunks))
    with add_volume(new, DATASET, sampled.shape, VOXEL_SIZE, roi[0], "uint64", chunks=chunks, attrs=attrs) as volume:
        for block in tqdm(blocks, desc="sampling", unit="block", leave=False, disable=None):
            box = block.intersect(sampled.box)
            volume.write(box, read_ids(sampled, box, command=exclude).astype(np.uint64, copy=False))
    new.replace(path)


def _exclude(segmentation: Volume, sampled: Volume, ids: Collection[int]) -> str:
    """What takes ``ids`` out of the ``segmentation`` that was ``sampled``."""
    return exclude_command(segmentation, ids)


def sample(segmentation: Volume, roi: Roi) -> Volume:
    """What of ``segmentation`` is submitted: the voxels of 99 nm in ``roi``.

    :raises UserError: if it is an image, or no finished segmentation of voxels of 33 or 99 nm, or does not cover the region
    """
    check_labels(segmentation)
    check_no_image(segmentation)
    check_whole(segmentation)
    strides = to_voxels(VOXEL_SIZE, segmentation.voxel_size)
    if strides is None or len({*strides}) > 1 or strides[0] not in STRIDES:
        raise UserError(f"{segmentation.name} has voxels of {show(segmentation.voxel_size)} nm; a submission is made of ones of "
                        "33 or 99 nm. Name another segmentation")
    _check_covers(segmentation, roi)
    shape_of(roi)
    return strided(segmentation.crop(to_box(segmentation, *roi)), strides)


def shape_of(roi: Roi) -> Voxels:
    """Voxels of 99 nm along (z, y, x) of the region ``roi``.

    :raises UserError: if its shape is no multiple of them
    """
    shape = to_voxels(roi[1], VOXEL_SIZE)
    if shape is None or min(shape) < 1:
        raise UserError(f"the region of shape {show(roi[1])} nm is not of whole voxels of 99 nm. Take a multiple of them")
    return shape


def zip_submission(path: str | Path) -> Path:
    """A zip file beside the submission ``path`` that holds nothing else; it appears when it is whole."""
    path = Path(path)
    target = path.with_suffix(".zip")
    part = target.with_name(f".{target.name}.partial")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, NAME)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def check_place(path: Path, overwrite: bool) -> None:
    """:raises UserError: if a submission cannot be written to ``path``."""
    if path.suffix.lower() not in (".h5", ".hdf", ".hdf5") or path.is_dir():
        raise UserError(f"{path}: a submission is an HDF5 file. Name it {NAME}")
    if path.exists() and not overwrite:
        raise UserError(f"{path}: exists already. Pass --overwrite to replace it, or name another place")


def _check_covers(segmentation: Volume, roi: Roi) -> None:
    """:raises UserError: if ``segmentation`` is not all over ``roi``; what is missing is named."""
    missing = []
    for axis, first, last, begin, size in zip(AXES, segmentation.offset, segmentation.end, *roi, strict=True):
        if first - begin > 1e-3:
            missing.append(f"{axis} from {begin:g} to {min(first, begin + size):g}")
        if begin + size - last > 1e-3:
            missing.append(f"{axis} from {max(last, begin):g} to {begin + size:g}")
    if missing:
        covered = f"{show(segmentation.offset)} to {show(segmentation.end)} nm"
        raise UserError(f"{segmentation.name} covers {covered}; of the submission's region, {', '.join(missing)} nm is missing. "
                        "Segment that, too, or name another --mode")
