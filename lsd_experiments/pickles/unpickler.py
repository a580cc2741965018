"""An unpickler that finds nothing: names are kept as names, and what would be called or made, as records.

It is Python's own unpickler, that in Python. Its twin in C hashes a key before anybody can look at it (a tuple in a tuple,
200 000 times, overflows the stack), takes 17 GB for a memo of the number 2^31, and makes bytes before it has read them.
"""

import io
import pickle
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import IO, Any, ClassVar

import numpy as np

from lsd_experiments.pickles.arrays import Unbuilt
from lsd_experiments.pickles.calls import CALLS, expect
from lsd_experiments.pickles.records import Foreign, Global

SHOWN = 120  # characters of a reason
SLACK, WORTH = 2**24, 64  # bytes of memory: for any pickle, and for each of its bytes; a graph takes up to 21
KEY_PARTS = 100  # of a key that is a tuple
LARGEST = 2**64  # of whole numbers that hardly collide
ALIKE = 1000  # keys with the same hash, of kinds for which that can be arranged
SCALARS = (int, float, complex, str, bytes, type(None), np.generic, Global, Foreign)
SAFE = (float, str, bytes, type(None), np.integer, np.floating, Global, Foreign)  # of which few collide
DAMAGE = (pickle.PickleError, EOFError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError,
          ValueError, struct.error)


def load(file: IO[bytes]) -> Any:
    """The value that is pickled in ``file``, from where it stands; the rest of it is read.

    :raises ValueError: see :func:`loads`.
    """
    return loads(file.read())


def loads(data: bytes) -> Any:
    """The value that is pickled in ``data``.

    :raises ValueError: if it is no pickle, is damaged, or holds what is no data. The reason is one line.
    """
    try:
        return _Unpickler(data).load()
    except DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"not a pickle that can be read as data: {reason[:SHOWN]}") from error


class _Exact(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        left = len(self.getbuffer()) - self.tell()
        if size is not None and size > left:
            raise EOFError(f"pickle exhausted: {size} bytes are asked for, {left} are left")
        return super().read(size)


class _Memo(dict[int, Any]):
    def __getitem__(self, key: int) -> Any:
        value = super().__getitem__(key)
        return value.built if isinstance(value, Unbuilt) and value.built is not None else value


class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)
    stack: list[Any]  # these three are Python's own
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, data: bytes) -> None:
        super().__init__(_Exact(data), fix_imports=False, encoding="latin1")
        self.memo = _Memo()
        self.left = SLACK + WORTH * len(data)  # bytes that may still be made
        self.alike: Counter[int] = Counter()

    def find_class(self, module: str, name: str) -> Any:
        return Global(module, name)

    def _instantiate(self, cls: Any, args: list[Any]) -> None:
        self.append(self.call(cls, tuple(args)))

    def popped(self, count: int) -> list[Any]:
        return [self.stack.pop() for _ in range(count)][::-1]

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise ValueError("it makes more than such a pickle is worth")

    def call(self, function: Any, args: Any, kwargs: Any = None) -> Any:
        """The data that a known function makes, or a record of the call."""
        if not isinstance(args, tuple) or not isinstance(kwargs or {}, dict):
            raise ValueError("it calls something with no arguments")
        self.spend(200 + _copied((args, *args)))
        if isinstance(function, Foreign):
            return Foreign("", "", (function, *args), kwargs or {})
        known = CALLS.get((expect(function, Global).module, function.name))
        if known is None or kwargs:
            return Foreign(function.module, function.name, args, kwargs or {})
        return known(self.keys, *args)

    def keys(self, values: Iterable[Any]) -> list[Any]:
        """``values``, if they can be keys: to hash a tuple of tuples takes as long, and as much of the stack, as it is deep."""
        keys = list(values)
        for key in keys:
            if isinstance(key, SAFE) or (isinstance(key, int) and -LARGEST < key < LARGEST):
                continue
            _check_size(key)
            self.alike[hash(key)] += 1
            if self.alike[hash(key)] > ALIKE:
                raise ValueError("too many of its keys have one hash")
        return keys

    def add(self, target: Any, kind: type, items: list[Any]) -> None:
        """Put ``items`` into a set, or keys and values into a dict, or either into what stands for something else."""
        found = self.keys(items if kind is set else items[::2])
        added = found if kind is set else list(zip(found, items[1::2], strict=True))
        target.items.extend(added) if isinstance(target, Foreign) else expect(target, kind).update(added)

    def build(self) -> None:
        """Give the value on top its state."""
        state, value = self.stack.pop(), self.stack[-1]
        if isinstance(value, Unbuilt):
            self.spend(_copied(state))
            self.stack[-1] = value.built = value.build(state)
        elif isinstance(value, Foreign):
            value.state = state
        elif not isinstance(value, dict):  # an OrderedDict may have attributes: they are dropped
            raise ValueError(f"it gives a state to a value of type {type(value).__name__}")


