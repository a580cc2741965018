"""The command behind ``02_train/snemi3d/segment.py``."""

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments import cli
from lsd_experiments.errors import NoVoxelSize, UserError

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume
    from lsd_experiments.geometry import Box

THRESHOLDS = (0.1, 0.3, 0.6)  # the published example's
SCORES = ("voi_split", "voi_merge", "voi_sum", "adapted_rand_error", "snemi3d_rand_error")
DECIDES = "snemi3d_rand_error"  # the challenge's
UNIT = (1.0, 1.0, 1.0)
DIRECT = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
SAID = (("MODEL", "TARGET_OPT"), ("MODEL", "OUT_PLANES"), ("DATASET", "DO_2D"))  # what tells channels
BYTES = 90  # per voxel: affinities in float32, fragments, distances, waterz's volumes


def main(description: str | None) -> None:
    """Run the command."""
    cli.run(run, parser(description))


def run(options: argparse.Namespace) -> None:
    """Segment, score, and write what is asked for."""
    from lsd_experiments.evaluation import check_prefix
    from lsd_experiments.evaluation.reports import rows_table, write_rows
    from lsd_experiments.families.pytc.waterz import merge_function, segment
    from lsd_experiments.provenance import provenance

    _check(options)
    merge_function(options.merge_function)
    affs, labels = inputs(options)
    channels = direct_channels(affs, options.channels)
    if options.scores is not None:
        check_prefix(options.scores)
    names = {threshold: f"segmentation_{threshold:g}" for threshold in options.thresholds}
    read = {"affinities": affs.name} | ({"labels": labels.name} if labels else {})
    made = provenance("segment_pytc", _parameters(options), read)
    _check_outputs(options, names)
    found = segment(affs.read()[channels], options.thresholds, options.merge_function, fragments=options.fragments,
                    aff_threshold=options.aff_threshold and tuple(options.aff_threshold))
    for name, segmentation in zip(names.values(), found, strict=True):
        _write(affs, options, name, segmentation, made)
    if labels is None:
        return
    rows = dict(zip(names.values(), _scores(found, labels, part_of(labels, affs), options.gt_border), strict=True))
    best = min(rows, key=lambda name: rows[name][DECIDES])
    print(rows_table(rows, SCORES))
    print(f"best by {DECIDES}: {options.out}:{best}")
    if options.scores is not None:
        write_rows(rows, Path(options.scores), made)


def inputs(options: argparse.Namespace) -> "tuple[Volume, Volume | None]":
    """Affinities, and labels of the same voxels if they are named.

    :raises UserError: if they do not fit each other, or are none
    """
    from lsd_experiments.arrays import check_labels, open_volume

    affs = open_volume(options.affinities, options.dataset, default="vol0", voxel_size=options.voxel_size)
    direct_channels(affs, options.channels)
    if options.labels is None:
        return affs, None
    named = (options.labels, options.labels_dataset)
    try:  # voxels of 1 nm are those of a file that does not say it
        labels = open_volume(*named, default="main", voxel_size=affs.voxel_size if affs.voxel_size == UNIT else None)
    except NoVoxelSize:
        labels = open_volume(*named, default="main", voxel_size=affs.voxel_size)
    check_labels(labels)
    part_of(labels, affs)
    return affs, labels


def direct_channels(affs: "Volume", chosen: Sequence[int] | None = None) -> list[int]:
    """The channels that are affinities of the direct neighbours in z, y and x: those ``chosen``, the only three, or what the file
    says of how it was predicted.

    :raises UserError: if that is not known
    """
    count = affs.channels or 0
    if chosen is not None:
        if max(chosen) >= count:
            raise UserError(f"--channels {max(chosen)}: {affs.name} has {count or 'no'} channels, counted from 0. Name "
                            "three of them")
        return [*chosen]
    if count < 3:
        raise UserError(f"{affs.name}: has {count or 'no'} channels; affinities have three, of z, y and x. Name others")
    found = [*range(3)] if count == 3 else _said_channels(affs)
    if found is None:
        raise UserError(f"{affs.name}: has {count} channels, and does not say which three are the affinities of the direct "
                        "neighbours. Name them by --channels Z Y X")
    return found


def _said_channels(affs: "Volume") -> list[int] | None:
    """By the configuration that inference notes; None if it notes none, or another number of such targets than one."""
    from lsd_experiments.families.pytc.configuration.options import split
    from lsd_experiments.families.pytc.inference.heads import neighborhood

    try:
        tree = json.loads(affs.attrs["configuration"]) if "configuration" in affs.attrs else None
        said = affs.attrs["provenance"]["parameters"] if tree is None else {
            f"{section}.{name}": tree[section][name] for section, name in SAID}
        targets, planes, flat = (said[f"{section}.{name}"] for section, name in SAID)
        counts = split(targets, planes, flat)
    except (KeyError, TypeError, ValueError, UserError):
        return None
    begins = itertools.accumulate(counts, initial=0)
    found = [[*range(begin, begin + 3)] for target, count, begin in zip(targets, counts, begins, strict=False)
             if neighborhood(target, count) == DIRECT]
    return found[0] if len(found) == 1 and planes == affs.channels else None


