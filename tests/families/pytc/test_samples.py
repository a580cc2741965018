"""Samples: where they come from, what happens to them, and that they depend on seed, iteration and slot only."""

import copy
import itertools
import json

import numpy as np
import pytest
from PIL import Image
from skimage.filters import gaussian

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.rejection import Rejection
from lsd_experiments.families.pytc.samples import Augmentor, Sampler, Source, effects, open_sources
from lsd_experiments.families.pytc.samples.copying import copy_paste
from lsd_experiments.families.pytc.samples.smoothing import smooth_outlines
from lsd_experiments.families.pytc.samples.sources import Chunks, read_beyond, to_uint8
from lsd_experiments.families.pytc.samples.tiles import chunk_box, open_tiles
from lsd_experiments.geometry import Box

OFF = {"ENABLED": False, "P": 1.0}
DEFAULTS = {
    "SMOOTH": False,
    "ROTATE": {"ENABLED": True, "ROT90": True, "P": 1.0}, "RESCALE": {"ENABLED": True, "P": 0.5},
    "FLIP": {"ENABLED": True, "P": 1.0, "DO_ZTRANS": 0}, "ELASTIC": {"ENABLED": True, "P": 0.75, "ALPHA": 16.0, "SIGMA": 4.0},
    "GRAYSCALE": {"ENABLED": True, "P": 0.75}, "MISSINGPARTS": {"ENABLED": True, "P": 0.9, "ITER": 64},
    "MISSINGSECTION": {"ENABLED": True, "P": 0.5, "NUM_SECTION": 2},
    "MISALIGNMENT": {"ENABLED": True, "P": 0.5, "DISPLACEMENT": 16, "ROTATE_RATIO": 0.5},
    "MOTIONBLUR": {"ENABLED": True, "P": 0.5, "SECTIONS": 2, "KERNEL_SIZE": 11},
    "CUTBLUR": {"ENABLED": True, "P": 0.5, "LENGTH_RATIO": 0.4, "DOWN_RATIO_MIN": 2.0, "DOWN_RATIO_MAX": 8.0,
                "DOWNSAMPLE_Z": False},
    "CUTNOISE": {"ENABLED": True, "P": 0.75, "LENGTH_RATIO": 0.4, "SCALE": 0.3},
    "COPYPASTE": {"ENABLED": False, "AUG_THRES": 0.7, "P": 0.8},
}
NAMES = [name for name in DEFAULTS if name != "SMOOTH"]
SMALL = DEFAULTS | {  # for small volumes
    "ELASTIC": DEFAULTS["ELASTIC"] | {"ALPHA": 3.0}, "MISALIGNMENT": DEFAULTS["MISALIGNMENT"] | {"DISPLACEMENT": 4}}
GEOMETRIC = ("ROTATE", "RESCALE", "FLIP", "ELASTIC", "MISSINGSECTION", "MISALIGNMENT")


def only(*names, **options):
    """AUGMENTOR with these augmentations, always."""
    chosen = copy.deepcopy(DEFAULTS)
    for name in NAMES:
        chosen[name] |= {"ENABLED": name in names, "P": 1.0} | options.get(name, {})
    return chosen


