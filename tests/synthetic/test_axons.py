"""Synthetic axons: repeatable, pale in dark sheaths, with centre lines that stay inside."""

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.families.xpress.synthetic import synthesize_axons
from lsd_experiments.families.xpress.synthetic.white_matter import Fascicles, grow_axons

SHAPE = (61, 75, 67)  # not all divisible by 3
VOXEL = 33.0


@pytest.fixture(scope="module")
def volume():
    return synthesize_axons(SHAPE, seed=2)


def test_types_and_shapes(volume):
    assert (volume.raw.dtype, volume.labels.dtype) == (np.uint8, np.uint64)
    assert volume.raw.shape == volume.labels.shape == SHAPE
    assert 5 <= volume.labels.max() < 40
    assert 0.2 < (volume.labels > 0).mean() < 0.6
    assert volume.raw.std() > 20
    assert (volume.raw == 255).mean() < 0.01
    assert (volume.raw == 0).mean() < 0.01


def test_equal_seeds_give_equal_volumes(volume):
    again, other = synthesize_axons(SHAPE, seed=2), synthesize_axons(SHAPE, seed=3)
    assert (again.raw == volume.raw).all()
    assert (again.labels == volume.labels).all()
    assert (again.centre_lines.positions == volume.centre_lines.positions).all()
    assert (other.raw != volume.raw).mean() > 0.5
    assert (other.labels != volume.labels).mean() > 0.1


def test_each_label_is_one_connected_object(volume):
    import cc3d

    ids = np.unique(volume.labels)
    assert ids.tolist() == list(range(len(ids)))
    assert all(cc3d.connected_components(volume.labels == i, connectivity=6).max() == 1 for i in ids[1:])
    assert np.bincount(volume.labels.ravel().astype(int))[1:].min() >= 200


def test_axons_are_pale_in_dark_sheaths(volume):
    """The shell around the axons' insides against the insides; the same image turned around is less different."""
    from scipy.ndimage import distance_transform_edt

    inside = volume.labels > 0
    outside, depth = distance_transform_edt(~inside), distance_transform_edt(inside)
    shell, middle = (outside >= 2) & (outside < 4), depth > 4
    raw = volume.raw.astype(float)
    difference = raw[middle].mean() - raw[shell].mean()
    assert difference > 25
    turned = raw[::-1, ::-1, ::-1]
    assert abs(turned[middle].mean() - turned[shell].mean()) < difference / 2


def test_intensity_alone_does_not_tell_axons(volume):
    """No threshold of raw is right for more than nine voxels in ten."""
    inside = volume.labels > 0
    right = [((volume.raw > threshold) == inside).mean() for threshold in range(60, 200, 4)]
    assert 0.6 < max(right) < 0.9


def indices(positions):
    return tuple((positions // VOXEL).astype(int).T)


def test_centre_lines_lie_in_their_axons(volume):
    lines = volume.centre_lines
    assert (volume.labels[indices(lines.positions)] == lines.labels).all()
    assert (lines.labels > 0).all()
    steps = np.linalg.norm(np.subtract(*lines.positions[lines.edges.T]), axis=1)
    assert 150 < np.median(steps) < 300
    assert (lines.labels[lines.edges[:, 0]] == lines.labels[lines.edges[:, 1]]).all()
    assert (np.diff(lines.edges) == 1).all()
    shifted = np.roll(volume.labels, 9, (0, 1, 2))  # other labels are not under them
    assert (shifted[indices(lines.positions)] != lines.labels).mean() > 0.2


def test_most_axons_have_a_centre_line(volume):
    """All large ones but those of which the volume has a corner."""
    sizes = np.bincount(volume.labels.ravel().astype(int))
    sizes[0] = 0
    large = np.argsort(sizes)[-5:]
    assert len(set(large) & set(volume.centre_lines.labels.astype(int))) >= 4


def test_centre_lines_run_in_the_middle(volume):
    """Deeper inside than the axons' voxels are on the whole."""
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(volume.labels > 0)
    assert np.median(depth[indices(volume.centre_lines.positions)]) > 1.4 * np.median(depth[volume.labels > 0])


def test_fascicles_cross():
    rng = np.random.default_rng(0)
    fascicles = Fascicles(rng)
    directions = np.array([fascicles(np.array([0.0, y, 0.0]), rng) for y in range(0, 8000, 50)])
    along = np.abs(directions @ fascicles.directions[0]) > 0.9
    across = np.abs(directions @ fascicles.directions[1]) > 0.9
    assert (along ^ across).all()
    assert 0.4 < along.mean() < 0.85


def test_sheaths_and_nodes():
    axons = grow_axons((6000.0, 3000.0, 3000.0), 0.35, np.random.default_rng(1))
    owners, radii = axons.neurites.owners, axons.neurites.radii
    assert axons.myelinated[owners].any()
    assert not axons.myelinated[owners].all()
    assert not (axons.glia & axons.myelinated).any()
    thick = axons.myelinated[owners] & (radii > 250)
    assert (axons.sheath[thick] > 50).all()
    assert (axons.sheath < radii).all()
    assert axons.myelinated[owners[axons.nodes]].all()
    assert 0 < len(axons.nodes) < 0.02 * len(owners)


@pytest.mark.parametrize("shape", [(30, 30, 30), (30, 41, 32)])
def test_small_and_odd_shapes(shape):
    volume = synthesize_axons(shape)
    assert volume.raw.shape == volume.labels.shape == shape
    assert volume.labels.max() >= 1


@pytest.mark.parametrize(("arguments", "message"), [
    ({"shape": (0, 40, 40)}, r"shape \(0, 40, 40\).*of 30 and more"),
    ({"shape": (40, 29, 40)}, r"shape \(40, 29, 40\)"),
    ({"shape": (40, 40)}, "three numbers"),
    ({"shape": (10**5, 10**5, 10**5)}, r"shape \(100000, 100000, 100000\): takes"),
    ({"density": 0}, "density 0"),
    ({"density": 1e9}, "above 0 and at most"),
    ({"density": float("nan")}, "density nan"),
])
def test_bad_input(arguments, message):
    with pytest.raises(UserError, match=message):
        synthesize_axons(**{"shape": (40, 40, 40), **arguments})
