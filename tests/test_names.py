"""Names and addresses: the system's answers, without blocking the loop, and from a pool that nothing else can fill."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.1", None, b"127.0.0.1", "fe80::1%lo"])
@pytest.mark.parametrize("port", [80, "80", None])
@pytest.mark.parametrize("kind", [0, socket.SOCK_STREAM])
def test_literals_are_answered_as_the_system_answers_them(ours: Any, host: Any, port: Any, kind: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        try:
            expected: Any = socket.getaddrinfo(host, port, type=kind)
        except OSError:
            with pytest.raises(OSError):
                await loop.getaddrinfo(host, port, type=kind)
        else:
            assert await loop.getaddrinfo(host, port, type=kind) == expected
            assert loop._default_executor is None  # no thread was needed

    ours.run(main())


def test_names_are_looked_up_in_a_thread(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        assert found == socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        assert await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV) == ("127.0.0.1", "80")

    api.run(main())
