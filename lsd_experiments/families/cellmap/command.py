"""The command csc: the CellMap segmentation challenge, from the split to a checked submission. See docs/cellmap.md."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.evaluation import Rules
    from lsd_experiments.families.cellmap.manifest import Target
    from lsd_experiments.families.cellmap.split import Layout

MANIFEST = "data/test_crop_manifest.csv"
SEARCH_PATH = "data/{dataset}/{dataset}.zarr/recon-1/{name}"
BUCKET = "s3://janelia-cosem-datasets/{dataset}/{dataset}.zarr/recon-1/{name}"
RULES = ("2025-09", "2026-06", "latest")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with ``arguments`` (default: the command line's)."""
    cli.run(lambda options: options.command(options), _parser(), arguments)


def make_datasplit(options: argparse.Namespace) -> None:
    """Find the crops, divide them, write the CSV, and show both sides."""
    from lsd_experiments.families.cellmap.split import divide, find_crops, shown, write_split

    crops = find_crops(_layout(options), options.classes, _scale(options.scale), options.datasets, options.crops)
    if not crops:
        raise _nothing(options, " at that scale" if options.scale else "")
    divided = divide(crops, options.classes, options.validate_ratio, options.seed, options.force)
    write_split(options.csv_path, divided)
    print(shown([(side, crop.classes) for side, crop in divided], options.classes))
    print(options.csv_path)


def get_counts(options: argparse.Namespace) -> None:
    """In how many crops of each dataset each class is annotated."""
    from lsd_experiments.families.cellmap.split import counts

    found = counts(_layout(options), options.classes)
    if not found:
        raise _nothing(options)
    for dataset, of_dataset in found.items():
        print(f"{dataset}: " + ", ".join(f"{label} {number}" for label, number in of_dataset.items()))


def pack_results(options: argparse.Namespace) -> None:
    """Pack, and say what is missing."""
    from lsd_experiments.families.cellmap.manifest import read_manifest
    from lsd_experiments.families.cellmap.packing import pack

    told = pack(options.input_search_path, options.output_path, read_manifest(options.manifest), options.overwrite)
    for name in told.missing:
        print(f"{name} is missing, and scores 0")
    for name in told.extra:
        print(f"{name} is not scored, and was left out")
    print(f"{len(told.packed)} classes packed, {len(told.missing)} missing")
    print(options.output_path.with_suffix(".zip"))


def validate(options: argparse.Namespace) -> int:
    """Print what is wrong with a submission, or Pass."""
    from lsd_experiments.families.cellmap.manifest import read_manifest
    from lsd_experiments.families.cellmap.validating import validate

    findings = validate(options.submission, read_manifest(options.manifest))
    print("\n".join(findings) or "Pass")
    return 1 if findings else 0


def evaluate(options: argparse.Namespace) -> None:
    """Score a submission."""
    from lsd_experiments.families.cellmap.evaluation import evaluate
    from lsd_experiments.families.cellmap.results import shown, write_results

    result, extended = evaluate(options.submission_path, options.truth_path, _rules(options), _targets(options))
    beside = write_results(options.result_file, result, extended)
    print(f"rules {result['rules']}" + (", parity" if result["parity"] else ""))
    print(shown(result))
    print(options.result_file, beside)


def batch_eval(options: argparse.Namespace) -> int:
    """Score the submissions of a table."""
    from lsd_experiments.families.cellmap.batch import batch_evaluate, read_batch

    told = batch_evaluate(read_batch(options.csv_path), options.truth_path, options.results, _rules(options), _targets(options))
    for name, score in told.items():
        print(f"{name}  {score}")
    return int(any(score.startswith("failed") for score in told.values()))


def version(options: argparse.Namespace) -> None:
    """Print the version."""
    import lsd_experiments

    print(lsd_experiments.__version__)


def _layout(options: argparse.Namespace) -> "Layout":
    from lsd_experiments.families.cellmap.split import Layout

    if options.use_s3 and options.search_path:
        raise UserError("--use-s3 names the challenge's bucket, --search-path another place. Leave one out")
    return Layout(options.search_path or (BUCKET if options.use_s3 else SEARCH_PATH), options.raw_name, options.crop_name)


def _nothing(options: argparse.Namespace, at: str = "") -> UserError:
    return UserError(f"{_layout(options).search_path}: no crop with raw has one of {', '.join(options.classes)}{at}. Correct the "
                     "paths, or name other classes")


def _rules(options: argparse.Namespace) -> "Rules":
    from lsd_experiments.families.cellmap.classes import INSTANCES
    from lsd_experiments.families.cellmap.evaluation import Rules

    return Rules(options.rules, options.parity, options.instance_classes or INSTANCES)


def _targets(options: argparse.Namespace) -> "list[Target] | None":
    from lsd_experiments.families.cellmap.manifest import read_manifest

    return read_manifest(options.manifest) if options.manifest else None


def _scale(values: list[float] | None) -> list[float] | None:
    if values is None or len(values) == 3:
        return values
    if len(values) != 1:
        raise UserError(f"--scale has {len(values)} numbers. Give one, or z,y,x in nm")
    return values * 3


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("is empty")
    return names


