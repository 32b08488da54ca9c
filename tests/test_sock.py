"""`sock_*` and name look-ups: tried at once, awaited if need be, cancelled without a loss."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import pytest


def pair() -> tuple[Any, Any]:
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


def test_bytes_go_both_ways_in_any_size(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            payload = bytes(range(256)) * 20_000
            sending = loop.create_task(loop.sock_sendall(one, payload))
            got = bytearray()
            memory = bytearray(50_000)
            while len(got) < len(payload):
                if len(got) % 2:
                    got += await loop.sock_recv(other, 33_333)
                else:
                    got += memory[: await loop.sock_recv_into(other, memory)]
            await sending
            assert bytes(got) == payload
            one.shutdown(socket.SHUT_WR)
            assert await loop.sock_recv(other, 1) == b""

    api.run(main())


def test_a_cancelled_receive_loses_nothing(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            receiving = loop.create_task(loop.sock_recv(other, 100))
            await asyncio.sleep(0)
            receiving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await receiving
            await loop.sock_sendall(one, b"kept")
            assert await loop.sock_recv(other, 100) == b"kept"

    api.run(main())


def test_two_tasks_may_wait_for_one_socket(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            both = [loop.create_task(loop.sock_recv(other, 1)) for _ in range(2)]
            await asyncio.sleep(0)
            one.send(b"a")
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED, timeout=5)
            assert len(done) == 1
            one.send(b"b")
            assert sorted(await asyncio.gather(*both)) == [b"a", b"b"]

    ours.run(main())


def test_connect_and_accept(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            listener.setblocking(False)
            client.setblocking(False)
            accepting = loop.create_task(loop.sock_accept(listener))
            await loop.sock_connect(client, ("localhost", listener.getsockname()[1]))
            conn, address = await accepting
            with conn:
                assert conn.gettimeout() == 0 and address == client.getsockname()

    api.run(main())


def test_a_refused_connect_raises(api: Any) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
        with socket.socket() as client:
            client.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.get_running_loop().sock_connect(client, address)

    api.run(main())


def test_datagrams(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
            for sock in (one, other):
                sock.bind(("127.0.0.1", 0))
                sock.setblocking(False)
            receiving = loop.create_task(loop.sock_recvfrom(other, 100))
            await asyncio.sleep(0)
            assert await loop.sock_sendto(one, b"first", other.getsockname()) == 5
            assert await receiving == (b"first", one.getsockname())
            await loop.sock_sendto(one, b"second", other.getsockname())
            memory = bytearray(10)
            assert await loop.sock_recvfrom_into(other, memory) == (6, one.getsockname())
            assert memory[:6] == b"second"

    api.run(main())


def test_unfit_sockets_are_refused(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        one.setblocking(True)
        with one, other:
            with pytest.raises(ValueError, match="must be non-blocking"):
                await loop.sock_recv(one, 1)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            with context.wrap_socket(other, do_handshake_on_connect=False) as wrapped:
                with pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"):
                    await loop.sock_sendall(wrapped, b"")

    api.run(main(), debug=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.1", None, b"127.0.0.1", "fe80::1%lo"])
@pytest.mark.parametrize("port", [80, "80", None])
@pytest.mark.parametrize("kind", [0, socket.SOCK_STREAM])
def test_literals_are_answered_as_the_system_answers_them(ours: Any, host: Any, port: Any, kind: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        try:
            expected: Any = socket.getaddrinfo(host, port, type=kind)
        except OSError:
            with pytest.raises(OSError):
                await loop.getaddrinfo(host, port, type=kind)
        else:
            assert await loop.getaddrinfo(host, port, type=kind) == expected
            assert loop._default_executor is None  # no thread was needed

    ours.run(main())


def test_names_are_looked_up_in_a_thread(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        assert found == socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        assert await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV) == ("127.0.0.1", "80")

    api.run(main())
