"""Drawing the panels with matplotlib."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.picture.panels import Panel, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
SUFFIXES = (".png", ".svg", ".pdf")
PANEL = 3.2  # inches wide


def write_picture(path: str | Path, raw: NDArray[np.generic] | None = None, affs: NDArray[np.generic] | None = None,
                  lsds: NDArray[np.generic] | None = None, segmentation: NDArray[np.integer] | None = None,
                  labels: NDArray[np.integer] | None = None, section: int | None = None, title: str = "",
                  voxel_size: Sequence[float] = (1, 1, 1)) -> None:
    """Write one section of the given arrays, all of the same region, to ``path`` (png, svg, pdf).

    :param raw: [z, y, x], uint8, or any other type, which is stretched to its range
    :param affs: [c, z, y, x], uint8 or in [0, 1]; the first three channels are red, green and blue
    :param lsds: [c, z, y, x], uint8 or in [0, 1]; channels 0 to 2, and 3 to 5 if there, are red, green and blue
    :param segmentation: [z, y, x] ids, coloured as the labels that they match
    :param labels: [z, y, x] ids of the ground truth
    :param section: which section along z, from 0 (default: the middle one)
    :param voxel_size: (z, y, x) in nm, for proportions and the scale bar
    :raises UserError: if nothing is given, shapes differ, there is no such section, or ``path`` ends otherwise
    """
    check_suffix(path)
    draw(panels(raw, affs, lsds, segmentation, labels, section), Path(path), title, voxel_size)


def check_suffix(path: str | Path) -> None:
    """:raises UserError: if ``path`` does not end as a picture that can be written."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: pictures are {', '.join(SUFFIXES)}. Name one of these")


def draw(images: Sequence[Panel], path: Path, title: str, voxel_size: Sequence[float], columns: int = COLUMNS,
         panel_width: float = PANEL, mark: tuple[float, float] | None = None) -> None:
    """Write ``images`` beside each other to ``path``, with a scale bar in the first.

    :param voxel_size: (z, y, x) in nm
    :param panel_width: inches
    :param mark: (y, x) in pixels of a place that gets a ring in all of them
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = images[0].image.shape[:2]
    aspect = voxel_size[1] / voxel_size[2]
    size = (panel_width * columns, rows * (panel_width * height * aspect / width + 0.35) + (0.4 if title else 0))
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, panel in zip(grid, images, strict=False):
        axes.imshow(panel.image, aspect=aspect, interpolation="nearest")
        axes.set_title(panel.title, fontsize=9)
        if mark is not None:
            _ring(axes, mark)
    _scale_bar(grid[0], width, voxel_size[2])
    if title:
        figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        figure.savefig(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _ring(axes: "Axes", at: tuple[float, float]) -> None:
    """A ring around (y, x), in pixels, that is seen on light and on dark."""
    for colour, thick in (("black", 3.0), ("white", 1.2)):
        axes.plot(at[1], at[0], "o", markersize=22, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=thick)


def _scale_bar(axes: "Axes", width: int, voxel: float) -> None:
    """A bar of a round length, about a quarter of the image, at its lower left."""
    from matplotlib.offsetbox import AnchoredOffsetbox, AuxTransformBox, TextArea, VPacker
    from matplotlib.patches import Rectangle

    length = round_length(width * voxel / 4)
    bar = AuxTransformBox(axes.transData)
    bar.add_artist(Rectangle((0, 0), length / voxel, 0, ec="black", lw=3))
    text = TextArea(f"{length / 1000:g} µm" if length >= 1000 else f"{length:g} nm", textprops={"size": 8})
    box = VPacker(children=[text, bar], align="center", pad=0, sep=2)
    axes.add_artist(AnchoredOffsetbox("lower left", child=box, pad=0.3, borderpad=0.4))


def round_length(about: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50, ... times a power of ten that is not above ``about``."""
    power = 10.0 ** np.floor(np.log10(about))
    return float(max(step * power for step in (1, 2, 5) if step * power <= about * (1 + 1e-9)))
