"""StreamReader: what has come in over a connection, and the task that waits for more.

What lives here: the reader, its limit and its one waiting task. What may not: transports' events (`streams` carries them here);
looking for separators and keeping bytes, which `wire/buffer.py` does.

A task waits only if what it asked for is not here yet. Then `_waiter` is the one future it waits for, and `_needed` says how many
bytes must have come before it is worth waking.

Rules for the editor:
1. A read that finds its bytes does not suspend, and is one call into the buffer.
2. The transport is paused when more than twice the limit waits, and goes on at the limit. A task that waits for data always lets
   it go on: paused and waiting would be waiting for ever.
3. `feed_data` takes any bytes-like object and copies what can change, so that a BufferedProtocol's `buffer_updated` can feed a
   slice of a buffer that it uses again.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import format_helpers
from operator import index
from typing import Any

from yieldloop.engine.running import current_loop
from yieldloop.errors import IncompleteReadError, LimitOverrunError
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
        self._data = ReaderBuffer()
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
        fresh = ReaderBuffer()
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
        return data

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
        return data

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
                return line
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
                return record
        return await self._read_record(separators, "readuntil")

    async def _read_record(self, separators: tuple[bytes, ...], func_name: str) -> bytes:
        """readuntil() when it has to look closer: wait for more, or say why there is no record."""
        if self._exception is not None:
            raise self._exception
        while True:
            record = self._data.read_until(separators, self._limit)
            if record is not None:
                self._maybe_resume_transport()
                return record
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
        return line


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
