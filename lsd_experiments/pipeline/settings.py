"""The configuration of the pipeline: one TOML (or JSON) file per data set.

Relative paths in it are relative to the file.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from lsd_experiments.agglomeration.settings import AgglomerateSettings
from lsd_experiments.arrays import crops
from lsd_experiments.arrays.hierarchy import ONLY
from lsd_experiments.arrays.opening import is_crop, is_one_volume
from lsd_experiments.blockwise.workers import STAGES, WorkersConfig
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.deciding import OF_LABELS, OF_SKELETONS, check_metric
from lsd_experiments.fragments.settings import FragmentsSettings, PositiveSize, Size
from lsd_experiments.options import renamed
from lsd_experiments.prediction.settings import PredictionSettings, PredictOptions
from lsd_experiments.rag.address import is_url, split_password
from lsd_experiments.segmentation.settings import ExtractSettings, FindSegmentsSettings
from lsd_experiments.settings import Settings, load_settings

PATHS = {"out_file", "raw_file", "setup", "db", "affs_file", "fragments_file", "mask_file", "labels_file", "skeletons_file",
         "out_prefix", "scores_db", "lsds_file", "lsds_setup", "image"}
READ = (("", "raw_file", "raw_dataset"),
        ("fragments", "affs_file", "affs_dataset"), ("evaluate", "labels_file", "labels_dataset"))
WRITTEN = ("out_file", "db", "fragments_file", "out_prefix", "scores_db")
DATABASE = "LSD_DATABASE"  # the environment variable that names the database, where the configuration does not
ROI = Size


class EvaluateSettings(Settings):
    """The ground truth: labels, skeletons, or both.

    :param labels_file: container of the labels
    :param skeletons_file: file of skeletons, or directory of SWC files, see docs/evaluation.md
    :param skeletons_scale: nm per unit of the skeletons' positions
    :param roi_offset: (z, y, x) in nm where the part to evaluate begins (default: all that is labelled, or fragments cover)
    :param roi_shape: (z, y, x) in nm, its size
    :param best: the score that says which threshold is the best (default: ``xpress_erl_rand`` with skeletons, else ``voi_sum``)
    :param out_prefix: of the files that get the scores (default: ``<out_file without suffix>_<merge function>``)
    :param scores_db: SQLite file that gets the scores, too: a table over checkpoints, see docs/xpress.md
    """

    labels_file: str | None = None
    labels_dataset: str = "volumes/labels/neuron_ids"
    skeletons_file: str | None = None
    skeletons_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1
    roi_offset: ROI | None = None
    roi_shape: PositiveSize | None = None
    best: str | None = None
    out_prefix: str | None = None
    scores_db: str | None = None

    @property
    def metric(self) -> str:
        """The score that says which threshold is the best."""
        return self.best or ("voi_sum" if self.skeletons_file is None else "xpress_erl_rand")

    @model_validator(mode="after")
    def _fits(self) -> "EvaluateSettings":
        if self.labels_file is None and self.skeletons_file is None:
            raise ValueError("name a labels_file, a skeletons_file, or both")
        known = {**(OF_LABELS if self.labels_file else {}), **(OF_SKELETONS if self.skeletons_file else {})}
        try:
            check_metric(self.metric, known)
        except UserError as error:
            raise ValueError(str(error)) from error
        return self


class PipelineSettings(Settings):
    """All stages.

    :param out_file: zarr container that gets all volumes
    :param setup: directory of the trained network, like ``02_train/fib25/mtlsd``
    :param iteration: of the checkpoint to predict with (default: the newest)
    :param db: SQLite file of the region graph, or ``postgresql://...`` (default: ``LSD_DATABASE`` in the environment, or
        a file beside ``out_file``)
    :param workers: where workers run, and how many; the result does not depend on it
    :param parity: do as the published code does where that has known faults, see docs/segmentation.md
    """

    out_file: str
    fragments: FragmentsSettings
    setup: str | None = None
    iteration: Annotated[int, Field(ge=1)] | None = None
    raw_file: str | None = None
    raw_dataset: str = "volumes/raw"
    db: str | None = None
    workers: WorkersConfig = WorkersConfig()
    parity: bool = False
    predict: PredictOptions = PredictOptions()
    agglomerate: AgglomerateSettings = AgglomerateSettings()
    find_segments: FindSegmentsSettings = FindSegmentsSettings()
    extract: ExtractSettings = ExtractSettings()
    evaluate: EvaluateSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_their_names(cls, values: Any) -> Any:
        """With the names of prediction's options, which may be spelt as on the command line."""
        return renamed(values, PredictionSettings) if isinstance(values, dict) else values

    @field_validator("predict", mode="before")
    @classmethod
    def _as_options(cls, values: Any) -> Any:
        return renamed(values, PredictOptions) if isinstance(values, dict) else values

    @property
    def db_place(self) -> str:
        """The region graph's file, or its URL without a password."""
        return self.db or str(Path(self.out_file).with_suffix(".db"))

    @property
    def affs(self) -> tuple[str, str]:
        """Container and dataset of the affinities."""
        return self.fragments.affs_file or self.out_file, self.fragments.affs_dataset

    @property
    def fragments_place(self) -> tuple[str, str]:
        """Container and dataset of the fragments."""
        return self.fragments.fragments_file or self.out_file, self.fragments.fragments_dataset

    @property
    def scores_prefix(self) -> Path:
        """What the files with the scores begin with."""
        if self.evaluate is not None and self.evaluate.out_prefix is not None:
            return Path(self.evaluate.out_prefix)
        out = Path(self.out_file)
        return out.with_name(f"{out.stem}_{self.agglomerate.merge_function}")


