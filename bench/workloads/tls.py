"""TLS 1.3 echo by Protocol and by streams, in small messages and in large ones; and what an idle connection costs.

The certificate is made at the start (ECDSA, P-256), and neither side verifies the other's: what is measured is the connection, not
the handshake.
"""

from __future__ import annotations

import ssl

from harness import load
from harness.spec import Aim, workload
from workloads.echo import FIRST_BATCH, HOST, MESSAGE, port_of
from workloads.memory import resident_bytes

CONNECTIONS = 50
BULK = 256  # messages' worth of bytes in one, so 256 KiB
IDLE = 1_000


def server_context():
    import trustme

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return context


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def echo_by_protocol(aio, meter, connections, repeat, first):
    class Echo(aio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data)

    server = await aio.get_running_loop().create_server(Echo, HOST, 0, ssl=server_context())
    client = load.LoadClient(port_of(server), connections, MESSAGE, repeat, tls=True)
    await load.measure_server(aio, meter, client, first)
    server.close()


@workload("tls_protocol", "TLS", "echo of 1 KiB by a Protocol, 50 connections", target=1.4, needs=("trustme",))
async def tls_protocol(aio, meter):
    await echo_by_protocol(aio, meter, CONNECTIONS, 1, FIRST_BATCH)


@workload("tls_streams", "TLS", "echo of 1 KiB by streams, 50 connections", target=1.9, needs=("trustme",))
async def tls_streams(aio, meter):
    async def handle(reader, writer):
        try:
            while True:
                writer.write(await reader.readexactly(len(MESSAGE)))
                await writer.drain()
        except (aio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await aio.start_server(handle, HOST, 0, ssl=server_context())
    client = load.LoadClient(port_of(server), CONNECTIONS, MESSAGE, 1, tls=True)
    await load.measure_server(aio, meter, client, FIRST_BATCH)
    server.close()


@workload("tls_bulk", "TLS", "echo of 256 KiB by a Protocol, 4 connections", target=1.0, needs=("trustme",))
async def tls_bulk(aio, meter):
    await echo_by_protocol(aio, meter, 4, BULK, 20)


@workload(
    "tls_idle_bytes", "TLS", "resident bytes of one idle server connection",
    aims=(Aim(most=25_000),), abandon=True, needs=("trustme",),
)
async def tls_idle_bytes(aio, meter):
    made = []

    class Quiet(aio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            made.append(self)

    server = await aio.get_running_loop().create_server(Quiet, HOST, 0, ssl=server_context(), backlog=512)
    loop = aio.get_running_loop()
    sizes = []
    clients = []
    for count in (100, IDLE):  # the first batch fills free lists and pools
        clients.append(load.LoadClient(port_of(server), count, MESSAGE, 1, tls=True))
        await loop.run_in_executor(None, clients[-1].connect)
        sizes.append(resident_bytes())
    meter.record(bytes=(sizes[1] - sizes[0]) / IDLE)
    for client in clients:
        client.close()
    assert len(made) == 100 + IDLE
