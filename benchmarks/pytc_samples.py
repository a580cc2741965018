"""Samples of SNEMI3D's published size, 17 x 257 x 257, augmented, beside MONAI and batchgenerators, on one thread each.

    pip install --no-deps monai batchgenerators
    python benchmarks/pytc_samples.py                # 20 samples each: some minutes

"ours, geometry and gray" does what both peers have, too: quarter turns, rescaling, flips, elastic deformation within sections,
gray values; image and labels, with the published probabilities. The peers get the sections as channels of an image, which is the
fastest way to let all sections share a deformation: their own transforms of volumes take longer. "ours, all"
has all twelve augmentations but copy-paste, relabelled labels, erosion, affinities and their weights: what a training takes.
A row's seconds are of all samples; the last line has samples per CPU second.
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import HEADER, machine, rows, take_turns

SHAPE, SOURCE = (17, 257, 257), (17, 356, 356)
VOLUME = (40, 512, 512)
PEERS = ("monai", "batchgenerators")
COMMON = ("ROTATE", "RESCALE", "FLIP", "ELASTIC", "GRAYSCALE")
AUGMENTOR = {
    "ROTATE": {"P": 1.0, "ROT90": True}, "RESCALE": {"P": 0.5}, "FLIP": {"P": 1.0, "DO_ZTRANS": 0},
    "ELASTIC": {"P": 0.75, "ALPHA": 16.0, "SIGMA": 4.0}, "GRAYSCALE": {"P": 0.75}, "MISSINGPARTS": {"P": 0.9, "ITER": 64},
    "MISSINGSECTION": {"P": 0.5, "NUM_SECTION": 2}, "MISALIGNMENT": {"P": 0.5, "DISPLACEMENT": 16, "ROTATE_RATIO": 0.5},
    "MOTIONBLUR": {"P": 0.5, "SECTIONS": 2, "KERNEL_SIZE": 11},
    "CUTBLUR": {"P": 0.5, "LENGTH_RATIO": 0.4, "DOWN_RATIO_MIN": 2.0, "DOWN_RATIO_MAX": 8.0, "DOWNSAMPLE_Z": False},
    "CUTNOISE": {"P": 0.75, "LENGTH_RATIO": 0.4, "SCALE": 0.3}, "COPYPASTE": {"P": 0.8, "AUG_THRES": 0.7},
}


def volumes() -> tuple[np.ndarray, np.ndarray]:
    """Image and labels, which need look like nothing."""
    random = np.random.default_rng(0)
    z, y, x = np.meshgrid(*map(np.arange, VOLUME), indexing="ij")
    return random.integers(0, 256, VOLUME, np.uint8), (1 + y // 37 * 14 + x // 37 + z // 13 * 200).astype(np.uint16)


def sampler(names: tuple[str, ...], smooth: bool, targets: tuple[str, ...]) -> Any:
    from lsd_experiments.arrays import Volume
    from lsd_experiments.families.pytc.samples import Augmentor, Sampler, Source
    from lsd_experiments.geometry import Box

    options = {name: values | {"ENABLED": name in names} for name, values in AUGMENTOR.items()} | {"SMOOTH": smooth}
    image, labels = (Volume(name, "", array, (1.0,) * 3, (0.0,) * 3, Box.of_shape(VOLUME)) for name, array in
                     zip(("image", "labels"), volumes(), strict=True))
    return Sampler([Source(image, labels)], Augmentor(SHAPE, options), targets, [["1", "0"]] * len(targets), erosion=1)


def ours(count: int, names: tuple[str, ...], smooth: bool = False, targets: tuple[str, ...] = ()) -> Callable[[], float]:
    made = sampler(names, smooth, targets)
    made.sample(0, 0)
    made.sample(0, 1)
    return lambda: sum(float(made.sample(number, 0).image[0, 0, 0, 0]) for number in range(1, count + 1))


def crop(image: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    begin = [int(random.integers(size - need + 1)) for size, need in zip(VOLUME, SOURCE, strict=True)]
    box = tuple(slice(b, b + need) for b, need in zip(begin, SOURCE, strict=True))
    return image[box].astype(np.float32) / 255, labels[box].astype(np.float32)


def monai(count: int) -> Callable[[], float]:
    import torch
    from monai import transforms

    torch.set_num_threads(1)
    both, modes = ["image", "labels"], ["bilinear", "nearest"]
    pipeline = transforms.Compose([
        transforms.Rand2DElasticd(both, spacing=(8, 8), magnitude_range=(0, 1), prob=0.75, mode=modes, padding_mode="border"),
        transforms.RandZoomd(both, prob=0.5, min_zoom=0.8, max_zoom=1.25, mode=["bilinear", "nearest"], keep_size=True),
        transforms.RandRotate90d(both, prob=0.75), transforms.RandFlipd(both, prob=0.5, spatial_axis=0),
        transforms.RandFlipd(both, prob=0.5, spatial_axis=1), transforms.CenterSpatialCropd(both, SHAPE[1:]),
        transforms.RandScaleIntensityd("image", 0.15, prob=0.75), transforms.RandShiftIntensityd("image", 0.15, prob=0.75),
        transforms.RandAdjustContrastd("image", prob=0.75, gamma=(0.5, 2)),
    ]).set_random_state(0)
    image, labels = volumes()

    def work() -> float:
        random, total = np.random.default_rng(0), 0.0
        for _ in range(count):
            made = pipeline(dict(zip(both, crop(image, labels, random), strict=True)))
            assert tuple(made["labels"].shape) == SHAPE
            total += float(made["image"][0, 0, 0])
        return total

    work()
    return work


def batchgenerators(count: int) -> Callable[[], float]:
    from batchgenerators.transforms.abstract_transforms import Compose
    from batchgenerators.transforms.color_transforms import BrightnessTransform, ContrastAugmentationTransform, GammaTransform
    from batchgenerators.transforms.spatial_transforms import MirrorTransform, Rot90Transform, SpatialTransform

    pipeline = Compose([
        SpatialTransform(SHAPE[1:], do_elastic_deform=True, alpha=(16, 16), sigma=(4, 4), p_el_per_sample=0.75, do_rotation=False,
                         do_scale=True, scale=(0.8, 1.25), p_scale_per_sample=0.5, random_crop=False, order_data=1, order_seg=0,
                         border_mode_data="nearest"),
        Rot90Transform((0, 1, 2, 3), axes=(0, 1), p_per_sample=0.75), MirrorTransform((0, 1)),
        ContrastAugmentationTransform((0.85, 1.15), per_channel=False, p_per_sample=0.75),
        BrightnessTransform(0, 0.1, per_channel=False, p_per_sample=0.75), GammaTransform((0.5, 2), p_per_sample=0.75),
    ])
    image, labels = volumes()

    def work() -> float:
        random, total = np.random.default_rng(0), 0.0
        np.random.seed(0)  # noqa: NPY002 (the peer's generator)
        for _ in range(count):
            one, other = crop(image, labels, random)
            made = pipeline(data=one[None], seg=other[None])
            assert made["seg"].shape[1:] == SHAPE
            total += float(made["data"][0, 0, 0, 0])
        return total

    work()
    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20, metavar="N", help="of each candidate (default: 20)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each, of which the best counts (default: 3)")
    options = parser.parse_args()
    everything = tuple(name for name in AUGMENTOR if name != "COPYPASTE")
    candidates: dict[str, tuple[Any, ...]] = {"ours, geometry and gray": (ours, options.samples, COMMON)}
    for name, function in (("monai", monai), ("batchgenerators", batchgenerators)):
        if importlib.util.find_spec(name):
            candidates[name] = (function, options.samples)
        else:
            print(f"{name} is not installed: left out", file=sys.stderr)
    candidates |= {"ours, all, affinities and weights": (ours, options.samples, everything, False, ("2",)),
                   "ours, the same and SMOOTH": (ours, options.samples, everything, True, ("2",))}
    runs = take_turns(candidates, options.repeat)
    print(machine(), HEADER, rows(f"{options.samples} samples", runs), sep="\n")
    print("samples per CPU second: " + ", ".join(f"{name} {options.samples / run.cpu:.1f}" for name, run in runs.items()))


if __name__ == "__main__":
    main()
