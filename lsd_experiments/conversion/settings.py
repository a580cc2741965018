"""What ``[export]`` in a configuration of the pipeline may say."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lsd_experiments.arrays.hierarchy import ONLY
from lsd_experiments.conversion.formats import FILES, Options
from lsd_experiments.errors import UserError
from lsd_experiments.settings import Settings

SUFFIXES = {"precomputed": ".precomputed", "ome-zarr": ".ome.zarr", "zarr3": ".zarr", "zarr": ".zarr", "n5": ".n5", "hdf5": ".h5",
            "tiff": ".tif"}  # fmt: skip


class ExportSettings(Settings):
    """What is written for other programs.

    :param format: ``precomputed``, ``ome-zarr``, ``zarr3``, ``zarr``, ``n5``, ``hdf5`` or ``tiff``, see docs/formats.md
    :param directory: gets a container for each volume, like ``segmentation.precomputed`` (default:
        ``<out_file without suffix>_export``)
    :param datasets: of neurons ``segmentation``, ``fragments`` and ``affinities``, of classes ``masks``, of instances
        ``components`` and ``masks``; or datasets of ``out_file`` (default: the first one)
    :param levels: resolutions of precomputed and OME-Zarr, at most (default: until one is a chunk)
    :param reduce: how a coarser one is made: ``mean``, ``mode`` or ``nearest`` (default: ids by mode, others by mean)
    :param encoding: of precomputed: ``raw``, ``jpeg`` or ``compressed_segmentation`` (default: the last for ids, else raw)
    :param shard: of zarr 3 and OME-Zarr: 64 chunks in a file
    """

    format: Literal["precomputed", "ome-zarr", "zarr3", "zarr", "n5", "hdf5", "tiff"] = "precomputed"
    directory: str | None = None
    datasets: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] | None = None
    levels: Annotated[int, Field(ge=1)] | None = None
    reduce: Literal["mean", "mode", "nearest"] | None = None
    encoding: Literal["raw", "jpeg", "compressed_segmentation"] | None = None
    shard: bool = False

    @property
    def options(self) -> Options:
        """As convert.py has them."""
        return Options(self.format, None, self.levels, self.reduce, self.shard, self.encoding)

    @property
    def is_file(self) -> bool:
        """Whether a volume becomes a file."""
        return self.format in FILES

    @model_validator(mode="after")
    def _fits(self) -> "ExportSettings":
        try:
            self.options.check(self.format)
        except UserError as error:
            raise ValueError(str(error).replace("--format", "format").replace("--", "")) from error
        if ONLY in (self.datasets or ()):
            raise ValueError(f"'{ONLY}' in datasets stands for the only one, but out_file gets several. Name it")
        if self.datasets is not None and len({*map(file_stem, self.datasets)}) < len(self.datasets):
            raise ValueError("two datasets would be written to one place, which is named by the last part of a dataset's name")
        return self


def file_stem(dataset: str) -> str:
    """What the container of ``dataset`` is called, without a suffix."""
    return dataset.strip("/").rpartition("/")[2]
