"""What happens to samples, and that they depend on seed, iteration and slot only."""

import itertools

import numpy as np
import pytest
from skimage.filters import gaussian

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.rejection import Rejection
from lsd_experiments.families.pytc.samples import Augmentor, Sampler, effects, open_sources
from lsd_experiments.families.pytc.samples.copying import copy_paste
from lsd_experiments.families.pytc.samples.smoothing import smooth_outlines
from tests.families.pytc.small import DEFAULTS, SMALL, only, same, sampler, volumes

GEOMETRIC = ("ROTATE", "RESCALE", "FLIP", "ELASTIC", "MISSINGSECTION", "MISALIGNMENT")


def test_the_published_size_of_a_sample():
    assert Augmentor((17, 257, 257), DEFAULTS).source_shape == (19, 372, 372)
    assert Augmentor((17, 257, 257), only("ROTATE", ROTATE={"ROT90": False})).source_shape == (17, 365, 365)
    assert Augmentor((17, 257, 257)).source_shape == (17, 257, 257)
    assert Augmentor((1, 257, 257), only("MISSINGSECTION", "MISALIGNMENT")).source_shape == (1, 257, 257)


def test_without_augmentation_a_sample_is_a_part_of_the_volume(source):
    made = sampler(source).sample(3, 1)
    z, y, x = made.place[1]
    box = np.s_[z:z + 5, y:y + 17, x:x + 17]
    np.testing.assert_allclose(made.image[0], (source.image.read()[box] / np.float32(255) - 0.5) / 0.5, atol=1e-6)
    np.testing.assert_array_equal(made.labels > 0, source.labels.read()[box] > 0)
    assert sorted(np.unique(made.labels)) == list(range(made.labels.max() + 1))
    assert made.targets[0].shape == made.weights[0][0].shape == (3, 5, 17, 17)


def test_a_sample_is_a_function_of_seed_iteration_and_slot(source):
    one, other = sampler(source, SMALL), sampler(source, SMALL)
    other.sample(0, 0)
    same(one.sample(7, 1), other.sample(7, 1))
    for iteration, slot, seed in ((7, 0, 0), (8, 1, 0), (7, 1, 1)):
        differing = sampler(source, SMALL, seed=seed).sample(iteration, slot)
        assert not np.array_equal(one.sample(7, 1).image, differing.image)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_labels_move_with_the_image(source, name):
    """The image says which label is where; but for interpolation, the moved one does."""
    changed = 0
    for iteration in range(6):
        made = sampler(source, only(name), targets=["9-99"], weights=[["0"]]).sample(iteration, 0)
        gray = (made.image[0] * 0.5 + 0.5) * 255 / 4
        exact = np.abs(gray - np.rint(gray)) < 1e-3
        agree = np.abs(gray - made.targets[0]) < 1e-3
        if name in ("ROTATE", "FLIP", "MISSINGSECTION"):
            assert agree.all()
        assert agree.mean() > 0.5
        assert (agree[exact & (gray > 0)]).mean() > 0.9
        changed += not np.array_equal(made.labels, sampler(source).sample(iteration, 0).labels)
    assert changed


def test_quarters_of_turns_and_flips_reach_all_eight(source):
    seen = set()
    square = Sampler([source], Augmentor((12, 60, 60), only("ROTATE", "FLIP")), ["0"], [["0"]])
    for iteration in range(60):
        made = square.sample(iteration, 0)
        whole = source.labels.read()[:, :, made.place[1][2]:made.place[1][2] + 60] > 0
        for turn, (flip, z) in itertools.product(range(4), itertools.product((1, -1), (1, -1))):
            if np.array_equal(np.rot90(whole, turn, (1, 2))[::z, ::flip], made.labels > 0):
                seen.add((turn, flip, z))
    assert len(seen) == 16


def test_missing_sections_leave_gaps(source):
    found = set()
    for iteration in range(30):
        geometry = Augmentor((5, 17, 17), only("MISSINGSECTION")).draw_geometry(np.random.default_rng(iteration))
        assert len(geometry.sections) == 5
        assert geometry.sections.min() == 0
        assert geometry.sections.max() == 6
        found.add(tuple(np.diff(geometry.sections)))
    assert len(found) > 3


def test_misalignment_moves_one_section_or_all_that_follow():
    kinds = set()
    for seed in range(60):
        options = only("MISALIGNMENT", MISALIGNMENT={"ROTATE_RATIO": 0.0})
        matrices = Augmentor((6, 65, 65), options).draw_geometry(np.random.default_rng(seed)).matrices
        steps = np.flatnonzero(np.abs(np.diff(matrices[:, :, 2], axis=0)).sum(axis=1))
        assert np.abs(matrices[:, :, 2]).max() <= 8
        assert len(steps) in (0, 1, 2)
        kinds.add(len(steps))
    assert {1, 2} <= kinds
    rotated = Augmentor((6, 65, 65), only("MISALIGNMENT", MISALIGNMENT={"ROTATE_RATIO": 1.0}))
    matrices = rotated.draw_geometry(np.random.default_rng(1)).matrices
    np.testing.assert_allclose(np.linalg.det(matrices[:, :, :2]), 1, atol=1e-6)
    assert not np.allclose(matrices, matrices[0])


