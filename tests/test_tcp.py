"""TCP transports, connections and servers: what a protocol is told, in which order, and what happens when the peer misbehaves."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import os
import socket
import struct
from typing import Any

import pytest

LOCAL = "127.0.0.1"


class Log(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self, keep_open: bool = False) -> None:
        self.keep_open = keep_open
        self.events: list[str] = []
        self.data = bytearray()
        self.error: Any = "not lost"
        self.transport: Any = None
        self.lost = asyncio.get_running_loop().create_future()
        self.changed = asyncio.Event()

    def note(self, event: str) -> None:
        self.events.append(event)
        self.changed.set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.note("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.note("data")

    def eof_received(self) -> bool:
        self.note("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, exc: Any) -> None:
        self.error = exc
        self.note("lost")
        self.lost.set_result(None)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


async def raw_pair(loop: Any, factory: Any) -> tuple[Any, Any, Any]:
    """A transport of ours, its protocol, and the peer as a plain non-blocking socket."""
    with socket.create_server((LOCAL, 0)) as listener:
        listener.setblocking(False)
        peer = socket.socket()
        peer.setblocking(False)
        await loop.sock_connect(peer, listener.getsockname())
        conn, _ = await loop.sock_accept(listener)
    transport, protocol = await loop.connect_accepted_socket(factory, conn)
    return transport, protocol, peer


async def both_ends(loop: Any, server_side: Any, client_side: Any) -> tuple[Any, Any, Any]:
    """(server, client transport, client protocol)."""
    server = await loop.create_server(server_side, LOCAL, 0)
    transport, protocol = await loop.create_connection(client_side, LOCAL, port_of(server))
    return server, transport, protocol


def port_of(server: Any) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


async def shut(server: Any, *transports: Any) -> None:
    for transport in transports:
        transport.close()
    server.close()
    async with asyncio.timeout(10):
        await server.wait_closed()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def reset(sock: Any) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_close_right_after_a_big_write_delivers_everything(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        served: list[Log] = []

        def factory() -> Log:
            served.append(Log())
            return served[-1]

        server, transport, client = await both_ends(loop, factory, Log)
        payload = bytes(range(256)) * 40_000
        transport.write(payload)
        transport.close()
        await client.lost
        assert client.error is None
        await served[0].lost
        assert bytes(served[0].data) == payload
        await shut(server)

    api.run(main())


def test_500_connections_at_once_are_all_served(api: Any) -> None:
    async def main() -> None:
        class Echo(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def data_received(self, data: bytes) -> None:
                self.transport.write(data)

        async def one(number: int) -> None:
            reader, writer = await asyncio.open_connection(LOCAL, port_of(server))
            writer.write(b"%08d" % number)
            assert await reader.readexactly(8) == b"%08d" % number
            writer.close()
            await writer.wait_closed()

        server = await asyncio.get_running_loop().create_server(Echo, LOCAL, 0, backlog=512)
        async with asyncio.timeout(60):
            await asyncio.gather(*[one(number) for number in range(500)])
        await shut(server)

    api.run(main())


def test_head_and_body_written_in_one_callback_arrive_in_order_and_whole(api: Any) -> None:
    async def main() -> None:
        class Answer(Log):
            def data_received(self, data: bytes) -> None:
                body = bytearray(b"body")
                self.transport.write(b"head-")
                self.transport.write(body)
                body[:] = b"XXXX"  # ours to change once written
                self.transport.writelines([b"-", memoryview(b"tail"), b""])
                self.transport.write(b"+" * 100_000)
                self.transport.write(b"end")

        transport, _, peer = await raw_pair(asyncio.get_running_loop(), Answer)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(peer, b"?")
        got = b""
        while not got.endswith(b"end"):
            got += await loop.sock_recv(peer, 65536)
        assert got == b"head-body-tail" + b"+" * 100_000 + b"end"
        peer.close()
        transport.close()
        await transport.get_protocol().lost

    api.run(main())


@pytest.mark.parametrize("size", [600, 1024, 5000, 20_000])
def test_what_was_received_stays_as_it_is(api: Any, size: int) -> None:
    """The memory of bytes that nobody has any more may be used again; that of bytes which somebody has never is."""

    kept: list[tuple[Any, bytes]] = []
    hashes: list[tuple[int, int]] = []

    class Keeper(Log):
        def data_received(self, data: bytes) -> None:
            copy = bytes(bytearray(data))
            hashes.append((hash(data), hash(copy)))
            if len(hashes) % 3 == 1:
                kept.append((data, copy))
            elif len(hashes) % 3 == 2:
                kept.append((memoryview(data)[1:-1], copy[1:-1]))
            Log.data_received(self, data)

    async def main() -> None:
        transport, protocol, peer = await raw_pair(asyncio.get_running_loop(), Keeper)
        for number in range(1, 301):
            peer.sendall(bytes([number % 251]) * size)
            await protocol.until(lambda: len(protocol.data) == number * size)  # noqa: B023
        transport.abort()
        await protocol.lost
        peer.close()

    api.run(main())
    assert len(kept) >= 200 and all(data == copy for data, copy in kept)
    assert all(one == other for one, other in hashes)


def test_half_close_lets_the_other_side_answer(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, peer = await raw_pair(loop, lambda: Log(keep_open=True))
        await loop.sock_sendall(peer, b"question")
        peer.shutdown(socket.SHUT_WR)
        await protocol.until(lambda: "eof" in protocol.events)
        assert bytes(protocol.data) == b"question" and not transport.is_closing()
        transport.write(b"answer")
        assert transport.can_write_eof()
        transport.write_eof()
        with pytest.raises(RuntimeError, match="after write_eof"):
            transport.write(b"more")
        assert await loop.sock_recv(peer, 100) == b"answer"
        assert await loop.sock_recv(peer, 100) == b""
        transport.close()
        await protocol.lost
        assert protocol.error is None and protocol.events == ["made", "data", "eof", "lost"]
        peer.close()

    api.run(main())


def test_a_reset_by_the_peer_goes_to_connection_lost_once(api: Any) -> None:
    async def main() -> None:
        transport, protocol, peer = await raw_pair(asyncio.get_running_loop(), Log)
        reset(peer)
        await protocol.lost
        assert isinstance(protocol.error, ConnectionResetError)
        assert protocol.events == ["made", "lost"] and transport.is_closing()
        for _ in range(3):
            transport.write(b"into the void")
        transport.close()
        transport.abort()
        await asyncio.sleep(0)

    api.run(main())


def test_a_peer_that_never_reads_pauses_the_writer_and_abort_drops_the_rest(api: Any) -> None:
    async def main() -> None:
        transport, protocol, peer = await raw_pair(asyncio.get_running_loop(), Log)
        transport.set_write_buffer_limits(high=1000, low=10)
        assert transport.get_write_buffer_limits() == (10, 1000)
        transport.write(b"x" * 20_000_000)
        assert transport.get_write_buffer_size() > 1000 and protocol.events == ["made", "pause"]
        transport.abort()
        await protocol.lost
        assert protocol.error is None and protocol.events == ["made", "pause", "lost"]
        peer.close()

    api.run(main())


def test_writing_resumes_when_the_peer_reads(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, peer = await raw_pair(loop, Log)
        size = 8_000_000
        for _ in range(8):
            transport.write(b"y" * (size // 8))
        assert protocol.events == ["made", "pause"]
        left = size
        while left:
            left -= len(await loop.sock_recv(peer, 1 << 20))
        await protocol.until(lambda: "resume" in protocol.events)
        assert transport.get_write_buffer_size() == 0
        transport.close()
        await protocol.lost
        peer.close()

    api.run(main())


def test_paused_reading_delivers_nothing_until_resumed(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, peer = await raw_pair(loop, Log)
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        await loop.sock_sendall(peer, b"later")
        for _ in range(5):
            await asyncio.sleep(0.001)
        assert protocol.events == ["made"]
        transport.resume_reading()
        transport.resume_reading()
        await protocol.until(lambda: bytes(protocol.data) == b"later")
        transport.close()
        transport.resume_reading()
        assert not transport.is_reading()
        await protocol.lost
        peer.close()

    api.run(main())


@pytest.mark.parametrize("method", ["data_received", "eof_received", "connection_made"])
def test_a_protocol_that_raises_is_reported_and_the_loop_goes_on(api: Any, method: str) -> None:
    async def main() -> None:
        class Broken(Log):
            pass

        def fail(self: Any, *args: Any) -> None:
            if method == "connection_made":
                self.transport = args[0]
            raise ValueError("broken on purpose")

        setattr(Broken, method, fail)
        loop = asyncio.get_running_loop()
        reports: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        transport, protocol, peer = await raw_pair(loop, Broken)
        if method == "data_received":
            await loop.sock_sendall(peer, b"!")
        if method == "eof_received":
            peer.shutdown(socket.SHUT_WR)
        if method == "connection_made":
            transport.close()
        await protocol.lost
        (report,) = reports
        assert isinstance(report["exception"], ValueError)
        if method != "connection_made":
            assert report["message"] == f"Fatal error: protocol.{method}() call failed."
            assert report["transport"] is transport and report["protocol"] is protocol
            assert protocol.error is report["exception"]
        peer.close()

    api.run(main())


@pytest.mark.parametrize("nonsense", [None, b"read-only", bytearray(), 17], ids=repr)
def test_a_get_buffer_that_returns_nonsense_ends_the_connection_only(api: Any, nonsense: Any) -> None:
    async def main() -> None:
        class Buffered(asyncio.BufferedProtocol):
            def __init__(self) -> None:
                self.lost = loop.create_future()

            def get_buffer(self, sizehint: int) -> Any:
                return nonsense

            def buffer_updated(self, nbytes: int) -> None:
                raise AssertionError("nothing can have been received")

            def connection_lost(self, exc: Any) -> None:
                self.lost.set_result(exc)

        loop = asyncio.get_running_loop()
        reports: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        _, protocol, peer = await raw_pair(loop, Buffered)
        await loop.sock_sendall(peer, b"?")
        error = await protocol.lost
        assert len(reports) == 1 and reports[0]["exception"] is error
        peer.close()

    api.run(main())


def test_a_buffered_protocol_receives_into_its_own_memory(api: Any) -> None:
    async def main() -> None:
        class Buffered(asyncio.BufferedProtocol):
            def __init__(self) -> None:
                self.memory = bytearray(4)
                self.got = b""
                self.ended = loop.create_future()

            def get_buffer(self, sizehint: int) -> Any:
                return self.memory

            def buffer_updated(self, nbytes: int) -> None:
                self.got += self.memory[:nbytes]

            def eof_received(self) -> None:
                self.ended.set_result(None)

        loop = asyncio.get_running_loop()
        transport, protocol, peer = await raw_pair(loop, Buffered)
        await loop.sock_sendall(peer, b"0123456789")
        peer.close()
        await protocol.ended
        assert protocol.got == b"0123456789"
        await asyncio.sleep(0)
        assert transport.is_closing()
        await asyncio.sleep(0)

    api.run(main())


def test_context_of_one_callback_is_not_seen_by_the_next(ours: Any) -> None:
    """cpython 140947: each callback starts from the context in which the server was made."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def main() -> None:
        seen: list[str] = []

        class Leaky(Log):
            def look(self) -> None:
                seen.append(variable.get())
                variable.set("leaked")

            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                self.look()

            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                self.look()
                self.transport.pause_reading()
                self.task = asyncio.get_running_loop().create_task(self.inherit())

            async def inherit(self) -> None:
                assert variable.get() == "leaked"
                self.transport.resume_reading()

            def connection_lost(self, exc: Any) -> None:
                self.look()
                super().connection_lost(exc)

        made: list[Leaky] = []

        def factory() -> Leaky:
            made.append(Leaky())
            return made[-1]

        variable.set("server")
        server, transport, client = await both_ends(asyncio.get_running_loop(), factory, Log)
        variable.set("afterwards")
        await client.until(lambda: made)
        await made[0].until(lambda: "made" in made[0].events)
        for count in (1, 2):
            transport.write(b".")
            await made[0].until(lambda count=count: made[0].events.count("data") == count)
        transport.close()
        await made[0].lost
        assert seen == ["server"] * 4
        await shut(server)

    ours.run(main())


