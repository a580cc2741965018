"""A whole pipeline in one directory, small enough to be killed thirty times and large enough to be hit everywhere.

    raw.zarr      volumes/raw, volumes/labels/neuron_ids: a synthetic volume of 24 x 64 x 60 anisotropic voxels, offset not zero
    setup/        config.json and a checkpoint with random weights; its outputs are brought to the whole range of affinities
    config.toml   all six stages, as users run them

Blocks: predict 3 x 2 x 2 = 12, of 8 x 32 x 30 voxels; the others 5 x 4 x 2 = 40, of 5 x 16 x 30 voxels, some of which span two
predicted ones, and some reach over the end.
"""

import sys
from pathlib import Path
from typing import Any

from tests.scripts import run_script

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (24, 64, 60)
CHUNKS = (12, 32, 30)  # of raw and labels
VOXEL_SIZE, OFFSET = (20, 9, 9), (400, 90, -45)
OUTPUT_SHAPE = (8, 32, 30)
BLOCKS = {"predict": 12, "extract_fragments": 40, "agglomerate": 40, "extract_segmentation": 40}
MERGE_FUNCTION = "hist_quant_50"
THRESHOLD = 0.4

CONFIG = f"""
out_file = "{{out}}"
{{top}}

[fragments]
{{fragments}}
fragments_in_xy = true
min_seed_distance = 4
block_size = [100, 144, 270]
context = [40, 36, 36]

[agglomerate]
merge_function = "{MERGE_FUNCTION}"
context = [40, 36, 36]

[find_segments]
thresholds_step = 0.05

[evaluate]
labels_file = "{{labels}}"

[extract]
threshold = {THRESHOLD}
"""


def make_scene(directory: Path) -> None:
    """Put raw, labels and the trained network into ``directory``, by a process of its own, since it needs TensorFlow."""
    done = run_script("-m", "tests.faults.scene", directory, cwd=ROOT, frameworks=True)
    assert done.returncode == 0, done.stderr


def write_config(directory: Path, scene: Path, top: str = "", affs: Path | None = None, raw: Path | None = None) -> Path:
    """``config.toml`` in ``directory``, which gets the outputs; what is not named is that of ``scene``.

    :param affs: container with affinities that are there already: prediction is left out
    """
    directory.mkdir(parents=True, exist_ok=True)
    path, raw = directory / "config.toml", raw or scene / "raw.zarr"
    predict = "" if affs else f'setup = "{scene / "setup"}"\nraw_file = "{raw}"\n'
    path.write_text(CONFIG.format(out=directory / "out.zarr", labels=scene / "raw.zarr", top=predict + top,
                                  fragments=f'affs_file = "{affs}"' if affs else ""))
    return path


def _make(directory: Path) -> None:
    from lsd_experiments.arrays import create_volume
    from lsd_experiments.synthetic import synthesize

    made = synthesize(SHAPE, VOXEL_SIZE, seed=1)
    for dataset, values in (("volumes/raw", made.raw), ("volumes/labels/neuron_ids", made.labels)):
        volume = create_volume(str(directory / "raw.zarr"), dataset, SHAPE, VOXEL_SIZE, OFFSET, values.dtype, chunks=CHUNKS)
        volume.write(volume.box, values)
    _make_setup(directory / "setup", made.raw)


def _make_setup(directory: Path, raw: Any) -> None:
    import keras
    import numpy as np

    from lsd_experiments import checkpoints, networks
    from lsd_experiments.networks import Head, Network

    network = Network(num_fmaps=3, fmap_inc_factor=2, downsample_factors=((1, 2, 2),), heads=(Head("affs", channels=3),))
    input_shape = network.input_shape_for(OUTPUT_SHAPE)
    assert network.output_shape(input_shape) == OUTPUT_SHAPE, "the blocks are not what was planned"
    keras.utils.set_random_seed(2)
    model = network.build(input_shape)
    values = raw[:input_shape[0], :input_shape[1], :input_shape[2]]
    values = np.pad(values, [(0, i - v) for i, v in zip(input_shape, values.shape, strict=True)], mode="reflect")
    head = model.layers[-1]
    kernel, bias = head.get_weights()
    affs = model.predict_on_batch({"raw": values[None, ..., None].astype(np.float32) / 127.5 - 1})["affs"]
    logits = np.log(affs / (1 - affs)).reshape(-1, 3)
    scale = 3 / logits.std(axis=0)
    head.set_weights([kernel * scale, (bias - np.median(logits, axis=0)) * scale])
    directory.mkdir()
    networks.write(network, "config", input_shape, directory)
    checkpoints.save_checkpoint(model, directory, network, 1, {"voxel_size": VOXEL_SIZE, "seed": 2})


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