def places_of(geometry):
    """Where voxels are read, [z, 2, y, x], in the source."""
    ones = np.ones((1, *geometry.grid.shape[1:]), np.float32)
    there = np.einsum("zij,jyx->ziyx", geometry.matrices, np.concatenate([geometry.grid, ones]))
    return there + np.array(geometry.centre)[:, None, None]


@pytest.mark.parametrize("quarters", [True, False])
def test_a_source_is_large_enough(quarters):
    """Nothing is read from outside of it by more than rounding."""
    augmentor = Augmentor((5, 65, 65), only(*GEOMETRIC, ROTATE={"ROT90": quarters}))
    _, height, width = augmentor.source_shape
    for seed in range(100):
        places = places_of(augmentor.draw_geometry(np.random.default_rng(seed)))
        assert places.min() > -0.5, seed
        assert (places.max(axis=(0, 2, 3)) < (height - 0.5, width - 0.5)).all(), seed
    without = Augmentor((5, 65, 65), only(*GEOMETRIC, RESCALE={"ENABLED": False}))
    assert without.source_shape[1] < height - 15


def test_scales_and_displacements_are_the_published_ones():
    factors, moved = [], []
    for seed in range(200):
        random = np.random.default_rng(seed)
        grid = Augmentor((1, 65, 65), only("RESCALE")).draw_geometry(random).grid
        factors.append((1 / np.ptp(grid[0, :, 0] / 64), 1 / np.ptp(grid[1, 0] / 64)))
        still = Augmentor((1, 65, 65), only()).draw_geometry(random).grid
        moved.append(Augmentor((1, 65, 65), only("ELASTIC")).draw_geometry(random).grid - still)
    factors = np.array(factors)
    assert (factors.min(), factors.max()) == (pytest.approx(0.8, abs=0.01), pytest.approx(1.25, abs=0.01))
    assert np.corrcoef(factors.T)[0, 1] == pytest.approx(0, abs=0.2)  # along y and x on their own
    expected = 16 * np.sqrt(1 / 3 / (4 * np.pi * 4**2))  # of noise uniform in -1 to 1, smoothed
    assert np.std(np.array(moved)[:, :, 16:-16, 16:-16]) == pytest.approx(expected, rel=0.1)


def test_what_spoils_an_image_changes_no_label(tmp_path):
    (image, labels, _), *_ = volumes(tmp_path)
    np.save(image, np.random.default_rng(2).integers(0, 256, (12, 60, 64), np.uint8))
    source, = open_sources([image], [labels])
    plain = sampler(source).sample(1, 0)
    for name in ("GRAYSCALE", "CUTNOISE", "CUTBLUR", "MOTIONBLUR", "MISSINGPARTS"):
        made = sampler(source, only(name, MISSINGPARTS={"ITER": 2})).sample(1, 0)
        assert not np.array_equal(made.image, plain.image), name
        assert np.abs(made.image).max() <= 1 + 1e-6, name
        np.testing.assert_array_equal(made.labels, plain.labels)
        unspoiled = sampler(source, only(name, **{name: {"P": 0.0}})).sample(1, 0)
        np.testing.assert_array_equal(unspoiled.image, plain.image)


def test_effects():
    random = np.random.default_rng(1)
    image = random.random((10, 50, 40), np.float32)
    noisy = image.copy()
    effects.cut_noise(noisy, 0.4, 0.3, random)
    changed = noisy != image
    assert changed.sum() == pytest.approx(4 * 20 * 16, rel=0.01)
    assert np.abs(noisy - image).max() <= 0.3 + 1e-6
    coarse = image.copy()
    effects.cut_blur(coarse, 0.4, 4, 4, False, random)
    assert (coarse != image).sum() == 4 * 20 * 16
    assert coarse.mean() == pytest.approx(image.mean(), abs=1e-6)
    assert len(np.unique(coarse[coarse != image])) == 4 * 5 * 4
    blurred = image.copy()
    effects.motion_blur(blurred, 2, 11, random)
    assert 1 <= (blurred != image).any(axis=(1, 2)).sum() <= 2
    blanked = image.copy()
    effects.missing_parts(blanked, 3, 1.0, random)
    assert (blanked != image).any(axis=(1, 2)).tolist() == [True, False, False] * 3 + [True]
    band = (blanked != image)[0]
    assert band.any(axis=0).all() or band.any(axis=1).all()  # from side to side
    assert np.ptp(blanked[0][band]) == 0


