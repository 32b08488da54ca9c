"""The rounds: each does one thing that programs do, with chances taken from a `random.Random`.

What lives here: `ROUNDS`, by name. What may not: servers (`talk`), time and judgement (`__main__`, `flat`). A round may raise what
`EXPECTED` lists: the other side resets and falls silent by design.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import yieldloop
from tests.soak.talk import Collect, Town, reset

MODULES = (asyncio, yieldloop)  # a program imports the one or the other; a round takes either
EXPECTED = (OSError, EOFError, TimeoutError, asyncio.TimeoutError, ssl.SSLError, asyncio.LimitOverrunError)
Round = Callable[[Town, random.Random], Awaitable[None]]


def some_bytes(rng: random.Random) -> bytes:
    """A piece to send: small as most are, sometimes a megabyte."""
    return bytes(rng.choice((1, 10, 200, 1500, 20_000, 70_000, 1_000_000)) if rng.random() < 0.9 else rng.randrange(1, 300_000))


async def talk_by_protocol(made: Any, rng: random.Random) -> None:
    """One client connection by `Collect`, ended by one of its ways."""
    transport, protocol = made
    try:
        for _ in range(rng.randrange(1, 4)):
            data = some_bytes(rng)
            protocol.enough += len(data)
            if rng.random() < 0.3:
                transport.writelines([data[:3], data[3:]])
            else:
                transport.write(data)
            if rng.random() < 0.2:
                transport.pause_reading()
                await asyncio.sleep(0)
                transport.resume_reading()
        way = rng.random()
        if way < 0.5:
            await asyncio.wait_for(protocol.full, 2)
        elif way < 0.65:
            reset(transport)
        elif way < 0.8 and transport.can_write_eof():
            transport.write_eof()
            await asyncio.wait_for(protocol.lost, 2)
    finally:
        transport.abort() if rng.random() < 0.3 else transport.close()
        try:
            await asyncio.wait({protocol.lost}, timeout=0.2)
        finally:
            transport.abort()  # close() sends what is queued first, and the other side may have ceased to read


async def talk_by_streams(reader: Any, writer: Any, rng: random.Random) -> None:
    try:
        for _ in range(rng.randrange(1, 4)):
            data = bytes(rng.randrange(1, 60_000)).replace(b"\0", b"x") + b"\n"
            writer.write(data)
            await writer.drain()
            if rng.random() < 0.5:
                await asyncio.wait_for(reader.readline(), 2)
            else:
                await asyncio.wait_for(reader.readexactly(len(data)), 2)
    finally:
        if rng.random() < 0.3:
            writer.transport.abort()
        await hang_up(writer)


async def hang_up(writer: Any) -> None:
    """Close politely, but not for ever."""
    writer.close()
    try:
        with contextlib.suppress(*EXPECTED):
            await asyncio.wait_for(writer.wait_closed(), 5)
    finally:
        writer.transport.abort()


async def tcp(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    await talk_by_protocol(await loop.create_connection(Collect, *town.tcp), rng)


async def streams(town: Town, rng: random.Random) -> None:
    await talk_by_streams(*await rng.choice(MODULES).open_connection(*town.tcp), rng)


async def tls(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    fate = rng.random()
    if fate < 0.15:  # garbage instead of a handshake
        made = await loop.create_connection(Collect, *town.tls)
        made[0].write(b"GET / HTTP/1.0\r\n\r\n")
        await talk_by_protocol(made, rng)
    elif fate < 0.3:  # gone in the middle of it
        connecting = asyncio.ensure_future(
            loop.create_connection(Collect, *town.tls, ssl=town.client_tls, server_hostname="localhost")
        )
        try:
            await asyncio.wait({connecting}, timeout=rng.random() * 0.01)
        finally:
            if not connecting.cancel() and connecting.exception() is None:
                connecting.result()[0].abort()  # it was quicker
    elif fate < 0.65:
        made = await loop.create_connection(Collect, *town.tls, ssl=town.client_tls, server_hostname="localhost")
        await talk_by_protocol(made, rng)
    else:
        pair = await rng.choice(MODULES).open_connection(*town.tls, ssl=town.client_tls, server_hostname="localhost")
        await talk_by_streams(*pair, rng)


async def start_tls(town: Town, rng: random.Random) -> None:
    async def serve(reader: Any, writer: Any) -> None:
        try:
            await reader.readline()
            writer.write(b"go\n")
            await writer.start_tls(town.server_tls, ssl_handshake_timeout=3)
            writer.write(await reader.readline())
            await writer.drain()
        except EXPECTED:
            pass
        finally:
            writer.close()

    module = rng.choice(MODULES)
    server = await module.start_server(serve, "127.0.0.1", 0)
    try:
        reader, writer = await module.open_connection(*server.sockets[0].getsockname())
        try:
            writer.write(b"start\n")
            await reader.readline()
            await writer.start_tls(town.client_tls, server_hostname="localhost", ssl_handshake_timeout=3)
            writer.write(b"hello\n")
            await asyncio.wait_for(reader.readline(), 3)
        finally:
            await hang_up(writer)
    finally:
        server.close()
        server.close_clients()
        try:
            await asyncio.wait_for(server.wait_closed(), 10)
        finally:
            server.abort_clients()


async def udp(town: Town, rng: random.Random) -> None:
    class Datagrams(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.got: asyncio.Queue[bytes] = asyncio.Queue()

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.got.put_nowait(data)

        def error_received(self, exc: Exception) -> None:
            self.got.put_nowait(b"")

    loop = asyncio.get_running_loop()
    silent = rng.random() < 0.2
    if town.udp is None:
        raise NotImplementedError
    address = ("127.0.0.1", 9) if silent else town.udp
    made: Any = await loop.create_datagram_endpoint(Datagrams, remote_addr=address)
    transport, protocol = made
    try:
        for _ in range(rng.randrange(1, 20)):
            transport.sendto(bytes(rng.randrange(0, 9000)))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(protocol.got.get(), 0.05)
    finally:
        transport.abort() if rng.random() < 0.5 else transport.close()


async def unix(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    if rng.random() < 0.5:
        made: Any = await loop.create_unix_connection(Collect, town.path)
        await talk_by_protocol(made, rng)
    else:
        await talk_by_streams(*await rng.choice(MODULES).open_unix_connection(town.path), rng)


async def processes(town: Town, rng: random.Random) -> None:
    fate, module = rng.random(), rng.choice(MODULES)
    if fate < 0.4:
        proc = await module.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        try:
            data = some_bytes(rng)
            out, _ = await asyncio.wait_for(proc.communicate(data), 10)
            assert out == data, f"cat gave back {len(out)} of {len(data)} bytes"
        except BaseException:
            await _kill(proc)
            raise
    elif fate < 0.7:
        proc = await module.create_subprocess_shell("echo a; exit 3", stdout=asyncio.subprocess.PIPE)
        try:
            out, _ = await proc.communicate()
            assert (out, proc.returncode) == (b"a\n", 3), f"the shell ended with {proc.returncode}, {out!r}"
        except BaseException:
            await _kill(proc)
            raise
    else:
        proc = await module.create_subprocess_exec("sleep", "60", stdin=asyncio.subprocess.PIPE)
        try:
            await asyncio.wait_for(proc.wait(), rng.random() * 0.02)
        except TimeoutError:
            pass
        finally:
            await _kill(proc)


async def _kill(proc: Any) -> None:
    with contextlib.suppress(ProcessLookupError):
        proc.kill()
    while True:  # a child that is killed ends: it must be seen even if we are cancelled again
        try:
            await proc.wait()
        except asyncio.CancelledError:
            continue
        break
    proc._transport.close()


async def pipes(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    read_fd, write_fd = os.pipe()
    source, sink = os.fdopen(read_fd, "rb", 0), os.fdopen(write_fd, "wb", 0)
    opened: list[Any] = []
    try:
        reader, protocol = await loop.connect_read_pipe(Collect, source)
        opened.append(reader)
        writer, _ = await loop.connect_write_pipe(Collect, sink)
        opened.append(writer)
        data = some_bytes(rng)
        protocol.enough = len(data)
        writer.write(data)
        if rng.random() < 0.7:
            await asyncio.wait_for(protocol.full, 5)
    finally:
        for transport in opened:
            transport.abort() if hasattr(transport, "abort") else transport.close()
        await asyncio.sleep(0)
        source.close()
        sink.close()


async def timers(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    armed = [loop.call_later(rng.random() * 0.02 if i % 2 else 1000, int) for i in range(200)]
    try:
        with contextlib.suppress(TimeoutError):
            async with rng.choice(MODULES).timeout(rng.random() * 0.01):
                await asyncio.sleep(rng.random() * 0.02)
    finally:
        for timer in armed:
            timer.cancel()


async def executor(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    jobs: list[Any] = [loop.run_in_executor(None, time.sleep, 0.001) for _ in range(3)]
    jobs.append(asyncio.ensure_future(rng.choice(MODULES).to_thread(sum, range(100))))
    jobs.append(asyncio.ensure_future(loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)))
    try:
        if rng.random() < 0.3:
            jobs[0].cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
    finally:
        for job in jobs:
            job.cancel()


async def sockets(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    try:
        await loop.sock_connect(sock, town.tcp)
        data = some_bytes(rng)
        sending = asyncio.ensure_future(loop.sock_sendall(sock, data))
        try:
            got = 0
            buffer = bytearray(65536)
            while got < len(data):
                if rng.random() < 0.5:
                    count = len(await asyncio.wait_for(loop.sock_recv(sock, 65536), 2))
                else:
                    count = await asyncio.wait_for(loop.sock_recv_into(sock, buffer), 2)
                if not count:
                    break
                got += count
            if rng.random() < 0.3:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(loop.sock_recv(sock, 1), 0.001)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await sending
    finally:
        sock.close()


async def serving(town: Town, rng: random.Random) -> None:
    """A server of its own, that goes while its clients are there."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(town.echo, "127.0.0.1", 0)
    made: list[Any] = []
    try:
        address = server.sockets[0].getsockname()
        for _ in range(rng.randrange(1, 6)):
            made.append(await loop.create_connection(Collect, *address))
            made[-1][0].write(some_bytes(rng))
        await asyncio.sleep(0)
    finally:
        server.close()
        server.abort_clients() if rng.random() < 0.5 else server.close_clients()
        for transport, _ in made:
            transport.abort() if rng.random() < 0.5 else transport.close()
        lost = {protocol.lost for _, protocol in made}
        try:
            if lost:
                await asyncio.wait(lost, timeout=0.2)
        finally:
            server.abort_clients()
            for transport, _ in made:
                transport.abort()
        await server.wait_closed()


