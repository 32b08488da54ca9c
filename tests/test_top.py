"""`yieldloop top` on a terminal: what stands on its screen."""

from __future__ import annotations

import asyncio
import os
import re
import time
from typing import Any

import pytest

from tests.programs import running

pytest.importorskip("textual")
pytest.importorskip("pyte")
pytestmark = pytest.mark.skipif(os.environ.get("YIELDLOOP_PURE") == "1", reason="a screen is the same at both speeds")

from tests.terminal import on_terminal  # noqa: E402  # needs pyte


def test_tasks_and_the_chain_of_one_are_shown_live() -> None:
    with running("-m", "yieldloop", "run", "examples/sick/deadlock.py") as program:
        program.wait_until(program.answers)
        with on_terminal("-m", "yieldloop", "top", "--interval", "0.2", str(program.pid), env=program.env) as terminal:
            text = terminal.wait_for(lambda text: "payment" in text and "report" in text and "waits for timer" in text)
            assert re.search(r"\d+ +payment +parked .* lock .* held by \d+ .*deadlock\.py:\d+", text)
            assert re.search(r"tasks \d+, \d+ wait for each other in a circle", text)
            terminal.press("s")
            terminal.wait_for(lambda text: "by waiting" in text)
            up = "\x1b[A"  # to the first row
            terminal.wait_for(lambda text: re.search(r"task \d+ 'payment', made at .*deadlock\.py:\d+ in main", text), press=up)
            terminal.wait_for(lambda text: re.search(r"coroutine transfer\(\) .*deadlock\.py:\d+", text))
            program.process.kill()
            terminal.wait_for(lambda text: f"process {program.pid}" in text)  # it says that the process has gone
            terminal.press("q")
            assert terminal.end() == 0


def test_a_block_is_shown_while_the_loop_is_stuck() -> None:
    with running("-m", "yieldloop", "run", "examples/sick/blocking.py") as program:
        program.wait_until(lambda: "blocked" in program.stderr())
        with on_terminal("-m", "yieldloop", "top", str(program.pid), env=program.env) as terminal:
            told = r"step  callback write_report\(\)  at .*blocking\.py:\d+  1×, holds it now"
            terminal.wait_for(lambda text: re.search(told, text))
            terminal.press("q")
            assert terminal.end() == 0


def test_without_a_terminal_it_names_another_command() -> None:
    with running("-m", "yieldloop", "run", "examples/sick/deadlock.py") as program:
        told = program.yieldloop("top", str(program.pid))
        assert told.returncode == 1
        assert told.stderr == "yieldloop top: this is no terminal; `yieldloop tree` prints plain text\n"


def test_the_share_of_the_processor_is_shown() -> None:
    text = (
        "import asyncio, time, yieldloop\n"
        "async def burn(s):\n"
        " while True:\n"
        "  end = time.monotonic() + s\n"
        "  while time.monotonic() < end: pass\n"
        "  await asyncio.sleep(0.01)\n"
        "async def main():\n"
        " asyncio.create_task(burn(0.03), name='glutton'); asyncio.create_task(burn(0.001), name='modest')\n"
        " await asyncio.sleep(3600)\n"
        "yieldloop.run(main())"
    )

    def share(name: str, text: str) -> float:
        found = re.search(rf" {name} .* (\d+\.\d)%", text)
        return float(found[1]) if found else 0.0

    with running("-c", text) as program:
        program.wait_until(program.answers)
        with on_terminal("-m", "yieldloop", "top", str(program.pid), env=program.env) as terminal:
            text = terminal.wait_for(lambda text: share("modest", text) > 0 and share("glutton", text) > 30)
            assert share("glutton", text) > 3 * share("modest", text)
            assert text.rindex("glutton") < text.rindex("modest")  # by share of the processor; a line above names who runs now
            terminal.press("q")
            assert terminal.end() == 0


def test_no_key_of_a_burst_is_lost_while_the_tables_are_filled_anew() -> None:
    from textual import events

    from yieldloop.cli.top import Top

    def task(number: int) -> dict[str, Any]:
        fields = {"id": number, "name": f"t{number}", "state": "parked", "since_ns": number, "made_ns": 0, "site": None}
        return fields | {"chain": [], "end": {"kind": "future", "label": "a future"}, "cancelled": 0}

    looks = 0

    def look() -> Any:
        nonlocal looks
        looks += 1
        doing = {"kind": "poll", "task": None, "label": "waits in the poll", "since_ns": None, "stack": []}
        loop = {"id": 1, "name": "loop", "thread": None, "doing": doing, "ready": 0, "timers": 0, "fds": [], "cycles": []}
        process = {"argv": ["app.py"], "python": "3", "yieldloop": "0"}
        loop |= {"lost": {}, "tasks": [task(number) for number in range(20)]}
        shot = {"taken_ns": 10**9, "process": process, "loops": [loop]}
        return {"snapshot": shot, "blocks": [], "recording": {"loops": []}}

    async def main() -> None:
        app = Top(1, look, 0.01)
        async with app.run_test(size=(160, 40)) as pilot:
            table: Any = app.query_one("#tasks-table")
            while not table.row_count:
                await pilot.pause(0.01)
            row, seen = table.cursor_coordinate.row, looks
            for key, count in [("down", 7), ("up", 3), ("down", 9), ("up", 30), ("down", 5)] * 4:
                for _ in range(count):
                    app.post_message(events.Key(key, None))
                row = min(19, row + count) if key == "down" else max(0, row - count)
                deadline = time.monotonic() + 30
                while table.cursor_coordinate.row != row:
                    assert time.monotonic() < deadline, f"the cursor is in row {table.cursor_coordinate.row}, not {row}"
                    await pilot.pause(0.01)
            while looks < seen + 5:  # it was looked at meanwhile, or is now: the cursor stays
                await pilot.pause(0.01)
            assert table.cursor_coordinate.row == row

    asyncio.run(main())
