"""A picture of one xz section of a stack, before and after its alignment."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.geometry import Box
from lsd_experiments.writing import put_bytes

GAP = 6  # pixels between the two


def draw(before: Volume, after: Volume, path: Path) -> None:
    """Write ``path``, a PNG: the middle xz section of the stack above the same place of the aligned one."""
    import io

    from PIL import Image

    middle = before.offset[1] + (before.shape[1] // 2 + 0.5) * before.voxel_size[1]
    panels = [_section(volume, int((middle - volume.offset[1]) // volume.voxel_size[1])) for volume in (before, after)]
    width = max(panel.shape[1] for panel in panels)
    white = np.full((GAP, width), 255, np.uint8)
    wide = [np.pad(panel, ((0, 0), (0, width - panel.shape[1]))) for panel in panels]
    stream = io.BytesIO()
    Image.fromarray(np.concatenate([wide[0], white, wide[1]])).save(stream, "PNG")
    put_bytes(path, stream.getvalue())


def _section(volume: Volume, y: int) -> NDArray[np.uint8]:
    """[rows, x] at ``y``; each section as thick as it is in nm."""
    box = Box((0, y, 0), (volume.shape[0], y + 1, volume.shape[2]))
    values = volume.read(box)[:, 0].astype(np.float32)
    low, high = float(values.min(initial=0)), float(values.max(initial=1))
    grey = ((values - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
    return np.repeat(grey, max(1, round(volume.voxel_size[0] / volume.voxel_size[2])), axis=0)
