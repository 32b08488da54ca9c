"""Between threads and the loop: to a thread and back, and from another thread into the loop.

What lives here: `to_thread`, `run_coroutine_threadsafe`, `wrap_future`. What may not: the pools (`loop.base`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from yieldloop.aio.tasks import ensure_future
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.futures import isfuture, loop_of
from yieldloop.engine.running import current_loop, get_running_loop
from yieldloop.engine.tasks import iscoroutine

__all__ = ["run_coroutine_threadsafe", "to_thread", "wrap_future"]

T = TypeVar("T")
skip_globals(globals())


async def to_thread(func: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Call ``func(*args, **kwargs)`` in a thread of the default pool, in a copy of our context; returns its result.

    A cancellation point; the thread itself cannot be cancelled and runs on.
    """
    call = functools.partial(contextvars.copy_context().run, func, *args, **kwargs)
    result: T = await get_running_loop().run_in_executor(None, call)
    return result


def run_coroutine_threadsafe(coro: Any, loop: Any) -> concurrent.futures.Future[Any]:
    """Run *coro* on *loop* from another thread; returns a `concurrent.futures.Future`, whose cancellation cancels the task."""
    if not iscoroutine(coro):
        raise TypeError(f"A coroutine object is required, not {coro!r}")
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def start() -> None:
        try:
            _tie(ensure_future(coro, loop=loop), future)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            if future.set_running_or_notify_cancel():
                future.set_exception(exc)
            raise

    loop.call_soon_threadsafe(start)
    return future


def wrap_future(future: Any, *, loop: Any = None) -> Any:
    """A future of *loop* (default: the current one) that follows the `concurrent.futures.Future` *future*."""
    if isfuture(future):
        return future
    if not isinstance(future, concurrent.futures.Future):
        raise TypeError(f"concurrent.futures.Future is expected, got {future!r}")
    ours = (current_loop() if loop is None else loop).create_future()
    _tie(future, ours)
    return ours


def _tie(source: Any, target: Any) -> None:
    """Make *target* end as *source* does, and *source* be cancelled when *target* is; each told in its own thread."""
    source_loop = loop_of(source) if isfuture(source) else None
    target_loop = loop_of(target) if isfuture(target) else None

    def target_done(_: Any) -> None:
        if target.cancelled():
            if source_loop is None or source_loop is target_loop:
                source.cancel()
            else:
                source_loop.call_soon_threadsafe(source.cancel)

    def source_done(_: Any) -> None:
        if target.cancelled() and target_loop is not None and target_loop.is_closed():
            return
        if target_loop is None or target_loop is source_loop:
            copy_state(source, target)
        elif not target_loop.is_closed():
            target_loop.call_soon_threadsafe(copy_state, source, target)

    target.add_done_callback(target_done)
    source.add_done_callback(source_done)


def copy_state(source: Any, target: Any) -> None:
    """Settle *target* as *source* was settled. Futures of both kinds; what cannot be told any more is dropped."""
    if isinstance(target, concurrent.futures.Future):
        if source.cancelled():
            target.cancel()
        if not target.set_running_or_notify_cancel():
            return
    elif target.done():
        return
    if source.cancelled():
        target.cancel()
        return
    error = source.exception()
    if error is None:
        target.set_result(source.result())
    else:
        target.set_exception(_for_this_side(error, target))


_TWINS = {
    concurrent.futures.CancelledError: "CancelledError",
    concurrent.futures.InvalidStateError: "InvalidStateError",
}


def _for_this_side(error: BaseException, target: Any) -> BaseException:
    """The same error by the class that the other side catches, where there are two of one name."""
    name = _TWINS.get(type(error)) if isfuture(target) else None
    if name is None:
        return error
    return getattr(asyncio, name)(*error.args).with_traceback(error.__traceback__)  # type: ignore[no-any-return]
