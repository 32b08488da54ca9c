"""run and Runner: from ordinary code into coroutines and back.

What lives here: making a loop, running coroutines on it, what Ctrl-C means, and ending everything in order. What may not: the
loop itself.

The first Ctrl-C cancels the main task, so that it can clean up; if it ends by that cancellation, KeyboardInterrupt is raised out
of `run`. The second is not polite any more: KeyboardInterrupt where the program stands.
"""

from __future__ import annotations

import enum
import functools
import signal
import threading
from asyncio import constants as _constants
from asyncio import events as _events
from asyncio import unix_events as _unix_events
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from types import FrameType, TracebackType
from typing import Any, TypeVar

from yieldloop.aio.tasks import as_coroutine, create_task_on
from yieldloop.aio.waiting import gather
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.tasks import all_tasks, iscoroutine
from yieldloop.errors import CancelledError

__all__ = ("Runner", "run")

_T = TypeVar("_T")
# How long the pool's threads may take to end, in seconds. The standard library's figure; Python 3.11 had none.
EXECUTOR_PATIENCE = getattr(_constants, "THREAD_JOIN_TIMEOUT", 300)

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
    """

    def __init__(self, *, debug: bool | None = None, loop_factory: Callable[[], Any] | None = None) -> None:
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
            _cancel_all_tasks(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(_shutdown_executor(loop))
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
        try:
            return self._loop.run_until_complete(task)  # type: ignore[no-any-return]
        except CancelledError:
            if self._interrupt_count > 0:
                uncancel = getattr(task, "uncancel", None)  # a task factory's own class may have none
                if uncancel is not None and uncancel() == 0:
                    raise KeyboardInterrupt() from None
            raise
        finally:
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
            self._loop.call_soon_threadsafe(_nothing)  # wake the loop: it may be asleep in the poll
            return
        raise KeyboardInterrupt()

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
    policy = _events._event_loop_policy  # type: ignore[attr-defined]
    if policy is not None and type(policy) is not _STOCK_POLICY:
        return policy.new_event_loop()
    from yieldloop.loop import new_event_loop  # late: only programs that want our default loop pay for it

    return new_event_loop()


def run(
    main: Awaitable[_T], *, debug: bool | None = None, loop_factory: Callable[[], Any] | None = None
) -> _T:
    """Run *main* on a fresh loop and close it; returns its result. The door into a program: call it once, at the top.

    *debug* and *loop_factory* as for `Runner`. RuntimeError inside a running loop; TypeError for what cannot be awaited.
    """
    if _events._get_running_loop() is not None:
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)


def _nothing() -> None:
    pass


def _shutdown_executor(loop: Any) -> Any:
    try:
        return loop.shutdown_default_executor(EXECUTOR_PATIENCE)
    except TypeError:  # a loop of Python 3.11, or a third party's, takes no limit
        return loop.shutdown_default_executor()


def _cancel_all_tasks(loop: Any) -> None:
    """Cancel what is left on *loop*, let it end, and report what it raises."""
    left = all_tasks(loop)
    if not left:
        return
    for task in left:
        task.cancel()
    loop.run_until_complete(gather(*left, return_exceptions=True))
    for task in left:
        if not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {
                    "message": "unhandled exception during asyncio.run() shutdown",
                    "exception": task.exception(),
                    "task": task,
                }
            )
