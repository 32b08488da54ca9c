"""Streams that only read: how much of the time goes into finding and handing out what has arrived.

The sender is a process of its own, and its blocks are no multiple of what is read, as on a real network. It is told how many
bytes to send by lines on its standard input, so that a batch ends exactly where it was meant to.
"""

from __future__ import annotations

import os
import subprocess
import sys

from harness import load
from harness.spec import workload

HOST = "127.0.0.1"
BLOCK = 64 * 1024
#: A line with its end: about what a log, a header or a protocol of lines has.
LINE = b"x" * 63 + b"\n"
#: Bytes of a read without a size, as in an HTTP parser.
SOME = 64 * 1024

SENDER = """
import socket, sys
piece = sys.argv[2].encode().decode("unicode_escape").encode() * int(sys.argv[3])
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for line in sys.stdin:
    left = int(line)
    while left:
        part = piece[: min(left, len(piece))]
        link.sendall(part)
        left -= len(part)
"""


class Sender:
    """The other end: sends what it is told to. *pattern* is repeated; a send is *times* of it."""

    def __init__(self, port: int, pattern: str, times: int) -> None:
        command = [sys.executable, "-S", "-c", SENDER, str(port), pattern, str(times)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, bufsize=1)
        cores = load.other_core()
        if cores:
            os.sched_setaffinity(self.process.pid, cores)

    def send(self, size: int) -> None:
        self.process.stdin.write(f"{size}\n")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


async def reading(aio, meter, pattern, times, unit, most, read):
    """Run ``read(reader, n)`` for batches of n operations, each of *unit* bytes, at most *most* in a batch."""
    arrived = aio.get_running_loop().create_future()
    server = await aio.start_server(lambda *ends: arrived.set_result(ends), HOST, 0)
    sender = Sender(server.sockets[0].getsockname()[1], pattern, times)
    try:
        reader, writer = await arrived
        for n in meter.batches(100, most=most):
            sender.send(n * unit)
            await read(reader, n)
        writer.close()
    finally:
        sender.close()
        server.close()


@workload("read_exactly", "streams", "`readexactly(64 KiB)` of a stream that comes as fast as it can", target=4.0)
async def read_exactly(aio, meter):
    async def read(reader, n):
        for _ in range(n):
            await reader.readexactly(BLOCK)

    await reading(aio, meter, "x", 250_000, BLOCK, 20_000, read)


@workload("read_line", "streams", "`readline` of 64 bytes from a stream that comes as fast as it can", target=4.0)
async def read_line(aio, meter):
    async def read(reader, n):
        for _ in range(n):
            await reader.readline()

    await reading(aio, meter, LINE.decode().replace("\n", "\\n"), 4_000, len(LINE), 1_000_000, read)


@workload("iterate_lines", "streams", "`async for line in reader`, 64 bytes a line")
async def iterate_lines(aio, meter):
    async def read(reader, n):
        async for _ in reader:
            n -= 1
            if not n:
                break

    await reading(aio, meter, LINE.decode().replace("\n", "\\n"), 4_000, len(LINE), 1_000_000, read)
