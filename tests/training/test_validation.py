"""Validation: on a part that training does not touch, without a trace in it.

    labels   24 x 60 x 56 voxels, the part 12 x 40 x 32 of them from voxel (8, 20, 0) on: 3 x 2 x 2 outputs of 4 x 20 x 16
"""

import json
import random
from dataclasses import replace

import gunpowder as gp
import h5py
import numpy as np
import pytest

from lsd_experiments.augmentation.elastic import ElasticAugment
from lsd_experiments.checkpoints import find_best, find_checkpoint, require_checkpoint
from lsd_experiments.checkpoints.checkpoint import VALIDATION
from lsd_experiments.datasets import ValidationPart
from lsd_experiments.descriptors.agreement import CHANNELS
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.networks import Head
from lsd_experiments.targets import Affinities, LocalShapeDescriptors
from lsd_experiments.training import Malis, Phase
from lsd_experiments.training.curve import read_curve
from lsd_experiments.training.data import find_samples
from lsd_experiments.training.keys import LABELS, RAW, head_keys
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.pipeline import batch_pipeline
from lsd_experiments.training.places import find_places
from lsd_experiments.training.validation import Validation, blocks
from lsd_experiments.training.validation_descriptors import DescriptorSums
from lsd_experiments.training.validation_samples import kept_samples
from lsd_experiments.training.validation_segmentation import segmented_scores

PART = Box((8, 20, 0), (20, 60, 32))
VOXEL_SIZE, OFFSET, INSIDE = (20, 9, 9), (200, 45, 63), (8, 15, 12)
OUTPUT = (4, 20, 16)


def in_world(box, volume="volume.zarr"):
    offset = [o + (i + b) * v for o, i, b, v in zip(OFFSET, INSIDE, box.begin, VOXEL_SIZE, strict=True)]
    return ValidationPart(volume=volume, offset=offset, size=[s * v for s, v in zip(box.shape, VOXEL_SIZE, strict=True)])


@pytest.fixture
def keeping(dataset, tmp_path):
    """A function that gives the dataset with parts that are kept of volume.zarr."""
    def keep(*boxes):
        parts = tuple(in_world(box) for box in boxes or [PART])
        return dataset.model_copy(update={"directory": tmp_path, "volumes": ("volume.zarr",), "validation": parts})
    return keep


def augment():
    """Turns and mirrors, so that outputs reach what lay outside of them; raw is not scaled."""
    return ElasticAugment((40, 40, 40), (0, 2, 2)) + gp.SimpleAugment(transpose_only=[1, 2])


def batches(dataset, experiment, volume, run, number=12):
    samples = [(sample, find_places(sample, OUTPUT, (4, 20, 20), 0.5)) for sample in find_samples(dataset, [volume])]
    found = []
    with gp.build(batch_pipeline(experiment, dataset, samples, 1)) as pipeline:
        for seed in range(number):
            request = run.request.copy()
            request._random_seed = seed
            found.append(pipeline.request_batch(request))
    return found


def targets_of(batch, names=("affs", "lsds")):
    return [batch[key].data for name in names for key in (head_keys(name).target, head_keys(name).weights)]


@pytest.mark.parametrize("unlabeled", [None, "volumes/labels/unlabeled_mask"], ids=["dense", "sparse"])
def test_labels_of_the_part_do_not_matter(keeping, dataset, experiment, write_volume, objects, make_run, tmp_path, unlabeled):
    """Not through augmentation, the window of descriptors, the balance or boundaries; nor do masks. Without the part they do."""
    generator, labels, mask = np.random.default_rng(1), objects(), np.ones((24, 60, 56), np.uint8)
    sparse, found = {"unlabeled_mask": unlabeled}, []
    keep, plain = keeping().model_copy(update=sparse), dataset.model_copy(update=sparse)
    experiment = replace(experiment, sampling=augment)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        for values, high in ((labels, 5), (mask, 2)):
            values[PART.slices] = generator.integers(0, high, PART.shape)
        volume = write_volume(tmp_path / name / "volume.zarr", labels=labels, mask=mask, dataset=plain)
        run, _ = make_run(data=volume, dataset=plain, experiment=experiment)
        kept = batches(keep.model_copy(update={"directory": tmp_path / name}), experiment, volume, run)
        found.append((kept, batches(plain, experiment, volume, run)))
    (kept, free), (other_kept, other_free) = found
    for first, second in zip(kept, other_kept, strict=True):
        for a, b in zip([first[LABELS].data, *targets_of(first)], [second[LABELS].data, *targets_of(second)], strict=True):
            np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a[LABELS].data, b[LABELS].data) for a, b in zip(free, other_free, strict=True))


