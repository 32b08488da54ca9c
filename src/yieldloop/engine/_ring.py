"""The ready queue: what is to run, in the order in which it became ready.

What lives here: one FIFO of entries. What may not: what an entry means, and time. ``_ring.pyx`` is the compiled twin (a ring
of pointers in C). Both take a push from another thread without a lock.
"""

from __future__ import annotations

from collections import deque
from typing import Any


class ReadyQueue(deque[Any]):
    """FIFO of `Entry`. ``push`` and ``pop`` are the engine's words, the deque's own names serve those who look in."""

    size = deque.__len__
    push = deque.append
    pop = deque.popleft
    pop_last = deque.pop  # the newest: where the queue serves as a store

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<ReadyQueue {len(self)} entries>"
