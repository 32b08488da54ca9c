"""Waiting for several things, or for one with a condition.

What lives here: `gather`, `wait`, `wait_for`, `as_completed`, `shield`. What may not: groups that own their tasks (`taskgroups`).
All of them accept futures of any kind and work on any loop.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Iterator
from typing import Any

from yieldloop.aio.graph import future_add_to_awaited_by, future_discard_from_awaited_by
from yieldloop.aio.tasks import ensure_future
from yieldloop.aio.timeouts import timeout as timeout_after
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.futures import Future, isfuture, loop_of
from yieldloop.engine.running import current_loop, get_running_loop
from yieldloop.engine.tasks import current_task, iscoroutine

__all__ = ["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION", "as_completed", "gather", "shield", "wait", "wait_for"]

FIRST_COMPLETED = asyncio.FIRST_COMPLETED
FIRST_EXCEPTION = asyncio.FIRST_EXCEPTION
ALL_COMPLETED = asyncio.ALL_COMPLETED
skip_globals(globals())


# --- gather ------------------------------------------------------------------------------------------------------------


class _Gathering(Future):
    """The future that `gather` returns: cancelling it cancels what it waits for."""

    def __init__(self, loop: Any, return_exceptions: bool) -> None:
        Future.__init__(self, loop=loop)
        self._children: list[Any] = []  # one a result, in order; an awaitable given twice stands here twice
        self._unfinished = 0  # different children that are not done
        self._return_exceptions = return_exceptions
        self._cancel_requested = False

    def cancel(self, msg: Any = None) -> bool:
        if self.done():
            return False
        cancelled = False
        for child in self._children:
            if child.cancel(msg=msg):
                cancelled = True
        if cancelled:
            # The children may refuse, or end otherwise: what becomes of us is decided when the last one is done.
            self._cancel_requested = True
        return cancelled

    def _child_done(self, child: Any) -> None:
        self._unfinished -= 1
        future_discard_from_awaited_by(child, self)
        if self.done():
            if not child.cancelled():
                child.exception()  # somebody failed before it: its own exception counts as seen
            return
        if not self._return_exceptions:
            if child.cancelled():
                self.set_exception(child._make_cancelled_error())
                return
            error = child.exception()
            if error is not None:
                self.set_exception(error)
                return
        if not self._unfinished:
            if self._cancel_requested:
                self.set_exception(child._make_cancelled_error())
            else:
                self.set_result([_outcome(each) for each in self._children])


def _outcome(future: Any) -> Any:
    """The result, or the exception as a value."""
    if future.cancelled():
        return asyncio.CancelledError("" if future._cancel_message is None else future._cancel_message)
    error = future.exception()
    return future.result() if error is None else error


def gather(*coros_or_futures: Awaitable[Any], return_exceptions: bool = False) -> Any:
    """A future for the list of all results, in the order of the arguments.

    The first exception goes to who awaits (the others run on), unless *return_exceptions*: then exceptions are results. If the
    future is cancelled, so is everything unfinished in it. An awaitable given twice is awaited once.
    """
    if not coros_or_futures:
        empty = current_loop().create_future()
        empty.set_result([])
        return empty
    loop = None
    made: dict[Any, Any] = {}
    children = []
    for awaitable in coros_or_futures:
        child = made.get(awaitable)
        if child is None:
            child = ensure_future(awaitable, loop=loop)
            if loop is None:
                loop = loop_of(child)
            if child is not awaitable:
                child._log_destroy_pending = False  # it is ours alone: who drops the gathering drops it too
            made[awaitable] = child
        children.append(child)
    outer = _Gathering(loop, return_exceptions)
    outer._children = children
    outer._unfinished = len(made)
    context = contextvars.copy_context()
    done = []
    for child in made.values():
        if child.done():
            done.append(child)
        else:
            future_add_to_awaited_by(child, outer)
            child.add_done_callback(outer._child_done, context=context)
    for child in done:
        outer._child_done(child)
    return outer


# --- wait --------------------------------------------------------------------------------------------------------------


async def wait(
    fs: Iterable[Any], *, timeout: float | None = None, return_when: str = ALL_COMPLETED
) -> tuple[set[Any], set[Any]]:
    """Wait for futures; returns (done, pending). Neither a time-out (s) nor a cancellation touches the futures.

    *return_when* is FIRST_COMPLETED, FIRST_EXCEPTION or ALL_COMPLETED. TypeError for coroutines, which would be lost.
    """
    if isfuture(fs) or iscoroutine(fs):
        raise TypeError(f"expect a list of futures, not {type(fs).__name__}")
    futures = set(fs)
    if not futures:
        raise ValueError("Set of Tasks/Futures is empty.")
    if return_when not in (FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED):
        raise ValueError(f"Invalid return_when value: {return_when!r}: use FIRST_COMPLETED, FIRST_EXCEPTION or ALL_COMPLETED")
    if any(iscoroutine(future) for future in futures):
        raise TypeError("Passing coroutines is forbidden, use tasks explicitly.")
    return await _wait(futures, timeout, return_when, get_running_loop())


class _Countdown:
    """Tells a waiter when enough of its futures are done."""

    __slots__ = ("left", "return_when", "waiter")

    def __init__(self, left: int, return_when: str, waiter: Any) -> None:
        self.left = left
        self.return_when = return_when
        self.waiter = waiter

    def one_done(self, future: Any) -> None:
        self.left -= 1
        enough = (
            self.left <= 0
            or self.return_when == FIRST_COMPLETED
            or (self.return_when == FIRST_EXCEPTION and not future.cancelled() and future.exception() is not None)
        )
        if enough and not self.waiter.done():
            self.waiter.set_result(None)


async def _wait(futures: set[Any], timeout: float | None, return_when: str, loop: Any) -> tuple[set[Any], set[Any]]:
    pending = [future for future in futures if not future.done()]
    failed = return_when == FIRST_EXCEPTION and any(
        future.done() and not future.cancelled() and future.exception() is not None for future in futures
    )
    if not pending or failed or (return_when == FIRST_COMPLETED and len(pending) < len(futures)):
        return {future for future in futures if future.done()}, set(pending)
    waiter = loop.create_future()
    timer = None if timeout is None else loop.call_later(timeout, _release, waiter)
    countdown = _Countdown(len(pending), return_when, waiter)
    task = current_task()
    for future in pending:
        future.add_done_callback(countdown.one_done)
        if task is not None:
            future_add_to_awaited_by(future, task)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()
        for future in pending:
            future.remove_done_callback(countdown.one_done)
            if task is not None:
                future_discard_from_awaited_by(future, task)
    done = {future for future in futures if future.done()}
    return done, futures - done


def _release(waiter: Any) -> None:
    if not waiter.done():
        waiter.set_result(None)


# --- wait_for ----------------------------------------------------------------------------------------------------------


async def wait_for(fut: Awaitable[Any], timeout: float | None) -> Any:
    """The result of *fut*, or TimeoutError after *timeout* seconds (None: wait for ever), *fut* cancelled and waited for.

    A cancellation from outside is never swallowed, and a result that came first is never lost (cpython 86296).
    """
    if fut is not None and not isfuture(fut) and not iscoroutine(fut) and not hasattr(fut, "__await__"):
        raise TypeError(f"An asyncio.Future, a coroutine or an awaitable is required, not {fut!r}")
    if timeout is not None and timeout <= 0:
        future = ensure_future(fut)
        if future.done():
            return future.result()
        await cancel_and_wait(future)
        try:
            return future.result()
        except asyncio.CancelledError as exc:
            raise TimeoutError from exc
    async with timeout_after(timeout):
        return await fut


async def cancel_and_wait(future: Any) -> None:
    """Cancel *future* and wait until it is done, whatever becomes of it."""
    waiter = get_running_loop().create_future()

    def done(_: Any) -> None:
        _release(waiter)

    future.add_done_callback(done)
    try:
        future.cancel()
        await waiter
    finally:
        future.remove_done_callback(done)


# --- as_completed ------------------------------------------------------------------------------------------------------


class _AsCompleted(AsyncIterator[Any], Iterator[Any]):
    """Gives futures as they complete: by ``async for`` the futures themselves, by ``for`` a coroutine each."""

    def __init__(self, awaitables: Iterable[Any], timeout: float | None) -> None:
        self._done: deque[Any] = deque()  # completed, not given out; None once the time is over
        self._getters: deque[Any] = deque()  # who waits for the next one
        self._timer = None
        loop = current_loop()
        self._loop = loop
        todo = {ensure_future(awaitable, loop=loop) for awaitable in set(awaitables)}
        self._todo = todo
        self._left = len(todo)  # not given out yet
        for future in todo:
            future.add_done_callback(self._one_done)
        if todo and timeout is not None:
            self._timer = loop.call_later(timeout, self._time_is_over)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return await self._next_future()

    def __next__(self) -> Coroutine[Any, Any, Any]:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return self._next_result()

    async def _next_result(self) -> Any:
        return (await self._next_future()).result()

    async def _next_future(self) -> Any:
        while not self._done:
            getter = self._loop.create_future()
            self._getters.append(getter)
            try:
                await getter
            except BaseException:
                if getter.done() and not getter.cancelled() and self._done:
                    self._wake_one()  # the one meant for us is for the next
                raise
            finally:
                if getter in self._getters:
                    self._getters.remove(getter)
        future = self._done.popleft()
        if future is None:
            self._done.append(None)  # everybody who still waits hears it too
            self._wake_one()
            raise TimeoutError
        return future

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _one_done(self, future: Any) -> None:
        if future not in self._todo:
            return
        self._todo.remove(future)
        self._done.append(future)
        self._wake_one()
        if not self._todo and self._timer is not None:
            self._timer.cancel()

    def _time_is_over(self) -> None:
        for future in self._todo:
            future.remove_done_callback(self._one_done)
        self._todo.clear()
        self._done.append(None)
        self._wake_one()


def as_completed(fs: Iterable[Any], *, timeout: float | None = None) -> Any:
    """Iterate over awaitables in the order of their completion (Python 3.13's form, plain and async).

    ``async for`` gives the futures themselves, done; ``for`` gives coroutines to be awaited in turn. TimeoutError is raised for
    what is not done *timeout* seconds after the call; the awaitables run on. TypeError for a single future or coroutine.
    """
    if isfuture(fs) or iscoroutine(fs):
        raise TypeError(f"expect an iterable of futures, not {type(fs).__name__}")
    return _AsCompleted(fs, timeout)


# --- shield ------------------------------------------------------------------------------------------------------------


def shield(arg: Awaitable[Any]) -> Any:
    """A future that follows *arg* but whose cancellation does not reach it.

    Keep a reference to *arg* if it is yours. If the shield was cancelled and *arg* fails later, that is reported.
    """
    inner = ensure_future(arg)
    if inner.done():
        return inner
    loop = loop_of(inner)
    outer = loop.create_future()
    future_add_to_awaited_by(inner, outer)

    def inner_done(_: Any) -> None:
        future_discard_from_awaited_by(inner, outer)
        if outer.cancelled():
            return
        if inner.cancelled():
            outer.cancel()
            return
        error = inner.exception()
        if error is None:
            outer.set_result(inner.result())
        else:
            outer.set_exception(error)

    def report_late_failure(_: Any) -> None:
        if not inner.cancelled() and (error := inner.exception()) is not None:
            message = f"{error.__class__.__name__} exception in shielded future"
            loop.call_exception_handler({"message": message, "exception": error, "future": inner})

    def outer_done(_: Any) -> None:
        if inner.done():
            return
        inner.remove_done_callback(inner_done)
        future_discard_from_awaited_by(inner, outer)
        inner.add_done_callback(report_late_failure)

    inner.add_done_callback(inner_done)
    outer.add_done_callback(outer_done)
    return outer
