"""Work handed to threads: a round trip through the executor, and a look-up that needs none."""

from __future__ import annotations

import socket

from harness.spec import Aim, workload


@workload("executor", "threads", "`run_in_executor` of a function that does nothing, awaited", target=1.4)
async def executor(aio, meter):
    loop = aio.get_running_loop()
    for n in meter.batches(100):
        for _ in range(n):
            await loop.run_in_executor(None, int)


@workload("literal", "threads", "`getaddrinfo` of an IPv4 literal", aims=(Aim(most=6000),))
async def literal(aio, meter):
    loop = aio.get_running_loop()
    for n in meter.batches(100):
        for _ in range(n):
            await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
