"""What a configuration may say, beside kinds: names that exist, numbers that fit each other, and what is refused.

Keys that the published code has but does not read are refused if they say something else than the default: none is ignored.
"""

from collections.abc import Sequence

from lsd_experiments.errors import nearest
from lsd_experiments.families.pytc.configuration.defaults import AUGMENTATIONS, KNOWN
from lsd_experiments.families.pytc.configuration.options import split
from lsd_experiments.families.pytc.configuration.tree import Config

ARCHITECTURES = ("unet_3d", "unet_plus_3d", "unet_2d", "fpn_3d", "deeplabv3a", "deeplabv3b", "deeplabv3c", "unetr", "swinunetr",
                 "unetv0")
BACKBONES = ("resnet", "repvgg", "efficientnet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
             "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2")
CHOICES: dict[str, Sequence[object]] = {
    "MODEL.ARCHITECTURE": ARCHITECTURES, "MODEL.BACKBONE": BACKBONES,
    "MODEL.BLOCK_TYPE": ("residual", "residual_pa", "residual_se", "residual_se_pa", "inverted_res", "inverted_res_dilated"),
    "MODEL.NORM_MODE": ("bn", "sync_bn", "in", "gn", "none"),
    "MODEL.ACT_MODE": ("relu", "leaky_relu", "elu", "gelu", "swish", "efficient_swish", "none"),
    "MODEL.PAD_MODE": ("zeros", "reflect", "replicate", "circular"),
    "MODEL.ATTENTION": ("squeeze_excitation", "strip_pool", "plane_pool", "none"),
    "DATASET.PAD_MODE": ("reflect", "constant", "symmetric"), "DATASET.DO_CHUNK_TITLE": (0, 1),
    "SOLVER.NAME": ("SGD", "Adam", "AdamW"), "SOLVER.WARMUP_METHOD": ("linear", "constant"),
    "SOLVER.LR_SCHEDULER_NAME": ("MultiStepLR", "WarmupMultiStepLR", "WarmupCosineLR", "ReduceLROnPlateau", "OneCycle"),
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": ("value", "norm"),
    "INFERENCE.BLENDING": ("gaussian", "bump"), "INFERENCE.AUG_MODE": ("mean", "min", "max"),
    "INFERENCE.AUG_NUM": (None, 0, 4, 8, 16),
}
ACTIVATIONS = ("none", "sigmoid", "tanh", "softmax", "relu", "elu")
REFUSED = {  # what the published code does not read, or what is not done here, and what does it instead
    "SYSTEM.DEBUG": "is not read by the published code. Leave it out",
    "MODEL.EMBEDDING": "is not read by the published code. Leave it out",
    "MODEL.HEAD_DEPTH": "is not read by the published code. Leave it out",
    "MODEL.FINETUNE": "is not read by the published code. Name another DATASET.OUTPUT_PATH",
    "MODEL.EXACT": "is not read by the published code. Pass --allow-partial with --checkpoint",
    "MODEL.SIZE_MATCH": "is not read by the published code. Pass --allow-partial with --checkpoint",
    "MODEL.PRE_MODEL": "is not read by the published code. Pass --checkpoint",
    "MODEL.PRE_MODEL_LAYER": "is not read by the published code. Pass --checkpoint with --allow-partial",
    "MODEL.RETURN_FEATS": "is not supported. Leave it out",
    "MODEL.TARGET_OPT_MULTISEG_SPLIT": "is not supported. Leave it out",
    "DATASET.SCALE_FACTOR": "is not read by the published code. Set DATASET.DATA_SCALE",
    "DATASET.LOAD_2D": "is not supported. Set DATASET.DO_2D, and name volumes or directories of sections",
    "DATASET.DATA_COORD_RANGE": "is not supported. Name a part of the volumes by DATASET.DATA_CHUNK_IND, or crop them",
    "DATASET.DROP_CHANNEL": "is not supported. Give volumes of one channel",
    "DATASET.REDUCE_LABEL": "is not supported: labels of a sample are numbered from 1. Leave it out",
    "DATASET.ENSURE_MIN_SIZE": "is not supported. Give volumes larger than a sample, or a larger DATASET.PAD_SIZE",
    "DATASET.MATCH_ACT": "is not supported. Leave it out",
    "INFERENCE.DO_CHUNK_TITLE": "is not supported: images of any size are read in parts. Leave it out",
    "INFERENCE.DO_EVAL": "False would let batch norms change in inference: it is not supported. Leave it out",
    "INFERENCE.TEST_NUM": "is not read by the published code. Predict blockwise, with workers",
    "INFERENCE.TEST_ID": "is not read by the published code. Predict blockwise, with workers",
    "INFERENCE.TENSORSTORE_PATH": "is not supported. Name the volume as INFERENCE.IMAGE_NAME",
    "INFERENCE.MODEL_RETURN_FEATS": "is not supported. Leave it out",
    **{f"AUGMENTOR.{name}.SKIP": "is not supported. Leave it out" for name in AUGMENTATIONS},
    "AUGMENTOR.RESCALE.FIX_ASPECT": "is not supported. Leave it out",
    "SOLVER.ITERATION_STEP": "is not read by the published code. Set SOLVER.SAMPLES_PER_BATCH",
}
SHAPES = ("MODEL.INPUT_SIZE", "MODEL.OUTPUT_SIZE", "INFERENCE.INPUT_SIZE", "INFERENCE.OUTPUT_SIZE", "INFERENCE.STRIDE")
PADS = ("DATASET.PAD_SIZE", "DATASET.VAL_PAD_SIZE", "INFERENCE.PAD_SIZE")
SCALES = ("DATASET.DATA_SCALE", "DATASET.IMAGE_SCALE", "DATASET.LABEL_SCALE", "DATASET.VALID_MASK_SCALE", "INFERENCE.DATA_SCALE",
          "INFERENCE.OUTPUT_SCALE")
