"""Pictures: colours that match, panels of the right section and channels, and the file."""

from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.picture import colours_of, match_colours, panels, write_picture
from lsd_experiments.picture.figure import round_length
from tests.scripts import run_script

ROOT = Path(__file__).resolve().parents[2]
LABELS = np.array([[[1, 1, 1, 2, 2, 0]], [[3, 3, 3, 3, 0, 0]]], np.uint64)


def test_colours():
    colours = colours_of(np.arange(200, dtype=np.uint64))
    assert colours[0].tolist() == [0, 0, 0]
    assert len(np.unique(colours.round(6), axis=0)) == 200
    large = colours_of(np.arange(200, dtype=np.uint64) + np.uint64(2**63))  # blockwise ids are large
    assert len(np.unique(large.round(6), axis=0)) == 200
    assert (colours_of(np.array([5, 3])) == colours[[5, 3]]).all()


def test_segments_take_the_colour_of_their_label():
    renamed = LABELS * 7
    assert match_colours(renamed, LABELS) == {0: 0, 7: 1, 14: 2, 21: 3}


def test_the_smaller_part_of_a_split_has_a_colour_of_its_own():
    split = np.array([[[8, 8, 9, 4, 4, 0]], [[3, 3, 3, 3, 0, 0]]], np.uint64)
    matched = match_colours(split, LABELS)
    assert (matched[8], matched[4], matched[3], matched[0]) == (1, 2, 3, 0)
    assert matched[9] not in (0, 1, 2, 3, 8, 9)


def test_a_merge_has_the_colour_of_its_largest_label():
    merged = np.array([[[6, 6, 6, 6, 6, 6]], [[3, 3, 3, 3, 5, 0]]], np.uint64)
    matched = match_colours(merged, LABELS)
    assert (matched[6], matched[3]) == (1, 3)
    assert matched[5] not in (0, 1, 2, 3)  # only where nothing is labelled


def by_title(**arrays):
    return {panel.title.split(":")[0]: panel.image for panel in panels(**arrays)}


def test_panels_show_the_section_and_its_channels():
    raw = np.array([[[0, 255]], [[51, 102]]], np.uint8)
    affs = np.arange(3 * 2 * 1 * 2, dtype=np.float32).reshape(3, 2, 1, 2) / 20
    lsds = (np.arange(10 * 2 * 1 * 2) * 6).astype(np.uint8).reshape(10, 2, 1, 2)
    images = by_title(raw=raw, affs=affs, lsds=lsds, section=1)
    assert list(images) == ["raw", "affinities to z, y, x", "LSDs 0-2", "LSDs 3-5"]
    np.testing.assert_allclose(images["raw"][0, :, 0], [0.2, 0.4])
    np.testing.assert_allclose(images["affinities to z, y, x"][0, 1], affs[:, 1, 0, 1])
    np.testing.assert_allclose(images["LSDs 0-2"][0, 0], lsds[:3, 1, 0, 0] / 255)
    np.testing.assert_allclose(images["LSDs 3-5"][0, 0], lsds[3:6, 1, 0, 0] / 255)
    assert not np.allclose(by_title(raw=raw, section=0)["raw"], images["raw"])


def test_segmentation_and_ground_truth_look_alike_when_they_agree():
    images = by_title(segmentation=LABELS * 7, labels=LABELS, section=0)
    assert (images["segmentation"] == images["ground truth"]).all()
    wrong = by_title(segmentation=np.full_like(LABELS, 4), labels=LABELS, section=0)
    assert not (wrong["segmentation"] == wrong["ground truth"]).all()
    assert (by_title(segmentation=LABELS, section=0)["segmentation"] == colours_of(LABELS[0])).all()


def test_the_middle_section_by_default():
    raw = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    np.testing.assert_allclose(by_title(raw=raw)["raw"], 2 / 255)


def test_two_channels_and_floating_raw():
    images = by_title(raw=np.linspace(-1, 1, 100).reshape(1, 10, 10), affs=np.ones((2, 1, 10, 10)))
    assert (images["raw"].min(), images["raw"].max()) == (0, 1)
    assert images["affinities to z, y, x"][0, 0].tolist() == [1, 1, 0]


@pytest.mark.parametrize(("arrays", "message"), [
    ({}, "nothing to draw"),
    ({"raw": np.ones((2, 3, 4)), "labels": np.ones((2, 3, 5), int)}, r"labels has \(2, 3, 5\)"),
    ({"affs": np.ones((2, 3, 4))}, r"affs has shape .* \[c, z, y, x\]"),
    ({"raw": np.ones((2, 3, 4)), "section": 2}, "sections 0 to 1"),
])
def test_bad_input(arrays, message, tmp_path):
    with pytest.raises(UserError, match=message):
        write_picture(tmp_path / "p.png", **arrays)
    assert not list(tmp_path.iterdir())


def test_the_file(tmp_path):
    from matplotlib.image import imread

    raw = np.zeros((3, 40, 60), np.uint8)
    for voxel_size, proportion in (((20, 9, 9), 40 / 60), ((20, 18, 9), 80 / 60)):
        path = tmp_path / "new" / "p.png"
        write_picture(path, raw, segmentation=raw.astype(int) + 1, labels=raw.astype(int) + 1, voxel_size=voxel_size)
        image = imread(path)[..., :3]
        assert [p.name for p in path.parent.iterdir()] == ["p.png"]
        rows, columns = np.where((np.abs(image - colours_of(np.array(1))) < 0.02).all(-1))
        left = columns < (columns.min() + columns.max()) / 2  # one of two panels
        size = np.ptp(rows[left]) / np.ptp(columns[left])
        assert size == pytest.approx(proportion, rel=0.05)


def test_round_lengths():
    assert [round_length(v) for v in (1, 1.9, 2.2, 49, 50, 675, 2000)] == [1, 1, 2, 20, 50, 500, 2000]


def test_the_command_aligns_volumes_of_different_offsets(tmp_path):
    from matplotlib.image import imread

    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(1, 99, (3, 4, 4)), np.ones((2, 8, 8))).astype(np.uint64)
    part = Box((1, 3, 5), (6, 30, 29))
    voxel_size, container = (40.0, 4.6, 9.0), str(tmp_path / "d.zarr")
    offset = tuple(v * b for v, b in zip(voxel_size, part.begin, strict=True))
    for name, values, at in (("labels", labels, (0, 0, 0)), ("seg", labels[part.slices] + np.uint64(500), offset)):
        volume = create_volume(container, name, values.shape, voxel_size, at, values.dtype)
        volume.write(Box.of_shape(values.shape), values)

    def draw(out, *more):
        return run_script(ROOT / "03_predict" / "picture.py", out, "--labels", container, "labels", *more)

    done = draw(tmp_path / "p.png", "--segmentation", container, "seg", "--section", "2")
    assert (done.returncode, done.stderr) == (0, "")
    expected = tmp_path / "expected.png"
    cropped = labels[part.slices]
    write_picture(expected, segmentation=cropped[2:3], labels=cropped[2:3], voxel_size=voxel_size)
    assert (imread(tmp_path / "p.png") == imread(expected)).all()

    refused = draw(tmp_path / "q.png", "--segmentation", container, "seg", "--section", "5")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "q.png").exists()

    wrong = draw(tmp_path / "q.tga", "--segmentation", container, "seg")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "q.tga: pictures are .png, .svg, .pdf" in wrong.stderr
