"""``s3://bucket/prefix``: zarr or N5 in a bucket, for reading only.

Requests are anonymous, unless ``AWS_NO_SIGN_REQUEST=NO`` is set (then the usual AWS settings count).
``AWS_ENDPOINT_URL`` names another server than Amazon's. A bucket that is missing or cannot be reached is an error
within about ten seconds.

A server that answers with 5xx or 429 is asked again after growing pauses, and so is one that was reached before and is not any
more, for :data:`PATIENCE` seconds; then it is a :class:`Passing` error. What is not there reads as absent: where a bucket may not
be listed, the server says 403 for that, as it does for what is not for all to read.
"""

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from lsd_experiments.arrays.n5 import N5
from lsd_experiments.arrays.s3_chunks import chunk_names
from lsd_experiments.arrays.zarrs import Zarr, third_format
from lsd_experiments.errors import Passing, UserError, without_passwords
from lsd_experiments.pauses import growing_pause

CONNECT_TIMEOUT, READ_TIMEOUT = 4, 4  # seconds; the second is how long a server may send nothing
OPENING = 6  # seconds for which what cannot be reached is tried again at first, so that it is an error after ten
PATIENCE = 300  # seconds, later, and for a server that is overloaded
PAUSE, LONGEST = 0.5, 20  # seconds: up to the first, then twice as long each time, up to the second
OVERLOADED = {429, 500, 502, 503, 504}
MARKS = (".zgroup", ".zarray", "attributes.json")  # what a container has at its root

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


def open_bucket(url: str) -> Zarr:
    """The zarr or N5 container at ``url``.

    :raises UserError: if there is none, or it cannot be reached.
    """
    path = url.removeprefix("s3://").strip("/")
    url = f"s3://{path}"
    if not path:
        raise UserError(f"{url}: names no bucket. Write s3://bucket/prefix")
    mark = next((mark for mark in MARKS if _is_there(url, mark)), None)
    if mark is None and _is_there(url, "zarr.json"):
        raise third_format(url)
    if mark is None:
        raise UserError(f"{url}: no such bucket, no zarr or N5 there (none of {', '.join(MARKS)}), or not for all to "
                        "read. Name the container itself")
    store = _store(url, n5=mark == "attributes.json")
    return N5(url, store) if mark == "attributes.json" else Zarr(url, store)


def _is_there(url: str, mark: str) -> bool:
    try:
        patiently(url, lambda: _filesystem(os.getpid()).cat_file(f"{url}/{mark}"), OPENING)
    except (FileNotFoundError, PermissionError):  # a bucket that may not be listed says 403 for what is not there
        return False
    return True


def patiently(url: str, read: Callable[[], Result], patience: float) -> Result:
    """What ``read`` returns; what may pass is tried again after growing pauses, of random length, as Amazon asks.

    :param patience: seconds for which a server is tried that cannot be reached; one that is overloaded, for :data:`PATIENCE`
    :raises Passing: if it does not answer by then
    :raises UserError: if it refuses for good, but for FileNotFoundError and PermissionError, which are passed on
    """
    begin, attempt = time.monotonic(), 0
    while True:
        try:
            return read()
        except (FileNotFoundError, PermissionError, UserError):
            raise
        except Exception as error:
            is_overloaded = _status(error) in OVERLOADED
            limit = PATIENCE if is_overloaded else patience
            pause = growing_pause(attempt + 1, PAUSE, LONGEST)
            if not (is_overloaded or _is_broken(error)):
                raise UserError(_unreachable(url, error)) from error
            if time.monotonic() + pause - begin > limit:
                raise Passing(_unreachable(url, error)) from error
            if not attempt:
                logger.warning("%s: %s: tried again for %g s", url, _reason(error), limit)
        attempt += 1
        time.sleep(pause)