def test_no_loss_is_taken_on_the_part(keeping, dataset, experiment, write_volume, make_run, tmp_path):
    """Not even by targets that train what no mask counts; raw, which is 255 there and 0 elsewhere, is read."""
    raw = np.zeros((40, 90, 80), np.uint8)
    raw[PART.shift(INSIDE).slices] = 255
    volume = write_volume(tmp_path / "volume.zarr", raw=raw)
    targets = (LocalShapeDescriptors(sigma=60, counted="foreground_or_masked_out"), Affinities(masked=False))
    experiment = replace(experiment, sampling=augment, targets=targets)
    run, _ = make_run(experiment=experiment)

    def weights_there(dataset):
        found = []
        for batch in batches(dataset, experiment, volume, run, 40):
            there = batch[RAW].crop(batch[LABELS].spec.roi).data[0] > 0.99
            found += [batch[head_keys(name).weights].data[0][:, there] for name in ("affs", "lsds")]
        return np.concatenate([weights.ravel() for weights in found])

    kept = weights_there(keeping())
    assert len(kept) > 0  # corners of outputs that were turned into it
    assert not kept.any()
    assert weights_there(dataset).any()


def test_no_output_touches_the_part(keeping, volume):
    (sample,) = find_samples(keeping(), [volume])
    places = find_places(sample, OUTPUT, (4, 20, 20), 0.5)
    allowed = {tuple(np.add(places.origin, index).tolist()) for index in np.argwhere(places.allowed)}
    (free,) = find_samples(keeping().model_copy(update={"validation": ()}), [volume])
    all_places = find_places(free, OUTPUT, (4, 20, 20), 0.5)
    part = PART.shift(INSIDE)
    expected = {begin for begin in (tuple(np.add(all_places.origin, index).tolist()) for index in np.argwhere(all_places.allowed))
                if Box.of_shape(OUTPUT, begin).intersect(part).empty}
    assert allowed == expected
    assert 0 < len(expected) < np.count_nonzero(all_places.allowed)


def test_parts_of_other_volumes_or_between_voxels(keeping, volume, tmp_path):
    part = in_world(Box((8, 20, 0), (9, 21, 1)))
    shifted = part.model_copy(update={"offset": tuple(o + 1 for o in part.offset)})  # one voxel, and its neighbours in part
    named = keeping().model_copy(update={"validation": (shifted,)})
    (sample,) = find_samples(named, [volume])
    assert sample.kept == (Box((8, 20, 0), (10, 22, 2)),)
    with pytest.raises(UserError, match=r"none\.zarr: no such volume.*Fetch it"):
        find_samples(named.model_copy(update={"validation": (in_world(PART, "none.zarr"),)}), [])
    outside = in_world(Box((24, 0, 0), (30, 60, 56)))
    with pytest.raises(UserError, match=r"holds no voxel of .*, which covers \(360, 180, 171\) to \(840, 720, 675\) nm"):
        find_samples(keeping().model_copy(update={"validation": (outside,)}), [])
    with pytest.raises(UserError, match="all labels are kept for validation"):
        find_samples(named.model_copy(update={"validation": (ValidationPart(volume="volume.zarr"),)}), [])
    with pytest.raises(UserError, match="holds no voxel"):  # of a whole one there is none
        kept_samples(named, TrainingOptions(2, validate_every=1), {"uint8": (0, 255)})


