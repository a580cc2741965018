"""From pairs of sections to a map for each section, without straightening what really runs obliquely.

Of window w, between sections k and k + 1, the flow is measured: how far its content lies from where it was. It is

    flow[k, w] = g[k] v[k, w] + s[k](w)

- v, the slope of the structures in that window, changes little from section to section: neurites run on. It is smoothed along z.
- s, how the section lies beside its neighbour (a shift, a turn, an affine map), changes from one to the next as it likes. It is
  what most windows agree on: some structures run far aside, more of them hardly do.
- g[k] is 1, or more where sections between the two are missing.

So what jumps is the section's, what goes on is the tissue's. What is the same all over the section **and** goes on cannot be told
apart by looking. It is divided by what is likely: the tissue's mean slope has the variance that the slopes of its parts tell,
and runs on over some sections; sections lie beside their places, or beside the one before, each by itself. A stack that is
straight so keeps its slope, and one that was shifted loses what jumps.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.alignment.maps import Matrix, angle, apply, compose, inverse, rotation, translation
from lsd_experiments.alignment.registration import Model, fit
from lsd_experiments.alignment.windows import Flow

SMOOTH = 2.0  # sections, sigma of the smoothing of slopes
DRIFT = 6.0  # sections over which the tissue's mean slope runs on
ALONE = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0)  # pixels that a section may lie beside its place, standard deviations
ALONG = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # and beside the one before; the least is what is measured wrongly
MISSED = 4.0  # times the variance of slopes that small windows, smoothed along z, show: measured on synthetic tissue
PART = 128.0  # pixels along each axis: parts of a section whose structures run as they like
BESIDE = 2  # pairs to each side of one that lacks sections, which tell how tissue goes on there


def separate(flows: Sequence[Flow], gaps: Sequence[int], model: Model) -> tuple[list[Matrix], NDArray[np.float64]]:
    """How each section lies beside the one before, and [pairs, windows, 2] the slopes of structures, pixels per section.

    :param flows: of each pair of neighbours, of the same windows
    :param gaps: of each pair, sections from one to the other
    """
    found, weights = np.stack([flow.found for flow in flows]), np.stack([flow.weights for flow in flows])
    places, g = flows[0].places, np.asarray(gaps, np.float64)[:, None, None]
    steps = [step_of(flow, model) for flow in flows]
    slopes = _smooth((found - np.stack([moved_by(step, places) for step in steps])) / g, weights, np.cumsum([0, *gaps[:-1]]))
    average = (slopes * weights[..., None]).sum((0, 1)) / max(weights.sum(), 1e-9)
    return steps, slopes - average  # what is the same all over belongs to the steps, until the drift is looked at


def step_of(flow: Flow, model: Model) -> Matrix:
    """What most windows of ``flow`` agree on, each of them alike."""
    good = flow.weights > 0
    if not good.any():
        return translation((0, 0))
    return fit(flow.places[good], flow.places[good] + flow.found[good], np.ones(int(good.sum())), model)


def moved_by(matrix: Matrix, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n, 2] how far ``matrix`` moves ``places`` [n, 2]."""
    moved: NDArray[np.float64] = (apply(matrix, places.T) - places.T).T
    return moved


def slopes_beside(flows: Mapping[int, Flow], pair: int, model: Model) -> NDArray[np.float64]:
    """[windows, 2] pixels per section that tissue moves by itself between the sections of ``pair``, as its neighbours say.

    :param flows: of pairs of sections with none between them, by the number of the pair
    """
    near = [flow for number, flow in flows.items() if abs(number - pair) <= BESIDE]
    places = next(iter(flows.values())).places if flows else np.zeros((0, 2))
    total, weights = np.zeros_like(places), np.full((len(places), 1), 1e-9)
    for flow in near:
        total += flow.weights[:, None] * (flow.found - moved_by(step_of(flow, model), places))
        weights += flow.weights[:, None]
    mean: NDArray[np.float64] = total / weights
    return mean


