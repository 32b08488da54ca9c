"""Sick: two tasks take two locks in opposite order, and each waits for the other for ever.

    yieldloop run examples/sick/deadlock.py &
    yieldloop tree $!

names both tasks, the line at which each stands, the lock and its holder, and marks the circle.
"""

import asyncio


async def transfer(first: asyncio.Lock, second: asyncio.Lock) -> None:
    async with first:
        await asyncio.sleep(0.01)
        async with second:  # HERE each waits for what the other holds
            print("never reached")


async def main() -> None:
    accounts, audit = asyncio.Lock(), asyncio.Lock()
    asyncio.create_task(transfer(accounts, audit), name="payment")
    asyncio.create_task(transfer(audit, accounts), name="report")
    while True:  # the rest of the program lives, so that nobody notices
        await asyncio.sleep(0.5)


asyncio.run(main())
