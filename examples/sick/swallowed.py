"""Sick: a task takes the cancellation for one more error, and goes on. Whoever cancels it waits for ever.

    yieldloop run examples/sick/swallowed.py &
    yieldloop tree $!

names the task, says that it was cancelled and is not done, and where it stands.
"""

import asyncio


async def poll() -> None:
    while True:
        try:
            await asyncio.sleep(3600)  # HERE it stands again after it was cancelled
        except BaseException as exc:
            print(f"trying again after {type(exc).__name__}", flush=True)


async def main() -> None:
    poller = asyncio.create_task(poll(), name="poller")
    await asyncio.sleep(0.01)
    poller.cancel()
    await asyncio.wait([poller])  # it never ends
    print("never reached")


asyncio.run(main())
