"""`sock_*`: one operation on a program's own socket, as an awaitable.

What lives here: try at once; if that would block, wait until it will not, and try again. What may not: transports, names, files.

The operation is made by the task that asked for it, not by the callback that wakes it: a task that is cancelled between the two has
taken nothing from the socket, so no byte is lost. Several tasks may wait for one side of a socket: all are woken, and whoever comes
too late waits again.

The socket is the program's. It may be closed without a word, and its number may be another file by the next call, so:
1. `SockSide` remembers (weakly) for which socket object it registered the descriptor. For the same object the kernel's registration
   is left in place between two waits (`borrow_*`, rule 4 of ``pollers/base.py``); for another one the kernel is asked again.
2. A call that has waited looks at the socket's number again before it tries: if that has changed, it would take another's bytes.
3. A call that is woken with nothing to take waits again. That is what level-triggered readiness asks of everybody.

A call is an object with a coroutine's methods in place of a coroutine (see ``engine/calls.py``): making a coroutine cost as much as
everything else here together.
"""

from __future__ import annotations

import errno
import os
import socket
import weakref
from typing import Any

from yieldloop.engine._leaf import Entry, returned, skip_globals
from yieldloop.engine.calls import Call, as_coroutine_function
from yieldloop.engine.futures import settle, succeeded
from yieldloop.pollers.sides import READ, WRITE
from yieldloop.transports._trysock import AGAIN, NOT_NOW, fd_of, try_recv, try_recv_into, try_send

NEW = "NEW"
PARKED = "PARKED"
OVER = "OVER"

try:
    from ssl import SSLSocket as _SSLSocket
except ImportError:  # a Python built without TLS
    _SSLSocket: Any = ()  # type: ignore[no-redef]
_Socket = socket.socket  # which cannot be TLS

skip_globals(globals())


class SockSide(Entry):
    """Who waits for one side of one descriptor of the program's: what the poller pushes when that side is ready."""

    __slots__ = (
        "_drained",  # the number of the poll after which a stream was last read to its end; -1: it was not
        "_early",  # how many of the waiters were there before the poll _stamp
        "_fd",
        "_poller",
        "_side",  # READ or WRITE
        "_socket",  # a weak reference to the socket that was registered last, or None
        "_stream",  # the socket is a byte stream: a receive that gets less than it has room for has got everything
        "_stamp",  # the number of the poller's poll after which the last waiter came
        "_waiters",  # futures of the tasks that wait, oldest first
    )

    def __init__(self, poller: Any, fd: int, side: int) -> None:
        self._poller = poller
        self._fd = fd
        self._side = side
        self._socket: Any = None
        self._drained = -1
        self._stream = False
        self._early = 0
        self._stamp = 0
        self._waiters: list[Any] = []

    def wait(self, loop: Any, sock: Any, used: bool) -> Any:
        """A future that is resolved when the side is ready. *used*: a transport has, or had, this descriptor.

        RuntimeError if a transport uses it; errors of `arm_reader`.
        """
        same = not used and self._socket is not None and self._socket() is sock
        if not same or not self._is_armed():
            if not same:
                loop._foreign_fd(sock)
            self._arm(sock, same)
        if self._stamp != self._poller._polls:
            self._stamp = self._poller._polls
            self._early = len(self._waiters)
        future = loop._new_future()
        self._waiters.append(future)
        return future

    def _is_armed(self) -> bool:
        armed = self._poller.reader(self._fd) if self._side == READ else self._poller.writer(self._fd)
        return armed is self

    def _arm(self, sock: Any, same: bool) -> None:
        if self._side == READ:
            previous = self._poller.borrow_reader(self._fd, self, same)
        else:
            previous = self._poller.borrow_writer(self._fd, self, same)
        if not same:
            self._drained = -1
            try:
                self._socket = weakref.ref(sock)
                self._stream = sock.type == socket.SOCK_STREAM
            except (TypeError, AttributeError):  # a look-alike: registered anew every time
                self._socket = None
        if previous is not None and previous is not self and hasattr(previous, "cancel"):
            previous.cancel()  # as `add_reader` does with the one before

    def _rest(self) -> None:
        if self._is_armed():
            if self._side == READ:
                self._poller.rest_reader(self._fd)
            else:
                self._poller.rest_writer(self._fd)

    def run(self) -> None:
        """The side is ready (or the descriptor was closed under us): everybody tries, in the next iteration.

        It stays armed until they do. To rest it here would make the poll between report it as unwanted, and cost two changes of the
        kernel's set a wait. That poll pushes us once more; those who have tried and waited again since then know better.
        """
        count = len(self._waiters)
        if self._stamp == self._poller._polls and self._is_armed():
            count = self._early
        woken = self._waiters
        self._waiters = []
        if count < len(woken):
            self._waiters = woken[count:]
            del woken[count:]
        self._early = 0
        if not woken and not self._waiters:
            self._rest()
        for future in woken:
            settle(future)

    def is_drained(self, sock: Any) -> bool:
        """True if *sock* was read to its end in this very iteration: to ask again before the next poll is a wasted system call."""
        return self._drained == self._poller._polls and self._socket is not None and self._socket() is sock

    def tried(self) -> None:
        """One of those who were woken tries now."""
        if not self._waiters:
            self._rest()

    def leave(self, future: Any) -> None:
        """Nobody waits on *future* any more."""
        for i, waiter in enumerate(self._waiters):
            if waiter is future:
                del self._waiters[i]
                if i < self._early:
                    self._early -= 1
                break
        if not self._waiters:
            self._rest()

    def cancel(self) -> None:
        """The descriptor's side was taken from us by `add_reader`, `remove_reader` or the like: whoever waits is told."""
        waiters = self._waiters
        self._waiters = []
        name = "reader" if self._side == READ else "writer"
        for future in waiters:
            if not future.done():
                future.set_exception(
                    RuntimeError(
                        f"a task waits in a sock_* call for file descriptor {self._fd}, and add_{name}() or remove_{name}() took "
                        "the descriptor from it: for one socket use either the sock_* methods or the callbacks"
                    )
                )

    def __repr__(self) -> str:
        return f"<{'reading' if self._side == READ else 'writing'} side of fd={self._fd}, {len(self._waiters)} waiting>"


