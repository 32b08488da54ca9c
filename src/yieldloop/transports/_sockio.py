"""The C leaf of the transports, in Python: bytes in and out of a non-blocking socket, and a protocol's method called.

What lives here: one system call a function, and nothing that remembers. ``_sockio.pyx`` is the compiled twin with the same names;
nothing above this file knows which of the two it uses. "Not now" (EAGAIN, EINTR) is a return value and not an exception: it is
no error, and making an exception costs more than the system call did.

Each function takes the socket and its descriptor: this file uses the first, the twin the second. Each call says itself that it does
not wait: whether the socket blocks is a property of the open file, and a child that was given a duplicate of it (a shell for its
standard input) may have changed that.
"""

from __future__ import annotations

import contextvars
import itertools
import os
import socket
from typing import Any

RECEIVE = 256 * 1024  # bytes asked for at once; the twin keeps one buffer of that size a process and copies what came
VIEW = 64 * 1024  # bytes: what a `recv_view` takes at most
OWN = 120 * 1024  # bytes: what a `recv_large` takes at most; glibc maps blocks from 128 KiB on, and each of their pages is a fault
MOST_PIECES = min(256, os.sysconf("SC_IOV_MAX") if "SC_IOV_MAX" in getattr(os, "sysconf_names", ()) else 16)
AGAIN = -1  # the call would have blocked
NOW = getattr(socket, "MSG_DONTWAIT", 0)

_sendmsg = hasattr(socket.socket, "sendmsg")


def recv_bytes(sock: Any, fd: int) -> bytes | None:
    """What has arrived (at most RECEIVE bytes), b"" at the end of the stream, None if there is nothing now. OSError."""
    try:
        return sock.recv(RECEIVE, NOW)  # type: ignore[no-any-return]
    except (BlockingIOError, InterruptedError):
        return None


def recv_large(sock: Any, fd: int, wanted: int) -> bytes | None:
    """As `recv_bytes`, but at most *wanted* bytes (and OWN): what somebody waits for is received where it stays, without a copy."""
    try:
        return sock.recv(min(wanted, OWN), NOW)  # type: ignore[no-any-return]
    except (BlockingIOError, InterruptedError):
        return None


def recv_view(sock: Any, fd: int) -> Any:
    """As `recv_bytes`, but at most VIEW bytes, and what is returned (bytes-like) may be overwritten by the next call in this
    process: for who copies it at once.
    """
    try:
        return sock.recv(VIEW, NOW)
    except (BlockingIOError, InterruptedError):
        return None


def recv_into(sock: Any, fd: int, buffer: Any) -> int:
    """Receive into *buffer* (writable, contiguous); the number of bytes, 0 at the end, AGAIN. OSError, BufferError, TypeError."""
    try:
        return sock.recv_into(buffer, 0, NOW)  # type: ignore[no-any-return]
    except (BlockingIOError, InterruptedError):
        return AGAIN


def send_bytes(sock: Any, fd: int, data: Any) -> int:
    """Send as much of *data* (bytes-like) as the kernel takes; the number of bytes, or AGAIN. OSError."""
    try:
        return sock.send(data, NOW)  # type: ignore[no-any-return]
    except (BlockingIOError, InterruptedError):
        return AGAIN


def send_pieces(sock: Any, fd: int, pieces: Any) -> int:
    """As `send_bytes`, for the first MOST_PIECES of the deque *pieces* in one system call."""
    try:
        if _sendmsg:
            return sock.sendmsg(itertools.islice(pieces, MOST_PIECES), (), NOW)  # type: ignore[no-any-return]
        return sock.send(pieces[0], NOW)  # type: ignore[no-any-return]
    except (BlockingIOError, InterruptedError):
        return AGAIN


def tell(context: contextvars.Context, protocol: Any, method: str) -> Any:
    """``protocol.method()`` in a copy of *context*."""
    return context.copy().run(getattr(protocol, method))


def tell_of(context: contextvars.Context, protocol: Any, method: str, what: Any) -> Any:
    """``protocol.method(what)`` in a copy of *context*."""
    return context.copy().run(getattr(protocol, method), what)
