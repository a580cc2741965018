"""A merged configuration: values by section and name, frozen, each with the place where it was said."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration.kinds import Located
from lsd_experiments.families.pytc.configuration.reading import as_tree
from lsd_experiments.writing import put_text

DEFAULT = "default"


class Section(Mapping[str, Any]):
    """Values by name, as attributes, too: ``config.MODEL.FILTERS``."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: Section(value) if isinstance(value, Mapping) else value for name, value in values.items()}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._values:
            raise AttributeError(f"a configuration has no {name}")
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class Config:
    """All values by whole names; ``config.MODEL.FILTERS`` is one, ``config.where("MODEL.FILTERS")`` says who said it."""

    values: Mapping[str, Located]

    @property
    def tree(self) -> dict[str, Any]:
        """All values as plain data."""
        return as_tree({name: located.value for name, located in self.values.items()})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "values":
            raise AttributeError(name)
        return getattr(self._root, name)

    @cached_property
    def _root(self) -> Section:
        return Section(self.tree)

    def where(self, name: str) -> str:
        """The file and line, or argument, of the key ``name``; ``default`` if nobody said it."""
        return self.values[name].where

    def wrong(self, name: str, reason: str) -> UserError:
        """The error that the value of the key ``name`` is wrong; ``reason`` says why, and what to do."""
        where = self.where(name)
        return UserError(f"{where}: {name} {reason}" if where != DEFAULT else f"{name} (by default) {reason}")

    def save(self, path: str | Path) -> None:
        """Write all values to a YAML file, which can be read as a configuration; whole or not at all."""
        put_text(Path(path), yaml.dump(self.tree, Dumper=_Plain, sort_keys=True, default_flow_style=None, width=120))


class _Plain(yaml.SafeDumper):
    """Without anchors: a list that stands twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
