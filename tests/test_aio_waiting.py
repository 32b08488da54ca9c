"""What waiting for several things promises: results in order, no error hidden, and cancellation where it belongs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import yieldloop
from tests.conftest import Api

OWN = {
    "stock-loop": Api("own", yieldloop, asyncio.SelectorEventLoop),
    "own-loop": Api("own", yieldloop, yieldloop.new_event_loop),
}
SOON = 0.01


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest) -> Api:
    """Ours, on the standard library's loop and on our own."""
    return OWN[request.param]


def later(api: Api) -> Any:
    return api.m.get_running_loop().create_future()


async def give(api: Api, value: Any, turns: int = 1) -> Any:
    for _ in range(turns):
        await api.m.sleep(0)
    if isinstance(value, BaseException):
        raise value
    return value


# --- gather ------------------------------------------------------------------------------------------------------------


def test_gather_gives_results_in_the_order_of_its_arguments(api: Api) -> None:
    async def main() -> None:
        ready = later(api)
        ready.set_result("ready")
        twice = give(api, "twice")
        got = await api.m.gather(give(api, "slow", 5), ready, twice, give(api, "quick"), twice)
        assert got == ["slow", "ready", "twice", "quick", "twice"]
        assert await api.m.gather() == []

    api.run(main())


def test_gather_raises_the_first_exception_and_lets_the_others_run_on(api: Api) -> None:
    async def main() -> None:
        other = api.m.create_task(give(api, "done", 5))
        with pytest.raises(LookupError):
            await api.m.gather(other, give(api, LookupError()), give(api, KeyError(), 3))
        assert not other.done()
        assert await other == "done"

    api.run(main())


def test_gather_returns_exceptions_as_results_if_asked(api: Api) -> None:
    async def main() -> None:
        cancelled = later(api)
        cancelled.cancel()
        got = await api.m.gather(give(api, 1), give(api, LookupError()), cancelled, return_exceptions=True)
        assert got[0] == 1 and [type(exc) for exc in got[1:]] == [LookupError, api.m.CancelledError]

    api.run(main())


@pytest.mark.parametrize("return_exceptions", [False, True])
def test_cancelling_gather_cancels_its_children_and_is_not_turned_into_results(
    api: Api, return_exceptions: bool
) -> None:
    async def main() -> None:
        children = [later(api), later(api)]
        task = api.m.create_task(_gathering(api, children, return_exceptions))
        await api.m.sleep(0)
        task.cancel()
        with pytest.raises(api.m.CancelledError):
            await task
        assert all(child.cancelled() for child in children)

    api.run(main())


async def _gathering(api: Api, children: list[Any], return_exceptions: bool) -> None:
    await api.m.gather(*children, return_exceptions=return_exceptions)


def test_gather_of_what_is_done_is_done(own: Api) -> None:
    async def main() -> None:
        futures = [later(own), later(own)]
        for future in futures:
            future.set_result(1)
        assert own.m.gather(*futures).done()

    own.run(main())


def test_a_child_that_is_cancelled_is_an_error_of_gather_and_no_cancellation(api: Api) -> None:
    async def main() -> None:
        child, other = later(api), later(api)
        outer = api.m.gather(child, other)
        child.cancel()
        with pytest.raises(api.m.CancelledError):
            await outer
        assert not outer.cancelled() and not other.cancelled()

    api.run(main())


def test_gather_refuses_what_cannot_be_awaited(own: Api) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="was the function named and not called"):
            own.m.gather(give)

    own.run(main())


# --- wait --------------------------------------------------------------------------------------------------------------


def test_wait_returns_when_it_is_told_to(api: Api) -> None:
    async def main() -> None:
        def tasks() -> list[Any]:
            return [api.m.create_task(give(api, value, n * 4)) for n, value in enumerate((1, 2, 3))]

        first = tasks()
        done, pending = await api.m.wait(first, return_when=api.m.FIRST_COMPLETED)
        assert done == {first[0]} and pending == set(first[1:])
        done, pending = await api.m.wait(first)
        assert done == set(first) and not pending
        failing = [*tasks(), api.m.create_task(give(api, LookupError(), 2))]
        done, pending = await api.m.wait(failing, return_when=api.m.FIRST_EXCEPTION)
        assert failing[3] in done and failing[2] in pending
        await api.m.wait(pending)
        failing[3].exception()

    api.run(main())


