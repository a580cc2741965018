"""A small challenge: two datasets with anisotropic voxels that begin away from the origin, three annotated crops, a split."""

import numpy as np

from lsd_experiments.families.cellmap.configuration import defaults
from lsd_experiments.families.cellmap.synthetic import put_image

VOXEL, BEGIN = (16.0, 8.0, 8.0), (160.0, 88.0, 40.0)
RAW, LABELS = "recon-1/em/fibsem-uint8", "recon-1/labels/groundtruth"
SHAPE = (24, 40, 44)
CROPS = {1: ((4, 8, 8), (20, 30, 34)), 2: ((2, 4, 10), (18, 28, 40)), 3: ((4, 8, 8), (20, 32, 32))}
ANNOTATED = {1: ("mito", "ecs"), 2: ("mito", "nuc"), 3: ("ecs", "er")}  # nuc is nowhere
SIDES = {1: "train", 2: "train", 3: "validate"}


def raw():
    z, y, x = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    return ((7 * z + 3 * y + 5 * x) % 251).astype(np.uint8)


def ids(label):
    """[z, y, x]: what a class is, in all of a dataset."""
    z, y, x = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    mito = (z // 6 + y // 8 + x // 8) % 4 == 0
    made = {"mito": mito * (1 + y // 8), "ecs": ~mito & (x % 5 == 0), "er": y % 7 == 0, "nuc": np.zeros(SHAPE)}
    return made[label].astype(np.uint16)


def dataset_of(crop):
    return "ds_b" if crop == 3 else "ds_a"


def write(root):
    """Data in ``root``; returns rows of a split, as lines."""
    lines = []
    for crop, (begin, end) in CROPS.items():
        name = dataset_of(crop)
        container = root / f"data/{name}/{name}.zarr"
        if not (container / RAW).exists():
            put_image(container, RAW, raw(), VOXEL, BEGIN)
        place = tuple(b + n * v for b, n, v in zip(BEGIN, begin, VOXEL, strict=True))
        for label in ANNOTATED[crop]:
            values = ids(label)[tuple(slice(b, e) for b, e in zip(begin, end, strict=True))]
            put_image(container, f"{LABELS}/crop{crop}/{label}", values, VOXEL, place)
        lines.append(f'"{SIDES[crop]}","{container}","{RAW}","{container}",'
                     f'"{LABELS}/crop{crop}/[{",".join(ANNOTATED[crop])}]"\n')
    return lines


def settings(root, **changes):
    """Of ``root``; patches of 8 x 12 x 12 voxels, nothing turned, all classes."""
    info = {"shape": (8, 12, 12), "scale": VOXEL}
    said = {"classes": ["mito", "ecs", "er", "nuc"], "input_array_info": info, "batch_size": 2, "spatial_transforms": {},
            "force_all_classes": False}
    return defaults(root).replace(**said | changes)
