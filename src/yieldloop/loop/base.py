"""The loop's life: run, stop, close; what it says when something went wrong; threads to hand work to.

What lives here: the parts of the asyncio face that need no file descriptor. What may not: scheduling (`engine.loop`).
Interpreted: none of this is on the way of a message.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import os
import sys
import threading
import time
import warnings
import weakref
from asyncio.base_events import BaseEventLoop as _StockLoop
from asyncio.base_events import _run_until_complete_cb  # type: ignore[attr-defined]  # anyio looks for this very function to find the root task
from typing import Any

from yieldloop.engine import recording
from yieldloop.engine._leaf import has_own, skip_globals
from yieldloop.engine.core import logger
from yieldloop.engine.coroutines import iscoroutine, iscoroutinefunction
from yieldloop.engine.futures import Future, isfuture, loop_of
from yieldloop.engine.loop import LoopCore
from yieldloop.engine.running import _get_running_loop, _set_running_loop
from yieldloop.loop import dead, lost, watching
from yieldloop.loop.registry import register_loop

skip_globals(globals())

_report_by_logging = _StockLoop.default_exception_handler  # the texts that log watchers know

# What a task factory is passed depends on the Python. Up to 3.13 it is a context if there is one, and the name is set afterwards;
# from 3.14 on it is what the caller gave, the name too. 3.13.3 passed both always, which 3.13.4 took back (cpython 133745), but it
# goes on to pass other keywords.
NAME_TO_FACTORY = sys.version_info >= (3, 14)
ALWAYS_BOTH = sys.version_info[:3] == (3, 13, 3)
OTHERS_TO_FACTORY = sys.version_info >= (3, 13, 3)


def _debug_by_default() -> bool:
    return sys.flags.dev_mode or (not sys.flags.ignore_environment and bool(os.environ.get("PYTHONASYNCIODEBUG")))


class BaseLoop(LoopCore, asyncio.AbstractEventLoop):  # type: ignore[misc]
    """Life, errors and threads of a loop. ``loop.EventLoop`` is the whole."""

    __slots__ = (  # of all the parts: only one of several bases can have fields
        "_accept_pauses",  # by listening socket: the timer after which accepting goes on
        "_asyncgens",
        "_asyncgens_shutdown_called",
        "_can_be_dead",
        "_children",  # transports whose process runs: nothing that is watched is collected
        "_clock_resolution",  # s; tools read it
        "_coroutine_origin_tracking_enabled",
        "_coroutine_origin_tracking_saved_depth",
        "_current_handle",  # the standard library's default handler reads it
        "_default_executor",
        "_exception_handler",
        "_executor_shutdown_called",
        "_files",  # by armed descriptor: the object that the program calls it by, if that is no number
        "_lookup_pool",  # the threads that look names up, once there are any
        "_lost",  # for those who ask (``watch``)
        "_own_pool",  # the class of the executor that the loop makes itself, once there is one
        "_pid",
        "_ran_in",  # the name of the thread that ran it last
        "_selector",  # the poller, under the name by which tools look for it
        "_signal_handlers",
        "_signals_told",  # those whose handler was called by Python, and whose number may be in the pipe still
        "_socks",
        "_transports",
        "_unix_server_sockets",  # listening sockets whose files we remove, and the files' inodes
        "_wakeup_fd_before",  # what set_wakeup_fd had while we run; None: we did not set it
    )

    def __init__(self, poller: Any, clock: Any = None) -> None:
        LoopCore.__init__(self, poller, clock)
        self._exception_handler: Any = None
        self._current_handle: Any = None
        self._default_executor: Any = None
        self._lookup_pool: Any = None
        self._own_pool: Any = None
        self._executor_shutdown_called = False
        self._asyncgens: weakref.WeakSet[Any] = weakref.WeakSet()
        self._asyncgens_shutdown_called = False
        self._coroutine_origin_tracking_enabled = False
        self._coroutine_origin_tracking_saved_depth: int | None = None
        self._selector = poller
        self._clock_resolution = time.get_clock_info("monotonic").resolution
        self._pid = os.getpid()
        self._can_be_dead = False
        self._lost = lost.Counts()
        self._ran_in: str | None = None
        register_loop(self)
        self.set_debug(_debug_by_default())

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} poller={type(self._poller).__name__} running={self.is_running()} "
            f"closed={self.is_closed()} debug={self.get_debug()} ready={len(self._ready)} "
            f"timers={len(self._heap)} tasks={len(self._tasks)}>"
        )

    def statistics(self) -> dict[str, Any]:
        """What the loop holds now, as counts; asking costs a look at each transport, and nothing is counted in between.

        ``ready``: entries to run; ``timers``: armed ones; ``tasks``: not done; ``asyncgens``: begun and not finished;
        ``transports``: whose protocol has not been told of the end; ``children``: processes that run; ``threads``: of its pools;
        ``armed``: sides of descriptors that somebody waits for; ``registered``: descriptors that the kernel watches; ``polls``,
        ``events``, ``wakes``: since the loop was made, and so ``received``, ``sent``: bytes of stream sockets, as they travel.
        ``poller``: its class.
        """
        heap: Any = self._heap
        poller: dict[str, int] = self._poller.statistics() if hasattr(self._poller, "statistics") else {}
        pools = (self._default_executor, self._lookup_pool)
        return {
            "ready": len(self._ready),
            "timers": len(heap) - getattr(heap, "_dead", 0),  # interpreted, cancelled ones are held until they are swept
            "tasks": len(self._tasks),
            "asyncgens": len(self._asyncgens),
            "transports": self._count_transports(),
            "children": self._count_children(),
            "threads": sum(len(pool._threads) for pool in pools if pool is not None),
            "armed": self._poller.interest,
            "registered": poller.get("registered", 0),
            "polls": poller.get("polls", 0),
            "events": poller.get("events", 0),
            "wakes": poller.get("wakes", 0),
            "received": self._bytes_in,
            "sent": self._bytes_out,
            "poller": type(self._poller).__name__,
        }

    def _count_transports(self) -> int:
        return 0

    def _count_children(self) -> int:
        return 0

    # --- running -------------------------------------------------------------------------------------------------------

    def _check_running(self) -> None:
        if self.is_running():
            raise RuntimeError("This event loop is already running")
        if _get_running_loop() is not None:
            raise RuntimeError("Cannot run the event loop while another loop is running")

    def run_forever(self) -> None:
        """Run iterations until `stop` is called. RuntimeError if a loop runs in this thread already."""
        self._check_closed()
        self._check_running()
        self._check_fork()
        self._set_coroutine_origin_tracking(self._debug)
        hooks = sys.get_asyncgen_hooks()
        try:
            self._thread_id = threading.get_ident()
            self._ran_in = threading.current_thread().name
            watching.begun(self)  # before the loop runs: the first time it imports, which blocks
            sys.set_asyncgen_hooks(firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook)
            _set_running_loop(self)
            self._begin_run()
            self._look_at_clock()  # now: what it took to begin is no part of the first step
            own = type(self)._run_once is BaseLoop._run_once and not has_own(self, "_run_once")
            if own:
                self._iterate_until_stopped()
            while not own:
                self._run_once()
                if self._stopping:
                    break
        finally:
            watching.ended(self)
            self._stopping = False
            self._thread_id = None
            _set_running_loop(None)
            self._end_run()
            self._set_coroutine_origin_tracking(False)
            sys.set_asyncgen_hooks(*hooks)

    def _begin_run(self) -> None:
        """A run begins, in this thread (a mixin hangs signals in here)."""

    def _end_run(self) -> None:
        """The run is over."""

    def _run_once(self) -> None:
        """One iteration. Tools that bring their own time override this."""
        self._iterate_once()

    def run_until_complete(self, future: Any) -> Any:
        """Run until *future* (or a task made of that coroutine or awaitable) is done; returns its result or raises.

        RuntimeError if the loop was stopped before that; DeadLoopError, which is one, if it is certain that it would never be done
        (see `set_dead_loop_check`).
        """
        self._check_closed()
        self._check_running()
        new_task = not isfuture(future)
        future = self._as_future(future)
        if new_task:
            future._log_destroy_pending = False  # if the loop stops early, the error below says it
        future.add_done_callback(_run_until_complete_cb)
        if self._can_be_dead and self._patience is None:
            self._patience = dead.Patience(self)
        try:
            self.run_forever()
        except BaseException:
            if new_task and future.done() and not future.cancelled():
                future.exception()  # the caller sees what was raised here: do not report it again
            raise
        finally:
            self._patience = None
            future.remove_done_callback(_run_until_complete_cb)
        if not future.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return future.result()

    def _as_future(self, awaitable: Any) -> Any:
        if isfuture(awaitable):
            if loop_of(awaitable) is not self:
                raise ValueError("The future belongs to a different loop than the one specified as the loop argument")
            return awaitable
        if iscoroutine(awaitable):
            return self._root_task(awaitable)
        if inspect.isawaitable(awaitable):
            return self._root_task(_await(awaitable))
        raise TypeError(f"An asyncio.Future, a coroutine or an awaitable is required, not {awaitable!r}")

    def _root_task(self, coro: Any) -> Any:
        try:
            return self.create_task(coro)
        except BaseException:
            coro.close()
            raise

    def stop(self) -> None:
        """End the run after the iteration in which this is called (or the next, if called from outside)."""
        self._stopping = True

    def is_running(self) -> bool:
        """True while `run_forever` runs."""
        return self._thread_id is not None

    def is_closed(self) -> bool:
        """True after `close`."""
        return self._closed

    def close(self) -> None:
        """Give everything back. What was scheduled is dropped. Closing twice is allowed; RuntimeError while running."""
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self._closed:
            return
        if self._debug:
            logger.debug("Close %r", self)
        self._closed = True
        recording.retire(self)
        self._release()
        self._drop_everything()
        self._executor_shutdown_called = True
        executor, self._default_executor = self._default_executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    def _release(self) -> None:
        """Close what the loop opened."""
        self._poller.close()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if not getattr(self, "_closed", True) and hasattr(self, "_pid"):  # else it was never made
            _warn(f"unclosed event loop {self!r}", ResourceWarning, source=self)
            if not self.is_running():
                self.close()

    def _check_fork(self) -> None:
        """In a forked child the kernel's objects are still the parent's."""
        if self._pid != os.getpid():
            raise RuntimeError(
                f"this event loop was made in process {self._pid} and cannot run in its forked child {os.getpid()}: "
                "make a new loop after the fork (asyncio.run does)"
            )

    def set_dead_loop_check(self, enabled: bool) -> None:
        """Whether `run_until_complete` raises `yieldloop.DeadLoopError` when nothing can ever wake the tasks that are left.

        On by default, if the environment does not say ``YIELDLOOP_DEAD_LOOP=off``. It is looked for only when the loop is about to
        sleep without a time limit and no descriptor is armed. `run_forever` by itself never raises it: nobody waits for its end.
        """
        self._can_be_dead = bool(enabled) and dead.certain(self._poller)
        if not self._can_be_dead:
            self._patience = None

    # --- debugging -----------------------------------------------------------------------------------------------------

    def set_debug(self, enabled: bool) -> None:
        """Debug mode: checks of threads, creation tracebacks, slow callbacks."""
        self._debug = bool(enabled)
        if self.is_running():
            self.call_soon_threadsafe(self._set_coroutine_origin_tracking, self._debug)

    def _set_coroutine_origin_tracking(self, enabled: bool) -> None:
        if bool(enabled) == self._coroutine_origin_tracking_enabled:
            return
        if enabled:
            self._coroutine_origin_tracking_saved_depth = sys.get_coroutine_origin_tracking_depth()
            sys.set_coroutine_origin_tracking_depth(10)
        else:
            sys.set_coroutine_origin_tracking_depth(self._coroutine_origin_tracking_saved_depth or 0)
        self._coroutine_origin_tracking_enabled = bool(enabled)

    # --- errors --------------------------------------------------------------------------------------------------------

    def set_exception_handler(self, handler: Any) -> None:
        """Call ``handler(loop, context)`` for errors that nobody can catch; None restores the default, which logs."""
        if handler is not None and not callable(handler):
            raise TypeError(f"A callable object or None is expected, got {handler!r}")
        self._exception_handler = handler

    def get_exception_handler(self) -> Any:
        """The handler that was set, or None."""
        return self._exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log *context* at level ERROR to the logger ``asyncio``."""
        _report_by_logging(self, context)  # type: ignore[arg-type]

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report *context* (key ``message``, perhaps ``exception``, ``future``, ``task``, ``handle``, …)."""
        lost.note(self._lost, context)
        if self._exception_handler is None:
            self._report_by_default(context, "Exception in default exception handler")
            return
        try:
            thing = context.get("task") or context.get("future") or context.get("handle")
            inside = thing.get_context() if thing is not None and hasattr(thing, "get_context") else None
            if inside is not None and hasattr(inside, "run"):
                inside.run(self._exception_handler, self, context)
            else:
                self._exception_handler(self, context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            told = {"message": "Unhandled error in exception handler", "exception": exc, "context": context}
            self._report_by_default(
                told, "Exception in default exception handler while handling an unexpected error in custom exception handler"
            )

    def _report_by_default(self, context: dict[str, Any], message: str) -> None:
        try:
            self.default_exception_handler(context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            logger.error(message, exc_info=True)

    # --- tasks ---------------------------------------------------------------------------------------------------------

    def set_task_factory(self, factory: Any) -> None:
        """Make tasks by ``factory(loop, coro, **keywords)``; None restores the default."""
        if factory is not None and not callable(factory):
            raise TypeError(f"task factory must be a callable or None, got {factory!r}")
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        """The task factory that was set, or None."""
        return self._task_factory

    def _task_by_factory(self, coro: Any, name: Any, context: Any, eager_start: Any) -> Any:
        factory = self._task_factory
        everything = getattr(factory, "_takes_all_keywords", False)
        named = everything or NAME_TO_FACTORY or ALWAYS_BOTH
        keywords = {}
        if context is not None or ALWAYS_BOTH:
            keywords["context"] = context
        if named and (name is not None or ALWAYS_BOTH):
            keywords["name"] = name
        if eager_start is not None and (everything or OTHERS_TO_FACTORY):
            keywords["eager_start"] = eager_start
        task = factory(self, coro, **keywords)
        if name is not None and not named and hasattr(task, "set_name"):
            task.set_name(name)
        return task

    # --- threads -------------------------------------------------------------------------------------------------------

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Call ``func(*args)`` in *executor* (None: the default thread pool); returns a future for its result."""
        self._check_closed()
        if self._debug:
            self._check_callback_for_thread(func)
        if executor is None:
            executor = self._executor()
        self._handed_to_thread(func)
        if type(executor) is self._own_pool:
            return executor.start(self, func, args)
        return self._wrap(executor.submit(func, *args))

    def _check_callback_for_thread(self, func: Any) -> None:
        if iscoroutine(func) or iscoroutinefunction(func):
            raise TypeError(f"coroutines cannot be used with run_in_executor(): {func!r} would never be awaited there")
        if not callable(func):
            raise TypeError(f"a callable object was expected by run_in_executor(), got {func!r}")

    def _executor(self) -> Any:
        if self._executor_shutdown_called:
            raise RuntimeError("Executor shutdown has been called")
        if self._default_executor is None:
            from yieldloop.loop.pool import Pool

            self._own_pool = Pool
            self._default_executor = Pool(thread_name_prefix="asyncio")
        return self._default_executor

    def _wrap(self, job: concurrent.futures.Future[Any]) -> Any:
        """A future of this loop that follows *job*; cancelling it cancels the job if that has not begun."""
        future = self.create_future()

        def deliver() -> None:
            if future.done():
                return
            if job.cancelled():
                future.cancel()
            elif (error := job.exception()) is not None:
                if type(error) is concurrent.futures.CancelledError:  # raised in the thread: here it has another class
                    error = asyncio.CancelledError(*error.args).with_traceback(error.__traceback__)
                future.set_exception(error)
            else:
                future.set_result(job.result())

        def job_done(_: Any) -> None:
            if not self._closed:
                try:
                    self.call_soon_threadsafe(deliver)
                except RuntimeError:  # closed in between: nobody is left to be told
                    pass

        def future_done(_: Any) -> None:
            if future.cancelled():
                job.cancel()

        future.add_done_callback(future_done)
        job.add_done_callback(job_done)
        return future

    def set_default_executor(self, executor: Any) -> None:
        """Use *executor* (a ThreadPoolExecutor) where `run_in_executor` is given None."""
        if not isinstance(executor, concurrent.futures.ThreadPoolExecutor):
            raise TypeError(f"executor must be ThreadPoolExecutor instance, not {executor!r}")
        self._default_executor = executor

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait until the default executor's threads have ended, for at most *timeout* s (then warn and leave them)."""
        self._executor_shutdown_called = True
        executor = self._default_executor
        if executor is None:
            return
        ended = self.create_future()
        thread = threading.Thread(target=self._end_executor, args=(executor, ended))
        thread.start()
        timer = None if timeout is None else self.call_later(timeout, _cancel_pending, ended)
        try:
            await ended
        except asyncio.CancelledError:
            if timer is None or (not timer.cancelled() and timer.when() > self.time()):
                raise
            warnings.warn(
                f"The executor did not finishing joining its threads within {timeout} seconds.", RuntimeWarning, stacklevel=2
            )
            executor.shutdown(wait=False)
        else:
            thread.join()
        finally:
            if timer is not None:
                timer.cancel()

    def _end_executor(self, executor: Any, ended: Any) -> None:
        error: BaseException | None = None
        try:
            executor.shutdown(wait=True)
        except Exception as exc:
            error = exc
        if not self.is_closed():
            try:
                self.call_soon_threadsafe(_settle, ended, error)
            except RuntimeError:  # closed in between
                pass

    # --- async generators ----------------------------------------------------------------------------------------------

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        if self._asyncgens_shutdown_called:
            warnings.warn(
                f"asynchronous generator {agen!r} was scheduled after loop.shutdown_asyncgens() call",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
        self._asyncgens.add(agen)

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        self._asyncgens.discard(agen)
        if not self._closed:
            self.call_soon_threadsafe(self.create_task, agen.aclose())

    async def shutdown_asyncgens(self) -> None:
        """Close every async generator that was begun and not finished. What they raise is reported."""
        self._asyncgens_shutdown_called = True
        closing = list(self._asyncgens)
        self._asyncgens.clear()
        if not closing:
            return
        results = await asyncio.gather(*[agen.aclose() for agen in closing], return_exceptions=True)
        for agen, result in zip(closing, results, strict=True):
            if isinstance(result, Exception):
                self.call_exception_handler(
                    {
                        "message": f"an error occurred during closing of asynchronous generator {agen!r}",
                        "exception": result,
                        "asyncgen": agen,
                    }
                )


async def _await(awaitable: Any) -> Any:
    return await awaitable


def _cancel_pending(future: Future) -> None:
    if not future.done():
        future.cancel()


def _settle(future: Future, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _leave_before_fork() -> None:
    """What was written before a fork leaves before it: a child that ended by an exception would send it once more."""
    loop: Any = _get_running_loop()
    if isinstance(loop, LoopCore):
        loop._leave_before_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_leave_before_fork)
