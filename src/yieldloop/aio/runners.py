"""From a plain function into the loop and back: `run` and `Runner`.

What lives here: a loop's whole life around one or several main coroutines, and what Ctrl-C means. What may not: the loop's parts.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from yieldloop.aio.waiting import gather
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.running import _get_running_loop
from yieldloop.engine.tasks import all_tasks, iscoroutine

__all__ = ["Runner", "run"]

skip_globals(globals())

# How long leaving waits for the default pool's threads; after that they are named in a warning and left.
THREADS_END_WITHIN = 300.0  # s, as in the standard library


class Runner:
    """Runs coroutines one after another on one loop, which is made at the first and closed at the end.

    *loop_factory* makes the loop (default: `yieldloop.new_event_loop`), *debug* sets its debug mode if it is not None. Contract of
    Python 3.14's asyncio.Runner. While `run` runs in the main thread, the first Ctrl-C cancels its task and the next one raises
    KeyboardInterrupt at once.
    """

    def __init__(self, *, debug: bool | None = None, loop_factory: Callable[[], Any] | None = None) -> None:
        self._state = "new"  # then "ready", then "closed"
        self._debug = debug
        self._loop_factory = loop_factory
        self._loop: Any = None
        self._context: contextvars.Context | None = None
        self._interrupts = 0
        self._set_as_current = False

    def __enter__(self) -> Runner:
        self._get_ready()
        return self

    def __exit__(self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what still runs and wait for it, end generators and threads, close the loop. Closing twice is allowed."""
        if self._state != "ready":
            return
        loop = self._loop
        try:
            _cancel_everything(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor(THREADS_END_WITHIN))
        finally:
            if self._set_as_current:
                asyncio.events.set_event_loop(None)
            loop.close()
            self._loop = None
            self._state = "closed"

    def get_loop(self) -> Any:
        """The loop, made now if it was not yet."""
        self._get_ready()
        return self._loop

    def run(self, coro: Any, *, context: contextvars.Context | None = None) -> Any:
        """Run *coro* (a coroutine or any awaitable) until it is done; returns its result or raises.

        RuntimeError if a loop runs in this thread, TypeError if *coro* cannot be awaited.
        """
        if _get_running_loop() is not None:
            raise RuntimeError("Runner.run() cannot be called from a running event loop")
        if not iscoroutine(coro):
            if not inspect.isawaitable(coro):
                raise TypeError(f"An asyncio.Future, a coroutine or an awaitable is required, not {coro!r}")
            coro = _await(coro)
        self._get_ready()
        if context is None:
            context = self._context
        task = self._loop.create_task(coro, context=context)
        before = self._take_ctrl_c(task)
        self._interrupts = 0
        try:
            return self._loop.run_until_complete(task)
        except asyncio.CancelledError:
            if self._interrupts and task.uncancel() == 0:
                raise KeyboardInterrupt from None  # it was Ctrl-C, and nobody else, that cancelled it
            raise
        finally:
            if before is not None and signal.getsignal(signal.SIGINT) is before:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def _take_ctrl_c(self, task: Any) -> Any:
        """Make Ctrl-C cancel *task*; returns the handler that does, or None if it is not ours to handle."""
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            return None
        handler = functools.partial(self._on_ctrl_c, task=task)
        try:
            signal.signal(signal.SIGINT, handler)
        except ValueError:  # an embedded interpreter whose main thread is not the process's: there are no signals
            return None
        return handler

    def _on_ctrl_c(self, sig: int, frame: FrameType | None, task: Any) -> None:
        self._interrupts += 1
        if self._interrupts == 1 and not task.done():
            task.cancel()
            self._loop.call_soon_threadsafe(_nothing)  # a sleeping loop has to look
            return
        raise KeyboardInterrupt

    def _get_ready(self) -> None:
        if self._state == "closed":
            raise RuntimeError("Runner is closed")
        if self._state == "ready":
            return
        if self._loop_factory is None:
            from yieldloop.loop import new_event_loop  # level 5, imported late so that aio can be used on any loop

            self._loop = new_event_loop()
            if not self._set_as_current:
                asyncio.events.set_event_loop(self._loop)
                self._set_as_current = True
        else:
            self._loop = self._loop_factory()
        if self._debug is not None:
            self._loop.set_debug(self._debug)
        self._context = contextvars.copy_context()
        self._state = "ready"


def run(
    main: Any, *, debug: bool | None = None, loop_factory: Callable[[], Any] | None = None
) -> Any:
    """Run *main* on a fresh loop, clean up, and return its result. Arguments and errors as `Runner`."""
    if _get_running_loop() is not None:
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)


async def _await(awaitable: Any) -> Any:
    return await awaitable


def _nothing() -> None:
    pass


def _cancel_everything(loop: Any) -> None:
    """Cancel the tasks of *loop*, wait for them, and report those that failed."""
    pending = all_tasks(loop)
    if not pending:
        return
    for task in pending:
        task.cancel()
    loop.run_until_complete(_all_ended(pending))
    for task in pending:
        if not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {
                    "message": "unhandled exception during asyncio.run() shutdown",
                    "exception": task.exception(),
                    "task": task,
                }
            )


async def _all_ended(tasks: Any) -> None:
    await gather(*tasks, return_exceptions=True)
