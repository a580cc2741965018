"""Targets with ``parity`` beside the published nodes, gunpowder's and lsds', in the published order, for the published request.

The published scripts are those of funkelab/lsd_nm_experiments (zebra finch) and funkelab/lsd_experiments (fib25 setups 11 to 18,
hemi 17 to 26). Both sides read the same crop, and with augmentation draw the same random numbers.
"""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import gunpowder as gp
import h5py
import numpy as np
import pytest
from lsd.train.gp import AddLocalShapeDescriptor

from lsd_experiments.checkpoints import find_checkpoint
from lsd_experiments.datasets import load_dataset
from lsd_experiments.training import Malis, Phase, options
from lsd_experiments.training.boundaries import GrowBoundary, published_boundary
from lsd_experiments.training.keys import FIRST_PREDICTION, LABELS, LABELS_MASK, RAW, head_keys
from lsd_experiments.training.pipeline import batch_request
from lsd_experiments.training.preparing import decided

ROOT = Path(__file__).parents[2]
FIB25 = ROOT / ".." / "shared" / "data" / "fib25" / "training_sample2_z0-160.zarr"
VARIANTS = ["baseline", "mtlsd", "lsd", "aclsd", "acrlsd", "long_range", "malis", "mtlsd_malis"]
SETUPS = [f"{dataset}/{variant}" for dataset in ("zebrafinch", "fib25", "hemi") for variant in VARIANTS]
LSDS, AFFS = head_keys("lsds"), head_keys("affs")
AFFS_MASK = AFFS.mask
SIGMA = {"zebrafinch": 120, "fib25": 80, "hemi": 80}  # nm, as published
OFFSET = (7, -5, 3)  # voxels, of the sources
SHAPE = (76, 116, 116)


class Arrays(gp.BatchProvider):
    """Raw, labels and their mask, [z, y, x] each, from OFFSET on; what is beyond them is 0, as gp.Pad has it."""

    def __init__(self, labels, mask, unit):
        raw = np.random.default_rng(5).random(labels.shape, np.float32)
        self.arrays, self.unit = {RAW: raw, LABELS: labels, LABELS_MASK: mask}, unit

    def setup(self):
        for key, array in self.arrays.items():
            spec = gp.ArraySpec(voxel_size=self.unit, interpolatable=key == RAW, dtype=array.dtype)
            spec.roi = gp.Roi((None,) * 3, (None,) * 3)
            self.provides(key, spec)

    def provide(self, request):
        batch = gp.Batch()
        for key, spec in request.array_specs.items():
            box = spec.roi / self.unit - gp.Coordinate(OFFSET)
            margin = [(max(0, -b), max(0, e - s)) for b, e, s in zip(box.begin, box.end, SHAPE, strict=True)]
            whole = np.pad(self.arrays[key], margin)
            place = tuple(slice(b + m, e + m) for b, e, (m, _) in zip(box.begin, box.end, margin, strict=True))
            made = self.spec[key].copy()
            made.roi = spec.roi
            batch[key] = gp.Array(whole[place].copy(), made)
        return batch


class UnmaskBackground(gp.BatchFilter):
    """Of fib25: what the labels mask leaves out counts in the descriptors' loss; as the published scripts have it."""

    def process(self, batch, request):
        batch[LSDS.weights].data = np.logical_or(batch[LSDS.weights].data, np.logical_not(batch[LABELS_MASK].data))


class Seed(gp.BatchFilter):
    """Gives all above the same random numbers: gunpowder's depend on the number of nodes below."""

    def provide(self, request):
        seeded = request.copy()
        seeded._random_seed = 11
        return self.get_upstream_provider().request_batch(seeded)


def published(setup, experiment):
    """The published target nodes of ``setup``, and whether it asks for weights of descriptors, and for the affinities' mask."""
    dataset, variant = setup.split("/")
    heads = {target.name: target for target in experiment.targets}
    masked = dataset != "fib25" or "malis" in variant
    nodes = []
    if setup != "zebrafinch/lsd":
        nodes.append(gp.GrowBoundary(LABELS, LABELS_MASK, steps=1, only_xy=dataset == "zebrafinch"))
    if "lsds" in heads:
        weights = {} if dataset == "zebrafinch" else {"lsds_mask": LSDS.weights}
        nodes.append(AddLocalShapeDescriptor(LABELS, LSDS.target, sigma=SIGMA[dataset], downsample=2, **weights))
        if dataset == "fib25" and variant != "mtlsd_malis":
            nodes.append(UnmaskBackground())
    if "affs" in heads:
        masks = {"labels_mask": LABELS_MASK, "affinities_mask": AFFS_MASK} if masked else {}
        nodes.append(gp.AddAffinities(heads["affs"].neighborhood, LABELS, AFFS.target, **masks))
        nodes.append(gp.BalanceLabels(AFFS.target, AFFS.weights, AFFS_MASK if masked else None))
    return nodes, "lsds" in heads and dataset != "zebrafinch", "affs" in heads and masked


