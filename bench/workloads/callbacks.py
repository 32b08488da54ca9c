"""Callbacks: `call_soon`, and `call_soon_threadsafe` from a thread, from the loop's own thread, and to a sleeping loop."""

from __future__ import annotations

import threading

from harness.spec import workload

#: Chains of callbacks that run side by side, so that one iteration of the loop runs many callbacks.
CHAINS = 100
#: A storm's batch is bounded: the whole of it may stand in the queue at once.
STORM_MOST = 200_000


@workload("call_soon", "callbacks", "one `call_soon` and the call, 100 chains", target=1.6)
async def call_soon(aio, meter):
    loop = aio.get_running_loop()
    await chains(loop, loop.call_soon, meter)


@workload("threadsafe_own", "callbacks", "one `call_soon_threadsafe` from the loop's own thread", target=1.5)
async def threadsafe_own(aio, meter):
    loop = aio.get_running_loop()
    await chains(loop, loop.call_soon_threadsafe, meter)


async def chains(loop, call, meter):
    """Each callback puts its successor, until every chain has run its length."""
    running = 0
    finished = None

    def link(left):
        nonlocal running
        if left:
            call(link, left - 1)
            return
        running -= 1
        if not running:
            finished.set_result(None)

    for n in meter.batches(CHAINS):
        running, finished = CHAINS, loop.create_future()
        for _ in range(CHAINS):
            call(link, n // CHAINS - 1)
        await finished


@workload("threadsafe", "callbacks", "one `call_soon_threadsafe` from another thread, as fast as it can", target=1.5)
async def threadsafe(aio, meter):
    loop = aio.get_running_loop()
    run = 0

    def called():
        nonlocal run
        run += 1

    def storm(times):
        post = loop.call_soon_threadsafe
        for _ in range(times):
            post(called)

    wanted = 0
    for n in meter.batches(1000, most=STORM_MOST):
        wanted += n
        await in_thread(loop, storm, n)
        while run < wanted:
            await aio.sleep(0)
    assert run == wanted


@workload("threadsafe_wake", "callbacks", "one `call_soon_threadsafe` that wakes a sleeping loop, the thread waits for it")
async def threadsafe_wake(aio, meter):
    loop = aio.get_running_loop()

    def one_by_one(times):
        seen = threading.Semaphore(0)
        for _ in range(times):
            loop.call_soon_threadsafe(seen.release)
            seen.acquire()

    for n in meter.batches(100):
        await in_thread(loop, one_by_one, n)


async def in_thread(loop, function, times):
    """Run `function(times)` in a thread of its own and park until it is over (an executor is not what is measured)."""
    over = loop.create_future()

    def work():
        function(times)
        loop.call_soon_threadsafe(over.set_result, None)

    thread = threading.Thread(target=work)
    thread.start()
    await over
    thread.join()
