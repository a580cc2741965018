"""What a dataset is to its experiments, as ``dataset.toml`` says it: facts of the data, each with its source beside it.

    02_train/<dataset>/dataset.toml      read by all experiments below
    02_train/<dataset>/<variant>/        train.py, predict.py, ...

An experiment's directory that lies elsewhere takes its dataset.toml along, into itself or into the directory that it is in.
Axes are (z, y, x), voxel sizes in nm.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import pydantic

from lsd_experiments.errors import UserError
from lsd_experiments.raw_range import Setting, parse
from lsd_experiments.settings import Settings, load_settings

FILE = "dataset.toml"
Size = Annotated[int | float, pydantic.Field(gt=0, allow_inf_nan=False)]  # a whole number stays one, in checkpoints too
Nm = Annotated[float, pydantic.Field(allow_inf_nan=False)]
Share = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


class ValidationPart(Settings):
    """A part of a training volume that is kept for validation: to training it is as if the labels ended there.

    :param volume: its name in the dataset's directory
    :param offset: (z, y, x) in nm, where in the world it begins; ``size``: nm. Without both, it is all of the volume
    """

    volume: str
    offset: tuple[Nm, Nm, Nm] | None = None
    size: tuple[Size, Size, Size] | None = None

    @pydantic.model_validator(mode="after")
    def _check_both(self) -> "ValidationPart":
        if (self.offset is None) != (self.size is None):
            raise ValueError("offset and size come together. Give both, or none, which is all of the volume")
        return self


class Dataset(Settings):
    """The facts that all experiments on one dataset share.

    :param name: what provenance calls it
    :param voxel_size: nm
    :param directory: of the training volumes; in the file, seen from it
    :param volumes: their names there, or patterns of names
    :param probabilities: of each of ``volumes`` to be drawn (default: all alike)
    :param raw: dataset of each volume, as the next three are
    :param labels_mask: 1 where labels count; a volume may lack it
    :param unlabeled_mask: of sparse labels, 1 on labelled voxels; no volume may lack it
    :param background_ids: labels that are no objects, beside 0, and are left out of a labels mask
    :param raw_range: which values of raw are 0 and 1, as ``train.py --raw-range`` (default: by its type, or what volumes hold)
    :param validation: parts of the volumes that are kept for validation, see :class:`ValidationPart`
    :param predicted: the volume that predict.py takes if none is named; ``predicted_raw``: its raw (default: ``raw``)
    """

    name: str = pydantic.Field(min_length=1)
    voxel_size: tuple[Size, Size, Size]
    directory: Path
    volumes: tuple[str, ...] = pydantic.Field(min_length=1)
    probabilities: tuple[Share, ...] | None = None
    raw: str = "volumes/raw"
    labels: str = "volumes/labels/neuron_ids"
    labels_mask: str = "volumes/labels/labels_mask"
    unlabeled_mask: str | None = None
    background_ids: tuple[int, ...] = ()
    raw_range: Setting | None = None
    predicted: str | None = None
    predicted_raw: str | None = None
    validation: tuple[ValidationPart, ...] = ()

    @pydantic.field_validator("raw_range", mode="before")
    @classmethod
    def _parse_range(cls, value: Any) -> Any:
        try:
            return None if value is None else parse(value, "raw_range")
        except UserError as error:
            raise ValueError(str(error).removeprefix("raw_range: ")) from error

    @pydantic.field_validator("probabilities")
    @classmethod
    def _check_probabilities(cls, value: tuple[float, ...] | None, info: pydantic.ValidationInfo) -> tuple[float, ...] | None:
        volumes = info.data.get("volumes", ())
        if value is not None and (len(value) != len(volumes) or sum(value) <= 0):
            raise ValueError(f"must be a number for each of the {len(volumes)} volumes, not all 0")
        return value

    def training_volumes(self) -> list[tuple[Path, float]]:
        """The training volumes that are there, and the probability of each to be drawn, relative to others."""
        shares = self.probabilities or (1.0,) * len(self.volumes)
        return [(path, share) for name, share in zip(self.volumes, shares, strict=True)
                for path in sorted(self.directory.glob(name))]


def load_dataset(path: str | Path) -> Dataset:
    """The dataset of a ``dataset.toml``, whatever it is called, or of an experiment's directory.

    :raises UserError: if there is no such file, or it is wrong: the first wrong key is named
    """
    file = Path(path) if Path(path).name == FILE or Path(path).is_file() else find_file(path)
    if file is None:
        raise UserError(f"{path}: neither it nor the directory around it has a {FILE}, which says what the data are. Copy that "
                        f"of its dataset to {_normal(path).parent}")
    found = load_settings(file, Dataset)
    return found.model_copy(update={"directory": _normal(file.resolve().parent / found.directory)})


def find_dataset(setup: str | Path) -> Dataset | None:
    """The dataset of an experiment's directory, or None if there is no ``dataset.toml``.

    :raises UserError: if it is wrong
    """
    file = find_file(setup)
    return None if file is None else load_dataset(file)


def find_file(setup: str | Path) -> Path | None:
    """The ``dataset.toml`` of an experiment's directory: in it, in the one around it, or around the one that it links to."""
    directory = _normal(setup)
    places = (directory, directory.parent, directory.resolve().parent)
    return next((place / FILE for place in places if (place / FILE).is_file()), None)


def datasets_below(experiments: Path) -> dict[str, Path]:
    """Each ``dataset.toml`` of ``experiments``, 02_train, by the name of its directory."""
    return {path.parent.name: path for path in sorted(experiments.glob(f"*/{FILE}"))}


def _normal(path: str | Path) -> Path:
    """``path``, absolute and without ``..``; links stay."""
    return Path(os.path.normpath(Path(path).absolute()))
