"""Echo of 1 KiB over the other two kinds of socket: UDP, and Unix streams by Protocol and by streams."""

from __future__ import annotations

import os
import tempfile

from harness import load
from harness.spec import workload
from workloads.echo import FIRST_BATCH, HOST, MESSAGE, bare_c, client_for


def bare_udp(meter):
    bare_c(meter, "udp")


def bare_unix(meter):
    with tempfile.TemporaryDirectory() as folder:
        bare_c(meter, f"unix:{os.path.join(folder, 'echo')}")


@workload("udp", "UDP", "echo of 1 KiB by one datagram endpoint, 50 clients", target=1.4, bare=bare_udp)
async def udp(aio, meter):
    class Echo(aio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            self.transport.sendto(data, addr)

    transport, _ = await aio.get_running_loop().create_datagram_endpoint(Echo, local_addr=(HOST, 0))
    port = transport.get_extra_info("sockname")[1]
    await load.measure_server(aio, meter, client_for(f"udp:{port}"), FIRST_BATCH)
    transport.close()


@workload("unix_protocol", "Unix", "echo of 1 KiB by a Protocol over a Unix socket, 50 connections", target=1.3, bare=bare_unix)
async def unix_protocol(aio, meter):
    class Echo(aio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data)

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "echo")
        server = await aio.get_running_loop().create_unix_server(Echo, path)
        await load.measure_server(aio, meter, client_for(f"unix:{path}"), FIRST_BATCH)
        server.close()


@workload("unix_streams", "Unix", "echo of 1 KiB by streams over a Unix socket, 50 connections", target=1.3)
async def unix_streams(aio, meter):
    async def handle(reader, writer):
        try:
            while True:
                writer.write(await reader.readexactly(len(MESSAGE)))
                await writer.drain()
        except (aio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "echo")
        server = await aio.start_unix_server(handle, path)
        await load.measure_server(aio, meter, client_for(f"unix:{path}"), FIRST_BATCH)
        server.close()
