"""No fault is fatal: the exception goes where it belongs, the loop goes on, and the next connection works."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import yieldloop
from tests.refusing import Rule, refusing

LOCAL = "127.0.0.1"
METHODS = ("connection_made", "data_received", "eof_received", "pause_writing", "resume_writing", "connection_lost")


class Actor(asyncio.Protocol):
    """Does in each method what the test asks for, and writes down what it is told."""

    def __init__(self, method: str = "", act: Any = None) -> None:
        self.method = method
        self.act = act
        self.events: list[str] = []
        self.transport: Any = None
        self.error: Any = "not lost"
        self.lost = asyncio.get_running_loop().create_future()

    def _told(self, method: str) -> None:
        self.events.append(method)
        if method == self.method:
            self.act(self.transport)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._told("connection_made")

    def data_received(self, data: bytes) -> None:
        self._told("data_received")

    def eof_received(self) -> bool:
        self._told("eof_received")
        return True

    def pause_writing(self) -> None:
        self._told("pause_writing")

    def resume_writing(self) -> None:
        self._told("resume_writing")

    def connection_lost(self, exc: Any) -> None:
        self.error = exc
        self.lost.set_result(None)
        self._told("connection_lost")


def client() -> Actor:
    """A protocol that closes when the other side does."""
    return Actor("eof_received", lambda transport: transport.close())


async def connected(loop: Any, factory: Any) -> tuple[Any, Any, Any]:
    """A transport of the loop's, its protocol, and the peer: a plain non-blocking socket."""
    with socket.create_server((LOCAL, 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        conn, _ = listener.accept()
    peer.setblocking(False)
    transport, protocol = await loop.connect_accepted_socket(factory, conn)
    return transport, protocol, peer


async def run_the_whole_life(loop: Any, transport: Any, protocol: Any, peer: Any) -> None:
    """Make every method of the protocol be called, as far as the transport lives."""
    await loop.sock_sendall(peer, b"data")
    transport.set_write_buffer_limits(high=1000)
    transport.write(b"x" * 20_000_000)
    left = 20_000_000
    while left and (got := await receive(loop, peer)):
        left -= len(got)
    for _ in range(3):
        await asyncio.sleep(0)
    try:
        peer.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    async with asyncio.timeout(10):
        while not protocol.lost.done() and "eof_received" not in protocol.events:
            await asyncio.sleep(0)
    transport.close()
    await protocol.lost
    await asyncio.sleep(0)
    peer.close()


async def receive(loop: Any, peer: Any) -> bytes:
    try:
        data: bytes = await loop.sock_recv(peer, 1 << 20)
    except ConnectionError:
        return b""
    return data


def check_order(events: list[str]) -> None:
    """`connection_made` first, `connection_lost` last, each once; pauses and resumes in turn; nothing read after the end."""
    assert events.count("connection_made") == 1 and events[0] == "connection_made"
    assert events.count("connection_lost") <= 1 and "connection_lost" not in events[:-1]
    flow = [event for event in events if event in ("pause_writing", "resume_writing")]
    assert all(event == ("resume_writing" if i % 2 else "pause_writing") for i, event in enumerate(flow))
    assert events.count("eof_received") <= 1
    if "eof_received" in events:
        assert "data_received" not in events[events.index("eof_received") :]


def fail(transport: Any) -> None:
    raise ZeroDivisionError("on purpose")


def read_later(transport: Any) -> None:
    transport.pause_reading()
    asyncio.get_running_loop().call_soon(transport.resume_reading)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_raises_is_reported_and_nothing_else_is_harmed(ours: Any, method: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
        transport, protocol, peer = await connected(loop, lambda: Actor(method, fail))
        await run_the_whole_life(loop, transport, protocol, peer)
        assert [type(report) for report in reports] == [ZeroDivisionError]
        assert protocol.events.count(method) == 1 and protocol.events[-1] == "connection_lost"
        ends_it = method in ("data_received", "eof_received")
        assert type(protocol.error) is (ZeroDivisionError if ends_it else type(None))
        check_order(protocol.events)

    ours.run(main())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("act", ["abort", "close", "read_later", "write_eof"])
def test_any_method_may_end_pause_or_resume(ours: Any, method: str, act: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: pytest.fail(str(context)))
        does = read_later if act == "read_later" else lambda transport: getattr(transport, act)()
        transport, protocol, peer = await connected(loop, lambda: Actor(method, does))
        try:
            await run_the_whole_life(loop, transport, protocol, peer)
        except RuntimeError as exc:
            assert act == "write_eof" and "after write_eof" in str(exc)
            transport.close()
            await protocol.lost
            peer.close()
        check_order(protocol.events)
        assert protocol.events[-1] == "connection_lost"

    ours.run(main())


@pytest.mark.parametrize("method", ["get_buffer", "buffer_updated", "eof_received", "connection_lost"])
def test_a_buffered_protocol_that_raises_ends_its_connection_only(api: Any, method: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
        lost = loop.create_future()

        class Broken(asyncio.BufferedProtocol):
            def get_buffer(self, sizehint: int) -> Any:
                self.fail_in("get_buffer")
                return bytearray(100)

            def buffer_updated(self, nbytes: int) -> None:
                self.fail_in("buffer_updated")

            def eof_received(self) -> None:
                self.fail_in("eof_received")

            def connection_lost(self, exc: Any) -> None:
                lost.set_result(exc)
                self.fail_in("connection_lost")

            def fail_in(self, name: str) -> None:
                if name == method:
                    raise ZeroDivisionError(name)

        _transport, _, peer = await connected(loop, Broken)
        peer.send(b"data")
        if method in ("eof_received", "connection_lost"):
            peer.shutdown(socket.SHUT_WR)
        exc = await lost
        await asyncio.sleep(0)
        assert [type(report) for report in reports] == [ZeroDivisionError]
        assert (exc is reports[0]) is (method != "connection_lost")
        peer.close()

    api.run(main())


def test_the_end_of_the_stream_is_told_once(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, peer = await connected(loop, Actor)
        peer.shutdown(socket.SHUT_WR)
        while "eof_received" not in protocol.events:
            await asyncio.sleep(0)
        for _ in range(3):
            transport.pause_reading()
            transport.resume_reading()
            await asyncio.sleep(0.001)
        assert protocol.events == ["connection_made", "eof_received"]
        transport.write(b"still open")
        assert await loop.sock_recv(peer, 100) == b"still open"
        transport.close()
        await protocol.lost
        peer.close()

    ours.run(main())


def test_a_factory_that_raises_costs_its_connection_only(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
        made: list[Actor] = []

        def factory() -> Actor:
            if not reports:
                raise ZeroDivisionError("on purpose")
            made.append(client())
            return made[-1]

        server = await loop.create_server(factory, LOCAL, 0)
        address = server.sockets[0].getsockname()
        _transport, first = await loop.create_connection(client, *address)
        await first.lost
        assert [type(report) for report in reports] == [ZeroDivisionError]
        second, _ = await loop.create_connection(client, *address)
        while not made:
            await asyncio.sleep(0.001)
        with pytest.raises(ZeroDivisionError):
            await loop.create_connection(lambda: 1 / 0, *address)
        second.close()
        async with asyncio.timeout(10):
            while len(made) < 2 or not all(protocol.lost.done() for protocol in made):
                await asyncio.sleep(0.001)
            server.close()
            await server.wait_closed()

    ours.run(main())


def test_a_socket_closed_by_another_thread_ends_its_transport_with_ebadf(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, peer = await connected(loop, Actor)
        closing = threading.Thread(target=transport._sock.close)
        closing.start()
        closing.join()
        transport.write(b"to nobody")
        await protocol.lost
        assert isinstance(protocol.error, OSError) and protocol.error.errno == errno.EBADF
        check_order(protocol.events)
        peer.close()

    ours.run(main())


def test_a_number_that_was_taken_from_a_transport_serves_the_next_one(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        old, protocol, peer = await connected(loop, Actor)
        number = old._sock.fileno()
        old.pause_reading()
        left, right = socket.socketpair()
        old._sock.close()
        os.dup2(left.fileno(), number)  # another file has the number now
        left.close()
        left = socket.socket(fileno=number)
        new = Actor()
        left.setblocking(False)
        right.setblocking(False)
        transport = loop._make_socket_transport(left, new)
        await protocol.lost
        assert protocol.error.errno == errno.EBADF
        right.send(b"data")
        async with asyncio.timeout(10):
            while "data_received" not in new.events:
                await asyncio.sleep(0)
        old.abort()
        transport.write(b"answer")
        assert await loop.sock_recv(right, 100) == b"answer"
        transport.close()
        await new.lost
        peer.close()
        right.close()

    ours.run(main())


def test_writing_to_a_peer_that_is_gone_ends_the_connection_in_silence(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: pytest.fail(str(context)))
        transport, protocol, peer = await connected(loop, Actor)
        transport.pause_reading()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        async with asyncio.timeout(10):
            while not transport.is_closing():
                transport.write(b"x")
                await asyncio.sleep(0.001)
        await protocol.lost
        assert protocol.error.errno in (errno.EPIPE, errno.ECONNRESET)
        check_order(protocol.events)

    api.run(main())


@pytest.mark.parametrize("size", [1313, 70_001])  # held until the step is over, and sent at once
@pytest.mark.parametrize("name", ["ENOBUFS", "ENOMEM"])
def test_a_send_that_the_kernel_has_no_memory_for_ends_one_connection_and_no_more(api: Any, name: str, size: int) -> None:
    number = getattr(errno, name)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: pytest.fail(str(context)))
        other, there, other_peer = await connected(loop, Actor)
        transport, protocol, peer = await connected(loop, Actor)
        transport.write(bytes(size))
        async with asyncio.timeout(10):
            await protocol.lost
        assert protocol.error.errno == number and transport.is_closing()
        check_order(protocol.events)
        assert await loop.sock_recv(peer, 10) == b""
        other.write(b"goes on")
        assert await loop.sock_recv(other_peer, 10) == b"goes on"
        other.close()
        await there.lost
        peer.close()
        other_peer.close()

    refusing([Rule("sendto", 2, size, number)], lambda: api.run(main()))


def test_a_stream_raises_what_its_send_failed_by(api: Any) -> None:
    async def main() -> None:
        served = asyncio.Event()

        async def serve(reader: Any, writer: Any) -> None:
            assert await reader.read() == b""
            writer.close()
            served.set()

        server = await api.m.start_server(serve, LOCAL, 0)
        reader, writer = await api.m.open_connection(*server.sockets[0].getsockname())
        writer.write(bytes(1313))
        with pytest.raises(OSError) as caught:
            await asyncio.wait_for(reader.read(), 10)
        assert caught.value.errno == errno.ENOBUFS
        with pytest.raises(OSError) as caught:
            await writer.drain()
        assert caught.value.errno == errno.ENOBUFS
        await asyncio.wait_for(served.wait(), 10)
        server.close()
        await server.wait_closed()

    refusing([Rule("sendto", 2, 1313, errno.ENOBUFS)], lambda: api.run(main()))


class Listener(socket.socket):
    """A listening socket whose `accept` fails with what *errors* says."""

    def __init__(self, errors: list[int]) -> None:
        super().__init__()
        self.errors = errors
        self.asked = 0
        self.bind((LOCAL, 0))

    def accept(self) -> Any:
        self.asked += 1
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        return super().accept()


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EINVAL"])
def test_accepting_pauses_and_goes_on(ours: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    async def main() -> None:
        from yieldloop.loop import net

        monkeypatch.setattr(net, "ACCEPT_PAUSE", 0.01)
        loop = asyncio.get_running_loop()
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
        listener = Listener([getattr(errno, name)] * 2)
        server = await loop.create_server(Actor, sock=listener)
        _transport, there = await loop.create_connection(client, *listener.getsockname())
        async with asyncio.timeout(10):
            while not server._clients:
                await asyncio.sleep(0.001)
        assert [report.errno for report in reports] == [getattr(errno, name)] * 2 and listener.asked <= 5
        assert loop._accept_pauses == {}
        server.abort_clients()
        await there.lost
        server.close()
        await server.wait_closed()

    ours.run(main())


@pytest.mark.parametrize("name", ["ECONNABORTED", "EPROTO", "ENETDOWN", "EHOSTUNREACH", "EPERM"])
def test_a_connection_that_was_gone_before_it_was_accepted_is_no_news(ours: Any, name: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: pytest.fail(str(context)))
        listener = Listener([getattr(errno, name)])
        server = await loop.create_server(Actor, sock=listener)
        _transport, there = await loop.create_connection(client, *listener.getsockname())
        async with asyncio.timeout(10):
            while not server._clients:
                await asyncio.sleep(0.001)
        server.abort_clients()
        await there.lost
        server.close()
        await server.wait_closed()

    ours.run(main())


def test_closing_a_server_that_pauses_leaves_no_timer(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
        listener = Listener([errno.EMFILE] * 1000)
        server = await loop.create_server(Actor, sock=listener)
        peer = socket.create_connection(listener.getsockname())
        while not reports:
            await asyncio.sleep(0)
        assert len(loop._accept_pauses) == 1
        server.close()
        assert loop._accept_pauses == {} and not list(loop._scheduled_timers())
        peer.close()
        await server.wait_closed()

    ours.run(main())


def test_with_no_descriptor_left_those_who_are_connected_go_on(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        from yieldloop.loop import net

        monkeypatch.setattr(net, "ACCEPT_PAUSE", 0.01)
        loop = asyncio.get_running_loop()
        full = asyncio.Event()
        loop.set_exception_handler(lambda _, context: full.set())
        server = await loop.create_server(lambda: Actor("data_received", lambda t: t.write(b"pong")), LOCAL, 0)
        early = socket.create_connection(server.sockets[0].getsockname())
        late = socket.socket()
        for sock in (early, late):
            sock.setblocking(False)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        while not server._clients:
            await asyncio.sleep(0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (late.fileno() + 1, limits[1]))
        taken: list[int] = []
        try:
            with pytest.raises(OSError):
                while True:
                    taken.append(os.dup(0))
            await loop.sock_connect(late, server.sockets[0].getsockname())
            async with asyncio.timeout(10):
                await full.wait()
            await loop.sock_sendall(early, b"ping")
            assert await loop.sock_recv(early, 100) == b"pong"
        finally:
            for fd in taken:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await loop.sock_sendall(late, b"ping")
        async with asyncio.timeout(10):
            assert await loop.sock_recv(late, 100) == b"pong"
        server.close()
        server.abort_clients()
        await server.wait_closed()
        early.close()
        late.close()

    ours.run(main())


def test_a_number_that_select_does_not_take_ends_its_connection_and_nobody_waits_for_ever() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip(f"this system allows {hard} descriptors: none has a number that select() does not take")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reported: list[Any] = []
        loop.set_exception_handler(lambda _, context: reported.append(context))
        near, far = socket.socketpair()
        high = socket.socket(fileno=fcntl.fcntl(near, fcntl.F_DUPFD_CLOEXEC, 1100))
        high.setblocking(False)
        near.close()
        with far:
            async with asyncio.timeout(10):
                transport, actor = await loop.create_connection(Actor, sock=high)
                await actor.lost
            assert isinstance(actor.error, ValueError)
            assert far.recv(1) == b""
        [context] = reported
        assert context["transport"] is transport
        assert "out of range for select()" in str(context["exception"])

    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with asyncio.Runner(loop_factory=lambda: yieldloop.EventLoop(poller="select")) as runner:
            runner.run(main())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_handler_of_errors_is_called_while_the_protocols_error_is_handled(api: Any) -> None:
    def fail(transport: Any) -> None:
        raise ZeroDivisionError("on data")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[Any] = []
        loop.set_exception_handler(lambda _, context: seen.append((context["exception"], sys.exc_info()[1])))
        a, b = socket.socketpair()
        with b:
            _, protocol = await loop.create_connection(lambda: Actor("data_received", fail), sock=a)
            b.send(b"?")
            await protocol.lost
        assert len(seen) == 1 and seen[0][0] is seen[0][1] and isinstance(seen[0][0], ZeroDivisionError)

    api.run(main())


@pytest.mark.skipif(not hasattr(socket, "MSG_DONTWAIT"), reason="a call cannot say that it does not wait")
def test_a_socket_that_somebody_else_made_blocking_blocks_nobody(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        a, b = socket.socketpair()
        with b:
            transport, protocol = await loop.create_connection(Actor, sock=a)
            os.set_blocking(a.fileno(), True)  # as a shell does to its standard input, of which we may have the other number
            transport.write(bytes(10_000_000))
            assert transport.get_write_buffer_size() > 0
            transport.abort()
            await protocol.lost

    run_without_a_stop(ours, main)


@pytest.mark.skipif(not hasattr(socket, "MSG_DONTWAIT"), reason="a call cannot say that it does not wait")
@pytest.mark.parametrize("connected", [False, True], ids=["address", "connected"])
def test_a_datagram_socket_that_somebody_else_made_blocking_blocks_nobody(ours: Any, tmp_path: Path, connected: bool) -> None:
    async def main() -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.bind(str(tmp_path / "peer"))
            sock.bind(str(tmp_path / "own"))
            peer.connect(str(tmp_path / "own"))
            if connected:
                sock.connect(str(tmp_path / "peer"))
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, sock=sock)
            os.set_blocking(sock.fileno(), True)
            peer.send(b"one is received, and no second one waited for")
            for _ in range(3):
                await asyncio.sleep(0)
            for _ in range(2000):
                transport.sendto(bytes(1000), None if connected else str(tmp_path / "peer"))
            assert transport.get_write_buffer_size() > 0
            transport.abort()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    run_without_a_stop(ours, main)


def run_without_a_stop(ours: Any, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *main*; a failure is no hang but an interrupted system call."""
    previous = signal.signal(signal.SIGALRM, lambda *_: interrupted.append(True))
    interrupted: list[bool] = []
    signal.setitimer(signal.ITIMER_REAL, 10, 0.1)
    try:
        ours.run(main())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert not interrupted
