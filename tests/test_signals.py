"""Signals: real ones, sent to a child process that runs the loop in its main thread; and what is refused in this one.

A signal is delivered to a process, so a test that sends one needs a process that it may kill.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import yieldloop

SOURCE = str(Path(yieldloop.__path__[0]).parent)

PRELUDE = """
import asyncio as stock, os, signal, socket, sys, threading, time
if {name!r} == "module":
    import yieldloop as asyncio
else:
    import asyncio
def new_loop():
    if {name!r} == "stock":
        return asyncio.SelectorEventLoop()
    import yieldloop
    return yieldloop.EventLoop(poller={poller!r})
def run(coro):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(coro)
def say(*words):
    print(*words, flush=True)
"""


def program(api: Any, body: str) -> subprocess.Popen[str]:
    """A child process that runs *body* on the asyncio of *api*."""
    loop = api.new_loop()
    poller = getattr(getattr(loop, "_poller", None), "name", None)
    loop.close()
    text = PRELUDE.format(name=api.name, poller=poller) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )


def finish(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    """(exit status, output, errors) once it has ended."""
    try:
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    return child.returncode, out, err


def heard(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_a_sleeping_loop_hears_a_signal(api: Any) -> None:
    child = program(
        api,
        """
        async def main():
            loop = asyncio.get_running_loop()
            came = loop.create_future()
            loop.add_signal_handler(signal.SIGUSR1, came.set_result, "came")
            say("ready")
            say(await came)
            say(loop.remove_signal_handler(signal.SIGUSR1), loop.remove_signal_handler(signal.SIGUSR1))
            say(signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL)
        run(main())
        """,
    )
    assert heard(child) == "ready"
    child.send_signal(signal.SIGUSR1)
    assert finish(child) == (0, "came\nTrue False\nTrue\n", "")


def test_a_storm_loses_no_signal_that_the_kernel_delivers(api: Any) -> None:
    """One at a time: each is sent when the one before has been answered, between other work of the loop."""
    child = program(
        api,
        """
        async def main():
            loop = asyncio.get_running_loop()
            over = asyncio.Event()
            count = 0
            def came():
                nonlocal count
                count += 1
                say(count)
                if count == 300:
                    over.set()
            loop.add_signal_handler(signal.SIGUSR1, came)
            say("ready")
            async def busy():
                while not over.is_set():
                    await asyncio.sleep(0 if count % 2 else 0.001)
            await busy()
        run(main())
        """,
    )
    assert heard(child) == "ready"
    for number in range(1, 301):
        child.send_signal(signal.SIGUSR1)
        assert heard(child) == str(number)
    assert finish(child)[0] == 0


def test_a_full_wake_up_pipe_silences_no_signal(ours: Any) -> None:
    """Python writes each signal's number into the loop's wake-up pipe; with that full, the handlers have to run all the same."""
    child = program(
        ours,
        """
        async def main():
            loop = asyncio.get_running_loop()
            came = []
            loop.add_signal_handler(signal.SIGUSR1, came.append, 1)
            loop.add_signal_handler(signal.SIGUSR2, came.append, 2)
            try:
                while True:
                    os.write(loop._poller.wake_fd, b"x" * 1000)
            except BlockingIOError:
                pass
            for _ in range(50):
                os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR2)
            while 2 not in came:
                await asyncio.sleep(0.001)
            say(came.count(1) == 50, came.count(2))
            done = loop.create_future()
            loop.add_signal_handler(signal.SIGUSR2, done.set_result, None)
            threading.Timer(0.01, lambda: os.kill(os.getpid(), signal.SIGUSR2)).start()
            await asyncio.wait_for(done, 20)
        run(main())
        """,
    )
    assert finish(child) == (0, "True 1\n", "")


def test_signals_are_heard_while_other_descriptors_keep_the_loop_busy(api: Any) -> None:
    child = program(
        api,
        """
        async def main():
            loop = asyncio.get_running_loop()
            one, other = socket.socketpair()
            other.send(b"x")
            loop.add_reader(one, lambda: None)  # always readable
            came = asyncio.Event()
            loop.add_signal_handler(signal.SIGUSR1, came.set)
            say("ready")
            await came.wait()
            loop.remove_reader(one)
            one.close(); other.close()
            say("came")
        run(main())
        """,
    )
    assert heard(child) == "ready"
    child.send_signal(signal.SIGUSR1)
    assert finish(child) == (0, "came\n", "")


def test_ctrl_c_cancels_the_main_task_and_ends_in_keyboard_interrupt(api: Any) -> None:
    child = program(
        api,
        """
        async def main():
            try:
                say("ready")
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                say("cleaning up")
                await asyncio.sleep(0)
                raise
        try:
            run(main())
        except KeyboardInterrupt:
            say("interrupted")
        """,
    )
    assert heard(child) == "ready"
    child.send_signal(signal.SIGINT)
    assert finish(child) == (0, "cleaning up\ninterrupted\n", "")


def test_the_second_ctrl_c_does_not_wait_for_the_main_task(api: Any) -> None:
    child = program(
        api,
        """
        async def main():
            while True:
                try:
                    say("asleep")
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    say("not yet")
                    time.sleep(60)
        try:
            run(main())
        except KeyboardInterrupt:
            say("interrupted")
        """,
    )
    assert heard(child) == "asleep"
    child.send_signal(signal.SIGINT)
    assert heard(child) == "not yet"
    child.send_signal(signal.SIGINT)
    status, out, _ = finish(child)
    assert (status, out) == (0, "interrupted\n")


def test_ctrl_c_with_a_handler_of_the_loop_is_the_programs(api: Any) -> None:
    child = program(
        api,
        """
        async def main():
            loop = asyncio.get_running_loop()
            stop = asyncio.Event()
            loop.add_signal_handler(signal.SIGINT, stop.set)
            say("ready")
            await stop.wait()
            loop.remove_signal_handler(signal.SIGINT)
            say(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        run(main())
        """,
    )
    assert heard(child) == "ready"
    child.send_signal(signal.SIGINT)
    assert finish(child) == (0, "True\n", "")


def test_a_keyboard_interrupt_in_a_callback_ends_the_run(api: Any) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    loop = api.new_loop()
    try:
        loop.call_soon(interrupt)
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        assert loop.run_until_complete(asyncio.sleep(0, "goes on")) == "goes on"
    finally:
        loop.close()


def test_a_handler_that_raises_is_reported_and_the_next_one_runs(api: Any) -> None:
    child = program(
        api,
        """
        async def main():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: say("reported", repr(context["exception"])))
            came = loop.create_future()
            loop.add_signal_handler(signal.SIGUSR1, lambda: 1 / 0)
            loop.add_signal_handler(signal.SIGUSR2, came.set_result, None)
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR2)
            await came
            say("next")
        run(main())
        """,
    )
    assert finish(child) == (0, "reported ZeroDivisionError('division by zero')\nnext\n", "")


def test_the_handler_that_was_added_last_counts(api: Any) -> None:
    child = program(
        api,
        """
        async def main():
            loop = asyncio.get_running_loop()
            came = loop.create_future()
            loop.add_signal_handler(signal.SIGUSR1, say, "old")
            loop.add_signal_handler(signal.SIGUSR1, came.set_result, "new")
            os.kill(os.getpid(), signal.SIGUSR1)
            say(await came)
        run(main())
        """,
    )
    assert finish(child) == (0, "new\n", "")


def test_a_handler_of_the_interpreter_that_came_later_is_called_too(api: Any) -> None:
    child = program(
        api,
        """
        async def main():
            loop = asyncio.get_running_loop()
            heard = asyncio.Event()
            def hear():
                say("loop")
                heard.set()
            loop.add_signal_handler(signal.SIGTERM, hear)
            ours = signal.signal(signal.SIGTERM, lambda number, frame: say("later"))
            os.kill(os.getpid(), signal.SIGTERM)
            await heard.wait()
            await asyncio.sleep(0.05)
            signal.signal(signal.SIGTERM, ours)
            heard.clear()
            os.kill(os.getpid(), signal.SIGTERM)
            await heard.wait()
            await asyncio.sleep(0.05)
            say("end")
        run(main())
        """,
    )
    assert finish(child) == (0, "later\nloop\nloop\nend\n", "")


def test_a_handler_that_replaces_itself_is_called_once(api: Any) -> None:
    child = program(
        api,
        """
        async def main():
            loop = asyncio.get_running_loop()
            def hear():
                say("loop")
                signal.signal(signal.SIGTERM, lambda number, frame: say("later"))
            loop.add_signal_handler(signal.SIGTERM, hear)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.05)
            say("end")
        run(main())
        """,
    )
    assert finish(child) == (0, "loop\nend\n", "")


def test_handlers_are_gone_when_the_loop_is_closed(api: Any) -> None:
    loop = api.new_loop()
    before = signal.getsignal(signal.SIGUSR1)
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == before == signal.SIG_DFL


def test_system_calls_elsewhere_are_not_interrupted(api: Any) -> None:
    child = program(
        api,
        """
        async def main():
            loop = asyncio.get_running_loop()
            came = asyncio.Event()
            loop.add_signal_handler(signal.SIGUSR1, came.set)
            line = loop.run_in_executor(None, os.read, 0, 10)
            say("ready")
            await came.wait()
            say("came")
            say(await line)
        run(main())
        """,
    )
    assert heard(child) == "ready"
    child.send_signal(signal.SIGUSR1)
    assert heard(child) == "came"
    assert child.stdin is not None
    child.stdin.write("line\n")
    child.stdin.flush()
    assert finish(child) == (0, "b'line\\n'\n", "")


@pytest.mark.parametrize(
    ("sig", "callback", "error"),
    [
        ("SIGUSR1", print, TypeError),
        (0, print, ValueError),
        (signal.NSIG, print, ValueError),
        (signal.SIGKILL, print, RuntimeError),
    ],
)
def test_what_is_no_signal_that_can_be_caught_is_refused(loop: Any, sig: Any, callback: Any, error: Any) -> None:
    with pytest.raises(error):
        loop.add_signal_handler(sig, callback)


def test_coroutine_functions_are_refused(loop: Any) -> None:
    async def handler() -> None:
        pass

    with pytest.raises(TypeError, match="coroutines cannot be used with add_signal_handler"):
        loop.add_signal_handler(signal.SIGUSR1, handler)


def test_other_threads_than_the_main_one_have_no_signals(api: Any) -> None:
    errors = []

    def work() -> None:
        async def main() -> None:
            try:
                asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
            except (RuntimeError, ValueError) as exc:
                errors.append(exc)

        api.run(main())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert len(errors) == 1 and isinstance(errors[0], RuntimeError)