def test_wait_returns_after_its_time_and_cancels_nothing(api: Api) -> None:
    async def main() -> None:
        future = later(api)
        done, pending = await api.m.wait([future], timeout=SOON)
        assert not done and pending == {future} and not future.cancelled()
        waiting = api.m.create_task(api.m.wait([future]))
        await api.m.sleep(0)
        waiting.cancel()
        await api.m.wait([waiting])
        assert waiting.cancelled() and not future.done()
        assert not future._callbacks, "wait() takes its callbacks away again"

    api.run(main())


def test_wait_refuses_coroutines_nothing_and_nonsense(own: Api) -> None:
    async def main() -> None:
        coro = give(own, 1)
        with pytest.raises(TypeError, match="expect a list of futures"):
            await own.m.wait(coro)
        with pytest.raises(TypeError, match="Passing coroutines is forbidden"):
            await own.m.wait([coro])
        coro.close()
        with pytest.raises(ValueError, match="is empty"):
            await own.m.wait([])
        future = later(own)
        with pytest.raises(ValueError, match="Invalid return_when value"):
            await own.m.wait([future], return_when="when it suits you")
        with pytest.raises(ValueError, match="NaN"):
            await own.m.wait([future], timeout=float("nan"))

    own.run(main())


# --- wait_for ----------------------------------------------------------------------------------------------------------


def test_wait_for_swallows_no_cancellation_that_comes_with_the_result(own: Api) -> None:
    # cpython issue 86296: the inner future ends and the waiter is cancelled in one turn.
    async def main() -> None:
        inner = later(own)
        task = own.m.create_task(own.m.wait_for(inner, 30))
        await own.m.sleep(0)
        inner.set_result("result")
        task.cancel()
        with pytest.raises(own.m.CancelledError):
            await task
        assert inner.result() == "result"

    own.run(main())


def test_wait_for_loses_no_result_that_comes_with_the_timer(own: Api) -> None:
    async def main() -> None:
        loop = own.m.get_running_loop()
        inner = later(own)
        task = own.m.create_task(own.m.wait_for(inner, SOON))
        loop.call_later(SOON / 10, hold, loop, loop.time() + SOON * 3)
        loop.call_later(SOON / 2, inner.set_result, "result")
        assert await task == "result"
        assert own.m.current_task().cancelling() == 0

    def hold(loop: Any, until: float) -> None:
        while loop.time() < until:  # then the result and, after it, the timer are handled in one turn
            pass

    own.run(main())


def test_wait_for_returns_what_a_refusing_coroutine_gives(own: Api) -> None:
    async def refuse() -> str:
        try:
            await later(own)
        except own.m.CancelledError:
            return "refused"
        return "never"

    async def main() -> None:
        assert await own.m.wait_for(refuse(), SOON) == "refused"
        assert own.m.current_task().cancelling() == 0

    own.run(main())


def test_wait_for_cancels_and_awaits_what_is_too_late(own: Api) -> None:
    ended: list[bool] = []

    async def slow() -> None:
        try:
            await later(own)
        finally:
            await own.m.sleep(0)
            ended.append(True)

    async def main() -> None:
        with pytest.raises(TimeoutError) as raised:
            await own.m.wait_for(own.m.create_task(slow()), SOON)
        assert isinstance(raised.value.__cause__, own.m.CancelledError)
        assert ended == [True]
        started: list[bool] = []

        async def never_starts() -> None:
            started.append(True)

        with pytest.raises(TimeoutError):
            await own.m.wait_for(never_starts(), 0)
        assert started == []
        assert await own.m.wait_for(give(own, 1), None) == 1

    own.run(main())


# --- as_completed, shield ------------------------------------------------------------------------------------------------


