"""TCP echo of 1 KiB on 50 connections by the three faces of the loop: Protocol, streams, `sock_*`; and in bare C."""

from __future__ import annotations

import socket
import subprocess

from harness import load
from harness import meter as metering
from harness.impls import Unavailable
from harness.spec import Aim, workload

CONNECTIONS = 50
#: No two neighbouring bytes are equal, so that a shifted reply is seen by the client.
MESSAGE = bytes(33 + i * 7 % 89 for i in range(1024))
FIRST_BATCH = 1_000
HOST = "127.0.0.1"


def client_for(port):
    return load.LoadClient(port, CONNECTIONS, MESSAGE, len(MESSAGE), echo=True)


def bare_c(meter, where="tcp"):
    """The C server for TCP, "udp" or "unix:PATH"; its CPU is read from outside, by its clock."""
    program = load.compile_c("echo_epoll")
    if program is None:
        raise Unavailable("no C compiler: set CC or install cc")
    server = subprocess.Popen([str(program), where], stdout=subprocess.PIPE, text=True)
    meter.clock = metering.clock_of(server.pid)
    port = server.stdout.readline().strip()
    client = client_for({"tcp": port, "udp": f"udp:{port}"}.get(where, where))
    try:
        client.connect()
        for n in meter.batches(FIRST_BATCH):
            client.exchange(n)
    finally:
        client.close()
        server.kill()
        server.communicate()


@workload(
    "tcp_protocol",
    "TCP",
    "echo of 1 KiB by a Protocol, 50 connections",
    target=1.0,
    aims=(Aim(1 / 1.15, "c"), Aim(1.0, "blazio")),
    bare=bare_c,
)
async def tcp_protocol(aio, meter):
    class Echo(aio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data)

    server = await aio.get_running_loop().create_server(Echo, HOST, 0)
    await load.measure_server(aio, meter, client_for(port_of(server)), FIRST_BATCH)
    server.close()


@workload(
    "tcp_streams",
    "TCP",
    "echo of 1 KiB by streams (`readexactly`, `write`, `drain`), 50 connections",
    target=1.6,
    aims=(Aim(1.15, of="yieldloop-loop"),),
)
async def tcp_streams(aio, meter):
    async def handle(reader, writer):
        try:
            while True:
                writer.write(await reader.readexactly(len(MESSAGE)))
                await writer.drain()
        except (aio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await aio.start_server(handle, HOST, 0)
    await load.measure_server(aio, meter, client_for(port_of(server)), FIRST_BATCH)
    server.close()


@workload("tcp_sock", "TCP", "echo of 1 KiB by `sock_recv` and `sock_sendall`, 50 connections", target=2.3)
async def tcp_sock(aio, meter):
    loop = aio.get_running_loop()

    async def handle(link):
        with link:
            try:
                while data := await loop.sock_recv(link, 65536):
                    await loop.sock_sendall(link, data)
            except ConnectionError:
                pass

    async def accept(listener):
        while True:
            link, _ = await loop.sock_accept(listener)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            handlers.add(loop.create_task(handle(link)))

    handlers = set()
    with socket.create_server((HOST, 0), backlog=512) as listener:
        listener.setblocking(False)
        accepting = loop.create_task(accept(listener))
        await load.measure_server(aio, meter, client_for(listener.getsockname()[1]), FIRST_BATCH)
        accepting.cancel()
        await aio.wait([accepting, *handlers], timeout=5.0)


def port_of(server):
    return server.sockets[0].getsockname()[1]
