"""Datagram endpoints: what a protocol is told, in which order, what is counted, and what happens when nobody listens."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import random
import socket
import sys
from typing import Any

import pytest

from tests.refusing import Rule, refusing

LOCAL = "127.0.0.1"
BURST = 100  # more than one batch holds
linux = pytest.mark.skipif(sys.platform != "linux", reason="a fact about Linux")


class Log(asyncio.DatagramProtocol):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data: list[bytes] = []
        self.senders: list[Any] = []
        self.errors: list[Any] = []
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

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert type(data) is bytes
        self.data.append(data)
        self.senders.append(addr)
        self.note("data")

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)
        self.note("error")

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


async def endpoint(factory: Any = Log, **options: Any) -> tuple[Any, Any]:
    made: tuple[Any, Any] = await asyncio.get_running_loop().create_datagram_endpoint(factory, **options)
    return made


async def bound(factory: Any = Log, **options: Any) -> tuple[Any, Any, Any]:
    """(transport, protocol, address) of an endpoint on a port of its own."""
    transport, protocol = await endpoint(factory, local_addr=(LOCAL, 0), **options)
    return transport, protocol, transport.get_extra_info("sockname")


def peer() -> Any:
    """The other side as a plain socket, non-blocking, bound."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((LOCAL, 0))
    return sock


async def shut(*transports: Any) -> None:
    for transport in transports:
        protocol = transport.get_protocol()
        transport.close()
        if isinstance(protocol, Log):
            await protocol.lost
    await asyncio.sleep(0)


def silent_port() -> int:
    """A port at which nobody listens."""
    with peer() as sock:
        port: int = sock.getsockname()[1]
        return port


# --- the way of a datagram -----------------------------------------------------------------------------------------------


def test_datagrams_arrive_whole_in_order_and_with_their_sender(api: Any) -> None:
    async def main() -> None:
        server, served, where = await bound()
        client, log = await endpoint(remote_addr=where)
        sent = [b"%d:" % number + bytes([number]) * (number * 37) for number in range(BURST)]
        for data in sent:
            client.sendto(data)
            await asyncio.sleep(0)
        await served.until(lambda: len(served.data) == BURST)
        assert served.data == sent
        assert set(served.senders) == {client.get_extra_info("sockname")}
        server.sendto(b"answer", served.senders[0])
        await log.until(lambda: log.data)
        assert log.data == [b"answer"] and log.senders == [where]
        await shut(client, server)
        assert served.events == ["made", *["data"] * BURST, "lost"] and served.error is None

    api.run(main())


