"""Alignment there and back: exact maps, known ones, estimated ones, on volumes on disk."""

import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from lsd_experiments.alignment import aligning, command
from lsd_experiments.alignment.aligning import MASK, align_stack, plan_alignment, undo_alignment, write_blocks
from lsd_experiments.alignment.estimating import Estimate
from lsd_experiments.alignment.maps import Crack, SectionMap, apply, compose, inverse, rotation, translation
from lsd_experiments.alignment.record import read_alignment, write_alignment
from lsd_experiments.alignment.sampling import pixels
from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.arrays.alignments import unmarked
from lsd_experiments.errors import UserError

VOXEL_SIZE, OFFSET = (40.0, 8.0, 8.0), (80.0, 40.0, 24.0)
WAVE = np.arange(90)
CRACK = Crack(1, 0, tuple(40 + 6 * np.sin(WAVE / 15)), tuple(np.full(90, 12.0)), 40.0)
CROSSING = Crack(0, 10, tuple(np.full(60, 30.5)), tuple(np.concatenate([np.linspace(0, 7, 40), np.full(20, 7.0)])))


def stored(container, **volumes):
    for name, values in volumes.items():
        channels = len(values) if values.ndim == 4 else None
        volume = create_volume(container, name, values.shape[-3:], VOXEL_SIZE, OFFSET, values.dtype, channels=channels)
        volume.write(volume.box, values)
    return [open_volume(container, name) for name in volumes]


