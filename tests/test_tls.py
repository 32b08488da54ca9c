"""TLS over the loop: connecting, serving, `start_tls`, what a protocol is told and in which order, and peers that misbehave."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
from typing import Any

import pytest

from tests.certificates import NAME, client_context, server_context
from yieldloop.wire._records import walk
from yieldloop.wire.tls import TlsMachine

LOCAL = "127.0.0.1"


class Log(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self, echo: bool = False, keep_open: bool = False) -> None:
        self.echo = echo
        self.keep_open = keep_open
        self.events: list[str] = []
        self.data = bytearray()
        self.error: Any = "not lost"
        self.transport: Any = None
        self.changed = asyncio.Event()

    def note(self, event: str) -> None:
        if event != "data" or self.events[-1:] != ["data"]:
            self.events.append(event)
        self.changed.set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.note("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.note("data")
        if self.echo:
            self.transport.write(data)

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

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def lost(self) -> None:
        await self.until(lambda: "lost" in self.events)


class Meeting:
    """A server of one loop, whose protocols are kept, and clients of it."""

    def __init__(self, factory: Any = Log, **serving: Any) -> None:
        self.factory = factory
        self.serving = {"ssl": server_context(), **serving}
        self.served: list[Any] = []
        self.reports: list[Any] = []

    def _serve(self) -> Any:
        self.served.append(self.factory())
        return self.served[-1]

    async def __aenter__(self) -> Meeting:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.reports.append(context))
        self.server = await loop.create_server(self._serve, LOCAL, 0, **self.serving)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def connect(self, factory: Any = Log, **more: Any) -> tuple[Any, Any]:
        how = {"ssl": client_context(), "server_hostname": NAME, **more}
        return await asyncio.get_running_loop().create_connection(factory, LOCAL, self.port, **how)

    async def first(self) -> Any:
        async with asyncio.timeout(20):
            while not self.served or "made" not in self.served[0].events:
                await asyncio.sleep(0.001)
        return self.served[0]

    async def __aexit__(self, *exc: object) -> None:
        self.server.close()
        for protocol in self.served:
            if getattr(protocol, "transport", None) is not None:
                protocol.transport.abort()
        async with asyncio.timeout(20):
            if hasattr(self.server, "close_clients"):
                await self.server.wait_closed()
            for protocol in self.served:
                if "made" in protocol.events:
                    await protocol.lost()


class Silent:
    """A peer without TLS: a listening socket and what it accepts, by hand."""

    def __init__(self, kind: str = "silent") -> None:
        self.kind = kind

    async def __aenter__(self) -> Silent:
        self.listener = socket.create_server((LOCAL, 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.links: list[socket.socket] = []
        return self

    async def accept(self) -> socket.socket:
        link, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        link.setblocking(False)
        self.links.append(link)
        return link

    async def __aexit__(self, *exc: object) -> None:
        for link in self.links:
            link.close()
        self.listener.close()


class ByHand:
    """A client that does its TLS by hand over plain streams: it can do what no decent peer does."""

    @classmethod
    async def to(cls, port: int) -> ByHand:
        self = cls()
        self.reader, self.writer = await asyncio.open_connection(LOCAL, port)
        self.machine = TlsMachine(client_context(), False, NAME)
        self.machine.start()
        while (event := self.machine.next_event()) != "shaken":
            assert event == "want", self.machine.error
            self.writer.write(self.machine.take())
            self.machine.feed(await self.reader.read(65536))
        self.writer.write(self.machine.take())
        return self

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass


def pieces(count: int) -> bytes:
    return bytes(i * 7 % 251 for i in range(4096)) * (count // 4096 + 1)


# --- what a program sees ------------------------------------------------------------------------------------------------


def test_a_connection_from_the_hello_to_the_goodbye(api):
    async def main():
        async with Meeting(lambda: Log(echo=True)) as meeting:
            transport, protocol = await meeting.connect()
            assert isinstance(transport, asyncio.Transport) and transport is protocol.transport
            assert "ssl" in transport.__class__.__name__.lower()
            assert transport.get_protocol() is protocol
            transport.write(b"hello ")
            transport.writelines([bytearray(b"out "), memoryview(b"there")])
            transport.write(b"")
            await protocol.until(lambda: len(protocol.data) == 15)
            assert protocol.data == b"hello out there"
            assert not transport.is_closing()
            transport.close()
            assert transport.is_closing()
            transport.close()
            await protocol.lost()
            await meeting.served[0].lost()
            assert protocol.events == ["made", "data", "eof", "lost"] and protocol.error is None
            assert meeting.served[0].events == ["made", "data", "eof", "lost"] and meeting.served[0].error is None
            assert not meeting.reports

    api.run(main())


def test_what_can_be_asked_of_the_transport(api):
    async def main():
        async with Meeting() as meeting:
            context = client_context()
            transport, _ = await meeting.connect(ssl=context)
            ask = transport.get_extra_info
            assert ask("sslcontext") is context and transport._ssl_protocol._sslcontext is context  # aiohttp's tests look there
            assert isinstance(ask("ssl_object"), ssl.SSLObject)
            assert dict(ask("peercert"))["subjectAltName"] == (("DNS", NAME),)
            assert ask("cipher") == ask("ssl_object").cipher()
            assert ask("compression") is None and ask("nonsense", 7) == 7
            assert ask("socket").getpeername() == ask("peername") == (LOCAL, meeting.port)
            assert not transport.can_write_eof()
            with pytest.raises(NotImplementedError):
                transport.write_eof()
            assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
            transport.set_write_buffer_limits(high=4000)
            assert transport.get_write_buffer_limits() == (1000, 4000)
            with pytest.raises(ValueError, match="must be >="):
                transport.set_write_buffer_limits(1, 2)
            with pytest.raises(TypeError, match="data: expecting a bytes-like instance, got str"):
                transport.write("text")
            assert transport.is_reading() and transport.get_write_buffer_size() == 0
            transport.abort()
            await transport.get_protocol().lost()

    api.run(main())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_much_data_in_both_directions(api, version):
    async def main():
        message = pieces(3_000_000)
        async with Meeting(lambda: Log(echo=True)) as meeting:
            transport, protocol = await meeting.connect(ssl=client_context(only=version))
            transport.write(message)
            await protocol.until(lambda: len(protocol.data) >= len(message))
            assert protocol.data == message
            transport.close()
            await protocol.lost()
            assert protocol.error is None

    api.run(main())


def test_a_buffered_protocol_with_a_small_buffer_gets_all(api):
    class Buffered(asyncio.BufferedProtocol, Log):
        room = memoryview(bytearray(1000))

        def get_buffer(self, sizehint):
            return self.room

        def buffer_updated(self, count):
            self.data_received(bytes(self.room[:count]))

    async def main():
        message = pieces(100_000)
        async with Meeting(lambda: Log(echo=True)) as meeting:
            transport, protocol = await meeting.connect(Buffered)
            transport.write(message)
            await protocol.until(lambda: len(protocol.data) >= len(message))
            assert protocol.data == message
            protocol.data.clear()
            plain = Log()
            transport.set_protocol(plain)
            transport.write(b"to the new one")
            await plain.until(lambda: len(plain.data) == 14)
            transport.close()
            await plain.lost()

    api.run(main())


def test_a_paused_reader_is_told_of_nothing(api):
    async def main():
        async with Meeting(lambda: Log(echo=True)) as meeting:
            transport, protocol = await meeting.connect()
            transport.pause_reading()
            assert not transport.is_reading()
            transport.write(b"echo me")
            await (await meeting.first()).until(lambda: meeting.served[0].data)
            await asyncio.sleep(0.02)
            assert protocol.events == ["made"]
            transport.resume_reading()
            await protocol.until(lambda: protocol.data == b"echo me")
            transport.pause_reading()
            transport.close()
            await protocol.lost()
            assert protocol.error is None

    api.run(main())


def test_a_writer_is_paused_and_resumed_and_nothing_is_lost(api):
    async def main():
        message = pieces(16_000_000)
        async with Meeting() as meeting:
            transport, protocol = await meeting.connect()
            server = await meeting.first()
            server.transport.pause_reading()
            at = 0
            while "pause" not in protocol.events:
                transport.write(message[at : at + 500_000])
                at += 500_000
                await asyncio.sleep(0)
            assert transport.get_write_buffer_size() > 128 * 1024
            server.transport.resume_reading()
            await protocol.until(lambda: "resume" in protocol.events)
            transport.close()
            await server.until(lambda: "eof" in server.events)
            assert server.data == message[: len(server.data)] and len(server.data) == at
            await protocol.lost()
            assert protocol.error is None

    api.run(main())


def test_alpn_names_and_client_certificates(api):
    async def main():
        asked = []
        plain = server_context.__wrapped__(ask_client=True)  # contexts of our own: they are changed
        special = server_context.__wrapped__("other.test", ask_client=True)
        mine = client_context.__wrapped__(with_certificate=True)

        def choose(link, name, context):
            asked.append(name)
            link.context = special

        plain.sni_callback = choose
        for context in (plain, special):
            context.set_alpn_protocols(["h2", "http/1.1"])
        mine.set_alpn_protocols(["http/1.1"])
        async with Meeting(ssl=plain) as meeting:
            transport, protocol = await meeting.connect(ssl=mine, server_hostname="other.test")
            assert asked == ["other.test"]
            assert transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            server = await meeting.first()
            assert server.transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            assert server.transport.get_extra_info("peercert")["subjectAltName"] == (("email", "client@test"),)
            transport.close()
            await protocol.lost()

    api.run(main())


def test_tls_over_a_pair_of_unix_sockets(api):
    async def main():
        loop = asyncio.get_running_loop()
        one, two = socket.socketpair()
        (_, client), (_, server) = await asyncio.gather(
            loop.create_connection(Log, sock=one, ssl=client_context(), server_hostname=NAME),
            loop.connect_accepted_socket(lambda: Log(echo=True), sock=two, ssl=server_context()),
        )
        client.transport.write(b"through a pair")
        await client.until(lambda: client.data == b"through a pair")
        client.transport.close()
        await client.lost()
        await server.lost()

    api.run(main())


def test_a_unix_server_and_its_client(api, tmp_path):
    async def main():
        m, path = api.m, str(tmp_path / "socket")

        async def serve(reader, writer):
            writer.write(await reader.readexactly(100_000))
            writer.close()

        server = await m.start_unix_server(serve, path, ssl=server_context())
        reader, writer = await m.open_unix_connection(path, ssl=client_context(), server_hostname=NAME)
        writer.write(pieces(100_000)[:100_000])
        assert await reader.read() == pieces(100_000)[:100_000]
        writer.close()
        await writer.wait_closed()
        server.close()

    api.run(main())


def test_head_and_body_leave_as_one_record_in_one_piece(ours):
    class Page(Log):
        def data_received(self, data):
            self.transport.write(b"head")
            self.transport.write(b"body")

    async def main():
        async with Meeting(Page) as meeting:
            peer = await ByHand.to(meeting.port)
            peer.machine.write(b"GET")
            await asyncio.sleep(0.01)  # the tickets of TLS 1.3 are no part of the answer
            peer.machine.feed(await peer.reader.read(65536))
            assert peer.machine.next_event() == "want"
            peer.writer.write(peer.machine.take())
            cipher = await peer.reader.read(65536)
            assert walk(cipher, 0, -1) == len(cipher) == 5 + int.from_bytes(cipher[3:5], "big")
            peer.machine.feed(cipher)
            assert peer.machine.next_event() == "data" and peer.machine.data == b"headbody"
            await peer.close()

    ours.run(main())


# --- start_tls ----------------------------------------------------------------------------------------------------------


def test_start_tls_on_both_sides_and_once_more_inside(api):
    async def main():
        loop = asyncio.get_running_loop()
        async with Meeting(lambda: Log(), ssl=None) as meeting:
            transport, protocol = await loop.create_connection(Log, LOCAL, meeting.port)
            server = await meeting.first()
            for _ in range(2):
                transport, server.transport = await asyncio.gather(
                    loop.start_tls(transport, protocol, client_context(), server_hostname=NAME),
                    loop.start_tls(server.transport, server, server_context(), server_side=True),
                )
                transport.write(b"ping")
                server.transport.write(b"pong" * 30_000)
                await server.until(lambda: server.data == b"ping")
                await protocol.until(lambda: len(protocol.data) == 120_000)
                server.data.clear()
                protocol.data.clear()
            assert transport.get_extra_info("peername") == (LOCAL, meeting.port)
            transport.close()
            await protocol.lost()
            await server.lost()
            assert protocol.events == ["made", "data", "eof", "lost"]

    api.run(main())


def test_start_tls_refuses_what_it_cannot_use(api):
    async def main():
        loop = asyncio.get_running_loop()
        async with Meeting(ssl=None) as meeting:
            transport, protocol = await loop.create_connection(Log, LOCAL, meeting.port)
            with pytest.raises(TypeError, match="sslcontext is expected to be an instance of"):
                await loop.start_tls(transport, protocol, None)
            with pytest.raises(TypeError, match="is not supported by start_tls"):
                await loop.start_tls(object(), protocol, client_context())
            with pytest.raises(ValueError, match="positive"):
                await loop.start_tls(transport, protocol, client_context(), ssl_handshake_timeout=0)
            transport.close()
            await protocol.lost()

    api.run(main())


def test_a_hello_that_came_with_the_wish_for_tls_is_not_lost(ours):
    async def main():
        m = ours.m

        async def serve(reader, writer):
            assert await reader.readline() == b"STARTTLS\n"
            await asyncio.sleep(0.01)  # whatever follows is in the reader by now
            await writer.start_tls(server_context())
            writer.write(await reader.readexactly(4))
            writer.close()

        server = await m.start_server(serve, LOCAL, 0)
        reader, writer = await m.open_connection(LOCAL, server.sockets[0].getsockname()[1])
        machine = TlsMachine(client_context(), False, NAME)
        machine.start()
        machine.next_event()
        writer.write(b"STARTTLS\n" + machine.take())
        answer = b""
        async with asyncio.timeout(20):
            while answer != b"ping":
                event = machine.next_event()
                assert event in ("want", "shaken", "data"), machine.error
                if event == "shaken":
                    machine.write(b"ping")
                elif event == "data":
                    answer += machine.data
                if machine.pending():
                    writer.write(machine.take())
                elif event == "want":
                    machine.feed(await reader.read(65536))
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    ours.run(main())


@pytest.mark.parametrize("ends", [False, True])
def test_data_that_came_with_the_end_of_the_handshake_is_told_after_start_tls_has_returned(ours, ends):
    class Upgrading(Log):
        """Echoes by the transport that it knows of: in plaintext, if data came before the new one."""

        def connection_made(self, transport):
            super().connection_made(transport)
            self.upgrading = asyncio.get_running_loop().create_task(self.upgrade())

        async def upgrade(self):
            loop = asyncio.get_running_loop()
            self.transport = await loop.start_tls(self.transport, self, server_context(), server_side=True)
            self.note("upgraded")

    async def main():
        loop = asyncio.get_running_loop()
        proto = Upgrading(echo=True)
        server = await loop.create_server(lambda: proto, LOCAL, 0)
        reader, writer = await asyncio.open_connection(LOCAL, server.sockets[0].getsockname()[1])
        machine = TlsMachine(client_context(), False, NAME)
        machine.start()
        answer = b""
        async with asyncio.timeout(20):
            while answer != b"ping":
                event = machine.next_event()
                assert event in ("want", "shaken", "data"), machine.error
                if event == "shaken":
                    machine.write(b"ping")  # leaves with the last bytes of the handshake
                elif event == "data":
                    answer += machine.data
                elif machine.pending():
                    writer.write(machine.take())
                    if machine.shaken and ends:
                        writer.write_eof()
                else:
                    data = await reader.read(65536)
                    assert data, proto.events
                    machine.feed(data)
        writer.close()
        await proto.lost()
        assert proto.events[:3] == ["made", "upgraded", "data"]
        assert proto.data == b"ping"
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    ours.run(main())


def test_streams_with_start_tls_from_either_side(api):
    async def main():
        m = api.m

        async def serve(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            await writer.start_tls(server_context())
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        server = await m.start_server(serve, LOCAL, 0)
        reader, writer = await m.open_connection(LOCAL, server.sockets[0].getsockname()[1])
        writer.write(b"plain\n")
        assert await reader.readline() == b"plain\n"
        await writer.start_tls(client_context(), server_hostname=NAME)
        writer.write(b"secret\n")
        assert await reader.read() == b"secret\n"
        writer.close()
        await writer.wait_closed()
        server.close()

    api.run(main())


class Wire(asyncio.Transport):
    """A transport of somebody else's, between two protocols in memory."""

    _start_tls_compatible = True
    other: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.closed = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def write(self, data: Any) -> None:
        if not self.closed and not self.other.closed:
            asyncio.get_running_loop().call_soon(lambda: self.other.protocol.data_received(bytes(data)))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        for end in (self, self.other):
            if not end.closed:
                end.closed = True
                asyncio.get_running_loop().call_soon(end.protocol.connection_lost, None)

    abort = close


