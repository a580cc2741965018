"""Outputs that are not what a stage wrote: changed, gone, cut off, another's; noticed when the next stage starts, or ends."""

import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import add_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline import running
from lsd_experiments.pipeline.configuration import load_pipeline, with_num_workers
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.rag import open_store
from tests.pipeline.conftest import EXTRACT, OFFSET, SHAPE, VOXEL_SIZE
from tests.pipeline.here import blocks_here, run_here
from tests.pipeline.test_resume import files

pytestmark = pytest.mark.usefixtures(blocks_here.__name__)

STAGES = ["extract_fragments", "agglomerate", "find_segments", "extract_segmentation"]
AFFS, FRAGMENTS, SEGMENTATION = "volumes/affs", "volumes/fragments", "volumes/segmentation_50"


@pytest.fixture
def path(done, make_config):
    return make_config(done, evaluate="", extract=EXTRACT)


def run(path, names=STAGES):
    """Run the stages; those that had something to do."""
    settings = with_num_workers(load_pipeline(path), 1)
    reports = {name: run_stage(name, settings) for name in names}
    return [name for name, report in reports.items() if not report.startswith("up to date")]


def results(done):
    """All that a run made."""
    with open_store(done / "out.db", readonly=True) as store:
        edges = [np.asarray(column) for column in store.read_edges("hist_quant_50")]
    return [open_volume(str(done / "out.zarr"), name).read() for name in (FRAGMENTS, SEGMENTATION)] + edges


