"""create_task, ensure_future, sleep: one task, one wait.

What lives here: starting a coroutine as a task on whatever loop runs, and the two ways to sleep. What may not: waiting for
several things (`waiting`), and how a task works (`engine.tasks`).
"""

from __future__ import annotations

import inspect
import sys
import types
import warnings
from asyncio import events as _events
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar, overload

from yieldloop.engine import coroutines as _coroutines
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.coroutines import iscoroutine
from yieldloop.engine.futures import Future, isfuture, loop_of
from yieldloop.engine.running import current_loop
from yieldloop.engine.sleeping import sleep
from yieldloop.engine.tasks import Task
from yieldloop.errors import not_awaitable

__all__ = ("create_eager_task_factory", "create_task", "eager_task_factory", "ensure_future", "iscoroutinefunction", "sleep")

_T = TypeVar("_T")
_get_running_loop = _events.get_running_loop

skip_globals(globals())  # a task's creation site is the program's line, not ours


def create_task(coro: Coroutine[Any, Any, _T], **kwargs: Any) -> Task:
    """Run *coro* as a task of the running loop, from its next turn on. RuntimeError if no loop runs.

    Keywords: *name*; *context*, a `contextvars.Context` to run in instead of a copy of this one; *eager_start*, True to take
    the first step here and now. Those that are given go on to ``loop.create_task`` as in Python 3.14; where a loop does not
    know one of them (stock loops before 3.14, third-party loops), the task is made here instead.
    """
    loop = _get_running_loop()
    if not kwargs:
        task: Any = loop.create_task(coro)  # of whatever class the loop's factory makes
        return task  # type: ignore[no-any-return]
    return create_task_on(loop, coro, kwargs)  # type: ignore[no-any-return]


def create_task_on(loop: Any, coro: Any, kwargs: dict[str, Any]) -> Any:
    """``loop.create_task(coro, **kwargs)`` for any loop, however old."""
    takes = _keywords_of(type(loop))
    if takes is not None and not takes.issuperset(kwargs):
        if kwargs.get("eager_start", 0) is None:  # "as the loop does it": such a loop has only one way
            kwargs = {key: value for key, value in kwargs.items() if key != "eager_start"}
        if not takes.issuperset(kwargs):
            return Task(coro, loop=loop, **kwargs)
    return loop.create_task(coro, **kwargs)


_keywords: dict[type, frozenset[str] | None] = {}  # per class of loop; a program has one or two


def _keywords_of(loop_type: type) -> frozenset[str] | None:
    """The keywords that create_task() of this class takes; None if it takes all."""
    try:
        return _keywords[loop_type]
    except KeyError:
        pass
    try:
        parameters = inspect.signature(loop_type.create_task).parameters.values()  # type: ignore[attr-defined]
    except (AttributeError, ValueError, TypeError):  # written in C, or a mock: what every loop has taken since 3.11
        found: frozenset[str] | None = frozenset(("name", "context"))
    else:
        every = any(p.kind is p.VAR_KEYWORD for p in parameters)
        found = None if every else frozenset(p.name for p in parameters)
    _keywords[loop_type] = found
    return found


@overload
def ensure_future(coro_or_future: Coroutine[Any, Any, _T], *, loop: Any = None) -> Task: ...
@overload
def ensure_future(coro_or_future: Awaitable[_T], *, loop: Any = None) -> Future: ...
def ensure_future(coro_or_future: Any, *, loop: Any = None) -> Any:
    """A future as it is; anything else that can be awaited as a task of *loop* (default: the running or the current one).

    ValueError for a future of another loop than *loop*; TypeError for what cannot be awaited; RuntimeError without a loop.
    """
    close = True
    if type(coro_or_future) is not types.CoroutineType:
        if isfuture(coro_or_future):
            if loop is not None and loop is not loop_of(coro_or_future):
                raise ValueError(
                    "The future belongs to a different loop than the one specified as the loop argument: "
                    f"{coro_or_future!r} is not of {loop!r}"
                )
            return coro_or_future
        if not iscoroutine(coro_or_future):
            coro_or_future = as_coroutine(coro_or_future)
            close = False  # the awaitable itself stays usable
    if loop is None:
        try:
            loop = current_loop()
        except RuntimeError:
            if not close:
                coro_or_future.close()  # ours: it must not be reported as never awaited
            raise
    try:
        return loop.create_task(coro_or_future)
    except RuntimeError:
        coro_or_future.close()
        raise


def as_coroutine(awaitable: Any) -> Any:
    """A coroutine that awaits *awaitable*. TypeError if that is none."""
    if not inspect.isawaitable(awaitable):
        raise not_awaitable(awaitable)
    return _await(awaitable)


async def _await(awaitable: Any) -> Any:
    return await awaitable


def iscoroutinefunction(func: Any) -> bool:
    """True for a function that returns a coroutine when called: ``async def``, or marked with `coroutine`.

    From Python 3.14 on the standard library's warns that it is deprecated, and so does this one there.
    """
    if sys.version_info >= (3, 14):
        warnings.warn(
            "asyncio.iscoroutinefunction() is deprecated since Python 3.14 and will go in 3.16; call inspect.iscoroutinefunction()",
            DeprecationWarning,
            stacklevel=2,
        )
    return _coroutines.iscoroutinefunction(func)


def create_eager_task_factory(custom_task_constructor: Any) -> Any:
    """A task factory for `loop.set_task_factory` whose tasks take their first step when they are created.

    *custom_task_constructor* takes ``(coro, *, loop, name, context, eager_start)`` and more keywords that pass through. It stands
    alone in the factory's closure: anyio knows by ``__code__`` what it has, and takes it from there to start tasks itself.
    """

    def factory(loop: Any, coro: Any, *, eager_start: bool = True, **kwargs: Any) -> Any:
        return custom_task_constructor(coro, loop=loop, eager_start=eager_start, **kwargs)

    factory._takes_all_keywords = True  # type: ignore[attr-defined]
    return factory


eager_task_factory = create_eager_task_factory(Task)