def test_as_completed_gives_what_ends_first_first(own: Api) -> None:
    async def main() -> None:
        slow, quick = own.m.create_task(give(own, "slow", 6)), own.m.create_task(give(own, "quick"))
        assert [task async for task in own.m.as_completed([slow, quick])] == [quick, slow]
        got = [await coro for coro in own.m.as_completed([give(own, "slow", 6), give(own, "quick")])]
        assert got == ["quick", "slow"]
        async for task in own.m.as_completed([give(own, LookupError())]):
            with pytest.raises(LookupError):
                task.result()

    own.run(main())


def test_as_completed_raises_for_each_that_is_too_late(own: Api) -> None:
    async def main() -> None:
        futures = [later(own), later(own)]
        futures[0].set_result("in time")
        got = []
        for coro in own.m.as_completed(futures, timeout=SOON):
            try:
                got.append(await coro)
            except TimeoutError:
                got.append(TimeoutError)
        assert got == ["in time", TimeoutError]
        assert not futures[1].cancelled()
        with pytest.raises(TypeError, match="expects an iterable"):
            own.m.as_completed(futures[1])

    own.run(main())


def test_an_as_completed_that_was_cancelled_can_be_asked_again(own: Api) -> None:
    async def main() -> None:
        future = later(own)
        completed = own.m.as_completed([future])
        task = own.m.create_task(_anext(completed))
        await own.m.sleep(0)
        task.cancel()
        await own.m.wait([task])
        future.set_result(1)
        assert [f async for f in completed] == [future]

    own.run(main())


async def _anext(iterator: Any) -> Any:
    return await iterator.__anext__()


def test_shield_keeps_cancellation_out_and_lets_results_through(api: Api) -> None:
    async def main() -> None:
        inner = later(api)
        task = api.m.create_task(_shielded(api, inner))
        await api.m.sleep(0)
        task.cancel()
        with pytest.raises(api.m.CancelledError):
            await task
        assert not inner.done()
        outer = api.m.shield(inner)
        inner.set_result(5)
        assert await outer == 5 and api.m.shield(inner) is inner
        other = later(api)
        outer = api.m.shield(other)
        other.cancel()
        with pytest.raises(api.m.CancelledError):
            await outer

    api.run(main())


async def _shielded(api: Api, inner: Any) -> Any:
    return await api.m.shield(inner)


# --- sleep, create_task, ensure_future -----------------------------------------------------------------------------------


def test_sleep_waits_its_time_gives_its_result_and_leaves_no_timer(own: Api) -> None:
    async def main() -> None:
        loop = own.m.get_running_loop()
        start = loop.time()
        assert await own.m.sleep(SOON, "rested") == "rested"
        assert loop.time() - start >= SOON - 0.001
        assert await own.m.sleep(0, 1) == 1 and await own.m.sleep(-5, 2) == 2
        task = own.m.create_task(own.m.sleep(3600))
        await own.m.sleep(0)
        task.cancel()
        with pytest.raises(own.m.CancelledError):
            await task
        with pytest.raises(ValueError, match="NaN"):
            await own.m.sleep(float("nan"))

    own.run(main())


def test_create_task_passes_its_keywords_to_any_loop(own: Api) -> None:
    started: list[str] = []

    async def child() -> None:
        started.append("child")
        await own.m.sleep(0)

    async def main() -> None:
        task = own.m.create_task(child(), name="eager", eager_start=True)
        assert started == ["child"] and task.get_name() == "eager"
        lazy = own.m.create_task(child(), eager_start=None)
        assert started == ["child"]
        await own.m.gather(task, lazy)

    own.run(main())


def test_ensure_future_takes_every_awaitable_and_nothing_else(own: Api) -> None:
    class Awaitable:
        def __await__(self) -> Any:
            return give(own, 7).__await__()

    async def main() -> None:
        assert await own.m.ensure_future(Awaitable()) == 7
        future = later(own)
        assert own.m.ensure_future(future) is future
        with pytest.raises(ValueError, match="different loop"):
            own.m.ensure_future(future, loop=object())
        with pytest.raises(TypeError, match="awaitable is required, not 7"):
            own.m.ensure_future(7)

    own.run(main())
    with pytest.raises(RuntimeError, match="no current event loop"):
        own.m.ensure_future(Awaitable())
