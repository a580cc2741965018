"""Volumes of any size: blocks of the output by workers, each from all patches that touch it, into zarr.

What comes out is what one process makes of the whole (:mod:`.inferring`), bit for bit on the same machine
with batches of one: libraries may add in another order where batches are others.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.arrays.alignments import carried
from lsd_experiments.blockwise import Block, BlockTask, Workers, run_blockwise
from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.configuration.defaults import KNOWN
from lsd_experiments.families.pytc.configuration.kinds import Located
from lsd_experiments.families.pytc.inference.heads import channel_slices, ensemble_of, heads_of
from lsd_experiments.families.pytc.inference.images import Image, Limits, image_paths, open_as_configured
from lsd_experiments.families.pytc.inference.model import PytcModel
from lsd_experiments.families.pytc.inference.outputs import output_paths
from lsd_experiments.families.pytc.inference.patches import Patches, make_patches, offset, voxel_size
from lsd_experiments.families.pytc.inference.sweeping import gather
from lsd_experiments.families.pytc.networks.building import check_size
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.prediction.block import to_disk_range
from lsd_experiments.prediction.loading import sha256
from lsd_experiments.stages import Stage, VolumeArtifact
from lsd_experiments.stages.inputs import describe_input
from lsd_experiments.stages.marks import run_all
from lsd_experiments.stages.states import REMEDY, check_unchanged, made_again
from lsd_experiments.stages.volumes import BASE_MEMORY, find_output, open_output

STAGE = "predict"
ROOM = 2**30  # bytes of a block's sums, at most: larger blocks compute fewer patches twice
COUNTING = {  # what the output depends on
    "MODEL": ("ARCHITECTURE", "BLOCK_TYPE", "BACKBONE", "FILTERS", "BLOCKS", "KERNEL_SIZES", "ATTENTION", "ISOTROPY",
              "TARGET_OPT", "IN_PLANES", "OUT_PLANES", "PAD_MODE", "NORM_MODE", "ACT_MODE", "POOLING_LAYER",
              "MIXED_PRECESION", "INPUT_SIZE"),
    "DATASET": ("DATA_SCALE", "IMAGE_SCALE", "PAD_SIZE", "PAD_MODE", "NORMALIZE_RANGE", "MEAN", "STD", "IS_ISOTROPIC", "DO_2D"),
    "INFERENCE": ("STRIDE", "BLENDING", "AUG_MODE", "AUG_NUM", "OUTPUT_SCALE", "OUTPUT_ACT", "UNPAD"),
}
TRANSFORMING = ("SWIN_UNETR_NUM_HEADS", "UNETR_NUM_HEADS", "NORMALIZE")  # of MODEL: weights of one shape give another output
NETWORK_MEMORY = 2**30  # bytes of a worker with PyTorch and a network at work, about


def infer_blockwise(
    config: Config, checkpoint: str | Path, workers: Workers, parity: bool = False, allow_partial: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """As :func:`~.inferring.infer`, by workers, from where an interrupted run of the same stopped.

    :raises UserError: also if the output is no zarr
    """
    if not config.INFERENCE.OUTPUT_NAME.endswith(".zarr"):
        raise config.wrong("INFERENCE.OUTPUT_NAME", f"is {config.INFERENCE.OUTPUT_NAME}, but several workers write zarr alone. "
                           "Name it result.zarr, or leave the workers out")
    check_size(config)
    files = output_paths(config, len(image_paths(config)))
    for number, path in enumerate(files):
        stage = inference_stage(config, checkpoint, number, path, files[:number].count(path), parity, allow_partial)
        if _begin(stage, overwrite):
            task = stage.task(workers)
            run_all(stage, task, lambda task=task: run_blockwise(task))  # type: ignore[misc]
            stage.finish()
    return list(dict.fromkeys(files))


def inference_stage(
    config: Config, checkpoint: str | Path, image: int, path: Path, place: int, parity: bool, allow_partial: bool
) -> Stage:
    """Number ``image`` of the configuration's, predicted into ``vol<place>`` of ``path``."""
    patches = _patches(config, image, parity)
    limits = patches.image.low_high  # found once: for each worker to find it would be to read all
    container, dataset = str(path.absolute()), f"vol{place}"
    output = VolumeArtifact(container, dataset, patches.kept.shape, voxel_size(patches), offset(patches), "uint8",
                            write_shape(config, patches), config.MODEL.OUT_PLANES)
    settings = {"values": {name: located.value for name, located in config.values.items()}, "image": image, "limits": limits,
                "parity": parity, "checkpoint": str(Path(checkpoint).absolute()), "allow_partial": allow_partial,
                "output": [container, dataset]}
    memory = BASE_MEMORY + NETWORK_MEMORY + 2 * _bytes(config, output.write_shape)
    task = BlockTask(STAGE, Box.of_shape(patches.kept.shape), output.write_shape, f"{__name__}:make_worker", settings,
                     output.records, cpus=None, memory=memory)
    counting = {f"{section}.{name}": getattr(config, section)[name] for section, names in COUNTING.items() for name in names}
    others = {f"MODEL.{name}": config.MODEL[name] for name in TRANSFORMING}
    counting |= {name: value for name, value in others.items() if value != KNOWN[name]}  # outputs made before have none of these
    parameters = {**counting, "parity": parity, "allow_partial": allow_partial}
    inputs = {"raw": describe_input(patches.image.volume), "sha256_of_checkpoint": sha256(Path(checkpoint))}
    return Stage(STAGE, parameters, inputs, (output,), task, carried(patches.image.volume))


