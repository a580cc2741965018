"""What is wrong with a submission, before it is sent: a line for each finding, with its remedy.

What the published evaluation would do, silently, is a finding, too: a group of scale levels counts as not submitted, what lies
off its crop is moved or cut, a value above 0 is a voxel of the class.
"""

import posixpath
import stat
import zipfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.grids import show
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.aligning import best_level, check_ratio, shift_of
from lsd_experiments.families.cellmap.classes import INSTANCES
from lsd_experiments.families.cellmap.manifest import Target
from lsd_experiments.families.cellmap.sources import Level
from lsd_experiments.families.cellmap.submissions import Submission, open_submission

LARGEST = 50 * 2**30  # bytes of an unpacked submission
SECTIONS = 64  # read at a time


def validate(container: str | Path, targets: Sequence[Target], instances: Collection[str] = INSTANCES) -> list[str]:
    """All findings about the submission ``container``; empty if the challenge takes it as it is meant.

    :raises UserError: if there is no such file or directory
    """
    if not Path(container).exists():
        raise UserError(f"{container}: no such file or directory. Name the submission")
    findings = list(_of_zip(Path(container))) if zipfile.is_zipfile(container) else []
    try:
        submission = open_submission(container)
    except UserError as error:
        return [*findings, str(error)]
    findings += _of_names(submission, targets)
    filled: list[str] = []
    for target in targets:
        try:
            found = submission.levels(target.crop, target.label)
            findings += _of_class(found, target, instances, filled) if found else ()
        except UserError as error:
            findings.append(str(error))
    if not filled and not findings:
        findings.append(f"{container}: holds nothing but zeros. Look at what was processed")
    return findings


def _of_zip(path: Path) -> Iterator[str]:
    """Members that lead out of where they are unpacked, links, names that are there twice, and too large ones."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if sum(member.file_size for member in members) > LARGEST:
        yield f"{path}: unpacks to more than 50 GiB, which is refused. Use smaller types, or the crops' voxel sizes"
    seen: set[str] = set()
    for member in members:
        name = member.filename
        if name.startswith(("/", "\\")) or ":" in name.split("/")[0] or ".." in posixpath.normpath(name).split("/"):
            yield f"{path}: the member {name} leads out of where it is unpacked, which is refused. Zip with relative paths"
        if stat.S_ISLNK(member.external_attr >> 16):
            yield f"{path}: the member {name} is a link, which is refused. Zip the file that it leads to"
        if name in seen:
            yield f"{path}: the member {name} is there twice. Make the zip file anew"
        seen.add(name)


def _of_names(submission: Submission, targets: Sequence[Target]) -> Iterator[str]:
    name, root = submission.name, submission.root
    if root:
        yield f"{name}: its crops lie in {root}, not at the top. Zip what is in it: cd {posixpath.basename(root)} && zip -r ..."
    for path in (root, *submission.paths.values()):
        if not submission.tree.attrs(path) and ".zgroup" not in _files(submission, path):
            yield f"{name}: {path or 'its top'} has no .zgroup. Open it with zarr.open_group(..., mode='a'), which adds it"
    for crop, path in submission.paths.items():
        if posixpath.basename(path) != crop:
            yield f"{name}: {path} should be called {crop}. Rename it"
    wanted: dict[str, set[str]] = {}
    for target in targets:
        wanted.setdefault(target.crop, set()).add(target.label)
    for crop in sorted(wanted.keys() - submission.crops.keys()):
        yield f"{name}: {crop} is missing, and scores 0 for {', '.join(sorted(wanted[crop]))}. Add it"
    for crop in sorted(submission.crops.keys() - wanted.keys()):
        yield f"{name}: {crop} is no test crop, and is not looked at. Remove it"
    for crop in sorted(submission.crops.keys() & wanted.keys()):
        for label in sorted(wanted[crop] - submission.crops[crop].keys()):
            yield f"{name}: {crop}/{label} is missing, and scores 0. Add it"
        for label in sorted(submission.crops[crop].keys() - wanted[crop]):
            yield f"{name}: {crop}/{label} is not scored in this crop. Remove it"


def _files(submission: Submission, path: str) -> Collection[str]:
    key = f"{path}/.zgroup".lstrip("/")
    store: Any = getattr(submission.tree, "store", {})
    return (".zgroup",) if key in store else ()


def _of_class(levels: Sequence[Level], target: Target, instances: Collection[str], filled: list[str]) -> Iterator[str]:
    level = best_level(levels, target)
    if level.kind != "array":
        yield (f"{target.name}: is a group of scale levels, which the published evaluation does not see. Write one array "
               "in its place")
    check_ratio(level, target)
    yield from _of_place(level, target)
    yield from _of_values(level, target, instances, filled)


def _of_place(level: Level, target: Target) -> Iterator[str]:
    remedy = "Let csc pack-results write it"
    if level.voxel_size is None:
        yield f"{target.name}: has no attribute voxel_size, so that it is centred in its crop, whatever it is. {remedy}"
    elif not np.allclose(level.voxel_size, target.voxel_size):
        yield (f"{target.name}: has voxels of {show(level.voxel_size)} nm and is scored at {show(target.voxel_size)}, to which "
               f"it is resampled. {remedy}")
    elif level.shape != target.shape:
        yield f"{target.name}: has {level.shape} voxels, not {target.shape}; what is missing is 0. {remedy}"
    if level.translation is None:
        yield f"{target.name}: has no attribute translation, so that it is taken to begin with its crop. {remedy}"
        return
    here, published = shift_of(level, target), shift_of(level, target, parity=True)
    if any(here):
        yield (f"{target.name}: begins at {show(level.translation)} nm and its crop at {show(target.translation)}: it is moved "
               f"by {here} voxels. {remedy}")
    if here != published:
        yield (f"{target.name}: begins at {show(level.translation)} nm, off the published evaluation's grid, which moves it by "
               f"{published} voxels, not by {here}. {remedy}")


def _of_values(level: Level, target: Target, instances: Collection[str], filled: list[str]) -> Iterator[str]:
    """Read section by section; the names of classes that are not all 0 are added to ``filled``."""
    lowest, highest, odd, ids = 0.0, 0.0, None, set[int]()
    is_instance = target.label in instances
    for begin in range(0, level.shape[0], SECTIONS):
        values = level[begin:begin + SECTIONS]
        lowest, highest = min(lowest, values.min()), max(highest, values.max())
        odd = _odd(values, is_instance) if odd is None else odd
        if is_instance and level.dtype == np.uint8:
            ids |= set(np.unique(values).tolist())
    if odd is not None:
        kind = "ids of instances are whole numbers" if is_instance else "a class is 0 and 1, and all above 0 counts"
        yield f"{target.name}: holds {odd:g}: {kind}. Threshold or label it before it is packed"
    if lowest < 0 and odd is None:
        yield f"{target.name}: holds {lowest:g}, which is below 0. Write 0 where there is nothing"
    if highest > 0:
        filled.append(target.name)
    if len(ids) == 256:
        yield f"{target.name}: has all 255 ids of uint8: were there more, they were wrapped. Write uint16 or uint32"


def _odd(values: NDArray[Any], is_instance: bool) -> float | None:
    """A value that is no id, or neither 0 nor 1 of a class."""
    if is_instance:
        odd = values[(values % 1 != 0)] if values.dtype.kind == "f" else values[:0]
    else:
        odd = values[~np.isin(values, (0, 1))]
    return float(odd.reshape(-1)[0]) if odd.size else None
