"""What ``evaluate_skeletons.py`` does: a segmentation on disk, or all thresholds of a pipeline, against skeletons."""

import argparse
from typing import TYPE_CHECKING, Any

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.reports import check_prefix, table, write_scores
from lsd_experiments.evaluation.skeleton_errors import find_errors
from lsd_experiments.evaluation.skeleton_options import roi_of
from lsd_experiments.evaluation.skeleton_reports import error_lines, summary, write_skeleton_scores
from lsd_experiments.evaluation.skeleton_volumes import nodes_in
from lsd_experiments.evaluation.skeletons import evaluate_skeletons
from lsd_experiments.provenance import provenance

if TYPE_CHECKING:
    from lsd_experiments.skeletons import Skeletons


def main(options: argparse.Namespace) -> int:
    """Do what the options say, see :func:`lsd_experiments.evaluation.skeleton_options.parser`; the exit status."""
    roi = roi_of(options)  # before anything is read
    if options.out is not None:
        check_prefix(options.out)
    if options.graph is not None:
        _evaluate_graph(options)
        return 0
    if options.mincut:
        raise UserError("--mincut needs the region graph: give the pipeline's configuration as --graph CONFIG")
    if options.segmentation_file is None:
        raise UserError("no segmentation to evaluate. Name SEG_FILE, or a pipeline's configuration as --graph CONFIG")
    _evaluate_volume(options, roi)
    return 0


def _evaluate_volume(options: argparse.Namespace, roi: Any) -> None:
    from lsd_experiments.arrays import list_datasets, open_volume
    from lsd_experiments.stages.inputs import check_whole

    path, scale = _skeletons_of(options), 1.0 if options.scale is None else options.scale
    only = list_datasets(options.segmentation_file) if options.segmentation_dataset is None else []
    volume = open_volume(options.segmentation_file, only[0] if len(only) == 1 else options.segmentation_dataset)
    check_whole(volume)
    found = nodes_in(volume, _read(path, scale), roi, options.downsampling)
    row = None if options.parity else evaluate_skeletons(found.skeletons, found.ids)
    needed = row is None or options.show_all_scores is False or row["skeletons"] > 1  # of one skeleton it leaves out all
    published = evaluate_skeletons(found.skeletons, found.ids, parity=True, voxels=found.voxels) if needed else None
    leader_board = None if published is None else float(published["xpress_erl_rand"])
    row = row or published
    assert row is not None, "one of the two was computed"
    if options.show_all_scores is False:
        print(leader_board)
    else:
        print(summary(row))
        if leader_board is not None:
            print(f"leader board, as published: {leader_board:.6f}" + (" (it can exceed 1)" if leader_board > 1 else ""))
    splits, merges = find_errors(found.skeletons, found.ids)
    if options.print_errors:
        print("", *error_lines(splits, merges, row["skeletons"], options.in_xyz), sep="\n")
    if options.out is not None:
        parameters = {"roi": roi, "downsampling": options.downsampling, "parity": options.parity, "scale": scale}
        made = provenance("evaluate_skeletons", parameters, {"segmentation": volume.name, "skeletons": str(path)})
        report = {"scores": row, "leader_board": leader_board, "provenance": made}
        write_skeleton_scores(options.out, report, splits, merges)


def _evaluate_graph(options: argparse.Namespace) -> None:
    from lsd_experiments.evaluation.skeleton_pipeline import evaluate_graph
    from lsd_experiments.pipeline.configuration import load_pipeline

    unfit = [name for name in ("print_errors", "segmentation_dataset") if getattr(options, name)]
    if unfit or options.downsampling > 1 or options.show_all_scores is False:
        raise UserError("--graph evaluates look-up tables on fragments: options of a segmentation do not fit it. Leave them out")
    if options.segmentation_file is not None and _skeletons_of(options) is not None:
        raise UserError("--graph evaluates a pipeline's own fragments, and takes no segmentation beside the skeletons. Leave out "
                        + options.segmentation_file)
    config = load_pipeline(options.graph)
    if options.skeletons is None:  # the one file that is named stands first
        options.skeletons, options.segmentation_file = options.segmentation_file, None
    path = _skeletons_of(options) or (config.evaluate.skeletons_file if config.evaluate else None)
    usual = config.evaluate.skeletons_scale if config.evaluate else 1.0
    scale = usual if options.scale is None else options.scale
    rows, made = evaluate_graph(config, _read(path, scale), roi_of(options), options.parity, options.mincut)
    print(table({config.agglomerate.merge_function: rows}))
    if options.mincut:
        print("", *_mincut_lines(rows), sep="\n")
    if options.out is not None:
        made["inputs"]["skeletons"] = str(path)
        write_scores({config.agglomerate.merge_function: rows}, options.out, made)


def _skeletons_of(options: argparse.Namespace) -> str | None:
    """:raises UserError: if two are named"""
    if options.skeletons is not None and options.skeleton_file is not None:
        raise UserError(f"{options.skeletons}, and --skeleton_file {options.skeleton_file}: name the skeletons once")
    path: str | None = options.skeleton_file if options.skeletons is None else options.skeletons
    return path


def _mincut_lines(rows: list[dict[str, Any]]) -> list[str]:
    keys = ("threshold", "splits_needed", "merges_needed", "unsplittable_fragments")
    return ["  ".join(key.replace("_", " ") for key in keys),
            *("  ".join(f"{row[key]:>{len(key)}g}" for key in keys) for row in rows)]


def _read(path: str | None, scale: float) -> "Skeletons":
    from lsd_experiments.skeletons import read_skeletons

    if path is None:
        raise UserError("no skeletons to evaluate on. Name a file of them after the segmentation")
    return read_skeletons(path, scale)
