"""How the content of small windows of one image lies in another one: cross-correlation, many windows at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]  # [y, x]
LEAST = 0.15  # correlation of a window that has a say
FILLED = 0.7  # share of a window that shows something, at least
BATCH = 2**20  # pixels of windows that are transformed at a time: they stay in a processor's cache, about


@dataclass(frozen=True)
class Flow:
    """Of windows: [n, 2] their middles, [n, 2] what must be added to a place of the moved image, [n] correlations; 0: no say."""

    places: NDArray[np.float64]
    found: NDArray[np.float64]
    weights: NDArray[np.float64]


def window_of(shape: tuple[int, ...], window: int) -> list[int]:
    """How large windows of ``window`` pixels are in an image of ``shape``."""
    return [min(window, n) for n in shape]


def grid(shape: tuple[int, ...], window: int) -> NDArray[np.int64]:
    """[n, 2] where the windows of images of ``shape`` begin."""
    begins = [np.unique(np.linspace(0, n - s, max(1, round(1.5 * n / s))).astype(np.int64))
              for n, s in zip(shape, window_of(shape, window), strict=True)]
    return np.stack(np.meshgrid(*begins, indexing="ij"), -1).reshape(-1, 2)


def compare(a: Image, b: Image, begins: NDArray[np.int64], window: int, part_searched: int = 4,
            expected: NDArray[np.float64] | None = None) -> Flow:
    """How windows of ``b`` lie beside those of ``a``, at most a ``part_searched``-th of them from where they are expected.

    :param expected: [n, 2] what will be found, about (default: nothing)
    """
    size = window_of(a.shape, window)
    whole = np.zeros_like(begins) if expected is None else np.rint(expected).astype(np.int64)
    found, scores = _around(a, b, begins, whole, size, [s // part_searched for s in size])
    return Flow(begins + (np.asarray(size) - 1) / 2, found, np.where(scores >= LEAST, scores, 0))


def recentred(a: Image, b: Image, flow: Flow, begins: NDArray[np.int64], window: int) -> Flow:
    """``flow``, measured again between windows that are moved towards each other by what was found.

    Of windows at one place, less and less is seen of what moved farther and farther: they say that it moved less than it did.
    """
    size, found, weights = window_of(a.shape, window), flow.found.copy(), flow.weights.copy()
    far = np.flatnonzero((weights > 0) & (np.abs(found).max(1) >= 0.5))
    farthest = [min(max(2, s // 12), s - 1) for s in size]
    again, scores = _around(a, b, begins[far], np.rint(found[far]).astype(np.int64), size, farthest)
    seen = scores >= 0  # others: at the edge of the section
    found[far[seen]], weights[far[seen]] = again[seen], np.where(scores >= LEAST, scores, 0)[seen]
    return Flow(flow.places, found, weights)


def together(a: Image, b: Image, begins: NDArray[np.int64], window: int, expected: NDArray[np.float64], part_searched: int
             ) -> NDArray[np.float64]:
    """[2] what must be added to places of ``b``, but for what is ``expected`` [n, 2] of each window, as all of them see it."""
    size, whole = window_of(a.shape, window), np.rint(expected).astype(np.int64)
    farthest, total = [s // part_searched for s in size], np.zeros(())
    own, other = begins + whole // 2, begins + whole // 2 - whole
    usable = _inside(own, size, a) & _inside(other, size, b)
    for part in _batches(int(usable.sum()), size):
        near, energy = _correlations(_cut(a, own[usable][part], size), _cut(b, other[usable][part], size), farthest)
        total = total + np.einsum("nyx,n->yx", near[energy > 0], 1 / energy[energy > 0])
    if not total.ndim:
        return np.zeros(2)
    y, x = np.unravel_index(int(total.argmax()), total.shape)
    return np.array([y, x], np.float64) - farthest


def correlate(fixed: Image, moving: Image, farthest: list[int]) -> tuple[tuple[float, float], float]:
    """What must be added to places of ``moving`` to be at those of ``fixed``, to a fraction of a pixel; the correlation there.

    :param farthest: pixels (y, x)
    """
    [found], [score] = _peaks(fixed[None], moving[None], farthest)
    return (float(found[0]), float(found[1])), float(score)


def _around(a: Image, b: Image, begins: NDArray[np.int64], whole: NDArray[np.int64], size: list[int], farthest: list[int]
            ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[n, 2] and [n], as :func:`correlate` gives, of windows moved towards each other by ``whole``; -1: none is there."""
    own = begins + whole // 2
    found, scores = whole.astype(np.float64), np.full(len(begins), -1.0)
    inside = _inside(own, size, a) & _inside(own - whole, size, b)
    rest, scores[inside] = _correlated(a, b, own[inside], (own - whole)[inside], size, farthest)
    found[inside] += rest
    return found, scores


