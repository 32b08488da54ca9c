"""`sock_*`: the loop's operations on a program's own socket.

What lives here: which methods there are, and connecting, which looks up names. What may not: one try and one wait
(``transports/sockcalls.py``, where the rules for foreign sockets stand), transports, files (``sendfile``).
"""

from __future__ import annotations

import errno
import os
import socket
from asyncio.base_events import _check_ssl_socket  # type: ignore[attr-defined]
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.sleeping import sleep
from yieldloop.loop.resolver import ResolverMixin
from yieldloop.pollers.sides import WRITE
from yieldloop.transports import sockcalls

skip_globals(globals())

NOT_NOW = (BlockingIOError, InterruptedError)
LOOK_UP = {socket.AF_INET, getattr(socket, "AF_INET6", socket.AF_INET)}  # the families whose addresses have host names
UNIX = getattr(socket, "AF_UNIX", None)
QUEUE_PAUSE = (0.001, 0.05)  # s: first and longest pause before a full queue of connections is tried again


class SockMixin(ResolverMixin):
    """Operations on non-blocking sockets. Each tries at once; it is a cancellation point if it has to wait."""

    def __init__(self, poller: Any, clock: Any = None) -> None:
        super().__init__(poller, clock)
        self._socks = sockcalls.SockTable(poller, self._transports.data)

    sock_recv = sockcalls.sock_recv
    sock_recv_into = sockcalls.sock_recv_into
    sock_recvfrom = sockcalls.sock_recvfrom
    sock_recvfrom_into = sockcalls.sock_recvfrom_into
    sock_sendto = sockcalls.sock_sendto
    sock_sendall = sockcalls.sock_sendall
    sock_accept = sockcalls.sock_accept

    def _check_sock(self, sock: Any) -> None:
        """TypeError for TLS, ValueError for a blocking socket (in debug mode)."""
        _check_ssl_socket(sock)
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Connect *sock* to *address*; a host name in it is looked up first. OSError with the address in its text."""
        self._check_sock(sock)
        if sock.family in LOOK_UP:
            infos = await self._ensure_resolved(address, family=sock.family, type=sock.type, proto=sock.proto)
            address = infos[0][4]
        await self._sock_connect(sock, address)

    async def _sock_connect(self, sock: Any, address: Any) -> None:
        if sock.family == UNIX:
            await self._join_queue(sock, address)
            return
        try:
            sock.connect(address)
            return
        except NOT_NOW:
            pass  # on its way (POSIX: also after EINTR)
        await sockcalls.Ready(self, sock, WRITE, "sock_connect")
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, f"Connect call failed {address}: {os.strerror(error)}")

    async def _join_queue(self, sock: Any, address: Any) -> None:
        """Connect a UNIX socket, which is done at once or, while the server's queue is full, not at all (unix(7), EAGAIN): there is
        nothing to wait for but time. A socket that is told to wait would be reported as writable, and not be connected.
        """
        pause, longest = QUEUE_PAUSE
        while True:
            try:
                sock.connect(address)
                return
            except InterruptedError:
                pass
            except BlockingIOError as exc:
                if exc.errno != errno.EAGAIN:
                    raise
                await sleep(pause)
                pause = min(2 * pause, longest)

    def _release(self) -> None:
        self._socks.clear()
        super()._release()
