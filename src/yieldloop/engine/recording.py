"""Whether loops are recorded, how much of it is kept, and what is kept of loops that are closed.

What lives here: what the environment says, and what a recording takes from a loop besides its records. What may not: the ring
(`_record`), and files (``yieldloop.record``).
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

from yieldloop.engine._leaf import line_at
from yieldloop.engine._record import Recorder, label_call

MODES = ("ring", "full", "off")
RING = 4 << 20  # bytes a loop: 262,144 records, some seconds of a busy server
RING_AGE = 60 * 10**9  # ns
CHUNK = 64 << 10  # bytes
FULL = 256 << 20  # bytes a loop: 16 million records; from then on it is a ring too
sources: str | None = None  # the dotted name of a module whose SOURCES say more of the moment of a recording; the face puts it in


def mode() -> str:
    """``ring`` (the default), ``full`` or ``off``, as ``YIELDLOOP_RECORD`` says; ValueError for anything else."""
    found = os.environ.get("YIELDLOOP_RECORD") or "ring"
    if found not in MODES:
        raise ValueError(f"YIELDLOOP_RECORD={found!r} is no way to record: set it to {', '.join(MODES)}, or not at all (ring)")
    return found


def new_recorder() -> Recorder | None:
    """The recorder of a new loop: of the last 60 s in 4 MiB; with ``full``, of everything in 256 MiB at most, and where
    each task stood at each wait; None with ``off``.
    """
    found = mode()
    if found == "off":
        return None
    return Recorder(RING, RING_AGE) if found == "ring" else Recorder(FULL, 0, chains=True)


# --- which loop ------------------------------------------------------------------------------------------------------------

_numbering = threading.Lock()
_serial = itertools.count(1)
_numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def loop_number(loop: Any) -> int:
    """The number by which *loop* is called, from 1 in this process."""
    with _numbering:
        number = _numbers.get(loop)
        if number is None:
            number = _numbers[loop] = next(_serial)
        return number


# --- loops that are closed ------------------------------------------------------------------------------------------------

MOST_PAST = 4  # loops


class Past:
    """What a recording needs of one loop: of one that lives, *core*, at any time; of a closed one what was left when it closed."""

    __slots__ = ("_tasks", "closed", "core", "id", "name", "pid", "recorder", "thread")

    def __init__(self, core: Any) -> None:
        self.core = core
        self.recorder: Recorder = core.recorder
        self.id = loop_number(core)
        self.name = f"{type(core).__name__}-{self.id}"
        self.thread: str | None = core._ran_in
        self.pid: int = core._pid
        self.closed = False
        self._tasks: list[tuple[int, Any]] = []

    def let_go(self) -> None:
        """The loop is closed: keep nothing of it but names."""
        self._tasks = list(self.tasks())
        self.core = None
        self.closed = True

    def tasks(self) -> Iterator[tuple[int, Any]]:
        """Of each task that is not done: its number and [name, coroutine, file, line, function, when it was made in ns]."""
        if self.core is None:
            yield from self._tasks
            return
        for task in list(self.core._tasks):
            number = getattr(task, "_number", 0)
            if number:
                yield number, facts(task)


def facts(task: Any) -> list[Any]:
    """What a recording says of *task*."""
    coro = task.get_coro()
    site = task._site()
    name = getattr(coro, "__qualname__", None) or type(coro).__qualname__
    where = [None, None, None] if site is None else [site[0].co_filename, site[1], site[0].co_qualname]
    return [task.get_name(), name, *where, task._made_ns]


def place(code: Any, lasti: int) -> dict[str, Any]:
    """A code object by its name and file, with the line of instruction *lasti* (-1: its first line)."""
    line = code.co_firstlineno if lasti < 0 else line_at(code, lasti)
    return {"name": code.co_qualname, "file": code.co_filename, "line": line}


def label_of_entry(entry: Any) -> int:
    """The label under which the end of *entry* (a handle, or what a poller pushed) is recorded."""
    return label_call(getattr(entry, "_callback", None) or entry)


_past: deque[Past] = deque(maxlen=MOST_PAST)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_past.clear)


def past() -> list[Past]:
    """The loops that were closed last, oldest first."""
    return list(_past)


def retire(core: Any) -> None:
    """*core* is being closed: what it recorded is kept for a while. Of more than one it is no more than of one at its limit."""
    if core.recorder is None or core.recorder.numbers() == []:
        return
    one = Past(core)
    one.let_go()
    _past.append(one)
    while len(_past) > 1 and sum(len(each.recorder.numbers()) for each in _past) * CHUNK > one.recorder.limit:
        _past.popleft()
