"""A synthetic challenge: OME-Zarr of several datasets, annotated crops, test crops with a manifest and, apart, their truth.

    OUT/data/{dataset}/{dataset}.zarr/recon-1/em/fibsem-uint8/{s0,s1}
    OUT/data/{dataset}/{dataset}.zarr/recon-1/labels/groundtruth/crop1/mito/{s0,s1}
    OUT/data/test_crop_manifest.csv
    OUT/truth/ground_truth.zarr/crop11/mito

Classes: cell and mito (instances), mito_mem, mito_lum, cyto, ecs, and nuc, which is annotated and nowhere. Parts of mitochondria
are annotated in every second training crop only: elsewhere they are unknown. Each object of the truth is in one piece, so that
the truth scores 1 against itself.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.manifest import Target, write_manifest
from lsd_experiments.families.cellmap.packing import put_array, put_group
from lsd_experiments.geometry import Box, Nanometres, Voxels
from lsd_experiments.provenance import provenance
from lsd_experiments.synthetic.making import STAGE, appearing

# Voxel size and where raw begins, in nm; of the second, test crops begin between multiples of their voxels.
DATASETS: dict[str, tuple[Nanometres, Nanometres]] = {"made_a": ((16.0, 16.0, 16.0), (160.0, 320.0, 480.0)),
                                                        "made_b": ((13.92, 16.0, 16.0), (202.0, 71.0, 104.0))}
CLASSES = ("cell", "cyto", "ecs", "mito", "mito_lum", "mito_mem", "nuc")
PARTS = ("mito_lum", "mito_mem")
RAW, LABELS = "recon-1/em/fibsem-uint8", "recon-1/labels/groundtruth"
ABOUT = "challenge.json"
SMALLEST = 32  # voxels along each axis


@dataclass(frozen=True)
class Tissue:
    """``raw``: [z, y, x] uint8; ``classes``: of each class, [z, y, x] uint32 ids, or 1."""

    raw: NDArray[np.uint8]
    classes: Mapping[str, NDArray[np.uint32]]


def write_cellmap(path: str | Path, shape: Sequence[int] = (64, 96, 144), density: float = 12.0, seed: int = 0) -> bool:
    """Write a synthetic challenge to the directory ``path``; it appears when it is whole.

    :param shape: (z, y, x) voxels of each dataset
    :param density: cells per cubic micrometre that are tried
    :returns: whether it was made; one that was made with these arguments is left as it is
    :raises UserError: if the arguments describe none, or something else is there
    """
    path = Path(path)
    if len(shape) != 3 or min(shape) < SMALLEST:
        raise UserError(f"shape {tuple(shape)}: a challenge needs {SMALLEST} voxels along each axis. Give three larger numbers")
    parameters = {"kind": "cellmap", "shape": list(shape), "density": float(density), "seed": seed}
    if path.exists():
        if _made_with(path) != parameters:
            raise UserError(f"{path}: exists and was not made with these options. Remove it, or name another directory")
        return False
    with appearing(path) as partial:
        targets = []
        put_group(partial / "truth/ground_truth.zarr")
        for number, dataset in enumerate(DATASETS):
            made = tissue(tuple(shape), DATASETS[dataset][0], density, (seed, number))
            targets += _write_dataset(partial, dataset, number, made)
        write_manifest(partial / "data/test_crop_manifest.csv", targets)
        (partial / ABOUT).write_text(json.dumps({"provenance": provenance(STAGE, parameters, inputs={})}, indent=2) + "\n")
    return True


def tissue(shape: Voxels, voxel_size: Nanometres, density: float, seed: tuple[int, int]) -> Tissue:
    """Cells with mitochondria: raw, and the classes."""
    from scipy import ndimage

    from lsd_experiments.synthetic import synthesize

    rng = np.random.default_rng((*seed, 1))
    made = synthesize(shape, voxel_size, density, seed[0] * len(DATASETS) + seed[1])
    cells = made.labels.astype(np.uint32)
    ecs = np.zeros(shape, bool)
    for axis in range(3):  # one voxel between two cells
        ecs |= cells != np.roll(cells, 1, axis)
    ecs |= cells == 0
    depth = ndimage.distance_transform_edt(~ecs, sampling=voxel_size)
    mitos = _mitochondria(depth, voxel_size, rng)
    inner = ndimage.distance_transform_edt(mitos > 0, sampling=voxel_size) > 2 * min(voxel_size)
    noise = rng.normal(0, 6, shape)
    raw = made.raw.astype(np.float32)
    raw[mitos > 0] = (70 + noise)[mitos > 0]
    raw[inner] = (115 + noise)[inner]
    cells[ecs] = 0
    cyto = (cells > 0) & (mitos == 0)
    classes = {"cell": cells, "cyto": cyto, "ecs": ecs, "mito": mitos, "mito_lum": inner & (mitos > 0),
               "mito_mem": (mitos > 0) & ~inner, "nuc": np.zeros(shape)}
    return Tissue(np.clip(raw, 0, 255).astype(np.uint8), {name: values.astype(np.uint32) for name, values in classes.items()})


def _mitochondria(depth: NDArray[Any], voxel_size: Nanometres, rng: np.random.Generator) -> NDArray[np.uint32]:
    """Ellipsoids where cells are thick: [z, y, x] ids."""
    mitos = np.zeros(depth.shape, np.uint32)
    grid = np.stack(np.meshgrid(*(np.arange(n) * v for n, v in zip(depth.shape, voxel_size, strict=True)), indexing="ij"))
    places = np.argwhere(depth > 2 * max(voxel_size))
    for number in range(1, 1 + max(12, mitos.size // 8_000)):
        middle = places[rng.integers(len(places))]
        centre, radii = middle * voxel_size, rng.uniform(0.7, 1.4, 3) * depth[tuple(middle)]
        inside = (((grid - centre[:, None, None, None]) / radii[:, None, None, None]) ** 2).sum(0) < 1
        mitos[inside & (depth > min(voxel_size)) & (mitos == 0)] = number
    return mitos


def crops(shape: Voxels) -> tuple[list[Box], Box]:
    """Where training crops and the test crop of a dataset lie, in voxels of raw; multiples of 2."""
    z, y, x = (2 * (n // 2) for n in shape)
    margin, half, third = 2 * (z // 16), 2 * (y // 4), 2 * (x // 6)
    training = [Box((margin, 0, 0), (z - margin, half, third)), Box((margin, half, 0), (z - margin, y, third)),
                Box((margin, 0, third), (z - margin, y, 2 * third))]
    return training, Box((margin, 4, 2 * third), (z - margin, y - 4, x))


def _write_dataset(root: Path, dataset: str, number: int, made: Tissue) -> list[Target]:
    """Raw, training crops, and the truth of the test crop, whose rows of the manifest are returned."""
    from lsd_experiments.families.cellmap.evaluation.overlaps import components

    voxel_size, begin = DATASETS[dataset]
    container = root / f"data/{dataset}/{dataset}.zarr"
    put_image(container, RAW, made.raw, voxel_size, begin)
    training, test = crops(made.raw.shape)
    for index, box in enumerate(training):
        for label in CLASSES:
            if label in PARTS and index % 2:
                continue
            values = made.classes[label][box.slices]
            group = f"{LABELS}/crop{number * len(training) + index + 1}/{label}"
            put_image(container, group, values, voxel_size, _at(box, voxel_size, begin))
    targets = []
    for label in CLASSES:
        values = made.classes[label][test.slices]
        values = components(values).labels if label in ("cell", "mito") else values.astype(np.uint8)
        target = Target(f"crop{number + 11}", dataset, label, voxel_size, _at(test, voxel_size, begin), values.shape)
        put_group(root / f"truth/ground_truth.zarr/{target.crop}")
        put_array(root / f"truth/ground_truth.zarr/{target.name}", values, target)
        targets.append(target)
    return targets


def put_image(container: Path, group: str, values: NDArray[Any], voxel_size: Nanometres, begin: Nanometres) -> None:
    """OME-Zarr of two levels, whose translations are of voxels' centres; ids keep one of eight voxels, raw their mean."""
    import numcodecs
    import zarr

    path = container
    put_group(path)
    for part in group.split("/"):
        path /= part
        put_group(path)
    blocks = values[tuple(slice(0, 2 * (n // 2)) for n in values.shape)]
    half = blocks[::2, ::2, ::2]
    if values.dtype == np.uint8:
        parts = [blocks[i::2, j::2, k::2].astype(np.uint16) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
        half = (np.sum(parts, axis=0) // 8).astype(np.uint8)
    levels = []
    for number, level in enumerate((values, half)):
        array = zarr.create(level.shape, chunks=tuple(min(64, n) for n in level.shape), dtype=level.dtype, fill_value=0,
                            store=zarr.DirectoryStore(str(path / f"s{number}")), compressor=numcodecs.Zstd(3),
                            dimension_separator="/")
        array[:] = level
        size = [v * 2**number for v in voxel_size]
        place = [b + (s - v) / 2 for b, s, v in zip(begin, size, voxel_size, strict=True)]
        levels.append({"path": f"s{number}", "coordinateTransformations": [{"type": "scale", "scale": size},
                                                                               {"type": "translation", "translation": place}]})
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    image = {"version": "0.4", "name": group.rpartition("/")[2], "axes": axes, "datasets": levels}
    (path / ".zattrs").write_text(json.dumps({"multiscales": [image]}, indent=4))


def _at(box: Box, voxel_size: Nanometres, begin: Nanometres) -> Nanometres:
    return tuple(round(b + n * v, 6) for b, n, v in zip(begin, box.begin, voxel_size, strict=True))


def _made_with(path: Path) -> Any:
    try:
        return json.loads((path / ABOUT).read_text())["provenance"]["parameters"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
