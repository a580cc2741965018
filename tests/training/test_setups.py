"""Every directory of 02_train: found, imported, its shapes computed, its request built, one step run."""

import difflib
import runpy
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments import networks
from lsd_experiments.arrays import open_volume
from lsd_experiments.checkpoints import find_checkpoint, save_checkpoint
from lsd_experiments.datasets import load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.families.lsd import isotropic, serial_sections
from lsd_experiments.families.xpress import tomography
from lsd_experiments.prediction.autocontext import find_lsd_network
from lsd_experiments.prediction.blockwise import predict_scan
from lsd_experiments.prediction.plan import make_plan
from lsd_experiments.prediction.settings import PredictionSettings
from lsd_experiments.targets import DIRECT, LocalShapeDescriptors, SquaredError
from lsd_experiments.training import Adam, FirstNetwork, Malis, Phase
from tests.scripts import run_script

OFFSET = (200.0, 45.0, 63.0)  # of the volumes that conftest writes

ROOT = Path(__file__).parents[2]
FOUND = sorted(path.parent.relative_to(ROOT / "02_train").as_posix() for path in (ROOT / "02_train").glob("*/*/mknet.py"))
EXPECTED = {f"{file.parent.name}/{variant}": values for file in (ROOT / "02_train").glob("*/expected.toml")
            for variant, values in tomllib.loads(file.read_text()).items()}  # fmt: skip
VARIANTS = ["baseline", "mtlsd", "lsd", "aclsd", "acrlsd", "long_range", "malis", "mtlsd_malis"]
# As in the published scripts: sigma in nm, where the descriptors' loss looks, whether affinities are masked.
SIGMA = {"zebrafinch": 120, "synthetic": 120, "fib25": 80, "hemi": 80}
COUNTED = {"zebrafinch": "labels_mask", "synthetic": "labels_mask", "fib25": "foreground_or_masked_out", "hemi": "foreground",
           "fib25/mtlsd_malis": "foreground"}  # fmt: skip
NOT_MASKED = {f"fib25/{variant}" for variant in VARIANTS} - {"fib25/malis", "fib25/mtlsd_malis"}
FAR = {  # voxels of the long-range affinities along z, y and x
    "zebrafinch": [(3, 3, 3), (5, 9, 9), (15, 27, 27)], "fib25": [(3, 3, 3), (5, 5, 5), (13, 13, 13)],
    "hemi": [(3, 3, 3), (5, 5, 5), (13, 13, 13)], "xpress": [(3, 3, 3), (9, 9, 9), (27, 27, 27)],
}  # fmt: skip


def test_the_expected_setups_are_there():
    published = {f"{dataset}/{variant}" for dataset in ("zebrafinch", "fib25", "hemi") for variant in VARIANTS}
    assert set(EXPECTED) == published | {"xpress/baseline", "synthetic/mtlsd"}
    assert set(EXPECTED) <= set(FOUND)


@pytest.fixture(params=FOUND)
def setup(request):
    """Any experiment that is there."""
    return ROOT / "02_train" / request.param


@pytest.fixture(params=sorted(EXPECTED))
def known(request):
    """One that is ours."""
    return ROOT / "02_train" / request.param


def load(setup, name):
    return runpy.run_path(str(setup / f"{name}.py"))


def test_its_files(setup):
    names = ["mknet.py", "predict.py", "predict_scan.py", "train.py", "view_batch.py"]
    assert {path.name for path in setup.glob("*.py")} >= {*names}
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
    shapes = [[[*f.input_shape], [*f.network.output_shape(f.input_shape)]] for f in found]
    for _, output in shapes:
        assert f"-> {' x '.join(map(str, output))}, context" in ran.stdout
    values = {"train_net": shapes[0], "config": shapes[1], "parameters": parameters(network)}
    expected = EXPECTED.get("/".join(setup.parts[-2:]), {})
    assert values == {key: expected.get(key, value) for key, value in values.items()}


