"""The options of `create_connection` and `create_server`: each does what it is there for, on a real socket."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

LOCAL = "127.0.0.1"


class Quiet(asyncio.Protocol):
    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Any) -> None:
        self.lost.set_result(exc)


def free_port() -> int:
    with socket.create_server((LOCAL, 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


async def over(server: Any, *protocols: Quiet) -> None:
    server.close()
    for protocol in protocols:
        await protocol.lost
    await asyncio.sleep(0)


def test_local_addr_is_the_address_that_the_peer_sees(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Quiet, LOCAL, 0)
        port = free_port()
        transport, client = await loop.create_connection(
            Quiet, *server.sockets[0].getsockname(), local_addr=("127.0.0.2", port)
        )
        assert transport.get_extra_info("sockname") == ("127.0.0.2", port)
        transport.close()
        await over(server, client)

    api.run(main())


def test_all_errors_are_a_group_and_one_error_is_itself(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(ExceptionGroup) as caught:
            await loop.create_connection(Quiet, LOCAL, free_port(), all_errors=True)
        assert [type(error) for error in caught.value.exceptions] == [ConnectionRefusedError]
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Quiet, LOCAL, free_port())

    if not api.ours and "all_errors" not in asyncio.BaseEventLoop.create_connection.__kwdefaults__:
        pytest.skip("all_errors is 3.12's")
    api.run(main())


@pytest.mark.parametrize(("interleave", "order"), [(1, "4646"), (2, "4466"), (None, "4466")])
def test_interleave_takes_the_families_in_turn(
    ours: Any, monkeypatch: pytest.MonkeyPatch, interleave: int | None, order: str
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        four = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (LOCAL, 1 + i)) for i in range(2)]
        six = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1 + i, 0, 0)) for i in range(2)]
        tried: list[str] = []

        async def lookup(*args: Any, **keywords: Any) -> Any:
            return four + six

        async def connect_one(errors: list[Any], info: Any, local: Any) -> None:
            tried.append("4" if info[0] == socket.AF_INET else "6")
            errors.append(ConnectionRefusedError(info[4]))

        monkeypatch.setattr(loop, "_ensure_resolved", lookup)
        monkeypatch.setattr(loop, "_connect_one", connect_one)
        with pytest.raises(OSError, match="Multiple exceptions"):
            await loop.create_connection(Quiet, "name", 1, interleave=interleave)
        assert "".join(tried) == order

    ours.run(main())


def test_a_server_listens_on_every_address_it_is_given(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for attempts_left in range(4, -1, -1):
            port = free_port()
            try:
                server = await loop.create_server(Quiet, ["127.0.0.1", "127.0.0.2", "127.0.0.3"], port)
                break
            except OSError as exc:  # another process may take the port on one of them meanwhile
                if exc.errno != errno.EADDRINUSE or not attempts_left:
                    raise
        clients = []
        for host in ("127.0.0.3", "127.0.0.1", "127.0.0.2"):
            transport, client = await loop.create_connection(Quiet, host, port)
            clients.append(client)
            transport.close()
        await over(server, *clients)

    api.run(main())


def test_two_servers_share_a_port_by_reuse_port(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        port = free_port()
        one = await loop.create_server(Quiet, LOCAL, port, reuse_port=True)
        two = await loop.create_server(Quiet, LOCAL, port, reuse_port=True)
        with pytest.raises(OSError, match="error while attempting to bind on address"):
            await loop.create_server(Quiet, LOCAL, port)
        await over(one)
        await over(two)

    api.run(main())


def test_keep_alive_is_set_on_what_is_accepted(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = loop.create_future()

        class Server(Quiet):
            def connection_made(self, transport: Any) -> None:
                made.set_result((self, transport))

        server = await loop.create_server(Server, LOCAL, 0, keep_alive=True)
        transport, client = await loop.create_connection(Quiet, *server.sockets[0].getsockname())
        protocol, accepted = await made
        assert accepted.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        transport.close()
        await over(server, client, protocol)

    ours.run(main())


def test_start_serving_false_refuses_until_it_starts(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Quiet, LOCAL, 0, start_serving=False)
        address = server.sockets[0].getsockname()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Quiet, *address)
        await server.start_serving()
        transport, client = await loop.create_connection(Quiet, *address)
        transport.close()
        await over(server, client)

    api.run(main())


def test_backlog_is_what_the_socket_listens_with(api: Any) -> None:
    async def main() -> None:
        asked: list[int] = []

        class Listener(socket.socket):
            def listen(self, backlog: int = -1) -> None:
                asked.append(backlog)
                super().listen(backlog)

        listener = Listener()
        listener.bind((LOCAL, 0))
        server = await asyncio.get_running_loop().create_server(Quiet, sock=listener, backlog=7)
        assert asked == [7]
        await over(server)

    api.run(main())