def test_extra_info_survives_the_connection(api: Any) -> None:
    async def main() -> None:
        transport, protocol, peer = await raw_pair(asyncio.get_running_loop(), Log)
        sock = transport.get_extra_info("socket")
        assert isinstance(sock, asyncio.trsock.TransportSocket)
        if api.ours:  # the standard library leaves Nagle's algorithm on where a socket names no protocol
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        names = peer.getpeername(), peer.getsockname()
        peer.close()
        await protocol.lost
        await asyncio.sleep(0)
        assert (transport.get_extra_info("sockname"), transport.get_extra_info("peername")) == names
        assert transport.get_extra_info("cipher", "none") == "none"
        assert "closed" in repr(transport)

    api.run(main())


def test_wrong_data_is_refused_in_the_standard_words(api: Any) -> None:
    async def main() -> None:
        transport, protocol, peer = await raw_pair(asyncio.get_running_loop(), Log)
        assert isinstance(transport, asyncio.Transport)
        with pytest.raises(TypeError, match="data argument must be a bytes"):
            transport.write("text")
        with pytest.raises(ValueError, match="must be >="):
            transport.set_write_buffer_limits(high=1, low=2)
        with pytest.raises(RuntimeError, match="is used by transport"):
            asyncio.get_running_loop().add_reader(transport.get_extra_info("socket"), print)
        peer.close()
        await protocol.lost

    api.run(main())


