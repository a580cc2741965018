"""A volume of axons in white matter from a seed: raw, the true segmentation, and the axons' centre lines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.families.xpress.synthetic.centre_lines import CentreLines, trace
from lsd_experiments.families.xpress.synthetic.white_matter import WHITE_MATTER, Axons, grow_axons
from lsd_experiments.families.xpress.synthetic.xray import BINNING, render
from lsd_experiments.geometry import Voxels
from lsd_experiments.synthetic.memory import check_memory
from lsd_experiments.synthetic.neurites import Neurites
from lsd_experiments.synthetic.noise import smooth_noise
from lsd_experiments.synthetic.volume import connected

VOXEL_SIZE = 33.0  # nm, as published
WARP = 60.0  # nm, how far surfaces are displaced at most per axis
CONTACT = 45.0  # nm, how far axons swell beyond their balls, so that neighbours touch
BYTES = 64  # of memory per voxel, measured
SMALLEST = 30  # voxels


@dataclass(frozen=True)
class AxonVolume:
    """``raw``: [z, y, x] uint8; ``labels``: [z, y, x] uint64, the inside of each axon, without its myelin; 0 is all else.

    ``centre_lines`` are those of all axons that run through the volume.
    """

    raw: np.ndarray
    labels: np.ndarray
    centre_lines: CentreLines


def synthesize_axons(shape: Sequence[int], density: float = 0.35, seed: int | Sequence[int] = 0) -> AxonVolume:
    """Make a volume of ``shape`` (z, y, x) voxels of 33 nm.

    :param density: axons per cubic micrometre that are tried; where space is short, fewer
    :param seed: equal seeds and arguments give equal volumes
    :raises UserError: if the arguments describe no volume
    """
    shape = check_axons(shape, density)
    rng = np.random.default_rng(seed)
    drawn = tuple(-(-n // BINNING) * BINNING for n in shape)
    axons = grow_axons(tuple(n * VOXEL_SIZE for n in drawn), density, rng)
    if not len(axons.sheath):
        raise UserError(f"density {density}: no axon found a place in {shape} voxels. Raise the density")
    warp = _warp(drawn, rng)
    ball, depth = _assign(axons.neurites, warp)
    raw = render(axons, ball, depth, warp, VOXEL_SIZE, rng)
    cut = tuple(slice(n) for n in shape)
    labels = _label(axons, ball[cut], depth[cut])
    lines = trace(axons, labels, warp[(slice(None), *cut)], VOXEL_SIZE)
    return AxonVolume(np.asarray(np.clip(raw[cut] * 255, 0, 255), np.uint8), labels, lines)


def check_axons(shape: Sequence[int], density: float) -> Voxels:
    """``shape`` as a tuple.

    :raises UserError: if the arguments describe no volume of axons
    """
    if len(shape) != 3 or any(n < SMALLEST for n in shape):
        raise UserError(f"shape {tuple(shape)}: give three numbers of voxels, z y x, of {SMALLEST} and more")
    check_memory(shape, BYTES)
    if not 0 < density <= WHITE_MATTER.densest:
        raise UserError(f"density {density}: give axons per cubic micrometre, above 0 and at most {WHITE_MATTER.densest:.0f}")
    return tuple(map(int, shape))


def _warp(shape: Voxels, rng: np.random.Generator) -> np.ndarray:
    """[3, z, y, x] float32: displacements in nm, of at most :data:`WARP`."""
    coarse, fine = ((nm / VOXEL_SIZE,) * 3 for nm in (700, 250))
    return np.stack([np.clip(28 * smooth_noise(shape, coarse, rng) + 12 * smooth_noise(shape, fine, rng), -WARP, WARP)
                     for _ in range(3)])


def _assign(neurites: Neurites, warp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ball of each voxel, [z, y, x] int32, and how deep in its axon it lies, [z, y, x] float32 in nm."""
    from lsd_experiments.synthetic.kernels import nearest_neurites

    shape = warp.shape[1:]
    ball, surface, gap = np.empty(shape, np.int32), np.empty(shape, np.float32), np.empty(shape, np.float32)
    nearest_neurites(neurites.points, neurites.radii, neurites.owners, warp, np.full(3, VOXEL_SIZE), WARP * math.sqrt(3),
                     ball, surface, gap)
    return ball, np.minimum(CONTACT - surface, gap / 2)


def _label(axons: Axons, ball: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """[z, y, x] uint64: ids of 1 and up, one per connected inside of an axon."""
    owner = axons.neurites.owners[ball]
    inside = (depth > axons.sheath.astype(np.float32)[ball]) & ~axons.glia[owner]
    return connected(np.where(inside, owner + 1, 0))
