"""The rules against what was published: which numbers they give, and which follow none of them.

A value that differs is written down with what the rule gives instead, so that a change of a rule shows.
"""

import importlib.util
from functools import partial

import pytest

from lsd_experiments.datasets import load_dataset
from lsd_experiments.families.lsd.planning import rules, sizing
from lsd_experiments.networks.network import Network
from lsd_experiments.pipeline.configuration import load_pipeline
from lsd_experiments.targets import Affinities, LocalShapeDescriptors
from tests.scripts import ROOT

LARGE = (1000, 1000, 1000)  # voxels: more than any network sees
WIDTH = {"zebrafinch": 300, "fib25": 208, "hemi": 208}  # nm: fib25's measured (test_survey.py), zebrafinch's what sigma asks for
PUBLISHED = ("zebrafinch", "fib25", "hemi")


def module(dataset, variant, name):
    path = ROOT / "02_train" / dataset / variant / f"{name}.py"
    spec = importlib.util.spec_from_file_location("published", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def voxel_size(dataset):
    return load_dataset(ROOT / "02_train" / dataset).voxel_size


def network(dataset, variant="mtlsd"):
    return module(dataset, variant, "mknet").NETWORK


def experiment(dataset, variant="mtlsd"):
    return module(dataset, variant, "train").EXPERIMENT


def sampling(dataset, key):
    """What the published script gives its nodes, or leaves as they are by default."""
    import inspect

    nodes = experiment(dataset, "baseline" if dataset == "xpress" else "mtlsd").sampling
    given = nodes.keywords if isinstance(nodes, partial) else {}
    return given.get(key, inspect.signature(getattr(nodes, "func", nodes)).parameters[key].default)


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_poolings(dataset):
    size = voxel_size(dataset)
    assert rules.pooling(size, rules.deep_factors(size)) == network(dataset).downsample_factors


def test_poolings_of_xpress_do_not_follow():
    """It pools by 2 three times, as its own architecture does."""
    size = voxel_size("xpress")
    assert network("xpress", "baseline").downsample_factors == ((2, 2, 2),) * 3
    assert rules.pooling(size, rules.deep_factors(size)) == ((2, 2, 2), (2, 2, 2), (3, 3, 3))


def test_poolings_of_the_demo():
    assert rules.pooling((20, 9, 9), (2, 2)) == network("synthetic").downsample_factors


@pytest.mark.parametrize(("size", "factors", "expected"), [
    ((40, 4, 4), (3, 3, 3), ((1, 3, 3), (1, 3, 3), (1, 3, 3))),  # 108 nm at the end, beside 40
    ((50, 4.6, 4.6), (2, 2), ((1, 2, 2), (1, 2, 2))),
    ((8, 40, 8), (2, 2), ((2, 1, 2), (2, 1, 2))),  # coarse along another axis
    ((10, 8, 9), (2, 2), ((2, 2, 2), (2, 2, 2))),  # nearly cubes
    ((16, 8, 8), (3, 3, 3), ((1, 3, 3), (1, 3, 3), (3, 3, 3))),
])
def test_poolings_of_others(size, factors, expected):
    assert rules.pooling(size, factors) == expected


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_sigma(dataset):
    (published,) = (target.sigma for target in experiment(dataset).targets if isinstance(target, LocalShapeDescriptors))
    assert rules.sigma(WIDTH[dataset], voxel_size(dataset)) == published
    assert rules.sigma(WIDTH[dataset] * 1.5, voxel_size(dataset)) != published


def test_sigma_is_two_voxels_along_each_axis():
    assert rules.sigma(175, (50, 4.6, 4.6)) == 100
    assert rules.sigma(1, (1, 1, 1)) == 10


@pytest.mark.parametrize("dataset", [*PUBLISHED, "xpress"])
def test_boundaries_fragments_and_jitter(dataset):
    size = voxel_size(dataset)
    config = load_pipeline(ROOT / "03_predict" / f"{'xpress_validation' if dataset == 'xpress' else dataset}.toml")
    assert rules.boundary_axes(size) == experiment(dataset, "baseline").boundary_axes
    assert rules.are_sections(size) == config.fragments.fragments_in_xy
    assert rules.jitter(size) == tuple(sampling(dataset, "jitter_sigma"))


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_edges_and_blocks(dataset):
    size = voxel_size(dataset)
    config = load_pipeline(ROOT / "03_predict" / f"{dataset}.toml")
    assert rules.merge_function(size) == config.agglomerate.merge_function
    assert [n * voxel for n, voxel in zip(rules.block(size, LARGE), size, strict=True)] == [*config.fragments.block_size]
    assert rules.block(size, (50, 60, 70)) == (50, 60, 70)


def test_contexts():
    """Of zebrafinch; those of FIB-25 and hemi are a voxel longer, without a reason; XPRESS' objects are wider."""
    def published(dataset, config=None):
        config = load_pipeline(ROOT / "03_predict" / f"{config or dataset}.toml")
        return tuple(round(nm / voxel) for nm, voxel in zip(config.fragments.context, voxel_size(dataset), strict=True))

    assert rules.context(200, voxel_size("zebrafinch")) == published("zebrafinch") == (12, 27, 27)
    assert rules.context(208, voxel_size("fib25")) == (30, 30, 30)
    assert published("fib25") == published("hemi") == (31, 31, 31)
    assert rules.context(1056, voxel_size("xpress")) == published("xpress", "xpress_validation")


def test_control_points():
    """320 nm: FIB-25's, hemi's, and XPRESS' to a voxel. Zebrafinch's are 4 sections, as ours; y and x follow nothing."""
    for dataset in ("fib25", "hemi", "xpress"):
        assert rules.control_points(voxel_size(dataset)) == tuple(sampling(dataset, "control_point_spacing"))
    assert tuple(sampling("zebrafinch", "control_point_spacing")) == (4, 4, 10)
    assert rules.control_points(voxel_size("zebrafinch")) == (4, 36, 36)
    assert rules.control_points((1000, 1000, 1000)) == (1, 1, 1)


def far(dataset, variant="long_range"):
    (offsets,) = (target.neighborhood for target in experiment(dataset, variant).targets if isinstance(target, Affinities))
    return offsets


def planned(dataset):
    size = voxel_size(dataset)
    return rules.far_offsets(size, rules.pooling(size, rules.deep_factors(size)))


@pytest.mark.parametrize("dataset", ["fib25", "hemi"])
def test_far_neighbours(dataset):
    assert planned(dataset) == far(dataset)


def test_far_neighbours_that_follow_in_part():
    """Of zebrafinch all but the farthest in z, 15 for 13; XPRESS takes powers of 3, whatever it pools by."""
    assert set(planned("zebrafinch")) ^ set(far("zebrafinch")) == {(-13, 0, 0), (-15, 0, 0)}
    assert far("xpress", "baseline")[3:] == tuple(
        tuple(-distance if axis == other else 0 for other in range(3)) for distance in (3, 9, 27) for axis in range(3))
    assert planned("xpress") != far("xpress", "baseline")


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_the_largest_network_in_12_gib_is_the_published_one(dataset):
    """Zebrafinch's was trained on smaller samples than would fit; its shape follows no rule."""
    published = network(dataset)
    sized = sizing.size(voxel_size(dataset), WIDTH[dataset], LARGE, LARGE, 12)
    ours = sized.network
    for key in ("num_fmaps", "fmap_inc_factor", "num_fmaps_out", "downsample_factors", "parameters"):
        assert getattr(ours, key) == getattr(published, key)


def test_published_shapes():
    """FIB-25's both; of hemi the training's, the prediction's (352) needs a larger device; zebrafinch's neither."""
    fib25 = sizing.size((8, 8, 8), 208, LARGE, LARGE, 12)
    assert (fib25.training, fib25.prediction) == ((196, 196, 196), (268, 268, 268))
    assert sizing.size((8, 8, 8), 208, LARGE, LARGE, 30).prediction == (352, 352, 352)
    zebrafinch = sizing.size((20, 9, 9), 300, LARGE, LARGE, 12)
    assert (zebrafinch.training, zebrafinch.prediction) != ((84, 268, 268), (96, 484, 484))
    assert sizing.training_gib(network("zebrafinch"), (84, 268, 268)) < 12


def test_xpress_network_does_not_follow():
    """24 feature maps, times 3: another library's."""
    published = network("xpress", "baseline")
    assert (published.num_fmaps, published.fmap_inc_factor) == (24, 3)
    assert not [one for one in sizing.ladder((33, 33, 33)) if one.num_fmaps == 24]


@pytest.mark.parametrize("size", [(20, 9, 9), (8, 8, 8), (50, 4.6, 4.6), (10, 8, 9), (8, 16, 4)])
@pytest.mark.parametrize("memory", [0.1, 0.4, 2, 12])
def test_what_is_planned_fits(size, memory):
    """The memory, what there is of raw, and the labels; less memory never gives a larger network."""
    raw, extent = (100, 250, 240), (90, 120, 240)
    sized = sizing.size(size, 200, extent, raw, memory)
    sized.network.check_input_shape(sized.training)
    sized.network.check_input_shape(sized.prediction)
    assert max(sized.training_gib, sized.prediction_gib) <= memory or sized.prediction == sized.training
    assert all(lost <= sizing.PADDED * there for lost, there in zip(sized.network.context, raw, strict=True))
    assert isinstance(sized.network, Network)
    assert sized.network.parameters <= sizing.size(size, 200, extent, raw, 2 * memory).network.parameters


def test_thin_volumes_get_shallow_networks():
    assert len(sizing.size((50, 4.6, 4.6), 175, (14, 800, 1024), (14, 1024, 1024), 12).network.downsample_factors) == 2
    assert len(sizing.size((50, 4.6, 4.6), 175, (100, 800, 1024), (100, 1024, 1024), 12).network.downsample_factors) == 3


@pytest.mark.parametrize(("size", "expected"), [
    ((8, 8, 8), (0, 1, 2)), ((20, 9, 9), (1, 2)), ((9, 20, 9), (0, 2)), ((1, 2, 3), ()), ((50, 4.6, 4.6), (1, 2)),
])
def test_axes_that_may_be_exchanged(size, expected):
    assert rules.exchanged(size) == expected
