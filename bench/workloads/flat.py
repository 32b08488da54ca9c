"""Flatness: the same act among 10³ … 10⁶ others. A cost that grows with N shows here as a ratio between the rows.

The sizes' names are in the workloads' names (`wake_1e6`), so that `--only wake_1e3 wake_1e6` compares two of them.
Touching random tasks among a million misses the cache whatever the loop does; read the rows against the stock loop's.
"""

from __future__ import annotations

from harness.spec import workload

SIZES = {"1e3": 1_000, "1e4": 10_000, "1e5": 100_000, "1e6": 1_000_000}
#: A step through the N in an order that is no neighbour's: coprime with every size.
STRIDE = 7_919 * 3
#: Acts between two turns of the loop.
TURN = 100
#: The armed timers lie between these times from now; none falls due during the run.
FAR_S = (3_600.0, 7_200.0)


def sized(name, size):
    """Register both workloads for one N."""
    common = {"abandon": True, "timeout_s": 150.0, "quick": size in (1_000, 100_000)}

    @workload(f"wake_{name}", "flatness", f"wake one of {size:,} parked tasks, which parks again", **common)
    async def wake(aio, meter):
        await wake_one_of(aio, meter, size)

    @workload(f"rearm_{name}", "flatness", f"arm and disarm one timer among {size:,} armed", **common)
    async def rearm(aio, meter):
        await rearm_among(aio, meter, size)


async def wake_one_of(aio, meter, size):
    loop = aio.get_running_loop()
    parked = [None] * size

    async def sleeper(place):
        while True:
            parked[place] = alarm = loop.create_future()
            await alarm

    tasks = [loop.create_task(sleeper(place)) for place in range(size)]
    await aio.sleep(0)
    place = 0
    for n in meter.batches(TURN):
        for _ in range(n // TURN):
            for _ in range(TURN):
                parked[place].set_result(None)
                place = (place + STRIDE) % size
            await aio.sleep(0)
    assert len(tasks) == size


async def rearm_among(aio, meter, size):
    loop = aio.get_running_loop()
    first, last = FAR_S
    delays = [first + (last - first) * (i * STRIDE % size) / size for i in range(size)]
    armed = [loop.call_later(delay, print, "a timer fired an hour early") for delay in delays]
    place = 0
    for n in meter.batches(TURN):
        for _ in range(n // TURN):
            for _ in range(TURN):
                loop.call_later(delays[place], print).cancel()
                place = (place + STRIDE) % size
            await aio.sleep(0)
    assert len(armed) == size


for _name, _size in SIZES.items():
    sized(_name, _size)
