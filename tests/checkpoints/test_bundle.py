"""TensorFlow's files, against TensorFlow; and files that are damaged, in every way that a small writer of them can make."""

import contextlib

import numpy as np
import pytest

from lsd_experiments.checkpoints.bundle import open_bundle
from lsd_experiments.checkpoints.crc32c import masked_crc32c
from lsd_experiments.errors import UserError


def unmask(crc):
    rotated = (crc - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "crc"),
    [  # RFC 3720, B.4, and the catalogue's check value
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"", 0),
    ],
)
def test_checksum(data, crc):
    assert unmask(masked_crc32c(data)) == crc
    assert unmask(masked_crc32c(np.frombuffer(data, np.uint8))) == crc


ARRAYS = {
    "a/float32": np.linspace(-1, 1, 210, dtype=np.float32).reshape(5, 6, 7),
    "a/float64": np.array([np.pi, np.nan]),
    "b/int32": np.arange(-4, 4, dtype=np.int32),
    "b/int64": np.array([[2**62, -(2**62)]]),
    "b/bool": np.array([True, False, True]),
    "b/half": np.array([0.5, -2], np.float16),
    "scalar": np.float32(0.857),
    "without values": np.zeros((0, 3), np.float32),
    "ünïcode": np.arange(3, dtype=np.uint8),
}


def test_all_values_are_those_that_tensorflow_wrote(write, tmp_path):
    bundle = open_bundle(write(tmp_path / "model", ARRAYS))
    assert set(bundle.entries) == set(ARRAYS)
    for name, array in ARRAYS.items():
        found = bundle.read(name)
        assert (found.dtype, found.shape) == (np.asarray(array).dtype, np.shape(array))
        np.testing.assert_array_equal(found, array)
    assert [path.name for path in bundle.files] == ["model.index", "model.data-00000-of-00001"]


def test_an_index_of_many_blocks(write, tmp_path):
    """TensorFlow ends a block at 256 KiB."""
    names = [f"{number:04d}{'/long' * 30}" for number in range(4000)]
    path = write(tmp_path / "model", {name: np.int32(name[:4]) for name in names})
    assert path.stat().st_size > 2 * 2**18
    bundle = open_bundle(path)
    assert set(bundle.entries) == set(names)
    for number in (0, 1, 2345, 3999):
        assert bundle.read(names[number]) == number


def test_several_data_files(write, tmp_path):
    import tensorflow as tf

    parts = [write(tmp_path / f"part{n}", {f"{n}/value": np.full(n + 1, n, np.float32)}) for n in range(3)]
    prefixes = [str(path).removesuffix(".index") for path in parts]
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=str(tmp_path / "whole"))
    bundle = open_bundle(tmp_path / "whole.index")
    assert [path.name for path in bundle.data] == [f"whole.data-0000{n}-of-00003" for n in range(3)]
    for n in range(3):
        np.testing.assert_array_equal(bundle.read(f"{n}/value"), np.full(n + 1, n))


def test_text_is_refused_when_it_is_read_and_not_before(write, tmp_path):
    bundle = open_bundle(write(tmp_path / "model", {"text": np.array(["a", "b"]), "number": np.float32(1)}))
    assert bundle.read("number") == 1
    with pytest.raises(UserError, match=r"model.index: text is of a type that is not read"):
        bundle.read("text")


def test_a_flipped_bit_in_the_values_is_noticed_in_its_tensor_alone(write, tmp_path):
    path = write(tmp_path / "model", ARRAYS)
    bundle = open_bundle(path)
    data = bytearray(bundle.data[0].read_bytes())
    data[bundle.entries["a/float32"].offset + 401] ^= 16
    bundle.data[0].write_bytes(data)
    with pytest.raises(UserError, match=r"model.data-00000-of-00001: is damaged: the checksum of a/float32"):
        bundle.read("a/float32")
    np.testing.assert_array_equal(bundle.read("b/int64"), ARRAYS["b/int64"])


def test_a_data_file_that_is_missing_or_cut_off(write, tmp_path):
    path = write(tmp_path / "model", ARRAYS)
    data = tmp_path / "model.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=rf"{data.name}: is cut off: it has {len(whole) - 1} bytes.* of {len(whole)}"):
        open_bundle(path)
    data.unlink()
    with pytest.raises(UserError, match=rf"{data.name}: is missing"):
        open_bundle(path)


def test_an_index_that_is_cut_off_or_changed_anywhere(write, tmp_path):
    """What is not noticed is not read: the block of metadata, of which there is none, and the footer's padding."""
    path = write(tmp_path / "model", {"name": np.float32(1), "name2": np.float32(2)})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"model.index: is not the index of a TensorFlow checkpoint, or damaged"):
            open_bundle(path)
    metadata, _, index, size = whole[-48:-44]  # offsets and sizes, below 128 in so small a file
    unread = {*range(metadata, index), len(whole) - 48, len(whole) - 47, *range(len(whole) - 44, len(whole) - 8)}
    noticed = set()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            open_bundle(path)
        except UserError:
            noticed.add(at)
    assert noticed >= set(range(len(whole))) - unread
    assert noticed >= {*range(metadata), *range(index, index + size + 5)}


