"""The keys of a configuration: defaults and kinds, as PyTorch Connectomics has them.

The values are those of e29beadc (October 2021, when the SNEMI3D tutorial was current). Keys that came later (v0.22, v1.0.0) stand
behind these, under :data:`LATER`, with their defaults. The kind of a key is that of its default; :data:`KINDS` says it where the
default is None, or where more is taken.
"""

from typing import Any

from lsd_experiments.families.pytc.configuration.kinds import Kind

Tree = dict[str, Any]


def _augmentation(probability: float, **others: Any) -> Tree:
    return {"ENABLED": True, **others, "P": probability}


DEFAULTS: Tree = {
    "SYSTEM": {"NUM_GPUS": 4, "NUM_CPUS": 4, "DISTRIBUTED": False, "PARALLEL": "DP", "DEBUG": False},
    "MODEL": {
        "ARCHITECTURE": "unet_3d", "BLOCK_TYPE": "residual", "BACKBONE": "resnet", "DEPLOY_MODE": False,
        "FILTERS": [28, 36, 48, 64, 80], "BLOCKS": [2, 2, 2, 2], "KERNEL_SIZES": [3, 3, 5, 3, 3],
        "ATTENTION": "squeeze_excitation", "ISOTROPY": [False, False, False, True, True],
        "TARGET_OPT": ["0"], "LABEL_EROSION": None, "LABEL_DILATION": None, "WEIGHT_OPT": [["1"]],
        "LOSS_OPTION": [["WeightedBCE"]], "OUTPUT_ACT": [["none"]], "LOSS_WEIGHT": [[1.0]],
        "LOSS_KWARGS_KEY": None, "LOSS_KWARGS_VAL": None, "IN_PLANES": 1, "OUT_PLANES": 1, "PAD_MODE": "replicate",
        "NORM_MODE": "bn", "ACT_MODE": "elu", "POOLING_LAYER": False, "MIXED_PRECESION": False, "EMBEDDING": 1, "HEAD_DEPTH": 1,
        "INPUT_SIZE": [8, 256, 256], "OUTPUT_SIZE": [8, 256, 256], "REGU_OPT": None, "REGU_TARGET": None, "REGU_WEIGHT": None,
        "FINETUNE": "", "EXACT": True, "SIZE_MATCH": True, "PRE_MODEL": "", "PRE_MODEL_LAYER": "", "PRE_MODEL_ITER": 0,
        "AUX_OUT": False,
    },
    "DATASET": {
        "DATA_SCALE": [1.0, 1.0, 1.0], "SCALE_FACTOR": [2, 3, 3], "IMAGE_NAME": None, "LABEL_NAME": None, "VALID_MASK_NAME": None,
        "VAL_IMAGE_NAME": None, "VAL_LABEL_NAME": None, "VAL_VALID_MASK_NAME": None, "VAL_PAD_SIZE": [0, 0, 0],
        "LABEL_VAST": False, "INPUT_PATH": "path/to/input", "OUTPUT_PATH": "path/to/output", "IS_ABSOLUTE_PATH": False,
        "IS_ISOTROPIC": False, "DO_2D": False, "LOAD_2D": False, "PAD_SIZE": [2, 64, 64], "PAD_MODE": "reflect",
        "NORMALIZE_RANGE": True, "LABEL_BINARY": False, "LABEL_MAG": 0, "DO_CHUNK_TITLE": 0, "DATA_CHUNK_NUM": [1, 1, 1],
        "DATA_CHUNK_IND": None, "CHUNK_IND_SPLIT": None, "DATA_CHUNK_STRIDE": True, "DATA_CHUNK_ITER": 1000, "VALID_RATIO": 0.5,
        "REJECT_SAMPLING": {"SIZE_THRES": -1, "DIVERSITY": -1, "P": 0.95}, "MEAN": 0.5, "STD": 0.5, "DISTRIBUTED": False,
    },
    "AUGMENTOR": {
        "SMOOTH": True, "ADDITIONAL_TARGETS_NAME": ["label"], "ADDITIONAL_TARGETS_TYPE": ["mask"],
        "ROTATE": _augmentation(1.0, ROT90=True), "RESCALE": _augmentation(0.5), "FLIP": _augmentation(1.0, DO_ZTRANS=0),
        "ELASTIC": _augmentation(0.75, ALPHA=16.0, SIGMA=4.0), "GRAYSCALE": _augmentation(0.75),
        "MISSINGPARTS": _augmentation(0.9, ITER=64), "MISSINGSECTION": _augmentation(0.5, NUM_SECTION=2),
        "MISALIGNMENT": _augmentation(0.5, DISPLACEMENT=16, ROTATE_RATIO=0.5),
        "MOTIONBLUR": _augmentation(0.5, SECTIONS=2, KERNEL_SIZE=11),
        "CUTBLUR": _augmentation(0.5, LENGTH_RATIO=0.4, DOWN_RATIO_MIN=2.0, DOWN_RATIO_MAX=8.0, DOWNSAMPLE_Z=False),
        "CUTNOISE": _augmentation(0.75, LENGTH_RATIO=0.4, SCALE=0.3),
        "COPYPASTE": {"ENABLED": False, "AUG_THRES": 0.7, "P": 0.8},
    },
    "SOLVER": {
        "NAME": "SGD", "LR_SCHEDULER_NAME": "MultiStepLR", "ITERATION_STEP": 1, "ITERATION_SAVE": 5000, "ITERATION_TOTAL": 40000,
        "ITERATION_VAL": 5000, "ITERATION_RESTART": False, "BASE_LR": 0.001, "BIAS_LR_FACTOR": 1.0, "WEIGHT_DECAY_BIAS": 0.0,
        "MOMENTUM": 0.9, "BETAS": [0.9, 0.999], "WEIGHT_DECAY": 0.0001, "WEIGHT_DECAY_NORM": 0.0, "GAMMA": 0.1,
        "STEPS": [30000, 35000], "WARMUP_FACTOR": 0.001, "WARMUP_ITERS": 1000, "WARMUP_METHOD": "linear", "SAMPLES_PER_BATCH": 2,
        "CLIP_GRADIENTS": {"ENABLED": False, "CLIP_TYPE": "value", "CLIP_VALUE": 1.0, "NORM_TYPE": 2.0},
        "SWA": {"ENABLED": False, "LR_FACTOR": 0.05, "START_ITER": 90000, "MERGE_ITER": 10, "BN_UPDATE_ITER": 2000},
    },
    "MONITOR": {"LOG_OPT": [1, 1, 0], "VIS_OPT": [0, 16], "ITERATION_NUM": [20, 200]},
    "INFERENCE": {
        "INPUT_SIZE": None, "OUTPUT_SIZE": None, "INPUT_PATH": None, "IMAGE_NAME": None, "OUTPUT_PATH": "",
        "OUTPUT_NAME": "result.h5", "IS_ABSOLUTE_PATH": None, "DO_CHUNK_TITLE": None, "DO_SINGLY": False,
        "DO_SINGLY_START_INDEX": 0, "PAD_SIZE": None, "UNPAD": True, "OUTPUT_ACT": ["sigmoid"],
        "STRIDE": [4, 128, 129],  # as published; 128 in v0.22
        "BLENDING": "gaussian", "AUG_MODE": "mean", "AUG_NUM": None, "OUTPUT_SCALE": [1.0, 1.0, 1.0], "DO_EVAL": True,
        "TEST_NUM": 1, "TEST_ID": 0, "SAMPLES_PER_BATCH": 4,
    },
}
AUGMENTATIONS = tuple(name for name, values in DEFAULTS["AUGMENTOR"].items() if isinstance(values, dict))
LATER: Tree = {
    "SYSTEM": {"DISTRIBUTED_BACKEND": "nccl"},
    "MODEL": {
        "TARGET_OPT_MULTISEG_SPLIT": None, "RETURN_FEATS": None, "SWIN_UNETR_FEATURE_SIZE": 48, "DEPTHS": [2, 2, 2, 2],
        "SWIN_UNETR_NUM_HEADS": [3, 6, 12, 24], "NORM_NAME": "instance", "SWIN_UNETR_DROPOUT_RATE": 0.0, "ATTN_DROP_RATE": 0.0,
        "DROPOUT_PATH_RATE": 0.0, "NORMALIZE": True, "USE_CHECKPOINT": False, "SPATIAL_DIMS": 3, "DOWNSAMPLE": "merging",
        "USE_V2": False, "UNETR_FEATURE_SIZE": 16, "HIDDEN_SIZE": 768, "MLP_DIM": 3072, "UNETR_NUM_HEADS": 12,
        "POS_EMBED": "perceptron", "CONV_BLOCK": True, "RES_BLOCK": True, "UNETR_DROPOUT_RATE": 0.0,
    },
    "DATASET": {
        "IMAGE_SCALE": None, "LABEL_SCALE": None, "VALID_MASK_SCALE": None, "DROP_CHANNEL": False, "REDUCE_LABEL": True,
        "ENSURE_MIN_SIZE": False, "DATA_COORD_RANGE": None, "REJECT_SAMPLING": {"NUM_TRIAL": 50}, "MATCH_ACT": "none",
    },
    "AUGMENTOR": {
        "ENABLED": True, **{name: {"SKIP": []} for name in AUGMENTATIONS}, "RESCALE": {"FIX_ASPECT": False, "SKIP": []}},
    "INFERENCE": {"TENSORSTORE_PATH": None, "DO_SINGLY_STEP": 1, "DATA_SCALE": None, "MODEL_RETURN_FEATS": None},
}
RENAMED = {"MODEL.POOING_LAYER": "MODEL.POOLING_LAYER"}  # as it was spelt until April 2021

