"""timeout, timeout_at, Timeout, wait_for: a limit in time around some waiting.

What lives here: turning "too late" into a cancellation of the task, and that cancellation into TimeoutError where the limit was
set. What may not: any other reason to cancel (`taskgroups`).

The hard part is to tell whose cancellation it is. The limit cancels by `Task.cancel`, takes that back by `Task.uncancel`, and
claims the CancelledError only if no other request came in since it was entered. So a cancellation from outside is never
swallowed (cpython issue 86296), and a limit outside never hides a limit inside.
"""

from __future__ import annotations

import enum
from asyncio import events as _events
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from yieldloop.aio.tasks import ensure_future
from yieldloop.engine.futures import isfuture
from yieldloop.engine.tasks import current_task
from yieldloop.errors import CancelledError, bad_delay, no_task

__all__ = ("Timeout", "timeout", "timeout_at", "wait_for")

_T = TypeVar("_T")
_get_running_loop = _events.get_running_loop


class _State(enum.Enum):
    CREATED = "created"
    ENTERED = "active"
    EXPIRING = "expiring"  # the task was cancelled by us, and has not come out yet
    EXPIRED = "expired"
    EXITED = "finished"


_CREATED, _ENTERED, _EXPIRING, _EXPIRED, _EXITED = _State


class Timeout:
    """``async with`` a limit in time. Made by `timeout` and `timeout_at`; can be asked and moved while it is active.

    *when* is a point in time on the loop's clock (`loop.time()`), or None for no limit yet.
    """

    __slots__ = ("__weakref__", "_cancelling", "_loop", "_state", "_task", "_timeout_handler", "_when")

    def __init__(self, when: float | None) -> None:
        self._state = _CREATED
        self._timeout_handler: Any = None  # the armed timer
        self._task: Any = None  # who is limited
        self._when = when
        self._cancelling = 0  # requests to cancel the task that were there before us
        self._loop: Any = None

    def __repr__(self) -> str:
        if self._state is not _ENTERED:
            return f"<Timeout [{self._state.value}]>"
        when = None if self._when is None else round(self._when, 3)
        return f"<Timeout [active] when={when}>"

    def when(self) -> float | None:
        """The deadline on the loop's clock, or None."""
        return self._when

    def expired(self) -> bool:
        """True if the deadline passed while the limit was active."""
        return self._state is _EXPIRING or self._state is _EXPIRED

    def reschedule(self, when: float | None) -> None:
        """Move the deadline to *when*, a point on the loop's clock; None lifts it. RuntimeError if it is not active."""
        if self._state is not _ENTERED:
            self._refuse()
        if when is not None and when != when:
            raise bad_delay(when)
        self._when = when
        if self._timeout_handler is not None:
            self._timeout_handler.cancel()
            self._timeout_handler = None
        if when is not None:
            self._arm(when)

    def _refuse(self) -> NoReturn:
        if self._state is _CREATED:
            raise RuntimeError("Timeout has not been entered")
        raise RuntimeError(f"Cannot change state of {self._state.value} Timeout")

    def _arm(self, when: float) -> None:
        loop = self._loop
        if when <= loop.time():
            self._timeout_handler = loop.call_soon(self._on_timeout)
        else:
            self._timeout_handler = loop.call_at(when, self._on_timeout)

    def _on_timeout(self) -> None:
        self._task.cancel()
        self._state = _EXPIRING
        self._timeout_handler = None

    async def __aenter__(self) -> Timeout:
        self.enter(_get_running_loop())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.leave(exc)

    # wait_for() calls these two directly: a coroutine less for each.

    def enter(self, loop: Any) -> None:
        """Start limiting the current task of *loop*, the running one."""
        if self._state is not _CREATED:
            raise RuntimeError("Timeout has already been entered")
        task = current_task(loop)
        if task is None:
            raise no_task("Timeout")
        when = self._when
        if when is not None and when != when:
            raise bad_delay(when)
        self._state = _ENTERED
        self._loop = loop
        self._task = task
        self._cancelling = task.cancelling()
        if when is not None:
            self._arm(when)

    def leave(self, exc: BaseException | None) -> None:
        """Stop limiting; the body ended with *exc*. Raises TimeoutError if *exc* is the cancellation that we asked for."""
        if self._state is not _ENTERED and self._state is not _EXPIRING:
            self._refuse()
        if self._timeout_handler is not None:
            self._timeout_handler.cancel()
            self._timeout_handler = None
        task = self._task
        self._task = None  # its error's traceback may hold us
        if self._state is _ENTERED:
            self._state = _EXITED
            return
        self._state = _EXPIRED
        if task.uncancel() > self._cancelling or exc is None:
            return  # somebody else wants the task cancelled as well, or the body got through
        if isinstance(exc, CancelledError):
            raise TimeoutError from exc
        _note_timeout(exc)
        if isinstance(exc, ExceptionGroup):
            for inner in exc.exceptions:
                _note_timeout(inner)


