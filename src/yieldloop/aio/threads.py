"""to_thread, run_coroutine_threadsafe, wrap_future: over the border between the loop and threads.

What lives here: tying a future of a loop to one of `concurrent.futures`, in both directions. What may not: the thread pool
itself (the loop's executor).
"""

from __future__ import annotations

import concurrent.futures
import functools
from asyncio import InvalidStateError
from asyncio import events as _events
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from yieldloop.aio.tasks import ensure_future
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.coroutines import iscoroutine
from yieldloop.engine.futures import isfuture, loop_of
from yieldloop.engine.running import current_loop
from yieldloop.errors import CancelledError

__all__ = ("run_coroutine_threadsafe", "to_thread", "wrap_future")

_T = TypeVar("_T")
_P = ParamSpec("_P")
_running_loop_or_none = _events._get_running_loop

skip_globals(globals())


async def to_thread(func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call ``func(*args, **kwargs)`` in a thread of the loop's default pool, in a copy of this context; returns its result.

    A cancellation point: the waiter goes on at once, and the thread runs to its end, since no thread can be cancelled.
    """
    loop = _events.get_running_loop()
    call = functools.partial(copy_context().run, func, *args, **kwargs)
    return await loop.run_in_executor(None, call)


def run_coroutine_threadsafe(coro: Coroutine[Any, Any, _T], loop: Any) -> concurrent.futures.Future[_T]:
    """From another thread, run *coro* as a task of *loop*; returns a `concurrent.futures.Future` for its result.

    Cancelling that future cancels the task. TypeError if *coro* is no coroutine. Not for the loop's own thread: waiting there for
    the result would stop the loop that is to produce it.
    """
    if not iscoroutine(coro):
        raise TypeError(f"A coroutine object is required, not {coro!r}")
    future: concurrent.futures.Future[_T] = concurrent.futures.Future()

    def start() -> None:
        try:
            chain_future(ensure_future(coro, loop=loop), future)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            if future.set_running_or_notify_cancel():
                future.set_exception(exc)
            raise

    loop.call_soon_threadsafe(start)
    return future


def wrap_future(future: Any, *, loop: Any = None) -> Any:
    """A future of *loop* (default: the running or current one) for a `concurrent.futures.Future`; a loop's future as it is.

    Cancelling either cancels the other, as far as it can be.
    """
    if isfuture(future):
        return future
    if not isinstance(future, concurrent.futures.Future):
        raise AssertionError(f"concurrent.futures.Future is expected, got {future!r}")
    if loop is None:
        loop = current_loop()
    ours = loop.create_future()
    chain_future(future, ours)
    return ours


def chain_future(source: Any, destination: Any) -> None:
    """Let *destination* end as *source* does, and cancel *source* if *destination* is cancelled. Either may be of a thread."""
    for future, what in ((source, "source"), (destination, "destination")):
        if not isfuture(future) and not isinstance(future, concurrent.futures.Future):
            raise TypeError(f"A future is required for {what} argument, not {future!r}")
    link = _Link(source, destination)
    destination.add_done_callback(link.destination_done)
    source.add_done_callback(link.source_done)


class _Link:
    """The two futures of chain_future(), and their loops (None for a thread's future)."""

    __slots__ = ("destination", "destination_loop", "source", "source_loop")

    def __init__(self, source: Any, destination: Any) -> None:
        self.source = source
        self.destination = destination
        self.source_loop: Any = loop_of(source) if isfuture(source) else None
        self.destination_loop: Any = loop_of(destination) if isfuture(destination) else None

    def destination_done(self, destination: Any) -> None:
        if destination.cancelled():
            loop = self.source_loop
            if loop is None or loop is _running_loop_or_none():
                self.source.cancel()
            else:
                loop.call_soon_threadsafe(self.source.cancel)

    def source_done(self, source: Any) -> None:
        loop = self.destination_loop
        if loop is None:
            _settle_thread_future(self.destination, source)
        elif loop is _running_loop_or_none():
            copy_future_state(source, self.destination)
        elif not loop.is_closed():  # else nobody is there any more to be told
            loop.call_soon_threadsafe(copy_future_state, source, self.destination)


def copy_future_state(source: Any, dest: Any) -> None:
    """Settle *dest*, a loop's future, as *source* is settled; nothing if it was cancelled meanwhile."""
    assert source.done()
    if dest.cancelled():
        return
    assert not dest.done()
    if source.cancelled():
        dest.cancel()
        return
    exc = source.exception()
    if exc is not None:
        dest.set_exception(_translate(exc))
    else:
        dest.set_result(source.result())


def _settle_thread_future(dest: concurrent.futures.Future[Any], source: Any) -> None:
    assert source.done()
    if source.cancelled():
        dest.cancel()
    if not dest.set_running_or_notify_cancel():
        return
    exc = source.exception()
    if exc is not None:
        dest.set_exception(_translate(exc))
    else:
        dest.set_result(source.result())


_TRANSLATED: dict[type[BaseException], Any] = {
    concurrent.futures.CancelledError: CancelledError,
    concurrent.futures.InvalidStateError: InvalidStateError,
}


def _translate(exc: BaseException) -> BaseException:
    """An exception of `concurrent.futures` as asyncio's of the same name."""
    wanted = _TRANSLATED.get(type(exc))
    return exc if wanted is None else wanted(*exc.args).with_traceback(exc.__traceback__)
