"""Snapshots of many tasks, of tasks that end meanwhile, of a loop that is stuck, and as text.

What lives here: what is true whatever the tasks wait for (``test_watch_ends.py`` has that).
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from typing import Any

import pytest

import yieldloop
from yieldloop.watch import ends, snapshot, tree

compiled_only = pytest.mark.skipif(not yieldloop.compiled(), reason="what the threads do is the same in the compiled leg")


def test_a_thousand_tasks(our_loop: Any) -> None:
    async def main() -> None:
        lock = yieldloop.Lock()
        await lock.acquire()

        async def wants() -> None:
            async with lock:
                pass

        tasks = [asyncio.create_task(wants()) for _ in range(1000)]
        await asyncio.sleep(0)
        view = snapshot.take(our_loop).loops[0]
        parked = [task for task in view.tasks if task.state == "parked"]
        assert len(parked) == 1000
        assert {task.end.waiting for task in parked if task.end} == {1000}
        assert len({id(task.chain) for task in parked}) == 1  # tasks that stand alike share
        assert all(len(task.end.waiters) <= 20 for task in parked if task.end)
        text = snapshot.take(our_loop).text()
        assert "and 999 tasks more like it" in text
        assert len(text) < 5000
        lock.release()
        await asyncio.gather(*tasks)

    our_loop.run_until_complete(main())


def test_of_many_holders_a_document_names_some_and_counts_all(our_loop: Any) -> None:
    async def main() -> None:
        places, over = yieldloop.Semaphore(50), yieldloop.Event()

        async def works() -> None:
            async with places:
                await over.wait()

        tasks = [asyncio.create_task(works()) for _ in range(60)]
        await asyncio.sleep(0)
        shot = snapshot.take(our_loop)
        seen = [task for task in shot.loops[0].tasks if task.end is not None and task.end.kind == "semaphore"]
        assert [len(task.end.holders) for task in seen if task.end] == [50] * 10
        told = [task["end"] for task in shot.as_json()["loops"][0]["tasks"] if task["end"] and task["end"]["kind"] == "semaphore"]
        assert [(end["holders"], end["holding"]) for end in told] == [(list(seen[0].end.holders[:20]), 50)] * 10  # type: ignore[union-attr]
        assert "and 9 tasks more like it" in shot.text()
        over.set()
        await asyncio.gather(*tasks)

    our_loop.run_until_complete(main())


@compiled_only
def test_tasks_may_end_while_they_are_looked_at(ours: Any) -> None:
    enough, over = threading.Event(), threading.Event()
    found: list[Any] = []

    def look(loop: Any) -> None:
        end = time.monotonic() + 0.3
        missing = {"gather", "lock"}
        try:
            while not over.is_set():
                shot = snapshot.take(loop)
                json.dumps(shot.as_json())
                shot.text()
                found.append({task.end.kind for task in shot.loops[0].tasks if task.end is not None})
                missing -= found[-1]
                if not missing and len(found) >= 3 and time.monotonic() > end:
                    enough.set()
        except BaseException as exc:
            found.append(exc)
            enough.set()

    async def main() -> None:
        lock, queue = ours.m.Lock(), ours.m.Queue(1)
        deadline = time.monotonic() + 30

        def is_over() -> bool:
            return enough.is_set() or time.monotonic() > deadline

        async def child(depth: int) -> None:
            if depth:
                await ours.m.gather(child(depth - 1), child(depth - 1))
            async with lock:
                await ours.m.sleep(0)

        async def put() -> None:
            while not is_over():
                await queue.put(1)
            await queue.put(None)

        async def get() -> None:
            while await queue.get() is not None:
                await ours.m.wait_for(ours.m.sleep(0.0001), 1)

        async def spawn() -> None:
            while not is_over():
                await child(4)

        thread = threading.Thread(target=look, args=(asyncio.get_running_loop(),))
        thread.start()
        await ours.m.gather(put(), get(), spawn())
        over.set()
        await ours.m.to_thread(thread.join)

    ours.run(main())
    assert len(found) >= 3
    assert not [each for each in found if isinstance(each, BaseException)]
    kinds = set().union(*found)
    assert {"gather", "lock"} <= kinds
    assert "unknown" not in kinds


@compiled_only
def test_a_stuck_loop_and_all_loops_of_the_process(our_loop: Any) -> None:
    seen: list[Any] = []
    other = yieldloop.new_event_loop()
    began, release = threading.Event(), threading.Event()

    def stuck() -> None:
        began.set()
        release.wait(30)

    def look() -> None:
        began.wait(30)
        seen.append(snapshot.take())
        release.set()

    thread = threading.Thread(target=look)
    thread.start()
    our_loop.call_soon(stuck)
    our_loop.call_soon(our_loop.stop)
    our_loop.run_forever()
    thread.join()
    views = {view.id: view for view in seen[0].loops}
    assert {snapshot.loop_number(our_loop), snapshot.loop_number(other)} <= set(views)
    doing = views[snapshot.loop_number(our_loop)].doing
    assert doing.kind == "callback"
    assert doing.label.endswith("stuck()")
    assert doing.stack[0].name.endswith("stuck")
    assert views[snapshot.loop_number(other)].doing.kind == "idle"
    other.close()


def test_the_collector_goes_on_as_it_was(our_loop: Any) -> None:
    for enabled in (False, True):
        (gc.enable if enabled else gc.disable)()
        snapshot.take(our_loop).as_json()
        assert gc.isenabled() is enabled


@pytest.mark.parametrize(
    ("ns", "text"),
    [(None, "?"), (0, "0 µs"), (12_345, "12 µs"), (250 * 10**6, "250 ms"), (1_260 * 10**6, "1.3 s"), (150 * 10**9, "2 min 30 s"),
     (3 * 3600 * 10**9, "3 h 0 min"), (-5, "0 µs")],
)  # fmt: skip
def test_durations(ns: int | None, text: str) -> None:
    assert tree.duration(ns) == text


def test_what_a_thousand_tasks_wait_for_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(ends, "callbacks_of", lambda future: asked.append(future) or [])  # type: ignore[func-returns-value]

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()

        async def waits() -> None:
            await future

        tasks = [asyncio.ensure_future(waits()) for _ in range(1000)]
        await asyncio.sleep(0)
        (loop,) = snapshot.take(asyncio.get_running_loop()).loops
        future.set_result(None)
        await asyncio.wait(tasks)
        assert {task.end.waiting for task in loop.tasks if task.end is not None} == {1000}
        assert len(asked) < 10

    yieldloop.run(main())
