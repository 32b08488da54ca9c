"""Calls: awaitables that stand for a coroutine and have no frame.

What lives here: what tools and programs ask of a coroutine, answered once for all of them. What may not: what a call does; a
subclass says that by `advance` (the next step) and `close`.

Making a coroutine and driving it costs as much as many an operation that it would wrap. What is of a few lines and often called
(`sleep`, the ``sock_*``, a stream's reads) is such an object instead; whatever somebody may want to look into stays a coroutine.
"""

from __future__ import annotations

import collections.abc
import inspect
import warnings
from typing import Any

from yieldloop.engine._leaf import Outcome, Steps, _as_exception, iter_send, iter_throw, skip_globals
from yieldloop.engine.coroutines import IS_COROUTINE

skip_globals(globals())


class Call(Steps):
    """One call. One use, like a coroutine."""

    __slots__ = ("__weakref__",)

    def named(self) -> str:
        """What the function is called."""
        raise NotImplementedError("a call says what it is called")

    def is_new(self) -> bool:
        """True until the first step, or `close`."""
        raise NotImplementedError("a call says whether it has begun")

    def waits_for(self) -> Any:
        """The awaitable that it waits for now, or None."""
        return None

    def close(self) -> None:
        """End without a result."""
        raise NotImplementedError("a call says how it ends")

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        """Raise in the call, as a generator's ``throw``: it is over, and has taken nothing."""
        self.close()
        try:
            raise _as_exception(typ, val, tb)
        finally:
            del typ, val, tb  # as in `iter_throw`: a traceback holds our frame

    def __getattr__(self, name: str) -> Any:
        if name in ("__name__", "__qualname__"):  # as properties, Cython takes them for the class's own
            return self.named()
        raise AttributeError(f"a call of {self.named()}() has no attribute {name!r}")

    @property
    def cr_await(self) -> Any:
        """What the call waits for: a future, a coroutine, or None."""
        return self.waits_for()

    @property
    def cr_running(self) -> bool:
        """False: a call has no code of its own that could be running."""
        return False

    @property
    def cr_frame(self) -> None:
        """None: a call has no frame."""
        return None

    @property
    def cr_code(self) -> Any:
        """A code object of this file, for those who ask where a coroutine is defined."""
        return _warn_unused.__code__

    def __repr__(self) -> str:
        return f"<{self.named()}()>"

    def __del__(self) -> None:
        if self.is_new():
            self.close()
            _warn_unused(self)


class Shortcut(Call):
    """A call that is most often over in its first step; else a coroutine does it."""

    __slots__ = (
        "_begun",
        "_coro",  # that coroutine, once this is no plain case
    )

    def _drive(self, error: Any) -> Any:
        """A step of the coroutine."""
        got = iter_send(self._coro, None) if error is None else iter_throw(self._coro, error)
        if type(got) is Outcome:
            self._end()
            if got.error is not None:
                try:
                    raise got.error
                finally:
                    del error, got  # as in `throw`
        return got

    def _end(self) -> None:
        self._coro: Any = None

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        """Raise in the call, as a generator's ``throw``. Nothing was taken."""
        error = _as_exception(typ, val, tb)
        try:
            if self._coro is not None:
                got = self._drive(error)
                if type(got) is Outcome:
                    raise StopIteration(got.value)
                return got
            self.close()
            raise error
        finally:
            del typ, val, tb, error  # as in `iter_throw`: a traceback holds our frame

    def close(self) -> None:
        """End without a result."""
        self._begun = True
        if self._coro is not None:
            self._coro.close()
        self._end()

    def is_new(self) -> bool:
        return not self._begun

    def waits_for(self) -> Any:
        return self._coro


def _warn_unused(call: Any) -> None:
    warnings.warn(f"coroutine {call.__name__!r} was never awaited", RuntimeWarning, stacklevel=2, source=call)


def as_coroutine_function(function: Any) -> Any:
    """*function*, which returns a call: who asks whether it is a coroutine function hears yes from now on."""
    function._is_coroutine = IS_COROUTINE
    if hasattr(inspect, "markcoroutinefunction"):
        inspect.markcoroutinefunction(function)
    return function


collections.abc.Coroutine.register(Call)
