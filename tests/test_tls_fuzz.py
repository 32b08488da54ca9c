"""TLS through a hostile middle: a proxy cuts, resets, half-closes and changes bytes at random places, in either direction.

What must hold whatever happens: what a protocol receives is a prefix of what the other wrote; its callbacks come in asyncio's
order, `connection_lost` exactly once and in time; nothing is reported as an error of the program; nothing is left behind.
"""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import pytest

from tests.certificates import NAME, client_context, server_context

LOCAL = "127.0.0.1"
FAULTS = ("none", "reset", "half-close", "garbage", "change a bit", "close")
LINGER_NOT = b"\x01\x00\x00\x00\x00\x00\x00\x00"


class Talker(asyncio.Protocol):
    """Writes what it has to say in random pieces, pauses at random, and checks the order of what it is told."""

    def __init__(self, dice: random.Random, speech: bytes) -> None:
        self.dice = dice
        self.speech = speech
        self.heard = bytearray()
        self.events: list[str] = []
        self.lost = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        assert self.events == []
        self.events.append("made")
        self.transport = transport
        self.speak()

    def speak(self) -> None:
        if self.lost.done() or self.transport.is_closing():
            return
        size = self.dice.choice((1, 100, 5000, 40_000))
        piece, self.speech = self.speech[:size], self.speech[size:]
        self.transport.write(bytearray(piece) if self.dice.random() < 0.3 else piece)
        if self.speech:
            asyncio.get_running_loop().call_soon(self.speak)
        elif self.dice.random() < 0.5:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        assert self.events == ["made"] and data
        self.heard += data
        if self.dice.random() < 0.1:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.001, self.transport.resume_reading)

    def eof_received(self) -> None:
        assert self.events == ["made"]
        self.events.append("eof")

    def connection_lost(self, exc: Any) -> None:
        assert self.events[0] == "made" and "lost" not in self.events
        self.events.append("lost")
        self.lost.set_result(exc)


class Middle(asyncio.Protocol):
    """One direction of the proxy: passes bytes on in pieces, until `budget` of them have passed; then the fault happens."""

    def __init__(self, dice: random.Random, fault: str, budget: int) -> None:
        self.dice = dice
        self.fault = fault
        self.budget = budget
        self.other: Any = None
        self.transport: Any = None
        self.early = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self.early += data
            return
        while data:
            size = self.dice.choice((1, 7, 1000, len(data), len(data)))
            self.pass_on(data[:size])
            data = data[size:]

    def pass_on(self, data: bytes) -> None:
        out = self.other.transport
        if self.fault == "mute":
            return
        if self.budget < len(data) and self.fault != "none":
            data = self.spoil(out, data)
            self.budget = 1 << 60
        self.budget -= len(data)
        if data and not out.is_closing():
            out.write(data)

    def spoil(self, out: Any, data: bytes) -> bytes:
        if self.fault == "garbage":
            return self.dice.randbytes(50)
        if self.fault == "change a bit":
            spoiled = bytearray(data)
            spoiled[self.budget] ^= 1 << self.dice.randrange(8)
            return bytes(spoiled)
        if self.fault == "half-close" and not out.is_closing():
            out.write_eof()
        if self.fault == "reset":
            out.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            out.abort()
        if self.fault == "close":
            out.close()
        self.fault = "mute"
        return b""

    def eof_received(self) -> bool:
        out = None if self.other is None else self.other.transport
        if out is not None and not out.is_closing() and self.fault != "mute":
            out.write_eof()
        return True

    def connection_lost(self, exc: Any) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


async def one_conversation(seed: int) -> None:
    loop = asyncio.get_running_loop()
    dice = random.Random(seed)
    reports: list[Any] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    speeches = [dice.randbytes(dice.choice((0, 1, 3000, 200_000))) for _ in range(2)]
    talkers: list[Talker] = []
    middles: list[Middle] = []

    def server_side() -> Talker:
        talkers.append(Talker(dice, speeches[1]))
        return talkers[-1]

    def proxy() -> Middle:
        near = Middle(dice, dice.choice(FAULTS), dice.choice((0, 100, 1500, 3000, 20_000, 150_000)))
        middles.append(near)
        loop.create_task(join(near))
        return near

    async def join(near: Middle) -> None:
        far = Middle(dice, dice.choice(FAULTS), dice.choice((0, 100, 1500, 3000, 20_000, 150_000)))
        middles.append(far)
        await loop.create_connection(lambda: far, LOCAL, behind)
        far.other, near.other = near, far
        early, near.early = near.early, b""
        if early:
            near.data_received(early)
        early, far.early = far.early, b""
        if early:
            far.data_received(early)

    limits = {"ssl_handshake_timeout": 2.0, "ssl_shutdown_timeout": 0.5}
    server = await loop.create_server(server_side, LOCAL, 0, ssl=server_context(), **limits)
    behind = server.sockets[0].getsockname()[1]
    front = await loop.create_server(proxy, LOCAL, 0)
    port = front.sockets[0].getsockname()[1]
    client = Talker(dice, speeches[0])
    try:
        await loop.create_connection(lambda: client, LOCAL, port, ssl=client_context(), server_hostname=NAME, **limits)
    except OSError:
        assert client.events == []
    # A direction that is mute may leave a talker waiting for the rest of a record: nobody but the program can end that.
    ending = loop.call_later(0.3, lambda: [t.transport.close() for t in (client, *talkers) if t.transport is not None])
    async with asyncio.timeout(20):
        for talker in (client, *talkers):
            if "made" in talker.events:
                await talker.lost
    ending.cancel()
    for middle in middles:
        if middle.transport is not None:
            middle.transport.abort()
    server.close()
    front.close()
    await asyncio.sleep(0.01)
    assert speeches[1].startswith(client.heard)
    for talker in talkers:
        assert speeches[0].startswith(talker.heard)
    assert not reports, reports


@pytest.mark.parametrize("seed", range(4))
def test_a_hostile_middle(ours, seed):
    async def main():
        for number in range(6):
            await one_conversation(seed * 1000 + number)

    ours.run(main())
