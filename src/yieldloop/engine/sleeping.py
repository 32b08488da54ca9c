"""`sleep` as an object: what a coroutine of two lines would do, without a frame.

What lives here: the awaitable that ``aio.sleep`` returns. It has a coroutine's methods (it can be awaited, made a task, closed,
thrown into), because programs treat the result of ``sleep()`` as a coroutine.

    NEW ── delay ≤ 0 ──▶ TURN ─────▶ OVER
     └──── delay > 0 ──▶ PARKED ───▶ OVER
"""

from __future__ import annotations

import collections.abc
from typing import Any

from yieldloop.engine._leaf import Outcome, Turn, new_turn, skip_globals
from yieldloop.engine.calls import Call, as_coroutine_function
from yieldloop.engine.running import get_running_loop
from yieldloop.errors import bad_delay

NEW = "NEW"
TURN = "TURN"
PARKED = "PARKED"
OVER = "OVER"

skip_globals(globals())


class Sleep(Call):
    """A wait of *delay* seconds that gives *result*. One use, like a coroutine."""

    __slots__ = (
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

    def close(self) -> None:
        """End without a result."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._future = None
        self._result = None
        self._state = OVER

    def named(self) -> str:
        return "sleep"

    def is_new(self) -> bool:
        return self._state is NEW

    def waits_for(self) -> Any:
        return self._future

    def __repr__(self) -> str:
        return f"<sleep({self._delay!r}) {self._state.lower()}>"


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


collections.abc.Coroutine.register(Turn)
as_coroutine_function(sleep)
