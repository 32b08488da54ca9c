"""A loop that nothing can ever wake says so, with the circle; a loop that anything may wake never does.

What lives here: `tests.dead_loops` run in processes of their own, and what a request to cancel does to a circle of tasks.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import yieldloop
from yieldloop.watch.graph import cycles_of

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str, **environment: str) -> dict[str, str]:
    """What each program of `tests.dead_loops` came to: "" if it ended, else the text of the error."""
    command = [sys.executable, "-m", "tests.dead_loops", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    parts = re.split(r"^=== (\w+)\n", done.stdout, flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.fixture(scope="module", params=["stock", "ours"])
def outcomes(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "stock" and not yieldloop.compiled():
        pytest.skip("the compiled leg has this one, and it says nothing about speed")
    return run(request.param)


def line_of(text: str) -> int:
    """The line of `tests.dead_loops` that is *text*, which is there once or first."""
    lines = (ROOT / "tests" / "dead_loops.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.strip() == text)


def test_what_may_be_woken_is_not_dead(outcomes: dict[str, str]) -> None:
    alive = {name: text for name, text in outcomes.items() if name.startswith("lives_")}
    assert len(alive) >= 13
    assert {name: text for name, text in alive.items() if text} == {}


def test_what_cannot_be_woken_is_dead(outcomes: dict[str, str]) -> None:
    dead = {name: text for name, text in outcomes.items() if name.startswith("dead_")}
    assert len(dead) >= 7
    for name, text in dead.items():
        assert text.startswith("nothing can ever wake the tasks that are left"), name
        assert "YIELDLOOP_DEAD_LOOP=off" in text


def test_the_circle_of_two_locks_is_named_with_lines_and_holders(outcomes: dict[str, str]) -> None:
    text = outcomes["dead_two_locks"]
    assert re.search(r"circle of 2 tasks that wait for each other: task (\d+) 'one' → task (\d+) 'two' → task \1 'one'\n", text)
    assert f"one()  tests/dead_loops.py:{line_of('async with b:')}" in text
    assert re.search(r"waits for lock: Lock at 0x\w+, held by task \d+ 'two'\n", text)
    assert "← here the circle closes" in text


def test_tasks_that_await_each_other_are_named_and_can_be_cancelled(outcomes: dict[str, str]) -> None:
    text = outcomes["dead_tasks_that_await_each_other"]
    assert "circle of 2 tasks that wait for each other: task" in text
    assert text.count("← here the circle closes") == 1


def test_ends_of_dead_tasks_are_named(outcomes: dict[str, str]) -> None:
    assert "waits for queue: Queue at" in outcomes["dead_queue_nobody_fills"]
    assert "waits for future: Future at" in outcomes["dead_future_nobody_sets"]
    assert "waits for event: Event at" in outcomes["dead_after_threads_and_children"]


def test_locks_of_ours_know_who_called_acquire() -> None:
    found = run("ours", "dead_two_acquires", "dead_lock_of_a_task_that_has_ended")
    assert "circle of 2 tasks that wait for each other" in found["dead_two_acquires"]
    assert re.search(r"held by task (\d+)\n +task \1: has ended\n", found["dead_lock_of_a_task_that_has_ended"])


def test_the_environment_and_run_forever_leave_loops_alone() -> None:
    code = (
        "import os, subprocess, yieldloop\n"
        "async def main():\n"
        "    child = subprocess.Popen(['sh', '-c', f'sleep 0.3; kill -INT {os.getpid()}'])\n"
        "    await yieldloop.Event().wait()\n"
        "try:\n"
        "    yieldloop.run(main())\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    for command, environment in (
        ([sys.executable, "-c", code], {"YIELDLOOP_DEAD_LOOP": "off"}),
        ([sys.executable, "-m", "tests.dead_loops", "ours", "forever_is_not_judged"], {}),
    ):
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.stdout == "interrupted\n", done.stderr


def test_another_word_in_the_environment_is_an_error(monkeypatch: pytest.MonkeyPatch, ours: Any) -> None:
    monkeypatch.setenv("YIELDLOOP_DEAD_LOOP", "perhaps")
    with pytest.raises(ValueError, match=r"'perhaps'.*'on' or 'off'"):
        ours.new_loop()


# --- circles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({}, []),
        ({1: [2], 2: [3]}, []),
        ({1: [1]}, [[1]]),
        ({1: [2], 2: [1]}, [[1, 2]]),
        ({3: [2], 2: [1], 1: [3], 4: [1], 5: [6], 6: [5]}, [[1, 3, 2], [5, 6]]),
        ({1: [2, 3], 2: [4], 3: [1], 4: [2]}, [[1, 3], [2, 4]]),
        ({i: [i + 1] for i in range(1, 5000)} | {5000: [1]}, [list(range(1, 5001))]),
    ],
)
def test_circles_are_found(needs: dict[int, list[int]], expected: list[list[int]]) -> None:
    assert cycles_of(needs) == expected


@pytest.mark.parametrize("through", ["await", "gather"])
def test_a_request_to_cancel_opens_a_circle(ours: Any, through: str) -> None:
    async def main() -> None:
        tasks: list[Any] = []

        async def waits(other: int) -> None:
            if through == "gather":
                await ours.m.gather(tasks[other])
            else:
                await tasks[other]

        size = 3
        tasks += [ours.m.create_task(waits((i + 1) % size)) for i in range(size)]
        await ours.m.sleep(0)
        await ours.m.sleep(0)
        assert tasks[0].cancel("enough")
        assert [task.cancelling() for task in tasks] == [1] * size
        await ours.m.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        await ours.m.sleep(0)

    ours.run(main())


def test_a_long_chain_of_tasks_is_cancelled_without_recursion(ours: Any) -> None:
    async def main() -> None:
        async def waits(other: Any) -> None:
            await other

        last = task = ours.m.create_task(ours.m.sleep(100))
        for _ in range(20_000):
            task = ours.m.create_task(waits(task))
        await ours.m.sleep(0)
        assert task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await last
        for _ in range(5):
            await ours.m.sleep(0)
        while not task.done():
            await ours.m.sleep(0)
        assert task.cancelled()

    if ours.name == "loop" and ours.new_loop.__closure__[0].cell_contents != "epoll":
        pytest.skip("pollers have no part in it")
    ours.run(main())
