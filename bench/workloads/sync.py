"""Locks and queues: tasks that wait for one another."""

from __future__ import annotations

from harness.spec import workload

#: Tasks that want the one lock.
RIVALS = 100
#: Producers, and as many consumers, at one queue.
PAIRS = 2
#: Small, so that both sides have to wait.
QUEUE_ROOM = 16


@workload("lock", "synchronization", "one `async with lock`, held over a switch, wanted by 100 tasks", target=2.0)
async def lock(aio, meter):
    the_lock = aio.Lock()
    inside = 0

    async def rival(times):
        nonlocal inside
        for _ in range(times):
            async with the_lock:
                inside += 1
                await aio.sleep(0)
                assert inside == 1
                inside -= 1

    for n in meter.batches(RIVALS * 10):
        await aio.gather(*[rival(n // RIVALS) for _ in range(RIVALS)])


@workload("queue", "synchronization", "one item through a Queue of 16 places, 2 producers and 2 consumers", target=1.5)
async def queue(aio, meter):
    line = aio.Queue(QUEUE_ROOM)

    async def produce(times):
        for i in range(times):
            await line.put(i)

    async def consume(times):
        for _ in range(times):
            await line.get()

    for n in meter.batches(PAIRS * 100):
        share = n // PAIRS
        await aio.gather(*[side(share) for _ in range(PAIRS) for side in (produce, consume)])
    assert line.empty()
