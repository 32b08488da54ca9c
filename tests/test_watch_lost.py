"""What is lost, by the place that made it: exceptions, tasks, coroutines."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from typing import Any

import pytest

from yieldloop.loop import lost as counting
from yieldloop.watch import lost, snapshot


def told(kind: str) -> dict[str, int]:
    """What a snapshot of the running loop says of *kind*: counts by "function:line" in this file."""
    view = snapshot.take(asyncio.get_running_loop()).loops[0]
    groups = view.lost.get(kind, [])
    return {f"{group['function']}:{group['line']}": group["count"] for group in groups if group["file"] == __file__}


def test_exceptions_that_nobody_took(ours: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)

        async def fails() -> None:
            raise ValueError

        for _ in range(3):
            ours.m.create_task(fails()); here = sys._getframe().f_lineno  # noqa: E702
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        gc.collect()
        if ours.name == "module":
            assert told(counting.EXCEPTIONS) == {f"main:{here}": 3}
        else:
            assert sum(group["count"] for group in snapshot.take(loop).loops[0].lost[counting.EXCEPTIONS]) == 3

    ours.run(main())


def test_coroutines_that_nobody_awaited(ours: Any) -> None:
    async def main() -> None:
        async def forgotten() -> None: ...

        before = told(counting.COROUTINES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for _ in range(2):
                forgotten(); here = sys._getframe().f_lineno  # noqa: E702
        after = told(counting.COROUTINES)
        assert {place: count for place, count in after.items() if before.get(place) != count} == {
            f"main:{here}": 2 + before.get(f"main:{here}", 0)
        }
        with pytest.warns(RuntimeWarning, match="was never awaited"):
            forgotten()

    ours.run(main())


def test_tasks_that_nobody_waits_for_and_that_are_pending_for_long(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        event = ours.m.Event()

        async def waits() -> None:
            await event.wait()

        for _ in range(4):
            ours.m.create_task(waits()); here = sys._getframe().f_lineno  # noqa: E702
        kept = ours.m.create_task(waits())
        with_callback = [ours.m.create_task(waits())]
        with_callback.pop().add_done_callback(lambda _: None)
        await asyncio.sleep(0)
        view = snapshot.take(asyncio.get_running_loop()).loops[0]
        groups = view.lost[lost.NOBODY_WAITS]
        assert sum(group["count"] for group in groups) == 4
        if ours.name == "module":
            assert groups == [{"file": __file__, "line": here, "function": "main", "count": 4}]
        assert lost.LONG not in view.lost
        monkeypatch.setattr(lost, "LONG_NS", 0)
        assert sum(group["count"] for group in snapshot.take(asyncio.get_running_loop()).loops[0].lost[lost.LONG]) == 7
        event.set()
        await kept

    ours.run(main())


def test_places_are_bounded() -> None:
    counts = counting.Counts()
    for line in range(1000):
        counts.add("kind", ("file", line, "function"))
    places = counts.by_kind["kind"]
    assert len(places) == counting.MOST_PLACES + 1
    assert places[counting.ELSEWHERE] == 1000 - counting.MOST_PLACES
