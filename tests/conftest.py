"""The same test on three asyncios: the standard library's, ours under the standard library's module, ours as the module.

What lives here: the fixtures `api` (which asyncio) and `poller` (which kernel interface), and the check at each tear-down that
nothing was left. Environment: ``YIELDLOOP_EXPECT=compiled|pure`` makes the run assert which of the two it is.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import yieldloop
from yieldloop import _speed, pollers


def pytest_configure(config: pytest.Config) -> None:
    expected = os.environ.get("YIELDLOOP_EXPECT")
    if expected not in (None, "compiled", "pure"):
        raise pytest.UsageError(f"YIELDLOOP_EXPECT is 'compiled' or 'pure', not {expected!r}")
    if expected is not None and yieldloop.compiled() != (expected == "compiled"):
        raise pytest.UsageError(f"this leg is to be {expected}, but it is not: {_speed.modules()}")


def pytest_report_header() -> str:
    return f"yieldloop: {'compiled' if yieldloop.compiled() else 'pure'}; pollers: {', '.join(pollers.available())}"


class Api:
    """One asyncio: the module `m`, and `run`, which runs a coroutine on a fresh loop of it."""

    def __init__(self, name: str, module: Any, new_loop: Callable[[], Any]) -> None:
        self.name = name
        self.m = module
        self.new_loop = new_loop
        self.ours = name != "stock"

    def run(self, coro: Any, *, debug: bool = False) -> Any:
        with self.m.Runner(loop_factory=self.new_loop, debug=debug) as runner:
            return runner.run(coro)

    def __repr__(self) -> str:
        return self.name


def _apis() -> list[Any]:
    found = [pytest.param(Api("stock", asyncio, asyncio.SelectorEventLoop), id="stock")]
    for name in pollers.available():
        make = _maker(name)
        found.append(pytest.param(Api("loop", asyncio, make), id=f"loop-{name}"))
    found.append(pytest.param(Api("module", yieldloop, yieldloop.new_event_loop), id="module"))
    return found


def _maker(name: str) -> Callable[[], Any]:
    return lambda: yieldloop.EventLoop(poller=name)


@pytest.fixture(params=_apis())
def api(request: pytest.FixtureRequest) -> Api:
    """Each asyncio in turn; on ours, the loop under the standard module on every poller of this system."""
    made: Api = request.param
    return made


@pytest.fixture(params=[param for param in _apis() if param.id != "stock"])
def ours(request: pytest.FixtureRequest) -> Api:
    """Each of ours in turn, for what the standard library does not have or does otherwise."""
    made: Api = request.param
    return made


@pytest.fixture
def loop(api: Api) -> Iterator[Any]:
    """A fresh loop of each asyncio, closed afterwards."""
    made = api.new_loop()
    yield made
    _close(made)


@pytest.fixture
def our_loop(ours: Api) -> Iterator[Any]:
    """A fresh loop of each of ours, closed afterwards."""
    made = ours.new_loop()
    yield made
    _close(made)


def _close(loop: Any) -> None:
    if not loop.is_closed():
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.wait(pending))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _open_fds() -> set[str]:
    try:
        return set(os.listdir("/proc/self/fd"))
    except OSError:
        return set()


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No descriptor, thread or pending task outlives its test."""
    fds, threads = len(_open_fds()), set(threading.enumerate())
    yield
    asyncio.set_event_loop(None)
    gc.collect()
    for thread in set(threading.enumerate()) - threads:
        thread.join(5)
        assert not thread.is_alive(), f"the test left the thread {thread!r}"
    assert len(_open_fds()) <= fds, "the test left open descriptors"