def test_tls_over_a_foreign_transport(ours):
    async def main():
        loop = asyncio.get_running_loop()
        one, two = Wire(), Wire()
        one.other, two.other = two, one
        client, server = Log(), Log(echo=True)
        client.transport, server.transport = await asyncio.gather(
            loop.start_tls(one, client, client_context(), server_hostname=NAME),
            loop.start_tls(two, server, server_context(), server_side=True),
        )
        client.transport.write(pieces(50_000))
        await client.until(lambda: client.data == pieces(50_000))
        client.transport.close()
        await client.lost()
        await server.lost()

    ours.run(main())


# --- peers that misbehave -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
@pytest.mark.parametrize("seconds", [0, -1])
def test_timeouts_are_positive(ours, name, seconds):  # stock leaves the socket open
    async def main():
        async with Silent() as peer:
            with pytest.raises(ValueError, match=f"{name} should be a positive number, got {seconds}"):
                await asyncio.get_running_loop().create_connection(
                    Log, LOCAL, peer.port, ssl=client_context(), server_hostname=NAME, **{name: seconds}
                )

    ours.run(main())


def test_a_peer_that_never_answers_the_hello(api):
    async def main():
        async with Silent() as peer:
            with pytest.raises(ConnectionAbortedError, match=r"SSL handshake is taking longer than 0\.05 seconds: aborting"):
                await asyncio.get_running_loop().create_connection(
                    Log, LOCAL, peer.port, ssl=client_context(), server_hostname=NAME, ssl_handshake_timeout=0.05
                )

    api.run(main())


