"""What published configurations import, served by this package while a configuration is read.

    from cellmap_segmentation_challenge.models import UNet_3D
    from cellmap_data.transforms.augment import Binarize
    import torchvision.transforms.v2 as T        # where torchvision is not installed: Compose and ToDtype
    from upath import UPath                      # where that is not installed

Nothing of the kind stays in ``sys.modules``; real packages of the latter two names are used if they are there.
"""

import contextlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from lsd_experiments.errors import UserError

FAMILY = "lsd_experiments.families.cellmap"
MODELS = ("UNet_2D", "UNet_3D", "ResNet", "ViTVNet")
AUGMENT = ("Binarize", "GaussianBlur", "GaussianNoise", "NaNtoNum", "Normalize", "RandomContrast", "RandomGamma")
COMMANDS = ("train", "predict", "process")


@contextlib.contextmanager
def published_modules() -> Iterator[None]:
    """While this lasts, the published import lines work."""
    made = _modules()
    before = {name: sys.modules.get(name) for name in made}
    sys.modules.update(made)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def _modules() -> dict[str, types.ModuleType]:
    transforms = {name: _from("transforms", name) for name in AUGMENT}
    contents: dict[str, dict[str, Callable[[], Any]]] = {
        "cellmap_segmentation_challenge": {name: lambda name=name: _command(name) for name in COMMANDS},  # type: ignore[misc]
        "cellmap_segmentation_challenge.models": {name: _from("networks", name) for name in MODELS},
        "cellmap_segmentation_challenge.utils": {"load_safe_config": lambda: load_safe_config,
                                                 "get_tested_classes": lambda: get_tested_classes},
        "cellmap_data": {}, "cellmap_data.transforms": transforms, "cellmap_data.transforms.augment": transforms,
    }
    if not _is_installed("torchvision"):
        vision = {name: _from("transforms", name) for name in ("Compose", "ToDtype")}
        contents |= {"torchvision": {}, "torchvision.transforms": {}, "torchvision.transforms.v2": vision}
    if not _is_installed("upath"):
        contents["upath"] = {"UPath": lambda: UPath}
    made = {name: _Served(name, of) for name, of in contents.items()}
    for name, module in made.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(made[parent], child, module)
    return dict(made)


def _is_installed(name: str) -> bool:
    return not isinstance(sys.modules.get(name), _Served) and importlib.util.find_spec(name) is not None


class _Served(types.ModuleType):
    """A module whose names are looked up when they are asked for: networks take long to import."""

    def __init__(self, name: str, contents: dict[str, Callable[[], Any]]) -> None:
        super().__init__(name, f"Served by {FAMILY}.")
        self.__path__: list[str] = []
        self._contents = contents
        self.__all__ = list(contents)

    def __getattr__(self, name: str) -> Any:
        contents = self.__dict__.get("_contents", {})
        if name not in contents:
            raise AttributeError(f"{self.__name__} has no {name} here; there are {', '.join(contents) or 'no names'}")
        return contents[name]()


def _from(module: str, name: str) -> Callable[[], Any]:
    return lambda: getattr(importlib.import_module(f"{FAMILY}.{module}"), name)


def _command(name: str) -> Callable[..., None]:
    def refuse(*_: Any, **__: Any) -> None:
        raise UserError(f"{name}() is not called while a configuration is read. Put it below if __name__ == \"__main__\"")
    return refuse


def load_safe_config(path: str | Path, **_: Any) -> types.SimpleNamespace:
    """The names of another configuration, for one that builds on it; it is run, as published."""
    from lsd_experiments.families.cellmap.configuration.reading import run

    return types.SimpleNamespace(**run(Path(path).absolute()))


def get_tested_classes() -> list[str]:
    """The classes that are scored."""
    from lsd_experiments.families.cellmap.classes import TESTED

    return list(TESTED)


class UPath(PurePosixPath):
    """As much of UPath as published configurations use: ``UPath("tensorboard/{model_name}").path``."""

    @property
    def path(self) -> str:
        """The path as a text."""
        return str(self)
