"""select(2): the oldest interface and the narrowest: no descriptor above 1023, and the whole set in every wait.

What lives here: an `FdPoller` over `select.select`. What may not: who is armed (`base`).

A descriptor closed under us makes the whole call fail with EBADF, without a word about which one it was. So each is
asked, the closed ones are dropped, and the poll returns with their entries pushed.

FD_SETSIZE is the size of a bit field in the C library's header. A larger number would write beyond it, which Python
refuses in the wait; it is refused at the arming here, where somebody can tell what for.
"""

from __future__ import annotations

import errno
import fcntl
import select
from typing import Any

from yieldloop.engine._leaf import check_signals
from yieldloop.pollers.base import FdPoller
from yieldloop.pollers.sides import READ, WRITE

FD_SETSIZE = 1024


class SelectPoller(FdPoller):
    """For systems that have nothing else, and as a third opinion. Time-outs in microseconds."""

    __slots__ = ("_reading", "_writing")  # the descriptors asked for each side; the wake-up's is always in _reading

    name = "select"

    def __init__(self) -> None:
        FdPoller.__init__(self)
        self._reading: set[int] = {self._wakeup.read_fd}
        self._writing: set[int] = set()

    def _set(self, fd: int, old: int, new: int) -> Any:
        if new:
            fcntl.fcntl(fd, fcntl.F_GETFD)  # EBADF belongs to the caller, not to the next wait
            if fd >= FD_SETSIZE:
                raise ValueError(
                    f"file descriptor {fd} is out of range for select(), which ends at {FD_SETSIZE - 1}: "
                    "choose another poller (unset YIELDLOOP_POLLER)"
                )
        for side, numbers in ((READ, self._reading), (WRITE, self._writing)):
            if new & side:
                numbers.add(fd)
            else:
                numbers.discard(fd)
        return None

    def poll(self, timeout: int) -> Any:
        """See `Poller.poll`."""
        timeout = self._begin(timeout)
        try:
            readable, writable, _ = select.select(
                self._reading, self._writing, (), None if timeout < 0 else timeout / 1e9
            )
        except OSError as exc:
            if exc.errno != errno.EBADF:
                raise
            self._drop_closed()
        else:
            self._take(readable, set(writable))
        check_signals()
        return 0

    def _take(self, readable: list[int], writable: set[int]) -> None:
        for fd in readable:
            if fd == self._wakeup.read_fd:
                self._wakeup.drain()
            elif fd in writable:
                writable.discard(fd)
                self._found(fd, READ | WRITE)
            else:
                self._found(fd, READ)
        for fd in writable:
            self._found(fd, WRITE)

    def _drop_closed(self) -> None:
        for fd in self._reading | self._writing:
            try:
                fcntl.fcntl(fd, fcntl.F_GETFD)
            except OSError:
                if fd == self._wakeup.read_fd:
                    raise OSError(
                        errno.EBADF,
                        f"the wake-up pipe of {self!r} was closed under it: nothing can wake it any more",
                    )
                self._drop(fd)
