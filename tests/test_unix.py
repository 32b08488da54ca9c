"""Unix stream sockets: paths, abstract names, socket files and whose they are."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import stat
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.test_tcp import Log

linux = pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's")


class Echo(Log):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


async def stop(server: Any, *transports: Any) -> None:
    for transport in transports:
        transport.close()
    server.close()
    async with asyncio.timeout(10):
        await server.wait_closed()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def ask(path: Any, data: bytes = b"question") -> tuple[Any, Any]:
    """(transport, protocol) of a client at *path* that has got *data* back."""
    transport, log = await asyncio.get_running_loop().create_unix_connection(Log, path)
    transport.write(data)
    await log.until(lambda: bytes(log.data) == data)
    return transport, log


def knows_cleanup(api: Any) -> bool:
    return api.ours or sys.version_info >= (3, 13)


# --- names -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, os.fsencode, Path], ids=["text", "bytes", "path"])
def test_a_path_may_be_text_bytes_or_a_path_object(api: Any, tmp_path: Path, kind: Any) -> None:
    async def main() -> None:
        path = kind(str(tmp_path / "socket"))
        server = await asyncio.get_running_loop().create_unix_server(Echo, path)
        transport, log = await ask(path)
        assert transport.get_extra_info("peername") == str(tmp_path / "socket")
        await stop(server, transport)
        assert log.events == ["made", "data", "lost"]

    api.run(main())


@linux
@pytest.mark.parametrize("kind", [str, str.encode], ids=["text", "bytes"])
def test_an_abstract_name_leaves_no_file(api: Any, kind: Any) -> None:
    async def main() -> None:
        name = f"\0yieldloop-{os.getpid()}-{random.random()}"
        server = await asyncio.get_running_loop().create_unix_server(Echo, kind(name))
        assert server.sockets[0].getsockname() == name.encode()
        transport, _ = await ask(kind(name))
        await stop(server, transport)
        with pytest.raises(ConnectionRefusedError):
            await ask(name)

    api.run(main())


def test_streams_over_a_unix_socket(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async def serve(reader: Any, writer: Any) -> None:
            async for line in reader:
                writer.write(line.upper())
                await writer.drain()
            writer.close()
            done.set()

        done = asyncio.Event()
        server = await api.m.start_unix_server(serve, tmp_path / "socket")
        reader, writer = await api.m.open_unix_connection(tmp_path / "socket")
        writer.writelines([b"one\n", b"two\n"])
        writer.write_eof()
        assert await reader.read() == b"ONE\nTWO\n"
        writer.close()
        await writer.wait_closed()
        await done.wait()
        await stop(server)

    api.run(main())


def test_the_module_has_both_stream_forms() -> None:
    import yieldloop

    assert {"open_unix_connection", "start_unix_server"} <= set(yieldloop.__all__)
    assert yieldloop.open_unix_connection is not asyncio.open_unix_connection
    assert yieldloop.start_unix_server is not asyncio.start_unix_server


# --- socket files ------------------------------------------------------------------------------------------------------------


def test_a_stale_socket_file_is_replaced(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "socket")
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        server = await asyncio.get_running_loop().create_unix_server(Echo, path)
        transport, _ = await ask(path)
        await stop(server, transport)

    api.run(main())


def test_a_file_that_is_no_socket_is_left_alone(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "file"
        path.write_text("precious")
        with pytest.raises(OSError, match=r"Address .* is already in use") as caught:
            await asyncio.get_running_loop().create_unix_server(Echo, path)
        assert caught.value.errno == errno.EADDRINUSE and str(path) in str(caught.value)
        assert path.read_text() == "precious"

    api.run(main())


def test_a_path_in_a_folder_that_is_none_is_logged_and_refused(
    api: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(NotADirectoryError):
            await asyncio.get_running_loop().create_unix_server(Echo, tmp_path / "file" / "socket")
        assert "Unable to check or remove stale UNIX socket" in caplog.text
        with pytest.raises(FileNotFoundError):
            await asyncio.get_running_loop().create_unix_server(Echo, tmp_path / "missing" / "socket")
        with pytest.raises(OSError, match="too long"):
            await asyncio.get_running_loop().create_unix_server(Echo, tmp_path / ("x" * 200))

    api.run(main())


def test_the_file_goes_with_the_server(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "socket"
        server = await asyncio.get_running_loop().create_unix_server(Echo, path)
        assert stat.S_ISSOCK(path.stat().st_mode)
        await stop(server)
        assert not path.exists()
        given = socket.socket(socket.AF_UNIX)
        given.bind(str(path))
        server = await asyncio.get_running_loop().create_unix_server(Echo, sock=given)
        await stop(server)
        assert not path.exists()

    if knows_cleanup(api):
        api.run(main())


def test_the_file_stays_if_asked_or_if_it_is_somebody_elses(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        path = tmp_path / "socket"
        server = await loop.create_unix_server(Echo, path, cleanup_socket=False)
        await stop(server)
        assert path.exists()
        first = await loop.create_unix_server(Echo, path)
        second = await loop.create_unix_server(Echo, path)  # takes the name over
        await stop(first)
        transport, _ = await ask(path)
        await stop(second, transport)
        assert not path.exists()
        server = await loop.create_unix_server(Echo, path)
        path.unlink()
        await stop(server)

    if knows_cleanup(api):
        api.run(main())


# --- refusals ----------------------------------------------------------------------------------------------------------------


def test_nobody_there_is_said_in_the_systems_words(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(FileNotFoundError):
            await loop.create_unix_connection(Log, tmp_path / "missing")
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(tmp_path / "stale"))
        with pytest.raises(ConnectionRefusedError):
            await loop.create_unix_connection(Log, tmp_path / "stale")
        with pytest.raises(TypeError):
            await loop.create_unix_connection(Log, 17)

    api.run(main())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ValueError, "no path and sock were specified"),
        ({"path": "x", "sock": True}, ValueError, "path and sock can not be specified at the same time"),
        ({"path": "x", "ssl": True}, ValueError, "you have to pass server_hostname when using ssl"),
        ({"path": "x", "server_hostname": "x"}, ValueError, "server_hostname is only meaningful with ssl"),
        ({"path": "x", "ssl_handshake_timeout": 1}, ValueError, "ssl_handshake_timeout is only meaningful with ssl"),
        ({"path": "x", "ssl_shutdown_timeout": 1}, ValueError, "ssl_shutdown_timeout is only meaningful with ssl"),
        ({"path": "x", "server_hostname": 17, "ssl": True}, AssertionError, "^"),
    ],
    ids=repr,
)
def test_impossible_connections_are_refused_in_the_standard_words(api: Any, options: Any, error: Any, words: str) -> None:
    async def main() -> None:
        with pytest.raises(error, match=words):
            await asyncio.get_running_loop().create_unix_connection(Log, **options)

    api.run(main())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ValueError, "path was not specified, and no sock specified"),
        ({"path": "x", "sock": True}, ValueError, "path and sock can not be specified at the same time"),
        ({"path": "x", "ssl": True}, TypeError, "ssl argument must be an SSLContext or None"),
        ({"path": "x", "ssl_handshake_timeout": 1}, ValueError, "ssl_handshake_timeout is only meaningful with ssl"),
        ({"path": "x", "ssl_shutdown_timeout": 1}, ValueError, "ssl_shutdown_timeout is only meaningful with ssl"),
    ],
    ids=repr,
)
def test_impossible_servers_are_refused_in_the_standard_words(api: Any, options: Any, error: Any, words: str) -> None:
    async def main() -> None:
        with pytest.raises(error, match=words):
            await asyncio.get_running_loop().create_unix_server(Log, **options)

    api.run(main())


def test_a_given_socket_has_to_be_a_unix_stream(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_DGRAM)):
            with socket.socket(family, kind) as sock:
                for make in (loop.create_unix_connection, loop.create_unix_server):
                    with pytest.raises(ValueError, match="A UNIX Domain Stream Socket was expected, got"):
                        await make(Log, sock=sock)

    api.run(main())


def test_a_failing_factory_leaves_nothing_open(ours: Any, tmp_path: Path) -> None:
    async def main() -> None:
        def fail() -> Any:
            raise ValueError("broken on purpose")

        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(Echo, tmp_path / "socket")
        with pytest.raises(ValueError, match="on purpose"):
            await loop.create_unix_connection(fail, tmp_path / "socket")
        await stop(server)

    ours.run(main())


def test_a_cancelled_connect_leaves_nothing_open(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as full:
            full.bind(str(tmp_path / "socket"))
            full.listen(0)
            waiting = [asyncio.create_task(loop.create_unix_connection(Log, tmp_path / "socket")) for _ in range(4)]
            await asyncio.sleep(0.02)
            for task in waiting:
                task.cancel()
            for result in await asyncio.gather(*waiting, return_exceptions=True):
                if isinstance(result, tuple):
                    result[0].close()
                    await result[1].lost
                else:
                    assert isinstance(result, (asyncio.CancelledError, BlockingIOError))

    api.run(main())


# --- connections -------------------------------------------------------------------------------------------------------------


def test_given_sockets_are_taken_over(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        client, log = await loop.create_unix_connection(Log, sock=left)
        _, echo = await loop.connect_accepted_socket(Echo, right)
        client.write(b"?")
        await log.until(lambda: bytes(log.data) == b"?")
        client.close()
        await log.lost
        await echo.lost
        assert left.fileno() == right.fileno() == -1
        assert echo.events == ["made", "data", "eof", "lost"]

    api.run(main())


def test_half_close_over_a_unix_socket(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        class Answer(Log):
            def eof_received(self) -> bool:
                super().eof_received()
                self.transport.write(b"%d bytes" % len(self.data))
                self.transport.close()
                return True

        server = await asyncio.get_running_loop().create_unix_server(Answer, tmp_path / "socket")
        transport, log = await asyncio.get_running_loop().create_unix_connection(Log, tmp_path / "socket")
        transport.write(b"x" * 1_000_000)
        transport.write_eof()
        await log.lost
        assert bytes(log.data) == b"1000000 bytes" and log.events[-2:] == ["eof", "lost"]
        await stop(server)

    api.run(main())


def test_a_connection_to_a_server_that_starts_later(api: Any, tmp_path: Path) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_unix_server(Echo, tmp_path / "socket", start_serving=False, backlog=5)
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await ask(tmp_path / "socket")
        await server.start_serving()
        transport, _ = await ask(tmp_path / "socket")
        await stop(server, transport)

    api.run(main())


# --- anything at all -----------------------------------------------------------------------------------------------------------


class Wild(Log):
    """Checks the order of what it is told, and does at random what a protocol may do."""

    def __init__(self, dice: random.Random, stream: bytes) -> None:
        super().__init__(keep_open=dice.random() < 0.5)
        self.dice = dice
        self.stream = stream  # what it sends, a piece now and then
        self.given = 0
        self.ended = False  # it has called write_eof()
        self.seen_eof = False

    def note(self, event: str) -> None:
        if event != "made":
            assert self.events[0] == "made" and self.events.count("made") == 1
        assert "lost" not in self.events, f"{event} after connection_lost"
        assert not (event in ("data", "eof") and self.seen_eof), f"{event} after eof"
        balance = self.events.count("pause") - self.events.count("resume")
        assert event != "pause" or balance == 0
        assert event != "resume" or balance == 1
        self.seen_eof = self.seen_eof or event == "eof"
        super().note(event)

    def data_received(self, data: bytes) -> None:
        assert data and self.transport.is_reading(), "data while paused or closed"
        super().data_received(data)
        self.act()

    def act(self) -> None:
        roll = self.dice.random()
        transport = self.transport
        if roll < 0.5 and not transport.is_closing():
            self.write(self.dice.choice([0, 1, 100, 70_000, 300_000]))
        elif roll < 0.6:
            transport.pause_reading()
        elif roll < 0.7:
            transport.resume_reading()
        elif roll < 0.72 and not transport.is_closing():
            self.ended = True
            transport.write_eof()
        elif roll < 0.73:
            transport.close()
        elif roll < 0.735:
            transport.abort()

    def write(self, size: int) -> None:
        if not self.ended:
            data = self.stream[self.given : self.given + size]
            self.given += len(data)
            if self.dice.random() < 0.5:
                self.transport.write(data)
            else:
                self.transport.writelines([data[: size // 2], bytearray(data[size // 2 :])])


@pytest.mark.parametrize("kind", ["unix", "tcp"])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_delivered_is_a_prefix_of_what_was_sent(ours: Any, seed: int, kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for turn in range(8):
            dice = random.Random(f"{seed} {turn}")
            streams = [dice.randbytes(2_000_000), dice.randbytes(2_000_000)]
            ends = pair(kind, small=dice.random() < 0.5)
            logs = [Wild(dice, stream) for stream in streams]
            factories = [partial(next, iter([log])) for log in logs]
            made = [await loop.connect_accepted_socket(*two) for two in zip(factories, ends, strict=True)]
            for _ in range(100):
                transport, log = dice.choice(made)
                if transport.is_closing():
                    break
                log.act()
                for _ in range(dice.randrange(3)):
                    await asyncio.sleep(0)
            for transport, _ in made:
                if dice.random() < 0.5:
                    transport.close()
                transport.abort()
            async with asyncio.timeout(20):
                await asyncio.gather(*[log.lost for log in logs])
            for log, other in (logs, logs[::-1]):
                assert log.events.count("lost") == 1 and log.events[-1] == "lost"
                assert other.stream[: other.given].startswith(bytes(log.data))
                assert log.error is None or isinstance(log.error, ConnectionError)

    ours.run(main())


def pair(kind: str, small: bool) -> list[Any]:
    """Two connected sockets, with tiny windows if *small*."""
    if kind == "unix":
        ends = list(socket.socketpair())
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ends = [socket.create_connection(listener.getsockname()), listener.accept()[0]]
    for end in ends:
        end.setblocking(False)
        if small:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return ends
