"""From names to addresses: `getaddrinfo`, `getnameinfo`.

What lives here: which look-ups need a thread, and which do not. What may not: sockets.
"""

from __future__ import annotations

import socket
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.loop.fds import FdMixin

skip_globals(globals())


def resolve_literal(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
    """What `socket.getaddrinfo` gives for an address literal and a numeric port, without blocking; None for all others.

    With AI_NUMERICHOST the system's own parser answers and asks nobody (POSIX), so that the result is exactly the one that a thread
    would have got: scoped addresses ("fe80::1%lo") and the old forms of IPv4 ("127.1") included.
    """
    if host is not None:
        if not isinstance(host, (str, bytes)) or not host:
            return None
        text = host if isinstance(host, str) else host.decode("latin-1")
        if ":" not in text and not text[-1].isdigit():
            return None
    if not (port is None or isinstance(port, int) or (isinstance(port, (str, bytes)) and port.isdigit())):
        return None
    try:
        return socket.getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None  # a name that looks like an address, or an error: let the full look-up find the words for it


class ResolverMixin(FdMixin):
    """Names and addresses."""

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """`socket.getaddrinfo` without blocking the loop: in the default executor, or at once for address literals."""
        infos = resolve_literal(host, port, family, type, proto, flags)
        if infos is not None:
            return infos
        return await self.run_in_executor(None, socket.getaddrinfo, host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        """`socket.getnameinfo` in the default executor; with NI_NUMERICHOST and NI_NUMERICSERV at once."""
        if flags & socket.NI_NUMERICHOST and flags & socket.NI_NUMERICSERV and resolve_literal(*sockaddr[:2]) is not None:
            return socket.getnameinfo(sockaddr, flags)
        return await self.run_in_executor(None, socket.getnameinfo, sockaddr, flags)

    async def _ensure_resolved(
        self, address: Any, *, family: int = 0, type: int = socket.SOCK_STREAM, proto: int = 0, flags: int = 0
    ) -> Any:
        """The addrinfos of *address*, (host, port) or an IPv6 tuple, at least one."""
        host, port = address[:2]
        infos = await self.getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
        if not infos:
            raise OSError(f"getaddrinfo({host!r}) returned empty list")
        # Flow label and scope are no part of a look-up: they are the caller's (cpython 79139)
        if len(address) == 4 and all(len(info[4]) == 4 for info in infos):
            infos = [(*info[:4], (*info[4][:2], address[2], address[3] or info[4][3])) for info in infos]
        return infos
