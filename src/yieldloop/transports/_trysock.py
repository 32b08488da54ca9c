"""One try at a program's own socket, in Python: what would block answers "not now" and waits for nothing.

What lives here: the system calls behind `sock_*`, and nothing that remembers. ``_trysock.pyx`` is the compiled twin with the same
names; nothing above this file knows which of the two it uses. "Not now" (EAGAIN, EINTR) is a return value and not an exception.

The twin makes the system call itself if the socket is exactly a `socket.socket`, with MSG_DONTWAIT: a socket that was left
blocking cannot hold up the loop then. Everything else (subclasses, look-alikes) is asked by its methods, as here.
"""

from __future__ import annotations

from typing import Any

AGAIN = -1  # the call would have blocked

NOT_NOW = (BlockingIOError, InterruptedError)


def fd_of(sock: Any) -> int:
    """``sock.fileno()``."""
    return sock.fileno()  # type: ignore[no-any-return]


def try_recv(sock: Any, fd: int, size: Any) -> bytes | None:
    """``sock.recv(size)``, or None for "not now"."""
    try:
        return sock.recv(size)  # type: ignore[no-any-return]
    except NOT_NOW:
        return None


def try_recv_into(sock: Any, fd: int, buffer: Any) -> int:
    """``sock.recv_into(buffer)``, or AGAIN."""
    try:
        return sock.recv_into(buffer)  # type: ignore[no-any-return]
    except NOT_NOW:
        return AGAIN


def try_send(sock: Any, fd: int, data: Any) -> int:
    """``sock.send(data)``, or AGAIN."""
    try:
        return sock.send(data)  # type: ignore[no-any-return]
    except NOT_NOW:
        return AGAIN