class SockTable:
    """The sides of a loop's foreign sockets, by descriptor. A side stays when its socket is closed, for the next of its number."""

    __slots__ = (
        "_owned",  # by descriptor: the loop's transports; here only "is there one" is asked
        "_poller",
        "_reading",
        "_writing",
    )

    def __init__(self, poller: Any, owned: Any) -> None:
        self._poller = poller
        self._owned: dict[int, Any] = owned
        self._reading: dict[int, SockSide] = {}
        self._writing: dict[int, SockSide] = {}

    def _find(self, fd: int, side: int) -> Any:
        sides = self._reading if side == READ else self._writing
        found = sides.get(fd)
        if found is None:
            found = SockSide(self._poller, fd, side)
            sides[fd] = found
        return found

    def clear(self) -> None:
        """Forget everything: the loop is closed."""
        self._reading.clear()
        self._writing.clear()


class SockCall(Call):
    """One call. A subclass says what it tries, and in `named` what it is called. One use, like a coroutine.

    NEW ── try ──▶ OVER
     └─ not now ──▶ PARKED ── try ──▶ OVER (or PARKED again)
    """

    __slots__ = (
        "_fd",  # the socket's number when the call began
        "_future",  # what the caller's task is parked on, while PARKED
        "_loop",
        "_parked_on",  # the SockSide that will resolve it
        "_sock",
        "_state",
        "_wanted",  # READ or WRITE: what to wait for
    )

    def __init__(self, loop: Any, sock: Any, wanted: int) -> None:
        self._open(loop, sock, wanted)

    def _open(self, loop: Any, sock: Any, wanted: int) -> None:
        self._loop = loop
        self._sock = sock
        self._wanted = wanted
        self._fd = -1
        self._future: Any = None
        self._parked_on: Any = None
        self._state = NEW

    def attempt(self) -> Any:
        """Try once: an `Outcome`, or None for "not now"."""
        raise NotImplementedError("a call says what it tries")

    def advance(self) -> Any:
        try:
            if self._state is NEW:
                self._begin()
            elif self._state is PARKED:
                self._resume()
            else:
                raise RuntimeError("cannot reuse already awaited coroutine")
            got = self.attempt()
            if got is None:
                return self._park()
        except BaseException:
            self._end()
            raise
        self._end()
        return got

    def _begin(self) -> None:
        sock = self._sock
        if type(sock) is not _Socket and isinstance(sock, _SSLSocket):
            raise TypeError("Socket cannot be of type SSLSocket")
        if self._loop._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
        self._fd = fd_of(sock)

    def _resume(self) -> None:
        if not self._future.done():
            raise RuntimeError(f"{self!r} was resumed before its time: only the loop's task may drive it")
        if not succeeded(self._future):
            self._future.result()  # raises: somebody cancelled it
        self._future = None
        self._parked_on.tried()
        if fd_of(self._sock) != self._fd:
            raise OSError(
                errno.EBADF,
                f"{os.strerror(errno.EBADF)}: the socket was closed while a task waited for it in {self.named()}(); "
                "cancel the task before closing the socket",
            )

    def _park(self) -> Any:
        self._state = PARKED
        table = self._loop._socks
        side = table._find(self._fd, self._wanted)
        future = side.wait(self._loop, self._sock, self._fd in table._owned)
        self._parked_on = side
        self._future = future
        future._asyncio_future_blocking = True
        return future

    def _is_drained(self) -> bool:
        table = self._loop._socks
        side = table._reading.get(self._fd)
        return side is not None and side.is_drained(self._sock)

    def _note_drained(self) -> None:
        side = self._parked_on
        if side is not None and side._stream:
            side._drained = side._poller._polls

    def _end(self) -> None:
        self._state = OVER
        self._future = None
        self._parked_on = None
        self._sock = None

    def close(self) -> None:
        """End without a result."""
        if self._parked_on is not None and self._future is not None:
            self._parked_on.leave(self._future)
        self._end()

    def is_new(self) -> bool:
        return self._state is NEW

    def waits_for(self) -> Any:
        return self._future

    def __repr__(self) -> str:
        return f"<{self.named()} fd={self._fd} {self._state.lower()}>"