@pytest.mark.parametrize("content", [b"", b"no table", b"\x89HDF\r\n" + bytes(100), bytes(4096)])
def test_a_wrong_file(tmp_path, content):
    path = tmp_path / "wrong.index"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"wrong.index: is not the index of a TensorFlow checkpoint"):
        open_bundle(path)


# A writer of tables, to write what TensorFlow never would.


def number(value):
    low, rest = value & 0x7F, value >> 7
    return bytes([low]) if not rest else bytes([low | 0x80]) + number(rest)


def field(key, value):
    """A field of a message: a number or bytes."""
    if isinstance(value, int):
        return number(key << 3) + number(value)
    return number(key << 3 | 2) + number(len(value)) + value


def entries(table, shared=0):
    content = b"".join(number(shared) + number(len(k)) + number(len(v)) + k + v for k, v in table.items())
    return content + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")


def table(content, compression=0):
    """A file of one block; ``content``: of the block."""
    file = b""

    def add(block, compression=0):
        nonlocal file
        handle = number(len(file)) + number(len(block))
        stored = block + bytes([compression])
        file += stored + masked_crc32c(stored).to_bytes(4, "little")
        return handle

    block = add(content, compression)
    footer = (add(entries({})) + add(entries({b"z": block}))).ljust(40, b"\0")
    return file + footer + (0xDB4775248B80FB57).to_bytes(8, "little")


HEADER = field(1, 1)
VALUES = np.array([[1, -2, 3]], ">f4")
SHAPE = field(2, field(1, 1)) + field(2, field(1, 3))
TENSOR = field(1, 1) + field(2, SHAPE) + field(4, 2) + field(5, 12) + number(6 << 3 | 5)


@pytest.fixture
def crafted(tmp_path):
    """A function that writes an index with a content of ours, beside two bytes and VALUES."""
    def craft(content, **options):
        (tmp_path / "model.data-00000-of-00001").write_bytes(b"--" + VALUES.tobytes())
        (tmp_path / "model.index").write_bytes(table(content, **options))
        return tmp_path / "model.index"
    return craft


def crc(array):
    return masked_crc32c(array.tobytes()).to_bytes(4, "little")


def test_a_table_of_another_byte_order(crafted):
    bundle = open_bundle(crafted(entries({b"": HEADER + field(2, 1), b"x": TENSOR + crc(VALUES)})))
    np.testing.assert_array_equal(bundle.read("x"), [[1, -2, 3]])
    assert bundle.read("x").dtype == np.dtype("float32").newbyteorder("=")
    as_little = open_bundle(crafted(entries({b"": HEADER, b"x": TENSOR + crc(VALUES)})))
    assert not np.array_equal(as_little.read("x"), [[1, -2, 3]])


WRONG = {
    "compressed": (entries({b"": HEADER}), {"compression": 1}, "is compressed"),
    "no header": (entries({b"x": TENSOR + bytes(4)}), {}, "it has no header"),
    "no shards": (entries({b"": b""}), {}, "it has 0 data files"),
    "a shard too many": (entries({b"": HEADER, b"x": TENSOR + bytes(4) + field(3, 1)}), {}, "x lies in data file 1 of 1"),
    "slices": (entries({b"": HEADER, b"x": TENSOR + bytes(4) + field(7, b"")}), {}, "x is stored in slices"),
    "shape and size": (entries({b"": HEADER, b"x": TENSOR + bytes(4) + field(5, 13)}), {}, r"x of shape \(1, 3\) has 13 bytes"),
    "unknown shape": (entries({b"": HEADER, b"x": field(1, 1) + field(2, field(2, field(1, 2**64 - 1)))}), {}, "shape is not"),
    "shared": (entries({b"": HEADER, b"x": b""}, shared=1), {}, "shares 1 bytes with one of 0"),
    "name": (entries({b"": HEADER, b"\xff": b""}), {}, "is no text"),
    "restarts": (b"\xff" * 4, {}, "restarts"),
    "an endless number": (entries({b"": b"\x08" + b"\xff" * 11}), {}, "a number has no end"),
    "a group": (entries({b"": b"\x0b"}), {}, "field 1 has the unknown type 3"),
    "a field that is cut off": (entries({b"": field(9, b"long")[:-1]}), {}, "reach over the end"),
    "a field of another type": (entries({b"": HEADER, b"x": field(4, b"")}), {}, "fields of other types"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_no_checkpoint_is(crafted, case):
    content, options, words = WRONG[case]
    with pytest.raises(UserError, match=words):
        open_bundle(crafted(content, **options))


def test_random_bytes_are_a_users_error_or_a_checkpoint(crafted):
    random = np.random.default_rng(0)
    for _ in range(300):
        noise = random.bytes(random.integers(1, 40))
        for content in (noise + entries({})[-8:], entries({b"": HEADER, b"x": noise})):
            with contextlib.suppress(UserError):  # and nothing else
                open_bundle(crafted(content))
