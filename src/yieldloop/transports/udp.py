"""The datagram transport: one non-blocking UDP or Unix datagram socket, between the poller and a protocol.

What lives here: when datagrams are received, sent, held back; close and abort; what is counted. What may not: what every
transport does (``base.py``), how the socket comes about (``loop/datagram.py``), system calls and addresses (``_udpio``).

**Batches.** Under load one system call fetches up to BATCH datagrams. To the protocol that is the same as one after the other:
each `datagram_received` may close, abort or pause, and then the rest of the batch is dropped, as the kernel would drop what it
still has, or kept until `resume_reading`. What the protocol sends meanwhile is held and leaves in one system call too; but never
longer than HOLD_NS after the batch began, so that a slow callback does not delay the answers of those before it.

**Who is told of errors.** A datagram that the kernel refuses (EMSGSIZE, ENOBUFS, ENETUNREACH) or an ICMP message about an earlier
one (ECONNREFUSED, on a connected socket) is no end: `error_received`, counted, and on with the next. Only a socket that is no
socket any more, and an error of the program (an address that is none), end the transport.

**A queue that cannot be waited for.** When the *receiver* of a Unix datagram has no room, sendto(2) says EAGAIN, and poll(2) says
that our socket is writable: it is. Asking again at once would be a busy loop until the receiver reads, so a timer asks.
"""

from __future__ import annotations

import asyncio
import errno
from typing import Any

from yieldloop.engine._leaf import monotonic_ns
from yieldloop.transports._sockio import tell_of
from yieldloop.transports._udpio import Datagrams, tell_two
from yieldloop.transports.base import FdTransport, FdWriter
from yieldloop.transports.options import answer, name_of, names, receive_drops

HEADER = 8  # bytes that a queued datagram counts beside its data, as in asyncio: empty ones fill a queue as well
HOLD = 64 * 1024  # bytes: more are not held back during a batch but sent at once
HOLD_NS = 100_000  # ns after its beginning a batch holds nothing any more
FIRST_RETRY = 0.001  # s until a full receiver is tried again; doubled each time
LAST_RETRY = 0.064  # s; doubled no further

_GONE = (errno.EBADF, errno.ENOTSOCK)  # somebody else closed our descriptor


class _Face(asyncio.Transport, asyncio.DatagramTransport):
    """What `isinstance` sees: both classes, as of the standard library's datagram transport."""