def test_a_client_that_never_says_hello(api):
    async def main():
        async with Meeting(ssl_handshake_timeout=0.05) as meeting:
            reader, writer = await asyncio.open_connection(LOCAL, meeting.port)
            async with asyncio.timeout(20):
                try:
                    assert await reader.read() == b""
                except ConnectionResetError:
                    pass
            writer.close()
            assert meeting.served[0].events == [] and not meeting.reports

    api.run(main())


@pytest.mark.parametrize("answer", ["garbage", "end", "reset"])
def test_a_peer_that_spoils_the_handshake(api, answer):
    async def main():
        loop = asyncio.get_running_loop()
        async with Silent() as peer:
            connecting = loop.create_task(
                loop.create_connection(Log, LOCAL, peer.port, ssl=client_context(), server_hostname=NAME)
            )
            link = await peer.accept()
            assert await loop.sock_recv(link, 10)
            if answer == "garbage":
                await loop.sock_sendall(link, b"220 smtp.test at your service\r\n")
            else:
                while len(await loop.sock_recv(link, 65536)) == 65536:
                    pass
                if answer == "reset":
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                link.close()
            with pytest.raises(ssl.SSLError if answer == "garbage" else ConnectionResetError):
                await asyncio.wait_for(connecting, 20)

    api.run(main())


