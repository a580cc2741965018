"""``https://``, ``http://`` and ``gs://``: files that tensorstore fetches, one by one; nothing is listed."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from fsspec import AbstractFileSystem

from lsd_experiments.arrays import patience
from lsd_experiments.arrays.addresses import Address
from lsd_experiments.arrays.s3_chunks import probe
from lsd_experiments.arrays.tensor_process import PROCESS, ReadError, read_error

METADATA = {".zgroup", ".zarray", ".zattrs", ".zmetadata", "attributes.json", "zarr.json", "info"}


class WebFiles(AbstractFileSystem):
    """The files below an address, of which ``paths`` are URLs."""

    cachable = False

    def __init__(self, address: Address) -> None:
        super().__init__()
        self.address = address

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.rstrip("/")

    def cat_ranges(self, paths: list[str], starts: Any, ends: Any, max_gap: Any = None, on_error: str = "return",
                   **_: Any) -> list[bytes | Exception]:
        """What each of ``paths`` holds, whole, or why not."""
        keys = [path.removeprefix(self.address.place).strip("/") for path in paths]
        said, contents = PROCESS.ask({"op": "get", "kvstore": self.address.kvstore(), "keys": keys})
        left = iter(contents)
        return [bytes(next(left)) if answer is True else FileNotFoundError(path) if answer is None else _error(answer)
                for path, answer in zip(paths, said, strict=True)]

    def ls(self, path: str, detail: bool = False, **_: Any) -> list[str]:
        """:raises PermissionError: these servers do not list"""
        raise PermissionError(path)


def _error(text: str) -> Exception:
    error: ReadError = read_error(text)
    return PermissionError(str(error)) if error.status == 403 else error


@dataclass(frozen=True)
class Web:
    """A server, as :func:`remote_store.open_store` needs it."""

    address: Address

    def files(self) -> WebFiles:
        """The files at the address."""
        return WebFiles(self.address)

    def chunk_names(self, path: str, meta: dict[str, Any]) -> list[tuple[str, bool]]:
        """By asking for some chunks."""
        return probe(self.files(), path, meta)

    def denies(self, path: str, name: str) -> bool:
        """Whether 403 of ``name`` is a refusal.

        Google says 403 of what is not there, where a bucket may not be listed. Other servers may do so: of metadata, which is
        looked for, that is taken so; of chunks it is not, as they would be read as zeros.
        """
        if name.rpartition("/")[2] in METADATA:
            return False
        return self.address.scheme != "gs" or _lists(self.address)


@cache
def _lists(address: Address) -> bool:
    """Whether the bucket of ``address`` may be listed by all."""
    import requests

    settings = address.kvstore()
    if settings["driver"] != "http":
        return True  # by whom the credentials are of
    url = settings["base_url"] + "/" + address.path.partition("/")[0]

    def ask() -> bool:
        return bool(requests.get(url, params={"max-keys": "1"}, timeout=(4, 6)).status_code == 200)

    return patience.patiently(address.place, ask, patience.PATIENCE)
