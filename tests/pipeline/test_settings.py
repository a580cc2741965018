import json
from pathlib import Path

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.settings import load_pipeline

CONFIGS = Path(__file__).parents[2] / "03_predict"


def test_every_shipped_configuration_loads():
    names = {path.stem for path in CONFIGS.glob("*.toml")}
    assert names >= {"fib25", "zebrafinch"}
    for name in names:
        config = load_pipeline(CONFIGS / f"{name}.toml")
        assert Path(config.setup).parent.parent.name == "02_train"
        assert config.extract.threshold == "best"
        assert config.evaluate is not None


def test_what_the_paper_chose():
    fib25, zebrafinch = (load_pipeline(CONFIGS / f"{name}.toml") for name in ("fib25", "zebrafinch"))
    assert (fib25.agglomerate.merge_function, zebrafinch.agglomerate.merge_function) == ("hist_quant_75", "hist_quant_50")
    assert (fib25.fragments.fragments_in_xy, zebrafinch.fragments.fragments_in_xy) == (False, True)


@pytest.fixture
def write(tmp_path):
    def write(**values):
        path = tmp_path / "settings" / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"out_file": "out.zarr", "fragments": {"fragments_in_xy": True}, **values}))
        return path
    return write


def test_published_defaults(write):
    config = load_pipeline(write())
    assert config.fragments.block_size == (1000, 1000, 1000)
    assert config.fragments.context == config.agglomerate.context == (248, 248, 248)
    assert (config.fragments.epsilon_agglomerate, config.fragments.filter_fragments) == (0, 0)
    assert config.fragments.min_seed_distance == 10
    assert (config.find_segments.thresholds_minmax, config.find_segments.thresholds_step) == ((0, 1), 0.02)
    assert config.extract.threshold == 0.4
    assert not config.parity


def test_paths_are_relative_to_the_file(write, tmp_path):
    config = load_pipeline(write(raw_file="../raw.zarr", setup="/nets/mtlsd", db="g.db", evaluate={"labels_file": "s3://b/gt.zarr"}))
    assert config.out_file == str(tmp_path / "settings" / "out.zarr")
    assert config.raw_file == str(tmp_path / "raw.zarr")
    assert config.setup == "/nets/mtlsd"
    assert config.db_place == str(tmp_path / "settings" / "g.db")
    assert config.evaluate.labels_file == "s3://b/gt.zarr"


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
    ({"merge_function": "mean"}, "unknown key 'merge_function'"),
])
def test_misfits_are_refused(write, values, says):
    with pytest.raises(UserError, match=says):
        load_pipeline(write(**values))
