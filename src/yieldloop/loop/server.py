"""`Server`: sockets that listen, and the connections that came in by them.

What lives here: the life of a server as `asyncio.Server` of Python 3.13 has it, on every Python: `wait_closed` waits for the
connections too. What may not: accepting (``net``).
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from asyncio import trsock
from typing import Any

from yieldloop.engine._leaf import skip_globals

skip_globals(globals())


class Server(asyncio.AbstractServer):
    """What `create_server` returns. Answers `isinstance(server, asyncio.Server)`."""

    def __init__(self, loop: Any, sockets: list[Any], serve: Any, backlog: int, context: contextvars.Context | None = None) -> None:
        self._loop = loop
        self._sockets: list[Any] | None = sockets  # None once closed
        self._serve = serve  # serve(server, sock): begin to accept on sock
        self._backlog = backlog
        self._clients: weakref.WeakSet[Any] = weakref.WeakSet()  # weak: an abandoned transport shall be seen to be one
        self._waiters: list[Any] | None = []  # None once closed and without connections
        self._serving = False
        self._serving_forever_fut: Any = None
        self._context = contextvars.copy_context() if context is None else context

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return asyncio.Server

    def __repr__(self) -> str:
        return f"<{type(self).__name__} sockets={self.sockets!r}>"

    def _attach(self, transport: Any = None) -> None:
        self._clients.add(self if transport is None else transport)  # up to 3.12.1 tools attach without naming a transport

    def _detach(self, transport: Any = None) -> None:
        self._clients.discard(self if transport is None else transport)
        if self._sockets is None and not self._clients:
            self._wakeup()

    def _wakeup(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def _start_serving(self) -> None:
        if self._serving:
            return
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed: make a new one with create_server()")
        self._serving = True
        for sock in self._sockets:
            sock.listen(self._backlog)
            self._serve(self, sock)

    def get_loop(self) -> Any:
        """The loop that serves."""
        return self._loop

    def is_serving(self) -> bool:
        """True while connections are accepted."""
        return self._serving

    @property
    def sockets(self) -> tuple[Any, ...]:
        """The listening sockets, as `asyncio.trsock.TransportSocket`; () once closed."""
        return tuple(trsock.TransportSocket(sock) for sock in self._sockets or ())

    def close(self) -> None:
        """Accept no more. The connections that are there stay open."""
        sockets, self._sockets = self._sockets, None
        if sockets is None:
            return
        self._serving = False
        for sock in sockets:
            self._loop._stop_serving(sock)
        forever = self._serving_forever_fut
        if forever is not None and not forever.done():
            self._serving_forever_fut = None
            forever.cancel()
        if not self._clients:
            self._wakeup()

    def close_clients(self) -> None:
        """Close every connection that came in here."""
        for transport in list(self._clients):
            transport.close()

    def abort_clients(self) -> None:
        """Close every connection that came in here now, without sending what is queued."""
        for transport in list(self._clients):
            transport.abort()

    async def start_serving(self) -> None:
        """Begin to accept. No effect if it did already; RuntimeError once closed."""
        self._start_serving()
        await asyncio.sleep(0)  # a turn of the loop, as in the standard library

    async def serve_forever(self) -> None:
        """Accept until this is cancelled; then close the server and its connections. RuntimeError if closed or called twice."""
        if self._serving_forever_fut is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        self._start_serving()
        self._serving_forever_fut = self._loop.create_future()
        try:
            await self._serving_forever_fut
        except asyncio.CancelledError:
            try:
                self.close()
                self.close_clients()
                await self.wait_closed()
            finally:
                raise
        finally:
            self._serving_forever_fut = None

    async def wait_closed(self) -> None:
        """Wait until the server is closed and its last connection is gone, in whichever order."""
        if self._waiters is None:
            return
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()
        await self.wait_closed()
