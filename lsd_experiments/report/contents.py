"""The report's parts, in order: what was found, each comparison, learning, cost, the paper, where each number comes from, and
what is missing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lsd_experiments.provenance import now
from lsd_experiments.report.bootstrap import RESAMPLES
from lsd_experiments.report.comparing import Comparison, Variant, parameters_of, seed_of
from lsd_experiments.report.costs import Cost, cost_of
from lsd_experiments.report.curves import plot_learning
from lsd_experiments.report.descriptors import Descriptors, of_trainings, write_descriptors
from lsd_experiments.report.page import NONE, Document, Heading, Image, Paragraph, Points, Table, number
from lsd_experiments.report.published import CLAIM, INFERENCE, ITERATIONS, SOURCE, VOXELS, published_of, scale_differences
from lsd_experiments.report.results import Result
from lsd_experiments.report.section import IMAGES, Section

COLUMNS = {"parameters": ("parameters", 0), "TFLOP per Mvoxel": ("operations", 4), "TFLOP per step": ("step", 4),
           "iterations": ("iterations", 0), "training, CPU s": ("training", 0), "training, GiB": ("training_memory", 2),
           "iteration, s by the clock": ("iteration", 2), "prediction, network s per Mvoxel by the clock": ("prediction", 3),
           "prediction, CPU s per Mvoxel": ("cpu", 2), "prediction, GiB": ("memory", 2)}


@dataclass(frozen=True)
class Options:
    """What is asked for beside results.

    :param measured: costs that were measured, by the network's directory
    :param left: what was left out of what was asked for, in words
    :param descriptors: what evaluate_lsds.py found
    """

    title: str = "Report"
    resamples: int = RESAMPLES
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    left: Sequence[str] = ()
    descriptors: Sequence[Descriptors] = ()


def write_document(comparisons: Sequence[Comparison], directory: Path, options: Options) -> Document:
    """The report of ``comparisons``; its images are written to ``directory``."""
    document = Document(options.title)
    document.add(Paragraph(f"Written {now()[:16].replace('T', ' ')} UTC."))
    sections = [Section(index, one, directory, options.resamples) for index, one in enumerate(comparisons, 1)]
    document.add(Heading(2, "What was found"), Points([line for section in sections for line in section.found()]))
    if len(sections) > 1:
        document.add(Paragraph(
            f"These are {len(sections)} groups of results, with numbers of their own below: another ground truth, region, merge "
            "function or set of thresholds. Nothing of one group is compared with another one."))
    for section in sections:
        section.write(document)
    variants = _once(comparisons)
    _learning(document, variants, directory)
    write_descriptors(document, [*of_trainings(variants), *options.descriptors])
    _costs(document, variants, options)
    _paper(document, variants)
    _provenance(document, comparisons)
    _missing(document, comparisons, options.left)
    return document


def _once(comparisons: Sequence[Comparison]) -> list[Variant]:
    """Each variant once, whatever it was compared on; those of one name that are other networks are told apart by their group."""
    found: dict[tuple[str, ...], tuple[int, Variant]] = {}
    for index, comparison in enumerate(comparisons, 1):
        for variant in comparison.variants:
            networks = tuple(f"{_directory(result) or result.network} {result.iteration}" for result in variant.results)
            found.setdefault(networks, (index, variant))
    names = [variant.name for _, variant in found.values()]
    return [
        replace(variant, name=f"{variant.name}, group {index}") if names.count(variant.name) > 1 else variant
        for index, variant in found.values()
    ]


def _learning(document: Document, variants: Sequence[Variant], directory: Path) -> None:
    document.add(Heading(2, "Learning curves"))
    image = f"{IMAGES}/learning.png"
    if plot_learning(variants, directory / image):
        document.add(Image(image, "Losses over iterations until the checkpoint that predicted: means of a hundredth of the "
                                  "training, with the seeds' band. Losses of variants with other targets are no measure of "
                                  "each other"))
    without = [variant.name for variant in variants if not any(r.training and r.training.curves for r in variant.results)]
    if without:
        document.add(Paragraph(f"None is there of {', '.join(without)}."))


def _costs(document: Document, variants: Sequence[Variant], options: Options) -> None:
    document.add(Heading(2, "Cost"))
    document.add(Paragraph(
        "Operations are those of convolutions as they are defined, with those of the frozen network of an auto-context one. "
        "Clock times are those of the machine that the run had, with whatever else it did; CPU seconds and memory of "
        "prediction are "
        "measured on one block each, if --measure asked for it. Means over seeds."))
    rows = []
    for variant in variants:
        found = [cost_of(result, options.measured.get(_directory(result))) for result in variant.results]
        rows.append([variant.name, *(_mean(found, key, digits) for key, digits in COLUMNS.values())])
    document.add(Table("cost", ["variant", *COLUMNS], rows))


def _mean(costs: Sequence[Cost], key: str, digits: int) -> str:
    known = [value for cost in costs if (value := getattr(cost, key)) is not None]
    return number(float(np.mean(known)), digits) if known else NONE


def _directory(result: Result) -> str:
    return str(result.training.directory) if result.training else ""


def _paper(document: Document, variants: Sequence[Variant]) -> None:
    document.add(Heading(2, "Beside the paper"))
    document.add(Paragraph(f"{CLAIM} {SOURCE}"), Points(scale_differences(variants)))
    known = {name: variant for variant in variants if (name := published_of(variant)) is not None}
    rows = []
    for name in [*known, *(name for name in INFERENCE if name not in known)]:
        paper, costs = INFERENCE[name], [cost_of(result) for result in known[name].results] if name in known else []
        rows.append([name, _mean(costs, "iterations", 0), f"{ITERATIONS[name]:,}" if name in ITERATIONS else NONE,
                     _mean(costs, "operations", 4), f"{paper.tera / VOXELS * 1e6:.3f}", paper.gpus or NONE, f"{paper.seconds:,}",
                     f"{paper.rate:g}"])
    document.add(Table("paper", ["variant", "iterations, here", "published (zebra finch)", "TFLOP per Mvoxel, here",
                                 "published, of the whole", "published GPUs", "seconds", "µm³ per GPU and second"], rows))
    document.add(Paragraph("Accuracies of the paper are in plots only, on volumes that are not these: no number of it is beside "
                           "ours."))


def _provenance(document: Document, comparisons: Sequence[Comparison]) -> None:
    document.add(Heading(2, "Where the numbers come from"))
    rows, parameters = [], []
    for index, comparison in enumerate(comparisons, 1):
        for variant in comparison.variants:
            rows += [_row(index, variant, result) for result in variant.results]
            own = parameters_of(variant.results[0])
            parameters += [[f"{index}", variant.name, key, json.dumps(value)] for key, value in own.items() if value is not None]
    document.add(Table("provenance", ["group", "variant", "seed", "scores", "network", "iteration", "checkpoint, sha256",
                                      "predicted", "scored", "commit", "version", "key of scores"], rows))
    document.add(Heading(3, "Parameters, of each variant's first training"))
    document.add(Table("parameters", ["group", "variant", "parameter", "value"], parameters))


def _row(index: int, variant: Variant, result: Result) -> list[str]:
    made, predicted = result.provenance, result.made.get("predict", {})
    said = (seed_of(result), Path(result.source).name, result.network, result.iteration)
    cut = ((predicted.get("inputs", {}).get("sha256_of_checkpoint"), 12), (predicted.get("date"), 16), (made.get("date"), 16),
           (made.get("commit"), None), (made.get("version"), None), (made.get("key"), None))
    return [f"{index}", variant.name, *(NONE if value is None else str(value) for value in said),
            *(str(value or NONE)[:length] for value, length in cut)]


def _missing(document: Document, comparisons: Sequence[Comparison], left: Sequence[str]) -> None:
    results = (result for comparison in comparisons for variant in comparison.variants for result in variant.results)
    lines = list(dict.fromkeys(f"{Path(result.source).name}: {line}" for result in results for line in result.lacks))
    if lines or left:
        document.add(Heading(2, "What is missing"), Points([*left, *lines]))
