"""The command behind 02_train/report.py."""

import argparse
import csv
import io
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.report.page import MARK, as_csv
from lsd_experiments.writing import check_writable

PAGE = "index.html"


def main(description: str | None) -> None:
    """Run the command."""
    parser = cli.parser(description)
    parser.add_argument(
        "results",
        nargs="+",
        metavar="RESULTS",
        help="configurations of 03_predict, directories with some, or .json of evaluate.py; NAME=RESULTS names the variant; and "
        ".json of evaluate_lsds.py",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIRECTORY", help="of the report; an earlier one there is replaced"
    )
    parser.add_argument(
        "--validation",
        nargs="+",
        default=[],
        metavar="RESULTS",
        help="of the same networks on another volume: their best thresholds are taken",
    )
    parser.add_argument("--measure", action="store_true", help="predict a block with each network here, and measure it")
    parser.add_argument(
        "--resamples", type=cli.positive, default=2000, metavar="N", help="of the bootstrap (default: %(default)s)"
    )
    parser.add_argument("--title", default="Report", help="of the page (default: %(default)s)")
    cli.run(command, parser)


def command(options: argparse.Namespace) -> None:
    """Write the report, and print where it is and what it found.

    :raises UserError: if there are no results, or ``--out`` is something else
    """
    from lsd_experiments.report.comparing import compare
    from lsd_experiments.report.contents import Options, write_document
    from lsd_experiments.report.descriptors import read_descriptors
    from lsd_experiments.report.page import Points
    from lsd_experiments.report.results import not_evaluated, read_results

    check_out(options.out)
    descriptors, places = read_descriptors(options.results)
    results = read_results(places)
    comparisons = compare(results, read_results(options.validation) if options.validation else [])
    left = not_evaluated([*places, *options.validation])
    measured = _measured(results) if options.measure else {}
    part = options.out.absolute().with_name(f".{options.out.absolute().name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        document = write_document(comparisons, part, Options(options.title, options.resamples, measured, left, descriptors))
        texts = {PAGE: document.html(), "report.md": document.markdown(), "scores.csv": _all_scores(comparisons)}
        texts |= {f"{table.name}.csv": as_csv(table) for table in document.tables}
        for name, text in texts.items():
            (part / name).write_text(text)
        _replace(part, options.out.absolute())
    finally:
        shutil.rmtree(part, ignore_errors=True)
    found = next(element for element in document.elements if isinstance(element, Points))
    print("\n".join([*found.lines, f"{options.out / PAGE}"]))


def check_out(out: Path) -> None:
    """:raises UserError: if ``out`` holds something that is no report, or is no directory."""
    check_writable(out.absolute().parent)
    if not out.exists():
        return
    page = out / PAGE
    if not out.is_dir() or (any(out.iterdir()) and not (page.is_file() and MARK in page.read_text(errors="replace"))):
        raise UserError(f"{out}: is there, and is no report. Name another directory with --out")


def _replace(part: Path, out: Path) -> None:
    """Put ``part`` into the place of ``out``, which may hold an earlier report."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    part.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _measured(results: Sequence) -> dict[str, Mapping[str, float]]:  # type: ignore[type-arg]
    """What the networks of ``results`` cost, by their directories."""
    from lsd_experiments.report.measuring import measure

    found: dict[str, Mapping[str, float]] = {}
    for result in results:
        where = str(result.training.directory) if result.training else ""
        if where and where not in found:
            print(f"measuring {where}", file=sys.stderr)
            cost = measure(result)
            if cost is not None:
                found[where] = cost
    return found


def _all_scores(comparisons: Sequence) -> str:  # type: ignore[type-arg]
    """Every row of every result, with all digits, and whether it is the one that counts."""
    rows = [
        {
            "group": index,
            "truth": comparison.truth,
            "kind": comparison.kind,
            "merge_function": comparison.merge_function,
            "variant": variant.name,
            "seed": seed,
            "iteration": result.iteration,
            "scores": Path(result.source).name,
            "counts": int(row is chosen.row),
            **row,
        }
        for index, comparison in enumerate(comparisons, 1)
        for variant in comparison.variants
        for seed, result, chosen in zip(variant.seeds, variant.results, variant.chosen, strict=True)
        for row in result.rows
    ]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
