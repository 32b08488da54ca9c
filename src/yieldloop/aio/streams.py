"""Streams: a connection as a reader and a writer that tasks await.

What lives here: `StreamWriter` (a transport with `drain`), the protocol between a transport and its streams, and the four
functions that connect and serve; `StreamReader` has a file of its own, `_reader`. What may not: file descriptors.

The way of a byte: transport → `StreamReaderProtocol.data_received` → `StreamReader.feed_data` → `StreamBuffer` → the task that
reads. The protocol keeps no received bytes of its own.

These classes run on any asyncio loop: futures and tasks are made by the loop, never by us.
The classes derive from the standard library's, because programs ask `isinstance(reader, asyncio.StreamReader)`, and so does the
standard loop's `start_tls` of a protocol; a test sees to it that nothing of theirs is left but the name.
"""

from __future__ import annotations

import asyncio
import socket
import warnings
import weakref
from asyncio.log import logger
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from yieldloop.aio._reader import DEFAULT_LIMIT, StreamReader, direct_intake, is_plain
from yieldloop.aio.tasks import sleep
from yieldloop.engine.coroutines import iscoroutine
from yieldloop.engine.running import current_loop, get_running_loop
from yieldloop.transports import outlet
from yieldloop.transports.intake import Intake
from yieldloop.transports.outlet import Flowing, Writable

__all__: tuple[str, ...] = ("StreamReader", "StreamWriter", "StreamReaderProtocol", "open_connection", "start_server")

_CLIENT_FAILED = "Unhandled exception in client_connected_cb"

# --- connecting and serving --------------------------------------------------------------------------------------------


async def open_connection(
    host: Any = None, port: Any = None, *, limit: int = DEFAULT_LIMIT, **kwds: Any
) -> tuple[StreamReader, StreamWriter]:
    """Connect by TCP; returns (reader, writer). *limit*: see `StreamReader`; the rest is `loop.create_connection`'s."""
    loop = get_running_loop()
    reader = StreamReader(limit=limit, loop=loop)
    protocol = StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, host, port, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client_connected_cb: Callable[[StreamReader, StreamWriter], Any],
    host: Any = None,
    port: Any = None,
    *,
    limit: int = DEFAULT_LIMIT,
    **kwds: Any,
) -> asyncio.AbstractServer:
    """Serve TCP: *client_connected_cb*(reader, writer) is called for each client; returns the server.

    The callback is a plain function or a coroutine function; a coroutine is run as a task. If it raises, the loop's
    exception handler is told and the connection is closed. The rest of the arguments is `loop.create_server`'s.
    """
    loop = get_running_loop()
    return await loop.create_server(_serving(client_connected_cb, limit, loop), host, port, **kwds)


def _serving(client_connected_cb: Any, limit: int, loop: Any) -> Callable[[], StreamReaderProtocol]:
    def factory() -> StreamReaderProtocol:
        return StreamReaderProtocol(StreamReader(limit=limit, loop=loop), client_connected_cb, loop=loop)

    return factory


if hasattr(socket, "AF_UNIX"):
    __all__ += ("open_unix_connection", "start_unix_server")

    async def open_unix_connection(
        path: Any = None, *, limit: int = DEFAULT_LIMIT, **kwds: Any
    ) -> tuple[StreamReader, StreamWriter]:
        """`open_connection` to a UNIX socket's *path*; the rest is `loop.create_unix_connection`'s."""
        loop = get_running_loop()
        reader = StreamReader(limit=limit, loop=loop)
        protocol = StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_unix_connection(lambda: protocol, path, **kwds)
        return reader, StreamWriter(transport, protocol, reader, loop)

    async def start_unix_server(
        client_connected_cb: Callable[[StreamReader, StreamWriter], Any],
        path: Any = None,
        *,
        limit: int = DEFAULT_LIMIT,
        **kwds: Any,
    ) -> asyncio.AbstractServer:
        """`start_server` at a UNIX socket's *path*; the rest is `loop.create_unix_server`'s."""
        loop = get_running_loop()
        return await loop.create_unix_server(_serving(client_connected_cb, limit, loop), path, **kwds)


# --- the protocol ------------------------------------------------------------------------------------------------------


