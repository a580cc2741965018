"""Training on volumes of other voxels than the dataset's."""

import numpy as np
import pytest
import zarr

from lsd_experiments.checkpoints import find_checkpoint
from lsd_experiments.errors import UserError
from lsd_experiments.training.data import find_samples
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.validation_samples import kept_samples

from .test_validation import PART, in_world, weights_of


@pytest.fixture
def finer(volume, tmp_path):
    """``volume`` with each voxel twice along y and x: the mean of four is as it was."""
    source, path = zarr.open_group(volume, mode="r"), str(tmp_path / "finer.zarr")
    copy = zarr.open_group(zarr.DirectoryStore(path), mode="w")
    for name in ("volumes/raw", "volumes/labels/neuron_ids", "volumes/labels/labels_mask"):
        values = source[name][:].repeat(2, 1).repeat(2, 2)
        copy.create_dataset(name, data=values, chunks=(8, 64, 64)).attrs.put({**source[name].attrs, "resolution": [20, 4.5, 4.5]})
    return path


@pytest.mark.parametrize("workers", [0, 1])
def test_it_is_the_training_on_the_resampled_volume(make_run, volume, finer, workers):
    found = []
    for name, data, resample in (("same", volume, True), ("finer", finer, True)):
        run, train = make_run(name, data=data, resample=resample, num_workers=workers)
        assert train() == 0
        found.append(weights_of(run.directory))
    assert all(np.array_equal(array, found[1][name]) for name, array in found[0].items())
    assert find_checkpoint(run.directory).record["provenance"]["parameters"]["resample"] is True


def test_it_is_refused_unless_asked_for(dataset, finer, volume):
    with pytest.raises(UserError, match=r"volumes/raw has voxels of \(20, 4.5, 4.5\) nm, not .* or pass --resample"):
        find_samples(dataset, [finer])
    group = zarr.open_group(volume, mode="a")
    for name in ("neuron_ids", "labels_mask"):  # of the labels alone
        labels = group["volumes/labels"][name]
        labels.attrs.put({**labels.attrs, "resolution": [20, 9, 18]})
    with pytest.raises(UserError, match=r"neuron_ids has voxels of \(20, 9, 18\) nm, not .* or pass --resample"):
        find_samples(dataset, [volume])
    (sample,) = find_samples(dataset, [volume], resample=True)
    assert sample.labels.voxel_size == (20, 9, 9)
    assert sample.labels.shape == sample.labels_mask.shape == (24, 60, 68)  # as far as there is raw


def test_parts_are_kept_of_resampled_volumes(dataset, finer, tmp_path):
    part = in_world(PART, "finer.zarr")
    keeping = dataset.model_copy(update={"directory": tmp_path, "volumes": ("finer.zarr",), "validation": (part,)})
    (sample,) = find_samples(keeping, [], resample=True)
    assert sample.kept == (PART,)
    (of_validation,) = kept_samples(keeping, TrainingOptions(2, validate_every=1, resample=True), {"uint8": (0, 255)})
    assert of_validation.only == PART
