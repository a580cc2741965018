"""What the flags of PyTorch Connectomics' tutorial of 2019 mean, as a configuration of ``main.py``.

| flag | key |
|---|---|
| ``-t`` ``-dn`` ``-ln`` | DATASET.INPUT_PATH, IMAGE_NAME, LABEL_NAME; ``@`` stands between several |
| ``-o`` ``-mi`` | DATASET.OUTPUT_PATH, MODEL.INPUT_SIZE |
| ``-g`` ``-c`` ``-b`` | SYSTEM.NUM_GPUS, NUM_CPUS, SOLVER.SAMPLES_PER_BATCH (in all) |
| ``--task`` | MODEL.TARGET_OPT: 1 affinities of neurons, 2 clefts |
| ``-lr`` ``--iteration-total`` ``--iteration-save`` | SOLVER.BASE_LR, ITERATION_TOTAL, ITERATION_SAVE |

What else the programs of that time did is in :data:`TRAINING` and :data:`INFERENCE`; KEY VALUE pairs replace any of it.
"""

import argparse
import logging
import re
from pathlib import Path
from typing import Any

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration import Config, load
from lsd_experiments.families.pytc.configuration.kinds import Located

logger = logging.getLogger(__name__)
NEURONS, CLEFTS = 1, 2  # of --task
LOSS = 1  # of -lt: cross entropy
FOREGROUND = 101  # voxels of clefts that a sample must have
NETWORK = {
    "MODEL.ARCHITECTURE": "unetv0", "MODEL.FILTERS": [32, 64, 128, 256, 256], "MODEL.NORM_MODE": "sync_bn",
    "MODEL.LOSS_OPTION": [["WeightedBCE"]], "MODEL.WEIGHT_OPT": [["1"]], "MODEL.OUTPUT_ACT": [["none"]],  # it ends with a sigmoid
    "INFERENCE.OUTPUT_ACT": ["none"],
}
TRAINING = {
    "SOLVER.NAME": "Adam", "SOLVER.WEIGHT_DECAY": 1e-6, "SOLVER.LR_SCHEDULER_NAME": "ReduceLROnPlateau",
    "DATASET.PAD_SIZE": [0, 0, 0],
    "AUGMENTOR.SMOOTH": False, "AUGMENTOR.ELASTIC.ALPHA": 12.0, "AUGMENTOR.MISALIGNMENT.P": 1.0,
    **{f"AUGMENTOR.{name}.ENABLED": False for name in ("MOTIONBLUR", "CUTBLUR", "CUTNOISE")},  # came later
}
TASKS: dict[int, dict[str, Any]] = {
    NEURONS: {"MODEL.TARGET_OPT": ["2"], "MODEL.OUT_PLANES": 3},
    CLEFTS: {"MODEL.TARGET_OPT": ["0"], "MODEL.OUT_PLANES": 1, "DATASET.REJECT_SAMPLING.SIZE_THRES": FOREGROUND,
             "DATASET.REJECT_SAMPLING.P": 0.9},
}
INFERENCE = {"INFERENCE.DO_SINGLY": True, "INFERENCE.OUTPUT_NAME": "volume.h5"}  # volume_0.h5, volume_1.h5, ...
OLD_NAME = re.compile(r"volume_(\d+)\.pth")
FLAGS = {
    "DATASET.INPUT_PATH": "-t", "DATASET.IMAGE_NAME": "-dn", "DATASET.LABEL_NAME": "-ln", "DATASET.OUTPUT_PATH": "-o",
    "MODEL.INPUT_SIZE": "-mi", "SYSTEM.NUM_GPUS": "-g", "SYSTEM.NUM_CPUS": "-c", "MODEL.TARGET_OPT": "--task",
    "SOLVER.BASE_LR": "-lr", "SOLVER.ITERATION_TOTAL": "--iteration-total", "SOLVER.ITERATION_SAVE": "--iteration-save",
    "SOLVER.SAMPLES_PER_BATCH": "-b", "INFERENCE.SAMPLES_PER_BATCH": "-b", "INFERENCE.STRIDE": "-mi", "DATASET.PAD_SIZE": "-mi",
}


