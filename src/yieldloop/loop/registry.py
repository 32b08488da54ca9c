"""Makes `asyncio.all_tasks()` see our tasks without a cost per task.

What lives here: the one place where we reach into the standard library's registers. The loop keeps its pending tasks in a set of
its own anyway. The standard library asks a `WeakSet` for the tasks that are not its own kind, and a WeakSet is a set of
references underneath (``data``): we exchange that set for one that, when it is read, also gives the tasks of every loop of
ours. What others put in stays in it.

Where it is: up to Python 3.11 ``asyncio.tasks._all_tasks``, then ``_scheduled_tasks``. From 3.14 on that one serves only the
standard library's Python twin, and the one that the C ``all_tasks()`` reads has no name: it is a field of the C module, which the
garbage collector can show.
"""

from __future__ import annotations

import gc
import sys
import weakref
from asyncio import tasks as _stock
from collections.abc import Iterator
from typing import Any

_loops: weakref.WeakSet[Any] = weakref.WeakSet()


class _References(set[Any]):
    """References to tasks: those registered one by one, and those that our loops hold."""

    def _ours(self) -> set[Any]:
        return {weakref.ref(task) for loop in list(_loops) for task in list(loop._tasks)}

    def __iter__(self) -> Iterator[Any]:
        yield from list(set.copy(self) | self._ours())

    def copy(self) -> set[Any]:
        return set(set.copy(self) | self._ours())


def _registers() -> Iterator[Any]:
    """The WeakSets that this Python's `all_tasks()` reads: the C twin's and the Python twin's, or the one that they share."""
    stock: Any = _stock
    yield stock._scheduled_tasks if hasattr(stock, "_scheduled_tasks") else stock._all_tasks
    if sys.version_info >= (3, 14):
        accelerator = sys.modules.get("_asyncio")
        yield from (found for found in gc.get_referents(accelerator) if isinstance(found, weakref.WeakSet))


def _install() -> None:
    for register in _registers():
        if not isinstance(register.data, _References):
            register.data = _References(register.data)


def register_loop(loop: Any) -> None:
    """From now on `asyncio.all_tasks()` finds the tasks of *loop*, which is held weakly."""
    _loops.add(loop)


def all_loops() -> list[Any]:
    """Every loop of ours that lives, in the order of nothing."""
    return list(_loops)


_install()
