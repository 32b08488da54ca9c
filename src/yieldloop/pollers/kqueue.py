"""kqueue, of macOS and the BSDs: a set of *filters* in the kernel, each on one descriptor and one side.

**Not run here**: this file was written from the manual page, on a system without kqueue; `tests/test_pollers.py` runs
on it wherever there is one.

What lives here: an `FdPoller` over `select.kqueue`. What may not: who is armed (`base`). Interpreted only: no ``.pxd``
stands beside it until somebody can measure it.

The facts (kqueue(2)):
- A filter is known by the pair of descriptor and filter kind, so the two sides of a descriptor are two filters, and an
  event brings one of them.
- EV_ADD on a filter that is there changes it: it is no error, and it makes the arming of a reused number certain.
- EV_DELETE on a filter that is not there gives ENOENT.
- Closing a descriptor removes its filters silently. They belong to the number, not to the open file, so unlike epoll's
  they never outlive it, whatever duplicates there are.
- EV_EOF says that the other side is gone; it comes for each filter by itself, so a hang-up reaches both sides. (A
  FIFO's reader gets it once all writers are gone, together with what is still to be read.)
- A kqueue is not inherited by fork: in the child its descriptor is closed already.
- A regular file may be armed for reading: it is readable until its end.
"""

from __future__ import annotations

import errno
import fcntl
import select
from typing import Any

from yieldloop.engine._leaf import check_signals
from yieldloop.pollers.base import FdPoller
from yieldloop.pollers.sides import READ, WRITE

EVENTS_MOST = 1024
QUIET = 250 * 10**6  # ns; an idle loop looks for closed descriptors after this long, as with epoll and for the same reason


class KqueuePoller(FdPoller):
    """The default where there is a kqueue. Time-outs in nanoseconds."""

    __slots__ = (
        "_audited",  # True if nothing has run since the last look for closed descriptors
        "_queue",
    )

    name = "kqueue"

    def __init__(self) -> None:
        FdPoller.__init__(self)
        self._audited = True
        self._queue: Any = select.kqueue()  # type: ignore[attr-defined,unused-ignore]
        self._change(self._wakeup.read_fd, READ, True)

    def _change(self, fd: int, side: int, add: bool) -> None:
        kinds: Any = select
        kind = kinds.KQ_FILTER_READ if side == READ else kinds.KQ_FILTER_WRITE
        event = kinds.kevent(fd, kind, kinds.KQ_EV_ADD if add else kinds.KQ_EV_DELETE)
        self._queue.control([event], 0, 0)

    def _set(self, fd: int, old: int, new: int) -> Any:
        for side in (READ, WRITE):
            if new & side:
                self._change(fd, side, True)
            elif old & side:
                try:
                    self._change(fd, side, False)
                except OSError as exc:
                    if exc.errno != errno.ENOENT:  # the number is another file by now, which has no such filter
                        raise

    def poll(self, timeout: int) -> Any:
        """See `Poller.poll`."""
        timeout = self._begin(timeout)
        if timeout == 0 or self._audited or 0 < timeout <= QUIET:
            events = self._wait(timeout)
        else:
            events = self._wait(QUIET)
            if not events:
                self._audited = True
                if not self._audit():
                    events = self._wait(-1 if timeout < 0 else timeout - QUIET)
        if events:
            self._take(events)
        check_signals()
        return 0  # a compiled caller takes an int

    def _wait(self, timeout: int) -> Any:
        return self._queue.control(None, EVENTS_MOST, None if timeout < 0 else timeout / 1e9)

    def _take(self, events: Any) -> None:
        kinds: Any = select
        self._audited = False
        sides: dict[int, int] = {}  # both filters of a descriptor become one event: the reader is pushed first
        for event in events:
            side = READ if event.filter == kinds.KQ_FILTER_READ else WRITE
            sides[event.ident] = sides.get(event.ident, 0) | side
        for fd, mask in sides.items():
            if fd == self._wakeup.read_fd:
                self._wakeup.drain()
            else:
                self._found(fd, mask)

    def _audit(self) -> bool:
        """Drop the armed descriptors that were closed. True if there were any."""
        closed = []
        for fd in self.fds():
            try:
                fcntl.fcntl(fd, fcntl.F_GETFD)
            except OSError:
                closed.append(fd)
        for fd in closed:
            self._drop(fd)
        return bool(closed)

    def close(self) -> None:
        """See `FdPoller.close`."""
        self._queue.close()
        FdPoller.close(self)
