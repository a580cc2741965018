"""The server's end of the workers' lines (see :mod:`~lsd_experiments.blockwise.connection`): the only way in.

Nothing is heard from who does not say the run's token first, and the name of a worker that is expected.
"""

import asyncio
import hmac
import json
import socket
from collections.abc import Callable
from typing import Any, Protocol

from lsd_experiments.blockwise.connection import keep_alive
from lsd_experiments.listening import listen

LONGEST = 1 << 16  # bytes of a message


class Line:
    """One worker's.

    :ivar worker: its name
    :ivar hello: what it said first
    """

    def __init__(self, hello: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.worker, self.hello = str(hello["worker"]), hello
        self._writer = writer

    def say(self, message: dict[str, Any]) -> None:
        """Send ``message``."""
        self._writer.write(json.dumps(message).encode() + b"\n")

    def cut(self) -> None:
        """Hang up; what it says later is not heard."""
        self._writer.transport.abort()


class Handler(Protocol):
    """Who hears of the workers."""

    def came(self, line: Line) -> bool:
        """Whether that worker is expected."""

    def said(self, line: Line, message: dict[str, Any]) -> None:
        """What it did, see :mod:`~lsd_experiments.blockwise.connection`."""

    def went(self, line: Line) -> None:
        """Its line closed."""


class Listener:
    """Listens on ``host``.

    :ivar address: where, for workers
    """

    def __init__(self, host: str, token: str, handler: Handler) -> None:
        self._token, self._handler = token, handler
        self._socket = listen(host)
        where, port = self._socket.getsockname()[:2]
        self.address = f"{where}:{port}"

    async def serve(self, report: Callable[[BaseException], None]) -> None:
        """Serve all that come from now on.

        :param report: gets what goes wrong here, which is not the workers' fault
        """
        async def line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._line(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                pass  # it is gone
            except Exception as error:
                report(error)
            finally:
                writer.close()

        await asyncio.start_server(line, sock=self._socket, limit=LONGEST)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        keep_alive(connection)
        hello = await self._hello(reader)
        if hello is None:
            return
        line = Line(hello, writer)
        if not self._handler.came(line):
            return
        try:
            line.say({})
            while (text := await reader.readline()).endswith(b"\n"):
                self._handler.said(line, json.loads(text))
        except OSError:
            pass
        finally:
            self._handler.went(line)

    async def _hello(self, reader: asyncio.StreamReader) -> dict[str, Any] | None:
        """What a worker of this run said first; None if it is none."""
        try:
            hello = json.loads(await asyncio.wait_for(reader.readline(), timeout=30))
            token, _ = str(hello["token"]), hello["worker"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError, TimeoutError):
            return None
        same = hmac.compare_digest(token.encode(errors="replace"), self._token.encode())
        return hello if same and isinstance(hello, dict) else None