def volumes(directory, shape=(12, 60, 64), name="a"):
    """Image and labels, an npy file each, of which the image is a function of the labels; and a mask."""
    random = np.random.default_rng(sum(map(ord, name)))
    blocks = random.permutation(np.arange(1, 61)).astype(np.uint16)
    z, y, x = np.meshgrid(*map(np.arange, shape), indexing="ij")
    labels = blocks[(z // 4 * 15 + y // 20 * 5 + x // 13) % 60]
    labels[(y % 20 == 0) | (x % 13 == 0)] = 0
    image = (labels * 4).astype(np.uint8)
    mask = (x < shape[2] // 2).astype(np.uint8)
    paths = [directory / f"{name}_{kind}.npy" for kind in ("image", "label", "mask")]
    for path, array in zip(paths, (image, labels, mask), strict=True):
        np.save(path, array)
    return paths, image, labels, mask


@pytest.fixture
def source(tmp_path):
    (image, labels, _), *_ = volumes(tmp_path)
    return open_sources([image], [labels], normalize=False)[0]


def sampler(source, options=None, shape=(5, 17, 17), **more):
    given = {"targets": ["2"], "weights": [["1", "0"]]} | more
    return Sampler([source], Augmentor(shape, options), **given)


def same(one, other):
    np.testing.assert_array_equal(one.image, other.image)
    for a, b in zip(one.targets, other.targets, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(itertools.chain(*one.weights), itertools.chain(*other.weights), strict=True):
        np.testing.assert_array_equal(a, b)


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


def test_sources_are_drawn_by_their_places(tmp_path):
    small, large = (open_sources([paths[0]], [paths[1]])[0] for paths in (
        volumes(tmp_path, (5, 20, 20), "s")[0], volumes(tmp_path, (12, 60, 64), "b")[0]))
    both = Sampler([small, large], Augmentor((5, 17, 17)), ["0"], [["0"]])
    drawn = [both.sample(iteration, 0).place[0] for iteration in range(40)]
    assert 30 < sum(drawn) <= 40


def test_a_source_that_is_too_small(source):
    with pytest.raises(UserError, match=r"a_image.npy: has \(12, 60, 64\) voxels.*\(19, 372, 372\)"):
        sampler(source, DEFAULTS, (17, 257, 257))


def test_padding_is_a_mirror(tmp_path):
    (image, labels, _), values, _, _ = volumes(tmp_path)
    source, = open_sources([image], [labels], pad=(2, 8, 9), normalize=False)
    padded = np.pad(values, ((2, 2), (8, 8), (9, 9)), mode="reflect")
    assert source.places((5, 17, 17)) == [12, 60, 66]
    np.testing.assert_array_equal(source.read_image((0, 0, 0), padded.shape), padded)
    for mode in ("reflect", "symmetric", "constant"):
        far = read_beyond(source.image, Box((-20, -3, 5), (-2, 70, 140)), mode)
        expected = np.pad(values, ((20, 10), (3, 10), (0, 80)), mode=mode)[:18, :73, 5:140]
        np.testing.assert_array_equal(far, expected)


def test_large_volumes_are_read_box_by_box(tmp_path):
    (image, labels, mask), *_ = volumes(tmp_path)
    options = DEFAULTS | {"RESCALE": OFF}
    held, = open_sources([image], [labels], [mask], pad=(1, 5, 5))
    lazy, = open_sources([image], [labels], [mask], pad=(1, 5, 5), memory=0)
    assert lazy.high == np.load(image).max() < 255
    assert isinstance(held.image.array, np.ndarray)
    assert lazy.image.array is not held.image.array
    same(sampler(held, options, (3, 9, 9)).sample(5, 0), sampler(lazy, options, (3, 9, 9)).sample(5, 0))


def test_ranges_become_those_of_uint8(tmp_path):
    (_, labels, _), values, _, _ = volumes(tmp_path)
    np.save(tmp_path / "wide.npy", values.astype(np.float32) * 10 - 300)
    for memory in (0, 2**30):
        source, = open_sources([tmp_path / "wide.npy"], [labels], memory=memory)
        image = source.read_image((0, 0, 0), (12, 60, 64))
        assert (image.min(), image.max()) == (0, 255)
        np.testing.assert_allclose(image, values / values.max() * 255, atol=0.51)
    with pytest.raises(UserError, match=r"NORMALIZE_RANGE"):
        open_sources([tmp_path / "wide.npy"], [labels], normalize=False)
    assert to_uint8(np.full(3, 7.0), 7, 7).tolist() == [0, 0, 0]


def test_volumes_are_scaled(tmp_path):
    (image, labels, _), _, ids, _ = volumes(tmp_path)
    source, = open_sources([image], [labels], scale=(1, 0.5, 2))
    assert source.image.shape == source.labels.shape == (12, 30, 128)
    assert set(np.unique(source.labels.read())) <= set(np.unique(ids))
    with pytest.raises(UserError, match=r"DATASET.DATA_SCALE"):
        open_sources([image], [labels], scale=(1, 2, 2), memory=0)


def test_wrong_sources(tmp_path):
    (image, labels, mask), *_ = volumes(tmp_path)
    (other, *_), *_ = volumes(tmp_path, (12, 60, 60), "c")
    with pytest.raises(UserError, match=r"a_label.npy: has \(12, 60, 64\) voxels"):
        open_sources([other], [labels])
    with pytest.raises(UserError, match=r"2 images have 1 labels and 1 masks"):
        open_sources([image, image], [labels], [mask])
    with pytest.raises(UserError, match=r"there is no such file"):
        open_sources([tmp_path / "*.png"], [labels])


def test_binary_labels_and_kept_ids(tmp_path):
    (image, labels, _), _, ids, _ = volumes(tmp_path)
    binary, = open_sources([image], [labels], binary=True)
    assert set(np.unique(binary.read_labels((0, 0, 0), (12, 60, 64)))) == {0, 1}
    source, = open_sources([image], [labels])
    made = sampler(source, targets=["1"], weights=[["0"]]).sample(0, 0)
    z, y, x = made.place[1]
    np.testing.assert_array_equal(made.targets[0][0], ids[z:z + 5, y:y + 17, x:x + 17] % 2)


def test_labels_as_colours(tmp_path):
    (image, labels, _), _, ids, _ = volumes(tmp_path)
    (tmp_path / "colours").mkdir()
    wide = ids.astype(np.uint32) * 70000
    for z, section in enumerate(np.stack([wide >> 16, wide >> 8 & 255, wide & 255], -1).astype(np.uint8)):
        Image.fromarray(section).save(tmp_path / "colours" / f"{z}.png")
    for memory in (0, 2**30):
        for name in ("colours", "colours/*.png"):
            source, = open_sources([image], [tmp_path / name], vast=True, memory=memory)
            np.testing.assert_array_equal(source.read_labels((1, 2, 3), (4, 5, 6)), wide[1:5, 2:7, 3:9])
    with pytest.raises(UserError, match=r"colours: has 3 channels"):
        open_sources([image], [tmp_path / "colours"])
    with pytest.raises(UserError, match=r"DATASET.LABEL_VAST"):
        open_sources([image], [labels], vast=True)


def test_ids_that_are_none_are_refused(tmp_path):
    (image, *_), _, ids, _ = volumes(tmp_path)
    np.save(tmp_path / "negative.npy", ids.astype(np.int64) - 1)
    np.save(tmp_path / "float.npy", ids.astype(np.float32))
    for memory in (0, 2**30):
        source, = open_sources([image], [tmp_path / "negative.npy"], memory=memory)
        with pytest.raises(UserError, match=r"negative.npy: has the negative id -1"):
            sampler(source, shape=(5, 40, 40)).sample(0, 0)
    with pytest.raises(UserError, match=r"float.npy is of type float32; labels are integers"):
        open_sources([image], [tmp_path / "float.npy"])


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


def tiles(directory, values, size, name, first=1, colour=False):
    """A volume of tiles with a JSON file, a tile of which is missing."""
    (directory / name).mkdir()
    for z, section in enumerate(values):
        for row, column in itertools.product(range(-(-values.shape[1] // size)), range(-(-values.shape[2] // size))):
            part = section[row * size:(row + 1) * size, column * size:(column + 1) * size]
            if colour:
                part = np.stack([part >> 16, part >> 8 & 255, part & 255], -1).astype(np.uint8)
            Image.fromarray(part).save(directory / name / f"{z}_{row + first}_{column + first}.png")
    depth, height, width = values.shape
    said = {"depth": depth, "height": height, "width": width, "tile_size": size, "tile_st": [first, first], "tile_ratio": 1,
            "dtype": "uint32" if colour else "uint8", "image": [f"{name}/{z}_{{row}}_{{column}}.png" for z in range(depth)]}
    (directory / f"{name}.json").write_text(json.dumps(said | {"ndim": 1}))
    return directory / f"{name}.json"


def test_volumes_of_tiles(tmp_path):
    _, values, ids, _ = volumes(tmp_path)
    path = tiles(tmp_path, values, 25, "im")
    np.testing.assert_array_equal(open_tiles(path).read(), values)
    np.testing.assert_array_equal(open_tiles(path).read(Box((3, 20, 26), (5, 51, 27))), values[3:5, 20:51, 26:27])
    (tmp_path / "im" / "2_1_2.png").unlink()
    assert (open_tiles(path).read()[2, :25, 25:50] == 128).all()
    wide = ids.astype(np.uint32) * 70000
    labels = tiles(tmp_path, wide, 40, "seg", first=0, colour=True)
    np.testing.assert_array_equal(open_tiles(labels, of_labels=True).read(), wide)


@pytest.mark.parametrize(("change", "message"), [
    ({"image": []}, "names 0 sections"), ({"tile_size": 0}, "tile_size"), ({"dtype": "float32"}, "float32"),
    ({"image": ["x_{row}.png"] * 12}, "no tile of the first section"),
    *(({"image": [f"x_{wrong}.png"] * 12}, "has other fields than {row} and {column}") for wrong in ("{r}", "{", "{}")),
])
def test_wrong_volumes_of_tiles(tmp_path, change, message):
    path = tiles(tmp_path, volumes(tmp_path)[1], 40, "im")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message) as raised:
        open_tiles(path)
    assert str(path) in str(raised.value)


def test_tiles_that_hold_more_than_is_said(tmp_path):
    """Ids above 255 are not cut to uint8; those that fit are taken as they are."""
    values = np.full((2, 30, 20), 255, np.uint16)
    path = tiles(tmp_path, values, 16, "seg")
    assert (open_tiles(path, of_labels=True).read() == 255).all()
    Image.fromarray(values[0, :14, :4] + 1).save(tmp_path / "seg/1_2_2.png")
    with pytest.raises(UserError, match=r"1_2_2\.png: has values from 256 to 256, but 'dtype' of its JSON file is uint8, to 255"):
        open_tiles(path, of_labels=True).read()
    path.write_text(path.read_text().replace("uint8", "uint16"))
    assert open_tiles(path, of_labels=True).read()[1, -1, -1] == 256


@pytest.mark.parametrize("text", ["{", "[]", None])
def test_files_that_are_no_volumes_of_tiles(tmp_path, text):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"a.json"):
        open_tiles(tmp_path / "a.json")


def test_chunks_cover_the_volume_and_take_turns(tmp_path):
    shape, numbers = (12, 60, 64), (1, 2, 3)
    for overlap in (False, True):
        covered = np.zeros(shape, int)
        for chunk in range(6):
            covered[chunk_box(shape, numbers, chunk, overlap).slices] += 1
        assert covered.min() >= 1
        assert (covered.max() > 1) == overlap
    chunks = Chunks(numbers, iterations=10)
    turns = [chunks.at(iteration, 0) for iteration in range(0, 120, 10)]
    assert sorted(turns[:6]) == sorted(turns[6:]) == list(range(6))
    assert chunks.at(19, 0) == turns[1]
    assert [chunks.at(iteration, 1) for iteration in range(0, 120, 10)] != turns


def test_samples_of_chunks(tmp_path):
    _, values, ids, _ = volumes(tmp_path)
    image, labels = tiles(tmp_path, values, 25, "im"), tiles(tmp_path, ids.astype(np.uint8), 25, "seg")
    chunks = Chunks((1, 2, 2), iterations=2, overlap=False)
    source, = open_sources([image], [labels], pad=(0, 4, 4), chunks=chunks)
    drawn = sampler(source)
    for iteration in (0, 1, 2, 5):
        made = drawn.sample(iteration, 0)
        box = chunk_box(values.shape, (1, 2, 2), chunks.at(iteration, 0), False)
        padded = np.pad(values, ((0, 0), (4, 4), (4, 4)), mode="reflect")
        z, y, x = (b + p for b, p in zip(box.begin, made.place[1], strict=True))
        np.testing.assert_allclose((made.image[0] + 1) / 2 * 255, padded[z:z + 5, y:y + 17, x:x + 17], atol=1e-4)
    same(drawn.sample(0, 0), sampler(source).sample(0, 0))
    with pytest.raises(UserError, match=r"a chunk has \(12, 30, 32\)"):
        sampler(source, shape=(5, 40, 40))


def test_batches_are_the_same_for_all_numbers_of_workers_and_processes(source):
    torch = pytest.importorskip("torch")
    from lsd_experiments.families.pytc.samples.loader import load_batches

    drawn = sampler(source, SMALL, (3, 9, 9))
    whole = list(load_batches(drawn, range(2, 5), 4))
    assert [batch.iteration for batch in whole] == [2, 3, 4]
    assert whole[0].image.shape == (4, 1, 3, 9, 9)
    assert whole[0].weights[0][1].shape == (4, 1)  # none
    resumed = next(iter(load_batches(drawn, range(4, 5), 4, workers=2)))
    assert torch.equal(resumed.image, whole[2].image)
    parts = [list(load_batches(drawn, range(2, 5), 4, rank, 2)) for rank in range(2)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert torch.equal(batch.image, torch.cat([share.image for share in shares]))
        assert torch.equal(batch.targets[0], torch.cat([share.targets[0] for share in shares]))
    with pytest.raises(UserError, match=r"SAMPLES_PER_BATCH: 4 samples cannot be shared by 3"):
        load_batches(drawn, range(2), 4, 0, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_workers_meet_is_said_in_one_line(tmp_path, workers):
    pytest.importorskip("torch")
    from lsd_experiments.families.pytc.samples.loader import load_batches

    (image, labels, _), *_ = volumes(tmp_path)
    source, = open_sources([image], [labels])
    impossible = sampler(source, rejection=Rejection(size=10**6, probability=1.0))
    with pytest.raises(UserError) as raised:
        list(load_batches(impossible, range(1), 2, workers=workers))
    assert str(raised.value).startswith("DATASET.REJECT_SAMPLING")
    assert "\n" not in str(raised.value)


def test_workers_read_files_that_do_not_fit_into_memory(tmp_path):
    torch = pytest.importorskip("torch")
    import h5py

    from lsd_experiments.families.pytc.samples.loader import load_batches

    _, image, labels, _ = volumes(tmp_path)
    for name, values in (("image.h5", image), ("label.h5", labels)):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("main", data=values, chunks=(2, 16, 16), compression="gzip")
    drawn = [sampler(open_sources([tmp_path / "image.h5"], [tmp_path / "label.h5"], memory=memory, normalize=False)[0], SMALL,
                     (3, 9, 9)) for memory in (2**30, 0)]
    held, lazy = (list(load_batches(each, range(6), 2, workers=workers)) for each, workers in zip(drawn, (0, 2), strict=True))
    assert all(torch.equal(one.image, other.image) for one, other in zip(held, lazy, strict=True))


def test_a_source_says_what_it_lacks(source):
    assert isinstance(source, Source)
    assert source.read_mask((0, 0, 0), (2, 3, 4)) is None
