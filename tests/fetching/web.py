"""A web server as GitHub's is to who fetches a release: it redirects to a storage at signed URLs, and can misbehave."""

import base64
import hashlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

SIGNATURE = "sig=confidential"
# Files of the XPRESS challenge.
RAW, LABELS, SKELETONS = "xpress-training-raw.h5", "xpress-training-voxel-labels.h5", "XPRESS_training_skels.npz"
TRAINING = [RAW, LABELS, SKELETONS]
FURTHER = ["xpress-validation-raw.h5", "XPRESS_validation_skels.npz", "xpress-test-raw.h5"]
ON_REQUEST = ["baseline_seg_training.h5", "baseline_seg_validation.h5"]
WEIGHTS = "model_checkpoint_320000"


@dataclass
class Web:
    """The files by name, and what becomes of requests for them; ``asked``: name, Range and If-Range of those for storage."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    has_ranges: bool = True
    has_etags: bool = True
    has_md5: bool = True
    status: dict[str, list[int]] = field(default_factory=dict)  # of the next requests for storage, by name; 200 is as usual
    retry_after: str = ""  # what is said with such a status
    content_type: str = "application/octet-stream"
    before: Callable[[str], None] = lambda name: None
    spoil: Callable[[str, bytes], Iterator[bytes | None]] = lambda name, body: iter((body,))  # None: the connection breaks

    def bodies(self, name: str) -> list[str | None]:
        """The ranges that were asked of a file, but for those that only ask how long it is."""
        return [begin for asked, begin, _ in self.asked if asked == name and begin != "bytes=0-0"]


def etag_of(content: bytes) -> str:
    """As Azure's: no checksum."""
    return '"0x8D' + hashlib.sha1(content).hexdigest()[:11].upper() + '"'


@contextmanager
def serving(web: Web) -> Iterator[None]:
    """The server, in a thread."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            name = unquote(path.rpartition("/")[2])
            web.headers.append(dict(self.headers))
            if path.startswith("/releases/"):
                return self._end(302, {"Location": f"/storage/{quote(name)}?{SIGNATURE}"})
            if not path.startswith("/storage/"):
                return self._end(404, {})
            is_probe = self.headers["Range"] == "bytes=0-0"
            web.asked.append((name, self.headers["Range"], self.headers["If-Range"]))
            assert query == SIGNATURE
            if not is_probe:
                web.before(name)
            planned = web.status.get(name)
            status = planned.pop(0) if planned else 200
            if name not in web.files or status != 200:
                headers = {"Retry-After": web.retry_after} if web.retry_after else {}
                return self._end(404 if name not in web.files else status, headers)
            self._send(name, web.files[name], is_probe)

        def _end(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, name: str, content: bytes, is_probe: bool) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
            is_same = self.headers["If-Range"] in (None, etag_of(content) if web.has_etags else "")
            is_part = bool(asked and web.has_ranges and is_same)
            begin, end = (int(asked[1]), int(asked[2] or len(content) - 1)) if is_part else (0, len(content) - 1)
            if begin >= len(content):
                return self._end(416, {"Content-Range": f"bytes */{len(content)}"})
            self.send_response(206 if is_part else 200)
            if is_part:
                self.send_header("Content-Range", f"bytes {begin}-{end}/{len(content)}")
            if web.has_etags:
                self.send_header("ETag", etag_of(content))
            if web.has_md5:
                self.send_header("x-ms-blob-content-md5", base64.b64encode(hashlib.md5(content).digest()).decode())
            self.send_header("Content-Type", web.content_type)
            body = content[begin : end + 1]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for piece in (body,) if is_probe else web.spoil(name, body):
                if piece is None:
                    self.close_connection = True
                    return
                self.wfile.write(piece)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that was killed, or has heard enough
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web.url = f"http://127.0.0.1:{server.server_address[1]}/releases/"
    yield
    server.shutdown()
    server.server_close()
