"""``--inference``: the images of a configuration through its network, each patch once, into files."""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.arrays.alignments import carried
from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.inference.heads import channel_slices, ensemble_of, heads_of
from lsd_experiments.families.pytc.inference.images import Image, open_images
from lsd_experiments.families.pytc.inference.model import PytcModel
from lsd_experiments.families.pytc.inference.outputs import Write, output_paths, writing
from lsd_experiments.families.pytc.inference.patches import Patches, make_patches, offset, voxel_size
from lsd_experiments.families.pytc.inference.sweeping import sweep
from lsd_experiments.families.pytc.networks.building import check_size
from lsd_experiments.geometry import Box
from lsd_experiments.prediction.block import to_disk_range
from lsd_experiments.prediction.turning import Ensemble

Progress = Callable[[int], Any]


def infer(config: Config, checkpoint: str | Path, parity: bool = False, allow_partial: bool = False, overwrite: bool = False,
          progress: Progress = lambda _: None, expected: Progress = lambda _: None) -> list[Path]:
    """Predict the images of a configuration for inference; the files that were written.

    :param parity: as published: of turned images channels of affinities are neither exchanged nor shifted, and stretched values
        are one less
    :param progress: is told of patches that are done, and ``expected`` of how many there are
    :raises UserError: if images, weights or sizes do not fit, or a file is there and not ``overwrite``
    """
    ensemble = ensemble_of(config, parity)
    images = open_images(config, parity)
    several = [make_patches(config, image, ensemble) for image in images]
    check_size(config)
    model = PytcModel.read(config, checkpoint, allow_partial)
    files = output_paths(config, len(images))
    expected(sum(math.prod(map(len, patches.starts)) for patches in several))
    note = {"checkpoint": str(checkpoint), "parity": parity, "configuration": json.dumps(config.tree)}
    for path, group in itertools.groupby(zip(files, several, strict=True), key=lambda pair: pair[0]):
        with writing(path, note, overwrite) as add:
            for number, (_, patches) in enumerate(group):
                write = add(f"vol{number}", config.MODEL.OUT_PLANES, patches.kept.shape, voxel_size(patches), offset(patches),
                            carried(patches.image.volume))
                _one(config, model, ensemble, patches, write, progress)
    return list(dict.fromkeys(files))


def _one(config: Config, model: PytcModel, ensemble: Ensemble, patches: Patches[Image], write: Write, progress: Progress) -> None:
    channels = channel_slices(heads_of(config))

    def predict(raws: list[Any]) -> list[Any]:
        several = [{"raw": raw} for raw in raws]
        return [patches.resized(made) for made in ensemble.predict_all(model.predict_all, several, patches.core)]

    slab, first = np.empty(0, np.uint8), [-b for b in patches.kept.begin]
    for box, outputs in sweep(patches, predict, config.INFERENCE.SAMPLES_PER_BATCH, progress):
        rows = box.shift(first)
        sections = Box((rows.begin[0], 0, 0), (rows.end[0], *patches.kept.shape[1:]))
        if rows.begin[1] == 0:
            slab = np.empty((config.MODEL.OUT_PLANES, *sections.shape), np.uint8)
        slab[:, :, rows.slices[1]] = np.concatenate([to_disk_range(outputs[name]) for name in channels])
        if rows.end[1] == patches.kept.shape[1]:
            write(sections, slab)  # whole sections: chunks are compressed once
