"""What the engine marks its tasks and its doings with: serial numbers, and the ticks of a cheap clock.

What lives here: how ticks are told in nanoseconds (for those who read: it costs more than `_inline.ticks`, which makes them), and
who is next. What may not: deadlines; timers go by the loop's clock, to the nanosecond. ``_marks.pyx`` is the compiled twin.
"""

from __future__ import annotations

import itertools
import time

__all__ = ("next_number", "next_unnamed", "ticks_now", "ticks_to_ns")

ticks_now = time.monotonic_ns
next_number = itertools.count(1).__next__  # of tasks, in this process
next_unnamed = itertools.count(1).__next__  # of Task-1, Task-2, …: those without a name alone, as in the standard library


def ticks_to_ns(tick: int) -> int:
    """The moment of *tick*, in ns by `time.monotonic_ns`, to within a µs, and never later than now."""
    return tick  # here it is one; compiled, it is a reading of another clock
