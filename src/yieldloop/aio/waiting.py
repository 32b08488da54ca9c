"""gather, wait, as_completed, shield: waiting for several things, or for one at arm's length.

What lives here: collectors, each an object whose done-callback is put on all that is waited for (that of gather() counts in
`engine.gathering`). What may not: starting tasks (`tasks`), limits in time around a block (`timeouts`).

A collector carries the task that waits as ``_awaiting_task``. That is all the bookkeeping that call graphs need: who waits for a
future is read off its callbacks when somebody asks (`graph`), and costs nothing while nobody does.
"""

from __future__ import annotations

import concurrent.futures
import inspect
from asyncio import events as _events
from collections.abc import Awaitable, Coroutine, Iterable
from typing import Any

from yieldloop.aio.queues import Queue
from yieldloop.aio.tasks import ensure_future
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.coroutines import iscoroutine
from yieldloop.engine.futures import isfuture, loop_of
from yieldloop.engine.gathering import _GatheringFuture, start
from yieldloop.engine.running import current_loop
from yieldloop.engine.tasks import current_task
from yieldloop.errors import bad_delay

__all__ = ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION", "as_completed", "gather", "shield", "wait")

FIRST_COMPLETED = concurrent.futures.FIRST_COMPLETED
FIRST_EXCEPTION = concurrent.futures.FIRST_EXCEPTION
ALL_COMPLETED = concurrent.futures.ALL_COMPLETED

_running_loop_or_none = _events._get_running_loop
_get_running_loop = _events.get_running_loop

skip_globals(globals())


# --- gather ------------------------------------------------------------------------------------------------------------


def gather(*coros_or_futures: Any, return_exceptions: bool = False) -> Any:
    """Run the awaitables side by side; a future for the list of their results, in the order of the arguments.

    The first exception becomes the exception of that future, and the others run on; with *return_exceptions*, exceptions stand in
    the list like results. A child that is cancelled counts as one that raised CancelledError. Cancelling the future cancels all
    children. ValueError if they belong to different loops; TypeError for what cannot be awaited.
    """
    loop = _running_loop_or_none()
    if not coros_or_futures:
        nothing = (current_loop() if loop is None else loop).create_future()
        nothing.set_result([])
        return nothing
    task = None if loop is None else current_task(loop)
    futures, loop = start(coros_or_futures, loop, ensure_future)
    different = futures.values()
    children = list(different) if len(futures) == len(coros_or_futures) else [futures[arg] for arg in coros_or_futures]
    outer = _GatheringFuture(children, len(futures), return_exceptions, task, loop=loop)
    outer.follow(different)
    return outer


# --- wait --------------------------------------------------------------------------------------------------------------


class _Wait:
    """One call of wait()."""

    __slots__ = ("_awaiting_task", "left", "return_when", "timer", "waiter")

    def __init__(self, count: int, return_when: str, loop: Any) -> None:
        self.left = count
        self.return_when = return_when
        self.timer: Any = None
        self.waiter = loop.create_future()
        self._awaiting_task = current_task(loop)

    def one_done(self, future: Any) -> None:
        self.left -= 1
        if (
            self.left <= 0
            or self.return_when == FIRST_COMPLETED
            or (self.return_when == FIRST_EXCEPTION and not future.cancelled() and future.exception() is not None)
        ):
            if self.timer is not None:
                self.timer.cancel()
            self.end()

    def end(self) -> None:
        if not self.waiter.done():
            self.waiter.set_result(None)


async def wait(
    fs: Iterable[Any], *, timeout: float | None = None, return_when: str = ALL_COMPLETED
) -> tuple[set[Any], set[Any]]:
    """Wait for some of the futures and tasks *fs*; returns two sets, the done and the pending ones.

    *return_when* is ALL_COMPLETED, FIRST_COMPLETED, or FIRST_EXCEPTION; after *timeout* seconds it returns in any case, without
    an error. Nothing is cancelled, also if the waiter is. TypeError for coroutines (make them tasks first), ValueError for an
    empty *fs* or another *return_when*. A cancellation point, always.
    """
    if isfuture(fs) or iscoroutine(fs):
        raise TypeError(f"expect a list of futures, not {type(fs).__name__}")
    if not fs:
        raise ValueError("Set of Tasks/Futures is empty.")
    if return_when not in (FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED):
        raise ValueError(f"Invalid return_when value: {return_when}")
    futures = set(fs)
    if any(iscoroutine(f) for f in futures):
        raise TypeError("Passing coroutines is forbidden, use tasks explicitly.")
    if timeout is not None and timeout != timeout:
        raise bad_delay(timeout)
    loop = _get_running_loop()
    state = _Wait(len(futures), return_when, loop)
    if timeout is not None:
        state.timer = loop.call_later(timeout, state.end)
    one_done = state.one_done
    for future in futures:
        future.add_done_callback(one_done)
    try:
        await state.waiter
    finally:
        if state.timer is not None:
            state.timer.cancel()
        for future in futures:
            future.remove_done_callback(one_done)
    done = {f for f in futures if f.done()}
    return done, futures - done


