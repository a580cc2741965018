"""Results of four small experiments: two variants, two seeds each, with errors at known places; networks are random.

Neurites are columns of 10 x 10 voxels along z, three voxels of boundary apart, numbered ``1 + 10 * row + column``. Affinities
are those of what a network is made to believe: ``baseline`` takes labels 1 and 2 for one, which touch (at y below 10, x from 10
to 12); ``mtlsd`` cuts label 12 at sections 15 and 16, and with seed 1 label 1 at sections 8 and 9, too.
"""

import json

import numpy as np

from lsd_experiments.arrays import create_volume
from lsd_experiments.checkpoints import save_checkpoint
from lsd_experiments.descriptors.agreement import CHANNELS
from lsd_experiments.frameworks import import_keras
from lsd_experiments.networks import Head, Network, write
from lsd_experiments.pipeline import running
from lsd_experiments.pipeline.configuration import load_pipeline
from lsd_experiments.pipeline.plans import stage_names
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.provenance import provenance
from lsd_experiments.stages.volumes import VolumeArtifact, open_output
from lsd_experiments.training.curve import Curve
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.tensorboard import Log
from tests.pipeline.here import run_here

SHAPE, VOXEL_SIZE, OFFSET, PERIOD = (26, 39, 39), (20, 9, 9), (200, 90, -45), 13
NETWORKS = {
    "baseline": Network(2, 1, ((1, 2, 2),), (Head("affs", 3),)),
    "mtlsd": Network(2, 1, ((1, 2, 2),), (Head("lsds", 10), Head("affs", 3))),
}
SEEDS = (0, 1)
LAST = 4  # iterations
MERGED, TOUCHING = (1, 2), (slice(None), slice(0, 10), slice(10, 13))
CONFIG = """out_file = "{name}.zarr"
setup = "networks/seed{seed}/{variant}"
raw_file = "volume.zarr"
[fragments]
fragments_in_xy = false
block_size = [260, 180, 180]
context = [60, 54, 54]
[agglomerate]
context = [40, 18, 18]
merge_function = "hist_quant_50"
[find_segments]
thresholds_step = 0.25
[evaluate]
labels_file = "volume.zarr"
skeletons_file = "skeletons.csv"
best = "voi_sum"
"""


def make_results(directory):
    """Put volumes, networks, configurations and all that these make into ``directory``."""
    labels = make_labels()
    put(directory / "volume.zarr", "volumes/labels/neuron_ids", labels)
    put(directory / "volume.zarr", "volumes/raw", np.where(labels > 0, 200, 30).astype(np.uint8))
    (directory / "skeletons.csv").write_text(
        "id,z,y,x,parent\n1,260,135,0,-1\n2,420,135,0,1\n3,600,135,0,2\n4,260,135,117,-1\n5,600,135,117,4\n"
    )
    for seed in SEEDS:
        for variant in NETWORKS:
            make_network(directory / "networks" / f"seed{seed}" / variant, variant, seed)
            make_result(directory, variant, seed, affinities(believed(labels, variant, seed)))
    return directory


def make_labels():
    """[z, y, x] uint64."""
    labels = np.zeros(SHAPE, np.uint64)
    for row in range(3):
        for column in range(3):
            labels[:, row * PERIOD : row * PERIOD + 10, column * PERIOD : column * PERIOD + 10] = 1 + 10 * row + column
    return labels


def believed(labels, variant, seed):
    """What the network takes for the truth."""
    found = labels.copy()
    if variant == "baseline":
        found[labels == MERGED[1]] = MERGED[0]
        found[TOUCHING] = MERGED[0]
    for label, section in [(12, 15), (1, 8)][: 0 if variant == "baseline" else seed + 1]:
        found[section:][labels[section:] == label] = 50 + label
        found[section : section + 2][labels[section : section + 2] == label] = 0
    return found