def test_a_certificate_of_nobody_we_know(ours, caplog):
    async def main():
        async with Meeting() as meeting:
            with pytest.raises(ssl.SSLCertVerificationError):
                await meeting.connect(ssl=client_context(trusting=False))
            with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)hostname mismatch|doesn't match|not valid for"):
                await meeting.connect(server_hostname="wrong.test")
            await asyncio.sleep(0.05)
            assert not meeting.reports and not caplog.records

    ours.run(main())


def test_a_peer_that_never_says_goodbye(api):
    async def main():
        async with Meeting(ssl_shutdown_timeout=0.05) as meeting:
            peer = await ByHand.to(meeting.port)
            server = await meeting.first()
            server.transport.close()
            await server.lost()
            assert isinstance(server.error, TimeoutError) and str(server.error) == "SSL shutdown timed out"
            await peer.close()

    api.run(main())


def test_a_peer_that_reads_nothing_does_not_keep_us_from_closing(api):
    async def main():
        async with Meeting(ssl_shutdown_timeout=0.05) as meeting:
            peer = await ByHand.to(meeting.port)
            peer.writer.transport.pause_reading()
            server = await meeting.first()
            server.transport.write(pieces(16_000_000))
            server.transport.close()
            await server.lost()
            assert server.events[-1] == "lost" and isinstance(server.error, TimeoutError)
            await peer.close()

    api.run(main())


