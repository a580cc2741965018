"""Where in a container a volume may be put, by format; what is there of others stays."""

from pathlib import Path

from lsd_experiments.arrays import zarr3_writing
from lsd_experiments.arrays.addresses import Address
from lsd_experiments.arrays.creating import check_place, check_zarr, make_groups
from lsd_experiments.arrays.hierarchy import clean
from lsd_experiments.arrays.local import is_n5, open_directory
from lsd_experiments.arrays.zarr3 import METADATA
from lsd_experiments.conversion.layouts import stored_provenance
from lsd_experiments.errors import UserError

STAGES = ("convert", "export")  # whose whole directories may be replaced


def target_of(container: str, dataset: str | None) -> Path:
    """The directory that ``dataset`` of ``container``, or ``container`` itself, is."""
    return Path(container) / clean(dataset, container) if dataset else Path(container)


def check_target(kind: str, container: str, dataset: str | None, overwrite: bool) -> None:
    """:raises UserError: if a volume of format ``kind`` cannot be put there, or something is there and not ``overwrite``"""
    root, target = Path(container), target_of(container, dataset)
    if kind in ("zarr", "n5"):
        if not (kind == "n5" and (is_n5(root) or not root.exists())):
            check_zarr(root)
        return check_place(root, target, overwrite)
    if root.exists() and not root.is_dir():
        raise UserError(f"{root}: is there, and is a file. Name another output")
    if target == root:
        return _check_root(kind, root, overwrite)
    if root.is_dir() and not (root / METADATA).is_file() and any(path.name[0] != "." for path in root.iterdir()):
        raise UserError(f"{root}: is there, and is not zarr 3. Name another output")
    for parent in (path for path in target.parents if path == root or root in path.parents):
        if _is_dataset(parent):
            raise UserError(f"{parent}: is a dataset, so that {target} cannot be put into it. Name another dataset")
    if target.is_dir() and not _is_dataset(target) and any(target.iterdir()):
        raise UserError(f"{target}: is a group that holds others. Name another dataset")
    if target.exists() and not overwrite:
        raise UserError(f"{target}: exists already. Remove it, or name another output")


def prepare_target(kind: str, container: str, dataset: str | None) -> None:
    """The groups that lead to it."""
    root, target = Path(container), target_of(container, dataset)
    if kind in ("zarr", "n5"):
        if kind == "n5":
            root.mkdir(parents=True, exist_ok=True)  # empty, it is N5
        return make_groups(root, clean(str(dataset), container))
    # From the root on: what a run that was killed here leaves is a container.
    for group in reversed([path for path in target.parents if path == root or root in path.parents]):
        if not (group / METADATA).exists():
            zarr3_writing.write_group(group, {})
    target.parent.mkdir(parents=True, exist_ok=True)


def _check_root(kind: str, root: Path, overwrite: bool) -> None:
    if not root.exists() or not any(path.name[0] != "." for path in root.iterdir()):
        return
    made = stored_provenance(kind, root)
    if not isinstance(made, dict) or made.get("stage") not in STAGES:
        raise UserError(f"{root}: is there, and does not say that this software wrote it. Name another output, or remove it "
                        "yourself")
    if not overwrite:
        raise UserError(f"{root}: exists already. Remove it, or name another output")


def _is_dataset(directory: Path) -> bool:
    """Whether ``directory`` is an array of zarr 3, or an image of several levels."""
    if not (directory / METADATA).is_file():
        return False
    tree = open_directory(Address(str(directory), "zarr3", "file", str(directory)))
    return tree.array("") is not None or "multiscales" in tree.attrs("")
