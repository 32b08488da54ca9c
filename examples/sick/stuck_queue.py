"""Sick: a task waits for a queue that nobody fills, because who should fill it has ended.

    yieldloop run examples/sick/stuck_queue.py &
    yieldloop tree $!

names the task, the line at which it stands, and that it waits for an item of a queue.
"""

import asyncio


async def produce(orders: asyncio.Queue[int]) -> None:
    for number in range(3):
        await orders.put(number)  # and then it ends, without a word that there will be no more


async def consume(orders: asyncio.Queue[int]) -> None:
    while True:
        order = await orders.get()  # HERE it waits for the fourth
        print("order", order, flush=True)


async def main() -> None:
    orders: asyncio.Queue[int] = asyncio.Queue()
    asyncio.create_task(produce(orders), name="producer")
    asyncio.create_task(consume(orders), name="consumer")
    while True:
        await asyncio.sleep(0.5)


asyncio.run(main())
