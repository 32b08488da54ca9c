"""What run() and Runner promise: one loop from beginning to end, nothing left on it, and a Ctrl-C that cleans up."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import signal
import threading
from collections.abc import Iterator
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


async def answer() -> int:
    return 42


async def running_loop() -> Any:
    return asyncio.get_running_loop()


def test_run_returns_the_result_and_closes_our_loop() -> None:
    loop = yieldloop.run(running_loop())
    assert isinstance(loop, yieldloop.EventLoop) and loop.is_closed()


def test_run_takes_any_awaitable_and_refuses_the_rest(own: Api) -> None:
    class Awaitable:
        def __await__(self) -> Any:
            return answer().__await__()

    assert own.m.run(Awaitable(), loop_factory=own.new_loop) == 42
    with pytest.raises(TypeError, match="not 42"):
        own.m.run(42, loop_factory=own.new_loop)
    with pytest.raises(TypeError, match="was the function named and not called"):
        own.m.run(answer, loop_factory=own.new_loop)


def test_run_inside_a_running_loop_is_refused(own: Api) -> None:
    async def main() -> None:
        coro = answer()
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            own.m.run(coro)
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            own.m.Runner().run(coro)
        coro.close()

    own.run(main())


def test_a_runner_runs_several_on_one_loop_in_one_context(own: Api) -> None:
    var: contextvars.ContextVar[int] = contextvars.ContextVar("var", default=0)

    async def count() -> int:
        var.set(var.get() + 1)
        return var.get()

    with own.m.Runner(loop_factory=own.new_loop) as runner:
        loop = runner.get_loop()
        assert runner.run(count()) == 1 and runner.run(count()) == 2
        assert runner.run(count(), context=contextvars.copy_context()) == 1
        assert runner.run(running_loop()) is loop
    assert loop.is_closed() and var.get() == 0
    runner.close()
    with pytest.raises(RuntimeError, match="Runner is closed"):
        runner.get_loop()


def test_what_is_left_is_cancelled_and_its_errors_are_reported(own: Api) -> None:
    ended: list[str] = []
    reported: list[dict[str, Any]] = []

    async def left_over(error: BaseException | None) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("task")
            if error is not None:
                raise error

    async def generator() -> Any:
        try:
            yield 1
        finally:
            ended.append("generator")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: reported.append(context))
        loop.kept = [own.m.create_task(left_over(None)), own.m.create_task(left_over(LookupError()))]
        agen = loop.agen = generator()
        await agen.__anext__()

    loop = own.new_loop()
    loop_factory = lambda: loop  # noqa: E731
    own.m.run(main(), loop_factory=loop_factory)
    assert sorted(ended) == ["generator", "task", "task"]
    assert [context["message"] for context in reported] == ["unhandled exception during asyncio.run() shutdown"]


def test_debug_is_passed_on(own: Api) -> None:
    async def debug() -> bool:
        return bool(asyncio.get_running_loop().get_debug())

    assert own.m.run(debug(), debug=True, loop_factory=own.new_loop) is True
    assert own.m.run(debug(), debug=False, loop_factory=own.new_loop) is False


def test_ctrl_c_cancels_the_main_task_and_then_raises(own: Api) -> None:
    cleaned: list[bool] = []

    async def main() -> None:
        asyncio.get_running_loop().call_soon(_thread.interrupt_main)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await own.m.sleep(0)
            cleaned.append(True)

    with pytest.raises(KeyboardInterrupt):
        own.m.run(main(), loop_factory=own.new_loop)
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_that_the_main_task_survives_is_no_error(own: Api) -> None:
    async def main() -> str:
        asyncio.get_running_loop().call_soon(_thread.interrupt_main)
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            return "survived"
        return "never"

    assert own.m.run(main(), loop_factory=own.new_loop) == "survived"


def test_a_handler_of_the_programs_own_is_left_alone(own: Api) -> None:
    def handler(signum: int, frame: Any) -> None: ...

    async def main() -> Any:
        return signal.getsignal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, handler)
    try:
        assert own.m.run(main(), loop_factory=own.new_loop) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_run_works_in_a_thread(own: Api) -> None:
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(own.m.run(answer(), loop_factory=own.new_loop)))
    thread.start()
    thread.join(10)
    assert got == [42]
