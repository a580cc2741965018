"""Pipelines of kind classes and instances, on made probabilities; blocks reach over the end of the volume."""

import json
import os
import re
import shutil
import signal

import numpy as np
import pytest
from scipy import ndimage

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.configuration import load_any, load_pipeline, with_num_workers
from lsd_experiments.pipeline.overview import describe_plan, describe_status, plan_stages
from lsd_experiments.pipeline.plans import plan_stage, stage_names
from lsd_experiments.pipeline.running import run_stage
from tests.faults.running import Run, wait_until
from tests.pipeline.conftest import PREDICTED, put
from tests.pipeline.here import blocks_here

here = pytest.mark.usefixtures(blocks_here.__name__)

SHAPE = (27, 40, 41)
INSTANCES = ["threshold", "label_blocks", "join_blocks", "extract_components", "evaluate"]
COMPONENTS = "volumes/components"
CONFIG = """
out_file = "out.zarr"
kind = "{kind}"

[threshold]
dataset = "volumes/classes"
block_size = [200, 144, 126]
{threshold}

{components}

[evaluate]
labels_file = "out.zarr"
{evaluate}
"""


@pytest.fixture(scope="module")
def probabilities():
    """[2, z, y, x] uint8: smooth blobs that cross many blocks."""
    noise = np.random.default_rng(5).normal(size=(2, *SHAPE))
    smooth = np.stack([ndimage.gaussian_filter(each, (1, 2, 2)) for each in noise])
    return np.clip(128 + 500 * smooth, 0, 255).astype(np.uint8)


@pytest.fixture
def make(tmp_path, probabilities):
    """A function that writes the container and a configuration."""
    put(tmp_path / "out.zarr", "volumes/classes", probabilities, channels=2, attrs=PREDICTED)
    truth = probabilities > 140
    put(tmp_path / "out.zarr", "volumes/labels/classes", truth.astype(np.uint8), channels=2)
    put(tmp_path / "out.zarr", "volumes/labels/turned", truth.transpose(0, 3, 2, 1).astype(np.uint8), channels=2)
    put(tmp_path / "out.zarr", "volumes/labels/objects", ndimage.label(truth[1])[0].astype(np.uint64))

    def config(kind, threshold="", evaluate="", components=""):
        path = tmp_path / "config.toml"
        path.write_text(CONFIG.format(kind=kind, threshold=threshold, evaluate=evaluate, components=components))
        return path
    return config


@pytest.fixture
def instances(make):
    def config(components="", threshold="threshold = 0.6"):
        return make("instances", f"channels = [1]\n{threshold}", 'labels_dataset = "volumes/labels/objects"',
                    f"[components]\nblock_size = [120, 90, 198]\n{components}")
    return config


def run(path, *names, number=2):
    """The stages that had something to do."""
    config = with_num_workers(load_any(path), number)
    reports = {name: run_stage(name, config) for name in names or stage_names(config)}
    return [name for name, report in reports.items() if not report.startswith("up to date")]


def read(path, dataset=COMPONENTS):
    return open_volume(str(path.parent / "out.zarr"), dataset)


@here
def test_classes_from_probabilities_to_scores(make, probabilities):
    path = make("classes", 'classes = ["membrane", "cleft"]\nthreshold = [0.5, 0.6]')
    assert run(path) == ["threshold", "evaluate"]
    masks = read(path, "volumes/masks")
    wanted = np.stack([probabilities[0] > 0.5 * 255, probabilities[1] > 0.6 * 255])
    np.testing.assert_array_equal(masks.read(), wanted)
    assert (masks.voxel_size, masks.offset) == ((20, 9, 9), (200, 90, -45))
    scores = json.loads((path.parent / "out_classes.json").read_text())["scores"]
    truth = probabilities > 140
    for name, mask, true in zip(("membrane", "cleft"), wanted, truth, strict=True):
        assert scores[name]["iou"] == (mask & true).sum() / (mask | true).sum()
    assert scores["mean"]["iou"] == (scores["membrane"]["iou"] + scores["cleft"]["iou"]) / 2
    assert (path.parent / "out_classes.csv").read_text().startswith("name,iou,dice,")
    assert run(path) == []
    (path.parent / "out_classes.csv").unlink()
    assert run(path) == ["evaluate"]
    path = make("classes", 'classes = ["membrane", "cleft"]\nthreshold = [0.5, 0.7]')
    assert run(path) == ["threshold", "evaluate"]


