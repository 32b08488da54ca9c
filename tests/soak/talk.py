"""The other side of every connection: servers that echo, and now and then reset, fall silent or close without a word.

What lives here: long-lived servers of each kind, and small protocols for both sides. What may not: the rounds (`work`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

CERTIFICATE = Path(__file__).with_name("localhost.pem")


def reset(transport: Any) -> None:
    """Close by RST instead of FIN (socket(7), SO_LINGER of no time)."""
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already, or a Unix socket that has no RST
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Echo(asyncio.Protocol):
    """Echoes; one connection in eight ends by a fate of its own."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.fate = rng.choice(("reset", "close", "abort", "eof")) if rng.random() < 0.125 else ""
        self.left = rng.randrange(1, 200_000)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if self.rng.random() < 0.1:
            transport.set_write_buffer_limits(1024)

    def data_received(self, data: bytes) -> None:
        self.left -= len(data)
        if self.fate and self.left < 0:
            fate, self.fate = self.fate, ""
            if fate == "reset":
                reset(self.transport)
            elif fate == "eof" and self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                getattr(self.transport, "abort" if fate == "abort" else "close")()
            return
        if not self.transport.is_closing():
            with contextlib.suppress(RuntimeError):  # after its own write_eof()
                self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


class EchoDatagrams(asyncio.DatagramProtocol):
    """Echoes three datagrams of four."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        if self.rng.random() < 0.75:
            self.transport.sendto(data, address)


class Collect(asyncio.Protocol):
    """A client: counts what comes in; `lost` is done when the connection is."""

    def __init__(self) -> None:
        self.got = 0
        self.enough = 0  # bytes; then `full` is done
        loop = asyncio.get_running_loop()
        self.full: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    def data_received(self, data: bytes) -> None:
        self.got += len(data)
        if self.got >= self.enough and not self.full.done():
            self.full.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        for future in (self.full, self.lost):
            if not future.done():
                future.set_result(None)


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for the server and for the client, who trusts that server's certificate alone."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    client = ssl.create_default_context(cafile=str(CERTIFICATE))
    return server, client


class Town:
    """The servers that run as long as the soak."""

    def __init__(self, rng: random.Random, folder: str) -> None:
        self.rng = rng
        self.path = os.path.join(folder, "echo.sock")
        self.server_tls, self.client_tls = contexts()
        self.udp: Any = None
        self.open: list[Any] = []

    def echo(self) -> Echo:
        return Echo(self.rng)

    async def begin(self) -> None:
        """Open them."""
        loop = asyncio.get_running_loop()
        tcp = await loop.create_server(self.echo, "127.0.0.1", 0)
        tls = await loop.create_server(self.echo, "127.0.0.1", 0, ssl=self.server_tls, ssl_handshake_timeout=5)
        self.open = [tcp, tls]
        self.tcp, self.tls = (server.sockets[0].getsockname() for server in self.open)
        with contextlib.suppress(NotImplementedError):
            self.open.append(await loop.create_unix_server(self.echo, self.path))
        with contextlib.suppress(NotImplementedError):
            made: Any = await loop.create_datagram_endpoint(lambda: EchoDatagrams(self.rng), ("127.0.0.1", 0))
            self.udp = made[0].get_extra_info("sockname")
            self.open.append(made[0])

    async def end(self) -> list[str]:
        """Close them, and every connection that is left. Returns what did not end in half a minute."""
        late: list[str] = []
        for thing in self.open:
            thing.close()
            if hasattr(thing, "close_clients"):
                thing.close_clients()
                try:
                    await asyncio.wait_for(thing.wait_closed(), 30)
                except TimeoutError:
                    late.append(f"{thing!r} does not end: it has {list(thing._clients)}")
        await asyncio.sleep(0)
        return late
