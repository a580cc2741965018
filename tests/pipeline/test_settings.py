import json
from pathlib import Path

import pytest

from lsd_experiments.agglomeration.functions import SCORING_FUNCTIONS
from lsd_experiments.datasets import load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.families.xpress.regions import XPRESS_ROIS
from lsd_experiments.fragments.extraction import EPSILON_MERGE_FUNCTION
from lsd_experiments.geometry import to_voxels
from lsd_experiments.pipeline.configuration import load_pipeline
from lsd_experiments.segmentation import threshold_name, threshold_range

CONFIGS = Path(__file__).parents[2] / "03_predict"


def test_every_shipped_configuration_loads():
    names = {path.stem for path in CONFIGS.glob("*.toml")} - {"cremi"}  # of another kind: tests/cremi/test_pipeline.py
    assert names >= {"fib25", "zebrafinch", "xpress_validation", "xpress_test"}
    for name in names:
        config = load_pipeline(CONFIGS / f"{name}.toml")
        assert name == "snemi3d" or Path(config.setup).parent.parent.name == "02_train"  # that one has affinities of main.py
        assert (config.extract.threshold == "best") == (config.evaluate is not None) == (name != "xpress_test")  # no ground truth


def test_what_the_paper_chose():
    chosen = {"fib25": ("hist_quant_75", False), "hemi": ("hist_quant_75", False), "zebrafinch": ("hist_quant_50", True)}
    for name, (merge_function, in_xy) in chosen.items():
        config = load_pipeline(CONFIGS / f"{name}.toml")
        assert (config.agglomerate.merge_function, config.fragments.fragments_in_xy) == (merge_function, in_xy)
        dataset = load_dataset(config.setup)
        assert (dataset.name, Path(config.raw_file).parent) == (name, dataset.directory)
        blocks = (config.fragments.block_size, config.fragments.context, config.agglomerate.context)
        assert all(size % voxel == 0 for sizes in blocks for size, voxel in zip(sizes, dataset.voxel_size, strict=True))


@pytest.fixture
def write(tmp_path):
    def write(**values):
        path = tmp_path / "settings" / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"out_file": "out.zarr", "fragments": {"fragments_in_xy": True}, **values}))
        return path
    return write


def test_the_best_checkpoint_may_be_asked_for(write):
    for key in ("iteration", "checkpoint"):
        assert load_pipeline(write(**{key: "best"})).iteration == "best"
        assert load_pipeline(write(**{key: 7})).iteration == 7
        for wrong in ("newest", 0):
            with pytest.raises(UserError, match=r"config.json: 'iteration'"):
                load_pipeline(write(**{key: wrong}))
    for key in ("lsds_iteration", "lsds_checkpoint"):
        assert load_pipeline(write(predict={key: "best"})).predict.lsds_iteration == "best"


def test_published_defaults(write):
    config = load_pipeline(write())
    assert config.fragments.block_size == (1000, 1000, 1000)
    assert config.fragments.context == config.agglomerate.context == (248, 248, 248)
    assert (config.fragments.epsilon_agglomerate, config.fragments.filter_fragments) == (0, 0)
    assert config.fragments.min_seed_distance == 10
    assert (config.find_segments.thresholds_minmax, config.find_segments.thresholds_step) == ((0, 1), 0.02)
    assert config.extract.threshold == 0.4
    assert not config.parity


@pytest.mark.parametrize("name", ["xpress_validation", "xpress_test"])
def test_what_the_x_ray_baseline_chose(name):
    """Blocks of 33 nm voxels: fragments 128 + 32, agglomeration 512 + 64; 19 thresholds, 0.05 to 0.95."""
    config = load_pipeline(CONFIGS / f"{name}.toml")
    fragments = config.fragments
    assert (fragments.min_seed_distance, fragments.filter_fragments, fragments.epsilon_agglomerate) == (5, 0.3, 0.01)
    assert not fragments.fragments_in_xy
    sizes = config.fragments.block_size, config.fragments.context, config.agglomerate.block_size, config.agglomerate.context
    assert [to_voxels(size, (33, 33, 33))[0] for size in sizes] == [128, 32, 512, 64]
    thresholds = threshold_range(config.find_segments.thresholds_minmax, config.find_segments.thresholds_step)
    assert thresholds == [round(0.05 * n, 2) for n in range(1, 20)]  # to the last bit
    assert [threshold_name(t) for t in thresholds] == [str(5 * n) for n in range(1, 20)]
    assert threshold_range((0.05, 0.95), 0.05) == thresholds[:-1]  # the upper end is left out
    assert config.extract.threshold in (*thresholds, "best")
    assert SCORING_FUNCTIONS[EPSILON_MERGE_FUNCTION] == \
        "OneMinus<HistogramQuantileAffinity<RegionGraphType, 25, ScoreValue, 256, false>>"
    assert SCORING_FUNCTIONS[config.agglomerate.merge_function] == \
        "OneMinus<HistogramQuantileAffinity<RegionGraphType, 50, ScoreValue, 256, false>>"
    if config.evaluate is not None:
        assert config.evaluate.metric == "xpress_erl_rand"
        assert (config.evaluate.roi_offset, config.evaluate.roi_shape) == XPRESS_ROIS["validation"]


