"""[export]: what a pipeline made, written in other formats as its last stage."""

import json
import shutil

import numpy as np
import pytest

from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.conversion import stage as exporting
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.configuration import load_any, with_num_workers
from lsd_experiments.pipeline.overview import describe_plan, describe_status, plan_stages
from lsd_experiments.pipeline.plans import plan_stage, stage_names
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.viewing.view_results import exported_names
from tests.pipeline.conftest import EXTRACT, OFFSET, PREDICTED, SHAPE, VOXEL_SIZE, put
from tests.pipeline.here import blocks_here

here = pytest.mark.usefixtures(blocks_here.__name__)

SEGMENTATION = "volumes/segmentation_50"
PLACES = {"precomputed": ("segmentation.precomputed", None), "ome-zarr": ("segmentation.ome.zarr", None),
          "zarr3": ("segmentation.zarr", "volumes/segmentation"), "zarr": ("segmentation.zarr", "volumes/segmentation"),
          "n5": ("segmentation.n5", "volumes/segmentation"), "hdf5": ("segmentation.h5", "volumes/segmentation"),
          "tiff": ("segmentation.tif", None)}  # fmt: skip


@pytest.fixture
def configured(done, config):
    """A function that writes a configuration with an [export]; all other stages are done."""
    def write(export, extract=EXTRACT):
        path = config(extract=extract)
        path.write_text(f"{path.read_text()}\n[export]\n{export}\n")
        return path
    return write


def run(path, show=None, overwrite=False):
    return run_stage("export", with_num_workers(load_any(path), 1), overwrite, show)


@pytest.mark.parametrize("kind", PLACES)
def test_the_segmentation_in_each_format(configured, kind):
    path = configured(f'format = "{kind}"\ndirectory = "out"')
    assert stage_names(load_any(path))[-1] == "export"
    name, dataset = PLACES[kind]
    out = path.parent / "out" / name
    assert run(path) == str(out)
    expected, found = open_volume(path.parent / "out.zarr", SEGMENTATION), open_volume(out, dataset)
    np.testing.assert_array_equal(found.read(), expected.read())
    assert (found.dtype, found.voxel_size, found.offset) == (np.uint64, VOXEL_SIZE, OFFSET)
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert run(path) == f"up to date: {out}"
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == files
    assert not [*out.parent.rglob("*.partial")]


def test_what_is_linked_is_of_the_format_that_is_said(configured):
    """Not what was exported in another one before, which neuroglancer may not read."""
    for kind in ("hdf5", "ome-zarr", "precomputed"):
        path = configured(f'format = "{kind}"\ndirectory = "out"')
        with pytest.raises(UserError, match=r"out: no \.\S+ is exported yet\. Run export\.py first"):
            exported_names(str(path))
        run(path)
    assert exported_names(str(path)) == [str(path.parent / "out" / "segmentation.precomputed")]


def test_levels_and_options(configured):
    path = configured('datasets = ["segmentation", "affinities", "volumes/labels/neuron_ids"]\nlevels = 2\nencoding = "raw"')
    run(path)
    out = path.parent / "out_export"
    assert sorted(path.name for path in out.glob("*")) == [".blockwise", "affinities.precomputed", "neuron_ids.precomputed",
                                                           "segmentation.precomputed"]
    kinds = {path.parent.stem: json.loads(path.read_text()) for path in out.glob("*/info")}
    assert {name: info["type"] for name, info in kinds.items()} == {"affinities": "image", "neuron_ids": "segmentation",
                                                                    "segmentation": "segmentation"}
    assert len(list_datasets(out / "affinities.precomputed")) == 2
    expected = open_volume(path.parent / "out.zarr", "volumes/affs").read()
    np.testing.assert_array_equal(open_volume(out / "affinities.precomputed").read(), expected)


def test_made_otherwise_it_is_made_anew(configured):
    """Of other options, of another segmentation, or where chunks are gone; not for what others put beside the levels."""
    path = configured("levels = 1")
    run(path)
    out = path.parent / "out_export/segmentation.precomputed"
    (out / "mesh").mkdir()
    (out / "mesh/1:0").write_text("{}")
    assert run(path).startswith("up to date")
    [chunk] = (out / "9_9_20").iterdir()
    chunk.unlink()
    assert plan_stage("export", load_any(path)).state().kind == "begun"
    assert not run(path).startswith("up to date")
    assert open_volume(out).read().any()
    path = configured("levels = 2")
    assert plan_stage("export", load_any(path)).state().kind == "stale"
    run(path)
    assert len(list_datasets(out)) == 2
    before = open_volume(out).read()
    path = configured("levels = 2", extract='threshold = 0.0\nout_dataset = "volumes/other"')
    run_stage("extract_segmentation", load_any(path))
    assert not run(path).startswith("up to date")
    expected = open_volume(path.parent / "out.zarr", "volumes/other").read()
    assert (expected != before).any()
    np.testing.assert_array_equal(open_volume(out).read(), expected)