def part_of(labels: "Volume", affs: "Volume") -> "Box":
    """The voxels of ``labels`` that were predicted: by their place in the world; all of them, where their file says none.

    :raises UserError: if they do not cover what was predicted, or, without a place, are of another shape
    """
    from lsd_experiments.arrays import overlap
    from lsd_experiments.arrays.alignments import check_same_alignment

    check_same_alignment(affs, labels)
    if not any(labels.offset) and "offset" not in labels.attrs:
        if labels.shape != affs.shape:
            raise UserError(f"{labels.name}: has {_text(labels.shape)} voxels, {affs.name} has {_text(affs.shape)}. Name labels "
                            "of what was predicted, or a crop (.json) of them")
        return labels.box
    whole, theirs = overlap(affs, labels)
    if whole != affs.box:
        raise UserError(f"{labels.name}: covers voxels {whole.begin} to {whole.end} of {affs.name}, which has "
                        f"{_text(affs.shape)}. Name labels of all that was predicted, or correct an offset")
    return theirs


def _check(options: argparse.Namespace) -> None:
    if options.labels is None:
        for name in ("labels_dataset", "gt_border", "scores"):
            if getattr(options, name):
                raise UserError(f"--{name.replace('_', '-')}: is for --labels. Name labels, or leave it out")
    for threshold in options.thresholds:
        if not 0 < threshold <= 1:
            raise UserError(f"--thresholds {threshold:g}: is not above 0 and at most 1. Scores are 1 - affinity")
    if len(set(options.thresholds)) < len(options.thresholds):
        raise UserError("--thresholds: has one twice. Leave it out")


def _check_outputs(options: argparse.Namespace, names: Mapping[float, str]) -> None:
    """:raises UserError: if something is there, or cannot be written, before an hour of work"""
    from lsd_experiments.arrays.creating import check_zarr
    from lsd_experiments.writing import check_writable

    check_zarr(options.out)
    check_writable(options.out)
    there = [name for name in names.values() if (options.out / name).exists()]
    if there and not options.overwrite:
        raise UserError(f"{options.out}:{there[0]}: is there. Pass --overwrite, or name another place")


def _write(affs: "Volume", options: argparse.Namespace, name: str, segmentation: Any, made: Mapping[str, Any]) -> None:
    from lsd_experiments.arrays import create_volume
    from lsd_experiments.arrays.alignments import carried

    volume = create_volume(options.out, name, affs.shape, affs.voxel_size, affs.offset, "uint64", overwrite=options.overwrite,
                           attrs={"provenance": dict(made), **carried(affs)})
    volume.write(volume.box, segmentation)
    print(volume.name)


def _scores(segmentations: list[Any], labels: "Volume", part: "Box", gt_border: float) -> list[dict[str, float]]:
    from lsd_experiments.arrays.labels import read_ids
    from lsd_experiments.families.pytc.scores import scores

    truth = read_ids(labels, part)
    return [scores(segmentation, truth, gt_border) for segmentation in segmentations]


def _parameters(options: argparse.Namespace) -> dict[str, Any]:
    names = ("thresholds", "merge_function", "fragments", "aff_threshold", "gt_border")
    asked = {} if options.channels is None else {"channels": options.channels}
    return {**{name: getattr(options, name) for name in names}, **asked}


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def parser(description: str | None) -> argparse.ArgumentParser:
    """All options; ``description`` is the command's docstring."""
    parser = cli.parser(description)
    add = parser.add_argument
    add("affinities", metavar="AFFINITIES", help="container of affinities of z, y and x: main.py's result.h5 or .zarr; it is "
        f"held in memory, about {BYTES} bytes a voxel")
    add("out", metavar="OUT.zarr", type=Path, help="gets segmentation_<threshold>, for each threshold")
    add("--dataset", metavar="NAME", help="of the affinities (default: vol0, or the only one)")
    add("--channels", type=cli.not_negative, nargs=3, metavar=("Z", "Y", "X"),
        help="of affinities of the direct neighbours, from 0 on (default: the only three, or what the file says)")
    add("--voxel-size", type=cli.positive_number, nargs=3, metavar=("Z", "Y", "X"),
        help="nm, where the file does not say it: 30 6 6")
    add("--thresholds", type=float, nargs="+", default=list(THRESHOLDS), metavar="T",
        help=f"fragments whose score, 1 - affinity, is below T are united (default: {' '.join(f'{t:g}' for t in THRESHOLDS)})")
    add("--merge-function", default="aff50_his256", metavar="NAME",
        help="aff<Q>_his256, max<K>, or one of ours (default: %(default)s)")
    add("--fragments", choices=("2d", "3d"), default="2d", help="of sections, or of the volume (default: %(default)s)")
    add("--aff-threshold", type=float, nargs=2, metavar=("LOW", "HIGH"),
        help="of 3-D fragments: lower affinities are none, higher ones always join (default: 0.0001 0.9999)")
    scoring = parser.add_argument_group("scores")
    scoring.add_argument("--labels", metavar="CONTAINER", help="the truth: all thresholds are scored")
    scoring.add_argument("--labels-dataset", metavar="NAME", help="default: main, or the only one")
    scoring.add_argument("--gt-border", type=cli.positive_number, default=0, metavar="PIXELS",
                         help="leave out what is so near to a border of the truth, in its section (default: nothing)")
    scoring.add_argument("--scores", metavar="PREFIX", help="write PREFIX.json and PREFIX.csv")
    add("--overwrite", action="store_true", help="replace segmentations that are there")
    return parser
