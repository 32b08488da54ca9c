"""The exceptions, and the texts that teach.

What lives here: every exception class that a user of yieldloop meets. What may not: anything that imports from the package.
Rule: where the standard library has the class, ours *is* that class, so that an ``except asyncio.…`` written by someone else
catches it. A class newer than the running Python is made here, once.
"""

from __future__ import annotations

import asyncio as _asyncio
from asyncio import (
    BrokenBarrierError,
    CancelledError,
    IncompleteReadError,
    InvalidStateError,
    LimitOverrunError,
    QueueEmpty,
    QueueFull,
    SendfileNotAvailableError,
)
from builtins import TimeoutError
from typing import TYPE_CHECKING, Any

__all__ = (
    "BrokenBarrierError",
    "CancelledError",
    "DeadLoopError",
    "IncompleteReadError",
    "InvalidStateError",
    "LimitOverrunError",
    "QueueEmpty",
    "QueueFull",
    "QueueShutDown",
    "SendfileNotAvailableError",
    "TimeoutError",
)

if TYPE_CHECKING:

    class QueueShutDown(Exception): ...

elif hasattr(_asyncio, "QueueShutDown"):  # Python 3.13 and later
    QueueShutDown = _asyncio.QueueShutDown
else:

    class QueueShutDown(Exception):
        """Raised when putting on to or getting from a queue that was shut down."""


class DeadLoopError(RuntimeError):
    """Nothing can ever wake the tasks that are left, so `run` and `run_until_complete` would never return.

    Its text is the graph of who waits for whom. The tasks stand where they stood and can still be cancelled.
    """


def dead_loop(graph: str) -> DeadLoopError:
    """A loop that has nothing to wait for; *graph* says what its tasks wait for."""
    return DeadLoopError(
        "nothing can ever wake the tasks that are left: no entry is ready, no timer and no descriptor is armed, no child process "
        f"and no other thread runs, and no signal has a handler\n{graph}\n"
        "If the program is to wait like this, for Ctrl-C alone, say so by loop.set_dead_loop_check(False), or by "
        "YIELDLOOP_DEAD_LOOP=off in the environment"
    )


def other_loop(obj: Any) -> RuntimeError:
    """A lock, queue or other primitive used from a second loop."""
    return RuntimeError(
        f"{obj!r} is bound to a different event loop: it belongs to the loop in which somebody first had to wait for it; "
        "make one for each loop, or use the primitives of `threading` between threads"
    )


def no_task(what: str) -> RuntimeError:
    """*what* cancels the task it is used in, and there is none."""
    return RuntimeError(f"{what} should be used inside a task: start it by run(), create_task() or a TaskGroup")


def not_awaitable(obj: Any) -> TypeError:
    """Something that cannot be waited for stands where an awaitable was expected."""
    text = f"An asyncio.Future, a coroutine or an awaitable is required, not {obj!r}"
    if callable(obj):
        text += "; was the function named and not called?"
    return TypeError(text)


def bad_delay(delay: Any) -> ValueError:
    """A delay or deadline that is no point in time."""
    return ValueError(
        f"Invalid delay: NaN (not a number), got {delay!r}: it compares with no time at all; use None for 'no limit'"
    )
