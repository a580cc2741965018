"""How the sections of a stack must be moved."""

import functools
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.alignment.chain import BESIDE, chain, kept_drift, separate, slopes_beside
from lsd_experiments.alignment.cracks import Line, extremes, find_lines, opened
from lsd_experiments.alignment.findings import Section, find_unusual, reader_of
from lsd_experiments.alignment.maps import IDENTITY, Crack, Matrix, SectionMap, angle, apply, compose, inverse
from lsd_experiments.alignment.notes import Notes
from lsd_experiments.alignment.registration import WINDOW, Model, Prepared, measure, prepare, register, rescaled, shared_shift
from lsd_experiments.alignment.windows import Flow, grid
from lsd_experiments.arrays import Volume
from lsd_experiments.errors import UserError

LOGGER = logging.getLogger(__name__)
LEAST_SCORE = 0.5  # of the usual one: a section that fits less is damaged
FITS = 4  # how often all windows are measured to fit sections to each other: each takes away more than half of what is left
WIDE = 96  # pixels of windows that see the same tissue beyond a missing section
SMALL = 32  # pixels of a window then: smaller ones see one structure each, but need a start
UNTURNED = 0.5  # degrees between neighbours that are as good as none
STILL = 0.1  # pixels at the corners: a section that would move less stays where it is


@dataclass
class Estimate:
    """``maps``: of each section, all of one place; ``findings``, ``scores``: as of an alignment."""

    maps: list[SectionMap]
    findings: dict[str, list[int]] = field(default_factory=dict)
    scores: list[float | None] = field(default_factory=list)


def estimate(raw: Volume, model: Model = "rigid", close_cracks: bool = True, notes: Notes | None = None) -> Estimate:
    """Look at all sections of ``raw`` [z, y, x].

    :param notes: what an interrupted run found out
    :raises UserError: if there are not two sections that show something
    """
    from tqdm import tqdm

    notes, read = notes or Notes(), reader_of(raw)
    means, spreads, far = [], [], []
    for z in tqdm(range(raw.shape[0]), "looking", leave=False, disable=None):
        mean, spread, *extreme = notes.get(f"look {z}", functools.partial(_look, read, z, close_cracks))
        means.append(mean)
        spreads.append(spread)
        far.append(extreme)
    findings = find_unusual(np.asarray(means), np.asarray(spreads))
    usable = [z for z in range(raw.shape[0]) if z not in findings["missing"]]
    if len(usable) < 2:
        raise UserError(f"{raw.name}: {len(usable)} of {raw.shape[0]} sections show something; two are needed. Name raw")
    usual = tuple(np.median([far[z] for z in usable], axis=0).tolist())
    looked = _Looked(read, _lines(read, usable, usual, notes) if close_cracks else {}, {}, notes)
    good, rough, scores = _pairs(looked, usable, model)
    findings["damaged"] = sorted({*usable} - {*good})
    _close(looked, good, rough, findings)
    maps = _straighten(looked, good, rough, model)
    centre_of = _Between(good, maps, raw.shape)
    every = [SectionMap(_still(centre_of(z), raw.shape), looked.cracks.get(z, ())) for z in range(raw.shape[0])]
    for kind, sections in findings.items():
        if sections:
            LOGGER.warning("%s: %s: sections %s", raw.name, kind, ", ".join(map(str, sections)))
    return Estimate(every, findings, [scores.get(z) for z in range(raw.shape[0])])


def _look(read: Callable[[int], Section], z: int, close_cracks: bool) -> list[float]:
    section = read(z)
    return [float(section.mean()), float(section.std()), *(extremes(section) if close_cracks else (0.0, 0.0))]


def _lines(read: Callable[[int], Section], usable: Sequence[int], usual: tuple[float, float], notes: Notes
           ) -> dict[int, list[Line]]:
    """Those of the sections that have any; only which ones these are is noted."""
    found: dict[int, list[Line]] = {}

    def has_lines(z: int) -> bool:
        found[z] = find_lines(read(z), usual)
        return bool(found[z])
    with_lines = [z for z in usable if notes.get(f"lines {z}", functools.partial(has_lines, z))]
    return {z: found.get(z) or find_lines(read(z), usual) for z in with_lines}


@dataclass
class _Looked:
    """Sections as they are compared; ``lines`` are left out of it; ``cracks`` that are closed."""

    read: Callable[[int], Section]
    lines: dict[int, list[Line]]
    cracks: dict[int, tuple[Crack, ...]]
    notes: Notes
    _kept: dict[int, Prepared] = field(default_factory=dict)

    def __call__(self, z: int) -> Prepared:
        if z not in self._kept:
            while len(self._kept) > 3:
                self._kept.pop(next(iter(self._kept)))
            section = self.read(z)
            masks = [line.mask for line in self.lines.get(z, ())]
            self._kept[z] = prepare(section, ~np.logical_or.reduce(masks) if masks else None)
        return self._kept[z]


