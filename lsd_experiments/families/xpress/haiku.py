"""Checkpoints of the XPRESS baseline: a pickle of Haiku's parameters and optax's Adam, as gunpowder's JAX node wrote it.

The pickle is read as data (:mod:`lsd_experiments.pickles`): nothing of it runs. Its names are those that Haiku's rules give to
the published modules (funlib.learn.jax, commit 6b3cd24; mknet.py of the baseline)::

    my_model/~/u_net/~/conv_pass[_k]/~/conv3_d[_1]       w (z, y, x, in, out)   k: the levels' left passes, then the right ones
    my_model/~/u_net/~/upsample[_level]/~/conv3_d_transpose   w (z, y, x, out, in), turned around along z, y and x
    my_model/~/conv_pass/~/conv3_d                       the head
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.checkpoints.comparing import weight_shapes
from lsd_experiments.errors import UserError
from lsd_experiments.networks.network import Network
from lsd_experiments.pickles import Foreign, array_of, load

PARAMETERS = {"kernel": "w", "bias": "b"}  # Haiku's names, by Keras'
UPSAMPLING = re.compile(r"unet_up_\d+_to_\d+/kernel")

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class HaikuCheckpoint:
    """By ``<layer>/kernel`` and ``<layer>/bias``, in the layout of Keras: weights, and Adam's moments after ``steps``."""

    weights: Arrays
    first: Arrays
    second: Arrays
    steps: int


def read_haiku(path: str | Path, network: Network) -> HaikuCheckpoint:
    """The checkpoint of ``network`` in a pickle.

    :raises UserError: if it is no such pickle, or of another network: what is missing, or differs, is named.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with path.open("rb") as file:
            weight, opt_state, *_ = _fields(load(file))
        adam = next(state for state in _walk(opt_state) if len(_fields(state)) == 3)
        count, first, second = _fields(adam)
        weights, m, v = (_weights(path, network, tree) for tree in (weight, first, second))
        return HaikuCheckpoint(weights, m, v, steps=_count(count))
    except (ValueError, TypeError, StopIteration, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(
            f"{path}: is no checkpoint of the XPRESS baseline ({reason or 'it has no weights and state of Adam'}). To load a "
            "pickle as usual would run what is in it: it is read as data, or refused"
        ) from error


def haiku_names(network: Network) -> dict[str, str]:
    """The names of Haiku's modules, by our layers."""
    names = {}
    passes = [f"unet_layer_{level}_left" for level in range(network.levels)]
    passes += [f"unet_layer_{level}_right" for level in range(network.levels - 1)]
    for number, name in enumerate(passes):
        for index in range(2):
            names[f"{name}_{index}"] = f"my_model/~/u_net/~/conv_pass{_numbered(number)}/~/conv3_d{_numbered(index)}"
    for level in range(network.levels - 1):
        names[f"unet_up_{level + 1}_to_{level}"] = f"my_model/~/u_net/~/upsample{_numbered(level)}/~/conv3_d_transpose"
    head, = network.heads
    names[f"{head.published_name}_0"] = "my_model/~/conv_pass/~/conv3_d"
    return names


def _numbered(number: int) -> str:
    return f"_{number}" if number else ""


def _weights(path: Path, network: Network, tree: Any) -> Arrays:
    """Of one tree of parameters, or of one of moments, which has the same names."""
    modules = {name: _mapping(values) for name, values in _mapping(tree).items()}
    names, found = haiku_names(network), {}
    for key, shape in weight_shapes(network).items():
        layer, _, what = key.partition("/")
        parameter = PARAMETERS[what]
        values = modules.get(names[layer], {}).get(parameter)
        if values is None:
            raise UserError(f"{path}: has no {names[layer]}/{parameter}: it is of another network than mknet.py's")
        array = _array(values)
        array = array.reshape(-1) if what == "bias" else array  # Haiku's is (out, 1, 1, 1)
        array = array[::-1, ::-1, ::-1] if UPSAMPLING.fullmatch(key) and array.ndim == len(shape) else array
        if array.shape != shape:
            raise UserError(f"{path}: {names[layer]}/{parameter} is of shape {array.shape}, mknet.py's network asks for {shape}")
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise UserError(f"{path}: {names[layer]}/{parameter} is not of finite numbers. Take an earlier checkpoint")
        found[key] = np.ascontiguousarray(array, np.float32)
    used = {(names[layer], PARAMETERS[what]) for layer, _, what in (key.partition("/") for key in found)}
    for module, parameter in ((module, parameter) for module, values in modules.items() for parameter in values):
        if (module, parameter) not in used:
            raise UserError(f"{path}: has {module}/{parameter}, which mknet.py's network has not: it is of another network")
    return found


def _fields(value: Any) -> tuple[Any, ...]:
    """Of a tuple, or of a named one."""
    if isinstance(value, Foreign):
        return value.args
    return value if isinstance(value, tuple) else ()


def _walk(value: Any) -> Iterator[Any]:
    """``value``, and what its tuples hold, each one once."""
    waiting, seen = [value], set()
    while waiting:
        value = waiting.pop()
        if _fields(value) and id(value) not in seen:
            seen.add(id(value))
            yield value
            waiting += reversed(_fields(value))


def _mapping(value: Any) -> Mapping[Any, Any]:
    """Of a dict, or of a Haiku mapping of one, however that was pickled.

    :raises ValueError: if it is neither
    """
    if isinstance(value, dict):
        return value
    if isinstance(value, Foreign):
        for part in (*value.args, value.state, *(value.state.values() if isinstance(value.state, dict) else ())):
            if isinstance(part, dict) and part:
                return _mapping(part) if not set(part) <= {"_mapping"} else _mapping(part["_mapping"])
    raise ValueError(f"a {type(value).__name__} is where parameters are asked for by name")


def _count(value: Any) -> int:
    """:raises ValueError: if it is no number of steps"""
    array = _array(value)
    if array.size != 1 or array.dtype.kind not in "iu" or int(array.reshape(())) < 0:
        raise ValueError("Adam's count is no number of steps")
    return int(array.reshape(()))


def _array(value: Any) -> NDArray[Any]:
    """A NumPy array, or one of JAX: the arguments of the call that makes it are NumPy's, and its state.

    :raises ValueError: if it is neither
    """
    if isinstance(value, Foreign):
        state = next((part for part in value.args if isinstance(part, tuple) and len(part) in (4, 5)), None)
        return array_of(state) if state is not None else _array(value.args[0] if value.args else None)
    if not isinstance(value, (np.ndarray, np.generic, int)):
        raise ValueError(f"a {type(value).__name__} is where an array is asked for")
    return np.asarray(value)
