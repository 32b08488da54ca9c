"""What every poller does: who is armed on which descriptor, and what an event means for them.

What lives here: the table of descriptors and its bookkeeping. What may not: a kernel interface (one a file, beside this
one), and the meaning of an entry.

The table is three arrays indexed by descriptor, since the kernel always gives the smallest number that is free: who
reads, who writes, and which of the two sides the kernel has been told of. Finding an event's entries is two array
reads, whether ten descriptors are open or a hundred thousand.

Readiness is level-triggered, as asyncio's `add_reader` promises: an entry stays armed and is pushed in every poll that
finds its descriptor ready. (Edge-triggered readiness saves nothing here: a reader that wants to go on takes until
EAGAIN, which is the system call that was to be saved, and one that stops earlier is never told again.)

Descriptors are numbers that get reused, and this is what decides the rules:
1. `arm_*` always asks the kernel, even if the table says that it knows the descriptor already. The caller may have
   closed it and opened another one of the same number since; a poller that trusts its table would then wait for ever
   for a file that is gone.
2. `disarm_*` tells the kernel at once, because the caller may close the descriptor in its next line, and a registration
   that outlives its descriptor is hard to remove (see `epoll`).
3. Whoever owns a descriptor and promises to `forget` it before the closing may use `rest_*` and `rearm_*` instead,
   which leave the kernel's registration in place and save both system calls.
4. Who waits for a program's own file may use `borrow_*` and `rest_*`. The registration is left in place as by rule 3, but
   marked as *borrowed*: the file may be closed without a word, so it is trusted only by a borrower who knows by other
   means that this is still the same file, and never by `rearm_*`.
5. The tables grow only after the kernel has accepted the number, so that a nonsense number costs an error and no
   memory.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from yieldloop.engine import _record
from yieldloop.engine._ring import ReadyQueue
from yieldloop.engine.polling import Poller
from yieldloop.pollers.sides import BORROWED, READ, WRITE
from yieldloop.pollers.wakeup import Wakeup

# A sleep is never longer: kernels count time-outs in types of various widths, and a loop that looks up once a day is
# idle enough.
LONGEST_WAIT = 24 * 3600 * 10**9  # ns

_forks = 0  # how many forks lie between the interpreter's start and this process


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class FdPoller(Poller):
    """Waits for file descriptors. A subclass says how: `_set`, `poll`, and what to give back in `close`.

    Not thread-safe, but for `wake`. The descriptor numbers are the kernel's: from file objects to numbers is the loop's
    business.
    """

    __slots__ = (
        "__weakref__",
        "_born",  # the value of _forks when it was made: another one means that we are a forked child
        "_dropped",  # descriptors found closed under us
        "_events",  # descriptors found ready
        "_kernel",  # by descriptor: the sides that the kernel has been told of (0: none), and perhaps BORROWED
        "_open",  # False before the constructor is through, and after close()
        "_polls",
        "_readers",  # by descriptor: the entry armed for reading, or None; all three tables have one length
        "_wakeup",
        "_writers",  # by descriptor: the entry armed for writing, or None
    )

    def __init__(self) -> None:
        Poller.__init__(self)
        self._readers: list[Any] = []
        self._writers: list[Any] = []
        self._kernel = bytearray()
        self._wakeup = Wakeup()
        self._born = _forks
        self._polls = 0
        self._events = 0
        self._dropped = 0
        self._ready = ReadyQueue()  # until the loop binds its own
        self._open = True

    # --- what a kernel interface says --------------------------------------------------------------------------------

    def _set(self, fd: int, old: int, new: int) -> Any:
        """Tell the kernel to watch the sides *new* of *fd* (0: none), which were *old* by our table.

        OSError if the kernel refuses. Removing what is not there is no error.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it tells the kernel: override _set()")

    # --- arming ------------------------------------------------------------------------------------------------------

    def arm_reader(self, fd: int, entry: Any) -> Any:
        """Push *entry* in each poll that finds *fd* readable, at its end, or in error. Returns the entry it replaces,
        or None.

        ValueError for a negative number, OSError if the kernel refuses (EBADF: closed; EPERM: a regular file, with
        epoll).
        """
        return self._arm(fd, entry, READ, False, 0)

    def arm_writer(self, fd: int, entry: Any) -> Any:
        """As `arm_reader`, for writable."""
        return self._arm(fd, entry, WRITE, False, 0)

    def rearm_reader(self, fd: int, entry: Any) -> Any:
        """As `arm_reader`, by the owner of *fd*: trusts that it is still the file that `rest_reader` left (rule 3)."""
        return self._arm(fd, entry, READ, True, 0)

    def rearm_writer(self, fd: int, entry: Any) -> Any:
        """As `rearm_reader`, for writable."""
        return self._arm(fd, entry, WRITE, True, 0)

    def borrow_reader(self, fd: int, entry: Any, same: bool) -> Any:
        """As `arm_reader`, by one who will `rest_reader` and not promise more. *same*: *fd* is the very file that it was
        when it was borrowed last, so that a registration of then still holds (rule 4).
        """
        return self._arm(fd, entry, READ, same, BORROWED)

    def borrow_writer(self, fd: int, entry: Any, same: bool) -> Any:
        """As `borrow_reader`, for writable."""
        return self._arm(fd, entry, WRITE, same, BORROWED)

    def disarm_reader(self, fd: int) -> Any:
        """Nobody waits for *fd* to be readable any more. Returns the entry that did, or None."""
        return self._disarm(fd, READ, False)

    def disarm_writer(self, fd: int) -> Any:
        """As `disarm_reader`, for writable."""
        return self._disarm(fd, WRITE, False)

    def rest_reader(self, fd: int) -> Any:
        """As `disarm_reader`, by the owner of *fd*: costs no system call, and neither does a `rearm_reader` soon after.

        The kernel is told when it reports an event that nobody waits for. The owner calls `forget` before closing *fd*.
        """
        return self._disarm(fd, READ, True)

    def rest_writer(self, fd: int) -> Any:
        """As `rest_reader`, for writable."""
        return self._disarm(fd, WRITE, True)

    def forget(self, fd: int) -> None:
        """*fd* is about to be closed: nobody waits for it any more, and the kernel drops it. No error if it is not
        known.
        """
        if 0 <= fd < len(self._kernel):
            reader = self._readers[fd]  # kept alive until the end: whatever its deletion runs finds the tables in order
            writer = self._writers[fd]
            self._readers[fd] = None
            self._writers[fd] = None
            self.interest -= (reader is not None) + (writer is not None)
            if self._kernel[fd]:
                self._retract(fd)

    def _arm(self, fd: int, entry: Any, side: int, trusted: bool, mark: int) -> Any:
        if entry is None or not self._open or fd < 0 or self._born != _forks:
            self._refuse(fd, entry)
        known = fd < len(self._kernel)
        old = self._kernel[fd] if known else 0
        if not trusted or not old & side or old & BORROWED != mark:
            new = side | (self._armed(fd) if known else 0)
            try:
                self._set(fd, old & ~BORROWED, new)
            except OSError as exc:
                if known and exc.errno == errno.EBADF:
                    self._drop(fd)  # closed with somebody still armed: they are told now
                raise self._teach(exc, fd) from None
            if not known:
                self._grow(fd)
            self._kernel[fd] = new | mark if new == side else new | mark | (old & BORROWED)
        table = self._readers if side == READ else self._writers
        previous = table[fd]
        table[fd] = entry
        if previous is None:
            self.interest += 1
        return previous

    def _disarm(self, fd: int, side: int, rest: bool) -> Any:
        if fd < 0 or fd >= len(self._kernel):
            return None
        table = self._readers if side == READ else self._writers
        entry = table[fd]
        if entry is not None:
            table[fd] = None
            self.interest -= 1
        if not rest and self._kernel[fd] & side:
            self._retract(fd)
        return entry

    def _armed(self, fd: int) -> int:
        """The sides of a known *fd* on which somebody is armed."""
        armed = 0
        if self._readers[fd] is not None:
            armed = READ
        if self._writers[fd] is not None:
            armed |= WRITE
        return armed

    def _retract(self, fd: int) -> None:
        """Leave the kernel no side of *fd* but those on which somebody is armed."""
        armed = self._armed(fd)
        old = self._kernel[fd]
        try:
            if self._born == _forks:  # else the registration is the parent's and not ours to touch
                self._set(fd, old & ~BORROWED, armed)
            self._kernel[fd] = armed | (old & BORROWED) if armed else 0
        except OSError:
            self._drop(fd)  # closed under us: if the other side is still armed, its owner is told

    def _drop(self, fd: int) -> None:
        """*fd* was closed under us. Whoever is armed is pushed once more, to see the error, and is armed no longer."""
        self._dropped += 1
        reader = self._readers[fd]
        writer = self._writers[fd]
        old = self._kernel[fd]
        self._readers[fd] = None
        self._writers[fd] = None
        self._kernel[fd] = 0
        if reader is not None:
            self.interest -= 1
            self._ready.push(reader)
        if writer is not None:
            self.interest -= 1
            self._ready.push(writer)
        if old:
            try:
                self._set(fd, old & ~BORROWED, 0)
            except OSError:
                pass  # the kernel forgot it when it was closed

    def _grow(self, fd: int) -> None:
        more = max(fd + 1, 2 * len(self._kernel), 64) - len(self._kernel)
        self._readers.extend([None] * more)
        self._writers.extend([None] * more)
        self._kernel.extend(bytes(more))

    # --- events ------------------------------------------------------------------------------------------------------

    def _begin(self, timeout: int) -> int:
        """A poll begins: refuse it, or count it and return *timeout* (ns) as far as a kernel can count."""
        if not self._open or self._born != _forks:
            self._refuse(0, None)
        self._polls += 1
        return timeout if timeout < LONGEST_WAIT else LONGEST_WAIT

    def _found(self, fd: int, mask: int) -> Any:
        """The kernel says that the sides *mask* of *fd* are ready: push whoever is armed, the reader first.

        False if the kernel should not have known *fd* at all: its registration is stale.
        """
        if not 0 <= fd < len(self._kernel):
            return False
        hits = 0
        if mask & READ:
            reader = self._readers[fd]
            if reader is not None:
                hits = READ
                self._ready.push(reader)
        if mask & WRITE:
            writer = self._writers[fd]
            if writer is not None:
                hits |= WRITE
                self._ready.push(writer)
        self._events += 1
        known = True
        if hits != mask:
            known = hits != 0 or self._kernel[fd] != 0
            if mask & ~hits & self._kernel[fd]:
                self._retract(fd)  # a side that rests: from now on the kernel is silent about it
        if hits and self.recorder is not None:
            self.recorder.note(_record.FD, fd, hits)
        if hits and self.probe is not None:
            self.probe.emit("fd_ready", fd, hits)  # last: a probe may do anything, even close us
        return known

    def wake(self) -> None:
        """Make the current `poll`, or the next one, return at once. From any thread and any signal handler; never
        blocks.
        """
        if self._open and self._born == _forks:
            self._wakeup.wake()

    def tell_signals(self, callback: Any) -> None:
        """Call *callback* in `poll` with the numbers of the signals that came through `wake_fd`, as bytes."""
        self._wakeup.tell_signals(callback)

    def close(self) -> None:
        """Give back what the kernel lent; nobody is armed any more. Closing twice is allowed.

        In a forked child only the child's own descriptors are closed: the parent goes on undisturbed.
        """
        if self._open:
            self._open = False
            self._wakeup.close()
            self._kernel.clear()  # first: an entry that is deleted below calls `forget`, and finds that nothing is known
            self._readers.clear()
            self._writers.clear()
            self.interest = 0

    # --- errors ------------------------------------------------------------------------------------------------------

    def _refuse(self, fd: int, entry: Any) -> None:
        """Raise the error that applies to an arming or a poll that cannot be."""
        if not self._open:
            raise RuntimeError(f"{self!r} is closed: its loop was closed, and a closed loop watches no file descriptor")
        if self._born != _forks:
            raise RuntimeError(
                f"{self!r} was made before a fork and belongs to the parent process: make a new event loop in the child"
            )
        if fd < 0:
            raise ValueError(f"Invalid file descriptor: {fd}: the file was closed before, or never was open")
        raise TypeError(f"an entry to push when file descriptor {fd} is ready is needed, not {entry!r}")

    def _teach(self, exc: OSError, fd: int) -> OSError:
        if exc.errno == errno.EBADF:
            hint = "it is closed; remove readers and writers before closing a file, and add them after opening it"
        elif exc.errno == errno.EPERM:
            hint = "a regular file or a directory is always ready, epoll waits for neither: use asyncio.to_thread()"
        elif exc.errno == errno.ENOSPC:
            hint = "the user's limit of watched descriptors is reached (/proc/sys/fs/epoll/max_user_watches)"
        else:
            hint = "the kernel does not wait for this kind of file"
        return OSError(exc.errno, f"{os.strerror(exc.errno or 0)}: file descriptor {fd}: {hint}")

    # --- looking in --------------------------------------------------------------------------------------------------

    def reader(self, fd: int) -> Any:
        """The entry that is armed for reading *fd*, or None."""
        return self._readers[fd] if 0 <= fd < len(self._readers) else None

    def writer(self, fd: int) -> Any:
        """The entry that is armed for writing *fd*, or None."""
        return self._writers[fd] if 0 <= fd < len(self._writers) else None

    def fds(self) -> dict[int, Any]:
        """Every armed descriptor and its (reader, writer), a snapshot."""
        found = {}
        for fd in range(len(self._kernel)):
            reader = self._readers[fd]
            writer = self._writers[fd]
            if reader is not None or writer is not None:
                found[fd] = (reader, writer)
        return found

    @property
    def wake_fd(self) -> int:
        """The writing end of the wake-up, for `signal.set_wakeup_fd`."""
        return self._wakeup.write_fd

    def statistics(self) -> dict[str, int]:
        """Counts: sides armed, descriptors the kernel knows, polls, events, wake-up writes, descriptors found closed.
        """
        return {
            "armed": self.interest,
            "registered": len(self._kernel) - self._kernel.count(0),
            "polls": self._polls,
            "events": self._events,
            "wakes": self._wakeup.writes,
            "dropped": self._dropped,
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'open' if self._open else 'closed'} armed={self.interest} polls={self._polls}>"