def training_config(options: argparse.Namespace, distributed: bool = False) -> Config:
    """The configuration that ``train.py``'s flags ask for.

    :raises UserError: if one has no meaning, or they do not fit each other
    """
    if options.loss != LOSS:
        raise UserError(f"-lt {options.loss}: {LOSS}, the cross entropy, is the only loss here. Leave it out; main.py has others")
    values = {**NETWORK, **TASKS[options.task], **TRAINING, **_common(options), "DATASET.LABEL_NAME": options.seg_name,
              "DATASET.OUTPUT_PATH": options.output, "SOLVER.SAMPLES_PER_BATCH": options.batch_size, "SOLVER.BASE_LR": options.lr,
              "SOLVER.ITERATION_TOTAL": options.iteration_total, "SOLVER.ITERATION_SAVE": options.iteration_save,
              "SOLVER.ITERATION_RESTART": options.load_model is True}
    return _load(values, options.pairs, distributed=distributed)


def inference_config(options: argparse.Namespace) -> Config:
    """The configuration that ``test.py``'s flags ask for; patches overlap by half, and so far the volume is padded.

    :raises UserError: as :func:`training_config`
    """
    half = [max(1, size // 2) for size in options.model_input]
    values = {**NETWORK, **TASKS[options.task], **INFERENCE, **_common(options), "INFERENCE.IMAGE_NAME": options.img_name,
              "INFERENCE.OUTPUT_PATH": options.output, "INFERENCE.SAMPLES_PER_BATCH": options.batch_size,
              "INFERENCE.STRIDE": half, "INFERENCE.PAD_SIZE": half}
    return _load(values, options.pairs, inference=True)


def weights_of(options: argparse.Namespace) -> Path | None:
    """The checkpoint that ``-pm`` names, if ``-lm`` says that it is to be loaded; a name of 2019 stands for what train.py writes.

    :raises UserError: if only one of them is said
    """
    if options.load_model is None and options.pre_model:
        raise UserError(f"-pm {options.pre_model}: is loaded with -lm True alone. Pass that, too, or leave -pm out")
    if not options.load_model:
        return None
    if not options.pre_model:
        raise UserError("-lm True: needs the weights. Name them by -pm")
    path = Path(options.pre_model)
    named = OLD_NAME.fullmatch(path.name)
    ours = path.with_name(f"checkpoint_{int(named[1]):05d}.pth.tar") if named else path
    if path.exists() or not ours.exists():
        return path
    logger.info("%s: is called %s here", path, ours)
    return ours


def _common(options: argparse.Namespace) -> dict[str, Any]:
    return {"DATASET.INPUT_PATH": options.train, "DATASET.IMAGE_NAME": options.img_name, "MODEL.INPUT_SIZE": options.model_input,
            "MODEL.OUTPUT_SIZE": options.model_input, "SYSTEM.NUM_GPUS": options.num_gpu, "SYSTEM.NUM_CPUS": options.num_cpu}


def _load(values: dict[str, Any], pairs: list[str], **how: bool) -> Config:
    """With the flag in messages, where a value is still that of one; an output is as large as its input."""
    said = {name: value for name, value in values.items() if name not in pairs[::2]}
    if "MODEL.INPUT_SIZE" in pairs[::2] and "MODEL.OUTPUT_SIZE" not in pairs[::2]:
        pairs = [*pairs, "MODEL.OUTPUT_SIZE", pairs[1::2][pairs[::2].index("MODEL.INPUT_SIZE")]]
        said.pop("MODEL.OUTPUT_SIZE")
    config = load(None, None, [text for name, value in said.items() for text in (name, str(value))] + pairs, **how)
    return Config({name: Located(located.value, FLAGS[name] if name in said and name in FLAGS else located.where)
                   for name, located in config.values.items()})