def test_a_crop_of_the_same_labels_is_no_way_around(keeping, volume, tmp_path):
    """Neither as what is trained on nor as what is kept, through another name of it."""
    (tmp_path / "link.zarr").symlink_to("volume.zarr")
    (tmp_path / "crop.json").write_text(json.dumps({"container": "link.zarr"}))
    part = {"container": "volume.zarr", "dataset": "volumes/labels/neuron_ids", "offset": [520, 360, 171], "size": [20, 360, 288]}
    (tmp_path / "labels.json").write_text(json.dumps(part))
    (sample,) = find_samples(keeping(), [str(tmp_path / "crop.json")])
    assert sample.kept == (PART,)
    whole = keeping().model_copy(update={"validation": (ValidationPart(volume="labels.json"),)})
    (sample,) = find_samples(whole, [volume])
    assert sample.kept == (Box((8, 20, 0), (9, 60, 32)),)


@pytest.mark.parametrize(("shape", "most", "expected"), [
    ((12, 40, 32), 16, (3, 2, 2)), ((12, 40, 32), 8, (2, 2, 2)), ((3, 61, 9), 16, (1, 3, 1)), ((4, 20, 16), 1, (1, 1, 1)),
])
def test_blocks_tile_the_middle(shape, most, expected):
    begin = (5, -3, 7)
    found = blocks(Box.of_shape(shape, begin), OUTPUT, most)
    whole = Box(found[0].begin, found[-1].end)
    assert whole.shape == tuple(n * o for n, o in zip(expected, OUTPUT, strict=True))
    assert len(found) == len(set(found)) == np.prod(expected)
    for axis in range(3):
        before = whole.begin[axis] - begin[axis]
        assert abs(2 * before + whole.shape[axis] - shape[axis]) <= 1


def test_the_loss_is_that_of_a_step_without_augmentation(keeping, experiment, make_run, dataset):
    """Of a part of one output: the loss of a first step at the one place there is."""
    one = Box((4, 12, 14), (8, 32, 30))
    experiment = replace(experiment, sampling=lambda: gp.IntensityScaleShift(RAW, 1, 0))
    run, train = make_run("a", dataset=keeping(one), experiment=experiment, iterations=1, validate_every=1, learning_rate=1e-30)
    assert train() == 0
    stepped, train = make_run("b", experiment=experiment, iterations=1)
    ((_, places),) = stepped.samples
    places.allowed[:] = False
    places.allowed[tuple(b + i - o for b, i, o in zip(one.begin, INSIDE, places.origin, strict=True))] = True
    assert train() == 0
    (row,) = read_curve(run.directory)
    assert row["iteration"] == 1
    for name, value in stepped.step.logs.items():
        assert row[name] == pytest.approx(value, rel=1e-5)
    assert run.step.logs["loss"] != pytest.approx(row["loss"], rel=1e-3)  # at another place


def weights_of(directory):
    with h5py.File(find_checkpoint(directory).path, "r") as file:
        found = {}
        file.visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return found


@pytest.mark.parametrize("workers", [0, 1])
def test_a_training_is_the_same_with_and_without(keeping, make_run, workers):
    """Weights and moments, bit for bit."""
    found = []
    with_all = {"validate_every": 1, "validate_segmentation": True, "average_weights": 0.5}
    for name, options in (("without", {}), ("with", with_all)):
        run, train = make_run(name, dataset=keeping(), iterations=3, num_workers=workers, learning_rate=0.01, **options)
        assert train() == 0
        found.append(weights_of(run.directory))
    assert all(np.array_equal(array, found[1][name]) for name, array in found[0].items())
    state = random.getstate()
    plain = run.validating.validation.scores(run.step.model, run.step.losses)
    with run.step.model.averaged():
        assert run.validating.validation.scores(run.step.model, run.step.losses) != plain
    assert run.validating.validation.scores(run.step.model, run.step.losses) == plain
    assert random.getstate() == state
    averaged = read_curve(run.directory)[-1]["loss"]  # validation is of the averages
    assert abs(averaged - plain["loss"]) > 1e-6
    with run.step.model.averaged():
        again = run.validating.validation.scores(run.step.model, run.step.losses)["loss"]
    assert again == averaged


