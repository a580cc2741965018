"""What outputs say about themselves."""

import dataclasses
from pathlib import Path

import pytest

import lsd_experiments
from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.provenance import identity, provenance
from lsd_experiments.stages.inputs import check_finished, describe_input, in_voxels
from lsd_experiments.stages.states import State, check_unchanged, tie_records
from lsd_experiments.stages.volumes import VolumeArtifact, chunk_shape, find_output

MADE = {"stage": "s", "key": "0", "parameters": {"a": (1, 2), "b": 0.5}, "inputs": {"affs": "x"}, "date": "2024"}


@pytest.fixture
def output(tmp_path):
    return VolumeArtifact(str(tmp_path / "out.zarr"), "volumes/fragments", (9, 16, 10), (20, 9, 4.6), (40, -9, 0), "uint64",
                        (3, 8, 10))


def test_first_run_creates_second_goes_on_third_does_nothing(output):
    assert find_output(output.container, output.dataset) is None
    output.prepare(MADE)
    volume = open_volume(output.container, output.dataset)
    assert (volume.shape, volume.offset) == (output.shape, output.offset)
    assert volume.voxel_size == pytest.approx(output.voxel_size)
    assert all(write % chunk == 0 for write, chunk in zip(output.write_shape, volume.chunks, strict=True))

    output.records.mkdir(parents=True)
    output.prepare(MADE)
    assert output.records.exists()
    assert output.state(MADE).kind == "begun"
    output.finish()
    assert output.state(MADE).kind == "done"
    output.prepare(MADE)  # since something else of the stage is left to do
    assert output.state(MADE).kind == "begun"


def test_overwriting_makes_another_volume(output):
    output.prepare(MADE)
    output.finish()
    output.prepare({**MADE, "stage": "other"}, anew=True)
    assert find_output(output.container, output.dataset).attrs.get("finished") is None
    assert open_volume(output.container, output.dataset).attrs["provenance"]["stage"] == "other"


def test_what_a_killed_replacement_left_is_removed(output):
    output.prepare(MADE)
    volumes = Path(output.container, "volumes")
    (volumes / ".fragments.abc.partial").mkdir()
    (volumes / ".fragments.abc.old").mkdir()
    (volumes / ".fragmentsX.abc.old").mkdir()  # negative control: another dataset's
    output.prepare(MADE, anew=True)
    assert sorted(path.name for path in volumes.glob(".f*")) == [".fragmentsX.abc.old"]


def test_records_count_for_the_making_that_they_are_of(output):
    output.records.mkdir(parents=True)
    (output.records / "done").touch()
    tie_records(output.records, "first")  # what does not say is not trusted
    assert not (output.records / "done").exists()
    (output.records / "done").touch()
    tie_records(output.records, "first")
    assert (output.records / "done").exists()
    tie_records(output.records, "second")
    assert not (output.records / "done").exists()


def test_a_group_in_the_place_of_an_output_is_refused(output):
    output.prepare(MADE)
    with pytest.raises(UserError, match="volumes is a group"):
        dataclasses.replace(output, dataset="volumes").state({**MADE, "key": "1"})


def test_what_another_stage_made_is_refused(output):
    output.prepare(MADE)
    with pytest.raises(UserError, match=r"was made by s, not by other\. Choose another output, or remove it yourself"):
        output.state({**MADE, "stage": "other", "key": "1"})


@pytest.mark.parametrize(("change", "message"), [
    ({"parameters": {"a": (1, 3), "b": 0.5}}, r"made with a = \[1, 2\], now it is \[1, 3\]"),
    ({"parameters": {"a": (1, 2)}}, "made with b = 0.5, now it is not given"),
    ({"parameters": {"a": (1, 2), "b": 0.5, "c": True}}, "made with c = not given, now it is true"),
    ({"inputs": {"affs": "y"}}, 'made with affs = "x", now it is "y"'),
])
def test_other_parameters_are_refused_and_named(output, change, message):
    output.prepare(MADE)
    with pytest.raises(UserError, match=message + r"\. Choose another output, or pass --overwrite"):
        output.prepare({**MADE, **change})
    output.prepare({**MADE, "date": "2025", "version": "9"})  # these do not matter


def test_outputs_of_unknown_origin_are_refused(output):
    with pytest.raises(UserError, match="does not say what made it"):
        check_unchanged(output.name, None, MADE)


def test_unfinished_inputs_are_refused(output):
    output.prepare(MADE)
    with pytest.raises(UserError, match=r"volumes/fragments is not finished\. Run predict first"):
        check_finished(find_output(output.container, output.dataset), "predict")
    output.finish()
    check_finished(find_output(output.container, output.dataset), "predict")


