"""A peer that asks for a new handshake inside a TLS 1.2 connection, be it client or server, is refused: by a real openssl."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import NAME, authority, client_context, server_context

LOCAL = "127.0.0.1"
ALLOW_CLIENT_RENEGOTIATION = 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION: OpenSSL itself would refuse a client's without it

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl program")


class Log(asyncio.Protocol):
    def __init__(self) -> None:
        self.made: Any = asyncio.get_running_loop().create_future()
        self.told: Any = asyncio.get_running_loop().create_future()  # data, or the error of the end
        self.lost: Any = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.made.set_result(transport)

    def data_received(self, data: bytes) -> None:
        if not self.told.done():
            self.told.set_result(data)

    def connection_lost(self, exc: Any) -> None:
        if not self.told.done():
            self.told.set_result(exc)
        self.lost.set_result(exc)


class Peer:
    """An openssl program that speaks TLS 1.2 and sends what is written to it; a line that begins with R or r is a command."""

    def __init__(self, *args: str) -> None:
        self.program = subprocess.Popen(
            ["openssl", *args, "-tls1_2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def write(self, line: bytes) -> None:
        assert self.program.stdin is not None
        self.program.stdin.write(line)
        self.program.stdin.flush()

    async def until(self, word: bytes) -> bytes:
        """The line that begins with *word*."""
        assert self.program.stdout is not None
        while not (line := await asyncio.to_thread(self.program.stdout.readline)).startswith(word):
            assert line, f"openssl has ended without {word!r}"
        return line

    def close(self) -> None:
        self.program.kill()
        self.program.communicate()


async def refused(protocol: Log, peer: Peer, command: bytes) -> None:
    """The connection works; at *command* it ends, and so does nothing but the connection."""
    await asyncio.wait_for(protocol.made, 10)
    peer.write(b"hello\n")
    assert await asyncio.wait_for(protocol.told, 10) == b"hello\n"
    peer.write(command)
    error = await asyncio.wait_for(protocol.lost, 10)
    assert isinstance(error, ssl.SSLError) and "renegotiation" in str(error)


def test_a_clients_renegotiation_is_refused(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: None)
        made: list[Log] = []

        def serve() -> Log:
            made.append(Log())
            return made[-1]

        context = server_context("renegotiation.test", only=ssl.TLSVersion.TLSv1_2)
        context.options |= ALLOW_CLIENT_RENEGOTIATION  # a context that no other test has, for the name
        server = await loop.create_server(serve, LOCAL, 0, ssl=context)
        peer = Peer("s_client", "-connect", "{}:{}".format(*server.sockets[0].getsockname()))
        try:
            async with asyncio.timeout(10):
                while not made:
                    await asyncio.sleep(0.001)
            await refused(made[0], peer, b"R\n")
            await asyncio.wait_for(peer.until(b"RENEGOTIATING"), 10)  # it did ask
        finally:
            peer.close()
        server.close()
        await server.wait_closed()

    ours.run(main())


def test_a_servers_renegotiation_is_refused(ours: Any, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: None)
        file = tmp_path / "server.pem"
        authority().issue_cert(NAME).private_key_and_cert_chain_pem.write_to_path(str(file))
        peer = Peer("s_server", "-accept", f"{LOCAL}:0", "-cert", str(file), "-key", str(file))
        try:
            port = int((await asyncio.wait_for(peer.until(b"ACCEPT"), 10)).rpartition(b":")[2])
            context = client_context(only=ssl.TLSVersion.TLSv1_2)
            _, protocol = await loop.create_connection(Log, LOCAL, port, ssl=context, server_hostname=NAME)
            await refused(protocol, peer, b"r\n")
        finally:
            peer.close()

    ours.run(main())
