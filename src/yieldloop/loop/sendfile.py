"""Files sent over sockets: `sock_sendfile` and `sendfile`.

What lives here: by sendfile(2) where the kernel can, else by reading in a thread and sending; where the file's position stands
afterwards. What may not: how a socket is waited for (``transports/sockcalls.py``).

The kernel reads the file itself, so no byte passes through the process. It may refuse (a pipe, a file system that cannot be
mapped): if that happens before the first byte the fallback takes over, and later the error is the caller's.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
import socket
from asyncio.base_events import _check_ssl_socket  # type: ignore[attr-defined]
from asyncio.constants import _SendfileMode
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.errors import SendfileNotAvailableError
from yieldloop.loop.sock import SockMixin
from yieldloop.pollers.sides import WRITE
from yieldloop.transports import sockcalls

skip_globals(globals())

BLOCK = 256 * 1024  # bytes read at once where the kernel does not send the file itself
AT_ONCE = 0x7FFF_F000  # bytes: the most that one sendfile(2) transfers on Linux


class SendfileMixin(SockMixin):
    """Sending files."""

    async def sock_sendfile(
        self, sock: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool | None = True
    ) -> int:
        """Send *file* (opened in binary mode) from *offset* on, at most *count* bytes; returns how many were sent.

        The file's position is behind the last byte sent, also after an error (at *offset* if none was). Without *fallback*,
        SendfileNotAvailableError if the kernel cannot send this file. ValueError, TypeError for arguments that do not fit. A
        cancellation point.
        """
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
        _check_ssl_socket(sock)
        _check_arguments(sock, file, offset, count)
        try:
            return await self._sock_sendfile_native(sock, file, offset, count)
        except SendfileNotAvailableError:
            if not fallback:
                raise
        return await self._sock_sendfile_fallback(sock, file, offset, count)

    async def _sock_sendfile_native(self, sock: Any, file: Any, offset: int, count: int | None) -> int:
        fd, size = _descriptor_of(file)
        if not (count or size):
            return 0
        total = 0
        try:
            while count is None or total < count:
                try:
                    sent = os.sendfile(
                        sock.fileno(), fd, offset + total, min(count - total if count else size, AT_ONCE)
                    )
                except (BlockingIOError, InterruptedError):
                    await sockcalls.Ready(self, sock, WRITE, "sock_sendfile")
                    continue
                except OSError as exc:
                    if exc.errno == errno.ENOTCONN and total:
                        raise ConnectionError(errno.ENOTCONN, "socket is not connected") from exc
                    if total == 0:
                        raise SendfileNotAvailableError(
                            f"os.sendfile call failed: {exc}: the kernel does not send {file!r} over {sock!r}"
                        ) from exc
                    raise
                if sent == 0:
                    break  # the end of the file
                total += sent
                await sockcalls.Ready(self, sock, WRITE, "sock_sendfile")  # the others' turn, and mostly it is full
        finally:
            os.lseek(fd, offset + total, os.SEEK_SET)
        return total

    async def _sock_sendfile_fallback(self, sock: Any, file: Any, offset: int, count: int | None) -> int:
        if hasattr(file, "seek"):
            file.seek(offset)

        async def send(data: memoryview) -> None:
            await self.sock_sendall(sock, data)

        return await self._send_blocks(file, offset, count, send)

    async def _send_blocks(self, file: Any, offset: int, count: int | None, send: Any) -> int:
        """Read *file* from where it stands in a thread, block by block, and await *send* of each."""
        memory = memoryview(bytearray(min(count, BLOCK) if count else BLOCK))
        total = 0
        try:
            while count is None or total < count:
                block = memory if count is None else memory[: min(count - total, len(memory))]
                read = await self.run_in_executor(None, file.readinto, block)
                if not read:
                    break
                await send(block[:read])
                total += read
        finally:
            if total and hasattr(file, "seek"):
                file.seek(offset + total)
        return total

    async def sendfile(
        self, transport: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool = True
    ) -> int:
        """Send *file* over *transport*, behind what was written before; arguments and result as of `sock_sendfile`.

        RuntimeError if the transport is closing, cannot send files, or (over TLS) could only by the *fallback* that was
        forbidden. Nothing may be written meanwhile, and nothing is received. A cancellation point.
        """
        if transport.is_closing():
            raise RuntimeError("Transport is closing")
        mode = getattr(transport, "_sendfile_compatible", _SendfileMode.UNSUPPORTED)
        if mode is _SendfileMode.UNSUPPORTED:
            raise RuntimeError(f"sendfile is not supported for transport {transport!r}")
        if mode is _SendfileMode.TRY_NATIVE:
            try:
                return await self._sendfile_native(transport, file, offset, count)
            except SendfileNotAvailableError:
                if not fallback:
                    raise
        if not fallback:
            raise RuntimeError(f"fallback is disabled and native sendfile is not supported for transport {transport!r}")
        return await self._sendfile_fallback(transport, file, offset, count)

    async def _sendfile_native(self, transport: Any, file: Any, offset: int, count: int | None) -> int:
        fd = transport._sock_fd
        resume = transport.is_reading()
        transport.pause_reading()
        await transport._make_empty_waiter()
        ended = transport._watch_end()
        self._transports.pop(fd, None)  # the socket is for calls now, and comes back
        try:
            sending = self.create_task(
                self.sock_sendfile(transport._sock, file, offset, count, fallback=False), name="loop.sendfile"
            )
            ended.add_done_callback(lambda _: sending.cancel())
            try:
                return await sending  # type: ignore[no-any-return]
            except asyncio.CancelledError:
                if ended.done() and not ended.cancelled() and ended.exception() is not None:
                    raise ended.exception() from None
                raise
        finally:
            if not ended.cancel() and not ended.cancelled():
                ended.exception()  # seen
            if fd not in self._transports and transport.get_protocol() is not None:  # else its number may be another's by now
                self._transports[fd] = transport
            transport._reset_empty_waiter()
            if resume:
                transport.resume_reading()

    async def _sendfile_fallback(self, transport: Any, file: Any, offset: int, count: int | None) -> int:
        if hasattr(file, "seek"):
            file.seek(offset)
        between = _Between(self, transport)

        async def send(data: memoryview) -> None:
            transport.write(data)
            await between.drain()

        try:
            return await self._send_blocks(file, offset, count, send)
        finally:
            between.restore()


class _Between(asyncio.Protocol):
    """Takes a protocol's place while a file is sent: it hears when the transport is full, and the protocol does not."""

    def __init__(self, loop: Any, transport: Any) -> None:
        self._loop = loop
        self._transport = transport
        self._behind = transport.get_protocol()
        self._resume_reading = transport.is_reading()
        self._was_paused = bool(getattr(transport, "_protocol_paused", False))  # as the protocol was told last
        self._room: Any = loop.create_future() if self._was_paused else None  # a future while the transport is full
        self._lost = False
        transport.pause_reading()
        transport.set_protocol(self)

    async def drain(self) -> None:
        """Wait until the transport takes more. ConnectionError if it is gone."""
        if self._lost or self._transport.is_closing():
            raise ConnectionError("Connection closed by peer")
        if self._room is not None:
            await self._room

    def restore(self) -> None:
        """Give the protocol its place back, and tell it what has changed meanwhile."""
        paused = self._room is not None
        if self._room is not None:
            self._room.cancel()
        if self._lost:
            return
        self._transport.set_protocol(self._behind)
        if self._resume_reading:
            self._transport.resume_reading()
        if paused and not self._was_paused:
            self._behind.pause_writing()
        elif self._was_paused and not paused:
            self._behind.resume_writing()

    def pause_writing(self) -> None:
        if self._room is None:
            self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None

    def connection_lost(self, exc: Any) -> None:
        self._lost = True
        if self._room is not None and not self._room.done():
            self._room.set_exception(exc if exc is not None else ConnectionError("Connection is closed by peer"))
        self._behind.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        raise RuntimeError("Invalid state: reading should be paused")

    def eof_received(self) -> None:
        raise RuntimeError("Invalid state: reading should be paused")


def _check_arguments(sock: Any, file: Any, offset: Any, count: Any) -> None:
    if "b" not in getattr(file, "mode", "b"):
        raise ValueError("file should be opened in binary mode")
    if sock.type != socket.SOCK_STREAM:
        raise ValueError("only SOCK_STREAM type sockets are supported")
    if count is not None:
        if not isinstance(count, int):
            raise TypeError(f"count must be a positive integer (got {count!r})")
        if count <= 0:
            raise ValueError(f"count must be a positive integer (got {count!r})")
    if not isinstance(offset, int):
        raise TypeError(f"offset must be a non-negative integer (got {offset!r})")
    if offset < 0:
        raise ValueError(f"offset must be a non-negative integer (got {offset!r})")


def _descriptor_of(file: Any) -> tuple[int, int]:
    """(descriptor, size) of a file that the kernel may be able to send. SendfileNotAvailableError."""
    if not hasattr(os, "sendfile"):
        raise SendfileNotAvailableError("os.sendfile() is not available")
    try:
        fd = file.fileno()
        return fd, os.fstat(fd).st_size
    except (AttributeError, io.UnsupportedOperation, OSError) as exc:
        raise SendfileNotAvailableError(f"not a regular file: {file!r}") from exc
