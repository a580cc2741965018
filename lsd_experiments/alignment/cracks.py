"""Cracks and folds of a section: long thin lines of a grey that tissue does not have.

A crack is brighter than tissue, where resin alone is left, and tissue on its two sides lies apart; a fold is darker, where tissue
lies twice. Both are found by their grey, beside the extremes of most sections, and by their length. Whether tissue really lies
apart is seen beside the neighbouring section (:func:`opened`): only that is closed.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.alignment.maps import Crack
from lsd_experiments.alignment.windows import Flow

LONGEST_WIDTH = 48  # pixels: wider ones are holes, or another section
SPAN = 0.3  # of the section's length or width that a line spans, at least
THICKNESS = 0.2  # of its span that a line is wide, at most
FARTHER = 1.05, 1.1  # times the extreme of most sections, bright and dark: tissue has dark structures that are long
EDGE = 4  # pixels beyond what is that bright or dark, in which a line may still end
ALIKE = 15  # pixels along a line over which its edges are smoothed
REACHES = (np.inf, 400.0, 200.0, 100.0, 50.0)


@dataclass(frozen=True)
class Line:
    """A line that was found: as a crack that could be closed, where it is, and whether it is bright."""

    crack: Crack
    mask: NDArray[np.bool_]
    is_bright: bool


def extremes(section: NDArray[np.generic]) -> tuple[float, float]:
    """How far a thousandth of the pixels of ``section`` [y, x] is from the middle, above and below, in spreads of its values."""
    image, middle, above, below = _smoothed(section)
    darkest, brightest = np.percentile(image, [0.1, 99.9])
    return float((brightest - middle) / above), float((middle - darkest) / below)


def find_lines(section: NDArray[np.generic], usual: tuple[float, float]) -> list[Line]:
    """The cracks and folds of ``section`` [y, x]; ``usual``: the :func:`extremes` of most sections."""
    from scipy import ndimage

    image, middle, above, below = _smoothed(section)
    bright, dark = image > middle + FARTHER[0] * usual[0] * above, image < middle - FARTHER[1] * usual[1] * below
    found = []
    for is_bright, far in ((True, bright), (False, dark)):
        parts, _ = ndimage.label(ndimage.binary_closing(np.pad(far, 4), iterations=3)[4:-4, 4:-4], np.ones((3, 3)))
        for number, place in enumerate(ndimage.find_objects(parts), start=1):
            core = _line(parts[place] == number, place, image.shape)
            if core is not None:
                whole = _to_its_edges(core, image if is_bright else -image)
                mask = (parts == number) | _mask(whole, image.shape)
                found.append(Line(_ending(whole, image.shape), mask, is_bright))
    return found


def _to_its_edges(crack: Crack, image: NDArray[np.float32]) -> Crack:
    """``crack`` up to where ``image``, bright in it, is steepest: its edges are blurred, and tissue beside it may be bright."""
    from scipy import ndimage

    columns = image if crack.axis == 1 else image.T  # [across, along]
    rises = np.diff(columns, axis=0, prepend=columns[:1])  # from the row before
    along = crack.begin + np.arange(len(crack.centres))
    edges = []
    for side in (-1, 1):
        core = np.rint(np.asarray(crack.centres) + side * np.asarray(crack.widths) / 2 + 0.5).astype(np.int64)
        rows = core + side * np.arange(-2, EDGE + 1)[:, None]
        steep = -side * np.where((rows > 0) & (rows < len(columns)), rises[np.clip(rows, 0, len(columns) - 1), along], 0)
        edge = np.take_along_axis(rows, steep.argmax(0)[None], 0)[0] - 0.5
        edges.append(ndimage.uniform_filter1d(ndimage.median_filter(edge, ALIKE, mode="nearest"), 5, mode="nearest"))
    first, last = edges
    centres, widths = (first + last) / 2, np.maximum(last - first, 1.0)
    return dataclasses.replace(crack, centres=tuple(np.round(centres, 3).tolist()), widths=tuple(np.round(widths, 3).tolist()))


def _mask(crack: Crack, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """[y, x] the pixels of a section that lie in it."""
    mask = np.zeros(shape, np.bool_)
    columns = mask if crack.axis == 1 else mask.T
    across = np.arange(len(columns))[:, None] - np.asarray(crack.centres)
    columns[:, crack.begin:crack.begin + len(crack.centres)] = np.abs(across) <= np.asarray(crack.widths) / 2
    return mask


def _smoothed(section: NDArray[np.generic]) -> tuple[NDArray[np.float32], float, float, float]:
    """Without its noise, the middle of its grey values, and their spread above and below."""
    from scipy import ndimage

    image = ndimage.gaussian_filter(np.asarray(section, np.float32), 1.0)
    low, middle, high = np.percentile(image, [16, 50, 84])
    return image, float(middle), max(float(high - middle), 1.0), max(float(middle - low), 1.0)


def opened(line: Line, flow: Flow) -> Crack | None:
    """The crack, with the reach that fits best how the section lies beside its neighbour; None if its sides do not lie apart.

    :param flow: what must be added to places of this section to be at those of the neighbour, in its pixels
    """
    good = flow.weights > 0
    if good.sum() < 4:
        return None
    across = 1 - line.crack.axis
    wanted = flow.found[good, across]
    best, found = 0.5, None  # half of what the gap says, at least
    least = np.inf
    for reach in REACHES:
        crack = dataclasses.replace(line.crack, reach=reach)
        points = flow.places[good].T[:, :, None]
        moved = (crack.close(points)[0] - points)[across, :, 0]
        if moved.std() < 0.25:
            continue
        slope, residual = _fit(moved, wanted, flow.weights[good])
        if residual < least:
            least = residual
            found = crack if slope > best else None
    return found


def _fit(moved: NDArray[np.float64], wanted: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """How much of ``moved`` is in ``wanted``, but for a constant, and how far they are then apart; robust."""
    kept, slope, constant = weights.copy(), 0.0, 0.0
    residual = np.zeros(len(moved))
    for _ in range(10):
        design = np.stack([moved, np.ones_like(moved)], 1) * np.sqrt(kept)[:, None]
        slope, constant = np.linalg.lstsq(design, wanted * np.sqrt(kept), rcond=None)[0]
        residual = np.abs(wanted - slope * moved - constant)
        kept = weights / (1 + (residual / max(1.0, 1.5 * float(np.median(residual)))) ** 2)
    return float(slope), float(np.median(residual))


def _line(part: NDArray[np.bool_], place: tuple[slice, ...], shape: tuple[int, ...]) -> Crack | None:
    """``part``, which lies at ``place`` of a section of ``shape``, as a crack; None if it is no line."""
    axis = int(part.shape[1] * shape[0] >= part.shape[0] * shape[1])
    columns = part if axis == 1 else part.T  # [across, along]
    span = columns.shape[1]
    if span < max(16, SPAN * shape[axis]):
        return None
    widths = columns.sum(0).astype(np.float64)
    if np.median(widths) > min(LONGEST_WIDTH, THICKNESS * span) or (widths > 0).mean() < 0.9:
        return None
    rows = np.arange(len(columns))[:, None]
    along = np.arange(span)
    there = widths > 0
    centres = np.interp(along, along[there], ((rows * columns).sum(0)[there] / widths[there]))
    widths = np.interp(along, along[there], widths[there])
    centres += place[1 - axis].start
    return Crack(axis, int(place[axis].start), tuple(centres.tolist()), tuple(widths.tolist()))


def _ending(crack: Crack, shape: tuple[int, ...]) -> Crack:
    """``crack``, whose ends inside of a section of ``shape`` close bit by bit."""
    widths, begin, span = np.array(crack.widths), crack.begin, len(crack.widths)
    along, ramp = np.arange(span), int(4 * np.median(widths)) + 1
    if begin > 2:
        widths *= np.clip((along + 1) / ramp, 0, 1)
    if begin + span < shape[crack.axis] - 2:
        widths *= np.clip((span - along) / ramp, 0, 1)
    return dataclasses.replace(crack, widths=tuple(np.round(widths, 3).tolist()))
