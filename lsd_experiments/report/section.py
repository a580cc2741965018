"""The section of one comparison: scores, curves, how sure the ranks are, in what the variants differ, and the worst errors."""

import itertools
from pathlib import Path

from lsd_experiments.report.blocks import Counted, count, same_blocks
from lsd_experiments.report.bootstrap import FEWEST, SURE, Bootstrap, bootstrap, percent
from lsd_experiments.report.comparing import Comparison, Variant
from lsd_experiments.report.curves import plot_curves
from lsd_experiments.report.page import NONE, Document, Heading, Image, Paragraph, Table, mean_and_spread
from lsd_experiments.report.pictures import draw_place, raw_of
from lsd_experiments.report.places import KINDS, distinct, worst

IMAGES = "images"
SCORES = ("voi_split", "voi_merge", "voi_sum", "adapted_rand_error", "erl", "normalized_erl")


class Section:
    """One comparison."""

    def __init__(self, index: int, comparison: Comparison, directory: Path, resamples: int) -> None:
        self.index, self.comparison, self.directory = index, comparison, directory
        self.counted = self._count()
        self.bootstrap = self._bootstrap(resamples)

    def _count(self) -> dict[str, list[Counted]]:
        """The blocks of all trainings of those variants of which all can be counted."""
        found = {
            variant.name: [count(result, chosen) for result, chosen in zip(variant.results, variant.chosen, strict=True)]
            for variant in self.comparison.variants
        }
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
        said = [self.bootstrap.sentence(a, b) for a, b in itertools.pairwise(ranked)]
        left = [name for name in names if name not in self.bootstrap.sums]
        said += [f"nothing is known of {', '.join(left)}, whose volumes are not all there"] if left else []
        return [f"{prefix}{'; '.join(said)}."]

    def _why(self) -> str:
        if self.comparison.kind != "labels":
            return "resampling takes blocks of labels"
        if len(self.counted) < 2:
            return "the volumes of two variants at least are needed, and are not there"
        return f"a region has to have {FEWEST} blocks with labels, the same ones for all"

    def write(self, document: Document) -> None:
        """The comparison's section."""
        document.add(Heading(2, f"{self.index}. {self.comparison.title}"))
        document.add(Paragraph(f"Against {self.comparison.kind}. {self._thresholds()} Numbers are means over seeds, ± the "
                               "standard deviation. VOI in bits; lower is better, but for ERL."))
        document.add(self._scores())
        image = f"{IMAGES}/curves_{self.index}.png"
        plot_curves(self.comparison, self.directory / image)
        document.add(Image(image, "VOI split against VOI merge, and the score over thresholds; bands reach from the least to the "
                                  "greatest of the seeds, stars are the thresholds that count"))
        self._ranks(document)
        if self.comparison.differences:
            names = [variant.name for variant in self.comparison.variants]
            rows = [[key, *values] for key, values in sorted(self.comparison.differences.items())]
            document.add(Heading(3, "In what they differ"), Table(f"differences_{self.index}", ["parameter", *names], rows))
        self._pictures(document)

    def _thresholds(self) -> str:
        """By what they were chosen."""
        by = [chosen.by for variant in self.comparison.variants for chosen in variant.chosen]
        of_tests = by.count("test")
        if not of_tests:
            return "The threshold of each training is that of the lowest VOI on its validation."
        if of_tests == len(by):
            return "The threshold of each training is the best one on this very region."
        return f"Thresholds were chosen on the validation, but of {of_tests} of {len(by)} trainings on this very region."

    def _scores(self) -> Table:
        header = ["variant", "seeds", "threshold", "VOI split", "VOI merge", "VOI sum", "95 % interval", "adapted Rand error",
                  "ERL (nm)", "normalized ERL"]
        return Table(f"summary_{self.index}", header, [self._row(variant) for variant in self.comparison.variants])

    def _row(self, variant: Variant) -> list[str]:
        thresholds = [f"{chosen.row['threshold']:g}" if "threshold" in chosen.row else NONE for chosen in variant.chosen]
        split, merge, both, rand, erl, normalized = (
            mean_and_spread(variant.mean(score), variant.spread(score), 0 if score == "erl" else 3) for score in SCORES)
        interval = NONE
        if self.bootstrap and variant.name in self.bootstrap.sums:
            interval = "{:.3f} to {:.3f}".format(*self.bootstrap.interval(variant.name))
        each = ", ".join(thresholds) if set(thresholds) - {NONE} else NONE
        return [variant.name, _seeds(variant), each, split, merge, both, interval, rand, erl, normalized]

    def _ranks(self, document: Document) -> None:
        document.add(Heading(3, "How sure the ranks are"))
        if self.bootstrap is None:
            document.add(Paragraph(f"Not known: {self._why()}."))
            return
        drawn = "blocks, and of each variant's trainings" if max(self.bootstrap.seeds.values()) > 1 else "blocks"
        document.add(Paragraph(
            f"{self.bootstrap.resamples} resamples of {self.bootstrap.blocks} {drawn}, the same blocks for all. The share in "
            f"which the row has the lower VOI sum; from {percent(SURE)} on one beats the other. Thresholds stay as they are; "
            "pairs are "
            "judged one by one."))
        names = [variant.name for variant in self.comparison.variants if variant.name in self.bootstrap.sums]
        rows = [[a, *(NONE if a == b else percent(self.bootstrap.share(a, b)) for b in names)] for a in names]
        document.add(Table(f"ranks_{self.index}", ["better than", *names], rows))

    def _pictures(self, document: Document) -> None:
        """The worst split and merge of the first training of each variant, in all of them."""
        firsts = {name: counted[0] for name, counted in self.counted.items()}
        if not firsts:
            return
        raw = next((found for variant in self.comparison.variants if (found := raw_of(variant.results[0])) is not None), None)
        places = [(name, place) for name, one in firsts.items() for kind in KINDS if (place := worst(one, kind)) is not None]
        document.add(Heading(3, "The worst errors, in all variants"))
        document.add(Paragraph("Of the first training of each. A segment has the colour of the label that it matches best; what "
                               "differs in colour is wrong."))
        labels = next(iter(firsts.values())).labels
        for index, (owners, place) in enumerate(distinct(places), 1):
            image = f"{IMAGES}/place_{self.index}_{index}.png"
            draw_place(self.directory / image, place, firsts, raw)
            at = (o + v * a for o, v, a in zip(labels.offset, labels.voxel_size, place.at, strict=True))
            document.add(Image(image, f"Worst {place.kind} of {', '.join(owners)}, at {' '.join(f'{nm:g}' for nm in at)} nm: "
                                      f"{place.words}"))


def _seeds(variant: Variant) -> str:
    """The seeds of its trainings; how many there are, where none says which it had."""
    if not any(seed is not None for seed in variant.seeds):
        return f"{len(variant.seeds)} of unknown seed"
    return ", ".join(NONE if seed is None else str(seed) for seed in variant.seeds)
