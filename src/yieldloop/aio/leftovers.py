"""What is still alive on a loop, and how to say it.

What lives here: looking, from the loop's thread, at the state that loops keep anyway, and a line of text for each thing. What may
not: ending anything (`shutdown`). It takes any asyncio loop: what one does not show is not listed.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Iterator
from contextvars import Context
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.tasks import all_tasks

__all__ = ("Leftovers",)

skip_globals(globals())


class Leftovers:
    """What is alive on *loop* now, but for the tasks *own*; *asyncgens* are those that were to be closed.

    True if there is anything. ``str()`` is the account, one line each; ``repr()`` the counts.
    """

    def __init__(self, loop: Any, own: set[Any], asyncgens: list[Any]) -> None:
        self.tasks = sorted((task for task in all_tasks(loop) if task not in own), key=_age)
        self.asyncgens = [agen for agen in asyncgens if agen.ag_frame is not None]
        self.servers = servers_of(loop)
        self.transports = transports_of(loop)
        self.children = children_of(loop)
        self.threads = [(thread, job) for pool in pools_of(loop) for thread, job in busy_threads(pool)]
        self.held: set[Any] = set()  # threads that the interpreter's exit will wait for
        self._made = getattr(getattr(loop, "_transports", None), "made", {})

    def counts(self) -> dict[str, int]:
        """How many of each kind, without those of which there is none."""
        found = {
            "task": len(self.tasks),
            "async generator": len(self.asyncgens),
            "server": len(self.servers),
            "transport": len(self.transports),
            "child process": len(self.children),
            "thread": len(self.threads),
        }
        return {kind: number for kind, number in found.items() if number}

    def __bool__(self) -> bool:
        return bool(self.counts())

    def __repr__(self) -> str:
        return f"<Leftovers {self.summary()}>"

    def summary(self) -> str:
        """The counts in words."""
        parts = [f"{number} {kind if number == 1 else _plural(kind)}" for kind, number in self.counts().items()]
        return ", ".join(parts) or "nothing"

    def __str__(self) -> str:
        lines = [describe_task(task) for task in self.tasks]
        lines += [f"async generator {agen.__qualname__}{_stand(agen)}" for agen in self.asyncgens]
        lines += [f"server {_safe_repr(server)}" for server in self.servers]
        lines += [f"transport {_safe_repr(transport)}{self._where(transport)}" for transport in self.transports]
        for pid, child in self.children:
            lines.append(f"child process {pid} runs {_command_of(child)}: {_safe_repr(child)}{_made_at(child)}")
        frames = sys._current_frames()
        lines += [describe_thread(thread, job, frames, thread in self.held) for thread, job in self.threads]
        return "\n".join(lines)

    def _where(self, transport: Any) -> str:
        trace = self._made.get(transport)
        return f", made at {trace[-1].filename}:{trace[-1].lineno} in {trace[-1].name}" if trace else ""


def _plural(kind: str) -> str:
    return "child processes" if kind == "child process" else kind + "s"


def _made_at(child: Any) -> str:
    site = getattr(child, "created_at", None)
    return "" if site is None else f", made at {site.filename}:{site.lineno} in {site.name}"


def _age(task: Any) -> Any:
    """Older tasks first, as far as their default names tell."""
    name = task.get_name()
    number = name.removeprefix("Task-")
    return (0, int(number), name) if number.isdigit() else (1, 0, name)


# --- looking -----------------------------------------------------------------------------------------------------------


def servers_of(loop: Any) -> list[Any]:
    """The servers that accept on *loop*, as far as its poller shows them."""
    found: dict[int, Any] = {}
    for entry in _armed_readers(loop):
        for argument in getattr(entry, "_args", None) or ():
            if callable(getattr(argument, "is_serving", None)) and hasattr(argument, "close_clients"):
                found[id(argument)] = argument
    return list(found.values())


def _armed_readers(loop: Any) -> Iterator[Any]:
    poller = getattr(loop, "_poller", None)
    if poller is not None and hasattr(poller, "fds"):
        for reader, _ in poller.fds().values():
            yield reader
        return
    selector: Any = getattr(loop, "_selector", None)  # the standard library's loops
    for key in list((selector.get_map() or {}).values()) if hasattr(selector, "get_map") else ():
        if isinstance(key.data, tuple):
            yield key.data[0]


def transports_of(loop: Any) -> list[Any]:
    """The transports of *loop* that are not closed."""
    table = getattr(loop, "_transports", None)
    if table is None:
        return []
    return [transport for transport in list(table.values()) if transport is not None and _is_open(transport)]


def _is_open(transport: Any) -> bool:
    # A protocol is there until connection_lost; is_closing() alone is true from the first close() on.
    get_protocol = getattr(transport, "get_protocol", None)
    return get_protocol is None or get_protocol() is not None


def children_of(loop: Any) -> list[tuple[int, Any]]:
    """(process id, transport) of each child that *loop* watches and that has not ended."""
    found = []
    for child in list(getattr(loop, "_children", None) or ()):
        if getattr(child, "get_returncode", lambda: None)() is None:
            found.append((child.get_pid(), child))
    return found


def pools_of(loop: Any) -> list[Any]:
    """The thread pools that belong to *loop*: the default executor and the one for look-ups, if they were needed."""
    pools = (getattr(loop, name, None) for name in ("_default_executor", "_lookup_pool"))
    return [pool for pool in pools if pool is not None]


def busy_threads(pool: Any) -> list[tuple[Any, Any]]:
    """(thread, job) of each thread of *pool* that runs a job now; the idle ones end as soon as they are told."""
    from yieldloop.loop.pool import function_of, item_of

    frames = sys._current_frames()
    found = []
    for thread in list(getattr(pool, "_threads", ())):
        if thread.is_alive():
            item = item_of(frames.get(thread.ident))
            if item is not None:
                found.append((thread, function_of(item)))
    return found


# --- telling -----------------------------------------------------------------------------------------------------------


def describe_task(task: Any) -> str:
    """One line: who, made where, cancelled how often, where it stands, what it waits for."""
    coro = task.get_coro()
    text = f"task {task.get_name()!r} {getattr(coro, '__qualname__', coro)}()"
    site = getattr(task, "created_at", None) or (getattr(task, "_source_traceback", None) or [None])[-1]
    if site is None:
        text += ", made at an unknown place (debug mode notes it)"
    else:
        text += f", made at {site.filename}:{site.lineno} in {site.name}"
    cancelling = getattr(task, "cancelling", None)
    if cancelling is not None:
        times = cancelling()
        text += f", cancelled {times} time{'' if times == 1 else 's'} and not done" if times else ", not cancelled"
    text += _stand(coro)
    waiting = getattr(task, "_fut_waiter", None)
    return text + (f", waits for {_safe_repr(waiting)}" if waiting is not None else ", is ready to run")


def _stand(coro: Any) -> str:
    """Where a suspended coroutine or async generator stands, innermost."""
    from yieldloop.aio.graph import _frames_of

    frames = list(_frames_of(coro))
    if not frames:
        return ""
    frame = frames[-1].frame
    return f", stands at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def describe_thread(thread: Any, job: Any, frames: dict[int, Any], held: bool) -> str:
    """One line: which thread, which job, where it is, and what the interpreter's exit makes of it."""
    text = f"thread {thread.name!r} runs {_name_of(job)}"
    frame = frames.get(thread.ident)
    if frame is not None and os.path.basename(frame.f_code.co_filename) != "thread.py":
        text += f", is at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
    if held:
        return text + "; this Python cannot leave it: the interpreter's exit waits for it"
    return text + "; it is left running, and the interpreter's exit does not wait for it"


def _name_of(job: Any) -> str:
    """The function that a job comes down to (`to_thread` wraps it)."""
    while isinstance(job, functools.partial):
        inner = job.func
        wrapped = getattr(inner, "__name__", "") == "run" and isinstance(getattr(inner, "__self__", None), Context)
        job = job.args[0] if wrapped and job.args else inner
    job = inspect.unwrap(job) if callable(job) else job
    return f"{getattr(job, '__qualname__', None) or _safe_repr(job)}()"


def _command_of(child: Any) -> str:
    return _safe_repr(getattr(getattr(child, "_proc", None), "args", None))


def _safe_repr(thing: Any) -> str:
    try:
        return repr(thing)
    except Exception as exc:  # a program's own class: the account goes on
        return f"<{type(thing).__name__}, whose repr() raises {type(exc).__name__}>"