# --- receiving ---------------------------------------------------------------------------------------------------------


class Recv(SockCall):
    """`sock_recv`."""

    __slots__ = ("_size",)

    def __init__(self, loop: Any, sock: Any, size: Any) -> None:
        self._open(loop, sock, READ)
        self._size = size

    def named(self) -> str:
        return "sock_recv"

    def attempt(self) -> Any:
        if self._state is NEW and self._is_drained():
            return None
        data = try_recv(self._sock, self._fd, self._size)
        if data is None:
            return None
        if type(self._size) is int and len(data) < self._size:
            self._note_drained()
        return returned(data)


class RecvInto(SockCall):
    """`sock_recv_into`."""

    __slots__ = ("_buffer",)

    def __init__(self, loop: Any, sock: Any, buffer: Any) -> None:
        self._open(loop, sock, READ)
        self._buffer = buffer

    def named(self) -> str:
        return "sock_recv_into"

    def attempt(self) -> Any:
        if self._state is NEW and self._is_drained():
            return None
        count = try_recv_into(self._sock, self._fd, self._buffer)
        return None if count == AGAIN else returned(count)


class RecvFrom(SockCall):
    """`sock_recvfrom` without a buffer, `sock_recvfrom_into` with one."""

    __slots__ = ("_buffer", "_size")

    def __init__(self, loop: Any, sock: Any, buffer: Any, size: Any) -> None:
        self._open(loop, sock, READ)
        self._buffer = buffer
        self._size = size

    def named(self) -> str:
        return "sock_recvfrom" if self._buffer is None else "sock_recvfrom_into"

    def attempt(self) -> Any:
        try:
            if self._buffer is None:
                return returned(self._sock.recvfrom(self._size))
            return returned(self._sock.recvfrom_into(self._buffer, self._size or len(self._buffer)))
        except NOT_NOW:
            return None


class Accept(SockCall):
    """`sock_accept`."""

    __slots__ = ()

    def __init__(self, loop: Any, sock: Any) -> None:
        self._open(loop, sock, READ)

    def named(self) -> str:
        return "sock_accept"

    def attempt(self) -> Any:
        try:
            conn, address = self._sock.accept()
        except NOT_NOW:
            return None
        conn.setblocking(False)
        return returned((conn, address))