def test_one_burst_of_many_senders_is_answered_to_each(api: Any) -> None:
    async def main() -> None:
        class Echo(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                super().datagram_received(data, addr)
                self.transport.sendto(data.upper(), addr)

        server, _, where = await bound(Echo)
        peers = [peer() for _ in range(BURST)]
        for number, sock in enumerate(peers):
            sock.sendto(b"from %d" % number, where)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            for number, sock in enumerate(peers):
                assert await loop.sock_recv(sock, 100) == b"FROM %d" % number
                sock.close()
        await shut(server)

    api.run(main())


def test_an_empty_datagram_is_sent_and_received(ours: Any) -> None:
    async def main() -> None:
        server, served, where = await bound()
        client, log = await endpoint(remote_addr=where)
        client.sendto(b"")
        client.sendto(bytearray())
        await served.until(lambda: len(served.data) == 2)
        server.sendto(b"", served.senders[0])
        await log.until(lambda: log.data)
        assert served.data == [b"", b""] and log.data == [b""]
        await shut(client, server)

    ours.run(main())


@pytest.mark.parametrize("size", [1, 1472, 9000, 65507])
def test_datagrams_of_every_size_pass(api: Any, size: int) -> None:
    async def main() -> None:
        server, served, where = await bound()
        client, _ = await endpoint(remote_addr=where)
        payload = random.Random(size).randbytes(size)
        client.sendto(memoryview(payload))
        await served.until(lambda: served.data)
        assert served.data == [payload]
        await shut(client, server)

    api.run(main())


def test_ipv6_addresses_are_those_of_the_socket_module(api: Any) -> None:
    async def main() -> None:
        try:
            server, served = await endpoint(local_addr=("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        where = server.get_extra_info("sockname")
        client, log = await endpoint(local_addr=("::1", 0))
        for address in (where, where[:2], where[:3]):
            client.sendto(b"?", address)
        await served.until(lambda: len(served.data) == 3)
        assert served.senders == [client.get_extra_info("sockname")] * 3 and len(served.senders[0]) == 4
        server.sendto(b"!", served.senders[0])
        await log.until(lambda: log.data)
        assert log.senders == [where]
        await shut(client, server)

    api.run(main())


def test_a_host_name_in_an_address_is_looked_up(api: Any) -> None:
    async def main() -> None:
        server, served, where = await bound()
        client, _, _ = await bound()
        client.sendto(b"?", ("localhost", where[1]))
        await served.until(lambda: served.data)
        await shut(client, server)

    api.run(main())


def test_what_is_sent_may_be_changed_afterwards(ours: Any) -> None:
    async def main() -> None:
        class Answer(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                body = bytearray(b"body")
                self.transport.sendto(body, addr)
                body[:] = b"XXXX"
                self.transport.sendto(memoryview(b"-tail-")[1:5], addr)

        server, _, where = await bound(Answer)
        client, log = await endpoint(remote_addr=where)
        client.sendto(b"?")
        await log.until(lambda: len(log.data) == 2)
        assert log.data == [b"body", b"tail"]
        await shut(client, server)

    ours.run(main())


# --- batches -------------------------------------------------------------------------------------------------------------


async def fill(where: Any, count: int) -> Any:
    """A plain socket that has sent *count* numbered datagrams to *where*, all of which wait there now."""
    sock = peer()
    for number in range(count):
        sock.sendto(b"%d" % number, where)
    return sock


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("end", ["close", "abort"])
@pytest.mark.parametrize("last", [0, 1, 7, 30])
def test_nothing_is_delivered_after_the_end_in_the_middle_of_a_batch(api: Any, end: str, last: int) -> None:
    async def main() -> None:
        class Ending(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                super().datagram_received(data, addr)
                if len(self.data) == last + 1:
                    getattr(self.transport, end)()

        _, log, where = await bound(Ending)
        for _ in range(3):  # so that batches have grown
            sock = await fill(where, last + 40)
            sock.close()
        await log.lost
        await turns()
        assert log.data == [b"%d" % number for number in range(last + 1)]
        assert log.events == ["made", *["data"] * (last + 1), "lost"] and log.error is None

    api.run(main())


@pytest.mark.parametrize("end", ["close", "abort"])
def test_what_is_sent_in_a_batch_leaves_before_its_end(api: Any, end: str) -> None:
    async def main() -> None:
        class Last(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                self.transport.sendto(b"bye " + data, addr)
                getattr(self.transport, end)()

        loop = asyncio.get_running_loop()
        _, log, where = await bound(Last)
        with await fill(where, 5) as sock:
            assert await loop.sock_recv(sock, 100) == b"bye 0"
            await log.lost
            with pytest.raises(BlockingIOError):
                sock.recv(100)

    api.run(main())


@pytest.mark.parametrize("again", ["later", "at once"])
def test_a_pause_in_the_middle_of_a_batch_keeps_the_rest(ours: Any, again: str) -> None:
    async def main() -> None:
        class Pausing(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                super().datagram_received(data, addr)
                if len(self.data) % 3 == 0:
                    self.transport.pause_reading()
                    if again == "at once":
                        self.transport.resume_reading()

        transport, log, where = await bound(Pausing)
        (await fill(where, BURST // 2)).close()
        while len(log.data) < BURST // 2:
            await log.until(lambda: not transport.is_reading() or len(log.data) == BURST // 2)
            seen = len(log.data)
            await turns()
            if not transport.is_reading():
                assert len(log.data) == seen
                (await fill(where, 0)).close()
            transport.resume_reading()
            transport.resume_reading()
            await asyncio.sleep(0)
        assert log.data == [b"%d" % number for number in range(BURST // 2)]
        await shut(transport)

    ours.run(main())


def test_a_pause_and_an_end_drop_what_was_kept(ours: Any) -> None:
    async def main() -> None:
        class Pausing(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                super().datagram_received(data, addr)
                self.transport.pause_reading()

        transport, log, where = await bound(Pausing)
        (await fill(where, 20)).close()
        await log.until(lambda: log.data)
        transport.resume_reading()
        transport.close()
        transport.resume_reading()
        await log.lost
        await turns()
        assert log.data == [b"0"] and log.events == ["made", "data", "lost"]

    ours.run(main())


def test_a_new_protocol_is_told_of_the_rest_of_a_batch(ours: Any) -> None:
    async def main() -> None:
        class Handing(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                super().datagram_received(data, addr)
                if len(self.data) == 2:
                    self.transport.set_protocol(second)

        second = Log()
        transport, first, where = await bound(Handing)
        (await fill(where, 20)).close()
        await second.until(lambda: len(second.data) == 18)
        assert first.data == [b"0", b"1"] and transport.get_protocol() is second
        await shut(transport)
        assert second.events[-1] == "lost" and "made" not in second.events

    ours.run(main())


def test_a_slow_batch_does_not_hold_answers_back(ours: Any) -> None:
    async def main() -> None:
        seen: list[bytes] = []

        class Slow(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                super().datagram_received(data, addr)
                until = loop.time() + 0.0005
                while loop.time() < until:
                    pass
                try:
                    while True:
                        seen.append(sock.recv(10))
                except BlockingIOError:
                    pass
                arrived.append(len(seen))
                self.transport.sendto(data, addr)

        loop = asyncio.get_running_loop()
        arrived: list[int] = []
        transport, log, where = await bound(Slow)
        sock = await fill(where, 60)
        await log.until(lambda: len(log.data) == 60)
        assert all(number - before <= 2 for number, before in enumerate(arrived))  # while it goes on, not at the end
        sock.close()
        await shut(transport)

    ours.run(main())


def test_a_protocol_that_raises_is_reported_and_told_of_the_next(api: Any) -> None:
    async def main() -> None:
        class Broken(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                super().datagram_received(data, addr)
                if data == b"1":
                    raise ValueError("broken on purpose")

        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        transport, log, where = await bound(Broken)
        (await fill(where, 20)).close()
        await log.until(lambda: len(log.data) == 20)
        (report,) = reports
        assert isinstance(report["exception"], ValueError) and not transport.is_closing()
        await shut(transport)

    api.run(main())


def test_an_interrupt_in_the_middle_of_a_batch_loses_nothing(our_loop: Any) -> None:
    class Interrupted(Log):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if data == b"3":
                raise KeyboardInterrupt

    async def rest() -> None:
        await log.until(lambda: len(log.data) == 20)
        await shut(transport)

    transport, log, where = our_loop.run_until_complete(bound(Interrupted))
    with peer() as sock:
        for number in range(20):
            sock.sendto(b"%d" % number, where)
    with pytest.raises(KeyboardInterrupt):
        our_loop.run_forever()
    assert log.data[-1] == b"3"
    our_loop.run_until_complete(rest())
    assert log.data == [b"%d" % number for number in range(20)]


def test_each_callback_runs_in_a_context_of_its_own(ours: Any) -> None:
    async def main() -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody")
        seen: list[str] = []

        class Marking(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                seen.append(variable.get())
                variable.set(data.decode())
                super().datagram_received(data, addr)

        variable.set("creator")
        transport, log, where = await bound(Marking)
        variable.set("later")
        (await fill(where, 20)).close()
        await log.until(lambda: len(log.data) == 20)
        assert seen == ["creator"] * 20
        await shut(transport)

    ours.run(main())


# --- errors --------------------------------------------------------------------------------------------------------------


def test_nobody_listening_is_told_by_error_received(api: Any) -> None:
    async def main() -> None:
        client, log = await endpoint(remote_addr=(LOCAL, silent_port()))
        client.sendto(b"anybody?")
        await log.until(lambda: log.errors)
        assert isinstance(log.errors[0], ConnectionRefusedError) and not client.is_closing()
        for _ in range(40):
            client.sendto(b"anybody?")
            await asyncio.sleep(0)
        await log.until(lambda: len(log.errors) > 10)
        assert {type(error) for error in log.errors} == {ConnectionRefusedError}
        await shut(client)
        assert log.error is None

    api.run(main())


def test_a_datagram_that_is_too_big_is_refused_and_the_next_one_sent(api: Any) -> None:
    async def main() -> None:
        server, served, where = await bound()
        client, log, _ = await bound()
        client.sendto(b"x" * 70_000, where)
        client.sendto(b"small", where)
        await served.until(lambda: served.data)
        assert served.data == [b"small"] and [error.errno for error in log.errors] == [errno.EMSGSIZE]
        await shut(client, server)

    api.run(main())


def test_refusals_in_the_middle_of_a_batch_are_told_one_by_one(ours: Any) -> None:
    async def main() -> None:
        class Answer(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                for number in range(9):
                    self.transport.sendto(b"x" * 70_000 if number % 3 == 1 else b"%d" % number, addr)

        for connected in (False, True):
            client, log, there = await bound()
            server, served, where = await bound(Answer, **({"remote_addr": there} if connected else {}))
            client.sendto(b"?", where)
            await log.until(lambda log=log: len(log.data) == 6)
            assert log.data == [b"0", b"2", b"3", b"5", b"6", b"8"]
            assert [error.errno for error in served.errors] == [errno.EMSGSIZE] * 3
            counts = server.statistics()
            assert (counts["sent"], counts["refused"], counts["queued"]) == (6, 3, 0)
            await shut(client, server)

    ours.run(main())


@pytest.mark.parametrize("connected", [True, False])
def test_a_datagram_that_the_kernel_has_no_memory_for_is_refused_and_the_next_one_goes(api: Any, connected: bool) -> None:
    async def main() -> None:
        here, log, address = await bound()
        there, sender = await endpoint(**({"remote_addr": address} if connected else {"local_addr": (LOCAL, 0)}))
        for size in (10, 1313, 20):
            there.sendto(b"x" * size, None if connected else address)
        await log.until(lambda: len(log.data) == 2)
        assert [len(data) for data in log.data] == [10, 20]
        assert [error.errno for error in sender.errors] == [errno.ENOBUFS]
        assert not there.is_closing()
        if api.ours:
            assert there.statistics()["sent"] == 2 and there.statistics()["refused"] == 1
        for transport, protocol in ((here, log), (there, sender)):
            transport.close()
            await protocol.lost

    refusing([Rule("sendto", 2, 1313, errno.ENOBUFS)], lambda: api.run(main()))


def test_of_a_batch_only_the_refused_datagram_is_lost(ours: Any) -> None:
    class Longer(Log):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            self.transport.sendto(bytes(1000 + len(data)), addr)

    async def main() -> None:
        here, log, address = await bound(Longer)
        there, back = await endpoint(remote_addr=address)
        here.pause_reading()
        for size in range(BURST):
            there.sendto(bytes(size))
        here.resume_reading()
        await back.until(lambda: len(back.data) + len(log.errors) == BURST)
        refused = [error.errno for error in log.errors]
        assert refused and set(refused) == {errno.ENOBUFS}
        assert here.statistics()["sent"] == len(back.data) > BURST // 2 and here.statistics()["refused"] == len(refused)
        assert sorted(map(len, back.data)) == list(map(len, back.data))  # the others keep their order
        for transport, protocol in ((here, log), (there, back)):
            transport.close()
            await protocol.lost

    # Interpreted, each datagram is a call; compiled, 32 are, and the error says that the first of them was refused.
    refusing([Rule("sendto", 2, 1050, errno.ENOBUFS), Rule("sendmmsg", 2, 32, errno.ENOBUFS)], lambda: ours.run(main()))


def test_error_received_may_do_anything(ours: Any) -> None:
    async def main() -> None:
        class Stubborn(Log):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                for _ in range(5):
                    self.transport.sendto(b"x" * 70_000, addr)
                self.transport.sendto(b"after", addr)

            def error_received(self, exc: Exception) -> None:
                super().error_received(exc)
                if what == "send":
                    self.transport.sendto(b"sorry", there)
                elif what == "raise":
                    raise ValueError("broken on purpose")
                else:
                    getattr(self.transport, what)()

        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context["exception"]))
        for what in ("send", "raise", "close", "abort"):
            client, log, there = await bound()
            server, served, where = await bound(Stubborn)
            client.sendto(b"?", where)
            if what in ("close", "abort"):
                await served.lost
                assert served.events == ["made", *["error"] * 5, "lost"]  # what is sent before the end is tried
            else:
                await log.until(lambda log=log: b"after" in log.data)
                assert len(served.errors) == 5
                if what == "send":
                    await log.until(lambda log=log: log.data.count(b"sorry") == 5)
                await shut(server)
            await shut(client)
        assert [type(exc) for exc in reports] == [ValueError] * 5

    ours.run(main())


def test_an_address_that_is_none_ends_the_transport(api: Any) -> None:
    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        for nonsense in (17, ("127.0.0.1",), (LOCAL, "port"), (LOCAL, -1), (None, None)):
            transport, log, _ = await bound()
            transport.sendto(b"?", nonsense)
            await log.lost
            assert log.error is reports[-1]["exception"] and reports[-1]["transport"] is transport
        assert len(reports) == 5

    api.run(main())


@pytest.mark.parametrize("nonsense", ["text", None, 17, [b"list"]], ids=repr)
def test_wrong_data_is_refused_in_the_standard_words(api: Any, nonsense: Any) -> None:
    async def main() -> None:
        transport, _, where = await bound()
        with pytest.raises(TypeError, match="data argument must be a bytes-like object, not"):
            transport.sendto(nonsense, where)
        await shut(transport)

    api.run(main())


def test_a_connected_endpoint_sends_nowhere_else(api: Any) -> None:
    async def main() -> None:
        server, served, where = await bound()
        client, _ = await endpoint(remote_addr=where)
        client.sendto(b"1", where)
        client.sendto(b"2", None)
        with pytest.raises(ValueError, match="Invalid address: must be None or"):
            client.sendto(b"3", (LOCAL, 1))
        await served.until(lambda: len(served.data) == 2)
        await shut(client, server)

    api.run(main())


@linux
def test_a_descriptor_closed_by_somebody_else_ends_the_transport(ours: Any) -> None:
    async def main() -> None:
        transport, log, where = await bound()
        spare = os.open(os.devnull, os.O_RDONLY)
        os.dup2(spare, transport.get_extra_info("socket").fileno())  # no socket any more, and the number stays ours
        os.close(spare)
        transport.sendto(b"?", where)
        await log.lost
        assert log.error.errno == errno.ENOTSOCK and log.events == ["made", "lost"]

    ours.run(main())


# --- the end -------------------------------------------------------------------------------------------------------------


def test_close_and_abort_are_told_once(api: Any) -> None:
    async def main() -> None:
        for end in ("close", "abort"):
            transport, log, where = await bound()
            assert not transport.is_closing() and transport.is_reading()
            getattr(transport, end)()
            assert transport.is_closing() and not transport.is_reading()
            transport.close()
            transport.abort()
            assert log.events == ["made"]
            await log.lost
            assert log.events == ["made", "lost"] and log.error is None
            assert transport.get_extra_info("sockname") == where

    api.run(main())


def test_sending_after_the_end_is_dropped_counted_and_warned_of(ours: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server, served, where = await bound()
        client, log = await endpoint(remote_addr=where)
        client.close()
        for _ in range(4):
            client.sendto(b"?")
        await log.lost
        assert not caplog.records
        for _ in range(3):
            client.sendto(b"?")
        assert {record.getMessage() for record in caplog.records} == {"socket.send() raised exception."}
        assert client.statistics()["discarded"] == 7
        await turns()
        assert served.data == []
        await shut(server)

    ours.run(main())


@pytest.mark.leaves("transports", "armed")
def test_an_unclosed_endpoint_warns_and_frees_its_descriptor(ours: Any) -> None:
    async def main() -> None:
        await endpoint(asyncio.DatagramProtocol, local_addr=(LOCAL, 0))

    with pytest.warns(ResourceWarning, match="unclosed transport <UdpTransport"):
        ours.run(main())
        import gc

        gc.collect()


def test_the_loop_refuses_foreign_use_of_the_descriptor(api: Any) -> None:
    async def main() -> None:
        transport, _, _ = await bound()
        with pytest.raises(RuntimeError, match="is used by transport"):
            asyncio.get_running_loop().add_reader(transport.get_extra_info("socket").fileno(), print)
        await shut(transport)

    api.run(main())


# --- flow control --------------------------------------------------------------------------------------------------------


def unix_pair(room: int = 4096) -> tuple[Any, Any]:
    """Two connected datagram sockets; the second one's reader decides how much the first one may send."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
    left.setblocking(False)
    right.setblocking(False)
    return left, right


async def read_all(sock: Any, count: int) -> list[bytes]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(20):
        return [await loop.sock_recv(sock, 70_000) for _ in range(count)]


@linux
def test_a_full_receiver_pauses_the_sender_and_reading_resumes_it(ours: Any) -> None:
    async def main() -> None:
        left, right = unix_pair()
        transport, log = await endpoint(sock=left)
        transport.set_write_buffer_limits(high=4000, low=1000)
        assert transport.get_write_buffer_limits() == (1000, 4000)
        count = 0
        while "pause" not in log.events:
            transport.sendto(b"%06d" % count + b"." * 500)
            count += 1
        assert transport.get_write_buffer_size() > 4000
        assert transport.get_write_buffer_size() == transport.statistics()["queued"] * (506 + 8)
        draining = asyncio.create_task(wait_for(transport.drain()))
        await asyncio.sleep(0.01)
        assert not draining.done()
        got = await read_all(right, count)
        assert [int(data[:6]) for data in got] == list(range(count))
        await draining
        assert log.events == ["made", "pause", "resume"] and transport.get_write_buffer_size() == 0
        await transport.drain()
        right.close()
        await shut(transport)

    ours.run(main())


async def wait_for(awaitable: Any) -> None:
    await awaitable


@linux
def test_close_sends_what_is_queued_and_abort_drops_it(ours: Any) -> None:
    async def main() -> None:
        for end in ("close", "abort"):
            left, right = unix_pair()
            transport, log = await endpoint(sock=left)
            while not transport.get_write_buffer_size():
                transport.sendto(b"x" * 500)
            for number in range(10):
                transport.sendto(b"%d" % number)
            given = transport.statistics()["sent"] + transport.statistics()["queued"]
            getattr(transport, end)()
            if end == "close":
                await turns()
                assert not log.lost.done()
                got = await read_all(right, given)
                assert got[-10:] == [b"%d" % number for number in range(10)]
            await log.lost
            counts = transport.statistics()
            assert counts["sent"] + counts["discarded"] == given and counts["queued"] == 0
            assert bool(counts["discarded"]) == (end == "abort")
            right.close()

    ours.run(main())


@linux
def test_drain_ends_with_the_transport(ours: Any) -> None:
    async def main() -> None:
        left, right = unix_pair()
        transport, log = await endpoint(sock=left)
        transport.set_write_buffer_limits(high=100)
        while "pause" not in log.events:
            transport.sendto(b"x" * 500)
        waiting = [asyncio.create_task(wait_for(transport.drain())) for _ in range(3)]
        cancelled = asyncio.create_task(wait_for(transport.drain()))
        await asyncio.sleep(0)
        cancelled.cancel()
        transport.abort()
        for task in waiting:
            with pytest.raises(ConnectionResetError, match="has ended"):
                await task
        with pytest.raises(ConnectionResetError, match="has ended"):
            await transport.drain()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        right.close()

    ours.run(main())


@linux
def test_a_receiver_without_room_is_not_asked_in_a_busy_loop(ours: Any, tmp_path: Any) -> None:
    async def main() -> None:
        where = str(tmp_path / "receiver")
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.setblocking(False)
        receiver.bind(where)
        transport, _ = await endpoint(family=socket.AF_UNIX)
        count = 0
        while not transport.get_write_buffer_size():
            transport.sendto(b"%d" % count, where)
            count += 1
        loop = asyncio.get_running_loop()
        polls = loop._poller.statistics()["polls"]
        await asyncio.sleep(0.1)
        assert loop._poller.statistics()["polls"] - polls < 30
        got = await read_all(receiver, count)
        assert [int(data) for data in got] == list(range(count))
        assert transport.get_write_buffer_size() == 0
        receiver.close()
        await shut(transport)

    ours.run(main())


@pytest.mark.parametrize("limits", [{"high": 10, "low": 11}, {"high": -1}, {"low": -1}], ids=repr)
def test_impossible_limits_are_refused(api: Any, limits: Any) -> None:
    async def main() -> None:
        transport, _, _ = await bound()
        with pytest.raises(ValueError, match="must be >="):
            transport.set_write_buffer_limits(**limits)
        transport.set_write_buffer_limits(low=10)
        assert transport.get_write_buffer_limits() == (10, 40)
        await shut(transport)

    api.run(main())


@linux
def test_what_the_kernel_dropped_is_counted(ours: Any) -> None:
    async def main() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind((LOCAL, 0))
        transport, log = await endpoint(sock=sock)
        transport.pause_reading()
        (await fill(transport.get_extra_info("sockname"), BURST)).close()
        dropped = transport.statistics()["dropped"]
        if dropped is None:
            pytest.skip("this kernel does not say what it dropped")
        assert 0 < dropped < BURST
        transport.resume_reading()
        await log.until(lambda: len(log.data) == BURST - dropped)
        assert transport.statistics()["received"] == BURST - dropped
        await shut(transport)
        assert transport.statistics()["dropped"] == dropped

    ours.run(main())


# --- making endpoints ------------------------------------------------------------------------------------------------------


def test_the_transport_is_what_programs_ask_for(api: Any) -> None:
    async def main() -> None:
        transport, log, where = await bound()
        assert isinstance(transport, asyncio.Transport)
        assert isinstance(transport, asyncio.DatagramTransport) or not api.ours  # the standard library's is one from 3.12 on
        assert transport.get_protocol() is log
        assert isinstance(transport.get_extra_info("socket"), asyncio.trsock.TransportSocket)
        assert transport.get_extra_info("sockname") == where == transport.get_extra_info("socket").getsockname()
        assert transport.get_extra_info("peername") is None and transport.get_extra_info("other", 7) == 7
        client, _ = await endpoint(remote_addr=where)
        assert client.get_extra_info("peername") == where
        assert "fd=" in repr(transport)
        await shut(client, transport)
        assert "closed" in repr(transport)

    api.run(main())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ValueError, "unexpected address family"),
        ({"local_addr": "127.0.0.1:1"}, TypeError, "2-tuple is expected"),
        ({"remote_addr": (LOCAL, 1, 2)}, TypeError, "2-tuple is expected"),
        ({"family": socket.AF_UNIX, "local_addr": (LOCAL, 0)}, TypeError, "string is expected"),
        ({"local_addr": (LOCAL, 0), "remote_addr": ("::1", 1)}, ValueError, "can not get address information"),
        ({"local_addr": (LOCAL, 0), "reuse_address": True}, TypeError, "reuse_address"),
    ],
    ids=repr,
)
def test_impossible_endpoints_are_refused_in_the_standard_words(api: Any, options: Any, error: Any, words: str) -> None:
    async def main() -> None:
        with pytest.raises(error, match=words):
            await endpoint(**options)

    api.run(main())


def test_a_given_socket_has_to_be_for_datagrams_and_alone(api: Any) -> None:
    async def main() -> None:
        with socket.socket() as stream, pytest.raises(ValueError, match=r"(datagram|UDP) [Ss]ocket was expected, got"):
            await endpoint(sock=stream)
        with peer() as sock:
            for options in ({"local_addr": (LOCAL, 0)}, {"flags": 1}, {"allow_broadcast": True, "family": socket.AF_INET}):
                with pytest.raises(ValueError, match="can not be used when sock is specified") as caught:
                    await endpoint(sock=sock, **options)
                assert all(f"{name}={value}" in str(caught.value) for name, value in options.items())

    api.run(main())


def test_a_given_socket_is_taken_over(api: Any) -> None:
    async def main() -> None:
        server, served, where = await bound()
        sock = peer()
        sock.connect(where)
        transport, _ = await endpoint(sock=sock)
        transport.sendto(b"?")
        await served.until(lambda: served.data)
        await shut(transport, server)
        assert sock.fileno() == -1

    api.run(main())


def test_a_failing_factory_leaves_nothing_open(ours: Any) -> None:
    async def main() -> None:
        def fail() -> Any:
            raise ValueError("broken on purpose")

        with pytest.raises(ValueError, match="on purpose"):
            await endpoint(fail, local_addr=(LOCAL, 0))

    ours.run(main())


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no SO_REUSEPORT")
def test_reuse_port_shares_a_port(api: Any) -> None:
    async def main() -> None:
        first, _, where = await bound(reuse_port=True)
        second, _ = await endpoint(local_addr=where, reuse_port=True)
        with pytest.raises(OSError) as caught:
            await endpoint(local_addr=where)
        assert caught.value.errno == errno.EADDRINUSE
        await shut(first, second)

    api.run(main())


def test_a_broadcast_endpoint_is_not_connected(api: Any) -> None:
    async def main() -> None:
        server, served, where = await bound()
        transport, log = await endpoint(remote_addr=where, allow_broadcast=True)
        assert transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
        assert transport.get_extra_info("peername") is None
        transport.sendto(b"1")
        transport.sendto(b"2", where)
        with pytest.raises(ValueError, match="Invalid address"):
            transport.sendto(b"3", (LOCAL, 1))
        await served.until(lambda: len(served.data) == 2)
        server.sendto(b"answer", (LOCAL, served.senders[0][1]))
        await log.until(lambda: log.data)
        await shut(transport, server)

    api.run(main())


# --- Unix datagrams --------------------------------------------------------------------------------------------------------


def test_unix_datagrams_by_path(api: Any, tmp_path: Any) -> None:
    async def main() -> None:
        there, here = str(tmp_path / "there"), str(tmp_path / "here")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stale:
            stale.bind(there)  # its file stays
        server, served = await endpoint(local_addr=there, family=socket.AF_UNIX)
        client, log = await endpoint(local_addr=here, remote_addr=there, family=socket.AF_UNIX)
        client.sendto(b"?" * 100_000)
        await served.until(lambda: served.data)
        assert served.data == [b"?" * 100_000] and served.senders == [here]
        server.sendto(b"!", here)
        await log.until(lambda: log.data)
        assert log.senders == [there] and client.get_extra_info("peername") == there
        await shut(client, server)

    api.run(main())


@linux
def test_unix_datagrams_by_abstract_name_and_without_one(api: Any) -> None:
    async def main() -> None:
        name = f"\0yieldloop-{os.getpid()}-{random.random()}"
        server, served = await endpoint(local_addr=name, family=socket.AF_UNIX)
        client, _ = await endpoint(remote_addr=name, family=socket.AF_UNIX)
        client.sendto(b"?")
        await served.until(lambda: served.data)
        assert served.senders == [None]
        assert server.get_extra_info("sockname") == name.encode()
        named, log = await endpoint(local_addr=name + "2", remote_addr=name, family=socket.AF_UNIX)
        named.sendto(b"?")
        await served.until(lambda: len(served.data) == 2)
        assert served.senders[1] == (name + "2").encode()
        server.sendto(b"!", served.senders[1])
        await log.until(lambda: log.data)
        await shut(client, named, server)

    api.run(main())


def test_a_path_that_is_no_socket_is_left_alone(api: Any, tmp_path: Any) -> None:
    async def main() -> None:
        path = tmp_path / "file"
        path.write_text("precious")
        with pytest.raises(OSError) as caught:
            await endpoint(local_addr=str(path), family=socket.AF_UNIX)
        assert caught.value.errno == errno.EADDRINUSE and path.read_text() == "precious"

    api.run(main())


# --- anything at all -------------------------------------------------------------------------------------------------------


class Wild(Log):
    """Does at random what a protocol may do, and checks that it is allowed to be told."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.dice = dice

    def note(self, event: str) -> None:
        assert self.events or event == "made", f"{event} before connection_made"
        assert "lost" not in self.events, f"{event} after connection_lost"
        if event == "data":
            assert not self.transport.is_closing(), "a datagram after close()"
        paused = self.events.count("pause") > self.events.count("resume")
        assert event != "pause" or not paused, "paused twice"
        assert event != "resume" or paused, "resumed without a pause"
        super().note(event)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert self.transport.is_reading(), "a datagram while paused"
        super().datagram_received(data, addr)
        self.act(addr)

    def act(self, addr: Any) -> None:
        roll = self.dice.random()
        if roll < 0.5 and addr is not None:
            self.transport.sendto(self.dice.randbytes(self.dice.choice([0, 1, 100, 1500, 70_000])), addr)
        elif roll < 0.6:
            self.transport.pause_reading()
        elif roll < 0.65:
            self.transport.pause_reading()
            self.transport.resume_reading()
        elif roll < 0.66:
            self.transport.close()
        elif roll < 0.665:
            self.transport.abort()
        elif roll < 0.67:
            raise ValueError("broken on purpose")


@pytest.mark.parametrize("seed", range(6))
def test_callbacks_come_in_order_whatever_happens(ours: Any, seed: int) -> None:
    async def main() -> None:
        dice = random.Random(seed)
        loop = asyncio.get_running_loop()
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
        transport, wild, where = await bound(lambda: Wild(dice))
        sock = peer()
        sent = 0
        for _ in range(60):
            for _ in range(dice.randrange(40)):
                sock.sendto(b"%d" % sent, where)
                sent += 1
            await turns(dice.randrange(4))
            try:
                while dice.random() < 0.9:
                    sock.recv(70_000)
            except BlockingIOError:
                pass
            if transport.is_closing():
                break
            if dice.random() < 0.7:
                transport.resume_reading()
        transport.abort()
        await wild.lost
        await turns(3)
        assert wild.events[0] == "made" and wild.events[-1] == "lost" and wild.events.count("lost") == 1
        numbers = [int(data) for data in wild.data]
        assert numbers == sorted(set(numbers)) and set(numbers) <= set(range(sent))
        assert transport.statistics()["received"] == len(numbers)
        assert {type(exc) for exc in reports} <= {ValueError}
        sock.close()

    ours.run(main())
