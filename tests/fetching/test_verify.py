"""ETags, against those that S3's rule gives when it is followed literally."""

import hashlib

import numpy as np
import pytest

from lsd_experiments.fetching.verify import MIB, matches, usual_part_sizes


@pytest.fixture(scope="module")
def content() -> bytes:
    return np.random.default_rng(0).bytes(11 * MIB + 17)


@pytest.fixture
def path(content, tmp_path):
    (tmp_path / "object").write_bytes(content)
    return tmp_path / "object"


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def etag_of_parts(content: bytes, part_size: int) -> str:
    parts = [content[begin : begin + part_size] for begin in range(0, len(content), part_size)]
    return f"{md5(b''.join(hashlib.md5(part).digest() for part in parts))}-{len(parts)}"


def test_an_object_of_one_piece(path, content) -> None:
    assert matches(path, md5(content))
    path.write_bytes(content[:-1] + b"!")
    assert not matches(path, md5(content))


def test_an_empty_object(tmp_path) -> None:
    (tmp_path / "empty").touch()
    assert matches(tmp_path / "empty", md5(b""))


@pytest.mark.parametrize("part_size", [5 * MIB, 8 * MIB, 16 * MIB, 7 * MIB])
def test_an_object_of_parts(path, content, part_size) -> None:
    etag = etag_of_parts(content, part_size)
    assert matches(path, etag)
    path.write_bytes(content[:-1] + b"!")
    assert not matches(path, etag)


def test_an_unusual_part_size_is_asked_for(path, content) -> None:
    etag = etag_of_parts(content, 5_555_555)
    assert not matches(path, etag)
    assert matches(path, etag, lambda: 5_555_555)
    assert not matches(path, etag, lambda: 5_555_556)


def test_an_etag_that_is_no_md5_says_nothing(path) -> None:
    assert matches(path, None)
    assert matches(path, "W/opaque")


@pytest.mark.parametrize(("size", "parts"), [(11 * MIB + 17, 2), (11 * MIB + 17, 3), (10 * MIB, 2), (10**10, 1193), (10**9, 2)])
def test_part_sizes_fit_the_number_of_parts(size, parts) -> None:
    found = usual_part_sizes(size, parts)
    assert found
    assert all(-(-size // part) == parts for part in found)


def test_few_are_tried() -> None:
    assert len(usual_part_sizes(10**12, 2)) <= 32
