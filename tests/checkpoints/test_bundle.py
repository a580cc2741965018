"""TensorFlow's files as they are read, and files that are damaged."""

import numpy as np
import pytest

from lsd_experiments.checkpoints.bundle import open_bundle
from lsd_experiments.errors import UserError

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
    assert set(bundle.shapes) == set(ARRAYS)
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
    assert set(bundle.shapes) == set(names)
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
    (file,) = open_bundle(path).data
    data = bytearray(file.read_bytes())
    data[data.index(ARRAYS["a/float32"].tobytes()) + 401] ^= 16
    file.write_bytes(data)
    bundle = open_bundle(path)
    with pytest.raises(UserError, match=r"model.index: a/float32 cannot be read: the files are damaged"):
        bundle.read("a/float32")
    np.testing.assert_array_equal(bundle.read("b/int64"), ARRAYS["b/int64"])


def test_a_data_file_that_is_missing_or_cut_off(write, tmp_path):
    path = write(tmp_path / "model", ARRAYS)
    data = tmp_path / "model.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    bundle = open_bundle(path)
    with pytest.raises(UserError, match=r"cannot be read: the files are damaged, or cut off"):
        bundle.read(max(ARRAYS))
    data.unlink()
    with pytest.raises(UserError, match=rf"{data.name}: is missing"):
        open_bundle(path)


def test_an_index_that_is_cut_off_or_changed_anywhere(write, tmp_path):
    """A changed byte is noticed, or was of no importance: the same names and values are read."""
    values = {"name": np.float32(1), "name2": np.float32(2)}
    path = write(tmp_path / "model", values)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"model.index: is not the index of a TensorFlow checkpoint, or damaged"):
            open_bundle(path)
    noticed = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            bundle = open_bundle(path)
        except UserError:
            noticed += 1
        else:
            assert {name: bundle.read(name) for name in bundle.shapes} == values
    assert noticed > len(whole) / 2


@pytest.mark.parametrize("content", [b"", b"no table", b"\x89HDF\r\n" + bytes(100), bytes(4096)])
def test_a_wrong_file(tmp_path, content):
    path = tmp_path / "wrong.index"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"wrong.index: is not the index of a TensorFlow checkpoint"):
        open_bundle(path)