def blobs(shape, seed=0):
    """Labels [z, y, x] of some objects that go through all sections."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), (2, 8, 8))
    return (np.digitize(noise, np.quantile(noise, [0.3, 0.5, 0.7])) + 1).astype(np.uint64)


def edges(section):
    found = np.zeros(section.shape, bool)
    found[:-1] |= section[:-1] != section[1:]
    found[:, :-1] |= section[:, :-1] != section[:, 1:]
    return found


def moved_edges(before, after):
    """How far each pixel at a border of the one is from a border of the other."""
    return np.concatenate([distance_transform_edt(~edges(b))[edges(a)] for a, b in ((before, after), (after, before))])


@pytest.mark.parametrize("crack", [replace(CRACK, reach=20.0), replace(CRACK, reach=np.inf), CROSSING,
                                   replace(CROSSING, reach=25.0)])
def test_a_crack_is_closed_and_opened(crack):
    points = pixels((0, 0), (80, 90))
    closed, in_gap = crack.close(points)
    np.testing.assert_allclose(crack.open(closed)[:, ~in_gap], points[:, ~in_gap], atol=1e-9)
    assert in_gap.sum() > 100
    across = 1 - crack.axis
    assert np.abs(closed - points)[across].max() >= 3
    assert (np.diff(closed[across], axis=across) > -1e-9).all(), "nothing changes places"
    far = np.abs(points[across] - 35) > 34
    assert (np.abs(closed - points)[across][far].max() > 1) == np.isinf(crack.reach)


def test_matrices():
    turn = rotation(30, (4, 7), (1, -2))
    points = np.array([[4.0, 0, 9], [7.0, 3, 1]])
    np.testing.assert_allclose(apply(turn, points)[:, 0], (5, 5))
    np.testing.assert_allclose(apply(compose(inverse(turn), turn), points), points, atol=1e-12)
    assert SectionMap().is_identity
    assert not SectionMap(cracks=(CRACK,)).is_identity


@pytest.mark.parametrize("dtype", ["uint8", "uint64", "float32"])
def test_what_stays_where_it_is_comes_back_to_the_bit(tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 255, (2, 5, 40, 50)).astype(dtype)
    raw, several = stored(tmp_path / "s.zarr", raw=values[0], several=values)
    aligned = plan_alignment(raw, Estimate([SectionMap()] * 5, {}, [None] * 5), "rigid")
    assert (aligned.aligned_shape, aligned.aligned_offset) == (raw.shape, raw.offset)
    (tmp_path / "a.zarr").mkdir()
    write_alignment(aligned, tmp_path / "a.zarr")
    undo_alignment(several, tmp_path / "a.zarr", tmp_path / "back.zarr", "x")
    np.testing.assert_array_equal(open_volume(tmp_path / "back.zarr", "x").read(), values)
    assert open_volume(tmp_path / "back.zarr", "x" + MASK).read().all()


@pytest.fixture
def known(tmp_path):
    """A stack whose maps are known: shifts between pixels, turns by 3 degrees, a crack of 12 pixels, a missing section."""
    labels, rng = blobs((6, 80, 90)), np.random.default_rng(3)
    maps = [SectionMap(rotation(rng.uniform(-3, 3), (40, 45), rng.uniform(-6, 6, 2))) for _ in range(6)]
    maps[2] = replace(maps[2], cracks=(CRACK,))
    estimate = Estimate(maps, {"missing": [4]}, [None] * 6)
    for z, one in enumerate(maps):
        labels[z][one.to_aligned(pixels((0, 0), (80, 90)))[1]] = 0
    raw, neurons = stored(tmp_path / "s.zarr", raw=(40 * labels).astype(np.uint8), labels=labels)
    return raw, neurons, estimate


@pytest.mark.parametrize("missing", ["copy", "remove"])
def test_labels_come_back_by_known_maps(tmp_path, known, monkeypatch, missing):
    raw, labels, estimate = known
    monkeypatch.setattr(aligning, "estimate", lambda *_: estimate)
    monkeypatch.setattr(aligning, "BLOCK", (4, 32, 64))
    made = align_stack(raw, tmp_path / "a.zarr", [labels], missing=missing)
    assert made.removed == ([4] if missing == "remove" else [])
    assert read_alignment(tmp_path / "a.zarr") is not None
    undo_alignment(open_volume(tmp_path / "a.zarr", "labels"), tmp_path / "a.zarr", tmp_path / "back.hdf", "labels")
    back, mask = (open_volume(tmp_path / "back.hdf", name) for name in ("labels", "labels" + MASK))
    assert (back.shape, back.voxel_size, back.offset, back.dtype) == (labels.shape, VOXEL_SIZE, OFFSET, np.uint64)
    before, after, known_voxels = labels.read(), back.read(), mask.read()
    errors = np.concatenate([moved_edges(before[z], after[z]) for z in range(6) if z != 4])
    assert (errors <= 1).mean() >= 0.99
    assert (before[4] == after[4]).mean() > 0.95 if missing == "copy" else not after[4].any()
    gap = estimate.maps[2].to_aligned(pixels((0, 0), (80, 90)))[1]
    assert not known_voxels[2][gap].any()
    assert known_voxels[[0, 1, 3, 5]].all()
    wrong = replace(read_alignment(tmp_path / "a.zarr"), maps=(SectionMap(),) * 6)
    write_alignment(wrong, tmp_path / "a.zarr")
    with pytest.raises(UserError, match=r"a.zarr:labels lies on another alignment \(\w{16}, a.zarr of s.zarr:raw\)"):
        undo_alignment(open_volume(tmp_path / "a.zarr", "labels"), tmp_path / "a.zarr", tmp_path / "wrong.zarr", "labels")
    aligned = unmarked(open_volume(tmp_path / "a.zarr", "labels"))
    undo_alignment(aligned, tmp_path / "a.zarr", tmp_path / "wrong.zarr", "labels")
    other = open_volume(tmp_path / "wrong.zarr", "labels").read()
    assert (np.concatenate([moved_edges(before[z], other[z]) for z in (0, 1, 3)]) <= 1).mean() < 0.9, "the control"


@pytest.mark.parametrize(("name", "none", "outside"), [("labels/clefts", 2**64 - 1, 2**64 - 2), ("clefts", 0, 2**64 - 2),
                                                       ("neuron_ids", 2**64 - 1, 2**64 - 1), ("neuron_ids", 0, 0),
                                                       ("synapses", 2**64 - 1, 2**64 - 2), ("synapses", 0, 0)])
def test_nobody_knows_of_clefts_where_no_tissue_is(tmp_path, known, monkeypatch, name, none, outside):
    raw, labels, estimate = known
    monkeypatch.setattr(aligning, "estimate", lambda *_: estimate)
    nowhere = labels.read() != 2 if name == "synapses" else labels.read() == 1
    values = np.where(nowhere, none, labels.read()).astype(np.uint64)
    ids = stored(tmp_path / "ids.zarr", **{name: values})[0]
    align_stack(raw, tmp_path / "a.zarr", [ids])
    aligned = open_volume(tmp_path / "a.zarr", name)
    tissue = distance_transform_edt(np.pad(open_volume(tmp_path / "a.zarr", "raw").read()[0] > 0, 1))[1:-1, 1:-1] > 0
    assert (aligned.read()[0][0, [0, -1]] == outside).all()
    assert ((aligned.read()[0] == outside) & tissue).any() == (outside == none), "the control: tissue is known"
    undo_alignment(aligned, tmp_path / "a.zarr", tmp_path / "back.zarr", "back")
    back, mask = (open_volume(tmp_path / "back.zarr", one).read() for one in ("back", "back" + MASK))
    assert (back[2][mask[2] == 0] == none).all(), "what has no source is no object of id 0"
    assert not (back == 2**64 - 2).any(), "pixels at the border of a turned section have one"
    assert (back == values)[mask > 0].mean() > 0.95


def test_probabilities_come_back_by_interpolation(tmp_path, known, monkeypatch):
    raw, _, estimate = known
    monkeypatch.setattr(aligning, "estimate", lambda *_: estimate)
    align_stack(raw, tmp_path / "a.zarr")
    shape = read_alignment(tmp_path / "a.zarr").aligned_shape
    y, x = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape[1:]), indexing="ij")
    ramps = np.stack([np.broadcast_to(y, shape), np.broadcast_to(x, shape)])
    offset = open_volume(tmp_path / "a.zarr", "raw").offset
    volume = create_volume(tmp_path / "a.zarr", "p", shape, VOXEL_SIZE, offset, "float32", channels=2)
    volume.write(volume.box, ramps)
    undo_alignment(volume, tmp_path / "a.zarr", tmp_path / "back.zarr", "p")
    back = open_volume(tmp_path / "back.zarr", "p").read()
    points, _ = read_alignment(tmp_path / "a.zarr").maps[1].to_aligned(pixels((0, 0), (80, 90)))
    np.testing.assert_allclose(back[:, 1], points, atol=1e-3)


@pytest.mark.parametrize(("channels", "degrees", "warned"), [(3, 1.5, True), (3, 0.9, False), (2, 3.0, False),
                                                             (None, 3.0, False)])
def test_turned_affinities_are_warned_of(tmp_path, caplog, channels, degrees, warned):
    values = np.ones((3, 20, 22) if channels is None else (channels, 3, 20, 22), np.float32)
    [raw] = stored(tmp_path / "s.zarr", raw=values)
    estimate = Estimate([SectionMap(rotation(turn, (9, 9))) for turn in (0, degrees, 0)], {}, [None] * 3)
    (tmp_path / "a.zarr").mkdir()
    planned = plan_alignment(raw, estimate, "rigid")
    write_alignment(planned, tmp_path / "a.zarr")
    undo_alignment(replace(raw, offset=planned.aligned_offset), tmp_path / "a.zarr", tmp_path / "b.zarr", "x")
    assert ("directions are not turned" in caplog.text) == warned


def test_the_record_is_read_as_it_was_written(tmp_path, known):
    raw, _, estimate = known
    made = plan_alignment(raw, estimate, "rigid", "remove")
    write_alignment(made, tmp_path)
    found = read_alignment(tmp_path)
    assert (found.sections, found.findings, found.aligned_shape) == (made.sections, made.findings, made.aligned_shape)
    for ours, theirs in zip(made.maps, found.maps, strict=True):
        np.testing.assert_array_equal(ours.matrix, theirs.matrix)
        assert ours.cracks == theirs.cracks
    text = (tmp_path / "alignment.json").read_text()
    for broken, said in ((text.replace("alignment 1", "alignment 9"), "is of format"), (text[:100], "cannot be read"),
                         (text.replace('"matrix"', '"m"'), "cannot be read")):
        (tmp_path / "alignment.json").write_text(broken)
        with pytest.raises(UserError, match=said):
            read_alignment(tmp_path)


def test_what_was_interrupted_goes_on(tmp_path, known, monkeypatch):
    raw, labels, estimate = known
    monkeypatch.setattr(aligning, "estimate", lambda *_: estimate)
    monkeypatch.setattr(aligning, "BLOCK", (2, 64, 64))
    align_stack(raw, tmp_path / "whole.zarr", [labels])
    asked: list = []
    original = write_blocks

    def interrupted(artifact, made, make, *others):
        def one(box):
            asked.append(box)
            if len(asked) == 4:
                raise KeyboardInterrupt
            return make(box)
        original(artifact, made, one, *others)

    monkeypatch.setattr(aligning, "write_blocks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        align_stack(raw, tmp_path / "a.zarr", [labels])
    monkeypatch.setattr(aligning, "estimate", lambda *_: pytest.fail("looked again"))
    align_stack(raw, tmp_path / "a.zarr", [labels])
    assert len({box.begin for box in asked[:4]}) == 4
    assert len(asked) == 2 * 12 + 1, "three blocks were not made twice"
    for name in ("raw", "labels"):
        np.testing.assert_array_equal(*(open_volume(tmp_path / place, name).read() for place in ("a.zarr", "whole.zarr")))
    with pytest.raises(UserError, match="other options"):
        align_stack(raw, tmp_path / "a.zarr", [labels], model="affine")


KILLED = """
import os, signal, sys
from lsd_experiments.alignment import {module} as module
from lsd_experiments.alignment import command
original, calls = module.{name}, []
def killed(*arguments, **named):
    calls.append(1)
    if len(calls) == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **named)
