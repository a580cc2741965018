"""``01_data/datasets.toml``: what was published, and where it is."""

import re
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


class Release(Settings):
    """Files of a dataset that are at URLs: ``url`` and a path, whose last part is the name here.

    :param prefix: where they go, below 01_data; a mirror has them there, too
    :param training: paths of what training needs, which is fetched if nothing else is said
    :param further: of what ``--all`` adds
    :param on_request: of what is fetched by name only
    :param checkpoints: path of a variant's weights
    :param iterations: of these weights
    :param sha256: published checksums, by name
    :param md5: the same, where MD5s are published
    """

    description: str
    paper: str
    licence: str
    url: str
    prefix: str
    training: tuple[str, ...]
    further: tuple[str, ...] = ()
    on_request: tuple[str, ...] = ()
    checkpoints: dict[str, str] = pydantic.Field(default_factory=dict)
    iterations: dict[str, int] = pydantic.Field(default_factory=dict)
    sha256: dict[str, str] = pydantic.Field(default_factory=dict)
    md5: dict[str, str] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        names = [path.rpartition("/")[2] for path in self._paths()]
        if len(set(names)) < len(names):
            raise ValueError("two files have the same name")
        if self.iterations.keys() != self.checkpoints.keys():
            raise ValueError("iterations: must be of the same variants as checkpoints")
        for kind, digits in (("sha256", 64), ("md5", 32)):
            for name, value in getattr(self, kind).items():
                if name not in names or not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
                    raise ValueError(f"{kind}.{name}: must be the {digits} hexadecimal digits of one of the files")
        return self

    @property
    def data(self) -> tuple[str, ...]:
        """The names of what is no checkpoint."""
        return tuple(name for name, path in self.paths.items() if path not in self.checkpoints.values())

    @property
    def paths(self) -> dict[str, str]:
        """The path of each file, by name."""
        return {path.rpartition("/")[2]: path for path in self._paths()}

    def _paths(self) -> tuple[str, ...]:
        return (*self.training, *self.further, *self.on_request, *self.checkpoints.values())


class PublicVolume(Settings):
    """A whole volume that is read where it lies; ``voxel_size`` is (z, y, x) in nm, of its full resolution."""

    description: str
    licence: str
    voxel_size: tuple[float, float, float]
    address: str


class Catalogue(Settings):
    """All that was published: in the bucket, and as releases (no dataset is both); and whole volumes elsewhere."""

    bucket: Bucket
    images: Images
    datasets: dict[str, Entry]
    releases: dict[str, Release] = pydantic.Field(default_factory=dict)
    volumes: dict[str, PublicVolume] = pydantic.Field(default_factory=dict)

    def entry(self, dataset: str) -> Entry:
        """The entry of ``dataset``, or a UserError that names those there are."""
        if dataset not in self.datasets:
            known = [*self.datasets, *self.releases]
            raise UserError(f"no dataset '{dataset}'{nearest(dataset, known)} (known: {', '.join(known)})")
        return self.datasets[dataset]


def load_catalogue(path: str | Path) -> Catalogue:
    """Read ``datasets.toml``.

    :raises UserError: if it is missing, or does not fit.
    """
    return load_settings(path, Catalogue)
