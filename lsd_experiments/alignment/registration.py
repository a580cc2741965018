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

Image = NDArray[np.float32]  # [y, x]
Model = Literal["shift", "rigid", "affine"]
MODELS = ("shift", "rigid", "affine")
COARSE, FINE = 256, 1024  # pixels that sections have at most along an axis when they are compared
FARTHEST, NEAR = 0.3, 0.1  # shares of a section: the best shift within either is looked at closely
ANGLES = np.arange(-7.0, 7.1, 1.0)  # of one section to the next: each may be turned by 3
WINDOW, STEPS = 48, 12  # pixels of a window, at most; how often the fine fit is repeated, at most
CONVERGED = 0.1  # pixels that a corner moves by one more fit
AGREED = 3.0  # pixels of the coarse images that windows which say the same are apart
LEAST = 0.15  # correlation of a window that has a say


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
    """Band-pass ``section`` [y, x]; where ``valid`` is not, nothing is compared."""
    image = np.asarray(section, np.float32)
    usable = np.ones(image.shape, np.bool_) if valid is None else valid
    steps = [max(1, -(-max(image.shape) // size)) for size in (COARSE, FINE)]
    coarse, fine = (_band_passed(image, usable, step, sigma) for step, sigma in zip(steps, (2.0, 0.7), strict=True))
    return Prepared(coarse, fine, *steps)


def register(fixed: Prepared, moving: Prepared, model: Model = "rigid", gap: int = 1) -> Registered:
    """How ``moving`` lies on ``fixed``, ``gap`` sections before."""
    begins = grid(fixed.fine.shape)
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


@dataclass(frozen=True)
class Flow:
    """Of windows: [n, 2] their middles, [n, 2] what must be added to a place of the moved image, [n] correlations; 0: no say."""

    places: NDArray[np.float64]
    found: NDArray[np.float64]
    weights: NDArray[np.float64]


def grid(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """[n, 2] where the windows of images of ``shape`` begin."""
    begins = [np.unique(np.linspace(0, n - s, max(1, round(1.5 * n / s))).astype(np.int64))
              for n, s in zip(shape, _window(shape), strict=True)]
    return np.stack(np.meshgrid(*begins, indexing="ij"), -1).reshape(-1, 2)


def measure(fixed: Prepared, moving: Prepared, matrix: Matrix, begins: NDArray[np.int64], turned: Matrix = IDENTITY,
            gap: int = 1) -> Flow:
    """How windows of ``moving``, brought over by ``matrix``, lie beside those of ``fixed``, both of fine pixels.

    :param turned: both are brought over by this, too, before they are compared
    :param gap: sections from one to the other: the more, the farther a window is searched
    """
    shape = fixed.fine.shape
    a = fixed.fine if np.array_equal(turned, IDENTITY) else moved(fixed.fine, turned, shape)
    b = moved(moving.fine, compose(turned, matrix), shape)
    return _recentred(a, b, _compare(a, b, begins, 2 if gap > 1 else 4), begins)


def _compare(a: Image, b: Image, begins: NDArray[np.int64], part_searched: int = 4) -> Flow:
    size = _window(a.shape)
    found, weights = np.zeros((len(begins), 2)), np.zeros(len(begins))
    for number, begin in enumerate(begins):
        parts = _part(a, begin, size), _part(b, begin, size)
        if min(map(_filled, parts)) < 0.7:
            continue
        found[number], score = correlate(*parts, [s // part_searched for s in size])
        weights[number] = score if score >= LEAST else 0
    return Flow(begins + (np.asarray(size) - 1) / 2, found, weights)


def _recentred(a: Image, b: Image, flow: Flow, begins: NDArray[np.int64]) -> Flow:
    """``flow``, measured again between windows that are moved towards each other by what was found.

    Of windows at one place, less and less is seen of what moved farther and farther: they say that it moved less than it did.
    """
    size, found, weights = _window(a.shape), flow.found.copy(), flow.weights.copy()
    for number in np.flatnonzero((weights > 0) & (np.abs(found).max(1) >= 0.5)):
        whole = np.rint(found[number]).astype(np.int64)
        begin = begins[number] + whole // 2
        parts = _part(a, begin, size), _part(b, begin - whole, size)
        if any(part.shape != tuple(size) for part in parts) or min(map(_filled, parts)) < 0.7:
            continue  # at the edge of the section
        rest, score = correlate(*parts, [max(2, s // 12) for s in size])
        found[number], weights[number] = whole + rest, score if score >= LEAST else 0
    return Flow(flow.places, found, weights)


def _part(image: Image, begin: NDArray[np.int64], size: list[int]) -> Image:
    y, x = begin.tolist()
    return image[max(0, y):y + size[0], max(0, x):x + size[1]]


def _filled(part: Image) -> float:
    return np.count_nonzero(part) / max(1, part.size)


def _window(shape: tuple[int, ...]) -> list[int]:
    return [min(WINDOW, n) for n in shape]


def fit(sources: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64], model: Model) -> Matrix:
    """The matrix from ``sources`` [n, 2] to ``targets`` [n, 2] on which most of them agree."""
    if len(weights) < {"shift": 1, "rigid": 3, "affine": 6}[model]:
        model = "shift"
    middle = np.median(targets - sources, axis=0)
    residual = np.hypot(*(targets - sources - middle).T)
    matrix = IDENTITY
    for _ in range(8):
        scale = max(1.0, 2.5 * float(np.median(residual)))
        matrix = _least_squares(sources, targets, weights / (1 + (residual / scale) ** 2), model)
        residual = np.hypot(*(apply(matrix, sources.T) - targets.T))
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
    begins = grid(fixed.shape)
    best, found = -1.0, IDENTITY
    for angle in [0.0] if model == "shift" else ANGLES:
        turned = moved(moving, rotation(angle, centre), fixed.shape)
        for share in (NEAR, FARTHEST):
            shift, _ = correlate(fixed, turned, [int(share * n) + 1 for n in fixed.shape])
            matrix = rotation(angle, centre, shift)
            flow = _compare(fixed, moved(moving, matrix, fixed.shape), begins)
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


def correlate(fixed: Image, moving: Image, farthest: list[int]) -> tuple[tuple[float, float], float]:
    """What must be added to places of ``moving`` to be at those of ``fixed``, to a fraction of a pixel; the correlation there.

    :param farthest: pixels (y, x)
    """
    from scipy import fft

    window = np.outer(*(np.hanning(n + 2)[1:-1].astype(np.float32) ** 0.5 for n in fixed.shape))
    a, b = fixed * window, moving * window
    energy = float(np.sqrt((a * a).sum() * (b * b).sum()))
    if energy == 0:
        return (0.0, 0.0), 0.0
    shape = [fft.next_fast_len(n + f, real=True) for n, f in zip(fixed.shape, farthest, strict=True)]
    product = fft.irfft2(fft.rfft2(a, shape) * np.conj(fft.rfft2(b, shape)), shape)
    near = np.roll(product, farthest, (0, 1))[:2 * farthest[0] + 1, :2 * farthest[1] + 1]
    y, x = np.unravel_index(int(near.argmax()), near.shape)
    peak = float(near[y, x]) / energy
    return (y + _between(near[:, x], int(y)) - farthest[0], x + _between(near[y], int(x)) - farthest[1]), max(0.0, peak)


def _between(values: NDArray[np.floating], at: int) -> float:
    """How far from ``at`` the top of the parabola through it and its neighbours is."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = (float(v) for v in values[at - 1:at + 2])
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


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

    weights = _binned(valid.astype(np.float32), step)
    mean = np.divide(_binned(np.where(valid, image, 0), step), weights, out=np.zeros_like(weights), where=weights > 0)
    usable = weights > 0.5

    def smooth(sigma: float) -> Image:
        share = gaussian_filter(usable.astype(np.float32), sigma)
        smoothed: Image = np.divide(gaussian_filter(mean * usable, sigma), share, out=np.zeros_like(mean), where=share > 1e-3)
        return smoothed

    fine = max(least, 2.0 / step)
    passed = np.where(usable, smooth(fine) - smooth(8 * fine), 0)
    spread = float(passed[usable].std()) if usable.any() else 0.0
    if not spread:
        return np.zeros_like(mean)
    limited: Image = np.clip(passed / spread, -3, 3).astype(np.float32)
    return limited


def _binned(image: Image, step: int) -> Image:
    height, width = (n // step for n in image.shape)
    means: Image = image[:height * step, :width * step].reshape(height, step, width, step).mean((1, 3), dtype=np.float32)
    return means


def rescaled(matrix: Matrix, step: int, new: int) -> Matrix:
    """``matrix`` of images of every ``step`` pixels, for those of every ``new``. Pixel k of one is at k step + (step - 1) / 2."""
    def to_full(of: int) -> Matrix:
        return np.array([[of, 0, (of - 1) / 2], [0, of, (of - 1) / 2]], np.float64)

    change = compose(inverse(to_full(new)), to_full(step))
    return compose(change, compose(matrix, inverse(change)))
