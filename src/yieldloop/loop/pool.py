"""Threads for what blocks: the pool behind `run_in_executor(None, …)`, and behind look-ups of names.

What lives here: what has to be known of `threading` and `concurrent.futures`. What may not: what comes of a job on the loop
(`engine.jobs`), and when it is right to leave a thread behind (`aio.shutdown` decides, for one that has outlived its time).

`Pool` is a `ThreadPoolExecutor` to everybody who asks. What it adds: it takes the loop's jobs as they are, without a
`concurrent.futures.Future` (a lock and a condition each) in between; it counts its idle threads by a list whose push and pop are
atomic, not by a semaphore; and its threads can be left. Python cannot stop a thread. It waits for one at exit by two ways:
`concurrent.futures` joins the threads of every pool, and `threading` joins every thread that is no daemon. The first register
can be told to forget a thread. The second can up to Python 3.12; from 3.13 on it is C's own list, and what is on it stays on it.
So the pool's threads are never put there: they are started as daemons, and call themselves none as soon as they run, so that
threads which their jobs start do not inherit it. While nobody leaves them they are waited for at exit as any pool's.

Rule for the editor: every name with an underscore here is CPython's and may go; each use has to fall back to "it cannot be left".
"""

from __future__ import annotations

import concurrent.futures
import queue
import sys
import threading
import weakref
from concurrent.futures import thread as _thread_module
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.core import logger
from yieldloop.engine.jobs import Job

skip_globals(globals())

_futures_thread: Any = _thread_module


class Pool(concurrent.futures.ThreadPoolExecutor):
    """A `ThreadPoolExecutor` that also takes the loop's own jobs, and whose threads `leave_thread` can leave behind."""

    _work_queue: Any
    _threads: Any

    def __init__(self, max_workers: int | None = None, thread_name_prefix: str = "") -> None:
        super().__init__(max_workers, thread_name_prefix)
        self.jobs: set[Job] = set()  # the loop's, not ended
        self._idle: list[None] = []  # as many as threads wait for work and nobody counts on

    def running(self) -> list[Job]:
        """The loop's jobs that threads have begun and not ended."""
        return [job for job in list(self.jobs) if job.running]

    def is_working(self) -> bool:
        """True if one of the threads can be seen to work."""
        frames = sys._current_frames()
        return any(item_of(frames.get(thread.ident)) is not None for thread in list(self._threads))

    def start(self, loop: Any, function: Any, args: tuple[Any, ...]) -> Any:
        """Call ``function(*args)`` in a thread; returns *loop*'s future for the result. RuntimeError after `shutdown`.

        Cancelling the future drops a job that no thread has begun.
        """
        job = Job(loop, function, args)
        with self._shutdown_lock, _futures_thread._global_shutdown_lock:
            if not (self._shutdown or _futures_thread._shutdown):
                self.jobs.add(job)
                self._work_queue.put(job)
                self._adjust_thread_count()
                return job.waiter
        return self.submit(function, *args)  # which refuses, in the standard library's words


    def _adjust_thread_count(self) -> None:
        """A job was put into the queue: start a thread for it if none is idle. `submit` calls this as well."""
        try:
            self._idle.pop()
            return
        except IndexError:
            pass
        number = len(self._threads)
        if number >= self._max_workers:
            return
        jobs = self._work_queue
        pool = weakref.ref(self, lambda _: jobs.put(None))  # a pool that is lost ends its threads
        name = f"{self._thread_name_prefix}_{number}"
        make_context = getattr(self, "_create_worker_context", None)  # Python 3.14
        context = () if make_context is None else (make_context(),)
        args = (pool, jobs, self.jobs, self._idle, context)
        thread: Any = threading.Thread(name=name, target=_work, args=args, daemon=_daemons_allowed() or None)
        thread.start()
        self._threads.add(thread)
        _futures_thread._threads_queues[thread] = jobs


def _work(pool: Any, queued: Any, jobs: set[Job], idle: list[None], context: tuple[Any, ...]) -> None:
    """A thread's life: jobs of the loop, and those that `submit` made, until it is told to end."""
    thread: Any = threading.current_thread()
    if thread.daemon:
        thread._daemonic = False
        thread._yieldloop_leavable = True
    while True:
        try:
            job = queued.get_nowait()
        except queue.Empty:
            idle.append(None)
            job = queued.get()
        if job is None:
            executor = pool()
            if executor is None or executor._shutdown or _futures_thread._shutdown:
                queued.put(None)  # for the next thread
                return
            del executor
            continue
        try:
            if type(job) is Job:
                job.work()
                jobs.discard(job)
            else:
                job.run(*context)
        except BaseException:
            logger.critical("A thread of the pool goes on after an error outside its job", exc_info=True)
        del job


def _daemons_allowed() -> bool:
    allowed = getattr(threading, "_daemon_threads_allowed", None)  # a subinterpreter may forbid them (Python 3.12)
    return bool(allowed is None or allowed())


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


def item_of(frame: Any) -> Any:
    """What a pool's thread whose innermost frame is *frame* works on: a `Job`, or an item that `submit` made, of any pool.

    None between two jobs, and for any other thread.
    """
    while frame is not None:
        if frame.f_code is _work.__code__:
            item = frame.f_locals.get("job")
            if isinstance(item, Job):
                return item
        elif frame.f_code is _futures_thread._WorkItem.run.__code__:
            item = frame.f_locals.get("self")
            return item if isinstance(item, _futures_thread._WorkItem) else None
        frame = frame.f_back
    return None


def function_of(item: Any) -> Any:
    """The function of what `item_of` gives."""
    if isinstance(item, Job):
        return item.function
    task = getattr(item, "task", None)  # Python 3.14: (function, args, keywords)
    return task[0] if task is not None else getattr(item, "fn", None)
