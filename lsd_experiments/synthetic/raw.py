"""What the electron microscope would show of the neurites.

Grey values are in [0, 1] until the end, lengths in nm. All of them are chosen by eye.
"""

import numpy as np

from lsd_experiments.synthetic.levels import PLAIN, Look
from lsd_experiments.synthetic.neurites import Neurites
from lsd_experiments.synthetic.noise import smooth_noise

MEMBRANE = 13.0  # half the width of the dark line between two neurites
SYNAPSE = 23.0  # the same where the membranes are thickened
CYTOPLASM, DARK_CYTOPLASM = 0.66, 0.52
VESICLE = 20.0  # radius


def render(label: np.ndarray, gap: np.ndarray, warp: np.ndarray, neurites: Neurites, voxel_size: tuple[float, ...],
           rng: np.random.Generator, thickened: np.ndarray | None = None, look: Look = PLAIN) -> np.ndarray:
    """Draw the volume.

    :param label: [z, y, x] int32, the neurite at each voxel
    :param gap: [z, y, x] float32, how much farther the next neurite is (nm)
    :param warp: [3, z, y, x] float32, where voxels lie in the neurites' space, in nm from their own place
    :param thickened: [z, y, x] float32, from 0 to 1, where membranes are as at a synapse (default: in places by chance)
    :param look: what is shown worse
    :returns: [z, y, x] uint8
    """
    shape = label.shape

    def noise(scale: float) -> np.ndarray:
        return smooth_noise(shape, tuple(scale / v for v in voxel_size), rng)

    depth = gap / 2  # distance to the membrane
    values = _cytoplasm(label, neurites, rng)
    values += 0.045 * noise(20) + 0.03 * noise(70)
    values -= 0.22 * _reticulum(noise(110), noise(300)) * smooth_step((depth - 45) / 10)
    organelles = _organelles(label, warp, neurites, np.asarray(voxel_size), rng)
    _draw_mitochondria(values, organelles[0], noise(45))
    values -= 0.22 * np.exp(-((organelles[1] / 9) ** 2))
    thick = smooth_step((noise(260) - 1.6) / 0.1) if thickened is None else thickened
    half = max(MEMBRANE, 1.1 * voxel_size[-1]) + (SYNAPSE - MEMBRANE) * thick
    membrane = smooth_step((half - depth) / 3.5) * (0.88 + 0.12 * np.tanh(noise(150)))
    membrane *= look.membranes(noise)
    values += membrane * (0.16 + 0.03 * noise(30) - values)
    raw = _expose(values, rng, look.noise)
    look.lose_sections(raw, rng)
    return raw


def smooth_step(x: np.ndarray) -> np.ndarray:
    """0 far below 0, 1 far above it."""
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))


def _cytoplasm(label: np.ndarray, neurites: Neurites, rng: np.random.Generator) -> np.ndarray:
    """Each neurite's own grey; one in twelve is dark."""
    count = int(neurites.owners.max()) + 1
    grey = np.where(rng.random(count) < 1 / 12, DARK_CYTOPLASM, CYTOPLASM) + 0.035 * rng.standard_normal(count)
    return np.asarray(np.take(grey.astype(np.float32), label))


def _reticulum(noise: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Thin curved sheets, in some places only."""
    return np.asarray(np.exp(-((noise / 0.07) ** 2)) * smooth_step((where - 0.3) / 0.1))


def _organelles(label: np.ndarray, warp: np.ndarray, neurites: Neurites, voxel_size: np.ndarray,
                rng: np.random.Generator) -> np.ndarray:
    """[2, z, y, x] float32, distance (nm, negative inside) to the nearest mitochondrion's and vesicle's surface."""
    from lsd_experiments.synthetic.kernels import stamp_balls

    fields = np.full((2, *label.shape), 1e3, np.float32)
    balls = (mitochondria(neurites, rng), _vesicles(neurites, rng))
    for field, (points, radii, owners) in zip(fields, balls, strict=True):
        stamp_balls(points, radii, owners, warp, voxel_size, label, field)
    return fields


def mitochondria(neurites: Neurites, rng: np.random.Generator, thinnest: float = 120, share: float = 0.55,
                 largest: float = 160) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Balls in rows along the neurites thicker than ``thinnest`` (nm), about a quarter of their length.

    :param share: their radius as a share of the neurite's, where that is no more than ``largest`` (nm)
    :returns: points [n, 3], radii [n] and owners [n], as those of neurites
    """
    chosen, radii = [], []
    for begin, end in neurites.stretches:
        at = int(begin) + int(rng.integers(0, 40))
        while at < end - 4:
            row = np.arange(at, min(at + int(rng.integers(5, 18)), end))
            thin = float(neurites.radii[row].min())
            if thin > thinnest:
                bulge = np.sqrt(1 - np.linspace(-0.9, 0.9, len(row)) ** 2)  # rounded ends
                chosen.append(row)
                radii.append(min(share * thin, largest) * bulge)
            at = int(row[-1]) + int(rng.integers(15, 60))
    rows = np.concatenate([*chosen, np.empty(0, int)])
    return neurites.points[rows], np.concatenate([*radii, np.empty(0)]), neurites.owners[rows]


def _vesicles(neurites: Neurites, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clusters of small balls in one ball of a neurite in twenty."""
    hosts = np.flatnonzero((rng.random(len(neurites.radii)) < 1 / 20) & (neurites.radii > 100))
    rows = np.repeat(hosts, rng.integers(10, 50, len(hosts)))
    offsets = rng.standard_normal((len(rows), 3)) * 0.35 * neurites.radii[rows, None]
    return neurites.points[rows] + offsets, np.full(len(rows), VESICLE), neurites.owners[rows]


def _draw_mitochondria(values: np.ndarray, distance: np.ndarray, noise: np.ndarray) -> None:
    inside = smooth_step(-distance / 3)
    cristae = 0.42 + 0.09 * np.sin(4 * noise)
    values += inside * (cristae - values)
    values -= 0.2 * np.exp(-((distance / 8) ** 2))


def _expose(values: np.ndarray, rng: np.random.Generator, noise: float) -> np.ndarray:
    """Blur, section-wise contrast and brightness, noise; to uint8."""
    from scipy.ndimage import gaussian_filter

    blurred = gaussian_filter(values, (0.3, 0.7, 0.7), truncate=3)
    sections = (len(values), 1, 1)
    blurred -= 0.55
    blurred *= 1 + 0.06 * rng.standard_normal(sections, dtype=np.float32)
    blurred += 0.55 + 0.02 * rng.standard_normal(sections, dtype=np.float32)
    blurred += noise * rng.standard_normal(values.shape, dtype=np.float32)
    return np.asarray(np.clip(blurred * 255, 0, 255), np.uint8)
