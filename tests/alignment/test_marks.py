"""Aligned volumes say so, and what is made of them does, too; volumes of different alignments are not compared."""

import logging
from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest

from lsd_experiments.alignment import aligning, command
from lsd_experiments.alignment.aligning import align_stack, undo_alignment
from lsd_experiments.alignment.estimating import Estimate
from lsd_experiments.alignment.maps import SectionMap, translation
from lsd_experiments.arrays import add_volume, create_volume, open_volume
from lsd_experiments.arrays.alignments import carried, mark_of, unmarked
from lsd_experiments.arrays.resampling import resampled
from lsd_experiments.conversion.formats import Options
from lsd_experiments.conversion.view import View
from lsd_experiments.conversion.writing import convert
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.classes import evaluate_class_volumes
from lsd_experiments.evaluation.volumes import volume_contingency
from lsd_experiments.families.cremi.annotations import PRE, Annotations
from lsd_experiments.families.cremi.clefts import score_cleft_volumes, score_probability_volumes
from lsd_experiments.families.cremi.evaluate_command import volumes_of
from lsd_experiments.families.cremi.files import CremiFile, in_memory, write_cremi
from lsd_experiments.families.cremi.neurons import score_neuron_volumes
from lsd_experiments.families.cremi.partners import score_partner_files
from lsd_experiments.families.cremi.sides import find_partners
from lsd_experiments.families.cremi.submission import check_submission, make_submission
from lsd_experiments.pipeline.truths import Labels
from lsd_experiments.segmentation.blockwise import relabeling_stage
from lsd_experiments.thresholding.blockwise import threshold_stage
from lsd_experiments.thresholding.settings import ThresholdSettings

VOXEL_SIZE, OFFSET = (40.0, 4.0, 4.0), (80.0, 40.0, 20.0)
SHAPE = (3, 20, 24)


def stored(container, **volumes):
    for name, values in volumes.items():
        volume = create_volume(container, name, values.shape, VOXEL_SIZE, OFFSET, values.dtype)
        volume.write(volume.box, values)
    return [open_volume(container, name) for name in volumes]


@pytest.fixture
def stacks(tmp_path, monkeypatch):
    """``a.zarr`` and ``b.zarr``, alignments of ``s.zarr``, with raw and ids; of two neurons, or clefts."""
    raw, ids = np.full(SHAPE, 9, np.uint8), np.ones(SHAPE, np.uint64)
    ids[:, :10] = 2
    volumes = stored(tmp_path / "s.zarr", raw=raw, ids=ids)
    for name, shift in (("a", 1), ("b", 2)):
        maps = [SectionMap(translation((0, shift * (z % 2)))) for z in range(SHAPE[0])]
        monkeypatch.setattr(aligning, "estimate", lambda *_, maps=maps: Estimate(maps, {}, [None] * SHAPE[0]))
        align_stack(volumes[0], tmp_path / f"{name}.zarr", [volumes[1]])
    return tmp_path


def test_they_say_of_what_they_are(stacks):
    for name in "ab":
        raw, ids = (open_volume(stacks / f"{name}.zarr", dataset) for dataset in ("raw", "ids"))
        assert mark_of(raw) == mark_of(ids) is not None
        assert mark_of(raw).endswith(f", {name}.zarr of s.zarr:raw")
    assert mark_of(open_volume(stacks / "a.zarr", "raw"))[:16] != mark_of(raw)[:16]
    assert mark_of(open_volume(stacks / "s.zarr", "raw")) is None, "the control"
    assert mark_of(unmarked(raw)) is None


@pytest.mark.parametrize("out", ["out.hdf", "out.n5", "out.zarr"])
def test_it_goes_with_copies_and_stages(stacks, out):
    raw = open_volume(stacks / "a.zarr", "raw")
    convert(View(raw), str(stacks / out), "copy")
    copy = open_volume(stacks / out, "copy")
    assert mark_of(copy) == mark_of(raw) is not None
    assert mark_of(resampled(copy, (40.0, 8.0, 8.0), "raw")) == mark_of(raw)
    assert mark_of(copy.crop(copy.box)) == mark_of(raw)
    masks = threshold_stage(copy, str(stacks / "masks.zarr"), ThresholdSettings(dataset="x")).volumes[0]
    parts = relabeling_stage("x", masks, stacks / "lut.npz", "parts", (3, 20, 24), {}, {}, lambda: None).volumes[0]
    assert mark_of(masks) == mark_of(parts) == mark_of(raw)
    straight = threshold_stage(open_volume(stacks / "s.zarr", "raw"), str(stacks / "m.zarr"), ThresholdSettings(dataset="x"))
    assert ("alignment" in straight.made, straight.made["key"] == masks.attrs["provenance"]["key"]) == (False, False)


