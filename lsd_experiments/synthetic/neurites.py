"""Where neurites run: tubes around random smooth curves that keep clear of each other.

A neurite is grown from a seed in both directions, in steps of :data:`STEP`: it keeps its direction but for a random
turn, is pushed aside by those it comes near, gets thinner where space is short, and ends where there is none. Thick
ones are grown first, thinner ones find their way between them. Positions and radii are in nm, axes (z, y, x).
"""

from dataclasses import dataclass

import numpy as np

# All lengths in nm. Chosen by eye to resemble neuropil at 9 to 20 nm per voxel; not measured in tissue.
STEP = 40.0
MARGIN = 400.0  # neurites are grown this far beyond the volume, so that its borders look like its middle
RADIUS = (75.0, 350.0)  # thinnest and thickest
MEDIAN_RADIUS = 120.0
SPREAD = 0.45  # of the logarithm of the radius
ALONG_Z = 1.4  # how much more neurites run along z than along y and x
BRANCHES = 0.35  # share of neurites that have a branch
SHORTEST = 12  # points; shorter neurites are given up
TRIES = 20  # places to try for each neurite
DENSEST = 1e9 / (np.pi * RADIUS[0] ** 2 * SHORTEST * STEP)  # per cubic micrometre: as many of the thinnest and shortest fill it


@dataclass(frozen=True)
class Neurites:
    """Balls whose unions are neurites.

    ``points``: [n, 3] float64 in nm, (z, y, x) from the volume's corner; ``radii``: [n] float64 in nm; ``owners``: [n]
    int32, the neurite each ball belongs to, 0 and up. Balls of one stretch follow each other; ``stretches``: [m, 2]
    first and end index of each.
    """

    points: np.ndarray
    radii: np.ndarray
    owners: np.ndarray
    stretches: np.ndarray


def grow_neurites(size: tuple[float, ...], density: float, rng: np.random.Generator) -> Neurites:
    """Grow ``density`` neurites per cubic micrometre (fewer where space runs out) through a volume of ``size`` (nm)."""
    from lsd_experiments.synthetic.kernels import Space

    extent = np.asarray(size) + 2 * MARGIN
    count = max(2, round(density * float(np.prod(extent)) / 1e9))
    longest = 8 + int(2 * extent.max() / STEP)
    space = Space(np.full(3, -MARGIN), extent, cell=RADIUS[1])
    stretches: list[tuple[int, int]] = []
    for owner, radius in enumerate(_radii(count, rng)):
        seeds = (rng.uniform(-MARGIN, extent - MARGIN) for _ in range(TRIES))
        grown = (space.grow(seed, _direction(rng), radius, owner, rng.standard_normal((2, longest, 4)), SHORTEST)
                 for seed in seeds)
        stretch = next((stretch for stretch in grown if stretch), None)
        if not stretch:
            continue
        stretches.append(stretch)
        if rng.random() < BRANCHES:
            root = int(rng.integers(*stretch))
            radius = max(RADIUS[0], 0.6 * space.radii[root])
            branch = space.grow(space.points[root].copy(), _direction(rng), radius, owner,
                                rng.standard_normal((2, longest, 4)), shortest=4)
            stretches += [branch] if branch else []
    n = space.count
    return Neurites(space.points[:n].copy(), space.radii[:n].copy(), space.owners[:n].copy(),
                    np.array(stretches, int).reshape(-1, 2))


def _radii(count: int, rng: np.random.Generator) -> np.ndarray:
    """Radii in nm, thickest first."""
    radii = MEDIAN_RADIUS * np.exp(SPREAD * rng.standard_normal(count))
    return np.asarray(np.sort(np.clip(radii, *RADIUS))[::-1])


def _direction(rng: np.random.Generator) -> np.ndarray:
    """A random unit vector, more often along z."""
    direction = rng.standard_normal(3) * (ALONG_Z, 1, 1)
    return np.asarray(direction / np.linalg.norm(direction))
