"""run and Runner: from ordinary code into coroutines and back.

What lives here: making a loop, running coroutines on it, and what Ctrl-C means. What may not: the loop itself, and the order in
which what is left on it ends (`shutdown`).

The first Ctrl-C cancels the main task, so that it can clean up; if it ends by that cancellation, KeyboardInterrupt is raised out
of `run`. The second is not polite any more: KeyboardInterrupt where the program stands.

With a *shutdown_timeout* the first Ctrl-C starts the clock, else `close` does. A main task that has not ended when three
quarters of the time are over is cancelled once more, together with all others, and they have the last quarter.
"""

from __future__ import annotations

import enum
import functools
import signal
import threading
from asyncio import events as _events
from asyncio import unix_events as _unix_events
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from types import FrameType, TracebackType
from typing import Any, TypeVar

from yieldloop.aio.shutdown import end_of, end_within
from yieldloop.aio.tasks import as_coroutine, create_task_on
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.coroutines import iscoroutine
from yieldloop.errors import CancelledError

__all__ = ("Runner", "run")

_T = TypeVar("_T")
MAIN_SHARE = 0.75  # of the time for the shutdown: how much of it the main task may take for itself after Ctrl-C

# What `shutdown_timeout=None` means, in s; None: no limit. Set by ``python -m yieldloop run --shutdown-timeout``.
default_shutdown_timeout: float | None = None

skip_globals(globals())


_STOCK_POLICY = getattr(_unix_events, "_DefaultEventLoopPolicy", None) or _unix_events.DefaultEventLoopPolicy


class _State(enum.Enum):
    CREATED = "created"
    INITIALIZED = "initialized"
    CLOSED = "closed"


