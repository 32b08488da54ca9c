"""What a task can drive: coroutines, and generators that are marked as such.

What lives here: telling them from everything else, and the words for what a task cannot drive. What may not: driving (`tasks`).
"""

from __future__ import annotations

import collections.abc
import inspect
import sys
import types
from asyncio import coroutines as _coroutines
from typing import Any

from yieldloop.engine.futures import isfuture

_MARKED = inspect.CO_ITERABLE_COROUTINE
_EVERY_GENERATOR = sys.version_info < (3, 12)  # up to 3.11 the standard library takes plain generators, and programs give them
IS_COROUTINE = getattr(_coroutines, "_is_coroutine", None) or object()  # marks functions up to Python 3.13
_known_types: set[type] = {types.CoroutineType}  # types that passed the slow check below; bounded


def iscoroutine(obj: Any) -> bool:
    """True for a coroutine object, or for a generator made by a function marked with `coroutine` (on 3.11: any generator)."""
    if type(obj) in _known_types:
        return True
    if isinstance(obj, types.GeneratorType):
        return _EVERY_GENERATOR or bool(obj.gi_code.co_flags & _MARKED)
    if isinstance(obj, collections.abc.Coroutine):
        if len(_known_types) < 100:
            _known_types.add(type(obj))
        return True
    return False


def iscoroutinefunction(func: Any) -> bool:
    """True for a function that returns a coroutine when called: ``async def``, or marked with `coroutine`."""
    if inspect.iscoroutinefunction(func) or getattr(func, "_is_coroutine", None) is IS_COROUTINE:
        return True
    code = getattr(func, "__code__", None)
    return code is not None and bool(code.co_flags & _MARKED) and inspect.isgeneratorfunction(func)


def coroutine(func: Any) -> Any:
    """Mark a generator function as a coroutine function (PEP 380, as in Python 3.4 to 3.10): ``yield from`` waits.

    Such a coroutine can be awaited by a native one, and can itself ``yield from`` native ones. A plain function is wrapped:
    what it returns is waited for if it can be.
    """
    if inspect.iscoroutinefunction(func):
        return func
    if not callable(func):
        raise TypeError(f"@coroutine marks a generator function, not {func!r}")
    return types.coroutine(func)


def bad_yield_text(task: Any, yielded: Any) -> str:
    """What is wrong with *yielded*, which is no future."""
    if inspect.isgenerator(yielded):
        return f"yield was used instead of yield from for generator in task {task!r} with {yielded!r}"
    return (
        f"Task got bad yield: {yielded!r} in task {task!r}: the loop expects a future (by `await` or `yield from`) or a bare "
        "`yield`; was this awaitable written for another library (trio, curio)?"
    )


def why_no_coroutine(obj: Any) -> str:
    """What *obj* is in place of a coroutine, and what to do: the end of an error's text, or nothing."""
    if inspect.isgenerator(obj):
        return ": a plain generator; mark its function with @yieldloop.coroutine, or make it `async def`"
    if inspect.iscoroutinefunction(obj) or inspect.isgeneratorfunction(obj):
        return f": a function, not what it returns; call it: {getattr(obj, '__name__', 'f')}(...)"
    if inspect.isasyncgen(obj):
        return ": an async generator; iterate over it with `async for` in a coroutine"
    if isfuture(obj) or isinstance(obj, collections.abc.Awaitable):
        return ": an awaitable that is no coroutine; use ensure_future(), or await it in a coroutine"
    return ""
