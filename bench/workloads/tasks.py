"""Tasks and futures: the cost of switching, waking and starting. No input or output at all."""

from __future__ import annotations

from harness.spec import workload

#: So many tasks take turns: more than one, so that the ready queue is a queue; few enough to stay in the cache.
TURN_TAKERS = 10
#: Children of one gather or task group.
CHILDREN = 1000


@workload("switch", "tasks", "one `await sleep(0)`, 10 tasks taking turns", target=3.0)
async def switch(aio, meter):
    sleep = aio.sleep

    async def turn(times):
        for _ in range(times):
            await sleep(0)

    for n in meter.batches(1000):
        await aio.gather(*[turn(n // TURN_TAKERS) for _ in range(TURN_TAKERS)])


@workload("futures", "tasks", "a future made, awaited by one task and resolved by the other", target=2.5)
async def futures(aio, meter):
    """Ping-pong: each player waits on its own seat, takes a new one, and resolves the other's."""
    loop = aio.get_running_loop()
    seats = [loop.create_future(), loop.create_future()]

    async def player(me, other, times):
        for _ in range(times):
            await seats[me]
            seats[me] = loop.create_future()
            seats[other].set_result(None)

    for n in meter.batches(1000):
        seats[:] = loop.create_future(), loop.create_future()
        seats[0].set_result(None)
        await aio.gather(player(0, 1, n // 2), player(1, 0, n // 2))


async def leaf(value):
    return value


@workload("spawn_gather", "tasks", "one task of `gather(*1000 coroutines)`, each returning at once", target=2.0)
async def spawn_gather(aio, meter):
    for n in meter.batches(CHILDREN):
        for _ in range(n // CHILDREN):
            found = await aio.gather(*[leaf(i) for i in range(CHILDREN)])
            assert found[-1] == CHILDREN - 1


@workload("task_group", "tasks", "one task of a TaskGroup of 1000, each returning at once", target=2.0)
async def task_group(aio, meter):
    for n in meter.batches(CHILDREN):
        for _ in range(n // CHILDREN):
            async with aio.TaskGroup() as group:
                tasks = [group.create_task(leaf(i)) for i in range(CHILDREN)]
            assert tasks[-1].result() == CHILDREN - 1
