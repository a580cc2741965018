"""Containers on servers: which format lies there is asked for at once, in one bundle of requests.

    zarr 2, N5             zarr's own library reads them, as on disk
    zarr 3, precomputed    tensorstore does
"""

from typing import Any

from lsd_experiments.arrays import patience
from lsd_experiments.arrays.addresses import Address
from lsd_experiments.arrays.hierarchy import Hierarchy
from lsd_experiments.arrays.n5 import N5
from lsd_experiments.arrays.patience import is_failure, patiently
from lsd_experiments.arrays.precomputed import Precomputed
from lsd_experiments.arrays.remote_store import Server, open_store
from lsd_experiments.arrays.s3 import Amazon
from lsd_experiments.arrays.web import Web
from lsd_experiments.arrays.zarr3 import Zarr3
from lsd_experiments.arrays.zarrs import Zarr
from lsd_experiments.errors import UserError

MARKS = {".zgroup": "zarr2", ".zarray": "zarr2", "attributes.json": "n5", "zarr.json": "zarr3", "info": "precomputed"}


def open_remote(address: Address) -> Hierarchy:
    """The container at ``address``, which is on a server.

    :raises UserError: if there is none, or it cannot be reached
    """
    server: Server = Amazon() if address.scheme == "s3" else Web(address)
    kind = address.kind if address.kind in ("zarr2", "zarr3", "n5") else _kind(address, server)  # these may be without a mark
    if kind in ("zarr2", "n5"):
        store = open_store(address.place, kind == "n5", server)
        return N5(address.name, store) if kind == "n5" else Zarr(address.name, store)
    store = open_store(address.place, False, server)
    return Precomputed(address, store, server) if kind == "precomputed" else Zarr3(address, store, server)


def _kind(address: Address, server: Server) -> str:
    """What lies there, of what the address admits."""
    wanted = {mark: kind for mark, kind in MARKS.items() if address.kind is None or kind.startswith(address.kind)}
    missing = list(wanted)
    found: set[str] = set()

    def ask() -> None:
        paths = [f"{address.place}/{mark}" for mark in missing]
        answers: list[Any] = server.files().cat_ranges(paths, None, None, on_error="return")
        for mark, answer in zip(list(missing), answers, strict=True):
            found.update([mark] if isinstance(answer, bytes) else [])
            if not is_failure(answer):
                missing.remove(mark)  # a bucket that may not be listed says 403 for what is not there
        for failure in filter(is_failure, answers):
            raise failure

    patiently(address.place, ask, patience.OPENING)
    kind = next((kind for mark, kind in wanted.items() if mark in found), None)
    if kind is None:
        names = {"zarr2": "zarr", "zarr3": "zarr", "n5": "N5", "precomputed": "precomputed"}
        kinds = " or ".join(", ".join(dict.fromkeys(names[kind] for kind in wanted.values())).rsplit(", ", 1))
        place = "bucket" if address.scheme in ("s3", "gs") else "place"
        raise UserError(f"{address.name}: no such {place}, no {kinds} there (none of "
                        f"{', '.join(wanted)}), or not for all to read. Name the container itself")
    return kind
