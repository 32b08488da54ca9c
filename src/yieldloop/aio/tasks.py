"""Making tasks, and the two smallest things to wait for: a turn and a while.

What lives here: `create_task`, `ensure_future`, `sleep`. What may not: waiting for several things (`waiting`).
"""

from __future__ import annotations

import contextvars
import inspect
import types
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, TypeVar

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.core import Core
from yieldloop.engine.futures import isfuture, loop_of
from yieldloop.engine.running import current_loop, get_running_loop
from yieldloop.engine.tasks import Task, iscoroutine

__all__ = ["create_task", "ensure_future", "sleep"]

T = TypeVar("T")
skip_globals(globals())


def create_task(
    coro: Coroutine[Any, Any, T] | Generator[Any, Any, T],
    *,
    name: str | None = None,
    context: contextvars.Context | None = None,
    eager_start: bool | None = None,
) -> Task:
    """Run *coro* as a task of the running loop. RuntimeError if none runs, TypeError if *coro* is no coroutine.

    Signature of Python 3.14, also on loops of older standard libraries.
    """
    return make_task(get_running_loop(), coro, name, context, eager_start)


def make_task(loop: Any, coro: Any, name: Any = None, context: Any = None, eager_start: Any = None) -> Any:
    """A task on *loop* by whatever keywords that loop understands."""
    if isinstance(loop, Core):
        return loop.create_task(coro, name=name, context=context, eager_start=eager_start)
    keywords = {}
    if name is not None:
        keywords["name"] = name
    if context is not None:
        keywords["context"] = context
    if eager_start is not None:
        if _takes_eager_start(type(loop)):
            keywords["eager_start"] = eager_start
        elif eager_start:
            return Task(coro, loop=loop, eager_start=True, **keywords)
    return loop.create_task(coro, **keywords)


_eager_loops: dict[type, bool] = {}


def _takes_eager_start(cls: type) -> bool:
    if cls not in _eager_loops:
        parameters = inspect.signature(cls.create_task).parameters.values()
        _eager_loops[cls] = any(p.name == "eager_start" or p.kind is p.VAR_KEYWORD for p in parameters)
    return _eager_loops[cls]


def ensure_future(coro_or_future: Awaitable[T], *, loop: Any = None) -> Any:
    """What was given if it is a future; a task for a coroutine or any other awaitable.

    TypeError for anything else, ValueError if the future belongs to another loop than *loop*.
    """
    if isfuture(coro_or_future):
        if loop is not None and loop is not loop_of(coro_or_future):
            raise ValueError("The future belongs to a different loop than the one specified as the loop argument")
        return coro_or_future
    wrapped = not iscoroutine(coro_or_future)
    if wrapped:
        if not inspect.isawaitable(coro_or_future):
            raise TypeError(f"An asyncio.Future, a coroutine or an awaitable is required, not {coro_or_future!r}")
        coro_or_future = _await(coro_or_future)
    try:
        return (current_loop() if loop is None else loop).create_task(coro_or_future)
    except RuntimeError:
        if wrapped:
            coro_or_future.close()  # type: ignore[attr-defined]
        raise


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


@types.coroutine
def _give_up_the_turn() -> Generator[None, None, None]:
    yield


async def sleep(delay: float, result: Any = None) -> Any:
    """Wait for *delay* seconds, never less; then return *result*. A delay of 0 or less gives up one turn.

    ValueError for NaN. A cancellation point in any case.
    """
    if delay <= 0:
        await _give_up_the_turn()
        return result
    if delay != delay:
        raise ValueError("Invalid delay: NaN (not a number)")
    loop = get_running_loop()
    future = loop.create_future()
    timer = loop.call_later(delay, _set_unless_cancelled, future, result)
    try:
        return await future
    finally:
        timer.cancel()


def _set_unless_cancelled(future: Any, result: Any) -> None:
    if not future.cancelled():
        future.set_result(result)