def test_garbage_in_the_middle_is_an_error_and_the_peer_is_told(ours):
    async def main():
        async with Meeting() as meeting:
            peer = await ByHand.to(meeting.port)
            server = await meeting.first()
            peer.machine.write(b"good")
            peer.writer.write(peer.machine.take() + b"\x17\x03\x03\x00\x20" + b"?" * 32)
            await server.lost()
            assert server.events == ["made", "data", "lost"] and server.data == b"good"
            assert isinstance(server.error, ssl.SSLError) and not meeting.reports
            peer.machine.feed(await peer.reader.read(65536))
            while (event := peer.machine.next_event()) == "data":
                pass
            assert event == "error" and "ALERT" in str(peer.machine.error).upper()
            await peer.close()

    ours.run(main())


def test_a_peer_that_resets(api):
    async def main():
        async with Meeting() as meeting:
            peer = await ByHand.to(meeting.port)
            server = await meeting.first()
            peer.reset()
            await server.lost()
            assert server.events == ["made", "lost"] and isinstance(server.error, ConnectionResetError)

    api.run(main())


def test_a_peer_that_ends_its_stream_without_a_goodbye(api):
    async def main():
        async with Meeting() as meeting:
            peer = await ByHand.to(meeting.port)
            server = await meeting.first()
            peer.machine.write(b"last words")
            peer.writer.write(peer.machine.take())
            peer.writer.close()
            await server.lost()
            assert server.events == ["made", "data", "eof", "lost"] and server.error is None
            assert server.data == b"last words"

    api.run(main())


