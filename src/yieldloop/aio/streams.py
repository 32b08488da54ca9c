"""Streams: a connection as a reader and a writer that tasks await.

What lives here: `StreamReader` (what came in), `StreamWriter` (a transport with `drain`), the protocol between them and a
transport, and the four functions that connect and serve. What may not: file descriptors; looking for separators and keeping
bytes, which `wire/buffer.py` does.

The way of a byte: transport → `StreamReaderProtocol.data_received` → `StreamReader.feed_data` → `StreamBuffer` → the task that
reads. A task waits only if what it asked for is not here yet; then `_waiter` is the one future it waits for, and `_needed` says
how many bytes must have come before it is worth waking.

Rules for the editor:
1. A read that finds its bytes does not suspend, and is one call into the buffer.
2. Reading pauses the transport when more than twice the limit waits, and lets it go on at the limit. A task that waits for
   data always lets it go on: paused and waiting would be waiting for ever.
3. The protocol keeps no received bytes of its own, and `feed_data` takes any bytes-like object and copies what can change:
   a BufferedProtocol's `buffer_updated` can feed a slice of a buffer that it uses again.
4. These classes run on any asyncio loop. Futures and tasks are made by the loop, never by us.

The classes derive from the standard library's, because programs ask `isinstance(reader, asyncio.StreamReader)`; a test sees to
it that nothing of theirs is left but the name.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import warnings
import weakref
from asyncio import format_helpers
from asyncio.log import logger
from collections.abc import Awaitable, Callable, Iterable
from operator import index
from typing import Any

from yieldloop.aio.tasks import sleep
from yieldloop.engine.running import current_loop, get_running_loop
from yieldloop.engine.tasks import iscoroutine
from yieldloop.errors import IncompleteReadError, LimitOverrunError
from yieldloop.wire.buffer import LINE, StreamBuffer

__all__: tuple[str, ...] = ("StreamReader", "StreamWriter", "StreamReaderProtocol", "open_connection", "start_server")

DEFAULT_LIMIT = 64 * 1024  # bytes: asyncio's default; the longest line that a stranger can make us keep
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


class FlowControlMixin(asyncio.Protocol):
    """What `StreamWriter.drain` needs of a protocol: it remembers whether the transport asked for a pause.

    A subclass that overrides one of the three protocol methods calls the one here as well.
    """

    def __init__(self, loop: Any = None) -> None:
        self._loop = current_loop() if loop is None else loop
        self._paused = False  # between pause_writing() and resume_writing()
        self._drain_waiters: list[Any] = []  # a future for each task in drain(); woken together
        self._connection_lost = False  # for good, once True

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


class StreamReaderProtocol(FlowControlMixin):
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

        def failed(exc: BaseException) -> None:
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


# --- the writer --------------------------------------------------------------------------------------------------------


class StreamWriter(asyncio.StreamWriter):
    """A transport to write to. The bytes are the transport's at once; `drain` is where a fast writer is made to wait."""

    def __init__(self, transport: Any, protocol: Any, reader: Any, loop: Any) -> None:
        if reader is not None and not isinstance(reader, asyncio.StreamReader):
            raise AssertionError(f"the reader is to be a StreamReader or None, not {reader!r}")
        self._transport = transport
        self._protocol = protocol
        self._reader = reader
        self._loop = loop
        # The protocol if its _drain_helper is the one above: then drain() reads the two flags itself, without a second
        # coroutine. Another protocol's is called, whatever it does.
        helper = getattr(type(protocol), "_drain_helper", None)
        self._plain = protocol if helper is FlowControlMixin._drain_helper else None

    def __repr__(self) -> str:
        info = [type(self).__name__, f"transport={self._transport!r}"]
        if self._reader is not None:
            info.append(f"reader={self._reader!r}")
        return f"<{' '.join(info)}>"

    @property
    def transport(self) -> Any:
        return self._transport

    def write(self, data: Any) -> None:
        """Hand `data` (bytes-like) to the transport, which sends it when it can."""
        self._transport.write(data)

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

    async def drain(self) -> None:
        """Wait while the transport has more to send than its high-water mark: `w.write(data); await w.drain()`.

        Does not suspend, and is no cancellation point, while there is less. Raises what broke the connection, or
        ConnectionResetError("Connection lost") once it is gone.
        """
        reader = self._reader
        if reader is not None:
            exc = reader.exception()
            if exc is not None:
                raise exc
        if self._transport.is_closing():
            # connection_lost() may be waiting for its turn. A loop of write() and drain() that never suspends would
            # keep it waiting, and would write into nothing for ever.
            await sleep(0)
        protocol = self._protocol
        if protocol is self._plain and not protocol._paused and not protocol._connection_lost:
            return
        await protocol._drain_helper()

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


# --- the reader --------------------------------------------------------------------------------------------------------


