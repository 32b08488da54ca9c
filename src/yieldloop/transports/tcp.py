"""The TCP transport: one connected, non-blocking socket, between the poller and a protocol.

What lives here: when bytes are read, sent, held back; half-close, close, abort. What may not: what every transport does
(``base.py``), how a connection comes about (``loop/net.py``), system calls (``_sockio``).

**One system call a turn.** What is written while the loop runs its ready queue (tasks' steps, callbacks, protocols being told of
data) is held, and leaves in one `send` or `sendmsg` when the iteration has run what was ready (`Core._call_after`): a response
written as head and body is one packet and one system call, whoever writes it. With nothing else ready that is the end of the very
step that wrote; it is never later than the next poll. While others run it is held for LONG_HELD at most, looked at between two of
them. All of an iteration's sends in a row cost less than each after its own step: neither the kernel's code nor the program's is
driven out of the caches in between, and a peer on the same machine is woken once. The price: what is written before a step that
computes or blocks leaves when that step is done. More than HOLD bytes, or more than the high water mark, leave at once, so that
the protocol is paused by what the kernel does not take and by nothing else: with a mark of 0 nothing is ever held. `close`,
`write_eof` and `abort` send what is held before they do their own work; so do a fork and `get_extra_info("socket")`.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from asyncio.constants import _SendfileMode
from typing import Any

from yieldloop.engine.core import logger
from yieldloop.transports._sockio import MOST_PIECES, recv_bytes, recv_into, recv_large, recv_view, send_bytes, send_pieces, tell
from yieldloop.transports.base import Above, FdTransport, FdWriter, StreamWriting
from yieldloop.transports.intake import intake_of
from yieldloop.transports.options import answer, names, set_nodelay
from yieldloop.wire.writequeue import PEEK_BYTES

HOLD = 64 * 1024  # bytes: more are not held back until the end of the iteration but sent at once
MOST_BYTES = PEEK_BYTES  # of one system call

_LATE = "socket.send() raised exception."
_BufferedProtocol = asyncio.BufferedProtocol


class TcpTransport(StreamWriting):
    """An `asyncio.Transport` over a stream socket, which it owns from now on.

    *loop* is the running loop, *sock* is connected and non-blocking. In the loop's next iteration the protocol's `connection_made`
    is called, then *waiter* (a future) is resolved. *extra* are answers for `get_extra_info`, *server* is told when
    the transport begins and ends. *context* (default: a copy of the current one) is what the protocol's callbacks start from.
    """

    __slots__ = (
        "_above",  # the protocol if it is an `Above`, else None
        "_asked",  # our `after` will be called when the present entry is over
        "_buffered",  # the protocol is a BufferedProtocol
        "_eof",  # write_eof() was called: nothing more may be written, and the sending side is shut when all is sent
        "_empty_waiter",  # sendfile waits for an empty queue on this future; nobody may write meanwhile
        "_hold",  # bytes: HOLD, or the high water mark if that is less
        "_intake",  # a stream's Intake, fed in the protocol's place, or None
        "_read_eof",  # the peer has sent its last byte: nothing is read any more
        "_server",
    )

    _start_tls_compatible = True
    _sendfile_compatible = _SendfileMode.TRY_NATIVE

    def __init__(
        self, loop: Any, sock: Any, protocol: Any, waiter: Any = None, extra: Any = None, server: Any = None, context: Any = None
    ) -> None:
        self._server: Any = server
        self._eof = False
        self._read_eof = False
        self._asked = False
        self._hold = HOLD
        self._empty_waiter: Any = None
        self._set_up(loop, sock, protocol, context, extra)
        set_nodelay(sock)
        before = loop._transports.get(self._fd)
        if before is not None and type(before) is TcpTransport:
            before._lose_descriptor()
        if server is not None:
            server._attach(self)
        self._enter(waiter)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(transport, asyncio.Transport) holds
        return asyncio.Transport

    @property
    def _sock_fd(self) -> int:  # loop.sendfile asks, as of the standard library's
        return self._fd

    # --- reading -------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """The poller says that there is something to read (or the end, or an error)."""
        self._receive()

    def _receive(self) -> None:
        if self._closing or self._paused:
            return
        if self._above is not None:
            self._receive_above()
            return
        if self._buffered:
            self._receive_into()
            return
        try:
            wanted = 0 if self._intake is None else self._intake.wanted()
            data = recv_large(self._file, self._fd, wanted) if wanted > 0 else recv_bytes(self._file, self._fd)
        except OSError as exc:
            self._fatal(exc, "Fatal read error on socket transport")
            return
        if data is None:
            return
        size = len(data)
        if size == 0:
            self._end_of_stream()
            return
        self._loop._bytes_in += size
        if self._intake is not None:
            self._intake.take_directly(data)
            return
        self._tell("data_received", data)

    def _receive_above(self) -> None:
        try:
            data = recv_view(self._file, self._fd)
        except OSError as exc:
            self._fatal(exc, "Fatal read error on socket transport")
            return
        if data is None:
            return
        if not len(data):
            self._end_of_stream()
            return
        self._loop._bytes_in += len(data)
        self._above.take(data)

    def _receive_into(self) -> None:
        try:
            buffer = self._ask_buffer(-1)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._protocol_failed("get_buffer", exc)
            return
        try:
            count = recv_into(self._file, self._fd, buffer)
        except (SystemExit, KeyboardInterrupt):
            raise
        except OSError as exc:
            self._fatal(exc, "Fatal read error on socket transport")
            return
        except BaseException as exc:  # what get_buffer gave is no writable buffer
            self._fatal_error(exc, "Fatal read error on socket transport")
            return
        if count < 0:
            return
        if count == 0:
            self._end_of_stream()
            return
        self._loop._bytes_in += count
        self._tell("buffer_updated", count)

    def _end_of_stream(self) -> None:
        if self._loop.get_debug():
            logger.debug("%r received EOF", self)
        self._read_eof = True
        try:
            keep_open = bool(tell(self._context, self._protocol, "eof_received"))
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._protocol_failed("eof_received", exc)
            return
        if not keep_open:
            self.close()
        elif self._open:  # the other side may still read: only the reading is over
            self._poller.rest_reader(self._fd)

    def _read_on(self) -> None:
        if not self._read_eof:
            self._arm(self, False)

    # --- writing -------------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Send *data* (bytes, bytearray, memoryview): at once, or at the end of the present iteration, as far as the kernel
        takes it then; the rest when it takes more.

        Never blocks. *data* may be changed by the caller afterwards. RuntimeError after `write_eof`.
        """
        self._write(data)

    def _write(self, data: Any) -> None:
        if type(data) is bytes:
            whole: bytes = data
            size = len(whole)
        else:
            data = _as_bytes_like(data)
            size = len(data)
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._empty_waiter is not None:
            raise RuntimeError("unable to write; sendfile is in progress")
        if size == 0:
            return
        if self._lost:
            self._count_late_write(_LATE)
            return
        if self._queue.size == 0 and (size > self._hold or not self._loop._in_entry):
            self._send_now(data, size)
            return
        self._queue.append(data)
        self._leave_now_or_later()

    def writelines(self, list_of_data: Any) -> None:
        """`write` of every item, in one system call as far as the kernel takes them."""
        if self._eof:
            raise RuntimeError("Cannot call writelines() after write_eof()")
        if self._empty_waiter is not None:
            raise RuntimeError("unable to writelines; sendfile is in progress")
        pieces = [_as_bytes_like(data) for data in list_of_data]
        if self._lost:
            if pieces:
                self._count_late_write(_LATE)
            return
        self._queue.extend(pieces)
        if self._queue.size:
            self._leave_now_or_later()

    def _leave_now_or_later(self) -> None:
        """Something was queued: it leaves when the kernel takes it, at the end of the iteration, or now."""
        if self._writing:
            self._check_flow(self._queue.size)
        elif self._loop._in_entry and self._queue.size <= self._hold:
            if not self._asked:
                self._asked = True
                self._loop._call_after(self)
        else:
            self._flush()

    def after(self) -> None:
        """The iteration in which something was written has run what was ready."""
        self._asked = False
        self._send_held()

    def _send_held(self) -> None:
        """What is held back leaves now: nothing that follows may overtake it."""
        if self._queue.size and not self._writing:
            self._flush()

    def _send_now(self, data: Any, size: int) -> None:
        """Send what nothing waits before, without a copy of what the kernel takes."""
        try:
            sent = send_bytes(self._file, self._fd, data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal(exc, "Fatal write error on transport")
            return
        if sent > 0:
            self._loop._bytes_out += sent
        if sent == size:
            return
        self._queue.append(memoryview(data)[sent:] if sent > 0 else data)
        self._arm_writing()
        if not self._lost:
            self._check_flow(self._queue.size)

    def _write_queued(self) -> int:
        piece = self._queue.lone()
        if piece is not None:
            sent = send_bytes(self._file, self._fd, piece)
        else:
            sent = send_pieces(self._file, self._fd, self._queue.front(MOST_PIECES, MOST_BYTES))
        if sent > 0:
            self._loop._bytes_out += sent
        return sent

    def _all_written(self) -> None:
        if self._empty_waiter is not None:
            if not self._empty_waiter.done():
                self._empty_waiter.set_result(None)
        elif self._closing:
            self._schedule_lost(None)
        elif self._eof:
            self._shut()

    def write_eof(self) -> None:
        """Shut the sending side once all is sent; reading goes on. No effect the second time, or when closing."""
        if self._closing or self._eof:
            return
        self._eof = True
        if self._queue.size == 0:
            self._shut()
        else:
            self._send_held()

    def _shut(self) -> None:
        try:
            self._file.shutdown(socket.SHUT_WR)
        except OSError as exc:  # the peer is gone already
            self._fatal(exc, "Fatal error on shutting the sending side of a socket transport")

    # What `loop.sendfile` needs: an empty queue, and to hear of the end of the connection.

    def _make_empty_waiter(self) -> Any:
        """A future that is resolved when everything is sent. Nobody may write until `_reset_empty_waiter`."""
        if self._empty_waiter is not None:
            raise RuntimeError("Empty waiter is already set")
        self._empty_waiter = waiter = self._loop.create_future()
        if self._queue.size == 0:
            waiter.set_result(None)
        else:
            self._send_held()
        return waiter

    def _watch_end(self) -> Any:
        """A future that fails when the connection ends, in the empty waiter's place."""
        self._empty_waiter = self._loop.create_future()
        return self._empty_waiter

    def _reset_empty_waiter(self) -> None:
        self._empty_waiter = None
        if self._closing and self._queue.size == 0 and self._loop is not None:
            self._schedule_lost(None)

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        """As every transport's. Of what is written in one iteration, no more than *high* bytes are held until its end."""
        self._send_held()  # only what the kernel does not take counts
        FdWriter.set_write_buffer_limits(self, high, low)
        self._hold = min(self._flow.high, HOLD)

    # --- ending --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Read nothing more, send what is queued, then close; `connection_lost(None)` follows. No effect the second time."""
        if self._closing:
            return
        self._closing = True
        self._poller.rest_reader(self._fd)
        if self._queue.size == 0:
            self._schedule_lost(None)
        else:
            self._send_held()

    def abort(self) -> None:
        """Close now; what the kernel has not taken is dropped. `connection_lost(None)` follows."""
        self._send_held()  # any other transport would have tried to send it when it was written
        self._force_close(None)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        """End the connection by what its protocol did: what was written before may still leave."""
        self._send_held()
        self._fatal(exc, message)

    def _drop(self, exc: Any) -> None:
        StreamWriting._drop(self, exc)
        if self._empty_waiter is not None and not self._empty_waiter.done():
            self._empty_waiter.set_exception(exc if exc is not None else ConnectionError("Connection is closed by peer"))

    def _before_end(self, exc: Any) -> None:
        if self._empty_waiter is not None and not self._empty_waiter.done():
            self._empty_waiter.set_exception(ConnectionError("the transport was closed while a file was sent over it"))

    def _close_file(self) -> None:
        FdTransport._close_file(self)
        server = self._server
        self._server = None
        if server is not None:
            server._detach(self)

    def _lose_descriptor(self) -> None:
        """A new connection has our number: if we are open, somebody else has closed our socket."""
        if self._open and not self._has_number():
            self._poller.forget(self._fd)
            self._fatal(OSError(errno.EBADF, f"the socket of {self!r} was closed by somebody else: close the transport instead"),
                        "Fatal error: the socket was closed under its transport")  # fmt: skip

    # --- asking --------------------------------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As every transport's. Whoever asks for the socket may shut or share it: what was written before has left then."""
        if name == "socket":
            self._send_held()
        return FdTransport.get_extra_info(self, name, default)

    def _take_protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        self._above: Any = protocol if isinstance(protocol, Above) else None
        self._buffered = isinstance(protocol, _BufferedProtocol)
        self._intake = intake_of(protocol)

    def _look_up(self, name: Any) -> None:
        self._extra = answer(self._file, name, self._extra)

    def _remember(self) -> None:
        self._extra = names(self._file, self._extra)


def _as_bytes_like(data: Any) -> Any:
    """*data* as something whose ``len`` is its number of bytes."""
    if type(data) is bytes or type(data) is bytearray:
        return data
    if isinstance(data, memoryview):
        return data if data.format == "B" and data.ndim == 1 and data.contiguous else memoryview(bytes(data))
    if isinstance(data, (bytes, bytearray)):
        return data
    raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
