"""The thread that watches, and forks: it is not there while a program without other threads forks, and goes on after that."""

from __future__ import annotations

import _thread
import os
import threading
import time
from typing import Any

import pytest

import yieldloop
from tests.programs import in_directory, running
from yieldloop.watch import outside
from yieldloop.watch import watcher as module
from yieldloop.watch.watcher import LONGEST_WAIT, watcher

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

FORKS = """
import asyncio, os, threading, yieldloop

async def main():
    loop = asyncio.get_running_loop()
    while "yieldloop-watch" not in [thread.name for thread in threading.enumerate()]:
        await asyncio.sleep(0.01)
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            os._exit(threading.active_count() - 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        await asyncio.sleep(0)
    await asyncio.sleep(3600)

yieldloop.run(main())
"""


def test_a_program_without_other_threads_forks_without_a_warning_and_can_be_asked_after_it() -> None:
    with running("-W", "error::DeprecationWarning", "-c", FORKS) as program:
        assert [program.line() for _ in range(20)] == ["0"] * 20
        program.wait_until(program.answers)
        assert "main" in program.yieldloop("tree", str(program.pid)).stdout
        assert program.stderr() == ""


def test_a_client_that_is_connected_is_answered_whatever_is_forked_meanwhile() -> None:
    endless = FORKS.replace("for _ in range(20):", "while True:").replace("print(", "bool(").replace(", flush=True", "")
    with running("-c", endless) as program:
        program.wait_until(program.answers)
        with in_directory(program.env), outside.connect(program.pid) as connection:
            for _ in range(50):
                assert connection.ask("hello")["pid"] == program.pid


def fork_in_a_loop(before: Any = bool) -> float:
    """How many seconds a fork takes in a loop that is watched."""

    async def main() -> float:
        while watcher._thread is None or not watcher._thread.is_alive():
            await yieldloop.sleep(0.01)
        before()
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        took = time.monotonic() - began
        os.waitpid(pid, 0)
        return took

    return float(yieldloop.run(main()))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs the tests (pytest-xdist) may have threads of its own: they do not count."""
    there = module._count_threads() - 1
    monkeypatch.setattr(module, "_count_threads", lambda: _thread._count() - there)


@pytest.mark.usefixtures("alone")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_does_not_wait_for_an_answer_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    answering, go_on = threading.Event(), threading.Event()

    def look(watched: Any) -> int:
        answering.set()
        go_on.wait(30)
        return 10**6

    def begin() -> None:
        monkeypatch.setattr(watcher, "_look", look)
        watcher.wake()
        assert answering.wait(30)

    threads: list[Any] = []
    try:
        took = fork_in_a_loop(lambda: (begin(), threads.append(watcher._thread)))
    finally:
        go_on.set()
        monkeypatch.undo()
    assert took < 10  # the answer would have taken 30 s
    assert took >= LONGEST_WAIT
    assert watcher._thread is threads[0]  # it has stayed


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_where_there_are_other_threads_the_watching_one_stays() -> None:
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    threads: list[Any] = []
    other.start()
    try:
        fork_in_a_loop(lambda: threads.append(watcher._thread))
    finally:
        end.set()
        other.join()
    assert watcher._thread is threads[0]


@pytest.mark.usefixtures("alone")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_new_thread_goes_on_after_the_fork() -> None:
    threads: list[Any] = []
    fork_in_a_loop(lambda: threads.append(watcher._thread))
    assert threads[0] is not watcher._thread
    assert not threads[0].is_alive()
    assert watcher._thread is not None
    assert watcher._thread.is_alive()
