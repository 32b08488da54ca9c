"""Facts about things that tasks wait for, read without running a line of the program's code.

What lives here: `End`, and looking at sockets, transports, handles and timers. What may not: threads (`jobs`), and which of them
a task waits for (`waits`, `ends`).
"""

from __future__ import annotations

import asyncio
import functools
import operator
import re
import socket
import types
from asyncio import tasks as _tasks
from asyncio import trsock
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from yieldloop.engine.tasks import Task

_TASKS: Any = (Task, asyncio.Task, _tasks._PyTask)  # type: ignore[attr-defined]
MOST_NAMED = 20  # waiters of one thing, and in documents holders, that are named; `waiting` and "holding" count all
_LIBRARY = ("yieldloop.", "asyncio.", "uvloop.")
# Methods of objects; those of C have two types, of which the second has no name in `types`.
BOUND = (types.MethodType, types.BuiltinMethodType, type(re.compile("").match))


@dataclass(slots=True)
class End:
    """What a task waits for. What is not known, or does not apply, is None or empty."""

    kind: str  # future timer fd lock semaphore condition event barrier queue thread child task gather unknown
    label: str
    holders: tuple[int, ...] = ()  # tasks that hold it; of a pool's threads, those that wait for what they do
    threads: tuple[Any, ...] = ()  # of a job that waits for a thread: what those are busy with (`jobs.Work`)
    known_to: tuple[int, ...] = ()  # tasks that have it in a variable: they may set the future, or hold the lock
    waiters: tuple[int, ...] = ()  # the first of those that wait for the same thing, this task included
    waiting: int = 0  # how many wait for it, this task included
    tasks: tuple[int, ...] = ()  # the tasks that it waits for
    when_ns: int | None = None  # when it comes, by the loop's clock
    fd: int | None = None
    peer: str | None = None
    local: str | None = None
    direction: str | None = None  # read | write | accept | connect | close
    function: str | None = None
    thread: str | None = None
    pid: int | None = None
    thing: Any = field(default=None, repr=False, compare=False)  # the lock, queue, … itself

    def as_json(self) -> dict[str, Any]:
        """As a dictionary of plain values, of what is known only. Of many holders the first, and how many there are as "holding":
        as many tasks may wait for them.
        """
        told = {}
        for name, value in zip(_TOLD, _told(self), strict=True):
            if value is not None and value != ():
                told[name] = value if type(value) is not tuple else list(value)
        if len(self.holders) > MOST_NAMED:
            told |= {"holders": list(self.holders[:MOST_NAMED]), "holding": len(self.holders)}
        if self.threads:
            told["threads"] = [work.as_json() for work in self.threads]
        return told

    @property
    def needs(self) -> tuple[int, ...]:
        """The tasks that have to do something before this wait can end, as far as they are known."""
        return self.tasks + self.holders


_TOLD = [name for name in End.__dataclass_fields__ if name != "thing"]
_told = operator.attrgetter(*_TOLD)


def is_task_type(kind: type) -> bool:
    """True for the tasks of ours and of the standard library."""
    return issubclass(kind, _TASKS)


def place_of(thing: Any) -> str:
    """Class and address: what can be said of any object without running its code."""
    return f"{type(thing).__name__} at {hex(id(thing))}"


def function_name(function: Any) -> str:
    """The name of the function that a callable comes down to (`to_thread` wraps it); runs no code of the program's."""
    for _ in range(20):
        if isinstance(function, functools.partial):
            inner = function.func
            inside = type(inner) is types.BuiltinMethodType and isinstance(inner.__self__, Context) and function.args
            function = function.args[0] if inside else inner
        elif type(function) is types.MethodType:
            function = function.__func__
        else:
            break
    if isinstance(function, (types.FunctionType, types.BuiltinFunctionType, type)):
        return f"{function.__qualname__}()"
    return f"a {type(function).__qualname__} object"


