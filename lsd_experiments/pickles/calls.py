"""The calls of which the result is data. The first argument of each looks at keys before they are hashed."""

from collections.abc import Callable
from typing import Any

from lsd_experiments.pickles.arrays import Unbuilt, array_from_buffer, array_of, dtype_of, scalar
from lsd_experiments.pickles.records import Foreign, Global

Keys = Callable[[Any], list[Any]]
CONTAINERS = (list, tuple, set, frozenset)


def expect(value: Any, kind: type | tuple[type, ...]) -> Any:
    """``value``, which must be of one of these classes, and of none below it."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if type(value) not in kinds:
        raise ValueError(f"a {kinds[0].__name__} is asked for where there is a {type(value).__name__}")
    return value


def _dict(keys: Keys, items: Any = ()) -> dict[Any, Any]:
    pairs = [(key, value) for key, value in (items.items() if isinstance(items, dict) else expect(items, (list, tuple)))]
    return dict(zip(keys(key for key, _ in pairs), (value for _, value in pairs), strict=True))


def _bytes(_: Keys, value: Any = b"", encoding: str = "latin1") -> bytes:
    """Of bytes, or of a text of which each character is a byte, as older protocols store them; never of a length."""
    if not isinstance(value, (bytes, str)) or encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes are made of a value of type {type(value).__name__}")
    return value.encode("latin1") if isinstance(value, str) else value


def _object(_: Keys, cls: Any, *args: Any, **kwargs: Any) -> Foreign:
    if not isinstance(cls, Global):
        raise ValueError(f"it makes an object of a value of type {type(cls).__name__}")
    return Foreign(cls.module, cls.name, args, kwargs)


def _reconstructed(keys: Keys, cls: Any, base: Any = None, content: Any = None) -> Foreign:
    """What ``copyreg._reconstructor`` makes: a ``cls``; ``content`` is that of its built-in base class, if it has one."""
    return _object(keys, cls, *(() if content is None else (content,)))


CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    **{(module, name): make for module in ("builtins", "__builtin__") for name, make in (
        ("list", lambda _, items=(): list(expect(items, CONTAINERS))),
        ("tuple", lambda _, items=(): tuple(expect(items, CONTAINERS))),
        ("set", lambda keys, items=(): set(keys(expect(items, CONTAINERS)))),
        ("frozenset", lambda keys, items=(): frozenset(keys(expect(items, CONTAINERS)))),
        ("dict", _dict), ("bytes", _bytes), ("bytearray", lambda *args: bytearray(_bytes(*args))),
        ("complex", lambda _, *parts: complex(*(expect(part, (float, int)) for part in parts))))},
    ("collections", "OrderedDict"): _dict,
    ("collections", "defaultdict"): lambda keys, factory=None, *args: _dict(keys, *args),
    ("_codecs", "encode"): _bytes,
    **{(module, "_reconstructor"): _reconstructed for module in ("copyreg", "copy_reg")},
    **{(module, "__newobj__"): _object for module in ("copyreg", "copy_reg")},
    ("copyreg", "__newobj_ex__"): lambda keys, cls, args, kwargs: _object(keys, cls, *args, **kwargs),
    ("numpy", "dtype"): lambda _, code, *__: Unbuilt(lambda state: dtype_of(code, state)),
    **{(f"numpy.{core}.{module}", name): make for core in ("core", "_core") for module, name, make in (
        ("multiarray", "_reconstruct", lambda *_: Unbuilt(array_of)),  # whatever class of array is named
        ("multiarray", "scalar", lambda _, *args: scalar(*args)),
        ("numeric", "_frombuffer", lambda _, *args: array_from_buffer(*args)))},
}
