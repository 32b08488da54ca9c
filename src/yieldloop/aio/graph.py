"""Call graphs: who waits for whom, from a future up to the tasks at the top.

What lives here: capturing and printing them, as Python 3.14 does, on every Python. What may not: bookkeeping on the way of the
data. An edge "waits for" is read off the future's callbacks at the moment of asking: a parked task stands there itself, and a
collector (of gather, wait, a task group, …) names its task as ``_awaiting_task``. Only edges that a program adds by hand are kept.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import sys
import types
import weakref
from asyncio import events as _events
from collections.abc import Iterator
from typing import Any, TextIO

from yieldloop.engine.futures import Future
from yieldloop.engine.tasks import current_task

__all__ = (
    "FrameCallGraphEntry",
    "FutureCallGraph",
    "capture_call_graph",
    "format_call_graph",
    "future_add_to_awaited_by",
    "future_discard_from_awaited_by",
    "print_call_graph",
)

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
_RESUMABLE = inspect.CO_GENERATOR | _ASYNC


@dataclasses.dataclass(frozen=True, slots=True)
class FrameCallGraphEntry:
    """One frame of a call stack."""

    frame: types.FrameType


@dataclasses.dataclass(frozen=True, slots=True)
class FutureCallGraph:
    """A future or task, the frames in which it stands (newest first), and the graphs of those that wait for it."""

    future: Any
    call_stack: tuple[FrameCallGraphEntry, ...]
    awaited_by: tuple[FutureCallGraph, ...]


# --- edges -------------------------------------------------------------------------------------------------------------

# Edges added by hand to futures that have no place for them (the standard library's, before 3.14).
_by_hand: weakref.WeakKeyDictionary[Any, set[Any]] = weakref.WeakKeyDictionary()
_stock_add = getattr(asyncio, "future_add_to_awaited_by", None)  # Python 3.14
_stock_discard = getattr(asyncio, "future_discard_from_awaited_by", None)


def _is_future(obj: Any) -> bool:
    return isinstance(obj, asyncio.Future)  # true of ours as well


def future_add_to_awaited_by(fut: Any, waiter: Any, /) -> None:
    """Record that *waiter* waits for *fut*, for call graphs. Ignored if either is no asyncio future."""
    if not _is_future(fut) or not _is_future(waiter):
        return
    if isinstance(fut, Future):
        edges: Any = fut
        if edges._awaited is None:
            edges._awaited = set()
        edges._awaited.add(waiter)
    elif _stock_add is not None and not isinstance(waiter, Future):
        _stock_add(fut, waiter)
    else:
        _by_hand.setdefault(fut, set()).add(waiter)


def future_discard_from_awaited_by(fut: Any, waiter: Any, /) -> None:
    """Forget that *waiter* waits for *fut*."""
    if not _is_future(fut) or not _is_future(waiter):
        return
    if isinstance(fut, Future):
        edges: Any = fut
        if edges._awaited is not None:
            edges._awaited.discard(waiter)
    elif _stock_discard is not None and not isinstance(waiter, Future):
        _stock_discard(fut, waiter)
    else:
        _by_hand.get(fut, set()).discard(waiter)


def _waiters_of(future: Any) -> list[Any]:
    """Who waits for *future*, each once."""
    found = dict.fromkeys(getattr(future, "_asyncio_awaited_by", None) or ())
    found.update(dict.fromkeys(_by_hand.get(future, ())))
    for entry in getattr(future, "_callbacks", None) or ():
        owner = getattr(entry[0], "__self__", None)
        if isinstance(owner, asyncio.Task):
            if getattr(owner, "_fut_waiter", None) is future:
                found[owner] = None
        else:
            task = getattr(owner, "_awaiting_task", None)
            if task is not None:
                found[task] = None
    return list(found)


# --- capturing ---------------------------------------------------------------------------------------------------------


def _check(future: Any) -> None:
    if not isinstance(future, asyncio.Future):
        raise TypeError(f"{future!r} object does not appear to be compatible with asyncio.Future")


def _frames_of(coro: Any) -> Iterator[FrameCallGraphEntry]:
    """Where a suspended coroutine stands: its own frame, then that of what it awaits, and so on inwards."""
    while coro is not None:
        for kind in ("cr", "ag", "gi"):
            if hasattr(coro, kind + "_frame"):
                break
        else:
            return
        frame = getattr(coro, kind + "_frame")
        if kind == "gi" and not (coro.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE):
            return
        if frame is not None:
            yield FrameCallGraphEntry(frame)
        coro = getattr(coro, "gi_yieldfrom" if kind == "gi" else kind + "_await")


def _graph_of(future: Any, limit: int | None, on_the_way: tuple[Any, ...] = ()) -> FutureCallGraph:
    """The graph of a future that is not the current task. *on_the_way* guards against futures that wait for each other."""
    _check(future)
    get_coro = getattr(future, "get_coro", None)
    stack = list(_frames_of(get_coro())) if get_coro is not None and limit != 0 else []
    if limit is not None:
        stack = stack[:limit] if limit > 0 else stack[limit:] if limit < 0 else []
    stack.reverse()
    path = (*on_the_way, future)
    awaited_by = tuple(_graph_of(w, limit, path) for w in _waiters_of(future) if all(w is not p for p in path))
    return FutureCallGraph(future, tuple(stack), awaited_by)


def capture_call_graph(
    future: Any = None, /, *, depth: int = 1, limit: int | None = None
) -> FutureCallGraph | None:
    """The call graph of *future*, or of the current task (None if there is none).

    For the current task, *depth* frames are left out at the top (1: this function's). *limit* cuts each call stack to that many
    frames: the outermost if positive, the newest if negative; 0 leaves stacks out. RuntimeError without *future* and without a
    running loop; TypeError if *future* is no asyncio future. Source: Python 3.14.
    """
    loop = _events._get_running_loop()
    if future is None:
        if loop is None:
            raise RuntimeError(
                "capture_call_graph() is called outside of a running event loop and no *future* to introspect was provided"
            )
        future = current_task(loop)
        if future is None:
            return None
    elif loop is None or future is not current_task(loop):
        return _graph_of(future, limit)
    _check(future)
    stack = _running_stack(sys._getframe(depth)) if limit != 0 else []
    if limit is not None:
        stack = stack[-limit:] if limit > 0 else stack[:-limit]
    return FutureCallGraph(future, tuple(stack), tuple(_graph_of(w, limit, (future,)) for w in _waiters_of(future)))


def _running_stack(frame: types.FrameType | None) -> list[FrameCallGraphEntry]:
    """From *frame* outwards to the coroutine that the task drives."""
    stack = []
    while frame is not None:
        stack.append(FrameCallGraphEntry(frame))
        if frame.f_code.co_flags & _ASYNC:
            back = frame.f_back
            if back is not None and not back.f_code.co_flags & _RESUMABLE:
                break  # whoever is below drives the task
        frame = frame.f_back
    return stack


# --- printing ----------------------------------------------------------------------------------------------------------


def format_call_graph(future: Any = None, /, *, depth: int = 1, limit: int | None = None) -> str:
    """`capture_call_graph` as text, one frame a line; "" if there is nothing to show."""
    graph = capture_call_graph(future, depth=depth + 1, limit=limit)
    if graph is None:
        return ""
    lines: list[str] = []
    _render(graph, lines, "")
    return "\n".join(lines)


def _render(graph: FutureCallGraph, lines: list[str], indent: str) -> None:
    future = graph.future
    if isinstance(future, asyncio.Task):
        lines.append(f"{indent}* Task(name={future.get_name()!r}, id={id(future):#x})")
    else:
        lines.append(f"{indent}* Future(id={id(future):#x})")
    if graph.call_stack:
        lines.append(f"{indent}  + Call stack:")
        for entry in graph.call_stack:
            code = entry.frame.f_code
            line = f"File {code.co_filename!r}, line {entry.frame.f_lineno}, in {_kind(code)}{code.co_qualname}()"
            lines.append(f"{indent}  |   {line}")
    if graph.awaited_by:
        lines.append(f"{indent}  + Awaited by:")
        for waiter in graph.awaited_by:
            _render(waiter, lines, indent + "    ")


def _kind(code: types.CodeType) -> str:
    if code.co_flags & inspect.CO_COROUTINE:
        return "async "
    if code.co_flags & inspect.CO_ASYNC_GENERATOR:
        return "async generator "
    if code.co_flags & inspect.CO_GENERATOR:
        return "generator "
    return ""


def print_call_graph(
    future: Any = None, /, *, file: TextIO | None = None, depth: int = 1, limit: int | None = None
) -> None:
    """Print `format_call_graph` to *file* (default: standard output)."""
    print(format_call_graph(future, depth=depth + 1, limit=limit), file=file)
