"""What a limit in time promises: TimeoutError where it was set, and nobody else's cancellation swallowed."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

import yieldloop
from tests.conftest import Api

OWN = {
    "stock-loop": Api("own", yieldloop, asyncio.SelectorEventLoop),
    "own-loop": Api("own", yieldloop, yieldloop.new_event_loop),
}
SOON = 0.01
FAR = 30


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest) -> Api:
    """Our limits, on the standard library's loop and on ours: for what older standard libraries do otherwise."""
    return OWN[request.param]


def now(api: Api) -> float:
    return float(api.m.get_running_loop().time())


async def forever(api: Api) -> None:
    await api.m.get_running_loop().create_future()


def test_what_takes_too_long_ends_in_a_timeout_error(api: Api) -> None:
    async def main() -> None:
        start = now(api)
        with pytest.raises(TimeoutError) as raised:
            async with api.m.timeout(SOON) as limit:
                assert limit.when() == pytest.approx(start + SOON, abs=1)
                await forever(api)
        assert limit.expired() and repr(limit) == "<Timeout [expired]>"
        assert isinstance(raised.value.__cause__, api.m.CancelledError)
        assert api.m.current_task().cancelling() == 0
        assert now(api) - start >= SOON - 0.001

    api.run(main())


def test_what_ends_in_time_is_left_alone(api: Api) -> None:
    async def main() -> None:
        async with api.m.timeout(FAR) as limit:
            await api.m.sleep(0)
            assert repr(limit).startswith("<Timeout [active] when=")
        assert not limit.expired() and repr(limit) == "<Timeout [finished]>"
        with pytest.raises(LookupError):
            async with api.m.timeout(FAR):
                raise LookupError
        async with api.m.timeout(None) as none:
            await api.m.sleep(0)
            assert none.when() is None and repr(none) == "<Timeout [active] when=None>"
        assert api.m.current_task().cancelling() == 0

    api.run(main())


@pytest.mark.parametrize("delay", [0, -1])
def test_a_limit_of_nothing_ends_at_the_first_wait(api: Api, delay: float) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with api.m.timeout(delay):
                await forever(api)
        with pytest.raises(TimeoutError):
            async with api.m.timeout_at(now(api) + delay):
                await forever(api)
        async with api.m.timeout(delay) as limit:
            pass  # no wait, no timeout
        assert not limit.expired()
        await api.m.sleep(0)

    api.run(main())


def test_a_cancellation_from_outside_is_not_taken_for_a_timeout(api: Api) -> None:
    async def main() -> None:
        async def limited() -> None:
            async with api.m.timeout(FAR):
                await forever(api)

        task = api.m.create_task(limited())
        await api.m.sleep(0)
        task.cancel()
        with pytest.raises(api.m.CancelledError):
            await task
        assert task.cancelled()

    api.run(main())


def test_a_cancellation_from_outside_counts_more_than_a_timeout_in_the_same_turn(own: Api) -> None:
    async def main() -> None:
        async def limited() -> None:
            async with own.m.timeout(SOON) as limit:
                limits.append(limit)
                await forever(own)

        limits: list[Any] = []
        task = own.m.create_task(limited())
        await own.m.sleep(0)
        limits[0].reschedule(now(own))
        own.m.get_running_loop().call_soon(task.cancel)
        with pytest.raises(own.m.CancelledError):
            await task
        assert task.cancelled() and task.cancelling() == 1 and limits[0].expired()

    own.run(main())


def test_a_limit_inside_a_task_that_was_cancelled_before_still_works(own: Api) -> None:
    """A request to cancel that was there when the limit was set is none of its business."""

    async def main() -> None:
        async def stubborn() -> str:
            try:
                await forever(own)
            except own.m.CancelledError:
                with pytest.raises(TimeoutError):
                    async with own.m.timeout(SOON):
                        await forever(own)
            return "cleaned up"

        task = own.m.create_task(stubborn())
        await own.m.sleep(0)
        task.cancel()
        assert await task == "cleaned up" and task.cancelling() == 1

    own.run(main())


