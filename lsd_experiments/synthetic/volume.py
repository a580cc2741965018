"""A volume of raw and labels, from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres, Voxels
from lsd_experiments.synthetic.levels import level_of
from lsd_experiments.synthetic.memory import check_memory
from lsd_experiments.synthetic.neurites import NEUROPIL, Neurites, grow_neurites
from lsd_experiments.synthetic.noise import smooth_noise
from lsd_experiments.synthetic.raw import render

WARP = 45.0  # nm, how far surfaces are displaced at most per axis, to make tubes irregular
SLIP = 3.0  # nm, standard deviation of how far a section lies beside its place
CRUMB = 200  # voxels; smaller connected parts stay unlabelled
VOXEL = (0.5, 2 * NEUROPIL.radius[0])  # nm: smaller ones are of atoms, larger ones miss the thinnest neurite
BYTES = 64  # of memory per voxel, measured


@dataclass(frozen=True)
class SyntheticVolume:
    """``raw``: [z, y, x] uint8; ``labels``: [z, y, x] uint64, 0 is unlabelled."""

    raw: np.ndarray
    labels: np.ndarray


def synthesize(shape: Sequence[int], voxel_size: Sequence[float] = (20, 9, 9), density: float = 6.0,
               seed: int = 0, level: int | None = None) -> SyntheticVolume:
    """Make a volume of ``shape`` (z, y, x) voxels of ``voxel_size`` nm.

    :param density: neurites per cubic micrometre that are tried; where space is short, fewer
    :param seed: equal seeds and arguments give equal volumes
    :param level: one of :data:`~lsd_experiments.synthetic.levels.LEVELS`, harder to segment (default: the plain volume)
    :raises UserError: if the arguments describe no volume
    """
    shape, voxel_size = check_arguments(shape, voxel_size, density, seed, level)
    tissue, look = level_of(level)
    rng = np.random.default_rng(seed)
    neurites = grow_neurites(tuple(n * v for n, v in zip(shape, voxel_size, strict=True)), density, rng, tissue)
    if not len(neurites.radii):
        raise UserError(f"density {density}: no neurite found a place in {shape} voxels. Raise the density")
    warp = warp_of(shape, voxel_size, rng, SLIP)
    label, gap = assign(neurites, warp, shape, voxel_size)
    raw = render(label, gap, warp, neurites, voxel_size, rng, look=look)
    return SyntheticVolume(raw, connected(label + 1))


def check_arguments(shape: Sequence[int], voxel_size: Sequence[float], density: float,
                    seed: int, level: int | None = None) -> tuple[Voxels, Nanometres]:
    """``shape`` and ``voxel_size`` as tuples.

    :raises UserError: if the arguments describe no volume
    """
    if len(shape) != 3 or any(n < 1 for n in shape):
        raise UserError(f"shape {tuple(shape)}: give three positive numbers of voxels, z y x")
    check_memory(shape, BYTES)
    if len(voxel_size) != 3 or any(not VOXEL[0] <= v <= VOXEL[1] for v in voxel_size):
        raise UserError(f"voxel size {tuple(voxel_size)}: give three sizes from {VOXEL[0]:g} to {VOXEL[1]:g} nm, z y x")
    tissue, _ = level_of(level)
    if not 0 < density <= tissue.densest:
        raise UserError(f"density {density}: give neurites per cubic micrometre, above 0 and at most {tissue.densest:.0f}")
    if seed < 0:
        raise UserError(f"seed {seed}: give 0 or a positive number")
    return tuple(map(int, shape)), tuple(map(float, voxel_size))


def warp_of(shape: Voxels, voxel_size: Nanometres, rng: np.random.Generator, slip: float = SLIP) -> np.ndarray:
    """[3, z, y, x] float32: displacements in nm, of at most :data:`WARP` but for the slip of sections."""
    coarse, fine = (tuple(nm / v for v in voxel_size) for nm in (300, 120))
    warp = np.stack([22 * smooth_noise(shape, coarse, rng) + 7 * smooth_noise(shape, fine, rng) for _ in range(3)])
    warp = np.asarray(np.clip(warp, -WARP, WARP))
    warp[1:] += slip * np.clip(rng.standard_normal((2, shape[0], 1, 1), dtype=np.float32), -3, 3)
    return warp


def assign(neurites: Neurites, warp: np.ndarray, shape: Voxels,
           voxel_size: Nanometres) -> tuple[np.ndarray, np.ndarray]:
    """The neurite of each voxel, [z, y, x] int32, and how much farther the next one is, [z, y, x] float32 in nm."""
    from lsd_experiments.synthetic.kernels import nearest_neurites

    ball, surface, gap = np.empty(shape, np.int32), np.empty(shape, np.float32), np.empty(shape, np.float32)
    nearest_neurites(neurites.points, neurites.radii, neurites.owners, warp, np.asarray(voxel_size), WARP + 3 * SLIP,
                     ball, surface, gap)
    return neurites.owners[ball], gap


def connected(label: np.ndarray) -> np.ndarray:
    """Ids of 1 and up, one per connected part of what has one value above 0 in ``label``; crumbs become 0."""
    import cc3d

    parts = cc3d.connected_components(label, connectivity=6)
    sizes = np.bincount(parts.ravel())
    kept = sizes >= min(CRUMB, label.size)
    kept[0] = False
    ids = np.where(kept, np.cumsum(kept), 0).astype(np.uint64)
    return np.asarray(ids[parts])
