"""The published networks, narrow ones with weights, and the configurations that they were made with."""

import json
from functools import cache

import numpy as np
import yaml

from lsd_experiments.families.pytc.configuration import load
from tests.published import PUBLISHED

MODELS = PUBLISHED / "pytc_models"
NAMES = ("snemi_unet3d_se_bn", "snemi_unet3d_se_gn", "snemi_lr_unet3d_se_bn", "snemi_unet3d_res_adamw", "cremi_unetplus3d_se_bn",
         "cremi_dt_unetplus3d_se_bn")
TARGETS = {3: ["2"], 9: ["2"] * 3, 12: ["2"] * 4, 2: ["0", "0"], 1: ["0"]}


@cache
def facts(name):
    return json.loads((MODELS / f"{name}.json").read_text())


def checkpoint(name):
    return MODELS / f"{name}_checkpoint_00007.pth.tar"


def arrays(name):
    return np.load(MODELS / f"{name}.npz")


def config_of(name, directory):
    """The configuration of one of :data:`NAMES`, from what the published files say."""
    merges = json.loads((PUBLISHED / "pytc_inference/config_merges.json").read_text())
    file = directory / "published.yaml"
    file.write_text(yaml.safe_dump(merges["published " + " + ".join(facts(name)["config_files"])]["config"]))
    return load(file, pairs=[str(option) for option in facts(name)["options"]])


def described(outputs=1, **model):
    """A configuration by its MODEL alone, with ``outputs`` channels."""
    targets = TARGETS[outputs]
    pairs = {"OUT_PLANES": outputs, "TARGET_OPT": targets, "LOSS_OPTION": [["DiceLoss"]] * len(targets),
             "WEIGHT_OPT": [["0"]] * len(targets), "LOSS_WEIGHT": [[1.0]] * len(targets),
             "OUTPUT_ACT": [["sigmoid"]] * len(targets), "INPUT_SIZE": [17, 257, 257]} | model
    act = ["none" if model.get("ARCHITECTURE") == "unetv0" else "sigmoid"] * len(targets)
    return load(pairs=[text for name, value in pairs.items() for text in (f"MODEL.{name}", str(value))]
                + ["INFERENCE.OUTPUT_ACT", str(act)])


def network_range(raw):
    """As the networks get it."""
    return ((raw.astype(np.float32) / 255 - 0.5) / 0.5).astype(np.float32)
