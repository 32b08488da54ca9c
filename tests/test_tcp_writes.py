"""What is written in one step or callback leaves in one system call when it is over; nothing is later than that.

The transports here speak over a pair of SOCK_SEQPACKET sockets: the kernel keeps the limits between two `send`s then, so
that the other end sees each system call as one packet.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SOCK_SEQPACKET") or not hasattr(socket, "AF_UNIX"), reason="no sockets that keep packets apart"
)


class Quiet(asyncio.Protocol):
    """Keeps what it is told, and can be told what to do in `data_received`."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.on_data: Callable[[], None] = lambda: None

    def data_received(self, data: bytes) -> None:
        self.on_data()

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: Any) -> None:
        self.events.append("lost")


class Link:
    """A transport and its peer, a plain non-blocking socket."""

    def __init__(self, loop: Any, kind: int = socket.SOCK_SEQPACKET) -> None:
        ours, self.peer = socket.socketpair(socket.AF_UNIX, kind)
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.protocol = Quiet()
        self.made = loop.create_future()
        self.transport = loop._make_socket_transport(ours, self.protocol, self.made)

    def packets(self) -> list[bytes]:
        """What has arrived by now, a packet for each system call; b"" is the end."""
        found: list[bytes] = []
        while not found or found[-1]:
            try:
                found.append(self.peer.recv(1 << 20))
            except BlockingIOError:
                break
        return found

    async def over(self) -> None:
        self.transport.abort()
        while "lost" not in self.protocol.events:
            await asyncio.sleep(0)
        self.peer.close()


def on_a_link(api: Any, body: Any, *, debug: bool = False, kind: int = socket.SOCK_SEQPACKET) -> None:
    """Run ``body(link)`` on a fresh loop."""

    async def main() -> None:
        link = Link(asyncio.get_running_loop(), kind)
        await link.made
        await body(link)
        await link.over()

    api.run(main(), debug=debug)


async def next_step() -> None:
    await asyncio.sleep(0)


def write_head_and_body(link: Link) -> None:
    link.transport.write(b"head ")
    link.transport.write(bytearray(b"body"))


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
def test_head_and_body_written_by_a_task_leave_in_one_system_call(ours: Any, debug: bool) -> None:
    async def body(link: Link) -> None:
        write_head_and_body(link)
        assert link.packets() == [] and link.transport.get_write_buffer_size() == 9
        await next_step()
        assert link.packets() == [b"head body"] and link.transport.get_write_buffer_size() == 0

    on_a_link(ours, body, debug=debug)


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
def test_head_and_body_written_by_two_callbacks_of_an_iteration_leave_in_one_system_call(ours: Any, debug: bool) -> None:
    async def body(link: Link) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(link.transport.write, b"head ")
        loop.call_soon(link.transport.write, bytearray(b"body"))
        await next_step()
        await next_step()
        assert link.packets() == [b"head body"]

    on_a_link(ours, body, debug=debug)


def test_head_and_body_written_when_data_come_leave_in_one_system_call(ours: Any) -> None:
    async def body(link: Link) -> None:
        link.protocol.on_data = lambda: write_head_and_body(link)
        link.peer.send(b"?")
        got: list[bytes] = []
        while not got:
            await next_step()
            got = link.packets()
        assert got == [b"head body"]

    on_a_link(ours, body)


def test_a_write_has_left_when_the_next_iteration_begins(ours: Any) -> None:
    async def body(link: Link) -> None:
        loop = asyncio.get_running_loop()
        seen = loop.create_future()

        def write() -> None:
            link.transport.write(b"now")
            loop.call_soon(lambda: seen.set_result(link.packets()))

        loop.call_soon(write)
        assert await seen == [b"now"]

    on_a_link(ours, body)


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
def test_a_write_does_not_wait_long_for_the_others_of_its_iteration(ours: Any, debug: bool) -> None:
    async def body(link: Link) -> None:
        loop = asyncio.get_running_loop()
        seen = loop.create_future()

        def compute() -> None:
            until = time.monotonic_ns() + 5_000_000
            while time.monotonic_ns() < until:
                pass

        loop.call_soon(link.transport.write, b"now")
        loop.call_soon(compute)
        loop.call_soon(lambda: seen.set_result(link.packets()))
        assert await seen == [b"now"]

    on_a_link(ours, body, debug=debug)


