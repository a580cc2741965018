"""What may be asked of a prediction: on the command line, as ``[predict]`` of a configuration, and of workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from lsd_experiments.errors import UserError
from lsd_experiments.options import FORBID, REQUIRED, Parsed, PositiveShape, PositiveSize, Size, Which, from_json, option
from lsd_experiments.raw_range import WHICH, Setting, parse

RAW = "volumes/raw"  # the dataset, where none is named
OF_LSDS = ("lsds_file", "lsds_dataset", "lsds_on_the_fly", "lsds_setup", "lsds_iteration")
TAKES_LSDS = "networks that take LSDs (aclsd, acrlsd)"


def parse_flips(given: str | Sequence[str]) -> str:
    """Axes, in the order of z, y, x.

    :raises UserError: if they are none
    """
    axes = "".join(map(str, given))
    if not axes or set(axes) - set("zyx") or len(set(axes)) < len(axes):
        raise UserError(f"{axes}: are no axes. Name some of zyx, each once")
    return "".join(axis for axis in "zyx" if axis in axes)


def parse_transposes(given: str | Sequence[str]) -> str:
    """As :func:`parse_flips`, but two axes at least."""
    axes = parse_flips(given)
    if len(axes) < 2:
        raise UserError(f"{axes}: one axis cannot be exchanged. Name two or three of zyx")
    return axes


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """How a network is applied. ROIs are in the world."""

    __pydantic_config__: ClassVar[Any] = FORBID

    raw_range: Annotated[Setting, Parsed(parse)] | None = option(
        None, f"{WHICH} (default: as in training; of another type of raw, what the volume holds)", metavar="VALUE")
    roi_offset: Size | None = option(None, "nm: where to predict (default: all that there is)")
    roi_shape: PositiveSize | None = option(None, "nm: how much")
    input_shape: PositiveShape | None = option(None, "voxels that a block reads (default: config.json's)")
    resample: bool = option(False, "raw of other voxels than the network's is resampled to these; outputs are of the network's")
    seamless: bool = option(False, "blocks that leave no seams: results do not depend on where blocks lie")
    patch_step: PositiveShape | None = option(
        None, "voxels from one patch of the network's output to the next (default: patches beside each other, or half "
        "overlapping if they are blended)")
    blend: Literal["crop", "gaussian", "bump"] = option(
        "crop", "what counts where patches overlap: their middle, or all, weighted (default: crop)")
    flips: Annotated[str, Parsed(parse_flips)] | None = option(
        None, "axes, like zyx: the mean with predictions of raw that is reversed along them, in all combinations",
        metavar="AXES")
    transposes: Annotated[str, Parsed(parse_transposes)] | None = option(
        None, "axes, like yx, of equal voxels: the same with raw whose axes are exchanged", metavar="AXES")
    parity: bool = option(
        False, "with flips and transposes, as PyTorch Connectomics has it: channels are not exchanged, voxels not shifted")
    plain_weights: bool = option(
        False, "those of the last iteration, though the training kept averages (train.py --average-weights)")
    precision: Literal["float32", "bfloat16"] = option("float32", "of convolutions (default: float32)")
    lsds_file: str | None = option(
        None, "predicted LSDs (default: test_prediction.zarr of the directory that makes them)", metavar="CONTAINER",
        group=TAKES_LSDS)
    lsds_dataset: str | None = option(None, "default: volumes/lsds", metavar="DATASET", group=TAKES_LSDS)
    lsds_on_the_fly: bool = option(False, "have the network of ../lsd make them of raw, in the same pass", group=TAKES_LSDS)
    lsds_setup: str | None = option(
        None, "the directory of the network that makes LSDs (default: lsd beside the network's)", metavar="DIRECTORY",
        group=TAKES_LSDS)
    lsds_iteration: Which | None = option(
        None, "its iteration, or best (default: the one trained with, or the newest)", "--lsds-checkpoint", "--lsds-iteration",
        names=("lsds_checkpoint",), metavar="N|best", group=TAKES_LSDS)


@dataclass(frozen=True)
class PredictionSettings(PredictOptions):
    """What to predict, as JSON values: what there is besides :class:`PredictOptions`, their help says what they mean.

    ``setup``: the experiment's directory. ``raw_file``: None for the one that its dataset calls predicted. ``shrink``: without an
    ROI, predict the part of raw whose context is raw too, not all of it.

    Networks that take LSDs read ``lsds_dataset`` of ``lsds_file`` (None: what predict_scan.py of ``lsds_setup`` wrote), and
    predict where these are; or, with ``lsds_on_the_fly``, have the network of ``lsds_setup`` (None: ``../lsd``) make them of raw.
    """

    setup: str
    raw_file: str | None = option(
        REQUIRED, "zarr, N5, HDF5, TIFF, s3://..., hemibrain, crop.json (default: dataset.toml's predicted)", metavar="CONTAINER")
    out_file: str = option(REQUIRED, "default: test_prediction.zarr", "--output", "--out-file", metavar="ZARR")
    raw_dataset: str | None = option(
        None, f"default: of that file dataset.toml's, else {RAW}; a TIFF has none", metavar="DATASET")
    iteration: Which | None = option(
        None, "the checkpoint's iteration, or best (default: the newest)", "--checkpoint", "--iteration", names=("checkpoint",),
        metavar="N|best")
    shrink: bool = False

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "PredictionSettings":
        """From what ``dataclasses.asdict`` gave, after a way through JSON."""
        return from_json(values, cls)
