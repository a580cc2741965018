"""Score a submission against the truth, crop by crop and class by class.

What cannot be read or aligned counts as not submitted, and its ``status`` says why: it is never left out. ``parity`` brings the
published programs' defects, so that their results come out; see :mod:`.instances`, :mod:`..aligning`, and:

- a group of scale levels counts as not submitted;
- a mask of uncertain voxels, ``<class>_mask`` beside the truth of a class, is a class itself, which nobody submits;
- in 2025, crops that are named 557 in place of crop557 are none.
"""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import lsd_experiments
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.cellmap.aligning import load_aligned
from lsd_experiments.families.cellmap.classes import INSTANCES
from lsd_experiments.families.cellmap.evaluation import beside
from lsd_experiments.families.cellmap.evaluation.instances import missing_instances, score_instances
from lsd_experiments.families.cellmap.evaluation.overlaps import Objects, components, objects
from lsd_experiments.families.cellmap.evaluation.pooling import pool
from lsd_experiments.families.cellmap.evaluation.semantics import missing_semantic, score_semantic
from lsd_experiments.families.cellmap.manifest import Target
from lsd_experiments.families.cellmap.sources import Level
from lsd_experiments.families.cellmap.submissions import Submission, open_submission

logger = logging.getLogger(__name__)

RULES = ("2025-09", "2026-06", "latest")
PUBLIC = ("f1", "iou", "normalized_hausdorff_distance", "combined_score")  # of a class, in the short result since 2026
MASK = "_mask"


@dataclass(frozen=True)
class Rules:
    """By what is scored: the ``name`` of the rules, with the published defects or without, the classes of instances."""

    name: str = "latest"
    parity: bool = False
    instances: Collection[str] = INSTANCES

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise UserError(f"rules '{self.name}' are not known{nearest(self.name, RULES)}. Take one of {', '.join(RULES)}")


