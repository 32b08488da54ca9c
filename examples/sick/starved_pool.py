"""Sick: slow jobs fill the thread pool, and a quick one waits behind them.

    yieldloop run examples/sick/starved_pool.py &
    yieldloop tree $!

names the task that waits, its job, and the jobs that hold the threads.
"""

import asyncio
import concurrent.futures
import time


def crawl() -> None:
    time.sleep(3600)


def look_up() -> str:
    return "at once, if a thread were free"


async def slow() -> None:
    await asyncio.to_thread(crawl)


async def quick() -> None:
    print(await asyncio.to_thread(look_up))  # HERE it waits for a free thread


async def main() -> None:
    asyncio.get_running_loop().set_default_executor(concurrent.futures.ThreadPoolExecutor(2))
    for number in range(2):
        asyncio.create_task(slow(), name=f"crawler-{number}")
    await asyncio.sleep(0.05)
    asyncio.create_task(quick(), name="lookup")
    while True:
        await asyncio.sleep(0.5)


asyncio.run(main())
