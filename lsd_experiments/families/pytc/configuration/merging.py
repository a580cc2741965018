"""Configurations, merged in the published order: defaults, base, file, ``KEY VALUE`` pairs, inference, flags; later ones win."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lsd_experiments.families.pytc.configuration.checks import check
from lsd_experiments.families.pytc.configuration.defaults import KNOWN
from lsd_experiments.families.pytc.configuration.kinds import Located
from lsd_experiments.families.pytc.configuration.options import QUANTISED, is_quantised
from lsd_experiments.families.pytc.configuration.reading import read_file, read_pairs
from lsd_experiments.families.pytc.configuration.tree import DEFAULT, Config

logger = logging.getLogger(__name__)
REPLACING = {  # what takes the place of what in inference, unless it is None
    "INFERENCE.INPUT_PATH": "DATASET.INPUT_PATH", "INFERENCE.PAD_SIZE": "DATASET.PAD_SIZE",
    "INFERENCE.IS_ABSOLUTE_PATH": "DATASET.IS_ABSOLUTE_PATH",
    "INFERENCE.DATA_SCALE": "DATASET.DATA_SCALE",
    "INFERENCE.INPUT_SIZE": "MODEL.INPUT_SIZE", "INFERENCE.OUTPUT_SIZE": "MODEL.OUTPUT_SIZE",
}
ALWAYS = {"INFERENCE.IMAGE_NAME": "DATASET.IMAGE_NAME", "INFERENCE.OUTPUT_PATH": "DATASET.OUTPUT_PATH"}
SUFFIX = ".h5"
HALVING = ("unet_3d", "unet_plus_3d", "unet_2d", "fpn_3d")  # networks that strides halve
Values = dict[str, Located]


def load(
    file: str | Path | None = None, base: str | Path | None = None, pairs: Sequence[str] = (), inference: bool = False,
    distributed: bool = False,
) -> Config:
    """The configuration of YAML files and of what the command line says.

    :param pairs: KEY VALUE KEY VALUE ...
    :raises UserError: if a key is not known, a value of the wrong kind, not supported, or does not fit the others
    """
    values = {name: Located(value, DEFAULT) for name, value in KNOWN.items()}
    for path in (base, file):
        if path is not None:
            values |= read_file(path)
    values |= read_pairs(pairs)
    if inference:
        _for_inference(values)
    if distributed:
        values |= {"SYSTEM.DISTRIBUTED": Located(True, "--distributed"), "SYSTEM.PARALLEL": Located("DDP", "--distributed")}
    _derived(values)
    config = Config({name: Located(_copied(located.value), located.where) for name, located in values.items()})
    check(config)
    for line in advice(config):
        logger.warning("%s", line)
    return config


def advice(config: Config) -> list[str]:
    """What is likely not meant, a line each."""
    sizes, pooling = config.MODEL.INPUT_SIZE, config.MODEL.POOLING_LAYER
    if config.MODEL.ARCHITECTURE in HALVING and any(size % 2 != int(not pooling) for size in sizes):
        wanted = "even numbers with MODEL.POOLING_LAYER" if pooling else "odd (2n+1) where strides halve them"
        return [f"{config.where('MODEL.INPUT_SIZE')}: MODEL.INPUT_SIZE {sizes} should be {wanted}, or features are upsampled to "
                "where they were not"]
    return []


def _for_inference(values: Values) -> None:
    for source, target in (REPLACING | ALWAYS).items():
        if source in ALWAYS or values[source].value is not None:
            values[target] = values[source]
    name = values["INFERENCE.OUTPUT_NAME"]
    if values["INFERENCE.DO_SINGLY"].value:
        values["INFERENCE.OUTPUT_NAME"] = Located(name.value.removesuffix(SUFFIX), name.where)
    elif not name.value.endswith((SUFFIX, ".zarr")):
        values["INFERENCE.OUTPUT_NAME"] = Located(name.value + SUFFIX, name.where)


def _derived(values: Values) -> None:
    """What follows from targets and masks."""
    targets = values["MODEL.TARGET_OPT"]
    if len(targets.value) == 1 and is_quantised(targets.value[0]):  # of several, OUT_PLANES says how many there are
        values["MODEL.OUT_PLANES"] = Located(QUANTISED, targets.where)
    mask = values["DATASET.VALID_MASK_NAME"]
    for key, one in (("NAME", "valid_mask"), ("TYPE", "mask")):
        names = values[f"AUGMENTOR.ADDITIONAL_TARGETS_{key}"]
        if mask.value is not None and names.value is not None and "valid_mask" not in (
                values["AUGMENTOR.ADDITIONAL_TARGETS_NAME"].value if key == "NAME" else ()):
            values[f"AUGMENTOR.ADDITIONAL_TARGETS_{key}"] = Located([*names.value, one], mask.where)


def _copied(value: Any) -> Any:
    return [_copied(item) for item in value] if isinstance(value, list) else value