class FlowControlMixin(Flowing, asyncio.Protocol):
    """What `StreamWriter.drain` needs of a protocol: it remembers whether the transport asked for a pause.

    A subclass that overrides one of the three protocol methods calls the one here as well.
    """

    def __init__(self, loop: Any = None) -> None:
        Flowing.__init__(self, current_loop() if loop is None else loop)

    def pause_writing(self) -> None:
        assert not self._paused, "the transport called pause_writing() twice without resume_writing() between"
        self._paused = True
        if self._loop.get_debug():
            logger.debug("%r pauses writing", self)

    def resume_writing(self) -> None:
        assert self._paused, "the transport called resume_writing() without pause_writing() before"
        self._paused = False
        if self._loop.get_debug():
            logger.debug("%r resumes writing", self)
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connection_lost = True
        if not self._paused:
            return
        for waiter in self._drain_waiters:
            if not waiter.done():
                if exc is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(exc)

    async def _drain_helper(self) -> None:
        """Wait until the transport takes more. ConnectionResetError if the connection is already lost."""
        if self._connection_lost:
            raise ConnectionResetError("Connection lost")
        if not self._paused:
            return
        waiter = self._loop.create_future()
        self._drain_waiters.append(waiter)
        try:
            await waiter
        finally:
            self._drain_waiters.remove(waiter)

    def _get_close_waiter(self, stream: Any) -> Awaitable[None]:
        raise NotImplementedError(f"{type(self).__name__} has no _get_close_waiter(): wait_closed() has nothing to wait for")


class StreamReaderProtocol(FlowControlMixin, asyncio.StreamReaderProtocol):
    """Carries a transport's events to a `StreamReader`, and calls the server's callback for a new client.

    It refers to the reader weakly, so that a program which drops a connection's reader does not pay for what still comes in.
    """

    _source_traceback: Any = None

    def __init__(self, stream_reader: Any, client_connected_cb: Any = None, loop: Any = None) -> None:
        super().__init__(loop=loop)
        self._stream_reader_wr: Any = None
        self._strong_reader: Any = None  # a server's reader, until its callback has it: nobody else holds it
        if stream_reader is not None:
            self._stream_reader_wr = weakref.ref(stream_reader)
            self._source_traceback = stream_reader._source_traceback
            if client_connected_cb is not None:
                self._strong_reader = stream_reader
        self._task: Any = None  # the callback's task, while the connection lives
        self._transport: Any = None
        self._client_connected_cb = client_connected_cb
        self._over_ssl = False
        self._closed = self._loop.create_future()  # done when the connection is lost; its error, if there was one

    @property
    def _stream_reader(self) -> Any:
        ref = self._stream_reader_wr
        return None if ref is None else ref()

    @property
    def _direct_intake(self) -> Any:
        """The reader's intake, which a transport may feed without calling us; None if a subclass wants to be called."""
        return direct_intake(self._stream_reader) if is_plain(self, _DATA_RECEIVED) else None

    def _replace_transport(self, transport: Any) -> None:
        """From now on `transport` is below us: `start_tls` has put it over the old one."""
        self._transport = transport
        self._over_ssl = transport.get_extra_info("sslcontext") is not None
        reader = self._stream_reader
        if reader is not None:
            reader._replace_transport(transport)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        reader = self._stream_reader
        if reader is not None:
            reader.set_transport(transport)
        self._over_ssl = transport.get_extra_info("sslcontext") is not None
        if self._client_connected_cb is not None:
            self._call_client(reader, StreamWriter(transport, self, reader, self._loop), transport)
            self._strong_reader = None

    def _call_client(self, reader: Any, writer: StreamWriter, transport: Any) -> None:
        """Call the server's callback; its failure, at once or as a task, is reported and closes the connection."""

        def failed(exc: Any) -> None:
            self._loop.call_exception_handler({"message": _CLIENT_FAILED, "exception": exc, "transport": transport})
            transport.close()

        def done(task: Any) -> None:
            if task.cancelled():
                transport.close()
            elif task.exception() is not None:
                failed(task.exception())

        try:
            result = self._client_connected_cb(reader, writer)
        except Exception as exc:
            failed(exc)
            return
        if iscoroutine(result):
            self._task = self._loop.create_task(result)
            self._task.add_done_callback(done)

    def connection_lost(self, exc: Any) -> None:
        reader = self._stream_reader
        if reader is not None:
            if exc is None:
                reader.feed_eof()
            else:
                reader.set_exception(exc)
        if not self._closed.done():
            if exc is None:
                self._closed.set_result(None)
            else:
                self._closed.set_exception(exc)
                self._closed.exception()  # seen: a program that never calls wait_closed() did not lose this error
        super().connection_lost(exc)
        self._stream_reader_wr = None
        self._task = None
        self._transport = None

    def data_received(self, data: bytes) -> None:
        ref = self._stream_reader_wr
        if ref is not None:
            reader = ref()
            if reader is not None:
                reader.feed_data(data)

    def eof_received(self) -> bool:
        reader = self._stream_reader
        if reader is not None:
            reader.feed_eof()
        # True keeps our side open for writing. TLS has no half-closed connection, and its transport warns about True.
        return not self._over_ssl

    def _get_close_waiter(self, stream: Any) -> Awaitable[None]:
        closed: Awaitable[None] = self._closed
        return closed


