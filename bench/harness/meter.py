"""The meter: CPU time per operation, and the choice of how many operations to run.

A body asks the meter for batches and does that many operations each time:

    for n in meter.batches(1000):
        await do(n)

What happens between two turns of that loop is measured; what stands before and after it is set-up and is not.
The clock is the CPU time (user + system) of the process under test, all its threads included, never the wall:
other work on the machine then costs accuracy (caches) but does not count as ours.
"""

from __future__ import annotations

import gc
import math
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

#: A batch has to last this part of the budget before it counts, so that the two clock readings around it are noise.
BATCH_SHARE = 0.05
#: No growing beyond this factor at once: a slow second batch must not turn into a minute.
GROWTH = 8


class Meter:
    """Collects one measurement.

    budget_s: CPU seconds to collect. clock: nanoseconds of CPU time of the process under test. parameter: the
    workload's N, where it has one.
    """

    def __init__(self, budget_s: float, clock: Callable[[], int] = time.process_time_ns, wall_s: float = 30.0) -> None:
        self.budget_ns = int(budget_s * 1e9)
        self.clock = clock
        self.wall_ns = int(wall_s * 1e9)
        self.operations = 0
        self.spent_ns = 0
        self.user_ns = 0
        self.values: dict[str, Any] = {}

    def batches(self, multiple: int, most: int = 1 << 40) -> Iterator[int]:
        """Yield batch sizes until the budget is spent. The batches that find the size are the warm-up: not counted.

        multiple: the first size, and what every size is a multiple of. most: no batch is larger (where one batch's
        work is held in memory at once). Ends early when `wall_s` has passed, since work that waits spends little CPU.
        """
        gc.collect()
        size, counting = multiple, False
        since = time.monotonic_ns()
        while self.spent_ns < self.budget_ns:
            user, began = _user_ns(), self.clock()
            yield size
            spent = self.clock() - began
            late = time.monotonic_ns() - since > self.wall_ns
            if counting or late:
                self.operations += size
                self.spent_ns += spent
                self.user_ns += _user_ns() - user
            if late:
                return
            if not counting:
                factor = min(GROWTH, self.budget_ns * BATCH_SHARE / max(spent, 1))
                counting = factor <= 1 or size >= most
                if not counting:
                    size = min(most, multiple * math.ceil(size * factor * 1.1 / multiple))

    def record(self, **values: Any) -> None:
        """Keep figures that are no CPU time per operation (bytes, lateness)."""
        self.values.update(values)

    def result(self) -> dict[str, Any]:
        """The measurement as plain data: `ns` an operation, of which `user_ns`, or the recorded values."""
        found: dict[str, Any] = dict(self.values)
        if self.operations:
            found["ns"] = self.spent_ns / self.operations
            found["operations"] = self.operations
            if self.clock is time.process_time_ns:
                found["user_ns"] = self.user_ns / self.operations
        if not found:
            raise RuntimeError("the workload measured nothing: it asked for no batch and recorded no value")
        return found


def clock_of(pid: int) -> Callable[[], int]:
    """The CPU clock of another process, in nanoseconds, as clock_getcpuclockid(3) makes it on Linux.

    /proc/PID/stat has the same figure in ticks of 10 ms, too coarse for batches of 25 ms.
    """
    number = (~pid << 3) | 2
    return lambda: time.clock_gettime_ns(number)


def _user_ns() -> int:
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_utime * 1e9)
