"""The pipeline of the published scripts: its nodes, and batches from real volumes."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import gunpowder as gp
import numpy as np
import pytest
import zarr

from lsd_experiments.augmentation.elastic import ElasticAugment
from lsd_experiments.datasets import load_dataset
from lsd_experiments.families.lsd import isotropic, serial_sections
from lsd_experiments.families.xpress import tomography
from lsd_experiments.sources import world_units
from lsd_experiments.targets import LocalShapeDescriptors
from lsd_experiments.training.data import open_sample
from lsd_experiments.training.keys import LABELS, LABELS_MASK, RAW, head_keys
from lsd_experiments.training.padding import label_padding
from lsd_experiments.training.pipeline import batch_pipeline, batch_request
from lsd_experiments.training.places import find_places
from lsd_experiments.training.precache import PreCache

LSDS, AFFS = head_keys("lsds"), head_keys("affs")
SETUPS = Path(__file__).parents[2] / "02_train"


@pytest.fixture
def make_pipeline(experiment, network, input_shape):
    def make(dataset, *containers, batch_size=1, experiment=experiment):
        output_shape = network.output_shape(input_shape)
        padding = label_padding(experiment, dataset.voxel_size, output_shape)
        samples = [open_sample(dataset, container) for container in containers]
        placed = [(sample, find_places(sample, output_shape, padding, experiment.min_masked)) for sample in samples]
        return batch_pipeline(experiment, dataset, placed, batch_size)

    return make


@pytest.fixture
def make_batches(make_pipeline, experiment, network, input_shape):
    def make(dataset, *containers, count=1, seed=1, workers=0, batch_size=1, experiment=experiment):
        pipeline = make_pipeline(dataset, *containers, batch_size=batch_size, experiment=experiment)
        pipeline += PreCache(seed, 0, workers, 1)
        request = batch_request(experiment, dataset, input_shape, network.output_shape(input_shape))
        with gp.build(pipeline):
            return [pipeline.request_batch(request) for _ in range(count)]

    return make


@pytest.fixture
def still(experiment):
    """The experiment without augmentation by displacement."""
    def sampling():
        intensities = gp.IntensityAugment(RAW, scale_min=0.9, scale_max=1.1, shift_min=-0.1, shift_max=0.1, slab=(1, -1, -1))
        return gp.SimpleAugment(transpose_only=[1, 2]) + intensities

    return replace(experiment, sampling=sampling)


def nodes(pipeline):
    """The nodes after the random choice of a volume, and those of the first volume."""
    names, here = [], pipeline
    while len(here.children) == 1:
        names.append(here.output)
        here = here.children[0]
    source, there = [], here.children[0]
    while len(there.children) == 1:
        source.append(there.output)
        there = there.children[0]
    return [*reversed(names)], [*reversed(source)], here.output


SECTIONS = {"prob_slip": 0.05, "prob_shift": 0.05, "max_misalign": 10, "subsample": 8}
NO_SECTIONS = {"prob_slip": 0, "prob_shift": 0, "max_misalign": 0, "subsample": 8}


@pytest.mark.parametrize(
    ("name", "sampling", "axes", "elastic"),
    [
        ("zebrafinch", serial_sections, (1, 2), [{"control_point_spacing": (4, 4, 10), "jitter_sigma": (0, 2, 2), **SECTIONS}]),
        ("synthetic", partial(serial_sections, (4, 40, 40), (0, 1, 1), 0), (1, 2),
         [{"control_point_spacing": (4, 40, 40), "jitter_sigma": (0, 1, 1), **NO_SECTIONS}]),
        ("fib25", isotropic, (0, 1, 2), [
            {"control_point_spacing": (40, 40, 40), "jitter_sigma": (0, 0, 0), **NO_SECTIONS},
            {"control_point_spacing": (40, 40, 40), "jitter_sigma": (2, 2, 2), "prob_slip": 0.01, "prob_shift": 0.01,
             "max_misalign": 1, "subsample": 8},
        ]),
        ("xpress", tomography, (0, 1, 2),
         [{"control_point_spacing": (10, 10, 10), "jitter_sigma": (2, 2, 2), **NO_SECTIONS, "subsample": 2}]),
    ],
)  # fmt: skip
def test_nodes_are_the_published_ones_in_their_order(make_pipeline, experiment, write_volume, tmp_path, name, sampling, axes,
                                                     elastic):
    dataset = load_dataset(SETUPS / name)
    containers = [write_volume(tmp_path / f"{n}.zarr", voxel_size=dataset.voxel_size, dataset=dataset) for n in range(2)]
    lsds = LocalShapeDescriptors(sigma=3 * dataset.voxel_size[0])
    experiment = replace(experiment, sampling=sampling, boundary_axes=axes, targets=(lsds, *experiment.targets[1:]))
    after, source, choice = nodes(make_pipeline(dataset, *containers, experiment=experiment))
    masks = ["Pad"] * (3 if dataset.unlabeled_mask else 2)
    assert [type(node).__name__ for node in source] == ["Normalize", "Pad", *masks, "RandomLocation"]
    assert [node.key for node in source[1:4]] == [RAW, LABELS, LABELS_MASK]
    assert type(choice) is gp.RandomProvider
    assert choice.probabilities == [0.5, 0.5]
    names = [type(node).__name__ for node in after]
    assert names == [
        *("ElasticAugment", "SimpleAugment", "ElasticAugment")[: len(elastic) + 1],
        *("IntensityAugment", *["NoiseAugment"] * (name == "xpress"), "GrowBoundary", "AddLsds", "AddAffinities"),
        *("BalanceLabels", "IntensityScaleShift", "Stack"),
    ]
    by_name = dict(zip(names, after, strict=True))
    intensity = by_name["IntensityAugment"]
    assert (intensity.scale_min, intensity.scale_max, intensity.shift_min, intensity.shift_max) == (0.9, 1.1, -0.1, 0.1)
    assert intensity.slab == ((1, -1, -1) if sampling not in (isotropic, tomography) else None)
    assert by_name["SimpleAugment"].transpose_only == list(axes)
    assert by_name["GrowBoundary"].axes == axes
    assert by_name["AddAffinities"].affinity_neighborhood.tolist() == [[-1, 0, 0], [0, -1, 0], [0, 0, -1]]
    assert by_name["BalanceLabels"].masks == [AFFS.mask]
    assert (by_name["BalanceLabels"].clipmin, by_name["BalanceLabels"].clipmax) == (0.05, 0.95)
    assert (by_name["IntensityScaleShift"].scale, by_name["IntensityScaleShift"].shift) == (2, -1)
    found = [node for node in after if isinstance(node, ElasticAugment)]
    assert [{key: getattr(node, key) for key in wanted} for node, wanted in zip(found, elastic, strict=True)] == elastic
    assert all(node.rotation_interval == (0, np.pi / 2) for node in found)
    if name == "xpress":
        assert by_name["NoiseAugment"].kwargs == {"var": 0.01}


def test_a_batch(make_batches, dataset, volume, network, input_shape):
    (batch,) = make_batches(dataset, volume)
    output = network.output_shape(input_shape)
    assert batch[RAW].data.shape == (1, *input_shape)
    assert batch[RAW].data.dtype == np.float32
    assert -1 <= batch[RAW].data.min() < -0.5 < 0.5 < batch[RAW].data.max() <= 1
    assert batch[LABELS].data.shape == batch[LABELS_MASK].data.shape == (1, *output)
    assert batch[LSDS.target].data.shape == batch[LSDS.weights].data.shape == (1, 10, *output)
    assert batch[AFFS.target].data.shape == batch[AFFS.weights].data.shape == batch[AFFS.mask].data.shape == (1, 3, *output)
    assert 0 <= batch[LSDS.target].data.min() <= batch[LSDS.target].data.max() <= 1
    assert set(np.unique(batch[AFFS.target].data)) == {0, 1}
    # Raw reaches half the context further on each side.
    margin = (batch[LABELS].spec.roi.begin - batch[RAW].spec.roi.begin) / batch[RAW].spec.voxel_size
    assert tuple(margin) == tuple(c // 2 for c in network.context)


def test_raw_and_labels_stay_together(make_batches, dataset, write_volume, tmp_path, objects, network):
    """Raw that shows where it is labelled: dark in objects, bright elsewhere, whatever the augmentation."""
    labels = objects()
    raw = np.full((40, 90, 80), 200, np.uint8)
    raw[8:32, 15:75, 12:68] = np.where(labels > 0, 50, 200)
    container = write_volume(tmp_path / "a.zarr", raw, labels, None)
    for batch in make_batches(dataset, container, count=6):
        crop = tuple(slice(c // 2, -(c // 2)) for c in network.context)
        shown = batch[RAW].data[0][crop]
        core, outside = batch[LABELS].data[0] > 0, batch[LABELS].data[0] == 0
        assert core.any()
        assert shown[core].mean() + 0.3 < shown[outside].mean()
        assert np.mean(shown[core] < 0) > 0.9


def test_without_augmentation_labels_are_what_is_on_disk(make_batches, still, dataset, write_volume, tmp_path, objects):
    """Up to mirroring, transposition, and a boundary in y and x, which each object is left without."""
    labels = objects(first=2**33)  # too great for int32
    labels[labels == 2**33 + 101] = 2**33 + 101 + 2**32  # equal to another's in 32 bits
    container = write_volume(tmp_path / "a.zarr", labels=labels, mask=None)
    seen = set()
    for batch in make_batches(dataset, container, count=4, experiment=still):
        values = batch[LABELS].data[0]
        ids = np.unique(values[values > 0])
        assert 1 <= len(ids) <= 12
        seen |= {len(ids)}
        # No two objects are one: where neighbours along x differ, their affinity is 0.
        affs = batch[AFFS.target].data[0, 2][..., 1:]
        differ = values[..., 1:] != values[..., :-1]
        assert not affs[differ].any()
        same = ~differ & (values[..., 1:] > 0)
        assert affs[same].all()
    assert max(seen) > 1


def test_the_seed_determines_the_batches_with_and_without_workers(make_batches, dataset, volume):
    here = make_batches(dataset, volume, count=3)
    in_worker = make_batches(dataset, volume, count=3, workers=1)
    other = make_batches(dataset, volume, count=3, seed=2)
    for a, b in zip(here, in_worker, strict=True):
        for key in (RAW, LABELS, LSDS.target, AFFS.weights):
            np.testing.assert_array_equal(a[key].data, b[key].data)
    assert not np.array_equal(here[0][RAW].data, here[1][RAW].data)
    assert not np.array_equal(here[0][RAW].data, other[0][RAW].data)


def test_samples_of_a_larger_batch_differ(make_batches, dataset, volume):
    (batch,) = make_batches(dataset, volume, batch_size=2)
    assert batch[RAW].data.shape[0] == batch[LSDS.target].data.shape[0] == batch[AFFS.mask].data.shape[0] == 2
    assert not np.array_equal(batch[RAW].data[0], batch[RAW].data[1])


def test_raw_of_other_types_is_the_same_to_the_network(make_batches, dataset, write_volume, tmp_path):
    raw = np.random.default_rng(0).integers(0, 256, (40, 90, 80))
    variants = {"uint8": raw.astype(np.uint8), "uint16": (raw * 257).astype(np.uint16), "float": raw.astype(np.float32) / 255}
    variants["float64"] = raw / 255
    batches = {
        name: make_batches(dataset, write_volume(tmp_path / f"{name}.zarr", values))[0][RAW].data
        for name, values in variants.items()
    }
    for values in batches.values():
        np.testing.assert_allclose(values, batches["uint8"], atol=1e-4)


@pytest.mark.parametrize("voxel_size", [(50, 4.6, 4.6), (100 / 3, 12.5, 12.5)])
def test_fractional_voxel_sizes(make_batches, experiment, dataset, write_volume, tmp_path, voxel_size, input_shape):
    container = write_volume(tmp_path / "a.zarr", voxel_size=voxel_size, offset=tuple(7 * v for v in voxel_size))
    lsds, affs = experiment.targets
    fractional = replace(experiment, targets=(replace(lsds, sigma=4 * voxel_size[1]), affs))
    (batch,) = make_batches(dataset.model_copy(update={"voxel_size": voxel_size}), container, experiment=fractional)
    assert batch[RAW].data.shape == (1, *input_shape)
    unit = world_units(voxel_size)
    assert unit[0] / unit[1] == pytest.approx(voxel_size[0] / voxel_size[1], rel=1e-6)


def test_world_units_are_the_smallest_whole_ones():
    assert world_units((20, 9, 9)) == (20, 9, 9)
    assert world_units((50, 4.6, 4.6)) == (250, 23, 23)
    assert world_units((100 / 3, 100 / 3, 10)) == (100, 100, 30)


def test_a_crop_is_read_where_it_lies_in_workers_too(make_batches, still, dataset, write_volume, tmp_path):
    """Sections of the crop are bright, all others black."""
    raw = np.zeros((40, 90, 80), np.uint8)
    raw[15:, 30:, 20:] = 255
    write_volume(tmp_path / "volume.zarr", raw, mask=None)
    crop = tmp_path / "crop.json"
    place = {"offset": [200 + 15 * 20, 45 + 30 * 9, 63 + 20 * 9], "size": [17 * 20, 45 * 9, 48 * 9]}
    crop.write_text(json.dumps({"container": "volume.zarr", **place}))
    for workers in (0, 1):
        shown = [batch[RAW].data for batch in make_batches(dataset, str(crop), count=3, workers=workers, experiment=still)]
        inside = np.concatenate([values.ravel() for values in shown])
        assert np.mean(inside > 0.5) > 0.3
        assert np.mean((inside > -0.6) & (inside < 0.3)) == 0  # nothing but the crop, and 0 around it
        centre = [values[0, 8, 18, 16] for values in shown]
        assert min(centre) > 0.5


def test_nan_that_was_not_looked_for_is_a_users_mistake(make_pipeline, experiment, dataset, write_volume, tmp_path, network,
                                                         input_shape, monkeypatch):
    from lsd_experiments.errors import UserError
    from lsd_experiments.sources import cause_of
    from lsd_experiments.training import data

    monkeypatch.setattr(data.arrays, "SEARCHED", 0)
    raw = np.full((40, 90, 80), 0.5, np.float32)
    raw[1:] = np.nan
    pipeline = make_pipeline(dataset, write_volume(tmp_path / "a.zarr", raw))
    with gp.build(pipeline), pytest.raises(gp.PipelineRequestError) as error:
        pipeline.request_batch(batch_request(experiment, dataset, input_shape, network.output_shape(input_shape)))
    assert isinstance(cause_of(error.value), UserError)
    assert "is nan" in str(cause_of(error.value))


def test_batches_are_the_same_whatever_is_kept_in_memory(make_batches, dataset, write_volume, tmp_path, monkeypatch):
    from lsd_experiments.training import decoded

    container = write_volume(tmp_path / "a.zarr")
    shares, read = [], decoded.Decoded.read
    monkeypatch.setattr(decoded.Decoded, "read", lambda kept, *given: (read(kept, *given), shares.append(kept.there.mean()))[0])
    make_batches(dataset, container, count=3)
    assert max(shares) > 0.5
    monkeypatch.undo()
    kept = make_batches(dataset, container, count=3, workers=2)
    monkeypatch.setattr(decoded, "SHARE", 2**60)  # room for nothing
    read = make_batches(dataset, container, count=3)
    for one, other in zip(kept, read, strict=True):
        assert set(one.arrays) == set(other.arrays)
        for key, array in one.items():
            np.testing.assert_array_equal(array.data, other[key].data)


def test_volumes_are_drawn_by_their_probability(write_volume, tmp_path, experiment, dataset, network, input_shape):
    dark = write_volume(tmp_path / "dark.zarr", np.zeros((40, 90, 80), np.uint8))
    bright = write_volume(tmp_path / "bright.zarr", np.full((40, 90, 80), 255, np.uint8))
    output_shape = network.output_shape(input_shape)
    placed = []
    for container, probability in ((dark, 0.0), (bright, 3.0)):
        sample = replace(open_sample(dataset, container), probability=probability)
        placed.append((sample, find_places(sample, output_shape, (9, 9, 9), 0.5)))
    pipeline = batch_pipeline(experiment, dataset, placed, 4)
    with gp.build(pipeline):
        batch = pipeline.request_batch(batch_request(experiment, dataset, input_shape, output_shape))
    assert (batch[RAW].data[:, 8, 18, 16] > 0.5).all()


def test_labels_in_smaller_types(make_batches, dataset, write_volume, tmp_path, objects):
    for dtype in (np.uint16, np.uint32, np.int64):
        container = write_volume(tmp_path / f"{np.dtype(dtype)}.zarr", labels=objects(dtype=dtype))
        (batch,) = make_batches(dataset, container)
        assert batch[LABELS].data.any()
    assert zarr.open(container)["volumes/labels/neuron_ids"].dtype == np.int64
