"""The definition of the descriptors, and the real labels."""

import math
from pathlib import Path

import numpy as np
import pytest

FIB25 = Path(__file__).parents[3] / "shared" / "data" / "fib25" / "training_sample2_z0-160.zarr"


def described(labels, voxel, sigma, voxel_size, downsample):
    """The descriptors of one voxel, summed over its object's voxels in double precision, as spelt out in the paper."""
    dims = labels.ndim
    if labels[voxel] == 0:
        return np.zeros({2: 6, 3: 10}[dims])
    step, sigma = np.array(voxel_size) * downsample, np.broadcast_to(np.array(sigma, float), (dims,))
    seen = np.argwhere(labels[(slice(None, None, downsample),) * dims] == labels[voxel]) - np.array(voxel) // downsample
    weights = np.ones(len(seen))
    for axis in range(dims):
        radius = int(3 * sigma[axis] / step[axis] + 0.5)
        window = {s: math.exp(-0.5 * (s * step[axis] / sigma[axis]) ** 2) for s in range(-radius, radius + 1)}
        weights *= [window.get(s, 0) / sum(window.values()) for s in seen[:, axis]]
    pairs = [(a, b) for a in range(dims) for b in range(a + 1, dims)]
    size = weights.sum()
    if size == 0:
        return np.array([0.5] * dims + list(1e-3 / sigma**2) + [0.5] * len(pairs) + [0])
    offset = weights @ (seen * step) / size
    centred = seen * step - offset
    covariance = (weights[:, None] * centred).T @ centred / size
    variance = np.maximum(covariance.diagonal(), 1e-3)
    pearson = [covariance[pair] / math.sqrt(variance[pair[0]] * variance[pair[1]]) for pair in pairs]
    channels = [*(offset / sigma / 2 + 0.5), *(variance / sigma**2), *(np.array(pearson) / 2 + 0.5), size]
    return np.clip(channels, 0, 1)


@pytest.fixture(scope="session")
def definition():
    """``definition(labels, sigma, voxel_size, downsample, voxels=all)``: [c, ...] or [c, voxels] float64."""
    def all_described(labels, sigma, voxel_size, downsample=1, voxels=None):
        chosen = list(np.ndindex(labels.shape)) if voxels is None else voxels
        values = np.array([described(labels, voxel, sigma, voxel_size, downsample) for voxel in chosen]).T
        return values.reshape(-1, *labels.shape) if voxels is None else values

    return all_described


@pytest.fixture(scope="session")
def real_labels():
    """[160, 250, 250] uint64 of FIB-25, 8 nm voxels."""
    if not FIB25.exists():
        pytest.skip("the FIB-25 sample is not here (../shared/data/fib25)")
    import zarr

    return zarr.open(str(FIB25), "r")["volumes/labels/neuron_ids"][:]
