"""``s3://bucket/prefix``: zarr or N5 in a bucket, for reading only.

Requests are anonymous, unless ``AWS_NO_SIGN_REQUEST=NO`` is set (then the usual AWS settings count).
``AWS_ENDPOINT_URL`` names another server than Amazon's. A bucket that is missing or cannot be reached is an error
within about ten seconds.
"""

import os
import warnings
from functools import cache
from typing import Any

from lsd_experiments.arrays.n5 import N5
from lsd_experiments.arrays.zarrs import Zarr
from lsd_experiments.errors import UserError

CONNECT_TIMEOUT, READ_TIMEOUT = 4, 4  # seconds; the second is how long a server may send nothing
TRIES = 2  # so that what cannot be reached is an error after ten seconds
MARKS = (".zgroup", ".zarray", "attributes.json")  # what a container has at its root


def open_bucket(url: str) -> Zarr:
    """The zarr or N5 container at ``url``.

    :raises UserError: if there is none, or it cannot be reached.
    """
    path = url.removeprefix("s3://").strip("/")
    url = f"s3://{path}"
    if not path:
        raise UserError(f"{url}: names no bucket. Write s3://bucket/prefix")
    filesystem = _filesystem(os.getpid())
    mark = next((mark for mark in MARKS if _exists(filesystem, url, mark)), None)
    if mark is None:
        raise UserError(f"{url}: no such bucket, no zarr or N5 there (none of {', '.join(MARKS)}), or not for all to "
                        "read. Name the container itself")
    store = _store(url, n5=mark == "attributes.json")
    return N5(url, store) if mark == "attributes.json" else Zarr(url, store)


def _exists(filesystem: Any, url: str, mark: str) -> bool:
    try:
        filesystem.cat_file(f"{url}/{mark}")
    except (FileNotFoundError, PermissionError):  # a bucket that may not be listed says 403 for what is not there
        return False
    except Exception as error:
        raise UserError(_unreachable(url, error)) from error
    return True


def _unreachable(url: str, error: Exception) -> str:
    server = os.environ.get("AWS_ENDPOINT_URL", "Amazon S3")
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return (f"{url}: cannot be read from {server} ({reason}). Check the name and the network; AWS_ENDPOINT_URL names "
            "another server")


@cache
def _filesystem(process: int) -> Any:
    """The connection of ``process``: one that was made before a fork must not be used after it."""
    import s3fs

    signed = os.environ.get("AWS_NO_SIGN_REQUEST", "YES").upper() in ("NO", "FALSE", "0")
    timeouts = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT, "retries": {"max_attempts": 0}}
    filesystem = s3fs.S3FileSystem(anon=not signed, endpoint_url=os.environ.get("AWS_ENDPOINT_URL"),
                                   skip_instance_cache=True, use_listings_cache=False, config_kwargs=timeouts)
    filesystem.retries = TRIES
    return filesystem


def _store(url: str, n5: bool) -> Any:
    """zarr's store for ``url``: what is not there is missing, and every other failure is an error.

    (zarr's own takes any failure of the network for a chunk that is not there, and reads zeros.)
    """
    import zarr

    from lsd_experiments.arrays.zarr_arrays import repaired

    class Bucket(zarr.n5.N5FSStore if n5 else zarr.storage.FSStore):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(url, mode="r", exceptions=(KeyError, FileNotFoundError), fs=_filesystem(os.getpid()))
            self.process = os.getpid()

        def __reduce__(self) -> Any:
            return _store, (url, n5)

        def __getitem__(self, key: str) -> Any:
            value = self._strictly(super().__getitem__, key)
            return repaired(value, f"{url}:{key.rpartition('/')[0]}", codecs=not n5) if key.endswith(".zarray") else value

        def getitems(self, keys: Any, *, contexts: Any) -> Any:
            return self._strictly(super().getitems, keys, contexts=contexts)

        def _strictly(self, read: Any, *args: Any, **kwargs: Any) -> Any:
            if self.process != os.getpid():
                self.process, self.fs = os.getpid(), _filesystem(os.getpid())
                self.map = self.fs.get_mapper(self.path)
            try:
                return read(*args, **kwargs)
            except (KeyError, UserError):
                raise
            except Exception as error:
                raise UserError(_unreachable(url, error)) from error

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # N5 leaves zarr with version 3, which is excluded
        return Bucket()