INPUTS = {"aclsd": [("lsds", 10)], "acrlsd": [("raw", 1), ("lsds", 10)]}


def test_inputs_and_heads_fit_the_dataset_and_the_checkpoints_names(known):
    network = load(known, "mknet")["NETWORK"]
    assert [(source.name, source.channels) for source in network.inputs] == INPUTS.get(known.name, [("raw", 1)])
    heads = [(head.name, head.channels, head.published_name) for head in network.heads]
    lsds = "embedding" if known.parent.name == "zebrafinch" or known.name == "lsd" else "lsds"
    expected = {"lsd": [("lsds", 10, lsds)], "long_range": [("affs", 12, "affs")]}
    if known.parent.name == "xpress":
        expected["baseline"] = [("affs", 12, "affs")]
        assert network.heads[0].predicted_channels == 3
    if known.name.startswith("mtlsd"):
        assert heads == [("lsds", 10, lsds), ("affs", 3, "affs")]
        assert network.num_fmaps_out == 14 or known.parent.name == "synthetic"
    else:
        assert heads == expected.get(known.name, [("affs", 3, "affs")])
        assert network.num_fmaps_out is None


def test_its_targets(known):
    """Those of its network's heads; boundaries of zebrafinch's lsd are not grown, fib25's MALIS variants are masked."""
    experiment, name = load(known, "train")["EXPERIMENT"], "/".join(known.parts[-2:])
    experiment.check_network(load(known, "mknet")["NETWORK"])
    for target in experiment.targets:
        if isinstance(target, LocalShapeDescriptors):
            assert (target.sigma, target.downsample) == (SIGMA[known.parent.name], 2)
            assert target.counted == COUNTED.get(name, COUNTED[known.parent.name])
        else:
            assert target.masked == (name not in NOT_MASKED)
            far = FAR[known.parent.name] if target.channels == 12 else []
            steps = [(axis, size) for sizes in [(1, 1, 1), *far] for axis, size in enumerate(sizes)]
            offsets = [tuple(-size * (axis == k) for k in range(3)) for axis, size in steps]
            assert list(target.neighborhood) == offsets
        assert target.loss == SquaredError("sum_of_weights" if known.parent.name == "xpress" else "nonzero_weights")
    sections = known.parent.name in ("zebrafinch", "synthetic")
    assert experiment.boundary_axes == (() if name == "zebrafinch/lsd" else (1, 2) if sections else (0, 1, 2))


def test_how_it_is_trained(known):
    """The published numbers, the directory of the LSDs, and the iteration after which MALIS comes."""
    experiment, xpress = load(known, "train")["EXPERIMENT"], known.parent.name == "xpress"
    assert experiment.optimizer == Adam(2.5e-5 if xpress else 0.5e-4, beta_1=0.95, beta_2=0.999, epsilon=1e-8)
    assert (experiment.save_every, experiment.snapshot_every) == ((20_000, 5_000) if xpress else (10_000, 1_000))
    assert (experiment.min_masked, experiment.label_padding) == ((0.1, (32, 32, 32)) if xpress else (0.5, None))
    assert experiment.parity is False
    first = FirstNetwork("../lsd", LocalShapeDescriptors(SIGMA[known.parent.name])) if known.name in INPUTS else None
    assert experiment.first_network == first
    malis = known.name.endswith("malis")
    assert experiment.phases == ((Phase(10_000, "affs", Malis()),) if malis else ())


def test_how_its_samples_vary(known):
    """Each family's function, with the published numbers; tests/training/test_pipeline.py has its nodes."""
    name = "/".join(known.parts[-2:])
    function = {"fib25": isotropic, "hemi": isotropic, "xpress": tomography}.get(known.parent.name, serial_sections)
    changes = {
        "synthetic/mtlsd": {"control_point_spacing": (4, 40, 40), "jitter_sigma": (0, 1, 1), "max_misalign": 0},
        "hemi/acrlsd": {"transpose_only": (1, 2)},
    }.get(name, {})
    found = load(known, "train")["EXPERIMENT"].sampling
    assert (getattr(found, "func", found), getattr(found, "keywords", {})) == (function, changes)


