"""Small volumes as users have them: one that says all of itself, and sections and an array that say nothing."""

import numpy as np
import pytest
import tifffile

from lsd_experiments.arrays import create_volume
from lsd_experiments.families.lsd.planning import command

VOXEL_SIZE, OFFSET, SHAPE = (24, 9, 9), (48, -18, 90), (30, 70, 80)
INSIDE = (3, 5, 8)  # voxels from raw's first to the labels'


def ids(shape):
    """Boxes of 5 x 14 x 16 voxels, with background of a voxel between them in y and x."""
    z, y, x = np.indices(shape)
    return np.where((y % 14 == 13) | (x % 16 == 15), 0, 1 + (z // 5) * 100 + (y // 14) * 10 + x // 16).astype(np.uint64)


@pytest.fixture
def values():
    """Raw, and labels of all of it: membranes are dark."""
    labels = ids(SHAPE)
    noise = np.random.default_rng(0).integers(-30, 30, SHAPE)
    return (np.where(labels == 0, 60, 160) + noise).astype(np.uint8), labels


@pytest.fixture
def container(tmp_path, values):
    """A zarr that says where it lies; its labels begin inside of raw, and have a mask."""
    path, inside = tmp_path / "data" / "all.zarr", tuple(slice(n, None) for n in INSIDE)
    begin = [o + n * v for o, n, v in zip(OFFSET, INSIDE, VOXEL_SIZE, strict=True)]
    mask = np.ones_like(values[1][inside], np.uint8)
    for name, array, offset in (("em/raw", values[0], OFFSET), ("cells/ids", values[1][inside], begin),
                                ("cells/mask", mask, begin)):  # fmt: skip
        volume = create_volume(str(path), name, array.shape, VOXEL_SIZE, offset, array.dtype)
        volume.write(volume.box, array)
    return path


@pytest.fixture
def sections(tmp_path, values):
    """A directory of sections, and labels as npy: neither says a voxel size, or a place."""
    directory = tmp_path / "data" / "sections"
    directory.mkdir(parents=True)
    for number, section in enumerate(values[0]):
        tifffile.imwrite(directory / f"z{number}.tif", section)
    np.save(tmp_path / "data" / "labels.npy", values[1])
    return directory, tmp_path / "data" / "labels.npy"


@pytest.fixture
def plan(tmp_path):
    """The command, in this process, for a directory of its own; without the picture, which takes gunpowder."""
    def plan(*arguments, name=tmp_path / "mylab", picture=False):
        words = [*map(str, (name, *arguments)), *([] if picture else ["--no-picture"])]
        command.plan_experiments(command.parser(None).parse_args(words), tmp_path / "02_train")
        return name
    return plan
