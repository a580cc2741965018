"""The report's parts, in order: what was found, each comparison, learning, cost, the paper, where each number comes from, and what is missing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lsd_experiments.provenance import now
from lsd_experiments.report.blocks import Counted, count, same_blocks
from lsd_experiments.report.bootstrap import FEWEST, RESAMPLES, SURE, Bootstrap, bootstrap, percent
from lsd_experiments.report.comparing import Comparison, Variant, parameters_of, seed_of
from lsd_experiments.report.costs import Cost, cost_of
from lsd_experiments.report.curves import plot_curves, plot_learning
from lsd_experiments.report.page import NONE, Document, Heading, Image, Paragraph, Points, Table, mean_and_spread, number
from lsd_experiments.report.pictures import draw_place, raw_of
from lsd_experiments.report.places import distinct, worst
from lsd_experiments.report.published import CLAIM, INFERENCE, ITERATIONS, SOURCE, VOXELS, published_of, scale_differences
from lsd_experiments.report.results import Result

IMAGES = "images"


@dataclass(frozen=True)
class Options:
    """What is asked for beside results.

    :param measured: costs that were measured, by the network's directory
    """

    title: str = "Report"
    resamples: int = RESAMPLES
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def write_document(comparisons: Sequence[Comparison], directory: Path, options: Options) -> Document:
    """The report of ``comparisons``; its images are written to ``directory``."""
    document = Document(options.title)
    document.add(Paragraph(f"Written {now()[:16].replace('T', ' ')} UTC."))
    parts, said = [], []
    for index, comparison in enumerate(comparisons, 1):
        part = _Part(index, comparison, directory, options)
        said += part.found()
        parts.append(part)
    document.add(Heading(2, "What was found"), Points(said))
    if len(comparisons) > 1:
        document.add(Paragraph(f"These are {len(comparisons)} groups of results, with numbers of their own below: another ground truth, region, merge function or "
                               "set of thresholds. Nothing of one group is compared with another one."))
    for part in parts:
        part.write(document)
    variants = _once(comparisons)
    _learning(document, variants, directory)
    _costs(document, variants, options)
    _paper(document, variants)
    _provenance(document, comparisons)
    _missing(document, comparisons)
    return document


def _once(comparisons: Sequence[Comparison]) -> list[Variant]:
    """Each variant once, whatever it was compared on; those of one name that are other networks are told apart by their group."""
    found: dict[tuple[str, ...], tuple[int, Variant]] = {}
    for index, comparison in enumerate(comparisons, 1):
        for variant in comparison.variants:
            networks = tuple(f"{_directory(result) or result.network} {result.iteration}" for result in variant.results)
            found.setdefault(networks, (index, variant))
    names = [variant.name for _, variant in found.values()]
    return [replace(variant, name=f"{variant.name}, group {index}") if names.count(variant.name) > 1 else variant
            for index, variant in found.values()]


class _Part:
    """One comparison."""

    def __init__(self, index: int, comparison: Comparison, directory: Path, options: Options) -> None:
        self.index, self.comparison, self.directory = index, comparison, directory
        self.counted = self._count()
        self.bootstrap = self._bootstrap(options.resamples)

    def _count(self) -> dict[str, list[Counted]]:
        """The blocks of all trainings of those variants of which all can be counted."""
        found = {variant.name: [count(result, chosen) for result, chosen in zip(variant.results, variant.chosen, strict=True)]
                 for variant in self.comparison.variants}
        return {name: [one for one in counted if one is not None] for name, counted in found.items() if None not in counted}

    def _bootstrap(self, resamples: int) -> Bootstrap | None:
        every = [one for counted in self.counted.values() for one in counted]
        if not every or not same_blocks(every):
            return None
        return bootstrap({name: [one.tables for one in counted] for name, counted in self.counted.items()}, resamples)

    def found(self) -> list[str]:
        """The ranks, in sentences: of each two neighbours."""
        comparison, names = self.comparison, [variant.name for variant in self.comparison.variants]
        prefix = f"{self.index}. {comparison.truth}: "
        if len(names) < 2:
            return [f"{prefix}{', '.join(names)} alone, compared with nothing."]
        if self.bootstrap is None or len(self.bootstrap.sums) < 2:
            return [f"{prefix}how sure the ranks are is not known: {self._why()}."]
        ranked = [name for name in names if name in self.bootstrap.sums]
        return [prefix + "; ".join(self.bootstrap.sentence(a, b) for a, b in zip(ranked, ranked[1:], strict=False)) + "."]

    def _why(self) -> str:
        if self.comparison.kind != "labels":
            return "resampling takes blocks of labels"
        if len(self.counted) < 2:
            return "the volumes of two variants at least are needed, and are not there"
        return f"a region has to have {FEWEST} blocks with labels, the same ones for all"

    def write(self, document: Document) -> None:
        """The comparison's section."""
        comparison = self.comparison
        document.add(Heading(2, f"{self.index}. {comparison.title}"))
        tested = any(chosen.by == "test" for variant in comparison.variants for chosen in variant.chosen)
        document.add(Paragraph(
            f"Against {comparison.kind}. " + ("Thresholds are the best ones on this very region, of each training." if tested
                                              else "Thresholds were chosen on the validation, for each training.")
            + " Numbers are means over seeds, ± the standard deviation. VOI in bits; lower is better, but for ERL."))
        document.add(self._scores())
        image = f"{IMAGES}/curves_{self.index}.png"
        plot_curves(comparison, self.directory / image)
        document.add(Image(image, "VOI split against VOI merge, and the score over thresholds; bands reach from the least to the greatest of the seeds, stars "
                                  "are the thresholds that count"))
        self._ranks(document)
        if comparison.differences:
            document.add(Heading(3, "In what they differ"), self._differences())
        self._pictures(document)

    def _scores(self) -> Table:
        header = ["variant", "seeds", "threshold", "VOI split", "VOI merge", "VOI sum", "95 % interval", "adapted Rand error", "ERL (nm)",
                  "normalized ERL"]
        rows = []
        for variant in self.comparison.variants:
            interval = self.bootstrap.interval(variant.name) if self.bootstrap and variant.name in self.bootstrap.sums else None
            thresholds = list(dict.fromkeys(f"{chosen.row['threshold']:g}" for chosen in variant.chosen if "threshold" in chosen.row))
            cells = {score: mean_and_spread(variant.mean(score), variant.spread(score), 0 if score == "erl" else 3)
                     for score in ("voi_split", "voi_merge", "voi_sum", "adapted_rand_error", "erl", "normalized_erl")}
            rows.append([variant.name, _seeds(variant), ", ".join(thresholds) or NONE, cells["voi_split"], cells["voi_merge"],
                         cells["voi_sum"], f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else NONE, cells["adapted_rand_error"],
                         cells["erl"], cells["normalized_erl"]])
        return Table(f"summary_{self.index}", header, rows)

    def _ranks(self, document: Document) -> None:
        document.add(Heading(3, "How sure the ranks are"))
        if self.bootstrap is None:
            document.add(Paragraph(f"Not known: {self._why()}."))
            return
        drawn = "blocks, and of each variant's trainings" if max(self.bootstrap.seeds.values()) > 1 else "blocks"
        document.add(Paragraph(
            f"{self.bootstrap.resamples} resamples of {self.bootstrap.blocks} {drawn}, the same blocks for all. The share in which the row has the lower VOI sum; "
            f"from {percent(SURE)} on one beats the other. Thresholds stay as they are; pairs are judged one by one."))
        names = [variant.name for variant in self.comparison.variants if variant.name in self.bootstrap.sums]
        rows = [[a, *(NONE if a == b else percent(self.bootstrap.share(a, b)) for b in names)] for a in names]
        document.add(Table(f"ranks_{self.index}", ["better than", *names], rows))

    def _differences(self) -> Table:
        names = [variant.name for variant in self.comparison.variants]
        return Table(f"differences_{self.index}", ["parameter", *names],
                     [[key, *values] for key, values in sorted(self.comparison.differences.items())])

    def _pictures(self, document: Document) -> None:
        """The worst split and merge of the first training of each variant, in all of them."""
        firsts = {name: counted[0] for name, counted in self.counted.items()}
        if not firsts:
            return
        raw = next((found for variant in self.comparison.variants if (found := raw_of(variant.results[0])) is not None), None)
        places = [(name, place) for name, one in firsts.items() for kind in ("split", "merge")
                  if (place := worst(one, kind)) is not None]  # type: ignore[arg-type]
        document.add(Heading(3, "The worst errors, in all variants"))
        document.add(Paragraph("Of the first training of each. A segment has the colour of the label that it matches best; what differs in colour is wrong."))
        for index, (owners, place) in enumerate(distinct(places), 1):
            image = f"{IMAGES}/place_{self.index}_{index}.png"
            draw_place(self.directory / image, place, firsts, raw)
            at = " ".join(f"{o + v * a:g}" for o, v, a in zip(next(iter(firsts.values())).labels.offset,
                                                              next(iter(firsts.values())).labels.voxel_size, place.at, strict=True))
            document.add(Image(image, f"Worst {place.kind} of {', '.join(owners)}, at {at} nm: {place.words}"))


