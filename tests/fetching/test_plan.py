"""What is to be fetched: paths that stay inside, room on the disk, the record."""

import shutil

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.fetching.plan import check_room, make_plan, part_path, readable, safe_path, whole_directory
from lsd_experiments.fetching.record import NAME, Record
from lsd_experiments.fetching.stores import StoredObject

PREFIX = "funke/fib25/training/a.zarr/"
EMPTY = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.fixture
def target(tmp_path):
    return whole_directory(PREFIX, tmp_path / "a.zarr")


def an_object(path: str, size: int = 3, etag: str | None = EMPTY) -> StoredObject:
    return StoredObject(PREFIX + path, size, etag)


@pytest.mark.parametrize("path", ["volumes/raw/.zarray", "volumes/raw/0.0.0", "lsd:v0.8.img", "a..b/c", "naïve"])
def test_a_path_that_stays_inside(path) -> None:
    assert safe_path(PREFIX + path, PREFIX) == path


@pytest.mark.parametrize(
    "path",
    [
        "../b",
        "volumes/../../b",
        "..",
        "/etc/passwd",
        "volumes//raw",
        "./raw",
        r"..\b",
        "C:\\b",
        "a\nb",
        "a\0b",
        "",
        "x" * 300,
        NAME,
        f"volumes/{NAME}",
        "0.0.0.part",
        "\x1b[2J",
    ],
)
def test_a_path_that_does_not(path, target) -> None:
    with pytest.raises(UserError, match="no key for a file below"):
        safe_path(PREFIX + path, PREFIX)
    with pytest.raises(UserError, match="no key for a file below"):
        make_plan(target, [an_object("good"), an_object(path)])


def test_a_key_of_another_prefix() -> None:
    with pytest.raises(UserError, match="no key"):
        safe_path("funke/fib25/training/a.zarr2/raw", PREFIX)


def test_an_object_that_is_a_directory_too(target) -> None:
    with pytest.raises(UserError, match="volumes/raw: is an object, and others are below it"):
        make_plan(target, [an_object("volumes/raw"), an_object("volumes/raw/0.0.0")])
    made = make_plan(target, [an_object("volumes/raw/", size=0), an_object("volumes/raw/0.0.0")])
    assert [file.path for file in made.files] == ["volumes/raw/0.0.0"]


def test_what_is_there_is_counted(target) -> None:
    objects = [an_object("done", 5), an_object("begun", 7), an_object("absent", 11), an_object("changed", 13)]
    target.staging.mkdir()
    for name, size in (("done", 5), ("changed", 13)):
        (target.staging / name).write_bytes(bytes(size))
    record = Record(target.staging)
    record.add("done", objects[0])
    record.add("changed", StoredObject(objects[3].key, 13, "0" * 32))
    made = make_plan(target, objects)
    part_path(target, made.missing[1]).write_bytes(bytes(4))
    made = make_plan(target, objects)
    assert (made.size, made.staged, made.to_fetch) == (36, 9, 27)
    other = make_plan(target, [an_object("begun", 7, "0" * 32)])
    assert other.staged == 0  # the four bytes are of another content


def test_a_file_that_was_not_fetched(target) -> None:
    target.directory.mkdir()
    (target.directory / "raw").write_bytes(b"123")
    assert [file.path for file in make_plan(target, [an_object("raw")]).unrecorded] == ["raw"]
    with pytest.raises(UserError, match=r"a.zarr/raw: was not fetched, and is not funke/.*/raw \(4 bytes\). Move it away"):
        make_plan(target, [an_object("raw", 4)])


def test_the_disk_must_have_room(target, tmp_path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert check_room([make_plan(target, [an_object("raw", 10)])], tmp_path / "not" / "there") > 0
    with pytest.raises(UserError, match=rf"{tmp_path}: .* are to be fetched, but only .* are free there"):
        check_room([make_plan(target, [an_object("raw", 2 * free)])], tmp_path / "not" / "there")
    many = [an_object(str(number), 1) for number in range(100)]
    with pytest.raises(UserError, match="free there"):  # 100 bytes, but in 100 blocks
        check_room([make_plan(target, [*many, an_object("raw", free - 4096 * 50)])], tmp_path)


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (999_999, "1 MB"), (1.7e12, "1.7 TB")])
def test_sizes_for_people(size, text) -> None:
    assert readable(int(size)) == text


def test_the_record_survives_a_kill(tmp_path) -> None:
    record = Record(tmp_path)
    record.add("a", an_object("a"))
    record.add("b", an_object("b"))
    record.path.write_text(record.path.read_text()[:-9])
    cut = Record(tmp_path)
    assert "a" in cut
    assert "b" not in cut
    cut.add("c", an_object("c"))
    cut.add("a", an_object("a", 4))
    again = Record(tmp_path)
    assert again.agrees("c", an_object("c"))
    assert again.agrees("a", an_object("a", 4))
    assert not again.agrees("a", an_object("a", 3))
    assert not again.agrees("c", an_object("c", etag="0" * 32))
    assert again.agrees("c", an_object("c", etag=None))  # a mirror knows no ETags
