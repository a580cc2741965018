"""Flipped and transposed predictions, by ideal networks: they give the exact affinities or descriptors of labels in raw."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.descriptors import local_shape_descriptors
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.networks import Head
from lsd_experiments.prediction.turning import Ensemble, Turn, brought_back, head_sources, mirrored, turned_inputs, turns

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "published" / "pytc_inference"
CONTEXT = (1, 4, 4)  # on each side
DIRECT = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
FAR = ((0, -3, 0), (-1, 0, 0), (0, 0, -3), (0, 0, -1), (0, -1, 0))  # y and x alike, in some order
SIDEWAYS = ((0, -1, -1), (0, -1, 1), (1, 0, 0))
ALL = turns("zyx", "yx")


def truth(labels, neighborhood):
    """1 where a voxel and its neighbour have one label that is not 0; [c, z, y, x] without ``CONTEXT``, as a network gives it."""
    inner = tuple(slice(c, s - c) for c, s in zip(CONTEXT, labels.shape, strict=True))
    found = []
    for offset in neighborhood:
        there = tuple(slice(c + o, s - c + o) for c, s, o in zip(CONTEXT, labels.shape, offset, strict=True))
        found.append((labels[inner] == labels[there]) & (labels[inner] > 0))
    return np.stack(found).astype(np.float32)


class IdealAffinities:
    """Knows the labels from raw, and has been trained on no particular orientation."""

    def __init__(self, neighborhood):
        self.neighborhood = neighborhood

    def predict(self, arrays):
        return {"affs": truth(np.rint(arrays["raw"] * 100).astype(int), self.neighborhood)}


@pytest.fixture(scope="module")
def labels():
    """Some objects of several voxels, and background; nothing is symmetric."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 4, (5, 7, 7))
    return np.kron(coarse, np.ones((2, 3, 3), int))[:9, :19, :19]


def test_turns_go_forward_and_back():
    values = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    several = turns("zyx", "zyx")
    assert len(set(several)) == len(several) == 48
    assert several[0] == Turn()
    found = {turn.forward(values).tobytes() for turn in several}
    assert len(found) == 48
    for turn in several:
        np.testing.assert_array_equal(turn.back(turn.forward(values)), values)
    assert [len(turns(*given)) for given in ((), ("x",), ("yx",), ("", "yx"), ("yx", "yx"), ("zyx", "yx"))] == [1, 2, 4, 2, 8, 16]


@pytest.mark.parametrize("neighborhood", [DIRECT, FAR, SIDEWAYS])
def test_affinities_are_those_of_the_volume_in_every_turn(labels, neighborhood):
    head = Head("affs", len(neighborhood), neighborhood=neighborhood)
    ensemble = Ensemble.of([head], ALL)
    model, wanted = IdealAffinities(neighborhood), truth(labels, neighborhood)
    before, behind = ensemble.margins
    core = Box(before, tuple(s - b for s, b in zip(wanted.shape[1:], behind, strict=True)))
    wanted = wanted[:, *core.slices]
    raw = {"raw": labels / 100}
    assert 0.2 < wanted.mean() < 0.9
    for number, turn in enumerate(ALL):
        predicted = model.predict(turned_inputs(raw, turn))["affs"]
        np.testing.assert_array_equal(brought_back(predicted, turn, ensemble.sources["affs"][number], core), wanted, str(turn))
        published = brought_back(predicted, turn, head_sources(head, turn, parity=True), core)
        assert np.array_equal(published, wanted) == (turn == Turn()), "as published, only what is not turned is right"
    np.testing.assert_array_equal(ensemble.predict(model, raw, core)["affs"], wanted)
    if neighborhood == DIRECT:
        assert (before, behind) == ((1, 1, 1), (0, 0, 0))


def test_parity_keeps_all_of_the_block(labels):
    ensemble = Ensemble.of([Head("affs", 3)], ALL, parity=True)
    assert ensemble.margins == ((0, 0, 0), (0, 0, 0))
    core = Box.of_shape(truth(labels, DIRECT).shape[1:])
    wrong = ensemble.predict(IdealAffinities(DIRECT), {"raw": labels / 100}, core)["affs"]
    assert np.abs(wrong - truth(labels, DIRECT)).mean() > 0.1


def test_what_is_not_known_to_turn_is_refused():
    flip = Turn((True, False, False))
    with pytest.raises(UserError, match="nothing says which neighbours the 5 channels of affs are"):
        head_sources(Head("affs", 5), flip)
    with pytest.raises(UserError, match=r"flips: the neighbour \(0, -1, -1\) becomes \(0, -1, 1\), which is no channel"):
        head_sources(Head("affs", 1, neighborhood=((0, -1, -1),)), Turn((False, False, True)))
    with pytest.raises(UserError, match="lsds has 2 channels, not the 10 of descriptors"):
        head_sources(Head("lsds", 2), flip)
    with pytest.raises(UserError, match="head affs: its neighborhood has 1 offsets for 2 channels"):
        Head("affs", 2, neighborhood=((0, -1, -1),))
    with pytest.raises(UserError, match=r"flips: no channel becomes that of the neighbour \(0, 1, 0\)"):
        head_sources(Head("affs", 3, neighborhood=((0, -1, 0), (0, 1, 0), (0, 0, -1))), Turn(order=(0, 2, 1)))
    assert [source.channel for source in head_sources(Head("boundaries", 2), flip)] == [0, 1]
    assert len(head_sources(Head("affs", 12, predicted=3, neighborhood=DIRECT * 4), flip)) == 3