def _pairs(looked: _Looked, usable: Sequence[int], model: Model) -> tuple[list[int], list[Matrix], dict[int, float]]:
    """The sections that fit their neighbours, the map of each to the first one, roughly, and scores."""
    from tqdm import tqdm

    good, maps = [usable[0]], [IDENTITY]
    scores: dict[int, float] = {}
    waiting: list[int] = []
    for z in tqdm(usable[1:], "comparing", leave=False, disable=None):
        matrix, score = looked.notes.get(f"pair {good[-1]} {z}", functools.partial(_pair, looked, good[-1], z, model))
        usual = float(np.median([*scores.values()])) if scores else score
        if score < LEAST_SCORE * usual and len(waiting) < 2:
            waiting.append(z)  # damaged, unless the next ones do not fit either
            continue
        waiting = []
        good.append(z)
        maps.append(compose(maps[-1], np.asarray(matrix)))
        scores[z] = score
    return good, maps, scores


def _pair(looked: _Looked, fixed: int, moving: int, model: Model) -> list[Any]:
    found = register(looked(fixed), looked(moving), model, moving - fixed)
    return [found.matrix.tolist(), found.score]


def _close(looked: _Looked, good: Sequence[int], rough: Sequence[Matrix], findings: dict[str, list[int]]) -> None:
    """Which lines are cracks that lie apart, seen beside the neighbours without lines."""
    findings["cracked"], findings["folded"] = [], []
    places = {z: number for number, z in enumerate(good)}
    for z in sorted(looked.lines):
        if z not in places:
            continue
        number = places[z]
        beside = _without_lines(looked, good, number)
        gaps = [abs(good[n] - z) for n in beside]
        flow = _mean([_beside(looked(z), looked(good[n]), compose(inverse(rough[number]), rough[n]), gap)
                      for n, gap in zip(beside, gaps, strict=True)], gaps)
        cracks = [crack for line in looked.lines[z] if (crack := opened(line, flow)) is not None]
        if cracks:
            looked.cracks[z] = tuple(cracks[:1])  # one at a time: what lies between two moves with both
        findings["cracked" if cracks else "folded"].append(z)


def _without_lines(looked: _Looked, good: Sequence[int], number: int) -> list[int]:
    """The nearest sections before and after, of the next two, that have no lines; one that has, if there is none."""
    beside = []
    for side in (-1, 1):
        next_ones = [n for n in (number + side, number + 2 * side) if 0 <= n < len(good)]
        beside += [n for n in next_ones if good[n] not in looked.lines][:1]
    return beside or [number - 1 if number else 1]


def _beside(section: Prepared, other: Prepared, relative: Matrix, gap: int) -> Flow:
    """What must be added to places of ``section`` to be at those of its neighbour, in pixels.

    :param relative: of the neighbour, to this section
    """
    step = section.fine_step
    flow = measure(section, other, rescaled(relative, 1, step), grid(section.fine.shape, WINDOW), IDENTITY, gap)
    return Flow(step * flow.places + (step - 1) / 2, -step * flow.found, flow.weights)


def _mean(flows: Sequence[Flow], gaps: Sequence[int]) -> Flow:
    """Of one section's windows beside its neighbours, ``gaps`` sections away: what runs obliquely is aside to the one and to the
    other side of it, and takes itself away; what a crack did stays."""
    found = np.average([flow.found for flow in flows], axis=0, weights=1 / np.asarray(gaps, np.float64))
    weights: NDArray[np.float64] = np.min([flow.weights for flow in flows], axis=0)
    return Flow(flows[0].places, found, weights)


def _straighten(looked: _Looked, good: Sequence[int], rough: Sequence[Matrix], model: Model) -> list[Matrix]:
    step, shape = looked(good[0]).fine_step, looked(good[0]).fine.shape
    gaps, centre = np.diff(good).tolist(), [(n * step - 1) / 2 for n in shape]
    maps = _unturned(looked, good, rough)
    for number in range(FITS):
        flows = _flows(looked, good, maps, number, model)
        steps, slopes = separate(flows, gaps, model)
        relative = [compose(inverse(maps[k]), compose(rescaled(steps[k], step, 1), maps[k + 1])) for k in range(len(steps))]
        maps = chain(relative, [IDENTITY] * len(steps), centre)
    drift = kept_drift(relative, slopes * step, flows[0].places, gaps, centre, step)
    return chain(relative, drift, centre)


