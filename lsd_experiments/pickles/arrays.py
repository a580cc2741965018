"""NumPy's arrays and scalars of what a pickle names: plain types, from bytes or lists of values.

NumPy makes an array or a type in two steps: an empty one, which then gets its state. In between it is an :class:`Unbuilt`.
NumPy's own ``__setstate__`` believes what it is given (sizes below 0, a type's own flags), so that it is not called.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLAIN = re.compile(r"[|<>=]?(b1|\?|[iu][1248]|f[248]|c8|c16|[SU]\d{1,9}|O[48]?)")
AXES = 32  # at most
BYTE_ORDERS = ("<", ">", "=", "|")


@dataclass(eq=False)
class Unbuilt:
    """What ``build`` makes as soon as its state is known."""

    build: Callable[[Any], Any]
    built: Any = None


def dtype_of(code: Any, state: Any) -> np.dtype[Any]:
    """The type that NumPy calls ``code``, with the byte order of the state that it pickles."""
    code = code.decode("latin1") if isinstance(code, bytes) else code
    if not isinstance(code, str) or not PLAIN.fullmatch(code):
        shown = repr(code[:20]) if isinstance(code, str) else f"a {type(code).__name__}"
        raise ValueError(f"arrays of type {shown} are not read, only those of numbers, texts and objects")
    _, order, *parts = state
    if any(part is not None for part in parts[:3]) or order not in BYTE_ORDERS:
        raise ValueError(f"arrays of type {code!r} with parts or of another byte order are not read")
    return np.dtype("O" if "O" in code else code).newbyteorder(order)


def array_of(state: Any) -> NDArray[Any]:
    """The array of the state that NumPy pickles: version, shape, type, whether it is in Fortran's order, content.

    :raises ValueError: if these do not fit each other.
    """
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise ValueError("an array's state is of another form")
    *_, shape, dtype, is_fortran, content = state
    return _array(content, dtype, shape, "F" if is_fortran is True or is_fortran == 1 else "C")


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
    if len(shape) > AXES or not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise ValueError("an array has no shape")
    if plain.hasobject:
        return _objects(content, shape, order)
    content = content.encode("latin1") if isinstance(content, str) else content  # of Python 2
    expected = math.prod(shape) * plain.itemsize
    found = len(content) if isinstance(content, (bytes, bytearray)) else "none"
    if found != expected:
        raise ValueError(f"an array of {expected} bytes has {found}")
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


def _built(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, np.dtype):
        raise ValueError("an array has no type")
    return dtype
