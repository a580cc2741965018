"""Configurations of ``csc process``: a Python file as published, with its own ``process_func``, or TOML.

    classes = ["mito", "er"]
    processing = {"*": {"minimum_size": 20}, "mito": {"method": "watershed"}}       # "*": of all, where their own does not say it
    workers = {"num_workers": 4}                                                     # as [workers] of docs/clusters.md

    def process_func(x):                     # in place of the above; x: a tensor [N, 1, z, y, x], or [N, 1, y, x] of flat blocks
        return x > 0.5
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lsd_experiments.blockwise import WorkersConfig
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.cellmap.configuration.reading import check_near, run
from lsd_experiments.families.cellmap.configuration.settings import PARAMETERS
from lsd_experiments.families.cellmap.processing.settings import ClassSettings
from lsd_experiments.geometry import Voxels
from lsd_experiments.settings import parse_settings, read_values

OTHERS = "*"
OWN = ("processing", "workers")
REPLACED = ("threshold", "merge_threshold", "merge_function", "min_seed_distance")  # by process_func


@dataclass(frozen=True)
class Processing:
    """What a configuration says.

    ``classes``: None are all that were predicted. ``shape``: of the blocks that ``process_func`` gets, None if it does not say;
    ``digest``: of the file, since nothing else tells one function from another.
    """

    path: Path
    classes: tuple[str, ...] | None
    tables: Mapping[str, Mapping[str, Any]]
    workers: WorkersConfig
    process_func: Callable[[Any], Any] | None = None
    shape: Voxels | None = None
    batch_size: int = 8
    digest: str = ""
    _checked: dict[str, ClassSettings] = field(default_factory=dict, compare=False)

    def of(self, label: str) -> ClassSettings:
        """What is said of the class ``label``."""
        if label not in self._checked:
            blocks = {} if self.process_func is None or self.shape is None else {"block_shape": grown(self.shape)}
            values = {**blocks, **self.tables.get(OTHERS, {}), **self.tables.get(label, {})}
            self._checked[label] = parse_settings(values, ClassSettings, f"{self.path}: processing: {label}")
        return self._checked[label]

    def with_workers(self, number: int) -> "Processing":
        """The same with so many workers at a time."""
        return replace(self, workers=self.workers.model_copy(update={"num_workers": number}))

    def uses_function(self, label: str) -> bool:
        """Whether ``process_func`` makes this class: it is there, and no method is named in the class's own table."""
        return self.process_func is not None and "method" not in self.tables.get(label, {})


def grown(shape: Voxels) -> Voxels:
    """Blocks of whole patches of ``shape``, of about 128 voxels along each axis."""
    return tuple(n * max(1, round(128 / n)) for n in shape)


def read_processing(path: str | Path) -> Processing:
    """The configuration ``path``.

    :raises UserError: if it is not there, ends in an error, or says what is not known
    """
    path = Path(path).absolute()
    if not path.is_file():
        raise UserError(f"{path}: no such configuration. Name a Python file, like process_3D.py, or a TOML file")
    is_table = path.suffix == ".toml"
    values = dict(read_values(path)) if is_table else run(path)
    for name in values if is_table else ():
        if name not in (*PARAMETERS, *OWN):
            raise UserError(f"{path}: no parameter {name!r}{nearest(name, (*PARAMETERS, *OWN))}")
    if not is_table:
        check_near(values, path, (*PARAMETERS, *OWN), ("process_func",))
    function = values.get("process_func")
    if function is not None and not callable(function):
        raise UserError(f"{path}: process_func is {function!r}. Define a function, which takes a tensor and gives a mask, or ids")
    found = Processing(path, _classes(values.get("classes"), path), _tables(values.get("processing", {}), path),
                       parse_settings(values.get("workers", {}), WorkersConfig, f"{path}: workers"), function,
                       _shape(values.get("input_array_info"), path), _count(values.get("batch_size", 8), path),
                       hashlib.sha256(path.read_bytes()).hexdigest()[:16])
    for label, table in found.tables.items():
        found.of(label)
        if function is not None and (idle := _idle(label, table)):
            raise UserError(f"{path}: processing: '{label}' names {idle[0]}, in place of which process_func is called. Leave one "
                            "of them out, or name a method in the table of each class that process_func is not for")
        if label != OTHERS and found.classes is not None and label not in found.classes:
            raise UserError(f"{path}: processing: '{label}' is none of classes{nearest(label, found.classes)}. Add it there, or "
                            "leave it out")
    return found


def _idle(label: str, table: Mapping[str, Any]) -> list[str]:
    """What a table says that has no effect beside ``process_func``; what "*" says may be of classes that name a method."""
    idle = ("method",) if label == OTHERS else () if "method" in table else REPLACED
    return [key for key in idle if key in table]


def _classes(value: Any, path: Path) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{path}: classes is {value!r}. Give a list of names, like ['nuc', 'er']")
    return tuple(names)


def _tables(value: Any, path: Path) -> dict[str, dict[str, Any]]:
    if not isinstance(value, Mapping) or not all(isinstance(table, Mapping) for table in value.values()):
        raise UserError(f"{path}: processing is {value!r}. Give a table for each class, like {{'mito': {{'minimum_size': 20}}}}, "
                        "or '*' for all others")
    return {str(label): dict(table) for label, table in value.items()}


def _shape(value: Any, path: Path) -> Voxels | None:
    if value is None:
        return None
    shape = value.get("shape") if isinstance(value, Mapping) else None
    numbers = [1, *shape] if isinstance(shape, (list, tuple)) and len(shape) == 2 else shape
    if not isinstance(numbers, (list, tuple)) or len(numbers) != 3 or not all(isinstance(n, int) and n > 0 for n in numbers):
        raise UserError(f"{path}: input_array_info has the shape {shape!r}. Give three whole numbers: "
                        "{'shape': (128, 128, 128), 'scale': (8, 8, 8)}")
    return tuple(numbers)


def _count(value: Any, path: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"{path}: batch_size is {value!r}. Give a whole number, 1 or more")
    return value