module.{name} = killed
command.cli.run(command.run, command.parser(""), sys.argv[1:])
"""


def kill_at(module, name, number, *arguments):
    """Run the command until the ``number``-th call of a function."""
    code = KILLED.format(module=module, name=name, number=number)
    assert subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=False).returncode == -signal.SIGKILL


def test_an_undo_into_hdf5_that_was_killed_goes_on(tmp_path, known, monkeypatch):
    raw, labels, estimate = known
    monkeypatch.setattr(aligning, "estimate", lambda *_: estimate)
    align_stack(raw, tmp_path / "a.zarr", [labels])
    arguments = "--undo", tmp_path / "a.zarr", tmp_path / "a.zarr", tmp_path / "back.hdf", "--dataset", "labels"
    kill_at("warping", "sample", 4, *arguments)
    kill_at("aligning", "add_volume", 2, *arguments)
    aligned = open_volume(tmp_path / "a.zarr", "labels")
    monkeypatch.setattr(aligning, "unaligner", lambda *_: lambda box: pytest.fail("made again"))
    for _ in range(2):  # and what is done is left
        undo_alignment(aligned, tmp_path / "a.zarr", tmp_path / "back.hdf", "labels")
    monkeypatch.undo()
    undo_alignment(aligned, tmp_path / "a.zarr", tmp_path / "whole.zarr", "labels")
    for name in ("labels", "labels" + MASK):
        np.testing.assert_array_equal(*(open_volume(tmp_path / place, name).read() for place in ("back.hdf", "whole.zarr")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "back.hdf", "s.zarr", "whole.zarr"]
    with pytest.raises(UserError, match="made from something else"):
        undo_alignment(open_volume(tmp_path / "a.zarr", "raw"), tmp_path / "a.zarr", tmp_path / "back.hdf", "labels")


@pytest.mark.parametrize(("arguments", "said"), [
    (["s.zarr"], "1 places are named"), (["--undo", "s.zarr", "a.zarr"], "Name PREDICTION"),
    (["s.zarr", "a.hdf", "--dataset", "raw"], "ends in .zarr"), (["s.zarr", "a.zarr", "--dataset", "several"], "2 channels"),
    (["s.zarr", "a.zarr", "--dataset", "empty"], "sections show something"),
    (["--undo", "s.zarr", "s.zarr", "b.hdf", "--dataset", "raw"], "alignment.json: not there"),
    (["s.zarr", "s.zarr", "--dataset", "raw"], "has a raw that no alignment made"),
    (["s.zarr", "a.zarr", "--dataset", "raw", "--picture", "s.zarr/.zgroup/xz.png"], "cannot be written"),
    (["--undo", "s.zarr", "moved.zarr", "b.hdf", "--dataset", "raw"], "is on the grid of the stack"),
    (["--undo", "moved.zarr", "moved.zarr", "b.hdf", "--dataset", "raw", "--fill", "300"], "from 0 to 255"),
    (["--undo", "moved.zarr", "moved.zarr", "b.txt", "--dataset", "raw"], "is HDF5 or zarr"),
    (["s.zarr", "a.zarr", "--dataset", "raw", "--labels", "raw", "--fill", "300"], "from 0 to 255"),
    (["s.zarr", "a.zarr", "--dataset", "raw", "--out-dataset", "x"], "--out-dataset: is of --undo"),
    (["--undo", "moved.zarr", "moved.zarr", "b.hdf", "--dataset", "raw", "--keep-cracks"], "--keep-cracks: is of aligning"),
])  # fmt: skip
def test_what_is_refused(tmp_path, capsys, monkeypatch, arguments, said):
    values = blobs((3, 40, 40)).astype(np.uint8)
    raw, *_ = stored(tmp_path / "s.zarr", raw=values, several=np.stack([values, values]), empty=np.zeros_like(values))
    monkeypatch.chdir(tmp_path)
    planned = plan_alignment(raw, Estimate([SectionMap(translation((0, z))) for z in range(3)], {}, [None] * 3), "rigid")
    write_alignment(planned, create_volume("moved.zarr", "raw", planned.aligned_shape, VOXEL_SIZE, planned.aligned_offset,
                                           "uint8").container)
    with pytest.raises(SystemExit) as ended:
        command.cli.run(command.run, command.parser(""), arguments)
    assert (ended.value.code, said in capsys.readouterr().err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("a.")) == ["moved.zarr", "s.zarr"]
    assert not (tmp_path / "s.zarr" / "alignment.json").exists()


def test_a_prediction_of_another_grid_is_refused(tmp_path, known):
    raw, _, estimate = known
    (tmp_path / "a.zarr").mkdir()
    write_alignment(plan_alignment(raw, estimate, "rigid"), tmp_path / "a.zarr")
    with pytest.raises(UserError, match="is not part of the aligned volumes"):
        undo_alignment(replace(raw, offset=(80.0, 4000.0, 24.0)), tmp_path / "a.zarr", tmp_path / "b.zarr", "x")
