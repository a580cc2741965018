"""An HTTP server of files, on loopback, that counts what it is asked for, and fails when it is told to."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Server:
    """``asked``: the paths. ``status``: gets a path and whether it is there, and gives the HTTP status."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.asked: list[str] = []
        self.status: Callable[[str, bool], int] = lambda path, is_there: 200 if is_there else 404

    def __enter__(self) -> "Server":
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.http.shutdown()
        self.http.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path).lstrip("/")
        self.asked.append(path)
        file = self.directory / path
        status, content, extent = self.status(path, file.is_file()), b"", None
        if status == 200 and file.is_file():
            content = file.read_bytes()
            extent = self._part(request.headers.get("Range"), len(content))
        request.send_response(status if extent is None else 206)
        if extent is not None:
            request.send_header("Content-Range", f"bytes {extent.start}-{extent.stop - 1}/{len(content)}")
            content = content[extent.start:extent.stop]
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    @staticmethod
    def _part(wanted: str | None, length: int) -> range | None:
        if wanted is None:
            return None
        begin, _, end = wanted.removeprefix("bytes=").partition("-")
        if not begin:
            return range(max(0, length - int(end)), length)
        return range(int(begin), min(length, int(end) + 1 if end else length))
