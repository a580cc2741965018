"""The record of the chunks that were written, and what it notices."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import add_volume, create_volume, fingerprints, open_volume
from lsd_experiments.arrays.fingerprints import look
from lsd_experiments.arrays.written import DAMAGED, OTHER, SOUND, written_chunks
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.stages.inputs import describe_input
from lsd_experiments.stages.states import changed_input

SHAPE, CHUNKS = (7, 9, 8), (3, 4, 5)
PLACE = ((40, 4, 4), (80, -8, 12))


@pytest.fixture(params=[None, 2])
def volume(request, tmp_path):
    """Of 3 x 3 x 2 chunks, all different, one of them zeros; the last ones reach over the end."""
    made = create_volume(tmp_path / "a.zarr", "volumes/x", SHAPE, *PLACE, "uint16", channels=request.param, chunks=CHUNKS)
    values = np.random.default_rng(1).integers(1, 999, ((request.param,) if request.param else ()) + SHAPE, dtype=np.uint16)
    values[..., :3, :4, :5] = 0
    made.write(made.box, values)
    return made


def chunk(volume, *index):
    name = ".".join(map(str, index if volume.channels is None else (0, *index)))
    return volume.array.store.path + "/" + volume.array.path + "/" + name


def note_blocks(volume, *boxes):
    """By two processes, in blocks of 3 x 4 x 8 voxels."""
    records = written_chunks(volume), written_chunks(volume)
    for number, box in enumerate(boxes or volume.box.blocks((3, 4, 8))):
        records[number % 2].note(box)
    return records[0]


def test_all_chunks_that_were_noted_are_sound(volume):
    record = note_blocks(volume)
    assert not record.unwritten().kinds.any()
    assert record.check() is None  # it is not finished
    assert not record.finish().kinds.any()
    faults = record.check()
    assert (faults.kinds == SOUND).all()
    assert faults.identity == ""


def test_chunks_that_nobody_noted_are_not(volume):
    record = note_blocks(volume, Box((0, 0, 0), (3, 4, 8)), Box((6, 8, 0), (9, 12, 8)))
    kinds = record.unwritten().kinds.reshape(3, 3, 2)
    assert (kinds[0, 0] == SOUND).all()
    assert (kinds[2, 2] == SOUND).all()
    assert np.count_nonzero(kinds) == 18 - 4
    assert record.blocks(record.unwritten().kinds, (3, 4, 10)) == [(z, y, 0) for z in range(3) for y in range(3) if
                                                                   (z, y) not in ((0, 0), (2, 2))]
    assert record.finish().kinds.any()
    assert record.check() is None


def test_a_line_that_was_cut_off_does_not_count(volume):
    record = note_blocks(volume)
    logs = sorted((open_directory(volume)).glob("*.jsonl"))
    text = logs[0].read_text()
    logs[0].write_text(text[:-20])
    assert np.count_nonzero(record.unwritten().kinds) == 2


def open_directory(volume):
    return Path(volume.container, volume.dataset, ".blockwise")


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(("how", "kind"), [
    ("gone", DAMAGED), ("empty", DAMAGED), ("short", DAMAGED), ("zeros", DAMAGED),
    ("another's", OTHER), ("rewritten", SOUND), ("changed", OTHER)])
def test_what_happened_to_a_chunk(volume, finished, how, kind):
    record = note_blocks(volume)
    if finished:
        record.finish()
    path = Path(chunk(volume, 1, 2, 0))
    if how == "gone":
        path.unlink()
    elif how == "another's":
        shutil.copy2(chunk(volume, 0, 1, 1), path)
    elif how in ("rewritten", "changed"):
        box = Box((3, 8, 0), (6, 9, 5))
        volume.write(box, volume.read(box) + np.uint16(how == "changed"))
    else:
        content = path.read_bytes()
        path.write_bytes({"empty": b"", "short": content[:-9], "zeros": bytes(len(content))}[how])
    faults = record.check() if finished else record.unwritten()
    kinds = faults.kinds.reshape(3, 3, 2)
    assert kinds[1, 2, 0] == kind
    assert np.count_nonzero(kinds) == (kind != SOUND)
    if kind != SOUND:
        prefix = "" if volume.channels is None else "0."
        assert faults.first(kind) == (f"chunk {prefix}1.2.0 (voxels (3, 8, 0) to (6, 9, 5), (200.0, 24.0, 12.0) to "
                                      "(320.0, 28.0, 32.0) nm)")


def test_different_changes_are_told_apart(volume):
    record, box = note_blocks(volume), Box((3, 8, 0), (6, 9, 5))
    record.finish()
    values = volume.read(box)
    seen = []
    for add in (1, 2, 1, 0):
        volume.write(box, values + np.uint16(add))
        seen.append(record.check().identity)
    assert seen[0] == seen[2] != seen[1]
    assert seen[3] == ""


def test_a_copy_has_the_same_record_and_its_damage_is_noticed(volume, tmp_path):
    note_blocks(volume).finish()
    shutil.copytree(volume.container, tmp_path / "b.zarr")
    copy = open_volume(tmp_path / "b.zarr", volume.dataset, writable=True)
    assert not written_chunks(copy).check().kinds.any()
    copy.write(Box((0, 0, 0), (1, 1, 1)), np.full_like(copy.read(Box((0, 0, 0), (1, 1, 1))), 7))
    assert written_chunks(copy).check().count(OTHER) == 1
    assert not written_chunks(volume).check().kinds.any()  # negative control


@pytest.mark.parametrize("content", [b"", b"nothing", None])
def test_a_record_that_was_damaged_says_that_all_changed(volume, content):
    record = note_blocks(volume)
    record.finish()
    path = open_directory(volume) / "chunks.npy"
    path.write_bytes(path.read_bytes()[:-7] if content is None else content)
    assert record.check().count(OTHER) == 18


def test_a_changed_place_is_noticed(volume):
    record = note_blocks(volume)
    record.finish()
    volume.array.attrs["offset"] = [80, -8, 16]
    moved = open_volume(volume.container, volume.dataset)
    faults = written_chunks(moved).check()
    assert faults.place
    assert faults.identity
    assert not written_chunks(moved.crop(Box((1, 1, 1), (2, 2, 2)))).check().kinds.any()


def test_a_crop_is_recorded_as_its_whole(volume):
    record = note_blocks(volume)
    record.finish()
    faults = written_chunks(open_volume(volume.container, volume.dataset).crop(Box((1, 1, 1), (2, 2, 2)))).check()
    assert not faults.place
    assert faults.identity == ""


def test_lost_chunks_of_what_was_added_as_a_whole_are_refused(tmp_path):
    """Masks and converted volumes."""
    with add_volume(tmp_path / "m.zarr", "mask", SHAPE, *PLACE, np.uint8, chunks=CHUNKS) as volume:
        volume.write(volume.box, np.ones(SHAPE, np.uint8))
    volume = open_volume(tmp_path / "m.zarr", "mask")
    describe_input(volume)
    (tmp_path / "m.zarr" / "mask" / "2.0.1").unlink()
    with pytest.raises(UserError, match=r"m\.zarr:mask: chunk 2\.0\.1 \(voxels \(6, 0, 5\) to \(7, 4, 8\), .*Fetch or make"):
        describe_input(volume)


def test_a_volume_of_which_chunks_were_never_written_has_no_record(tmp_path):
    with add_volume(tmp_path / "m.zarr", "mask", SHAPE, *PLACE, np.uint8, chunks=CHUNKS) as volume:
        volume.write(Box((0, 0, 0), (3, 4, 5)), np.ones((3, 4, 5), np.uint8))
    volume = open_volume(tmp_path / "m.zarr", "mask")
    assert written_chunks(volume).check() is None
    assert describe_input(volume)["fingerprint"].startswith("sha256:")


@pytest.mark.parametrize("container", ["x.n5", "x.h5"])
def test_other_formats_have_no_record(tmp_path, container):
    with add_volume(tmp_path / container, "raw", SHAPE, *PLACE, np.uint8, chunks=CHUNKS) as volume:
        volume.write(volume.box, np.ones(SHAPE, np.uint8))
    assert written_chunks(open_volume(tmp_path / container, "raw")) is None


def test_files_of_large_volumes_tell_changes_from_copies(volume, tmp_path, monkeypatch):
    assert look(volume) is None  # negative control: all of its voxels count
    monkeypatch.setattr(fingerprints, "WHOLE", 10)
    before = describe_input(volume)
    assert before["files"]["files"] == 18
    shutil.copytree(volume.container, tmp_path / "b.zarr")
    copy = describe_input(open_volume(tmp_path / "b.zarr", volume.dataset))
    assert changed_input("raw", before, copy) is None
    assert changed_input("raw", before, before) is None
    assert "its files changed" in changed_input("raw", before, copy, meanwhile=True)
    box = Box((3, 8, 0), (6, 9, 5))
    volume.write(box, volume.read(box) + np.uint16(1))
    assert "raw, a.zarr:volumes/x: its files changed" in changed_input("raw", before, describe_input(volume))
    assert changed_input("raw", json.loads(json.dumps({"name": "x", "fingerprint": "1"})), copy) is None  # of a version before
