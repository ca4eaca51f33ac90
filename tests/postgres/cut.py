"""A network that fails, without root: a proxy on loopback between clients and a server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from tests.postgres.ports import free_port
from tests.postgres.server import LOOPBACK, USER, Server, dsn_of, url_of

CHUNK = 65_536
RETRIES = 5


class Cut:
    """A proxy before a server, in a thread of its own; `with Cut(server) as cut:`, and `cut.url(schema)`."""

    def __init__(self, server: Server) -> None:
        self._target = (server.address, server.port)
        self._holder, self.port = _held_port()
        self._delay = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cut", daemon=True)
        self._thread.start()
        self.heal()

    def url(self, schema: str) -> str:
        """Return what JOBRUNNER_STATE takes."""
        return url_of(self.port, schema)

    def dsn(self, user: str = USER) -> str:
        """Return what psycopg takes."""
        return dsn_of(self.port, user=user)

    def cut(self) -> None:
        """Close all connections, and refuse new ones."""
        self._do(self._cut())

    def silence(self) -> None:
        """Pass nothing on, in connections old and new, and say nothing of it; what is sent is held."""
        self._do(self._silence())

    def delay(self, seconds: float) -> None:
        """Pass on whatever is sent that much later, in both directions: an answer takes twice as long."""
        self._delay = seconds

    def heal(self) -> None:
        """Work as if nothing had been; what was held is passed on now."""
        self._delay = 0.0
        self._do(self._heal())

    def close(self) -> None:
        """End the proxy and its connections."""
        if self._thread.is_alive():
            self._do(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._holder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- in the thread -----------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _cut(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for writer in self._writers:
            writer.transport.abort()

    async def _silence(self) -> None:
        self._flows.clear()

    async def _heal(self) -> None:
        self._flows.set()
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._serve, LOOPBACK, self.port, reuse_port=True, backlog=1000
            )

    async def _end(self) -> None:
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the server does not answer, or the proxy ends: then this connection is closed, too
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        answers, requests = await asyncio.open_connection(*self._target)
        self._writers.add(requests)
        try:
            await asyncio.gather(self._pump(reader, requests), self._pump(answers, writer))
        finally:
            requests.transport.abort()
            self._writers.discard(requests)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            await asyncio.sleep(self._delay)
            await self._flows.wait()
            target.write(data)
            await target.drain()
        await self._flows.wait()
        target.close()


def _held_port() -> tuple[socket.socket, int]:
    """Return a port, and what keeps others from taking it while nobody listens: bound alone, it refuses."""
    for _ in range(RETRIES):
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            port = free_port()
            holder.bind((LOOPBACK, port))
        except OSError:
            holder.close()
        else:
            return holder, port
    raise OSError("no free port was found")
