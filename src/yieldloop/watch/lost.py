"""What was lost, or leaks: counted by the place where it was made.

What lives here: `report`, from what loops count (``loop/lost.py``) and from the tasks of a snapshot. What may not: keeping.

==============================  ======================================================================================
exceptions never taken          of tasks and futures that are gone: nobody asked for the error
tasks destroyed while pending   the standard library's, which nobody kept
coroutines never awaited        of the whole process
tasks that nobody waits for     pending, with no callback, and nothing refers to them but the loop and what they wait for
tasks pending for long          that have not changed their state for `LONG_NS`
==============================  ======================================================================================
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

from yieldloop.engine.tasks import Task
from yieldloop.loop import lost as _lost
from yieldloop.loop.lost import Counts, Place

__all__ = ("LONG_NS", "report")

LONG_NS = 60 * 10**9  # ns
MOST_TOLD = 20  # places of each kind: those with the highest counts
KEPT_BY_THE_LOOP = 2  # references to a parked task that nobody keeps: the loop's set; what wakes it, or the ready queue

NOBODY_WAITS = "tasks that nobody waits for"
LONG = "tasks pending for long"


def report(loop: Any, tasks: list[Any], views: Iterable[Any]) -> dict[str, list[dict[str, Any]]]:
    """What *loop* has lost, by kind: lists of {"file", "line", "function", "count"}, most first. *views* are of *tasks*."""
    counts = Counts()
    now = time.monotonic_ns()
    alone = _alone(tasks)
    for view in views:
        if view.since_ns is not None and now - view.since_ns >= LONG_NS:
            counts.add(LONG, _place(view.site))
        if view.id in alone:
            counts.add(NOBODY_WAITS, _place(view.site))
    found = [counts, _lost.everywhere]
    own = getattr(loop, "_lost", None)
    if own is not None:
        found.append(own)
    return {kind: _told(places) for each in found for kind, places in list(each.by_kind.items())}


def _place(site: Any) -> Place:
    return _lost.ELSEWHERE if site is None else (site.file, site.line, site.function)


def _told(places: dict[Place, int]) -> list[dict[str, Any]]:
    most = sorted(places.items(), key=lambda item: (-item[1], item[0]))[:MOST_TOLD]
    return [{"file": file, "line": line, "function": name, "count": count} for (file, line, name), count in most]


def _references(things: list[Any]) -> list[int]:
    """How many references there are to each of *things*, those of the list and of this look included."""
    return [sys.getrefcount(thing) for thing in things]


[_OF_THE_LOOK] = _references([object()])  # since Python 3.14 a call's arguments are borrowed from variables, and not counted


def _alone(tasks: list[Any]) -> set[int]:
    """The numbers of those of *tasks*, held by that list, to which nothing refers but their loop and what wakes them."""
    found = set()
    for task, count in zip(tasks, _references(tasks), strict=True):
        if type(task) is Task and count <= KEPT_BY_THE_LOOP + _OF_THE_LOOK and not task.done() and not task._entries():
            found.add(task._number)
    return found
