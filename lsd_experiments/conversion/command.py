"""The command behind 01_data/convert.py."""

import argparse
import math

import numpy as np

from lsd_experiments import cli
from lsd_experiments.arrays.grids import show
from lsd_experiments.arrays.precomputed_writing import ENCODINGS
from lsd_experiments.conversion.casting import DTYPES, Cast
from lsd_experiments.conversion.channels import one_channel
from lsd_experiments.conversion.formats import FILES, FORMATS, KINDS, Options, layout_of
from lsd_experiments.conversion.layouts import SCALED, Layout
from lsd_experiments.conversion.reducing import WAYS
from lsd_experiments.conversion.view import View
from lsd_experiments.conversion.writing import check_output, convert, is_converted
from lsd_experiments.masks.command import label_id

NONE = "-"  # in place of a dataset


def main(description: str | None) -> None:
    """Run the command."""
    cli.run(run, _parser(description))


def run(options: argparse.Namespace) -> None:
    """Convert what the options name.

    :raises UserError: if the input is missing or no volume, or the output cannot be written, or is there.
    """
    from tqdm import tqdm

    view, container, dataset = make_view(options), options.output, _dataset(options.output_dataset)
    kind = check_output(container, dataset, options.format)
    shown = options.kind if kind in SCALED or options.resample is None else None  # of other formats it is for --resample alone
    wanted = Options(options.format, shown, options.levels, options.reduce, options.shard, options.encoding)
    wanted.check(kind)
    name = container if dataset is None else f"{container}:{dataset}"
    if not options.overwrite and is_converted(view, container, dataset, wanted):
        print(f"{name}: is there already, made like this")
        return
    layout = None if kind in FILES else layout_of(view, kind, wanted)
    voxels = sum(math.prod(level.shape) for level in (layout.levels if layout else [view]))
    with tqdm(total=voxels, desc="converting", unit="voxel", unit_scale=True, leave=False, disable=None) as bar:
        def skip(voxels: int) -> None:
            if not bar.disable:  # as where stderr is no terminal: it has no rate then
                bar.n += voxels
                bar.initial, bar.last_print_n = bar.initial + voxels, bar.n  # the rate is that of this run

        convert(view, container, dataset, options.overwrite, bar.update, wanted, skip)
    shape = (*filter(None, [view.source.channels]), *view.shape)
    print(f"{name}: {show(shape)} {view.dtype}, {show(view.voxel_size)} nm each, from {show(view.offset)} nm"
          + (_resolutions(layout) if layout and kind in SCALED else ""))
    if view.cast is not None and view.cast.limits is not None:
        low, high = view.cast.limits
        print(f"{low:g} to {high:g} became all of {view.dtype}; {view.cast.clipped} of {math.prod(shape)} values were outside, "
              "clipped")


def _resolutions(layout: Layout) -> str:
    """How many there are, and how they were made, which was guessed if nobody said it."""
    return f", at {len(layout.levels)} resolutions, {'labels' if layout.is_labels else 'raw'} by {layout.how}"


def make_view(options: argparse.Namespace) -> View:
    """What is to be written.

    :raises UserError: if there is no such volume, or it cannot be sampled like this.
    """
    from lsd_experiments.arrays import open_volume

    dataset = _dataset(options.input_dataset)
    source = open_volume(options.input, dataset, voxel_size=options.voxel_size)
    if options.channel is not None:
        source = one_channel(source, options.channel)
    keep = None if options.keep_labels is None else tuple(sorted({*options.keep_labels}))
    size = None if options.resample is None else tuple(options.resample)
    view = View(source, options.downsample, bool(options.transpose), keep, tuple(sorted({*options.exclude})), _cast(options),
                size, options.nearest, options.kind)
    view.check()
    return view


def _cast(options: argparse.Namespace) -> Cast | None:
    if options.dtype is None and options.range is None:
        return None
    low, high = options.range or (0.0, 0.0)
    return Cast(np.dtype(options.dtype or "uint8"), None if options.range is None else (low, high))


def _dataset(text: str) -> str | None:
    return None if text in (NONE, "") else text


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    add = parser.add_argument
    add("input", metavar="INPUT", help="zarr, N5, precomputed, HDF5, TIFF, MRC, ... or crop (.json), or its address: s3://bucket/prefix")
    add("input_dataset", metavar="INPUT_DATASET", help="like volumes/raw; - for TIFF, and where there is one only")
    add("output", metavar="OUTPUT", help="a .zarr, .n5, .h5, .tif or .precomputed, or what --format says; what else it holds "
        "stays")  # fmt: skip
    add("output_dataset", metavar="OUTPUT_DATASET", help="like volumes/training_raw; - for TIFF and precomputed, and where the "
        "container itself is the volume")  # fmt: skip
    add("--downsample", type=cli.positive, default=1, metavar="N", help="take every N-th voxel along z, y and x (default: 1)")
    add("--resample", type=cli.positive_number, nargs=3, metavar=("Z", "Y", "X"),
        help="nm: resample to voxels of this size, raw by means and linear interpolation")
    add("--nearest", action="store_true", help="with --resample: take the nearest voxel, as of labels and masks")
    add("--transpose", type=int, choices=(0, 1), nargs="?", const=1, default=0,
        help="reverse z, y, x, their voxel size and offset; channels stay first. Without a value at the end of the line "
             "or before another option (default: 0)")  # fmt: skip
    add("--keep_labels", "--keep-labels", type=label_id, nargs="+", metavar="ID", help="set all other labels to 0")
    add("--exclude", type=label_id, nargs="+", default=[], metavar="ID", help="set these labels to 0, like -1 of signed types")
    add("--dtype", choices=DTYPES, help="of the result: values that do not fit are an error, unless --range says what becomes "
        "of them (default: as it is; with --range uint8)")  # fmt: skip
    add("--range", type=float, nargs=2, metavar=("LOW", "HIGH"),
        help="the values that become the least and the greatest of the type (of floats: 0 and 1); what is outside is clipped")
    add("--channel", type=cli.not_negative, metavar="N", help="take channel N, from 0, of [c, z, y, x] or of a colour TIFF")
    add("--voxel-size", type=cli.positive_number, nargs=3, metavar=("Z", "Y", "X"),
        help="of the input, where it stores none or a wrong one, nm")
    add("--overwrite", action="store_true", help="replace the dataset, the file, or the directory that this command wrote")
    add("--format", choices=FORMATS, help="of the output (default: that which lies there, or its suffix says)")
    add("--levels", type=cli.positive, metavar="N", help="of OME-Zarr and precomputed: resolutions, at most (default: until one "
        "is a chunk)")  # fmt: skip
    add("--kind", choices=KINDS, help="of these, and for --resample: what it is (default: told by the dataset's "
        "name and type)")  # fmt: skip
    add("--reduce", choices=WAYS, help="of these: how a coarser level is made of the one before (default: labels by mode, raw by "
        "mean, which labels have none of)")  # fmt: skip
    add("--encoding", choices=ENCODINGS, help="of precomputed (default: compressed_segmentation for ids of uint32 and "
        "uint64, else raw; jpeg loses)")  # fmt: skip
    add("--shard", action="store_true", help="of zarr 3 and OME-Zarr: 64 chunks in a file")
    return parser