def make_worker(settings: dict[str, Any]) -> Callable[[Block], None]:
    """What predicts one block; see :func:`inference_stage`."""
    config = Config({name: Located(value, "the run's configuration") for name, value in settings["values"].items()})
    limits = settings["limits"] and tuple(settings["limits"])
    patches, ensemble = _patches(config, settings["image"], settings["parity"], limits), ensemble_of(config, settings["parity"])
    model = PytcModel.read(config, settings["checkpoint"], settings["allow_partial"])
    volume, note = open_output(*settings["output"])
    channels = channel_slices(heads_of(config))

    def predict(raws: list[Any]) -> list[Any]:
        several = [{"raw": raw} for raw in raws]
        return [patches.resized(made) for made in ensemble.predict_all(model.predict_all, several, patches.core)]

    def process(block: Block) -> None:
        box = block.write.intersect(volume.box)
        outputs = gather(patches, predict, box.shift(patches.kept.begin), config.INFERENCE.SAMPLES_PER_BATCH)
        volume.write(box, np.concatenate([to_disk_range(outputs[name]) for name in channels]))
        note(box)

    return process


def write_shape(config: Config, patches: Patches[Image]) -> Voxels:
    """The voxels of a block: as many steps of the patches as there is room for."""
    steps = [max(1, math.floor(step * by)) for step, by in zip(config.INFERENCE.STRIDE, patches.scale, strict=True)]

    def shape(number: int) -> Voxels:
        return tuple(min(number * step, size) for step, size in zip(steps, patches.kept.shape, strict=True))

    number = 1
    while shape(number) != patches.kept.shape and _bytes(config, shape(number + 1)) <= ROOM:
        number += 1
    return shape(number)


def _patches(config: Config, image: int, parity: bool, known: Limits | None = None) -> Patches[Image]:
    opened = open_as_configured(config, image_paths(config)[image], parity, known)
    return make_patches(config, opened, ensemble_of(config, parity))


def _bytes(config: Config, shape: Voxels) -> int:
    channels: int = config.MODEL.OUT_PLANES
    return 4 * (channels + 1) * math.prod(shape)


def _begin(stage: Stage, overwrite: bool) -> bool:
    """Make the output ready; whether anything is left to do.

    :raises UserError: if it was made otherwise, and not ``overwrite``
    """
    output = stage.volumes[0]
    found = find_output(output.container, output.dataset)
    if found is not None and not overwrite:
        check_unchanged(output.name, found.attrs.get("provenance"), stage.made)
    if overwrite:
        stage.prepare(True, made_again(stage.made))
        return True
    state = stage.state()
    if state.again:
        raise UserError(f"{output.name}: it is there, and {state.reason}. {REMEDY}")
    if state.kind != "done":
        stage.prepare(state.kind == "stale", stage.made)
    return state.kind != "done"
