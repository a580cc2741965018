"""Neuropil with synaptic clefts whose place is known: thin dark sheets between two neurites, here and there.

The tissue is that of :mod:`lsd_experiments.synthetic.volume`, but its sections lie exactly above each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.synthetic.neurites import grow_neurites
from lsd_experiments.synthetic.noise import smooth_noise
from lsd_experiments.synthetic.raw import render, smooth_step
from lsd_experiments.synthetic.volume import assign, check_arguments, connected, warp_of

PATCH = 150.0  # nm, about, that clefts are long
RARE = 1.0  # standard deviations of a random field above which there is a cleft
HALF = 12.0  # nm to each side of the membrane that belong to the cleft
DARK = 0.8  # what is left of its grey
SMALLEST = 40  # voxels of a cleft


@dataclass(frozen=True)
class CleftVolume:
    """``raw``: [z, y, x] uint8; ``neurons``, ``clefts``: [z, y, x] uint64, 0 is none.

    ``partners``: [n, 2, 3] voxels (z, y, x) before and after each cleft, in the two neurites that it parts, cleft 1 first.
    """

    raw: np.ndarray
    neurons: np.ndarray
    clefts: np.ndarray
    partners: np.ndarray


def synthesize_clefts(shape: Sequence[int], voxel_size: Sequence[float] = (40, 4, 4), density: float = 6.0,
                      seed: int = 0) -> CleftVolume:
    """Make a volume of ``shape`` (z, y, x) voxels of ``voxel_size`` nm; arguments and errors as of ``synthesize``."""
    shape, voxel_size = check_arguments(shape, voxel_size, density, seed)
    rng = np.random.default_rng(seed)
    neurites = grow_neurites(tuple(n * v for n, v in zip(shape, voxel_size, strict=True)), density, rng)
    if not len(neurites.radii):
        raise UserError(f"density {density}: no neurite found a place in {shape} voxels. Raise the density")
    warp = warp_of(shape, voxel_size, rng, slip=0.0)
    label, gap = assign(neurites, warp, shape, voxel_size)
    field = smooth_noise(shape, tuple(PATCH / v for v in voxel_size), rng)
    neurons = connected(label + 1)
    clefts = _numbered((field > RARE) & (gap / 2 < HALF) & (neurons > 0))
    raw = render(label, gap, warp, neurites, voxel_size, rng, smooth_step((field - RARE) / 0.1).astype(np.float32))
    raw = np.where(clefts > 0, (DARK * raw).astype(np.uint8), raw)
    places, kept = _partners(neurons, clefts, rng)
    clefts = np.where(np.isin(clefts, kept), clefts, np.uint64(0))
    return CleftVolume(raw, neurons, np.searchsorted(kept, clefts, side="left").astype(np.uint64), places)


def _numbered(mask: np.ndarray) -> np.ndarray:
    """[z, y, x] uint64: the connected parts of ``mask`` that are large enough, 1 and up."""
    from scipy import ndimage

    parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
    kept = np.bincount(parts.ravel(), minlength=count + 1) >= SMALLEST
    kept[0] = False
    return np.asarray(np.where(kept, np.cumsum(kept), 0).astype(np.uint64)[parts])


def _partners(neurons: np.ndarray, clefts: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """[n, 2, 3] places in the two neurites of each cleft, and [n + 1] 0 and the clefts that have two."""
    from scipy import ndimage

    places, kept = [], [0]
    for number, box in enumerate(ndimage.find_objects(clefts.astype(np.int64)), start=1):
        wide = tuple(slice(max(0, b.start - m), b.stop + m) for b, m in zip(box, (0, 8, 8), strict=True))
        own = clefts[wide] == number
        near = ndimage.binary_dilation(own, np.ones((1, 3, 3)), iterations=6) & ~own
        ids, counts = np.unique(neurons[wide][near & (neurons[wide] > 0)], return_counts=True)
        if len(ids) < 2:
            continue
        middle = np.argwhere(own).mean(0)
        pair = []
        for neuron in rng.permutation(ids[np.argsort(counts)[-2:]]):
            candidates = np.argwhere(near & (neurons[wide] == neuron))
            nearest = candidates[((candidates - middle) ** 2 * (100, 1, 1)).sum(1).argmin()]
            pair.append(nearest + [b.start for b in wide])
        places.append(pair)
        kept.append(number)
    return np.asarray(places, np.int64).reshape(-1, 2, 3), np.asarray(kept)
