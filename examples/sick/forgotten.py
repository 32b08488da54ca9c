"""Sick: a task is started and forgotten; it fails, and nobody takes the error.

    yieldloop run examples/sick/forgotten.py &
    yieldloop tree $!

names the line that made it and how many went the same way.
"""

import asyncio


async def audit(number: int) -> None:
    await asyncio.sleep(0.01)
    raise ValueError(f"order {number} is wrong")


async def main() -> None:
    for number in range(3):
        asyncio.create_task(audit(number), name=f"audit-{number}")  # HERE, and never looked at again
    while True:
        await asyncio.sleep(0.5)


asyncio.run(main())