POSITIVE = ("MODEL.IN_PLANES", "MODEL.OUT_PLANES", "SOLVER.ITERATION_TOTAL", "SOLVER.ITERATION_SAVE", "SOLVER.ITERATION_VAL",
            "SOLVER.SAMPLES_PER_BATCH", "INFERENCE.SAMPLES_PER_BATCH", "SOLVER.BASE_LR", "SOLVER.SWA.MERGE_ITER")
OPTIONAL = {name for name, default in KNOWN.items() if default is None}


def check(config: Config) -> None:
    """:raises UserError: if something is refused or does not fit; the file and line, or the argument, is named"""
    _check_present(config)
    _check_refused(config)
    _check_choices(config)
    _check_additional(config)
    _check_numbers(config)
    _check_levels(config)
    _check_targets(config)


def _check_present(config: Config) -> None:
    for name, located in config.values.items():
        if located.value is None and name not in OPTIONAL:
            raise config.wrong(name, "is None, but needs a value. Leave it out for the default")


def _check_refused(config: Config) -> None:
    for name, reason in REFUSED.items():
        if config.values[name].value != KNOWN[name]:
            raise config.wrong(name, reason)


def _check_choices(config: Config) -> None:
    for name, choices in CHOICES.items():
        value = config.values[name].value
        if value not in choices:
            words = [str(choice) for choice in choices]
            raise config.wrong(name, f"is {value!r}, none of {', '.join(words)}{nearest(str(value), words)}")


def _check_additional(config: Config) -> None:
    """Labels and valid masks are turned with the image whether or not they are named, and never interpolated."""
    for key, known in (("NAME", ("label", "valid_mask")), ("TYPE", ("mask",))):
        name = f"AUGMENTOR.ADDITIONAL_TARGETS_{key}"
        for one in config.values[name].value:
            if one not in known:
                raise config.wrong(name, f"has {one!r}, but knows {' and '.join(known)} alone. Leave it out")


def _check_numbers(config: Config) -> None:
    for names, least, what in ((SHAPES, 1, "1 or more"), (PADS, 0, "0 or more"), (SCALES, 1e-6, "above 0")):
        for name in names:
            value = config.values[name].value
            if value is None or (name in PADS and len(value) == 6 and min(value) >= 0):
                continue
            if len(value) != 3 or min(value) < least:
                raise config.wrong(name, f"is {value}, but must be three numbers (z, y, x), {what}")
    for name in POSITIVE:
        if config.values[name].value <= 0:
            raise config.wrong(name, f"is {config.values[name].value}, but must be above 0")


def _check_levels(config: Config) -> None:
    model = config.MODEL
    if not model.FILTERS or min(model.FILTERS) < 1:
        raise config.wrong("MODEL.FILTERS", f"is {model.FILTERS}, but must be one number of feature maps or more, for each level")
    if model.ARCHITECTURE in ("unet_3d", "unet_plus_3d", "fpn_3d") and len(model.ISOTROPY) != len(model.FILTERS):
        raise config.wrong("MODEL.ISOTROPY", f"has {len(model.ISOTROPY)} levels, but MODEL.FILTERS {len(model.FILTERS)}")
    divisor = {"unet_2d": 16, "unet_3d": 8, "unet_plus_3d": 8, "fpn_3d": 8}.get(model.ARCHITECTURE, 1)
    if model.NORM_MODE == "gn" and any(number % divisor for number in model.FILTERS):
        raise config.wrong("MODEL.NORM_MODE", f"gn takes feature maps that are multiples of {divisor}, but MODEL.FILTERS is "
                           f"{model.FILTERS}. Change one of them")


def _check_targets(config: Config) -> None:
    model, number = config.MODEL, len(config.MODEL.TARGET_OPT)
    try:
        split(model.TARGET_OPT, model.OUT_PLANES, config.DATASET.DO_2D)
    except ValueError as error:
        raise config.wrong("MODEL.TARGET_OPT", f"{error}, but MODEL.OUT_PLANES is {model.OUT_PLANES}") from error
    for name in ("MODEL.LOSS_OPTION", "MODEL.LOSS_WEIGHT", "MODEL.WEIGHT_OPT", "MODEL.OUTPUT_ACT", "INFERENCE.OUTPUT_ACT"):
        value = config.values[name].value
        if len(value) != number:
            raise config.wrong(name, f"has {len(value)} parts, but MODEL.TARGET_OPT {number}: each target needs one")
        if name.startswith("MODEL") and [len(part) for part in value] != [len(part) for part in model.LOSS_OPTION]:
            raise config.wrong(name, "has another number of entries than MODEL.LOSS_OPTION: each loss needs one")
    for name in ("MODEL.OUTPUT_ACT", "INFERENCE.OUTPUT_ACT"):
        value = config.values[name].value
        for word in [word for part in value for word in ([part] if isinstance(part, str) else part)]:
            if word not in ACTIVATIONS:
                raise config.wrong(name, f"has {word!r}, none of {', '.join(ACTIVATIONS)}{nearest(word, ACTIVATIONS)}")