def _status(error: BaseException) -> int | None:
    """The HTTP status of what botocore raised, which s3fs raises as an OSError."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None


def _is_broken(error: Exception) -> bool:
    """Whether a connection was not made, or broke, or nothing came."""
    from s3fs.core import S3_RETRYABLE_ERRORS

    return isinstance(error, (*S3_RETRYABLE_ERRORS, ConnectionError, TimeoutError))


def _reason(error: Exception) -> str:
    status = _status(error)
    text = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return without_passwords(f"HTTP {status}: {re.sub(r'^.Errno .*?. ', '', text)}" if status else text)


def _unreachable(url: str, error: Exception) -> str:
    server = without_passwords(os.environ.get("AWS_ENDPOINT_URL", "Amazon S3"))
    return (f"{url}: cannot be read from {server} ({_reason(error)}). Check the name and the network; AWS_ENDPOINT_URL names "
            "another server")


@cache
def _filesystem(process: int) -> Any:
    """The connection of ``process``: one that was made before a fork must not be used after it."""
    import s3fs

    signed = os.environ.get("AWS_NO_SIGN_REQUEST", "YES").upper() in ("NO", "FALSE", "0")
    timeouts = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT, "retries": {"max_attempts": 0}}
    filesystem = s3fs.S3FileSystem(anon=not signed, endpoint_url=os.environ.get("AWS_ENDPOINT_URL"), max_concurrency=1,
                                   skip_instance_cache=True, use_listings_cache=False, config_kwargs=timeouts)
    filesystem.retries = 1
    return filesystem


def _store(url: str, n5: bool) -> Any:
    """zarr's store for ``url``: what is not there is missing, and every other failure is an error.

    (zarr's own takes any failure of the network for a chunk that is not there, and reads zeros; and names with ``[``, ``?`` and
    ``*`` for patterns.)
    """
    import zarr

    from lsd_experiments.arrays.n5_store import table
    from lsd_experiments.arrays.zarr_arrays import repaired

    class Named(zarr.storage.FSStore):
        def __init__(self, *_: Any, **options: Any) -> None:
            super().__init__(url, mode="r", exceptions=(KeyError, FileNotFoundError), fs=_filesystem(os.getpid()), **options)
            self.process = os.getpid()
            self._named: dict[str, list[tuple[str, bool]]] = {}

        def __reduce__(self) -> Any:
            return _store, (url, n5)

        def __getitem__(self, key: str) -> bytes:
            found = self._read([self._normalize_key(key)])
            if not found:
                raise KeyError(key)
            (content,) = found.values()
            array, _, name = key.rpartition("/")
            return repaired(content, f"{url}:{array}", lambda meta: self._names(array, meta)) if name == ".zarray" else content

        def _names(self, array: str, meta: dict[str, Any]) -> list[tuple[str, bool]]:
            if array not in self._named:
                path = self.map._key_to_str(array).rstrip("/")
                self._named[array] = patiently(url, lambda: chunk_names(self._connected(), path, meta), PATIENCE)
            return self._named[array]

        def __contains__(self, key: object) -> bool:
            return bool(self._read([self._normalize_key(key)]))

        def getitems(self, keys: Sequence[str], *, contexts: Any) -> dict[str, bytes]:
            names = {self._normalize_key(key): key for key in keys}
            return {names[name]: content for name, content in self._read(list(names)).items()}

        def listdir(self, path: str | None = None) -> list[str]:
            directory = self.dir_path(path)
            try:
                found = patiently(url, lambda: self._connected().ls(directory, detail=False), PATIENCE)
            except FileNotFoundError:
                return []
            except PermissionError as error:
                raise UserError(f"{url}: may be read, but its server does not list what is there. Name the dataset") from error
            return sorted(name.rstrip("/").removeprefix(directory).strip("/") for name in found)

        def _read(self, names: list[str]) -> dict[str, bytes]:
            """Those objects that are there; all at a time, and what failed again."""
            found: dict[str, bytes] = {}
            missing = list(names)

            def read() -> None:
                paths = [self.map._key_to_str(name) for name in missing]
                answers = self._connected().cat_ranges(paths, None, None, on_error="return") if paths else []
                errors = {}
                for name, answer in zip(list(missing), answers, strict=True):
                    if isinstance(answer, PermissionError):
                        self._check_absent(name)
                    if isinstance(answer, Exception) and not isinstance(answer, (FileNotFoundError, PermissionError)):
                        errors[name] = answer
                    elif isinstance(answer, bytes):
                        found[name] = answer
                missing[:] = errors
                for error in errors.values():
                    raise error

            patiently(url, read, PATIENCE)
            return found

        def _check_absent(self, name: str) -> None:
            """:raises UserError: if a bucket, which would say 404 for what is not there, may be listed"""
            if self._may_list():
                raise UserError(f"{url}/{name}: the server refuses to show it (HTTP 403). Ask who keeps it, or sign requests: "
                                "AWS_NO_SIGN_REQUEST=NO")

        def _may_list(self) -> bool:
            if not hasattr(self, "_lists"):
                bucket, key, _ = self._connected().split_path(self.path)
                try:
                    patiently(url, lambda: self.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=key, MaxKeys=1), PATIENCE)
                    self._lists = True
                except (PermissionError, FileNotFoundError):
                    self._lists = False
            return self._lists

        def _connected(self) -> Any:
            if self.process != os.getpid():
                self.process, self.fs = os.getpid(), _filesystem(os.getpid())
            return self.fs

    class NamedN5(zarr.n5.N5FSStore, Named):
        def _load_n5_attrs(self, path: str) -> dict[str, Any]:
            return table(super()._load_n5_attrs(path), f"{url}:{path.rpartition('/')[0]}")

        def __getitem__(self, key: str) -> bytes:
            content: bytes = super().__getitem__(key)
            return repaired(content, f"{url}:{key.rpartition('/')[0]}", codecs=False) if key.endswith(".zarray") else content

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # N5 leaves zarr with version 3, which is excluded
        return (NamedN5 if n5 else Named)()
