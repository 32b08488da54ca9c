"""What shutdown_timeout promises: the end comes in time, and one report names what did not end. Without it, the standard end."""

from __future__ import annotations

import _thread
import asyncio
import gc
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import yieldloop
from tests.conftest import Api

OWN = {
    "stock-loop": Api("own", yieldloop, asyncio.SelectorEventLoop),
    "own-loop": Api("own", yieldloop, yieldloop.new_event_loop),
}


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest) -> Api:
    """Our runner, with the standard library's loop and with ours."""
    return OWN[request.param]


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell starts what it runs in the background with SIGINT ignored, and then Python has no handler for it either."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Reports(list[Any]):
    """The contexts that the exception handlers of the loops made by `factory` were given."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def factory(self) -> Any:
        loop = self.make()
        loop.set_exception_handler(lambda loop, context: self.append(context))
        return loop


async def stubborn(release: list[Any]) -> None:
    """Swallows every cancellation until *release* has something in it."""
    while not release:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            continue


@pytest.mark.leaves("tasks")
def test_a_task_that_swallows_cancellation_is_named_and_left(own: Api) -> None:
    reports, release = Reports(own.new_loop), []  # type: ignore[var-annotated]

    async def main() -> str:
        asyncio.get_running_loop().create_task(stubborn(release), name="mule")
        await own.m.sleep(0)
        return "result"

    began = time.monotonic()
    assert own.m.run(main(), loop_factory=reports.factory, shutdown_timeout=0.05) == "result"
    assert time.monotonic() - began < 5
    release.append(True)
    gc.collect()
    assert len(reports) == 1, reports
    text = reports[0]["message"]
    assert "0.05 s (shutdown_timeout)" in text and "still alive and left behind: 1 task\n" in text
    assert "task 'mule' stubborn()" in text and "cancelled 1 time and not done" in text
    assert "test_aio_shutdown.py" in text.partition("stands at")[2] and "waits for <Future pending" in text
    assert [task.get_name() for task in reports[0]["leftovers"].tasks] == ["mule"]
    if own.new_loop is yieldloop.new_event_loop:
        assert "in main, cancelled" in text  # where it was made


def test_what_ends_in_time_is_no_matter(own: Api) -> None:
    reports, ended = Reports(own.new_loop), []  # type: ignore[var-annotated]

    async def slow_end() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await own.m.sleep(0.01)
            ended.append("task")
            asyncio.get_running_loop().kept = asyncio.get_running_loop().create_task(started_late())  # type: ignore[attr-defined]

    async def started_late() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("late")

    async def generator() -> Any:
        try:
            yield 1
        finally:
            await own.m.sleep(0.01)
            ended.append("generator")

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        loop.agen = generator()
        await loop.agen.__anext__()
        loop.create_task(slow_end())
        loop.run_in_executor(None, time.sleep, 0.01).add_done_callback(lambda _: ended.append("job"))
        await own.m.sleep(0)

    own.m.run(main(), loop_factory=reports.factory, shutdown_timeout=30)
    assert sorted(ended) == ["generator", "job", "late", "task"] and reports == []


def test_errors_of_ending_tasks_are_reported_as_without_a_limit(own: Api) -> None:
    reports = Reports(own.new_loop)

    async def failing() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            raise LookupError("on the way out")

    async def main() -> None:
        asyncio.get_running_loop().kept = own.m.create_task(failing())  # type: ignore[attr-defined]
        await own.m.sleep(0)

    own.m.run(main(), loop_factory=reports.factory, shutdown_timeout=5)
    assert [context["message"] for context in reports] == ["unhandled exception during asyncio.run() shutdown"]


@pytest.mark.leaves("tasks")
def test_an_async_generator_that_does_not_close_is_named(own: Api) -> None:
    reports = Reports(own.new_loop)
    release = threading.Event()

    async def endless() -> Any:
        try:
            yield 1
        finally:
            while not release.is_set():
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    continue

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        loop.agen = endless()
        await loop.agen.__anext__()

    own.m.run(main(), loop_factory=reports.factory, shutdown_timeout=0.05)
    release.set()
    gc.collect()
    assert len(reports) == 1
    assert "left behind: 1 async generator\n" in reports[0]["message"]
    assert "endless, stands at" in reports[0]["message"]


def test_a_thread_that_runs_on_is_named_with_its_job(own: Api) -> None:
    reports = Reports(own.new_loop)
    release, begun = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        release.wait(60)

    async def main() -> None:
        asyncio.get_running_loop().create_task(asyncio.to_thread(job))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait)

    own.m.run(main(), loop_factory=reports.factory, shutdown_timeout=0.05)
    text = reports[0]["message"]
    release.set()
    assert len(reports) == 1 and "left behind: 1 thread\n" in text
    assert ".job()" in text and "thread 'asyncio_" in text


@pytest.mark.leaves("tasks", "transports", "armed")
def test_transports_and_servers_are_named_with_their_place_in_debug_mode() -> None:
    reports, release = Reports(yieldloop.new_event_loop), []  # type: ignore[var-annotated]
    here, there = socket.socketpair()
    kept: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.create_task(stubborn(release), name="mule")
        kept.append(await loop.create_connection(asyncio.Protocol, sock=here))
        kept.append(await loop.create_server(asyncio.Protocol, "127.0.0.1", 0))

    yieldloop.run(main(), debug=True, loop_factory=reports.factory, shutdown_timeout=0.05)
    release.append(True)
    text = reports[-1]["message"]
    assert "left behind: 1 task, 1 server, 1 transport\n" in text
    assert "transport <TcpTransport open fd=" in text and "server <Server" in text
    assert ", made at " in text.partition("transport <")[2]
    with pytest.warns(ResourceWarning, match="unclosed"):
        kept.clear()
        reports.clear()
        gc.collect()
    there.close()


@pytest.mark.leaves("tasks")
def test_ctrl_c_begins_the_shutdown_and_its_limit(own: Api) -> None:
    reports, release = Reports(own.new_loop), []  # type: ignore[var-annotated]

    async def main() -> None:
        asyncio.get_running_loop().call_soon(_thread.interrupt_main)
        await stubborn(release)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        own.m.run(main(), loop_factory=reports.factory, shutdown_timeout=0.1)
    assert 0.09 < time.monotonic() - began < 5
    release.append(True)
    assert len(reports) == 1 and "cancelled 2 times and not done" in reports[0]["message"]


def test_a_main_task_that_took_the_cancellation_back_goes_on(own: Api) -> None:
    reports = Reports(own.new_loop)

    async def main() -> str:
        asyncio.get_running_loop().call_soon(_thread.interrupt_main)
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            task: Any = asyncio.current_task()
            task.uncancel()
        await own.m.sleep(0.05)
        return "went on"

    assert own.m.run(main(), loop_factory=reports.factory, shutdown_timeout=0.02) == "went on"
    assert reports == []


@pytest.mark.leaves("tasks", "timers")
def test_a_second_ctrl_c_cuts_the_shutdown_short_and_it_is_still_told(own: Api) -> None:
    reports, release = Reports(own.new_loop), []  # type: ignore[var-annotated]

    async def mule() -> None:
        asyncio.get_running_loop().call_later(0.02, _thread.interrupt_main)
        await stubborn(release)

    async def main() -> None:
        asyncio.get_running_loop().create_task(mule(), name="mule")
        await own.m.sleep(0)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        own.m.run(main(), loop_factory=reports.factory, shutdown_timeout=60)
    assert time.monotonic() - began < 10
    release.append(True)
    assert len(reports) == 1 and "the shutdown was interrupted" in reports[0]["message"]
    assert "task 'mule'" in reports[0]["message"]


@pytest.mark.parametrize("wrong", [-1, float("nan")])
def test_a_limit_that_is_no_time_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=f"not {wrong}; None sets no limit"):
        yieldloop.Runner(shutdown_timeout=wrong)


PROGRAM = """
    import asyncio, sys, time
    def job(): time.sleep(100)
    async def mule():
        while True:
            try: await asyncio.sleep(1000)
            except asyncio.CancelledError: pass
    async def main():
        asyncio.create_task(mule(), name="mule")
        asyncio.create_task(asyncio.to_thread(job))
        await asyncio.sleep(0.1)
        return 5
    print(asyncio.run(main()))
    sys.exit(7)
"""


def test_the_command_line_takes_a_limit_and_the_exit_does_not_wait_for_threads(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(textwrap.dedent(PROGRAM))
    command = [sys.executable, "-m", "yieldloop", "run", "--shutdown-timeout", "0.2", "prog.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (7, "5\n"), done.stderr
    assert done.stderr.count("the shutdown has taken its 0.2 s") == 1
    assert "task 'mule' mule(), made at" in done.stderr and "runs job()" in done.stderr
    assert "the interpreter's exit does not wait for it" in done.stderr


def test_a_thread_pool_that_nobody_leaves_is_waited_for_at_exit(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(
        textwrap.dedent(
            """
            import asyncio, time, yieldloop
            def job(): time.sleep(0.5); print("ended")
            loop = yieldloop.new_event_loop()
            runner = yieldloop.Runner(loop_factory=lambda: loop, shutdown_timeout=50)
            runner.get_loop().run_in_executor(None, job)
            loop.close()
            """
        )
    )
    done = subprocess.run([sys.executable, "prog.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")
