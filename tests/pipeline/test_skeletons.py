"""[evaluate] with skeletons: thresholds are judged by the segments under nodes, and no segmentation is written."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.skeletons import evaluate_skeletons
from lsd_experiments.pipeline.configuration import load_pipeline, with_num_workers
from lsd_experiments.pipeline.evaluating import plan_evaluation
from lsd_experiments.pipeline.plans import PLANNERS
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.scores import ScoresDatabase
from lsd_experiments.segmentation import lut_path, read_lut, relabel
from lsd_experiments.skeletons import Skeletons, crop, segments_at, write_skeletons
from tests.pipeline.here import blocks_here

pytestmark = pytest.mark.usefixtures(blocks_here.__name__)

VOXEL_SIZE, OFFSET = np.array((20, 9, 9)), np.array((200, 90, -45))  # of the fixtures
SKELETONS = 'skeletons_file = "skeletons.csv"'
PART = f"{SKELETONS}\nroi_offset = [240, 90, -45]\nroi_shape = [200, 180, 180]"
CHAIN = ("extract_fragments", "agglomerate", "find_segments")
NETWORK = {"variant": "synthetic/mtlsd", "iteration": 7}


def run(path, *names, overwrite=False):
    config = with_num_workers(load_pipeline(path), 2)
    return [run_stage(name, config, overwrite) for name in names]


def state(path, name="evaluate"):
    return PLANNERS[name](load_pipeline(path), {}).state()


@pytest.fixture(scope="session")
def skeletons(labels):
    """One along each neurite: a node in the middle of its section every other section."""
    positions, edges = [], []
    for label in np.unique(labels[labels > 0]):
        sections = [z for z in range(0, labels.shape[0], 2) if (labels[z] == label).any()]
        nodes = range(len(positions), len(positions) + len(sections))
        positions += [(z, *np.argwhere(labels[z] == label).mean(axis=0)) for z in sections]
        edges += [(a, a + 1) for a in nodes[:-1]]
    return Skeletons.of((np.array(positions) + 0.5) * VOXEL_SIZE + OFFSET, edges)


@pytest.fixture(scope="module")
def once_segmented(tmp_path_factory, make_out_file, make_config, skeletons):
    directory = tmp_path_factory.mktemp("segmented")
    attrs = open_volume(str(make_out_file(directory)), "volumes/affs", writable=True).array.attrs
    attrs["provenance"] = {**attrs["provenance"], "parameters": NETWORK}
    write_skeletons(directory / "skeletons.csv", skeletons)
    run(make_config(directory), *CHAIN)
    return directory


@pytest.fixture
def segmented(tmp_path, once_segmented):
    shutil.copytree(once_segmented, tmp_path, dirs_exist_ok=True)
    return tmp_path


def summary(directory):
    return json.loads((directory / "out_hist_quant_50.json").read_text())


@pytest.mark.parametrize("parity", [False, True])
def test_each_threshold_scores_as_its_segmentation_would(config, segmented, skeletons, parity):
    (table,) = run(config(top="parity = true" if parity else "", evaluate=SKELETONS), "evaluate")
    assert "ERL+Rand" in table
    rows = summary(segmented)["curves"]["hist_quant_50"]
    assert [row["threshold"] for row in rows] == pytest.approx(np.arange(0, 1, 0.1))
    volume = open_volume(str(segmented / "out.zarr"), "volumes/fragments")
    voxels = np.floor((skeletons.positions - OFFSET) / VOXEL_SIZE).astype(int)
    for row in rows:
        segmentation = relabel(volume.read(), read_lut(lut_path(str(segmented / "out.zarr"), "hist_quant_50", row["threshold"])))
        expected = evaluate_skeletons(skeletons, segmentation[tuple(voxels.T)], parity, voxels)
        assert {key: row[key] for key in expected} == pytest.approx(expected)
    assert len({row["xpress_erl_rand"] for row in rows}) > 1  # negative control: thresholds differ
    with (segmented / "out_hist_quant_50.csv").open() as stream:
        assert [float(row["erl"]) for row in csv.DictReader(stream)] == [row["erl"] for row in rows]
    assert (segmented / "out_hist_quant_50.png").exists()


def test_the_best_threshold_is_that_of_the_highest_score_or_of_another(config, segmented):
    path = config(evaluate=SKELETONS, extract='threshold = "best"')
    _, result = run(path, "evaluate", "extract_segmentation")
    rows, best = summary(segmented)["curves"]["hist_quant_50"], summary(segmented)["best"]["hist_quant_50"]
    assert best["xpress_erl_rand"] == max(row["xpress_erl_rand"] for row in rows) > rows[0]["xpress_erl_rand"]
    assert result.endswith(f"volumes/segmentation_{100 * best['threshold']:g}")
    path = config(evaluate=f'{SKELETONS}\nbest = "merges"', extract='threshold = "best"')
    assert state(path).reason == 'best was "xpress_erl_rand", now it is "merges"'
    with pytest.raises(UserError, match="not of the look-up tables that there are now"):
        run(path, "extract_segmentation")
    _, result = run(path, "evaluate", "extract_segmentation")
    assert result.endswith("volumes/segmentation_0")  # nothing is merged


def test_in_a_part(config, segmented, skeletons):
    """What lies outside does not count, and neurites that the part cuts are several."""
    run(config(evaluate=PART), "evaluate")
    rows = summary(segmented)["curves"]["hist_quant_50"]
    inner = crop(skeletons, (240, 90, -45), (200, 180, 180))
    assert {row["nodes"] for row in rows} == {len(inner.ids)}
    assert len(inner.ids) < len(skeletons.ids)
    assert {row["skeletons"] for row in rows} == {inner.components.max() + 1}
    ids = segments_at(open_volume(str(segmented / "out.zarr"), "volumes/fragments"), inner)
    assert rows[0]["segments"] == len(np.unique(ids[ids > 0]))  # at 0, fragments that agree fully are united at most
    with pytest.raises(UserError, match="reaches outside of"):
        run(config(evaluate=PART.replace("[240, 90", "[0, 90")), "evaluate")


def test_a_change_of_the_file_or_the_region_is_noticed(config, segmented, skeletons):
    path = config(evaluate=SKELETONS)
    run(path, "evaluate")
    assert state(path).kind == "done"
    write_skeletons(segmented / "skeletons.csv", skeletons)  # the same
    assert state(path).kind == "done"
    assert state(config(evaluate=PART)).reason.startswith("roi_offset was null")
    assert state(config(top="parity = true", evaluate=SKELETONS)).kind == "stale"
    assert state(config(evaluate=f"{SKELETONS}\nskeletons_scale = 2")).reason == "skeletons_scale was 1.0, now it is 2.0"
    assert "labels was not given" in state(config(evaluate=f'{SKELETONS}\nlabels_file = "out.zarr"')).reason
    write_skeletons(segmented / "skeletons.csv", skeletons.keep(np.arange(len(skeletons.ids)) > 0))
    assert re.match(r"skeletons was skeletons\.csv \(sha256:\w+\), now it is", state(config(evaluate=SKELETONS)).reason)


def test_beside_labels(config, segmented):
    """A table for each; which decides, follows from the score that does."""
    both = f'labels_file = "out.zarr"\n{SKELETONS}'
    (report,) = run(config(evaluate=both), "evaluate")
    assert len(re.findall("<- best", report)) == 2
    written = summary(segmented)
    assert list(written["curves"]) == ["hist_quant_50", "hist_quant_50, skeletons"]
    assert written["best_by"] == {"hist_quant_50": "voi_sum", "hist_quant_50, skeletons": "xpress_erl_rand"}
    fragments = open_volume(str(segmented / "out.zarr"), "volumes/fragments")
    plans = [plan_evaluation(load_pipeline(config(evaluate=f"{both}{more}")), fragments, None)
             for more in ("", '\nbest = "voi_sum"', '\nbest = "splits"')]
    assert [plan.deciding for plan in plans] == ["hist_quant_50, skeletons", "hist_quant_50", "hist_quant_50, skeletons"]
    run(config(evaluate='labels_file = "out.zarr"'), "evaluate")
    assert summary(segmented)["curves"]["hist_quant_50"] == written["curves"]["hist_quant_50"]


def test_scores_go_into_a_table(config, segmented):
    """With the network of the affinities, once; and again if they are not there."""
    path = config(evaluate=f'labels_file = "out.zarr"\n{PART}\nscores_db = "results.db"')
    run(path, "evaluate")
    entries = ScoresDatabase(segmented / "results.db").entries()
    assert {(e.network, e.checkpoint, e.merge_function) for e in entries} == {("synthetic/mtlsd", 7, "hist_quant_50")}
    region = "240 90 -45 + 200 180 180 nm"
    assert {e.truth for e in entries} == {f"skeletons.csv, {region}", f"out.zarr:volumes/labels/neuron_ids, {region}"}
    assert len(entries) == 2 * 10
    assert state(path).kind == "done"
    scores = (segmented / "out_hist_quant_50.json").read_text()
    (segmented / "results.db").unlink()
    assert state(path).reason.endswith("results.db does not have them")
    run(path, "evaluate")
    assert ScoresDatabase(segmented / "results.db").entries() == entries
    assert (segmented / "out_hist_quant_50.json").read_text() == scores


def test_a_table_needs_a_network_and_a_place(config, segmented):
    path = config(evaluate=f'{SKELETONS}\nscores_db = "skeletons.csv"')
    with pytest.raises(UserError, match=r"skeletons\.csv: file is not a database\. Name another file"):
        run(path, "evaluate")
    attrs = open_volume(str(segmented / "out.zarr"), "volumes/fragments", writable=True).array.attrs
    attrs["provenance"] = {key: value for key, value in attrs["provenance"].items() if key != "network"}
    with pytest.raises(UserError, match="does not say which network and checkpoint it came from"):
        run(config(evaluate=f'{SKELETONS}\nscores_db = "results.db"'), "evaluate")
    run(config(evaluate=SKELETONS), "evaluate")  # without a table it is not needed
    assert not (segmented / "results.db").exists()


def test_skeletons_that_are_not_there(config, segmented):
    with pytest.raises(UserError, match=r"none\.csv: no such file\. Correct 'skeletons_file'"):
        run(config(evaluate='skeletons_file = "none.csv"'), "evaluate")
    with pytest.raises(UserError, match="none of the 224 nodes lies in the region of"):
        run(config(evaluate=f"{SKELETONS}\nskeletons_scale = 1000"), "evaluate")
    assert not (segmented / "out_hist_quant_50.json").exists()
