"""The loop's own promises: time, threads, errors, and what it does with nonsense."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import fcntl
import gc
import logging
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
import weakref
from typing import Any

import pytest

import yieldloop
from tests.conftest import Api

# --- time --------------------------------------------------------------------------------------------------------------


def test_timers_never_fire_early_and_in_order(our_loop: Any) -> None:
    early: list[float] = []
    fired: list[float] = []

    def fire(when: float) -> None:
        fired.append(when)
        if our_loop.time() < when:
            early.append(when - our_loop.time())

    start = our_loop.time()
    for _ in range(300):
        when = start + random.random() * 0.05
        our_loop.call_at(when, fire, when)
    our_loop.call_at(start + 0.051, our_loop.stop)
    our_loop.run_forever()
    assert early == [] and fired == sorted(fired) and len(fired) == 300


def test_a_cancelled_timer_never_fires_and_leaves_the_heap(our_loop: Any) -> None:
    seen: list[int] = []
    timers = [our_loop.call_later(0.001 + i * 1e-6, seen.append, i) for i in range(1000)]
    for timer in timers[1:]:
        timer.cancel()
    assert len(our_loop._heap) < 200 and our_loop.statistics()["timers"] == 1
    our_loop.call_later(0.01, our_loop.stop)
    our_loop.run_forever()
    assert seen == [0]


def test_timers_follow_a_clock_put_in_their_place(our_loop: Any) -> None:
    now = 1000.0
    seen: list[str] = []
    our_loop.time = lambda: now
    our_loop.call_later(3600, seen.append, "an hour later")
    our_loop.call_soon(our_loop.stop)
    our_loop.run_forever()
    assert seen == []
    now = 4600.0
    our_loop.call_soon(our_loop.stop)
    our_loop.run_forever()
    assert seen == ["an hour later"]
    del our_loop.time
    assert our_loop.time() == pytest.approx(time.monotonic(), abs=5)


def test_timers_follow_a_clock_of_a_subclass() -> None:
    class Virtual(yieldloop.EventLoop):
        now = 0.0

        def time(self) -> float:
            return self.now

        def _run_once(self) -> None:
            if not self._ready:
                self.now = max(self.now, min(timer.when() for timer in self._scheduled_timers()))
            super()._run_once()

    async def main() -> float:
        await asyncio.sleep(3600)
        await yieldloop.sleep(3600)
        return asyncio.get_running_loop().time()

    loop = Virtual()
    began = time.monotonic()
    try:
        assert loop.run_until_complete(main()) == 7200
    finally:
        loop.close()
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("delay", [-1, -0.0, 0, float("-inf")])
def test_a_delay_that_is_not_positive_means_soon(our_loop: Any, delay: float) -> None:
    our_loop.call_later(delay, our_loop.stop)
    our_loop.run_forever()


def test_a_delay_without_end_never_fires(our_loop: Any) -> None:
    timer = our_loop.call_later(float("inf"), pytest.fail, "fired")
    our_loop.call_later(0.001, our_loop.stop)
    our_loop.run_forever()
    timer.cancel()


@pytest.mark.parametrize("method", ["call_later", "call_at"])
@pytest.mark.parametrize(("value", "error"), [(float("nan"), ValueError), (None, TypeError), ("soon", TypeError)])
def test_a_delay_that_is_no_time_is_refused(our_loop: Any, method: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        getattr(our_loop, method)(value, print)
    assert our_loop.statistics()["timers"] == 0


# --- threads -----------------------------------------------------------------------------------------------------------


def test_a_storm_from_eight_threads_loses_nothing(loop: Any) -> None:
    each, seen = 2000, []

    def storm(n: int) -> None:
        for i in range(each):
            loop.call_soon_threadsafe(seen.append, (n, i))
            if i % 100 == 0:
                time.sleep(0)
        loop.call_soon_threadsafe(ended.append, n)

    ended: list[int] = []

    async def main() -> None:
        threads = [threading.Thread(target=storm, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        while len(ended) < 8:
            await asyncio.sleep(0.001)
        for thread in threads:
            thread.join()

    loop.run_until_complete(main())
    assert len(seen) == 8 * each
    for n in range(8):
        assert [i for who, i in seen if who == n] == list(range(each))


def test_a_sleeping_loop_is_woken_each_time(our_loop: Any) -> None:
    rounds = 200
    turns: list[int] = []
    go = threading.Semaphore(0)

    def other() -> None:
        for i in range(rounds):
            go.acquire()
            our_loop.call_soon_threadsafe(done, i)

    def done(i: int) -> None:
        turns.append(i)
        if i + 1 == rounds:
            our_loop.stop()
        else:
            go.release()

    thread = threading.Thread(target=other)
    thread.start()
    our_loop.call_soon(go.release)
    our_loop.run_forever()
    thread.join()
    assert turns == list(range(rounds))


def test_to_thread_and_back(api: Api) -> None:
    async def main() -> None:
        assert await api.m.to_thread(threading.get_ident) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await api.m.get_running_loop().run_in_executor(None, lambda: 1 // 0)

    api.run(main())


def test_a_coroutine_can_be_run_from_another_thread(api: Api) -> None:
    async def answer() -> int:
        await api.m.sleep(0)
        return 42

    async def main() -> int:
        loop = api.m.get_running_loop()
        ask = lambda: api.m.run_coroutine_threadsafe(answer(), loop).result(10)  # noqa: E731
        result: int = await loop.run_in_executor(None, ask)
        return result

    assert api.run(main()) == 42


def test_debug_mode_refuses_another_thread(our_loop: Any) -> None:
    our_loop.set_debug(True)
    caught: list[BaseException] = []

    def other() -> None:
        for call in (lambda: our_loop.call_soon(print), lambda: our_loop.call_later(1, print)):
            try:
                call()
            except RuntimeError as exc:
                caught.append(exc)

    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, other)

    our_loop.run_until_complete(main())
    assert len(caught) == 2 and "Non-thread-safe operation" in str(caught[0])


# --- closed, forked, nested --------------------------------------------------------------------------------------------


def test_a_closed_loop_refuses_everything(ours: Api) -> None:
    loop = ours.new_loop()
    loop.close()
    loop.close()
    for call in (
        lambda: loop.call_soon(print),
        lambda: loop.call_later(1, print),
        lambda: loop.call_at(1, print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.run_forever(),
        lambda: loop.run_in_executor(None, print),
        lambda: loop.add_reader(0, print),
    ):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            call()
    coro = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.create_task(coro)
    coro.close()
    assert loop.is_closed() and not loop.is_running()


def test_a_loop_cannot_run_in_a_loop(ours: Api) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_forever()
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            loop.close()
        other = ours.new_loop()
        with pytest.raises(RuntimeError, match="another loop is running"):
            other.run_forever()
        other.close()

    ours.run(main())


def test_an_iteration_does_not_run_in_an_iteration(our_loop: Any) -> None:
    class Asking(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            ask()

    def ask() -> None:
        with pytest.raises(RuntimeError, match="an iteration was asked for by a callback or a task that runs in one"):
            our_loop._run_once()
        seen.append(True)

    async def main() -> None:
        ours, peer = socket.socketpair()
        with peer:
            transport, _ = await our_loop.create_connection(Asking, sock=ours)
            peer.send(b"?")
            our_loop.call_soon(ask)
            while len(seen) < 2:
                await asyncio.sleep(0)
            transport.abort()
            await asyncio.sleep(0)

    seen: list[bool] = []
    our_loop.run_until_complete(main())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_to_make_its_own_loop(our_loop: Any) -> None:
    async def main() -> int:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                asyncio._set_running_loop(None)
                our_loop._thread_id = None
                our_loop.run_forever()
            except RuntimeError as exc:
                code = 0 if "forked child" in str(exc) else 2
            finally:
                os._exit(code)
        await asyncio.sleep(0.001)  # the parent's loop is not disturbed
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert our_loop.run_until_complete(main()) == 0


def test_an_unclosed_loop_says_so(ours: Api) -> None:
    loop = ours.new_loop()
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        loop.__del__()
    assert loop.is_closed()


# --- nonsense ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("callback", [None, 42, "print", object()])
@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def test_what_cannot_be_called_is_refused_at_the_call(our_loop: Any, method: str, callback: Any) -> None:
    args = (0, callback) if method in ("call_later", "call_at") else (callback,)
    with pytest.raises(TypeError, match="a callable object was expected by " + method):
        getattr(our_loop, method)(*args)


def test_debug_mode_refuses_coroutines_as_callbacks(our_loop: Any) -> None:
    async def coroutine() -> None: ...

    our_loop.set_debug(True)
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        our_loop.call_soon(coroutine)


def test_a_callback_that_raises_is_reported_and_the_loop_goes_on(loop: Any) -> None:
    reports: list[dict[str, Any]] = []
    seen: list[str] = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    loop.call_soon(lambda: 1 // 0)
    loop.call_soon(seen.append, "next")
    loop.call_soon(loop.stop)
    loop.run_forever()
    (context,) = reports
    assert isinstance(context["exception"], ZeroDivisionError) and context["message"].startswith("Exception in callback")
    assert seen == ["next"]


def test_an_exception_handler_that_raises_is_logged(loop: Any, caplog: pytest.LogCaptureFixture) -> None:
    def handler(loop: Any, context: dict[str, Any]) -> None:
        raise LookupError("in the handler")

    loop.set_exception_handler(handler)
    loop.call_soon(lambda: 1 // 0)
    loop.call_soon(loop.stop)
    with caplog.at_level(logging.ERROR, logger="asyncio"):
        loop.run_forever()
    assert "Unhandled error in exception handler" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_from_a_callback_ends_the_run_and_loses_nothing(loop: Any, error: type[BaseException]) -> None:
    seen: list[int] = []

    def interrupt() -> None:
        raise error

    loop.call_soon(interrupt)
    loop.call_soon(seen.append, 1)
    with pytest.raises(error):
        loop.run_forever()
    assert not loop.is_running()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [1]


def test_a_callback_in_a_context_already_entered_is_reported(loop: Any, caplog: pytest.LogCaptureFixture) -> None:
    context = contextvars.copy_context()

    def enter() -> None:
        loop.call_soon(loop.stop)
        loop.run_forever()

    loop.call_soon(print, context=context)
    with caplog.at_level(logging.ERROR, logger="asyncio"):
        context.run(enter)
    assert "already entered" in caplog.text


@pytest.mark.parametrize("file", [None, "name", object(), 1.5])
def test_what_is_no_file_is_refused(our_loop: Any, file: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="Invalid file object"):
        our_loop.add_reader(file, print)


def test_a_closed_descriptor_is_refused(our_loop: Any) -> None:
    a, b = socket.socketpair()
    fd = a.fileno()
    a.close()
    b.close()
    with pytest.raises((ValueError, OSError)):
        our_loop.add_reader(a, print)
    with pytest.raises((ValueError, OSError)):
        our_loop.add_reader(fd, print)
    assert our_loop.statistics()["armed"] == 0


def test_a_regular_file_is_refused_by_epoll() -> None:
    loop = yieldloop.EventLoop(poller="epoll") if sys.platform == "linux" else pytest.skip("epoll is Linux's")
    with tempfile.TemporaryFile() as file, pytest.raises(PermissionError):
        loop.add_reader(file, print)
    loop.close()


def test_readers_and_writers_are_called_until_removed(loop: Any) -> None:
    a, b = socket.socketpair()
    a.setblocking(False)
    b.setblocking(False)
    seen: list[Any] = []

    def readable() -> None:
        seen.append(a.recv(100))
        assert loop.remove_reader(a) and not loop.remove_reader(a)
        loop.stop()

    def writable() -> None:
        b.send(b"hello")
        assert loop.remove_writer(b)

    loop.add_reader(a, readable)
    loop.add_writer(b, writable)
    loop.run_forever()
    a.close()
    b.close()
    assert seen == [b"hello"]


@pytest.mark.parametrize("side", ["reader", "writer"])
def test_a_file_that_was_closed_is_removed_by_its_object(loop: Any, side: str) -> None:
    a, b = socket.socketpair()
    a.setblocking(False)
    add, remove = getattr(loop, f"add_{side}"), getattr(loop, f"remove_{side}")
    add(a, print)
    a.close()
    assert remove(a)
    with pytest.raises(ValueError, match="Invalid file descriptor"):
        remove(a)
    b.close()


def test_the_file_of_a_reader_is_held_until_it_is_removed(loop: Any) -> None:
    class File:
        def fileno(self) -> int:
            return a.fileno()

    a, b = socket.socketpair()
    file = File()
    alive = weakref.ref(file)
    loop.add_reader(file, print)
    loop.add_writer(file, print)
    del file
    gc.collect()
    loop.remove_reader(a.fileno())
    assert alive() is not None
    loop.remove_writer(a.fileno())
    gc.collect()
    assert alive() is None
    a.close()
    b.close()


def test_the_object_of_a_closed_file_does_not_remove_the_next_of_its_number(our_loop: Any) -> None:
    a, b = socket.socketpair()
    our_loop.add_reader(a, print)
    fd = a.fileno()
    b2 = b.dup()
    a.close()
    c, d = socket.socketpair()
    if c.fileno() != fd:
        pytest.skip("the number was not given again")
    c.setblocking(False)

    async def receive() -> Any:
        receiving = asyncio.ensure_future(our_loop.sock_recv(c, 10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not our_loop.remove_reader(a)
        d.send(b"x")
        return await receiving

    assert our_loop.run_until_complete(receive()) == b"x"
    for sock in (b, b2, c, d):
        sock.close()


def test_a_thread_that_cancels_waits_for_a_callback_that_has_begun(our_loop: Any) -> None:
    begun, asked = threading.Event(), threading.Event()
    order: list[str] = []

    def callback() -> None:
        begun.set()
        asked.wait(10)
        order.append("callback is over")

    def other_thread() -> None:
        handle = our_loop.call_soon_threadsafe(callback)
        assert isinstance(handle, asyncio.Handle)
        begun.wait(10)
        threading.Timer(0.01, asked.set).start()
        handle.cancel()
        order.append("cancel() is over")
        assert handle.cancelled()
        our_loop.call_soon_threadsafe(our_loop.stop)

    thread = threading.Thread(target=other_thread)
    thread.start()
    our_loop.run_forever()
    thread.join()
    assert order == ["callback is over", "cancel() is over"]


def test_a_threadsafe_callback_may_cancel_itself_and_can_be_cancelled_before_it_begins(our_loop: Any) -> None:
    ran: list[str] = []

    def itself() -> None:
        mine.cancel()
        ran.append("itself")

    mine = our_loop.call_soon_threadsafe(itself)
    never = our_loop.call_soon_threadsafe(ran.append, "never")
    thread = threading.Thread(target=never.cancel)
    thread.start()
    thread.join()
    our_loop.call_soon_threadsafe(our_loop.stop)
    our_loop.run_forever()
    assert ran == ["itself"] and mine.cancelled() and never.cancelled()


# --- signals -----------------------------------------------------------------------------------------------------------


def test_a_signal_wakes_the_loop_and_calls_its_handler(loop: Any) -> None:
    seen: list[str] = []

    def on_signal(what: str) -> None:
        seen.append(what)
        loop.stop()

    loop.add_signal_handler(signal.SIGUSR1, on_signal, "usr1")
    threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    loop.run_forever()
    assert loop.remove_signal_handler(signal.SIGUSR1) and not loop.remove_signal_handler(signal.SIGUSR1)
    assert seen == ["usr1"] and signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_nonsense_signals_are_refused(our_loop: Any) -> None:
    with pytest.raises(TypeError, match="sig must be an int"):
        our_loop.add_signal_handler("INT", print)
    with pytest.raises(ValueError, match="invalid signal number"):
        our_loop.add_signal_handler(-1, print)
    with pytest.raises(RuntimeError, match="cannot be caught"):
        our_loop.add_signal_handler(signal.SIGKILL, print)


def test_a_wakeup_descriptor_that_its_owner_has_closed_is_replaced(ours: Api) -> None:
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    listening = fcntl.fcntl(writing.fileno(), fcntl.F_DUPFD, 500)  # a number that the loop will not be given
    signal.set_wakeup_fd(listening)
    reading.close()
    writing.close()
    os.close(listening)
    assert ours.run(ours.m.sleep(0, "ran")) == "ran"
    assert signal.set_wakeup_fd(-1) == -1


def test_what_the_system_says_against_a_signal_handler_is_told(our_loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> Any:
        def signal_call(*args: Any) -> None:
            raise OSError(number, os.strerror(number))

        return signal_call

    our_loop.add_signal_handler(signal.SIGUSR1, print)
    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", refuse(errno.EINVAL))  # what the kernel answers for SIGKILL and SIGSTOP
        with pytest.raises(RuntimeError, match="cannot be caught"):
            our_loop.add_signal_handler(signal.SIGUSR2, print)
        patch.setattr(signal, "signal", refuse(errno.EFAULT))
        with pytest.raises(OSError, match="Bad address"):
            our_loop.add_signal_handler(signal.SIGUSR2, print)
        with pytest.raises(OSError, match="Bad address"):
            our_loop.remove_signal_handler(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def test_a_loop_closed_while_the_interpreter_ends_leaves_the_signals_alone(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.add_signal_handler(signal.SIGUSR1, print)
    handler = signal.getsignal(signal.SIGUSR1)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "is_finalizing", lambda: True)
        with pytest.warns(ResourceWarning, match="skipping signal handlers removal"):
            loop.close()
    assert signal.getsignal(signal.SIGUSR1) is handler
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def test_ctrl_c_cancels_the_main_task_and_becomes_keyboard_interrupt(api: Api) -> None:
    cleaned: list[bool] = []

    async def main() -> None:
        try:
            threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
            await api.m.sleep(3600)
        finally:
            cleaned.append(True)

    with pytest.raises(KeyboardInterrupt):
        api.run(main())
    assert cleaned == [True]


# --- debug mode, probe ---------------------------------------------------------------------------------------------------


def test_debug_mode_names_a_slow_step(loop: Any, caplog: pytest.LogCaptureFixture) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0

    async def main() -> None:
        await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        loop.run_until_complete(main())
    assert "Executing <Task" in caplog.text and "took" in caplog.text


def test_the_probe_is_told_what_happens_and_one_that_raises_is_removed(
    our_loop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Watcher(yieldloop.Probe):
        def __init__(self) -> None:
            self.events: list[str] = []

        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if not name.startswith("_") and callable(value):
                self.events.append(name)
            return value

    watcher = Watcher()
    our_loop.probe = watcher
    a, b = socket.socketpair()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        await loop.run_in_executor(None, int)
        readable = loop.create_future()
        loop.add_reader(a, lambda: readable.done() or readable.set_result(None))
        b.send(b"x")
        await readable
        loop.remove_reader(a)

    our_loop.run_until_complete(main())
    a.close()
    b.close()
    from yieldloop.engine.probe import EVENTS

    assert set(EVENTS) <= set(watcher.events)

    class Broken(yieldloop.Probe):
        def task_stepped(self, task: Any) -> None:
            raise LookupError("a broken probe")

    our_loop.probe = Broken()
    with caplog.at_level(logging.ERROR, logger="asyncio"):
        our_loop.run_until_complete(asyncio.sleep(0))
    assert our_loop.probe is None and "a broken probe" in caplog.text
    with pytest.raises(TypeError, match="is no probe"):
        our_loop.probe = object()


def test_a_task_can_be_woken_though_a_probe_that_is_told_of_its_wait_ends_the_run(our_loop: Any) -> None:
    class Ending(yieldloop.Probe):
        def task_parked(self, task: Any, on: Any) -> None:
            raise KeyboardInterrupt

    awaited = our_loop.create_future()

    async def waiting() -> Any:
        return await awaited

    task = our_loop.create_task(waiting())
    our_loop.probe = Ending()
    with pytest.raises(KeyboardInterrupt):
        our_loop.run_forever()
    our_loop.probe = None
    awaited.set_result("woken")
    our_loop.call_soon(our_loop.call_soon, our_loop.stop)
    our_loop.run_forever()
    assert task.done() and task.result() == "woken"


def test_async_generators_are_closed_at_shutdown(api: Api) -> None:
    closed: list[bool] = []

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    async def main() -> None:
        generator = numbers()
        async for _ in generator:
            break
        kept.append(generator)

    kept: list[Any] = []
    api.run(main())
    assert closed == [True]


def test_no_task_is_the_current_one_after_an_interrupt_left_it(loop) -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(interrupted())
    assert asyncio.current_task(loop) is None


def test_a_task_gets_futures_of_its_own_kind(ours: Api) -> None:
    """A task of the standard library's waits for its own futures by the short way; whoever else asks gets one of ours."""

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        made: list[Any] = []

        async def make() -> None:
            made.append(loop.create_future())
            await asyncio.sleep(0)
            made.append(loop.create_future())
            loop.call_soon(made[-1].set_result, None)
            await made[-1]

        await asyncio.Task(make(), loop=loop)
        await loop.create_task(make())
        turn = loop.create_future()
        loop.call_soon(lambda: turn.set_result(made.append(loop.create_future())))
        await turn
        return [type(future) for future in made]

    assert ours.run(main()) == [asyncio.Future] * 2 + [yieldloop.Future] * 3