def _unturned(looked: _Looked, good: Sequence[int], rough: Sequence[Matrix]) -> list[Matrix]:
    """``rough``, but for sections beyond missing ones that are turned as no others are: these are taken for shifted.

    Across a gap so little is alike that a turn, which is one more thing to choose, is often chosen wrongly.
    """
    steps = [compose(inverse(before), after) for before, after in itertools.pairwise(rough)]
    gaps = np.diff(good)
    turns = np.array([abs(angle(step)) for step in steps])
    usual = max(UNTURNED, 2 * float(np.median(turns[gaps == 1]))) if (gaps == 1).any() else np.inf
    maps = [rough[0]]
    for k, step in enumerate(steps):
        if gaps[k] > 1 and turns[k] > usual:
            step = np.asarray(looked.notes.get(f"shift {good[k]} {good[k + 1]}", functools.partial(
                _pair, looked, good[k], good[k + 1], "shift"))[0])
        maps.append(compose(maps[-1], step))
    return maps


def _flows(looked: _Looked, good: Sequence[int], maps: Sequence[Matrix], number: int, model: Model) -> list[Flow]:
    """How the windows of neighbours lie beside each other, once all are brought over by ``maps``; ``number``: of this fit."""
    from tqdm import tqdm

    flows, missing = dict[int, Flow](), dict[int, Flow]()

    def flow(k: int) -> list[Any]:
        expected = _expected(looked, good, maps, k, flows, model) if good[k + 1] - good[k] > 1 and flows else None
        found = _measured(looked, good, maps, k, SMALL, expected)
        return [array.tolist() for array in (found.places, found.found, found.weights)]

    pairs = range(len(good) - 1)
    lacking = [k for k in pairs if good[k + 1] - good[k] > 1]  # sections: after the others, which tell what to expect
    for k in tqdm([*(k for k in pairs if k not in lacking), *lacking], "fitting", leave=False, disable=None):
        values = looked.notes.get(f"fit {number} {good[k]} {good[k + 1]}", functools.partial(flow, k))
        found = Flow(*map(np.asarray, values))
        (missing if k in lacking else flows)[k] = found
    return [flows[k] if k in flows else missing[k] for k in pairs]


def _pair_of(looked: _Looked, good: Sequence[int], maps: Sequence[Matrix], k: int) -> tuple[Prepared, Prepared, Matrix, Matrix]:
    """Two sections, how the second lies on the first, and what both are brought over by, in fine pixels."""
    fixed, moving = looked(good[k]), looked(good[k + 1])
    own, other = (rescaled(matrix, 1, fixed.fine_step) for matrix in (maps[k], maps[k + 1]))
    return fixed, moving, compose(inverse(own), other), own


def _measured(looked: _Looked, good: Sequence[int], maps: Sequence[Matrix], k: int, window: int,
              expected: NDArray[np.float64] | None = None) -> Flow:
    fixed, moving, relative, own = _pair_of(looked, good, maps, k)
    return measure(fixed, moving, relative, grid(fixed.fine.shape, window), own, good[k + 1] - good[k], window, expected)


def _expected(looked: _Looked, good: Sequence[int], maps: Sequence[Matrix], k: int, flows: Mapping[int, Flow], model: Model
              ) -> NDArray[np.float64]:
    """[windows, 2] how far small windows are aside across a gap: what tissue does by itself, and how the section lies."""
    gap = good[k + 1] - good[k]
    wide = {n: _measured(looked, good, maps, n, WIDE) for n in flows if abs(n - k) <= BESIDE}
    runs = gap * (slopes_beside(wide, k, model) if wide else np.zeros((len(grid(looked(good[k]).fine.shape, WIDE)), 2)))
    return gap * slopes_beside(flows, k, model) + shared_shift(*_pair_of(looked, good, maps, k), WIDE, runs)


@dataclass
class _Between:
    """The map of a section, between those of its neighbours where it has none of its own."""

    good: Sequence[int]
    maps: Sequence[Matrix]
    shape: Sequence[int]

    def __call__(self, z: int) -> Matrix:
        after = int(np.searchsorted(self.good, z))
        if after < len(self.good) and self.good[after] == z:
            return self.maps[after]
        if after in (0, len(self.good)):
            return self.maps[0 if after == 0 else -1]
        first, last = self.good[after - 1], self.good[after]
        share = (z - first) / (last - first)
        return (1 - share) * self.maps[after - 1] + share * self.maps[after]


def _still(matrix: Matrix, shape: Sequence[int]) -> Matrix:
    """``matrix``, or that of staying, if nothing moves by more than :data:`STILL`."""
    corners = np.array([[0, 0, shape[1] - 1, shape[1] - 1], [0, shape[2] - 1, 0, shape[2] - 1]], np.float64)
    return IDENTITY if np.abs(apply(matrix, corners) - corners).max() < STILL else matrix