async def tasks(town: Town, rng: random.Random) -> None:
    module = rng.choice(MODULES)
    lock, queue = module.Lock(), module.Queue(2)

    async def child(number: int) -> None:
        async with lock:
            await asyncio.sleep(0)
        if rng.random() < 0.05:
            raise OSError("one child in twenty fails")
        with contextlib.suppress(TimeoutError):
            await module.wait_for(queue.put(number), 0.002)

    async def numbers() -> AsyncIterator[int]:
        for number in range(100):
            await asyncio.sleep(0)
            yield number

    with contextlib.suppress(ExceptionGroup):
        async with module.TaskGroup() as group:
            for number in range(10):
                group.create_task(child(number))
    async for number in numbers():
        if number > rng.randrange(20):
            break  # leaves the generator open: the loop's finalizer closes it
    await module.gather(*(child(number) for number in range(5)), return_exceptions=True)


async def signals(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    if loop.soak_signals:  # type: ignore[attr-defined]  # one round at a time has the handler
        return
    loop.soak_signals = True  # type: ignore[attr-defined]
    came = asyncio.Event()
    try:
        loop.add_signal_handler(signal.SIGUSR1, came.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(came.wait(), 5)
    finally:
        while not came.is_set():  # cancelled meanwhile: without a handler the signal would end the process
            with contextlib.suppress(asyncio.CancelledError):
                await came.wait()
        loop.remove_signal_handler(signal.SIGUSR1)
        loop.soak_signals = False  # type: ignore[attr-defined]


async def loops(town: Town, rng: random.Random) -> None:
    """A second loop in a thread, that ends with things on it."""

    async def inside() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        loop.call_later(100, int)
        sleeper = loop.create_task(asyncio.sleep(100))
        await asyncio.sleep(0)
        transport.abort()
        server.close()
        server.abort_clients()
        await server.wait_closed()
        sleeper.cancel()

    thread = threading.Thread(target=lambda: yieldloop.run(inside()))
    thread.start()
    while thread.is_alive():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.001)
    thread.join()


ROUNDS: dict[str, Round] = {
    "tcp": tcp, "streams": streams, "tls": tls, "start_tls": start_tls, "udp": udp, "unix": unix, "processes": processes,
    "pipes": pipes, "timers": timers, "executor": executor, "sockets": sockets, "serving": serving, "tasks": tasks,
    "signals": signals, "loops": loops,
}  # fmt: skip
