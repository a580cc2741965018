"""A watershed on raw intensity alone, tuned on the training volume: what a trained network has to beat. Needs scikit-image.

    python watershed_on_raw.py xpress.zarr watershed.zarr       # a container of make_synthetic.py --kind axons

Raw is smoothed, and what is slow in it subtracted. Seeds are the connected parts of what is deep inside the bright voxels;
all other voxels go to the seed that a flood of the smoothed raw, bright first, reaches them from. Each option takes several
values: of all combinations, the one whose segmentation of volumes/training_raw scores best on the training skeletons
(xpress_erl_rand) then segments volumes/validation_raw, or that of another --split. Prints the scores of each, writes
volumes/segmentation of 33 nm.

    python ../../03_predict/evaluate_skeletons.py watershed.zarr XPRESS_validation_skels.npz \\
        --segmentation-dataset volumes/segmentation --roi-offset 1683 1683 1683 --roi-shape 4653 4653 4653
"""

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lsd_experiments import cli
from lsd_experiments.arrays import Volume, create_volume, open_volume, to_box
from lsd_experiments.evaluation.skeletons import evaluate_skeletons
from lsd_experiments.geometry import Box
from lsd_experiments.skeletons import Skeletons, crop, read_skeletons

SMALLEST = 30  # voxels of a seed
SHOWN = ("xpress_erl_rand", "normalized_erl", "erl", "splits", "merges")


def main(options: argparse.Namespace) -> None:
    """Tune, segment, write."""
    raw, skeletons = open_split(options.challenge, options.split)
    grid = list(itertools.product(options.smoothing, options.background, options.bright, options.depth))
    print("split       smoothing background bright depth", *(f"{name:>15}" for name in SHOWN))
    best = grid[0] if len(grid) == 1 else max(grid, key=lambda values: score(options.challenge, "training", values))
    segmentation = segment(raw.read().astype(np.float32), *best)
    report(options.split, best, segmentation, Box.of_shape(raw.shape), raw, skeletons)
    volume = create_volume(options.out, "volumes/segmentation", raw.shape, raw.voxel_size, raw.offset, np.uint64)
    volume.write(Box.of_shape(raw.shape), segmentation)


def open_split(challenge: Path, split: str) -> tuple[Volume, Skeletons]:
    """The raw volume, and its skeletons in the region to evaluate."""
    raw = open_volume(challenge, f"volumes/{split}_raw")
    roi = raw.attrs["evaluation_roi"]
    return raw, crop(read_skeletons(challenge.parent / f"XPRESS_{split}_skels.npz"), roi["begin"], roi["shape"])


def score(challenge: Path, split: str, values: tuple[float, ...]) -> float:
    """The score of these ``values`` in the region to evaluate."""
    raw, skeletons = open_split(challenge, split)
    roi = raw.attrs["evaluation_roi"]
    box = to_box(raw, roi["begin"], roi["shape"])
    return report(split, values, segment(raw.read(box).astype(np.float32), *values), box, raw, skeletons)


def report(split: str, values: tuple[float, ...], segmentation: np.ndarray, box: Box, raw: Volume, skeletons: Skeletons) -> float:
    """Print the scores; the one that decides is returned. ``segmentation`` is that of ``box``."""
    voxels = np.floor((skeletons.positions - raw.offset) / raw.voxel_size).astype(int) - box.begin
    row = evaluate_skeletons(skeletons, segmentation[tuple(voxels.T)])
    print(f"{split:11} {values[0]:9g} {values[1]:10g} {values[2]:6g} {values[3]:5g}", *(f"{row[name]:15.4g}" for name in SHOWN),
          flush=True)
    return float(row["xpress_erl_rand"])


def segment(raw: np.ndarray, smoothing: float, background: float, bright: float, depth: float) -> np.ndarray:
    """A watershed of ``raw`` from seeds inside its bright parts.

    :param raw: [z, y, x] float32
    :param smoothing: standard deviation in voxels
    :param background: standard deviation in voxels of what is subtracted, 0 for nothing
    :param bright: share of the voxels that are not bright
    :param depth: of seeds inside of what is bright, in voxels
    :returns: [z, y, x] uint64
    """
    from scipy import ndimage
    from skimage.measure import label
    from skimage.segmentation import watershed

    smooth = ndimage.gaussian_filter(raw, smoothing)
    if background:
        smooth -= ndimage.gaussian_filter(raw, background)
    inside = ndimage.distance_transform_edt(smooth > np.quantile(smooth, bright))
    seeds = label(inside > depth, connectivity=1)
    seeds[np.bincount(seeds.ravel())[seeds] < SMALLEST] = 0
    return watershed(-smooth, seeds).astype(np.uint64)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("challenge", type=Path, metavar="CHALLENGE.zarr", help="with the skeletons beside it")
    parser.add_argument("out", metavar="OUT.zarr", help="gets volumes/segmentation")
    parser.add_argument("--smoothing", type=float, nargs="+", default=[1, 1.5], help="standard deviations, voxels")
    parser.add_argument("--background", type=float, nargs="+", default=[0, 8, 20],
                        help="of what is subtracted, voxels; 0 subtracts nothing")
    parser.add_argument("--bright", type=float, nargs="+", default=[0.65, 0.75, 0.775], help="shares of voxels that are not")
    parser.add_argument("--depth", type=float, nargs="+", default=[0.5, 1, 2], help="of seeds inside what is bright, voxels")
    splits = ("validation", "test")
    parser.add_argument("--split", choices=splits, default=splits[0], help="what to segment (default: %(default)s)")
    cli.run(main, parser)
