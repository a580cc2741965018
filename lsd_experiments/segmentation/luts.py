"""Files of look-up tables, with the names and the content of the published ones.

    <fragments container>/luts/fragment_segment/seg_edges_<merge function>_<threshold name>.npz

Each holds one array, ``fragment_segment_lut`` [2, n].
"""

import os
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError

ARRAY = "fragment_segment_lut"
LISTED = 6  # thresholds named in an error, at most


def threshold_name(threshold: float) -> str:
    """A threshold in names of files and datasets: its hundredfold, 0.4 is ``40``, with as many decimals as it has.

    The published names truncate: there 0.29 is ``28``, as 0.28 is.
    """
    name = f"{Decimal(repr(round(threshold, 10))) * 100:f}"
    return name.rstrip("0").rstrip(".") if "." in name else name


def lut_directory(fragments_file: str) -> Path:
    """Where the look-up tables of the fragments in a container are."""
    return Path(fragments_file) / "luts" / "fragment_segment"


def lut_path(fragments_file: str, merge_function: str, threshold: float) -> Path:
    """The file of one look-up table."""
    return lut_directory(fragments_file) / f"seg_edges_{merge_function}_{threshold_name(threshold)}.npz"


def write_lut(path: Path, lut: NDArray[np.uint64]) -> None:
    """Write ``lut`` [2, n], beside its place and then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with part.open("wb") as file:
        np.savez_compressed(file, fragment_segment_lut=lut)
    part.replace(path)


def read_lut(path: Path) -> NDArray[np.uint64]:
    """The table [2, n] in ``path``, with ascending fragment ids.

    :raises UserError: if the file is not there or is no look-up table
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            lut: NDArray[np.uint64] = file[ARRAY].astype(np.uint64, copy=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such look-up table. Run find_segments first; there are "
                        f"{_others(path)}") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a look-up table ({error}). Run find_segments with --overwrite") from error
    return lut if (lut[0, 1:] > lut[0, :-1]).all() else lut[:, np.argsort(lut[0])]


def _others(path: Path) -> str:
    """The thresholds that there are tables for beside ``path``; of many, those nearest to its own."""
    stem, _, wanted = path.stem.rpartition("_")
    names = [other.stem.removeprefix(f"{stem}_") for other in path.parent.glob(f"{stem}_*.npz")]
    numbers = sorted(float(name) / 100 for name in names if name.replace(".", "", 1).isdigit())
    nearest = sorted(sorted(numbers, key=lambda number: abs(number - float(wanted) / 100))[:LISTED])
    listed = ", ".join(f"{number:g}" for number in nearest) or "none"
    return f"thresholds {listed}" if len(numbers) <= LISTED else f"{len(numbers)} thresholds, the nearest {listed}"
