"""Names and addresses: the system's answers, without blocking the loop, and from a pool that nothing else can fill."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from yieldloop.loop import resolver


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


ODD = [
    ("127.0.0.1", "http", 0),
    ("", 80, 0),
    (None, "80", socket.AI_PASSIVE),
    ("::", 80, socket.AI_PASSIVE),
    ("127.0.0.1", 80, socket.AI_CANONNAME),
    ("::ffff:127.0.0.1", 80, 0),
    ("1.2.3.4.5", 80, socket.AI_NUMERICHOST),
    ("300.1.1.1", 80, socket.AI_NUMERICHOST),
    ("fe80::1%nosuchzone0", 80, socket.AI_NUMERICHOST),
    ("localhost", "no-such-service-here", 0),
    ("host with spaces", 80, socket.AI_NUMERICHOST),
    ("a\0b", 80, 0),
    (b"localhost", b"80", 0),
    (12, 80, 0),
    ("127.0.0.1", 1.5, 0),
    ("127.0.0.1", 70_000, 0),
]


@pytest.mark.parametrize(("host", "port", "flags"), ODD)
def test_odd_questions_get_the_systems_answer_or_error(api: Any, host: Any, port: Any, flags: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        try:
            expected: Any = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        except Exception as exc:
            with pytest.raises(type(exc)) as got:
                await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
            assert got.value.args == exc.args
        else:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
            assert found == expected
            assert [type(part) for info in found for part in info] == [type(part) for info in expected for part in info]

    api.run(main())


def test_a_name_of_an_address_comes_with_its_zone(api: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        for address in (("127.0.0.1", 80), ("::1", 80, 0, 0), ("fe80::1", 80, 0, 1)):
            try:
                expected = socket.getnameinfo(address, flags)
            except OSError:
                continue
            assert await loop.getnameinfo(address, flags) == expected
        with pytest.raises(OSError):
            await loop.getnameinfo(("no address", 80), flags)

    api.run(main())


def test_long_jobs_do_not_hold_up_look_ups(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        release = threading.Event()
        busy = [loop.run_in_executor(None, release.wait) for _ in range(3)]
        try:
            await asyncio.wait_for(loop.getaddrinfo("localhost", 80), 10)
        finally:
            release.set()
        await asyncio.gather(*busy)

    ours.run(main())


def test_look_ups_take_no_more_threads_than_their_pool_has(ours: Any, monkeypatch: Any) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def slow(*args: Any, **keywords: Any) -> list[Any]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        passed.wait(0.01)
        with lock:
            running -= 1
        return []

    passed = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[loop.getaddrinfo("127.0.0.1", 80) for _ in range(60)])

    ours.run(main())
    assert 1 <= most <= resolver.LOOKUPS


def test_a_cancelled_look_up_is_forgotten(api: Any, monkeypatch: Any) -> None:
    release = threading.Event()

    def stuck(*args: Any, **keywords: Any) -> list[Any]:
        release.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", stuck)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        asking = loop.create_task(loop.getaddrinfo("silent.example", 80))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        release.set()

    api.run(main())


def test_the_loops_end_does_not_wait_for_a_look_up(ours: Any, monkeypatch: Any) -> None:
    release = threading.Event()

    def stuck(*args: Any, **keywords: Any) -> list[Any]:
        release.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", stuck)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.getaddrinfo("silent.example", 80), 0.01)

    began = time.monotonic()
    ours.run(main())
    took = time.monotonic() - began
    release.set()
    assert took < 30


def test_no_name_is_looked_up_on_a_closed_loop(ours: Any) -> None:
    loop = ours.new_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.getaddrinfo("localhost", 80).send(None)


def test_a_program_may_put_its_own_resolver_in_place(api: Any, monkeypatch: Any) -> None:
    asked = []

    def own(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", own)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.getaddrinfo("10.0.0.1", 80) == own("10.0.0.1", 80)
        assert asked[0] == "10.0.0.1"

    api.run(main())
