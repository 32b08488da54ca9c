"""What is asked of a socket once, when its transport begins or ends.

What lives here: socket options and names. What may not: anything that is on the way of a message (this file stays interpreted).
"""

from __future__ import annotations

import socket
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