def _inside(begins: NDArray[np.int64], size: list[int], image: Image) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = np.logical_and.reduce((begins >= 0) & (begins + size <= image.shape), axis=1)
    return inside


def _correlated(a: Image, b: Image, own: NDArray[np.int64], other: NDArray[np.int64], size: list[int], farthest: list[int]
                ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[n, 2] and [n], as :func:`correlate` gives, of windows that begin at ``own`` and ``other``; -1: too little is in them."""
    found, scores = np.zeros((len(own), 2)), np.full(len(own), -1.0)
    for part in _batches(len(own), size):
        windows, others = _cut(a, own[part], size), _cut(b, other[part], size)
        full = np.minimum(_filled(windows), _filled(others)) >= FILLED
        if full.any():
            at = np.arange(len(own))[part][full]
            found[at], scores[at] = _peaks(windows[full], others[full], farthest)
    return found, scores


def _batches(n: int, size: list[int]) -> Iterator[slice]:
    step = max(1, BATCH // (size[0] * size[1]))
    return (slice(begin, begin + step) for begin in range(0, n, step))


def _cut(image: Image, begins: NDArray[np.int64], size: list[int]) -> Image:
    """[n, y, x]"""
    windows: Image = np.lib.stride_tricks.sliding_window_view(image, size)[begins[:, 0], begins[:, 1]]
    return windows


def _filled(windows: Image) -> NDArray[np.float64]:
    share: NDArray[np.float64] = np.count_nonzero(windows, axis=(1, 2)) / max(1, windows[0].size) if len(windows) else np.zeros(0)
    return share


def _peaks(fixed: Image, moving: Image, farthest: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[n, 2] and [n]: see :func:`correlate`, of images [n, y, x]."""
    near, energy = _correlations(fixed, moving, farthest)
    n = np.arange(len(near))
    y, x = np.unravel_index(near.reshape(len(near), -1).argmax(1), near.shape[1:])
    scores = np.divide(near[n, y, x], energy, out=np.zeros_like(energy), where=energy > 0)
    found = np.stack([y + _between(near[n, :, x], y) - farthest[0], x + _between(near[n, y], x) - farthest[1]], -1)
    return np.where(energy[:, None] > 0, found, 0.0), np.maximum(scores, 0)


def _correlations(fixed: Image, moving: Image, farthest: list[int]) -> tuple[Image, NDArray[np.float64]]:
    """[n, 2 y + 1, 2 x + 1] of images [n, y, x], for all shifts up to ``farthest``; [n] what it is at most."""
    from scipy import fft

    tapers = [np.hanning(n + 2)[1:-1] ** 0.5 for n in fixed.shape[1:]]
    taper = np.outer(*tapers).astype(np.float32)
    a, b = fixed * taper, moving * taper
    energy = np.sqrt(np.einsum("nyx,nyx->n", a, a) * np.einsum("nyx,nyx->n", b, b), dtype=np.float64)
    shape = [fft.next_fast_len(n + f, real=True) for n, f in zip(fixed.shape[1:], farthest, strict=True)]
    product = fft.irfft2(fft.rfft2(a, shape) * np.conj(fft.rfft2(b, shape)), shape)
    rows, columns = (np.arange(-f, f + 1) for f in farthest)
    # The farther aside, the less of two tapered windows lies on each other: without this, they would seem less far apart.
    overlaps = [np.correlate(one, one, "full")[len(one) - 1 + at] / (one @ one)
                for one, at in zip(tapers, (rows, columns), strict=True)]
    near: Image = product[:, rows[:, None], columns] / np.outer(*overlaps).astype(np.float32)
    return near, energy


def _between(values: NDArray[np.floating], at: NDArray[np.integer]) -> NDArray[np.float64]:
    """[n] how far from ``at`` [n] the tops of parabolas through it and its neighbours in ``values`` [n, places] are."""
    n, inner = np.arange(len(values)), (at > 0) & (at < values.shape[1] - 1)
    before, here, after = (values[n, np.clip(at + by, 0, values.shape[1] - 1)].astype(np.float64) for by in (-1, 0, 1))
    bend = before - 2 * here + after
    is_top = inner & (bend < 0)
    return np.where(is_top, 0.5 * (before - after) / np.where(is_top, bend, 1), 0.0)
