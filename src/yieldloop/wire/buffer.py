"""The bytes that a stream has received and nobody has read yet.

What lives here: `StreamBuffer`: feed at one end, take at the other, look for separators in between.
What may not: a limit's policy (who is paused, what error is raised), futures, the loop: `aio/streams.py` has those.

How it is laid out. Received pieces are kept as they came, not poured into one bytearray:

    head     b'GET / HTTP/1.1\\r\\nHost: x\\r\\n'   the piece being read
                             ^ pos                 all before it has been taken
    tail     [b'...', b'...', bytearray(...)]      the pieces after it, oldest first

A read that lies inside the head is one slice; a read that is the whole head is the head itself, without a copy; a read
across pieces is one join. A bytearray, as one would write it first, copies each byte on its way in and on its way out,
and moves what is left whenever it shrinks to half.

Rules for the editor:
1. When `size` is 0 the head is b'' and there is no tail, so that an idle connection holds no memory of its last message.
2. A tail without pieces is None. No piece of it is empty; only the last may be a bytearray (it gathers small pieces, see SMALL).
3. A search that failed has looked at everything and leaves a mark (`scan_*`); the next search for the same separators
   goes on from the mark. Whoever takes bytes drops the mark: positions counted from the front have moved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from yieldloop.wire._bytes import cut, index_of

__all__ = ("StreamBuffer",)

# A piece smaller than this is copied to the gathering bytearray at the tail's end: a bytes object costs 33 bytes and a
# place in the deque, so a peer that sends single bytes would otherwise make us hold forty times of what it sent.
SMALL = 1024

# The gathering bytearray is left alone from this size on. It is copied once more when it becomes the head.
GATHER = 16 * 1024

# `trim()` gives back the taken part of a head from this size on; below it the copy is not worth the bytes.
TRIM = 4 * 1024

# The separators of a line, in the form in which `find` wants them.
NEWLINE = b"\n"
LINE = (NEWLINE,)


class StreamBuffer:
    """Received bytes: `feed` appends, the `take*` and `read*` methods consume from the front.

    Feeding and taking cost O(1) amortised a byte, whatever the sizes of the pieces. It compares equal to any bytes-like
    object of the same content and answers `len()`, `bytes()`, slices, `startswith`, `find`-like questions as a bytearray
    does, because programs look at `StreamReader._buffer` as if it were one.
    """

    __slots__ = ("head", "pos", "size", "tail", "matched", "scan_for", "scan_done", "scan_piece", "scan_pos", "scan_window")

    def __init__(self) -> None:
        self.head = b""  # the piece being read; bytes, never a bytearray
        self.pos = 0  # 0 <= pos < len(head), or both are 0: the first byte of the head that is not yet taken
        self.size = 0  # bytes fed and not taken: len(head) - pos + the lengths of the tail's pieces
        self.tail: deque[bytes | bytearray] | None = None  # the pieces after the head, none empty; None: there are none
        self.matched = 0  # length of the separator that the last successful find() met
        self.scan_for: tuple[bytes, ...] | None = None  # separators of the last search that failed, or None: no mark
        self.scan_done = 0  # unread bytes before the mark; no separator ends among them
        self.scan_piece = 0  # the piece that the mark is in: 0 the head, k the tail's k-1
        self.scan_pos = 0  # the mark's place in that piece
        self.scan_window = b""  # last bytes before the mark, as many as an unfinished separator can have there

    # ---- in

    def feed(self, data: Any) -> None:
        """Append `data` (bytes-like). Bytes are kept without a copy; anything that can change under us is copied.

        Raises TypeError for what is not bytes-like. A reused receive buffer may be fed as a memoryview slice.
        """
        self._feed(data)

    def _feed(self, data: Any) -> None:
        """feed() for compiled callers: a C call, where the public name looks for a subclass's own first."""
        if type(data) is bytes:
            piece = data
        else:
            # Through a memoryview, since bytes(5) would quietly be five zeros.
            piece = bytes(memoryview(data))
        length = len(piece)
        if length == 0:
            return
        if self.size == 0:
            self.head = piece
        elif length >= SMALL:
            if self.tail is None:
                self.tail = deque()
            self.tail.append(piece)
        else:
            self._gather(piece)
        self.size += length

    def _gather(self, piece: bytes) -> None:
        """Append a small piece to the last piece of the tail if that one gathers, else begin to gather."""
        tail = self.tail
        if tail is None:
            self.tail = deque((bytearray(piece),))
            return
        last = tail[-1]
        if type(last) is bytearray and len(last) < GATHER:
            last += piece
        else:
            tail.append(bytearray(piece))

    # ---- out

    def take(self, n: int) -> bytes:
        """Consume exactly `n` bytes and return them. Raises ValueError if there are fewer, or if `n` is negative."""
        if n > self.size:
            raise no_such_count(n, self.size)
        return self._take(n)

    def _take(self, n: int) -> bytes:
        """take() for callers that know n <= size."""
        if n < 0:
            raise no_such_count(n, self.size)
        head = self.head
        start = self.pos
        end = start + n
        self.scan_for = None
        if end <= len(head):
            piece = cut(head, start, end)
            self.size -= n
            if end < len(head):
                self.pos = end
            else:
                self._next_piece()
            return piece
        return self._take_across(n)

    def _next_piece(self) -> None:
        """The head is used up: the oldest piece of the tail becomes the head."""
        self.pos = 0
        if self.tail is None:
            self.head = b""
            return
        piece = self.tail.popleft()
        self.head = piece if type(piece) is bytes else bytes(piece)
        if not self.tail:
            self.tail = None

    def _take_across(self, n: int) -> bytes:
        """_take() for more than what the head has left: one join, without copying the pieces first."""
        parts: list[bytes | memoryview] = [memoryview(self.head)[self.pos :]]
        missing = n - (len(self.head) - self.pos)
        while missing > 0:
            self._next_piece()
            length = len(self.head)
            if length > missing:
                parts.append(memoryview(self.head)[:missing])
                self.pos = missing
                missing = 0
            else:
                parts.append(self.head)
                missing -= length
                if missing == 0:
                    self._next_piece()
        self.size -= n
        return b"".join(parts)

    def read(self, n: int) -> bytes:
        """Consume up to `n` bytes (n >= 0) and return them; b'' if there are none."""
        if n >= self.size:
            return self._take(self.size)
        return self._take(n)

    def read_exactly(self, n: int) -> bytes | None:
        """Consume `n` bytes (n >= 0) and return them, or return None and consume nothing if fewer are here."""
        if n > self.size:
            return None
        return self._take(n)

    def read_line(self, limit: float) -> bytes | None:
        """Consume and return a line with its b'\\n', or return None and consume nothing.

        None means: no newline is here yet, or the line without its newline is longer than `limit` bytes; `find(LINE)`
        tells which.
        """
        return self._line(limit)

    def _line(self, limit: float) -> bytes | None:
        """read_line() for compiled callers, as _feed() is feed()."""
        if self.scan_for is not None or self.size == 0:
            return self._until(LINE, limit)
        head = self.head
        start = self.pos
        at = index_of(head, NEWLINE, start)
        if at < 0:
            self._mark_head(LINE, 0)
            return self._until(LINE, limit)
        if at - start > limit:
            return None
        # _take(), written out: this is the path of every line that does not cross a piece's end.
        end = at + 1
        self.size -= end - start
        if end < len(head):
            self.pos = end
        else:
            self._next_piece()
        return cut(head, start, end)

    def read_until(self, separators: tuple[bytes, ...], limit: float) -> bytes | None:
        """Consume and return the bytes up to and with a separator, or return None and consume nothing.

        `separators` and the meaning of the match: see find(). None means: no separator is here yet, or more than
        `limit` bytes stand before it.
        """
        return self._until(separators, limit)

    def _until(self, separators: tuple[bytes, ...], limit: float) -> bytes | None:
        """read_until() for the calls from here: a C call, where the public name looks for a subclass's own first."""
        end = self._find(separators)
        if end < 0 or end - self.matched > limit:
            return None
        return self._take(end)

    # ---- search

    def find(self, separators: tuple[bytes, ...]) -> int:
        """Return how many bytes there are up to the end of the separator that ends first, or -1.

        `separators`: a tuple of non-empty bytes, shortest first. Of two that end at the same byte the shorter one
        counts. Its length is left in `matched`. Nothing is consumed. What a failed search has looked at is not looked at
        again by the next search for the same separators.
        """
        return self._find(separators)

    def _find(self, separators: tuple[bytes, ...]) -> int:
        """find() for the calls from here, as _until() is read_until()."""
        if not separators:
            raise ValueError("find() needs at least one separator in the tuple")
        if self.size == 0:
            return -1
        longest = len(separators[len(separators) - 1])
        if self.scan_for is None or self.scan_for != separators:
            if len(separators) == 1:
                at = index_of(self.head, separators[0], self.pos)
                if at >= 0:
                    self.scan_for = None
                    self.matched = longest
                    return at + longest - self.pos
                self._mark_head(separators, longest - 1)
            else:
                self._mark_start(separators)
        return self._find_on(separators, longest)

    def _find_on(self, separators: tuple[bytes, ...], longest: int) -> int:
        """find() from the mark on."""
        pieces = 1 if self.tail is None else 1 + len(self.tail)
        while True:
            piece = self.head if self.tail is None or self.scan_piece == 0 else self.tail[self.scan_piece - 1]
            end = self._find_in(piece, separators, longest)
            if end >= 0:
                return end
            self._mark(piece, longest - 1)
            if self.scan_piece + 1 == pieces:
                return -1
            self.scan_piece += 1
            self.scan_pos = 0

    def _find_in(self, piece: bytes | bytearray, separators: tuple[bytes, ...], longest: int) -> int:
        """Search one piece from the mark on, and the seam before it. Return as find() does."""
        start = self.scan_pos
        limit = -1  # where the best match so far ends, in the piece
        for separator in separators:
            at = index_of(piece, separator, start)
            if at >= 0:
                end = at + len(separator)
                if limit < 0 or end < limit:
                    limit = end
                    self.matched = len(separator)
        if self.scan_window:
            # A separator may have begun before the mark. It cannot lie before it as a whole, so it ends in the piece.
            before = len(self.scan_window)
            seam = self.scan_window + piece[start : start + longest - 1]
            for separator in separators:
                at = index_of(seam, separator, 0)
                if at >= 0:
                    end = at + len(separator) - before + start
                    if limit < 0 or end < limit or (end == limit and len(separator) < self.matched):
                        limit = end
                        self.matched = len(separator)
        if limit < 0:
            return -1
        return self.scan_done + limit - start

    def _mark_start(self, separators: tuple[bytes, ...]) -> None:
        """Put the mark before the first unread byte: a new search begins."""
        self.scan_for = separators
        self.scan_done = 0
        self.scan_piece = 0
        self.scan_pos = self.pos
        self.scan_window = b""

    def _mark_head(self, separators: tuple[bytes, ...], keep: int) -> None:
        """Put the mark at the end of the head, which has been searched without a match."""
        self._mark_start(separators)
        self._mark(self.head, keep)

    def _mark(self, piece: bytes | bytearray, keep: int) -> None:
        """Put the mark at the end of `piece`, which has been searched without a match; keep the seam's last bytes."""
        length = len(piece)
        fresh = length - self.scan_pos
        if keep > 0 and fresh > 0:
            if fresh >= keep:
                self.scan_window = bytes(piece[length - keep :])
            else:
                self.scan_window = (self.scan_window + piece[self.scan_pos :])[-keep:]
        self.scan_done += fresh
        self.scan_pos = length

    # ---- housekeeping

    def trim(self) -> None:
        """Give back the taken part of the head's memory if it is the larger part. To be called before a long wait.

        It copies fewer bytes than have been taken since the head arrived, so that it stays O(1) amortised.
        """
        head = self.head
        if self.pos >= TRIM and self.pos * 2 > len(head):
            if self.scan_piece == 0:
                self.scan_pos -= self.pos
            self.head = head[self.pos :]
            self.pos = 0

    def clear(self) -> None:
        """Forget everything that has not been taken."""
        self.head = b""
        self.pos = 0
        self.size = 0
        self.tail = None
        self.scan_for = None

    def startswith(self, prefix: bytes, start: int = 0) -> bool:
        """Tell whether the unread bytes from `start` on begin with `prefix`, as bytes.startswith does."""
        end = start + len(prefix)
        if end <= len(self.head) - self.pos:
            return self.head.startswith(prefix, self.pos + start)
        return self.peek().startswith(prefix, start)

    def peek(self) -> bytes:
        """Return a copy of all unread bytes; nothing is consumed. O(size)."""
        if self.tail is None:
            return self.head[self.pos :]
        return b"".join([memoryview(self.head)[self.pos :], *self.tail])

    def statistics(self) -> dict[str, int]:
        """Return counts for whoever asks what this buffer holds: unread bytes, pieces, bytes of memory kept."""
        kept = len(self.head)
        pieces = 1 if self.size else 0
        for piece in self.tail or ():
            kept += len(piece)
            pieces += 1
        return {"unread": self.size, "pieces": pieces, "kept": kept}

    # ---- the face of a bytearray, for code that reads StreamReader._buffer

    __hash__ = None  # type: ignore[assignment]

    def extend(self, data: Any) -> None:
        """feed(), by bytearray's name."""
        self.feed(data)

    def __len__(self) -> int:
        return self.size

    def __bool__(self) -> bool:
        return self.size != 0

    def __bytes__(self) -> bytes:
        return self.peek()

    def __iter__(self) -> Iterator[int]:
        return iter(self.peek())

    def __contains__(self, item: Any) -> bool:
        return item in self.peek()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StreamBuffer):
            return self.peek() == other.peek()
        if isinstance(other, (bytes, bytearray, memoryview)):
            return len(other) == self.size and self.peek() == other
        return NotImplemented

    def __getitem__(self, index: Any) -> Any:
        return self.peek()[index]

    def __delitem__(self, index: Any) -> None:
        rest = bytearray(self.peek())
        del rest[index]
        self.clear()
        self.feed(rest)

    def __repr__(self) -> str:
        return f"<StreamBuffer {self.size} bytes in {self.statistics()['pieces']} pieces>"


def no_such_count(n: Any, size: int) -> ValueError:
    return ValueError(f"cannot take {n!r} bytes from a buffer of {size}: the count is from 0 to `size`")