# --- as_completed ------------------------------------------------------------------------------------------------------


class _AsCompletedIterator:
    """What as_completed() returns."""

    def __init__(self, aws: Iterable[Any], timeout: float | None) -> None:
        loop = current_loop()
        self._done: Queue[Any] = Queue()  # the futures as they end; None for each that was too late
        self._timeout_handle: Any = None
        self._awaiting_task = current_task(None if _running_loop_or_none() is not None else loop)
        todo = {ensure_future(aw, loop=loop) for aw in set(aws)}
        for future in todo:
            future.add_done_callback(self._handle_completion)
        if todo and timeout is not None:
            self._timeout_handle = loop.call_later(timeout, self._handle_timeout)
        self._todo = todo
        self._todo_left = len(todo)  # how many the user can still ask for

    def __aiter__(self) -> _AsCompletedIterator:
        return self

    def __iter__(self) -> _AsCompletedIterator:
        return self

    async def __anext__(self) -> Any:
        if not self._todo_left:
            raise StopAsyncIteration
        self._todo_left -= 1
        return await self._wait_for_one()

    def __next__(self) -> Coroutine[Any, Any, Any]:
        if not self._todo_left:
            raise StopIteration
        self._todo_left -= 1
        return self._wait_for_one(resolve=True)

    def _handle_timeout(self) -> None:
        for future in self._todo:
            future.remove_done_callback(self._handle_completion)
            self._done.put_nowait(None)
        self._todo.clear()

    def _handle_completion(self, future: Any) -> None:
        if not self._todo:
            return  # the time-out was first
        self._todo.remove(future)
        self._done.put_nowait(future)
        if not self._todo and self._timeout_handle is not None:
            self._timeout_handle.cancel()

    async def _wait_for_one(self, resolve: bool = False) -> Any:
        try:
            future = await self._done.get()
        except BaseException:
            self._todo_left += 1  # the one that was asked for is still to come
            raise
        if future is None:
            raise TimeoutError
        return future.result() if resolve else future


def as_completed(fs: Iterable[Awaitable[Any]], *, timeout: float | None = None) -> _AsCompletedIterator:
    """Iterate over awaitables in the order in which they end.

    ``async for`` gives the futures themselves, done (tasks for those that were coroutines). A plain ``for`` gives coroutines, to be
    awaited one by one for the next result. TimeoutError when *timeout* seconds pass before all are done; TypeError if *fs* is an
    awaitable itself; RuntimeError without a loop.
    """
    if inspect.isawaitable(fs):
        raise TypeError(f"expects an iterable of awaitables, not {type(fs).__name__}")
    if timeout is not None and timeout != timeout:
        raise bad_delay(timeout)
    return _AsCompletedIterator(fs, timeout)


# --- shield ------------------------------------------------------------------------------------------------------------


class _Shield:
    """Passes the inner future's end on to the outer one, and no cancellation inwards."""

    __slots__ = ("_awaiting_task", "inner", "outer")

    def __init__(self, inner: Any, outer: Any, task: Any) -> None:
        self.inner = inner
        self.outer = outer
        self._awaiting_task = task

    def inner_done(self, inner: Any) -> None:
        outer = self.outer
        if outer.cancelled():
            return
        if inner.cancelled():
            outer.cancel()
            return
        exc = inner.exception()
        if exc is not None:
            outer.set_exception(exc)
        else:
            outer.set_result(inner.result())

    def outer_done(self, outer: Any) -> None:
        if not self.inner.done():
            self.inner.remove_done_callback(self.inner_done)


def shield(arg: Awaitable[Any]) -> Any:
    """A future for *arg* that can be cancelled without cancelling *arg*.

    If the waiter is cancelled, *arg* runs on, and its exception, if one comes, is reported as not retrieved. If *arg* itself is
    cancelled, so is the future.
    """
    inner = ensure_future(arg)
    if inner.done():
        return inner
    loop = loop_of(inner)
    outer = loop.create_future()
    both = _Shield(inner, outer, current_task(loop))
    inner.add_done_callback(both.inner_done)
    outer.add_done_callback(both.outer_done)
    return outer