@here
def test_a_part_of_the_classes_is_evaluated(make):
    whole = run(make("classes")) and json.loads((make("classes").parent / "out_classes.json").read_text())
    path = make("classes", evaluate="roi_offset = [240, 90, -45]\nroi_shape = [200, 180, 180]")
    assert run(path) == ["evaluate"]
    part = json.loads((path.parent / "out_classes.json").read_text())
    assert sum(part["scores"]["0"][key] for key in part["scores"]["0"] if "tives" in key) == 10 * 20 * 20
    assert part["scores"]["0"]["iou"] != whole["scores"]["0"]["iou"]
    with pytest.raises(UserError, match="reaches outside"):
        run(make("classes", evaluate="roi_offset = [0, 90, -45]\nroi_shape = [200, 180, 180]"))


@here
def test_classes_of_other_voxels_are_resampled_or_refused(make, probabilities, tmp_path):
    path = make("classes", 'classes = ["membrane", "cleft"]')
    run(path)
    plain = json.loads((path.parent / "out_classes.json").read_text())["scores"]
    values = (probabilities > 140).repeat(2, 3).astype(np.uint8)
    size, offset = (20, 9, 4.5), (200, 90, -45)
    finer = create_volume(tmp_path / "finer.zarr", "volumes/labels/classes", values.shape[1:], size, offset, "uint8", channels=2)
    finer.write(finer.box, values)
    settings = ["classes", 'classes = ["membrane", "cleft"]', 'out_prefix = "finer"']
    for components, asked in (("", False), ("[predict]\nresample = true", True)):
        path = make(*settings, components)
        path.write_text(path.read_text().replace('labels_file = "out.zarr"', 'labels_file = "finer.zarr"'))
        if not asked:
            with pytest.raises(UserError, match=r"set resample = true in \[predict\]"):
                run(path)
    assert run(path) == ["evaluate"]
    assert json.loads((path.parent / "finer.json").read_text())["scores"] == plain


@here
@pytest.mark.parametrize(("connectivity", "rank"), [(6, 1), (26, 3)])
def test_instances_are_those_of_the_whole_volume(instances, probabilities, connectivity, rank):
    path = instances(f"connectivity = {connectivity}")
    assert run(path) == INSTANCES
    wanted, count = ndimage.label(probabilities[1] > 153, ndimage.generate_binary_structure(3, rank))
    found = read(path)
    np.testing.assert_array_equal(found.read(), wanted)
    assert (found.dtype, found.voxel_size, found.offset) == (np.uint64, (20, 9, 9), (200, 90, -45))
    assert 5 < count < read(path, "volumes/component_parts").read().max()
    scores = json.loads((path.parent / "out_instances.json").read_text())["scores"]["components"]
    assert 0 < scores["voi_sum"] < 5
    assert run(path) == []


def test_the_blocks_and_the_number_of_workers_do_not_matter(instances, make):
    path = instances("minimum_size = 9")
    run(path)
    before = read(path).read()
    path = make("instances", "channels = [1]\nthreshold = 0.6", 'labels_dataset = "volumes/labels/objects"',
                "[components]\nblock_size = [540, 144, 45]\nminimum_size = 9")
    assert run(path, number=1) == INSTANCES[1:]
    np.testing.assert_array_equal(read(path).read(), before)
    assert run(instances("minimum_size = 1"))
    assert read(path).read().max() > before.max() > 0  # negative control