def build(nodes, source, asked):
    pipeline = source
    for node in nodes:
        pipeline += node
    with gp.build(pipeline):
        return pipeline.request_batch(asked)


def load(setup):
    directory = ROOT / "02_train" / setup
    return load_dataset(directory), runpy.run_path(str(directory / "train.py"))["EXPERIMENT"]


@pytest.fixture(scope="module")
def scene():
    """Boxes of labels that touch each other and background, thin ones that the sampling misses, and a mask that cuts them."""
    random = np.random.default_rng(3)
    coarse = random.integers(0, 6, tuple(-(-s // 9) for s in SHAPE))
    labels = coarse.repeat(9, 0).repeat(9, 1).repeat(9, 2)[tuple(slice(s) for s in SHAPE)].astype(np.uint64)
    labels[5::12, 20:110, 23] = 2**33 + 5  # lines, between sampled voxels in half of the places
    labels[31, 51, 47] = 77
    mask = np.ones(SHAPE, np.uint8)
    mask[:, 58:66] = mask[40:, :, :50] = 0
    return labels, mask


def request(experiment, dataset, seed=1):
    """The request of a small batch, somewhere in the volume: raw 12 voxels larger than the output of 16 x 20 x 20."""
    asked = batch_request(replace(experiment, phases=()), dataset, (28, 32, 32), (16, 20, 20))
    asked._random_seed = seed
    for spec in asked.array_specs.values():
        unit = gp.Coordinate(int(size) for size in dataset.voxel_size)
        place = gp.Coordinate(b + o for b, o in zip((28, 44, 44), OFFSET, strict=True)) * unit
        spec.roi = spec.roi.shift(place)
    return asked


def both(setup, labels, mask, augmented=False, parity=True):
    """The batches of the published nodes and of ours."""
    dataset, experiment = load(setup)
    unit = gp.Coordinate(int(size) for size in dataset.voxel_size)
    theirs, weighted, masked = published(setup, experiment)
    asked = request(experiment, dataset)
    asked.array_specs.pop(FIRST_PREDICTION, None)
    less = asked.copy()
    for key, there in ((LSDS.weights, weighted), (AFFS_MASK, masked)):
        if key in less and not there:
            del less[key]
    expected = build([*augmentation(experiment, augmented), Seed(), *theirs], Arrays(labels, mask, unit), less)
    grow = [GrowBoundary(experiment.boundary_axes, parity)] if experiment.boundary_axes else []
    ours = [*grow, *(target.nodes(dataset, parity) for target in experiment.targets)]
    return expected, build([*augmentation(experiment, augmented), Seed(), *ours], Arrays(labels, mask, unit), asked)


def augmentation(experiment, augmented):
    """The experiment's own, but for intensities, which have nothing to do with labels; nodes cannot be used twice."""
    def displacing(pipeline):
        nodes = [node for child in pipeline.children for node in displacing(child)]
        return [*nodes, pipeline.output] if type(pipeline.output).__name__ in ("ElasticAugment", "SimpleAugment") else nodes

    return displacing(experiment.sampling()) if augmented else []


def compare(expected, found):
    """All arrays to 1e-5; the keys that were compared."""
    compared = set()
    for key, array in expected.arrays.items():
        assert found[key].data.shape == array.data.shape
        if array.data.dtype == np.uint64:
            np.testing.assert_array_equal(found[key].data, array.data, err_msg=str(key))
        else:
            np.testing.assert_allclose(found[key].data, array.data.astype(np.float32), rtol=0, atol=1e-5, err_msg=str(key))
        compared.add(key)
    if LSDS.weights in found.arrays and LSDS.weights not in expected.arrays:  # the mask itself, of zebrafinch
        shape = found[LSDS.weights].data.shape
        np.testing.assert_array_equal(found[LSDS.weights].data, np.broadcast_to(expected[LABELS_MASK].data > 0, shape))
        compared.add(LSDS.weights)
    return compared


@pytest.mark.parametrize("setup", SETUPS)
def test_a_batch_is_that_of_the_published_nodes(setup, scene):
    expected, found = both(setup, *scene)
    compared = compare(expected, found)
    _, experiment = load(setup)
    wanted = {RAW, LABELS, LABELS_MASK}
    for target in experiment.targets:
        wanted |= {head_keys(target.name).target, head_keys(target.name).weights}
    assert wanted <= compared
    assert 0 < (found[LABELS_MASK].data > 0).mean() < 1
    assert len(np.unique(found[LABELS].data)) > 3


@pytest.mark.parametrize("setup", ["zebrafinch/mtlsd", "fib25/mtlsd", "hemi/mtlsd"])
def test_without_parity_descriptors_differ_and_affinities_hardly(setup, scene):
    """The control: labels around the output lose their boundaries, too."""
    expected, found = both(setup, *scene, parity=False)
    known = (found[LABELS].data > 0) & (expected[LABELS].data > 0)
    differ = (np.abs(expected[LSDS.target].data - found[LSDS.target].data) > 0.01).any(axis=0)
    assert differ[known].mean() > 0.3
    inside = (expected[LABELS_MASK].data > 0) & (np.indices(known.shape).min(axis=0) > 0)
    for axis in range(3):
        inside &= np.roll(expected[LABELS_MASK].data, 1, axis) > 0
    np.testing.assert_array_equal(found[AFFS.target].data[:, inside], expected[AFFS.target].data[:, inside])


@pytest.mark.parametrize("setup", ["zebrafinch/mtlsd", "zebrafinch/long_range", "fib25/mtlsd", "hemi/mtlsd_malis"])
def test_with_augmentation_of_the_same_seed(setup, scene):
    """What is asked of the augmentation is what the published nodes ask: the same displacement, of the same labels."""
    expected, found = both(setup, *scene, augmented=True)
    compare(expected, found)
    plain, _ = both(setup, *scene)
    assert not np.array_equal(plain[LABELS].data, found[LABELS].data)


@pytest.mark.real_data
@pytest.mark.parametrize("setup", ["zebrafinch/mtlsd", "fib25/mtlsd"])
def test_real_labels(setup):
    if not FIB25.exists():
        pytest.skip("the FIB-25 sample is not here (../shared/data/fib25)")
    import zarr

    labels = zarr.open(str(FIB25), "r")["volumes/labels/neuron_ids"][60:136, 8:124, 120:236]
    expected, found = both(setup, labels, np.ones(SHAPE, np.uint8))
    compare(expected, found)
    assert len(np.unique(found[LABELS].data)) > 3
    expected, found = both(setup, labels, np.ones(SHAPE, np.uint8), parity=False)
    assert (np.abs(expected[LSDS.target].data - found[LSDS.target].data) > 0.01).any(axis=0).mean() > 0.3


@pytest.mark.parametrize("axes", [(1, 2), (0, 1, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_boundaries_where_the_mask_is_0(axes, seed):
    """Voxel by voxel, as gunpowder has it: also what is masked out, alone, or the greatest of all ids."""
    random = np.random.default_rng(seed)
    labels = random.choice(np.array([0, 3, 2**64 - 1], np.uint64), (5, 9, 8), p=[0.1, 0.6, 0.3])
    labels[3:] = 0
    mask = (random.random(labels.shape) < [0.5, 0.8, 0.2, 0][seed]).astype(np.uint8)
    unit = gp.Coordinate(1, 1, 1)
    asked = gp.BatchRequest(random_seed=1)
    for key in (LABELS, LABELS_MASK):
        asked[key] = gp.ArraySpec(roi=gp.Roi(OFFSET, labels.shape))
    theirs = gp.GrowBoundary(LABELS, LABELS_MASK, only_xy=axes == (1, 2))
    expected = build([theirs], Small(labels, mask, unit), asked)[LABELS].data
    np.testing.assert_array_equal(published_boundary(labels, mask, axes), expected)
    found = build([GrowBoundary(axes, parity=True)], Small(labels, mask, unit), asked)[LABELS].data
    np.testing.assert_array_equal(found, expected)
    assert seed == 3 or not np.array_equal(expected, labels)


class Small(Arrays):
    """Arrays of any shape, which are asked for whole."""

    def provide(self, request):
        batch = gp.Batch()
        for key, spec in request.array_specs.items():
            made = self.spec[key].copy()
            made.roi = spec.roi
            batch[key] = gp.Array(self.arrays[key].copy(), made)
        return batch


def test_parts_of_an_object_may_be_connected_beside_the_output_in_malis():
    """As published: RenumberConnectedComponents sees one more voxel in front, where affinities look.

        beside | output
             3 | 3 3 3 3
             3 | 0 0 0 0      one object with parity, two without
             3 | 3 3 3 3
    """
    dataset, experiment = load("hemi/malis")
    found = {}
    for parity in (False, True):
        asked = batch_request(replace(experiment, parity=parity), dataset, (28, 32, 32), (16, 20, 20))
        output = asked[AFFS.target].roi
        labels = np.full(tuple(asked[LABELS].roi.shape / gp.Coordinate(8, 8, 8)), 3, np.uint64)
        begin = labels.shape[2] - 20
        assert begin == (1 if parity else 0)
        labels[:, 5, begin:] = 0
        mask = np.ones((1, 3, 16, 20, 20), np.uint8)
        batch = gp.Batch()
        for key, data, roi in ((LABELS, labels[None], asked[LABELS].roi), (AFFS_MASK, mask, output), (AFFS.target, mask, output)):
            batch[key] = gp.Array(data, gp.ArraySpec(roi=roi, voxel_size=gp.Coordinate(8, 8, 8)))
        weights = Malis().knowledge(experiment.targets[0], batch)
        assert weights.shape == (1, 4, 16, 20, 20)
        found[parity] = set(np.unique(weights[0, 3]))
    assert found == {False: {0, 1, 2}, True: {0, 1}}


@pytest.fixture
def wide(experiment):
    """The experiment with a window of descriptors that reaches over objects."""
    lsds, affs = experiment.targets
    return replace(experiment, targets=(replace(lsds, sigma=80), affs))


def snapshot(run, name="batch_1.hdf"):
    """Labels and descriptors that view_batch.py shows, and what the file says of parity."""
    with h5py.File(run.directory / "snapshots" / name) as file:
        shown = [file[f"volumes/{dataset}"][:] for dataset in ("labels/neuron_ids", "gt_embedding")]
        return *shown, json.loads(file.attrs["provenance"])["parameters"]["parity"]


def test_training_records_it_and_snapshots_show_its_targets(make_run, wide):
    """In the checkpoint and in snapshots; the same seed without it has the same labels, and other descriptors."""
    shown = {}
    for parity in (False, True):
        run, train = make_run(f"parity {parity}", experiment=replace(wide, parity=parity), iterations=1)
        assert train() == 0
        assert find_checkpoint(run.directory).record["provenance"]["parameters"]["parity"] is parity
        *shown[parity], recorded = snapshot(run)
        assert recorded is parity
    labels, lsds = (np.array(pair) for pair in zip(shown[False], shown[True], strict=True))
    inner = (slice(1, -1),) * 3
    np.testing.assert_array_equal(labels[0][inner], labels[1][inner])
    known = (labels[0] > 0) & (labels[1] > 0)
    assert (np.abs(lsds[0] - lsds[1]) > 0.01).any(axis=0)[known].mean() > 0.1


@pytest.mark.parametrize(("asked", "recorded", "declared", "expected"), [
    ([], None, False, False), ([], None, True, True), (["--parity"], None, False, True), (["--no-parity"], None, True, False),
    ([], True, False, True), (["--no-parity"], True, False, False), (["--parity"], False, False, True), ([], False, True, False),
])  # fmt: skip
def test_it_is_as_asked_for_else_as_before(experiment, asked, recorded, declared, expected):
    experiment = replace(experiment, parity=declared)
    given = options.from_arguments(options.parser("", experiment).parse_args(["5", *asked]))
    checkpoint = None
    if recorded is not None:
        record = {"provenance": {"parameters": {"parity": recorded}}}
        checkpoint = Recorded(record)
    assert decided(experiment, given, checkpoint)[0].parity is expected


class Recorded:
    """A checkpoint's record."""

    def __init__(self, record):
        self.record = record


def test_older_checkpoints_say_nothing_of_it(experiment):
    for record in ({}, {"scope": "setup01"}):
        assert decided(experiment, options.TrainingOptions(5), Recorded(record))[0].parity is False


def test_malis_trains_with_it(make_run, wide, network):
    """Labels of the batch reach one voxel farther, as in the published request; targets do not."""
    declared = replace(wide, targets=wide.targets[1:], parity=True, phases=(Phase(1, "affs", Malis()),))
    run, train = make_run(experiment=declared, network=replace(network, heads=network.heads[1:]))
    assert train() == 0
    with h5py.File(run.directory / "snapshots" / "batch_1.hdf") as file:
        labels, affs = file["volumes/labels/neuron_ids"], file["volumes/gt_affinities"]
        assert labels.shape == tuple(size + 1 for size in affs.shape[1:])
        assert labels.attrs["offset"].tolist() == [a - v for a, v in zip(affs.attrs["offset"], (20, 9, 9), strict=True)]
