"""The commands that messages print, so that they work as printed: of 01_data, with what was read and what is to be done to it."""

import shlex
from collections.abc import Collection
from pathlib import Path

from lsd_experiments.arrays.volume import Volume

SHOWN = 16  # ids that a command names, at most


def convert_command(volume: Volume, *options: str, dataset: str = "volumes/labels") -> str:
    """``convert.py`` of ``volume`` into a new zarr beside it; ``dataset``: what it is called there, where it has no name here."""
    stem = Path(volume.container.rstrip("/")).stem
    new = f"{stem}.zarr" if "://" in volume.container else str(Path(volume.container).with_name(f"{stem}_converted.zarr"))
    size = [] if _says_voxel_size(volume) else ["--voxel-size", *(f"{v:.17g}" for v in volume.voxel_size)]
    words = [volume.container, volume.dataset or "-", new, volume.dataset or dataset, *options, *size]
    return f"01_data/convert.py {shlex.join(words)}"


def exclude_command(volume: Volume, ids: Collection[int]) -> str:
    """What sets ``ids`` of ``volume`` to 0, in a copy of it."""
    return convert_command(volume, "--exclude", *_some(ids), "--dtype", "uint64")


def mask_command(volume: Volume, ids: Collection[int], mask_dataset: str) -> str:
    """What makes a labels mask that leaves out ``ids``."""
    datasets = ["--labels-dataset", volume.dataset or "-", "--mask-dataset", mask_dataset]
    words = [volume.container, *datasets, "--exclude", *_some(ids)]
    return f"01_data/create_masks.py {shlex.join(words)}"


def _some(ids: Collection[int]) -> list[str]:
    return [str(number) for number in sorted(ids)[:SHOWN]]


def _says_voxel_size(volume: Volume) -> bool:
    """Whether the container says the voxel size itself: else a crop file or an option did."""
    from lsd_experiments.arrays.opening import open_volume
    from lsd_experiments.errors import UserError

    try:
        return open_volume(volume.container, volume.dataset).voxel_size == volume.voxel_size
    except UserError:
        return False
