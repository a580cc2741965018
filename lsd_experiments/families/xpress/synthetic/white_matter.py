"""Axons in white matter: fascicles that cross, sheaths of myelin, and nodes where the myelin is interrupted.

Lengths in nm, axes (z, y, x). Calibres and sheaths are in the range of textbooks (outer diameters of 0.25 to 1.6 micrometres,
sheaths of about a quarter of the radius), nodes of Ranvier are far more frequent than in tissue, so that a small volume has
some; all else is chosen by eye.
"""

from dataclasses import dataclass, replace

import numpy as np

from lsd_experiments.synthetic.neurites import Neurites, Tissue, any_direction, grow_neurites

WHITE_MATTER = Tissue(step=50.0, margin=1000.0, radius=(160.0, 800.0), median_radius=310.0, spread=0.40, swelling=0.03,
                      turn=0.018, push=0.08, direction=any_direction, branches=0.0, shortest=120, tries=60)
UNMYELINATED = 190.0  # axons thinner than this have no myelin
SHEATH = 0.27  # thickness as a share of the outer radius; in each axon up to a quarter more or less
MEMBRANE = 35.0  # thickness of what parts an axon without myelin from its neighbours
GLIA = 0.12  # share of the thin ones that are processes of glia
INTERNODE = 8_000.0  # mean distance of the nodes of Ranvier
NODE = (300.0, 550.0)  # half the length of a node
SHEET = (2600.0, 1400.0)  # thickness of the sheets of axons that run one way, and of the sheets that cross them


@dataclass(frozen=True)
class Axons:
    """Axons, and of each what is around it.

    ``neurites``: their outer surfaces; ``sheath``: [balls] float64, thickness of the myelin or membrane at each ball (nm);
    ``myelinated``, ``glia``: [owners] bool; ``nodes``: [n] int, balls in the middle of nodes of Ranvier; ``node_radii``: [n]
    float64 (nm), half the length of each.
    """

    neurites: Neurites
    sheath: np.ndarray
    myelinated: np.ndarray
    glia: np.ndarray
    nodes: np.ndarray
    node_radii: np.ndarray


class Fascicles:
    """Two directions that alternate in sheets along y: most axons run about along z, some across them, about along x."""

    def __init__(self, rng: np.random.Generator) -> None:
        tilt, angle = rng.uniform(-0.25, 0.25, 2), rng.uniform(np.radians(60), np.radians(90))
        main = np.array([1.0, 0.4 * tilt[0], tilt[1]])
        across = np.array([np.cos(angle), 0.4 * tilt[0], np.sin(angle)])
        self.directions = (main / np.linalg.norm(main), across / np.linalg.norm(across))
        self.phase = rng.uniform(0, sum(SHEET))

    def __call__(self, place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The direction, [3], of an axon at ``place`` (nm)."""
        crossing = (place[1] + self.phase) % sum(SHEET) > SHEET[0]
        direction = self.directions[int(crossing)] + 0.07 * rng.standard_normal(3)
        return np.asarray(direction / np.linalg.norm(direction))


def grow_axons(size: tuple[float, ...], density: float, rng: np.random.Generator) -> Axons:
    """Grow ``density`` axons per cubic micrometre (fewer where space runs out) through a volume of ``size`` (nm)."""
    shortest = min(WHITE_MATTER.shortest, int(0.6 * (min(size) + 2 * WHITE_MATTER.margin) / WHITE_MATTER.step))
    neurites = grow_neurites(size, density, rng, replace(WHITE_MATTER, direction=Fascicles(rng), shortest=shortest))
    count = int(neurites.owners.max(initial=-1)) + 1
    thick = np.bincount(neurites.owners, neurites.radii, count) / np.maximum(np.bincount(neurites.owners, minlength=count), 1)
    myelinated = thick > UNMYELINATED
    glia = ~myelinated & (rng.random(count) < GLIA)
    share = SHEATH * rng.uniform(0.75, 1.25, count)
    sheath = np.where(myelinated, share, 0)[neurites.owners] * neurites.radii
    nodes, radii = _nodes(neurites, myelinated, rng)
    return Axons(neurites, np.maximum(sheath, MEMBRANE), myelinated, glia, nodes, radii)


def _nodes(neurites: Neurites, myelinated: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Balls in the middle of nodes of Ranvier, and half the nodes' lengths (nm)."""
    chosen = rng.random(len(neurites.owners)) < WHITE_MATTER.step / INTERNODE
    nodes = np.flatnonzero(chosen & myelinated[neurites.owners])
    return nodes, np.maximum(rng.uniform(*NODE, len(nodes)), neurites.radii[nodes])
