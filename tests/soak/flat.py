"""What is measured while the work rests, and whether it stayed flat.

What lives here: one sample, the table, the verdict. Robust: the first quarter of the samples is warm-up and does not count, the
medians of the second and of the last are compared. A leak of one object in a hundred rounds shows as a line that rises; a
burst, or a cache that fills, does not.
"""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any

import yieldloop
from tests import leaks

FLAT = ("ready", "timers", "tasks", "asyncgens", "transports", "children", "armed")
OTHERS = ("registered",)  # descriptors closed without a word are found by and by, or when their number is used again
# How much more the last quarter may have than the second. Counts of what the loop holds: nothing. Objects: what caches and
# finalizers may hold at the moment. Memory: what the allocator keeps of bigger bursts, besides its share of all.
SLACK = {"registered": 16, "fds": 1, "threads": 1, "zombies": 0}
THREADS_SLACK_COLD = 14  # both of the loop's pools, which take a thread when no other is idle, and so fill by and by
OBJECTS_SLACK = 12
# The interpreted heap leaves disarmed timers in their slots until a sweep is worth its call (`engine/_heap.py`: FEW of them).
DISARMED = 0 if yieldloop.compiled() else 64
RSS_SLACK = 3 * 2**20  # bytes
RSS_SLACK_COLD = 16 * 2**20  # of a run of less than WARM seconds: the first bursts of each kind fall into what is compared
WARM = 30
RSS_SHARE = 0.03


class Record:
    """Samples of one loop's process, taken by `sample`."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._began = time.monotonic()
        self.samples: list[dict[str, float]] = []

    def sample(self, rounds: int) -> None:
        """Count everything now. The caller sees to it that the work rests."""
        gc.collect()
        held = self._loop.statistics()
        row: dict[str, float] = {"s": time.monotonic() - self._began, "rounds": rounds}
        row |= {name: held[name] for name in FLAT + OTHERS}
        row |= {"fds": len(leaks.open_fds()), "threads": len(leaks.threads()), "zombies": len(leaks.children())}
        row |= leaks.live_counts()
        row["rss"] = leaks.rss()
        self.samples.append(row)

    def quarters(self) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
        """The samples of the second and of the last quarter."""
        count = len(self.samples)
        return self.samples[count // 4 : max(count // 2, count // 4 + 1)], self.samples[-max(count // 4, 1) :]

    def table(self) -> list[tuple[str, float, float, float]]:
        """(name, median of the second quarter, median of the last, what it may have grown by) of every counter."""
        second, last = self.quarters()
        found = []
        for name in self.samples[0]:
            if name not in ("s", "rounds"):
                before = statistics.median(row[name] for row in second)
                after = statistics.median(row[name] for row in last)
                found.append((name, before, after, self._slack(name, before)))
        return found

    def _slack(self, name: str, before: float) -> float:
        warm = self.samples[-1]["s"] >= WARM
        if name == "threads" and not warm:
            return THREADS_SLACK_COLD
        if name == "rss":
            return max(RSS_SLACK if warm else RSS_SLACK_COLD, RSS_SHARE * before)
        if name in FLAT:
            return 0
        if name == "TimerHandle":
            return OBJECTS_SLACK + DISARMED
        return SLACK.get(name, OBJECTS_SLACK)

    def risen(self) -> list[str]:
        """The names of the counters that did not stay flat."""
        return [name for name, before, after, slack in self.table() if after - before > slack]

    def print(self) -> None:
        """The table, for people."""
        rounds = int(self.samples[-1]["rounds"])
        print(f"{len(self.samples)} samples at rest over {self.samples[-1]['s']:.0f} s and {rounds} rounds; medians:")
        print(f"  {'':16} {'2nd quarter':>12} {'last quarter':>12} {'growth':>9} {'allowed':>9}")
        risen = self.risen()
        for name, before, after, slack in self.table():
            unit = 2**20 if name == "rss" else 1
            label = "rss (MiB)" if name == "rss" else name
            numbers = f"{before / unit:12.5g} {after / unit:12.5g} {(after - before) / unit:+9.3g} {slack / unit:9.3g}"
            print(f"  {label:16} {numbers}{'   <-- rises' if name in risen else ''}")
