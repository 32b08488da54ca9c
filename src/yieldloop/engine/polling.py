"""What the iteration needs of a poller, and nothing more: it can wait, and it can be woken.

What lives here: the base class of everything in ``pollers/``. What may not: file descriptors (the iteration does not know that
there are any: a poller pushes the *entries* that became ready into the ready queue that it was given).
"""

from __future__ import annotations

from typing import Any

from yieldloop.engine._ring import ReadyQueue


class Poller:
    """Waits for the outside world on behalf of one loop.

    ``interest`` counts what is armed, the poller's own wake-up not included: while it is 0 and something is ready, the iteration
    does not ask the kernel at all. ``probe`` is the loop (if it has a probe, else None), ``recorder`` the
    loop's recorder or None; the poller tells both what it finds.
    """

    __slots__ = ("_ready", "interest", "probe", "recorder")

    def __init__(self) -> None:
        self._ready: Any = None
        self.interest = 0
        self.probe: Any = None
        self.recorder: Any = None

    def bind(self, ready: ReadyQueue) -> None:
        """Push what becomes ready into *ready* from now on. Called once, by the loop."""
        self._ready = ready

    def poll(self, timeout: int) -> None:
        """Wait for at most *timeout* ns (-1: without end, 0: not at all) and push the entries of what is ready.

        Returns early when woken or when a signal arrived (PEP 475 does not apply: the loop wants its turn). Never returns
        before *timeout* is over without one of these reasons, except by less than the kernel's own precision.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it waits: override poll()")

    def wake(self) -> None:
        """Make the current `poll`, or the next one, return at once. From any thread and any signal handler; never blocks."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is woken: override wake()")

    def close(self) -> None:
        """Give back what the kernel lent. Closing twice is allowed."""
