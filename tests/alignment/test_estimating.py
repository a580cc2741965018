"""What lies how beside what, found on tissue whose sections lie exactly above each other before they are moved."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from lsd_experiments.alignment import command, estimating
from lsd_experiments.alignment.aligning import align_stack, undo_alignment
from lsd_experiments.alignment.chain import _tissue
from lsd_experiments.alignment.maps import IDENTITY, Crack, SectionMap, apply, compose, inverse, rotation, translation
from lsd_experiments.alignment.record import maps_from_json, read_alignment
from lsd_experiments.alignment.sampling import pixels
from lsd_experiments.arrays import open_volume
from lsd_experiments.families.cremi.synthetic import write_clefts
from lsd_experiments.synthetic import volume as synthetic
from tests.alignment.test_alignment import OFFSET, VOXEL_SIZE, kill_at, stored


def test_a_comparison_that_was_killed_goes_on(tmp_path, straight, monkeypatch):
    values = crooked(straight, [SectionMap(translation(shift)) for shift in np.random.default_rng(5).integers(-6, 7, (9, 2))],
                     100)[:6]
    values[4, 100:110] = 250  # a line that has to be looked at again
    [raw] = stored(tmp_path / "s.zarr", raw=values)
    align_stack(raw, tmp_path / "whole.zarr", model="shift")
    for name, number in (("find_lines", 3), ("register", 3), ("measure", 5)):
        kill_at("estimating", name, number, tmp_path / "s.zarr", tmp_path / "a.zarr", "--dataset", "raw", "--model", "shift")
    notes = tmp_path / "a.zarr" / ".alignment.notes.jsonl"
    lines = notes.read_text().splitlines()
    assert len(lines) == 1 + 6 + 6 + 5 + 2, "looks, lines, pairs, and the first flows"
    notes.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:20])  # cut off
    made, original = [], estimating.measure
    monkeypatch.setattr(estimating, "measure", lambda *arguments: made.append(1) or original(*arguments))
    monkeypatch.setattr(estimating, "register", lambda *_: pytest.fail("compared again"))
    align_stack(raw, tmp_path / "a.zarr", model="shift")
    assert len(made) == 20 + 2 - 1, "four fits of five pairs, and the line's two, but for the pair that is noted"
    assert not notes.exists()
    assert (tmp_path / "a.zarr" / "alignment.json").read_text() == (tmp_path / "whole.zarr" / "alignment.json").read_text()


@pytest.fixture(scope="module")
def straight():
    """Synthetic tissue whose sections lie exactly above each other."""
    slip = synthetic.SLIP
    synthetic.SLIP = 0.0
    try:
        made = synthetic.synthesize((9, 420, 430), (40, 8, 8), 6.0, 5)
    finally:
        synthetic.SLIP = slip
    return made.raw


def crooked(raw, maps, margin):
    shape = tuple(n - 2 * margin for n in raw.shape[1:])
    sections = []
    for section, one in zip(raw, maps, strict=True):
        place, in_gap = one.to_aligned(pixels((0, 0), shape))
        values = map_coordinates(section, place + margin, order=1)
        values[in_gap] = 242
        sections.append(values)
    return np.stack(sections)


def test_shifts_turns_and_defects_are_found(tmp_path, straight):
    rng, margin, shape = np.random.default_rng(2), 40, (340, 350)
    maps = [SectionMap(rotation(rng.uniform(-3, 3), (170, 175), rng.uniform(-8, 8, 2))) for _ in range(9)]
    wave = np.arange(shape[1])
    maps[5] = replace(maps[5], cracks=(Crack(1, 0, tuple(150 + 15 * np.sin(wave / 40)), tuple(np.full(shape[1], 10.0)), 100.0),))
    values = crooked(straight, maps, margin)
    values[3] = 0
    values[7] = values[7] // 3
    stored(tmp_path / "s.zarr", raw=values)
    with pytest.raises(SystemExit) as ended:
        command.cli.run(command.run, command.parser(""), [str(tmp_path / "s.zarr"), str(tmp_path / "a.zarr"), "--dataset", "raw",
                                                          "--picture", str(tmp_path / "xz.png")])
    assert ended.value.code == 0
    made = read_alignment(tmp_path / "a.zarr")
    assert made.findings == {"missing": [3], "dark": [7], "bright": [], "damaged": [], "cracked": [5], "folded": []}
    assert np.mean(made.maps[5].cracks[0].widths) == pytest.approx(10, abs=1.5)
    assert (made.sections[3].raw_source, (tmp_path / "xz.png").stat().st_size > 1000) == (2, True)
    good, centre = [0, 1, 2, 4, 5, 6, 7, 8], np.array([170.0, 175.0])

    def left(found):
        return np.median([np.hypot(*(apply(compose(inverse(found[a]), found[b]), centre)
                                     - apply(compose(inverse(maps[a].matrix), maps[b].matrix), centre)))
                          for a, b in itertools.pairwise(good)])
    assert left([one.matrix for one in made.maps]) < 0.5
    assert left([IDENTITY] * 9) > 3, "the control"
    aligned = open_volume(tmp_path / "a.zarr", "raw")
    assert np.allclose(np.subtract(aligned.offset, OFFSET) % VOXEL_SIZE, 0)


@pytest.mark.slow
def test_half_a_pixel_is_left_at_most_of_sections_as_large_as_those_of_cremi(tmp_path):
    write_clefts(tmp_path / "s.zarr", (12, 1250, 1250), (40, 4, 4), seed=1)
    raw = open_volume(tmp_path / "s.zarr", "volumes/raw")
    done = raw.attrs["defects"]
    found = estimating.estimate(raw)
    assert {kind: found.findings[kind] for kind in ("missing", "dark", "cracked")} == {
        kind: done[kind] for kind in ("missing", "dark", "cracked")}
    true, centre = maps_from_json(done["maps"]), np.full(2, 624.5)
    good = [z for z in range(12) if z not in done["missing"]]
    left = [np.hypot(*(apply(compose(inverse(found.maps[a].matrix), found.maps[b].matrix), centre)
                       - apply(compose(inverse(true[a].matrix), true[b].matrix), centre))) for a, b in itertools.pairwise(good)]
    assert np.median(left) < 0.5


def test_a_stack_that_is_straight_stays_to_the_bit(tmp_path, straight):
    noise = np.random.default_rng(0).integers(0, 9, (5, 200, 200)).astype(np.uint8)
    same = np.repeat(straight[:1, :200, :200], 5, axis=0) // 2 + noise
    [raw] = stored(tmp_path / "s.zarr", raw=same)
    made = align_stack(raw, tmp_path / "a.zarr")
    assert all(one.is_identity for one in made.maps)
    aligned = open_volume(tmp_path / "a.zarr", "raw")
    np.testing.assert_array_equal(aligned.read(), same)
    assert aligned.offset == OFFSET
    undo_alignment(aligned, tmp_path / "a.zarr", tmp_path / "back.hdf", "raw")
    np.testing.assert_array_equal(open_volume(tmp_path / "back.hdf", "raw").read(), same)


def test_what_goes_on_is_kept_and_what_jumps_is_not():
    """Tissue that runs obliquely all over is not straightened; sections that lie somewhere are brought back."""
    rng = np.random.default_rng(0)
    oblique, beside = np.full((20, 2), (0.7, -0.4)), np.diff(rng.normal(0, 5, (21, 2)), axis=0)
    for gaps in ([1] * 20, [1] * 9 + [2] + [1] * 10):
        steps = oblique * np.reshape(gaps, (20, 1))
        assert np.abs(_tissue(steps, gaps, 0.2, 1.0) - steps).max() < 0.15
        left = _tissue(steps + beside, gaps, 0.2, 1.0)
        assert np.abs(left - steps).mean() < 0.5 < np.abs(beside).mean() / 5
        assert np.abs(left.mean(0) - oblique.mean(0)).max() < 0.4
    assert np.abs(_tissue(oblique, [1] * 20, 1e-6, 1.0)).max() < 0.1, "none is likely to be the tissue's"


def test_only_shifts_are_shifts(tmp_path, straight):
    rng = np.random.default_rng(0)
    shifts = [SectionMap(translation(rng.integers(-6, 7, 2))) for _ in range(9)]
    [raw] = stored(tmp_path / "s.zarr", raw=crooked(straight, shifts, 60)[:6])
    made = align_stack(raw, tmp_path / "a.zarr", model="shift")
    assert {tuple(one.matrix[:, :2].ravel()) for one in made.maps} == {(1.0, 0.0, 0.0, 1.0)}
    assert json.loads((tmp_path / "a.zarr" / "alignment.json").read_text())["model"] == "shift"


def test_a_damaged_section_is_found_and_does_not_move_others(tmp_path, straight):
    shifts = [SectionMap(translation(shift)) for shift in np.random.default_rng(1).integers(-5, 6, (9, 2))]
    values = crooked(straight, shifts, 60)[:6]
    values[2] = np.random.default_rng(0).integers(0, 256, values[2].shape)
    [raw] = stored(tmp_path / "s.zarr", raw=values)
    made = align_stack(raw, tmp_path / "a.zarr", model="shift", missing="remove")
    assert (made.findings["damaged"], made.removed, made.place_of(2), made.place_of(3)) == ([2], [2], None, 2)
    steps = [compose(inverse(made.maps[a].matrix), made.maps[b].matrix)[:, 2] for a, b in ((1, 3), (3, 4))]
    wanted = [shifts[b].matrix[:, 2] - shifts[a].matrix[:, 2] for a, b in ((1, 3), (3, 4))]
    assert np.abs(np.subtract(steps, wanted)).max() < 2
