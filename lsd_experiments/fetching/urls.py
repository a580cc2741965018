"""Files at URLs, read by HTTP without credentials.

Redirects are followed, and so is what the environment says of proxies (HTTPS_PROXY, NO_PROXY) and of certificates, which are
always checked. A redirect may lead to a URL that is signed for a while: no message shows it, and each request begins at the
first URL. Nothing of the ETag is taken for a checksum.
"""

import base64
import binascii
import itertools
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from lsd_experiments.errors import UserError
from lsd_experiments.fetching.s3 import ATTEMPTS, CONNECT_TIMEOUT, OVERLOADED, PATIENCE, READ_TIMEOUT, within
from lsd_experiments.fetching.stores import CHUNK, TRIES, Changed, Interruption, StoredObject, pause
from lsd_experiments.fetching.verify import md5_of, sha256_of

MD5_HEADERS = ("x-ms-blob-content-md5", "Content-MD5")  # of the whole file: Azure's, which GitHub's releases have, and HTTP's


class Overloaded(Interruption):
    """The server answers that it cannot answer now."""


class UrlStore:
    """The files at ``urls``, by key.

    :param name: what messages call it
    :param sums: published SHA-256 of some, by key
    :param connections: how many requests there may be at a time
    :param md5s: published MD5 of some, by key
    """

    def __init__(self, name: str, urls: Mapping[str, str], sums: Mapping[str, str], connections: int = 16,
                 md5s: Mapping[str, str] | None = None) -> None:
        self.name, self._urls, self._sums, self._md5s = name, dict(urls), dict(sums), dict(md5s or {})
        self._session = _session(connections)

    def check(self) -> None:
        """Raise a UserError, within ten seconds, if the first file cannot be read; a server may be overloaded for longer."""
        try:
            within(PATIENCE, lambda: self._find(next(iter(self._urls)), tries=1))
        except TimeoutError as error:
            raise UserError(self._unreachable(str(error))) from error
        except Overloaded:
            pass

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """All files whose keys begin with ``prefix``."""
        yield from (self.find(key) for key in sorted(self._urls) if key.startswith(prefix))

    def names(self, prefix: str) -> list[str]:
        """What comes next in the keys that begin with ``prefix``, up to a ``/`` or the end."""
        parent = prefix.rpartition("/")[0]
        below = (key.removeprefix(parent).lstrip("/") for key in self._urls if key.startswith(prefix))
        return sorted({key.partition("/")[0] for key in below})

    def find(self, key: str) -> StoredObject:
        """The file of ``key`` as it is now: asked for its first byte alone, since signed URLs are for GET, not for HEAD."""
        try:
            return self._find(key, TRIES)
        except Overloaded as error:
            raise UserError(self._unreachable(str(error))) from error

    def _find(self, key: str, tries: int) -> StoredObject:
        for attempt in itertools.count(1):
            try:
                with self._explained(), closing(self._get(key, {"Range": "bytes=0-0"})) as answer:
                    return self._found(key, answer)
            except Changed as error:  # there is no first byte
                raise UserError(f"{self._urls[key]}: the file there is empty. Try again later") from error
            except Interruption as error:
                if isinstance(error, Overloaded) and attempt >= tries:
                    raise
                if not isinstance(error, Overloaded) and attempt >= ATTEMPTS:
                    raise UserError(self._unreachable(str(error))) from error
                time.sleep(pause(attempt, error.after))
        raise AssertionError("not reached")

    def read(self, found: StoredObject, begin: int) -> Iterator[bytes]:
        """The file's bytes from ``begin`` on; those before are skipped if the server sends all. See :class:`Store`."""
        asked = {"Range": f"bytes={begin}-", "If-Range": f'"{found.etag}"'} if begin else {}
        with self._explained(), closing(self._get(found.key, asked)) as answer:
            skipped = self._check_unchanged(found, begin, answer)
            for chunk in answer.raw.stream(CHUNK, decode_content=False):
                yield chunk[skipped:]
                skipped = max(0, skipped - len(chunk))

    def flaw(self, path: Path, found: StoredObject) -> str | None:
        """Whether the content has another SHA-256 than the published one, or another MD5 than the server says."""
        published = self._sums.get(found.key)
        if published and published != (sha256 := sha256_of(path)):
            return f"has the SHA-256 {sha256}, not the published one, {published}"
        md5 = self._md5s.get(found.key)
        if md5 and md5 != (ours := md5_of(path)):
            return f"has the MD5 {ours}, not the published one, {md5}"
        if found.md5 and found.md5 != md5_of(path):
            return f"has not the MD5 that the server says, {found.md5}"
        return None

    def _get(self, key: str, headers: dict[str, str]) -> Any:
        """The answer, whose body is still to be read; its status is 200 or 206."""
        url = self._urls[key]
        answer = self._session.get(
            url, headers={"Accept-Encoding": "identity", **headers}, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)
        )
        try:
            self._check_answer(url, answer)
        except BaseException:
            answer.close()
            raise
        return answer

    def _check_answer(self, url: str, answer: Any) -> None:
        status = answer.status_code
        if url.startswith("https://") and not all(step.url.startswith("https://") for step in (*answer.history, answer)):
            raise UserError(f"{url}: leads to a place without encryption. Nothing was fetched: see to the network")
        if status in OVERLOADED:
            raise Overloaded(f"HTTP {status}", _after(answer.headers.get("Retry-After", "")))
        if status in (412, 416):
            raise Changed
        if status in (404, 410):
            raise UserError(f"{url}: not there (HTTP {status}). Check its name in datasets.toml, or --endpoint-url")
        if status not in (200, 206):
            raise UserError(f"{url}: the server refuses it (HTTP {status}). --mirror takes a copy that you have")
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise UserError(f"{url}: a web page comes in place of the file. See in a browser what it says: a login, perhaps")

    def _found(self, key: str, answer: Any) -> StoredObject:
        total = re.fullmatch(r"bytes 0-0/(\d+)", answer.headers.get("Content-Range", ""))
        length = total[1] if answer.status_code == 206 and total else answer.headers.get("Content-Length", "")
        if not length.isdecimal() or (answer.status_code == 206 and not total):
            raise UserError(f"{self._urls[key]}: the server does not say its length. --mirror takes a copy that you have")
        return StoredObject(key, int(length), _strong(answer.headers.get("ETag")), _md5(answer))

    def _check_unchanged(self, found: StoredObject, begin: int, answer: Any) -> int:
        """How many bytes of what comes are there already; raises Changed if it is another file."""
        etag = _strong(answer.headers.get("ETag"))
        if None not in (etag, found.etag) and etag != found.etag:
            raise Changed
        if answer.status_code == 206:
            if answer.headers.get("Content-Range") != f"bytes {begin}-{found.size - 1}/{found.size}":
                raise Changed
            return 0
        if begin and etag is None:  # then nothing says that it is the same
            raise Changed
        if answer.headers.get("Content-Length", str(found.size)) != str(found.size):
            raise Changed
        return begin

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise as an Interruption, or as a UserError, what requests raises; without URLs, which may be signed."""
        import urllib3
        from requests import exceptions

        try:
            yield
        except exceptions.SSLError as error:
            raise UserError(self._unreachable("its certificate is not accepted")) from error
        except (exceptions.InvalidURL, exceptions.InvalidSchema, exceptions.MissingSchema, exceptions.TooManyRedirects) as error:
            raise UserError(self._unreachable(_words(error))) from error
        except (exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise Interruption(_reason(error)) from error

    def _unreachable(self, reason: str) -> str:
        return (
            f"{self.name}: cannot be read ({reason}). Check the network, and HTTPS_PROXY; --endpoint-url names another server, "
            "--mirror a directory"
        )


def _session(connections: int) -> Any:
    import requests
    from requests.adapters import HTTPAdapter

    class Anonymous(requests.Session):
        """Sends no credentials: not those of a .netrc either, which requests takes at first, and again after a redirect."""

        def rebuild_auth(self, request: Any, answer: Any) -> None:
            request.headers.pop("Authorization", None)

    session = Anonymous()
    session.auth = lambda request: request
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=connections))
    return session


def _after(text: str) -> float:
    """The seconds that Retry-After says, or until the date that it says."""
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _strong(etag: str | None) -> str | None:
    """An ETag that tells contents apart byte by byte, without quotes."""
    found = re.fullmatch(r'"([\x21\x23-\x7e]+)"', etag or "")
    return found[1] if found else None


def _md5(answer: Any) -> str | None:
    """The MD5 of the whole file, if the server says it; Content-MD5 is of what comes, a part perhaps."""
    names = MD5_HEADERS if answer.status_code == 200 else MD5_HEADERS[:1]
    said = next((answer.headers[name] for name in names if name in answer.headers), "")
    try:
        digest = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest.hex() if len(digest) == 16 else None


def _reason(error: Exception) -> str:
    """What happened, in words."""
    from requests import exceptions

    if isinstance(error, exceptions.ProxyError):
        return "the proxy does not answer"
    if isinstance(error, exceptions.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT} s"
    if isinstance(error, exceptions.ReadTimeout) or "timed out" in str(error):
        return f"nothing came for {READ_TIMEOUT} s"
    return "no connection" if isinstance(error, exceptions.ConnectionError) else "the connection broke"


def _words(error: Exception) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
