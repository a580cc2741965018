"""The parameters of a training, with their documented defaults."""

import dataclasses
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres, Voxels

NAMED = ("model_save_path", "logs_save_path", "datasplit_path")


class ArrayInfo(TypedDict):
    """``shape``: (z, y, x) voxels, 1 along an axis that a 2-D network does not see; ``scale``: (z, y, x) nm."""

    shape: Voxels
    scale: Nanometres


@dataclass(frozen=True, eq=False)
class Settings:
    """What a configuration says, and the defaults of what it does not say; checked. See docs/cellmap.md for each parameter.

    ``optimizer`` and ``scheduler``: None, one, or a class of PyTorch that makes one; ``criterion`` likewise.
    ``val_raw_value_transforms``: those of training without what is random, if not said.
    """

    path: Path
    base_experiment_path: Path
    batch_size: int
    classes: tuple[str, ...]
    criterion: Any
    criterion_kwargs: Mapping[str, Any]
    dataloader_kwargs: Mapping[str, Any]
    datasplit_path: str
    device: Any
    epochs: int
    filter_by_scale: bool | Nanometres
    force_all_classes: bool | str
    gradient_accumulation_steps: int
    input_array_info: ArrayInfo
    iterations_per_epoch: int
    learning_rate: float
    load_model: str | None
    logs_save_path: str
    low_is_best: bool
    max_grad_norm: float | None
    model: Any
    model_kwargs: Mapping[str, Any]
    model_name: str
    model_save_path: str
    model_to_load: str
    optimizer: Any
    process_func: Any
    random_seed: int
    scheduler: Any
    scheduler_kwargs: Mapping[str, Any]
    smoothing_window: int
    spatial_transforms: Mapping[str, Any]
    target_array_info: ArrayInfo
    target_value_transforms: Any
    train_raw_value_transforms: Any
    use_mutual_exclusion: bool
    use_s3: bool
    val_raw_value_transforms: Any
    validation_batch_limit: int | None
    validation_prob: float
    validation_time_limit: float | None
    weight_loss: bool
    weighted_sampler: bool
    given: frozenset[str] = field(default=frozenset())  # names that the file says

    @property
    def directory(self) -> Path:
        """What relative paths are relative to."""
        return self.base_experiment_path

    @cached_property
    def logs_path(self) -> Path:
        """Where TensorBoard's files are."""
        return self._path(self.logs_save_path, model_name=self.model_name)

    @cached_property
    def split_path(self) -> Path:
        """The CSV of the split."""
        return self._path(self.datasplit_path)

    def checkpoint_path(self, epoch: int | str, model_name: str | None = None) -> Path:
        """The file of an epoch; of another model than that which is trained, if it is named."""
        return self._path(self.model_save_path, epoch=epoch, model_name=model_name or self.model_name)

    @property
    def is_flat(self) -> bool:
        """Whether the network is 2-D."""
        return 1 in self.input_array_info["shape"]

    def replace(self, **changes: Any) -> "Settings":
        """The same with other values, which are checked as if the file said them."""
        from lsd_experiments.families.cellmap.configuration.checks import checked

        said = {name: getattr(self, name) for name in self.given} | changes
        return checked(said, self.path, self.base_experiment_path)

    def _path(self, pattern: str, **fields: Any) -> Path:
        return (self.base_experiment_path / pattern.format(**fields)).absolute()


PARAMETERS = tuple(one.name for one in dataclasses.fields(Settings) if one.name not in ("path", "given"))


def check_pattern(pattern: str, name: str, fields: tuple[str, ...], where: str) -> None:
    """:raises UserError: if ``pattern`` has other fields, or a checkpoint's no ``{epoch}``"""
    try:
        found = {part for _, part, _, _ in string.Formatter().parse(pattern) if part is not None}
    except ValueError as error:
        raise UserError(f"{where}: {name}: {pattern!r} is no pattern ({error}). Correct its braces") from error
    if unknown := sorted(found - set(fields)):
        known = " and ".join(f"{{{one}}}" for one in fields) or "no fields"
        raise UserError(f"{where}: {name}: {{{unknown[0]}}} is not known. Write {known}")
    if "epoch" in fields and "epoch" not in found:
        raise UserError(f"{where}: {name}: {pattern!r} has no {{epoch}}, so that each checkpoint would replace the one before")