def _seeds(variant: Variant) -> str:
    known = [str(seed) for seed in variant.seeds if seed is not None]
    return ", ".join(known) if len(known) == len(variant.seeds) else f"{len(variant.seeds)} of unknown seed" if known == [] else ", ".join(
        NONE if seed is None else str(seed) for seed in variant.seeds)


def _learning(document: Document, variants: Sequence[Variant], directory: Path) -> None:
    document.add(Heading(2, "Learning curves"))
    image = f"{IMAGES}/learning.png"
    if plot_learning(variants, directory / image):
        document.add(Image(image, "Losses over iterations until the checkpoint that predicted: means of a hundredth of the training, with the seeds' band. Losses "
                                  "of variants with other targets are no measure of each other"))
    without = [variant.name for variant in variants if not any(r.training and r.training.curves for r in variant.results)]
    if without:
        document.add(Paragraph(f"None is there of {', '.join(without)}."))


def _costs(document: Document, variants: Sequence[Variant], options: Options) -> None:
    document.add(Heading(2, "Cost"))
    document.add(Paragraph("Operations are those of convolutions as they are defined, with those of the frozen network of an auto-context one. Clock times are those of "
                           "the machine that the run had, with whatever else it did; CPU seconds and memory of prediction are measured on one block each, if "
                           "--measure asked for it. Means over seeds."))
    rows = []
    for variant in variants:
        found = [cost_of(result, options.measured.get(_directory(result))) for result in variant.results]
        rows.append([variant.name, *(_mean(found, key, digits) for key, digits in COLUMNS.values())])
    document.add(Table("cost", ["variant", *COLUMNS], rows))