def test_what_is_written_leaves_though_a_callback_of_its_iteration_ends_the_run(our_loop: Any) -> None:
    def leave() -> None:
        raise SystemExit(3)

    link = Link(our_loop)
    our_loop.run_until_complete(link.made)
    our_loop.call_soon(link.transport.write, b"last words")
    our_loop.call_soon(leave)
    with pytest.raises(SystemExit):
        our_loop.run_forever()
    assert link.packets() == [b"last words"]
    our_loop.run_until_complete(link.over())


def test_what_is_written_has_left_when_the_socket_is_asked_for(ours: Any) -> None:
    async def body(link: Link) -> None:
        link.transport.write(b"last words")
        link.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        assert link.packets() == [b"last words", b""]

    on_a_link(ours, body)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_is_written_before_a_fork_leaves_once(our_loop: Any) -> None:
    def fork() -> None:
        child = os.fork()
        if not child:
            raise SystemExit(3)
        os.waitpid(child, 0)

    link = Link(our_loop)
    our_loop.run_until_complete(link.made)
    our_loop.call_soon(link.transport.write, b"once")
    our_loop.call_soon(fork)
    parent = os.getpid()
    try:
        our_loop.run_until_complete(asyncio.sleep(0))
    finally:
        if os.getpid() != parent:
            os._exit(0)
    assert link.packets() == [b"once"]
    our_loop.run_until_complete(link.over())


def test_what_is_written_leaves_though_the_protocol_gives_a_buffer_that_cannot_be_written(api: Any) -> None:
    class ReadOnly(asyncio.BufferedProtocol):
        def get_buffer(self, sizehint: int) -> Any:
            return b"no room"

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context["message"]))
        ours, peer = socket.socketpair()
        peer.setblocking(False)
        with peer:
            transport, _ = await loop.create_connection(ReadOnly, sock=ours)
            peer.send(b"?")
            loop.call_soon(transport.write, b"last words")  # in the iteration in which that is found
            while not reports:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert reports == ["Fatal read error on socket transport"]
            return peer.recv(100)

    assert api.run(main()) == b"last words"


def test_what_is_written_while_no_loop_runs_leaves_at_once(our_loop: Any) -> None:
    link = Link(our_loop)
    our_loop.run_until_complete(link.made)
    link.transport.write(b"one")
    link.transport.write(b"two")
    assert link.packets() == [b"one", b"two"]
    our_loop.run_until_complete(link.over())


def test_more_than_64_kib_do_not_wait(ours: Any) -> None:
    async def body(link: Link) -> None:
        big = b"x" * 70_000
        link.transport.write(big)
        assert link.packets() == [big]
        link.transport.write(b"y" * 40_000)
        assert link.packets() == []
        link.transport.write(b"z" * 40_000)
        assert link.packets() == [b"y" * 40_000 + b"z" * 40_000]

    on_a_link(ours, body)