_TEXT, _YES, _NUMBER = Kind("text"), Kind("bool"), Kind("int")
_TEXTS, _NUMBERS, _DECIMALS = Kind("text", 1), Kind("int", 1), Kind("float", 1)
KINDS: dict[str, tuple[Kind, ...]] = {
    "MODEL.LABEL_EROSION": (_NUMBER, _NUMBERS), "MODEL.LABEL_DILATION": (_NUMBER, _NUMBERS),
    "MODEL.LOSS_KWARGS_KEY": (Kind("text", 3), Kind("text", 2)), "MODEL.LOSS_KWARGS_VAL": (Kind("any", 3), Kind("any", 2)),
    "MODEL.REGU_OPT": (_TEXTS,), "MODEL.REGU_TARGET": (Kind("int", 2),), "MODEL.REGU_WEIGHT": (_DECIMALS,),
    "MODEL.RETURN_FEATS": (_TEXTS,), "MODEL.TARGET_OPT_MULTISEG_SPLIT": (_NUMBERS,),
    **{f"DATASET.{name}": (_TEXT, _TEXTS) for name in (
        "IMAGE_NAME", "LABEL_NAME", "VALID_MASK_NAME", "VAL_IMAGE_NAME", "VAL_LABEL_NAME", "VAL_VALID_MASK_NAME", "INPUT_PATH")},
    "DATASET.DATA_CHUNK_IND": (_NUMBERS,), "DATASET.CHUNK_IND_SPLIT": (_NUMBERS, _TEXT),
    "DATASET.DATA_COORD_RANGE": (_NUMBERS, Kind("int", 2)),
    **{f"DATASET.{name}": (_DECIMALS,) for name in ("IMAGE_SCALE", "LABEL_SCALE", "VALID_MASK_SCALE")},
    **{f"AUGMENTOR.{name}.SKIP": (_TEXTS,) for name in AUGMENTATIONS},
    **{f"INFERENCE.{name}": (_NUMBERS,) for name in ("INPUT_SIZE", "OUTPUT_SIZE", "PAD_SIZE")},
    "INFERENCE.INPUT_PATH": (_TEXT, _TEXTS), "INFERENCE.IMAGE_NAME": (_TEXT, _TEXTS), "INFERENCE.IS_ABSOLUTE_PATH": (_YES,),
    "INFERENCE.DO_CHUNK_TITLE": (_NUMBER,), "INFERENCE.AUG_NUM": (_NUMBER,), "INFERENCE.TENSORSTORE_PATH": (_TEXT,),
    "INFERENCE.DATA_SCALE": (_DECIMALS,), "INFERENCE.MODEL_RETURN_FEATS": (_TEXTS,),
}


def flat(tree: Tree, before: str = "") -> dict[str, Any]:
    """The values of a tree by their whole names, like ``MODEL.FILTERS``."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found


PUBLISHED = flat(DEFAULTS)
KNOWN = {**PUBLISHED, **flat(LATER)}
