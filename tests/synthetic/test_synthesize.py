"""Synthetic volumes: repeatable, labelled, and dark where neurites meet."""

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.synthetic import synthesize
from lsd_experiments.synthetic.noise import smooth_noise

SHAPE = (24, 90, 110)


@pytest.fixture(scope="module")
def volume():
    return synthesize(SHAPE, (20, 9, 9), seed=5)


def test_types_and_shapes(volume):
    assert (volume.raw.dtype, volume.labels.dtype) == (np.uint8, np.uint64)
    assert volume.raw.shape == volume.labels.shape == SHAPE
    assert 8 <= volume.labels.max() < 60
    assert (volume.labels == 0).mean() < 0.01
    assert volume.raw.std() > 20
    assert (volume.raw == 255).mean() < 0.01  # not overexposed
    assert (volume.raw == 0).mean() < 0.01


def test_equal_seeds_give_equal_volumes(volume):
    again, other = synthesize(SHAPE, (20, 9, 9), seed=5), synthesize(SHAPE, (20, 9, 9), seed=6)
    assert (again.raw == volume.raw).all()
    assert (again.labels == volume.labels).all()
    assert (other.raw != volume.raw).mean() > 0.5
    assert (other.labels != volume.labels).mean() > 0.1


def test_each_label_is_one_connected_object(volume):
    import cc3d

    ids = np.unique(volume.labels)
    ids = ids[ids > 0]
    assert ids.tolist() == list(range(1, len(ids) + 1))
    assert all(cc3d.connected_components(volume.labels == i, connectivity=6).max() == 1 for i in ids)
    sizes = np.bincount(volume.labels.ravel().astype(int))[1:]
    assert sizes.min() >= 200


def test_membranes_are_dark_and_cytoplasm_is_bright(volume):
    """Boundaries between neurites in a section, against the places two voxels or more away from any."""
    from scipy.ndimage import distance_transform_edt

    labels = volume.labels
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[..., 1:] |= labels[..., 1:] != labels[..., :-1]
    far = distance_transform_edt(~edge, sampling=(20, 9, 9)) > 60
    assert np.median(volume.raw[edge]) + 40 < np.median(volume.raw[far])
    inside = np.roll(volume.raw, (17, 13), (1, 2))  # the same image elsewhere knows nothing of these boundaries
    assert abs(np.median(inside[edge]) - np.median(inside[far])) < 20


def test_neurites_run_through_sections(volume):
    """Most voxels carry on into the next section; a volume of independent sections would not."""
    labels = volume.labels
    through = (labels[1:] == labels[:-1]).mean()
    assert 0.8 < through < 0.99
    assert (labels[6:] == labels[:-6]).mean() < through - 0.1  # but they do not stand still


def test_voxel_size_is_heeded():
    """The same space in voxels twice as large has about as many neurites."""
    fine = synthesize((24, 96, 96), (20, 9, 9), seed=1).labels.max()
    coarse = synthesize((12, 48, 48), (40, 18, 18), seed=1).labels.max()
    assert 0.6 < coarse / fine < 1.4


def test_density():
    few, many = (synthesize((24, 96, 96), (20, 9, 9), density=d, seed=1).labels.max() for d in (1, 8))
    assert few < many


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 40), (17, 5, 33)])
def test_odd_shapes(shape):
    volume = synthesize(shape)
    assert volume.raw.shape == shape
    assert volume.labels.max() >= 1


@pytest.mark.parametrize(("arguments", "message"), [
    ({"shape": (0, 10, 10)}, r"shape \(0, 10, 10\)"),
    ({"shape": (10, -1, 10)}, "positive numbers of voxels"),
    ({"shape": (10, 10)}, "three"),
    ({"voxel_size": (20, 0, 9)}, "voxel size"),
    ({"voxel_size": (20, float("nan"), 9)}, "voxel size"),
    ({"voxel_size": (9, 9)}, "voxel size"),
    ({"voxel_size": (20, 9, 1e-3)}, "three sizes from 0.5 to 150 nm"),
    ({"voxel_size": (1e6, 1e6, 1e6)}, "three sizes from 0.5 to 150 nm"),
    ({"shape": (10**5, 10**5, 10**5)}, r"shape \(100000, 100000, 100000\): takes 5.96e\+07 GiB of memory"),
    ({"density": 0}, "density 0"),
    ({"density": 1e9}, "above 0 and at most 118"),
    ({"density": float("inf")}, "density inf"),
    ({"seed": -1}, "seed -1"),
])
def test_bad_input(arguments, message):
    with pytest.raises(UserError, match=message):
        synthesize(**{"shape": (4, 8, 8), **arguments})


def test_smooth_noise_has_its_scale_and_variance():
    noise = smooth_noise((200, 300), (10, 1), np.random.default_rng(0))
    assert noise.shape == (200, 300)
    assert noise.dtype == np.float32
    assert noise.std() == pytest.approx(1, abs=0.1)
    along, across = np.diff(noise, axis=0).std(), np.diff(noise, axis=1).std()
    assert along < 0.25 < across  # smooth over 10 voxels along the first axis, hardly over 1 along the second
