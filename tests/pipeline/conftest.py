"""A pipeline on made affinities: no network is needed.

Neurites are wavy columns of 10 x 10 voxels along z, two voxels of boundary apart, that cross many blocks of
(10, 16, 14) voxels. Voxels are anisotropic and the volume's offset is not zero.
"""

import shutil
from functools import partial

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume
from lsd_experiments.pipeline.configuration import load_pipeline, with_num_workers
from lsd_experiments.pipeline.plans import stage_names
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.provenance import provenance
from lsd_experiments.stages.volumes import VolumeArtifact, open_output

SHAPE = (27, 40, 41)
VOXEL_SIZE = (20, 9, 9)
OFFSET = (200, 90, -45)
PERIOD = 13
EXTRACT = "threshold = 0.5"
PREDICTED = {"provenance": {"stage": "predict", "parameters": {}, "inputs": {}, "date": "2024-01-01"}, "finished": "2024-01-01"}


@pytest.fixture(scope="session")
def labels():
    """[z, y, x], 0 between neurites."""
    z, y, x = np.ogrid[:SHAPE[0], :SHAPE[1], :SHAPE[2]]
    y, x = y + np.rint(4 * np.sin(z / 6)).astype(int) + 6, x + np.rint(3 * np.cos(z / 5)).astype(int) + 6
    inside = (y % PERIOD >= 2) & (x % PERIOD >= 2)
    return np.where(inside, 1 + (y // PERIOD) * 10 + x // PERIOD, 0).astype(np.uint64)


@pytest.fixture(scope="session")
def affs(labels):
    """[3, z, y, x] uint8: 255 where a voxel and the one before carry the same label."""
    affs = np.zeros((3, *SHAPE), np.uint8)
    for axis in range(3):
        before = np.roll(labels, 1, axis)
        affs[axis] = 255 * ((labels == before) & (labels > 0))
        affs[axis][(slice(None),) * axis + (0,)] = 0
    return affs


@pytest.fixture(scope="session")
def make_out_file(labels, affs):
    """A function that puts a container with affinities and labels into a directory."""
    def make(directory):
        path = directory / "out.zarr"
        put(path, "volumes/affs", affs, channels=3, attrs=PREDICTED)
        put(path, "volumes/labels/neuron_ids", labels)
        return path
    return make


@pytest.fixture
def out_file(tmp_path, make_out_file):
    return make_out_file(tmp_path)


@pytest.fixture(scope="session")
def make_config():
    """A function that writes a configuration into a directory; ``fragments="..."`` and so on add lines to a section."""
    def write(directory, top="", evaluate='labels_file = "out.zarr"', **sections):
        lines = {
            "fragments": "fragments_in_xy = false\nblock_size = [200, 144, 126]\ncontext = [60, 54, 54]",
            "agglomerate": "context = [40, 18, 18]\nmerge_function = \"hist_quant_50\"",
            "find_segments": "thresholds_step = 0.1",
            "extract": "",
        }
        text = f'out_file = "out.zarr"\n{top}\n'
        text += "".join(f"[{name}]\n{lines[name]}\n{sections.get(name, '')}\n" for name in lines)
        text += f"[evaluate]\n{evaluate}\n" if evaluate else ""
        path = directory / "config.toml"
        path.write_text(text)
        return path
    return write


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory, labels, affs, make_config):
    """The directory of a run through all stages, on affinities that say of themselves what predict says. Not to be changed."""
    directory = tmp_path_factory.mktemp("run")
    put_predicted(directory / "out.zarr", affs)
    put(directory / "out.zarr", "volumes/labels/neuron_ids", labels)
    settings = with_num_workers(load_pipeline(make_config(directory, extract=EXTRACT)), 2)
    for name in stage_names(settings):
        run_stage(name, settings)
    return directory


@pytest.fixture
def done(whole_run, tmp_path):
    """The directory of such a run, to be changed."""
    shutil.copytree(whole_run, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def config(tmp_path, make_config):
    return partial(make_config, tmp_path)


def put(container, dataset, values, channels=None, attrs=None):
    volume = create_volume(str(container), dataset, values.shape[-3:], VOXEL_SIZE, OFFSET, values.dtype, channels=channels,
                           attrs=attrs)
    volume.write(volume.box, values)


def put_predicted(container, affs):
    """Write ``affs`` as workers of predict do, block by block."""
    output = VolumeArtifact(str(container), "volumes/affs", SHAPE, VOXEL_SIZE, OFFSET, "uint8", (10, 16, 14), channels=3)
    output.prepare(provenance("predict", {}, {}))
    volume, note = open_output(output.container, output.dataset)
    for box in volume.box.blocks(output.write_shape):
        inside = box.intersect(volume.box)
        volume.write(inside, affs[(..., *inside.slices)])
        note(inside)
    output.finish()