class StreamReader(asyncio.StreamReader):
    """What has come in, for one task at a time to read.

    *limit*, in bytes, is the longest line or record (without its separator) that `readline` and `readuntil` return, and half
    of what is kept before the sender is made to wait. `read` and `readexactly` are not bound by it. ValueError if it is <= 0.
    """

    _source_traceback: Any = None

    def __init__(self, limit: int = DEFAULT_LIMIT, loop: Any = None) -> None:
        if limit <= 0:
            raise ValueError(f"Limit cannot be <= 0: {limit!r} bytes would let no byte in")
        self._limit = limit
        self._loop = current_loop() if loop is None else loop
        self._data = StreamBuffer()
        self._eof = False  # feed_eof() was called: nothing comes any more
        self._waiter: Any = None  # the future of the task that waits for data, or None
        self._needed = 0  # bytes that must be here before that task is woken
        self._exception: Any = None  # what broke the connection; every read raises it from then on
        self._transport: Any = None  # None also once it has turned out that it cannot be paused
        self._paused = False  # we called its pause_reading()
        if self._loop.get_debug():
            self._source_traceback = format_helpers.extract_stack(sys._getframe(1))

    @property
    def _buffer(self) -> Any:
        """The unread bytes, for code that looks at them as if they were a bytearray."""
        return self._data

    @_buffer.setter
    def _buffer(self, data: Any) -> None:
        fresh = StreamBuffer()
        fresh.feed(data)
        self._data = fresh

    def __repr__(self) -> str:
        info = ["StreamReader"]
        if self._data:
            info.append(f"{len(self._data)} bytes")
        if self._eof:
            info.append("eof")
        if self._limit != DEFAULT_LIMIT:
            info.append(f"limit={self._limit}")
        if self._waiter:
            info.append(f"waiter={self._waiter!r}")
        if self._exception:
            info.append(f"exception={self._exception!r}")
        if self._transport:
            info.append(f"transport={self._transport!r}")
        if self._paused:
            info.append("paused")
        return f"<{' '.join(info)}>"

    def statistics(self) -> dict[str, Any]:
        """Counts of the buffer (`StreamBuffer.statistics`), and whether the sender is paused."""
        return {**self._data.statistics(), "limit": self._limit, "paused": self._paused}

    # what the protocol tells

    def exception(self) -> Any:
        """What broke the connection, or None."""
        return self._exception

    def set_exception(self, exc: Any) -> None:
        """Every read from now on raises `exc`; the one that waits does at once."""
        self._exception = exc
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_exception(exc)

    def _wakeup_waiter(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def set_transport(self, transport: Any) -> None:
        """The transport to pause when too much comes in."""
        assert self._transport is None, "Transport already set"
        self._transport = transport

    def _replace_transport(self, transport: Any) -> None:
        assert self._transport is not None, "Transport not set"
        self._transport = transport

    def feed_eof(self) -> None:
        """Nothing more will come."""
        self._eof = True
        self._wakeup_waiter()

    def at_eof(self) -> bool:
        """True if nothing is left to read and nothing will come."""
        return self._eof and not self._data.size

    def feed_data(self, data: Any) -> None:
        """`data` (bytes-like) has come in. AssertionError after `feed_eof`."""
        assert not self._eof, "feed_data after feed_eof"
        if not data:
            return
        buffer = self._data
        buffer.feed(data)
        waiter = self._waiter
        if waiter is not None:
            if buffer.size < self._needed:
                return  # not even a pause: the task that waits has asked for all this
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if buffer.size > 2 * self._limit and not self._paused and self._transport is not None:
            try:
                self._transport.pause_reading()
            except NotImplementedError:
                self._transport = None  # it cannot be paused, so everything is kept; do not ask again
            else:
                self._paused = True

    # waiting

    def _maybe_resume_transport(self) -> None:
        if self._paused and self._data.size <= self._limit:
            self._paused = False
            self._transport.resume_reading()

    async def _wait_for_data(self, func_name: str, needed: int = 1) -> None:
        """Wait until `needed` bytes are here or nothing more comes. RuntimeError if another task already waits."""
        if self._waiter is not None:
            raise RuntimeError(
                f"{func_name}() called while another coroutine is already waiting for incoming data: two readers of "
                f"one stream could not tell whose the next bytes are; let one task read, or hold a Lock around reads"
            )
        assert not self._eof, "_wait_for_data after EOF"
        if self._paused:  # rule 2
            self._paused = False
            self._transport.resume_reading()
        if self._data.size:
            self._data.trim()
        self._needed = needed
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._needed = 0

    # reading

    async def read(self, n: int = -1) -> bytes:
        """Return up to `n` bytes as soon as there is one; b"" at the end. All bytes until the end if `n` is negative.

        A cancellation point only if it has to wait; cancelled, `read(-1)` loses what it had collected.
        """
        if self._exception is not None:
            raise self._exception
        if type(n) is not int:
            n = index(n)
        if n < 0:
            return await self._read_all()
        if n and not self._data.size and not self._eof:
            await self._wait_for_data("read")
        data = self._data.read(n)
        if self._paused:
            self._maybe_resume_transport()
        return data  # type: ignore[no-any-return]

    async def _read_all(self) -> bytes:
        # Taken as it comes: left in the buffer, it would pause the sender for ever.
        blocks = []
        while True:
            if self._data.size:
                blocks.append(self._data.read(self._data.size))
                self._maybe_resume_transport()
            if self._eof:
                return b"".join(blocks)
            await self._wait_for_data("read")
            if self._exception is not None:
                raise self._exception

    async def readexactly(self, n: int) -> bytes:
        """Return exactly `n` bytes. IncompleteReadError, with what there was as `partial`, if the stream ends before.

        ValueError if `n` is negative. A cancellation point only if it has to wait; cancelled, nothing is consumed.
        """
        if n < 0:
            raise ValueError(f"readexactly size can not be less than zero, but it is {n!r}")
        if type(n) is not int:
            n = index(n)
        if self._exception is not None:
            raise self._exception
        data = self._data.read_exactly(n)
        while data is None:
            if self._eof:
                raise IncompleteReadError(self._data.read(self._data.size), n)
            await self._wait_for_data("readexactly", n)
            data = self._data.read_exactly(n)
        if self._paused:
            self._maybe_resume_transport()
        return data  # type: ignore[no-any-return]

    async def readline(self) -> bytes:
        r"""Return a line with its b"\n"; at the end of the stream, what is left without one, then b"".

        ValueError if the line is longer than the limit; then the line is dropped if its end is here, else all that is
        here. A cancellation point only if it has to wait; cancelled, nothing is consumed.
        """
        if self._exception is None:
            line = self._data.read_line(self._limit)
            if line is not None:
                if self._paused:
                    self._maybe_resume_transport()
                return line  # type: ignore[no-any-return]
        try:
            return await self._read_record(LINE, "readline")
        except IncompleteReadError as exc:
            return exc.partial
        except LimitOverrunError as exc:
            if self._data.startswith(b"\n", exc.consumed):
                self._data.read(exc.consumed + 1)
            else:
                self._data.clear()
            self._maybe_resume_transport()
            raise ValueError(exc.args[0])

    async def readuntil(self, separator: Any = b"\n") -> bytes:
        """Return the bytes up to and with `separator`: bytes, or a tuple of them of which the first to end counts.

        IncompleteReadError, with what there was as `partial`, if the stream ends before. LimitOverrunError if more than the
        limit stands before the separator; then nothing is consumed, and `consumed` bytes can be read by `readexactly`.
        ValueError for an empty separator. A cancellation point only if it has to wait; cancelled, nothing is consumed.
        """
        if type(separator) is bytes and separator:
            separators: tuple[bytes, ...] = (separator,)
        else:
            separators = _separators(separator)
        if self._exception is None:
            record = self._data.read_until(separators, self._limit)
            if record is not None:
                if self._paused:
                    self._maybe_resume_transport()
                return record  # type: ignore[no-any-return]
        return await self._read_record(separators, "readuntil")

    async def _read_record(self, separators: tuple[bytes, ...], func_name: str) -> bytes:
        """readuntil() when it has to look closer: wait for more, or say why there is no record."""
        if self._exception is not None:
            raise self._exception
        while True:
            record = self._data.read_until(separators, self._limit)
            if record is not None:
                self._maybe_resume_transport()
                return record  # type: ignore[no-any-return]
            self._check_limit(separators)
            if self._eof:
                raise IncompleteReadError(self._data.read(self._data.size), None)
            await self._wait_for_data(func_name)

    def _check_limit(self, separators: tuple[bytes, ...]) -> None:
        """Raise LimitOverrunError if no record can be returned because of the limit."""
        end = self._data.find(separators)
        if end >= 0:
            consumed = end - self._data.matched
            what = "Separator is found, but chunk is longer than limit"
        else:
            # A separator may have begun in the last bytes: those are not spent yet.
            consumed = max(0, self._data.size + 1 - len(separators[-1]))
            if consumed <= self._limit:
                return
            what = "Separator is not found, and chunk exceed the limit"
        wanted = separators[0] if len(separators) == 1 else separators
        raise LimitOverrunError(
            f"{what}: {consumed} bytes came without {wanted!r}, and the limit is {self._limit}; if the peer may send as "
            f"much, pass a larger limit= to open_connection(), start_server() or StreamReader()",
            consumed,
        )

    def __aiter__(self) -> StreamReader:
        return self

    async def __anext__(self) -> bytes:
        line = self._data.read_line(self._limit) if self._exception is None and not self._paused else None
        if line is None:
            line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line  # type: ignore[no-any-return]


def _separators(given: Any) -> tuple[bytes, ...]:
    """A separator, or a tuple of them, as the buffer wants it: a tuple of bytes, shortest first."""
    several = given if isinstance(given, tuple) else (given,)
    if not several:
        raise ValueError("Separator should contain at least one element, but the tuple is empty")
    found = []
    for one in several:
        if not isinstance(one, (bytes, bytearray, memoryview)):
            raise TypeError(f"Separator should be bytes, or a tuple of bytes, not {one!r}: write it as b'...'")
        found.append(bytes(one))
    found.sort(key=len)
    if not found[0]:
        raise ValueError(f"Separator should be at least one-byte string, but one is empty: {given!r}")
    return tuple(found)
