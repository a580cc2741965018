"""Neuropil that is harder to segment, in three levels: what each adds to the plain one.

Lengths in nm, chosen by eye and by what a small network still segments: not measured in tissue.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.synthetic.neurites import NEUROPIL, Tissue


@dataclass(frozen=True)
class Look:
    """What raw shows worse than the plain volume does.

    :param weak: share of the membranes' contrast that is lost on half of their area
    :param missing: share of the membranes' area that raw does not show at all
    :param noise: standard deviation of the noise of each voxel; grey values are in [0, 1]
    :param lost: sections of which one is missing (black; labels go on); 0: none is
    """

    weak: float = 0.0
    missing: float = 0.0
    noise: float = 0.055
    lost: int = 0

    def membranes(self, noise: Callable[[float], np.ndarray]) -> np.ndarray | float:
        """What is left of the membranes' contrast at each voxel; ``noise``: a smooth field of that scale in nm."""
        if not (self.weak or self.missing):
            return 1.0
        shown = 1 - self.weak * _step(noise(180) / 0.3)
        return np.asarray(shown * _step((NormalDist().inv_cdf(1 - self.missing) - noise(150)) / 0.1))

    def lose_sections(self, raw: np.ndarray, rng: np.random.Generator) -> None:
        """Blacken sections of ``raw``, [z, y, x], none of them at its ends."""
        count = len(raw) // self.lost if self.lost else 0
        if count and len(raw) > 2:
            raw[1 + rng.choice(len(raw) - 2, count, replace=False)] = 0


@dataclass(frozen=True)
class Level:
    """``voxel_size`` (z, y, x) and ``density`` are what make_synthetic.py takes unless it is told others."""

    voxel_size: tuple[float, float, float]
    density: float
    tissue: Tissue
    look: Look


_THIN = replace(NEUROPIL, step=24.0, margin=200.0, turn=0.08, shortest=16, tries=12)
LEVELS = {
    1: Level((20, 9, 9), 14.0, replace(_THIN, radius=(45.0, 260.0), median_radius=80.0), Look(0.4, 0.02, 0.08)),
    2: Level((30, 9, 9), 20.0, replace(_THIN, radius=(32.0, 220.0), median_radius=62.0), Look(0.6, 0.05, 0.11, 60)),
    3: Level((40, 9, 9), 28.0, replace(_THIN, radius=(25.0, 180.0), median_radius=50.0), Look(0.75, 0.1, 0.14, 30)),
}
PLAIN = Look()


def level_of(level: int | None) -> tuple[Tissue, Look]:
    """What neurites and raw are like at ``level``; None: as in the plain volume.

    :raises UserError: if there is no such level
    """
    if level is None:
        return NEUROPIL, PLAIN
    if level not in LEVELS:
        raise UserError(f"level {level}: there are {', '.join(map(str, LEVELS))}. Give one, or leave it out")
    return LEVELS[level].tissue, LEVELS[level].look


def _step(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))
