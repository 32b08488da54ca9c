"""The wake-up: how another thread, or a signal, ends a poll that sleeps.

What lives here: one pipe. The reading end is one more descriptor that the poller waits for; a byte
in it ends the wait and means nothing else. What may not: what there is to do after waking (whoever wakes has put that
into the ready queue first).

A pipe and not a pair of sockets, because a byte through it costs less than half of what it costs through sockets; and not an
eventfd (a little less again), because that takes eight bytes at a time and `signal.set_wakeup_fd` writes one. Both ends are
non-blocking, which is what makes `wake` safe in a signal handler: a full pipe is no error, it is a wake-up that is
already certain.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from yieldloop.engine._leaf import ring, unring


class Wakeup:
    """A doorbell with a memory of one ring."""

    __slots__ = (
        "_on_signals",  # called with the numbers of the signals that rang, as bytes; or None
        "_pending",  # True from a ring until it is answered: no second byte is needed meanwhile
        "read_fd",  # the poller waits for this one
        "write_fd",  # for signal.set_wakeup_fd
        "writes",  # system calls made by wake()
    )

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()  # not inherited (PEP 446)
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self.write_fd, False)
        self._pending = False
        self._on_signals: Any = None
        self.writes = 0

    def wake(self) -> None:
        """Make the reading end readable. From any thread, from signal handlers; at most one write until it is drained.
        """
        if self._pending:
            return
        try:
            # Inside the try: an exception of a signal handler (Ctrl-C) between the flag and the byte would silence
            # every later ring, because the flag promises a byte.
            self._pending = True
            self.writes += 1
            error = ring(self.write_fd)
            if error not in (0, errno.EAGAIN):  # EAGAIN: full, there is a byte, which is all we want
                self._pending = False  # closed, by a thread that was faster: nobody sleeps there any more
        except BaseException:
            self._pending = False
            raise

    def drain(self) -> None:
        """Answer the ring: the poll that called this is about to return.

        The flag is cleared after the reading. A ring in between finds the flag set and writes nothing, and loses
        nothing, since the poll returns anyway and its loop looks at the ready queue. The other order would lose one:
        set flag, write, byte read here, flag set and no byte.
        """
        try:
            signals = unring(self.read_fd)
        finally:
            self._pending = False
        if signals and self._on_signals is not None:
            self._on_signals(signals)

    def tell_signals(self, callback: Any) -> None:
        """Call *callback* with the numbers of the signals that `signal.set_wakeup_fd` has written, as bytes, at every answer."""
        self._on_signals = callback

    def close(self) -> None:
        """Close both ends. A later `wake` is a no-op."""
        self._on_signals = None
        reading, writing = self.read_fd, self.write_fd
        self.read_fd = self.write_fd = -1  # first: the numbers may soon be somebody else's
        if writing >= 0:
            os.close(writing)
            os.close(reading)

    def __repr__(self) -> str:
        return f"<Wakeup read_fd={self.read_fd} write_fd={self.write_fd} pending={self._pending} writes={self.writes}>"
