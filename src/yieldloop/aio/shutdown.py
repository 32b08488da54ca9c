"""The end of a run: everything that is left on a loop is ended, without a limit or within a given time.

What lives here: the order of the end (tasks, async generators, threads) and the clock over it. What may not: the loop's own life
(`runners` closes it), and how what is left is told (`leftovers`).

With a time, there is one deadline for all of it. What the deadline finds alive is named in one report to the loop's exception
handler and left behind: tasks stay where they stand, the pool's threads run on without being waited for. Without a time, this is
the standard library's end, to the step.

What no time-out can bound is code that does not give the loop its turn: a callback or a task that blocks the loop's thread.
"""

from __future__ import annotations

import threading
from asyncio import constants as _constants
from collections.abc import Awaitable
from typing import Any

from yieldloop.aio.waiting import gather, wait
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.tasks import all_tasks

__all__ = ("end_of", "end_within")

# How long the pool's threads may take to end, in seconds. The standard library's figure; Python 3.11 had none.
EXECUTOR_PATIENCE = getattr(_constants, "THREAD_JOIN_TIMEOUT", 300)

skip_globals(globals())


# --- without a limit ---------------------------------------------------------------------------------------------------


def end_of(loop: Any) -> None:
    """Cancel what is left on *loop* and wait for it, then for its async generators and its executor."""
    _cancel_all_tasks(loop)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(_shutdown_executor(loop))


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
    _report_errors(loop, left)


def _report_errors(loop: Any, tasks: set[Any]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {
                    "message": "unhandled exception during asyncio.run() shutdown",
                    "exception": task.exception(),
                    "task": task,
                }
            )


# --- within a time -----------------------------------------------------------------------------------------------------


def end_within(loop: Any, deadline: float, patience: float) -> None:
    """As `end_of`, but until *deadline* (s, by the loop's clock) at most; *patience* is what the report calls the limit.

    What is alive then, or when KeyboardInterrupt cuts it short, is reported and left.
    """
    ending = _Ending(loop, deadline)
    try:
        ending.tasks()
        ending.asyncgens()
        ending.threads()
    except BaseException:
        ending.report(patience, cut=True)
        raise
    if ending.late:
        ending.report(patience, cut=False)


class _Ending:
    """The steps of one end, and what has to be remembered from one to the next."""

    def __init__(self, loop: Any, deadline: float) -> None:
        self._loop = loop
        self._deadline = deadline
        self._own: set[Any] = set()  # tasks that are the ending's own: nobody wants to read of them
        self._closing: list[Any] = []  # the async generators that were open
        self.late = False  # the deadline has come before the end

    def _run(self, awaitable: Awaitable[Any], own: bool = True) -> None:
        """Run until *awaitable* is done."""
        task = self._loop.create_task(awaitable)
        if own:
            self._own.add(task)
            task._log_destroy_pending = False
        self._loop.run_until_complete(task)

    def _wait_for(self, futures: set[Any]) -> bool:
        """Run until all *futures* are done or the time is over, in which case they still get a turn; True if done."""
        self._run(wait(futures, timeout=max(0.0, self._deadline - self._loop.time())))
        done = all(future.done() for future in futures)
        if not done:
            self.late = True
        return done

    def tasks(self) -> None:
        """Cancel the tasks, and what they start while they end."""
        cancelled: set[Any] = set()
        while True:
            fresh = all_tasks(self._loop) - cancelled - self._own
            if not fresh:
                break
            for task in fresh:
                task.cancel()
            cancelled |= fresh
            if not self._wait_for({task for task in cancelled if not task.done()}):
                break
        _report_errors(self._loop, cancelled)

    def asyncgens(self) -> None:
        self._closing = list(getattr(self._loop, "_asyncgens", ()))
        before = all_tasks(self._loop)
        task = self._loop.create_task(self._loop.shutdown_asyncgens())
        self._own.add(task)
        if not self._wait_for({task}):
            self._own |= all_tasks(self._loop) - before  # those that close one generator each: the generators are named
            for closer in self._own:
                closer._log_destroy_pending = False
            return
        self._own.discard(task)
        task.result()

    def threads(self) -> None:
        """Let the executor's threads end; when the time is over, its queue is dropped and who runs is left."""
        executor = getattr(self._loop, "_default_executor", None)  # a look-up that still runs is waited for by nobody
        if executor is None:
            self._end_foreign_executor()
            return
        self._loop._executor_shutdown_called = True
        if not self._wait_for({self._joined(executor)}):
            executor.shutdown(wait=False, cancel_futures=True)

    def _end_foreign_executor(self) -> None:
        """A loop that does not show its executor ends it by itself."""
        task = self._loop.create_task(_shutdown_executor(self._loop))
        self._own.add(task)
        self._wait_for({task})

    def _joined(self, pool: Any) -> Any:
        """A future that is done when all threads of *pool* have ended."""
        future = self._loop.create_future()

        def settle() -> None:
            if not future.done():
                future.set_result(None)

        def join() -> None:
            pool.shutdown(wait=True)
            try:
                self._loop.call_soon_threadsafe(settle)
            except RuntimeError:  # closed: nobody waits any more
                pass

        # A daemon: it waits for what may never end, and nobody shall wait for it.
        threading.Thread(target=join, name="yieldloop-shutdown", daemon=True).start()
        return future

    def report(self, patience: float, cut: bool) -> None:
        """Tell the loop's exception handler what is left, in one record, and leave it."""
        from yieldloop.aio.leftovers import Leftovers, pools_of
        from yieldloop.loop import watching
        from yieldloop.loop.pool import leave_thread

        for pool in pools_of(self._loop):
            pool.shutdown(wait=False, cancel_futures=True)
        left = Leftovers(self._loop, self._own, self._closing)
        left.held = {thread for thread, _ in left.threads if not leave_thread(thread)}
        for task in (*left.tasks, *self._own):
            task._log_destroy_pending = False  # said here, once
        if left:
            why = "was interrupted" if cut else f"has taken its {patience:g} s (shutdown_timeout)"
            text = f"the shutdown {why}; still alive and left behind: {left.summary()}\n{_indented(str(left))}"
            if left.tasks:
                text += f"\nwho waits for whom:\n{_indented(watching.explain(self._loop))}"
            self._loop.call_exception_handler({"message": text, "leftovers": left})


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.split("\n"))
