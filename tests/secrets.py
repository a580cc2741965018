"""Secrets that a run is given, and a search of all that it leaves for them."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

MARK = "hush"  # in each of them
# What PostgreSQL's library and the buckets' take from the environment; none of it is of use to a run on files.
ENVIRONMENT = {"PGPASSWORD": "hush-database", "AWS_ACCESS_KEY_ID": "hush-id", "AWS_SECRET_ACCESS_KEY": "hush-key",
               "AWS_SESSION_TOKEN": "hush-token", "AWS_ENDPOINT_URL": "http://user:hush-endpoint@127.0.0.1:1",
               "HTTPS_PROXY": "http://user:hush-proxy@127.0.0.1:1"}


def told(places: Iterable[Path], secret: str = MARK) -> list[Path]:
    """The files at and below ``places`` that hold ``secret``, plain or as in a URL, in their content or their names."""
    words = {secret.encode(), quote(secret, safe="").encode()}
    found = [path for place in places for path in (place, *place.rglob("*"))]
    return [path for path in found if any(word in bytes(path) for word in words)
            or (path.is_file() and any(word in path.read_bytes() for word in words))]
