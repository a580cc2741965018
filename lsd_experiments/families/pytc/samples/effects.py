"""What is done to the values of an image [z, y, x] float32 in 0 to 1, in place, at random."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.compiled import compiled

Floats = NDArray[np.float32]
Random = np.random.Generator

CONTRAST, BRIGHTNESS = 0.3, 0.3  # full widths of the intervals they are drawn from; as published
AFTER_MISSING = 2  # sections after one with a missing part have none


def grayscale(random: Random) -> Floats:
    """[256] what the values of a uint8 image become, by contrast, brightness and gamma."""
    contrast, brightness, gamma = random.random(3)
    values = np.arange(256) / 255 * (1 + (contrast - 0.5) * CONTRAST) + (brightness - 0.5) * BRIGHTNESS
    return np.asarray(np.clip(values, 0, 1) ** (2.0 ** (2 * gamma - 1)), np.float32)


def cut_noise(image: Floats, length_ratio: float, scale: float, random: Random) -> None:
    """Add noise, uniform to ``scale``, in a box of ``length_ratio`` of each side; values stay in 0 to 1."""
    box = _draw_box(image.shape, length_ratio, random)
    noise = random.random(image[box].shape, np.float32)
    noise -= 0.5
    noise *= 2 * scale
    noise += image[box]
    np.clip(noise, 0, 1, out=image[box])


def cut_blur(image: Floats, length_ratio: float, least: float, most: float, in_z: bool, random: Random) -> None:
    """Make voxels ``least`` to ``most`` times larger in a box of ``length_ratio`` of each side, within sections or in z, too."""
    box = _draw_box(image.shape, length_ratio, random)
    ratio = random.uniform(least, most)
    part = image[box]
    ratios = (ratio if in_z else 1, ratio, ratio)
    cells = tuple(max(1, int(size / by)) for size, by in zip(part.shape, ratios, strict=True))
    z, y, x = (np.minimum((np.arange(size) + 0.5) * count / size, count - 1).astype(np.int64)
               for size, count in zip(part.shape, cells, strict=True))
    _take_means(part, z, y, x, np.zeros(cells), np.zeros(cells))


def motion_blur(image: Floats, sections: int, width: int, random: Random) -> None:
    """Blur some sections over ``width`` voxels along y or along x."""
    from scipy.ndimage import uniform_filter1d

    axis = int(random.integers(2))
    for z in set(random.integers(len(image), size=min(sections, len(image))).tolist()):
        image[z] = uniform_filter1d(image[z], width, axis=axis, mode="mirror")


def missing_parts(image: Floats, width: int, probability: float, random: Random) -> None:
    """Blank a band, ``width`` voxels to each side of a line across the section, in some sections, of three in turn in one."""
    z = 0
    while z < len(image):
        if random.random() < probability:
            band = _band(image.shape[1:], width, random)
            image[z][band] = image[z].mean()
            z += AFTER_MISSING
        z += 1


def _band(shape: tuple[int, ...], width: int, random: Random) -> NDArray[np.bool_]:
    """The voxels within ``width`` (along the axes) of a line between opposite sides of a section."""
    along = int(random.integers(2))  # the axis that the line runs along
    length, across = shape[along], shape[1 - along]
    begin, end = random.integers(1, max(2, across - 2), size=2)
    line = np.linspace(begin, end, length)[:, None]
    distance = np.abs(np.arange(across) - line)
    slope = abs(end - begin) / max(1, length - 1)
    band = distance <= width * max(1.0, slope)
    return np.asarray(band.T if along == 1 else band)


def _draw_box(shape: tuple[int, ...], ratio: float, random: Random) -> tuple[slice, ...]:
    sizes = [max(1, int(ratio * size)) for size in shape]
    begins = [int(random.integers(size - length + 1)) for size, length in zip(shape, sizes, strict=True)]
    return tuple(slice(begin, begin + length) for begin, length in zip(begins, sizes, strict=True))


@compiled
def _take_means(part: Any, zs: Any, ys: Any, xs: Any, sums: Any, counts: Any) -> None:
    """Each voxel becomes the mean of its cell; ``zs``, ``ys``, ``xs`` are the cells' places of rows of voxels."""
    depth, height, width = part.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                sums[zs[z], ys[y], xs[x]] += part[z, y, x]
                counts[zs[z], ys[y], xs[x]] += 1
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                part[z, y, x] = sums[zs[z], ys[y], xs[x]] / counts[zs[z], ys[y], xs[x]]
