"""The pipe transports: one end of a pipe, a FIFO, a socket or a character device, between the poller and a protocol.

What lives here: `ReadPipeTransport` and `WritePipeTransport`: when bytes are read, written, queued; how either learns that the
other end is gone. What may not: child processes (``process.py``), system calls (``_pipeio``), how bytes wait (``wire/``).

A transport is itself the entry that the poller pushes for the thing it does, reading or writing. A writing end is armed for
"readable" as well, by `OtherEnd`: nothing can be read there, so the kernel says it only to report that the last reader is gone.

Facts about the kernel:
- Regular files and directories are refused: they are always ready, and a read of them blocks on the disk all the same.
- The writing end of a pipe reports an error, and never data, when its last reader goes (pipe(7)). A FIFO that was opened for
  both reading and writing has a reader as long as it is open: us. It would be readable because of what we wrote ourselves, so it
  is not watched.
- A socket's end is seen as data of no length. A peer that sends something to a socket which we only write to has not gone: it is
  watched no more from then on, and the next write finds out.
- A terminal whose other side was closed fails with EIO. That is how terminals end, so it is no error of the program.
- A pipe holds 64 KiB by default, in pages that are got for each write and given back by each read. To move 1 MiB costs a C program
  190 µs where one process has both ends, and 280 µs a side where two take turns, since every 64 KiB one has to be woken. If the
  pipe holds more, a sixth of that goes: one that carries much is widened to 256 KiB; one that somebody else has sized is left.
- O_NONBLOCK belongs to the open file, which duplicates share, another process's ones as well: a shell's terminal, for one.

Rule for the editor: `forget` before every close of the descriptor, `_closing` before anything that may call the protocol.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import stat
import warnings
from typing import Any

from yieldloop.engine._leaf import Entry, copy_context
from yieldloop.engine.core import logger
from yieldloop.transports._pipeio import READ, has_ended, read_bytes, widen, write_bytes, write_pieces
from yieldloop.transports._sockio import tell, tell_of
from yieldloop.transports.intake import Intake
from yieldloop.wire.flow import PAUSE, RESUME, Flow
from yieldloop.wire.writequeue import WriteQueue, stable

TURN = 2 * READ  # bytes read in one turn at the most: a stream with the default limit keeps that without pausing us
LOST_WRITES = 5  # writes after the end that pass in silence, as in the standard library


class PipeTransport(Entry):
    """What both directions share: who owns the descriptor, what the protocol is told at the beginning and at the end."""

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_closing",  # close() or abort() was called, or the end was found, or an error
        "_context",  # what each callback of the protocol gets a copy of (see tcp.py)
        "_extra",  # answers for get_extra_info
        "_fd",
        "_loop",  # None once the protocol's connection_lost was called
        "_lost",  # connection_lost is scheduled
        "_pipe",  # the file object that we own; None once it is closed
        "_poller",
        "_protocol",  # None as _loop
    )

    def __init__(self, loop: Any, pipe: Any, protocol: Any, waiter: Any, extra: Any) -> None:
        self._pipe: Any = None  # until it is ours: a refused file stays the caller's
        self._loop: Any = loop
        self._poller = loop._poller
        self._context = copy_context()
        self._extra: Any = {} if extra is None else dict(extra)
        self._extra["pipe"] = pipe
        self._fd = pipe.fileno()
        self._closing = False
        self._lost = False
        self._protocol: Any = None
        self._take_protocol(protocol)
        _check_kind(self._fd, pipe)
        os.set_blocking(self._fd, False)
        self._pipe = pipe
        loop._transports[self._fd] = self
        loop.call_soon(self._start, waiter, context=self._context)

    def _start(self, waiter: Any) -> None:
        """The pipe is connected: tell the protocol, then begin to watch, then tell whoever waits."""
        try:
            tell_of(self._context, self._protocol, "connection_made", self)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report("Exception in callback connection_made: the protocol did not take its transport", exc)
        if self._pipe is not None and not self._lost:
            self._begin()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _begin(self) -> None:
        """Watch the descriptor for the first time."""

    # --- ending --------------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """True from `close` or `abort` on, and when the other end is gone."""
        return self._closing

    def _end(self, exc: Any) -> None:
        """Read and write nothing more; `connection_lost(exc)` follows."""
        self._closing = True
        if self._lost or self._pipe is None:
            return
        self._lost = True
        self._poller.rest_reader(self._fd)
        if self._loop.is_closed():
            self._close_pipe()  # nobody can be told any more
            return
        self._loop.call_soon(self._finish, exc, context=self._context)

    def _finish(self, exc: Any) -> None:
        """The last thing that happens to a transport."""
        try:
            tell_of(self._context, self._protocol, "connection_lost", exc)
        finally:
            self._close_pipe()
            self._protocol = None
            self._loop = None

    def _close_pipe(self) -> None:
        pipe = self._pipe
        if pipe is not None:
            self._pipe = None
            self._poller.forget(self._fd)
            try:
                pipe.close()
            except OSError:  # closed under us: there is nothing to give back, and the end has to come to its end
                pass

    def __del__(self) -> None:
        if self._pipe is not None:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=1, source=self)
            self._close_pipe()

    def _report(self, message: str, exc: BaseException) -> None:
        if self._loop is not None:
            self._loop.call_exception_handler(
                {"message": message, "exception": exc, "transport": self, "protocol": self._protocol}
            )

    def _note(self, message: str, exc: BaseException) -> None:
        if self._loop is not None and self._loop.get_debug():
            logger.debug("%r: %s", self, message, exc_info=exc)

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
        """``pipe`` is the file object that was given."""
        return self._extra.get(name, default)

    def _state(self) -> str:
        if self._pipe is None:
            return f"closed fd={self._fd}"
        return f"{'closing' if self._closing else 'open'} fd={self._fd}"


class ReadPipeTransport(PipeTransport):
    """An `asyncio.ReadTransport` over *pipe* (a file object, which it owns from now on).

    In the loop's next iteration the protocol's `connection_made` is called, then *waiter* (a future, or None) is resolved.
    ValueError if *pipe* is a regular file, a directory or a disk; it stays the caller's then.
    """

    __slots__ = (
        "_expected",  # bytes that the last read brought
        "_intake",  # a stream's Intake, fed in the protocol's place, or None
        "_paused",  # by pause_reading()
        "_room",  # bytes that the pipe holds, once one read has brought all that it holds by default; else 0
    )

    def __init__(self, loop: Any, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> None:
        self._expected = 0
        self._paused = False
        self._room = 0
        PipeTransport.__init__(self, loop, pipe, protocol, waiter, extra)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(transport, asyncio.ReadTransport) holds
        return asyncio.ReadTransport

    def _begin(self) -> None:
        if self._closing or self._paused:
            return
        try:
            self._poller.arm_reader(self._fd, self)
        except (OSError, ValueError) as exc:
            self._fatal(exc, "Fatal error: the poller does not take the pipe")

    def _take_protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        intake = getattr(protocol, "_direct_intake", None)
        self._intake: Any = intake if type(intake) is Intake else None

    def run(self) -> None:
        """The poller says that there is something to read (or the end, or an error)."""
        self._receive()

    def _receive(self) -> None:
        left = TURN if self._room > READ else READ
        while not self._closing and not self._paused and self._pipe is not None:
            try:
                data = read_bytes(self._fd, self._expected)
            except OSError as exc:
                self._fatal(exc, "Fatal read error on pipe transport")
                return
            if data is None:
                return
            size = len(data)
            self._expected = size
            if size == 0:
                self._end_of_stream()
                return
            if size == READ and self._room == 0:
                self._room = widen(self._fd)
            left -= size
            self._deliver(data)
            if size < READ or left <= 0:
                return  # the poller will say if there is more

    def _deliver(self, data: bytes) -> None:
        if self._intake is not None:
            self._intake.take_directly(data)
            return
        try:
            tell_of(self._context, self._protocol, "data_received", data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:  # the next piece may do better: that is what the standard library's pipes do
            self._report("protocol.data_received() failed", exc)

    def _end_of_stream(self) -> None:
        if self._loop.get_debug():
            logger.info("%r was closed by peer", self)
        self._closing = True
        try:
            tell(self._context, self._protocol, "eof_received")  # a pipe has no other direction that could stay open
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report("protocol.eof_received() failed", exc)
        self._end(None)

    def _fatal(self, exc: BaseException, message: str) -> None:
        if isinstance(exc, OSError) and exc.errno == errno.EIO:
            self._note(message, exc)  # a terminal's other side is gone
        else:
            self._report(message, exc)
        self._end(exc)

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
        try:
            self._poller.rearm_reader(self._fd, self)
        except (OSError, ValueError) as exc:
            self._fatal(exc, "Fatal error: the poller does not take the pipe")
        if self._loop.get_debug():
            logger.debug("%r resumes reading", self)

    def close(self) -> None:
        """Read nothing more; `connection_lost(None)` follows. No effect the second time."""
        if not self._closing:
            self._end(None)

    def __repr__(self) -> str:
        polling = self._pipe is not None and self._poller.reader(self._fd) is self
        return f"<{type(self).__name__} {self._state()} {'polling' if polling else 'idle'}>"


class OtherEnd(Entry):
    """What the poller pushes when the other end of a pipe that we write to may be gone."""

    __slots__ = ("_transport",)

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def run(self) -> None:
        self._transport._look_at_end()

    def __repr__(self) -> str:
        return f"<other end of {self._transport!r}>"


class WritePipeTransport(PipeTransport):
    """An `asyncio.WriteTransport` over *pipe* (a file object, which it owns from now on). The rest as `ReadPipeTransport`.

    It says that it is an `asyncio.Transport`, of which WriteTransport is a part, because the standard library's does.
    """

    __slots__ = (
        "_flow",  # water marks
        "_late",  # writes since the end
        "_queue",  # what the kernel has not taken yet
        "_wide",  # the pipe was made as large as it gets
        "_writing",  # armed for writing
    )

    def __init__(self, loop: Any, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> None:
        self._flow = Flow()
        self._queue = WriteQueue()
        self._late = 0
        self._wide = False
        self._writing = False
        PipeTransport.__init__(self, loop, pipe, protocol, waiter, extra)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(transport, asyncio.WriteTransport) holds
        return asyncio.Transport

    def _begin(self) -> None:
        if not _shows_its_end(self._fd):
            return
        try:
            self._poller.arm_reader(self._fd, OtherEnd(self))
        except (OSError, ValueError) as exc:
            self._fatal(exc, "Fatal error: the poller does not take the pipe")

    def _look_at_end(self) -> None:
        if self._lost or self._pipe is None:
            return
        if not has_ended(self._fd):
            self._poller.rest_reader(self._fd)
            return
        if self._loop.get_debug():
            logger.info("%r was closed by peer", self)
        self._end(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) if self._queue.size else None)

    # --- writing -------------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Write *data* (bytes-like), at once as far as the kernel takes it, the rest when it takes more.

        Never blocks. *data* may be changed by the caller afterwards. After `close`, or when the reader is gone, nothing is written.
        """
        if type(data) is not bytes:
            data = stable(data)
        size = len(data)
        if size == 0:
            return
        if self._closing:
            self._count_late_write()
            return
        if self._queue.size == 0:
            try:
                sent = write_bytes(self._fd, data)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._late += 1
                self._fatal(exc, "Fatal write error on pipe transport")
                return
            if sent == size:
                return
            if sent > 0:
                data = memoryview(data)[sent:]
            self._arm_writing()
            if self._closing:
                return  # type: ignore[unreachable]  # the poller may have refused
        self._push(data)

    def writelines(self, list_of_data: Any) -> None:
        """`write` of every item, in one system call as far as the kernel takes them."""
        if self._closing:
            for _ in list_of_data:
                self._count_late_write()
                return
            return
        idle = self._queue.size == 0
        self._queue.extend(list_of_data)
        if idle:
            self._flush()
        if not self._closing and self._flow.grown(self._queue.size):
            self._tell_flow("pause_writing")

    def _push(self, data: Any) -> None:
        if self._flow.grown(self._queue.append(data)):
            self._tell_flow("pause_writing")

    def run(self) -> None:
        """The poller says that the kernel takes bytes again."""
        if self._writing:
            self._flush()

    def _flush(self) -> None:
        """Write what is queued, as far as the kernel takes it; arm or disarm the writing; act if that was all."""
        queue = self._queue
        if self._lost or queue.size == 0:
            return
        try:
            sent = write_pieces(self._fd, queue.peek())
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._late += 1
            self._fatal(exc, "Fatal write error on pipe transport")
            return
        if sent > 0:
            queue.consume(sent)
        if queue.size:
            if not self._wide and queue.size >= READ:
                self._wide = True
                widen(self._fd)
            self._arm_writing()
        else:
            self._rest_writing()
        if self._flow.shrunk(queue.size):
            self._tell_flow("resume_writing")  # which may queue again
        if self._closing and queue.size == 0:
            self._end(None)

    def _arm_writing(self) -> None:
        if self._writing or self._lost:
            return
        self._writing = True
        try:
            self._poller.rearm_writer(self._fd, self)
        except (OSError, ValueError) as exc:
            self._fatal(exc, "Fatal error: the poller does not take the pipe")

    def _rest_writing(self) -> None:
        if self._writing:
            self._writing = False
            self._poller.rest_writer(self._fd)

    def _count_late_write(self) -> None:
        if self._late >= LOST_WRITES:
            logger.warning("pipe closed by peer or os.write(pipe, data) raised exception.")
        self._late += 1

    def can_write_eof(self) -> bool:
        """True: closing is how a pipe says that nothing more comes."""
        return True

    def write_eof(self) -> None:
        """As `close`."""
        self.close()

    # --- flow control --------------------------------------------------------------------------------------------------

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        """`pause_writing` is called when more than *high* bytes are queued, `resume_writing` when no more than *low* are.

        Defaults: 64 KiB and a quarter of *high*. ValueError unless high >= low >= 0.
        """
        decision = self._flow.set_marks(high, low, self._queue.size)
        if decision is PAUSE:
            self._tell_flow("pause_writing")
        elif decision is RESUME:
            self._tell_flow("resume_writing")

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high) in bytes."""
        return (self._flow.low, self._flow.high)

    def get_write_buffer_size(self) -> int:
        """Bytes written and not yet taken by the kernel."""
        return self._queue.size

    def _tell_flow(self, method: str) -> None:
        try:
            tell(self._context, self._protocol, method)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report(f"protocol.{method}() failed", exc)

    # --- ending --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what is queued, then close; `connection_lost(None)` follows. No effect the second time."""
        if self._closing:
            return
        self._closing = True
        if self._queue.size == 0 or self._loop.is_closed():
            self._end(None)

    def abort(self) -> None:
        """Close now; what is queued is dropped. `connection_lost(None)` follows."""
        self._end(None)

    def _fatal(self, exc: BaseException, message: str) -> None:
        """What the reader does is no error of the program: only errors that are not the kernel's are reported."""
        if isinstance(exc, OSError):
            self._note(message, exc)
        else:
            self._report(message, exc)
        self._end(exc)

    def _end(self, exc: Any) -> None:
        self._queue.clear()
        self._rest_writing()
        PipeTransport._end(self, exc)

    def __repr__(self) -> str:
        polling = self._pipe is not None and self._poller.writer(self._fd) is self
        state = "polling" if polling else "idle"
        return f"<{type(self).__name__} {self._state()} {state} bufsize={self._queue.size}>"


def _check_kind(fd: int, pipe: Any) -> None:
    """Raise ValueError if *fd* is nothing that can be waited for."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode):
        return
    if stat.S_ISREG(mode):
        kind = "a regular file"
    elif stat.S_ISDIR(mode):
        kind = "a directory"
    else:
        kind = "a file of another kind"
    raise ValueError(
        f"Pipe transport is for pipes/sockets only (and for character devices), and {pipe!r} is {kind}: the kernel calls it "
        "ready at all times and then blocks on the disk; use it in a thread, as in `await asyncio.to_thread(file.read)`"
    )


def _shows_its_end(fd: int) -> bool:
    """True if a writer's *fd* turns readable when its last reader is gone, and never because of what we write."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode):
        return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
    return stat.S_ISSOCK(mode)