def test_data_that_crosses_our_close_is_dropped_without_error(ours):
    async def main():
        async with Meeting() as meeting:
            peer = await ByHand.to(meeting.port)
            server = await meeting.first()
            server.transport.close()
            for _ in range(50):
                peer.machine.write(b"too late" * 2000)
                peer.writer.write(peer.machine.take())
            await peer.writer.drain()
            assert server.events == ["made"]
            peer.machine.close()
            peer.writer.write(peer.machine.take())
            await server.lost()
            assert server.events == ["made", "eof", "lost"] and server.error is None and not meeting.reports
            server.transport.write(b"into nothing")
            await peer.close()

    ours.run(main())


def test_what_was_queued_leaves_before_the_goodbye(api):
    async def main():
        message = pieces(6_000_000)
        async with Meeting() as meeting:
            transport, protocol = await meeting.connect()
            server = await meeting.first()
            server.transport.pause_reading()
            transport.write(message)
            transport.close()
            await asyncio.sleep(0.01)
            server.transport.resume_reading()
            await server.until(lambda: "eof" in server.events)
            assert server.data == message[: len(server.data)] and len(server.data) == len(message)
            await protocol.lost()

    api.run(main())


def test_a_peer_that_says_goodbye_first_gets_what_was_queued(api):
    async def main():
        message = pieces(6_000_000)
        async with Meeting() as meeting:
            peer = await ByHand.to(meeting.port)
            server = await meeting.first()
            server.transport.write(message)
            with pytest.raises(ssl.SSLWantReadError):
                peer.machine.ssl_object.unwrap()  # our close_notify; data may still come
            peer.writer.write(peer.machine.take())
            await server.until(lambda: "eof" in server.events)
            got = bytearray()
            async with asyncio.timeout(20):
                while (event := peer.machine.next_event()) != "eof":
                    assert event in ("want", "data"), peer.machine.error
                    if event == "data":
                        got += peer.machine.data
                    else:
                        peer.machine.feed(await peer.reader.read(65536))
            assert got == message
            await server.lost()
            assert server.error is None
            await peer.close()

    api.run(main())