def test_small_writes_with_drain_neither_suspend_nor_leave_one_by_one(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        left.setblocking(False)
        right.setblocking(False)
        reader = ours.m.StreamReader(loop=loop)
        protocol = ours.m.StreamReaderProtocol(reader, loop=loop)
        made = loop.create_future()
        transport = loop._make_socket_transport(left, protocol, made)
        await made
        writer = ours.m.StreamWriter(transport, protocol, reader, loop)
        others: list[int] = []
        loop.call_soon(others.append, 1)
        for _ in range(100):
            writer.write(b"k" * 1024)
            await writer.drain()
        assert others == []  # nobody else had a turn
        assert len(right.recv(1 << 20)) == 65 * 1024
        await next_step()
        assert len(right.recv(1 << 20)) == 35 * 1024
        writer.close()
        await writer.wait_closed()
        right.close()

    ours.run(main())


def test_with_a_high_mark_of_zero_nothing_is_held(ours: Any) -> None:
    async def body(link: Link) -> None:
        link.transport.set_write_buffer_limits(high=0)
        link.transport.write(b"one")
        link.transport.write(b"two")
        link.transport.writelines([b"th", b"ree"])
        assert link.packets() == [b"one", b"two", b"three"] and link.protocol.events == []

    on_a_link(ours, body)


def test_held_bytes_pause_nobody_when_the_marks_change(ours: Any) -> None:
    async def body(link: Link) -> None:
        link.transport.write(b"x" * 100)
        link.transport.set_write_buffer_limits(high=10)
        assert link.packets() == [b"x" * 100] and link.protocol.events == []
        link.transport.write(b"y" * 10)
        assert link.packets() == []
        link.transport.write(b"z")  # more than the high mark in all
        assert link.packets() == [b"y" * 10 + b"z"] and link.protocol.events == []

    on_a_link(ours, body)


def test_writelines_is_one_system_call_and_joins_what_was_written_before(ours: Any) -> None:
    async def body(link: Link) -> None:
        pieces = [b"a" * 10_000, bytearray(b"b" * 20_000), memoryview(b"c" * 5), b""]
        link.transport.write(b"head")
        link.transport.writelines(pieces)
        pieces[1][:] = b"!" * 20_000  # type: ignore[index]  # ours again
        await next_step()
        assert link.packets() == [b"head" + b"a" * 10_000 + b"b" * 20_000 + b"c" * 5]

    on_a_link(ours, body)


@pytest.mark.parametrize("how", ["close", "write_eof", "abort"])
def test_an_end_sends_what_was_written_before_it(ours: Any, how: str) -> None:
    async def body(link: Link) -> None:
        write_head_and_body(link)
        getattr(link.transport, how)()
        assert link.packets()[0] == b"head body"  # at once
        if how != "write_eof":
            while "lost" not in link.protocol.events:
                await next_step()
        assert link.packets()[-1] == b""

    on_a_link(ours, body)


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
def test_what_a_failing_callback_wrote_leaves_all_the_same(our_loop: Any, error: Any, debug: bool) -> None:
    our_loop.set_debug(debug)
    our_loop.set_exception_handler(lambda loop, context: None)
    link = Link(our_loop)
    our_loop.run_until_complete(link.made)

    def fail() -> None:
        write_head_and_body(link)
        if error is ValueError:
            our_loop.call_soon(our_loop.stop)
        raise error("on purpose")

    our_loop.call_soon(fail)
    if error is ValueError:
        our_loop.run_forever()
    else:
        with pytest.raises(error):
            our_loop.run_forever()
    assert link.packets() == [b"head body"]
    link.transport.write(b"later")  # no callback runs: at once
    assert link.packets() == [b"later"]
    our_loop.run_until_complete(link.over())


def test_two_transports_written_in_one_step_send_in_the_order_of_the_first_writes(ours: Any) -> None:
    async def body(one: Link) -> None:
        two = Link(asyncio.get_running_loop())
        await two.made
        two.transport.write(b"2")
        one.transport.write(b"1")
        two.transport.write(b"2")
        await next_step()
        assert (one.packets(), two.packets()) == ([b"1"], [b"22"])
        await two.over()

    on_a_link(ours, body)


def test_writes_out_of_flow_control_callbacks_keep_their_order(ours: Any) -> None:
    async def body(link: Link) -> None:
        transport = link.transport
        link.protocol.pause_writing = lambda: transport.write(b"paused")  # type: ignore[method-assign]
        link.protocol.resume_writing = lambda: transport.write(b"resumed")  # type: ignore[method-assign]
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        transport.set_write_buffer_limits(high=3000)
        for _ in range(10):
            transport.write(b"x" * 1500)
        size = transport.get_write_buffer_size()
        assert size > 3000
        got = b""
        while not got.endswith(b"resumed"):
            await next_step()
            got += b"".join(link.packets())
        assert got.replace(b"x", b"") == b"pausedresumed" and got.count(b"x") == 15_000

    on_a_link(ours, body, kind=socket.SOCK_STREAM)


def test_a_message_that_the_kernel_refuses_ends_the_connection_only(ours: Any) -> None:
    async def body(link: Link) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: pytest.fail(str(context)))
        link.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        lost = loop.create_future()

        def connection_lost(exc: Any) -> None:
            lost.set_result(exc)
            link.protocol.events.append("lost")

        link.protocol.connection_lost = connection_lost  # type: ignore[method-assign]
        link.transport.write(b"x" * 60_000)  # EMSGSIZE, when the step is over
        assert not link.transport.is_closing()
        assert isinstance(await lost, OSError)
        assert link.transport.is_closing()

    on_a_link(ours, body)
