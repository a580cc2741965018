"""zarr's stores of zarr 2 and N5 on servers: what is not there is missing, and every other failure is an error.

(zarr's own takes any failure of the network for a chunk that is not there, and reads zeros; and names with ``[``, ``?`` and
``*`` for patterns.)
"""

import os
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

from lsd_experiments.arrays import patience
from lsd_experiments.arrays.patience import is_failure, patiently
from lsd_experiments.errors import NotListed, UserError


class Server(Protocol):
    """Who keeps the files; it can be handed to other processes."""

    def files(self) -> Any:
        """fsspec's file system for it, in this process."""

    def chunk_names(self, path: str, meta: dict[str, Any]) -> list[tuple[str, bool]]:
        """Some names in the array at ``path``, and whether they are those of directories."""

    def denies(self, path: str, name: str) -> bool:
        """Whether it refuses to show what is there, where it says 403 of ``name``: else, it says so of what is not there."""


def open_store(url: str, n5: bool, server: Server) -> Any:
    """zarr's store for ``url`` on ``server``."""
    import zarr

    from lsd_experiments.arrays.n5_store import table
    from lsd_experiments.arrays.zarr_arrays import repaired

    class Named(zarr.storage.FSStore):
        def __init__(self, *_: Any, **options: Any) -> None:
            super().__init__(url, mode="r", exceptions=(KeyError, FileNotFoundError), fs=server.files(), **options)
            self.process = os.getpid()
            self._named: dict[str, list[tuple[str, bool]]] = {}

        def __reduce__(self) -> Any:
            return open_store, (url, n5, server)

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
                self._named[array] = patiently(url, lambda: server.chunk_names(path, meta), patience.PATIENCE)
            return self._named[array]

        def __contains__(self, key: object) -> bool:
            return bool(self._read([self._normalize_key(key)]))

        def getitems(self, keys: Sequence[str], *, contexts: Any) -> dict[str, bytes]:
            names = {self._normalize_key(key): key for key in keys}
            return {names[name]: content for name, content in self._read(list(names)).items()}

        def listdir(self, path: str | None = None) -> list[str]:
            directory = self.dir_path(path)
            try:
                found = patiently(url, lambda: self._connected().ls(directory, detail=False), patience.PATIENCE)
            except FileNotFoundError:
                return []
            except PermissionError as error:
                raise NotListed(f"{url}: may be read, but its server does not list what is there. Name the dataset") from error
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
                    if is_failure(answer):
                        errors[name] = answer
                    elif isinstance(answer, bytes):
                        found[name] = answer
                missing[:] = errors
                for error in errors.values():
                    raise error

            patiently(url, read, patience.PATIENCE)
            return found

        def _check_absent(self, name: str) -> None:
            if server.denies(self.path, name):
                raise refusal(f"{url}/{name}")

        def _connected(self) -> Any:
            if self.process != os.getpid():
                self.process, self.fs = os.getpid(), server.files()
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


def refusal(url: str) -> UserError:
    """Of what is there, but not for all."""
    signed = ", or sign requests: AWS_NO_SIGN_REQUEST=NO" if url.startswith("s3://") else ""
    return UserError(f"{url}: the server refuses to show it (HTTP 403). Ask who keeps it{signed}")