def test_what_a_stage_made_is_known_by_its_key_wherever_it_lies(output, tmp_path):
    output.prepare(provenance("s", {"a": 1}, {}))
    output.finish()
    volume = find_output(output.container, output.dataset)
    described = describe_input(volume)
    assert described == {"name": "out.zarr:volumes/fragments", "fingerprint": volume.attrs["provenance"]["key"]}
    Path(output.container).rename(tmp_path / "moved.zarr")
    assert identity(describe_input(find_output(str(tmp_path / "moved.zarr"), output.dataset))) == identity(described)


def test_what_is_not_finished_is_known_by_its_voxels(output):
    output.prepare(provenance("s", {}, {}))
    volume = open_volume(output.container, output.dataset, writable=True)
    before = describe_input(volume)
    assert before["fingerprint"].startswith("sha256:")
    volume.array[0, 0, 0] = 1
    assert identity(describe_input(volume)) != identity(before)


@pytest.mark.parametrize("change", [
    {"stage": "t"}, {"parameters": {"a": 2}}, {"inputs": {"raw": {"name": "x", "fingerprint": "2"}}}, {"version": "99"}])
def test_the_key_depends_on_stage_parameters_inputs_and_version(monkeypatch, change):
    base = {"stage": "s", "parameters": {"a": 1}, "inputs": {"raw": {"name": "x", "fingerprint": "1"}}}
    key = provenance(**base)["key"]
    assert provenance(**{**base, "inputs": {"raw": {"name": "elsewhere", "fingerprint": "1"}}})["key"] == key
    monkeypatch.setattr("lsd_experiments.__version__", change.pop("version", lsd_experiments.__version__))
    assert provenance(**{**base, **change})["key"] != key


def test_the_state_of_an_output_says_why(output):
    made = provenance("s", {"a": (1, 2)}, {"raw": {"name": "r.zarr", "fingerprint": "1"}})
    assert output.state(made).kind == "new"
    output.prepare(made)
    assert output.state(made).kind == "begun"
    output.finish()
    assert output.state(made).kind == "done"
    other = provenance("s", {"a": (1, 3)}, {"raw": {"name": "r.zarr", "fingerprint": "1"}})
    assert output.state(other) == State("stale", "a was [1, 2], now it is [1, 3]")
    other = provenance("s", {"a": (1, 2)}, {"raw": {"name": "q.zarr", "fingerprint": "2"}})
    assert output.state(other) == State("stale", "raw was r.zarr (1), now it is q.zarr (2)")


def test_blocks_that_would_share_a_chunk_are_refused_with_a_size_that_fits(output):
    output.prepare(MADE)
    assert find_output(output.container, output.dataset).chunks == (3, 8, 10)
    other = dataclasses.replace(output, write_shape=(4, 8, 10))
    with pytest.raises(UserError, match=r"two blocks of \[4, 8, 10\] would write to one\. Take blocks of \[3, 8, 10\] voxels"):
        other.prepare(MADE)
    dataclasses.replace(output, write_shape=(6, 8, 20)).prepare(MADE)  # negative control: whole chunks


def test_blocks_without_divisors_are_refused(output):
    large = dataclasses.replace(output, shape=(2000, 2000, 2000), write_shape=(1009, 1009, 1009))
    with pytest.raises(UserError, match=r"no smaller chunks than of 7\.7 GiB\. Take blocks of \[1024, 1024, 1024\] voxels"):
        large.prepare(MADE)
    assert not Path(large.container).exists()


def test_a_crop_is_another_input_than_the_whole_or_another_crop(output):
    output.prepare(MADE)
    volume = find_output(output.container, output.dataset)
    crop, other = (volume.crop(Box((1, 2, 3), (4, 5, end))) for end in (6, 7))
    assert describe_input(crop)["name"] == "out.zarr:volumes/fragments, voxels (1, 2, 3) to (4, 5, 6)"
    assert len({identity(describe_input(part)) for part in (volume, crop, other)}) == 3
    assert describe_input(volume.crop(volume.box)) == describe_input(volume)


def test_sizes_in_voxels(output):
    output.prepare(MADE)
    volume = find_output(output.container, output.dataset)
    assert in_voxels((40, 0, 46), volume, "context") == (2, 0, 10)
    with pytest.raises(UserError, match=r"context = \[50, 9, 46\] nm is no multiple .* Take \[40.0, 9.0, 46.0\]"):
        in_voxels((50, 9, 46), volume, "context")
    with pytest.raises(UserError, match="no multiple"):
        in_voxels((-20, 9, 46), volume, "context")


@pytest.mark.parametrize(("write", "chunks"), [
    ((128, 125, 1), (64, 125, 1)),
    ((67, 60, 96), (67, 60, 48)),
    ((48, 272, 200), (48, 68, 50)),
])
def test_chunks_divide_blocks(write, chunks):
    assert chunk_shape(write) == chunks