def address(where: Any) -> str | None:
    """A socket's address as people write it."""
    if isinstance(where, tuple) and len(where) >= 2 and isinstance(where[0], str):
        return f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"
    if isinstance(where, bytes):
        return "@" + where[1:].decode(errors="replace") if where[:1] == b"\0" else where.decode(errors="replace")
    return str(where) if isinstance(where, str) and where else None


def of_socket(sock: Any) -> tuple[int | None, str | None, str | None]:
    """(descriptor, peer, local) of a socket, as far as they can be had."""
    if isinstance(sock, trsock.TransportSocket):
        sock = sock._sock  # type: ignore[attr-defined]
    if not isinstance(sock, socket.socket):
        return None, None, None
    peer = local = None
    try:
        peer = address(sock.getpeername())
    except OSError:
        pass
    try:
        local = address(sock.getsockname())
    except OSError:
        pass
    fd = sock.fileno()
    return (fd if fd >= 0 else None), peer, local


def of_transport(transport: Any) -> tuple[int | None, str | None, str | None]:
    """(descriptor, peer, local) of a transport of a library that we know."""
    if transport is None or not type(transport).__module__.startswith(_LIBRARY):
        return None, None, None
    fd, peer, local = of_socket(transport.get_extra_info("socket"))
    if fd is None:
        pipe = transport.get_extra_info("pipe")
        if pipe is not None and type(pipe).__module__ in ("io", "_io") and not pipe.closed:
            fd = pipe.fileno()
    told = address(transport.get_extra_info("peername"))
    return fd, peer if told is None else told, local


def ns_of(when: float) -> int:
    return int(when * 1e9)


def callbacks_of(future: Any) -> list[Any]:
    """The callables that will be told when *future* is done."""
    found = []
    if hasattr(type(future), "_entries"):  # ours: `_callbacks` would copy contexts, which only the loop's thread may
        for entry in future._entries():
            callback = getattr(entry, "_callback", None)
            if callback is not None:
                found.append(callback)
        return found
    for entry in list(getattr(future, "_callbacks", None) or ()):
        found.append(entry[0] if isinstance(entry, tuple) else entry)
    return found


def parts_of_handle(handle: Any) -> list[Any]:
    """The objects that a handle's callback is about: its arguments, the object whose method it is, what a closure holds."""
    parts = list(getattr(handle, "_args", None) or ())
    callback: Any = getattr(handle, "_callback", None)
    while isinstance(callback, functools.partial):
        parts.extend(callback.args)
        callback = callback.func
    if type(callback) in BOUND:
        parts.append(callback.__self__)
    elif type(callback) is types.FunctionType:
        for cell in callback.__closure__ or ():
            try:
                parts.append(cell.cell_contents)
            except ValueError:  # not set yet
                pass
    return parts


def timers_of(loop: Any) -> list[Any]:
    """The armed timers of *loop*, as far as it shows them."""
    try:
        if hasattr(loop, "_scheduled_timers"):
            return list(loop._scheduled_timers())
        return [timer for timer in list(getattr(loop, "_scheduled", None) or ()) if not timer._cancelled]
    except (RuntimeError, IndexError):  # it changed under us
        return []


def armed_sides(loop: Any) -> list[tuple[int, str, Any]]:
    """(descriptor, read | write, what is armed) of each side of a descriptor that *loop* watches."""
    found: list[tuple[int, str, Any]] = []
    try:
        poller = getattr(loop, "_poller", None)
        if poller is not None and hasattr(poller, "fds"):
            for fd, (reader, writer) in poller.fds().items():
                found += [(fd, "read", reader)] if reader is not None else []
                found += [(fd, "write", writer)] if writer is not None else []
            return found
        table = getattr(getattr(loop, "_selector", None), "_fd_to_key", None) or {}
        for key in list(table.values()):
            if isinstance(key.data, tuple) and len(key.data) == 2:
                sides = zip(("read", "write"), key.data, strict=True)
                found += [(key.fd, side, entry) for side, entry in sides if entry is not None]
    except (RuntimeError, IndexError):
        pass
    return found
