"""The calls of which the result is data, and containers whose keys are small."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from lsd_experiments.pickles.arrays import array_from_buffer, scalar, unbuilt_array, unbuilt_dtype
from lsd_experiments.pickles.records import Foreign, Global

KEY_PARTS = 100  # of a key that is a tuple
KEYS = (int, float, complex, str, bytes, type(None), np.generic, Global, Foreign)
BUILTINS = ("builtins", "__builtin__")


def expect(value: Any, kind: type) -> Any:
    """``value``, which must be a ``kind``, and of no other class."""
    if type(value) is not kind:
        raise ValueError(f"a {kind.__name__} is asked for where there is a {type(value).__name__}")
    return value


def pairs_of(items: list[Any]) -> list[tuple[Any, Any]]:
    """Of keys and values in turn."""
    return list(zip(items[::2], items[1::2], strict=True))


def key_of(value: Any) -> Any:
    """``value``, if it is small: to hash a tuple of tuples takes as long, and as much of the stack, as these are deep."""
    if isinstance(value, KEYS):
        return value
    parts = [value]
    for _ in range(KEY_PARTS):
        part = parts.pop()
        if isinstance(part, (tuple, frozenset)):
            parts.extend(islice(part, KEY_PARTS))
        elif not isinstance(part, KEYS):
            raise ValueError(f"a key is of type {type(part).__name__}")
        if not parts:
            return value
    raise ValueError("a key is too large")


def dict_of(pairs: Any = ()) -> dict[Any, Any]:
    """Of pairs, or of another dict."""
    return {key_of(key): value for key, value in (pairs.items() if isinstance(pairs, dict) else pairs)}


def set_of(items: Any = ()) -> set[Any]:
    """Of ``items``, which are small."""
    return {key_of(item) for item in items}


def _bytes(value: Any = b"", encoding: str = "latin1") -> bytes:
    """Of bytes, or of a text of which each character is a byte, as older protocols store them; never of a length."""
    if not isinstance(value, (bytes, str)) or encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes are made of a value of type {type(value).__name__}")
    return value.encode("latin1") if isinstance(value, str) else value


def _reconstruct_object(cls: Any, base: Any = None, content: Any = None) -> Foreign:
    """What ``copyreg._reconstructor`` makes: a ``cls``; ``content`` is that of its built-in base class, if it has one."""
    made = _new(cls)
    made.args = () if content is None else (content,)
    return made


def _new(cls: Any, *args: Any) -> Foreign:
    if not isinstance(cls, Global):
        raise ValueError(f"it makes an object of a value of type {type(cls).__name__}")
    return Foreign(cls.module, cls.name, args)


def _new_with_keywords(cls: Any, args: tuple[Any, ...], kwargs: dict[Any, Any]) -> Foreign:
    made = _new(cls, *args)
    made.kwargs = dict(kwargs)
    return made


def _of_items(kind: type) -> Callable[..., Any]:
    """A list or tuple, of another one or of a set."""
    return lambda items=(): kind(items if isinstance(items, (list, tuple, set, frozenset)) else expect(items, kind))


CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    **{(module, name): make for module in BUILTINS for name, make in (
        ("list", _of_items(list)), ("tuple", _of_items(tuple)), ("dict", dict_of), ("set", set_of), ("complex", complex),
        ("frozenset", lambda items=(): frozenset(set_of(items))), ("bytes", _bytes),
        ("bytearray", lambda *args: bytearray(_bytes(*args))))},
    ("collections", "OrderedDict"): dict_of,
    ("collections", "defaultdict"): lambda factory=None, *args: dict_of(*args),
    ("_codecs", "encode"): _bytes,
    **{(module, "_reconstructor"): _reconstruct_object for module in ("copyreg", "copy_reg")},
    **{(module, "__newobj__"): _new for module in ("copyreg", "copy_reg")},
    ("copyreg", "__newobj_ex__"): _new_with_keywords,
    ("numpy", "dtype"): unbuilt_dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): unbuilt_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): array_from_buffer for core in ("core", "_core")},
}
