"""The server's end of the workers' lines (see :mod:`~lsd_experiments.blockwise.lifeline`), and the way in to daisy.

daisy listens on 127.0.0.1, or on all addresses of the machine; and it waits for ever for a host that vanished. So it gets
127.0.0.1, and where ``host`` is another address, a relay listens on that one only. It takes connections from machines
that a worker with this run's token came from, and breaks them when the other host is gone: daisy takes the blocks back::

    worker  --->  host:port, relay  --->  127.0.0.1:port, daisy
"""

import asyncio
import contextlib
import hmac
import json
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from lsd_experiments.blockwise.lifeline import keep_alive

Answer = Callable[[dict[str, Any]], None]


class Listener(Protocol):
    """Who hears of the workers."""

    def worker_came(self, worker: str, answer: Answer) -> None:
        """It is there."""

    def worker_said(self, worker: str, message: dict[str, Any]) -> None:
        """What it did, see :mod:`~lsd_experiments.blockwise.lifeline`."""

    def worker_went(self, worker: str, answer: Answer) -> None:
        """Its line closed."""

    def slot_died(self, worker: str, log: str, offset: int) -> None:
        """The worker failed; what it printed is in ``log`` from ``offset`` on."""


class Gate:
    """Listens on ``host``; a place for the lines, and one for the relay if ``host`` is not 127.0.0.1."""

    def __init__(self, host: str, token: str, listener: Listener) -> None:
        self._token, self._listener = token, listener
        self._peers: Counter[str | None] = Counter()
        self._daisy = 0
        self._lines = _listen(host)
        self._relay = _listen(host) if host != "127.0.0.1" else None
        self.address = f"{host}:{self._lines.getsockname()[1]}"
        self.relay_address = f"{host}:{self._relay.getsockname()[1]}" if self._relay else None

    async def serve(self) -> None:
        """Serve all that come; does not return."""
        lines = await asyncio.start_server(self._line, sock=self._lines)
        if self._relay is not None:
            await asyncio.start_server(self._pass_on, sock=self._relay)
        await lines.serve_forever()

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keep_alive(writer.get_extra_info("socket"))
        peer: str | None = writer.get_extra_info("peername")[0]
        try:
            hello = json.loads(await asyncio.wait_for(reader.readline(), timeout=30))
            if not hmac.compare_digest(str(hello["token"]), self._token):
                return
            self._daisy = int(hello["port"])
            peer = None if "log" in hello else peer  # slots are on this machine, where only workers need the relay
            self._peers[peer] += 1
            writer.write(b"{}\n")
            try:
                await (self._slot(hello, reader) if "log" in hello else self._worker(hello, reader, writer))
            finally:
                self._peers[peer] -= 1
        except (OSError, ValueError, KeyError, TypeError, TimeoutError):
            pass  # it is gone, or no worker
        finally:
            writer.close()

    async def _slot(self, hello: dict[str, Any], reader: asyncio.StreamReader) -> None:
        said = b""
        with contextlib.suppress(OSError):
            said = await reader.read()
        if b"bye" not in said:
            self._listener.slot_died(hello["worker"], hello["log"], hello["offset"])

    async def _worker(self, hello: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def answer(message: dict[str, Any]) -> None:
            writer.write(json.dumps(message).encode() + b"\n")

        self._listener.worker_came(hello["worker"], answer)
        try:
            while line := await reader.readline():
                self._listener.worker_said(hello["worker"], json.loads(line))
        finally:
            self._listener.worker_went(hello["worker"], answer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._peers[writer.get_extra_info("peername")[0]] > 0 and self._daisy:
                keep_alive(writer.get_extra_info("socket"))
                inner = await asyncio.open_connection("127.0.0.1", self._daisy)
                await asyncio.gather(_pump(reader, inner[1]), _pump(inner[0], writer))
        except OSError:
            pass
        finally:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, until the one end or the other is gone."""
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def _listen(host: str) -> socket.socket:
    return socket.create_server((host, 0), backlog=1024)
