"""Small volumes, and samples of them."""

import copy
import itertools
import json

import numpy as np
from PIL import Image

from lsd_experiments.families.pytc.samples import Augmentor, Sampler

OFF = {"ENABLED": False, "P": 1.0}
DEFAULTS = {
    "SMOOTH": False,
    "ROTATE": {"ENABLED": True, "ROT90": True, "P": 1.0}, "RESCALE": {"ENABLED": True, "P": 0.5},
    "FLIP": {"ENABLED": True, "P": 1.0, "DO_ZTRANS": 0}, "ELASTIC": {"ENABLED": True, "P": 0.75, "ALPHA": 16.0, "SIGMA": 4.0},
    "GRAYSCALE": {"ENABLED": True, "P": 0.75}, "MISSINGPARTS": {"ENABLED": True, "P": 0.9, "ITER": 64},
    "MISSINGSECTION": {"ENABLED": True, "P": 0.5, "NUM_SECTION": 2},
    "MISALIGNMENT": {"ENABLED": True, "P": 0.5, "DISPLACEMENT": 16, "ROTATE_RATIO": 0.5},
    "MOTIONBLUR": {"ENABLED": True, "P": 0.5, "SECTIONS": 2, "KERNEL_SIZE": 11},
    "CUTBLUR": {"ENABLED": True, "P": 0.5, "LENGTH_RATIO": 0.4, "DOWN_RATIO_MIN": 2.0, "DOWN_RATIO_MAX": 8.0,
                "DOWNSAMPLE_Z": False},
    "CUTNOISE": {"ENABLED": True, "P": 0.75, "LENGTH_RATIO": 0.4, "SCALE": 0.3},
    "COPYPASTE": {"ENABLED": False, "AUG_THRES": 0.7, "P": 0.8},
}
NAMES = [name for name in DEFAULTS if name != "SMOOTH"]
SMALL = DEFAULTS | {  # for small volumes
    "ELASTIC": DEFAULTS["ELASTIC"] | {"ALPHA": 3.0}, "MISALIGNMENT": DEFAULTS["MISALIGNMENT"] | {"DISPLACEMENT": 4}}


def only(*names, **options):
    """AUGMENTOR with these augmentations, always."""
    chosen = copy.deepcopy(DEFAULTS)
    for name in NAMES:
        chosen[name] |= {"ENABLED": name in names, "P": 1.0} | options.get(name, {})
    return chosen


def volumes(directory, shape=(12, 60, 64), name="a"):
    """Image and labels, an npy file each, of which the image is a function of the labels; and a mask."""
    random = np.random.default_rng(sum(map(ord, name)))
    blocks = random.permutation(np.arange(1, 61)).astype(np.uint16)
    z, y, x = np.meshgrid(*map(np.arange, shape), indexing="ij")
    labels = blocks[(z // 4 * 15 + y // 20 * 5 + x // 13) % 60]
    labels[(y % 20 == 0) | (x % 13 == 0)] = 0
    image = (labels * 4).astype(np.uint8)
    mask = (x < shape[2] // 2).astype(np.uint8)
    paths = [directory / f"{name}_{kind}.npy" for kind in ("image", "label", "mask")]
    for path, array in zip(paths, (image, labels, mask), strict=True):
        np.save(path, array)
    return paths, image, labels, mask


def sampler(source, options=None, shape=(5, 17, 17), **more):
    given = {"targets": ["2"], "weights": [["1", "0"]]} | more
    return Sampler([source], Augmentor(shape, options), **given)


def same(one, other):
    np.testing.assert_array_equal(one.image, other.image)
    for a, b in zip(one.targets, other.targets, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(itertools.chain(*one.weights), itertools.chain(*other.weights), strict=True):
        np.testing.assert_array_equal(a, b)


def tiles(directory, values, size, name, first=1, colour=False):
    """A volume of tiles with a JSON file, a tile of which is missing."""
    (directory / name).mkdir()
    for z, section in enumerate(values):
        for row, column in itertools.product(range(-(-values.shape[1] // size)), range(-(-values.shape[2] // size))):
            part = section[row * size:(row + 1) * size, column * size:(column + 1) * size]
            if colour:
                part = np.stack([part >> 16, part >> 8 & 255, part & 255], -1).astype(np.uint8)
            Image.fromarray(part).save(directory / name / f"{z}_{row + first}_{column + first}.png")
    depth, height, width = values.shape
    said = {"depth": depth, "height": height, "width": width, "tile_size": size, "tile_st": [first, first], "tile_ratio": 1,
            "dtype": "uint32" if colour else "uint8", "image": [f"{name}/{z}_{{row}}_{{column}}.png" for z in range(depth)]}
    (directory / f"{name}.json").write_text(json.dumps(said | {"ndim": 1}))
    return directory / f"{name}.json"
