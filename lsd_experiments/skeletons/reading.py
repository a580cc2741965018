"""Read skeletons: which format a file has, is decided here."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.skeletons.archives import read_archive
from lsd_experiments.skeletons.nml import read_nml
from lsd_experiments.skeletons.skeleton import Skeletons, join
from lsd_experiments.skeletons.swc import read_swc
from lsd_experiments.skeletons.tables import read_csv

READERS: dict[str, Callable[[Path], Skeletons]] = {
    **dict.fromkeys((".npz", ".npy", ".pkl", ".pickle", ".gpickle"), read_archive),
    ".swc": read_swc,
    ".nml": read_nml,
    ".csv": read_csv,
}


def read_skeletons(path: str | Path | Sequence[str | Path], scale: float | Sequence[float] = 1) -> Skeletons:
    """The skeletons in a file, in all SWC files of a directory, or in several files, in their order.

    - ``.npz``, ``.pkl``: NetworkX graphs as the XPRESS challenge stores them, read without running what is pickled; the nodes'
      attribute ``position`` is (x, y, z) in nm. Or an archive of arrays, as
      :func:`~lsd_experiments.skeletons.write_skeletons` makes it
    - ``.swc``: lines ``id type x y z radius parent``
    - ``.nml``: of KNOSSOS or webKnossos, in nm by the size of a voxel that it names
    - ``.csv``: columns id, z, y, x, parent, in any order, and perhaps skeleton

    Ids that repeat among trees or files, or are no integers, are replaced: all nodes are numbered from 0 then.

    :param scale: nm per unit of the file, one number or (z, y, x): 1000 for micrometres, the voxel size for voxels. SWC has no
        unit of its own: micrometres in NeuroMorpho's files, nm in those that come from CATMAID and other annotations of electron
        microscopy. So nm is the default.
    :raises UserError: if a file is missing, of no known format, or wrong; its line or key is named.
    """
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    factors = np.broadcast_to(np.asarray(scale, np.float64), 3)
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise UserError(f"the scale of skeletons is {scale}: it is nm per unit, above 0")
    read = join([_read(file) for one in paths for file in _files(Path(one))])
    return Skeletons(read.positions * factors, read.edges, read.ids)


def _files(path: Path) -> list[Path]:
    """``path``, or the SWC files in the directory ``path``, ``a2`` before ``a10``."""
    if not path.is_dir():
        return [path]
    found = [file for file in path.iterdir() if file.suffix.lower() == ".swc"]
    if not found:
        raise UserError(f"{path}: a directory without .swc files. Name a file of skeletons")
    return sorted(found, key=lambda file: [(int(part), "") if part.isdigit() else (-1, part)
                                           for part in re.split(r"(\d+)", file.name)])


def _read(path: Path) -> Skeletons:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: skeletons are read from {', '.join(READERS)}, or a directory of .swc. Name such a file")
    if not path.is_file():
        raise UserError(f"{path}: no such file. Name a file of skeletons")
    return reader(path)
