"""What all transports share: a protocol that is told, a descriptor that is owned, bytes that wait for the kernel.

What lives here: who is told what, and exactly once; pausing, water marks, late writes; how a transport begins and ends. What may
not: what a kind of file is read and written by, and what its errors mean (the subclasses).

    Teller                    calls a protocol
    ├─ Above                  a protocol of the house: the layer of TLS
    └─ FdTransport            watches a descriptor, from connection_made to connection_lost
       ├─ ReadPipeTransport
       └─ FdWriter            waits for room to write
          ├─ UdpTransport
          └─ StreamWriting    has a queue of bytes
             ├─ TcpTransport
             └─ WritePipeTransport

A transport is itself the entry that the poller pushes when there is something to read, and `WriteSide` is the one for "there is
room": no handle is made for an event.

**Contexts.** Every callback of the protocol runs in a copy of its own of the context in which the connection was made: what a
callback sets in it is seen by the tasks that it creates, and by no other callback (cpython 140947: there, one context served all
the callbacks of a connection, so that a request's variables were seen by the next request, and `resume_reading` put the
caller's context in its place). `call_soon(callback, context=None)` gives a callback a copy for the same reason.

Rules for the editor:
1. `forget` before every close of the descriptor, `_closing` before anything that may call the protocol.
2. Inside a callback the program may do anything, closing and writing included: after each call of it, look at the state again.
"""

from __future__ import annotations

import warnings
from typing import Any

from yieldloop.engine._leaf import AttributedEntry, Entry, copy_context
from yieldloop.engine.core import logger
from yieldloop.transports._sockio import tell, tell_of
from yieldloop.wire.flow import PAUSE, Flow
from yieldloop.wire.writequeue import WriteQueue

LOST_WRITES = 5  # writes after the end that pass in silence, as in the standard library


class Teller(AttributedEntry):
    """Whoever calls a protocol."""

    __slots__ = (
        "__weakref__",
        "_context",  # what each callback of the protocol gets a copy of
        "_flow",  # the water marks, and whether the protocol was told to pause; None for one that does not write
        "_late",  # the end, and the writes since
        "_lender",  # who lends a copy of _context, or None
        "_loop",  # None once connection_lost was called
        "_protocol",  # None as _loop
    )

    def _tell_for(self, loop: Any, context: Any, flow: Any) -> None:
        """A part of the constructor. *context* None: a copy of the current one."""
        self._loop: Any = loop
        self._context = copy_context() if context is None else context
        self._lender: Any = self._loop._lender
        self._flow: Any = flow
        self._late = 0
        self._protocol: Any = None

    def _shown(self) -> Any:
        """The transport, as the program knows it."""
        return self

    def _tell(self, method: str, what: Any) -> bool:
        """Call the protocol; a failure of it ends the connection. True if there was none."""
        contexts = self._lender
        error = None
        if contexts is not None and not contexts.inside:
            error = contexts.tell(self._context, self, self._protocol, method, what)
            if error is None:
                return True
        try:
            if error is not None:
                raise error  # whoever is told of it may ask `sys.exc_info` for it
            tell_of(self._context, self._protocol, method, what)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._protocol_failed(method, exc)
            return False
        return True

    def _tell_or_report(self, method: str) -> None:
        """Call the protocol; a failure of it is reported, and that is all."""
        try:
            tell(self._context, self._protocol, method)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report(f"protocol.{method}() failed", exc)

    def _ask_buffer(self, hint: int) -> Any:
        """The buffer of a BufferedProtocol for *hint* bytes (-1: any). Raises what the protocol does, and for an empty one."""
        buffer = tell_of(self._context, self._protocol, "get_buffer", hint)
        if not len(buffer):
            raise RuntimeError("get_buffer() returned an empty buffer")
        return buffer

    def _check_flow(self, size: int) -> None:
        """*size* bytes wait now: tell the protocol if that calls for it."""
        if self._flow.grown(size):
            self._tell_flow("pause_writing")
        elif self._flow.shrunk(size):
            self._tell_flow("resume_writing")

    def _act(self, decision: Any) -> None:
        """Tell the protocol what new water marks call for, if anything."""
        if decision is not None:
            self._tell_flow("pause_writing" if decision is PAUSE else "resume_writing")

    def _tell_flow(self, method: str) -> None:
        self._tell_or_report(method)

    def _count_late_write(self, text: str) -> None:
        if self._late >= LOST_WRITES:
            logger.warning(text)
        self._late += 1

    def _protocol_failed(self, method: str, exc: BaseException) -> None:
        """End the connection by what its protocol did."""
        raise NotImplementedError(f"{type(self).__name__} does not say what a failure of its protocol means")

    def _report(self, message: str, exc: BaseException) -> None:
        if self._loop is not None:
            self._loop.call_exception_handler(
                {"message": message, "exception": exc, "transport": self._shown(), "protocol": self._protocol}
            )

    def _note(self, message: str, exc: BaseException) -> None:
        if self._loop is not None and self._loop.get_debug():
            logger.debug("%r: %s", self, message, exc_info=exc)


