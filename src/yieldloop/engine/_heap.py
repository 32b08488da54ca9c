"""The armed timers, soonest first.

What lives here: an order of deadlines (integer nanoseconds), nothing of what a timer does. ``_heap.pyx`` is the compiled twin.

Disarming is O(1) here: the timer is marked and its slot is left where it is. Once more than half of the slots are marked they are
swept, so what is held is never more than twice what is armed (plus a few), and a sweep is paid for by the disarming before it.
(The compiled twin takes the timer out at once, from a place that it remembers.)
Equal deadlines fire in the order in which they were armed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from yieldloop.engine._leaf import Entry

FEW = 64  # below that many marked slots a sweep is not worth its call
FOREVER = -1  # first() of a heap with nothing armed
NOWHERE = -1  # the number of a timer that is not armed


class DueTimer(Entry):
    """What the heap knows of a timer: whether it still counts."""

    __slots__ = ("_cancelled", "_number")
    _number: int  # its age while it is armed, else NOWHERE


class TimerHeap:
    """A priority queue of `DueTimer` by deadline, then by age."""

    __slots__ = ("_dead", "_order", "_slots")

    def __init__(self) -> None:
        self._slots: list[tuple[int, int, Any]] = []
        self._dead = 0  # slots whose timer is cancelled
        self._order = 0  # counts arms: the age that breaks ties

    def push(self, when: int, timer: DueTimer) -> None:
        """Arm *timer* for *when* (ns)."""
        timer._number = self._order
        heapq.heappush(self._slots, (when, self._order, timer))
        self._order += 1

    def first(self) -> int:
        """The soonest deadline (ns), or FOREVER."""
        slots = self._slots
        while slots:
            if not slots[0][2]._cancelled:
                return slots[0][0]
            heapq.heappop(slots)
            self._dead -= 1
        return FOREVER

    def pop_due(self, now: int) -> Any:
        """The next timer whose deadline is not after *now*, or None."""
        slots = self._slots
        while slots and slots[0][0] <= now:
            timer = heapq.heappop(slots)[2]
            if not timer._cancelled:
                timer._number = NOWHERE
                return timer
            self._dead -= 1
        return None

    def disarm(self, timer: DueTimer) -> None:
        """*timer* was cancelled: it will not be given out. Nothing happens if it is not armed."""
        if timer._number == NOWHERE:
            return
        timer._number = NOWHERE
        self._dead += 1
        if self._dead > FEW and self._dead * 2 > len(self._slots):
            self._slots = [slot for slot in self._slots if not slot[2]._cancelled]
            heapq.heapify(self._slots)
            self._dead = 0

    def clear(self) -> None:
        for slot in self._slots:
            slot[2]._number = NOWHERE
        self._slots.clear()
        self._dead = 0

    def __len__(self) -> int:
        return len(self._slots)

    size = __len__

    def __iter__(self) -> Iterator[Any]:
        return iter([slot[2] for slot in self._slots])

    def __repr__(self) -> str:
        return f"<TimerHeap {len(self._slots) - self._dead} armed, {self._dead} disarmed but held>"