def _note_timeout(exc: BaseException) -> None:
    """*exc* was raised while our cancellation was handled: say TimeoutError in its history, where CancelledError stands."""
    while exc.__context__ is not None:
        if isinstance(exc.__context__, CancelledError):
            late = TimeoutError()
            late.__context__ = late.__cause__ = exc.__context__
            exc.__context__ = late
            return
        exc = exc.__context__


def timeout(delay: float | None) -> Timeout:
    """Limit a block to *delay* seconds from now; None for no limit. ``async with timeout(10): …``

    When time is up the task is cancelled where it waits, and the block ends with TimeoutError. RuntimeError if no loop runs;
    ValueError for NaN.
    """
    if delay is None:
        _get_running_loop()
        return Timeout(None)
    if delay != delay:
        raise bad_delay(delay)
    return Timeout(_get_running_loop().time() + delay)


def timeout_at(when: float | None) -> Timeout:
    """Limit a block to the moment *when* on the loop's clock (``loop.time() + seconds``); None for no limit."""
    return Timeout(when)


async def wait_for(fut: Awaitable[_T], timeout: float | None) -> _T:
    """Await *fut* for at most *timeout* seconds (None: no limit); returns its result.

    When time is up *fut* is cancelled, its end is awaited, and TimeoutError is raised, unless *fut* got a result after all: that
    is returned. If the waiter is cancelled, so is *fut* (`shield` prevents both). A coroutine runs in the waiter's own task. At 0
    or less a coroutine is not even started. A cancellation point.
    """
    if timeout is None:
        return await fut
    if timeout <= 0:
        return await _wait_no_time(fut)  # type: ignore[no-any-return]
    if timeout != timeout:
        raise bad_delay(timeout)
    loop = _get_running_loop()
    limit = Timeout(loop.time() + timeout)
    limit.enter(loop)
    try:
        result = await fut
    except BaseException as exc:
        try:
            limit.leave(exc)
        except TimeoutError:
            # The result may have come in the same turn as the timer, after the task was woken for it: not lost.
            if isfuture(fut) and fut.done() and not fut.cancelled():  # type: ignore[attr-defined]
                return fut.result()  # type: ignore[attr-defined,no-any-return]
            raise
        raise
    limit.leave(None)
    return result


async def _wait_no_time(aw: Any) -> Any:
    fut = ensure_future(aw)
    if fut.done():
        return fut.result()
    await _CancelAndWait(fut).run()
    try:
        return fut.result()
    except CancelledError as exc:
        raise TimeoutError from exc


class _CancelAndWait:
    """Cancel a future and wait for its end, not by awaiting it: our own cancellation must reach us, not it once more."""

    __slots__ = ("_awaiting_task", "fut", "waiter")

    def __init__(self, fut: Any) -> None:
        loop = _get_running_loop()
        self.fut = fut
        self.waiter = loop.create_future()
        self._awaiting_task = current_task(loop)  # for call graphs

    async def run(self) -> None:
        self.fut.add_done_callback(self.ended)
        try:
            self.fut.cancel()
            await self.waiter
        finally:
            self.fut.remove_done_callback(self.ended)

    def ended(self, fut: Any) -> None:
        if not self.waiter.done():
            self.waiter.set_result(None)