_DATA_RECEIVED = StreamReaderProtocol.data_received  # ours, whatever a program puts in its place later


# --- the writer --------------------------------------------------------------------------------------------------------


_UNBROKEN = Intake(None, None, 0, None)  # of a writer without a reader


class StreamWriter(Writable, asyncio.StreamWriter):
    """A transport to write to. The bytes are the transport's at once; `drain` is where a fast writer is made to wait."""

    def __init__(self, transport: Any, protocol: Any, reader: Any, loop: Any) -> None:
        if reader is not None and not isinstance(reader, asyncio.StreamReader):
            raise AssertionError(f"the reader is to be a StreamReader or None, not {reader!r}")
        # A protocol whose _drain_helper is the one above has its two flags read in passing; another's is called, whatever it does.
        helper = getattr(type(protocol), "_drain_helper", None)
        flow = protocol if helper is FlowControlMixin._drain_helper and isinstance(protocol, Flowing) else None
        # What has broken the connection stands in the reader's intake; a reader that answers itself is asked, by _drain().
        intake = _UNBROKEN
        if reader is not None:
            if getattr(type(reader), "exception", None) is StreamReader.exception:
                intake = reader._in  # type: ignore[attr-defined]
            else:
                flow = None
        Writable.__init__(self, transport, protocol, reader, loop, flow, intake)

    def __repr__(self) -> str:
        info = [type(self).__name__, f"transport={self._transport!r}"]
        if self._reader is not None:
            info.append(f"reader={self._reader!r}")
        return f"<{' '.join(info)}>"

    @property
    def transport(self) -> Any:
        return self._transport

    write = outlet.write
    drain = outlet.drain

    def writelines(self, data: Iterable[Any]) -> None:
        """`write` for each of an iterable, in as few system calls as the transport manages."""
        self._transport.writelines(data)

    def write_eof(self) -> None:
        """Close the sending side once everything is sent; reading goes on."""
        return self._transport.write_eof()  # type: ignore[no-any-return]

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the connection once everything is sent; `wait_closed` waits for that."""
        return self._transport.close()  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        return self._transport.is_closing()  # type: ignore[no-any-return]

    async def wait_closed(self) -> None:
        """Wait until the connection is closed; raises what broke it, if something did. A cancellation point."""
        await self._protocol._get_close_waiter(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    async def _drain(self) -> None:
        reader = self._reader
        if reader is not None:
            exc = reader.exception()
            if exc is not None:
                raise exc
        if self._transport.is_closing():
            # connection_lost() may be waiting for its turn. A loop of write() and drain() that never suspends would
            # keep it waiting, and would write into nothing for ever.
            await sleep(0)
        await self._protocol._drain_helper()

    async def start_tls(
        self,
        sslcontext: Any,
        *,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None:
        """Upgrade the connection to TLS, as the server if it was accepted by one. Arguments: `loop.start_tls`'s."""
        protocol = self._protocol
        server_side = protocol._client_connected_cb is not None
        await self.drain()
        transport = await self._loop.start_tls(
            self._transport,
            protocol,
            sslcontext,
            server_side=server_side,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        self._transport = transport
        protocol._replace_transport(transport)

    def __del__(self, warnings: Any = warnings) -> None:
        transport = getattr(self, "_transport", None)  # None: __init__ failed
        if transport is None or transport.is_closing():
            return
        if self._loop.is_closed():
            warnings.warn("loop is closed", ResourceWarning)
        else:
            self.close()
            warnings.warn(f"unclosed {self!r}", ResourceWarning)
