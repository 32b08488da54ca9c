"""TLS between two transports' worth of asyncio: the protocol of the transport below, the brain of the transport above.

What lives here: `TlsLayer`: when bytes are decrypted, encrypted, held back; time-outs. What may not: what every teller of a
protocol does (``base.py``), TLS itself (``wire/tls.py``), the face that programs see (``tls.py``), how a connection comes about
(``loop/net.py``).

    program's protocol  ↔  TlsTransport  ↔  TlsLayer  ↔  any transport (TCP, Unix, TLS again, a foreign one)

The state is a word:

    waiting     the transport below has not told us yet of its connection
    handshake   it has; the program's protocol knows nothing of it, unless it was there before (start_tls)
    open        data flows
    flushing    close() was called, or the peer closed; what is queued goes out first
    closing     our close_notify went out, the peer's is awaited; data that still comes is dropped
    closed      nothing is done any more but to wait for connection_lost of the transport below

**Ciphertext** of a `TcpTransport` comes by `take`, without a context or a look-up, and is gone into OpenSSL's memory when that
returns. From any other transport it comes by `data_received`. There is no buffer of ours: an idle connection holds none.

**One batch a turn.** What is written while an entry of the ready queue runs is held until that is over (see `TcpTransport`, which
does the same), and leaves as one piece: one record for a head and a body, and one system call. More than HOLD bytes leave at
once. Not more than CHUNK bytes are encrypted at a time, since OpenSSL keeps the memory of the largest.

**Two queues.** When the transport below is full it says so, and plaintext waits here until it is not; only what waits here
counts against the water marks, as in the standard library.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from yieldloop.engine.core import logger
from yieldloop.transports._sockio import tell, tell_of
from yieldloop.transports.base import Above
from yieldloop.transports.tcp import TcpTransport
from yieldloop.wire.flow import Flow
from yieldloop.wire.tls import TlsMachine
from yieldloop.wire.writequeue import WriteQueue

HANDSHAKE_TIMEOUT = 60.0  # s, and
SHUTDOWN_TIMEOUT = 30.0  # s: asyncio's defaults
HIGH = 512 * 1024  # bytes of plaintext queued above which the protocol is asked to pause; asyncio's default for TLS
HOLD = 64 * 1024  # bytes: more are not held back until the end of the iteration
CHUNK = 64 * 1024  # bytes encrypted at once
PIECES = 64  # that are joined to be encrypted together

WAITING = "waiting"
HANDSHAKE = "handshake"
OPEN = "open"
FLUSHING = "flushing"
CLOSING = "closing"
CLOSED = "closed"

# The machine's events, which it hands out as these very strings.
SHAKEN = "shaken"
DATA = "data"
EOF = "eof"
DONE = "done"
ERROR = "error"
WANT = "want"

_Protocol = asyncio.Protocol
_BufferedProtocol = asyncio.BufferedProtocol
_FATAL = "Fatal error on SSL protocol"
_LATE = "SSL connection is closed"


class TlsLayer(Above):
    """One TLS connection over one transport.

    *sslcontext* None: the default context of a client. *waiter* (a future, or None) is resolved when the handshake is done, and
    gets the error if it fails. *made*: the protocol's `connection_made` was called before (start_tls). Time-outs in seconds,
    None for asyncio's; ValueError if they are not positive. Raises what `ssl.SSLContext.wrap_bio` does.
    """

    __slots__ = (
        "_asked",  # our `after` will be called when the present entry is over
        "_buffered",  # the program's protocol is a BufferedProtocol
        "_eof_told",  # eof_received() was called
        "_face",  # the TlsTransport; it sets this itself
        "_handshake_timeout",
        "_hold",  # bytes: HOLD, or the high water mark if that is less
        "_holding",  # the machine's events are being handed out: writes are held until that is over
        "_lower",  # the transport below, or None before and after
        "_lower_paused",  # it said pause_writing() last
        "_machine",
        "_made",  # connection_made() was called, connection_lost() was not
        "_paused",  # by pause_reading()
        "_queue",  # plaintext that waits
        "_shaking_since",  # s, in debug mode
        "_shutdown_timeout",
        "_sslcontext",
        "_state",
        "_tcp",  # `_lower` if it is a TcpTransport: then it is called without a look-up
        "_telling",  # who awaits start_tls() is to learn of the new transport before the protocol gets anything of it
        "_timer",  # of the handshake or of the closing
        "_waiter",
    )

    def __init__(
        self, loop: Any, protocol: Any, sslcontext: Any, waiter: Any, server_side: bool, server_hostname: Any, made: bool,
        handshake_timeout: Any, shutdown_timeout: Any, context: Any,
    ) -> None:  # fmt: skip
        self._handshake_timeout = _seconds("ssl_handshake_timeout", handshake_timeout, HANDSHAKE_TIMEOUT)
        self._shutdown_timeout = _seconds("ssl_shutdown_timeout", shutdown_timeout, SHUTDOWN_TIMEOUT)
        if not sslcontext:
            sslcontext = _default_context(server_side, server_hostname)
        hostname = None if server_side or not server_hostname else server_hostname
        self._machine = TlsMachine(sslcontext, server_side, hostname)
        self._sslcontext = sslcontext
        self._tell_for(loop, context, Flow(HIGH))
        self._waiter: Any = waiter
        self._made = made
        self._state = WAITING
        self._face: Any = None
        self._lower: Any = None
        self._tcp: Any = None
        self._timer: Any = None
        self._queue = WriteQueue()
        self._hold = HOLD
        self._asked = False
        self._holding = False
        self._telling = False
        self._paused = False
        self._lower_paused = False
        self._eof_told = False
        self._shaking_since = 0.0
        self._take_protocol(protocol)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # a foreign transport asks what kind of protocol we are
        return _Protocol

    def _take_protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        self._buffered = isinstance(protocol, _BufferedProtocol)

    # --- what the transport below says ---------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """The transport below is connected: begin the handshake."""
        self._lower = transport
        self._tcp = transport if type(transport) is TcpTransport else None
        if self._state is not WAITING:  # closed while it was being made
            self._force_lower(None)
            return
        self._state = HANDSHAKE
        if self._loop.get_debug():
            logger.debug("%r starts SSL handshake", self)
            self._shaking_since = self._loop.time()
        self._timer = self._loop.call_later(self._handshake_timeout, self._handshake_late)
        self._machine.start()
        self._pump()

    def preload(self, data: Any) -> None:
        """Ciphertext that somebody else has read before the handshake begins."""
        self._machine.feed(data)

    def take(self, data: Any) -> None:
        """Ciphertext, which may change as soon as this returns."""
        self._machine.feed(data)
        self._pump()

    def data_received(self, data: Any) -> None:
        """Ciphertext."""
        self.take(data)

    def eof_received(self) -> bool:
        """The peer's stream has ended. True: something is still to be sent, or waits to be read."""
        if self._loop.get_debug():
            logger.debug("%r received EOF", self)
        self._machine.feed_eof()
        self._pump()
        return self._state is FLUSHING or (self._state is OPEN and (self._paused or self._telling))

    def connection_lost(self, exc: Any) -> None:
        """The transport below is gone, and with it everything."""
        shaking = self._state is HANDSHAKE or self._state is WAITING
        self._end()
        self._lower = None
        self._tcp = None
        self._face = None  # no circle is left: contexts and certificates go with the last reference of the program
        if shaking or self._waiter is not None:
            self._wake(exc if exc is not None else ConnectionAbortedError("the connection was closed during the TLS handshake"))
        protocol = self._protocol
        self._protocol = None
        self._loop = None
        if self._made:
            self._made = False
            tell_of(self._context, protocol, "connection_lost", exc)

    def pause_writing(self) -> None:
        """The transport below is full: plaintext waits here now."""
        self._lower_paused = True

    def resume_writing(self) -> None:
        """It has room again."""
        self._lower_paused = False
        if self._holding:
            return  # what waits goes out when that is over
        self._flush()
        self._look_at_flow()
        if self._state is FLUSHING:
            self._finish_writing()

    # --- the machine's events ------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Hand out everything that the machine has to say, then send what that has brought forth."""
        if self._holding:  # fed from inside a callback: the loop below goes on with it
            return
        self._holding = True
        try:
            self._hand_out()
        finally:
            self._holding = False
            self._release()

    def _hand_out(self) -> None:
        machine = self._machine
        while not ((self._paused or self._telling) and self._state is OPEN):
            if self._buffered and self._state is OPEN and machine.readable() and self._read_into_protocol():
                continue
            event = machine.next_event()
            if event is WANT or self._state is CLOSED:
                return
            if event is DATA:
                data = machine.data
                machine.data = None
                if self._buffered:
                    self._copy_to_protocol(data)
                else:
                    self._tell("data_received", data)
            elif event is SHAKEN:
                self._shaken()
            elif event is EOF or event is DONE:
                self._peer_closed()
            else:
                self._failed(machine.error)

    def _release(self) -> None:
        if self._queue.size:
            self._flush()
            self._look_at_flow()
        if self._machine.pending() and self._state is not CLOSED:
            self._send()
        if self._state is FLUSHING:
            self._finish_writing()

    def _read_into_protocol(self) -> bool:
        """Decrypt into the protocol's own buffer. False if there was nothing, or the protocol failed."""
        try:
            buffer = self._ask_buffer(-1)
            count = self._machine.read_into(buffer)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, _FATAL)
            return False
        return count > 0 and self._tell("buffer_updated", count)

    def _copy_to_protocol(self, data: Any) -> None:
        """Plaintext that was decrypted for another kind of protocol."""
        view = memoryview(data)
        try:
            while len(view):
                buffer = memoryview(self._ask_buffer(len(view)))
                count = min(len(buffer), len(view))
                buffer[:count] = view[:count]
                view = view[count:]
                tell_of(self._context, self._protocol, "buffer_updated", count)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, _FATAL)

    def _shaken(self) -> None:
        self._stop_timer()
        self._state = OPEN
        if self._loop.get_debug():
            logger.debug("%r: SSL handshake took %.1f ms", self, (self._loop.time() - self._shaking_since) * 1e3)
        if not self._made:
            self._made = True
            if not self._tell("connection_made", self._face):
                return
        elif self._waiter is not None:
            self._telling = True  # else it might answer the first data by the old transport, in plaintext
        self._wake(None)
        if self._telling:
            self._loop.call_soon(self._pump_again, context=self._context)

    def _peer_closed(self) -> None:
        """The peer's close_notify or the end of its stream: TLS has no half-closed connection here, so we close too."""
        self._tell_eof()
        if self._state is CLOSING:
            self._close_lower()
        else:
            self.close()

    def _tell_eof(self) -> None:
        if not self._made or self._eof_told:
            return
        self._eof_told = True
        try:
            keep_open = tell(self._context, self._protocol, "eof_received")
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Error calling eof_received()")
            return
        if keep_open:
            logger.warning("returning true from eof_received() has no effect when using ssl")

    def _failed(self, exc: BaseException) -> None:
        """The machine cannot go on."""
        if self._state is not HANDSHAKE:
            self._fatal(exc, _FATAL)
        elif isinstance(exc, ssl.CertificateError):
            self._fatal(exc, "SSL handshake failed on verifying the certificate")
        else:
            self._fatal(exc, "SSL handshake failed")

    # --- writing -------------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Encrypt and send *data* (checked by the face): now, at the end of the iteration, or when it can be."""
        if self._state is not OPEN and self._state is not HANDSHAKE and self._state is not WAITING:
            self._count_late_write(_LATE)
            return
        self._queue.append(data)
        self._leave_now_or_later()

    def write_all(self, pieces: list[Any]) -> None:
        """`write` of each, leaving together."""
        if self._state is not OPEN and self._state is not HANDSHAKE and self._state is not WAITING:
            self._count_late_write(_LATE)
            return
        self._queue.extend(pieces)
        self._leave_now_or_later()

    def _leave_now_or_later(self) -> None:
        if self._queue.size > self._hold:
            self._flush()
            self._look_at_flow()
        elif self._loop._in_entry:
            if not self._asked and not self._holding:
                self._asked = True
                self._loop._call_after(self)
        elif not self._holding:
            self._flush()
            self._look_at_flow()

    def after(self) -> None:
        """The iteration in which something was written has run what was ready."""
        self._asked = False
        if self._queue.size:
            self._flush()
            self._look_at_flow()

    def _flush(self) -> None:
        """Encrypt and send what is queued, as far as the transport below takes it."""
        queue = self._queue
        while queue.size and not self._lower_paused and (self._state is OPEN or self._state is FLUSHING):
            piece = queue.lone()
            if piece is None:
                piece = b"".join(queue.front(PIECES, CHUNK))
            if len(piece) > CHUNK:
                piece = memoryview(piece)[:CHUNK]
            try:
                taken = self._machine.write(piece)
            except ssl.SSLError as exc:
                self._fatal(exc, _FATAL)
                return
            if taken == 0:
                return  # OpenSSL wants to be fed first
            queue.consume(taken)
            self._send()

    def _send(self) -> None:
        """Hand what is encrypted to the transport below."""
        data = self._machine.take()
        if data:
            if self._tcp is not None:
                self._tcp._write(data)
            elif self._lower is not None:
                self._lower.write(data)

    def set_marks(self, high: int, low: int) -> None:
        """The water marks, in bytes. ValueError unless high >= low >= 0."""
        flow = self._flow
        if not self._holding:
            self._flush()  # only what does not leave counts
        decision = flow.set_marks(high, low, self._queue.size)
        self._hold = flow.high if flow.high < HOLD else HOLD
        if self._state is OPEN:
            self._act(decision)

    def marks(self) -> tuple[int, int]:
        """(low, high) in bytes."""
        return (self._flow.low, self._flow.high)

    def waiting(self) -> int:
        """Bytes written that are not encrypted yet."""
        return self._queue.size

    def protocol_paused(self) -> bool:
        """True if the protocol was told to pause writing."""
        return bool(self._flow.paused)

    def _look_at_flow(self) -> None:
        """The queue has grown or shrunk: tell the protocol if that calls for it."""
        if self._state is not CLOSED and self._made:
            self._check_flow(self._queue.size)

    # --- reading -------------------------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Tell the protocol of nothing that arrives, and let the transport below read nothing. No effect if closing."""
        if self._paused or self._state is FLUSHING or self._state is CLOSING or self._state is CLOSED:
            return
        self._paused = True
        if self._state is OPEN:
            self._lower.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        if self._lower is not None and self._state is not CLOSED:
            self._lower.resume_reading()  # also if somebody paused it before it was ours
        if self._paused:
            self._paused = False
            if self._loop is not None:
                self._loop.call_soon(self._pump_again, context=self._context)

    def _pump_again(self) -> None:
        self._telling = False
        if self._state is not CLOSED:
            self._pump()

    # --- ending --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Send what is queued and our close_notify, wait for the peer's, then close below. No effect the second time."""
        if self._state is OPEN:
            self._state = FLUSHING
            self._timer = self._loop.call_later(self._shutdown_timeout, self._shutdown_late)
            if self._paused:
                self._lower.resume_reading()  # the peer's close_notify is to be seen
            self._flush()
            self._finish_writing()
        elif self._state is HANDSHAKE or self._state is WAITING:
            self.abort(None)

    def _finish_writing(self) -> None:
        """All is sent (or not, then this comes again): say that we are through."""
        if self._queue.size or self._state is not FLUSHING:
            return
        self._state = CLOSING
        self._machine.close()
        self._send()
        if self._machine.state == "closed":
            self._close_lower()
        else:
            self._pump()  # what came already is to be dropped

    def _close_lower(self) -> None:
        """Both sides are through. The timer runs on: the last bytes must be taken too."""
        self._state = CLOSED
        if self._lower is not None:
            self._lower.close()

    def abort(self, exc: Any) -> None:
        """Close now, *exc* being the reason that `connection_lost` gives."""
        if self._state is WAITING:  # nobody below yet: connection_made() closes it when there is
            self._end()
            self._wake(exc if exc is not None else ConnectionAbortedError("the connection was closed before the TLS handshake"))
            return
        if self._lower is not None:
            if self._state is OPEN:
                self._flush()  # any other transport would have tried to send it when it was written
                self._send_held()
            if self._state is HANDSHAKE:
                self._wake(exc if exc is not None else ConnectionAbortedError("the connection was closed during the TLS handshake"))
            self._end()
            self._force_lower(exc)

    def _send_held(self) -> None:
        if self._tcp is not None:
            self._tcp._send_held()

    def _force_lower(self, exc: Any) -> None:
        force = getattr(self._lower, "_force_close", None)
        if force is not None:
            force(exc)
        else:
            self._lower.abort()

    def _end(self) -> None:
        self._state = CLOSED
        self._stop_timer()
        self._queue.clear()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _handshake_late(self) -> None:
        if self._state is HANDSHAKE:
            text = f"SSL handshake is taking longer than {self._handshake_timeout} seconds: aborting the connection"
            self._fatal(ConnectionAbortedError(text), "SSL handshake failed")

    def _shutdown_late(self) -> None:
        if self._lower is not None:
            self._end()
            self._force_lower(asyncio.TimeoutError("SSL shutdown timed out"))

    def _fatal(self, exc: BaseException, message: str) -> None:
        """The connection ends by *exc*. What the network or the peer does is no error of the program: only others are reported."""
        if self._state is CLOSED:
            return
        self._end()
        if self._lower is not None:
            if self._machine.pending():
                self._send()  # an alert: the peer shall know why
            self._send_held()
            self._force_lower(exc)
        if isinstance(exc, OSError):
            self._note(message, exc)
        elif not isinstance(exc, asyncio.CancelledError):
            self._report(message, exc)
        self._wake(exc)

    def _protocol_failed(self, method: str, exc: BaseException) -> None:
        self._fatal_error(exc, _FATAL)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        """End the connection by what its protocol did: what was written before may still leave."""
        if self._state is OPEN:
            self._flush()
        self._fatal(exc, message)

    def _shown(self) -> Any:
        return self._face

    def _wake(self, exc: Any) -> None:
        waiter = self._waiter
        self._waiter = None
        if waiter is not None and not waiter.done():
            if exc is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(exc)

    # --- asking --------------------------------------------------------------------------------------------------------

    def extra_info(self, name: str, default: Any) -> Any:
        """What `get_extra_info` answers: of TLS, and else what the transport below says."""
        if name == "sslcontext":
            return self._sslcontext
        if name == "socket":
            self._flush()  # see `TcpTransport.get_extra_info`
        shaken = self._machine.ssl_object if self._machine.shaken else None
        if shaken is not None:
            if name == "ssl_object":
                return shaken
            if name == "peercert":
                return shaken.getpeercert()
            if name == "cipher":
                return shaken.cipher()
            if name == "compression":
                return shaken.compression()
        return default if self._lower is None else self._lower.get_extra_info(name, default)

    def statistics(self) -> dict[str, Any]:
        """The state, the plaintext that waits, and what the machine holds, in bytes."""
        return {"state": self._state, "queued": self._queue.size, "machine": self._machine.statistics()}

    def __repr__(self) -> str:
        return f"<TlsLayer {self._state} over {self._lower!r}>"


def _seconds(name: str, given: Any, default: float) -> Any:
    if given is None:
        return default
    if given <= 0:
        raise ValueError(f"{name} should be a positive number, got {given}")
    return given


def _default_context(server_side: bool, server_hostname: Any) -> Any:
    if server_side:
        raise ValueError("Server side SSL needs a valid SSLContext")
    context = ssl.create_default_context()
    if not server_hostname:
        context.check_hostname = False
    return context
