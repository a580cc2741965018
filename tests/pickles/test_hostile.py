"""Pickles that would do harm: nothing of them runs, and none takes more memory or stack than it is worth."""

import functools
import os
import pickle
import pickletools
import subprocess
import sys
import tracemalloc
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments import writing
from lsd_experiments.pickles import Foreign, loads, unpickler

P2, P4, P5 = b"\x80\x02", b"\x80\x04", b"\x80\x05"


class Call:
    """A value that is made by calling ``function`` when it is unpickled."""

    def __init__(self, function, *args, state=None) -> None:
        self.made = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.made


def payloads(marker: Path) -> dict[str, bytes]:
    """Pickles that make the file ``marker`` when they are loaded as usual."""
    code = f"open({str(marker)!r}, 'w').close()"
    path = Call(Path, str(marker))
    module = (Path(marker.parent) / "harmful.py")
    module.write_text(f"{code}\nclass Harmful:\n    def __setstate__(self, state):\n        pass\n")
    return {
        "system": pickle.dumps(Call(os.system, f"touch {marker}"), 2),
        "eval": pickle.dumps(Call(eval, code)),
        "exec": pickle.dumps([1, {"a": Call(exec, code)}], 0),
        "partial": pickle.dumps(Call(functools.partial(exec, code))),
        "ours": pickle.dumps(Call(writing.put_text, path, "text")),
        "import": P2 + b"charmful\nHarmful\n.",
        "inst": b"(S" + repr(f"touch {marker}").encode() + b"\nios\nsystem\n.",
        "setstate": P2 + b"charmful\nHarmful\n)\x81}b.",
        "map": pickle.dumps(Call(list, Call(map, exec, [code]))),
        "in an array": pickle.dumps(np.array([Call(exec, code)], object)),
    }


NAMES = ("system", "eval", "exec", "partial", "ours", "import", "inst", "setstate", "map", "in an array")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_runs(name, tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    marker = tmp_path / "marker"
    data = payloads(marker)[name]
    with pytest.raises(ValueError, match="there is a Foreign") if name == "map" else nullcontext():
        loads(data)
    assert not marker.exists()
    assert "harmful" not in sys.modules
    usual = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(Path(writing.__file__).parent.parent)))}
    subprocess.run([sys.executable, "-c", usual], input=data, env=environment)
    assert marker.exists(), "the control: loaded as usual, it is harmful"


def test_a_state_changes_no_function_of_ours() -> None:
    """BUILD sets attributes, if it is let: here, of the function that would make arrays."""
    hostile = P2 + b"cnumpy.core.multiarray\n_reconstruct\nN}X\x08\x00\x00\x00__name__X\x01\x00\x00\x00xs\x86b."
    with pytest.raises(ValueError, match="gives a state to a value of type Global"):
        loads(hostile)
    assert type(loads(P2 + b"cbuiltins\nobject\n)\x81.")) is Foreign


def short(data: bytes) -> bytes:
    return b"\x8c" + bytes([len(data)]) + data


def deep_key(depth: int) -> bytes:
    """{((((...)))): None}"""
    return P2 + b"}" + b")" + b"\x85" * depth + b"Ns."


def wide_key(depth: int) -> bytes:
    """A key of 2 to the ``depth`` parts."""
    return P2 + b"}" + b")" + b"2\x86" * depth + b"Ns."


def copies(count: int) -> bytes:
    """``count`` copies of a list of 100 000."""
    return P2 + b"]q\x00(" + b"N" * 100_000 + b"e0" + b"cbuiltins\nlist\nq\x01" + b"(" + b"h\x01h\x00\x85R" * count + b"l."