# --- sending -----------------------------------------------------------------------------------------------------------


class SendAll(SockCall):
    """`sock_sendall`."""

    __slots__ = (
        "_data",  # what is still to be sent: at first what the caller gave, then a view of its rest
        "_left",  # its size in bytes; -1 before the first try
    )

    def __init__(self, loop: Any, sock: Any, data: Any) -> None:
        self._open(loop, sock, WRITE)
        self._data = data
        self._left = -1

    def named(self) -> str:
        return "sock_sendall"

    def attempt(self) -> Any:
        sent = try_send(self._sock, self._fd, self._data)
        if self._left < 0:
            self._left = len(self._data) if type(self._data) is bytes else memoryview(self._data).nbytes
        if sent == AGAIN:
            return None
        if sent < self._left:
            self._data = memoryview(self._data).cast("B")[sent:]
            self._left -= sent
            return None
        self._data = None
        return returned(None)


class SendTo(SockCall):
    """`sock_sendto`."""

    __slots__ = ("_address", "_data")

    def __init__(self, loop: Any, sock: Any, data: Any, address: Any) -> None:
        self._open(loop, sock, WRITE)
        self._data = data
        self._address = address

    def named(self) -> str:
        return "sock_sendto"

    def attempt(self) -> Any:
        try:
            return returned(self._sock.sendto(self._data, self._address))
        except NOT_NOW:
            return None


class Ready(SockCall):
    """Waits until a side is ready, and does nothing then: for what is not one system call."""

    __slots__ = (
        "_for",  # the method of the loop that waits
        "_waited",
    )

    def __init__(self, loop: Any, sock: Any, wanted: int, name: str) -> None:
        self._open(loop, sock, wanted)
        self._for = name
        self._waited = False

    def named(self) -> str:
        return self._for

    def attempt(self) -> Any:
        if self._waited:
            return returned(None)
        self._waited = True
        return None


# --- the loop's methods ------------------------------------------------------------------------------------------------


def sock_recv(self: Any, sock: Any, nbytes: int) -> Any:
    """Up to *nbytes* bytes, at least one; b"" at the end. Awaitable, a cancellation point if it has to wait."""
    call = Recv.__new__(Recv)  # without the call of a class, which costs as much as the rest
    call._open(self, sock, READ)
    call._size = nbytes
    return call


def sock_recv_into(self: Any, sock: Any, buf: Any) -> Any:
    """Receive into *buf*; the number of bytes, 0 at the end. Awaitable, a cancellation point if it has to wait."""
    call = RecvInto.__new__(RecvInto)
    call._open(self, sock, READ)
    call._buffer = buf
    return call


def sock_recvfrom(self: Any, sock: Any, bufsize: int) -> Any:
    """One datagram of at most *bufsize* bytes, and its sender. Awaitable, a cancellation point if it has to wait."""
    return RecvFrom(self, sock, None, bufsize)


def sock_recvfrom_into(self: Any, sock: Any, buf: Any, nbytes: int = 0) -> Any:
    """One datagram into *buf* (at most *nbytes*, 0: as many as fit); its size and sender. Awaitable, as `sock_recvfrom`."""
    return RecvFrom(self, sock, buf, nbytes)


def sock_sendall(self: Any, sock: Any, data: Any) -> Any:
    """Send all of *data*. After an error or a cancellation nobody knows how much was sent. Awaitable."""
    call = SendAll.__new__(SendAll)
    call._open(self, sock, WRITE)
    call._data = data
    call._left = -1
    return call


def sock_sendto(self: Any, sock: Any, data: Any, address: Any) -> Any:
    """Send *data* as a datagram to *address* (no name: it is not resolved); the number of bytes sent. Awaitable."""
    return SendTo(self, sock, data, address)


def sock_accept(self: Any, sock: Any) -> Any:
    """The next connection of the listening *sock*: (non-blocking socket, address of the peer). Awaitable."""
    return Accept(self, sock)


for _method in (sock_recv, sock_recv_into, sock_recvfrom, sock_recvfrom_into, sock_sendall, sock_sendto, sock_accept):
    as_coroutine_function(_method)
