"""The command behind ``02_train/cremi/evaluate.py``."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments import cli
from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume

TRUTHS = {"clefts": "volumes/labels/clefts", "neurons": "volumes/labels/neuron_ids", "partners": "volumes/labels/neuron_ids"}
CURVE = tuple(round(0.05 * n, 2) for n in range(1, 20))
COLUMNS = {
    "clefts": ("threshold", "f1", "precision", "recall", "false_positives", "false_negatives", "adgt", "adf", "mean_distance"),
    "neurons": ("voi_split", "voi_merge", "voi_sum", "adapted_rand_error", "ignored_voxels"),
    "partners": ("fscore", "precision", "recall", "false_positives", "false_negatives"),
}
PANELS = {"share": ("f1", "precision", "recall"), "nm": ("adgt", "adf", "mean_distance")}  # of the plot of a curve
OTHER_KINDS = {"clefts": ("neuron_ids", "raw"), "neurons": ("clefts", "raw")}  # CREMI's names of what a task is not of
Row = dict[str, Any]


def main(description: str | None) -> None:
    """Run the command."""
    cli.run(_evaluate, _parser(description))


def _evaluate(options: argparse.Namespace) -> None:
    from lsd_experiments.evaluation import check_prefix
    from lsd_experiments.evaluation.mask_scores import best_row

    _check_task(options)
    if options.threshold_of is not None:
        options.threshold = [_chosen_threshold(Path(options.threshold_of))]
    if options.out is not None:
        check_prefix(options.out)
    rows, inputs = _scores(options)
    chosen = best_row(rows) if len(rows) > 1 else None
    columns = [name for name in COLUMNS[options.task] if name in rows[0]]
    print("  ".join(f"{name:>{_width(name)}}" for name in columns))
    for number, row in enumerate(rows):
        cells = "  ".join(_cell(row[name]).rjust(_width(name)) for name in columns)
        print(cells + ("  <- best F1" if number == chosen else ""))
    if options.out is not None:
        _write(rows, chosen, options, inputs)


def _scores(options: argparse.Namespace) -> tuple[list[Row], dict[str, str]]:
    from lsd_experiments.evaluation import mask_scores
    from lsd_experiments.evaluation import partners as pairs
    from lsd_experiments.families.cremi import clefts, neurons, partners

    if options.task == "partners":
        dataset = options.truth_dataset or TRUTHS["partners"]
        row = partners.score_partner_files(options.prediction, options.truth, options.tolerance or pairs.TOLERANCE, dataset,
                                           options.ignore_alignment)
        return [row], {"prediction": options.prediction, "truth": options.truth}
    prediction, truth = volumes_of(options)
    _check_kinds(options.task, *((truth,) if options.threshold or options.curve else (prediction, truth)))
    inputs = {"prediction": prediction.name, "truth": truth.name}
    if options.task == "neurons":
        return [dict(neurons.score_neuron_volumes(prediction, truth, options.border_threshold))], inputs
    tolerance, thresholds = options.tolerance or mask_scores.TOLERANCE, CURVE if options.curve else options.threshold
    if thresholds:
        return clefts.score_probability_volumes(prediction, truth, thresholds, tolerance, options.channel or 0,
                                                options.truth_background), inputs
    row = clefts.score_cleft_volumes(prediction, truth, tolerance, options.background, options.truth_background)
    return [row], inputs


def _check_task(options: argparse.Namespace) -> None:
    """:raises UserError: if an option is of another task"""
    given = {"--border-threshold": ("neurons", options.border_threshold), "--threshold": ("clefts", options.threshold),
             "--curve": ("clefts", options.curve or None),
             "--threshold-of": ("clefts", options.threshold_of), "--background": ("clefts", options.background),
             "--truth-background": ("clefts", options.truth_background), "--channel": ("clefts", options.channel)}
    for name, (task, value) in given.items():
        if value is not None and options.task != task:
            raise UserError(f"{name}: is of --task {task}, not of {options.task}. Leave it out")
    ways = [name for name, value in (("--curve", options.curve), ("--threshold", options.threshold),
                                     ("--threshold-of", options.threshold_of)) if value]
    of_probabilities = bool(ways)
    if options.channel is not None and not of_probabilities:
        raise UserError("--channel: is of probabilities. Leave it out, or pass --threshold or --curve")
    if options.background is not None and of_probabilities:
        raise UserError("--background: is of ids; probabilities have none. Leave it out")
    if len(ways) > 1:
        raise UserError(f"{', '.join(ways)}: name one of them")
    if options.task == "partners" and (options.prediction_dataset or options.voxel_size):
        raise UserError("--prediction-dataset, --voxel-size: annotations have neither. Leave them out")
    if options.tolerance is not None and options.task == "neurons":
        raise UserError("--tolerance: is of clefts and partners. Neurons have --border-threshold")
    for threshold in options.threshold or ():
        if not 0 <= threshold < 1:
            raise UserError(f"--threshold {threshold:g}: is not from 0 to less than 1. Give the probability above which there "
                            "is a cleft")


def _chosen_threshold(path: Path) -> float:
    """That with the best F1 in the scores of a curve, which this command wrote of another volume.

    :raises UserError: if the file is none, or has scores of no threshold
    """
    from lsd_experiments.evaluation.mask_scores import best_row

    try:
        rows = [row for row in json.loads(path.read_text())["scores"].values() if "threshold" in row]
        return float(rows[best_row(rows)]["threshold"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"--threshold-of {path}: holds no scores of thresholds. Name the .json file that evaluate.py --curve "
                        "--out wrote of another volume") from error


def _check_kinds(task: str, *volumes: "Volume") -> None:
    """:raises UserError: if one is of something else, by the name of its dataset"""
    for volume in volumes:
        kind = str(volume.dataset).rsplit("/", 1)[-1]
        if kind in OTHER_KINDS[task]:
            raise UserError(f"{volume.name}: {kind} is not scored as {task}. Name another dataset, or another --task")


def volumes_of(options: argparse.Namespace) -> "tuple[Volume, Volume]":
    """The prediction, and the truth."""
    from lsd_experiments.arrays import open_volume
    from lsd_experiments.arrays.alignments import unmarked

    places = ((options.prediction, options.prediction_dataset), (options.truth, options.truth_dataset))
    prediction, truth = (open_volume(*place, default=TRUTHS[options.task], voxel_size=options.voxel_size) for place in places)
    return (unmarked(prediction), unmarked(truth)) if options.ignore_alignment else (prediction, truth)


def an_id(text: str) -> int:
    """For argparse: an id, at most 2^64 - 1."""
    number = cli.not_negative(text)
    if number >= 2**64:
        raise argparse.ArgumentTypeError(f"{text} is above 2^64 - 1, the last id")
    return number


def _width(name: str) -> int:
    return max(9, len(name))


def _cell(value: Any) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.4f}"


def _write(rows: list[Row], chosen: int | None, options: argparse.Namespace, inputs: dict[str, str]) -> None:
    from lsd_experiments.evaluation.plots import plot_thresholds
    from lsd_experiments.evaluation.reports import write_plot, write_rows
    from lsd_experiments.provenance import provenance

    parameters = {key: value for key, value in vars(options).items() if key not in ("prediction", "truth", "out", "debug")}
    named = {f"threshold {row['threshold']:g}" if "threshold" in row else options.task: row for row in rows}
    of_curve = _is_curve(Path(f"{options.out}.json"))
    write_rows(named, Path(options.out), provenance("evaluate_cremi", parameters, inputs))
    if chosen is not None:
        write_plot(Path(options.out), lambda path: plot_thresholds(rows, PANELS, chosen, path))
    elif of_curve:
        Path(f"{options.out}.png").unlink(missing_ok=True)


def _is_curve(path: Path) -> bool:
    """Whether ``path`` is what this command wrote of several thresholds, with a plot beside it that goes with it."""
    try:
        written = json.loads(path.read_text())
        return written["provenance"]["stage"] == "evaluate_cremi" and len(written["scores"]) > 1
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    add = parser.add_argument
    add("prediction", metavar="PREDICTION", help="container: ids, a mask or probabilities; of partners, a CREMI file")
    add("truth", metavar="TRUTH", help="container of the truth; of partners, a CREMI file with annotations and neurons")
    add("--task", choices=TRUTHS, required=True)
    add("--prediction-dataset", metavar="NAME", help="default: that of the truth, or the only one")
    add("--truth-dataset", metavar="NAME", help="default: volumes/labels/clefts, or neuron_ids; or the only one")
    add("--voxel-size", type=cli.positive_number, nargs=3, metavar=("Z", "Y", "X"), help="nm, where files do not say it")
    add("--threshold", type=float, nargs="+", metavar="P", help="clefts: the prediction is probabilities; what is above P is one")
    add("--threshold-of", metavar="SCORES.json", help="clefts: that with the best F1 in what --curve --out wrote, of the volume "
        "that was trained on")
    add("--curve", action="store_true", help="clefts: the thresholds 0.05 to 0.95, in one pass")
    add("--channel", type=cli.not_negative, metavar="N", help="clefts: of the probabilities (default: 0)")
    add("--tolerance", type=cli.positive_number, metavar="NM", help="default: clefts 200, partners 400")
    add("--border-threshold", type=cli.positive_number, metavar="NM",
        help="neurons: leave out what is so near to a border of the truth (default: nothing)")
    add("--background", type=an_id, metavar="ID",
        help="clefts: what is none in the prediction (default: 2^64 - 1 if that is there, else 0)")
    add("--truth-background", type=an_id, metavar="ID", help="clefts: the same of the truth")
    add("--ignore-alignment", action="store_true",
        help="compare volumes where they say they are, whatever alignments they lie on: of predictions by other programs")
    add("--out", metavar="PREFIX", help="write PREFIX.json and PREFIX.csv, and of several thresholds PREFIX.png")
    return parser