def test_a_head_with_a_neighborhood_is_of_affinities_whatever_it_is_called():
    flip = Turn((False, True, True), (0, 2, 1))
    sources = head_sources(Head("bonds", 3, neighborhood=DIRECT), flip)
    assert sources == head_sources(Head("affs", 3), flip) == head_sources(Head("lsds", 3, neighborhood=DIRECT), flip)
    assert sources != head_sources(Head("bonds", 3), flip)


SIGMA, VOXEL_SIZE, REACH = 60, (50, 20, 20), (4, 9, 9)  # voxels that are seen: 3 sigma


def test_a_head_is_of_what_its_training_noted_whatever_it_is_called():
    flip = Turn((False, False, True))
    assert head_sources(Head("shape", 10, target="descriptors"), flip) == head_sources(Head("lsds", 10), flip)
    assert head_sources(Head("shape", 10), flip) != head_sources(Head("lsds", 10), flip)  # nothing says it
    assert head_sources(Head("bonds", 3, target="affinities"), flip) == head_sources(Head("affs", 3), flip)
    assert [source.mirrored for source in head_sources(Head("lsds", 10, target="classes"), flip)] == [False] * 10
    assert len(head_sources(Head("lsds", 2), Turn())) == 2  # nothing turns


class IdealDescriptors:
    def predict(self, arrays):
        labels = np.rint(arrays["raw"] * 100).astype(int)
        roi = Box.of_shape(labels.shape).grow([-r for r in REACH])
        return {"lsds": local_shape_descriptors(labels, SIGMA, VOXEL_SIZE, roi=roi)}


@pytest.fixture(scope="module")
def seen():
    rng = np.random.default_rng(5)
    return np.kron(rng.integers(0, 4, (4, 6, 6)), np.ones((4, 5, 5), int))[:14, :27, :27]


def test_descriptors_are_those_of_the_volume_in_every_turn(seen):
    head, model, raw = Head("lsds", 10), IdealDescriptors(), {"raw": seen / 100}
    wanted = model.predict(raw)["lsds"]
    assert (wanted == 0).all(axis=0).any(), "there is background"
    core = Box.of_shape(wanted.shape[1:])
    for turn in ALL:
        predicted = model.predict(turned_inputs(raw, turn))["lsds"]
        found = brought_back(predicted, turn, head_sources(head, turn), core)
        np.testing.assert_allclose(found, wanted, atol=2e-5, err_msg=str(turn))
        published = brought_back(predicted, turn, head_sources(head, turn, parity=True), core)
        assert np.allclose(published, wanted, atol=2e-5) == (turn == Turn())


def test_descriptors_as_an_input_are_those_of_the_turned_block(seen):
    model = IdealDescriptors()
    lsds = model.predict({"raw": seen / 100})["lsds"]
    for turn in ALL:
        of_turned = model.predict({"raw": np.ascontiguousarray(turn.forward(seen / 100))})["lsds"]
        np.testing.assert_allclose(turned_inputs({"lsds": lsds}, turn)["lsds"], of_turned, atol=2e-5)


def test_background_stays_background():
    lsds = np.zeros((10, 1, 1, 4), np.float32)
    lsds[0] = [0, 0.5, 0.2, 0.04]
    lsds[6:9, 0, 0, 1], lsds[6:9, 0, 0, 2], lsds[6:9, 0, 0, 3] = 0.5, 0.25, 0.01
    np.testing.assert_allclose(mirrored(lsds[0], lsds)[0, 0], [0, 0.5, 0.8, 0.04 + 0.04 * 0.92], rtol=1e-6)


class Toy:
    """A convolution with zeros around, and a sigmoid: the published toy model."""

    def __init__(self):
        toy = np.load(FIXTURES / "toy_model_and_volume.npz")
        self.weight, self.bias, self.volume = (toy[key] for key in ("weight", "bias", "raw_uint8"))

    def predict(self, arrays):
        from scipy.ndimage import correlate

        raw = arrays["raw"].astype(np.float64)
        summed = [correlate(raw, kernel[0], mode="constant") + bias for kernel, bias in zip(self.weight, self.bias, strict=True)]
        return {"affs": (1 / (1 + np.exp(-np.stack(summed)))).astype(np.float32)}


PUBLISHED = {"None": ("", ""), "4": ("yx", ""), "8": ("yx", "yx"), "16": ("zyx", "yx")}
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the published programs' outputs are not here")


@needs_fixtures
@pytest.mark.parametrize(("number", "combine"), list(itertools.product(PUBLISHED, ("mean", "min", "max"))))
def test_parity_is_what_is_published(number, combine):
    fixture = np.load(FIXTURES / "tta_float.npz")
    ensemble = Ensemble.of([Head("affs", 3)], turns(*PUBLISHED[number]), parity=True)
    ensemble = Ensemble(ensemble.turns, ensemble.sources, combine)
    raw = fixture["input"][0, 0]
    found = ensemble.predict(Toy(), {"raw": raw}, Box.of_shape(raw.shape))["affs"]
    np.testing.assert_allclose(found, fixture[f"aug={number}/{combine}"][0], atol=1e-5)
