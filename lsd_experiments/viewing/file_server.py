"""Files of some directories over HTTP, for pages of other servers: neuroglancer's, which reads chunks by itself.

    http://127.0.0.1:<port>/<token>/<name>/info        read only; parts of files (Range) as shards need them

Who has the token, which is random, can read; what leads out of the directories, by ``..`` or by a link, is not there.
"""

import logging
import os
import re
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

logger = logging.getLogger(__name__)

METADATA = (".zarray", ".zattrs", ".zgroup", ".zmetadata")  # of the names that begin with a dot, those that are served
SHARED = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Content-Range, Content-Length, Accept-Ranges",
          "Accept-Ranges": "bytes", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}  # fmt: skip
ALLOWED = {"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS", "Access-Control-Allow-Headers": "Range",
           "Access-Control-Allow-Private-Network": "true", "Access-Control-Max-Age": "600"}  # fmt: skip
PIECE = 2**20  # bytes that are sent at a time
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class FileServer(ThreadingHTTPServer):
    """Serves ``directories``, by the names that they get in URLs, at ``address``; 0 is any port that is free."""

    daemon_threads = True

    def __init__(self, directories: Mapping[str, Path], address: str = "127.0.0.1", port: int = 0) -> None:
        self.directories = {name: Path(os.path.realpath(path)) for name, path in directories.items()}
        self.token = secrets.token_urlsafe(16)
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        """Without the look-up of this machine's name that the base class does, which may take seconds."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def url(self, name: str, path: str = "") -> str:
        """Of ``path`` in the directory ``name``; where all addresses are listened on, by this machine's name."""
        below = "/".join(quote(part) for part in (name, *path.split("/")) if part)
        host = socket.getfqdn() if self.server_name in ("0.0.0.0", "::") else self.server_name
        return f"http://{host}:{self.server_port}/{self.token}/{below}"

    def find(self, url: str) -> Path | None:
        """The file that ``url`` asks for, or None if there is none, or not for others."""
        token, *parts = [unquote(part) for part in url.partition("?")[0].split("/")[1:]] or [""]
        if not secrets.compare_digest(token.encode(), self.token.encode()) or not parts:
            return None
        root, names = self.directories.get(parts[0]), parts[1:]
        if root is None or not all(map(_is_plain, names)):
            return None
        try:
            path = Path(os.path.realpath(root.joinpath(*names)))
            return path if path.is_relative_to(root) and path.is_file() else None
        except (OSError, ValueError):  # a name that is too long
            return None


def _is_plain(name: str) -> bool:
    return bool(name) and (name[0] != "." or name in METADATA) and not set(name) & set("/\\\0")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_OPTIONS(self) -> None:
        self._head(HTTPStatus.NO_CONTENT, {**ALLOWED, "Content-Length": "0"})

    def log_message(self, format: str, *arguments: Any) -> None:
        logger.debug(format, *arguments)

    def _answer(self, with_content: bool) -> None:
        path = self.server.find(self.path)
        if path is None:
            return self._head(HTTPStatus.NOT_FOUND, {"Content-Length": "0"})
        try:
            with path.open("rb") as file, suppress(BrokenPipeError, ConnectionResetError):
                self._send(file, os.fstat(file.fileno()).st_size, with_content)
        except OSError:
            self._head(HTTPStatus.NOT_FOUND, {"Content-Length": "0"})

    def _send(self, file: BinaryIO, size: int, with_content: bool) -> None:
        asked = RANGE.fullmatch(self.headers.get("Range", "").strip())
        if asked is None or asked.groups() == ("", ""):
            begin, end, status, more = 0, size, HTTPStatus.OK, {}
        else:
            begin, end = _part(asked[1], asked[2], size)
            if begin >= end:
                return self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{size}",
                                                                              "Content-Length": "0"})
            status, more = HTTPStatus.PARTIAL_CONTENT, {"Content-Range": f"bytes {begin}-{end - 1}/{size}"}
        self._head(status, {**more, "Content-Length": str(end - begin), "Content-Type": "application/octet-stream"})
        if with_content:
            file.seek(begin)
            self._copy(file, end - begin)

    def _copy(self, file: BinaryIO, left: int) -> None:
        while left and (content := file.read(min(left, PIECE))):
            self.wfile.write(content)
            left -= len(content)

    def _head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**SHARED, **headers}.items():
            self.send_header(name, value)
        self.end_headers()


def _part(first: str, last: str, size: int) -> tuple[int, int]:
    """Begin and end of what a Range asks for: from ``first`` to ``last``, which counts, or the last bytes."""
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size
