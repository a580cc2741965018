"""What is done to values, of raw and of targets. Imports PyTorch.

    Compose([ToDtype(torch.float, scale=True), NaNtoNum({"nan": 0}), GaussianNoise(std=0.05)])

Names and options are the published ones (``cellmap_data.transforms.augment``, and torchvision's ``Compose`` and ``ToDtype``); any
other callable that takes a tensor and gives one may stand beside them. A tensor is [1, z, y, x] or [1, y, x]: raw, or one class.
NaN is what is not known, in targets; none of these makes a known value of it, but for :class:`NaNtoNum`, which is for that.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lsd_experiments.errors import UserError, nearest


class Transform(nn.Module):
    """Base of all: ``random`` says whether it differs each time, ``description`` what it is, as JSON has it."""

    random = False

    options: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> "Transform":
        """Keep what it is made with."""
        made: Transform = super().__new__(cls)
        given = inspect.signature(cls.__init__).bind(made, *args, **kwargs)
        given.apply_defaults()
        object.__setattr__(made, "options", {name: value for name, value in given.arguments.items() if name != "self"})
        return made

    @property
    def description(self) -> dict[str, Any]:
        """Its name and options."""
        return {type(self).__name__: {name: _plain(value) for name, value in self.options.items()}}

    def extra_repr(self) -> str:
        """Its options, for people."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


class Compose(Transform):
    """One after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        super().__init__()
        self.transforms = list(transforms)

    def forward(self, x: Any) -> Any:
        """``x`` after all of them; what were integers is not searched for NaN."""
        finite = isinstance(x, Tensor) and not x.is_floating_point()
        for transform in self.transforms:
            if finite and type(transform) is NaNtoNum:
                continue
            finite = finite and type(transform) in (ToDtype, Normalize, Binarize)
            x = transform(x)
        return x


class ToDtype(Transform):
    """To another type; with ``scale``, what is 0 to the greatest value of an integer type becomes 0 to 1, and the other way."""

    def __init__(self, dtype: torch.dtype | str, scale: bool = False) -> None:
        super().__init__()
        self.dtype, self.scale = _dtype(dtype), scale

    def forward(self, x: Tensor) -> Tensor:
        """``x`` of the type."""
        is_other = x.is_floating_point() != self.dtype.is_floating_point and x.dtype != torch.bool
        if not (self.scale and is_other):
            return x.to(self.dtype)
        if self.dtype.is_floating_point:
            most = torch.iinfo(x.dtype).max
            return torch.div(x, most) if self.dtype == torch.float32 == torch.get_default_dtype() else x.to(self.dtype) / most
        most = torch.iinfo(self.dtype).max
        return (x.double() * most).round().clamp(0, most).to(self.dtype)


class Normalize(Transform):
    """(x + shift) * scale."""

    def __init__(self, shift: float = 0, scale: float = 1 / 255) -> None:
        super().__init__()
        self.shift, self.scale = shift, scale

    def forward(self, x: Tensor) -> Tensor:
        """``x`` shifted, and then scaled."""
        return (x + self.shift) * self.scale


class NaNtoNum(Transform):
    """NaN, and both infinities, become numbers: ``{"nan": 0, "posinf": None, "neginf": None}``, None is the type's utmost."""

    def __init__(self, params: Mapping[str, float | None] | None = None) -> None:
        super().__init__()
        self.params = {"nan": 0.0, "posinf": None, "neginf": None} | dict(params or {})

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with numbers only; integers are such."""
        return torch.nan_to_num(x, **self.params) if x.is_floating_point() else x


class Binarize(Transform):
    """1 where it is above ``threshold``, else 0; NaN stays."""

    def __init__(self, threshold: float = 0) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, x: Tensor) -> Tensor:
        """0, 1 and NaN, of the type of ``x``."""
        above = (x > self.threshold).to(x.dtype)
        return above.masked_fill_(x.isnan(), torch.nan) if x.is_floating_point() else above


class GaussianNoise(Transform):
    """Adds noise."""

    random = True

    def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with noise, of the type of ``x`` if that is of floats."""
        x = x if x.is_floating_point() else x.float()
        return x + torch.randn_like(x) * self.std + self.mean


class GaussianBlur(Transform):
    """Smooths within sections (``dim`` 2) or in all axes (3); beyond the border is what is at it.

    :param sigma: voxels
    """

    def __init__(self, kernel_size: int, sigma: float, dim: int = 2) -> None:
        super().__init__()
        if dim not in (2, 3) or kernel_size < 1 or not kernel_size % 2:
            raise UserError(f"GaussianBlur: dim {dim} and kernel_size {kernel_size} are none. Give 2 or 3, and an odd number")
        offsets = torch.arange(kernel_size) - kernel_size // 2
        weights = torch.exp(-(offsets.float() ** 2) / (2 * sigma**2))
        self.dim, self.weights = dim, weights / weights.sum()

    def forward(self, x: Tensor) -> Tensor:
        """``x`` [..., z, y, x], smoothed along one axis after the other."""
        x = x if x.is_floating_point() else x.float()
        half = len(self.weights) // 2
        for axis in range(-min(self.dim, x.ndim), 0):
            places = torch.arange(-half, x.shape[axis] + half).clamp(0, x.shape[axis] - 1)
            wide = x.index_select(axis, places)
            x = sum(wide.narrow(axis, n, x.shape[axis]) * weight for n, weight in enumerate(self.weights))
        return x