def test_what_is_written(keeping, make_run):
    run, train = make_run(dataset=keeping(), iterations=5, validate_every=2, validate_segmentation=True, save_every=3)
    assert train() == 0
    rows = read_curve(run.directory)
    assert [row["iteration"] for row in rows] == [2, 4, 5]  # and at the end
    losses, scores = {"loss", "lsds_loss", "affs_loss"}, {"voi_split", "voi_merge", "voi_sum", "threshold"}
    agreement = {"lsds_error", "lsds_error_of_constant", *(f"lsds_correlation_{name}" for name in CHANNELS)}
    assert {*rows[0]} == {"iteration", "seconds"} | losses | scores | agreement
    for row in rows:
        assert row["loss"] == pytest.approx(row["lsds_loss"] + row["affs_loss"], rel=1e-5)
        assert row["voi_sum"] == pytest.approx(row["voi_split"] + row["voi_merge"])
    best = min(rows, key=lambda row: row["voi_sum"])
    kept = find_best(run.directory)
    assert kept.path.name == f"train_net_checkpoint_{best['iteration']}.best.weights.h5"
    assert kept.record[VALIDATION]["voi_sum"] == best["voi_sum"]
    assert find_checkpoint(run.directory, 3).record[VALIDATION]["iteration"] == 2
    assert require_checkpoint(run.directory, "best").iteration == best["iteration"]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.directory / "log"), size_guidance={"scalars": 0})
    events.Reload()
    assert [event.step for event in events.Scalars("validation/loss")] == [2, 4, 5]
    assert events.Scalars("validation/voi_sum")[0].value == pytest.approx(rows[0]["voi_sum"])


def test_descriptors_that_are_the_truth_correlate_with_it(keeping, experiment, make_run):
    run, _ = make_run(dataset=keeping(), iterations=1, validate_every=1)
    sums, weighted, number = DescriptorSums(experiment), 0, 0
    keys = head_keys("lsds")
    for _, batch in run.validating.validation.parts[0].batches(run.request):
        truth, objects = batch[keys.target].data, batch[LABELS].data[0] > 0
        weighted, number = weighted + np.count_nonzero(batch[keys.weights].data[0, 0]), number + np.count_nonzero(objects)
        predicted = truth.copy()
        predicted[:, 4] = 1 - truth[:, 4]
        predicted[..., ~objects] = 0.3  # background does not matter
        sums.add(batch, {"lsds": predicted})
    columns = sums.columns()
    for name in CHANNELS:
        assert columns[f"lsds_correlation_{name}"] == pytest.approx(-1 if name == "variance_yy" else 1)
    assert columns["lsds_error"] > columns["lsds_error_of_constant"], "of the channel that is upside down"
    assert number < weighted, "the loss looks at background, too"


def test_another_loss_makes_another_best(keeping, experiment, make_run, monkeypatch):
    """After the switch to MALIS losses are of another kind: there is no comparing them."""
    experiment = replace(experiment, phases=(Phase(1, "affs", Malis()),))
    run, train = make_run(dataset=keeping(), experiment=experiment, iterations=2, validate_every=1)
    assert train() == 0
    first, second = read_curve(run.directory)
    assert {*first} - {*second} == {"affs_loss"}
    assert {*second} - {*first} == {"malis_loss"}
    assert second["loss"] > first["loss"]  # a sum, where that before is a mean
    assert find_best(run.directory).iteration == 2


def scripted(monkeypatch, losses):
    values = iter(losses)
    monkeypatch.setattr(Validation, "scores", lambda self, model, kinds: {"loss": next(values), "voi_sum": 1.0})


def kept(directory):
    return sorted(path.name.split("_")[-1].split(".")[0] for path in directory.glob("*.best.weights.h5"))


def test_the_best_is_kept_over_interruptions(keeping, make_run, monkeypatch):
    scripted(monkeypatch, [3.0, 2.0, 2.5, float("nan"), 2.0, 1.0])
    expected = ["1", "2", "2", "2", "2", "6"]
    for iterations, best in enumerate(expected, 1):
        run, train = make_run(dataset=keeping(), iterations=iterations, validate_every=1, save_every=100)
        assert train() == 0
        assert kept(run.directory) == [best]
    assert [row["iteration"] for row in read_curve(run.directory)] == [1, 2, 3, 4, 5, 6]
    seconds = [row["seconds"] for row in read_curve(run.directory)]
    assert seconds == sorted(seconds)
    run.directory.joinpath("train_net_checkpoint_6.weights.h5").unlink()  # as if killed before it was saved
    assert find_checkpoint(run.directory).path.name == "train_net_checkpoint_6.best.weights.h5"
    scripted(monkeypatch, [9.0, 8.0])
    for boxes in ((PART,), (PART, Box((0, 0, 40), (4, 20, 56)))):  # other parts have other losses
        run, train = make_run(dataset=keeping(*boxes), iterations=run.options.iterations + 1, validate_every=1, save_every=100)
        assert run.start == run.options.iterations - 1
        assert train() == 0
        assert kept(run.directory) == [["6"], ["8"]][len(boxes) - 1]