def _copied(parts: Any) -> int:
    """Bytes that a copy of each part takes, but for bytes, which are shared."""
    return sum(8 * len(part) for part in parts if isinstance(part, (str, list, tuple, dict, set, frozenset, bytearray)))


def _check_size(key: Any) -> None:
    parts = [key]
    for _ in range(KEY_PARTS):
        part = parts.pop()
        if isinstance(part, (tuple, frozenset)):
            parts.extend(islice(part, KEY_PARTS))
        elif not isinstance(part, SCALARS):
            raise ValueError(f"a key is of type {type(part).__name__}")
        elif isinstance(part, int) and abs(part) > LARGEST ** KEY_PARTS:
            break
        if not parts:
            return
    raise ValueError("a key is too large")


def _dict(u: _Unpickler, items: list[Any]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    u.add(made, dict, items)
    return made


def _marked(handle: Callable[[Any, list[Any]], None]) -> Callable[[Any], None]:
    """Of what was pushed since the last mark."""
    def load(u: _Unpickler) -> None:
        handle(u, u.pop_mark())
    return load


def _refusing(name: str) -> Callable[[Any], None]:
    def refuse(u: _Unpickler) -> None:
        raise ValueError(f"it refers to what is outside of it ({name})")
    return refuse


def _spending(load: Callable[[Any], None], size: int) -> Callable[[Any], None]:
    def spend(u: _Unpickler) -> None:
        u.spend(size)
        load(u)
    return spend


OPERATIONS: dict[bytes, Callable[[Any], None]] = {
    pickle.BUILD: _Unpickler.build,
    **dict.fromkeys((pickle.REDUCE, pickle.NEWOBJ), lambda u: u.append(u.call(*u.popped(2)))),
    pickle.NEWOBJ_EX: lambda u: u.append(u.call(*u.popped(3))),
    pickle.SETITEM: lambda u: u.add(u.stack[-3], dict, u.popped(2)),
    pickle.SETITEMS: _marked(lambda u, items: u.add(u.stack[-1], dict, items)),
    pickle.DICT: _marked(lambda u, items: u.append(_dict(u, items))),
    pickle.ADDITEMS: _marked(lambda u, items: u.add(u.stack[-1], set, items)),
    pickle.FROZENSET: _marked(lambda u, items: u.append(frozenset(u.keys(items)))),
    pickle.BYTEARRAY8: lambda u: u.append(bytearray(u.read(int.from_bytes(u.read(8), "little")))),
    **{getattr(pickle, name): _refusing(name) for name in (
        "PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER")},
}
SIZES = {  # bytes that these one or two of a pickle make
    **dict.fromkeys((pickle.MEMOIZE, pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT), 100),
    **dict.fromkeys((pickle.EMPTY_SET, pickle.FROZENSET), 216),
    **dict.fromkeys((pickle.EMPTY_DICT, pickle.DICT, pickle.EMPTY_LIST, pickle.LIST, pickle.MARK), 64),
    **dict.fromkeys((pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3), 64),
}
for _code, _load in OPERATIONS.items():
    _Unpickler.dispatch[_code[0]] = _load
for _code, _size in SIZES.items():
    _Unpickler.dispatch[_code[0]] = _spending(_Unpickler.dispatch[_code[0]], _size)
