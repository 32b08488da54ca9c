"""The way of received bytes from a transport to the one task that waits for them, without a frame.

What lives here: `Intake`, what a stream has received and who waits for it, and `Reading`, the awaitable of one read. What may not:
what a reader says to its users (errors and their words, the end of a stream, limits: ``aio/_reader.py``), system calls, and the
other direction (``outlet.py``).

A transport that knows an intake feeds it directly: between the kernel and the waiting task no protocol method is called. Every
other way in (a BufferedProtocol, TLS, a test) calls the same `feed`.

Rules for the editor:
1. A read that finds its bytes does not suspend, and makes nothing but the bytes.
2. A read does nothing before it is awaited: a task that is cancelled before its first step has taken nothing.
3. Whatever is not plain (an error, the end, a limit that is reached, a second reader) is left to the reader's own coroutine,
   which `Reading` then drives: it looks again and finds the words.
"""

from __future__ import annotations

from typing import Any

from yieldloop.engine import _inline
from yieldloop.engine._leaf import Outcome, returned, skip_globals
from yieldloop.engine.calls import Shortcut, as_coroutine_function
from yieldloop.engine.futures import block, settle, succeeded
from yieldloop.engine.loop import LoopCore

NAMES = ("read", "readexactly", "readline", "__anext__", "readuntil")
SOME = 0
EXACTLY = 1
LINE = 2
NEXT = 3
UNTIL = 4

ANY = 1  # byte: whoever waits for it takes nobody knows how many
LARGE = 32 * 1024  # bytes: below, what two copies cost is less than a system call for each read

skip_globals(globals())


class Intake:
    """What has come in for one reader. Runs on any asyncio loop."""

    __slots__ = (
        "_core",  # the loop, if it is ours
        "_last",  # the future that was waited for last, or None
        "_limit",
        "_most",  # the limit as C likes it
        "buffer",  # a StreamBuffer: the bytes
        "eof",  # nothing comes any more
        "error",  # what broke the connection; every read raises it from then on
        "loop",
        "needed",  # bytes that must be here before the waiter is woken; its own until it has run, so they make no sender pause
        "owner",  # a weak reference to the reader; without a reader nothing is kept
        "paused",  # we called the transport's pause_reading()
        "transport",  # None also once it has turned out that it cannot be paused
        "waiter",  # the future of the task that waits for data, or None
    )

    def __init__(self, loop: Any, buffer: Any, limit: Any, owner: Any) -> None:
        self.loop = loop
        self._last: Any = None
        self._core: Any = loop if isinstance(loop, LoopCore) else None
        self.buffer = buffer
        self._limit = limit
        self._most = float(limit)
        self.owner = owner
        self.eof = False
        self.error: Any = None
        self.needed = 0
        self.paused = False
        self.transport: Any = None
        self.waiter: Any = None

    @property
    def limit(self) -> Any:
        """Bytes (or infinity): the longest record, and half of what is kept before the sender is paused."""
        return self._limit

    @limit.setter
    def limit(self, limit: Any) -> None:
        self._limit = limit
        self._most = float(limit)

    def feed(self, data: Any) -> None:
        """*data* (bytes-like) has come in."""
        buffer = self.buffer
        buffer._feed(data)
        waiter = self.waiter
        if waiter is not None:
            if buffer.size < self.needed:
                return  # not even a pause: the task that waits has asked for all this
            self.waiter = None
            settle(waiter)
        if not self.paused and self.transport is not None:
            taken = self.needed if self.needed > ANY else 0
            if buffer.size - taken > 2 * self._most:
                self._pause()

    def take_directly(self, data: bytes) -> None:
        """`feed`, by the transport: what comes when the reader is gone or its end was told is dropped, as the protocol would."""
        if not self.eof and _inline.is_alive(self.owner):
            self.feed(data)

    def _pause(self) -> None:
        try:
            self.transport.pause_reading()
        except NotImplementedError:
            self.transport = None  # it cannot be paused, so everything is kept; do not ask again
        else:
            self.paused = True

    def resume(self) -> None:
        """Let the sender go on if little enough waits."""
        if self.paused and self.buffer.size <= self._most:
            self.paused = False
            self.transport.resume_reading()

    def park(self, needed: int) -> Any:
        """The future on which the one task is to wait until *needed* bytes are here."""
        if self.paused:  # paused and waiting would be waiting for ever
            self.paused = False
            self.transport.resume_reading()
        if self.buffer.size:
            self.buffer.trim()
        future = self.loop.create_future() if self._core is None else self._a_future()
        self.needed = needed
        self.waiter = future
        return future

    def _a_future(self) -> Any:
        """A pending one: most often the last one again, which nobody else has any more."""
        future = self._last
        self._last = None
        if future is None or not _inline.sole_owner(future) or not future.renew():
            future = self._core._new_future()
        self._last = future
        return future

    def wanted(self) -> int:
        """Bytes still to come for a task that waits for LARGE or more: received in one piece, that is what it gets, without a copy.

        0 (or less) if no task does.
        """
        return self.needed - self.buffer.size if self.waiter is not None and self.needed >= LARGE else 0

    def unpark(self, future: Any) -> bool:
        """The task that was parked on *future* waits no more. True if that has a result: then it may serve again; else it is let
        go of, since its error is not ours to keep.
        """
        if self.waiter is None or self.waiter is future:
            self.waiter = None
            self.needed = 0
        if succeeded(future):
            return True
        self._last = None
        return False