def affinities(labels):
    """[3, z, y, x] uint8: 255 where a voxel and the one before carry the same label."""
    affs = np.zeros((3, *labels.shape), np.uint8)
    for axis in range(3):
        affs[axis] = 255 * ((labels == np.roll(labels, 1, axis)) & (labels > 0))
        affs[axis][(slice(None),) * axis + (0,)] = 0
    return affs


def make_network(setup, variant, seed):
    """A checkpoint of a random network, with what its training leaves beside it."""
    save_network(setup, NETWORKS[variant], seed)
    log = Log(setup / "log")
    for iteration in range(1, LAST + 3):  # it went on after the checkpoint
        log.scalars(iteration, {"loss": 1 / iteration + seed, "other": 7.0})
    log.close()
    if seed == 0:
        curve = Curve(setup, 0)
        for iteration in (2, 4):
            correlations = {f"lsds_correlation_{name}": iteration / 5 for name in CHANNELS[:7]} if variant == "mtlsd" else {}
            errors = {"lsds_error": 0.01, "lsds_error_of_constant": 0.02} if correlations else {}
            curve.add(iteration, {"loss": 0.5 / iteration, **correlations, **errors})
        cost = {"cpu_seconds": 100.0 + seed, "iterations": LAST, "peak_gib": 1.25}
        (setup / "cost.json").write_text(json.dumps({"train": cost}))


def save_network(setup, network, seed, more=None, **options):
    """A checkpoint, whose record has ``more``, and the description of a random network; ``options``: of its training."""
    import_keras()
    setup.mkdir(parents=True)
    shape = list(network.smallest_input_shape)
    made = provenance("train", TrainingOptions(LAST, seed=seed, **options).record(), {"dataset": "made", "data": []})
    record = {"seed": seed, "input_shape": shape, "voxel_size": list(VOXEL_SIZE), "provenance": made, **(more or {})}
    save_checkpoint(network.build(shape), setup, network, LAST, record)
    write(network, str(setup / "config"), shape)


def make_result(directory, variant, seed, affs):
    """The stages of 03_predict on ``affs``, which say that the network predicted them."""
    name = f"{variant}_{seed}"
    network = NETWORKS[variant]
    made = provenance(
        "predict",
        {
            "variant": f"seed{seed}/{variant}",
            "iteration": LAST,
            "precision": "float32",
            "input_shape": list(network.smallest_input_shape),
        },
        {"sha256_of_checkpoint": f"{seed}" * 64},
    )
    output = VolumeArtifact(
        str(directory / f"{name}.zarr"), "volumes/affs", SHAPE, VOXEL_SIZE, OFFSET, "uint8", (13, 20, 20), channels=3
    )
    output.prepare(made)
    volume, note = open_output(output.container, output.dataset)
    for box in volume.box.blocks(output.write_shape):
        inside = box.intersect(volume.box)
        volume.write(inside, affs[(..., *inside.slices)])
        note(inside)
    output.finish()
    logs = directory / f"{name}.zarr/.blockwise/predict/logs/predict"
    logs.mkdir(parents=True)
    (logs / "worker_0.err").write_text(
        "INFO: the networks ran 1 times, 0.5 s of 0.6 s\nINFO: the networks ran 3 times, 1.5 s of 1.9 s\n"
        "INFO: the networks ran 1 times, 0.5 s of 0.6 s\n"
    )
    path = directory / f"{name}.toml"
    path.write_text(CONFIG.format(name=name, variant=variant, seed=seed))
    run_here_stages(path, 1)


def run_here_stages(path, first=0):
    """The stages of a configuration up to evaluation, in this process."""
    settings, before = load_pipeline(path), running.run_blockwise
    running.run_blockwise = run_here
    try:
        for stage in stage_names(settings)[first:]:
            if stage not in ("extract_segmentation", "export"):
                run_stage(stage, settings)
    finally:
        running.run_blockwise = before


def put(container, dataset, values):
    """A volume of the labels' grid."""
    volume = create_volume(str(container), dataset, values.shape, VOXEL_SIZE, OFFSET, values.dtype)
    volume.write(volume.box, values)
