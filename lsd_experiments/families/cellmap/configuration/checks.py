"""From what a file says to settings: defaults filled in, values checked, a line for each that is wrong."""

import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.cellmap.configuration.settings import PARAMETERS, ArrayInfo, Settings, check_pattern

AXES = "zyx"
SPATIAL = {"mirror": {"axes": {"x": 0.5, "y": 0.5}}, "transpose": {"axes": ["x", "y"]},
           "rotate": {"axes": {"x": [-180, 180], "y": [-180, 180]}}}
PLAIN: dict[str, Any] = {
    "batch_size": 8, "classes": ("nuc", "er"), "criterion_kwargs": {}, "dataloader_kwargs": {}, "datasplit_path": "datasplit.csv",
    "device": None, "epochs": 1000, "filter_by_scale": False, "force_all_classes": "validate", "gradient_accumulation_steps": 1,
    "input_array_info": {"shape": (1, 128, 128), "scale": (8, 8, 8)}, "iterations_per_epoch": 1000, "learning_rate": 1e-4,
    "load_model": "latest", "logs_save_path": "tensorboard/{model_name}", "low_is_best": True, "max_grad_norm": None,
    "model": None, "model_kwargs": {}, "model_name": "2d_unet", "model_save_path": "checkpoints/{model_name}_{epoch}.pth",
    "optimizer": None, "process_func": None, "scheduler": None, "scheduler_kwargs": {}, "smoothing_window": 1,
    "spatial_transforms": SPATIAL, "use_mutual_exclusion": False, "use_s3": False, "validation_batch_limit": None,
    "validation_prob": 0.15, "validation_time_limit": None, "weight_loss": True, "weighted_sampler": True,
}
FIELDS = {"model_save_path": ("model_name", "epoch"), "logs_save_path": ("model_name",), "datasplit_path": ()}


def checked(said: Mapping[str, Any], path: Path, base: Path) -> Settings:
    """Settings of what a file says.

    :param base: what paths are relative to
    :raises UserError: if a value is none of its parameter
    """
    import torch

    from lsd_experiments.families.cellmap import transforms

    values = PLAIN | {"criterion": torch.nn.BCEWithLogitsLoss, "train_raw_value_transforms": transforms.raw_default(),
                      "target_value_transforms": transforms.target_default(), "random_seed": environment_seed()} | dict(said)
    values.setdefault("model_to_load", values["model_name"])
    values.setdefault("target_array_info", values["input_array_info"])
    values["base_experiment_path"] = base
    for name in PARAMETERS:
        if name == "val_raw_value_transforms":  # those of training, by then, are what is called
            values.setdefault(name, transforms.without_random(values["train_raw_value_transforms"]))
        check = CHECKS.get(name)
        if check is not None:
            values[name] = check(values[name], f"{path}: {name}")
    for name, fields in FIELDS.items():
        check_pattern(values[name], name, fields, str(path))
    _check_together(values, path)
    return Settings(path=path, given=frozenset(said), **values)


def _check_together(values: Mapping[str, Any], path: Path) -> None:
    flat = [tuple(n == 1 for n in values[name]["shape"]) for name in ("input_array_info", "target_array_info")]
    if flat[0] != flat[1]:
        raise UserError(f"{path}: input_array_info and target_array_info: one is flat where the other is not. Give both a shape "
                        "of 1 along the same axes")


def environment_seed() -> int:
    """SEED of the environment, or 42.

    :raises UserError: if it is no number
    """
    text = os.environ.get("SEED", "42")
    try:
        return int(text)
    except ValueError:
        raise UserError(f"SEED: {text!r} in the environment is no whole number. Correct it, or unset it") from None


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _whole(least: int) -> Callable[[Any, str], int]:
    def check(value: Any, where: str) -> int:
        if not _is_whole(value) or value < least:
            raise UserError(f"{where} is {value!r}. Give a whole number, {least} or more")
        return int(value)
    return check


