"""The bytes that a transport was given and the kernel has not taken yet.

What lives here: `WriteQueue`: append pieces, look at them as a list for `sendmsg`/`writev`, drop what was sent.
What may not: sending; water marks (flow.py); TLS.

Three rules for the editor, each with its reason:
1. Small pieces are joined as they come, so that a head and a body written in one turn leave in one system call.
2. Big pieces are never copied: an immutable one is kept as it is, and what a partial send leaves of it is a memoryview.
   A mutable one (a bytearray, or a view of anything but bytes) is copied once, at once: the caller may change it, or
   resize it, as soon as `write()` has returned.
3. What peek() has shown is never touched again: a kernel that sends in the background may still be reading it. So a
   joined piece that was shown is closed, and the next small piece opens a new one.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from typing import Any

__all__ = ("WriteQueue", "IOV_MAX")

Piece = bytes | bytearray | memoryview


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
SMALL = 4 * 1024

# A joined piece is not grown beyond this, so that a long queue of small writes is not one block of memory that is freed
# only when its last byte is sent.
JOINED = 64 * 1024

# peek() stops at this many bytes: a socket's send buffer takes less at once (4 MiB is the kernel's usual maximum, some
# hundred KiB the usual size), and listing what will not go out makes a long queue cost O(n) a send.
PEEK_BYTES = 1024 * 1024


class WriteQueue:
    """A FIFO of bytes: what is appended leaves in the same order, each byte once.

    `size` is the count of bytes not yet consumed. Appending and consuming cost O(1) amortised a piece.
    """

    __slots__ = ("pieces", "size", "offset", "open")

    def __init__(self) -> None:
        self.pieces: deque[Piece] = deque()  # bytes, or at the end one bytearray that small pieces are joined in; none empty
        self.size = 0  # lengths of the pieces, less `offset`
        self.offset = 0  # bytes of the first piece that have been consumed: 0 <= offset < its length, or 0
        self.open = False  # True while the last piece is small or joined, and peek() has not shown it

    def append(self, data: Any) -> int:
        """Add `data` (bytes-like) at the end; return the queue's new size in bytes.

        Raises TypeError, and adds nothing, for what is not bytes-like.
        """
        piece = data if type(data) is bytes else stable(data)
        length = len(piece)
        if length == 0:
            return self.size
        if length > SMALL:
            self.pieces.append(piece)
            self.open = False
        elif self.open:
            self._join(piece)
        else:
            self.pieces.append(piece)
            self.open = True
        self.size += length
        return self.size

    def _join(self, piece: Piece) -> None:
        """Add a small piece to the open last piece, or beside it if that has grown to its full size."""
        last = self.pieces[-1]
        if len(last) + len(piece) > JOINED:
            self.pieces.append(piece)
            return
        if type(last) is not bytearray:
            last = bytearray(last)
            self.pieces[-1] = last
        last += piece

    def extend(self, pieces: Iterable[Any]) -> int:
        """append() each of an iterable; return the new size. If one of them raises, none of them is added."""
        held = [piece if type(piece) is bytes else stable(piece) for piece in pieces]
        for piece in held:
            self.append(piece)
        return self.size

    def peek(self, most: int = IOV_MAX, enough: int = PEEK_BYTES) -> list[Piece]:
        """Return the front of the queue as a list of bytes-like objects for one sendmsg()/writev(); consume nothing.

        At most `most` pieces, and no further one once `enough` bytes are listed. Empty list: nothing waits. What was
        returned stays as it is, whatever is appended or consumed later.
        """
        shown: list[Piece] = []
        total = 0
        skip = self.offset
        for piece in self.pieces:
            if len(shown) >= most or total >= enough:
                return shown
            total += len(piece) - skip
            if skip:
                shown.append(memoryview(piece)[skip:])
                skip = 0
            else:
                shown.append(piece)
        self.open = False
        return shown

    def consume(self, n: int) -> None:
        """Drop `n` bytes from the front: what send() or sendmsg() said it took.

        Raises ValueError, and drops nothing, if `n` is negative or more than `size`.
        """
        if n < 0 or n > self.size:
            raise ValueError(f"cannot consume {n!r} bytes of a queue of {self.size}: pass what send() returned, once")
        self.size -= n
        if self.size == 0:
            self.clear()
            return
        n += self.offset
        pieces = self.pieces
        while True:
            length = len(pieces[0])
            if n < length:
                break
            n -= length
            pieces.popleft()
        self.offset = n

    def clear(self) -> None:
        """Drop everything."""
        self.pieces.clear()
        self.size = 0
        self.offset = 0
        self.open = False

    def statistics(self) -> dict[str, int]:
        """Return counts for whoever asks: bytes that wait, pieces they are in."""
        return {"waiting": self.size, "pieces": len(self.pieces)}

    def __len__(self) -> int:
        return self.size

    def __bool__(self) -> bool:
        return self.size != 0

    def __repr__(self) -> str:
        return f"<WriteQueue {self.size} bytes in {len(self.pieces)} pieces>"


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
