"""What is data comes out as it went in, of each protocol; what is no data is kept by name."""

import collections
import io
import pickle
import pickletools

import numpy as np
import pytest

from lsd_experiments.pickles import Foreign, Global, array_of, load, loads

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
SHARED = [1, 2]
VALUES = [None, True, -1, 2**70, 1.5, float("inf"), 1j, "ä\n'", b"\xff\x00", bytearray(b"ab"), (), (1, (2,)), [], [1, [2]], {},
          {1: "a", (2, "b"): None}, set(), {1, 2}, frozenset({3}), collections.OrderedDict(b=1, a=2), [SHARED, SHARED],
          "x" * 70000]
ARRAYS = [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(24).reshape(2, 3, 4)), np.arange(24).reshape(2, 3, 4).T[1:],
          np.arange(3, dtype=">i2"), np.float16([1, 2]), np.array([True, False]), np.array(["ab", "c"]), np.array([b"xy"]),
          np.complex64([1j]), np.empty((0, 3)), np.array(5, np.uint64), np.array([{"a": 1}, None, [2]], object),
          np.zeros(500_000)]
SCALARS = [np.float32(1.5), np.int64(-3), np.bool_(True), np.uint8(255), np.str_("ab"), np.complex128(2j)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_values(protocol) -> None:
    read = loads(pickle.dumps(VALUES, protocol))
    assert read == VALUES
    kinds = [type(value) for value in VALUES]
    assert [type(value) for value in read] == [dict if kind is collections.OrderedDict else kind for kind in kinds]
    assert list(read[19]) == ["b", "a"]
    assert read[20][0] is read[20][1], "what was one value is one"
    assert load(io.BytesIO(pickle.dumps(7, protocol) + b"more")) == 7


@pytest.mark.parametrize("names", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_both_generations_of_names(protocol, names) -> None:
    data = pickle.dumps([*ARRAYS, *SCALARS], protocol)
    data = _renamed(data, names)
    assert names.encode() in data
    read = loads(data)
    for value, expected in zip(read, [*ARRAYS, *SCALARS], strict=True):
        assert (type(value), value.dtype, value.shape) == (type(expected), expected.dtype, expected.shape)
        np.testing.assert_array_equal(value, expected)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(read[0], ARRAYS[0].T.reshape(2, 3))


def _renamed(data: bytes, names: str) -> bytes:
    """``data`` with another name of NumPy's core; where names have lengths, these are put right."""
    for module in ("multiarray", "numeric"):
        for old in ("numpy._core", "numpy.core"):
            before, after = (f"{core}.{module}".encode() for core in (old, names))
            data = data.replace(b"\x8c" + bytes([len(before)]) + before, b"\x8c" + bytes([len(after)]) + after)
            data = data.replace(b"c" + before + b"\n", b"c" + after + b"\n")
    return pickletools.optimize(data)  # makes the frames anew


def test_arrays_share_the_pickles_bytes_and_a_type_is_kept() -> None:
    read = loads(pickle.dumps([np.zeros(1000), np.dtype("<f4"), {"dtype": np.dtype(">i8")}], 4))
    assert not read[0].flags.writeable
    assert read[1] == np.dtype("<f4")
    assert read[2]["dtype"] == np.dtype(">i8")


class Thing:
    """With a state, with an own way to be made, and as a list and a dict."""

    def __init__(self, *args) -> None:
        self.args = args


class Called(Thing):
    def __reduce__(self):
        return Called, self.args, {"state": 1}, iter([10, 20]), iter([("key", "value")])


class Slotted:
    __slots__ = ("value",)

    def __getnewargs_ex__(self):
        return (1, 2), {"keyword": 3}


class Numbers(list):
    pass


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_what_is_no_data_is_kept_as_a_record(protocol) -> None:
    thing, called, numbers, function = loads(pickle.dumps([Thing("a"), Called(1, 2), Numbers([5, 6]), _rebuild], protocol))
    assert all(type(value) is Foreign for value in (thing, called, numbers))
    assert (thing.module, thing.name, thing.args, thing.state) == (__name__, "Thing", (), {"args": ("a",)})
    assert (called.name, called.args, called.state, called.items) == ("Called", (1, 2), {"state": 1}, [10, 20, ("key", "value")])
    assert (numbers.name, numbers.items) == ("Numbers", [5, 6])
    assert function == Global(__name__, "_rebuild")
    assert thing != Foreign(thing.module, thing.name), "equal is only the same"
    assert {thing: 1}[thing] == 1


@pytest.mark.parametrize("protocol", [4, 5])
def test_keywords_and_slots(protocol) -> None:
    slotted = Slotted()
    slotted.value = 4
    slot = loads(pickle.dumps(slotted, protocol))
    assert (slot.name, slot.args, slot.kwargs, slot.state) == ("Slotted", (1, 2), {"keyword": 3}, (None, {"value": 4}))


@pytest.mark.parametrize("protocol", [0, 1])
def test_records_of_old_protocols(protocol) -> None:
    thing, numbers = loads(pickle.dumps([Thing("a"), Numbers([5])], protocol))
    assert (thing.name, thing.args, thing.state) == ("Thing", (), {"args": ("a",)})
    assert (numbers.name, numbers.args) == ("Numbers", ([5],))


class Lazy:
    """As JAX pickles an array: an unknown function, of NumPy's function, its arguments and the array's state."""

    def __reduce__(self):
        function, args, state = np.arange(3.0).__reduce__()
        return _rebuild, (function, args, state, {"weak_type": False})


def _rebuild(*_):
    raise AssertionError


def test_an_array_in_an_unknown_call_can_be_made_of_its_state() -> None:
    call = loads(pickle.dumps(Lazy(), 4))
    assert (call.name, call.args[0].name, call.args[3]) == ("_rebuild", "_reconstruct", {"weak_type": False})
    assert array_of(call.args[2]).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="an array's state is of another form"):
        array_of({})
