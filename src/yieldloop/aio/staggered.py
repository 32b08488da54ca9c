"""staggered_race: start attempts one after the other, take the first that succeeds (RFC 8305, "Happy Eyeballs").

What lives here: that function, for connecting. Not part of the public API.
"""

from __future__ import annotations

from asyncio import events as _events
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from yieldloop.aio.locks import Event
from yieldloop.aio.timeouts import wait_for
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.tasks import current_task
from yieldloop.errors import CancelledError

__all__ = ("staggered_race",)

skip_globals(globals())


class _Race:
    """One race. Each attempt is a task that first waits for its turn, then starts the next task, then runs."""

    def __init__(self, coro_fns: Iterable[Callable[[], Awaitable[Any]]], delay: float | None, loop: Any) -> None:
        self.attempts = enumerate(coro_fns)
        self.delay = delay
        self.loop = loop
        self.running: set[Any] = set()
        self.all_done: Any = None
        self.winner_result: Any = None
        self.winner_index: int | None = None
        self.exceptions: list[BaseException | None] = []  # one for each attempt that was started
        self.unhandled: list[Exception] = []  # what went wrong outside the attempts
        self._awaiting_task = current_task(loop)  # for call graphs

    def start_next(self, previous_failed: Event | None) -> None:
        joined = Event()
        task = self.loop.create_task(self.attempt(joined, previous_failed))
        self.running.add(task)
        task.add_done_callback(self.task_done)
        joined.set()

    def task_done(self, task: Any) -> None:
        self.running.discard(task)
        if not self.running and self.all_done is not None and not self.all_done.done():
            self.all_done.set_result(None)
        if not task.cancelled() and task.exception() is not None:
            self.unhandled.append(task.exception())

    async def attempt(self, joined: Event, previous_failed: Event | None) -> None:
        await joined.wait()  # an eager task runs before it stands in self.running
        if previous_failed is not None:
            try:
                await wait_for(previous_failed.wait(), self.delay)
            except TimeoutError:
                pass
        try:
            index, coro_fn = next(self.attempts)
        except StopIteration:
            return
        failed = Event()
        self.start_next(failed)
        self.exceptions.append(None)
        try:
            result = await coro_fn()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self.exceptions[index] = exc
            failed.set()
        else:
            self.winner_index = index
            self.winner_result = result
            me = current_task(self.loop)
            for task in self.running:
                if task is not me:  # nothing waits after this line: a cancellation of ourselves would be kept as an error
                    task.cancel()

    async def run(self) -> tuple[Any, int | None, list[BaseException | None]]:
        cancelled: CancelledError | None = None
        try:
            self.start_next(None)
            while self.running:
                self.all_done = self.loop.create_future()
                try:
                    await self.all_done
                except CancelledError as exc:
                    cancelled = exc
                    for task in self.running:
                        task.cancel(*exc.args)
                self.all_done = None
            if self.unhandled:
                raise BaseExceptionGroup("staggered race failed", self.unhandled)
            if cancelled is not None:
                raise cancelled
            return self.winner_result, self.winner_index, self.exceptions
        finally:
            cancelled = None  # tracebacks hold this frame, and the race holds exceptions
            self._awaiting_task = None
            self.unhandled = []


async def staggered_race(
    coro_fns: Iterable[Callable[[], Awaitable[Any]]], delay: float | None, *, loop: Any = None
) -> tuple[Any, int | None, list[BaseException | None]]:
    """Call the coroutine functions one after the other until one succeeds, and cancel the rest.

    The next one starts when the one before has failed or *delay* seconds have passed (None: only when it has failed). Returns the
    winner's result and index (None, None without a winner) and, for each one started, its exception or None. A cancellation
    point; when cancelled, all attempts are cancelled and awaited first.
    """
    race = _Race(coro_fns, delay, loop or _events.get_running_loop())
    return await race.run()
