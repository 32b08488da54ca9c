"""Threads that can be left: a pool for the loop's executor that the interpreter's exit need not wait for.

What lives here: what has to be known of `threading` and `concurrent.futures` to leave a thread behind. What may not: when that is
right (`aio.shutdown` decides, and only for a thread that has outlived its time).

Python cannot stop a thread. It waits for one at exit by two ways: `concurrent.futures` joins the threads of every pool, and
`threading` joins every thread that is no daemon. The first register can be told to forget a thread. The second can up to
Python 3.12; from 3.13 on it is C's own list, and what is on it stays on it. So the pool's threads are never put there: they are
started as daemons, and call themselves none as soon as they run, so that threads which their jobs start do not inherit it. While
nobody leaves them they are waited for at exit as any pool's.

Rule for the editor: every name with an underscore here is CPython's and may go; each use has to fall back to "it cannot be left".
"""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.thread as _futures_thread
import threading
from typing import Any

from yieldloop.engine._leaf import skip_globals

skip_globals(globals())


class LeavablePool(concurrent.futures.ThreadPoolExecutor):
    """A `ThreadPoolExecutor` whose threads `leave_thread` can leave behind, on every Python."""

    def __init__(self, max_workers: int | None = None, thread_name_prefix: str = "") -> None:
        super().__init__(max_workers, thread_name_prefix, initializer=_end_inheritance)

    def _adjust_thread_count(self) -> None:
        creator: Any = threading.current_thread()
        before = creator._daemonic  # a new thread takes it from the one that makes it
        creator._daemonic = before or _daemons_allowed()
        try:
            super()._adjust_thread_count()
        finally:
            creator._daemonic = before


def _daemons_allowed() -> bool:
    allowed = getattr(threading, "_daemon_threads_allowed", None)  # a subinterpreter may forbid them (Python 3.12)
    return bool(allowed is None or allowed())


def _end_inheritance() -> None:
    """Runs first in each thread of the pool."""
    thread: Any = threading.current_thread()
    if thread.daemon:
        thread._daemonic = False
        thread._yieldloop_leavable = True


def leave_thread(thread: Any) -> bool:
    """Let the interpreter's exit not wait for *thread*, which a pool has started and which runs on.

    False if this Python gives no way: then its exit takes as long as the thread.
    """
    queues: Any = getattr(_futures_thread, "_threads_queues", None)
    if queues is None:
        return False
    queues.pop(thread, None)
    if thread.daemon or getattr(thread, "_yieldloop_leavable", False):
        return True
    locks: Any = getattr(threading, "_shutdown_locks", None)  # up to Python 3.12
    lock = getattr(thread, "_tstate_lock", None)
    if locks is None or lock is None:
        return False
    locks.discard(lock)
    return True


def job_of(frame: Any) -> Any:
    """What the pool's thread whose innermost frame is *frame* runs: the function that was submitted, or None between two jobs."""
    while frame is not None:
        item = frame.f_locals.get("self") if frame.f_code.co_name == "run" else None
        if isinstance(item, _futures_thread._WorkItem):
            task = getattr(item, "task", None)  # Python 3.14: (function, args, keywords)
            return task[0] if task is not None else getattr(item, "fn", None)
        frame = frame.f_back
    return None