def intake_of(protocol: Any) -> Any:
    """The intake that takes the bytes of *protocol* without a call of it, or None.

    Its own: one that is only wrapped in *protocol* (by ``__getattr__``) is not to be fed past the wrapping.
    """
    found = protocol._direct_intake if hasattr(type(protocol), "_direct_intake") else None
    return found if type(found) is Intake else None


_spare: Any = None  # a reading that is over, to be used again if nobody else has it


class Readable:
    """Who has an intake: the compiled half of a stream reader. With these in fields, a reader needs no dictionary."""

    __slots__ = ("_in", "_loop")

    def __init__(self, intake: Any, loop: Any) -> None:
        self._in = intake
        self._loop = loop


class Reading(Shortcut):
    """One read of a reader: *how* is the place of its method's name in NAMES, *what* its argument. One use, like a coroutine."""

    __slots__ = (
        "_count",  # *what*, if that is a number of bytes; else -1
        "_future",  # what the caller's task is parked on
        "_how",
        "_intake",
        "_reader",
        "_what",
    )

    def __init__(self, reader: Any, intake: Any, how: int, what: Any) -> None:
        self._open(reader, intake, how, what)

    def _open(self, reader: Any, intake: Any, how: int, what: Any) -> None:
        self._reader = reader
        self._intake = intake
        self._how = how
        self._what = what
        self._count = _inline.as_size(what)
        if _inline.born_bare():
            self._future: Any = None
            self._coro: Any = None
            self._begun = False

    def advance(self) -> Any:
        global _spare
        if self._coro is not None:
            return self._drive(None)
        intake = self._intake
        if intake is None:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self._begun = True
        woken = self._future is not None
        if woken:
            future = self._future
            self._future = None
            if not intake.unpark(future):
                self._end()
                future.result()  # raises what broke the connection
            future = None  # it may be parked on again
        if intake.error is None or woken:  # the bytes that woke it have come before an error that is there now
            got = self._try()
            if got is not None:
                if intake.paused:
                    intake.resume()
                self._reader = None  # it is over
                self._intake = None
                self._what = None
                _spare = self
                return returned(got)
            if not intake.eof and intake.error is None and intake.waiter is None and self._is_plain():
                future = self._future = intake.park(self._count if self._how == EXACTLY else ANY)
                block(future)
                return future
        self._coro = self._reader._slowly(NAMES[self._how], self._what)
        return self._drive(None)

    def _try(self) -> Any:
        """The bytes that were asked for, or None if they are not here, or not to be had so."""
        buffer = self._intake.buffer
        if self._how == LINE or self._how == NEXT:
            return buffer._line(self._intake._most)
        if self._how == EXACTLY:
            return buffer._take(self._count) if 0 <= self._count <= buffer.size else None
        if self._how == SOME:
            if buffer.size == 0 or self._count <= 0:
                return None
            return buffer._take(self._count if self._count < buffer.size else buffer.size)
        return buffer._until(self._what, self._intake._most)

    def _is_plain(self) -> bool:
        """True if the bytes that were asked for are not here only because they have not come yet."""
        if self._how == EXACTLY or self._how == SOME:
            return self._count > 0
        return bool(self._intake.buffer.size <= self._intake._most)

    def _drive(self, error: Any) -> Any:
        how = self._how
        try:
            got = Shortcut._drive(self, error)
        finally:
            del error  # as in `throw`
        if how == NEXT and type(got) is Outcome and not got.value:
            raise StopAsyncIteration
        return got

    def _end(self) -> None:
        self._reader = None
        self._intake = None
        self._future = None
        self._coro = None

    def close(self) -> None:
        """End without a result."""
        if self._coro is None and self._future is not None:
            self._intake.unpark(self._future)
        Shortcut.close(self)

    def named(self) -> str:
        return NAMES[self._how]

    def waits_for(self) -> Any:
        return self._future if self._coro is None else self._coro

    def __repr__(self) -> str:
        return f"<{NAMES[self._how]}() of {self._reader!r}>"


