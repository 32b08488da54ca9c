"""Task groups: tasks that end before the block that made them does.

What lives here: `TaskGroup`. What may not: making and cancelling tasks, which are the loop's and the task's.

The states of a group:

    new ── enter ──▶ open ── a child fails, cancel(), the body raises ──▶ aborting ── the last child is done ──▶ closed
                      └────────────── the body ends, then the last child is done ──────────────────────────────▶ closed

Who cancels the parent task has to be known at the end: a cancellation that the group itself asked for is taken back
(`uncancel`), one from outside goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from yieldloop.aio.graph import future_add_to_awaited_by, future_discard_from_awaited_by
from yieldloop.aio.tasks import make_task
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.running import get_running_loop
from yieldloop.engine.tasks import current_task

__all__ = ["TaskGroup"]

skip_globals(globals())


class TaskGroup:
    """``async with TaskGroup() as group: group.create_task(…)``: leaves the block when every task of the group is done.

    If a task fails, the others and the body are cancelled, and the failures are raised as one ExceptionGroup (BaseExceptionGroup
    where one is no Exception; KeyboardInterrupt and SystemExit are raised as they are). Leaving the block is a cancellation
    point. Source: Python 3.14's asyncio.TaskGroup; `cancel` is 3.15's.
    """

    def __init__(self) -> None:
        self._state = "new"
        self._loop: Any = None
        self._parent: Any = None  # the task that runs the block
        self._parent_cancel_requested = False  # we cancelled it, so it is we who take that back
        self._cancel_requested = False  # by cancel(): an end, and no failure
        self._cancelling_before = 0  # the parent's count of cancellations when it entered
        self._tasks: set[Any] = set()  # those not done
        self._errors: list[BaseException] = []
        self._base_error: BaseException | None = None  # a KeyboardInterrupt or SystemExit
        self._all_done: Any = None  # who leaves the block waits for it

    def __repr__(self) -> str:
        info = [self._state] if self._state != "open" else ["entered"]
        if self._tasks:
            info.append(f"tasks={len(self._tasks)}")
        if self._errors:
            info.append(f"errors={len(self._errors)}")
        if self._state == "aborting":
            info[0] = "cancelling"
        return f"<TaskGroup {' '.join(info)}>"

    async def __aenter__(self) -> TaskGroup:
        if self._state != "new":
            raise RuntimeError(f"TaskGroup {self!r} has already been entered")
        self._loop = get_running_loop()
        self._parent = current_task(self._loop)
        if self._parent is None:
            raise RuntimeError(f"TaskGroup {self!r} cannot determine the parent task")
        self._state = "open"
        self._cancelling_before = self._parent.cancelling()
        if self._cancel_requested:
            self._abort()
            self._cancel_parent()
        return self

    async def __aexit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        try:
            return await self._leave(et, exc)
        finally:
            # The frame of this call would keep the errors, and they the frame: no cycles, so that all is freed at once.
            self._parent = None
            self._errors = []
            self._base_error = None
            exc = None

    async def _leave(self, et: type[BaseException] | None, exc: BaseException | None) -> bool | None:
        if exc is not None and self._base_error is None and isinstance(exc, (KeyboardInterrupt, SystemExit)):
            self._base_error = exc
        cancelled = exc if et is not None and issubclass(et, asyncio.CancelledError) else None
        if et is not None and self._state == "open":
            self._abort()
        # As long as there are children we wait; a cancellation from outside meanwhile is for them first.
        while self._tasks:
            if self._all_done is None:
                self._all_done = self._loop.create_future()
            try:
                await self._all_done
            except asyncio.CancelledError as more:
                cancelled = cancelled or more
                if self._state == "open":
                    self._abort()
            self._all_done = None
        self._state = "closed"

        if self._base_error is not None:
            raise self._base_error
        if self._parent_cancel_requested:
            # The cancellation was ours. Taken back, it may turn out that there was another one, which goes on.
            if self._parent.uncancel() <= self._cancelling_before:
                cancelled = None
        if cancelled is not None and not self._errors:
            raise cancelled
        if et is not None and not issubclass(et, asyncio.CancelledError) and exc is not None:
            self._errors.append(exc)
        if self._errors:
            if self._parent.cancelling():
                # Cancelled from outside as well: the task has to hear of it at its next wait (cpython 125984).
                self._parent.uncancel()
                self._parent.cancel()
            try:
                raise BaseExceptionGroup("unhandled errors in a TaskGroup", self._errors) from None
            finally:
                exc = None
        # All went well, or cancel() ended it: a cancellation that reached the body on our behalf ends here.
        return True if et is not None else None

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        eager_start: bool | None = None,
    ) -> Any:
        """A task of this group. RuntimeError (and *coro* closed) if the group is not open for more."""
        if self._state != "open":
            coro.close()
            if self._state == "new":
                raise RuntimeError(f"TaskGroup {self!r} has not been entered")
            if self._state == "closed":
                raise RuntimeError(f"TaskGroup {self!r} is finished")
            raise RuntimeError(f"TaskGroup {self!r} is shutting down")
        task = make_task(self._loop, coro, name, context, eager_start)
        # A task that started eagerly may be done, and failed: that is heard by the callback too, one iteration later, so that
        # the body is not cancelled inside its call of create_task (cpython 128550).
        if not task.done() or task.cancelled() or task.exception() is not None:
            future_add_to_awaited_by(task, self._parent)
            self._tasks.add(task)
            task.add_done_callback(self._task_done)
            if self._state == "aborting" and not task.done():  # its own first step brought the group down (cpython 155418)
                task.cancel()
        try:
            return task
        finally:
            del task

    def cancel(self) -> None:
        """End the group early: cancel its tasks and the body, and leave the block without an error (Python 3.15).

        Before the block is entered: the body is cancelled at its first wait. After the group has ended: no effect.
        """
        self._cancel_requested = True
        if self._state == "open":
            self._abort()
            self._cancel_parent()

    def _abort(self) -> None:
        self._state = "aborting"
        for task in list(self._tasks):
            if not task.done():
                task.cancel()

    def _cancel_parent(self) -> None:
        if not self._parent_cancel_requested and self._parent is not None and not self._parent.done():
            self._parent_cancel_requested = True
            self._parent.cancel()

    def _task_done(self, task: Any) -> None:
        self._tasks.discard(task)
        future_discard_from_awaited_by(task, self._parent)
        if self._all_done is not None and not self._tasks and not self._all_done.done():
            self._all_done.set_result(True)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        self._errors.append(error)
        if self._base_error is None and isinstance(error, (KeyboardInterrupt, SystemExit)):
            self._base_error = error
        if self._parent is None or self._parent.done():
            # The block was left, or its task is gone: nobody is there to raise it.
            self._loop.call_exception_handler(
                {
                    "message": f"Task {task!r} has errored out but its parent task {self._parent} is already completed",
                    "exception": error,
                    "task": task,
                }
            )
            return
        if self._state == "open":
            self._abort()
            if self._all_done is None:
                self._cancel_parent()  # the body still runs: it has to stop
            # else: the parent waits for us in _leave, and wakes when the last child is done
