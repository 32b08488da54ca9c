"""Linux's epoll: the set of descriptors stays in the kernel, and a wait costs by what is ready, not by what is armed.

What lives here: an `FdPoller` over an `EpollSet`, and what to do when the set no longer says what the table says. What
may not: the system calls (`_epoll`, with the facts about registrations) and who is armed (`base`).

A descriptor that was closed under us is the one thing that epoll does not report. Two things can have happened:
- Its description lives on in a duplicate. Events go on coming for a number that is closed or belongs to another file,
  and no system call can stop them. The set is then *rebuilt*: a new one, filled from the table, and the old one closed.
  That costs one system call for each descriptor, once; ignoring the event would cost the whole processor, for ever.
- The registration is gone without a word, and whoever is armed would wait for ever. So a sleep that has been quiet for
  a while is interrupted once for an *audit*: a descriptor that is closed is dropped and its entries are pushed, so that
  their owners run into the error. A loop with work to do never pays for this; one that is idle pays one look at each
  descriptor in a sleep.
"""

from __future__ import annotations

import fcntl
from typing import Any

from yieldloop.engine._leaf import check_signals
from yieldloop.pollers._epoll import EpollSet
from yieldloop.pollers.base import FdPoller
from yieldloop.pollers.sides import BORROWED, STALE

# How long a sleep has to be quiet before the table is audited, and how much longer for each armed side: an audit looks
# at a descriptor in less than a microsecond, so this keeps it below some percent of a processor however often it is
# provoked.
QUIET = 250 * 10**6  # ns
QUIET_EACH = 20_000  # ns


class EpollPoller(FdPoller):
    """The default on Linux. Time-outs in nanoseconds (compiled) or microseconds (interpreted)."""

    __slots__ = (
        "_rebuilds",
        "_set_of",  # the kernel's set; another object after a rebuild
        "_stale",  # True if the last poll met a registration that can only be got rid of by a rebuild
    )

    name = "epoll"

    def __init__(self) -> None:
        FdPoller.__init__(self)
        self._rebuilds = 0
        self._stale = False
        self._set_of: Any = None
        try:
            self._set_of = EpollSet()
            self._set_of.add(self._wakeup.read_fd, 1)
        except BaseException:
            self.close()
            raise

    def _set(self, fd: int, old: int, new: int) -> Any:
        if old == 0:
            self._set_of.add(fd, new)
        elif new == 0:
            self._set_of.remove(fd)
        else:
            self._set_of.modify(fd, new)
        return None

    def poll(self, timeout: int) -> Any:
        """See `Poller.poll`. An audit may end the poll early, and then it has pushed something."""
        timeout = self._begin(timeout)
        if 0 <= timeout <= QUIET:
            kernel = self._set_of
            found = kernel.wait(timeout)
        else:
            found = self._wait_audited(timeout)
        if found > 0:
            self._take(found)
        check_signals()
        return 0

    def _wait_audited(self, timeout: int) -> int:
        """Wait for *timeout*, which is long, and look once for descriptors that are closed."""
        kernel = self._set_of
        quiet = QUIET + QUIET_EACH * self.interest
        if 0 < timeout <= quiet:
            found: int = kernel.wait(timeout)
            return found
        found = kernel.wait(quiet)
        if found:
            return found
        check_signals()  # a signal ends a wait early, too, and its handler may want the loop's attention
        if self.audit():
            return 0
        found = kernel.wait(-1 if timeout < 0 else timeout - quiet)
        return found

    def _take(self, found: int) -> None:
        """Push what the last wait found."""
        kernel = self._set_of
        bell = self._wakeup.read_fd
        i = 0
        while i < found:
            fd = kernel.fd_at(i)
            mask = kernel.mask_at(i)
            i += 1
            if mask == STALE:
                self._stale = True
            elif fd == bell:
                self._wakeup.drain()
            elif not self._found(fd, mask):
                self._stale = True
        if self._stale and self._open:
            self._rebuild()

    def _rebuild(self) -> None:
        """Make a new set from the table, which gets rid of every registration that the table does not know."""
        fresh = EpollSet()
        self._stale = False
        self._rebuilds += 1
        self._set_of.close()
        self._set_of = fresh
        fresh.add(self._wakeup.read_fd, 1)
        for fd in range(len(self._kernel)):
            armed = self._armed(fd)
            mark = self._kernel[fd] & BORROWED
            self._kernel[fd] = 0
            if armed:
                try:
                    fresh.add(fd, armed)
                    self._kernel[fd] = armed | mark
                except OSError:
                    self._drop(fd)

    def audit(self) -> int:
        """Drop every armed descriptor that was closed, push its entries, and return how many there were."""
        dropped = self._dropped
        for fd in range(len(self._kernel)):
            armed = self._armed(fd)
            if armed and not (self._renew(fd, armed) if self._kernel[fd] & BORROWED else _is_open(fd)):
                self._drop(fd)
        return self._dropped - dropped

    def _renew(self, fd: int, armed: int) -> bool:
        """Register a borrowed descriptor again: another file may have been put in its place (dup2(2)). False if closed."""
        try:
            self._set_of.modify(fd, armed)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """See `FdPoller.close`. Only the descriptor of the set is closed: a forked child shares the set with its
        parent.
        """
        if self._set_of is not None:
            self._set_of.close()
        FdPoller.close(self)

    def fileno(self) -> int:
        """The descriptor of the kernel's set (-1 once closed)."""
        fd: int = self._set_of.fd
        return fd

    def statistics(self) -> dict[str, int]:
        """As `FdPoller.statistics`, and how often the set was rebuilt."""
        counts = FdPoller.statistics(self)
        counts["rebuilds"] = self._rebuilds
        return counts


def _is_open(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        return False
    return True