def test_an_unclosed_transport_warns_and_frees_its_descriptor(ours: Any) -> None:
    async def main() -> None:
        transport, protocol, peer = await raw_pair(asyncio.get_running_loop(), Log)
        transport.pause_reading()  # else the poller holds it
        protocol.transport = None
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            del transport
        assert await asyncio.get_running_loop().sock_recv(peer, 10) == b""
        peer.close()

    ours.run(main())


def test_accepting_pauses_when_there_is_no_descriptor_left_and_goes_on(
    ours: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        from yieldloop.loop import net

        monkeypatch.setattr(net, "ACCEPT_PAUSE", 0.01)
        loop = asyncio.get_running_loop()
        reports: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        failing = [OSError(errno.EMFILE, "too many"), ConnectionAbortedError()]

        class Listener(socket.socket):
            def accept(self) -> Any:
                if failing:
                    raise failing.pop(0)
                return super().accept()

        listener = Listener()
        listener.bind((LOCAL, 0))
        server = await loop.create_server(Log, sock=listener)
        transport, _ = await loop.create_connection(Log, LOCAL, port_of(server))
        transport.write(b"x")
        while not server._clients:
            await asyncio.sleep(0.005)
        assert [report["message"] for report in reports] == ["socket.accept() out of system resource"]
        await shut(server, transport)

    ours.run(main())


def test_server_life(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Log, LOCAL, 0, start_serving=False)
        assert isinstance(server, asyncio.Server) and not server.is_serving() and server.get_loop() is loop
        await server.start_serving()
        await server.start_serving()
        assert server.is_serving()
        _transport, client = await loop.create_connection(Log, LOCAL, port_of(server))
        while not server._clients:
            await asyncio.sleep(0)
        server.close()
        server.close()
        assert server.sockets == () and not server.is_serving()
        waiting = loop.create_task(server.wait_closed())
        await asyncio.sleep(0.01)
        assert not waiting.done()  # a connection is still there
        server.abort_clients()
        await waiting
        await client.lost
        assert isinstance(client.error, ConnectionResetError) or client.error is None
        with pytest.raises(RuntimeError, match="is closed"):
            await server.serve_forever()

    ours.run(main())


def test_serve_forever_ends_by_cancellation_and_closes_its_clients(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Log, LOCAL, 0)
        serving = loop.create_task(server.serve_forever())
        _transport, client = await loop.create_connection(Log, LOCAL, port_of(server))
        while not server._clients:
            await asyncio.sleep(0)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        await client.lost
        assert client.events == ["made", "eof", "lost"]

    ours.run(main())


def test_failed_connects_say_why(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((LOCAL, 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Log, LOCAL, port)
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Log, LOCAL, port, happy_eyeballs_delay=0.01)
        with pytest.raises(ValueError, match="no sock specified"):
            await loop.create_connection(Log)
        with pytest.raises(ValueError, match="server_hostname is only meaningful with ssl"):
            await loop.create_connection(Log, LOCAL, port, server_hostname="x")
        with pytest.raises(OSError, match="error while attempting to bind on address"):
            await loop.create_connection(Log, LOCAL, port, local_addr=("192.0.2.1", 0))

    api.run(main())


def test_the_error_of_a_failed_connect_is_held_by_no_circle(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((LOCAL, 0)) as listener:
            port = listener.getsockname()[1]
        for extra in ({}, {"happy_eyeballs_delay": 0.01}, {"local_addr": ("192.0.2.1", 0)}):
            try:
                await loop.create_connection(Log, LOCAL, port, **extra)  # type: ignore[arg-type]
            except OSError:
                pass

    gc.collect()
    before = {id(found) for found in gc.get_objects() if isinstance(found, OSError)}
    gc.disable()
    try:
        ours.run(main())
        left = [found for found in gc.get_objects() if isinstance(found, OSError) and id(found) not in before]
    finally:
        gc.enable()
    assert left == []


def test_a_local_address_that_could_not_be_used_is_named_when_the_connect_fails(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((LOCAL, 0)) as listener:
            port = listener.getsockname()[1]
        local = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("192.0.2.1", LOCAL)]
        resolve = loop._ensure_resolved

        async def lookup(address: Any, **keywords: Any) -> Any:
            return local if address[0] is None else await resolve(address, **keywords)

        monkeypatch.setattr(loop, "_ensure_resolved", lookup)
        with pytest.raises(OSError, match=r"Multiple exceptions: .*192\.0\.2\.1.*Connect call failed"):
            await loop.create_connection(Log, LOCAL, port, local_addr=(None, 0))

    ours.run(main())


def test_create_connection_goes_through_the_loops_sock_connect(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def refuse(sock: Any, address: Any) -> None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"not to {address[0]}")

        monkeypatch.setattr(loop, "sock_connect", refuse)
        with pytest.raises(ConnectionRefusedError, match=f"not to {LOCAL}"):
            await loop.create_connection(Log, LOCAL, 9)

    api.run(main())


def test_happy_eyeballs_takes_the_address_that_answers(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Log, LOCAL, 0)
        good = (socket.AF_INET, socket.SOCK_STREAM, 6, "", (LOCAL, port_of(server)))
        slow = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 9))
        connect = loop.sock_connect

        async def lookup(*args: Any, **keywords: Any) -> Any:
            return [slow, good]

        async def connecting(sock: Any, address: Any) -> None:
            if address == slow[4]:
                await asyncio.sleep(60)
            monkeypatch.undo()  # the address is looked up once more, as any that is given to sock_connect()
            await connect(sock, address)

        monkeypatch.setattr(loop, "_ensure_resolved", lookup)
        monkeypatch.setattr(loop, "sock_connect", connecting)
        async with asyncio.timeout(10):
            transport, _ = await loop.create_connection(Log, "both", 1, happy_eyeballs_delay=0.01)
        assert transport.get_extra_info("peername") == good[4]
        await shut(server, transport)

    ours.run(main())


def test_a_host_named_twice_is_bound_once(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((LOCAL, 0)) as free:
            port = free.getsockname()[1]
        server = await loop.create_server(Log, [LOCAL, "127.0.0.2", LOCAL], port, reuse_port=True)
        assert sorted(sock.getsockname() for sock in server.sockets) == [(LOCAL, port), ("127.0.0.2", port)]
        await shut(server)

    api.run(main())


def test_a_descriptor_closed_by_its_number_does_not_keep_a_transport_from_ending(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        accepted = loop.create_future()

        class Taken(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                accepted.set_result(transport)

        server = await loop.create_server(Taken, "127.0.0.1", 0)
        client, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        transport = await accepted
        os.close(transport.get_extra_info("socket").fileno())
        transport.abort()
        server.close()
        await asyncio.wait_for(server.wait_closed(), 10)
        assert transport.get_protocol() is None
        client.abort()
        await asyncio.sleep(0)

    ours.run(main())
