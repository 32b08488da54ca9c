"""Timers: what arming, disarming and firing costs, and how far from its time a timer fires."""

from __future__ import annotations

import random
import time

from harness.spec import workload

#: Timers armed at once.
ARMED = 50_000
#: They fall due within so many seconds of being armed.
WITHIN_S = 0.05
#: Delays tried for accuracy, in one measurement.
TRIALS = 60


@workload("timers", "timers", "one timer of 50,000 armed at once, half disarmed, half run", target=3.0)
async def timers(aio, meter):
    loop = aio.get_running_loop()
    spread = random.Random(2)
    delays = [spread.uniform(0.0, WITHIN_S) for _ in range(ARMED)]
    left = 0
    finished = None

    def fire():
        nonlocal left
        left -= 1
        if not left:
            finished.set_result(None)

    for n in meter.batches(ARMED):
        for _ in range(n // ARMED):
            left, finished = ARMED // 2, loop.create_future()
            armed = [loop.call_later(delay, fire) for delay in delays]
            for timer in armed[::2]:
                timer.cancel()
            await finished


@workload("accuracy", "timers", "how late `call_later` of 1 to 50 ms fires; the loop worked up to 1 ms before arming")
async def accuracy(aio, meter):
    """Lateness by `time.monotonic_ns`, not by the loop's clock: a cached clock must not judge itself.

    A program does something before it arms a timer, so each trial first works for up to a millisecond; a loop that
    takes the time once an iteration then arms too early a time.
    """
    loop = aio.get_running_loop()
    chosen = random.Random(3)

    def note_time(fired):
        fired.set_result(time.monotonic_ns())

    late_ns = []
    for _ in range(TRIALS):
        await aio.sleep(0)
        delay = chosen.uniform(0.001, 0.050)
        until = time.monotonic_ns() + chosen.randrange(1_000_000)
        while time.monotonic_ns() < until:
            pass
        fired = loop.create_future()
        due = time.monotonic_ns() + int(delay * 1e9)
        loop.call_later(delay, note_time, fired)
        late_ns.append(await fired - due)
    late_ns.sort()
    meter.record(
        late_us=late_ns[TRIALS // 2] / 1e3,
        late_p90_us=late_ns[TRIALS * 9 // 10] / 1e3,
        earliest_us=late_ns[0] / 1e3,
        early_share=sum(late < 0 for late in late_ns) / TRIALS,
    )