def array(dtype: bytes, shape: bytes, content: bytes) -> bytes:
    """An array of protocol 2, whose parts may be anything."""
    none = b"J\xff\xff\xff\xff"
    kind = b"cnumpy\ndtype\nU" + bytes([len(dtype)]) + dtype + b"K\x00K\x01\x87R(K\x03U\x01<NNN" + none * 2 + b"K\x00tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return P2 + empty + b"(K\x01" + shape + kind + b"\x89" + content + b"tb."


HUGE = b"\x8a\x08" + (2**62).to_bytes(8, "little")
HOSTILE = {
    "nothing": (b"", "pickle exhausted"),
    "a text": (b"hello, this is no pickle\n", "Memo value not found at index 101"),
    "an empty stack": (P2 + b".", "pop from empty list"),
    "no mark": (P2 + b"t.", "pop from empty list"),
    "no end": (P2 + b"N", "pickle exhausted"),
    "an unknown protocol": (b"\x80\x09N.", "unsupported pickle protocol: 9"),
    "an unknown memo": (P2 + b"h\x05.", "Memo value not found at index 5"),
    "a key that is a list": (P2 + b"}]Ns.", "a key is of type list"),
    "persistent ids": (b"Pabc\n.", "refers to what is outside of it (PERSID)"),
    "persistent ids, binary": (P2 + b"NQ.", "refers to what is outside of it (BINPERSID)"),
    "extensions": (P2 + b"\x82\x01.", "refers to what is outside of it (EXT1)"),
    "buffers": (P5 + b"\x97.", "refers to what is outside of it (NEXT_BUFFER)"),
    "a call of a number": (P2 + b"K\x01)R.", "a Global is asked for where there is a int"),
    "bytes beyond the end": (P4 + b"\x8e" + (2**60).to_bytes(8, "little") + b"ab.", "bytes"),
    "a text beyond the end": (P4 + b"\x8d" + (2**62).to_bytes(8, "little") + b"ab.", "bytes"),
    "a bytearray of a length": (P2 + b"cbuiltins\nbytearray\n" + HUGE + b"\x85R.", "bytes are made of a value of type int"),
    "bytes of a length": (P2 + b"cbuiltins\nbytes\n" + HUGE + b"\x85R.", "bytes are made of a value of type int"),
    "a range as a list": (P2 + b"cbuiltins\nlist\ncbuiltins\nrange\n" + HUGE + b"\x85R\x85R.", "there is a Foreign"),
    "a deep key": (deep_key(200_000), "a key is too large"),
    "a wide key": (wide_key(60), "a key is too large"),
    "copies": (copies(5000), "it makes more than such a pickle is worth"),
    "an array without content": (array(b"f8", b"\x8a\x05\x00\x00\x00\x00\x01\x85", b"U\x00"), "bytes has 0"),
    "a negative shape": (array(b"u1", b"J\xff\xff\xff\xffJ\xfe\xff\xff\xff\x86", b"U\x02ab"), "an array has no shape"),
    "an array of records": (array(b"V8", b"K\x01\x85", b"U\x08abcdefgh"), "arrays of type 'V8' are not read"),
    "an array of objects of bytes": (array(b"O", b"K\x01\x85", b"U\x08abcdefgh"), "another number of them"),
    "a type by a name": (array(b"numpy.float64,", b"K\x01\x85", b"U\x08abcdefgh"), "are not read"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_one_line_says_why_and_memory_is_bounded(name) -> None:
    data, message = HOSTILE[name]
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^not a pickle that can be read as data: ") as raised:
            loads(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert peak < 100_000_000


def test_what_the_limits_let_pass() -> None:
    """Controls of the above: the same things, small."""
    assert loads(deep_key(20)) == {functools.reduce(lambda value, _: (value,), range(20), ()): None}
    assert len(loads(wide_key(4))) == 1
    assert len(loads(copies(5))) == 5
    assert loads(array(b"i4", b"K\x02\x85", b"U\x08" + bytes([1, 0, 0, 0, 2, 0, 0, 0]))).tolist() == [1, 2]


def test_a_memo_of_a_large_number_takes_no_memory() -> None:
    tracemalloc.start()
    assert loads(P2 + b"Nr\xff\xff\xff\x7f.") is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_deep_nests_are_read_and_freed() -> None:
    """In a process of its own: a stack that overflows is no exception."""
    lists, tuples, dicts = "b']' * n + b'a' * (n - 1)", "b')' + b'\\x85' * n", "b'}' + b'N}' * (n - 1) + b's' * (n - 1)"
    records = "b'cm\\nf\\n' * n + b')' + b'R\\x85' * n"
    for nest in (lists, tuples, dicts, records):
        code = f"from lsd_experiments.pickles import loads; n = 300_000; value = loads(b'\\x80\\x02' + {nest} + b'.'); del value"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr


def test_arrays_of_objects_in_each_other_are_refused() -> None:
    """NumPy frees one in the other, so that a chain of them overflows the stack."""
    inner = np.array([1, None], object)
    outer = np.empty(1, object)
    outer[0] = inner
    with pytest.raises(ValueError, match="an array of objects is in another one"):
        loads(pickle.dumps(outer))
    assert loads(pickle.dumps(inner)).tolist() == [1, None]


SMALL = 100_000  # bytes of a pickle, of which each makes as much as it can
GREEDY = {
    "empty sets": P4 + b"\x8f" * SMALL + b".",
    "empty dicts": P2 + b"}" * SMALL + b".",
    "tuples": P2 + b")" + b"\x85" * SMALL + b".",
    "marks": P2 + b"(" * SMALL,
    "a memo": P4 + b"N" + b"\x94" * SMALL + b".",
    "calls": P2 + b"cf\nf\nq\x00" + b"h\x00)R" * (SMALL // 4) + b".",
    "dicts of one": P2 + b"}NNs" * (SMALL // 4) + b".",
    "copies of a text": P4 + b"X" + SMALL.to_bytes(4, "little") + b"a" * SMALL + b"q\x000cbuiltins\nbytes\nq\x01("
    + b"h\x01h\x00\x85R" * 10_000 + b"l.",
}


@pytest.mark.parametrize("name", GREEDY)
def test_memory_is_bounded_by_the_pickles_length(name, monkeypatch) -> None:
    """Refused, or worth it; 19 MB of empty sets would take 4 GB."""
    monkeypatch.setattr(unpickler, "SLACK", 2**16)
    tracemalloc.start()
    with suppress(ValueError):
        loads(GREEDY[name])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * len(GREEDY[name])


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_graph_of_many_small_parts_is_worth_its_memory(protocol, monkeypatch) -> None:
    monkeypatch.setattr(unpickler, "SLACK", 0)
    graph = {node: {node - 1: {}, node + 1: {}} for node in range(1000)}
    assert loads(pickle.dumps(graph, protocol)) == graph


def test_keys_that_collide_are_refused() -> None:
    """A dict compares each with all before it: of a million it takes days."""
    spread = {(number, "a"): None for number in range(1100)}
    assert loads(pickle.dumps(spread)) == spread
    collide = {number * (2**61 - 1) << 64: None for number in range(1, 1100)}
    assert len({*map(hash, collide)}) == 1
    with pytest.raises(ValueError, match="too many of its keys have one hash"):
        loads(pickle.dumps(collide))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_truncated_and_damaged(protocol) -> None:
    """Whatever is left out or changed: a value, or a ValueError."""
    whole = pickle.dumps({"a": [1, 2.5, "text", {3}], "b": np.arange(4), "c": Call(os.getpid)}, protocol)
    assert loads(whole)["a"] == [1, 2.5, "text", {3}]
    for length in range(len(whole)):
        with pytest.raises(ValueError, match="not a pickle"):
            loads(whole[:length])
    rng = np.random.default_rng(0)
    codes = np.frombuffer("".join(opcode.code for opcode in pickletools.opcodes).encode("latin1"), np.uint8)
    read = 0
    for _ in range(1500):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(len(whole), size=3)] = rng.choice(codes, 3)
        with suppress(ValueError):
            loads(damaged.tobytes())
            read += 1
    assert 0 < read < 1500
