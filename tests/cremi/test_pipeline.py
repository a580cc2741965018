"""From probabilities of clefts to numbered clefts, their two sides, and their scores: 03_predict/cremi.toml, on made clefts."""

from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.families.cremi.clefts import score_cleft_volumes, score_probability_volumes
from lsd_experiments.families.cremi.sides import find_partners
from lsd_experiments.pipeline.configuration import load_any, with_num_workers
from lsd_experiments.pipeline.plans import stage_names as names_of
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.synthetic.clefts import synthesize_clefts
from lsd_experiments.viewing.view_results import result_views
from tests.pipeline.here import blocks_here

here = pytest.mark.usefixtures(blocks_here.__name__)
VOXEL_SIZE, OFFSET = (40.0, 4.0, 4.0), (80.0, 40.0, 20.0)
CONFIG = Path(__file__).parents[2] / "03_predict" / "cremi.toml"


@pytest.fixture(scope="module")
def made():
    return synthesize_clefts((10, 150, 160), VOXEL_SIZE, 8.0, 3)


@pytest.fixture
def predicted(tmp_path, made):
    """Probabilities as a network might give them: of one section that was missing none, with specks and a faint ground."""
    rng = np.random.default_rng(0)
    values = np.where(made.clefts > 0, 230, 40) + rng.integers(-30, 20, made.clefts.shape)
    values[4] = 0
    values[7, 70:73, 80:84] = 255
    for name, data in (("volumes/clefts", values.astype(np.uint8)[None]), ("truth", made.clefts), ("neurons", made.neurons)):
        channels = 1 if data.ndim == 4 else None
        volume = create_volume(tmp_path / "prediction.zarr", name, data.shape[-3:], VOXEL_SIZE, OFFSET, data.dtype,
                               channels=channels)
        volume.write(volume.box, data)
    return tmp_path


def run(directory, change=lambda text: text):
    path = directory / "cremi.toml"
    path.write_text(change(CONFIG.read_text()).replace("[threshold]", "[threshold]\nblock_size = [160, 256, 256]"))
    config = with_num_workers(load_any(path), 1)
    for name in names_of(config):
        run_stage(name, config)
    return directory / "cremi.zarr"


@here
def test_clefts_from_probabilities(predicted, made):
    out = run(predicted, lambda text: text.replace("minimum_size = 300", "minimum_size = 20"))  # of small clefts
    components, truth = open_volume(out, "volumes/components"), open_volume(predicted / "prediction.zarr", "truth")
    found = components.read()
    assert (components.voxel_size, components.offset, components.dtype) == (VOXEL_SIZE, OFFSET, np.uint64)
    bridged = (made.clefts[3] > 0) & (made.clefts[5] > 0) & (found[3] > 0) & (found[5] > 0)
    assert bridged.sum() > 20
    assert found[4][bridged].all(), "the missing section is closed"
    assert not found[4][~bridged].any()
    assert not found[7, 70:73, 80:84].any() or made.clefts[7, 70:73, 80:84].any(), "the speck is too small"
    assert min(np.bincount(found.ravel().astype(int))[1:]) >= 20
    shown = {view.volume.dataset for view in result_views([str(out)])}
    assert shown == {"volumes/masks", "volumes/components"}, "parts of blocks are of use to the next stage alone"
    assert result_views([f"{out}:volumes/component_parts"]), "who names them sees them"
    scores = score_cleft_volumes(components, truth)
    assert scores["f1"] == 1
    raw = score_probability_volumes(open_volume(predicted / "prediction.zarr", "volumes/clefts"), truth, [0.5])[0]
    assert raw["adf"] > scores["adf"], "closing is of use"
    partners = find_partners(components, open_volume(predicted / "prediction.zarr", "neurons"))
    assert len(partners.partners) >= found.max() / 2


@here
def test_a_mask_of_clefts(predicted, made):
    def classes(text):
        return text[:text.rindex("[components]")].replace('"instances"', '"classes"')
    mask = open_volume(run(predicted, classes), "volumes/masks").read().reshape(made.clefts.shape)
    probabilities = open_volume(predicted / "prediction.zarr", "volumes/clefts").read()
    assert mask[7, 71, 81], "small ones, too"
    np.testing.assert_array_equal(mask[[0, 9]], (probabilities.reshape(mask.shape)[[0, 9]] > 127.5).astype(np.uint8))
    assert mask[4].any(), "closed"