@here
def test_what_was_lost_is_made_again_and_nothing_else(instances):
    path = instances()
    run(path)
    before = read(path).read()
    out = path.parent / "out.zarr"
    (out / "volumes/component_parts/1.1.1").unlink()
    with pytest.raises(UserError, match=r"component_parts: chunk 1\.1\.1 .*gone or cut off\. Run label_blocks again"):
        run(path, "join_blocks")
    assert run(path) == ["label_blocks"]
    next((out / "luts/components").glob("*.npz")).unlink()
    assert run(path) == ["join_blocks"]
    shutil.rmtree(out / COMPONENTS)
    assert run(path) == ["extract_components"]
    np.testing.assert_array_equal(read(path).read(), before)


@here
def test_a_crop_and_another_part_of_a_file_are_inputs_of_their_own(instances, make):
    path = instances()
    run(path)
    crop = path.parent / "crop.json"
    crop.write_text(json.dumps({"container": "out.zarr", "dataset": "volumes/classes", "offset": [240, 90, -45],
                                "size": [300, 360, 369]}))
    path = instances(threshold='threshold = 0.6\nfile = "crop.json"\n')
    path.write_text(path.read_text().replace('"out.zarr"\nkind', '"cropped.zarr"\nkind')
                    .replace('dataset = "volumes/classes"', "dataset = ''"))
    assert run(path)[:4] == INSTANCES[:4]
    found = open_volume(str(path.parent / "cropped.zarr"), COMPONENTS)
    assert (found.shape, found.offset) == ((15, 40, 41), (240, 90, -45))
    wanted = ndimage.label(read(path, "volumes/classes").read()[1, 2:17] > 153)[0]
    np.testing.assert_array_equal(found.read(), wanted)
    crop.write_text(crop.read_text().replace("300", "320"))
    assert "probabilities" in plan_stage("threshold", load_any(path)).state().reason


@pytest.mark.kills
@here
@pytest.mark.parametrize(("stage", "factory"), [
    ("threshold", "lsd_experiments.thresholding.blockwise:make_worker"),
    ("label_blocks", "lsd_experiments.components.blockwise:make_worker"),
    ("extract_components", "lsd_experiments.segmentation.blockwise:make_worker")])
def test_workers_and_runs_that_are_killed_change_nothing(instances, tmp_path, stage, factory):
    """A worker dies between a block and its mark; later, the run itself. The next run ends as an undisturbed one."""
    path, mark = instances(), tmp_path / "mark"
    names = {"threshold": "masks", "label_blocks": "component_parts", "extract_components": "components"}
    marks = path.parent / "out.zarr" / ".blockwise" / f"volumes_{names[stage]}" / "done/done/c/0/0/0"
    killed = Run(path, tmp_path / "log", delays={f"volumes/{names[stage]}": 0.03}, FAULTS_DIE=f"{factory} 3 {mark}")
    assert wait_until(lambda: mark.exists() and marks.exists() and marks.read_bytes().count(1) > 12, killed), killed.text()
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    assert mark.exists()
    assert plan_stage(stage, load_any(path)).state().kind == "begun"
    assert run(path)[0] == stage
    wanted = ndimage.label(read(path, "volumes/classes").read()[1] > 153)[0]
    np.testing.assert_array_equal(read(path).read(), wanted)
    assert run(path) == []


@here
def test_a_dry_run_and_the_status(instances):
    path = instances()
    config = with_num_workers(load_any(path), 2)
    before = sorted(path.parent.rglob("*"))
    text = describe_plan(config, plan_stages(config, stage_names(config)))
    assert [line.split()[:2] for line in text.splitlines()[1:6]] == [[name, "new"] for name in INSTANCES]
    assert sorted(path.parent.rglob("*")) == before
    run(path, "threshold", "label_blocks")
    text = describe_status(config, plan_stages(config, stage_names(config)))
    assert re.search(r"^label_blocks +done +40/40 ", text, re.MULTILINE)
    assert re.search(r"^join_blocks +to do ", text, re.MULTILINE)