class Runner:
    """``with Runner() as runner:`` holds a loop, on which ``runner.run(coro)`` can be called several times.

    *loop_factory* makes the loop (default: `yieldloop.new_event_loop`, and the loop is made the thread's current one meanwhile);
    *debug* sets its debug mode. At the end tasks are cancelled, async generators and the default executor shut down, and the loop
    closed.

    *shutdown_timeout* is how long that end may take, in seconds by the loop's clock, counted from the first Ctrl-C or else from
    `close`. Then one report to the loop's exception handler names every task, async generator, server, transport, child process
    and thread that is still alive, where it was made and what it waits for; they are left behind, and the exit of the interpreter
    does not wait for the threads where Python allows that. None, the default, is the standard library's end: without a limit, but
    for 300 s for the default executor's threads from Python 3.12 on. ValueError if it is negative or NaN.
    """

    def __init__(
        self,
        *,
        debug: bool | None = None,
        loop_factory: Callable[[], Any] | None = None,
        shutdown_timeout: float | None = None,
    ) -> None:
        if shutdown_timeout is not None and not shutdown_timeout >= 0:
            raise ValueError(
                f"shutdown_timeout is the number of seconds that the shutdown may take, not {shutdown_timeout!r}; "
                "None sets no limit"
            )
        self._patience = default_shutdown_timeout if shutdown_timeout is None else shutdown_timeout
        self._deadline: float | None = None  # by the loop's clock; set when the shutdown begins
        self._share: Any = None  # the timer of the main task's share of the shutdown
        self._overdue = False  # it has taken more than that
        self._state = _State.CREATED
        self._debug = debug
        self._loop_factory = loop_factory
        self._loop: Any = None
        self._context: Context | None = None
        self._interrupt_count = 0
        self._set_event_loop = False

    def __enter__(self) -> Runner:
        self._lazy_init()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything on the loop and close it. Does nothing the second time, or if nothing was run."""
        if self._state is not _State.INITIALIZED:
            return
        loop = self._loop
        try:
            if self._patience is None:
                end_of(loop)
            else:
                self._start_clock()
                end_within(loop, self._deadline, self._patience)  # type: ignore[arg-type]  # the clock runs
        finally:
            if self._set_event_loop:
                _events.set_event_loop(None)
            loop.close()
            self._loop = None
            self._state = _State.CLOSED

    def get_loop(self) -> Any:
        """The loop, made now if need be. RuntimeError if the runner is closed."""
        self._lazy_init()
        return self._loop

    def run(self, coro: Awaitable[_T], *, context: Context | None = None) -> _T:
        """Run *coro* as a task until it is done; returns its result or raises its exception.

        *context* is a `contextvars.Context` to run it in; by default all runs share the runner's. RuntimeError inside a running
        loop; TypeError for what cannot be awaited.
        """
        if _events._get_running_loop() is not None:
            raise RuntimeError("Runner.run() cannot be called from a running event loop")
        self._lazy_init()
        if not iscoroutine(coro):
            coro = as_coroutine(coro)
        task = create_task_on(self._loop, coro, {"context": self._context if context is None else context})
        handler = self._take_sigint(task)
        self._interrupt_count = 0
        self._deadline = None
        self._overdue = False
        try:
            return self._loop.run_until_complete(task)  # type: ignore[no-any-return]
        except RuntimeError:
            if self._overdue and not task.done():
                raise KeyboardInterrupt() from None  # `close` gives it the rest of the time
            raise
        except CancelledError:
            if self._interrupt_count > 0:
                uncancel = getattr(task, "uncancel", None)  # a task factory's own class may have none
                if uncancel is not None and uncancel() == 0:
                    raise KeyboardInterrupt() from None
            raise
        finally:
            if self._share is not None:
                self._share.cancel()
            if handler is not None and signal.getsignal(signal.SIGINT) is handler:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def _take_sigint(self, task: Any) -> Any:
        """Handle Ctrl-C by `_on_sigint` while *task* runs, unless the program has a handler of its own; None if not."""
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            return None
        handler = functools.partial(self._on_sigint, main_task=task)
        try:
            signal.signal(signal.SIGINT, handler)
        except ValueError:
            return None  # a main thread without signals: an embedded interpreter (cpython issue 91880)
        return handler

    def _on_sigint(self, signum: int, frame: FrameType | None, main_task: Any) -> None:
        self._interrupt_count += 1
        if self._interrupt_count == 1 and not main_task.done():
            main_task.cancel()
            # Wakes the loop as well: it may be asleep in the poll.
            self._loop.call_soon_threadsafe(self._shutdown_begins, main_task)
            return
        raise KeyboardInterrupt()

    def _shutdown_begins(self, main_task: Any) -> None:
        if self._patience is not None and not main_task.done():
            self._start_clock()
            self._share = self._loop.call_later(MAIN_SHARE * self._patience, self._main_is_late, main_task)

    def _start_clock(self) -> None:
        if self._deadline is None and self._patience is not None:
            self._deadline = self._loop.time() + self._patience

    def _main_is_late(self, main_task: Any) -> None:
        if main_task.done() or self._deadline is None:
            return
        if getattr(main_task, "cancelling", int)() == 0:
            self._deadline = None  # it took the request back by uncancel(): it means to go on
            return
        self._overdue = True
        self._loop.stop()

    def _lazy_init(self) -> None:
        if self._state is _State.CLOSED:
            raise RuntimeError("Runner is closed")
        if self._state is _State.INITIALIZED:
            return
        if self._loop_factory is None:
            self._loop = _new_default_loop()
            _events.set_event_loop(self._loop)
            self._set_event_loop = True
        else:
            self._loop = self._loop_factory()
        if self._debug is not None:
            self._loop.set_debug(self._debug)
        self._context = copy_context()
        self._state = _State.INITIALIZED


def _new_default_loop() -> Any:
    """Our loop, unless the program has set an event loop policy of its own: then what that one makes."""
    policy = getattr(_events, "_event_loop_policy", None)
    if policy is not None and type(policy) is not _STOCK_POLICY:
        return policy.new_event_loop()
    from yieldloop.loop import new_event_loop  # late: only programs that want our default loop pay for it

    return new_event_loop()


def run(
    main: Awaitable[_T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], Any] | None = None,
    shutdown_timeout: float | None = None,
) -> _T:
    """Run *main* on a fresh loop and close it; returns its result. The door into a program: call it once, at the top.

    *debug*, *loop_factory* and *shutdown_timeout* as for `Runner`. RuntimeError inside a running loop;
    TypeError for what cannot be awaited.
    """
    if _events._get_running_loop() is not None:
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory, shutdown_timeout=shutdown_timeout) as runner:
        return runner.run(main)
