"""An S3 bucket, read without credentials.

The client is botocore's, which s3fs brings. (boto3's is the same one; but no version of it can be required beside s3fs, which
wants botocore within a few releases, without pip giving up.)
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from lsd_experiments.errors import UserError, without_passwords
from lsd_experiments.fetching.stores import CHUNK, TRIES, Changed, Interruption, StoredObject
from lsd_experiments.fetching.verify import matches

CONNECT_TIMEOUT, READ_TIMEOUT = 4, 8  # seconds; the second is how long a server may send nothing
ATTEMPTS = 3  # of the first request, if the server fails to answer; later ones have TRIES, with growing pauses between
OVERLOADED = {429, 500, 502, 503, 504}
PATIENCE = 7.5  # seconds until the first answer: name, connection and reply

Result = TypeVar("Result")


class S3Store:
    """The bucket ``name``.

    :param endpoint_url: another server than Amazon's (default: that of AWS_ENDPOINT_URL, if it is set)
    :param connections: how many requests there may be at a time
    """

    def __init__(self, name: str, region: str, endpoint_url: str | None = None, connections: int = 16) -> None:
        endpoint_url = endpoint_url or os.environ.get("AWS_ENDPOINT_URL") or None
        self.bucket = name
        self.server = without_passwords(endpoint_url or "Amazon S3")
        self.name = f"s3://{name}" + (f" at {self.server}" if endpoint_url else "")
        with self._explained():
            self._client = _client(region, endpoint_url, connections, TRIES)
            self._first = _client(region, endpoint_url, 1, ATTEMPTS)

    def check(self) -> None:
        """Raise a UserError, within ten seconds, if nothing can be read from here; a server may be overloaded for longer."""
        with self._explained():
            within(PATIENCE, self._ask_first)

    def _ask_first(self) -> None:
        from botocore.exceptions import ClientError

        try:
            self._first.list_objects_v2(Bucket=self.bucket, MaxKeys=1, Prefix="funke/")
        except ClientError as error:
            if _status(error) not in OVERLOADED:
                raise

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose keys begin with ``prefix``, page by page."""
        with self._explained():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for item in page.get("Contents", ()):
                    yield StoredObject(item["Key"], item["Size"], _plain(item.get("ETag")))

    def names(self, prefix: str) -> list[str]:
        """What comes next in the keys that begin with ``prefix``, up to a ``/`` or the end."""
        found = []
        with self._explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
            for page in pages:
                found += [item["Prefix"] for item in page.get("CommonPrefixes", ())]
                found += [item["Key"] for item in page.get("Contents", ())]
        parent = prefix.rpartition("/")[0] + "/"
        return sorted(key.removeprefix(parent).rstrip("/") for key in found if key != parent)

    def find(self, key: str) -> StoredObject:
        """The object of ``key`` as it is now."""
        with self._explained(key):
            head = self._client.head_object(Bucket=self.bucket, Key=key)
        return StoredObject(key, head["ContentLength"], _plain(head.get("ETag")))

    def read(self, found: StoredObject, begin: int) -> Iterator[bytes]:
        """The object's bytes from ``begin`` on, of the ETag that it was found with; see :class:`Store`."""
        from botocore import exceptions

        asked = {"Range": f"bytes={begin}-"} if begin else {}
        if found.etag:
            asked["IfMatch"] = f'"{found.etag}"'
        broken = (exceptions.HTTPClientError, exceptions.IncompleteReadError, exceptions.ResponseStreamingError)
        try:
            with self._explained(found.key, broken), closing(self._get(found.key, asked)) as body:
                yield from body.iter_chunks(CHUNK)
        except broken as error:
            raise Interruption(_reason(error)) from error

    def _get(self, key: str, asked: dict[str, str]) -> Any:
        from botocore.exceptions import ClientError

        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=key, **asked)
        except ClientError as error:
            if _status(error) in (412, 416):  # another ETag; fewer bytes than were there
                raise Changed from error
            raise
        if "Range" in asked and answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
            raise UserError(f"{self.name}: {key}: the server does not send parts of objects. Remove the .part file to start anew")
        return answer["Body"]

    def flaw(self, path: Path, found: StoredObject) -> str | None:
        """Whether the content has another MD5 than its ETag says; that of parts says so, too."""
        if matches(path, found.etag, lambda: self._part_size(found)):
            return None
        return f"has not the MD5 of its ETag, {found.etag}"

    def _part_size(self, found: StoredObject) -> int:
        """The size in bytes of its first part, which is that of all but the last."""
        with self._explained(found.key):
            head = self._client.head_object(Bucket=self.bucket, Key=found.key, PartNumber=1)
        return int(head["ContentLength"])

    @contextmanager
    def _explained(self, key: str = "", passed: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Say in a UserError what botocore raises, but for those of ``passed``."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except passed:
            raise
        except ClientError as error:
            raise UserError(self._refusal(error, key)) from error
        except (BotoCoreError, TimeoutError, ValueError) as error:  # ValueError: an endpoint that is no URL
            raise UserError(
                f"{self.name}: cannot be read from {self.server} ({_reason(error)}). Check the network; --endpoint-url names "
                "another server, --mirror a directory"
            ) from error

    def _refusal(self, error: Any, key: str) -> str:
        code, status = error.response.get("Error", {}).get("Code", ""), _status(error)
        if code == "NoSuchBucket" or (status == 404 and not key):  # the second: from what is no S3 server
            return f"{self.name}: no such bucket. Check its name, and --endpoint-url"
        where = f"{self.name}: {key}" if key else self.name
        if status == 403:
            return f"{where}: the server refuses to show it to everybody (HTTP 403, {code}). --mirror takes a copy that you have"
        if status == 404:
            return f"{where}: not there any more (HTTP 404). Run the command again"
        how = f" {TRIES} times" if status in OVERLOADED else ""
        return f"{where}: the server answers HTTP {status} ({code}){how}. Try again later: what came is kept"


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """What ``call`` returns or raises, or a TimeoutError after ``seconds``: also where a name server does not answer."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome[:] = [call(), None]
        except Exception as error:
            outcome[:] = [None, error]

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"no answer within {seconds:g} s")
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]  # type: ignore[no-any-return]


def _client(region: str, endpoint_url: str | None, connections: int, attempts: int) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(
        signature_version=UNSIGNED,
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=connections,
        response_checksum_validation="when_required",  # ranges have none; the MD5 of the whole is compared
        s3={"addressing_style": "path"} if endpoint_url else None,
    )
    return _session().create_client("s3", region_name=region, endpoint_url=endpoint_url, config=config)


@cache
def _session() -> Any:
    """One for all clients: it keeps the descriptions of the service that it has read."""
    import botocore.session

    return botocore.session.get_session()


def _plain(etag: str | None) -> str | None:
    return etag.strip('"').lower() if etag else None


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _reason(error: Exception) -> str:
    text = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return re.sub(r"( URL)?: \"https?:.*", "", text)  # which is long, and names what stands before it anyway