class Above(Teller):
    """A protocol of the house that takes what comes without a context or a look-up: the layer of TLS."""

    __slots__ = ()

    def take(self, data: Any) -> None:
        """*data* (bytes-like, not empty) has come; it is overwritten as soon as this returns. Reports its own failures."""
        raise NotImplementedError(f"{type(self).__name__} does not say what take() does")


class FdTransport(Teller):
    """A transport over a file of its own: a socket, or one end of a pipe."""

    __slots__ = (
        "_closing",  # close() or abort() was called, or the end was found, or an error: nothing is read any more
        "_extra",  # answers for get_extra_info, or None
        "_fd",
        "_file",  # the socket, or the pipe's file object
        "_lost",  # connection_lost is scheduled
        "_open",  # the file is ours and not closed
        "_paused",  # by pause_reading()
        "_poller",
    )

    # --- beginning -----------------------------------------------------------------------------------------------------

    def _set_up(self, loop: Any, file: Any, protocol: Any, context: Any, extra: Any) -> None:
        """A part of the constructor. *file* is the caller's until `_enter`."""
        self._open = False
        self._tell_for(loop, context, None)
        self._poller = loop._poller
        self._extra: Any = extra
        self._file = file
        self._fd = int(file.fileno())  # of a look-alike too a number, at both speeds
        self._closing = False
        self._lost = False
        self._paused = False
        self._take_protocol(protocol)

    def _enter(self, waiter: Any) -> None:
        """The file is ours. In the next iteration `connection_made` is called, then *waiter* (a future, or None) is resolved."""
        self._open = True
        self._loop._transports[self._fd] = self
        self._loop.call_soon(self._start, waiter, context=self._context)

    def _start(self, waiter: Any) -> None:
        """The connection is made: tell the protocol, then begin to watch, then tell whoever waits."""
        try:
            tell_of(self._context, self._protocol, "connection_made", self)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report("Exception in callback connection_made: the protocol did not take its transport", exc)
        if self._open and not self._lost:
            self._begin()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _begin(self) -> None:
        """Watch the descriptor for the first time."""
        if not self._closing and not self._paused:
            self._arm(self, True)

    def _arm(self, entry: Any, first: bool) -> None:
        """Push *entry* when there is something to read. *first*: nothing that the poller knows of this number is ours."""
        try:
            if first:
                self._poller.arm_reader(self._fd, entry)
            else:
                self._poller.rearm_reader(self._fd, entry)
        except (OSError, ValueError) as exc:
            self._fatal(exc, "Fatal error: the poller does not take the descriptor")

    # --- reading -------------------------------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """False after `pause_reading`, and once the transport is closing."""
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        """Tell the protocol of nothing that arrives, until `resume_reading`. No effect if paused or closing."""
        if self._closing or self._paused:
            return
        self._paused = True
        self._poller.rest_reader(self._fd)
        if self._loop.get_debug():
            logger.debug("%r pauses reading", self)

    def resume_reading(self) -> None:
        """Undo `pause_reading`. No effect if not paused, or closing."""
        if self._closing or not self._paused:
            return
        self._paused = False
        self._read_on()
        if self._loop.get_debug():
            logger.debug("%r resumes reading", self)

    def _read_on(self) -> None:
        self._arm(self, False)

    # --- ending --------------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """True from `close` or `abort` on, and when the transport has ended by itself."""
        return self._closing

    def abort(self) -> None:
        """Close now; what is queued is dropped. `connection_lost(None)` follows."""
        self._force_close(None)

    def _fatal(self, exc: BaseException, message: str) -> None:
        """The connection ends by *exc*. What the system or the peer does is no error of the program: only others are reported."""
        if isinstance(exc, OSError):
            self._note(message, exc)
        else:
            self._report(message, exc)
        self._force_close(exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        self._fatal(exc, message)

    def _protocol_failed(self, method: str, exc: BaseException) -> None:
        self._fatal_error(exc, f"Fatal error: protocol.{method}() call failed.")

    def _force_close(self, exc: Any) -> None:
        if not self._lost:
            self._drop(exc)
            self._closing = True
            self._poller.rest_reader(self._fd)
            self._schedule_lost(exc)

    def _drop(self, exc: Any) -> None:
        """What waits is not waited for any more."""

    def _schedule_lost(self, exc: Any) -> None:
        if self._lost:
            return
        self._lost = True
        self._late += 1
        if self._loop.is_closed():
            self._close_file()  # nobody can be told any more
        else:
            self._loop.call_soon(self._finish, exc, context=self._context)

    def _finish(self, exc: Any) -> None:
        """The last thing that happens to a transport."""
        self._before_end(exc)
        try:
            tell_of(self._context, self._protocol, "connection_lost", exc)
        finally:
            self._close_file()
            self._take_protocol(None)
            self._loop = None

    def _before_end(self, exc: Any) -> None:
        """The protocol is about to be told."""

    def _close_file(self) -> None:
        if self._open:
            self._remember()
            self._open = False
            if self._has_number() or self._poller.reader(self._fd) is self:
                self._poller.forget(self._fd)  # else it was closed by somebody else, and the number may be another file's now
            try:
                self._file.close()
            except OSError:  # closed by its number: there is nothing to give back, and the end has to come to its end
                pass

    def _has_number(self) -> bool:
        """True if the file is open, as far as its own object knows."""
        try:
            return bool(self._file.fileno() == self._fd)
        except ValueError:  # a file object that was closed
            return False

    def __del__(self) -> None:
        if self._open:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=1, source=self)
            self._close_file()

    @property
    def _sock(self) -> Any:  # the standard library's name, which programs know
        return self._file

    @property
    def _pipe(self) -> Any:  # the standard library's name; set to None, it gives up a file that the program has closed itself
        return self._file if self._open else None

    @_pipe.setter
    def _pipe(self, file: Any) -> None:
        self._open = file is not None

    # --- asking --------------------------------------------------------------------------------------------------------

    def get_protocol(self) -> Any:
        """The protocol, or None once the connection is lost."""
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        """Tell *protocol* from now on; its `connection_made` is not called."""
        self._take_protocol(protocol)

    def _take_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``socket`` (an `asyncio.trsock.TransportSocket`), ``sockname``, ``peername``; ``pipe``; and what was given as *extra*."""
        if self._extra is None or name not in self._extra:
            self._look_up(name)
        return default if self._extra is None else self._extra.get(name, default)

    def _look_up(self, name: str) -> None:
        """Put the answer to *name* into `_extra`, if there is one."""

    def _remember(self) -> None:
        """The file is about to be closed: put into `_extra` what may be asked of it later."""

    def _sides(self) -> str:
        return f"read={'polling' if self._poller.reader(self._fd) is self else 'idle'}"

    def __repr__(self) -> str:
        if not self._open:
            return f"<{type(self).__name__} closed fd={self._fd}>"
        return f"<{type(self).__name__} {'closing' if self._closing else 'open'} fd={self._fd} {self._sides()}>"


class WriteSide(Entry):
    """What the poller pushes when the kernel takes more again."""

    __slots__ = ("_transport",)

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def run(self) -> None:
        transport = self._transport
        if transport._writing:
            transport._room()

    def __repr__(self) -> str:
        return f"<write side of {self._transport!r}>"


class FdWriter(FdTransport):
    """An `FdTransport` that writes as well: what the kernel does not take waits until there is room."""

    __slots__ = ("_writing",)  # the write side is armed

    def _set_up(self, loop: Any, file: Any, protocol: Any, context: Any, extra: Any) -> None:
        FdTransport._set_up(self, loop, file, protocol, context, extra)
        self._flow = Flow()
        self._writing = False

    def _room(self) -> None:
        """The kernel takes more again."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it writes")

    def _arm_writing(self) -> None:
        if self._writing or self._lost:
            return
        self._writing = True
        try:
            self._poller.rearm_writer(self._fd, WriteSide(self))
        except (OSError, ValueError) as exc:
            self._fatal(exc, "Fatal error: the poller does not take the descriptor")

    def _rest_writing(self) -> None:
        if self._writing:
            self._writing = False
            self._poller.rest_writer(self._fd)

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        """`pause_writing` is called when more than *high* bytes are queued, `resume_writing` when no more than *low* are.

        Defaults: 64 KiB and a quarter of *high*. ValueError unless high >= low >= 0.
        """
        decision = self._flow.set_marks(high, low, self.get_write_buffer_size())
        if not self._lost:
            self._act(decision)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high) in bytes."""
        return (self._flow.low, self._flow.high)

    def get_write_buffer_size(self) -> int:
        """Bytes written and not yet taken by the kernel."""
        raise NotImplementedError(f"{type(self).__name__} does not say how much waits")

    @property
    def _protocol_paused(self) -> bool:
        return bool(self._flow.paused)

    def _sides(self) -> str:
        write = "polling" if self._writing else self._unarmed()
        return f"{FdTransport._sides(self)} write=<{write}, bufsize={self.get_write_buffer_size()}>"

    def _unarmed(self) -> str:
        """What the write side does when it is not armed."""
        return "idle"


class StreamWriting(FdWriter):
    """An `FdWriter` of a stream of bytes."""

    __slots__ = ("_queue",)  # what was written and the kernel has not taken yet

    def _set_up(self, loop: Any, file: Any, protocol: Any, context: Any, extra: Any) -> None:
        FdWriter._set_up(self, loop, file, protocol, context, extra)
        self._queue = WriteQueue()

    def _write(self, data: Any) -> None:
        """`write`, for who has looked whether a program has put another in its place."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it writes")

    def _room(self) -> None:
        self._flush()

    def _flush(self) -> None:
        """Write what is queued, as far as the kernel takes it; arm or disarm the write side; act if that was all."""
        queue = self._queue
        if self._lost or queue.size == 0:
            return
        try:
            sent = self._write_queued()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal(exc, "Fatal write error on transport")
            return
        if sent == queue.size:
            queue.clear()
            if self._writing:
                self._rest_writing()
            if self._flow.shrunk(0) and not self._lost:
                self._tell_flow("resume_writing")  # which may write again, or end it all
        else:
            if sent > 0:
                queue.consume(sent)
            self._arm_writing()
            if not self._lost:
                self._check_flow(queue.size)
        if queue.size == 0 and not self._lost:
            self._all_written()

    def _write_queued(self) -> int:
        """Write the front of the queue, in one system call: the number of bytes, or -1 for "not now"."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it writes by")

    def _all_written(self) -> None:
        """Nothing is queued any more."""
        if self._closing:
            self._schedule_lost(None)

    def _drop(self, exc: Any) -> None:
        self._queue.clear()
        self._rest_writing()

    def get_write_buffer_size(self) -> int:
        """Bytes written and not yet taken by the kernel, those held until the end of the iteration among them."""
        return self._queue.size

    def can_write_eof(self) -> bool:
        """True: the peer can be told that nothing more comes."""
        return True
