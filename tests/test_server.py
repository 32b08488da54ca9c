"""`Server` and `connect_accepted_socket`, over TCP and over Unix sockets: the life of a server as Python 3.13 has it."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.test_tcp import LOCAL, Log, port_of

KINDS = ["tcp", "unix"]


@pytest.fixture(params=KINDS)
def net(request: pytest.FixtureRequest, tmp_path: Path) -> Net:
    return Net(request.param, tmp_path)


class Net:
    """One kind of stream socket: `serve` and `connect` by it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.path = str(folder / "socket")
        self.logs: list[Log] = []  # of the connections that the server accepted
        self.clients: list[Any] = []  # held here: a transport that nobody holds is closed with a warning

    def factory(self) -> Log:
        self.logs.append(Log())
        return self.logs[-1]

    async def serve(self, factory: Any = None, **options: Any) -> Any:
        loop = asyncio.get_running_loop()
        if self.kind == "tcp":
            return await loop.create_server(factory or self.factory, LOCAL, 0, **options)
        return await loop.create_unix_server(factory or self.factory, self.path, **options)

    async def connect(self, server: Any) -> Log:
        """The log of a new client that the server has accepted."""
        loop = asyncio.get_running_loop()
        before = len(self.logs)
        if self.kind == "tcp":
            transport, log = await loop.create_connection(Log, LOCAL, port_of(server))
        else:
            transport, log = await loop.create_unix_connection(Log, self.path)
        self.clients.append(transport)
        async with asyncio.timeout(10):
            while len(self.logs) == before:
                await asyncio.sleep(0)
        await self.logs[-1].until(lambda: self.logs[-1].events)
        made: Log = log
        return made

    def sockets(self) -> tuple[Any, Any, Any]:
        """(listener, client, accepted): plain sockets."""
        if self.kind == "tcp":
            listener = socket.create_server((LOCAL, 0))
            client = socket.create_connection(listener.getsockname())
        else:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(self.path)
            listener.listen()
            client = socket.socket(socket.AF_UNIX)
            client.connect(self.path)
        return listener, client, listener.accept()[0]


def modern(api: Any) -> bool:
    """Whether the running Python's own server knows 3.13's ways; ours does everywhere."""
    return api.ours or sys.version_info >= (3, 13)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_server_waits_for_its_last_connection(api: Any, net: Net) -> None:
    async def main() -> None:
        server = await net.serve()
        client = await net.connect(server)
        other = await net.connect(server)
        waiting = [asyncio.create_task(server.wait_closed()) for _ in range(2)]
        await turns()
        server.close()
        await turns()
        assert not any(task.done() for task in waiting)
        client.transport.close()
        await client.lost
        await turns()
        assert not any(task.done() for task in waiting)
        other.transport.close()
        async with asyncio.timeout(10):
            await asyncio.gather(*waiting)
            await server.wait_closed()
        assert [log.events for log in net.logs] == [["made", "eof", "lost"]] * 2

    if modern(api):
        api.run(main())


def test_wait_closed_waits_for_close_too(api: Any, net: Net) -> None:
    async def main() -> None:
        server = await net.serve()
        waiting = asyncio.create_task(server.wait_closed())
        await turns()
        assert not waiting.done()
        server.close()
        async with asyncio.timeout(10):
            await waiting

    if modern(api):
        api.run(main())


def test_a_cancelled_wait_leaves_the_others_waiting(api: Any, net: Net) -> None:
    async def main() -> None:
        server = await net.serve()
        first, second = (asyncio.create_task(server.wait_closed()) for _ in range(2))
        await turns()
        first.cancel()
        await turns()
        assert first.cancelled() and not second.done()
        server.close()
        async with asyncio.timeout(10):
            await second

    if modern(api):
        api.run(main())


def test_close_lets_connections_go_on(api: Any, net: Net) -> None:
    async def main() -> None:
        server = await net.serve()
        client = await net.connect(server)
        assert len(server.sockets) == 1 and server.is_serving()
        server.close()
        server.close()
        assert server.sockets == () and not server.is_serving()
        net.logs[0].transport.write(b"still here")
        await client.until(lambda: bytes(client.data) == b"still here")
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            await asyncio.get_running_loop().sock_connect(socket_of(net, server, client), name_of(client))
        net.logs[0].transport.close()
        async with asyncio.timeout(10):
            await server.wait_closed()
        await client.lost

    opened: list[Any] = []

    def socket_of(net: Net, server: Any, client: Log) -> Any:
        opened.append(socket.socket(socket.AF_INET if net.kind == "tcp" else socket.AF_UNIX))
        opened[-1].setblocking(False)
        return opened[-1]

    def name_of(client: Log) -> Any:
        return client.transport.get_extra_info("peername")

    api.run(main())
    for sock in opened:
        sock.close()


def test_close_clients_sends_what_is_queued_and_abort_clients_does_not(api: Any, net: Net) -> None:
    async def main() -> None:
        for how in ("close_clients", "abort_clients"):
            net.logs.clear()
            server = await net.serve()
            clients = [await net.connect(server) for _ in range(3)]
            payload = b"x" * 12_000_000  # more than the windows of TCP grow to
            for log in net.logs:
                log.transport.write(payload)
                assert log.transport.get_write_buffer_size()
            server.close()
            getattr(server, how)()
            async with asyncio.timeout(30):
                await server.wait_closed()
                for client in clients:
                    await client.lost
            if how == "close_clients":
                assert [len(client.data) for client in clients] == [len(payload)] * 3
            else:
                assert all(len(client.data) < len(payload) for client in clients)
            assert [log.events.count("lost") for log in [*net.logs, *clients]] == [1] * 6
            assert [log.error for log in net.logs] == [None] * 3

    if modern(api):
        api.run(main())


