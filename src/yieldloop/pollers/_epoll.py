"""The epoll system calls, in Python.

What lives here: one epoll set: add, change, remove, wait. ``_epoll.pyx`` is the compiled twin with the same names,
which allocates nothing for an event and waits in nanoseconds by one system call; nothing above this file knows which of
the two it uses. What may not: who is armed (`base`), and what to do about a stale registration beyond finding it.

Rule for the editor: a change here is a change there.

The facts about registrations (epoll(7), and the kernel's fs/eventpoll.c):
- The key of a registration is the pair of descriptor number and open file description, not the number.
- Closing a descriptor removes its registration silently, if it was the last descriptor of its description. If another
  one is left (by dup, or inherited by a child process), the registration stays and goes on reporting the number that is
  closed, or that is somebody else's by now. It cannot be removed any more: epoll_ctl takes a number and finds the new
  file there, or none. Such an event is *stale* here.
- MOD on a number whose file was exchanged gives ENOENT, ADD on a file that is registered EEXIST. Both are what
  happened, not errors: the other operation is the right one.
- A regular file or a directory gives EPERM: it has no readiness to report.
- HUP and ERR are reported whether asked for or not, so a registration with no side left must be removed, not emptied.
"""

from __future__ import annotations

import math
import select
from typing import Any

from yieldloop.pollers.sides import READ, STALE, WRITE

EVENTS_MOST = 1024  # taken in one poll; epoll goes round, and what is left comes in the next
FD_SETSIZE = 1024  # select(2) knows no descriptor from here on
SHORT = 10**9  # ns; from here on a millisecond more or less is no matter


class EpollSet:
    """A set of registrations in the kernel. Descriptors of a set must be known to be open or the kernel raises EBADF.
    """

    __slots__ = (
        "_epoll",
        "_found",  # what the last wait() found: (fd, epoll's flags)
        "_suspects",  # numbers whose file was exchanged under us: a stale registration of the same number may exist
        "fd",
    )

    def __init__(self) -> None:
        self._epoll: Any = select.epoll()  # made close-on-exec by Python
        self._found: Any = []
        self._suspects: set[int] = set()
        self.fd: int = self._epoll.fileno()

    def add(self, fd: int, mask: int) -> int:
        """Watch the sides *mask* of *fd*, which is new to the set. OSError if the kernel refuses."""
        try:
            self._epoll.register(fd, _flags(mask))
        except FileExistsError:
            self._epoll.modify(fd, _flags(mask))
        return 0

    def modify(self, fd: int, mask: int) -> int:
        """Watch the sides *mask* of *fd*, which was added before; if its file is another one by now, add that."""
        try:
            self._epoll.modify(fd, _flags(mask))
        except FileNotFoundError:
            self._suspects.add(fd)
            self._epoll.register(fd, _flags(mask))
        return 0

    def remove(self, fd: int) -> int:
        """Watch *fd* no longer. OSError (EBADF, ENOENT) if the descriptor was closed or is another file by now."""
        self._epoll.unregister(fd)
        return 0

    def wait(self, timeout: int) -> int:
        """Wait for at most *timeout* ns (-1: without end) and return the number of events. 0 as well if a signal came.

        The interpreter's `epoll.poll` counts whole milliseconds, rounded up. Where this is too coarse, select(2) waits
        for the epoll descriptor itself (it is readable when the set has an event) in microseconds.
        """
        if 0 < timeout < SHORT and self.fd < FD_SETSIZE:
            select.select([self.fd], (), (), math.ceil(timeout / 1000) / 1e6)
            timeout = 0
        self._found = self._epoll.poll(-1 if timeout < 0 else timeout / 1e9, EVENTS_MOST)
        return len(self._found)

    def fd_at(self, i: int) -> int:
        """The descriptor of event *i* of the last `wait`."""
        fd: int = self._found[i][0]
        return fd

    def mask_at(self, i: int) -> int:
        """The sides that event *i* wakes, or STALE.

        An error or a hang-up wakes both: whoever waits has to see it, by the system call that reports it.
        """
        fd, flags = self._found[i]
        if fd in self._suspects and _is_silent(fd, flags):
            return STALE
        mask = 0
        if flags & ~select.EPOLLOUT:
            mask = READ
        if flags & ~select.EPOLLIN:
            mask |= WRITE
        return mask

    def close(self) -> int:
        """Close the set's descriptor, which leaves a set that a parent or child process shares as it is."""
        self._epoll.close()
        self.fd = -1
        return 0


def _flags(mask: int) -> int:
    return (select.EPOLLIN if mask & READ else 0) | (select.EPOLLOUT if mask & WRITE else 0)


def _is_silent(fd: int, flags: int) -> bool:
    """True if the file that *fd* is now has nothing of *flags* to report: then the event was another file's."""
    poll = select.poll()
    poll.register(fd, flags & (select.POLLIN | select.POLLOUT))  # the same bits in both interfaces
    found = poll.poll(0)
    return not found or bool(found[0][1] & select.POLLNVAL)
