"""TLS without I/O: fed ciphertext and intents, it hands back events, plaintext and ciphertext.

What lives here: `TlsMachine`, around an `ssl.SSLObject` and its two `ssl.MemoryBIO`. What may not: sockets, a loop, a clock,
calling anybody. Time-outs, flow control and who is told are the transport's (``transports/tlslayer.py``).

The state is a word, the table below says which event leads where; every other pair changes nothing:

    state         event    next          meaning of the event
    new           start    handshaking   (an intent)
    handshaking   shaken   open          the handshake is done
    handshaking   error    failed        `error` says why: no common version, a bad certificate, garbage, the end of the stream
    open          data     open          `data` is plaintext
    open          eof      peer closed   the peer sends nothing more: its close_notify, or the end of the stream
    open          error    failed        garbage, a changed record, a fatal alert, an attempt to renegotiate
    open          close    closing       (an intent) our close_notify is among what is to be sent
    peer closed   close    closed        (an intent)
    closing       done     closed        the peer's close_notify or the end of its stream came; data before it was dropped
    closing       error    failed

`want` is the event that says "nothing more until you feed me". After every call, what is to be sent waits in `take`.

Rules for the editor:
1. Never ask OpenSSL to read when no record is complete: its way to say so is an exception, which costs as much as a record.
   The headers are read here (`walk`), so that what is incomplete is known. A stream whose headers make no sense (a hello of
   SSL 2.0, garbage) is read without that knowledge: OpenSSL says what it thinks of it.
2. What was decrypted before an error or an end is handed out before it.
3. A renegotiation (TLS up to 1.2; 1.3 has none) is refused: a handshake record after the handshake is an error. It lets the peer
   have us do a handshake's work for a message of it, and no asyncio program can take part in it.
"""

from __future__ import annotations

import ssl
from typing import Any

from yieldloop.wire._records import walk

__all__ = ("TlsMachine", "TRANSITIONS")

NEW = "new"
HANDSHAKING = "handshaking"
OPEN = "open"
PEER_CLOSED = "peer closed"
CLOSING = "closing"
CLOSED = "closed"
FAILED = "failed"

START = "start"
SHAKEN = "shaken"
DATA = "data"
EOF = "eof"
DONE = "done"
ERROR = "error"
WANT = "want"
CLOSE = "close"

# The table above, as data.
TRANSITIONS = {
    (NEW, START): HANDSHAKING,
    (HANDSHAKING, SHAKEN): OPEN,
    (HANDSHAKING, ERROR): FAILED,
    (OPEN, DATA): OPEN,
    (OPEN, EOF): PEER_CLOSED,
    (OPEN, ERROR): FAILED,
    (OPEN, CLOSE): CLOSING,
    (PEER_CLOSED, CLOSE): CLOSED,
    (PEER_CLOSED, ERROR): FAILED,
    (CLOSING, DONE): CLOSED,
    (CLOSING, ERROR): FAILED,
}

RECORD = 16384  # bytes: the most plaintext in one record, and so the most that one read of OpenSSL's returns
MOST = 256 * 1024  # bytes that are joined for one event; more is the next event's
HANDSHAKE = 22  # the type of a record

# Not an error: OpenSSL has to be fed before it can go on. A system error without a system has that meaning too.
_Again = (ssl.SSLWantReadError, ssl.SSLSyscallError)
_ZeroReturn = ssl.SSLZeroReturnError


