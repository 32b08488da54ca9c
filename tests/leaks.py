"""What a process holds: descriptors, threads, children, memory, and objects of ours that are alive and not at their end.

What lives here: counting, from outside the loop, for the tear-down of every test (`tests/conftest.py`) and for the soak
(`tests/soak`). What may not: an opinion on what is too much.
"""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

from yieldloop.engine.futures import Future
from yieldloop.engine.handles import Handle, TimerHandle
from yieldloop.engine.tasks import Task
from yieldloop.loop import EventLoop
from yieldloop.loop.server import Server
from yieldloop.transports.process import ProcessTransport
from yieldloop.transports.tcp import TcpTransport

KINDS = (Task, Future, Handle, TimerHandle, TcpTransport, ProcessTransport, Server, EventLoop)


def open_fds() -> set[str]:
    """The descriptors that this process has open; empty where the system does not tell."""
    try:
        return set(os.listdir("/proc/self/fd"))
    except OSError:
        return set()


def named_fds() -> dict[str, str]:
    """What each of them is."""
    found = {}
    for fd in open_fds():
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:  # that of the listing itself
            pass
    return found


def children() -> set[int]:
    """The child processes of this process, zombies included; empty where the system does not tell."""
    found: set[int] = set()
    try:
        for task in os.listdir("/proc/self/task"):
            found.update(map(int, Path(f"/proc/self/task/{task}/children").read_text().split()))
    except OSError:  # a thread that ended meanwhile, or a system that has no such file
        pass
    return found


def threads() -> set[threading.Thread]:
    """Those that run, but for the one that watches the loops: it is there for good, and another one after a fork."""
    known = [thread for thread in threading.enumerate() if thread.name != "yieldloop-watch"]
    return {thread for thread in known if thread.is_alive()}  # one that is just being started cannot be joined yet


def rss() -> int:
    """Bytes of memory that this process has resident now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def live_counts() -> dict[str, int]:
    """How many objects of each of `KINDS` there are, used up or not; handles that a loop keeps to use again do not count."""
    counts = dict.fromkeys((kind.__name__ for kind in KINDS), 0)
    wanted = set(KINDS)
    for thing in gc.get_objects():
        if type(thing) in wanted and (type(thing) is not Handle or thing.get_context() is not None):
            counts[type(thing).__name__] += 1
    return counts
