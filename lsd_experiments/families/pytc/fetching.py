"""``fetch_snemi3d.py``: the archive of SNEMI3D, fetched, checked and unpacked to the names that configurations have."""

import argparse
import logging
import os
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.fetching.command import DATA, JOBS, fetch_release

logger = logging.getLogger(__name__)

PLACES = {  # of members, whatever directory of the archive they are in, below the directory that is unpacked to
    "train-input.tif": "image/train-input.tif", "test-input.tif": "image/test-input.tif",
    "train-labels.tif": "seg/train-labels.tif", "test-labels.h5": "seg/test-labels.h5",
}
ARCHIVES = {False: ("snemi3d", "snemi.zip"), True: ("snemi3d_test_labels", "snemi.zip")}  # release, and file
TEST_LABELS = "test-labels.h5"
LARGEST = 2**31  # bytes of a member; published ones are of 105 to 420 MB
CHUNK = 2**20
VOXEL_SIZE = (30.0, 6.0, 6.0)


def main(description: str | None, arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = cli.parser(description)
    add = parser.add_argument
    add("--test-labels", action="store_true", help="the newer archive, which has the labels of the test volume, too")
    add("--dest", type=Path, default=DATA, metavar="DIR", help="where snemi3d/ is made (default: 01_data)")
    add("--dry-run", action="store_true", help="print sizes, check for room on the disk, and fetch nothing")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--endpoint-url", metavar="URL", help="another URL that the archive is below")
    source.add_argument("--mirror", type=Path, metavar="DIR",
                        help="copy from a directory that has snemi3d/zenodo/snemi.zip, or snemi3d/huggingface/snemi.zip")
    add("--jobs", type=cli.positive, default=JOBS, metavar="N", help=f"requests at a time (default: {JOBS})")
    cli.run(_fetch, parser, arguments)


def _fetch(options: argparse.Namespace) -> None:
    release, file = ARCHIVES[options.test_labels]
    archive, = fetch_release(release, [file], options)
    if options.dry_run:
        return
    directory = options.dest / "snemi3d"
    for path, written in unpack(archive, directory, [name for name in PLACES if name != TEST_LABELS or options.test_labels]):
        print(f"{path}{'' if written else ': there already'}")
    check_volumes(directory)


def unpack(archive: Path, directory: Path, names: Sequence[str]) -> list[tuple[Path, bool]]:
    """Unpack the members ``names`` of a zip file to their places; other members are left alone.

    :returns: each file, and whether it was written: one that is there with the member's size and checksum is not
    :raises UserError: if the file is damaged, or lacks a member, before anything is written
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = _members(archive, file, names)
            return [(path := directory / PLACES[name], _unpack(archive, file, member, path)) for name, member in members.items()]
    except zipfile.BadZipFile as error:
        raise UserError(f"{archive}: is damaged ({error}). Remove it, and fetch it again") from None


def _members(archive: Path, file: zipfile.ZipFile, names: Sequence[str]) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, list[zipfile.ZipInfo]] = {name: [] for name in names}
    for member in file.infolist():
        parts = member.filename.split("/")
        if parts[-1] in found and "__MACOSX" not in parts and not member.is_dir():
            found[parts[-1]].append(member)
    for name, members in found.items():
        if len(members) != 1:
            there = ", ".join(member.filename for member in file.infolist()[:6]) or "nothing"
            count = "no" if not members else f"{len(members)} times"
            raise UserError(f"{archive}: has {count} {name} (it has {there}). Fetch another archive")
        if members[0].flag_bits & 1 or members[0].file_size > LARGEST:
            why = "is encrypted" if members[0].flag_bits & 1 else f"would be of {members[0].file_size} bytes"
            raise UserError(f"{archive}: {members[0].filename} {why}, which none of SNEMI3D is. Fetch another archive")
    return {name: members[0] for name, members in found.items()}


def _unpack(archive: Path, file: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bool:
    if path.exists() and path.stat().st_size == member.file_size and _crc(path) == member.CRC:
        return False
    if path.exists():
        raise UserError(f"{path}: is there, and is not {member.filename} of {archive.name}. Move it away")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    try:
        with file.open(member) as source, partial.open("wb") as target:
            shutil.copyfileobj(source, target, CHUNK)  # compares the checksum at its end
        partial.rename(path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise UserError(f"{archive}: {member.filename} is damaged ({error}). Remove the archive, and fetch it again") from None
    finally:
        partial.unlink(missing_ok=True)
    return True


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc


def check_volumes(directory: Path) -> None:
    """:raises UserError: if volumes cannot be read, or images and labels are not of the same voxels."""
    from lsd_experiments.arrays import open_volume

    for split in ("train", "test"):
        image = open_volume(directory / "image" / f"{split}-input.tif", voxel_size=VOXEL_SIZE)
        labels = next(iter((directory / "seg").glob(f"{split}-labels.*")), None)
        if labels is None:
            continue
        shape = open_volume(labels, default="main", voxel_size=VOXEL_SIZE).shape
        if shape != image.shape:
            raise UserError(f"{labels}: has {shape} voxels, {image.name} has {image.shape}. Fetch another archive")