def test_outlines_are_smoothed_as_published():
    labels = np.zeros((2, 40, 44), np.int32)
    labels[0, 5:30, 4:20] = 2
    labels[0, 12:15, 20:40] = 2  # a thin arm, which goes
    labels[0, 31:, 20:] = 1  # at the border, where it stays
    labels[1] = np.random.default_rng(0).integers(0, 2, (40, 44))
    expected = labels.copy()
    for section in expected:
        for id_ in np.unique(section[section > 0]):
            mask = section == id_
            for _ in range(2):
                mask = gaussian(mask.astype(float), sigma=2, preserve_range=True) > 0.5
            section[section == id_] = 0
            section[mask] = id_
    smooth = smooth_outlines(labels)
    np.testing.assert_array_equal(smooth, expected)
    assert not smooth[0, 13, 35]
    assert smooth[0, 39, 43] == 1


def test_copies_have_labels_and_keep_apart():
    image, labels = np.full((6, 60, 60), 0.2, np.float32), np.zeros((6, 60, 60), np.int32)
    labels[1:3, 5:15, 20:35], image[1:3, 5:15, 20:35] = 1, 0.9
    before = labels.copy()
    copy_paste(image, labels, 0.7)
    copied = labels == 2
    assert 200 < copied.sum() <= 300
    assert (image[copied] > 0.5).mean() > 0.9
    np.testing.assert_array_equal(labels == 1, before == 1)
    full = np.ones((6, 60, 60), np.int32)
    copy_paste(image, full, 0.7)
    assert (full == 1).all()


def test_copy_paste_is_an_augmentation(tmp_path):
    labels = np.zeros((8, 60, 60), np.uint8)
    labels[1:3, 10:20, 10:30] = 1
    np.save(tmp_path / "i.npy", labels * 200)
    np.save(tmp_path / "l.npy", labels)
    source, = open_sources([tmp_path / "i.npy"], [tmp_path / "l.npy"])
    assert sampler(source, only("COPYPASTE"), (8, 60, 60)).sample(0, 0).labels.max() == 2
    assert sampler(source, only(), (8, 60, 60)).sample(0, 0).labels.max() == 1


def test_masks_are_cropped_from_the_mask(tmp_path):
    (image, labels, mask), _, _, where = volumes(tmp_path)
    source, = open_sources([image], [labels], [mask])
    made = sampler(source).sample(0, 0)
    z, y, x = made.place[1]
    np.testing.assert_array_equal(made.weights[0][0][0] > 0, where[z:z + 5, y:y + 17, x:x + 17] > 0)
    turned = [sampler(source, only("ROTATE", "FLIP")).sample(iteration, 0).weights[0][0][0] > 0 for iteration in range(20)]
    assert any(mask.any() and not mask.all() for mask in turned)


def test_samples_are_valid_in_more_than_half(tmp_path):
    (image, labels, mask), *_ = volumes(tmp_path)
    where = np.zeros((12, 60, 64), np.uint8)
    where[:, :, :20] = 1
    np.save(mask, where)
    source, = open_sources([image], [labels], [mask])
    shares = [(sampler(source).sample(iteration, 0).weights[0][0] > 0).mean() for iteration in range(20)]
    assert min(shares) > 0.5
    any_ = [(sampler(source, valid_ratio=-1).sample(iteration, 0).weights[0][0] > 0).mean() for iteration in range(20)]
    assert min(any_) < 0.5
    np.save(mask, where * 0)
    none, = open_sources([image], [labels], [mask])
    with pytest.raises(UserError, match=r"7 samples in turn were rejected.*valid masks"):
        sampler(none, trials=7).sample(0, 0)


def test_rejection_goes_on_until_a_sample_fits(tmp_path):
    labels = np.zeros((8, 60, 60), np.uint8)
    labels[4:, 40:, 40:] = 1
    np.save(tmp_path / "i.npy", labels)
    np.save(tmp_path / "l.npy", labels)
    source, = open_sources([tmp_path / "i.npy"], [tmp_path / "l.npy"])
    assert not all(sampler(source).sample(i, 0).labels.any() for i in range(20))
    demanding = sampler(source, rejection=Rejection(size=5, probability=1.0))
    assert all((demanding.sample(i, 0).labels > 0).sum() >= 5 for i in range(20))
    with pytest.raises(UserError, match=r"REJECT_SAMPLING: 1000 samples"):
        sampler(source, rejection=Rejection(size=10**6, probability=1.0)).sample(0, 0)


def test_z_and_x_change_places_only_in_cubes(source):
    options = only("FLIP", FLIP={"DO_ZTRANS": 1})
    with pytest.raises(UserError, match=r"AUGMENTOR.FLIP.DO_ZTRANS"):
        Augmentor((5, 17, 17), options)
    swapped = [sampler(source, options, (9, 9, 9)).sample(i, 0) for i in range(20)]
    plain = [sampler(source, only("FLIP"), (9, 9, 9)).sample(i, 0) for i in range(20)]
    turned = [np.array_equal(a.labels, b.labels.transpose(2, 1, 0)) for a, b in zip(swapped, plain, strict=True)]
    assert 0 < sum(turned) < 20