class UdpTransport(FdWriter):
    """An `asyncio.DatagramTransport` over a datagram socket, which it owns from now on.

    *loop* is the running loop, *sock* non-blocking. *address* is where everything goes if the endpoint has one (connected or
    not). In the loop's next iteration the protocol's `connection_made` is called, then *waiter* (a future) is resolved.
    Beyond asyncio's: `drain`, `statistics`.
    """

    __slots__ = (
        "_address",  # the only address that sendto() takes, or None
        "_connected",  # the kernel knows the peer: nothing is sent with an address
        "_discarded",  # datagrams given to us that nobody tried to send: after the end, or dropped by it
        "_first",  # index in _outbox of the first datagram not sent; even
        "_holding",  # a batch is being delivered: sends are held until it is over
        "_inbox",  # a batch that pause_reading() interrupted, or None
        "_mail",
        "_outbox",  # data, address, data, address, …: what is to be sent, oldest first
        "_overflow",  # the kernel's last word on what it dropped, or None: then ask it
        "_queued",  # bytes from _first on, HEADER for each included
        "_read",  # index in _inbox of what comes next; even
        "_received",  # datagrams that the protocol was told of
        "_refused",  # datagrams that the kernel did not take
        "_retry",  # the timer for a receiver without room, or None
        "_retry_delay",  # s; 0: the last attempt had success
        "_sent",  # datagrams that the kernel took
        "_waiters",  # futures of drain(), or None
    )

    def __init__(self, loop: Any, sock: Any, protocol: Any, address: Any = None, waiter: Any = None, extra: Any = None) -> None:
        self._address = address or None
        self._holding = False
        self._inbox: Any = None
        self._read = 0
        self._outbox: Any = []
        self._first = 0
        self._queued = 0
        self._retry: Any = None
        self._retry_delay = 0.0
        self._waiters: Any = None
        self._received = 0
        self._sent = 0
        self._refused = 0
        self._discarded = 0
        self._overflow: Any = None
        peer = name_of(sock.getpeername)
        self._connected = bool(peer)
        self._set_up(loop, sock, protocol, None, {**(extra or {}), "peername": peer})
        self._mail = Datagrams(sock, self._fd)
        self._enter(waiter)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(transport, asyncio.DatagramTransport) holds
        return _Face

    # --- receiving -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """The poller says that something has arrived (or an error)."""
        self._receive()

    def _receive(self) -> None:
        if self._closing or self._paused:
            return
        batch = self._inbox
        if batch is None:
            try:
                batch = self._mail.receive()
            except OSError as exc:
                self._failed(exc, "Fatal read error on datagram transport")
                return
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._fatal(exc, "Fatal read error on datagram transport")
                return
            if batch is None:
                return
            self._inbox = batch
            self._read = 0
        self._holding = True
        try:
            self._deliver(batch)
        finally:
            self._release()

    def _deliver(self, batch: Any) -> None:
        """Tell the protocol of one datagram after the other, as long as it wants to hear of them."""
        size = len(batch)
        began = monotonic_ns() if size > 2 else 0
        while not self._paused and not self._closing:
            index = self._read
            if index >= size:
                self._inbox = None
                return
            self._read = index + 2
            if index + 2 >= size:
                self._inbox = None  # the last one: nothing is left if it pauses
            if batch[index] is None:
                self._tell_error(batch[index + 1])
            else:
                self._received += 1
                try:
                    tell_two(self._context, self._protocol, "datagram_received", batch[index], batch[index + 1])
                except (SystemExit, KeyboardInterrupt):
                    self._deliver_later()
                    raise
                except BaseException as exc:
                    self._report("Exception in callback datagram_received()", exc)
            if self._queued and index + 2 < size and monotonic_ns() - began > HOLD_NS:
                self._flush_held()

    def _deliver_later(self) -> None:
        if self._inbox is not None and not self._closing and not self._paused:
            self._loop.call_soon(self._receive_rest, context=self._context)

    def _receive_rest(self) -> None:
        if self._inbox is not None:
            self._receive()

    def _read_on(self) -> None:
        self._arm(self, False)
        if not self._holding:
            self._deliver_later()

    # --- sending -------------------------------------------------------------------------------------------------------

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send *data* (bytes, bytearray, memoryview; may be empty) as one datagram to *addr*, or to the endpoint's own address.

        Never blocks, unless *addr* has a host name to look up. What the kernel refuses goes to `error_received`. ValueError
        if the endpoint has an address and *addr* is another one.
        """
        if type(data) is not bytes and not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._address is not None:
            if addr is not None and addr is not self._address and addr != self._address:
                raise ValueError(f"Invalid address: must be None or {self._address}")
            addr = self._address
        if self._connected:
            addr = None
        if self._lost and (addr is None or not self._open):
            self._discard()
        elif self._lost or (self._queued == 0 and not self._holding):
            self._send_now(data, addr)
        else:
            self._push(data, addr)
            if not self._holding:
                self._check_flow(self._queued)
            elif self._queued > HOLD:
                self._flush_held()

    def _send_now(self, data: Any, address: Any) -> None:
        try:
            done = self._mail.send(data, address)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._refuse(exc)
            return
        if done > 0:
            self._sent += 1
            return
        if self._lost:  # between close() and the end a datagram with an address of its own still leaves, but is not waited for
            self._discard()
            return
        self._push(data, address)
        self._arm_writing()
        if not self._lost:
            self._check_flow(self._queued)

    def _push(self, data: Any, address: Any) -> None:
        """Queue a datagram. What its owner may change is copied."""
        if type(data) is not bytes:
            data = bytes(data)
        self._outbox.append(data)
        self._outbox.append(address)
        self._queued += len(data) + HEADER

    def _release(self) -> None:
        """The batch is over: what was sent meanwhile leaves."""
        self._holding = False
        self._flush_held()

    def _flush_held(self) -> None:
        if self._queued and not self._writing and self._retry is None:
            self._send_queued(False)

    def _room(self) -> None:
        self._send_queued(True)

    def _send_queued(self, polled: bool) -> None:
        """Send what is queued now, as far as the kernel takes it. *polled*: because the poller said that it would."""
        queue = self._outbox
        end = len(queue)  # what an error_received sends in turn waits for its own turn
        sent_any = False
        while self._first < end and self._first < len(queue) and not self._lost:  # a nested call may have emptied it
            try:
                done = self._mail.send_some(queue, self._first)
            except (SystemExit, KeyboardInterrupt):
                self._drop_sent(1)
                raise
            except BaseException as exc:
                self._drop_sent(1)
                self._refuse(exc)
                sent_any = True
                continue
            if done <= 0:
                self._wait_for_room(polled and not sent_any)
                break
            self._retry_delay = 0.0
            self._sent += done
            self._drop_sent(done)
            sent_any = True
        if not self._lost:
            self._after_flush()

    def _after_flush(self) -> None:
        """Something may have left: tell whoever waits for that."""
        if self._queued == 0:
            self._outbox.clear()
            self._first = 0
            self._rest_writing()
        else:
            if self._first > 512 and 2 * self._first > len(self._outbox):
                del self._outbox[: self._first]
                self._first = 0
            if self._retry is None:
                self._arm_writing()
        if not self._lost:
            self._check_flow(self._queued)  # which may queue again
        if self._queued == 0 and self._closing and not self._lost:
            self._schedule_lost(None)

    def _drop_sent(self, count: int) -> None:
        queue = self._outbox
        first = self._first
        for _ in range(count):
            self._queued -= len(queue[first]) + HEADER
            queue[first] = queue[first + 1] = None
            first += 2
        self._first = first

    def _wait_for_room(self, stalled: bool) -> None:
        if not stalled:
            self._arm_writing()
            return
        self._rest_writing()
        delay = self._retry_delay
        self._retry_delay = FIRST_RETRY if not delay else min(2 * delay, LAST_RETRY)
        self._retry = self._loop.call_later(self._retry_delay, self._try_again, context=self._context)

    def _try_again(self) -> None:
        self._retry = None
        if not self._lost and self._queued:
            self._send_queued(True)

    def _rest_writing(self) -> None:
        FdWriter._rest_writing(self)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _discard(self) -> None:
        """Something was to be sent after the end."""
        self._count_late_write("socket.send() raised exception.")
        self._discarded += 1

    # --- flow control --------------------------------------------------------------------------------------------------

    def get_write_buffer_size(self) -> int:
        """Bytes sent and not yet taken by the kernel, HEADER for each datagram included, so that empty ones count as well."""
        return self._queued

    def drain(self) -> Any:
        """An awaitable, done once no more than the low mark is queued, if there was more than the high one: else at once.

        ``transport.sendto(data); await transport.drain()`` sends as fast as the kernel takes it and no faster. Raises
        ConnectionResetError if the transport has ended or ends meanwhile (its error, if it ends by one). Ours, not asyncio's.
        """
        if self._loop is None or self._lost:
            return _Ended()
        waiter = self._loop.create_future()
        if not self._flow.paused:
            waiter.set_result(None)
        elif self._waiters is None:
            self._waiters = [waiter]
        else:
            self._waiters.append(waiter)
        return waiter

    def _wake_waiters(self, exc: Any) -> None:
        waiters = self._waiters
        self._waiters = None
        if waiters is not None:
            for waiter in waiters:
                if not waiter.done():
                    if exc is None:
                        waiter.set_result(None)
                    else:
                        waiter.set_exception(exc)

    def _tell_flow(self, method: str) -> None:
        if not self._flow.paused:
            self._wake_waiters(None)
        self._tell_or_report(method)

    # --- errors --------------------------------------------------------------------------------------------------------

    def _refuse(self, exc: Any) -> None:
        """A datagram was not sent."""
        self._refused += 1
        if isinstance(exc, OSError):
            self._failed(exc, "Fatal write error on datagram transport")
        else:
            self._fatal(exc, "Fatal write error on datagram transport")

    def _failed(self, exc: Any, message: str) -> None:
        """The kernel's error: the protocol is told, and that is all, if there is still a socket."""
        if exc.errno in _GONE:
            self._fatal(exc, message)
        else:
            self._tell_error(exc)

    def _tell_error(self, exc: Any) -> None:
        try:
            tell_of(self._context, self._protocol, "error_received", exc)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as failure:
            self._report("protocol.error_received() failed", failure)

    # --- ending --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Receive nothing more, send what is queued, then close; `connection_lost(None)` follows. No effect the second time."""
        if self._closing:
            return
        self._closing = True
        self._inbox = None
        self._poller.rest_reader(self._fd)
        if self._queued == 0:
            self._schedule_lost(None)

    def _force_close(self, exc: Any) -> None:
        if self._holding and not self._lost:  # sent before the abort: any other transport would have tried it by now
            self._release()
        FdTransport._force_close(self, exc)

    def _drop(self, exc: Any) -> None:
        self._inbox = None
        self._discarded += (len(self._outbox) - self._first) // 2
        self._outbox = []
        self._first = 0
        self._queued = 0
        self._rest_writing()

    def _before_end(self, exc: Any) -> None:
        if self._waiters is not None:
            self._wake_waiters(exc if exc is not None else _ended())

    # --- asking --------------------------------------------------------------------------------------------------------

    def _look_up(self, name: Any) -> None:
        self._extra = answer(self._file, name, self._extra)

    def _remember(self) -> None:
        self._overflow = receive_drops(self._file)
        self._extra = names(self._file, self._extra)

    def statistics(self) -> dict[str, Any]:
        """Counts of datagrams; ``queued_bytes`` is what `get_write_buffer_size` says.

        ``received`` and ``sent`` are those the protocol was told of and the kernel took. Lost were: ``dropped``, which came when
        the socket's receive buffer was full (None where the system does not say); ``refused``, which the kernel did not take;
        ``discarded``, which were given to `sendto` after the end, or were still queued at an `abort`.
        """
        return {
            "received": self._received,
            "sent": self._sent,
            "dropped": receive_drops(self._file) if self._open else self._overflow,
            "refused": self._refused,
            "discarded": self._discarded,
            "queued": (len(self._outbox) - self._first) // 2,
            "queued_bytes": self._queued,
        }

    def _unarmed(self) -> str:
        return "waiting" if self._retry is not None else "idle"


def _ended() -> ConnectionResetError:
    return ConnectionResetError("the datagram transport has ended: nothing more can be sent by it; make a new endpoint")


class _Ended:
    """What `drain` gives when the transport has ended."""

    __slots__ = ()

    def __await__(self) -> Any:
        raise _ended()
