"""Buckets of Amazon's S3, for reading only.

Requests are anonymous, unless ``AWS_NO_SIGN_REQUEST=NO`` is set (then the usual AWS settings count).
``AWS_ENDPOINT_URL`` names another server than Amazon's. What is not there reads as absent: where a bucket may not be listed, the
server says 403 for that, as it does for what is not for all to read.
"""

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from lsd_experiments.arrays import patience
from lsd_experiments.arrays.s3_chunks import chunk_names

CONNECT_TIMEOUT, READ_TIMEOUT = 4, 4  # seconds; the second is how long a server may send nothing


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


@dataclass(frozen=True)
class Amazon:
    """S3, as :func:`remote_store.open_store` needs it."""

    def files(self) -> Any:
        """s3fs in this process."""
        return _filesystem(os.getpid())

    def chunk_names(self, path: str, meta: dict[str, Any]) -> list[tuple[str, bool]]:
        """By one listing, or by asking for some chunks."""
        return chunk_names(self.files(), path, meta)

    def denies(self, path: str, name: str) -> bool:
        """Whether the bucket of ``path`` may be listed."""
        bucket, key, _ = self.files().split_path(path)

        def ask() -> Any:
            return self.files().call_s3("list_objects_v2", Bucket=bucket, Prefix=key, MaxKeys=1)

        try:
            patience.patiently(f"s3://{path}", ask, patience.PATIENCE)
        except (PermissionError, FileNotFoundError):
            return False
        return True