def load_pipeline(path: str | Path) -> PipelineSettings:
    """Read a configuration.

    :raises UserError: if it is missing or does not fit; the key is named, and the nearest known one.
    """
    settings = load_settings(path, PipelineSettings)
    for name, section in (("predict", settings.predict), ("evaluate", settings.evaluate)):
        if section is not None and (section.roi_offset is None) != (section.roi_shape is None):
            raise UserError(f"{path}: [{name}] needs both roi_offset and roi_shape, or none of them")
    values = _resolve(settings.model_dump(), Path(path).resolve().parent)
    for key, file, dataset in READ:
        given: Settings | None = getattr(settings, key) if key else settings
        part = values[key] if key else values
        if given is not None and dataset not in given.model_fields_set and part[file] is not None and is_one_volume(part[file]):
            part[dataset] = ""  # the default is a name in a tree of datasets
    values["db"] = _without_password(values["db"] or os.environ.get(DATABASE))
    for key, value in _paths(values):
        if key in ("out_file", "fragments_file") and value.lower().endswith(".json"):
            raise UserError(f"{path}: '{key}' is {value}, a crop: nothing is written to one. Name another place")
        if key in WRITTEN and "://" in value and not (key == "db" and is_url(value)):
            raise UserError(f"{path}: '{key}' is a URL, but results are written to files of this machine only. Name a path")
    config = PipelineSettings.model_validate(values)
    _check_only(path, config)
    return config


def _check_only(path: str | Path, config: PipelineSettings) -> None:
    """:raises UserError: if ``-`` stands for what is written, or for the only dataset of a container that gets others."""
    for key, dataset in (("fragments.fragments_dataset", config.fragments.fragments_dataset),
                         ("extract.out_dataset", config.extract.out_dataset)):
        if dataset == ONLY:
            raise UserError(f"{path}: '{key}' is '{ONLY}', which stands for what is there already. Name the dataset to write")
    evaluate = config.evaluate or EvaluateSettings.model_construct()
    read = {"raw_dataset": (config.raw_file, config.raw_dataset), "fragments.affs_dataset": config.affs,
            "fragments.mask_dataset": (config.fragments.mask_file, config.fragments.mask_dataset or ONLY),
            "predict.lsds_dataset": (config.predict.lsds_file, config.predict.lsds_dataset),
            "evaluate.labels_dataset": (evaluate.labels_file, evaluate.labels_dataset)}
    written = {os.path.realpath(place) for place in (config.out_file, config.fragments_place[0])}
    for key, (file, dataset) in read.items():
        if dataset == ONLY and file is not None and not is_one_volume(file) and _end_of(file) in written:
            raise UserError(f"{path}: '{key}' stands for the only dataset of {file}, but that gets others. Name it")


def _end_of(container: str) -> str:
    """The container itself: of a crop, that of which it is a part."""
    try:
        return os.path.realpath(crops.end_of(Path(container)) if is_crop(container) else container)
    except UserError:  # said where it is opened
        return container


def with_num_workers(config: PipelineSettings, number: int) -> PipelineSettings:
    """``config`` with so many workers at a time in all stages."""
    stages = {stage: getattr(config.workers, stage).model_copy(update={"num_workers": None}) for stage in STAGES}
    return config.model_copy(update={"workers": config.workers.model_copy(update={"num_workers": number, **stages})})


def _without_password(db: str | None) -> str | None:
    """``db``, whose password, if it has one, goes where PostgreSQL's library looks for it, here and in the workers."""
    if db is None or not is_url(db):
        return db
    url, password = split_password(db)
    if password is not None:
        os.environ["PGPASSWORD"] = password
    return url


def _paths(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The paths in ``values``, with their keys."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _paths(value)
        elif key in PATHS and value is not None:
            yield key, value


def _resolve(values: dict[str, Any], directory: Path) -> dict[str, Any]:
    """``values`` with all paths absolute; URLs stay as they are."""
    resolved = dict(values)
    for key, value in values.items():
        if isinstance(value, dict):
            resolved[key] = _resolve(value, directory)
        elif key in PATHS and value is not None and "://" not in value:
            resolved[key] = os.path.normpath(directory / value)
    return resolved
