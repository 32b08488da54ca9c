"""The TCP transport: one connected, non-blocking socket, between the poller and a protocol.

What lives here: when bytes are read, sent, held back; half-close, close, abort; who is told what, and exactly once. What may not:
how a connection comes about (``loop/net.py``), system calls (``_sockio``).

The transport is itself the entry that the poller pushes when there is something to read, and `WriteSide` is the one for "there is
room to send": no handle is made for an event.

**One system call a turn.** What is written while the loop runs an entry of its ready queue (a task's step, a callback, a protocol
being told of data) is held until that entry is over, and leaves in one `send` or `sendmsg` then (`Core._call_after`): a response
written as head and body is one packet and one system call, whoever writes it, and a lone write waits for the rest of its own step
only. The price: a step that writes and then computes or blocks sends when it is done. More than HOLD bytes, or more than the high
water mark, leave at once, so that the protocol is paused by what the kernel does not take and by nothing else: with a mark
of 0 nothing is ever held. `close`, `write_eof` and `abort` send what is held before they do their own work. Refused: to hold writes
until the end of the iteration, which makes each wait for those who have nothing to do with it.

**Contexts.** Every callback of the protocol runs in a copy of its own of the context in which the connection was made: what a
callback sets in it is seen by the tasks that it creates, and by no other callback (cpython 140947: there, one context served all
the callbacks of a connection, so that a request's variables were seen by the next request, and `resume_reading` put the
caller's context in its place). `call_soon(callback, context=None)` gives a callback a copy for the same reason.

Rule for the editor: `forget` before every close of the descriptor, `_closing` before anything that may call the protocol.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import warnings
from asyncio import trsock
from asyncio.constants import _SendfileMode
from typing import Any

from yieldloop.engine._leaf import Entry, copy_context
from yieldloop.engine.core import logger
from yieldloop.transports._sockio import MOST_PIECES, recv_bytes, recv_into, recv_view, send_bytes, send_pieces, tell, tell_of
from yieldloop.transports.intake import Intake
from yieldloop.transports.options import name_of, set_nodelay
from yieldloop.wire.flow import PAUSE, PAUSED, Flow
from yieldloop.wire.writequeue import PEEK_BYTES, WriteQueue

HOLD = 64 * 1024  # bytes: more are not held back during a step or callback but sent at once
MOST_BYTES = PEEK_BYTES  # of one system call
LOST_WRITES = 5  # writes after the connection was lost that pass in silence, as in the standard library

_BufferedProtocol = asyncio.BufferedProtocol


class Above(Entry):
    """A protocol of the house that takes what comes without a context or a look-up: the layer of TLS."""

    __slots__ = ()

    def take(self, data: Any) -> None:
        """*data* (bytes-like, not empty) has come; it is overwritten as soon as this returns. Reports its own failures."""
        raise NotImplementedError(f"{type(self).__name__} does not say what take() does")


class WriteSide(Entry):
    """What the poller pushes when the kernel takes bytes again."""

    __slots__ = ("_transport",)

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def run(self) -> None:
        transport = self._transport
        if transport._writing:
            transport._flush()

    def __repr__(self) -> str:
        return f"<write side of {self._transport!r}>"


class TcpTransport(Entry):
    """An `asyncio.Transport` over a stream socket, which it owns from now on.

    *loop* is the running loop, *sock* is connected and non-blocking. In the loop's next iteration the protocol's `connection_made`
    is called, then *waiter* (a future) is resolved. *extra* are answers for `get_extra_info`, *server* is told when
    the transport begins and ends. *context* (default: a copy of the current one) is what the protocol's callbacks start from.
    """

    __slots__ = (
        "__weakref__",
        "_above",  # the protocol if it is an `Above`, else None
        "_asked",  # our `after` will be called when the present entry is over
        "_buffered",  # the protocol is a BufferedProtocol
        "_closing",  # close() or abort() was called, or an error: nothing is read any more
        "_context",
        "_eof",  # write_eof() was called: nothing more may be written, and the sending side is shut when all is sent
        "_empty_waiter",  # sendfile waits for an empty queue on this future; nobody may write meanwhile
        "_extra",
        "_fd",
        "_flow",  # the water marks, and whether the protocol was told to pause
        "_hold",  # bytes: HOLD, or the high water mark if that is less
        "_intake",  # a stream's Intake, fed in the protocol's place, or None
        "_loop",
        "_lost",  # 0 until connection_lost is scheduled; then 1 + the writes since
        "_open",  # the socket is ours and not closed
        "_paused",  # by pause_reading()
        "_poller",
        "_protocol",
        "_queue",  # what was written and not yet sent
        "_read_eof",  # the peer has sent its last byte: nothing is read any more
        "_server",
        "_sock",
        "_writing",  # the write side is armed
    )

    _start_tls_compatible = True
    _sendfile_compatible = _SendfileMode.TRY_NATIVE

    def __init__(
        self, loop: Any, sock: Any, protocol: Any, waiter: Any = None, extra: Any = None, server: Any = None, context: Any = None
    ) -> None:
        self._open = False
        self._loop: Any = loop
        self._poller = loop._poller
        self._context = copy_context() if context is None else context
        self._extra: Any = extra
        self._server: Any = server
        self._sock = sock
        self._fd = int(sock.fileno())  # of a look-alike too a number, at both speeds
        self._intake: Any = None
        self._closing = False
        self._eof = False
        self._read_eof = False
        self._paused = False
        self._asked = False
        self._writing = False
        self._lost = 0
        self._queue = WriteQueue()
        self._flow = Flow()
        self._hold = HOLD
        self._empty_waiter: Any = None
        self._take_protocol(protocol)
        self._open = True
        set_nodelay(sock)
        before = loop._transports.get(self._fd)
        if before is not None and type(before) is TcpTransport:
            before._lose_descriptor()
        loop._transports[self._fd] = self
        if server is not None:
            server._attach(self)
        loop.call_soon(self._start, waiter, context=self._context)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(transport, asyncio.Transport) holds
        return asyncio.Transport

    def _start(self, waiter: Any) -> None:
        """The connection is made: tell the protocol, then begin to read, then tell whoever waits."""
        try:
            tell_of(self._context, self._protocol, "connection_made", self)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report("Exception in callback connection_made: the protocol did not take its transport", exc)
        if self._open and not self._closing and not self._paused:
            self._arm()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _arm(self) -> None:
        try:
            self._poller.rearm_reader(self._fd, self)
        except (OSError, ValueError) as exc:
            self._fatal(exc, "Fatal error: the poller does not take the socket")

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
            data = recv_bytes(self._sock, self._fd)
        except OSError as exc:
            self._fatal(exc, "Fatal read error on socket transport")
            return
        if data is None:
            return
        if not data:
            self._end_of_stream()
            return
        self._loop._bytes_in += len(data)
        if self._intake is not None:
            self._intake.take_directly(data)
            return
        self._tell_of("data_received", data)

    def _receive_above(self) -> None:
        try:
            data = recv_view(self._sock, self._fd)
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
            buffer = tell_of(self._context, self._protocol, "get_buffer", -1)
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal(exc, "Fatal error: protocol.get_buffer() call failed.")
            return
        try:
            count = recv_into(self._sock, self._fd, buffer)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:  # beside the kernel's errors: what get_buffer gave is no writable buffer
            self._fatal(exc, "Fatal read error on socket transport")
            return
        if count < 0:
            return
        if count == 0:
            self._end_of_stream()
            return
        self._loop._bytes_in += count
        self._tell_of("buffer_updated", count)

    def _tell_of(self, method: str, what: Any) -> None:
        """Call the protocol; if it fails, the connection ends once what it wrote before has been sent."""
        try:
            tell_of(self._context, self._protocol, method, what)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, f"Fatal error: protocol.{method}() call failed.")

    def _end_of_stream(self) -> None:
        if self._loop.get_debug():
            logger.debug("%r received EOF", self)
        self._read_eof = True
        try:
            keep_open = bool(tell(self._context, self._protocol, "eof_received"))
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.eof_received() call failed.")
            return
        if not keep_open:
            self.close()
        elif self._open:  # the other side may still read: only the reading is over
            self._poller.rest_reader(self._fd)

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
        if not self._read_eof:
            self._arm()
        if self._loop.get_debug():
            logger.debug("%r resumes reading", self)

    # --- writing -------------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Send *data* (bytes, bytearray, memoryview): at once, or at the end of the present step or callback, as far as the
        kernel takes it then; the rest when it takes more.

        Never blocks. *data* may be changed by the caller afterwards. RuntimeError after `write_eof`.
        """
        if type(data) is not bytes:
            data = _as_bytes_like(data)
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._empty_waiter is not None:
            raise RuntimeError("unable to write; sendfile is in progress")
        size = len(data)
        if size == 0:
            return
        if self._lost:
            self._count_lost_write()
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
                self._count_lost_write()
            return
        self._queue.extend(pieces)
        if self._queue.size:
            self._leave_now_or_later()

    def _leave_now_or_later(self) -> None:
        """Something was queued: it leaves when the kernel takes it, at the end of the entry that runs now, or now."""
        if self._writing:
            self._check_flow()
        elif self._loop._in_entry and self._queue.size <= self._hold:
            if not self._asked:
                self._asked = True
                self._loop._call_after(self)
        else:
            self._flush()

    def after(self) -> None:
        """The entry in which something was written is over."""
        self._asked = False
        self._send_held()

    def _send_held(self) -> None:
        """What is held back leaves now: nothing that follows may overtake it."""
        if self._queue.size and not self._writing:
            self._flush()

    def _send_now(self, data: Any, size: int) -> None:
        """Send what nothing waits before, without a copy of what the kernel takes."""
        try:
            sent = send_bytes(self._sock, self._fd, data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal(exc, "Fatal write error on socket transport")
            return
        if sent > 0:
            self._loop._bytes_out += sent
        if sent == size:
            return
        self._queue.append(memoryview(data)[sent:] if sent > 0 else data)
        self._arm_writing()
        self._check_flow()

    def _flush(self) -> None:
        """Send what is queued, as far as the kernel takes it; arm or disarm the write side; act if that was all."""
        queue = self._queue
        if self._lost or queue.size == 0:
            return
        try:
            piece = queue.lone()
            if piece is not None:
                sent = send_bytes(self._sock, self._fd, piece)
            else:
                sent = send_pieces(self._sock, self._fd, queue.front(MOST_PIECES, MOST_BYTES))
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal(exc, "Fatal write error on socket transport")
            return
        if sent > 0:
            self._loop._bytes_out += sent
            queue.consume(sent)
        if queue.size:
            self._arm_writing()
        elif self._writing:
            self._writing = False
            self._poller.rest_writer(self._fd)
        self._check_flow()  # which may write again, or end it all
        if queue.size == 0 and not self._lost:
            self._all_sent()

    def _all_sent(self) -> None:
        if self._empty_waiter is not None:
            if not self._empty_waiter.done():
                self._empty_waiter.set_result(None)
        elif self._closing:
            self._schedule_lost(None)
        elif self._eof:
            self._shut()

    def _arm_writing(self) -> None:
        if self._writing:
            return
        self._writing = True
        try:
            self._poller.rearm_writer(self._fd, WriteSide(self))
        except (OSError, ValueError) as exc:
            self._fatal(exc, "Fatal error: the poller does not take the socket")

    def _count_lost_write(self) -> None:
        if self._lost >= LOST_WRITES:
            logger.warning("socket.send() raised exception.")
        self._lost += 1

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
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as exc:  # the peer is gone already
            self._fatal(exc, "Fatal error on shutting the sending side of a socket transport")

    def can_write_eof(self) -> bool:
        """True: TCP can half-close."""
        return True

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

    # --- flow control --------------------------------------------------------------------------------------------------

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        """`pause_writing` is called when more than *high* bytes are queued, `resume_writing` when no more than *low* are.

        Defaults: 64 KiB and a quarter of *high*. ValueError unless high >= low >= 0.
        """
        flow = self._flow
        self._send_held()  # only what the kernel does not take counts
        decision = flow.set_marks(high, low, self._queue.size)
        self._hold = flow.high if flow.high < HOLD else HOLD
        if decision is not None and not self._lost:
            self._tell_flow("pause_writing" if decision is PAUSE else "resume_writing")

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high) in bytes."""
        return (self._flow.low, self._flow.high)

    def get_write_buffer_size(self) -> int:
        """Bytes written and not yet taken by the kernel, those held until the end of the present step among them."""
        return self._queue.size

    def _check_flow(self) -> None:
        """The queue has grown or shrunk: tell the protocol if that calls for it."""
        if self._lost:
            return
        if self._flow.grown(self._queue.size):
            self._tell_flow("pause_writing")
        elif self._flow.shrunk(self._queue.size):
            self._tell_flow("resume_writing")

    def _tell_flow(self, method: str) -> None:
        try:
            tell(self._context, self._protocol, method)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report(f"protocol.{method}() failed", exc)

    # --- ending --------------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """True from `close` or `abort` on."""
        return self._closing

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
        """Close now; what is queued is dropped. `connection_lost(None)` follows."""
        if not self._lost:
            self._send_held()  # any other transport would have tried to send it when it was written
            self._force_close(None)

    def _fatal(self, exc: BaseException, message: str) -> None:
        """The connection ends by *exc*. What the network does is no error of the program: only other errors are reported."""
        if not isinstance(exc, OSError):
            self._report(message, exc)
        elif self._loop is not None and self._loop.get_debug():
            logger.debug("%r: %s", self, message, exc_info=exc)
        self._force_close(exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        """End the connection by what its protocol did: what was written before may still leave."""
        if not self._lost:
            self._send_held()
        self._fatal(exc, message)

    def _report(self, message: str, exc: BaseException) -> None:
        if self._loop is not None:
            self._loop.call_exception_handler(
                {"message": message, "exception": exc, "transport": self, "protocol": self._protocol}
            )

    def _force_close(self, exc: Any) -> None:
        if self._lost:
            return
        self._queue.clear()
        if self._writing:
            self._writing = False
            self._poller.rest_writer(self._fd)
        if not self._closing:
            self._closing = True
            self._poller.rest_reader(self._fd)
        if self._empty_waiter is not None and not self._empty_waiter.done():
            self._empty_waiter.set_exception(exc if exc is not None else ConnectionError("Connection is closed by peer"))
        self._schedule_lost(exc)

    def _schedule_lost(self, exc: Any) -> None:
        if self._lost == 0:
            self._lost = 1
            self._loop.call_soon(self._finish, exc, context=self._context)

    def _finish(self, exc: Any) -> None:
        """The last thing that happens to a transport."""
        if self._empty_waiter is not None and not self._empty_waiter.done():
            self._empty_waiter.set_exception(ConnectionError("the transport was closed while a file was sent over it"))
        try:
            tell_of(self._context, self._protocol, "connection_lost", exc)
        finally:
            self._close_socket()
            self._protocol: Any = None
            self._intake = None
            server = self._server
            self._server = None
            self._loop = None
            if server is not None:
                server._detach(self)

    def _close_socket(self) -> None:
        if self._open:
            self._look_up_names()
            self._open = False
            if self._sock.fileno() == self._fd or self._poller.reader(self._fd) is self:
                self._poller.forget(self._fd)  # else it was closed by somebody else, and the number may be another file's now
            try:
                self._sock.close()
            except OSError:  # closed by its number: there is nothing to give back, and the end has to come to its end
                pass

    def _lose_descriptor(self) -> None:
        """A new connection has our number: if we are open, somebody else has closed our socket."""
        if self._open and self._sock.fileno() != self._fd:
            self._poller.forget(self._fd)
            self._fatal(OSError(errno.EBADF, f"the socket of {self!r} was closed by somebody else: close the transport instead"),
                        "Fatal error: the socket was closed under its transport")  # fmt: skip

    def __del__(self) -> None:
        if self._open:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=1, source=self)
            self._close_socket()
            if self._server is not None:
                self._server._detach(self)

    # --- asking --------------------------------------------------------------------------------------------------------

    def get_protocol(self) -> Any:
        """The protocol, or None once the connection is lost."""
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        """Tell *protocol* from now on; its `connection_made` is not called."""
        self._take_protocol(protocol)

    def _take_protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        self._above: Any = protocol if isinstance(protocol, Above) else None
        self._buffered = isinstance(protocol, _BufferedProtocol)
        intake = getattr(protocol, "_direct_intake", None)
        self._intake = intake if type(intake) is Intake else None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``socket`` (an `asyncio.trsock.TransportSocket`), ``sockname``, ``peername``, and what was given as *extra*."""
        if self._extra is not None and name in self._extra:
            return self._extra[name]
        if name == "socket":
            self._keep("socket", trsock.TransportSocket(self._sock))
        elif name == "sockname" or name == "peername":
            self._look_up_names()
        else:
            return default
        return self._extra[name]  # type: ignore[index]

    def _keep(self, name: str, answer: Any) -> None:
        if self._extra is None:
            self._extra = {}
        self._extra[name] = answer

    def _look_up_names(self) -> None:
        """Ask the kernel for what nobody has asked yet, while the socket is open."""
        if self._extra is None or "sockname" not in self._extra:
            self._keep("sockname", name_of(self._sock.getsockname))
        if "peername" not in self._extra:
            self._keep("peername", name_of(self._sock.getpeername))

    @property
    def _protocol_paused(self) -> bool:
        return self._flow.state is PAUSED

    @property
    def _sock_fd(self) -> int:
        return self._fd

    def __repr__(self) -> str:
        if not self._open:
            return f"<{type(self).__name__} closed fd={self._fd}>"
        state = " closing" if self._closing else ""
        read = "polling" if self._poller.reader(self._fd) is self else "idle"
        write = "polling" if self._writing else "idle"
        return f"<{type(self).__name__}{state} fd={self._fd} read={read} write=<{write}, bufsize={self._queue.size}>>"


def _as_bytes_like(data: Any) -> Any:
    """*data* as something whose ``len`` is its number of bytes."""
    if type(data) is bytes or type(data) is bytearray:
        return data
    if isinstance(data, memoryview):
        return data if data.format == "B" and data.ndim == 1 and data.contiguous else memoryview(bytes(data))
    if isinstance(data, (bytes, bytearray)):
        return data
    raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