def assert_equal(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def chunk(done, dataset, name):
    return done / "out.zarr" / dataset / name


def test_a_copy_is_the_same_and_writes_nothing(done, path):
    """All times of files differ from those of the original."""
    before = files(done)
    assert run(path) == []
    assert files(done) == before


def test_affinities_that_were_changed_are_an_input_of_their_own(done, path, caplog, tmp_path_factory, make_config):
    volume = open_volume(str(done / "out.zarr"), AFFS, writable=True)
    volume.array[:, 13, 20:25, 20:25] = 0
    assert run(path) == STAGES
    assert "extract_fragments is made anew: affs was out.zarr:volumes/affs" in caplog.text
    assert run(path) == []
    alone = tmp_path_factory.mktemp("alone")
    shutil.copytree(done / "out.zarr" / AFFS, alone / "out.zarr" / AFFS)
    shutil.copy(done / "out.zarr" / ".zgroup", alone / "out.zarr")
    run(make_config(alone, evaluate="", extract=EXTRACT))
    assert_equal(results(done), results(alone))


def test_a_place_that_was_changed_is_noticed(done, path):
    attrs = open_volume(str(done / "out.zarr"), AFFS, writable=True).array.attrs
    attrs["offset"] = [220, 90, -45]
    assert run(path) == STAGES
    assert open_volume(str(done / "out.zarr"), FRAGMENTS).offset == (220, 90, -45)


def break_chunk(path, how):
    if how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "zeros":
        path.write_bytes(bytes(path.stat().st_size))
    else:
        path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("how", ["gone", "empty", "zeros", "cut off"])
def test_a_chunk_of_the_fragments_that_is_lost_is_refused_with_its_place_and_made_again_alone(done, path, caplog, how):
    before = results(done)
    break_chunk(chunk(done, FRAGMENTS, "1.1.1"), how)
    place = re.escape("chunk 1.1.1 (voxels (10, 16, 14) to (20, 32, 28), (400.0, 234.0, 81.0) to (600.0, 378.0, 207.0) nm)")
    for name in STAGES[1:]:
        with pytest.raises(UserError, match=rf"volumes/fragments: {place}: gone or cut off\. Run extract_fragments again"):
            run(path, [name])
    kept = {file: time for file, time in files(done / "out.zarr" / FRAGMENTS).items() if re.fullmatch(r"\d\.\d\.\d", file.name)}
    assert run(path) == ["extract_fragments"]
    assert ("1 of 27 finished blocks are done again: what they wrote is gone, or not as they wrote it (blocks 13)"
            in caplog.text)
    after = files(done / "out.zarr" / FRAGMENTS)
    assert [file.name for file in kept if after[file] != kept[file]] == (["1.1.1"] if how != "gone" else [])
    assert run(path) == []
    assert_equal(results(done), before)


@pytest.mark.parametrize(("dataset", "redone"), [(AFFS, None), (SEGMENTATION, ["extract_segmentation"])])
def test_lost_chunks_of_other_volumes(done, path, dataset, redone):
    before = results(done)
    name = "0.1.2.0" if dataset == AFFS else "1.2.0"
    chunk(done, dataset, name).unlink()
    if redone is None:
        with pytest.raises(UserError, match=rf"volumes/affs: chunk {re.escape(name)} \(voxels .*Run predict again"):
            run(path)
        return
    assert run(path) == redone
    assert_equal(results(done), before)


def swap(first, second):
    other = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(other)


@pytest.mark.parametrize("how", ["swapped", "another's"])
def test_fragments_of_another_place_do_not_fit_the_graph(done, path, how):
    before = results(done)
    first, second = chunk(done, FRAGMENTS, "1.1.1"), chunk(done, FRAGMENTS, "0.1.1")
    if how == "swapped":
        swap(first, second)
    else:
        shutil.copy2(second, first)
    with pytest.raises(UserError, match=r"fragments: chunk [01]\.1\.1 .*: changed since it was finished, so that"):
        run(path, ["agglomerate"])
    with pytest.raises(UserError, match=r"not of .*fragments as it is now"):
        run(path, ["extract_segmentation"])
    first.unlink()
    second.unlink()  # as the message says
    assert run(path) == ["extract_fragments"]
    assert_equal(results(done), before)


def test_a_segmentation_that_was_changed_by_hand_is_kept(done, path, caplog):
    volume = open_volume(str(done / "out.zarr"), SEGMENTATION, writable=True)
    volume.array[3, 4, 5] = 12345
    assert run(path) == []
    assert "extract_segmentation: its output is taken as it is now" in caplog.text
    assert "chunk 0.0.0" in caplog.text
    assert open_volume(str(done / "out.zarr"), SEGMENTATION).read()[3, 4, 5] == 12345


def test_an_input_that_changes_while_a_stage_runs_is_noticed_at_its_end(done, path, monkeypatch, tmp_path_factory):
    """The stage is not finished; the next run makes it anew."""
    affs = open_volume(str(done / "out.zarr"), AFFS, writable=True)
    real = running.run_blockwise

    def disturbed(task, show=None):
        real(task, show)
        affs.array[:, 5, 5:9, 5:9] = 0

    monkeypatch.setattr(running, "run_blockwise", disturbed)
    settings = with_num_workers(load_pipeline(path), 1)
    with pytest.raises(UserError, match=r"extract_fragments: its input changed meanwhile: affs was .*Run this again"):
        run_stage("extract_fragments", settings, overwrite=True)
    assert "finished" not in open_volume(str(done / "out.zarr"), FRAGMENTS).attrs
    monkeypatch.undo()
    assert run(path) == STAGES
    assert run(path) == []


MASK = 'mask_file = "out.zarr"\nmask_dataset = "volumes/mask"'


@pytest.mark.parametrize("when", ["meanwhile", "after a kill", "after the run"])
def test_a_mask_that_changes(done, make_config, monkeypatch, when):
    """With a record of its chunks, as create_masks.py writes it."""
    with add_volume(str(done / "out.zarr"), "volumes/mask", SHAPE, VOXEL_SIZE, OFFSET, np.uint8, chunks=(10, 16, 14)) as mask:
        mask.write(mask.box, np.ones(SHAPE, np.uint8))
    array = open_volume(str(done / "out.zarr"), "volumes/mask", writable=True).array
    path = make_config(done, evaluate="", extract=EXTRACT, fragments=MASK)
    monkeypatch.setattr(running, "run_blockwise", run_here)

    def disturbed(task, show=None):
        run_here(task)
        if when == "after a kill":
            raise KeyboardInterrupt
        if when == "meanwhile":
            array[:, :14] = 0

    with monkeypatch.context() as patch:
        patch.setattr(running, "run_blockwise", disturbed)
        expected = {"meanwhile": UserError, "after a kill": KeyboardInterrupt}.get(when)
        with pytest.raises(expected, match="input changed meanwhile: mask was" if when == "meanwhile" else None) \
                if expected else nullcontext():
            run(path, ["extract_fragments"])
    array[:, :14] = 0
    assert run(path) == STAGES
    assert run(path) == []
    fragments = open_volume(str(done / "out.zarr"), FRAGMENTS).read()
    assert not fragments[:, :14].any()
    assert fragments[:, 14:].any()


@pytest.mark.parametrize("how", ["gone", "swapped"])
def test_a_run_that_goes_on_does_blocks_again_whose_chunks_are_not_theirs(done, path, caplog, how):
    before = results(done)
    del open_volume(str(done / "out.zarr"), SEGMENTATION, writable=True).array.attrs["finished"]
    first, second = chunk(done, SEGMENTATION, "1.1.1"), chunk(done, SEGMENTATION, "0.1.1")
    if how == "swapped":
        swap(first, second)
    else:
        first.unlink()
    assert run(path) == ["extract_segmentation"]
    assert f"{1 if how == 'gone' else 2} of 27 finished blocks are done again: what they wrote is gone" in caplog.text
    assert_equal(results(done), before)


@pytest.mark.parametrize("times", [1, 3])
def test_what_is_lost_before_the_end_is_not_called_finished(done, path, monkeypatch, times):
    before, lost = results(done), []
    real = running.run_blockwise

    def disturbed(task, show=None):
        real(task, show)
        if len(lost) < times:
            chunk(done, SEGMENTATION, "1.1.1").unlink()
            lost.append("1.1.1")

    monkeypatch.setattr(running, "run_blockwise", disturbed)
    settings = with_num_workers(load_pipeline(path), 1)
    if times == 3:
        with pytest.raises(UserError, match="blocks that were just done are missing again, 3 times over"):
            run_stage("extract_segmentation", settings, overwrite=True)
        assert "finished" not in open_volume(str(done / "out.zarr"), SEGMENTATION).attrs
        run_stage("extract_segmentation", settings)
    else:
        run_stage("extract_segmentation", settings, overwrite=True)
    assert_equal(results(done), before)


def test_a_look_up_table_that_was_changed_is_made_again_or_refused(done, path):
    before = results(done)
    table = done / "out.zarr" / "luts" / "fragment_segment" / "seg_edges_hist_quant_50_50.npz"
    content = bytearray(table.read_bytes())
    content[-400] ^= 1  # of a segment's id
    table.write_bytes(content)
    with pytest.raises(UserError, match=r"_50\.npz: not the look-up table that find_segments wrote there\. Run find_segments"):
        run_stage("extract_segmentation", with_num_workers(load_pipeline(path), 1), overwrite=True)
    assert run(path) == ["find_segments"]
    assert run(path) == []
    assert_equal(results(done), before)


def test_affinities_without_a_record_are_known_by_their_content(done, path, caplog, monkeypatch):
    """Of a version before, that is; large ones by the times of their files, too, unless all are new."""
    shutil.rmtree(done / "out.zarr" / AFFS / ".blockwise")
    settings = with_num_workers(load_pipeline(path), 1)
    run_stage("extract_fragments", settings, overwrite=True)
    run(path)
    before = results(done)
    assert run(path) == []
    volume = open_volume(str(done / "out.zarr"), AFFS, writable=True)
    volume.array[:, 13, 20:25, 20:25] = 0
    assert run(path) == STAGES
    assert "extract_fragments is made anew: affs, out.zarr:volumes/affs, was sha256:" in caplog.text
    assert not np.array_equal(results(done)[0], before[0])


@pytest.mark.parametrize("dataset", [AFFS, FRAGMENTS, SEGMENTATION])
def test_outputs_of_versions_that_kept_no_record_are_finished(done, path, dataset):
    shutil.rmtree(Path(done, "out.zarr", dataset, ".blockwise"))
    assert run(path) == []
