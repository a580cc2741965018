"""Which format is written where, and what its options are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments.arrays import can_add, precomputed_writing
from lsd_experiments.arrays.levels import plan_levels
from lsd_experiments.arrays.local import kind_of
from lsd_experiments.arrays.opening import HDF5_SUFFIXES, TIFF_SUFFIXES
from lsd_experiments.conversion import layouts
from lsd_experiments.conversion.layouts import SCALED, SHARDED, Layout
from lsd_experiments.conversion.view import View
from lsd_experiments.errors import UserError

FILES = ("hdf5", "tiff")
FORMATS = (*layouts.FORMATS, *FILES)
WHOLE = ("precomputed", "tiff")  # one volume, without datasets
SUFFIXES = {".zarr": "zarr", ".n5": "n5", ".precomputed": "precomputed", **dict.fromkeys(HDF5_SUFFIXES, "hdf5"),
            **dict.fromkeys(TIFF_SUFFIXES, "tiff")}
LIES = {"zarr2": "zarr"}  # what the formats are called here that directories are told to be of
NAMES = ".zarr, .n5, .h5, .hdf, .hdf5, .tif, .tiff or .precomputed"
KINDS = ("labels", "raw")


@dataclass(frozen=True)
class Options:
    """What is asked for; None: what fits the volume.

    :param format: one of :data:`FORMATS`
    :param kind: whether it is labels or raw, which says how coarser levels are made, and how it is shown
    :param levels: resolutions, at most
    :param reduce: how coarser levels are made: mean, mode or nearest
    :param sharded: whether many chunks lie in one file
    :param encoding: of precomputed: raw, jpeg or compressed_segmentation
    """

    format: str | None = None
    kind: str | None = None
    levels: int | None = None
    reduce: str | None = None
    sharded: bool = False
    encoding: str | None = None

    def check(self, kind: str) -> None:
        """:raises UserError: if format ``kind`` has no such option"""
        found = [("--levels", self.levels is not None, SCALED), ("--reduce", self.reduce is not None, SCALED),
                 ("--shard", self.sharded, SHARDED), ("--encoding", self.encoding is not None, ("precomputed",)),
                 ("--kind", self.kind is not None, SCALED)]
        for name, is_given, formats in found:
            if is_given and kind not in formats:
                raise UserError(f"{name} is for {' and '.join(formats)}, and this is {kind}. Leave it out, or name another "
                                "--format")


ANY = Options()


def format_of(container: str, asked: str | None = None) -> str:
    """The format of what is written into ``container``: that which lies there, or ``asked`` for, or else by its suffix.

    :raises UserError: if that is none that is written, or another one lies there
    """
    path = Path(container)
    lies = kind_of(path) if path.is_dir() else None
    lies = LIES.get(lies, lies) if lies else None
    named = "ome-zarr" if path.name.lower().endswith(".ome.zarr") else SUFFIXES.get(path.suffix.lower())
    lies_so = "ome-zarr" if (lies, named) == ("zarr3", "ome-zarr") else lies
    found = asked or lies_so or ("n5" if path.is_dir() and can_add(path) and path.suffix != ".zarr" else named)
    if "://" in container or found is None:
        raise UserError(f"{container}: of no format that is written. Name a {NAMES}, or a --format")
    if found in FILES and SUFFIXES.get(path.suffix.lower()) != found:
        suffix = ".h5 or .hdf" if found == "hdf5" else ".tif"
        raise UserError(f"{container}: no name of a file of format {found}. Name a {suffix}")
    if lies is not None and {found, lies} not in ({found}, {"zarr3", "ome-zarr"}):
        raise UserError(f"{container}: is there, and is {lies}, not {found}. Name another output, or leave out --format")
    return found


def layout_of(view: View, kind: str, options: Options) -> Layout:
    """How ``view`` is written in format ``kind``, one of directories.

    :raises UserError: if that format does not hold such a volume
    """
    options.check(kind)
    name, channels, dtype = view.source.name, view.source.channels, view.dtype
    if kind not in SCALED:
        levels = plan_levels(view.shape, view.voxel_size, view.offset, most=1)
        return Layout(kind, levels, dtype, channels, is_sharded=options.sharded)
    is_labels = view.is_labels if options.kind is None else options.kind == "labels"
    how = options.reduce or ("mode" if is_labels else "mean")
    if is_labels and how == "mean":
        raise UserError(f"{name}: labels or a mask, and a mean of ids would be another id. Reduce it by mode or nearest, or say "
                        "that its kind is raw")
    if kind == "ome-zarr":
        levels = plan_levels(view.shape, view.voxel_size, view.offset, most=options.levels)
        return Layout(kind, levels, dtype, channels, how, is_labels, options.sharded)
    encoding = options.encoding or precomputed_writing.default_encoding(dtype, is_labels and channels in (None, 1))
    precomputed_writing.check(name, dtype, channels, encoding, is_labels)
    first = precomputed_writing.first_voxel(name, view.offset, view.voxel_size)
    levels = plan_levels(view.shape, view.voxel_size, view.offset, first, options.levels)
    is_segmentation = is_labels and channels in (None, 1)  # of more, such as masks of several classes, neuroglancer shows none
    return Layout(kind, levels, dtype, channels, how, is_segmentation, encoding=encoding)


def record(layout: Layout) -> dict[str, Any]:
    """What of ``layout`` the result depends on, for its provenance; empty for formats of one way alone."""
    if layout.kind in ("zarr", "n5"):
        return {}
    said: dict[str, Any] = {"format": layout.kind, "sharded": layout.is_sharded}
    if layout.kind in SCALED:
        said |= {"kind": "labels" if layout.is_labels else "raw", "levels": len(layout.levels), "reduce": layout.how}
    return {**said, "encoding": layout.encoding} if layout.encoding else said

