"""Files over sockets and transports: which bytes arrive, where the file stands afterwards, and what is refused."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import Iterator
from typing import Any

import pytest

SIZE = 1_500_000
CONTENT = bytes(i * 7 % 251 for i in range(SIZE))


@pytest.fixture
def file(tmp_path: Any) -> Iterator[Any]:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    with path.open("rb") as opened:
        yield opened


def pair() -> tuple[Any, Any]:
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


async def everything(loop: Any, sock: Any) -> bytes:
    got = bytearray()
    while data := await loop.sock_recv(sock, 1 << 16):
        got += data
    return bytes(got)


class Collector(asyncio.Protocol):
    """The receiving end of a transport's file."""

    def __init__(self, loop: Any) -> None:
        self.got = bytearray()
        self.ended = loop.create_future()
        self.made = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.made.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.got += data

    def connection_lost(self, exc: Any) -> None:
        self.ended.set_result(None)


class Sender(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def data_received(self, data: bytes) -> None:
        self.told.append(f"data {len(data)}")

    def connection_lost(self, exc: Any) -> None:
        self.told.append("lost")


async def connected(loop: Any) -> tuple[Any, Sender, Collector, Any]:
    """(transport, its protocol, the collector at the other end, the server)."""
    collector = Collector(loop)
    server = await loop.create_server(lambda: collector, "127.0.0.1", 0)
    transport, protocol = await loop.create_connection(Sender, *server.sockets[0].getsockname())
    await collector.made
    return transport, protocol, collector, server


def stall(transport: Any, collector: Collector) -> None:
    """The other end reads nothing, and little fits between."""
    collector.transport.pause_reading()
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
    collector.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)


PARTS = [(0, None), (1000, None), (0, 500_000), (1000, 500_001), (SIZE - 10, 100), (SIZE + 10, None)]


@pytest.mark.parametrize(("offset", "count"), PARTS)
@pytest.mark.parametrize("kind", ["file", "memory"])
def test_the_part_that_was_asked_for_arrives(api: Any, file: Any, kind: str, offset: int, count: int | None) -> None:
    expected = CONTENT[offset:] if count is None else CONTENT[offset : offset + count]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        source = file if kind == "file" else io.BytesIO(CONTENT)
        one, other = pair()
        with one, other:
            receiving = loop.create_task(everything(loop, other))
            assert await loop.sock_sendfile(one, source, offset, count) == len(expected)
            if expected:
                assert source.tell() == offset + len(expected)
            one.shutdown(socket.SHUT_WR)
            assert await receiving == expected

    api.run(main())


@pytest.mark.parametrize(("offset", "count"), PARTS)
@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_transport_sends_a_file_behind_what_was_written(
    api: Any, file: Any, kind: str, offset: int, count: int | None
) -> None:
    expected = CONTENT[offset:] if count is None else CONTENT[offset : offset + count]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        source = file if kind == "file" else io.BytesIO(CONTENT)
        transport, protocol, collector, server = await connected(loop)
        transport.write(b"head" * 200_000)
        assert await loop.sendfile(transport, source, offset, count) == len(expected)
        if expected:
            assert source.tell() == offset + len(expected)
        transport.write(b"tail")
        transport.close()
        await collector.ended
        assert collector.got == b"head" * 200_000 + expected + b"tail"
        assert protocol.told.count("pause") == protocol.told.count("resume")
        server.close()
        await server.wait_closed()

    api.run(main())


def test_a_file_without_a_descriptor_needs_the_fallback(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            with pytest.raises(api.m.SendfileNotAvailableError, match="not a regular file"):
                await loop.sock_sendfile(one, io.BytesIO(b"x"), fallback=False)
        transport, _, collector, server = await connected(loop)
        with pytest.raises(api.m.SendfileNotAvailableError, match="not a regular file"):
            await loop.sendfile(transport, io.BytesIO(b"x"), fallback=False)
        transport.write(b"still good")
        transport.close()
        await collector.ended
        assert collector.got == b"still good"
        server.close()
        await server.wait_closed()

    api.run(main())


def test_an_empty_file_is_sent(api: Any, tmp_path: Any) -> None:
    (tmp_path / "empty").touch()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other, (tmp_path / "empty").open("rb") as empty:
            assert await loop.sock_sendfile(one, empty) == 0

    api.run(main())


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((-1, None), ValueError, "offset must be a non-negative integer"),
        ((1.5, None), TypeError, "offset must be a non-negative integer"),
        ((0, 0), ValueError, "count must be a positive integer"),
        ((0, -3), ValueError, "count must be a positive integer"),
        ((0, 1.5), TypeError, "count must be a positive integer"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(api: Any, file: Any, arguments: Any, error: Any, words: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other:
            with pytest.raises(error, match=words):
                await loop.sock_sendfile(one, file, *arguments)

    api.run(main())


def test_unfit_files_and_sockets_are_refused(api: Any, file: Any, tmp_path: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one, other, (tmp_path / "content").open() as text:
            with pytest.raises(ValueError, match="binary mode"):
                await loop.sock_sendfile(one, text)
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.setblocking(False)
            with pytest.raises(ValueError, match="only SOCK_STREAM"):
                await loop.sock_sendfile(datagrams, file)

        class Strange:
            def is_closing(self) -> bool:
                return False

        with pytest.raises(RuntimeError, match="sendfile is not supported for transport"):
            await loop.sendfile(Strange(), file)

    api.run(main())


def test_a_closing_transport_sends_no_file(api: Any, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _, collector, server = await connected(loop)
        transport.close()
        with pytest.raises(RuntimeError, match="Transport is closing"):
            await loop.sendfile(transport, file)
        await collector.ended
        server.close()
        await server.wait_closed()

    api.run(main())


def test_nothing_is_written_while_a_file_is_sent(api: Any, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _, collector, server = await connected(loop)
        stall(transport, collector)
        sending = loop.create_task(loop.sendfile(transport, file))
        for _ in range(5):
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="sendfile is in progress"):
            transport.write(b"x")
        collector.transport.resume_reading()
        assert await sending == SIZE
        transport.close()
        await collector.ended
        assert collector.got == CONTENT
        server.close()
        await server.wait_closed()

    api.run(main())


def test_a_cancelled_file_leaves_a_transport_that_works(ours: Any, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _, collector, server = await connected(loop)
        stall(transport, collector)
        big = io.FileIO(file.name)
        sending = loop.create_task(loop.sendfile(transport, big))
        for _ in range(20):
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        sent = big.tell()
        big.close()
        collector.transport.resume_reading()
        transport.write(b"tail")
        transport.close()
        await collector.ended
        assert collector.got == CONTENT[:sent] + b"tail"
        server.close()
        await server.wait_closed()

    ours.run(main())


@pytest.mark.parametrize("end", ["abort", "close"])
def test_a_transport_that_ends_meanwhile_ends_the_sending(ours: Any, file: Any, end: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, collector, server = await connected(loop)
        stall(transport, collector)
        with open(file.name, "rb") as source:
            sending = loop.create_task(loop.sendfile(transport, source, 0, SIZE))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not sending.done()
            getattr(transport, end)()
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(sending, 10)
        assert "lost" in protocol.told
        collector.transport.abort()
        await collector.ended
        server.close()
        await server.wait_closed()

    ours.run(main())


def test_a_peer_that_goes_away_ends_the_sending(api: Any, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        with one:
            sending = loop.create_task(loop.sock_sendfile(one, file))
            for _ in range(5):
                await asyncio.sleep(0)
            other.close()
            with pytest.raises(ConnectionError):
                await sending
            assert file.tell() < SIZE

    api.run(main())
