"""Child processes and pipes: what a spawn costs, and what carrying bytes through a pipe costs."""

from __future__ import annotations

import os

from harness.spec import Aim, workload

#: Bytes a pipe carries an operation; much more than it holds (64 KiB on Linux).
BLOCK = bytes(1024 * 1024)


@workload("spawn", "processes", "one `/bin/true` started and waited for", target=3.0, aims=(Aim(1.0, "asyncio"),), timeout_s=60.0)
async def spawn(aio, meter):
    for n in meter.batches(10):
        for _ in range(n):
            process = await aio.create_subprocess_exec("/bin/true")
            await process.wait()


@workload("spawn_pipes", "processes", "one `/bin/cat` started, fed 1 KiB and read by `communicate`", timeout_s=60.0)
async def spawn_pipes(aio, meter):
    pipe = aio.subprocess.PIPE
    for n in meter.batches(10):
        for _ in range(n):
            process = await aio.create_subprocess_exec("/bin/cat", stdin=pipe, stdout=pipe)
            await process.communicate(BLOCK[:1024])


@workload("pipe_protocol", "processes", "1 MiB through a pipe, from a write transport to a protocol", target=1.3)
async def pipe_protocol(aio, meter):
    loop = aio.get_running_loop()

    class Sink(aio.Protocol):
        left = 0
        arrived = None

        def data_received(self, data):
            self.left -= len(data)
            if not self.left:
                self.arrived.set_result(None)

    read_fd, write_fd = os.pipe()
    reading, sink = await loop.connect_read_pipe(Sink, os.fdopen(read_fd, "rb", 0))
    writing, _ = await loop.connect_write_pipe(Sink, os.fdopen(write_fd, "wb", 0))
    for n in meter.batches(4):
        for _ in range(n):
            sink.left, sink.arrived = len(BLOCK), loop.create_future()
            writing.write(BLOCK)
            await sink.arrived
    writing.close()
    reading.close()


@workload("pipe_streams", "processes", "1 MiB written by `drain` and read by `readexactly(64 KiB)` through `/bin/cat`", target=1.3)
async def pipe_streams(aio, meter):
    pipe = aio.subprocess.PIPE
    process = await aio.create_subprocess_exec("/bin/cat", stdin=pipe, stdout=pipe)

    async def feed(n):
        for _ in range(n):
            process.stdin.write(BLOCK)
            await process.stdin.drain()

    for n in meter.batches(4):
        feeding = aio.ensure_future(feed(n))
        for _ in range(n * len(BLOCK) // 65536):
            await process.stdout.readexactly(65536)
        await feeding
    process.stdin.close()
    await process.wait()
