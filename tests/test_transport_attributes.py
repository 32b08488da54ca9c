"""What programs, their tests above all, set on a transport: attributes, and methods of their own in the place of ours.

What lives here: that it is possible, on every kind of transport, as on the standard library's. What may not: what transports do.
"""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests import certificates
from tests.conftest import Api

KINDS = ["tcp", "tls", "udp", "pipe"]


class Thing:
    """Something that can be referred to weakly."""


@asynccontextmanager
async def connected(api: Api, kind: str) -> AsyncIterator[Any]:
    """A transport of *kind* that is connected, and closed afterwards."""
    loop = api.m.get_running_loop()

    class Quiet(api.m.Protocol, api.m.DatagramProtocol):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            self.gone = loop.create_future()

        def connection_lost(self, exc: Any) -> None:
            self.gone.set_result(None)

    made: list[Any] = []

    def quiet() -> Any:
        made.append(Quiet())
        return made[-1]

    server = None
    if kind == "udp":
        transport, _ = await loop.create_datagram_endpoint(quiet, local_addr=("127.0.0.1", 0))
    elif kind == "pipe":
        reading, writing = os.pipe()
        kept = os.fdopen(reading, "rb", 0)
        transport, _ = await loop.connect_write_pipe(quiet, os.fdopen(writing, "wb", 0))
    else:
        ours, theirs = (certificates.server_context(), certificates.client_context()) if kind == "tls" else (None, None)
        server = await loop.create_server(quiet, "127.0.0.1", 0, ssl=ours)
        host = {"server_hostname": certificates.NAME} if kind == "tls" else {}
        transport, _ = await loop.create_connection(quiet, *server.sockets[0].getsockname(), ssl=theirs, **host)
    try:
        yield transport
    finally:
        transport.close()
        for protocol in made:
            await protocol.gone
        if kind == "pipe":
            kept.close()
        if server is not None:
            server.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_sets_attributes_on_a_transport(api: Api, kind: str) -> None:
    async def main() -> Any:
        async with connected(api, kind) as transport:
            assert not hasattr(transport, "mine")
            transport.mine = value = Thing()
            assert transport.mine is value
            value.owner = transport  # type: ignore[attr-defined]
            return weakref.ref(value)

    seen = api.run(main())
    gc.collect()
    assert seen() is None


@pytest.mark.parametrize("kind", ["tcp", "tls", "pipe"])
def test_what_is_put_in_the_place_of_write_is_called(api: Api, kind: str) -> None:
    async def main() -> list[Any]:
        calls: list[Any] = []
        async with connected(api, kind) as transport:
            protocol = api.m.streams.FlowControlMixin(loop=api.m.get_running_loop())
            writer = api.m.StreamWriter(transport, protocol, None, api.m.get_running_loop())
            plain = transport.write
            transport.write = calls.append
            writer.write(b"1")
            await writer.drain()
            transport.write(b"2")
            transport.write = plain
            writer.write(b"3")
            transport.is_closing = lambda: calls.append("asked") or False
            await writer.drain()
            del transport.is_closing
        return calls

    calls = api.run(main())
    assert calls[:2] == [b"1", b"2"] and set(calls[2:]) == {"asked"}
