"""`sleep` as an object: what a coroutine of two lines would do, without a frame.

What lives here: the awaitable that ``aio.sleep`` returns. It has a coroutine's methods (it can be awaited, made a task, closed,
thrown into), because programs treat the result of ``sleep()`` as a coroutine. What may not: anything longer; a coroutine that
somebody may want to look into stays interpreted.

    NEW ── delay ≤ 0 ──▶ TURN ─────▶ OVER
     └──── delay > 0 ──▶ PARKED ───▶ OVER
"""

from __future__ import annotations

import collections.abc
import inspect
import warnings
from typing import Any

from yieldloop.engine._leaf import Outcome, Steps, Turn, _as_exception, new_turn, skip_globals
from yieldloop.engine.running import get_running_loop
from yieldloop.engine.tasks import IS_COROUTINE
from yieldloop.errors import bad_delay

NEW = "NEW"
TURN = "TURN"
PARKED = "PARKED"
OVER = "OVER"

skip_globals(globals())


class Sleep(Steps):
    """A wait of *delay* seconds that gives *result*. One use, like a coroutine."""

    __slots__ = (
        "__weakref__",
        "_delay",
        "_future",  # what the sleeper's task is parked on, while PARKED
        "_result",
        "_state",
        "_timer",  # armed while PARKED
    )

    def __init__(self, delay: Any, result: Any) -> None:
        self._delay = delay
        self._result = result
        self._timer: Any = None
        self._future: Any = None
        self._state = NEW

    def advance(self) -> Any:
        if self._state is NEW:
            return self._begin()
        if self._state is TURN:
            return self._finish()
        if self._state is PARKED:
            if not self._future.done():
                raise RuntimeError(f"{self!r} was resumed before its time: only the loop's task may drive it")
            self._timer.cancel()
            self._future.result()  # raises if somebody cancelled it
            return self._finish()
        raise RuntimeError("cannot reuse already awaited coroutine")

    def _begin(self) -> Any:
        if self._delay <= 0:
            self._state = TURN
            return None
        if self._delay != self._delay:
            self._state = OVER
            raise bad_delay(self._delay)
        loop = get_running_loop()
        future = loop.create_future()
        self._timer = loop.call_later(self._delay, _settle, future)
        self._future = future
        self._state = PARKED
        future._asyncio_future_blocking = True
        return future

    def _finish(self) -> Any:
        self._state = OVER
        result = self._result
        self._result = None
        self._future = None
        self._timer = None
        return Outcome(result, None)

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        """Raise in the sleep, as a generator's ``throw``: the sleep is over."""
        self.close()
        raise _as_exception(typ, val, tb)

    def close(self) -> None:
        """End without a result."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._future = None
        self._result = None
        self._state = OVER

    # What tools read of a coroutine.

    def __getattr__(self, name: str) -> Any:
        if name in ("__name__", "__qualname__"):  # as properties, Cython takes them for the class's own
            return "sleep"
        raise AttributeError(f"a sleep has no attribute {name!r}")

    @property
    def cr_await(self) -> Any:
        """What the sleep waits for: a future, or None."""
        return self._future

    @property
    def cr_running(self) -> bool:
        """False: a sleep has no code of its own that could be running."""
        return False

    @property
    def cr_frame(self) -> None:
        """None: a sleep has no frame."""
        return None

    @property
    def cr_code(self) -> Any:
        """The code object of the function `sleep`, for those who ask where a coroutine is defined."""
        return _settle.__code__

    def __repr__(self) -> str:
        return f"<sleep({self._delay!r}) {self._state.lower()}>"

    def __del__(self) -> None:
        if self._state is NEW:
            self._state = OVER
            warnings.warn("coroutine 'sleep' was never awaited", RuntimeWarning, stacklevel=1, source=self)


def sleep(delay: float, result: Any = None) -> Any:
    """Wait for *delay* seconds, never less; then give *result*. A delay of 0 or less gives up one turn.

    To be awaited, like the coroutine that it is to everybody who asks. ValueError for NaN. A cancellation point in any case.
    """
    if result is None and delay <= 0:
        return new_turn()
    return Sleep(delay, result)


def _settle(future: Any) -> None:
    if not future.done():
        future.set_result(None)


collections.abc.Coroutine.register(Sleep)
collections.abc.Coroutine.register(Turn)
# Those who ask whether the function is a coroutine function hear yes, as of the `async def` that it replaces.
sleep._is_coroutine = IS_COROUTINE  # type: ignore[attr-defined]
if hasattr(inspect, "markcoroutinefunction"):
    inspect.markcoroutinefunction(sleep)