def test_the_score_that_decides(write):
    labels, skeletons = {"labels_file": "gt.zarr"}, {"skeletons_file": "s.npz"}
    assert load_pipeline(write(evaluate=labels)).evaluate.metric == "voi_sum"
    assert load_pipeline(write(evaluate=skeletons)).evaluate.metric == "xpress_erl_rand"
    assert load_pipeline(write(evaluate={**labels, **skeletons, "best": "voi_sum"})).evaluate.metric == "voi_sum"


def test_paths_are_relative_to_the_file(write, tmp_path):
    config = load_pipeline(write(raw_file="../raw.zarr", setup="/nets/mtlsd", db="g.db", evaluate={
        "labels_file": "s3://b/gt.zarr", "skeletons_file": "skeletons.npz", "scores_db": "../results.db"}))
    assert config.out_file == str(tmp_path / "settings" / "out.zarr")
    assert config.raw_file == str(tmp_path / "raw.zarr")
    assert config.setup == "/nets/mtlsd"
    assert config.db_place == str(tmp_path / "settings" / "g.db")
    assert config.evaluate.labels_file == "s3://b/gt.zarr"
    assert config.evaluate.skeletons_file == str(tmp_path / "settings" / "skeletons.npz")
    assert config.evaluate.scores_db == str(tmp_path / "results.db")


def test_outputs_lie_beside_the_container(write, tmp_path):
    config = load_pipeline(write(agglomerate={"merge_function": "mean"}))
    assert config.db_place == str(tmp_path / "settings" / "out.db")
    assert config.scores_prefix == tmp_path / "settings" / "out_mean"
    assert config.affs == (config.out_file, "volumes/affs")
    elsewhere = load_pipeline(write(fragments={"fragments_in_xy": True, "affs_file": "a.zarr", "fragments_file": "f.zarr"}))
    assert elsewhere.affs[0] == str(tmp_path / "settings" / "a.zarr")
    assert elsewhere.fragments_place[0] == str(tmp_path / "settings" / "f.zarr")


@pytest.mark.parametrize(("values", "says"), [
    ({"fragments": {}}, "'fragments.fragments_in_xy' is missing"),
    ({"agglomerate": {"merge_function": "hist_quant_7"}}, "did you mean 'hist_quant_75'"),
    ({"find_segments": {"thresholds_step": 0}}, "find_segments.thresholds_step"),
    ({"predict": {"roi_shape": [1, 1, 1]}}, r"\[predict\] needs both roi_offset and roi_shape"),
    ({"evaluate": {}}, "name a labels_file, a skeletons_file, or both"),
    ({"evaluate": {"labels_file": "a", "best": "voi"}}, "no score 'voi' to choose by; did you mean 'voi_"),
    ({"evaluate": {"labels_file": "a", "best": "erl"}}, "no score 'erl' to choose by"),
    ({"evaluate": {"skeletons_file": "a", "best": "adapted_rand_error"}}, "no score 'adapted_rand_error'"),
    ({"evaluate": {"skeletons_file": "a", "skeletons_scale": 0}}, "evaluate.skeletons_scale"),
    ({"evaluate": {"skeletons_file": "a", "scores_db": "s3://bucket/a.db"}}, "'scores_db' is a URL"),
    ({"merge_function": "mean"}, "unknown key 'merge_function'"),
])
def test_misfits_are_refused(write, values, says):
    with pytest.raises(UserError, match=says):
        load_pipeline(write(**values))
