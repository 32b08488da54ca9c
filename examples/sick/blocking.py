"""Sick: a callback sleeps in the loop's own thread, so that nothing else runs meanwhile.

    yieldloop run examples/sick/blocking.py

warns after a tenth of a second, while it lasts, and names the callback and the line. `yieldloop tree PID` answers too.
"""

import asyncio
import time


def write_report() -> None:
    time.sleep(60)  # HERE the loop stands still


async def main() -> None:
    asyncio.get_running_loop().call_later(0.05, write_report)
    while True:
        await asyncio.sleep(0.01)


asyncio.run(main())
