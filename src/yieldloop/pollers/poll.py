"""poll(2): the whole set of descriptors goes to the kernel in every wait. Everywhere, for as many descriptors as there
are.

What lives here: an `FdPoller` over `select.poll`. What may not: who is armed (`base`).

The kernel keeps nothing between two waits, so a descriptor closed under us is a descriptor like another: POLLNVAL names
it in the next poll, and it is dropped. A number that was closed and opened again is simply the new file.

It waits in milliseconds, which Python rounds up: a timer is never early and at most one millisecond late.
"""

from __future__ import annotations

import errno
import fcntl
import select
from typing import Any

from yieldloop.engine._leaf import check_signals
from yieldloop.pollers.base import FdPoller
from yieldloop.pollers.sides import READ, WRITE

IN = getattr(select, "POLLIN", 0)
OUT = getattr(select, "POLLOUT", 0)
NVAL = getattr(select, "POLLNVAL", 0)


class PollPoller(FdPoller):
    """For systems without epoll and kqueue, and as a second opinion."""

    __slots__ = ("_object",)  # the select.poll object, which keeps the set on our side of the system call

    name = "poll"

    def __init__(self) -> None:
        FdPoller.__init__(self)
        self._object: Any = select.poll()
        self._object.register(self._wakeup.read_fd, IN)

    def _set(self, fd: int, old: int, new: int) -> Any:
        if new:
            fcntl.fcntl(fd, fcntl.F_GETFD)  # EBADF belongs to the caller, not to the next wait
            self._object.register(fd, (IN if new & READ else 0) | (OUT if new & WRITE else 0))
        else:
            self._object.unregister(fd)
        return None

    def poll(self, timeout: int) -> Any:
        """See `Poller.poll`."""
        timeout = self._begin(timeout)
        bell = self._wakeup.read_fd
        for fd, flags in self._object.poll(None if timeout < 0 else timeout / 1e6):
            if fd == bell:
                self._answer(flags)
            elif flags & NVAL:
                self._drop(fd)
            else:
                # An error or a hang-up wakes both sides: whoever waits has to see it.
                self._found(fd, (READ if flags & ~OUT else 0) | (WRITE if flags & ~IN else 0))
        check_signals()
        return 0

    def _answer(self, flags: int) -> None:
        if flags & NVAL:
            raise OSError(errno.EBADF, f"the wake-up pipe of {self!r} was closed under it: nothing can wake it any more")
        self._wakeup.drain()