def kept_drift(steps: Sequence[Matrix], slopes: NDArray[np.float64], places: NDArray[np.float64], gaps: Sequence[int],
               centre: Sequence[float], scale: int = 1) -> list[Matrix]:
    """How much of each step is taken for the tissue's own slope and twist (see the module).

    :param slopes: [pairs, windows, 2] pixels per section, at ``places`` [windows, 2] of every ``scale`` pixels
    """
    middle = np.asarray(centre, np.float64)
    shifts = np.stack([apply(step, middle) - middle for step in steps])
    turns = np.array([[np.deg2rad(angle(step))] for step in steps])
    variance, reach = _variance_of_mean(slopes, places), float(places.var(0).sum()) * scale**2 or 1.0
    kept = _tissue(shifts, gaps, variance, 1.0), _tissue(turns, gaps, variance / reach, reach**-0.5)
    return [rotation(float(np.rad2deg(turn[0])), middle, shift) for shift, turn in zip(*kept, strict=True)]


def _tissue(steps: NDArray[np.float64], gaps: Sequence[int], variance: float, unit: float) -> NDArray[np.float64]:
    """[pairs, n] what of each of ``steps`` [pairs, n] the tissue did, that runs on for :data:`DRIFT` sections.

    The rest is what sections did: each lies by itself somewhere beside its place, or beside the one before. How far, nobody
    knows: it is averaged over what may be, by how likely the steps then are.

    :param variance: of the tissue's slope, per section
    :param unit: what is one pixel
    """
    g = np.asarray(gaps, np.float64)
    at = np.cumsum([0, *gaps[:-1]])
    tissue = variance * np.exp(-np.abs(at[:, None] - at) / DRIFT) * g * g[:, None]
    beside = 2 * np.eye(len(g)) - np.eye(len(g), k=1) - np.eye(len(g), k=-1)
    likely, found = [], []
    for alone, along in itertools.product(ALONE, ALONG):
        whole = tissue + unit**2 * (alone**2 * beside + along**2 * np.diag(g))
        solved = np.linalg.solve(whole, steps)
        likely.append(-0.5 * float((steps * solved).sum() + steps.shape[1] * np.linalg.slogdet(whole)[1]))
        found.append(tissue @ solved)
    weights = np.exp(np.array(likely) - max(likely))
    kept: NDArray[np.float64] = np.average(np.stack(found), axis=0, weights=weights)
    return kept


def _variance_of_mean(slopes: NDArray[np.float64], places: NDArray[np.float64]) -> float:
    """Of the mean slope over a section, from the spread of parts of it that have nothing to do with each other."""
    parts = np.unique(places // PART, axis=0, return_inverse=True)[1].ravel()
    members = np.eye(parts.max() + 1)[parts]  # [windows, parts]
    means = np.einsum("kwc,wp->kpc", slopes, members / members.sum(0))
    return MISSED * float(means.var(1).mean() / means.shape[1])


def chain(steps: Sequence[Matrix], drift: Sequence[Matrix], centre: Sequence[float]) -> list[Matrix]:
    """The map of each section, the first one's included, such that the middle one's stays where it is, but for turns."""
    maps = [translation((0, 0))]
    for step, kept in zip(steps, drift, strict=True):
        # A step takes the moving section onto the fixed one; what is kept is put back.
        maps.append(compose(maps[-1], compose(inverse(kept), step)))
    middle = np.asarray(centre, np.float64)
    moves = np.stack([apply(matrix, middle) - middle for matrix in maps])
    return [compose(translation(-np.median(moves, axis=0)), matrix) for matrix in maps]


def _smooth(values: NDArray[np.float64], weights: NDArray[np.float64], at: NDArray[np.integer]) -> NDArray[np.float64]:
    """[pairs, windows, 2] weighted means of neighbours along z."""
    near = _nearness(at, SMOOTH)
    total = near @ weights
    mean: NDArray[np.float64] = np.einsum("kj,jwc->kwc", near, values * weights[..., None]) / np.maximum(total, 1e-9)[..., None]
    return mean


def _nearness(at: NDArray[np.integer], sigma: float) -> NDArray[np.float64]:
    """[n, n] weights of neighbours by their distance; rows sum to 1."""
    near = np.exp(-0.5 * ((at[:, None] - at[None]) / sigma) ** 2)
    weights: NDArray[np.float64] = near / near.sum(1, keepdims=True)
    return weights
