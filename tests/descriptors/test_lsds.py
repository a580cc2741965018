import numpy as np
import pytest

from lsd_experiments.descriptors import COMPONENTS, COMPONENTS_2D, local_shape_descriptors
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

# (shape, sigma, voxel_size, downsample)
CASES = {
    "isotropic": ((6, 8, 11), 80.0, (8, 8, 8), 1),
    "small window": ((6, 8, 11), 16.0, (8, 8, 8), 1),
    "zebrafinch": ((6, 8, 10), 120.0, (20, 9, 9), 2),
    "sigma per axis": ((6, 8, 11), (60.0, 30.0, 20.0), (20, 9, 9), 1),
    "fractional voxels": ((6, 6, 9), 20.0, (100 / 3, 4.6, 4.6), 3),
    "window within a voxel": ((4, 5, 6), 2.0, (20, 9, 9), 1),
    "many strips": ((2, 3, 40), 30.0, (8, 8, 8), 1),
    "2-D": ((9, 20), 24.0, (8, 8), 1),
    "2-D, sampled": ((8, 20), (24.0, 15.0), (9, 4), 2),
}


def some_labels(shape, objects=3, seed=1):
    """Blobs with holes, scattered voxels and background."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, objects + 1, [-(-s // 3) for s in shape])
    for axis in range(len(shape)):
        coarse = coarse.repeat(3, axis)
    labels = coarse[tuple(map(slice, shape))].astype(np.uint64)
    labels[random.random(shape) < 0.1] = objects + 1
    return labels


@pytest.mark.parametrize("case", CASES)
def test_equals_the_definition(case, definition):
    shape, sigma, voxel_size, downsample = CASES[case]
    labels = some_labels(shape)
    lsds = local_shape_descriptors(labels, sigma, voxel_size, downsample)
    assert lsds.dtype == np.float32
    assert lsds.shape == ({2: 6, 3: 10}[labels.ndim], *shape)
    np.testing.assert_allclose(lsds, definition(labels, sigma, voxel_size, downsample), atol=3e-6)


def test_notices_another_window(definition):
    labels = some_labels((6, 8, 11))
    lsds = local_shape_descriptors(labels, 17.0, (8, 8, 8))
    assert np.abs(lsds - definition(labels, 16.0, (8, 8, 8))).max() > 1e-2


def test_a_line_of_three_voxels():
    # . 1 1 1 .   sigma of one voxel: the window is w(0) = 1, w(1) = exp(-1/2), w(2) = exp(-2), before it is normalised
    labels = np.array([[0, 1, 1, 1, 0]])
    lsds = local_shape_descriptors(labels, 10.0, (10, 10))
    w = np.exp(-0.5 * np.arange(-3, 4) ** 2)
    near, far = w[4], w[5]
    total, offset = 1 + near + far, near + 2 * far
    np.testing.assert_allclose(lsds[1, 0], [0, 0.5 + offset / total / 2, 0.5, 0.5 - offset / total / 2, 0], atol=1e-6)
    np.testing.assert_allclose(lsds[0, 0], [0, 0.5, 0.5, 0.5, 0], atol=1e-6)  # nothing above or below
    np.testing.assert_allclose(lsds[3, 0, 2], 2 * near / (1 + 2 * near), atol=1e-6)
    np.testing.assert_allclose(lsds[2, 0, 1:4], 1e-3 / 100, rtol=1e-6)  # flat: the floor
    np.testing.assert_allclose(lsds[4, 0], [0, 0.5, 0.5, 0.5, 0], atol=1e-6)  # flat: no correlation
    np.testing.assert_allclose(lsds[5, 0, 2], (1 + 2 * near) / w.sum() ** 2, atol=1e-6)


def test_offsets_point_into_the_object_and_correlations_follow_it():
    labels = np.zeros((9, 9, 9), int)
    for i in range(1, 8):
        labels[i, i, 8 - i] = 5  # along z and y, against x
    lsds = local_shape_descriptors(labels, 30.0, (10, 10, 10))
    assert (lsds[:3, 1, 1, 7] > [0.5, 0.5, 0]).all()
    assert lsds[2, 1, 1, 7] < 0.5
    np.testing.assert_allclose(lsds[6:9, 4, 4, 4], [1, 0, 0], atol=1e-5)


def test_an_object_sees_only_itself():
    labels = some_labels((6, 8, 10))
    other = np.where(labels == 2, 0, labels)
    lsds, without = (local_shape_descriptors(values, 40.0, (20, 9, 9), 2) for values in (labels, other))
    np.testing.assert_array_equal(np.where(labels == 2, 0, lsds), without)
    assert (lsds != without).any()
    merged = local_shape_descriptors(np.where(labels == 2, 1, labels), 40.0, (20, 9, 9), 2)
    assert np.abs(merged - lsds)[:, labels == 1].max() > 1e-2


def test_background_is_zero():
    labels = some_labels((6, 8, 10))
    lsds = local_shape_descriptors(labels, 40.0, (20, 9, 9))
    assert not lsds[:, labels == 0].any()
    assert (lsds[9][labels != 0] > 0).all()
    assert not local_shape_descriptors(np.zeros((4, 4, 4), int), 40.0, (20, 9, 9)).any()


def test_an_object_that_sampling_misses_has_no_offset_and_no_size():
    labels = np.ones((4, 4, 4), int)
    labels[1, 1, 1] = 2
    lsds = local_shape_descriptors(labels, 40.0, (10, 10, 10), 2)
    np.testing.assert_allclose(lsds[:, 1, 1, 1], [0.5] * 3 + [1e-3 / 1600] * 3 + [0.5] * 3 + [0], atol=1e-7)
    labels[0, 0, 0] = 2  # now it is sampled
    assert local_shape_descriptors(labels, 40.0, (10, 10, 10), 2)[9, 1, 1, 1] > 0


@pytest.mark.parametrize("dims", [2, 3])
def test_components_are_channels(dims):
    labels, known = some_labels((6, 8, 10)[-dims:]), "0123456789"[:{2: 6, 3: 10}[dims]]
    arguments = labels, 30.0, (20, 9, 9)[-dims:], 2
    lsds = local_shape_descriptors(*arguments)
    for components in {known[a:b] for a in range(len(known)) for b in range(a + 1, len(known) + 1)} | {known[::2]}:
        chosen = local_shape_descriptors(*arguments, components)
        np.testing.assert_array_equal(chosen, lsds[[int(c) for c in components]])


def test_channels_are_named():
    assert list(COMPONENTS) == list(range(10))
    assert [COMPONENTS[c][0] for c in COMPONENTS_2D.values()] == [
        "offset y", "offset x", "variance yy", "variance xx", "correlation yx", "size"]


@pytest.mark.parametrize(("downsample", "roi"), [
    (1, Box((2, 0, 5), (5, 7, 12))), (2, Box((2, 4, 6), (6, 8, 14))), (2, Box((0, 0, 0), (8, 10, 16)))])
def test_roi_is_a_crop(downsample, roi):
    labels = some_labels((8, 10, 16), objects=8)
    arguments = 25.0, (20, 9, 9), downsample
    whole = local_shape_descriptors(labels, *arguments)[(slice(None), *roi.slices)]
    np.testing.assert_allclose(local_shape_descriptors(labels, *arguments, roi=roi), whole, atol=1e-6)
    if roi.shape != labels.shape:
        assert np.abs(local_shape_descriptors(labels[roi.slices], *arguments) - whole).max() > 1e-2


def test_roi_in_two_dimensions():
    labels, roi = some_labels((8, 20)), Box((2, 6), (6, 18))
    whole = local_shape_descriptors(labels, 20.0, (9, 4), 2)
    inside = local_shape_descriptors(labels, 20.0, (9, 4), 2, roi=roi)
    np.testing.assert_allclose(inside, whole[:, 2:6, 6:18], atol=1e-6)
    assert local_shape_descriptors(labels, 20.0, (9, 4), 2, roi=Box((2, 6), (2, 18))).shape == (6, 0, 12)


def test_nothing_beyond_three_sigma_matters():
    labels = np.ones((1, 1, 40), int)
    roi = Box((0, 0, 20), (1, 1, 21))
    reach = 6
    sizes = []
    for distance in (reach, reach + 1):
        cut = labels.copy()
        cut[..., :20 - distance + 1] = 0
        sizes.append(local_shape_descriptors(cut, 20.0, (10, 10, 10), roi=roi)[9].item())
    whole = local_shape_descriptors(labels, 20.0, (10, 10, 10), roi=roi)[9].item()
    assert sizes[1] == pytest.approx(whole, abs=1e-7)
    assert sizes[0] < whole - 1e-6


def test_types_and_layouts_of_labels():
    labels = some_labels((6, 8, 10), objects=2)
    expected = local_shape_descriptors(labels, 30.0, (20, 9, 9))
    read_only = labels.copy()
    read_only.setflags(write=False)
    far_apart = np.array([0, 2**60, 2**60 + 1, 2**63 + 5], np.uint64)[labels]  # doubles cannot tell the first two apart
    for same in (labels.astype(np.uint8), -labels.astype(np.int64), np.asfortranarray(labels), read_only, far_apart):
        before = same.copy()
        np.testing.assert_allclose(local_shape_descriptors(same, 30.0, (20, 9, 9)), expected, atol=1e-6)
        np.testing.assert_array_equal(same, before)
    foreground = local_shape_descriptors(labels > 0, 30.0, (20, 9, 9))
    np.testing.assert_array_equal(foreground, local_shape_descriptors((labels > 0) * 7, 30.0, (20, 9, 9)))


@pytest.mark.parametrize(("changes", "words"), [
    ({"labels": np.zeros((4, 4, 4))}, "float64: expected integers"),
    ({"labels": np.zeros(4, int)}, r"shape \(4,\): expected the axes"),
    ({"labels": np.zeros((4, 5, 4), int), "downsample": 2}, r"\(4, 5, 4\).*nearest that is: \(4, 4, 4\)"),
    ({"labels": np.zeros((1, 4, 4), int), "downsample": 4}, r"nearest that is: \(4, 4, 4\)"),
    ({"downsample": 0}, "downsample=0"),
    ({"downsample": 1.5}, "downsample=1.5"),
    ({"sigma": (80, 80)}, r"sigma=\(80, 80\): expected 3 numbers"),
    ({"sigma": 0}, "sigma=0: every number must be"),
    ({"sigma": "wide"}, "sigma='wide': expected numbers"),
    ({"voxel_size": (8, 8)}, "voxel_size=.*expected 3 numbers"),
    ({"voxel_size": 8}, "voxel_size=8: expected 3 numbers"),
    ({"voxel_size": (8, -8, 8)}, "more than 0 nm"),
    ({"voxel_size": (8, float("nan"), 8)}, "finite"),
    ({"components": "0a"}, "'a' is no channel; in 3-D the channels are 0 to 9"),
    ({"components": "901"}, "use '019'"),
    ({"components": "00"}, "use '0'"),
    ({"components": ""}, "expected a string"),
    ({"labels": np.zeros((4, 4), int), "voxel_size": (8, 8), "components": "6"}, "in 2-D the channels are 0 to 5"),
    ({"roi": Box((0, 0, 0), (4, 4, 5))}, "not inside the labels"),
    ({"roi": Box((0, 0), (4, 4))}, "not inside the labels"),
    ({"roi": Box((0, 1, 0), (4, 4, 4)), "downsample": 2}, r"the nearest around it: \(0, 0, 0\) to \(4, 4, 4\)"),
])
def test_refusals(changes, words):
    arguments = {"labels": np.zeros((4, 4, 4), int), "sigma": 80.0, "voxel_size": (8, 8, 8)}
    local_shape_descriptors(**arguments)
    with pytest.raises(UserError, match=words):
        local_shape_descriptors(**{**arguments, **changes})
