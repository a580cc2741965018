"""What x-ray holographic nano-tomography would show of white matter stained with osmium.

Myelin is dark, the axons' insides are pale, what lies between is grey. The volume is seen in voxels of :data:`BINNING` times
the size: blurred, with noise that is correlated, fringes at edges, rings around the axis of rotation, and a brightness and
contrast that drift; then it is up-sampled. Grey values are in [0, 1] until the end, lengths in nm. All chosen by eye.
"""

import numpy as np

from lsd_experiments.families.xpress.synthetic.white_matter import Axons
from lsd_experiments.synthetic.noise import smooth_noise
from lsd_experiments.synthetic.raw import mitochondria, smooth_step

BINNING = 3
AXOPLASM, BETWEEN, GLIAL, MYELIN, MEMBRANE, MITOCHONDRION = 0.66, 0.57, 0.60, 0.20, 0.30, 0.33
BLUR = 75.0  # standard deviation
NOISE = 0.075


def render(axons: Axons, ball: np.ndarray, depth: np.ndarray, warp: np.ndarray, voxel_size: float,
           rng: np.random.Generator) -> np.ndarray:
    """Draw the volume.

    :param ball: [z, y, x] int32, the ball at each voxel
    :param depth: [z, y, x] float32, distance below the outer surface of the axon at each voxel (nm), negative outside
    :param warp: [3, z, y, x] float32, where voxels lie in the axons' space, in nm from their own place
    :param voxel_size: of an edge; the shape is divisible by :data:`BINNING`
    :returns: [z, y, x] float32, 0 to 1 for the most part
    """
    from lsd_experiments.synthetic.kernels import stamp_balls

    shape, neurites, size = ball.shape, axons.neurites, np.full(3, voxel_size)
    owner = neurites.owners[ball]

    def noise(scale: float) -> np.ndarray:
        return smooth_noise(shape, (scale / voxel_size,) * 3, rng)

    def stamp(points: np.ndarray, radii: np.ndarray, owners: np.ndarray) -> np.ndarray:
        field = np.full(shape, 1e3, np.float32)
        stamp_balls(points, radii, owners, warp, size, owner, field)
        return field

    sheath = np.take(axons.sheath.astype(np.float32), ball)
    within = smooth_step((depth - sheath) / 6)
    values = BETWEEN + 0.06 * noise(250) + 0.03 * noise(90)
    values += within * (_axoplasm(axons, rng)[owner] + 0.03 * noise(120) - values)
    inner = np.maximum(neurites.radii - axons.sheath, 0)
    inside = stamp(*mitochondria(type(neurites)(neurites.points, inner, neurites.owners, neurites.stretches), rng,
                                 thinnest=70, share=0.85, largest=280))
    values += within * smooth_step(-inside / 8) * (MITOCHONDRION + 0.05 * noise(100) - values)
    bare = smooth_step(-(stamp(neurites.points[axons.nodes], axons.node_radii, neurites.owners[axons.nodes]) + 60) / 25)
    dark = np.where(axons.myelinated, MYELIN, MEMBRANE).astype(np.float32)[owner] + 0.03 * noise(400)
    wall = smooth_step(depth / 6) * (1 - within)
    values += wall * (1 - bare) * (dark - values)
    return acquire(values, voxel_size, rng)


def _axoplasm(axons: Axons, rng: np.random.Generator) -> np.ndarray:
    """[owners] float32, each axon's own grey."""
    grey = np.where(axons.glia, GLIAL, AXOPLASM) + 0.055 * rng.standard_normal(len(axons.glia))
    return np.asarray(grey, np.float32)


def acquire(values: np.ndarray, voxel_size: float, rng: np.random.Generator) -> np.ndarray:
    """``values``, [z, y, x] at ``voxel_size``, as acquired in voxels :data:`BINNING` times as large and up-sampled again."""
    from scipy.ndimage import gaussian_filter, zoom

    z, y, x = (n // BINNING for n in values.shape)
    seen = gaussian_filter(values, BLUR / voxel_size, truncate=3)
    seen = seen.reshape(z, BINNING, y, BINNING, x, BINNING).mean((1, 3, 5), dtype=np.float32)
    coarse = BINNING * voxel_size
    seen += 0.35 * (seen - gaussian_filter(seen, 300 / coarse, truncate=3))  # fringes: light and dark edges
    seen += 0.20 * (seen - 0.5) * smooth_noise(seen.shape, (4000 / coarse,) * 3, rng)
    seen += 0.045 * smooth_noise(seen.shape, (3000 / coarse,) * 3, rng)
    seen += _rings(seen.shape, rng)
    grain = gaussian_filter(rng.standard_normal(seen.shape, dtype=np.float32), 0.6, truncate=3)
    seen += NOISE * grain / grain.std()
    return np.asarray(zoom(seen, BINNING, order=3, mode="nearest", grid_mode=True))


def _rings(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """[z, y, x] float32: circles around an axis along z that lies beside the volume, stronger in some sections."""
    centre = (shape[1] * rng.uniform(-0.5, 0.2), shape[2] * rng.uniform(0.2, 0.8))
    radius = np.hypot(*(np.arange(n)[:, None] - c if axis == 0 else np.arange(n)[None] - c
                        for axis, (n, c) in enumerate(zip(shape[1:], centre, strict=True))))
    profile = 0.02 * rng.standard_normal(int(radius.max()) + 2, dtype=np.float32)
    strength = 1 + 0.5 * smooth_noise(shape[:1], (15,), rng)
    return np.asarray(strength[:, None, None] * profile[radius.astype(int)][None])
