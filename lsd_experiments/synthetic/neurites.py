"""Where neurites run: tubes around random smooth curves that keep clear of each other.

A neurite is grown from a seed in both directions, in steps: it keeps its direction but for a random turn, is pushed aside by
those it comes near, gets thinner where space is short, and ends where there is none. Thick ones are grown first, thinner ones
find their way between them. Positions and radii are in nm, axes (z, y, x).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Direction = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def any_direction(_: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random unit vector, 1.4 times more along z than along y and x, wherever the neurite starts."""
    direction = rng.standard_normal(3) * (1.4, 1, 1)
    return np.asarray(direction / np.linalg.norm(direction))


@dataclass(frozen=True)
class Tissue:
    """What neurites are like. All lengths in nm, chosen by eye: not measured in tissue.

    :param margin: neurites are grown this far beyond the volume, so that its borders look like its middle
    :param radius: thinnest and thickest
    :param spread: of the logarithm of the radius
    :param swelling: how much the calibre changes along a neurite
    :param turn: random turn of each step
    :param push: turn of each step away from others
    :param direction: where a neurite that starts at a place (nm) runs
    :param branches: share of neurites that have a branch
    :param shortest: points; shorter neurites are given up
    :param tries: places to try for each neurite
    """

    step: float
    margin: float
    radius: tuple[float, float]
    median_radius: float
    spread: float
    swelling: float
    turn: float
    push: float
    direction: Direction
    branches: float
    shortest: int
    tries: int

    @property
    def densest(self) -> float:
        """Neurites per cubic micrometre: as many of the thinnest and shortest fill it."""
        return float(1e9 / (np.pi * self.radius[0] ** 2 * self.shortest * self.step))


# Resembles neuropil at 9 to 20 nm per voxel.
NEUROPIL = Tissue(step=40.0, margin=400.0, radius=(75.0, 350.0), median_radius=120.0, spread=0.45, swelling=0.1, turn=0.10,
                  push=0.35, direction=any_direction, branches=0.35, shortest=12, tries=20)


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


def grow_neurites(size: tuple[float, ...], density: float, rng: np.random.Generator, tissue: Tissue = NEUROPIL) -> Neurites:
    """Grow ``density`` neurites per cubic micrometre (fewer where space runs out) through a volume of ``size`` (nm)."""
    from lsd_experiments.synthetic.kernels import Space

    margin = tissue.margin
    extent = np.asarray(size) + 2 * margin
    count = max(2, round(density * float(np.prod(extent)) / 1e9))
    longest = 8 + int(2 * extent.max() / tissue.step)
    space = Space(np.full(3, -margin), extent, tissue)
    stretches: list[tuple[int, int]] = []
    for owner, radius in enumerate(_radii(count, tissue, rng)):
        seeds = (rng.uniform(-margin, extent - margin) for _ in range(tissue.tries))
        grown = (space.grow(seed, tissue.direction(seed, rng), radius, owner, rng.standard_normal((2, longest, 4)),
                            tissue.shortest) for seed in seeds)
        stretch = next((stretch for stretch in grown if stretch), None)
        if not stretch:
            continue
        stretches.append(stretch)
        if rng.random() < tissue.branches:
            root = int(rng.integers(*stretch))
            radius = max(tissue.radius[0], 0.6 * space.radii[root])
            seed = space.points[root].copy()
            branch = space.grow(seed, tissue.direction(seed, rng), radius, owner, rng.standard_normal((2, longest, 4)),
                                shortest=4)
            stretches += [branch] if branch else []
    n = space.count
    return Neurites(space.points[:n].copy(), space.radii[:n].copy(), space.owners[:n].copy(),
                    np.array(stretches, int).reshape(-1, 2))


def _radii(count: int, tissue: Tissue, rng: np.random.Generator) -> np.ndarray:
    """Radii in nm, thickest first."""
    radii = tissue.median_radius * np.exp(tissue.spread * rng.standard_normal(count))
    return np.asarray(np.sort(np.clip(radii, *tissue.radius))[::-1])