def test_serve_forever_serves_until_it_is_cancelled(api: Any, net: Net) -> None:
    async def main() -> None:
        server = await net.serve(start_serving=False)
        assert not server.is_serving()
        serving = asyncio.create_task(server.serve_forever())
        await turns()
        assert server.is_serving()
        client = await net.connect(server)
        with pytest.raises(RuntimeError, match="is already being awaited on serve_forever"):
            await server.serve_forever()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(10):
                await serving
        assert not server.is_serving() and server.sockets == ()
        await client.lost
        with pytest.raises(RuntimeError, match="is closed"):
            await server.serve_forever()
        with pytest.raises(RuntimeError, match="is closed"):
            await server.start_serving()

    if api.ours:  # the standard library's may wait for a client that stays
        api.run(main())


def test_closing_the_server_ends_serve_forever(api: Any, net: Net) -> None:
    async def main() -> None:
        server = await net.serve()
        serving = asyncio.create_task(server.serve_forever())
        await turns()
        server.close()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(10):
                await serving

    api.run(main())


def test_a_server_is_a_context_manager(api: Any, net: Net) -> None:
    async def main() -> None:
        async with await net.serve() as server:
            assert isinstance(server, asyncio.Server) and isinstance(server, asyncio.AbstractServer)
            assert server.get_loop() is asyncio.get_running_loop()
            client = await net.connect(server)
            client.transport.close()
        assert server.sockets == ()
        await client.lost

    api.run(main())


def test_its_sockets_cannot_be_closed_by_mistake(api: Any, net: Net) -> None:
    async def main() -> None:
        async with await net.serve() as server:
            (listener,) = server.sockets
            assert isinstance(listener, asyncio.trsock.TransportSocket) and not hasattr(listener, "close")
            assert listener.getsockname() == (net.path if net.kind == "unix" else (LOCAL, port_of(server)))

    api.run(main())


def test_a_listening_socket_is_taken_over(api: Any, net: Net) -> None:
    async def main() -> None:
        listener, client, accepted = net.sockets()
        client.close()
        accepted.close()
        loop = asyncio.get_running_loop()
        make = loop.create_server if net.kind == "tcp" else loop.create_unix_server
        server = await make(net.factory, sock=listener)
        client_log = await net.connect(server)
        client_log.transport.close()
        server.close()
        async with asyncio.timeout(10):
            await server.wait_closed()
            await client_log.lost
            await net.logs[0].lost
        assert listener.fileno() == -1

    api.run(main())


def test_a_factory_that_fails_closes_that_connection_only(api: Any, net: Net) -> None:
    async def main() -> None:
        def factory() -> Log:
            if not calls:
                calls.append(1)
                raise ValueError("broken on purpose")
            return net.factory()

        calls: list[int] = []
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        server = await net.serve(factory)
        loop = asyncio.get_running_loop()
        if net.kind == "tcp":
            _transport, first = await loop.create_connection(Log, LOCAL, port_of(server))
        else:
            _transport, first = await loop.create_unix_connection(Log, net.path)
        async with asyncio.timeout(10):
            await first.lost
        second = await net.connect(server)
        second.transport.close()
        server.close()
        async with asyncio.timeout(10):
            await server.wait_closed()
            await second.lost
            await net.logs[0].lost
        (report,) = reports
        assert report["message"] == "Error on transport creation for incoming connection"
        assert isinstance(report["exception"], ValueError)

    if api.ours:  # the standard library leaves that connection open until the collector finds it
        api.run(main())


# --- connect_accepted_socket -----------------------------------------------------------------------------------------------


def test_an_accepted_socket_becomes_a_transport(api: Any, net: Net) -> None:
    async def main() -> None:
        listener, client, accepted = net.sockets()
        loop = asyncio.get_running_loop()
        client.setblocking(False)
        transport, log = await loop.connect_accepted_socket(Log, accepted)
        assert accepted.gettimeout() == 0 and isinstance(transport, asyncio.Transport)
        assert transport.get_extra_info("sockname") == listener.getsockname()
        await loop.sock_sendall(client, b"question")
        await log.until(lambda: bytes(log.data) == b"question")
        transport.write(b"answer")
        transport.close()
        assert await loop.sock_recv(client, 100) == b"answer"
        assert await loop.sock_recv(client, 100) == b""
        await log.lost
        assert log.events == ["made", "data", "lost"]
        client.close()
        listener.close()

    api.run(main())


def test_an_accepted_socket_has_to_be_a_plain_stream(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            with pytest.raises(ValueError, match="A Stream Socket was expected, got"):
                await loop.connect_accepted_socket(Log, sock)
        left, right = socket.socketpair()
        with left, right:
            for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout"):
                with pytest.raises(ValueError, match=f"{name} is only meaningful with ssl"):
                    await loop.connect_accepted_socket(Log, left, **{name: 1})

    api.run(main())


def test_a_factory_that_fails_closes_the_socket_that_nobody_else_has(api: Any) -> None:
    async def main() -> None:
        def fail() -> Any:
            raise ValueError("broken on purpose")

        left, right = socket.socketpair()
        with left, right:
            with pytest.raises(ValueError, match="on purpose"):
                await asyncio.get_running_loop().connect_accepted_socket(fail, left)
            if api.ours:  # as Python 3.14.10 does (cpython 153133)
                assert left.fileno() == -1

    api.run(main())