def _number(least: float, most: float = math.inf, strict: bool = True) -> Callable[[Any, str], float]:
    def check(value: Any, where: str) -> float:
        good = _is_number(value) and math.isfinite(value)
        if not good or not (least < value if strict else least <= value) or not value < most:
            ends = f"above {least:g}" if strict else f"{least:g} or more"
            raise UserError(f"{where} is {value!r}. Give a number {ends}" + (f" and below {most:g}" if most < math.inf else ""))
        return float(value)
    return check


def _or_none(check: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    return lambda value, where: None if value is None else check(value, where)


def _truth(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise UserError(f"{where} is {value!r}. Give True or False")
    return value


def _one_of(*known: Any) -> Callable[[Any, str], Any]:
    def check(value: Any, where: str) -> Any:
        if not any(value is one or (isinstance(one, str) and value == one) for one in known):
            hint = nearest(str(value), map(str, known))
            raise UserError(f"{where} is {value!r}{hint}. Give one of {', '.join(map(repr, known))}")
        return value
    return check


def _text(value: Any, where: str) -> str:
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise UserError(f"{where} is {value!r}. Give a text")
    return str(value)


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UserError(f"{where} is {value!r}. Give a dictionary of names")
    return dict(value)


def _classes(value: Any, where: str) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else list(value) if isinstance(value, Sequence) else []
    if not listed or not all(isinstance(one, str) and one and "/" not in one for one in listed):
        raise UserError(f"{where} is {value!r}. Give a list of names, like ['nuc', 'er']")
    if twice := [one for one in listed if listed.count(one) > 1]:
        raise UserError(f"{where} has {twice[0]!r} twice. Name each class once")
    return tuple(listed)


def array_info(value: Any, where: str) -> ArrayInfo:
    """``shape`` and ``scale``; two numbers are of y and x, in one section, whose thickness is the lesser of both scales."""
    if not isinstance(value, Mapping) or set(value) != {"shape", "scale"}:
        found = sorted(map(str, value)) if isinstance(value, Mapping) else value
        raise UserError(f"{where} has {found}. Give one array: {{'shape': (128, 128, 128), 'scale': (8, 8, 8)}}")
    shape, scale = (tuple(value[key]) if isinstance(value[key], Sequence) else () for key in ("shape", "scale"))
    if len(shape) == len(scale) == 2:
        shape, scale = (1, *shape), (min(scale), *scale)
    if len(shape) != 3 or not all(_is_whole(n) and n > 0 for n in shape):
        raise UserError(f"{where}: shape is {value['shape']!r}. Give three whole numbers of voxels: z, y, x")
    if len(scale) != 3 or not all(_is_number(n) and 0 < n < math.inf for n in scale):
        raise UserError(f"{where}: scale is {value['scale']!r}. Give three numbers of nm: z, y, x")
    return {"shape": tuple(int(n) for n in shape), "scale": tuple(float(n) for n in scale)}


def _scale(value: Any, where: str) -> Any:
    if isinstance(value, bool):
        return value
    given = (value,) * 3 if _is_number(value) else tuple(value) if isinstance(value, Sequence) else ()
    if len(given) != 3 or not all(_is_number(n) and n > 0 for n in given):
        raise UserError(f"{where} is {value!r}. Give True, False, or one or three numbers of nm")
    return tuple(float(n) for n in given)


def spatial(value: Any, where: str) -> dict[str, Any]:
    """``mirror``, ``transpose`` and ``rotate`` with their axes; None is nothing.

    :raises UserError: if there is another, or an axis is none
    """
    value = {} if value is None else value
    if not isinstance(value, Mapping) or (unknown := [key for key in value if key not in SPATIAL]):
        hint = nearest(str(unknown[0]), SPATIAL) if isinstance(value, Mapping) else ""
        raise UserError(f"{where} has {unknown[0] if hint or isinstance(value, Mapping) else value!r}{hint}. There are "
                        f"{', '.join(SPATIAL)}")
    for name, of in value.items():
        axes = of.get("axes") if isinstance(of, Mapping) else None
        if axes is None or set(of) != {"axes"} or not all(axis in AXES and axis for axis in axes):
            raise UserError(f"{where}: {name} is {of!r}. Give it like {SPATIAL[name]}, of the axes x, y and z")
        for axis in axes if name != "transpose" else ():
            of_axis: Any = axes[axis] if isinstance(axes, Mapping) else None
            good = _is_angle_range(of_axis) if name == "rotate" else _is_number(of_axis) and 0 <= of_axis <= 1
            if not good:
                what = "two angles in degrees, the lesser first" if name == "rotate" else "a probability"
                raise UserError(f"{where}: {name}: {axis} is {of_axis!r}. Give {what}")
    return dict(value)


def _is_angle_range(value: Any) -> bool:
    is_pair = isinstance(value, Sequence) and len(value) == 2 and all(map(_is_number, value))
    return is_pair and bool(value[0] <= value[1])


def _callable(value: Any, where: str) -> Any:
    from lsd_experiments.families.cellmap.transforms import Compose, from_names

    if isinstance(value, (list, tuple)):
        return Compose(value) if value and all(map(callable, value)) else from_names(value, where)
    if value is None:
        return Compose([])
    if not callable(value):
        raise UserError(f"{where} is {value!r}. Give what takes a tensor and gives one, or a list of such")
    return value


def _criterion(value: Any, where: str) -> Any:
    import torch

    return _named(value, torch.nn, torch.nn.Module, where)


def _optimizer(value: Any, where: str) -> Any:
    import torch

    return _named(value, torch.optim, torch.optim.Optimizer, where)


def _scheduler(value: Any, where: str) -> Any:
    import torch

    return _named(value, torch.optim.lr_scheduler, object, where)


def _named(value: Any, module: Any, base: type, where: str) -> Any:
    """What a text names in ``module``; all else as it is."""
    if not isinstance(value, str):
        return value
    name = value.removeprefix(f"{module.__name__}.")
    known = [one for one in dir(module) if isinstance(getattr(module, one), type) and issubclass(getattr(module, one), base)]
    if name not in known:
        raise UserError(f"{where}: no {value!r} in {module.__name__}{nearest(name, known)}")
    return getattr(module, name)


def _model(value: Any, where: str) -> Any:
    import torch

    if value is not None and not isinstance(value, torch.nn.Module):
        raise UserError(f"{where} is a {type(value).__name__}. Give a torch.nn.Module, or leave it out and give model_name")
    return value


def _load_model(value: Any, where: str) -> str | None:
    value = value.lower() if isinstance(value, str) else value
    found: str | None = _one_of("latest", "best", None)(value or None, where)
    return found


def _device(value: Any, where: str) -> Any:
    import torch

    try:
        return None if value is None else torch.device(value)
    except (RuntimeError, TypeError) as error:
        raise UserError(f"{where}: {value!r} is no device of PyTorch ({str(error).splitlines()[0]}). Give cpu, cuda, cuda:1 or "
                        "mps") from error


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "batch_size": _whole(1), "classes": _classes, "criterion": _criterion, "criterion_kwargs": _table,
    "dataloader_kwargs": _table, "datasplit_path": _text, "device": _device, "epochs": _whole(1), "filter_by_scale": _scale,
    "force_all_classes": _one_of(True, False, "train", "validate"), "gradient_accumulation_steps": _whole(1),
    "input_array_info": array_info, "iterations_per_epoch": _whole(1), "learning_rate": _number(0), "load_model": _load_model,
    "logs_save_path": _text, "low_is_best": _truth, "max_grad_norm": _or_none(_number(0)), "model": _model,
    "model_kwargs": _table, "model_name": _text, "model_save_path": _text, "model_to_load": _text, "optimizer": _optimizer,
    "random_seed": _whole(0), "scheduler": _scheduler, "scheduler_kwargs": _table, "smoothing_window": _whole(1),
    "spatial_transforms": spatial, "target_array_info": array_info, "target_value_transforms": _callable,
    "train_raw_value_transforms": _callable, "use_mutual_exclusion": _truth, "use_s3": _truth,
    "val_raw_value_transforms": _callable,
    "validation_batch_limit": _or_none(_whole(1)), "validation_prob": _number(0, 1),
    "validation_time_limit": _or_none(_number(0)), "weight_loss": _truth, "weighted_sampler": _truth,
}
