"""Every directory of 02_train: found, imported, its shapes computed, its request built, one step run."""

import difflib
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments import networks
from lsd_experiments.arrays import open_volume
from lsd_experiments.checkpoints import find_checkpoint, save_checkpoint
from lsd_experiments.datasets import DATASETS
from lsd_experiments.prediction.autocontext import find_lsd_network
from lsd_experiments.prediction.blockwise import predict_scan
from lsd_experiments.prediction.plan import make_plan
from lsd_experiments.prediction.settings import PredictionSettings
from tests.scripts import run_script

OFFSET = (200.0, 45.0, 63.0)  # of the volumes that conftest writes

ROOT = Path(__file__).parents[2]
SETUPS = sorted(path.parent.relative_to(ROOT / "02_train").as_posix() for path in (ROOT / "02_train").glob("*/*/mknet.py"))
VARIANTS = ["baseline", "mtlsd", "lsd", "aclsd", "acrlsd", "long_range", "malis", "mtlsd_malis"]
EXPECTED = {f"{dataset}/{variant}" for dataset in ("zebrafinch", "fib25", "hemi") for variant in VARIANTS}
EXPECTED |= {"xpress/baseline", "synthetic/mtlsd"}
TRAIN = {  # input -> output, of train_net.json
    "zebrafinch": ((84, 268, 268), (48, 56, 56)), "fib25": ((196,) * 3, (92,) * 3), "hemi": ((196,) * 3, (92,) * 3),
    "xpress": ((132,) * 3, (40,) * 3),
}  # fmt: skip
CONFIG = {  # of config.json
    "zebrafinch": ((96, 484, 484), (60, 272, 272)), "fib25": ((268,) * 3, (164,) * 3), "hemi": ((352,) * 3, (248,) * 3),
    "xpress": ((284,) * 3, (192,) * 3),
}  # fmt: skip
CONFIG_OF_AUTO_CONTEXT = {**CONFIG, "fib25": ((364,) * 3, (260,) * 3), "hemi": ((304,) * 3, (200,) * 3)}
BASELINE_PARAMETERS = {"zebrafinch": 95_853_495, "fib25": 263_722_527, "hemi": 263_722_527,
                       "xpress": 27_852_876}  # as published
