"""The pipe transports: one end of a pipe, a FIFO, a socket or a character device, between the poller and a protocol.

What lives here: `ReadPipeTransport` and `WritePipeTransport`: when bytes are read, written, queued; how either learns that the
other end is gone. What may not: what every transport does (``base.py``), children (``process.py``), system calls (``_pipeio``).

A writing end is armed for "readable" as well: nothing can be read there, so the kernel says it only to report that the last reader
is gone.

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
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import stat
from typing import Any

from yieldloop.engine.core import logger
from yieldloop.transports._pipeio import READ, has_ended, read_bytes, widen, write_bytes, write_pieces
from yieldloop.transports._sockio import tell_of
from yieldloop.transports.base import FdTransport, StreamWriting
from yieldloop.transports.intake import intake_of
from yieldloop.wire.writequeue import stable

# Bytes read in one turn at the most: what a reader waits for, and what its stream keeps by default without pausing us.
TURN = 3 * READ
_LATE = "pipe closed by peer or os.write(pipe, data) raised exception."


class ReadPipeTransport(FdTransport):
    """An `asyncio.ReadTransport` over *pipe* (a file object, which it owns from now on).

    In the loop's next iteration the protocol's `connection_made` is called, then *waiter* (a future, or None) is resolved.
    ValueError if *pipe* is a regular file, a directory or a disk; it stays the caller's then.
    """

    __slots__ = (
        "_expected",  # bytes that the last read brought
        "_intake",  # a stream's Intake, fed in the protocol's place, or None
        "_holds",  # bytes that the pipe holds, once one read has brought all that it holds by default; else 0
    )

    def __init__(self, loop: Any, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> None:
        self._expected = 0
        self._holds = 0
        self._set_up(loop, pipe, protocol, None, {**(extra or {}), "pipe": pipe})
        _make_ready(self._fd, pipe)
        self._enter(waiter)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(transport, asyncio.ReadTransport) holds
        return asyncio.ReadTransport

    def _take_protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        self._intake: Any = intake_of(protocol)

    def run(self) -> None:
        """The poller says that there is something to read (or the end, or an error)."""
        self._receive()

    def _receive(self) -> None:
        left = TURN if self._holds > READ else READ
        while not self._closing and not self._paused and self._open:
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
            if size == READ and self._holds == 0:
                self._holds = widen(self._fd)
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
        self._tell_or_report("eof_received")  # a pipe has no other direction that could stay open
        self._force_close(None)

    def _fatal(self, exc: BaseException, message: str) -> None:
        """What ends the reading is the program's to know, but for a terminal whose other side is gone."""
        if isinstance(exc, OSError) and exc.errno == errno.EIO:
            self._note(message, exc)
        else:
            self._report(message, exc)
        self._force_close(exc)

    def close(self) -> None:
        """Read nothing more; `connection_lost(None)` follows. No effect the second time."""
        if not self._closing:
            self._force_close(None)


class WritePipeTransport(StreamWriting):
    """An `asyncio.WriteTransport` over *pipe* (a file object, which it owns from now on). The rest as `ReadPipeTransport`.

    It says that it is an `asyncio.Transport`, of which WriteTransport is a part, because the standard library's does.
    """

    __slots__ = (
        "_wide",  # the pipe was made as large as it gets
    )

    def __init__(self, loop: Any, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> None:
        self._wide = False
        self._set_up(loop, pipe, protocol, None, {**(extra or {}), "pipe": pipe})
        _make_ready(self._fd, pipe)
        self._enter(waiter)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(transport, asyncio.WriteTransport) holds
        return asyncio.Transport

    def _begin(self) -> None:
        if _shows_its_end(self._fd):
            self._arm(self, True)

    def run(self) -> None:
        """The poller says that the other end is gone, or that a socket's peer has sent something."""
        self._look_at_end()

    def _look_at_end(self) -> None:
        if self._lost or not self._open:
            return
        if not has_ended(self._fd):
            self._poller.rest_reader(self._fd)
            return
        if self._loop.get_debug():
            logger.info("%r was closed by peer", self)
        self._force_close(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) if self._queue.size else None)

    def is_reading(self) -> bool:
        """NotImplementedError, as of the standard library: nothing is read from the end that is written to."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """As `is_reading`."""
        raise NotImplementedError

    def resume_reading(self) -> None:
        """As `is_reading`."""
        raise NotImplementedError

    # --- writing -------------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Write *data* (bytes-like), at once as far as the kernel takes it, the rest when it takes more.

        Never blocks. *data* may be changed by the caller afterwards. After `close`, or when the reader is gone, nothing is written.
        """
        self._write(data)

    def _write(self, data: Any) -> None:
        if type(data) is not bytes:
            data = stable(data)
        size = len(data)
        if size == 0:
            return
        if self._closing:
            self._count_late_write(_LATE)
            return
        if self._queue.size == 0:
            try:
                sent = write_bytes(self._fd, data)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._fatal(exc, "Fatal write error on transport")
                return
            if sent == size:
                return
            if sent > 0:
                data = memoryview(data)[sent:]
            self._arm_writing()
            if self._closing:
                return  # type: ignore[unreachable]  # the poller may have refused
        self._check_flow(self._queue.append(data))

    def writelines(self, list_of_data: Any) -> None:
        """`write` of every item, in one system call as far as the kernel takes them."""
        if self._closing:
            for _ in list_of_data:
                self._count_late_write(_LATE)
                return
            return
        idle = self._queue.size == 0
        self._queue.extend(list_of_data)
        if idle:
            self._flush()
        elif not self._closing:
            self._check_flow(self._queue.size)

    def _write_queued(self) -> int:
        if not self._wide and self._writing and self._queue.size > READ:
            self._wide = True
            widen(self._fd)
        return write_pieces(self._fd, self._queue.peek())

    def write_eof(self) -> None:
        """As `close`."""
        self.close()

    # --- ending --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what is queued, then close; `connection_lost(None)` follows. No effect the second time."""
        if self._closing:
            return
        self._closing = True
        if self._queue.size == 0 or self._loop.is_closed():
            self._force_close(None)


def _make_ready(fd: int, pipe: Any) -> None:
    """Let *fd* not block. ValueError if it is nothing that can be waited for."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode):
        os.set_blocking(fd, False)
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
