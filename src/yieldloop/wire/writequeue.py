"""The bytes that a transport was given and the kernel has not taken yet.

What lives here: `WriteQueue`: append pieces, look at them as one system call takes them, drop what was sent.
What may not: sending; water marks (flow.py); TLS.

Four rules for the editor, each with its reason:
1. A head and a body become one piece at once; whatever more there is of small pieces, when they are looked at, not when they
   come: a thousand tiny pieces are one block for one copy of each byte. `sendmsg` would take a list, but 64 pieces at most.
2. Big pieces are never copied: an immutable one is kept as it is, and what a partial send leaves of it is a memoryview.
   A mutable one (a bytearray, or a view of anything but bytes) is copied once, at once: the caller may change it, or
   resize it, as soon as `write()` has returned.
3. What `lone` or `peek` has shown is never changed: a kernel that sends in the background may still be reading it.
4. The usual cases cost no container: an idle connection has an empty queue, and one piece needs no deque.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from typing import Any

from yieldloop.wire._bytes import glue

__all__ = ("WriteQueue", "IOV_MAX")

Piece = bytes | memoryview


def _iov_max() -> int:
    """How many buffers one sendmsg() or writev() takes here. POSIX promises 16; Linux and the BSDs have 1024."""
    try:
        found = os.sysconf("SC_IOV_MAX")
    except (AttributeError, ValueError, OSError):
        return 16
    return found if found > 0 else 16


IOV_MAX = _iov_max()

# A piece of up to this size is joined with its small neighbours: copying it costs less than a further iovec entry does
# in the interpreter and in the kernel together.
SMALL = 512

# The first pieces are put together as they come up to this size: the copy costs less than the container for the second one.
AT_ONCE = 2 * 1024

# All that waits becomes one piece if it is no more than this: one `send` is cheaper than a `sendmsg` by about such a copy.
TOGETHER = 4 * 1024

# A joined piece is not made larger than this, so that a long queue of small writes is not one block of memory that is
# freed only when its last byte is sent.
JOINED = 64 * 1024

# peek() stops at this many bytes: a socket's send buffer takes less at once (4 MiB is the kernel's usual maximum, some
# hundred KiB the usual size), and listing what will not go out makes a long queue cost O(n) a send.
PEEK_BYTES = 1024 * 1024


class WriteQueue:
    """A FIFO of bytes: what is appended leaves in the same order, each byte once.

    `size` is the count of bytes not yet consumed. Appending and consuming cost O(1) amortised a piece.
    """

    __slots__ = ("first", "more", "size")

    def __init__(self) -> None:
        self.first: Any = None  # the oldest piece, or what a partial send left of it, not empty; None: nothing waits
        self.more: Any = None  # deque of the pieces after it, not empty, none of them empty; None if there are none
        self.size = 0  # bytes in all of them

    def append(self, data: Any) -> int:
        """Add `data` (bytes-like) at the end; return the queue's new size in bytes.

        Raises TypeError, and adds nothing, for what is not bytes-like.
        """
        if type(data) is bytes:
            whole: bytes = data
            piece: Any = whole
            length = len(whole)
        else:
            piece = stable(data)
            length = len(piece)
        if length == 0:
            return self.size
        if self.first is None:
            self.first = piece
        elif self.more is None:
            if self.size + length <= AT_ONCE and type(self.first) is bytes and type(piece) is bytes:
                self.first = glue(self.first, piece)
            else:
                self.more = deque((piece,))
        else:
            self.more.append(piece)
        self.size += length
        return self.size

    def extend(self, pieces: Iterable[Any]) -> int:
        """append() each of an iterable; return the new size. If one of them raises, none of them is added."""
        held = [piece if type(piece) is bytes else stable(piece) for piece in pieces]
        for piece in held:
            self.append(piece)
        return self.size

    def lone(self) -> Any:
        """All that waits, if it is one piece or small enough to become one: for a plain `send`. Else None, as for nothing."""
        if self.more is not None:
            self._join()
        return self.first if self.more is None else None

    def peek(self, most: int = IOV_MAX, enough: int = PEEK_BYTES) -> list[Piece]:
        """Return the front of the queue as a list of bytes-like objects for one sendmsg()/writev(); consume nothing.

        At most `most` pieces, and no further one once `enough` bytes are listed. Empty list: nothing waits. What was
        returned stays as it is, whatever is appended or consumed later.
        """
        return self.front(most, enough)

    def front(self, most: int, enough: int) -> list[Piece]:
        """`peek` with both limits given."""
        if self.first is None:
            return []
        if self.more is not None:
            self._join()
        shown = [self.first]
        if self.more is not None:
            total = len(self.first)
            for piece in self.more:
                if total >= enough or len(shown) >= most:
                    break
                shown.append(piece)
                total += len(piece)
        return shown

    def _join(self) -> None:
        """Make one piece of the small ones at the front; of all, if they are little together."""
        more = self.more
        small = SMALL
        together = TOGETHER
        joined = JOINED
        if self.size <= together:
            self.first = b"".join((self.first, *more))
            self.more = None
            return
        total = len(self.first)
        if total > AT_ONCE or len(more[0]) > small:
            return
        run = [self.first]
        while more:
            length = len(more[0])
            if length > small or total + length > joined:
                break
            total += length
            run.append(more.popleft())
        self.first = b"".join(run)
        if not more:
            self.more = None

    def consume(self, n: int) -> None:
        """Drop `n` bytes from the front: what send() or sendmsg() said it took.

        Raises ValueError, and drops nothing, if `n` is negative or more than `size`.
        """
        if n < 0 or n > self.size:
            raise ValueError(f"cannot consume {n!r} bytes of a queue of {self.size}: pass what send() returned, once")
        self.size -= n
        if self.size == 0:
            self.first = None
            self.more = None
            return
        piece = self.first
        length = len(piece)
        while n >= length:
            n -= length
            piece = self.more.popleft()
            length = len(piece)
        self.first = memoryview(piece)[n:] if n else piece
        if self.more is not None and not self.more:
            self.more = None

    def clear(self) -> None:
        """Drop everything."""
        self.first = None
        self.more = None
        self.size = 0

    def statistics(self) -> dict[str, int]:
        """Return counts for whoever asks: bytes that wait, pieces they are in."""
        pieces = 0 if self.first is None else 1 if self.more is None else 1 + len(self.more)
        return {"waiting": self.size, "pieces": pieces}

    def __len__(self) -> int:
        return self.size

    def __bool__(self) -> bool:
        return self.size != 0

    def __repr__(self) -> str:
        return f"<WriteQueue {self.size} bytes in {self.statistics()['pieces']} pieces>"


def stable(data: Any) -> bytes | memoryview:
    """Return the content of bytes-like `data` as bytes that nobody can change: itself if it is so, else a copy.

    A read-only memoryview is no proof: it may look at a bytearray. Only one that looks at bytes and at all of it in
    order is passed on, as that bytes object if it covers the whole, else as a view cast to single bytes.
    """
    if isinstance(data, bytes):
        return bytes(data)
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(
            f"data argument must be a bytes-like object, not {type(data).__name__!r}: {data!r:.60} cannot "
            f"be sent; encode text first, as in text.encode()"
        ) from None
    if type(view.obj) is bytes and view.c_contiguous:
        if view.nbytes == len(view.obj):
            return view.obj
        if view.nbytes > SMALL:
            return view.cast("B")
    return view.tobytes()
