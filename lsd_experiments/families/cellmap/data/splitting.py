"""The rows of the split that a configuration names; it is made first, if it is not there."""

import logging
from dataclasses import replace
from pathlib import Path

from lsd_experiments.arrays.addresses import is_address
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.configuration import Settings
from lsd_experiments.families.cellmap.split import Layout, Row, divide, find_crops, read_split, write_split
from lsd_experiments.geometry import Nanometres

SEARCH_PATH = "data/{dataset}/{dataset}.zarr/recon-1/{name}"
BUCKET = "s3://janelia-cosem-datasets/{dataset}/{dataset}.zarr/recon-1/{name}"
logger = logging.getLogger(__name__)


def rows_of(settings: Settings, layout: Layout | None = None) -> list[Row]:
    """The rows of ``datasplit_path`` with their classes among those of the settings; rows without one are left out.

    A split that is not there is made: of crops in ``data`` beside the configuration, or with ``use_s3`` in the challenge's
    bucket, those as fine as ``filter_by_scale`` says, ``validation_prob`` of them to validate with.

    :param layout: where crops lie, in place of these
    :raises UserError: if there is none, and nothing to make one of
    """
    path = settings.split_path
    if not path.exists():
        make_split(settings, path, layout)
    found = [replace(row, raw=_absolute(row.raw, path), labels=_absolute(row.labels, path),
                     classes=tuple(label for label in settings.classes if label in row.classes)) for row in read_split(path)]
    return [row for row in found if row.classes]


def make_split(settings: Settings, path: Path, layout: Layout | None = None) -> None:
    """Find the crops, divide them, and write the CSV."""
    where = layout or Layout(BUCKET if settings.use_s3 else f"{settings.base_experiment_path}/{SEARCH_PATH}")
    crops = find_crops(where, settings.classes, filter_scale(settings))
    if not crops:
        raise UserError(f"{where.search_path}: no crop with raw has one of {', '.join(settings.classes)}, and there is no split "
                        f"{path}. Fetch data there, or make a split with csc make-datasplit")
    write_split(path, divide(crops, settings.classes, settings.validation_prob, settings.random_seed))
    logger.info("%s: made, of %d crops", path, len(crops))


def filter_scale(settings: Settings) -> Nanometres | None:
    """As finely as a class must be annotated, nm: ``filter_by_scale``, of which True is the targets' scale."""
    said = settings.filter_by_scale
    if isinstance(said, bool):
        return settings.target_array_info["scale"] if said else None
    return said


def _absolute(path: str, split: Path) -> str:
    """A relative path is one from here, or, if there is nothing, from where the split is."""
    if is_address(path) or Path(path).is_absolute() or Path(path).exists():
        return path
    return str(split.parent / path)