MORE = {  # than the baseline: zebrafinch's are published; layers that differ have 12 or 14 maps in all datasets alike
    "baseline": 0, "malis": 0, "lsd": 91, "long_range": 117, "mtlsd": 2_860, "mtlsd_malis": 2_860, "aclsd": 2_916,
    "acrlsd": 3_240,
}  # fmt: skip
# What each is trained towards; False and None: by the dataset's rules.
GROW, LSDS, AFFS = ("grow_boundary", None), ("lsds", None), ("affs", False)
TARGETS = {
    "baseline": [GROW, AFFS], "long_range": [GROW, AFFS], "aclsd": [GROW, AFFS], "acrlsd": [GROW, AFFS], "malis": [GROW, AFFS],
    "lsd": [GROW, LSDS], "mtlsd": [GROW, LSDS, AFFS], "mtlsd_malis": [GROW, LSDS, AFFS],
    "zebrafinch/lsd": [LSDS], "fib25/malis": [GROW, ("affs", True)],
    "fib25/mtlsd_malis": [GROW, ("lsds", "foreground"), ("affs", True)],
}  # fmt: skip


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
    from lsd_experiments.networks.layers import parameters

    ran = run_script(setup / "mknet.py", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    found = [read(tmp_path / name) for name in ("train_net.json", "config.json")]
    network = load(setup, "mknet")["NETWORK"]
    assert found[0].network == found[1].network == network
    shapes = [(f.input_shape, f.network.output_shape(f.input_shape)) for f in found]
    dataset, variant = setup.parts[-2:]
    config = CONFIG_OF_AUTO_CONTEXT if variant in INPUTS else CONFIG
    assert shapes == ([TRAIN[dataset], config[dataset]] if dataset in TRAIN else shapes)
    for _, output in shapes:
        assert f"-> {' x '.join(map(str, output))}, context" in ran.stdout
    if dataset in BASELINE_PARAMETERS:
        assert parameters(network) == BASELINE_PARAMETERS[dataset] + MORE[variant]


INPUTS = {"aclsd": [("lsds", 10)], "acrlsd": [("raw", 1), ("lsds", 10)]}


def test_inputs_and_heads_fit_the_dataset_and_the_checkpoints_names(setup):
    network = load(setup, "mknet")["NETWORK"]
    assert [(source.name, source.channels) for source in network.inputs] == INPUTS.get(setup.name, [("raw", 1)])
    heads = [(head.name, head.channels, head.published_name) for head in network.heads]
    lsds = "embedding" if setup.parent.name == "zebrafinch" or setup.name == "lsd" else "lsds"
    expected = {"lsd": [("lsds", 10, lsds)], "long_range": [("affs", 12, "affs")]}
    if setup.parent.name == "xpress":
        expected["baseline"] = [("affs", 12, "affs")]
        assert network.heads[0].predicted_channels == 3
    if setup.name.startswith("mtlsd"):
        assert heads == [("lsds", 10, lsds), ("affs", 3, "affs")]
        assert network.num_fmaps_out == 14 or setup.parent.name == "synthetic"
    else:
        assert heads == expected.get(setup.name, [("affs", 3, "affs")])
        assert network.num_fmaps_out is None


class Recorded:
    """In place of ``Targets``: what a directory's function asks for, in order."""

    def grow_boundary(self):
        return [("grow_boundary", None)]

    def add_lsds(self, weight=None):
        return [("lsds", weight)]

    def add_affinities(self, masked=False):
        return [("affs", masked)]


def test_its_targets(setup):
    """As in the published scripts: boundaries of zebrafinch's lsd are not grown, fib25's MALIS variants are masked."""
    expected = TARGETS.get("/".join(setup.parts[-2:]), TARGETS[setup.name])
    assert load(setup, "train")["targets"](Recorded()) == expected


def test_it_trains_on_its_own_dataset(setup):
    dataset = DATASETS[setup.parent.name]
    if setup.parts[-2:] == ("hemi", "acrlsd"):
        dataset = replace(dataset, transpose_axes=(1, 2))
    assert load(setup, "train")["DATASET"] == dataset


def test_only_these_use_other_networks_or_losses(setup):
    """The published directory of the LSDs, and the published iteration of the switch."""
    text = (setup / "train.py").read_text()
    assert ('lsds_setup="../lsd"' in text) == (setup.name in INPUTS)
    assert ("malis_from=10_000" in text) == setup.name.endswith("malis")


def narrow(network):
    return replace(network, num_fmaps=1, fmap_inc_factor=1)


def test_a_step_and_a_block(setup, make_run, write_volume, tmp_path):
    """Of a narrow network at the smallest shape; MALIS from the first iteration."""
    network = narrow(load(setup, "mknet")["NETWORK"])
    module = load(setup, "train")
    dataset = module["DATASET"]
    container = write_volume(tmp_path / "own.zarr", voxel_size=dataset.voxel_size, dataset=dataset)
    lsds = lsd_network(setup.parent / "lsd", tmp_path, dataset) if setup.name in INPUTS else None
    malis = {"malis_from": 1} if setup.name.endswith("malis") else {}
    run, train, _ = make_run(
        name=setup.name, data=container, dataset=dataset, network=network, input_shape=network.smallest_input_shape,
        targets=module["targets"], iterations=2 if malis else 1, lsds=lsds, **malis,
    )  # fmt: skip
    assert train() == 0
    assert np.isfinite(run.train.logs["loss"])
    assert ("malis_loss" in run.train.logs) == bool(malis)
    assert find_checkpoint(run.directory).network == network
    predicts_a_block(run.directory, network, container, dataset.raw, tmp_path)


def lsd_network(setup, tmp_path, dataset):
    """A trained network of the variant lsd, narrow and with random weights."""
    network = narrow(load(setup, "mknet")["NETWORK"])
    directory = tmp_path / "lsd"
    directory.mkdir()
    networks.write(network, "config", network.smallest_input_shape, directory)
    model = network.build(network.smallest_input_shape)
    save_checkpoint(model, directory, network, 1, {"voxel_size": dataset.voxel_size})
    return find_lsd_network(tmp_path / "aclsd", None, None, None)


def predicts_a_block(directory, network, container, raw, tmp_path):
    shape = network.smallest_input_shape
    networks.write(network, "config", shape, directory)
    size = [o * v for o, v in zip(network.output_shape(shape), open_volume(container, raw).voxel_size, strict=True)]
    plan = make_plan(PredictionSettings(
        str(directory), container, str(tmp_path / "prediction.zarr"), roi_offset=OFFSET, roi_shape=tuple(size),
        raw_dataset=raw,
        lsds_on_the_fly=directory.name in INPUTS,
    ))  # fmt: skip
    assert predict_scan(plan)
    for head in network.heads:
        predicted = open_volume(str(tmp_path / "prediction.zarr"), f"volumes/{head.name}")
        assert (predicted.channels, predicted.shape) == (head.predicted_channels, network.output_shape(shape))
        assert predicted.read().any()


def lines_that_differ(first, second):
    a, b = ((ROOT / "02_train" / path).read_text().splitlines() for path in (first, second))
    return [line for line in difflib.ndiff(a, b) if line[0] in "-+"]


@pytest.mark.parametrize("variant", VARIANTS[1:])
@pytest.mark.parametrize("dataset", ["zebrafinch", "fib25", "hemi"])
def test_variants_differ_in_the_science_alone(dataset, variant):
    for name in ("predict.py", "predict_scan.py", "view_batch.py"):
        assert lines_that_differ(f"{dataset}/baseline/{name}", f"{dataset}/{variant}/{name}") == []
    differing = [line for name in ("mknet.py", "train.py") for line in lines_that_differ(f"{dataset}/baseline/{name}",
                                                                                         f"{dataset}/{variant}/{name}")]
    assert 4 <= len(differing) < 40


def test_xpress_and_long_range_differ_in_the_science_alone():
    for name in ("predict.py", "predict_scan.py", "view_batch.py"):
        assert lines_that_differ(f"fib25/long_range/{name}", f"xpress/baseline/{name}") == []
    differing = [line for name in ("mknet.py", "train.py") for line in lines_that_differ(f"fib25/long_range/{name}",
                                                                                         f"xpress/baseline/{name}")]
    assert len(differing) <= 20
    assert 'architecture="funlib"' in "".join(differing)


def test_the_published_training_of_xpress():
    text = (ROOT / "02_train" / "xpress" / "baseline" / "train.sh").read_text()
    for asked in ("train.py 400000", "--num-workers 24", "--save-every 20000"):
        assert asked in text


@pytest.mark.parametrize("variant", VARIANTS)
def test_datasets_differ_in_numbers_alone(variant):
    """The same lines in fib25 and hemi, but for the dataset's name, the input of config.json, and what is marked as published."""
    differing = [line for name in ("mknet.py", "train.py") for line in lines_that_differ(f"fib25/{variant}/{name}",
                                                                                         f"hemi/{variant}/{name}")]
    assert len(differing) <= 11
