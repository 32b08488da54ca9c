"""Random resets, half-closes, tiny windows and pauses: what arrives is a prefix of what was sent; every callback is in order.

Each run is decided by its seed, up to the kernel's timing. Both ends are transports of the loop under test.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from typing import Any

import pytest

LOCAL = "127.0.0.1"
SEEDS = range(6)
STEPS = 60
PAIRS = 4
MOST = 300_000  # bytes an end sends; tiny windows make the kernel wait for its own timers

# state, event → state. What is not here must not come.
ORDER = {
    ("new", "made"): "open",
    ("open", "data"): "open",
    ("open", "eof"): "ended",
    ("open", "lost"): "lost",
    ("ended", "lost"): "lost",
}


def stream(number: int, count: int) -> bytes:
    """The first *count* bytes of the endless text that end *number* sends: no two places of it look alike for long."""
    words = b"".join(b"%d:%d " % (number, i) for i in range(count // 4 + 1))
    return words[:count]


class End:
    """What both kinds of protocol have in common: the order of the callbacks, the bytes, and the actions of the fuzz."""

    def __init__(self, dice: random.Random, number: int) -> None:
        self.dice = dice
        self.number = number
        self.state = "new"
        self.paused = False
        self.got = bytearray()
        self.sent = 0
        self.calm = False  # does nothing any more when it is told something
        self.eof_sent = False
        self.transport: Any = None
        self.lost = asyncio.get_running_loop().create_future()

    def step(self, event: str) -> None:
        assert (self.state, event) in ORDER, f"{event} in state {self.state}"
        self.state = ORDER[self.state, event]

    def connection_made(self, transport: Any) -> None:
        self.step("made")
        self.transport = transport
        transport.set_write_buffer_limits(high=self.dice.choice((0, 100, 5000, 65536, 10**6)))
        self.maybe_act()

    def take(self, data: Any) -> None:
        self.step("data")
        self.got += data
        self.maybe_act()

    def eof_received(self) -> bool:
        self.step("eof")
        self.maybe_act()
        return self.dice.random() < 0.5

    def pause_writing(self) -> None:
        assert not self.paused and self.state in ("open", "ended")
        self.paused = True
        self.maybe_act()

    def resume_writing(self) -> None:
        assert self.paused and self.state in ("open", "ended")
        self.paused = False
        self.maybe_act()

    def connection_lost(self, exc: Any) -> None:
        self.step("lost")
        self.lost.set_result(None)

    def maybe_act(self) -> None:
        if not self.calm and self.dice.random() < 0.1:
            self.act()

    def act(self) -> None:
        """One thing that a program may do with its transport."""
        dice, transport = self.dice, self.transport
        if transport is None:
            return
        what = dice.choices(
            ("write", "lines", "pause", "resume", "eof", "close", "abort", "reset"), (60, 15, 8, 12, 1, 0.6, 0.4, 0.4)
        )[0]
        if what in ("write", "lines"):
            self.write(what == "lines")
        elif what == "pause":
            transport.pause_reading()
        elif what == "resume":
            transport.resume_reading()
        elif what == "eof":
            self.eof_sent = True
            transport.write_eof()
        elif what == "close":
            transport.close()
        else:
            if what == "reset" and self.state != "lost" and not transport.is_closing():
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    def write(self, in_lines: bool) -> None:
        if self.eof_sent or self.transport.is_closing() or self.sent > MOST:
            return
        sizes = [self.dice.choice((0, 1, 10, 700, 5000, 66_000, 150_000)) for _ in range(self.dice.randint(1, 4))]
        text = stream(self.number, self.sent + sum(sizes))
        pieces = []
        for size in sizes:
            piece = text[self.sent : self.sent + size]
            pieces.append(self.dice.choice((bytes, bytearray, memoryview))(piece))
            self.sent += size
        if in_lines:
            self.transport.writelines(pieces)
        else:
            for piece in pieces:
                self.transport.write(piece)
        for piece in pieces:
            if isinstance(piece, bytearray):
                piece[:] = bytes(len(piece))  # it is ours again


class Plain(End, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self.take(data)


class Buffered(End, asyncio.BufferedProtocol):
    room: Any

    def get_buffer(self, sizehint: int) -> Any:
        self.room = bytearray(self.dice.choice((50, 3000, 100_000)))
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        self.take(self.room[:nbytes])


def sockets(window: int = 0) -> tuple[Any, Any]:
    """Two connected sockets with short segments: loopback's usual ones do not fit a tiny window, and the kernel waits then."""
    with socket.socket() as listener:
        near = socket.socket()
        for sock in (listener, near):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
            if window:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, window)
        listener.bind((LOCAL, 0))
        listener.listen()
        near.connect(listener.getsockname())
        far, _ = listener.accept()
    return near, far


async def live(dice: random.Random, number: int) -> None:
    """One connection from its beginning to its end."""
    loop = asyncio.get_running_loop()
    near, far = sockets(dice.choice((0, 4096, 30_000)))
    ends: list[End] = []
    for i, sock in enumerate((near, far)):
        end = dice.choice((Plain, Buffered))(dice, 2 * number + i)
        ends.append(end)
        await loop.connect_accepted_socket(lambda end=end: end, sock)  # type: ignore[misc]
    for _ in range(dice.randint(1, STEPS)):
        dice.choice(ends).act()
        for _ in range(dice.choice((0, 0, 1, 3))):
            await asyncio.sleep(0)
    for end in ends:
        end.calm = True
    async with asyncio.timeout(30):
        for end, other in (ends, reversed(ends)):
            other.transport.resume_reading()
            if other.transport.is_closing():
                end.transport.abort()  # nobody reads what this end would have to send before it closes
            else:
                end.transport.close()
            await end.lost
    check(*ends)
    check(*reversed(ends))


def check(sender: End, receiver: End) -> None:
    """What *receiver* got is a prefix of what *sender* sent."""
    assert receiver.got == stream(sender.number, len(receiver.got))
    assert len(receiver.got) <= sender.sent


@pytest.mark.parametrize("seed", SEEDS)
def test_any_life_of_a_connection_is_told_in_order_and_delivers_a_prefix(ours: Any, seed: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        await asyncio.gather(*[live(random.Random(f"{seed}-{number}"), number) for number in range(PAIRS)])
        assert not reports, reports

    ours.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_a_polite_end_delivers_everything_through_tiny_windows(ours: Any, seed: int) -> None:
    async def main() -> None:
        dice = random.Random(seed)
        loop = asyncio.get_running_loop()
        near, far = sockets(window=4096)
        receiver, sender = Plain(random.Random(), 1), Plain(random.Random(), 2)
        for end, sock in ((receiver, far), (sender, near)):
            end.calm = True
            await loop.connect_accepted_socket(lambda end=end: end, sock)  # type: ignore[misc]
        sender.dice = dice
        for _ in range(10):
            sender.write(dice.random() < 0.5)
            await asyncio.sleep(0)
        sender.transport.close()
        async with asyncio.timeout(60):
            await sender.lost
            while receiver.state == "open":
                await asyncio.sleep(0.001)
            receiver.transport.close()  # it may have kept its side open
            await receiver.lost
        assert receiver.got == stream(2, sender.sent)

    ours.run(main())