@pytest.mark.parametrize("inner_first", [True, False])
def test_of_two_limits_the_one_that_expired_raises(api: Api, inner_first: bool) -> None:
    async def main() -> None:
        outer_delay, inner_delay = (FAR, SOON) if inner_first else (SOON, FAR)
        where = []
        try:
            async with api.m.timeout(outer_delay) as outer:
                try:
                    async with api.m.timeout(inner_delay) as inner:
                        await forever(api)
                except TimeoutError:
                    where.append("inner")
        except TimeoutError:
            where.append("outer")
        assert where == ["inner" if inner_first else "outer"]
        assert inner.expired() == inner_first and outer.expired() != inner_first

    api.run(main())


def test_a_deadline_can_be_moved_while_it_is_active(api: Api) -> None:
    async def main() -> None:
        limit = api.m.timeout(FAR)
        with pytest.raises(RuntimeError, match="not been entered"):
            limit.reschedule(None)
        with pytest.raises(TimeoutError):
            async with limit:
                limit.reschedule(None)
                assert limit.when() is None
                limit.reschedule(now(api) + SOON)
                await forever(api)
        with pytest.raises(RuntimeError, match="Cannot change state of expired Timeout"):
            limit.reschedule(None)
        with pytest.raises(RuntimeError, match="already been entered"):
            async with limit:
                pass

    api.run(main())


def test_a_timeout_is_noted_in_the_history_of_another_error(own: Api) -> None:
    async def main() -> None:
        with pytest.raises(LookupError) as raised:
            async with own.m.timeout(SOON):
                try:
                    await forever(own)
                finally:
                    raise LookupError
        late = raised.value.__context__
        assert type(late) is TimeoutError and isinstance(late.__cause__, own.m.CancelledError)
        with pytest.raises(ExceptionGroup) as group:
            async with own.m.timeout(SOON):
                try:
                    await forever(own)
                except own.m.CancelledError:
                    try:
                        raise LookupError
                    except LookupError as exc:
                        error = exc
                    raise ExceptionGroup("both", [error]) from None
        assert type(group.value.exceptions[0].__context__) is TimeoutError

    own.run(main())


def test_a_limit_needs_a_task_and_a_loop(own: Api) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        own.m.timeout(1)
    loop = own.new_loop()
    failed: list[BaseException] = []

    def outside_of_any_task() -> None:
        entering = own.m.timeout(FAR).__aenter__()
        try:
            entering.send(None)
        except RuntimeError as exc:
            failed.append(exc)
        loop.stop()

    loop.call_soon(outside_of_any_task)
    loop.run_forever()
    loop.close()
    assert "should be used inside a task" in str(failed[0])


def test_a_limit_that_is_no_number_is_refused(own: Api) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="NaN"):
            own.m.timeout(math.nan)
        with pytest.raises(ValueError, match="NaN"):
            async with own.m.timeout_at(math.nan):
                raise AssertionError("entered")
        async with own.m.timeout(FAR) as limit:
            with pytest.raises(ValueError, match="NaN"):
                limit.reschedule(math.nan)
            assert limit.when() is not None
        with pytest.raises(TypeError):
            own.m.timeout("1")

    own.run(main())


def test_leaving_a_limit_that_was_never_entered_says_so(own: Api) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="not been entered"):
            await own.m.timeout(FAR).__aexit__(None, None, None)
        async with own.m.timeout(FAR) as limit:
            pass
        with pytest.raises(RuntimeError, match="finished"):
            await limit.__aexit__(None, None, None)

    own.run(main())


def test_no_timer_is_left_behind(own: Api) -> None:
    async def main() -> None:
        limit = own.m.timeout(FAR)
        async with limit:
            handle = limit._timeout_handler
            assert not handle.cancelled()
        assert handle.cancelled() and limit._timeout_handler is None

    own.run(main())
