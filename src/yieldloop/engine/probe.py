"""The probe: who wants to know what the engine does puts one object into the loop's only slot.

What lives here: the events and what each carries. What may not: keeping, printing or judging them (that is ``watch/``).
The engine tests the slot by ``is not None`` and calls one method an event, in the loop's thread. (``handed_to_thread`` comes
from the thread that hands over, and ``task_created``/``task_woken`` from wherever that happens.) A probe that raises is
logged and removed: watching must not change what is watched.
"""

from __future__ import annotations

from typing import Any

EVENTS = (
    "task_created",
    "task_stepped",
    "task_parked",
    "task_woken",
    "task_done",
    "callback_begun",
    "callback_done",
    "timer_fired",
    "poll_begun",
    "poll_done",
    "fd_ready",
    "handed_to_thread",
)


class Probe:
    """All the events, each ignored. Subclass it and override what you want to see."""

    def task_created(self, task: Any) -> None:
        """*task* exists and will be stepped."""

    def task_stepped(self, task: Any) -> None:
        """*task* is about to be resumed once."""

    def task_parked(self, task: Any, on: Any) -> None:
        """*task* yielded; it waits for the future *on*, or (None) only for its next turn."""

    def task_woken(self, task: Any, by: Any) -> None:
        """*task* was put into the ready queue because the future *by* is done, or (None) by a cancellation."""

    def task_done(self, task: Any) -> None:
        """*task* has a result, an exception, or is cancelled."""

    def callback_begun(self, handle: Any) -> None:
        """*handle* is about to be called."""

    def callback_done(self, handle: Any) -> None:
        """*handle*'s callback returned or raised."""

    def timer_fired(self, timer: Any) -> None:
        """*timer* is due and was put into the ready queue."""

    def poll_begun(self, timeout: int) -> None:
        """The poller is asked for events, for at most *timeout* nanoseconds (-1: until there is one)."""

    def poll_done(self, ready: int) -> None:
        """The poller has answered; *ready* entries wait in the ready queue now."""

    def fd_ready(self, fd: int, mask: int) -> None:
        """File descriptor *fd* is readable (1), writable (2) or both (3)."""

    def handed_to_thread(self, function: Any) -> None:
        """*function* was handed to a thread pool."""
