"""A loop that nothing can ever wake: how it is told from one that waits.

What lives here: one question, asked when `run_until_complete` is about to sleep without a time limit and no descriptor is armed.
What may not: what the answer looks like to people (``watch/``).

Whoever may be the one that wakes the loop counts as if it will: a thread that works, whatever it does; a job of the pool; a child
process; a signal for which there is a handler, since any process may send it. So an error is raised only if it is certain that this
run would last for ever. Ctrl-C does not count: it ends the program and wakes no task of its own accord.

Facts, and what follows from them:
- Threads that Python does not know (of a C library) may call in at any time. The kernel lists all threads of a process in
  ``/proc/self/task``; where there is no such list nobody can be certain, and nothing is said.
- Between the moment at which a pool's thread takes a job and that at which it shows there is no mark of it but in our own pool,
  which counts the jobs that have not ended. So threads of other pools count as working, idle or not.
- A thread that has handed its result over is still there for a moment. So the loop that sleeps for a thread's sake looks again
  after a while, each time after a longer one.
- Certain is what is so twice, with a pause between in which every other thread can run.
"""

from __future__ import annotations

import _thread
import functools
import os
import signal
import threading
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.errors import dead_loop
from yieldloop.loop import watching
from yieldloop.pollers.base import FdPoller

skip_globals(globals())

SWITCH = "YIELDLOOP_DEAD_LOOP"  # environment: "off" lets loops sleep for ever
FOREVER = -1
PAUSE = 50 * 10**6  # ns between the first look that finds nothing and the second
LONGEST_PAUSE = 5 * 10**9  # ns between two looks at threads that may end
TASKS = "/proc/self/task"
FATAL = {  # signals that nobody survives, whatever faulthandler prints first
    getattr(signal, name, None) for name in ("SIGSEGV", "SIGFPE", "SIGABRT", "SIGBUS", "SIGILL")
}

harmless: set[threading.Thread] = set()  # threads of ours that only watch: they wake no task
_count_threads: Any = getattr(_thread, "_count", int)  # those that Python has started and that run; the main thread is not one
_get_signal: Any = getattr(signal, "_signal", signal).getsignal  # without the search for an enum's name


def switched_on() -> bool:
    """What the environment says. ValueError for another word than ``on`` and ``off``."""
    word = os.environ.get(SWITCH) or "on"
    if word not in ("on", "off"):
        raise ValueError(f"{SWITCH}={word!r}: a loop looks whether it is dead, or it does not: 'on' or 'off'")
    return word == "on"


class Patience:
    """How long one run may sleep when nothing is armed."""

    __slots__ = ("_loop", "_pause", "_suspected")

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._pause = PAUSE
        self._suspected = -1  # the iteration in which nothing was found that could wake the loop

    def next_sleep(self, iteration: int) -> int:
        """In ns, or FOREVER. Called with nothing ready, no timer and no descriptor armed. DeadLoopError if that is the end."""
        loop = self._loop
        # First what is true of most loops that come here and says most: threads work for them. It costs no more than a few looks.
        pools = [pool for pool in (loop._default_executor, loop._lookup_pool) if pool is not None]
        watching_or_idle = len(harmless)
        for pool in pools:
            if getattr(pool, "jobs", None):
                return FOREVER
            watching_or_idle += len(pool._threads)
        if _count_threads() > watching_or_idle:
            return self._next_pause()
        if loop._children or threading.get_ident() != threading.main_thread().ident:
            return FOREVER
        if _others_run(pools):
            return self._next_pause()
        if loop._signal_handlers or _signals_are_handled():
            return FOREVER
        if self._suspected != iteration - 1:
            self._suspected = iteration
            return PAUSE
        if len(loop._ready):  # pushed since, by a thread that has ended since
            return 0
        self._suspected = -1
        raise dead_loop(watching.explain(loop))

    def _next_pause(self) -> int:
        """Until it is worth a look whether a thread has ended."""
        pause = self._pause
        self._pause = min(2 * pause, LONGEST_PAUSE)
        return pause


def certain(poller: Any) -> bool:
    """True if *poller* is one of ours, and so waits for nothing but what is armed; and if the system can list our threads."""
    return isinstance(poller, FdPoller) and type(poller).__module__.startswith("yieldloop.pollers.") and os.path.isdir(TASKS)


def _others_run(pools: list[Any]) -> bool:
    """True if there is a thread but this one, those that watch, and those of our pools that wait for work."""
    known = {threading.get_native_id(), *(thread.native_id for thread in list(harmless))}
    for pool in pools:
        if not hasattr(pool, "jobs") or pool.jobs or not pool._work_queue.empty() or pool.is_working():
            return True
        known.update(thread.native_id for thread in list(pool._threads))
    try:
        return not known.issuperset(int(name) for name in os.listdir(TASKS))
    except (OSError, ValueError):
        return True


def _signals_are_handled() -> bool:
    """True if a signal runs code that may wake a task: any handler but the interpreter's own and, for Ctrl-C, a runner's."""
    for number in signal.valid_signals():
        if number in FATAL:
            continue
        handler = _get_signal(number)  # None: a handler that is not Python's
        if isinstance(handler, int) or handler is signal.default_int_handler:  # SIG_DFL and SIG_IGN are numbers
            continue
        if isinstance(handler, functools.partial) and getattr(handler.func, "__name__", None) == "_on_sigint":
            continue
        return True
    return False