def _numbers(text: str) -> list[float]:
    return [cli.positive_number(part) for part in text.replace(",", " ").split()]


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.prog = "csc"
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_split(commands)
    _add_packing(commands)
    _add_evaluation(commands)
    told = commands.add_parser("version", help="print the version")
    told.set_defaults(command=version)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # here, too
    return parser


def _add_split(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    making = commands.add_parser("make-datasplit", help="divide the annotated crops into training and validation")
    making.set_defaults(command=make_datasplit)
    counting = commands.add_parser("get-counts", help="in how many crops each class is annotated")
    counting.set_defaults(command=get_counts)
    for one in (making, counting):
        one.add_argument("--classes", "-c", type=_names, default=["nuc", "er"], help="like nuc,er (default)")
        one.add_argument("--search-path", "--search_path", "-sp", help=f"where datasets lie (default: {SEARCH_PATH})")
        one.add_argument("--use-s3", "--use_s3", "-s3", action="store_true", help=f"look in the challenge's bucket, {BUCKET}")
        one.add_argument("--raw-name", "--raw_name", "-rn", default="em/fibsem-uint8", help="default: %(default)s")
        one.add_argument("--crop-name", "--crop_name", "-cn", default="labels/groundtruth/{crop}/{label}",
                         help="default: %(default)s")
    making.add_argument("--scale", "-s", type=_numbers, help="nm, one or z,y,x: only classes annotated at least as finely")
    making.add_argument("--validate-ratio", "-vr", type=float, default=0.1, help="share that validates (default: %(default)s)")
    making.add_argument("--seed", type=cli.not_negative, default=42, help="equal seeds give equal splits (default: %(default)s)")
    force = making.add_mutually_exclusive_group()
    force.add_argument("--force-all-classes", "-fa", dest="force", action="store_const", const=True, default=False,
                       help="leave out crops that lack a class")
    force.add_argument("--force-all-classes-train", "-ft", dest="force", action="store_const", const="train",
                       help="crops that train have all classes, others validate")
    force.add_argument("--force-all-classes-validate", "-fv", dest="force", action="store_const", const="validate",
                       help="crops that validate have all classes, others train")
    making.add_argument("--csv-path", "--csv_path", "-cp", type=Path, default=Path("datasplit.csv"), help="default: %(default)s")
    making.add_argument("--datasets", "-ds", type=_names, default=["*"], help="like jrc_cos7-1a,jrc_mus*")
    making.add_argument("--crops", "-cr", type=_names, default=["*"], help="like crop1,crop2")


def _add_packing(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    packing = commands.add_parser("pack-results", help="pack what was processed into submission.zarr and submission.zip")
    packing.set_defaults(command=pack_results)
    packing.add_argument("--input-search-path", "--input_search_path", "-i", default="data/processed/{dataset}.zarr/{crop}",
                         help="where processed crops lie (default: %(default)s)")
    packing.add_argument("--output-path", "--output_path", "-o", type=Path, default=Path("data/submission.zarr"),
                         help="default: %(default)s")
    packing.add_argument("--overwrite", "-O", action="store_true", help="replace what is there")
    checking = commands.add_parser("validate", help="say what is wrong with a submission, or Pass")
    checking.set_defaults(command=validate)
    checking.add_argument("submission", metavar="SUBMISSION", help="a zarr directory, or a zip file of one")
    for one in (packing, checking):
        one.add_argument("--manifest", "-m", default=MANIFEST, help="of the test crops (default: %(default)s)")


def _add_evaluation(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    scoring = commands.add_parser("evaluate", help="score a submission against a truth")
    scoring.set_defaults(command=evaluate)
    scoring.add_argument("--submission-path", "--submission_path", "-s", type=Path, default=Path("data/submission.zip"),
                         help="default: %(default)s")
    scoring.add_argument("--result-file", "--result_file", "-r", type=Path, default=Path("result.json"),
                         help="%(default)s; beside it, result_extended.json has all counts")
    batch = commands.add_parser("batch-eval", help="score the submissions of a table, one after the other")
    batch.set_defaults(command=batch_eval)
    batch.add_argument("--csv-path", "--csv_path", "-c", type=Path, required=True, help="columns data_path,evaluation_id")
    batch.add_argument("--results", type=Path, default=Path("results"), help="where results are put (default: %(default)s)")
    for one in (scoring, batch):
        one.add_argument("--truth-path", "--truth_path", "-t", type=Path, default=Path("data/ground_truth.zarr"),
                         help="default: %(default)s")
        one.add_argument("--rules", choices=RULES, default="latest", help="as of when to score (default: %(default)s)")
        one.add_argument("--parity", action="store_true", help="with the published program's defects: docs/cellmap.md")
        one.add_argument("--instance-classes", "--instance_classes", "-ic", type=_names, help="in place of the challenge's")
        one.add_argument("--manifest", "-m", help="where crops are scored (default: where the truth lies)")
