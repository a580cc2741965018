"""Where one section lies on another: cross-correlation of band-passed images, coarse as a whole, then fine in windows.

A pair is searched in shifts of up to 0.3 of the section and, unless the model is a shift, angles of up to 7 degrees.
Windows decide by their correlation and by how near they are to what the others say: cracks and dirt are outvoted. Structures that
run obliquely move from section to section by themselves; :mod:`~lsd_experiments.alignment.chain` tells that apart.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.alignment.maps import IDENTITY, Matrix, apply, compose, inverse, rotation, translation
from lsd_experiments.alignment.windows import Flow, Image, compare, correlate, grid, recentred, together

Model = Literal["shift", "rigid", "affine"]
MODELS = ("shift", "rigid", "affine")
COARSE, FINE = 256, 1024  # pixels that sections have at most along an axis when they are compared
FARTHEST, NEAR = 0.3, 0.1  # shares of a section: the best shift within either is looked at closely
ANGLES = np.arange(-7.0, 7.1, 1.0)  # of one section to the next: each may be turned by 3
WINDOW, STEPS = 48, 12  # pixels of a window, at most; how often the fine fit is repeated, at most
CONVERGED = 0.1  # pixels that a corner moves by one more fit
ROUNDS, EQUAL = 15, 0.3  # of a fit; pixels below which a distance is as good as none
AGREED = 3.0  # pixels of the coarse images that windows which say the same are apart
PADDED = 17  # pixels along each axis that are equal to the last bit where a section is not, at least


@dataclass(frozen=True)
class Registered:
    """``matrix``: from the pixels of the moving section to those of the fixed one; ``score``: correlation of windows, 0 to 1."""

    matrix: Matrix
    score: float


@dataclass(frozen=True)
class Prepared:
    """A section as it is compared: band-passed images, and how many of its pixels one of theirs is."""

    coarse: Image
    fine: Image
    coarse_step: int
    fine_step: int


def prepare(section: NDArray[np.generic], valid: NDArray[np.bool_] | None = None) -> Prepared:
    """Band-pass ``section`` [y, x]; where ``valid`` is not, nothing is compared, nor where the section does not reach.

    Its edge is brighter and darker than all tissue, and of a small field most windows would see little else.
    """
    image = np.asarray(section)
    usable = ~padding(image) if valid is None else valid & ~padding(image)
    steps = [max(1, -(-max(image.shape) // size)) for size in (COARSE, FINE)]
    coarse, fine = (_band_passed(image, usable, step, sigma) for step, sigma in zip(steps, (2.0, 0.7), strict=True))
    return Prepared(coarse, fine, *steps)


def padding(image: NDArray[np.generic]) -> NDArray[np.bool_]:
    """[y, x] where there is no section: one grey from the border on, :data:`PADDED` pixels wide, at the border half of that."""
    from scipy.ndimage import label, maximum_filter, minimum_filter

    def even(grey: NDArray[np.generic]) -> NDArray[np.bool_]:
        there: NDArray[np.bool_] = maximum_filter(grey, PADDED, mode="nearest") == minimum_filter(grey, PADDED, mode="nearest")
        return there

    edges = (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])
    if min(image.shape) <= PADDED or not any(even(image[edge]).any() for edge in edges):
        return np.zeros(image.shape, np.bool_)
    parts, _ = label(maximum_filter(even(image), PADDED, mode="nearest"))
    at_edges = np.unique(np.concatenate([parts[edge] for edge in edges]))
    found: NDArray[np.bool_] = np.isin(parts, at_edges[at_edges > 0])
    return found


def register(fixed: Prepared, moving: Prepared, model: Model = "rigid", gap: int = 1) -> Registered:
    """How ``moving`` lies on ``fixed``, ``gap`` sections before."""
    begins = grid(fixed.fine.shape, WINDOW)
    matrix = rescaled(_coarse(fixed.coarse, moving.coarse, model), moving.coarse_step, moving.fine_step)
    corners, score = np.outer(fixed.fine.shape, (0.0, 1.0)), 0.0
    for _ in range(STEPS):
        flow = measure(fixed, moving, matrix, begins, gap=gap)
        good = flow.weights > 0
        if not good.any():
            break
        # What is at ``places`` of the moved image belongs at places + found.
        step = fit(flow.places[good], flow.places[good] + flow.found[good], flow.weights[good], model)
        matrix = compose(step, matrix)
        score = float(flow.weights[good].mean())
        if np.abs(apply(step, corners) - corners).max() < CONVERGED:
            break
    return Registered(rescaled(matrix, moving.fine_step, 1), score)


def measure(fixed: Prepared, moving: Prepared, matrix: Matrix, begins: NDArray[np.int64], turned: Matrix = IDENTITY,
            gap: int = 1, window: int = WINDOW, expected: NDArray[np.float64] | None = None) -> Flow:
    """How windows of ``moving``, brought over by ``matrix``, lie beside those of ``fixed``, both of fine pixels.

    :param turned: both are brought over by this, too, before they are compared
    :param gap: sections from one to the other: the more, the farther a window is searched
    :param window: pixels of those that begin at ``begins``
    :param expected: [n, 2] what will be found, about: windows are searched there (default: nothing)
    """
    shape = fixed.fine.shape
    a = fixed.fine if np.array_equal(turned, IDENTITY) else moved(fixed.fine, turned, shape)
    b = moved(moving.fine, compose(turned, matrix), shape)
    if expected is not None:
        return compare(a, b, begins, window, expected=expected)
    return recentred(a, b, compare(a, b, begins, window, 2 if gap > 1 else 4), begins, window)


def shared_shift(fixed: Prepared, moving: Prepared, matrix: Matrix, turned: Matrix, window: int, expected: NDArray[np.float64]
                 ) -> NDArray[np.float64]:
    """[2] how all windows of ``moving`` lie beside those of ``fixed``, but for what is ``expected`` of each [n, 2].

    Where most of them, each for itself, would see nothing, all of them together do. Arguments as of :func:`measure`.
    """
    shape = fixed.fine.shape
    a, b = moved(fixed.fine, turned, shape), moved(moving.fine, compose(turned, matrix), shape)
    return together(a, b, grid(shape, window), window, expected, 3)


def fit(sources: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64], model: Model) -> Matrix:
    """The matrix from ``sources`` [n, 2] to ``targets`` [n, 2] on which most of them agree."""
    if len(weights) < {"shift": 1, "rigid": 3, "affine": 6}[model]:
        model = "shift"
    matrix = translation(np.median(targets - sources, axis=0))
    for _ in range(ROUNDS):  # least distances, not squares: oblique structures do not outvote those that stay
        residual = np.hypot(*(apply(matrix, sources.T) - targets.T))
        matrix = _least_squares(sources, targets, weights / np.hypot(residual, EQUAL), model)
    return matrix


def _least_squares(
    sources: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64], model: Model
) -> Matrix:
    middle, other = (np.average(points, axis=0, weights=weights) for points in (sources, targets))
    if model == "shift":
        return translation(other - middle)
    left, right = sources - middle, targets - other
    if model == "rigid":
        angle = np.rad2deg(np.arctan2((weights * (left[:, 0] * right[:, 1] - left[:, 1] * right[:, 0])).sum(),
                                      (weights * (left * right).sum(1)).sum()))
        return rotation(float(angle), middle, other - middle)
    root = np.sqrt(weights)[:, None]
    linear = np.linalg.lstsq(root * left, root * right, rcond=None)[0].T
    return np.concatenate([linear, (other - linear @ middle)[:, None]], axis=1)


def _coarse(fixed: Image, moving: Image, model: Model) -> Matrix:
    """The shift and the angle of the whole images by which windows of them fit best."""
    centre = [(n - 1) / 2 for n in moving.shape]
    begins = grid(fixed.shape, WINDOW)
    best, found = -1.0, IDENTITY
    for angle in [0.0] if model == "shift" else ANGLES:
        turned = moved(moving, rotation(angle, centre), fixed.shape)
        for share in (NEAR, FARTHEST):
            shift, _ = correlate(fixed, turned, [min(int(share * n) + 1, n - 1) for n in fixed.shape])
            matrix = rotation(angle, centre, shift)
            flow = compare(fixed, moved(moving, matrix, fixed.shape), begins, WINDOW)
            if (agreeing := _agreeing(flow)) > best:
                best, found = agreeing, matrix
    return found


def _agreeing(flow: Flow) -> float:
    """How much windows correlate, those that say the same."""
    good = flow.weights > 0
    if not good.any():
        return 0.0
    apart = np.hypot(*(flow.found[good] - np.median(flow.found[good], axis=0)).T)
    return float((flow.weights[good] / (1 + (apart / AGREED) ** 2)).sum())


def moved(image: Image, matrix: Matrix, shape: tuple[int, ...]) -> Image:
    """``image`` with its places mapped by ``matrix``."""
    from scipy.ndimage import affine_transform

    back = inverse(matrix)
    result: Image = affine_transform(image, back[:, :2], back[:, 2], output_shape=shape, order=1, output=np.float32)
    return result


def _band_passed(image: Image, valid: NDArray[np.bool_], step: int, least: float) -> Image:
    """``image`` of every ``step`` pixels (means), without its fine noise and its slow changes; 0 where it is not valid.

    ``least``: sigma of what is noise, at least, in pixels of the result
    """
    from scipy.ndimage import gaussian_filter

    everywhere = bool(valid.all())
    weights = None if everywhere else _binned(valid, step)
    mean, usable = _binned(image if weights is None else np.where(valid, image, 0), step), np.ones((), np.bool_)
    if weights is not None:
        mean = np.divide(mean, weights, out=np.zeros_like(mean), where=weights > 0).astype(np.float32)
        usable = weights > 0.5

    def smooth(sigma: float) -> Image:
        if weights is None:
            whole: Image = gaussian_filter(mean, sigma)
            return whole
        share = gaussian_filter(usable.astype(np.float32), sigma)
        smoothed: Image = np.divide(gaussian_filter(mean * usable, sigma), share, out=np.zeros_like(mean), where=share > 1e-3)
        return smoothed

    fine = max(least, 2.0 / step)
    passed = np.where(usable, smooth(fine) - smooth(8 * fine), 0)
    spread = float(passed[np.broadcast_to(usable, passed.shape)].std()) if usable.any() else 0.0
    if not spread:
        return np.zeros_like(mean)
    limited: Image = np.clip(passed / spread, -3, 3).astype(np.float32)
    return limited


def _binned(image: NDArray[np.generic], step: int) -> Image:
    """Means of ``step`` x ``step`` pixels."""
    height, width = (n // step * step for n in image.shape)
    rows = np.zeros((height // step, width), np.float32)
    for first in range(step):  # sums of strided views are many times as fast as those over short axes
        rows += image[first:height:step, :width]
    total = np.zeros((height // step, width // step), np.float32)
    for first in range(step):
        total += rows[:, first::step]
    means: Image = (total / (step * step)).astype(np.float32)
    return means


def rescaled(matrix: Matrix, step: int, new: int) -> Matrix:
    """``matrix`` of images of every ``step`` pixels, for those of every ``new``. Pixel k of one is at k step + (step - 1) / 2."""
    def to_full(of: int) -> Matrix:
        return np.array([[of, 0, (of - 1) / 2], [0, of, (of - 1) / 2]], np.float64)

    change = compose(inverse(to_full(new)), to_full(step))
    return compose(change, compose(matrix, inverse(change)))