class TlsMachine:
    """One side of a TLS connection. The arguments are those of `ssl.SSLContext.wrap_bio`, which raises what it does."""

    __slots__ = (
        "state",  # a word of the table
        "data",  # the plaintext of the last `data` event, until the caller takes it
        "error",  # the exception of the `error` event, or None
        "shaken",  # the handshake was done, whatever came after
        "ssl_object",  # the ssl.SSLObject, for whoever asks for certificates and ciphers
        "_cut",  # the stream of the peer ended: nothing more can be fed, and no close_notify is sent
        "_framed",  # the headers have made sense so far
        "_head",  # the first bytes of a header that is not all there (less than 5), else b""
        "_incoming",
        "_inside",  # OpenSSL may have taken more from the BIO than it gave back: part of a record, or plaintext
        "_later",  # the event that is due when all that is complete has been read, or None
        "_missing",  # bytes that the last record still lacks
        "_outgoing",
        "_raw",  # what does the work behind ssl_object: one Python call less a record
        "_refused",  # the type of record that is refused, or -1
        "_tail",  # bytes of the last record, in the incoming BIO, while it is not complete
    )

    def __init__(self, context: Any, server_side: bool = False, server_hostname: Any = None) -> None:
        self.state = NEW
        self.data: Any = None
        self.error: Any = None
        self.shaken = False
        self._cut = False
        self._framed = True
        self._head = b""
        self._inside = False
        self._later: Any = None
        self._missing = 0
        self._refused = -1
        self._tail = 0
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        # A class of the program's own (SSLContext.sslobject_class) may have its own read() and write().
        own = type(self.ssl_object) is not ssl.SSLObject
        self._raw = self.ssl_object if own else getattr(self.ssl_object, "_sslobj", self.ssl_object)

    # --- ciphertext ----------------------------------------------------------------------------------------------------

    def feed(self, data: Any) -> None:
        """Ciphertext (bytes-like; copied) has come. Then ask `next_event` until it says ``want``."""
        if self._cut or self.state is CLOSED or self.state is PEER_CLOSED:
            return
        if self._framed:
            data = self._frame(data)
        self._incoming.write(data)

    def _frame(self, data: Any) -> Any:
        """Follow the headers through *data*; returns what OpenSSL is to see of it."""
        size = len(data)
        if self._missing > size:  # the middle of a long record
            self._missing -= size
            self._tail += size
            return data
        known = len(self._head)
        if known:
            return self._frame_head(data, known, size)
        end = walk(data, self._missing, self._refused)
        if end < 0:
            return self._stray(data, -1 - end, data[-1 - end])
        self._begin(data, end, size)
        return data

    def _begin(self, data: Any, end: int, size: int) -> None:
        """A record that is not all there begins at the offset *end* of *data*, or ends there."""
        self._tail = size - end
        self._missing = 0
        if self._tail >= 5:
            self._missing = 5 + (data[end + 3] << 8 | data[end + 4]) - self._tail
        elif self._tail:
            self._head = bytes(data[end:])

    def _frame_head(self, data: Any, known: int, size: int) -> Any:
        """*data* goes on in the middle of a header. It is rare, so it is done in the plainest way: begin again with the header."""
        head = self._head
        self._head = b""
        whole = head + bytes(data)
        end = walk(whole, 0, self._refused)
        if end < 0:
            return self._stray(data, max(-1 - end - known, 0), whole[-1 - end])
        self._begin(whole, end, known + size)
        return data

    def _stray(self, data: Any, at: int, kind: int) -> Any:
        """At that offset stands what is no record, or one of a *kind* that is refused."""
        self._tail = 0
        self._missing = 0
        self._framed = False
        if kind != self._refused:
            return data
        self._cut = True
        self.error = ssl.SSLError(
            ssl.SSL_ERROR_SSL,
            "[SSL: NO_RENEGOTIATION] the peer asked for a renegotiation, which is refused; let both sides speak TLS 1.3 "
            "if keys or certificates have to change during a connection",
        )
        self._later = ERROR
        return data[:at]

    def feed_eof(self) -> None:
        """The peer's stream has ended. What can be decrypted still is; then comes ``eof``, ``done`` or ``error``."""
        if self._cut or self.state is CLOSED or self.state is FAILED:
            return
        self._cut = True
        self._framed = False
        if self._later is not None:
            return
        if self.state is OPEN:
            self._later = EOF
        elif self.state is CLOSING:
            self._later = DONE
        elif self.state is not PEER_CLOSED:
            self.error = ConnectionResetError(
                "the peer closed the connection during the TLS handshake: it may not speak TLS on this port, or it refused ours"
            )
            self._later = ERROR

    def pending(self) -> int:
        """The number of bytes that wait to be sent."""
        return self._outgoing.pending

    def take(self) -> bytes:
        """What is to be sent to the peer now; b"" if nothing. An alert that explains a failure is among it."""
        return self._outgoing.read()

    # --- events --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the handshake (a client's hello is then ready to be sent). RuntimeError if it has begun already."""
        if self.state is not NEW:
            raise RuntimeError(f"the handshake of a TLS connection begins once, and this one is {self.state}")
        self.state = HANDSHAKING

    def next_event(self) -> str:
        """The next event, a word of the table or ``want``; for ``data``, `data` is the plaintext, which the caller takes away."""
        if self.state is OPEN:
            if self._readable() or (self._inside and self._raw.pending()):
                return self._read()
        elif self.state is HANDSHAKING:
            return self._shake()
        elif self.state is CLOSING:
            return self._drain()
        return WANT if self._later is None else self._late()

    def readable(self) -> bool:
        """True if `read_into` is likely to find plaintext: ask for the place to put it now."""
        return self.state is OPEN and (self._readable() or bool(self._raw.pending()))

    def _readable(self) -> bool:
        pending: int = self._incoming.pending
        return pending > self._tail if self._framed else pending > 0

    def _late(self) -> str:
        event: str = self._later
        self._later = None
        self.state = TRANSITIONS.get((self.state, event), self.state)
        return event

    def _failed(self, exc: BaseException) -> None:
        """*exc* ends the connection, after what was read before it."""
        self.error = exc
        self._later = ERROR
        self._cut = True

    def _shake(self) -> str:
        try:
            self._raw.do_handshake()
        except _Again:
            self._inside = True
            return WANT if self._later is None else self._late()
        except Exception as exc:  # SSLError, and what the program's own callbacks and checks raise
            self._failed(exc)
            return self._late()
        self.state = OPEN
        self.shaken = True
        if self._later is not None:  # the end of the stream came with the end of the handshake
            self._later = EOF
        if self.ssl_object.version() != "TLSv1.3":
            self._refused = HANDSHAKE
        return SHAKEN

    def _read(self) -> str:
        first: Any = None
        rest: Any = None
        total = 0
        while total < MOST:
            piece = self._read_record()
            if piece is None:
                break
            if first is None:
                first = piece
            elif rest is None:
                rest = [first, piece]
            else:
                rest.append(piece)
            if self._framed and self._incoming.pending <= self._tail:
                break
            total += len(piece)
        if first is None:
            return WANT if self._later is None else self._late()
        self.data = first if rest is None else b"".join(rest)
        return DATA

    def _read_record(self) -> Any:
        """The plaintext of one record; None if there is none: then `_later` says whether that is the end."""
        room = RECORD
        if self._framed and not self._inside and self._incoming.pending < RECORD:
            room = self._incoming.pending  # no record's plaintext is longer than the record
        try:
            piece = self._raw.read(room)
            self._inside = False
        except _Again:
            self._inside = True
            return None
        except _ZeroReturn:
            piece = b""
        except Exception as exc:
            self._failed(exc)
            return None
        if piece:
            return piece
        self._later = EOF
        self._incoming.read()  # what stands behind a close_notify is nobody's
        return None

    def read_into(self, buffer: Any) -> int:
        """Decrypt into *buffer* (writable, contiguous): the number of bytes, 0 if there are none, and then `next_event` says why.

        Raises what *buffer* is not good for (TypeError, BufferError); nothing is lost then.
        """
        view = memoryview(buffer)
        room = len(view)
        total = 0
        self._inside = True
        while total < room and self.readable():
            try:
                count = self._raw.read(room - total, view[total:])
            except _Again:
                break
            except _ZeroReturn:
                count = 0
            except (ssl.SSLError, OSError) as exc:
                self._failed(exc)
                break
            if not count:
                self._later = EOF
                self._incoming.read()
                break
            total += count
        return total

    def _drain(self) -> str:
        """We have closed: what still comes is dropped until the peer has closed too."""
        while self._later is None and self._incoming.pending:
            try:
                if not self._raw.read(RECORD):
                    self._later = DONE
            except _Again:
                break
            except _ZeroReturn:
                self._later = DONE
            except Exception as exc:
                self._failed(exc)
        return WANT if self._later is None else self._late()

    # --- intents -------------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> int:
        """Encrypt *data* (bytes-like); the number of bytes taken: all of them, unless OpenSSL first has to be fed.

        ValueError before the handshake is done and after our close.
        """
        if self.state is not OPEN and self.state is not PEER_CLOSED:
            raise ValueError(f"nothing can be encrypted while the TLS connection is {self.state}")
        try:
            return self._raw.write(data)  # type: ignore[no-any-return]
        except _Again:
            return 0

    def close(self) -> None:
        """Say that we send nothing more (close_notify). Then `state` is ``closed`` if the peer has said so too."""
        if self.state is not OPEN and self.state is not PEER_CLOSED:
            return
        if self._cut and self._later is not ERROR:
            self.state = CLOSED
            return
        # OpenSSL looks for the peer's close_notify at once, and takes unread data for an error that it does not forget.
        while self._later is None and self._readable():
            if self._read_record() is None:
                break
        self.state = CLOSING
        if self._later is ERROR:
            return
        self._later = None
        try:
            self.ssl_object.unwrap()
        except _Again:
            return
        except ssl.SSLError as exc:
            self._failed(exc)
            return
        self.state = CLOSED

    def statistics(self) -> dict[str, Any]:
        """The state, and the bytes that wait in either direction."""
        return {"state": self.state, "incoming": self._incoming.pending, "outgoing": self._outgoing.pending}

    def __repr__(self) -> str:
        return f"<TlsMachine {self.state} incoming={self._incoming.pending} outgoing={self._outgoing.pending}>"
