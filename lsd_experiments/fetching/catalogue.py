"""``01_data/datasets.toml``: what was published, and where it is."""

from pathlib import Path
from typing import Self

import pydantic

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.settings import Settings, load_settings


class Bucket(Settings):
    """An S3 bucket that is read without credentials; ``licence`` counts where a dataset has none of its own."""

    name: str
    region: str
    licence: str


class Images(Settings):
    """Container images: ``names`` below ``prefix``, the paper's first."""

    prefix: str
    names: tuple[str, ...]


class Entry(Settings):
    """A dataset as published.

    :param prefix: of its training volumes' keys; the checkpoints are below it, too
    :param voxel_size: (z, y, x) in nm
    :param background_ids: labels beside 0 that are no neurons
    :param probabilities: of each volume to be drawn in training; None: all alike
    :param iterations: of the checkpoint that the paper evaluates, by variant
    """

    description: str
    paper: str
    licence: str
    prefix: str
    voxel_size: tuple[float, float, float]
    raw: str
    labels: str
    background_ids: tuple[int, ...]
    volumes: tuple[str, ...]
    probabilities: tuple[float, ...] | None = None
    iterations: dict[str, int]

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.volumes)) < len(self.volumes):
            raise ValueError("volumes: a name is there twice")
        if self.probabilities is not None and len(self.probabilities) != len(self.volumes):
            raise ValueError("probabilities: must be as many as volumes")
        return self


class Catalogue(Settings):
    """All that was published."""

    bucket: Bucket
    images: Images
    datasets: dict[str, Entry]

    def entry(self, dataset: str) -> Entry:
        """The entry of ``dataset``, or a UserError that names those there are."""
        if dataset not in self.datasets:
            raise UserError(f"no dataset '{dataset}'{nearest(dataset, self.datasets)} (known: {', '.join(self.datasets)})")
        return self.datasets[dataset]


def load_catalogue(path: str | Path) -> Catalogue:
    """Read ``datasets.toml``.

    :raises UserError: if it is missing, or does not fit.
    """
    return load_settings(path, Catalogue)
