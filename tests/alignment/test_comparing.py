"""Windows beside each other, what they agree on, and cracks: on images whose answer is known."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from lsd_experiments.alignment import estimating
from lsd_experiments.alignment.chain import moved_by, slopes_beside, step_of
from lsd_experiments.alignment.cracks import extremes, find_lines, opened
from lsd_experiments.alignment.estimating import _mean
from lsd_experiments.alignment.maps import IDENTITY, Crack, angle, apply, compose, inverse, rotation, translation
from lsd_experiments.alignment.notes import Notes
from lsd_experiments.alignment.registration import Registered, measure, padding, prepare, register, shared_shift
from lsd_experiments.alignment.windows import Flow, correlate, grid
from lsd_experiments.arrays import Volume
from lsd_experiments.geometry import Box

SHAPE = (150, 170)


def texture(seed, shape=SHAPE):
    return gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)


@pytest.mark.parametrize("by", [(0.0, 0.0), (3.4, -5.3)])
def test_windows_say_what_the_whole_says(by):
    image = texture(0)
    fixed, moving = prepare(shift(image, by, mode="reflect")), prepare(image)
    flow = measure(fixed, moving, IDENTITY, grid(SHAPE, 32), window=32)
    good = flow.weights > 0.5
    assert good.mean() > 0.6
    np.testing.assert_allclose(np.median(flow.found[good], axis=0), by, atol=0.2)
    np.testing.assert_allclose(correlate(fixed.fine, moving.fine, [12, 12])[0], by, atol=0.2)


def test_structures_that_run_aside_do_not_move_a_section():
    """Of 60 windows 24 see what runs obliquely, all to one side."""
    places = np.random.default_rng(0).uniform(0, 200, (60, 2))
    whole = rotation(1.0, (100, 100), (2, -1))
    found = moved_by(whole, places)
    found[::5] += (0, 6)
    found[1::5] += (7, 3)
    steps = [step_of(Flow(places, found, weights), "rigid") for weights in (np.ones(60), np.tile([0, 0, 1.0, 1, 1], 12))]
    corners = np.outer((200, 200), (0.0, 1.0))
    for step in steps:
        assert np.abs(apply(step, corners) - apply(whole, corners)).max() < 0.4
    assert np.abs(found.mean(0) - moved_by(whole, places).mean(0)).max() > 1.2, "the control: their mean"


def test_what_lies_beyond_a_missing_section_is_looked_for_where_tissue_runs():
    """Left and right parts run apart, 7 pixels per section; the section after the missing one lies 13 pixels aside."""
    own, aside, edges = (7, 0, -7), (13, -4), (0, 55, 115, SHAPE[1])
    parts = [texture(seed) for seed in (1, 2, 5)]

    def section(sections, beside=(0, 0)):
        moved = [shift(part, (run * sections + beside[0], beside[1]), mode="wrap") for part, run in zip(parts, own, strict=True)]
        return prepare(np.concatenate([one[:, a:b] for one, a, b in zip(moved, edges[:-1], edges[1:], strict=True)], axis=1))
    begins = grid(SHAPE, 48)
    whole = np.array([np.abs(x + 23.5 - np.array(edges[1:3])).min() > 16 for x in begins[:, 1]])  # of one part
    runs = np.array([[own[np.searchsorted(edges[1:3], x + 23.5)], 0] for x in begins[:, 1]])
    flows = {number: measure(section(number), section(number + 1), IDENTITY, begins) for number in (0, 2)}
    pair, expected = (section(0), section(2, aside)), 2 * slopes_beside(flows, 1, "shift")
    shift_of_all = shared_shift(*pair, IDENTITY, IDENTITY, 48, expected)
    assert np.abs(shift_of_all + aside).max() <= 1
    right = [np.abs(measure(*pair, IDENTITY, begins, gap=2, expected=one).found + 2 * runs + aside).max(1)[whole] < 1
             for one in (expected + shift_of_all, None)]
    assert right[0].mean() > 0.7 > 0.65 > right[1].mean()
    assert not slopes_beside({}, 1, "shift").any()


@pytest.mark.parametrize("beyond", [0, 255, 90])
def test_where_no_section_is_nothing_is_compared(beyond):
    """Of a small field that is cut off most windows would see its edge alone, along which they may lie anywhere."""
    wide = (120, 140)
    grey = (gaussian_filter(np.random.default_rng(3).standard_normal((6, *wide)), (1.5, 2.5, 2.5)) * 400 + 128).clip(1, 255)
    for shown, most in ((60, 4), (140, 4)):
        sections = np.where(np.arange(wide[1]) < shown, grey, beyond).astype(np.uint8)
        assert padding(sections[0]).sum() == (wide[1] - shown) * wide[0]
        raw = Volume("raw", "", sections, (40.0, 4.0, 4.0), (80.0, 40.0, 20.0), Box.of_shape(sections.shape))
        corners = np.array([[0, 0, 119, 119], [0, 139, 0, 139]], np.float64)
        moves = [np.abs(apply(one.matrix, corners) - corners).max() for one in estimating.estimate(raw).maps]
        assert max(moves) < most
    hole, frame = np.array(grey[0]), np.pad(grey[0], 8, constant_values=beyond)
    hole[40:80, 40:80] = beyond
    for image in (grey[0], np.full((9, 9), beyond), frame, hole):
        assert not padding(image).any()
    assert padding(np.full(wide, beyond)).all()


@pytest.mark.parametrize("shape", [(1, 50), (40, 1), (2, 2)])
def test_sections_of_a_single_line_are_compared(shape):
    one, other = prepare(texture(0)[:shape[0], :shape[1]] * 100), prepare(texture(1)[:shape[0], :shape[1]] * 100)
    assert np.abs(register(one, one).matrix - IDENTITY).max() < 0.01
    for gap in (1, 2):
        assert np.isfinite(register(one, other, gap=gap).matrix).all()


CRACK = Crack(1, 0, (75.0,) * SHAPE[1], (10.0,) * SHAPE[1], 60.0)


@pytest.mark.parametrize("grey", [238, 12])
def test_a_line_is_as_wide_as_it_is_although_it_is_blurred(grey):
    image = 125 + 25 * texture(3) / texture(3).std()
    usual = extremes(image)
    image[70:80] = grey
    [line] = find_lines(gaussian_filter(image, 1.2), usual)
    assert line.is_bright == (grey > 125)
    assert np.median(line.crack.widths) == pytest.approx(10, abs=0.5)
    assert np.median(line.crack.centres) == pytest.approx(74.5, abs=0.5)
    assert find_lines(125 + 25 * texture(4) / texture(4).std(), usual) == []


def test_a_crack_is_seen_beside_both_neighbours():
    """Tissue runs by more than the crack opened it: of one neighbour nobody can tell."""
    [line] = [found for found in _lines_of(CRACK) if found.is_bright]
    places = np.stack(np.meshgrid(np.arange(8, 150, 14.0), np.arange(8, 170, 14.0), indexing="ij"), -1).reshape(-1, 2)
    opening = replace(line.crack, reach=60.0).close(places.T[:, :, None])[0][..., 0].T - places
    slope = -1.5 * opening  # as likely as any other
    before, after = (Flow(places, opening + sign * slope, np.ones(len(places))) for sign in (1, -1))
    assert opened(line, before) is None
    found = opened(line, _mean([before, after], [1, 1]))
    assert found is not None
    assert found.reach == pytest.approx(100, abs=50)
    assert opened(line, _mean([Flow(places, one.found - opening, one.weights) for one in (before, after)], [1, 1])) is None


def _lines_of(crack):
    image = 125 + 25 * texture(3) / texture(3).std()
    usual = extremes(image)
    image[70:80] = 238
    return find_lines(image, usual)


@pytest.mark.parametrize(("turns", "kept"), [((0.1, -0.2, 2.6, 0.2), False), ((2.0, -1.5, 2.6, 1.8), True)])
def test_a_section_beyond_a_missing_one_is_not_turned_where_no_other_is(monkeypatch, turns, kept):
    good, rough = [0, 1, 2, 4, 5], [IDENTITY]
    for turn in turns:
        rough.append(compose(rough[-1], rotation(turn, (40, 50), (2, 3))))
    monkeypatch.setattr(estimating, "register", lambda *_: Registered(translation((5, -7)), 0.8))
    looked = estimating._Looked(lambda z: texture(z, (40, 50)), {}, {}, Notes())
    maps = estimating._unturned(looked, good, rough)
    steps = [compose(inverse(a), b) for a, b in itertools.pairwise(maps)]
    np.testing.assert_allclose([angle(step) for step in steps], [*turns[:2], turns[2] if kept else 0, turns[3]], atol=1e-6)
    assert np.allclose(steps[2], translation((5, -7))) == (not kept)
