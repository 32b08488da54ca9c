"""What one turn writes: head and body as two writes against one, from a protocol and from a task; many small writes with
drain. And what a connection weighs that says nothing.
"""

from __future__ import annotations

import gc
import subprocess
import sys

from harness import load
from harness.spec import Aim, workload
from workloads.memory import resident_bytes

CONNECTIONS = 50
FIRST_BATCH = 500
HOST = "127.0.0.1"
QUESTION = b"q" * 64
HEAD = b"h" * 160
BODY = b"b" * 1024
SMALL = b"k" * 1024
IDLE = 10_000  # connections, each one descriptor here and one in the client's process


async def measure(aio, meter, server):
    port = server.sockets[0].getsockname()[1]
    await load.measure_server(aio, meter, load.LoadClient(port, CONNECTIONS, QUESTION, len(HEAD) + len(BODY)), FIRST_BATCH)
    server.close()


async def by_protocol(aio, meter, pieces):
    class Answer(aio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            for piece in pieces:
                self.transport.write(piece)

    await measure(aio, meter, await aio.get_running_loop().create_server(Answer, HOST, 0))


async def by_task(aio, meter, pieces):
    async def handle(reader, writer):
        try:
            while True:
                await reader.readexactly(len(QUESTION))
                for piece in pieces:
                    writer.write(piece)
        except (aio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    await measure(aio, meter, await aio.start_server(handle, HOST, 0))


@workload("answer_one", "TCP", "an answer of 1184 bytes in one write, by a Protocol")
async def answer_one(aio, meter):
    await by_protocol(aio, meter, [HEAD + BODY])


@workload("answer_two", "TCP", "the same as head and body in two writes, by a Protocol", aims=(Aim(0.95, None, than="answer_one"),))
async def answer_two(aio, meter):
    await by_protocol(aio, meter, [HEAD, BODY])


@workload("task_one", "TCP", "an answer of 1184 bytes in one write, by a task with streams")
async def task_one(aio, meter):
    await by_task(aio, meter, [HEAD + BODY])


@workload(
    "task_two", "TCP", "the same as head and body in two writes, by a task with streams",
    aims=(Aim(0.95, None, than="task_one"),),
)
async def task_two(aio, meter):
    await by_task(aio, meter, [HEAD, BODY])


SINK = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
link, _ = listener.accept()
while link.recv(1 << 20):
    pass
"""
CROWD = """
import socket, sys
links = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(int(sys.argv[2]))]
print("ready", flush=True)
sys.stdin.read()
"""


@workload("write_drain", "TCP", "one write of 1 KiB and its `drain`, by streams", target=3.0)
async def write_drain(aio, meter):
    sink = subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True)
    try:
        _, writer = await aio.open_connection(HOST, int(sink.stdout.readline()))
        for n in meter.batches(10_000):
            for _ in range(n):
                writer.write(SMALL)
                await writer.drain()
        writer.close()
    finally:
        sink.kill()
        sink.communicate()


@workload(
    "tcp_crowd", "TCP", "echo of 1 KiB by a Protocol, 50 connections among 10,000 idle ones",
    aims=(Aim(1 / 1.1, None, than="tcp_protocol"),), timeout_s=180.0,
)
async def tcp_crowd(aio, meter):
    made = []

    class Echo(aio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            made.append(transport)

        def data_received(self, data):
            self.transport.write(data)

    server = await aio.get_running_loop().create_server(Echo, HOST, 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    command = [sys.executable, "-c", CROWD, str(port), str(IDLE)]
    crowd = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        while len(made) < IDLE:
            await aio.sleep(0.01)
        await load.measure_server(aio, meter, load.LoadClient(port, CONNECTIONS, BODY, len(BODY)), FIRST_BATCH)
    finally:
        crowd.kill()
        crowd.communicate()
        server.close()


@workload("tcp_bytes", "memory", "resident bytes of one idle TCP connection with its Protocol", aims=(Aim(most=1300),))
async def tcp_bytes(aio, meter):
    made = []

    class Idle(aio.Protocol):
        __slots__ = ("transport",)

        def connection_made(self, transport):
            self.transport = transport
            made.append(transport)

    async def crowd(count):
        before = len(made)
        command = [sys.executable, "-c", CROWD, str(port), str(count)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        crowds.append(process)
        while len(made) < before + count:
            await aio.sleep(0.01)
        gc.collect()

    crowds = []
    server = await aio.get_running_loop().create_server(Idle, HOST, 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    try:
        await crowd(IDLE // 10)
        before = resident_bytes()
        await crowd(IDLE)
        meter.record(bytes=(resident_bytes() - before) / IDLE)
    finally:
        for process in crowds:
            process.kill()
            process.communicate()
        server.close()