class Stop(Exception):
    pass


def test_interrupted_it_goes_on(configured):
    """What was exported is kept, and so are the blocks of the level that was written."""
    path = configured('datasets = ["segmentation", "fragments"]\nlevels = 3')
    seen = []

    def show(state):
        seen.append(state["completed"])
        if state["completed"] == 5:
            raise Stop

    with pytest.raises(Stop):
        run(path, show)
    out = path.parent / "out_export"
    assert plan_stage("export", load_any(path)).state().kind == "begun"
    assert (out / "segmentation.precomputed/info").exists()
    assert not (out / "fragments.precomputed").exists()
    files = {path: path.stat().st_mtime_ns for path in (out / "segmentation.precomputed").rglob("*")}
    run(path, seen.append)
    assert {path: path.stat().st_mtime_ns for path in (out / "segmentation.precomputed").rglob("*")} == files
    assert seen[-1]["completed"] == seen[-1]["total"]
    assert seen[7]["completed"] >= 3  # the first that is told of: the segmentation is not written again
    for name, dataset in (("segmentation", SEGMENTATION), ("fragments", "volumes/fragments")):
        expected = open_volume(path.parent / "out.zarr", dataset).read()
        np.testing.assert_array_equal(open_volume(out / f"{name}.precomputed").read(), expected)


def test_by_workers(configured, monkeypatch):
    monkeypatch.setattr(exporting, "HERE", 0)
    path = configured("levels = 1")
    states = []
    run(path, states.append)
    assert states[-1]["completed"] == states[-1]["total"] == 1
    expected = open_volume(path.parent / "out.zarr", SEGMENTATION).read()
    np.testing.assert_array_equal(open_volume(path.parent / "out_export/segmentation.precomputed").read(), expected)


def test_a_dry_run_and_the_status(configured):
    """Also where evaluation decides which segmentation it is."""
    path = configured("levels = 1", extract='threshold = "best"')
    config = load_any(path)
    assert "export" in describe_plan(config, plan_stages(config, stage_names(config)))
    assert "export" in describe_status(config, plan_stages(config, stage_names(config)))
    assert not (path.parent / "out_export").exists()
    shutil.rmtree(path.parent / "out.zarr" / SEGMENTATION)
    assert [stage.state.kind for stage in plan_stages(config, stage_names(config))][-1] == "new"


@here
@pytest.mark.parametrize(("kind", "name", "channels"), [("classes", "masks", 2), ("instances", "components", None)])
def test_masks_and_components(tmp_path, kind, name, channels):
    values = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype(np.uint8)
    put(tmp_path / "out.zarr", "volumes/probabilities", values, channels=2, attrs=PREDICTED)
    path = tmp_path / "config.toml"
    chosen = "" if channels else "channels = [1]\n"
    path.write_text(f'out_file = "out.zarr"\nkind = "{kind}"\n[threshold]\ndataset = "volumes/probabilities"\n{chosen}[export]\n')
    config = load_any(path)
    assert stage_names(config)[-1] == "export"
    for stage in [each for each in stage_names(config) if each != "predict"]:
        run_stage(stage, config)
    found = open_volume(tmp_path / "out_export" / f"{name}.precomputed")
    np.testing.assert_array_equal(found.read(), open_volume(tmp_path / "out.zarr", f"volumes/{name}").read())
    assert found.channels == channels
    assert (found.voxel_size, found.offset) == (VOXEL_SIZE, OFFSET)


@pytest.mark.parametrize(("export", "message"), [
    ('format = "hdf5"\nlevels = 2', "levels is for ome-zarr and precomputed, and this is hdf5"),
    ('datasets = ["affinities", "volumes/affinities"]', "two datasets would be written to one place"),
    ("datasets = []", "datasets"), ('datasets = ["-"]', "stands for the only one"),
    ('format = "mrc"', "format"), ('directory = "s3://bucket/out"', "'directory' is a URL"),
    ('datasets = ["segmentatoin"]', "'segmentatoin' is none of segmentation, fragments, affinities, and"),
    ('datasets = ["affinities"]\nformat = "tiff"', "has 3 channels; a TIFF stack is"),
    ('datasets = ["affinities"]\nencoding = "compressed_segmentation"', "holds uint32 and uint64"),
])  # fmt: skip
def test_mistakes_are_told_before_the_first_stage(configured, export, message):
    def plan(path):
        config = load_any(path)
        plan_stages(config, stage_names(config))

    plan(configured(""))
    with pytest.raises(UserError, match=message):
        plan(configured(export))


def test_what_others_made_is_not_replaced(configured):
    path = configured("")
    out = path.parent / "out_export/segmentation.precomputed"
    out.mkdir(parents=True)
    (out / "info").write_text("theirs")
    with pytest.raises(UserError, match=r"exists, and no segmentation.precomputed.json says what made it"):
        run(path, overwrite=True)
    assert (out / "info").read_text() == "theirs"