COLUMNS = {"parameters": ("parameters", 0), "TFLOP per Mvoxel": ("operations", 4), "TFLOP per step": ("step", 4),
           "iterations": ("iterations", 0), "training, CPU s": ("training", 0), "iteration, s by the clock": ("iteration", 2),
           "prediction, network s per Mvoxel by the clock": ("prediction", 3), "prediction, CPU s per Mvoxel": ("cpu", 2),
           "memory, GiB": ("memory", 2)}


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
        paper = INFERENCE[name]
        costs = [cost_of(result) for result in known[name].results] if name in known else []
        iterations = f"{ITERATIONS[name]:,}" if name in ITERATIONS else NONE
        rows.append([name, _mean(costs, "iterations", 0), iterations, _mean(costs, "operations", 4), f"{paper.tera / VOXELS * 1e6:.3f}",
                     paper.gpus or NONE, f"{paper.seconds:,}", f"{paper.rate:g}"])
    document.add(Table("paper", ["variant", "iterations, here", "published (zebra finch)", "TFLOP per Mvoxel, here", "published, of the whole",
                                 "published GPUs", "seconds", "µm³ per GPU and second"], rows))
    document.add(Paragraph("Accuracies of the paper are in plots only, on volumes that are not these: no number of it is beside ours."))


def _provenance(document: Document, comparisons: Sequence[Comparison]) -> None:
    document.add(Heading(2, "Where the numbers come from"))
    rows, parameters = [], []
    for index, comparison in enumerate(comparisons, 1):
        for variant in comparison.variants:
            rows += [_row(index, variant, result) for result in variant.results]
            own = parameters_of(variant.results[0])
            parameters += [[f"{index}", variant.name, key, json.dumps(value)] for key, value in own.items() if value is not None]
    document.add(Table("provenance", ["group", "variant", "seed", "scores", "network", "iteration", "checkpoint, sha256", "predicted", "scored",
                                      "commit", "version", "key of scores"], rows))
    document.add(Heading(3, "Parameters, of each variant's first training"), Table("parameters", ["group", "variant", "parameter", "value"], parameters))


def _row(index: int, variant: Variant, result: Result) -> list[str]:
    made, predicted = result.provenance, result.made.get("predict", {})
    seed = seed_of(result)
    return [f"{index}", variant.name, NONE if seed is None else str(seed), Path(result.source).name, result.network,
            NONE if result.iteration is None else str(result.iteration), str(predicted.get("inputs", {}).get("sha256_of_checkpoint") or NONE)[:12],
            str(predicted.get("date") or NONE)[:16], str(made.get("date") or NONE)[:16], str(made.get("commit") or NONE),
            str(made.get("version") or NONE), str(made.get("key") or NONE)]


def _missing(document: Document, comparisons: Sequence[Comparison]) -> None:
    lines = list(dict.fromkeys(f"{Path(result.source).name}: {line}" for comparison in comparisons for variant in comparison.variants
                               for result in variant.results for line in result.lacks))
    if lines:
        document.add(Heading(2, "What is missing"), Points(lines))
