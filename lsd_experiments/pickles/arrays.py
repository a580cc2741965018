"""NumPy's arrays and scalars of what a pickle names: plain types, from bytes or lists of values.

NumPy makes an array or a type in two steps: an empty one, which then gets its state. In between it is an :class:`Unbuilt`.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLAIN = re.compile(r"[|<>=]?(b1|\?|[iu][1248]|f[248]|c8|c16|[SU]\d{1,9}|O[48]?)")
AXES = 32  # at most
BYTE_ORDERS = ("<", ">", "=", "|")


@dataclass(eq=False)
class Unbuilt:
    """What ``build`` makes as soon as its state is known; ``keys`` are those under which it is remembered."""

    build: Callable[[Any], Any]
    keys: list[int] = field(default_factory=list)


def unbuilt_dtype(code: Any, *_: Any) -> Unbuilt:
    """What a call of ``numpy.dtype`` with the type's code begins."""
    def build(state: Any) -> np.dtype[Any]:
        _, order, subtype, names, fields, *_ = state
        if (subtype, names, fields) != (None, None, None) or order not in BYTE_ORDERS:
            raise ValueError(f"arrays of type {code!r} with parts or of another byte order are not read")
        return _dtype(code).newbyteorder(order)
    return Unbuilt(build)


def unbuilt_array(*_: Any) -> Unbuilt:
    """What a call of ``_reconstruct`` begins, whatever class of array is named."""
    return Unbuilt(array_of)


def array_of(state: Any) -> NDArray[Any]:
    """The array of the state that NumPy pickles: version, shape, type, whether it is in Fortran's order, content.

    :raises ValueError: if these do not fit each other.
    """
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise ValueError("an array's state is of another form")
    *_, shape, dtype, is_fortran, content = state
    return _array(content, dtype, shape, "F" if is_fortran else "C")


def array_from_buffer(content: Any, dtype: Any, shape: Any, order: str, axes: Any = None) -> NDArray[Any]:
    """The array of protocol 5; ``axes`` are permuted after it was read, if ``order`` is K."""
    if order == "K" and axes is not None:
        return _array(content, dtype, shape, "C").transpose(axes)
    return _array(content, dtype, shape, "F" if order == "F" else "C")


def scalar(dtype: Any, content: Any = b"") -> Any:
    """A number or text of NumPy's; an object is that."""
    return content if _built(dtype).hasobject else _array(content, dtype, (), "C")[()]


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    """:raises ValueError: if ``content`` is not exactly what the array needs."""
    plain = _built(dtype)
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if len(shape) > AXES or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array has no shape")
    if plain.hasobject:
        return _objects(content, shape, order)
    content = content.encode("latin1") if isinstance(content, str) else content  # of Python 2
    expected = math.prod(shape) * plain.itemsize
    if not isinstance(content, (bytes, bytearray)) or len(content) != expected:
        raise ValueError(f"an array of {expected} bytes has {len(content)}")
    return np.ndarray(shape, plain, content, order=order)


def _objects(content: Any, shape: tuple[int, ...], order: Any) -> NDArray[Any]:
    """An array of objects; of other such arrays it is refused, because NumPy frees one in the other."""
    if not isinstance(content, list) or len(content) != math.prod(shape):
        raise ValueError("an array of objects has another number of them than its shape says")
    if any(isinstance(item, np.ndarray) and item.dtype.hasobject for item in content):
        raise ValueError("an array of objects is in another one")
    values = np.empty(len(content), object)
    for index, item in enumerate(content):
        values[index] = item
    return values.reshape(shape, order=order)


def _dtype(code: Any) -> np.dtype[Any]:
    if isinstance(code, bytes):
        code = code.decode("latin1")
    if not isinstance(code, str) or not PLAIN.fullmatch(code):
        raise ValueError(f"arrays of type {code!r} are not read, only those of numbers, texts and objects")
    return np.dtype("O" if "O" in code else code)


def _built(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, np.dtype):
        raise ValueError("an array has no type")
    return dtype
