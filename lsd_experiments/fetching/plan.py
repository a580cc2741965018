"""What is to be fetched: which objects, to where, how much of it is there, and whether the disk has room for the rest."""

import hashlib
import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lsd_experiments.errors import UserError
from lsd_experiments.fetching.record import NAME, Record
from lsd_experiments.fetching.stores import StoredObject
from lsd_experiments.fetching.verify import sha256_of

logger = logging.getLogger(__name__)

PART = ".part"  # ends the name of a file that is being fetched
STAGING = ".partial"  # ends the name of the directory that it is fetched into
LONGEST = 190  # bytes of a name, so that there is room for an ETag
BLOCK = 4096  # bytes that a file system hands out at once


@dataclass(frozen=True)
class Target:
    """What is of use only as a whole: the objects below ``prefix``, as files in ``directory``.

    ``staging``: where they are fetched to, and stay until all are there. ``file``: the name of the only one, where the target is
    a file: its SHA-256 is recorded, and compared by later runs.
    """

    prefix: str
    directory: Path
    staging: Path
    file: str = ""

    @property
    def place(self) -> Path:
        """What messages name."""
        return self.directory / self.file


@dataclass(frozen=True)
class File:
    """An object, and its file's path in the target's directory, with ``/``."""

    path: str
    found: StoredObject


@dataclass(frozen=True)
class Plan:
    """The files of a target: all, those to be fetched, and those that are there with the right size but no record.

    ``staged``: bytes of the files to be fetched that are there already.
    """

    target: Target
    files: tuple[File, ...]
    missing: tuple[File, ...]
    unrecorded: tuple[File, ...]
    staged: int

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.found.size for file in self.files)

    @property
    def to_fetch(self) -> int:
        """Bytes that are still to come."""
        return sum(file.found.size for file in self.missing) - self.staged


def whole_directory(prefix: str, directory: Path) -> Target:
    """A target whose directory comes into being when all of its files are there."""
    return Target(prefix, directory, directory.with_name(directory.name + STAGING))


def within_directory(prefix: str, directory: Path) -> Target:
    """A target whose files join others in ``directory``."""
    return Target(prefix, directory, directory / f"fetched{STAGING}")


def single_file(key: str, directory: Path) -> Target:
    """A target that is one file, beside others in ``directory``."""
    prefix, _, name = key.rpartition("/")
    return Target(f"{prefix}/", directory, directory / f"{name}{STAGING}", name)


def make_plan(target: Target, objects: Iterable[StoredObject]) -> Plan:
    """Compare ``objects`` with what is on disk; writes nothing.

    :raises UserError: if a key would leave the directory, or a file is in the way that was not fetched.
    """
    files = _files(target, objects)
    record, missing, unrecorded = Record(target.directory), [], []
    for file in files:
        path = target.directory / file.path
        if not path.exists():
            missing.append(file)
        elif file.path not in record:
            _check_alike(path, file)
            unrecorded.append(file)
        elif not (record.agrees(file.path, file.found) and path.stat().st_size == file.found.size):
            missing.append(file)
        elif target.file and record.sums.get(file.path) not in (None, sha256_of(path)):
            logger.warning("%s: has not the SHA-256 any more that it was fetched with, and is fetched again", path)
            missing.append(file)
    staged = Record(target.staging)
    there = sum(_staged(target, staged, file) for file in missing)
    return Plan(target, tuple(files), tuple(missing), tuple(unrecorded), there)


def part_path(target: Target, file: File) -> Path:
    """Where ``file`` grows: the name says of which content the bytes are."""
    path = target.staging / file.path
    return path.with_name(f"{path.name}.{_token(file.found.etag)}{PART}")


def check_room(plans: Sequence[Plan], directory: Path) -> int:
    """The bytes that are free where ``directory`` is, or will be.

    :raises UserError: if ``plans`` need more.
    """
    needed = sum(-(-file.found.size // BLOCK) * BLOCK for plan in plans for file in plan.missing)
    needed -= sum(plan.staged for plan in plans)
    existing = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise UserError(
            f"{existing}: {readable(needed)} are to be fetched, but only {readable(free)} are free there. Make room, or name "
            "another place with --dest"
        )
    return free


def readable(size: int) -> str:
    """``size`` bytes for people: ``1.23 GB``, in powers of 1000."""
    if size < 1000:
        return f"{size} B"
    value, units = float(size), iter("kMGTPE")
    unit = ""
    while value >= 999.5:
        value, unit = value / 1000, next(units)
    return f"{value:.3g} {unit}B"


def _files(target: Target, objects: Iterable[StoredObject]) -> list[File]:
    files = [
        File(safe_path(found.key, target.prefix), found)
        for found in objects
        if not (found.key.endswith("/") and not found.size)  # what some programs put in place of a directory
    ]
    paths = {file.path for file in files}
    for path in sorted(paths):
        both = next((str(parent) for parent in PurePosixPath(path).parents if str(parent) in paths), None)
        if both:
            raise UserError(f"{target.prefix}{both}: is an object, and others are below it. It cannot be fetched as files")
    return files


def safe_path(key: str, prefix: str) -> str:
    """The path of ``key`` below ``prefix``.

    :raises UserError: if it is none that stays below a directory, or is one of our own names.
    """
    path = key.removeprefix(prefix)
    names = path.split("/")
    if not key.startswith(prefix) or not all(map(is_safe_name, names)) or names[-1].endswith(PART):
        raise UserError(f"{key!r}: no key for a file below {prefix}. Nothing was fetched: see to the bucket")
    return path


def is_safe_name(name: str) -> bool:
    """Whether ``name`` is that of a file or directory within another, and none of our own names."""
    plain = name.isprintable() and not set(name) & {"/", "\\"} and len(name.encode()) <= LONGEST
    return plain and name not in ("", ".", "..", NAME)


def _check_alike(path: Path, file: File) -> None:
    if not path.is_file() or path.stat().st_size != file.found.size:
        raise UserError(f"{path}: was not fetched, and is not {file.found.key} ({file.found.size} bytes). Move it away")


def _staged(target: Target, record: Record, file: File) -> int:
    """Bytes of ``file`` that are there for a run to go on from."""
    path, part = target.staging / file.path, part_path(target, file)
    if is_staged(target, record, file):
        return path.stat().st_size
    return part.stat().st_size if part.is_file() and file.found.etag else 0


def is_staged(target: Target, record: Record, file: File) -> bool:
    """Whether ``file`` was fetched, and waits for the others."""
    path = target.staging / file.path
    return record.agrees(file.path, file.found) and path.is_file() and path.stat().st_size == file.found.size


def _token(etag: str | None) -> str:
    """What of an ETag stands in a file's name: itself, if it is an MD5 or the like."""
    if not etag or all(character in "0123456789abcdef-" for character in etag):
        return etag or "unknown"
    return hashlib.sha256(etag.encode()).hexdigest()[:32]