def evaluate(submission: str | Path, truth: str | Path, rules: Rules | None = None,
             targets: Iterable[Target] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The scores of a submission: what the challenge publishes, and all of them, with those that are told beside.

    :param targets: where crops are scored (default: where the truth says that it lies)
    :raises UserError: if one of the two is no submission, or they have no crop in common
    """
    from tqdm import tqdm

    rules = rules or Rules()
    said, true = open_submission(submission), open_submission(truth)
    if rules.parity and rules.name == "2025-09":
        said = _with_prefix_only(said)
    if not said.crops.keys() & true.crops.keys():
        raise UserError(f"{submission}: has none of the crops of {truth}: {', '.join(list(true.crops)[:5])}. Name the "
                        "submission that belongs to it")
    listed = {target.name: target for target in targets or ()}
    crops: dict[str, dict[str, Any]] = {}
    told: dict[str, dict[str, Any]] = {}
    scored = [(crop, label) for crop in true.crops for label in scored_classes(true, crop, rules.parity)]
    for crop, label in tqdm(scored, desc="scoring", unit="class", leave=False, disable=None):
        target = listed.get(f"{crop}/{label}") or target_of(true, crop, label)
        scores, beside_it = _score(said, true, target, rules)
        crops.setdefault(crop, {})[label], told.setdefault(crop, {})[label] = scores, beside_it
    return _results(crops, told, rules, len(listed))


def scored_classes(truth: Submission, crop: str, parity: bool = False) -> list[str]:
    """The classes of a crop of ``truth``: without masks, but with ``parity``."""
    found = truth.crops[crop]
    return [label for label in found if parity or not (label.endswith(MASK) and label.removesuffix(MASK) in found)]


def target_of(truth: Submission, crop: str, label: str) -> Target:
    """Where the truth lies.

    :raises UserError: if it does not say so, or has several levels
    """
    levels = truth.levels(crop, label)
    if not levels or levels[0].voxel_size is None:
        raise UserError(f"{truth.name}:{crop}/{label} has no voxel size. Add the attributes voxel_size and translation, or "
                        "name a --manifest")
    level = levels[0]
    return Target(crop, "", label, levels[0].voxel_size, level.translation or (0.0, 0.0, 0.0), level.shape)


def _score(said: Submission, true: Submission, target: Target, rules: Rules) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a class of a crop adds, and what is told beside."""
    truth = _truth(true, target)
    about = {"num_voxels": truth.size, "voxel_size": list(target.voxel_size)}
    status, prediction = "missing", None
    try:
        levels = _submitted(said, target, rules.parity)
        prediction = load_aligned(levels, target, rules.instances, rules.parity and rules.name) if levels else None
    except UserError as error:
        logger.warning("%s counts as not submitted: %s", target.name, error)
        status = f"failed: {error}"
    mask = true.levels(target.crop, target.label + MASK)
    if mask:
        kept = mask[0][:]
        truth = truth * kept
        prediction = None if prediction is None else prediction * kept
    missing = prediction is None
    if target.label in rules.instances:
        there = objects(truth)
        del truth  # large, like the next
        found = None if prediction is None else components(prediction)
        del prediction
        scores, told = _instances(there, found, target, rules)
    else:
        scores, told = _semantic(truth, prediction, rules)
    is_told = missing and (rules.name != "2025-09" or status != "missing")
    return {**scores, **about, "is_missing": missing, **({"status": status} if is_told else {})}, told


def _truth(true: Submission, target: Target) -> NDArray[Any]:
    truth = true.levels(target.crop, target.label)[0][:]
    if truth.shape != target.shape:
        raise UserError(f"{true.name}:{target.name} has the shape {truth.shape}, and the manifest says {target.shape}. Name the "
                        "manifest that belongs to it")
    return truth


def _submitted(said: Submission, target: Target, parity: bool) -> list[Level]:
    levels = said.levels(target.crop, target.label)
    return [] if parity and levels and levels[0].kind != "array" else levels


def _instances(truth: Objects, prediction: Objects | None, target: Target,
               rules: Rules) -> tuple[dict[str, Any], dict[str, Any]]:
    if prediction is None:
        return missing_instances(truth, rules.name), beside.of_missing(len(truth.ids))
    scores, found = score_instances(truth, prediction, target.voxel_size, rules.name, rules.parity)
    return scores, beside.of_instances(truth, prediction, found)


def _semantic(truth: NDArray[Any], prediction: NDArray[Any] | None, rules: Rules) -> tuple[dict[str, Any], dict[str, Any]]:
    if prediction is None:
        return missing_semantic(truth.size, rules.name), beside.of_missing(int((truth > 0).any()))
    return score_semantic(truth, prediction, rules.name), beside.of_semantic(truth, prediction)


def _with_prefix_only(said: Submission) -> Submission:
    crops = {crop: labels for crop, labels in said.crops.items() if said.paths[crop].rpartition("/")[2] == crop}
    return Submission(said.name, said.tree, said.root, crops, said.paths)


def _results(crops: dict[str, dict[str, Any]], told: dict[str, dict[str, Any]], rules: Rules,
             listed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    done = sum(map(len, crops.values()))
    pooled = pool(crops, rules.name, rules.instances)
    about = {"total_evals": listed or done, "num_evals_done": done, "rules": rules.name, "parity": rules.parity,
             "version": lsd_experiments.__version__}
    of_scores, of_told = beside.intervals(crops, rules.name, rules.instances), beside.summary(told)
    extended = {**crops, **pooled, **about, "beside": {**of_told.values, "intervals": {**of_scores, **of_told.intervals},
                                                       "crops": told}}
    if rules.name == "2025-09":
        return {**crops, **pooled, **about}, extended
    submitted = {label for scores in crops.values() for label, one in scores.items() if not one["is_missing"]}
    public = {label: {key: value for key, value in scores.items() if key in PUBLIC}
              for label, scores in pooled["label_scores"].items() if label in submitted}
    return {"label_scores": public, **{key: value for key, value in pooled.items() if key != "label_scores"}, **about}, extended
