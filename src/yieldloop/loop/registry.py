"""Makes `asyncio.all_tasks()` see our tasks without a cost per task.

What lives here: the one place where we reach into the standard library's registers. The loop keeps its pending tasks in a set of
its own anyway. The standard library asks a `WeakSet` for the tasks that are not its own kind, and a WeakSet is a set of
references underneath (``data``): we exchange that set for one that, when it is read, also gives the tasks of every loop of
ours. What others put in stays in it. Up to Python 3.11 the WeakSet is named ``_all_tasks``, then ``_scheduled_tasks``.
"""

from __future__ import annotations

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


def _install() -> None:
    register = getattr(_stock, "_scheduled_tasks", None)
    if register is None:
        register = _stock._all_tasks  # type: ignore[attr-defined]
    if not isinstance(register.data, _References):
        register.data = _References(register.data)


def register_loop(loop: Any) -> None:
    """From now on `asyncio.all_tasks()` finds the tasks of *loop*, which is held weakly."""
    _loops.add(loop)


_install()
