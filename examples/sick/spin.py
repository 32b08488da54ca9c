"""Sick: a task waits by asking again and again, and keeps a processor busy with it.

    yieldloop run examples/sick/spin.py

warns after a second and names the task and the line. The cure is an `asyncio.Event`.
"""

import asyncio

ready = False


async def wait_until_ready() -> None:
    while not ready:
        await asyncio.sleep(0)  # HERE it gives way and comes back at once


async def main() -> None:
    await asyncio.create_task(wait_until_ready(), name="waiter")


asyncio.run(main())
