"""Where a volume lies that is no plain file, as neuroglancer writes it, and as tensorstore wants it.

    precomputed://gs://bucket/path    a format and a place
    https://host/path|zarr3:          the same, as newer versions write it
    s3://bucket/path                  a place; the format is told by what lies there

``gs://`` is read anonymously, as ``https://storage.googleapis.com/``; with ``GOOGLE_APPLICATION_CREDENTIALS`` these count.
``STORAGE_EMULATOR_HOST`` names another server.
"""

import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from lsd_experiments.errors import UserError, nearest

KINDS = {"precomputed": "precomputed", "neuroglancer-precomputed": "precomputed", "zarr": "zarr", "zarr2": "zarr2",
         "zarr3": "zarr3", "n5": "n5"}  # fmt: skip
SCHEMES = ("file", "s3", "gs", "http", "https")
GOOGLE = "https://storage.googleapis.com"


@dataclass(frozen=True)
class Address:
    """``kind``: precomputed, zarr (2 or 3), zarr2, zarr3 or n5, or None if it is not said. ``path``: of ``file``, plain; else
    ``host/path`` or ``bucket/key``, without slashes around. ``name``: what messages call it, and what opens it again."""

    name: str
    kind: str | None
    scheme: str
    path: str

    @property
    def place(self) -> str:
        """Without the format: a plain path, or a URL."""
        return self.path if self.scheme == "file" else f"{self.scheme}://{self.path}"

    def kvstore(self, path: str = "") -> dict[str, Any]:
        """tensorstore's description of the directory ``path`` in it."""
        base, _, key = self.path.partition("/")
        below = "/".join(part for part in (key, path.strip("/")) if part)
        below = f"{below}/" if below else ""
        if self.scheme == "file":
            whole = "/".join(part for part in (os.path.abspath(self.path).rstrip("/"), path.strip("/")) if part)  # noqa: PTH100
            return {"driver": "file", "path": f"{whole}/" if whole.startswith("/") else f"/{whole}/"}
        if self.scheme == "s3":
            return {"driver": "s3", "bucket": base, "path": below, **_amazon()}
        if self.scheme == "gs" and os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            return {"driver": "gcs", "bucket": base, "path": below}
        if self.scheme == "gs":
            server = os.environ.get("STORAGE_EMULATOR_HOST") or GOOGLE
            server = server if "://" in server else f"http://{server}"
            return {"driver": "http", "base_url": server.rstrip("/"), "path": f"/{base}/{below}"}
        return {"driver": "http", "base_url": f"{self.scheme}://{base}", "path": f"/{unquote(below)}"}


def is_address(name: str) -> bool:
    """Whether ``name`` is an address, not the plain path of a file."""
    return "://" in name


def parse(name: str) -> Address:
    """What ``name``, a plain path or an address, says.

    :raises UserError: if it is malformed, or holds credentials
    """
    if not is_address(name):
        return Address(name, None, "file", name)
    shown = _without_credentials(name)
    place, bar, pipe = name.partition("|")
    kind, scheme, path = None, *place.split("://", 1)
    if scheme in KINDS:
        kind, (scheme, path) = KINDS[scheme], path.split("://", 1) if "://" in path else ("file", path)
    if bar:
        kind = KINDS.get(pipe.strip("|:/"))
        if kind is None:
            raise UserError(f"{shown}: '|{pipe}' is no format. Write one of |{':, |'.join(KINDS)}:")
    if scheme not in SCHEMES:
        raise UserError(f"{shown}: '{scheme}://' is not read{nearest(scheme, [*SCHEMES, *KINDS])}. Places are "
                        f"{'://, '.join(SCHEMES)}://, formats before them {'://, '.join(KINDS)}://")
    _check(shown, name, scheme, path)
    path = path.rstrip("/") or "/" if scheme == "file" else path.strip("/")
    clean = f"{scheme}://{path}" if scheme != "file" else path
    return Address(f"{kind}://{clean}" if kind else clean, kind, scheme, path)


def _check(shown: str, name: str, scheme: str, path: str) -> None:
    if shown != name:
        raise UserError(f"{shown}: an address with a password or a query, left out here. Leave it out, too; credentials stand in "
                        "the environment (AWS_NO_SIGN_REQUEST=NO with the usual AWS settings, GOOGLE_APPLICATION_CREDENTIALS)")
    if scheme == "file" and not path.startswith("/"):
        raise UserError(f"{shown}: what follows on '://' is a path from the root. Write '/...', or the plain path without a "
                        "format, where that is told by what lies there")
    if scheme != "file" and not path.strip("/"):
        raise UserError(f"{shown}: names no {'bucket' if scheme in ('s3', 'gs') else 'server'}. Write {scheme}://"
                        f"{'bucket' if scheme in ('s3', 'gs') else 'server'}/path")
    if scheme in ("http", "https") and not urlsplit(f"{scheme}://{path}").hostname:
        raise UserError(f"{shown}: names no server. Write {scheme}://server/path")


def _without_credentials(name: str) -> str:
    """``name`` without ``user:password@``, and without a query of http, which may be a signature."""
    name = re.sub(r"://[^/|]*@", "://", name)
    return re.sub(r"[?#][^|]*", "", name) if re.search("https?://", name) else name


def _amazon() -> dict[str, Any]:
    """Of the environment, as the rest of this package heeds it."""
    signed = os.environ.get("AWS_NO_SIGN_REQUEST", "YES").upper() in ("NO", "FALSE", "0")
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ("us-east-1" if endpoint else None)
    return {"aws_credentials": {"type": "default" if signed else "anonymous"},
            **({"endpoint": endpoint.rstrip("/")} if endpoint else {}), **({"aws_region": region} if region else {})}
