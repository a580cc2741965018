"""A small challenge of one dataset, with anisotropic voxels that begin away from the origin, and configurations for it."""

import numpy as np

from lsd_experiments.families.cellmap.configuration.checks import checked
from lsd_experiments.families.cellmap.manifest import Target, write_manifest
from lsd_experiments.families.cellmap.synthetic import LABELS, RAW, put_image

VOXEL, BEGIN = (8.0, 4.0, 4.0), (80.0, 20.0, 36.0)
SHAPE = (10, 24, 28)
TEST = ((2, 4, 6), (7, 19, 20))  # where the test crop lies, in voxels
FLAT = {"shape": (1, 8, 8), "scale": VOXEL}
PLAIN = {"batch_size": 2, "classes": ["mito", "er"], "device": "cpu", "epochs": 2, "iterations_per_epoch": 3,
         "input_array_info": FLAT, "learning_rate": 0.01, "model_kwargs": {"width": 1}, "model_name": "2d_unet",
         "random_seed": 1, "spatial_transforms": {}, "weight_loss": False}


def write_challenge(root):
    """Raw in which mitochondria are bright; crop1 trains, crop2 validates; er is annotated in crop1 alone; crop3 is a test."""
    random = np.random.default_rng(3)
    mito = np.zeros(SHAPE, np.uint8)
    mito[2:6, 4:14, 3:9], mito[4:8, 8:20, 16:24] = 1, 2
    raw = np.clip(random.normal(80, 10, SHAPE) + 100 * (mito > 0), 0, 255).astype(np.uint8)
    container = root / "data/made/made.zarr"
    put_image(container, RAW, raw, VOXEL, BEGIN)
    for crop, begin, end, labels in (("crop1", 0, 14, ("mito", "er")), ("crop2", 14, 28, ("mito",))):
        place = tuple(b + n * v for b, n, v in zip(BEGIN, (0, 0, begin), VOXEL, strict=True))
        for label in labels:
            values = mito if label == "mito" else (raw < 75).astype(np.uint8)
            put_image(container, f"{LABELS}/{crop}/{label}", values[:, :, begin:end], VOXEL, place)
    rows = [("train", "crop1", "mito,er"), ("validate", "crop2", "mito")]
    (root / "datasplit.csv").write_text("".join(
        f'"{side}","{container}","{RAW}","{container}","{LABELS}/{crop}/[{classes}]"\n' for side, crop, classes in rows))
    low, high = TEST
    begin = tuple(b + n * v for b, n, v in zip(BEGIN, low, VOXEL, strict=True))
    shape = tuple(e - b for b, e in zip(low, high, strict=True))
    write_manifest(root / "data/test_crop_manifest.csv", [Target("crop3", "made", label, VOXEL, begin, shape) for label in
                                                            ("er", "nuc")])
    return raw


def settings(path, **others):
    """Of a configuration in ``path``."""
    return checked(PLAIN | others, path / "train.toml", path)
