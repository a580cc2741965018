"""Servers that may answer later.

One that answers with 5xx or 429 is asked again after growing pauses, and so is one that was reached before and is not any
more, for :data:`PATIENCE` seconds; then it is a :class:`Passing` error.
"""

import logging
import os
import re
import time
from collections.abc import Callable
from typing import TypeVar

from lsd_experiments.errors import Passing, UserError, without_passwords
from lsd_experiments.pauses import growing_pause

OPENING = 6  # seconds for which what cannot be reached is tried again at first, so that it is an error after ten
PATIENCE = 300  # seconds, later, and for a server that is overloaded
PAUSE, LONGEST = 0.5, 20  # seconds: up to the first, then twice as long each time, up to the second
OVERLOADED = {429, 500, 502, 503, 504}

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


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
            is_overloaded = http_status(error) in OVERLOADED
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


def is_failure(answer: object) -> bool:
    """Whether what fsspec answered in place of a file is an error, and not that it is absent, or not for all."""
    return isinstance(answer, Exception) and not isinstance(answer, (FileNotFoundError, PermissionError))


def http_status(error: BaseException) -> int | None:
    """The HTTP status of what botocore raised, which s3fs raises as an OSError; or what tensorstore said."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None


def _is_broken(error: Exception) -> bool:
    """Whether a connection was not made, or broke, or nothing came."""
    from s3fs.core import S3_RETRYABLE_ERRORS

    return isinstance(error, (*S3_RETRYABLE_ERRORS, ConnectionError, TimeoutError))


def _reason(error: Exception) -> str:
    status = http_status(error)
    text = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return without_passwords(f"HTTP {status}: {re.sub(r'^.Errno .*?. ', '', text)}" if status else text)


def _unreachable(url: str, error: Exception) -> str:
    if not url.startswith("s3://"):
        return f"{url}: cannot be read ({_reason(error)}). Check the name and the network"
    server = without_passwords(os.environ.get("AWS_ENDPOINT_URL", "Amazon S3"))
    return (f"{url}: cannot be read from {server} ({_reason(error)}). Check the name and the network; AWS_ENDPOINT_URL names "
            "another server")