class RandomContrast(Transform):
    """Contrast about the mean, times a factor from ``contrast_range``; values stay within those that there were may be."""

    random = True

    def __init__(self, contrast_range: Sequence[float] = (0.5, 1.5)) -> None:
        super().__init__()
        self.range = tuple(contrast_range)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with another contrast; floats are clipped to 0 to 1, or to 255 where they went beyond 1."""
        factor, mean = _between(self.range), x.float().nanmean()
        most = (1.0 if x.nan_to_num().max() <= 1 else 255.0) if x.is_floating_point() else float(torch.iinfo(x.dtype).max)
        return (factor * x + (1 - factor) * mean).clamp(0, most).to(x.dtype)


class RandomGamma(Transform):
    """x to the power of a number from ``gamma_range``; integers become 0 to 1 before."""

    random = True

    def __init__(self, gamma_range: Sequence[float] = (0.5, 1.5)) -> None:
        super().__init__()
        self.range = tuple(gamma_range)

    def forward(self, x: Tensor) -> Tensor:
        """0 to 1."""
        x = x if x.is_floating_point() else ToDtype(torch.float, scale=True)(x)
        return x.clamp(0, 1) ** _between(self.range)


KNOWN = {kind.__name__: kind for kind in (Compose, ToDtype, Normalize, NaNtoNum, Binarize, GaussianNoise, GaussianBlur,
                                          RandomContrast, RandomGamma)}


def from_names(listed: Sequence[Any], where: str) -> Compose:
    """The transforms of a list as TOML and checkpoints have it: names, and tables of a name with its options.

    :raises UserError: if one is not known, or does not take these options
    """
    made = []
    for entry in listed if isinstance(listed, (list, tuple)) else [listed]:
        if isinstance(entry, str):
            entry = {entry: {}}
        if not isinstance(entry, Mapping) or len(entry) != 1:
            raise UserError(f"{where}: {entry!r} is no transform. Write a name, or a table like "
                            "{GaussianNoise = {std = 0.1}}")
        (name, options), = entry.items()
        if name not in KNOWN:
            raise UserError(f"{where}: no transform {name!r}{nearest(str(name), KNOWN)}. There are {', '.join(KNOWN)}")
        if name == "Compose":
            made.append(from_names(options["transforms"] if isinstance(options, Mapping) else options, where))
            continue
        try:
            made.append(KNOWN[name](**options))
        except TypeError as error:
            raise UserError(f"{where}: {name} does not take {options!r} ({error}). Correct its options") from error
    return Compose(made)


def describe(transform: Any) -> Any:
    """What ``transform`` is, as JSON has it: its name and options, or, of other people's code, what it calls itself."""
    if isinstance(transform, Compose):
        return [describe(one) for one in transform.transforms]
    if isinstance(transform, Transform):
        return transform.description
    name = f"{type(transform).__module__}.{type(transform).__qualname__}"
    if inspect.isfunction(transform):
        return {"code": f"{transform.__module__}.{transform.__qualname__}"}
    parts = getattr(transform, "transforms", None)  # torchvision's Compose, nn.Sequential below
    parts = list(transform.children()) if isinstance(transform, nn.Sequential) else parts
    if isinstance(parts, (list, tuple)):
        return [describe(one) for one in parts]
    return {"code": name, "text": re.sub(r" at 0x[0-9a-f]+", "", repr(transform))}


def is_random(transform: Any) -> bool | None:
    """Whether it differs each time; None where that is not known."""
    parts = getattr(transform, "transforms", None)
    parts = list(transform.children()) if isinstance(transform, nn.Sequential) else parts
    if isinstance(parts, (list, tuple)):
        found = [is_random(one) for one in parts]
        return True if True in found else None if None in found else False
    if isinstance(transform, Transform):
        return transform.random
    if type(transform).__module__.startswith("torchvision"):
        return type(transform).__name__.startswith(("Random", "Gaussian", "ColorJitter", "Elastic"))
    return None


def without_random(transform: Any) -> Any:
    """``transform`` without those parts that are known to differ each time."""
    if isinstance(transform, nn.Sequential) or isinstance(getattr(transform, "transforms", None), (list, tuple)):
        parts = list(transform.children()) if isinstance(transform, nn.Sequential) else transform.transforms
        return Compose([without_random(one) for one in parts if is_random(one) is not True or hasattr(one, "transforms")])
    return Compose([]) if is_random(transform) else transform


def is_mask(transform: Any) -> bool:
    """Whether it makes 0 and 1 of ids, as float32, and does nothing else: what is read may be that at once."""
    parts = transform.transforms if type(transform) is Compose else [transform]
    floats = [part for part in parts if type(part) is ToDtype and part.dtype == torch.float32]
    masks = [part for part in parts if type(part) is Binarize and part.threshold == 0]
    return len(masks) >= 1 and len(floats) + len(masks) == len(parts)


def raw_default() -> Compose:
    """Raw as floats of 0 to 1 without NaN."""
    return Compose([ToDtype(torch.float, scale=True), NaNtoNum({"nan": 0, "posinf": None, "neginf": None})])


def target_default() -> Compose:
    """Ids as 0 and 1."""
    return Compose([ToDtype(torch.float), Binarize()])


def _between(ends: Sequence[float]) -> float:
    low, high = ends
    return low + float(torch.rand(1)) * (high - low)


def _dtype(named: torch.dtype | str) -> torch.dtype:
    found = getattr(torch, named.removeprefix("torch."), None) if isinstance(named, str) else named
    if not isinstance(found, torch.dtype):
        raise UserError(f"ToDtype: {named!r} is no type of PyTorch. Write one like float32")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(one) if callable(one) else _plain(one) for one in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else repr(value)
