"""Annotations of synapses in files of CREMI: places, what they are, comments, and who is whose partner.

    /annotations/ids                              [n] uint64
    /annotations/types                            [n] text: presynaptic_site, postsynaptic_site
    /annotations/locations                        [n, 3] float64, nm from the annotations' offset, (z, y, x)
    /annotations/comments/{target_ids, comments}  [m] uint64 ids, [m] text
    /annotations/presynaptic_site/partners        [k, 2] uint64 ids: before and after the cleft
    attribute offset of /annotations              nm, (z, y, x); 0 if it is not there
    attribute alignment of /annotations           the alignment that the places lie on, if one; of ours alone
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.alignments import ATTRIBUTE
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres

PRE, POST = "presynaptic_site", "postsynaptic_site"


@dataclass(frozen=True)
class Annotations:
    """See the module; ``locations`` are nm from ``offset``; ``alignment``: see :mod:`lsd_experiments.arrays.alignments`."""

    ids: tuple[int, ...] = ()
    types: tuple[str, ...] = ()
    locations: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    comments: dict[int, str] = field(default_factory=dict)
    partners: tuple[tuple[int, int], ...] = ()
    offset: Nanometres = (0.0, 0.0, 0.0)
    alignment: str | None = None

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise UserError(problem)

    def _problem(self) -> str | None:
        if not len(self.ids) == len(self.types) == len(self.locations):
            return f"{len(self.ids)} ids, {len(self.types)} types and {len(self.locations)} locations: give one of each"
        if len({*self.ids}) < len(self.ids):
            return "an id of the annotations is there twice. Give each its own"
        unknown = ({*self.comments} | {number for pair in self.partners for number in pair}) - {*self.ids}
        if unknown:
            return f"annotation {min(unknown)} has a comment or a partner, but no place. Add it to the ids, or take it out"
        return None

    def pairs(self) -> NDArray[np.float64]:
        """[k, 2, 3] where the partners are in the world, nm: before and after the cleft."""
        rows = {number: row for row, number in enumerate(self.ids)}
        places = np.asarray(self.locations, np.float64).reshape(-1, 3) + np.asarray(self.offset)
        chosen = np.array([rows[number] for pair in self.partners for number in pair], np.int64)
        pairs: NDArray[np.float64] = places[chosen].reshape(-1, 2, 3)
        return pairs


def read_annotations(path: str | Path) -> Annotations:
    """Those of the CREMI file ``path``; none where there are none.

    :raises UserError: if it is no such file, or they do not fit each other
    """
    with _open(path) as file:
        group = file.get("annotations")
        if group is None or "ids" not in group:
            return Annotations()
        try:
            return _of_group(group)
        except UserError as error:
            raise UserError(f"{path}:annotations: {error}") from error
        except (KeyError, OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path}:annotations: cannot be read ({str(error).strip(chr(39))}). They need ids, types and "
                            "locations as in CREMI's format 0.2") from error


def write_annotations(file: Any, annotations: Annotations) -> None:
    """Into the open HDF5 ``file``, which has none."""
    import h5py

    group = file.create_group("annotations")
    if any(annotations.offset):
        group.attrs["offset"] = np.asarray(annotations.offset, np.float64)
    if annotations.alignment:
        group.attrs[ATTRIBUTE] = annotations.alignment
    text = h5py.string_dtype("utf-8")
    group.create_dataset("ids", data=np.asarray(annotations.ids, np.uint64))
    group.create_dataset("types", data=np.asarray(annotations.types, object), dtype=text, compression="gzip")
    group.create_dataset("locations", data=np.asarray(annotations.locations, np.float64).reshape(-1, 3))
    comments = group.create_group("comments")
    comments.create_dataset("target_ids", data=np.asarray([*annotations.comments], np.uint64))
    comments.create_dataset("comments", data=np.asarray([*annotations.comments.values()], object), dtype=text)
    pairs = np.asarray(annotations.partners, np.uint64).reshape(-1, 2)
    group.create_group(PRE).create_dataset("partners", data=pairs)


def _of_group(group: Any) -> Annotations:
    comments = group.get("comments")
    named = {} if comments is None or "target_ids" not in comments else {
        int(number): text for number, text in zip(comments["target_ids"][()], _texts(comments["comments"]), strict=True)}
    partners = group.get(f"{PRE}/partners")
    pairs = () if partners is None else tuple((int(pre), int(post)) for pre, post in partners[()].reshape(-1, 2))
    locations = np.asarray(group["locations"][()], np.float64).reshape(-1, 3)
    offset = tuple(float(value) for value in group.attrs.get("offset", (0, 0, 0)))
    return Annotations(tuple(map(int, group["ids"][()])), tuple(_texts(group["types"])), locations, named, pairs, offset,
                       _text(group.attrs.get(ATTRIBUTE)))


def _text(value: Any) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value if isinstance(value, str) else None


def _texts(dataset: Any) -> list[str]:
    return [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in dataset[()]]


def _open(path: str | Path) -> Any:
    import h5py

    if Path(path).is_dir():
        raise UserError(f"{path}: is a directory, perhaps a zarr; annotations of synapses are in files of CREMI, HDF5. Name "
                        "one that ends in .hdf")
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file. Name a file of CREMI")
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise UserError(f"{path}: cannot be read as HDF5. Fetch or make it again") from error
