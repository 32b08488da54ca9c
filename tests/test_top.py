"""`yieldloop top` on a terminal: what stands on its screen."""

from __future__ import annotations

import os
import re

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
            assert text.index("glutton") < text.index("modest")  # by share of the processor
            terminal.press("q")
            assert terminal.end() == 0
