"""What a rerun does: nothing, what is left, or what depends on what changed."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import lsd_experiments
from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.configuration import load_pipeline, with_num_workers
from lsd_experiments.pipeline.overview import describe_plan, describe_status, plan_stages
from lsd_experiments.pipeline.plans import stage_names
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.rag import open_store
from tests.pipeline.conftest import EXTRACT
from tests.pipeline.here import blocks_here
from tests.scripts import run_script

pytestmark = pytest.mark.usefixtures(blocks_here.__name__)

STAGES = ["extract_fragments", "agglomerate", "find_segments", "evaluate", "extract_segmentation"]


def run(path, *names):
    """Run the stages, all by default; the ones that had something to do."""
    settings = with_num_workers(load_pipeline(path), 1)
    reports = {name: run_stage(name, settings) for name in names or stage_names(settings)}
    return [name for name, report in reports.items() if not report.startswith("up to date")]


def states(path):
    """The kind of each stage, as a dry run sees it."""
    settings = load_pipeline(path)
    return {stage.name: stage.state.kind for stage in plan_stages(settings, stage_names(settings))}


def files(directory):
    passing = (".lock", ".toml", "-wal", "-shm")
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file() and not path.name.endswith(passing)}


def test_an_unchanged_rerun_writes_nothing(config, done):
    before = files(done)
    assert run(config(extract=EXTRACT)) == []
    assert files(done) == before


@pytest.mark.parametrize(("change", "redone"), [
    ({"fragments": "min_seed_distance = 8"}, STAGES),
    ({"agglomerate": "block_size = [400, 144, 126]"}, STAGES[1:]),
    ({"find_segments": "thresholds_minmax = [0, 0.7]"}, STAGES[2:]),
    ({"evaluate": 'labels_file = "out.zarr"\nroi_offset = [240, 90, -45]\nroi_shape = [200, 180, 180]'}, ["evaluate"]),
])
def test_a_changed_parameter_recomputes_its_stage_and_what_depends_on_it(config, done, caplog, change, redone):
    """As the dry run says beforehand; back again, all of it is recomputed once more, to what it was."""
    before = open_volume(str(done / "out.zarr"), "volumes/segmentation_50").read()
    changed = config(extract=EXTRACT, **change)
    assert [name for name, kind in states(changed).items() if kind == "stale"] == redone
    assert run(changed) == redone
    key = next(iter(change.values())).split(" =")[0].splitlines()[-1]
    if redone[0] != "evaluate":
        key = {"block_size": "block_shape"}.get(key, key)
        assert f"{redone[0]} is made anew: {key} was" in caplog.text
    assert run(changed) == []
    assert run(config(extract=EXTRACT)) == redone
    np.testing.assert_array_equal(open_volume(str(done / "out.zarr"), "volumes/segmentation_50").read(), before)


def test_a_changed_input_is_noticed_by_its_voxels(config, done, caplog):
    affs = open_volume(str(done / "out.zarr"), "volumes/affs", writable=True)
    affs.array[:, 13, 20:25, 20:25] = 0
    assert run(config(extract=EXTRACT)) == STAGES
    assert re.search(r"extract_fragments is made anew: affs was out.zarr:volumes/affs \(\w+\), now it is", caplog.text)


def test_another_version_makes_all_anew(config, done, monkeypatch):
    monkeypatch.setattr(lsd_experiments, "__version__", "99")
    settings = load_pipeline(config(extract=EXTRACT))
    planned = plan_stages(settings, stage_names(settings))
    assert {stage.state.kind for stage in planned} == {"stale"}
    assert 'version was "' in planned[0].state.reason


@pytest.mark.parametrize(("gone", "redone"), [
    ("out.zarr/volumes/fragments", ["extract_fragments"]),
    ("out.zarr/volumes/segmentation_50", ["extract_segmentation"]),
    ("out.zarr/luts", ["find_segments"]),
    ("out_hist_quant_50.json", ["evaluate"]),
    ("out.db", ["extract_fragments", "agglomerate"]),
])
def test_what_was_deleted_is_recomputed_and_nothing_else(config, done, gone, redone):
    path = done / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path = config(extract=EXTRACT)
    assert [name for name, kind in states(path).items() if kind != "done"] == redone
    assert run(path) == redone


def test_containers_may_move(done, tmp_path_factory, make_config):
    elsewhere = tmp_path_factory.mktemp("moved") / "there"
    shutil.move(done, elsewhere)
    assert run(make_config(elsewhere, extract=EXTRACT)) == []


def test_what_is_made_again_by_wish_makes_what_follows_anew(config, done):
    """Though nothing changed that is known; and when it was deleted afterwards, too."""
    path = config(extract=EXTRACT)
    settings = with_num_workers(load_pipeline(path), 1)
    run_stage("extract_fragments", settings, overwrite=True)
    assert [name for name, kind in states(path).items() if kind == "done"] == ["extract_fragments"]
    assert run(path) == STAGES[1:]
    assert run(path) == []


def test_records_of_blocks_do_not_count_for_another_database(config, done):
    """A database that comes back from before, half full, is filled again."""
    path = config(extract=EXTRACT)
    with open_store(done / "out.db") as store:
        edges = store.read_edges("hist_quant_50")
        made = store.stage("edges_hist_quant_50")[0]
        store.clear_edges("hist_quant_50")
        store.create_edges("hist_quant_50")
        store.begin_stage("edges_hist_quant_50", {**made, "date": "2020-01-01"})  # the records say that all blocks are done
    assert run(path) == ["agglomerate"]
    with open_store(done / "out.db") as store:
        for before, after in zip(edges, store.read_edges("hist_quant_50"), strict=True):
            np.testing.assert_array_equal(before, after)


def test_a_region_graph_of_another_container_is_not_touched(config, done, tmp_path_factory, make_out_file, make_config):
    """Of the same name, too, and with --overwrite; a container that was renamed is the same."""
    (done / "out.zarr").rename(done / "other.zarr")
    path = config(extract=EXTRACT)
    path.write_text(path.read_text().replace('"out.zarr"', '"other.zarr"', 1) .replace('out_file', 'db = "out.db"\nout_file', 1)
                    .replace('labels_file = "out.zarr"', 'labels_file = "other.zarr"'))
    assert run(path, "extract_fragments") == []
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    make_out_file(elsewhere)
    path = make_config(elsewhere, top=f'db = "{done}/out.db"')
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"holds the region graph of out\.zarr:volumes/fragments, in another container than"):
            run_stage("extract_fragments", load_pipeline(path), overwrite)
    with open_store(done / "out.db") as store:
        assert store.count_nodes() > 0


@pytest.mark.parametrize(("dataset", "says"), [
    ("volumes", "is a group"), ("volumes/affs", "was made by predict"), ("volumes/fragments", "was made by extract_fragments"),
    ("volumes/labels/neuron_ids", "does not say what made it")])
def test_what_a_stage_did_not_make_is_not_overwritten(config, done, dataset, says):
    before = files(done)
    settings = load_pipeline(config(extract=f'{EXTRACT}\nout_dataset = "{dataset}"'))
    for overwrite in (False, True):
        with pytest.raises(UserError, match=says):
            run_stage("extract_segmentation", settings, overwrite)
    assert files(done) == before


def test_tables_that_do_not_say_what_made_them_are_not_replaced(config, done):
    tables = done / "out.zarr" / "luts" / "fragment_segment"
    (tables / "seg_edges_hist_quant_50.json").unlink()
    with pytest.raises(UserError, match=r"seg_edges_hist_quant_50_0\.npz exists, and no seg_edges_hist_quant_50\.json says"):
        run(config(extract=EXTRACT), "find_segments")
    shutil.rmtree(tables)
    assert run(config(extract=EXTRACT), "find_segments") == ["find_segments"]


def test_edges_of_other_fragments_are_refused(config, done, monkeypatch):
    monkeypatch.undo()  # workers of their own, which leave no database open
    shutil.copy(done / "out.db", done / "before.db")
    run(config(fragments="min_seed_distance = 8"), "extract_fragments", "agglomerate")
    (done / "before.db").rename(done / "out.db")
    with pytest.raises(UserError, match=r"the edges for hist_quant_50 in .*out\.db are not of .*fragments as it is now"):
        run(config(fragments="min_seed_distance = 8"), "find_segments")


def test_a_dry_run_tells_all_stages_of_a_new_run_and_writes_nothing(config, out_file):
    before = files(out_file.parent)
    settings = with_num_workers(load_pipeline(config(extract='threshold = "best"')), 2)
    text = describe_plan(settings, plan_stages(settings, stage_names(settings)))
    rows = [line.split() for line in text.splitlines()]
    assert [row[0] for row in rows[1:6]] == STAGES
    assert rows[1][1:3] == ["new", "27"]
    assert f"{27 * 40 * 41 * 8 / 1000:.3g} kB" in text  # fragments
    assert "extract_segmentation: its threshold is known after evaluate" in text
    assert "are free at" in text
    assert files(out_file.parent) == before


def test_status_tells_what_is_on_disk(config, done):
    path = config(extract=EXTRACT)
    settings = load_pipeline(path)
    text = describe_status(settings, plan_stages(settings, stage_names(settings)))
    assert re.search(r"^extract_fragments +done +27/27 ", text, re.MULTILINE)
    shutil.rmtree(done / "out.zarr" / "volumes" / "segmentation_50")
    script = Path(lsd_experiments.__file__).parents[1] / "03_predict" / "status.py"
    told = run_script(script, path).stdout
    assert re.search(r"^extract_segmentation +to do +0/27 ", told, re.MULTILINE)


def test_status_of_an_interrupted_stage_counts_its_blocks(config, done):
    del open_volume(str(done / "out.zarr"), "volumes/segmentation_50", writable=True).array.attrs["finished"]
    settings = load_pipeline(config(extract=EXTRACT))
    text = describe_status(settings, plan_stages(settings, stage_names(settings)))
    assert re.search(r"^extract_segmentation +interrupted +27/27 +0 ", text, re.MULTILINE)


def test_keys_are_those_that_versions_before_gave(config, out_file, monkeypatch):
    """Or what was made before would be made anew: names of stages, parameters and inputs are a format. Change them knowingly."""
    monkeypatch.setattr(lsd_experiments, "__version__", "1")
    settings = load_pipeline(config(extract=EXTRACT))
    keys = {stage.name: stage.stage.made["key"] for stage in plan_stages(settings, stage_names(settings))}
    assert keys == {"extract_fragments": "e2f50d44a0d42a92", "agglomerate": "08f8b9ca3efe9794",
                    "find_segments": "bf45744890995dbe", "evaluate": "755d4b75ba654f47",
                    "extract_segmentation": "d134751e3af00692"}
