"""Every directory of 02_train: found, imported, its shapes computed, its request built, one step run."""

import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.checkpoints import find_checkpoint
from lsd_experiments.datasets import DATASETS

ROOT = Path(__file__).parents[2]
SETUPS = sorted(path.parent.relative_to(ROOT / "02_train").as_posix() for path in (ROOT / "02_train").glob("*/*/mknet.py"))
VARIANTS = ["baseline", "mtlsd", "lsd", "long_range"]
EXPECTED = {f"{dataset}/{variant}" for dataset in ("zebrafinch", "fib25", "hemi") for variant in VARIANTS} | {"synthetic/mtlsd"}
SHAPES = {  # of train_net.json and config.json: input -> output
    "zebrafinch": [((84, 268, 268), (48, 56, 56)), ((96, 484, 484), (60, 272, 272))],
    "fib25": [((196, 196, 196), (92, 92, 92)), ((268, 268, 268), (164, 164, 164))],
    "hemi": [((196, 196, 196), (92, 92, 92)), ((352, 352, 352), (248, 248, 248))],
}


def test_the_expected_setups_are_there():
    assert set(SETUPS) == EXPECTED


@pytest.fixture(params=sorted(EXPECTED))
def setup(request):
    return ROOT / "02_train" / request.param


def load(setup, name):
    return runpy.run_path(str(setup / f"{name}.py"))


def test_its_files(setup):
    names = ["mknet.py", "predict.py", "predict_scan.py", "train.py", "view_batch.py"]
    assert sorted(path.name for path in setup.glob("*.py")) == names
    for name in names:
        text = (setup / name).read_text()
        compile(text, name, "exec")
        assert text.startswith('"""')


def test_mknet_prints_and_writes_both_files(setup, tmp_path):
    from lsd_experiments.networks import read

    ran = subprocess.run([sys.executable, str(setup / "mknet.py")], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    found = [read(tmp_path / name) for name in ("train_net.json", "config.json")]
    assert found[0].network == found[1].network == load(setup, "mknet")["NETWORK"]
    shapes = [(f.input_shape, f.network.output_shape(f.input_shape)) for f in found]
    assert shapes == SHAPES.get(setup.parent.name, shapes)
    for _, output in shapes:
        assert f"-> {' x '.join(map(str, output))}, context" in ran.stdout


def test_heads_fit_the_dataset_and_the_checkpoints_names(setup):
    network = load(setup, "mknet")["NETWORK"]
    heads = [(head.name, head.channels, head.published_name) for head in network.heads]
    lsds = "embedding" if setup.parent.name == "zebrafinch" or setup.name == "lsd" else "lsds"
    expected = {"lsd": [("lsds", 10, lsds)], "long_range": [("affs", 12, "affs")]}
    if setup.name.startswith("mtlsd"):
        assert heads == [("lsds", 10, lsds), ("affs", 3, "affs")]
        assert network.num_fmaps_out == 14 or setup.parent.name == "synthetic"
    else:
        assert heads == expected.get(setup.name, [("affs", 3, "affs")])
        assert network.num_fmaps_out is None


def test_it_trains_on_its_own_dataset(setup):
    module = load(setup, "train")
    assert module["DATASET"] == DATASETS[setup.parent.name]


def test_one_step_at_the_smallest_shape(setup, make_run, write_volume, tmp_path):
    network = replace(load(setup, "mknet")["NETWORK"], num_fmaps=1, fmap_inc_factor=1)
    module = load(setup, "train")
    dataset = module["DATASET"]
    container = write_volume(tmp_path / "own.zarr", voxel_size=dataset.voxel_size)
    run, train, _ = make_run(
        data=container, dataset=dataset, network=network, input_shape=network.smallest_input_shape,
        targets=module["targets"], iterations=1,
    )  # fmt: skip
    assert train() == 0
    assert np.isfinite(run.train.logs["loss"])
    assert find_checkpoint(run.directory).network == network


def lines_that_differ(first, second):
    a, b = ((ROOT / "02_train" / path).read_text().splitlines() for path in (first, second))
    return [line for line in a if line not in b] + [line for line in b if line not in a]


@pytest.mark.parametrize("dataset", ["zebrafinch", "fib25"])
def test_variants_differ_in_the_science_alone(dataset):
    for name in ("predict.py", "predict_scan.py", "view_batch.py"):
        assert lines_that_differ(f"{dataset}/baseline/{name}", f"{dataset}/mtlsd/{name}") == []
    differing = lines_that_differ(f"{dataset}/baseline/mknet.py", f"{dataset}/mtlsd/mknet.py")
    assert all("fmap" in line or "ead" in line or line.startswith('"""') for line in differing)
    differing = lines_that_differ(f"{dataset}/baseline/train.py", f"{dataset}/mtlsd/train.py")
    assert all(line.lstrip().startswith(('"""', "return ")) for line in differing)
