"""From names to addresses: `getaddrinfo`, `getnameinfo`.

What lives here: which look-ups need a thread, which do not, and the threads. What may not: sockets.

Look-ups have a pool of their own. The system's resolver blocks a thread for as long as a name server is silent; in the default
executor a few of those would hold up every `to_thread` of the program, and a program's long jobs would hold up every connect. The
pool is bounded, and the loop's end does not wait for it: a look-up that is still running then has nobody left to tell.
"""

from __future__ import annotations

import socket
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.loop.fds import FdMixin

skip_globals(globals())

LOOKUPS = 16  # threads at most: names that do not answer must not hold up those that do, and each costs a thread's stack

_system_getaddrinfo = socket.getaddrinfo
_ask = getattr(socket, "_socket", None) and socket._socket.getaddrinfo  # type: ignore[attr-defined]  # without enums
_families: dict[int, Any] = {}
_kinds: dict[int, Any] = {}


def resolve_literal(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
    """What `socket.getaddrinfo` gives for an address literal and a numeric port, without blocking; None for all others.

    With AI_NUMERICHOST the system's own parser answers and asks nobody (POSIX), so that the result is exactly the one that a thread
    would have got: scoped addresses ("fe80::1%lo") and the old forms of IPv4 ("127.1") included. A program that has put another
    function in the place of `socket.getaddrinfo` is asked for everything.
    """
    if host is not None:
        if not isinstance(host, (str, bytes)) or not host:
            return None
        text = host if isinstance(host, str) else host.decode("latin-1")
        if ":" not in text and not text[-1].isdigit():
            return None
    if not (port is None or isinstance(port, int) or (isinstance(port, (str, bytes)) and port.isdigit())):
        return None
    if socket.getaddrinfo is not _system_getaddrinfo:
        return None
    try:
        if _ask is None:
            return _system_getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        found = _ask(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None  # a name that looks like an address, or an error: let the full look-up find the words for it
    try:
        return [(_families[info[0]], _kinds[info[1]], *info[2:]) for info in found]
    except KeyError:
        return [(_family(info[0]), _kind(info[1]), *info[2:]) for info in found]


def _family(number: int) -> Any:
    """As `socket.getaddrinfo` gives it: a `socket.AddressFamily`, or the number if that has no name."""
    if number not in _families:
        try:
            _families[number] = socket.AddressFamily(number)
        except ValueError:
            _families[number] = number
    return _families[number]


def _kind(number: int) -> Any:
    if number not in _kinds:
        try:
            _kinds[number] = socket.SocketKind(number)
        except ValueError:
            _kinds[number] = number
    return _kinds[number]


class ResolverMixin(FdMixin):
    """Names and addresses."""

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """`socket.getaddrinfo` without blocking the loop: in a thread, or at once for address literals.

        Results and errors are exactly its. A cancellation point if it needs a thread.
        """
        infos = resolve_literal(host, port, family, type, proto, flags)
        if infos is not None:
            return infos
        return await self._look_up(socket.getaddrinfo, host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        """`socket.getnameinfo` in a thread; at once with NI_NUMERICHOST and NI_NUMERICSERV, which ask nobody."""
        if flags & socket.NI_NUMERICHOST and flags & socket.NI_NUMERICSERV and resolve_literal(*sockaddr[:2]) is not None:
            return socket.getnameinfo(sockaddr, flags)
        return await self._look_up(socket.getnameinfo, sockaddr, flags)

    def _look_up(self, function: Any, *args: Any) -> Any:
        """A future for ``function(*args)`` in a thread of the pool. Cancelling it forgets a look-up that has begun."""
        if self._lookup_pool is None:
            self._check_closed()
            if self._executor_shutdown_called:
                raise RuntimeError("Executor shutdown has been called")
            from yieldloop.loop.pool import Pool

            self._lookup_pool = Pool(LOOKUPS, "yieldloop-names")
        self._handed_to_thread(function)
        return self._lookup_pool.start(self, function, args)

    def _end_lookups(self) -> None:
        """End the pool. Threads that wait for work are waited for, which takes no time; those that look something up are left."""
        pool, self._lookup_pool = self._lookup_pool, None
        if pool is None:
            return
        from yieldloop.loop.pool import leave_thread

        pool.shutdown(wait=False, cancel_futures=True)
        if pool.running():
            for thread in pool._threads:
                leave_thread(thread)
        else:
            pool.shutdown(wait=True)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait until the default executor's threads have ended, for at most *timeout* s (then warn and leave them).

        The threads that look up names end as well, and are not waited for.
        """
        self._end_lookups()
        await super().shutdown_default_executor(timeout)

    def _release(self) -> None:
        self._end_lookups()
        super()._release()

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