@pytest.mark.parametrize(("text", "says"), [
    ('kind = "classs"', r"there is no 'classs'; did you mean 'classes'\? It is one of neurons, classes, instances"),
    ('kind = "classes"\n[agglomerate]', r"'agglomerate' is for kind = \"neurons\", and this configuration's kind is \"classes\""),
    ('kind = "classes"\n[components]', r"'components' is for kind = \"instances\""),
    ("[threshold]\ndataset = 'x'", r"'threshold' is for kind = \"classes\" or \"instances\""),
    ('kind = "classes"\n[workers.label_blocks]', r"'workers\.label_blocks' is for kind = \"instances\""),
    ('kind = "instances"\ndb = "a.db"', "'db' is for kind = \"neurons\""),
    ('kind = "classes"\n[treshold]', "unknown key 'treshold'; did you mean 'threshold'"),
    ('kind = "instances"\n[threshold]\ndataset = "x"\n[components]\nconnectivity = 8', "should be 6, 18 or 26, found 8"),
])
def test_what_a_kind_does_not_have_is_refused(tmp_path, text, says):
    path = tmp_path / "config.toml"
    path.write_text(f'out_file = "out.zarr"\n{text}\n')
    with pytest.raises(UserError, match=says):
        load_any(path)


@pytest.mark.parametrize(("change", "says"), [
    ({"threshold": "channels = [2]"}, r"channels = \[2\]: .* has 2, counted from 0"),
    ({"threshold": 'classes = ["a"]'}, "1 names for 2 channels"),
    ({"threshold": "threshold = [0.5, 0.5, 0.5]"}, "3 numbers for 2 classes"),
    ({"threshold": "block_size = [200, 144, 130]"}, "no multiple of the voxel size"),
    ({"evaluate": 'labels_dataset = "volumes/none"'}, "volumes/none"),
    ({"evaluate": "label_ids = [1, 2]"}, "whose channels are classes"),
    ({"evaluate": 'labels_dataset = "volumes/labels/turned"'}, "its axes are in another order, x, y, z"),
])
def test_settings_that_do_not_fit_are_refused_before_anything_is_made(make, change, says):
    path = make("classes", **change)
    text = path.read_text()
    if text.count("block_size") == 2:
        path.write_text(text.replace("block_size = [200, 144, 126]\n", ""))
    config = load_any(path)
    with pytest.raises(UserError, match=says):
        plan_stages(config, stage_names(config))
    assert not (path.parent / "out.zarr/volumes/masks").exists()


@here
def test_commands_of_other_kinds_are_refused(make):
    path = make("classes")
    with pytest.raises(UserError, match=r"agglomerate is a stage of kind = \"neurons\", .*whose stages are predict, threshold"):
        run(path, "agglomerate")
    with pytest.raises(UserError, match="is of kind \"classes\", which has no region graph"):
        load_pipeline(path)
    with pytest.raises(UserError, match="has 2 classes; components are those of one"):
        run(make("instances"), "threshold", "label_blocks")


@here
def test_a_table_whose_parts_change_meanwhile_is_not_called_finished(instances, monkeypatch):
    from lsd_experiments.components import blockwise

    path = instances()
    run(path, "threshold", "label_blocks")
    real = blockwise.join_parts

    def disturbed(*arguments):
        found = real(*arguments)
        open_volume(str(path.parent / "out.zarr"), "volumes/component_parts", writable=True).array[3, 4, 5] = 77
        return found

    monkeypatch.setattr(blockwise, "join_parts", disturbed)
    with pytest.raises(UserError, match="join_blocks: its input changed meanwhile: parts was"):
        run(path, "join_blocks")
    monkeypatch.undo()
    assert plan_stage("join_blocks", load_any(path)).state().kind == "stale"
    with pytest.raises(UserError, match="there is no finished table"):
        run(path, "extract_components")
