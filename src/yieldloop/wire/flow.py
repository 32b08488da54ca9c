"""When to stop a writer, and when to let it go on: water marks, as a state table of words.

What lives here: `Flow`, which is told how many bytes wait and answers with what is to be done about it.
What may not: calling anybody. The transport calls `pause_writing()` and `resume_writing()`, the stream its transport.

    state     event   next state   decision
    flowing   over    paused       'pause'     more than `high` bytes wait
    paused    under   flowing      'resume'    at most `low` bytes wait

Every other pair changes nothing. That is the whole contract: decisions alternate, the first one is 'pause', and between
the marks the state stays as it is, so that a queue which hovers at one mark does not flap.
"""

from __future__ import annotations

__all__ = ("Flow", "FLOWING", "PAUSED", "PAUSE", "RESUME", "TRANSITIONS", "HIGH_WATER", "water_marks")

FLOWING = "flowing"
PAUSED = "paused"

OVER = "over"
UNDER = "under"

PAUSE = "pause"
RESUME = "resume"

# The table above, as data: the tests and the documents are drawn from it, `grown` and `shrunk` are its two rows.
TRANSITIONS = {
    (FLOWING, OVER): (PAUSED, PAUSE),
    (PAUSED, UNDER): (FLOWING, RESUME),
}

# 64 KiB: asyncio's default, which programs were tuned to; the low mark is a quarter of the high one.
HIGH_WATER = 64 * 1024


def water_marks(high: int | None = None, low: int | None = None, default: int = HIGH_WATER) -> tuple[int, int]:
    """Return the pair (high, low) in bytes that asyncio's `set_write_buffer_limits(high, low)` means.

    Only `low` given: high is four times as much. Only `high` given: low is a quarter of it. Neither: `default`.
    Raises ValueError unless high >= low >= 0. Source: asyncio.WriteTransport.set_write_buffer_limits.
    """
    if high is None:
        high = default if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(
            f"high ({high!r}) must be >= low ({low!r}) must be >= 0: these are the byte counts at which "
            f"a writer is paused (above high) and let go on (at low or below)"
        )
    return high, low


class Flow:
    """The flow control of one queue of bytes, from its water marks.

    Tell it the queue's size with grown() after bytes were added and with shrunk() after bytes have left; each returns
    True exactly when there is a decision to carry out.
    """

    __slots__ = ("high", "low", "paused")

    def __init__(self, high: int | None = None, low: int | None = None) -> None:
        marks = water_marks(high, low)
        self.high = marks[0]  # bytes; above it a flowing writer is paused. high >= low
        self.low = marks[1]  # bytes; at it or below a paused writer goes on. low >= 0
        self.paused = False  # the state, in the form in which it is asked at every turn

    @property
    def state(self) -> str:
        """FLOWING or PAUSED."""
        return PAUSED if self.paused else FLOWING

    def grown(self, size: int) -> bool:
        """`size` bytes wait after some were added: return True if the writer is to be paused now."""
        if size > self.high and not self.paused:
            self.paused = True
            return True
        return False

    def shrunk(self, size: int) -> bool:
        """`size` bytes wait after some have left: return True if the writer is to go on now."""
        if self.paused and size <= self.low:
            self.paused = False
            return True
        return False

    def set_marks(self, high: int | None = None, low: int | None = None, size: int = 0) -> str | None:
        """Change the water marks while `size` bytes wait; return PAUSE, RESUME or None: what the new marks call for.

        Raises ValueError as water_marks() does, and then changes nothing.
        """
        marks = water_marks(high, low)
        self.high = marks[0]
        self.low = marks[1]
        if self.grown(size):
            return PAUSE
        if self.shrunk(size):
            return RESUME
        return None

    def statistics(self) -> dict[str, int | str]:
        """Return the marks in bytes and the state, for whoever asks."""
        return {"high": self.high, "low": self.low, "state": self.state}

    def __repr__(self) -> str:
        return f"<Flow {self.state} high={self.high} low={self.low}>"
