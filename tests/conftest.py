"""The same test on three asyncios: the standard library's, ours under the standard library's module, ours as the module.

What lives here: the fixtures `api` (which asyncio) and `poller` (which kernel interface), and the check at each tear-down that
nothing was left. Environment: ``YIELDLOOP_EXPECT=compiled|pure`` makes the run assert which of the two it is;
``YIELDLOOP_CONTROL=off`` leaves the standard library out, for a leg whose control has run in another.
"""

from __future__ import annotations

import asyncio
import ctypes  # noqa: F401 -- some libffi keep their own file open from then on: it is no test's
import gc
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import yieldloop
from tests import leaks
from yieldloop import _speed, pollers
from yieldloop.loop import registry
from yieldloop.loop.base import BaseLoop
from yieldloop.watch import outside
from yieldloop.watch.watcher import watcher


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "leaves(what, ...): the test closes loops that still hold tasks, timers, transports, …")
    expected = os.environ.get("YIELDLOOP_EXPECT")
    if expected not in (None, "compiled", "pure"):
        raise pytest.UsageError(f"YIELDLOOP_EXPECT is 'compiled' or 'pure', not {expected!r}")
    if expected is not None and yieldloop.compiled() != (expected == "compiled"):
        raise pytest.UsageError(f"this leg is to be {expected}, but it is not: {_speed.modules()}")
    # The first run starts the thread that watches this process's loops; it is no test's, and none may be charged with it.
    yieldloop.run(asyncio.sleep(0))
    if outside.default_socket():
        deadline = time.monotonic() + 10
        while watcher.server is None and time.monotonic() < deadline:  # that thread opens its socket in its own time
            time.sleep(0.001)


def pytest_collection_finish() -> None:
    # Every tear-down collects garbage. What is here now stays to the end: not to be looked through thousands of times.
    gc.collect()
    gc.freeze()


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
    found = []
    if os.environ.get("YIELDLOOP_CONTROL") != "off":
        found.append(pytest.param(Api("stock", asyncio, asyncio.SelectorEventLoop), id="stock"))
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


MUST_BE_GONE = ("tasks", "timers", "transports", "armed", "children")
_closed: list[tuple[Any, dict[str, Any]]] = []  # what each loop of ours held when it was closed, in the current test
_close_for_real = BaseLoop.close


def _close_and_count(self: Any) -> None:
    if not self.is_closed() and not self.is_running():
        _closed.append((repr(self), {name: count for name, count in self.statistics().items() if name in MUST_BE_GONE and count}))
    _close_for_real(self)


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No descriptor, thread, child, loop, task, timer or transport outlives its test.

    A test that is about leaving things says which: ``@pytest.mark.leaves("tasks", "timers")``.
    """
    fds, threads, children = len(leaks.open_fds()), leaks.threads(), leaks.children()
    loops = set(registry._loops)
    monkeypatch.setattr(BaseLoop, "close", _close_and_count)
    _closed.clear()
    yield
    monkeypatch.setattr(BaseLoop, "close", _close_for_real)
    asyncio.set_event_loop(None)
    gc.collect()
    for thread in leaks.threads() - threads:
        thread.join(5)
        assert not thread.is_alive(), f"the test left the thread {thread!r}"
    for _ in range(100):  # the watching thread opens a file for a moment now and then
        left_open = len(leaks.open_fds())
        if left_open <= fds:
            break
        time.sleep(0.01)
    assert left_open <= fds, f"the test left open descriptors; there are {leaks.named_fds()}"
    assert leaks.children() <= children, "the test left child processes"
    marker = request.node.get_closest_marker("leaves")
    allowed = set(marker.args) if marker is not None else set()
    left = [(loop, {k: v for k, v in held.items() if k not in allowed}) for loop, held in _closed]
    assert not [entry for entry in left if entry[1]], f"a loop was closed while it held something: {left}"
    if "loops" not in allowed:
        assert not [loop for loop in set(registry._loops) - loops if not loop.is_closed()], "the test left a loop open"
