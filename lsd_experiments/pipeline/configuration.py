"""Reads a configuration of the pipeline: one TOML (or JSON) file per data set.

Relative paths in it are relative to the file.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lsd_experiments.arrays import crops
from lsd_experiments.arrays.hierarchy import ONLY
from lsd_experiments.arrays.opening import is_crop, is_one_volume
from lsd_experiments.arrays.public import address_of
from lsd_experiments.blockwise.workers import STAGES
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.pipeline.settings import KINDS, AnyPipeline, PipelineSettings
from lsd_experiments.rag.address import is_url, split_password
from lsd_experiments.settings import Settings, parse_settings, read_values

PATHS = {"out_file", "raw_file", "setup", "db", "affs_file", "fragments_file", "mask_file", "labels_file", "skeletons_file",
         "out_prefix", "scores_db", "lsds_file", "lsds_setup", "image", "file", "directory"}
PUBLIC = {"raw_file", "labels_file", "mask_file"}  # may be names of public volumes
READ = (("", "raw_file", "raw_dataset"),
        ("fragments", "affs_file", "affs_dataset"), ("evaluate", "labels_file", "labels_dataset"),
        ("threshold", "file", "dataset"))
WRITTEN = ("out_file", "db", "fragments_file", "out_prefix", "scores_db", "directory")
DATABASE = "LSD_DATABASE"  # the environment variable that names the database, where the configuration does not
Pipeline = TypeVar("Pipeline", bound=AnyPipeline)


def load_pipeline(path: str | Path) -> PipelineSettings:
    """Read a configuration of kind ``neurons``.

    :raises UserError: if it is missing, of another kind or does not fit; the key is named, and the nearest known one.
    """
    settings = load_any(path)
    if not isinstance(settings, PipelineSettings):
        raise UserError(f'{path}: is of kind "{settings.kind}", which has no region graph. Name one of kind "neurons"')
    return settings


def load_any(path: str | Path) -> AnyPipeline:
    """Read a configuration of any kind.

    :raises UserError: if it is missing or does not fit; the key is named, and the nearest known one.
    """
    given = read_values(Path(path))
    settings = parse_settings(given, _kind(path, given), str(path))
    model = type(settings)
    for name, section in (("predict", settings.predict), ("evaluate", settings.evaluate)):
        if section is not None and (section.roi_offset is None) != (section.roi_shape is None):
            raise UserError(f"{path}: [{name}] needs both roi_offset and roi_shape, or none of them")
    values = _resolve(settings.model_dump(), Path(path).resolve().parent)
    for key, file, dataset in READ:
        given_part: Settings | None = getattr(settings, key, None) if key else settings
        part = values.get(key) if key else values
        if given_part is None or part is None or dataset in given_part.model_fields_set:
            continue
        if part[file] is not None and is_one_volume(part[file]):
            part[dataset] = ""  # the default is a name in a tree of datasets
    if "db" in values:
        values["db"] = _without_password(values["db"] or os.environ.get(DATABASE))
    for key, value in _paths(values):
        if key in ("out_file", "fragments_file") and value.lower().endswith(".json"):
            raise UserError(f"{path}: '{key}' is {value}, a crop: nothing is written to one. Name another place")
        if key in WRITTEN and "://" in value and not (key == "db" and is_url(value)):
            raise UserError(f"{path}: '{key}' is a URL, but results are written to files of this machine only. Name a path")
    config = model.model_validate(values)
    _check_only(path, config)
    return config


def _check_only(path: str | Path, config: AnyPipeline) -> None:
    """:raises UserError: if ``-`` stands for what is written, or for the only dataset of a container that gets others."""
    for key, dataset in config.written.items():
        if dataset == ONLY:
            raise UserError(f"{path}: '{key}' is '{ONLY}', which stands for what is there already. Name the dataset to write")
    written = {os.path.realpath(place) for place in (config.out_file, *config.containers.values())}
    for key, (file, dataset) in config.read.items():
        if dataset == ONLY and file is not None and not is_one_volume(file) and _end_of(file) in written:
            raise UserError(f"{path}: '{key}' stands for the only dataset of {file}, but that gets others. Name it")


def _end_of(container: str) -> str:
    """The container itself: of a crop, that of which it is a part."""
    try:
        return os.path.realpath(crops.end_of(Path(container)) if is_crop(container) else container)
    except UserError:  # said where it is opened
        return container


def _kind(path: str | Path, given: Mapping[str, Any]) -> type[AnyPipeline]:
    """The kind of a configuration.

    :raises UserError: if there is no such kind, or the configuration has what only others have
    """
    kind = given.get("kind", "neurons")
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(f"{path}: 'kind': there is no {kind!r}{nearest(str(kind), KINDS) or '.'} It is one of {', '.join(KINDS)}")
    workers = given.get("workers")
    sections = {other: set(model.model_fields) for other, model in KINDS.items()}
    tables = {other: set(model.stages) for other, model in KINDS.items()}
    found = [(key, key, sections) for key in given]
    found += [(f"workers.{key}", key, tables) for key in (workers if isinstance(workers, dict) else ())]
    for name, key, known in found:
        having = [f'"{other}"' for other, keys in known.items() if key in keys]
        if having and key not in known[kind]:
            raise UserError(f"{path}: '{name}' is for kind = {' or '.join(having)}, and this configuration's kind is \"{kind}\". "
                            "Leave it out, or set another kind")
    return KINDS[kind]


def with_num_workers(config: Pipeline, number: int) -> Pipeline:
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
        elif key in PATHS and value is not None:
            named = address_of(value, directory) if key in PUBLIC else value
            resolved[key] = named if "://" in named else os.path.normpath(directory / named)
    return resolved
