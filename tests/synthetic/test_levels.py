"""Levels of harder neuropil: what is worse in each, and that the plain volume is as it was."""

import hashlib

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.synthetic import synthesize, write_synthetic
from lsd_experiments.synthetic.levels import LEVELS, Look
from lsd_experiments.synthetic.noise import smooth_noise

SHAPE = (62, 64, 72)


@pytest.fixture(scope="module")
def volumes():
    found = {None: synthesize(SHAPE, seed=4)}
    return found | {level: synthesize(SHAPE, of.voxel_size, of.density, 4, level) for level, of in LEVELS.items()}


def test_plain_volumes_are_as_before(volumes):
    """Of commit c03a0e7."""
    plain = synthesize((12, 70, 50), (30, 6, 6), seed=3)
    assert [hashlib.sha256(values.tobytes()).hexdigest()[:12] for values in (plain.raw, plain.labels)] == PLAIN
    again = synthesize(SHAPE, LEVELS[1].voxel_size, LEVELS[1].density, 4, 1)
    assert (again.raw == volumes[1].raw).all()
    assert (again.labels == volumes[1].labels).all()
    assert (volumes[1].labels != volumes[None].labels).mean() > 0.1


PLAIN = ["5e4cc2773399", "6aaf849f07f0"]


def thickness(volume, voxel_size):
    """The median over profiles of neurites in sections, as the diameter in nm of a circle of equal area."""
    areas = np.concatenate([np.bincount(section.ravel().astype(int))[1:] for section in volume.labels])
    return 2 * np.sqrt(np.median(areas[areas > 20]) * voxel_size[1] * voxel_size[2] / np.pi)


def test_neurites_get_thinner(volumes):
    found = [thickness(volumes[level], LEVELS[level or 1].voxel_size) for level in volumes]
    assert max(found[1:]) < 0.8 * found[0]
    assert min(found) == found[-1] > 9 * 9


def contrast(volume):
    """How much darker raw is where two neurites meet in a section, in standard deviations of all of it."""
    shown = volume.raw.any((1, 2))
    raw, labels = volume.raw[shown].astype(float), volume.labels[shown]
    edge = np.zeros(labels.shape, bool)
    edge[..., 1:] |= labels[..., 1:] != labels[..., :-1]
    return (raw[~edge].mean() - raw[edge].mean()) / raw.std()


def test_membranes_get_weaker(volumes):
    found = [contrast(volume) for volume in volumes.values()]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.7 * found[0]
    assert found[-1] > 0.2  # but they are there


def test_sections_are_missing_where_the_level_says_so(volumes):
    black = {level: [z for z, section in enumerate(volume.raw) if not section.any()] for level, volume in volumes.items()}
    assert [len(black[level]) for level in volumes] == [0, 0, 1, 2]
    assert not {0, SHAPE[0] - 1} & {z for those in black.values() for z in those}
    assert all(volumes[3].labels[z].any() for z in black[3])  # the truth goes on there


def test_a_share_of_the_membranes_is_missing():
    rng = np.random.default_rng(0)
    left = Look(weak=0.5, missing=0.1).membranes(lambda scale: smooth_noise((200, 200), (scale / 30, scale / 30), rng))
    assert (left < 0.2).mean() == pytest.approx(0.1, abs=0.04)
    assert 0.55 < left.mean() < 0.8
    assert Look().membranes(lambda scale: pytest.fail("nothing is drawn")) == 1


def test_a_level_that_there_is_not(tmp_path):
    with pytest.raises(UserError, match="level 4: there are 1, 2, 3"):
        synthesize((4, 8, 8), level=4)
    with pytest.raises(UserError, match="level 4"):
        write_synthetic(tmp_path / "a.zarr", (4, 8, 8), level=4)
    assert write_synthetic(tmp_path / "a.zarr", (4, 20, 20), seed=1)
    with pytest.raises(UserError, match="other parameters"):
        write_synthetic(tmp_path / "a.zarr", (4, 20, 20), seed=1, level=2)
