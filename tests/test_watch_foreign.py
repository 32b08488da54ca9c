"""Loops that are not ours: what is seen of them, what is said not to be seen, and that they are left as they were."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import yieldloop.watch
from tests.programs import running
from yieldloop.cli.asking import process_table
from yieldloop.watch import answers, metrics, watchdog
from yieldloop.watch.watcher import watcher

pytestmark = pytest.mark.skipif(os.environ.get("YIELDLOOP_PURE") == "1", reason="the loop is not ours")
LIMIT = 0.05  # s


LOOPS: list[Any] = [pytest.param(asyncio.SelectorEventLoop, id="stock")]
try:
    import uvloop
except ModuleNotFoundError:  # it is not made for every Python
    pass
else:
    LOOPS.append(pytest.param(uvloop.new_event_loop, id="uvloop"))
    uvloop.new_event_loop().close()  # the first one opens two descriptors for the process, which are no test's


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """Runs a coroutine on a foreign loop."""
    watchdog.configure(LIMIT)
    watchdog.table.found.clear()
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run
    watchdog.configure()
    watchdog.callbacks.clear()
    watchdog.table.found.clear()


def test_tasks_and_holders_are_seen(run: Callable[[Any], Any]) -> None:
    async def main() -> str:
        lock = asyncio.Lock()

        async def use() -> None:
            async with lock:
                await asyncio.sleep(60)

        tasks = [asyncio.create_task(use(), name=name) for name in ("holder", "waiter")]
        with yieldloop.watch.attach(asyncio.get_running_loop()) as attached:
            text = ""
            while "in thread MainThread: waits in the poll" not in text:  # the first beat tells the thread
                await asyncio.sleep(0.01)
                text = await asyncio.to_thread(lambda: str(attached.snapshot()))
        for task in tasks:
            task.cancel()
        return text

    text = run(main())
    waiter = text.partition("'waiter': parked")[2].splitlines()
    assert re.search(r"waits for lock: .*, held by task -\d+ 'holder'", waiter[4])


def test_a_block_is_seen_while_it_lasts(run: Callable[[Any], Any]) -> None:
    gate, found, shots = threading.Event(), [], []

    def see(block: watchdog.Block) -> None:
        found.append(block)
        shots.append(attached[0].snapshot().loops[0])
        gate.set()

    def hold() -> None:
        gate.wait(10)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with yieldloop.watch.attach(loop) as attachment:
            attached.append(attachment)
            await asyncio.sleep(3 * LIMIT)
            loop.call_soon(hold)
            await asyncio.sleep(0.01)
            gate.clear()
            hold()

    attached: list[Any] = []
    watchdog.callbacks.append(see)
    run(main())
    callback, task = found
    doing = shots[0].doing
    if shots[0].ready is None:  # uvloop
        assert "cannot be seen" in doing.label
    else:
        assert (doing.kind, doing.label) == ("callback", f"{hold.__qualname__}()")
    assert shots[1].doing.kind == "task"
    assert [frame["function"] for frame in callback.stack[:1]] == [hold.__qualname__]
    assert (callback.label, callback.file) == ("a callback", __file__)
    assert task.label == f"task {task.label.split()[1]} {main.__qualname__}()"
    assert [frame["function"] for frame in task.stack[:2]] == [main.__qualname__, hold.__qualname__]


def test_what_a_loop_does_not_show_is_not_told_as_nothing(run: Callable[[Any], Any]) -> None:
    async def main() -> tuple[str, str, str, bool]:
        loop = asyncio.get_running_loop()
        with yieldloop.watch.attach(loop) as attached:
            while attached._watched.loop.thread is None:  # until the first beat
                await asyncio.sleep(0.01)
            row = answers.loop_now(attached._watched)
            process = {"pid": 1, "python": "3", "speed": "compiled", "argv": ["app.py"], "blocks": 0, "now_ns": 0, "loops": [row]}
            return process_table([process]), str(attached.snapshot()), metrics.text(), hasattr(loop, "_scheduled")

    table, text, numbers, shows = run(main())
    cells = table.splitlines()[1].split()
    assert cells[3] == "1" and (cells[4] == "-") == (not shows) and cells[6] == "-"
    assert ("timer" in text.splitlines()[3]) == shows
    assert ("\nyieldloop_ready_entries{" in numbers) == shows
    assert "\nyieldloop_loop_lag_seconds{" in numbers and "\nyieldloop_write_buffer_bytes{" not in numbers


def test_waiting_is_no_block(run: Callable[[Any], Any]) -> None:
    async def main() -> None:
        with yieldloop.watch.attach(asyncio.get_running_loop()):
            await asyncio.sleep(6 * LIMIT)

    run(main())
    assert not watchdog.blocks()


def test_what_cannot_be_seen_is_said(run: Callable[[Any], Any]) -> None:
    async def main() -> str:
        with yieldloop.watch.attach(asyncio.get_running_loop()) as attached:
            return str(attached)

    text = run(main())
    assert "What cannot be seen:\n  - since when a task stands where it stands" in text
    assert ("file descriptors with their peers" in text) == text.startswith("uvloop")


def test_a_loop_that_is_closed_or_gone_is_let_go() -> None:
    loop = asyncio.SelectorEventLoop()
    watchdog.configure(LIMIT)
    try:
        yieldloop.watch.attach(loop)
        loop.run_until_complete(asyncio.sleep(3 * LIMIT))
        key, gone = id(loop), weakref.ref(loop)
        assert key in watcher.loops
        loop.close()
        deadline = time.monotonic() + 30
        while key in watcher.loops:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        del loop
        gc.collect()
        assert gone() is None
    finally:
        watchdog.configure()


def test_only_foreign_open_loops_can_be_attached() -> None:
    ours = yieldloop.new_event_loop()
    with pytest.raises(TypeError, match="is a loop of yieldloop: it is watched whenever it runs"):
        yieldloop.watch.attach(ours)
    ours.close()
    with pytest.raises(TypeError, match="an event loop is needed, not 5"):
        yieldloop.watch.attach(5)
    stock = asyncio.SelectorEventLoop()
    stock.close()
    with pytest.raises(RuntimeError, match="is closed: there is nothing to watch"):
        yieldloop.watch.attach(stock)


def test_an_attached_process_can_be_asked_from_outside() -> None:
    text = (
        "import asyncio, yieldloop.watch\n"
        "async def main():\n"
        " yieldloop.watch.attach(asyncio.get_running_loop()); print('up')\n"
        " await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with running("-c", text) as program:
        program.line()
        program.wait_until(lambda: f"{program.pid}  " in program.yieldloop("ps").stdout)
        program.wait_until(lambda: "waits for event" in program.yieldloop("tree", str(program.pid)).stdout)
        assert 'state="parked"} 1' in program.yieldloop("metrics", str(program.pid)).stdout
