"""Memory: bytes a timer and bytes a parked task.

Method: growth of the process's resident set over 200,000 objects, divided by their number. It counts what the allocator
really took, in C as in Python, so it is the same measure for each implementation; rounding to pages is below 0.1 byte
an object. Lists that hold the objects are filled before the first reading, and one small batch has run before it, so
that free lists and pools exist.

A parked task is a task that awaits a future of its own: task, future and the loop's records of both. `beyond` is that
without the coroutine: the same coroutines are suspended at the same place without a loop, by hand, and their bytes
subtracted. The frame is CPython's, no loop can make it smaller.
"""

from __future__ import annotations

import gc
import os

from harness.spec import Aim, workload

OBJECTS = 200_000
WARM_UP = 1_000


def resident_bytes():
    """Resident set size by /proc/self/statm (Linux): its second field, in pages."""
    with open("/proc/self/statm", "rb", buffering=0) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth_per_object(make):
    """Bytes of resident memory that each `make(i)` adds; the objects are returned to be kept."""
    kept = [None] * OBJECTS
    gc.collect()
    before = resident_bytes()
    for i in range(OBJECTS):
        kept[i] = make(i)
    gc.collect()
    return (resident_bytes() - before) / OBJECTS, kept


@workload("timer_bytes", "memory", "resident bytes of one armed timer", aims=(Aim(most=250),), abandon=True)
async def timer_bytes(aio, meter):
    loop = aio.get_running_loop()
    for i in range(WARM_UP):
        loop.call_later(10_000 + i, print)
    size, kept = growth_per_object(lambda i: loop.call_later(20_000 + i * 1e-3, print))
    meter.record(bytes=size)
    assert len(kept) == OBJECTS


class Bare:
    """Awaiting it suspends, as a future's await does, with no loop to ask."""

    def __await__(self):
        yield self


@workload(
    "task_bytes", "memory", "resident bytes of one parked task with its future, beyond its coroutine",
    aims=(Aim(most=950),), abandon=True,
)
async def task_bytes(aio, meter):
    loop = aio.get_running_loop()
    gate = Bare()

    async def park(what):
        await what

    def suspended(_):
        coroutine = park(gate)
        coroutine.send(None)
        return coroutine

    def parked(_):
        return loop.create_task(park(loop.create_future()))

    early = [parked(i) for i in range(WARM_UP)]
    frame, coroutines = growth_per_object(suspended)
    # Held in parts, so that the ready queue does not grow to the number of all tasks: they park 1,000 by 1,000.
    kept = [None] * OBJECTS
    await aio.sleep(0)
    gc.collect()
    before = resident_bytes()
    for start in range(0, OBJECTS, WARM_UP):
        for i in range(start, start + WARM_UP):
            kept[i] = parked(i)
        await aio.sleep(0)
    gc.collect()
    total = (resident_bytes() - before) / OBJECTS
    meter.record(bytes=total - frame, total_bytes=total, frame_bytes=frame)
    assert len(kept) == len(coroutines) and early