def test_it_goes_with_all_levels_of_a_copy(stacks):
    """Of OME-Zarr the provenance is the group's, and a level is opened by itself."""
    raw, straight = open_volume(stacks / "a.zarr", "raw"), open_volume(stacks / "s.zarr", "raw")
    for volume, name in ((raw, "a.ome.zarr"), (straight, "s.ome.zarr")):
        convert(View(volume), str(stacks / name), "copy", options=Options(levels=2))
        levels = [open_volume(stacks / name, f"copy{level}") for level in ("", "/s0", "/s1")]
        assert {mark_of(level) for level in levels} == {mark_of(volume)}


@pytest.mark.parametrize("out", ["back.hdf", "back.zarr"])
def test_undone_it_is_gone(stacks, out, capsys):
    places = [str(stacks / name) for name in ("a.zarr", "a.zarr", out)]
    with pytest.raises(SystemExit) as ended:
        command.cli.run(command.run, command.parser(""), ["--undo", *places, "--dataset", "ids", "--fill", "5"])
    assert (ended.value.code, "ids is 5 where nothing came from" in capsys.readouterr().out) == (0, True)
    back = open_volume(stacks / out, "ids")
    assert mark_of(back) is None
    np.testing.assert_array_equal(back.read(), open_volume(stacks / "s.zarr", "ids").read())
    assert score_cleft_volumes(back, open_volume(stacks / "s.zarr", "ids"))["f1"] == 1
    with pytest.raises(UserError, match=r"a.zarr:ids lies on another alignment .* than .*b.zarr"):
        undo_alignment(open_volume(stacks / "a.zarr", "ids"), stacks / "b.zarr", stacks / "wrong.zarr", "ids")
    assert not (stacks / "wrong.zarr").exists()


@pytest.mark.parametrize("out", ["back.hdf", "back.zarr"])
def test_it_is_undone_once_although_both_grids_are_the_same(stacks, monkeypatch, out):
    monkeypatch.setattr(aligning, "estimate", lambda *_: Estimate([SectionMap(translation((0, 0)))] * 3, {}, [None] * 3))
    align_stack(open_volume(stacks / "s.zarr", "raw"), stacks / "c.zarr")
    undo_alignment(open_volume(stacks / "c.zarr", "raw"), stacks / "c.zarr", stacks / out, "raw")
    with pytest.raises(UserError, match="brought back to its stack already"):
        undo_alignment(open_volume(stacks / out, "raw"), stacks / "c.zarr", stacks / "twice.zarr", "raw")
    undo_alignment(unmarked(open_volume(stacks / "c.zarr", "raw")), stacks / "c.zarr", stacks / "once.zarr", "raw")
    foreign = replace(open_volume(stacks / "c.zarr", "raw"), attrs={"provenance": "a text of another program"})
    undo_alignment(foreign, stacks / "c.zarr", stacks / "foreign.zarr", "raw")


def test_an_aligned_stack_that_is_aligned_again_comes_back_to_itself(stacks, monkeypatch):
    first = open_volume(stacks / "a.zarr", "raw")
    monkeypatch.setattr(aligning, "estimate", lambda *_: Estimate([SectionMap(translation((3, 0)))] * 3, {}, [None] * 3))
    with pytest.raises(UserError, match=r"s\.zarr:ids does not"):
        align_stack(first, stacks / "c.zarr", [open_volume(stacks / "s.zarr", "ids")])
    align_stack(first, stacks / "c.zarr")
    second = open_volume(stacks / "c.zarr", "raw")
    assert mark_of(second).endswith(", c.zarr of a.zarr:raw")
    undo_alignment(second, stacks / "c.zarr", stacks / "back.hdf", "raw")
    assert mark_of(open_volume(stacks / "back.hdf", "raw")) == mark_of(first)