# --- a reader's methods ------------------------------------------------------------------------------------------------


def _new_reading(reader: Any, how: int, what: Any) -> Any:
    """``Reading(...)`` without the call of a class, and most often without a new object: each costs as much as the read."""
    global _spare
    readable = reader
    made = _spare
    _spare = None
    if made is None or not _inline.sole_owner(made):
        made = Reading.__new__(Reading)
    made._begun = False
    made._open(reader, readable._in, how, what)
    return made


def read(self: Any, n: int = -1) -> Any:
    """Return up to `n` bytes as soon as there is one; b"" at the end. All bytes until the end if `n` is negative.

    Awaitable, a cancellation point only if it has to wait; cancelled, `read(-1)` loses what it had collected.
    """
    return _new_reading(self, SOME, n)


def readexactly(self: Any, n: int) -> Any:
    """Return exactly `n` bytes. IncompleteReadError, with what there was as `partial`, if the stream ends before.

    ValueError if `n` is negative. Awaitable, a cancellation point only if it has to wait; cancelled, nothing is consumed.
    """
    return _new_reading(self, EXACTLY, n)


def readline(self: Any) -> Any:
    r"""Return a line with its b"\n"; at the end of the stream, what is left without one, then b"".

    ValueError if the line is longer than the limit; then the line is dropped if its end is here, else all that is
    here. Awaitable, a cancellation point only if it has to wait; cancelled, nothing is consumed.
    """
    return _new_reading(self, LINE, None)


def readuntil(self: Any, separator: Any = b"\n") -> Any:
    """Return the bytes up to and with `separator`: bytes, or a tuple of them of which the first to end counts.

    IncompleteReadError, with what there was as `partial`, if the stream ends before. LimitOverrunError if more than the
    limit stands before the separator; then nothing is consumed, and `consumed` bytes can be read by `readexactly`.
    ValueError for an empty separator. Awaitable, a cancellation point only if it has to wait; cancelled, nothing is consumed.
    """
    if type(separator) is bytes and separator:
        return _new_reading(self, UNTIL, (separator,))
    return self._slowly(NAMES[UNTIL], separator)


def next_line(self: Any) -> Any:
    """`readline` for ``async for``: StopAsyncIteration at the end."""
    return _new_reading(self, NEXT, None)


for _method in (read, readexactly, readline, readuntil):
    as_coroutine_function(_method)
