"""TaskGroup: tasks that begin in a block and end before it.

What lives here: structured concurrency as Python 3.14 has it, and 3.15's `cancel`. What may not: limits in time (`timeouts`).

The group cancels its own parent to get it out of the block when a child fails, and must take exactly that one request back at the
end (`_parent_cancel_requested`). Children may end, fail or cancel the group inside `create_task` already, if they start eagerly:
every end is therefore handled by the done-callback, in a turn of its own, and a child that joins a group which is shutting down
is cancelled as it joins (cpython issues 116048, 128550, 128588, 155418).
"""

from __future__ import annotations

from asyncio import events as _events
from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from yieldloop.aio.tasks import create_task_on
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.gathering import Crew
from yieldloop.engine.tasks import Task, current_task
from yieldloop.errors import CancelledError

__all__ = ("TaskGroup",)

_T = TypeVar("_T")
_get_running_loop = _events.get_running_loop

skip_globals(globals())


class TaskGroup(Crew):
    """``async with TaskGroup() as group:`` starts tasks by ``group.create_task(…)`` and waits for all of them at the block's end.

    When the body or a task fails, the others and the body are cancelled, and all errors leave the block as one ExceptionGroup.
    KeyboardInterrupt and SystemExit leave it as they are.
    """

    __slots__ = (
        "_base_error",
        "_cancel_on_enter",
        "_errors",  # None when the group is over
        "_on_completed_fut",  # the parent waits for it in __aexit__
        "_parent_cancel_requested",  # we owe the parent an uncancel()
        "_parent_task",
    )

    def __init__(self) -> None:
        super().__init__()
        self._cancel_on_enter = False
        self._parent_task: Any = None
        self._parent_cancel_requested = False
        self._errors: list[BaseException] | None = []
        self._base_error: BaseException | None = None
        self._on_completed_fut: Any = None

    def __repr__(self) -> str:
        info = [""]
        if self._tasks:
            info.append(f"tasks={len(self._tasks)}")
        if self._errors:
            info.append(f"errors={len(self._errors)}")
        if self._aborting:
            info.append("cancelling")
        elif self._entered:
            info.append("entered")
        return f"<TaskGroup{' '.join(info)}>"

    async def __aenter__(self) -> TaskGroup:
        if self._entered:
            raise RuntimeError(f"TaskGroup {self!r} has already been entered")
        if self._loop is None:
            self._bind(_get_running_loop())
        self._parent_task = current_task(self._loop)
        if self._parent_task is None:
            raise RuntimeError(f"TaskGroup {self!r} cannot determine the parent task")
        self._entered = True
        if self._cancel_on_enter:
            self.cancel()
        return self

    if TYPE_CHECKING:

        def create_task(self, coro: Coroutine[Any, Any, _T], **kwargs: Any) -> Task: ...

    def _start(self, coro: Any, kwargs: dict[str, Any]) -> Any:
        return create_task_on(self._loop, coro, kwargs)

    def _refuse(self, coro: Any) -> None:
        coro.close()
        if not self._entered:
            raise RuntimeError(f"TaskGroup {self!r} has not been entered")
        if self._exiting and not self._tasks:
            raise RuntimeError(f"TaskGroup {self!r} is finished")
        raise RuntimeError(f"TaskGroup {self!r} is shutting down")

    def cancel(self) -> None:
        """Cancel the tasks and the body; the block then ends without an error. As in Python 3.15.

        Before the block is entered it cancels it on entry; once it is over, and the second time, it does nothing. Errors that
        tasks raise while they end are raised as always.
        """
        if not self._entered:
            self._cancel_on_enter = True
            return
        if self._aborting or (self._exiting and not self._tasks):
            return
        self._abort()
        if self._parent_task is not None and not self._parent_cancel_requested:
            self._parent_cancel_requested = True
            self._parent_task.cancel()

    def _abort(self) -> None:
        self._aborting = True
        for task in self._tasks:
            if not task.done():
                task.cancel()

    def _on_task_done(self, task: Any) -> None:
        tasks = self._tasks
        tasks.discard(task)
        if not tasks:
            completed = self._on_completed_fut
            if completed is not None and not completed.done():
                completed.set_result(True)
        if task.cancelled():
            return
        exc = task.exception()
        if exc is not None:
            self._on_task_failed(task, exc)

    def _on_task_failed(self, task: Any, exc: BaseException) -> None:
        if self._errors is not None:
            self._errors.append(exc)
            if self._base_error is None and isinstance(exc, (SystemExit, KeyboardInterrupt)):
                self._base_error = exc
        parent = self._parent_task
        if parent is None or parent.done():  # somebody ran __aexit__ without waiting for it, or killed the parent
            context = {
                "message": f"Task {task!r} has errored out but its parent task {parent} is already completed",
                "exception": exc,
                "task": task,
            }
            self._loop.call_exception_handler(context)
        elif not self._aborting and not self._parent_cancel_requested:
            self._abort()
            self._parent_cancel_requested = True
            parent.cancel()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool:
        del tb  # it holds the frames of the body
        self._exiting = True
        if self._base_error is None and isinstance(exc, (SystemExit, KeyboardInterrupt)):
            self._base_error = exc
        try:
            if exc is not None and not self._aborting:
                self._abort()  # the body failed, or the parent is being cancelled in it
            ours = await self._wait_for_all() if self._tasks else (None, None)
            self._raise_outcome(exc, *ours)
            return True  # what deserved to be raised was
        finally:
            # Exceptions hold frames, and frames hold us.
            self._parent_task = None
            self._errors = None
            self._base_error = None
            exc = None

    async def _wait_for_all(self) -> tuple[CancelledError | None, CancelledError | None]:
        """Wait until no task is left. Returns the cancellation that began the end, if one did, and the latest of the others."""
        first = later = None
        while self._tasks:
            if self._on_completed_fut is None:
                self._on_completed_fut = self._loop.create_future()
            try:
                await self._on_completed_fut
            except CancelledError as exc:
                later = exc
                if not self._aborting:  # the parent is being cancelled while it waits here
                    first = exc
                    self._abort()
            self._on_completed_fut = None
        return first, later

    def _raise_outcome(
        self, exc: BaseException | None, first: CancelledError | None, later: CancelledError | None
    ) -> None:
        """How the block ends: a base error before all, then errors as a group, then a cancellation that is not our own."""
        try:
            if self._base_error is not None:
                raise self._base_error
            cancelled = first
            if cancelled is None and isinstance(exc, CancelledError):
                cancelled = exc
            if self._parent_cancel_requested:
                if self._parent_task.uncancel() == 0:
                    cancelled = None  # it was ours alone
                elif cancelled is None:
                    cancelled = later  # it was not, and must not be dropped (cpython issue 155433)
            errors = self._errors
            assert errors is not None
            if cancelled is not None and not errors:
                raise cancelled
            if exc is not None and not isinstance(exc, CancelledError):
                errors.append(exc)
            if errors:
                self._raise_errors(exc, errors)
        finally:
            exc = first = later = cancelled = None

    def _raise_errors(self, exc: BaseException | None, errors: list[BaseException]) -> None:
        try:
            if self._parent_task.cancelling():
                # A cancellation from outside is pending too. Deliver it again after the group's error: at the next wait.
                self._parent_task.uncancel()
                self._parent_task.cancel()
            if isinstance(exc, GeneratorExit) and len(errors) == 1:
                raise exc  # an async generator is being closed: aclose() expects this and nothing else
            raise BaseExceptionGroup("unhandled errors in a TaskGroup", errors) from None
        finally:
            exc = None
            del errors