def probabilities(volume):
    return replace(volume, array=np.asarray(volume.read(), np.float32) / 2)


def as_labels(found, truth):
    Labels(truth).on_grid_of(found, True).check(found, None)


COMPARISONS = {"clefts": score_cleft_volumes, "neurons": score_neuron_volumes, "segmentations": volume_contingency,
               "classes": evaluate_class_volumes, "pipeline": as_labels, "partners": find_partners,
               "probabilities": lambda found, truth: score_probability_volumes(probabilities(found), truth, [0.5])}


@pytest.mark.parametrize("compare", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_volumes_of_one_alignment_are_compared(stacks, compare):
    straight, first, second = (open_volume(stacks / f"{name}.zarr", "ids") for name in "sab")
    for volume in (straight, first):
        compare(volume, volume)
    for others in ((first, straight), (straight, first)):
        with pytest.raises(UserError, match=r"a.zarr:ids lies on an aligned stack .* --undo \S*a.zarr a.zarr OUT"):
            compare(*others)
    with pytest.raises(UserError, match="lie on different alignments"):
        compare(first, second)
    compare(first, replace(first, attrs=carried(first)))  # by the mark alone


def test_who_knows_better_says_so(stacks):
    def of(ignored):
        options = Namespace(prediction=str(stacks / "a.zarr"), prediction_dataset="ids", truth=str(stacks / "s.zarr"),
                            truth_dataset="ids", task="clefts", voxel_size=None, ignore_alignment=ignored)
        return volumes_of(options)

    with pytest.raises(UserError, match="lies on an aligned stack"):
        score_cleft_volumes(*of(False))
    assert score_cleft_volumes(*of(True))["f1"] > 0


def test_partners_and_submissions_of_an_aligned_stack(stacks):
    aligned, straight = (open_volume(stacks / f"{name}.zarr", "ids") for name in "as")
    places = Annotations((1, 2), (PRE, "postsynaptic_site"), np.array([[0, 8, 8.0], [0, 60, 8]]), {}, ((1, 2),), OFFSET)
    write_cremi(stacks / "t.hdf", CremiFile(neuron_ids=in_memory(straight.read(), VOXEL_SIZE, OFFSET), annotations=places))
    write_cremi(stacks / "p.hdf", CremiFile(annotations=replace(places, alignment=mark_of(aligned))))
    assert score_partner_files(stacks / "t.hdf", stacks / "t.hdf")["fscore"] == 1
    with pytest.raises(UserError, match="its annotations lie on an aligned stack"):
        score_partner_files(stacks / "p.hdf", stacks / "t.hdf")
    assert score_partner_files(stacks / "p.hdf", stacks / "t.hdf", ignore_alignment=True)["fscore"] == 1
    assert any("its annotations lie on an aligned stack" in fault for fault in check_submission(stacks / "p.hdf"))
    with pytest.raises(UserError, match="not on the test volume"):
        make_submission(aligned, stacks / "sub.hdf", "clefts", shape=SHAPE)
    with add_volume(stacks / "q.hdf", "volumes/labels/clefts", SHAPE, VOXEL_SIZE, (0, 0, 0), "uint64", chunks=SHAPE,
                    attrs=carried(aligned)) as clefts:
        clefts.write(clefts.box, straight.read())
    import h5py

    with h5py.File(stacks / "q.hdf", "a") as file:
        file.attrs["file_format"] = "0.2"
    assert any("clefts: it lies on an aligned stack" in fault for fault in check_submission(stacks / "q.hdf", shape=SHAPE))


def test_training_on_two_alignments_is_refused_and_on_one_half_said(stacks, caplog):
    from lsd_experiments.families.pytc.samples.looks import check_alignments

    straight, first, second = (open_volume(stacks / f"{name}.zarr", "ids") for name in "sab")
    with caplog.at_level(logging.WARNING):
        check_alignments(first, first, None)
        check_alignments(straight, straight, straight)
    assert not caplog.text
    check_alignments(first, straight, None)
    assert "s.zarr:ids does not say so" in caplog.text
    with pytest.raises(UserError, match="different alignments"):
        check_alignments(first, second, None)
