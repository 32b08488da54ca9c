"""StreamReader: what has come in over a connection, and the task that waits for more.

What lives here: the reader, its limit and its one waiting task. What may not: transports' events (`streams` carries them here);
looking for separators and keeping bytes, which `wire/buffer.py` does.

A task waits only if what it asked for is not here yet. Then `_waiter` is the one future it waits for, and `_needed` says how many
bytes must have come before it is worth waking.

Rules for the editor:
1. A read that finds its bytes does not suspend, and is one call into the buffer.
2. The transport is paused when more than twice the limit waits beside what a task is about to take, and goes on at the limit. A
   task that waits for data always lets it go on: paused and waiting would be waiting for ever.
3. `feed_data` takes any bytes-like object and copies what can change, so that a BufferedProtocol's `buffer_updated` can feed a
   slice of a buffer that it uses again.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from asyncio import format_helpers
from operator import index
from typing import Any

from yieldloop.engine.running import current_loop
from yieldloop.errors import IncompleteReadError, LimitOverrunError
from yieldloop.transports import intake
from yieldloop.transports.intake import Intake, Readable
from yieldloop.wire.buffer import LINE, StreamBuffer

__all__ = ("DEFAULT_LIMIT", "StreamReader")

DEFAULT_LIMIT = 64 * 1024  # bytes: asyncio's default; the longest line that a stranger can make us keep


class ReaderBuffer(StreamBuffer):
    """A `StreamBuffer` that is bytes-like: from Python 3.14 on, the standard loop's `start_tls` hands `_buffer` to the TLS
    object and clears it. `__buffer__` works from 3.12 on (PEP 688), and only in an interpreted class.
    """

    __slots__ = ()

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self.peek())


def _of_intake(name: str, doc: str) -> Any:
    def get(self: Any) -> Any:
        return getattr(self._in, name)

    def put(self: Any, value: Any) -> None:
        setattr(self._in, name, value)

    return property(get, put, doc=doc)


class StreamReader(Readable, asyncio.StreamReader):
    """What has come in, for one task at a time to read.

    *limit*, in bytes, is the longest line or record (without its separator) that `readline` and `readuntil` return, and half
    of what is kept before the sender is made to wait. `read` and `readexactly` are not bound by it. ValueError if it is <= 0.
    """

    _source_traceback: Any = None

    def __init__(self, limit: int = DEFAULT_LIMIT, loop: Any = None) -> None:
        if limit <= 0:
            raise ValueError(f"Limit cannot be <= 0: {limit!r} bytes would let no byte in")
        if loop is None:
            loop = current_loop()
        Readable.__init__(self, Intake(loop, ReaderBuffer(), limit, weakref.ref(self)), loop)
        if self._loop.get_debug():
            self._source_traceback = format_helpers.extract_stack(sys._getframe(1))

    # What is the intake's, under the names that programs and tests look for in a reader.

    @property
    def _buffer(self) -> Any:
        """The unread bytes, for code that looks at them as if they were a bytearray."""
        return self._in.buffer

    @_buffer.setter
    def _buffer(self, data: Any) -> None:
        fresh = ReaderBuffer()
        fresh.feed(data)
        self._in.buffer = fresh

    _limit = _of_intake("limit", "Bytes: the longest record.")
    _eof = _of_intake("eof", "Nothing comes any more.")
    _waiter = _of_intake("waiter", "The future of the task that waits for data, or None.")
    _exception = _of_intake("error", "What broke the connection; every read raises it from then on.")
    _transport = _of_intake("transport", "None also once it has turned out that it cannot be paused.")
    _paused = _of_intake("paused", "We called the transport's pause_reading().")

    def __repr__(self) -> str:
        info = ["StreamReader"]
        if self._in.buffer:
            info.append(f"{len(self._in.buffer)} bytes")
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
        return {**self._in.buffer.statistics(), "limit": self._limit, "paused": self._paused}

    # what the protocol tells

    def exception(self) -> Any:
        """What broke the connection, or None."""
        return self._in.error

    def set_exception(self, exc: Any) -> None:
        """Every read from now on raises `exc`; the one that waits does at once."""
        self._in.error = exc
        waiter = self._in.waiter
        if waiter is not None:
            self._in.waiter = None
            if not waiter.done():
                waiter.set_exception(exc)

    def _wakeup_waiter(self) -> None:
        waiter = self._in.waiter
        if waiter is not None:
            self._in.waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def set_transport(self, transport: Any) -> None:
        """The transport to pause when too much comes in."""
        assert self._in.transport is None, "Transport already set"
        self._in.transport = transport

    def _replace_transport(self, transport: Any) -> None:
        assert self._in.transport is not None, "Transport not set"
        self._in.transport = transport

    def feed_eof(self) -> None:
        """Nothing more will come."""
        self._in.eof = True
        self._wakeup_waiter()

    def at_eof(self) -> bool:
        """True if nothing is left to read and nothing will come."""
        return self._in.eof and not self._in.buffer.size

    def feed_data(self, data: Any) -> None:
        """`data` (bytes-like) has come in. AssertionError after `feed_eof`."""
        assert not self._in.eof, "feed_data after feed_eof"
        if data:
            self._in.feed(data)

    # waiting

    def _maybe_resume_transport(self) -> None:
        self._in.resume()

    async def _wait_for_data(self, func_name: str, needed: int = 1) -> None:
        """Wait until `needed` bytes are here or nothing more comes. RuntimeError if another task already waits."""
        way_in = self._in
        if way_in.waiter is not None:
            raise RuntimeError(
                f"{func_name}() called while another coroutine is already waiting for incoming data: two readers of "
                f"one stream could not tell whose the next bytes are; let one task read, or hold a Lock around reads"
            )
        assert not way_in.eof, "_wait_for_data after EOF"
        future = way_in.park(needed)
        try:
            await future
        finally:
            way_in.unpark(future)

    # reading: the plain cases are Reading's, the words are here

    read = intake.read
    readexactly = intake.readexactly
    readline = intake.readline
    readuntil = intake.readuntil
    __anext__ = intake.next_line

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A class with a `readline` of its own gets lines by it in ``async for`` as well."""
        super().__init_subclass__(**kwargs)
        if cls.readline is not StreamReader.readline and cls.__anext__ is StreamReader.__anext__:
            cls.__anext__ = _next_by_readline

    def __aiter__(self) -> StreamReader:
        return self

    def _slowly(self, how: str, what: Any) -> Any:
        """The coroutine of the method *how*, for every case that is not plain."""
        if how == "read":
            return self._read(what)
        if how == "readexactly":
            return self._readexactly(what)
        if how == "readuntil":
            return self._readuntil(what)
        return self._readline()

    async def _read(self, n: int) -> bytes:
        if self._in.error is not None:
            raise self._in.error
        n = index(n)
        if n < 0:
            return await self._read_all()
        if n and not self._in.buffer.size and not self._in.eof:
            await self._wait_for_data("read")
        data: bytes = self._in.buffer.read(n)
        self._in.resume()
        return data

    async def _read_all(self) -> bytes:
        # Taken as it comes: left in the buffer, it would pause the sender for ever.
        blocks = []
        while True:
            buffer = self._in.buffer
            if buffer.size:
                blocks.append(buffer.read(buffer.size))
                self._in.resume()
            if self._in.eof:
                return b"".join(blocks)
            await self._wait_for_data("read")
            if self._in.error is not None:
                raise self._in.error

    async def _readexactly(self, n: int) -> bytes:
        if n < 0:
            raise ValueError(f"readexactly size can not be less than zero, but it is {n!r}")
        n = index(n)
        if self._in.error is not None:
            raise self._in.error
        data: bytes | None = self._in.buffer.read_exactly(n)
        while data is None:
            if self._in.eof:
                raise IncompleteReadError(self._in.buffer.read(self._in.buffer.size), n)
            await self._wait_for_data("readexactly", n)
            data = self._in.buffer.read_exactly(n)
        self._in.resume()
        return data

    async def _readline(self) -> bytes:
        try:
            return await self._read_record(LINE, "readline")
        except IncompleteReadError as exc:
            return exc.partial
        except LimitOverrunError as exc:
            buffer = self._in.buffer
            if buffer.startswith(b"\n", exc.consumed):
                buffer.read(exc.consumed + 1)
            else:
                buffer.clear()
            self._in.resume()
            raise ValueError(exc.args[0])

    async def _readuntil(self, separator: Any) -> bytes:
        return await self._read_record(_separators(separator), "readuntil")

    async def _read_record(self, separators: tuple[bytes, ...], func_name: str) -> bytes:
        """A record up to and with one of `separators`, however long that takes, or why there is none."""
        if self._in.error is not None:
            raise self._in.error
        while True:
            record: bytes | None = self._in.buffer.read_until(separators, self._in.limit)
            if record is not None:
                self._in.resume()
                return record
            self._check_limit(separators)
            if self._in.eof:
                raise IncompleteReadError(self._in.buffer.read(self._in.buffer.size), None)
            await self._wait_for_data(func_name)

    def _check_limit(self, separators: tuple[bytes, ...]) -> None:
        """Raise LimitOverrunError if no record can be returned because of the limit."""
        end = self._in.buffer.find(separators)
        if end >= 0:
            consumed = end - self._in.buffer.matched
            what = "Separator is found, but chunk is longer than limit"
        else:
            # A separator may have begun in the last bytes: those are not spent yet.
            consumed = max(0, self._in.buffer.size + 1 - len(separators[-1]))
            if consumed <= self._limit:
                return
            what = "Separator is not found, and chunk exceed the limit"
        wanted = separators[0] if len(separators) == 1 else separators
        raise LimitOverrunError(
            f"{what}: {consumed} bytes came without {wanted!r}, and the limit is {self._limit}; if the peer may send as "
            f"much, pass a larger limit= to open_connection(), start_server() or StreamReader()",
            consumed,
        )


_FEED_DATA = StreamReader.feed_data  # ours, whatever a program puts in its place later


async def _next_by_readline(self: Any) -> bytes:
    line: bytes = await self.readline()
    if line == b"":
        raise StopAsyncIteration
    return line


def direct_intake(reader: Any) -> Any:
    """The intake of *reader*, which a transport may feed without a call of `feed_data`; None if that is not ours to pass by."""
    return reader._in if is_plain(reader, _FEED_DATA) else None


def is_plain(thing: Any, function: Any) -> bool:
    """True if *thing*'s method is *function*: no subclass and no program has put another in its place."""
    method: Any = getattr(thing, function.__name__, None)  # not by `vars`, which would make a dictionary
    return getattr(method, "__func__", None) is function and method.__self__ is thing


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
