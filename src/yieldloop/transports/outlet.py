"""The way of written bytes from a task to its transport, without a frame.

What lives here: what a stream writer and its protocol have in fields (`Writable`, `Flowing`), a writer's `write` and `drain`, and
`Draining`, the awaitable of one ``drain()``. What may not: waiting for room, and everything else that a writer does
(``aio/streams.py``); the other direction (``intake.py``).

Rules for the editor:
1. A drain does nothing before it is awaited: one that was asked for before the write waits for it.
2. Whatever is not plain (a protocol that drains in its own way, a pause, an end, an error) is left to the writer's own coroutine,
   which `Draining` then drives: it looks again and finds the words.
"""

from __future__ import annotations

from typing import Any

from yieldloop.engine import _inline
from yieldloop.engine._leaf import Outcome, skip_globals
from yieldloop.engine.calls import Shortcut, as_coroutine_function
from yieldloop.transports.base import FdTransport, StreamWriting

NOTHING = Outcome(None, None)

skip_globals(globals())


class Flowing:
    """A protocol that remembers whether its transport asked for a pause: the compiled half of one."""

    __slots__ = (
        "_connection_lost",  # for good, once True
        "_drain_waiters",  # a future for each task that waits for room; woken together
        "_loop",
        "_paused",  # between pause_writing() and resume_writing()
    )

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._paused = False
        self._drain_waiters: list[Any] = []
        self._connection_lost = False


class Writable:
    """The compiled half of a stream writer."""

    __slots__ = (
        "_flow",  # the protocol, if what `drain` has to know stands in its fields and in _intake; else None
        "_intake",  # the reader's Intake, where it stands what has broken the connection; of no reader, an empty one
        "_loop",
        "_protocol",
        "_reader",
        "_transport",
    )

    def __init__(self, transport: Any, protocol: Any, reader: Any, loop: Any, flow: Any, intake: Any) -> None:
        self._transport = transport
        self._protocol = protocol
        self._reader = reader
        self._loop = loop
        self._flow = flow
        self._intake = intake

    def _flows(self) -> bool:
        """There is nothing to wait for, and nothing to be told."""
        flow = self._flow
        if flow is None or flow is not self._protocol or flow._paused or flow._connection_lost or self._intake.error is not None:
            return False
        transport = self._transport
        if isinstance(transport, FdTransport) and not _inline.has_attributes(transport):
            ours = transport
            return not ours._closing
        return not transport.is_closing()


class Draining(Shortcut):
    """One ``drain()`` of *writer*, which looks when it is awaited whether there is anything to wait for. One use."""

    __slots__ = ("_writer",)

    def __init__(self, writer: Any) -> None:
        self._open(writer)

    def _open(self, writer: Any) -> None:
        self._writer = writer
        self._begun = False
        if _inline.born_bare():
            self._coro: Any = None

    def advance(self) -> Any:
        global _spare
        if self._coro is not None:
            return self._drive(None)
        writer = self._writer
        if writer is None:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self._begun = True
        self._writer = None
        if writer._flows():
            _spare = self
            return NOTHING
        self._coro = writer._drain()
        return self._drive(None)

    def _end(self) -> None:
        self._writer = None
        self._coro = None

    def named(self) -> str:
        return "drain"


_spare: Any = None  # a draining that is over, to be used again if nobody else has it


# --- a writer's methods ------------------------------------------------------------------------------------------------


def write(self: Any, data: Any) -> None:
    """Hand `data` (bytes-like) to the transport, which sends it when it can."""
    writer = self
    transport = writer._transport
    if isinstance(transport, StreamWriting) and not _inline.has_attributes(transport):
        ours = transport
        ours._write(data)
    else:
        transport.write(data)


def drain(self: Any) -> Any:
    """Wait while the transport has more to send than its high-water mark: `w.write(data); await w.drain()`.

    Does not suspend, and is no cancellation point, while there is less. Raises what broke the connection, or
    ConnectionResetError("Connection lost") once it is gone. To be awaited.
    """
    global _spare
    made = _spare
    _spare = None
    if made is None or not _inline.sole_owner(made):
        made = Draining.__new__(Draining)
    made._open(self)
    return made


as_coroutine_function(drain)
