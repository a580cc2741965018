"""Tensors in TensorFlow's checkpoints (``<prefix>.index``, ``<prefix>.data-00000-of-00001``), read by TensorFlow.

TensorFlow tests the checksums: of the index when it is opened, of a tensor when it is read.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.checkpoints.checkpoint import INDEX
from lsd_experiments.errors import UserError
from lsd_experiments.frameworks import import_tensorflow

AGAIN = "Fetch it again, or name another checkpoint"


@dataclass(frozen=True)
class Bundle:
    """An open checkpoint: the ``shapes`` of its variables by their names."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    data: tuple[Path, ...]
    reader: Any

    @property
    def files(self) -> tuple[Path, ...]:
        """All its files: index, data."""
        return (self.path, *self.data)

    def read(self, name: str) -> NDArray[Any]:
        """The values of a variable.

        :raises UserError: if they are damaged, or not numbers.
        """
        with _refused(f"{self.path}: {name} cannot be read: the files are damaged, or cut off. {AGAIN}"):
            values = np.asarray(self.reader.get_tensor(name))
        if values.dtype.kind not in "biuf":
            raise UserError(f"{self.path}: {name} is of a type that is not read: numbers are")
        return values


def open_bundle(path: str | Path) -> Bundle:
    """Read ``<prefix>.index``; values are not read.

    :raises UserError: if a file is missing, the index damaged, or no such checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    prefix = path.name.removesuffix(INDEX)
    with _refused(f"{path}: is not the index of a TensorFlow checkpoint, or damaged. {AGAIN}"):
        reader = import_tensorflow().train.load_checkpoint(str(path.with_name(prefix)))
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    data = tuple(sorted(file for file in path.parent.iterdir() if file.name.startswith(f"{prefix}.data-")))
    if not data:
        missing = path.with_name(f"{prefix}.data-00000-of-00001")
        raise UserError(f"{missing}: is missing: the {INDEX} file beside it says where in it the weights lie. Fetch it, too")
    return Bundle(path, shapes, data, reader)


@contextmanager
def _refused(message: str) -> Iterator[None]:
    """Make one line of what TensorFlow says of files that it cannot read."""
    tensorflow = import_tensorflow()
    try:
        yield
    except (tensorflow.errors.OpError, RuntimeError, ValueError, IndexError) as error:
        raise UserError(message) from error
