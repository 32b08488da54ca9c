"""What is asked of a socket once, when its transport begins or ends.

What lives here: socket options and names. What may not: anything that is on the way of a message (this file stays interpreted).
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from asyncio import trsock
from collections.abc import Callable
from typing import Any


def set_nodelay(sock: Any) -> None:
    """Send small pieces at once (RFC 896's algorithm off), as every asyncio loop does. Nothing for what is no TCP socket."""
    if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass  # some other stream protocol, or already reset by the peer: the first read will say so


def name_of(ask: Callable[[], Any]) -> Any:
    """What *ask* (``sock.getsockname`` or ``sock.getpeername``) says, or None if the kernel does not know any more."""
    try:
        return ask()
    except OSError:
        return None


def answer(sock: Any, name: Any, known: Any) -> Any:
    """*known* (a dictionary or None) with the answer to *name*, if that is asked of a socket by `get_extra_info`."""
    if name == "socket":
        known = {} if known is None else known
        known["socket"] = trsock.TransportSocket(sock)
    elif name == "sockname" or name == "peername":
        known = names(sock, known)
    return known


def names(sock: Any, known: Any) -> Any:
    """*known* (a dictionary or None) with the two addresses of *sock*, as far as nobody has asked for them yet."""
    known = {} if known is None else known
    if "sockname" not in known:
        known["sockname"] = name_of(sock.getsockname)
    if "peername" not in known:
        known["peername"] = name_of(sock.getpeername)
    return known


# Linux, of a socket's memory: nine 32-bit counts, the last of them datagrams dropped (sock_diag(7): SK_MEMINFO_DROPS). Asked when
# somebody wants to know, it costs nothing on the way of a datagram, and knows of drops after which nothing more has arrived.
# Refused: SO_RXQ_OVFL, a control message with each datagram, which tells the same count later.
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=9I")
_OTHER_NUMBERS = ("alpha", "parisc", "parisc64", "sparc", "sparc64")
_HAS_MEMINFO = sys.platform == "linux" and os.uname().machine not in _OTHER_NUMBERS


def receive_drops(sock: Any) -> int | None:
    """Datagrams that came for *sock* when its receive buffer was full, since it was opened; None if the system does not say."""
    if not _HAS_MEMINFO:
        return None
    try:
        return _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[-1]  # type: ignore[no-any-return]
    except (OSError, struct.error, TypeError):  # an old kernel; the socket is gone, or a look-alike
        return None
