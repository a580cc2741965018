"""A synthetic XPRESS challenge: axons in white matter, in the layout of the published container after its conversion.

| dataset, file | content |
|---|---|
| ``volumes/{training,validation,test}_raw`` | [z, y, x] uint8 |
| ``volumes/training_gt_labels`` | [z, y, x] uint64, some of the axons in an inner part of the raw volume, without their myelin |
| ``volumes/{training,validation,test}_labels`` | [z, y, x] uint64, all axons: the truth, which the challenge does not tell |
| ``XPRESS_{training,validation,test}_skels.npz`` | beside the container: centre lines of all axons that run through |

Voxels are of 33 nm. The attribute ``evaluation_roi`` of raw has the ``begin`` and ``shape`` (nm) of the region that is
evaluated: as much of the volume as published, in whole voxels of 99 nm.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.families.xpress.synthetic.axons import VOXEL_SIZE, AxonVolume, check_axons, synthesize_axons
from lsd_experiments.families.xpress.synthetic.xray import BINNING
from lsd_experiments.geometry import Box, Nanometres, Voxels, to_nm
from lsd_experiments.provenance import provenance
from lsd_experiments.synthetic.making import STAGE, appearing, made_before

SPLITS = ("training", "validation", "test")
VOXEL_SIZES = (VOXEL_SIZE,) * 3
# Published: begin and shape in voxels of volumes of 1200 voxels. Those of training are where its skeletons are.
PUBLISHED, EVALUATED = 1200, {"training": (99, 1002), "validation": (252, 699), "test": (99, 1002)}
INNER = 5  # voxel labels begin and end a fifth of the volume from its border
LOGGER = logging.getLogger(__name__)


def write_challenge(path: str | Path, shape: Sequence[int] = (240, 240, 240), density: float = 0.35, labeled: float = 0.4,
                    seed: int = 0) -> bool:
    """Write a synthetic challenge to the zarr container ``path`` and to skeleton files beside it.

    They appear when all are whole. A container that was made with these arguments is left as it is.

    :param shape: (z, y, x) voxels of each of the three volumes
    :param density: axons per cubic micrometre that are tried; where space is short, fewer
    :param labeled: share of the axons that the voxel labels tell of
    :returns: whether it was made
    :raises UserError: if the arguments describe no volume, or one of the files is there and something else
    """
    path, shape = Path(path), check_axons(shape, density)
    if not 0 < labeled <= 1:
        raise UserError(f"labeled {labeled}: give the share of axons that are labelled, above 0 and at most 1")
    if seed < 0:
        raise UserError(f"seed {seed}: give 0 or a positive number")
    parameters = {"kind": "axons", "shape": list(shape), "density": float(density), "labeled": float(labeled), "seed": seed}
    before, skeletons = made_before(path, parameters), {split: skeleton_file(path, split) for split in SPLITS}
    for file in skeletons.values():
        if file.exists() != before:
            found = "is there, but the container is not" if file.exists() else f"is not there, but {path} is"
            raise UserError(f"{file}: {found}. Remove the one that is there, or name a container elsewhere")
    if before:
        return False
    try:
        with appearing(path) as partial:
            _write(partial, shape, parameters)
            for file in skeletons.values():
                (partial / file.name).rename(file)
    except BaseException:
        for file in skeletons.values():
            file.unlink(missing_ok=True)
        raise
    return True


def skeleton_file(path: Path, split: str) -> Path:
    """Where the skeletons of a split lie."""
    return path.parent / f"XPRESS_{split}_skels.npz"


def evaluation_roi(shape: Sequence[int], split: str) -> tuple[Nanometres, Nanometres]:
    """Begin and shape in nm of what is evaluated in volumes of ``shape`` voxels."""
    published_begin, published_shape = EVALUATED[split]
    scales = [n / PUBLISHED / BINNING for n in shape]
    begin = [BINNING * round(published_begin * scale) for scale in scales]
    size = [BINNING * max(1, round(published_shape * scale)) for scale in scales]
    return to_nm(begin, VOXEL_SIZES), to_nm(size, VOXEL_SIZES)


def _write(path: Path, shape: Voxels, parameters: dict[str, Any]) -> None:
    from tqdm import tqdm

    made = {"provenance": provenance(STAGE, parameters, inputs={})}
    for number, split in enumerate(tqdm(SPLITS, desc="making", unit="volume", disable=None)):
        volume = synthesize_axons(shape, parameters["density"], (parameters["seed"], number))
        begin, size = evaluation_roi(shape, split)
        _put(path, f"{split}_raw", volume.raw, Box.of_shape(shape),
             {**made, "evaluation_roi": {"begin": list(begin), "shape": list(size)}})
        _put(path, f"{split}_labels", volume.labels, Box.of_shape(shape), made)
        if split == "training":
            inner = _inner(shape)
            labels = annotated(volume.labels[inner.slices], parameters["labeled"],
                               np.random.default_rng((parameters["seed"], len(SPLITS))))
            _put(path, "training_gt_labels", labels, inner, made)
        _put_skeletons(path / skeleton_file(path, split).name, volume)


def _inner(shape: Voxels) -> Box:
    """Where the voxel labels are."""
    margin = tuple(BINNING * (n // (BINNING * INNER)) for n in shape)
    return Box(margin, tuple(n - m for n, m in zip(shape, margin, strict=True)))


def annotated(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """``labels`` of a ``share`` of the objects, at least of one; the others are 0."""
    ids = np.setdiff1d(labels, [0])
    chosen = rng.permutation(ids)[: max(1, round(share * len(ids)))]
    return np.where(np.isin(labels, chosen), labels, np.uint64(0))


def _put(path: Path, name: str, values: np.ndarray, box: Box, attrs: dict[str, Any]) -> None:
    from lsd_experiments.arrays import create_volume

    volume = create_volume(str(path), f"volumes/{name}", values.shape, VOXEL_SIZES, to_nm(box.begin, VOXEL_SIZES), values.dtype,
                           attrs=attrs)
    volume.write(Box.of_shape(values.shape), values)
    LOGGER.info("wrote %s", volume.name)


def _put_skeletons(path: Path, volume: AxonVolume) -> None:
    from lsd_experiments.skeletons import Skeletons, write_skeletons

    lines = volume.centre_lines
    write_skeletons(path, Skeletons(lines.positions, lines.edges, np.arange(1, len(lines.positions) + 1)))
