"""What hangs says where: a block with a clock, a test under pytest, a shutdown with a time limit."""

from __future__ import annotations

import asyncio
import io
import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import yieldloop
from yieldloop.watch.hanging import dump_on_timeout


class Told(io.StringIO):
    """A file that says when something was written."""

    def __init__(self, heard: Any) -> None:
        super().__init__()
        self._heard = heard

    def flush(self) -> None:
        self._heard()


def test_a_block_that_lasts_too_long_is_told_once(ours: Any) -> None:
    async def main() -> None:
        heard = asyncio.Event()
        loop = asyncio.get_running_loop()
        file = Told(lambda: loop.call_soon_threadsafe(heard.set))

        async def stuck() -> None:
            await ours.m.Queue().get()

        task = loop.create_task(stuck(), name="the stuck one")
        with dump_on_timeout(0.01, file):
            await heard.wait()
        text = file.getvalue()
        assert text.startswith("still running after 0.01 s\nprocess ")
        assert "'the stuck one': parked" in text
        assert "waits for queue: Queue at" in text
        task.cancel()

    ours.run(main())


def test_a_block_that_ends_in_time_is_not() -> None:
    file = io.StringIO()
    with dump_on_timeout(60, file):
        assert any(thread.name == "yieldloop-dump" for thread in threading.enumerate())
    assert not any(thread.name == "yieldloop-dump" for thread in threading.enumerate())
    assert file.getvalue() == ""


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_time_that_is_none_is_an_error(seconds: float) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(seconds))):
        dump_on_timeout(seconds)


@pytest.mark.skipif(not yieldloop.compiled(), reason="pytest is started in the compiled leg alone: speed plays no part")
@pytest.mark.parametrize("how", ["option", "pytest-timeout"])
def test_a_test_that_hangs_says_who_waits_for_whom(tmp_path: Path, how: str) -> None:
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(
            """
            import pytest, yieldloop

            async def waits(lock):
                async with lock:
                    await yieldloop.Event().wait()

            async def wants(lock):
                async with lock:
                    pass

            async def main():
                lock = yieldloop.Lock()
                async with yieldloop.TaskGroup() as group:
                    group.create_task(waits(lock), name="holder")
                    group.create_task(wants(lock), name="wanting")

            @pytest.mark.timeout(2, method="thread")
            def test_hangs():
                loop = yieldloop.new_event_loop()
                loop.set_dead_loop_check(False)
                loop.run_until_complete(main())
            """
        )
    )
    options = ["--yieldloop-dump=1.2"] if how == "option" else []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "yieldloop.watch.pytest_plugin", *options]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 1  # pytest-timeout ends the process
    after = "1.2" if how == "option" else "1.8"
    assert f"test_it.py::test_hangs is still running after {after} s" in done.stderr
    assert re.search(r"waits for lock: Lock at 0x\w+, held by task \d+ 'holder'", done.stderr)


@pytest.mark.leaves("tasks")
def test_the_report_of_a_shutdown_says_who_waits_for_whom() -> None:
    reports: list[str] = []
    release: list[bool] = []

    def new_loop() -> Any:
        loop = yieldloop.new_event_loop()
        loop.set_exception_handler(lambda loop, context: reports.append(context["message"]))
        return loop

    async def main() -> None:
        lock = yieldloop.Lock()

        async def stubborn() -> None:
            async with lock:
                while not release:
                    try:
                        await yieldloop.Event().wait()
                    except asyncio.CancelledError:
                        pass

        async def wants() -> None:
            while not release:
                try:
                    async with lock:
                        pass
                except asyncio.CancelledError:
                    pass

        yieldloop.create_task(stubborn(), name="stubborn")
        yieldloop.create_task(wants(), name="wanting")
        await yieldloop.sleep(0)

    kept: list[Any] = []
    with yieldloop.Runner(loop_factory=new_loop, shutdown_timeout=0.05) as runner:
        runner.run(main())
        kept += asyncio.all_tasks(runner.get_loop())
    release.append(True)
    (text,) = reports
    assert "who waits for whom:" in text
    assert re.search(r"waits for lock: Lock at 0x\w+, held by task \d+ 'stubborn'", text)
    for task in kept:
        task.get_coro().close()