@pytest.mark.parametrize("kind", [asyncio.Protocol, asyncio.BufferedProtocol], ids=["plain", "buffered"])
def test_what_a_protocol_writes_before_it_fails_leaves(api, kind):
    class Failing(kind):
        events = ()

        def connection_made(self, transport):
            self.transport = transport

        def get_buffer(self, sizehint):
            return bytearray(100)

        def data_received(self, data):
            self.transport.write(b"what went wrong")
            raise ZeroDivisionError("on data")

        buffer_updated = data_received

    async def main():
        async with Meeting(Failing) as meeting:
            transport, client = await meeting.connect()
            transport.write(b"?")
            await client.lost()
            return bytes(client.data), len(meeting.reports)

    assert api.run(main()) == (b"what went wrong", 1)



def test_a_protocol_that_fails_is_reported_and_loses_its_connection(api):
    class Bad(Log):
        def data_received(self, data):
            raise ZeroDivisionError("on data")

    async def main():
        async with Meeting(Bad) as meeting:
            transport, protocol = await meeting.connect()
            transport.write(b"x")
            await protocol.lost()
            server = meeting.served[0]
            await server.lost()
            assert isinstance(server.error, ZeroDivisionError)
            assert [str(report["exception"]) for report in meeting.reports] == ["on data"]
            assert meeting.reports[0]["message"] == "Fatal error on SSL protocol"

    api.run(main())


def test_keeping_the_connection_open_after_the_end_has_no_effect(api, caplog):
    async def main():
        async with Meeting(lambda: Log(keep_open=True)) as meeting:
            transport, protocol = await meeting.connect()
            transport.close()
            await protocol.lost()
            await meeting.served[0].lost()
            assert "returning true from eof_received() has no effect when using ssl" in caplog.text

    with caplog.at_level(logging.WARNING, "asyncio"):
        api.run(main())


