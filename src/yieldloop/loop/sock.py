"""`sock_*`: one operation on a program's own socket, awaited.

What lives here: try it at once; if it would block, wait until it will not, and try again. What may not: transports.

The operation is made by the task that asked for it, not by the callback that wakes it: a task that is cancelled between the two has
taken nothing from the socket, so no byte is lost. Several tasks may wait for one socket: all are woken, and whoever comes too
late waits again.
"""

from __future__ import annotations

import os
import socket
from asyncio.base_events import _check_ssl_socket  # type: ignore[attr-defined]
from collections.abc import Callable
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.handles import Handle
from yieldloop.loop.resolver import ResolverMixin

skip_globals(globals())

NOT_NOW = (BlockingIOError, InterruptedError)


def _wake_all(waiters: list[Any], disarm: Callable[[int], Any], fd: int) -> None:
    disarm(fd)
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


class SockMixin(ResolverMixin):
    """Operations on non-blocking sockets. All are cancellation points."""

    def _own_sock(self, sock: Any) -> int:
        """The descriptor of *sock*, if these operations may use it. TypeError, ValueError, RuntimeError."""
        _check_ssl_socket(sock)
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
        return self._foreign_fd(sock)

    async def _readable(self, fd: int) -> None:
        await self._ready_for(fd, self._poller.reader, self._poller.arm_reader, self._poller.disarm_reader)

    async def _writable(self, fd: int) -> None:
        await self._ready_for(fd, self._poller.writer, self._poller.arm_writer, self._poller.disarm_writer)

    async def _ready_for(self, fd: int, armed: Any, arm: Any, disarm: Any) -> None:
        entry = armed(fd)
        waiter = self.create_future()
        if isinstance(entry, Handle) and entry._callback is _wake_all:
            waiters = entry._args[0]
            waiters.append(waiter)
        else:
            waiters = [waiter]
            previous = arm(fd, Handle(_wake_all, (waiters, disarm, fd), self, None))
            if previous is not None:
                previous.cancel()
        try:
            await waiter
        except BaseException:
            if waiter in waiters:
                waiters.remove(waiter)
                if not waiters:
                    disarm(fd)
            raise

    async def sock_recv(self, sock: Any, nbytes: int) -> bytes:
        """Up to *nbytes* bytes, at least one; b"" at the end."""
        fd = self._own_sock(sock)
        while True:
            try:
                return sock.recv(nbytes)  # type: ignore[no-any-return]
            except NOT_NOW:
                await self._readable(fd)

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        """Receive into *buf*; the number of bytes, 0 at the end."""
        fd = self._own_sock(sock)
        while True:
            try:
                return sock.recv_into(buf)  # type: ignore[no-any-return]
            except NOT_NOW:
                await self._readable(fd)

    async def sock_recvfrom(self, sock: Any, bufsize: int) -> tuple[bytes, Any]:
        """One datagram of at most *bufsize* bytes, and its sender."""
        fd = self._own_sock(sock)
        while True:
            try:
                return sock.recvfrom(bufsize)  # type: ignore[no-any-return]
            except NOT_NOW:
                await self._readable(fd)

    async def sock_recvfrom_into(self, sock: Any, buf: Any, nbytes: int = 0) -> tuple[int, Any]:
        """One datagram into *buf* (at most *nbytes*, 0: as many as fit); its size and sender."""
        fd = self._own_sock(sock)
        if not nbytes:
            nbytes = len(buf)
        while True:
            try:
                return sock.recvfrom_into(buf, nbytes)  # type: ignore[no-any-return]
            except NOT_NOW:
                await self._readable(fd)

    async def sock_sendto(self, sock: Any, data: Any, address: Any) -> int:
        """Send *data* as a datagram to *address* (no name: it is not resolved); the number of bytes sent."""
        fd = self._own_sock(sock)
        while True:
            try:
                return sock.sendto(data, address)  # type: ignore[no-any-return]
            except NOT_NOW:
                await self._writable(fd)

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """Send all of *data*. After an error or a cancellation nobody knows how much was sent."""
        fd = self._own_sock(sock)
        try:
            sent = sock.send(data)
        except NOT_NOW:
            sent = 0
        if sent == len(data) and not isinstance(data, memoryview):
            return
        rest = memoryview(data).cast("B")[sent:]
        while rest:
            await self._writable(fd)
            try:
                rest = rest[sock.send(rest) :]
            except NOT_NOW:
                pass

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Connect *sock* to *address*; a host name in it is looked up first."""
        self._own_sock(sock)
        if sock.family == socket.AF_INET or sock.family == getattr(socket, "AF_INET6", None):
            infos = await self._ensure_resolved(address, family=sock.family, type=sock.type, proto=sock.proto)
            address = infos[0][4]
        await self._sock_connect(sock, address)

    async def _sock_connect(self, sock: Any, address: Any) -> None:
        fd = sock.fileno()
        try:
            sock.connect(address)
            return
        except NOT_NOW:
            pass  # on its way (POSIX: also after EINTR)
        await self._writable(fd)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, f"Connect call failed {address}: {os.strerror(error)}")

    async def sock_accept(self, sock: Any) -> tuple[Any, Any]:
        """The next connection of the listening *sock*: (non-blocking socket, address of the peer)."""
        fd = self._own_sock(sock)
        while True:
            try:
                conn, address = sock.accept()
            except NOT_NOW:
                await self._readable(fd)
            else:
                conn.setblocking(False)
                return conn, address
