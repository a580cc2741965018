"""A pickle's operations, carried out on data."""

import io
import pickletools
from collections.abc import Callable
from typing import IO, Any

from lsd_experiments.pickles.arrays import Unbuilt
from lsd_experiments.pickles.calls import CALLS, dict_of, expect, key_of, pairs_of, set_of
from lsd_experiments.pickles.records import Foreign, Global

OPERATIONS = 20_000_000  # a graph of 100 000 nodes takes 2 million
SLACK = 1_000_000  # items that calls may copy beyond the pickle's length
SHOWN = 120  # characters of a reason
NEWEST = 5  # protocol

LITERALS = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8"))
SIZED = (list, tuple, dict, set, frozenset, str, bytes, bytearray)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "EMPTY_SET": set}


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
        return _Machine(data).run()
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"not a pickle that can be read as data: {reason[:SHOWN]}") from error


class _Machine:
    """What a pickle's operations work on: a stack, stacks put aside by MARK, and what is remembered."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.stack: list[Any] = []
        self.aside: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.left = len(data) + SLACK  # items that calls may still copy

    def run(self) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(self.data))):
            name = opcode.name
            if count > OPERATIONS:
                raise ValueError(f"it has more than {OPERATIONS} operations")
            if name in LITERALS:
                self.stack.append(argument)
            elif name == "STOP":
                return self.stack.pop()
            elif name in HANDLERS:
                HANDLERS[name](self, argument)
            elif name in CONSTANTS:
                self.stack.append(CONSTANTS[name])
            elif name in EMPTY:
                self.stack.append(EMPTY[name]())
            else:
                raise ValueError(f"it refers to what is outside of it ({name})")
        raise ValueError("it has no end")

    def marked(self) -> list[Any]:
        items, self.stack = self.stack, self.aside.pop()
        return items

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def remember(self, key: int) -> None:
        value = self.stack[-1]
        self.memo[key] = value
        if isinstance(value, Unbuilt):
            value.keys.append(key)

    def recall(self, key: int) -> None:
        if key not in self.memo:
            raise ValueError(f"it refers to a value {key} that it does not have")
        self.stack.append(self.memo[key])

    def call(self, function: Any, args: Any, kwargs: Any = None) -> Any:
        """The data that a known function makes, or a record of the call."""
        if not isinstance(args, tuple) or not isinstance(kwargs or {}, dict):
            raise ValueError("it calls something with no arguments")
        if not isinstance(function, Global):
            if not isinstance(function, Foreign):
                raise ValueError(f"it calls a value of type {type(function).__name__}")
            self.spend(args)
            return Foreign("", "", (function, *args), kwargs or {})
        known = CALLS.get((function.module, function.name))
        if known is None or kwargs:
            return Foreign(function.module, function.name, args, kwargs or {})
        self.spend(args)
        return known(*args)

    def spend(self, args: Any) -> None:
        """Count what is about to be copied: a few operations could make many copies of one long list."""
        parts = (args, *args) if isinstance(args, tuple) else (args,)
        self.left -= sum(len(part) for part in parts if isinstance(part, SIZED))
        if self.left < 0:
            raise ValueError("it copies more than it holds")

    def build(self) -> None:
        """Give the value on top its state."""
        state = self.stack.pop()
        value = self.stack[-1]
        if isinstance(value, Unbuilt):
            self.spend(tuple(part for part in state if not isinstance(part, bytes)))  # those are shared
            built = value.build(state)
            self.stack[-1] = built
            self.memo.update(dict.fromkeys(value.keys, built))
        elif isinstance(value, Foreign):
            value.state = state
        elif not isinstance(value, dict):  # an OrderedDict may have attributes: they are dropped
            raise ValueError(f"it gives a state to a value of type {type(value).__name__}")

    def extend(self, items: list[Any]) -> None:
        value = self.stack[-1]
        (value.items if isinstance(value, Foreign) else expect(value, list)).extend(items)

    def set_item(self) -> None:
        item, key = self.stack.pop(), self.stack.pop()
        if type(self.stack[-1]) is dict:
            self.stack[-1][key_of(key)] = item
        else:
            self.set_items([key, item])

    def set_items(self, items: list[Any]) -> None:
        value = self.stack[-1]
        if isinstance(value, Foreign):
            value.items.extend(pairs_of(items))
        else:
            expect(value, dict).update(dict_of(pairs_of(items)))

    def add(self, items: list[Any]) -> None:
        value = self.stack[-1]
        if isinstance(value, Foreign):
            value.items.extend(items)
        else:
            expect(value, set).update(set_of(items))


def _refuse_protocol(machine: _Machine, version: int) -> None:
    if version > NEWEST:
        raise ValueError(f"it is of protocol {version}; the newest that is known is {NEWEST}")


def _two(machine: _Machine) -> tuple[Any, Any]:
    last = machine.stack.pop()
    return machine.stack.pop(), last


def _three(machine: _Machine) -> tuple[Any, Any, Any]:
    last = machine.stack.pop()
    return (*_two(machine), last)


def _named(text: str) -> Global:
    """Of ``module name``, as ``pickletools`` gives it."""
    return Global(*text.split(" ", 1))


def _global_on_stack(machine: _Machine) -> None:
    module, name = _two(machine)
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a name in it is no text")
    machine.push(Global(module, name))


def _set_aside(machine: _Machine) -> None:
    machine.aside.append(machine.stack)
    machine.stack = []


def _object(machine: _Machine) -> None:
    cls, *args = machine.marked()
    machine.push(machine.call(cls, tuple(args)))


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    def handle(machine: _Machine, _: Any) -> None:
        if len(machine.stack) < count:
            raise ValueError("the stack is empty")
        machine.stack[-count:] = [tuple(machine.stack[-count:])]
    return handle


def _pop(machine: _Machine) -> None:
    machine.stack.pop() if machine.stack else machine.marked()


HANDLERS: dict[str, Callable[[_Machine, Any], Any]] = {
    "PROTO": _refuse_protocol,
    "FRAME": lambda m, _: None,
    "MARK": lambda m, _: _set_aside(m),
    "POP": lambda m, _: _pop(m),
    "POP_MARK": lambda m, _: m.marked(),
    "DUP": lambda m, _: m.push(m.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda m, key: m.remember(key)),
    "MEMOIZE": lambda m, _: m.remember(len(m.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, key: m.recall(key)),
    "APPEND": lambda m, _: m.extend([m.stack.pop()]),
    "APPENDS": lambda m, _: m.extend(m.marked()),
    "LIST": lambda m, _: m.push(m.marked()),
    "TUPLE": lambda m, _: m.push(tuple(m.marked())),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "DICT": lambda m, _: m.push(dict_of(pairs_of(m.marked()))),
    "SETITEM": lambda m, _: m.set_item(),
    "SETITEMS": lambda m, _: m.set_items(m.marked()),
    "ADDITEMS": lambda m, _: m.add(m.marked()),
    "FROZENSET": lambda m, _: m.push(frozenset(set_of(m.marked()))),
    "GLOBAL": lambda m, text: m.push(_named(text)),
    "STACK_GLOBAL": lambda m, _: _global_on_stack(m),
    "REDUCE": lambda m, _: m.push(m.call(*_two(m))),
    "NEWOBJ": lambda m, _: m.push(m.call(*_two(m))),
    "NEWOBJ_EX": lambda m, _: m.push(m.call(*_three(m))),
    "INST": lambda m, text: m.push(m.call(_named(text), tuple(m.marked()))),
    "OBJ": lambda m, _: _object(m),
    "BUILD": lambda m, _: m.build(),
}
