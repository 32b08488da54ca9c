"""Watching a loop that is not ours: the standard library's, uvloop.

What lives here: `attach`, the heartbeat by which a block is noticed, and an honest account of what cannot be seen. What may not: a
change to the loop; all that is done to it is `call_soon_threadsafe`.

A foreign loop keeps no marks of what it runs. So the watching thread puts a small callback into its queue once a limit's length,
and what makes that callback wait longer than the limit holds the loop. This wakes the loop and the thread about ten times a second
for as long as it is attached, idle or not, which is what a loop of ours spares.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from typing import Any

from yieldloop.engine.core import Core
from yieldloop.watch import watchdog
from yieldloop.watch.watcher import watcher

__all__ = ("Attachment", "attach")

CANNOT = """\
{name} is watched from without. What can be seen: its tasks (asyncio.all_tasks), their await chains and what these end in; who \
waits for whom; the locks, queues and other primitives of asyncio, with their holders; what blocks the loop, with its stack, if it \
lasts {least:g} s or longer.
What cannot be seen:
  - since when a task stands where it stands, and when it was made
  - where a task was made, unless asyncio's debug mode notes it
  - which callback runs: its stack shows it, while it blocks, and a task is named
  - how long what is ready waits for its turn, and the share of the processor that each task takes
  - what happened before: there is no recording, and nothing for `yieldloop dump` to save
  - a spin, and an iteration over its budget
  - a dead loop: nothing is raised when no task can ever go on"""
CANNOT_IN_UVLOOP = """
  - timers, what is ready, and file descriptors with their peers: uvloop keeps them in C"""


def attach(loop: Any) -> Attachment:
    """Watch *loop*, whoever made it, until it is closed or `Attachment.detach` is called. From any thread, running or not.

    A loop of ours is watched without that; TypeError for one of them, and for what is no loop. RuntimeError if it is closed.
    """
    if isinstance(loop, Core):
        raise TypeError(f"{loop!r} is a loop of yieldloop: it is watched whenever it runs, nothing need be attached")
    if not isinstance(loop, asyncio.AbstractEventLoop):
        raise TypeError(f"an event loop is needed, not {loop!r}: inside a coroutine asyncio.get_running_loop() gives it")
    if loop.is_closed():
        raise RuntimeError(f"{loop!r} is closed: there is nothing to watch")
    return Attachment(loop)


class Attachment:
    """A foreign loop that is watched. A context manager that detaches at its end. ``str()`` says what can be seen and what not."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self._watched = WatchedForeign(ForeignLoop(loop))
        watcher.watch(self._watched, id(loop))

    def detach(self) -> None:
        """Watch it no longer. Twice is allowed."""
        watcher.forget(self._watched)

    def snapshot(self) -> Any:
        """Its tasks now, as `yieldloop.watch.snapshot.take` gives them."""
        from yieldloop.watch import snapshot

        return snapshot.take(self.loop, self._watched.loop.thread)

    def __str__(self) -> str:
        limit = watchdog.table.limit_ns or 0
        text = CANNOT.format(name=f"{type(self.loop).__module__}.{type(self.loop).__qualname__}", least=2 * limit / 1e9)
        return text if hasattr(self.loop, "_scheduled") else text + CANNOT_IN_UVLOOP

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()


class ForeignLoop:
    """Gives a foreign loop the face that the watchdog looks at (``_doing``, ``_asleep``, ``statistics``)."""

    _asleep = False  # nobody would wake us

    def __init__(self, loop: Any) -> None:
        self.of = weakref.ref(loop)
        self.thread: int | None = None  # known from the first beat on
        self.thread_name = "?"
        self.native = 0
        self._beats = 0
        self._posted_ns = 0  # when the beat was posted that has not come yet; 0: none is on its way

    def _doing(self) -> tuple[Any, int, int]:
        """As `Core._doing`: (what holds the loop, since when at the latest, number of the beat), or (None, …) while it beats."""
        loop = self.of()
        now = time.monotonic_ns()
        if loop is None or loop.is_closed():
            raise GoneError
        if not loop.is_running():
            self._posted_ns = 0
        elif not self._posted_ns:
            self._posted_ns = now
            try:
                loop.call_soon_threadsafe(self._beat, now)
            except RuntimeError:  # closed in between
                raise GoneError from None
        elif self.thread is not None and (waits := now - self._posted_ns) > 0 and waits >= (watchdog.table.limit_ns or 0):
            return asyncio.current_task(loop) or "a callback", self._posted_ns, self._beats
        return None, now, self._beats

    def _beat(self, posted_ns: int) -> None:
        """Runs in the loop's thread."""
        thread = threading.current_thread()
        self.thread, self.thread_name, self.native = threading.get_ident(), thread.name, threading.get_native_id()
        if posted_ns == self._posted_ns:  # else it was posted before the loop stopped running
            self._beats += 1
            self._posted_ns = 0

    def statistics(self) -> dict[str, Any]:
        """As `loop.statistics()`, as far as the loop shows it."""
        loop = self.of()
        found = {"tasks": len(asyncio.all_tasks(loop))}
        for name, attribute in (("ready", "_ready"), ("timers", "_scheduled")):
            if hasattr(loop, attribute):
                found[name] = len(getattr(loop, attribute))
        return found


class GoneError(Exception):
    """The loop is closed."""


class WatchedForeign(watchdog.Watched):
    """What the watchdog remembers of a foreign loop."""

    def __init__(self, loop: ForeignLoop) -> None:
        super().__init__(loop)
        self._spin = self._unread = None  # its iterations cannot be counted

    @property
    def target(self) -> Any:
        """The event loop itself; None if it is no more."""
        return self.loop.of()

    def look(self) -> int:
        """As `Watched.look`; a loop that is closed is let go."""
        self.thread, self.native, self.thread_name = self.loop.thread, self.loop.native, self.loop.thread_name
        try:
            return super().look()
        except GoneError:
            watcher.forget(self)
            return watchdog.table.limit_ns or 0

    def _look_at_iteration(self, entry: Any, iteration: int, now: int) -> None:
        """They cannot be told from each other."""

    def _is_exact(self) -> bool:
        return True