def test_cancelling_in_the_handshake_leaves_nothing(ours):
    async def main():
        loop = asyncio.get_running_loop()
        async with Silent() as peer:
            for turns in (0, 1, 2, 3, 5, 50):
                task = loop.create_task(
                    loop.create_connection(Log, LOCAL, peer.port, ssl=client_context(), server_hostname=NAME)
                )
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await asyncio.sleep(0.01)
            gc.collect()
            kinds = [type(thing).__name__ for thing in gc.get_objects()]
            assert "TlsTransport" not in kinds and "TlsLayer" not in kinds

    ours.run(main())


@pytest.mark.parametrize("how", ["close", "abort"])
def test_ending_a_connection_during_its_handshake(ours, how):
    async def main():
        loop = asyncio.get_running_loop()
        async with Silent() as peer:
            link = socket.create_connection((LOCAL, peer.port))
            link.setblocking(False)
            protocol, waiter = Log(), loop.create_future()
            transport = loop._make_ssl_transport(link, protocol, client_context(), waiter, server_hostname=NAME)
            for _ in range(3):
                await asyncio.sleep(0)
            getattr(transport, how)()
            with pytest.raises(ConnectionAbortedError, match="during the TLS handshake"):
                await asyncio.wait_for(waiter, 20)
            transport.write(b"nobody")
            await asyncio.sleep(0.01)
            assert protocol.events == []

    ours.run(main())


def test_writes_after_the_end_are_counted_and_then_logged(api, caplog):
    async def main():
        async with Meeting() as meeting:
            transport, protocol = await meeting.connect()
            transport.abort()
            await protocol.lost()
            for _ in range(8):
                transport.write(b"x")

    with caplog.at_level(logging.WARNING, "asyncio"):
        api.run(main())
    assert "SSL connection is closed" in caplog.text


def test_debug_mode_says_what_tls_does(api, caplog):
    async def main():
        async with Meeting() as meeting:
            transport, protocol = await meeting.connect()
            transport.close()
            await protocol.lost()

    with caplog.at_level(logging.DEBUG, "asyncio"):
        api.run(main(), debug=True)
    assert "starts SSL handshake" in caplog.text and "SSL handshake took" in caplog.text


def test_the_transport_says_what_it_is(ours):
    async def main():
        async with Meeting() as meeting:
            transport, protocol = await meeting.connect()
            assert repr(transport).startswith("<TlsTransport open over <TcpTransport")
            assert transport.statistics()["state"] == "open"
            transport.close()
            await protocol.lost()
            assert repr(transport) == "<TlsTransport closed over None>"
            assert transport.get_protocol() is None and transport.get_extra_info("cipher")

    ours.run(main())


# --- many connections ---------------------------------------------------------------------------------------------------


def parts():
    """Every part of a TLS connection that is alive."""
    return [thing for thing in gc.get_objects() if type(thing).__name__ in ("TlsTransport", "TlsLayer", "TlsMachine")]


def test_handshakes_leave_no_memory_behind(ours):
    of_others = parts()  # kept by reports of tests before

    def resident() -> int:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * 4096

    async def main():
        async with Meeting() as meeting:

            async def some(count):
                for _ in range(count // 10):
                    made = await asyncio.gather(*(meeting.connect() for _ in range(10)))
                    for transport, _ in made:
                        transport.close()
                    for _, protocol in made:
                        await protocol.lost()
                for protocol in meeting.served:
                    await protocol.lost()
                meeting.served.clear()
                gc.collect()

            await some(100)
            before = resident()
            for _ in range(3):  # in portions of one size, since what is served is kept until the end of each
                await some(100)
            assert resident() - before < 300 * 2000
            await asyncio.sleep(0.01)
            gc.collect()
            assert not [thing for thing in parts() if not any(thing is other for other in of_others)]

    ours.run(main())