def test_a_kill_between_two_best_ones(keeping, make_run, monkeypatch):
    scripted(monkeypatch, [3.0, 2.0, 1.0])
    run, train = make_run(dataset=keeping(), iterations=1, validate_every=1)
    assert train() == 0
    old = run.directory / "train_net_checkpoint_1.best.weights.h5"
    data = old.read_bytes()
    _, train = make_run(dataset=keeping(), iterations=2, validate_every=1)
    assert train() == 0
    old.write_bytes(data)
    assert find_best(run.directory).iteration == 2
    _, train = make_run(dataset=keeping(), iterations=3, validate_every=1)
    assert train() == 0
    assert kept(run.directory) == ["3"]


def test_minutes(make_run, keeping, capsys):
    run, train = make_run(dataset=keeping(), iterations=1000, minutes=1e-9, save_every=100, validate_every=100)
    assert train() == 0
    said = "stopped at iteration 1, after 1e-09 minutes: saved; run the same command to go on"
    assert capsys.readouterr().err.splitlines()[-1] == said
    assert find_checkpoint(run.directory, 1).record[VALIDATION]["iteration"] == 1  # it is validated, too
    run, train = make_run(dataset=keeping(), iterations=2, minutes=60)
    assert (train(), run.start) == (0, 1)
    assert "stopped" not in capsys.readouterr().err


def test_ideal_affinities_have_no_variation_of_information(keeping, experiment, volume, objects):
    (sample,) = kept_samples(keeping(), TrainingOptions(2, validate_every=1), {"uint8": (0, 255)})
    labels = objects()
    affs = np.zeros((3, *labels.shape), np.float32)
    for axis in range(3):
        behind = np.roll(labels, 1, axis)
        affs[axis] = (labels == behind) & (labels > 0)
    found = []
    for values in (affs, np.ones_like(affs)):
        predicted = [(box, {"affs": values[:, *box.slices]}) for box in blocks(PART, OUTPUT, 16)]
        found.append(segmented_scores(experiment, keeping(), sample, predicted))
    assert found[0]["voi_sum"] < 0.5
    assert found[1]["voi_merge"] > 2  # all is one
    assert set(found[0]) == {"voi_split", "voi_merge", "voi_sum", "threshold"}


def test_an_experiment_without_affinities_cannot_be_segmented(keeping, make_run, experiment, network):
    lsd = {"experiment": replace(experiment, targets=experiment.targets[:1]),
           "network": replace(network, heads=(Head("lsds", 10, "embedding"),))}
    make_run(dataset=keeping(), validate_every=1, **lsd)
    with pytest.raises(UserError, match="no head of this experiment makes affinities"):
        make_run(dataset=keeping(), validate_every=1, validate_segmentation=True, **lsd)


@pytest.mark.parametrize(("name", "value", "words"), [
    ("mask", 0, "labels_mask is 0 in all of the part"), ("labels", 0, "has no object in the part that is segmented"),
])
def test_a_part_where_nothing_counts(keeping, make_run, write_volume, objects, tmp_path, name, value, words):
    arrays = {"mask": np.ones((24, 60, 56), np.uint8), "labels": objects()}
    arrays[name][PART.slices] = value
    volume = write_volume(tmp_path / "volume.zarr", **arrays)
    with pytest.raises(UserError, match=words):
        make_run(data=volume, dataset=keeping(), validate_every=1, validate_segmentation=True)


def test_a_damaged_curve(tmp_path):
    assert read_curve(tmp_path) == []
    for text in ("iteration,loss\n1,2\n", "iteration,seconds\none,2\n"):
        (tmp_path / "validation.csv").write_text(text)
        with pytest.raises(UserError, match=r"validation\.csv: is not what train\.py writes"):
            read_curve(tmp_path)