def test_targets_that_do_not_fit_the_network():
    experiment, network = (load(ROOT / "02_train" / "fib25" / "aclsd", name)[what] for name, what in
                           (("train", "EXPERIMENT"), ("mknet", "NETWORK")))
    experiment.check_network(network)
    experiment.check_network(replace(network, heads=(networks.Head("affs", 3, neighborhood=DIRECT),)))
    for wrong, message in (
        (replace(network, heads=(networks.Head("affs", 12),)),
         r"train_net.json: the network has the heads affs \(12 channels\), train.py says affs \(3 channels\). Correct mknet.py"),
        (replace(network, heads=(networks.Head("affs", 3, neighborhood=DIRECT[::-1]),)),
         r"train_net.json: the neighborhood of affs is \(\(0, 0, -1\), .*, train.py says \(\(-1, 0, 0\), .*Correct mknet.py"),
        (replace(network, inputs=(networks.Input(),)), r"takes, beside raw, nothing, train.py says lsds \(10 channels\)"),
    ):
        with pytest.raises(UserError, match=message):
            experiment.check_network(wrong)


def narrow(network):
    return replace(network, num_fmaps=1, fmap_inc_factor=1)


# One of hemi is enough: the other seven are fib25's with other numbers, which the tests here compare.
STEPS = sorted(name for name in FOUND if not name.startswith("hemi/") or name == "hemi/mtlsd")


@pytest.mark.parametrize("setup", [ROOT / "02_train" / name for name in STEPS], ids=STEPS)
def test_a_step_and_a_block(setup, make_run, write_volume, tmp_path):
    """Of a narrow network at the smallest shape; MALIS from the first iteration."""
    network = narrow(load(setup, "mknet")["NETWORK"])
    experiment, dataset = load(setup, "train")["EXPERIMENT"], load_dataset(setup)
    container = write_volume(tmp_path / "own.zarr", voxel_size=dataset.voxel_size, dataset=dataset)
    first = experiment.first_network
    lsds = lsd_network(setup / first.directory, tmp_path, dataset) if first else None
    malis = experiment.malis_from is not None
    run, train = make_run(
        name=setup.name, data=container, dataset=dataset, network=network, input_shape=network.smallest_input_shape,
        experiment=experiment.with_malis_from(1), iterations=2 if malis else 1, first=lsds,
    )  # fmt: skip
    assert train() == 0
    assert np.isfinite(run.step.logs["loss"])
    assert ("malis_loss" in run.step.logs) == malis
    assert find_checkpoint(run.directory).network == network
    predicts_a_block(run.directory, network, container, dataset.raw, tmp_path, bool(first))


def lsd_network(setup, tmp_path, dataset):
    """A trained network of the variant lsd, narrow and with random weights."""
    network = narrow(load(setup, "mknet")["NETWORK"])
    directory = tmp_path / "lsd"
    directory.mkdir()
    networks.write(network, "config", network.smallest_input_shape, directory)
    model = network.build(network.smallest_input_shape)
    save_checkpoint(model, directory, network, 1, {"voxel_size": dataset.voxel_size})
    return find_lsd_network(tmp_path / "aclsd", None, None, None)


def predicts_a_block(directory, network, container, raw, tmp_path, on_the_fly):
    shape = network.smallest_input_shape
    networks.write(network, "config", shape, directory)
    size = [o * v for o, v in zip(network.output_shape(shape), open_volume(container, raw).voxel_size, strict=True)]
    plan = make_plan(PredictionSettings(
        str(directory), container, str(tmp_path / "prediction.zarr"), roi_offset=OFFSET, roi_shape=tuple(size),
        raw_dataset=raw,
        lsds_on_the_fly=on_the_fly,
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
    assert len(differing) <= 40
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
    assert len(differing) <= 12
