"""What a task group promises: it ends with its tasks, hides no error, and gives no cancellation away or up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import yieldloop
from tests.conftest import Api


def _eager(make: Any) -> Any:
    def new_loop() -> Any:
        loop = make()
        loop.set_task_factory(yieldloop.eager_task_factory)
        return loop

    return new_loop


OWN = {
    "stock-loop": Api("own", yieldloop, asyncio.SelectorEventLoop),
    "own-loop": Api("own", yieldloop, yieldloop.new_event_loop),
    "stock-loop-eager": Api("own", yieldloop, _eager(asyncio.SelectorEventLoop)),
    "own-loop-eager": Api("own", yieldloop, _eager(yieldloop.new_event_loop)),
}


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest) -> Api:
    """Our groups, on the standard library's loop and on ours, with tasks that start later and tasks that start at once."""
    return OWN[request.param]


async def forever(api: Api) -> None:
    await api.m.get_running_loop().create_future()


async def fail(api: Api, turns: int = 0) -> None:
    for _ in range(turns):
        await api.m.sleep(0)
    raise LookupError("failed on purpose")


def test_the_block_ends_when_all_its_tasks_have(api: Api) -> None:
    async def child(turns: int) -> int:
        for _ in range(turns):
            await api.m.sleep(0)
        return turns

    async def main() -> None:
        async with api.m.TaskGroup() as group:
            tasks = [group.create_task(child(n), name=f"child-{n}") for n in range(5)]
            assert "entered" in repr(group)
        assert [task.result() for task in tasks] == list(range(5))
        assert tasks[3].get_name() == "child-3"

    api.run(main())


def test_a_failing_task_ends_the_others_and_the_body(api: Api) -> None:
    ended: list[str] = []

    async def sibling() -> None:
        try:
            await forever(api)
        finally:
            ended.append("sibling")

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as raised:
            async with api.m.TaskGroup() as group:
                group.create_task(sibling())
                group.create_task(fail(api, 2))
                try:
                    await forever(api)
                finally:
                    ended.append("body")
        assert [type(exc) for exc in raised.value.exceptions] == [LookupError]
        assert api.m.current_task().cancelling() == 0, "the group takes its own cancellation back"
        await api.m.sleep(0)

    api.run(main())
    assert sorted(ended) == ["body", "sibling"]


def test_all_errors_come_out_together(own: Api) -> None:
    async def fail_at_the_end() -> None:
        try:
            await forever(own)
        finally:
            raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as raised:
            async with own.m.TaskGroup() as group:
                group.create_task(fail_at_the_end())
                await own.m.sleep(0)
                group.create_task(fail(own))
                await own.m.sleep(0)
                await own.m.sleep(0)
                raise KeyError("in the body")
        assert {type(exc) for exc in raised.value.exceptions} <= {ZeroDivisionError, LookupError, KeyError}
        assert len(raised.value.exceptions) >= 2

    own.run(main())


def test_a_cancellation_from_outside_ends_the_tasks_and_goes_on(api: Api) -> None:
    async def grouped() -> None:
        async with api.m.TaskGroup() as group:
            group.create_task(forever(api))

    async def main() -> None:
        task = api.m.create_task(grouped())
        for _ in range(3):
            await api.m.sleep(0)
        task.cancel("enough")
        with pytest.raises(api.m.CancelledError):
            await task
        assert task.cancelled()

    api.run(main())


def test_a_task_that_fails_before_the_body_waits_is_heard_at_its_first_wait(own: Api) -> None:
    # cpython issue 116048: early failure. The body is not interrupted in create_task(), and not left waiting either.
    seen: list[str] = []

    async def main() -> None:
        with pytest.raises(ExceptionGroup):
            async with own.m.TaskGroup() as group:
                group.create_task(fail(own))
                other = group.create_task(forever(own))
                seen.append("still in the body")
                await forever(own)
                seen.append("not here")
        assert other.cancelled()
        assert own.m.current_task().cancelling() == 0

    own.run(main())
    assert seen == ["still in the body"]


def test_a_task_that_joins_while_its_own_child_has_failed_is_cancelled(own: Api) -> None:
    # cpython issue 128550: an eager task is not in the group yet when the task it starts fails.
    async def main() -> None:
        with pytest.raises(ExceptionGroup):
            async with own.m.TaskGroup() as group:

                async def second() -> None:
                    group.create_task(fail(own))
                    await forever(own)

                group.create_task(second())

    own.run(main())


def test_a_task_that_cancels_its_group_before_its_first_wait_is_cancelled_too(own: Api) -> None:
    # cpython issue 155418.
    async def main() -> None:
        async def child() -> None:
            group.cancel()
            await forever(own)

        async with own.m.TaskGroup() as group:
            task = group.create_task(child())
        assert task.cancelled()
        assert own.m.current_task().cancelling() == 0

    own.run(main())


def test_an_eager_failure_leaks_no_cancellation(own: Api) -> None:
    # cpython issue 128588.
    async def main() -> None:
        with pytest.raises(ExceptionGroup):
            async with own.m.TaskGroup() as group:
                group.create_task(fail(own))
        assert own.m.current_task().cancelling() == 0
        await own.m.sleep(0)

    own.run(main())


def test_cancel_ends_the_group_without_an_error(own: Api) -> None:
    reached: list[str] = []

    async def main() -> None:
        async with own.m.TaskGroup() as group:
            task = group.create_task(forever(own))
            group.cancel()
            group.cancel()
            await forever(own)
            reached.append("after a wait")
        assert task.cancelled()
        assert own.m.current_task().cancelling() == 0
        group.cancel()  # over: nothing
        await own.m.sleep(0)

    own.run(main())
    assert reached == []


def test_cancel_before_the_block_cancels_it_on_entry(own: Api) -> None:
    async def main() -> None:
        group = own.m.TaskGroup()
        group.cancel()
        async with group:
            with pytest.raises(RuntimeError, match="is shutting down"):
                group.create_task(forever(own))
            await forever(own)
        assert own.m.current_task().cancelling() == 0

    own.run(main())


def test_cancel_hides_no_error_of_a_task(own: Api) -> None:
    async def fails_when_cancelled() -> None:
        try:
            await forever(own)
        except own.m.CancelledError:
            raise LookupError from None

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as raised:
            async with own.m.TaskGroup() as group:
                group.create_task(fails_when_cancelled())
                await own.m.sleep(0)
                group.cancel()
        assert [type(exc) for exc in raised.value.exceptions] == [LookupError]

    own.run(main())


def test_a_cancellation_from_outside_is_kept_beside_the_groups_own(own: Api) -> None:
    # cpython issue 155433: both in one turn, while the body is over and only waits for its tasks.
    async def grouped() -> None:
        async with own.m.TaskGroup() as group:
            group.create_task(forever(own))
            own.m.get_running_loop().call_soon(group.cancel)

    async def main() -> None:
        task = own.m.create_task(grouped())
        own.m.get_running_loop().call_soon(lambda: own.m.get_running_loop().call_soon(task.cancel))
        with pytest.raises(own.m.CancelledError):
            await task

    own.run(main())


def test_a_group_refuses_tasks_and_closes_their_coroutines_when_it_is_not_open(own: Api) -> None:
    async def main() -> None:
        group = own.m.TaskGroup()
        with pytest.raises(RuntimeError, match="has not been entered"):
            group.create_task(forever(own))
        async with group:
            with pytest.raises(RuntimeError, match="has already been entered"):
                await group.__aenter__()
        with pytest.raises(RuntimeError, match="is finished"):
            group.create_task(forever(own))

    own.run(main())  # "never awaited" would be a warning, and a warning is a failure


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_base_error_comes_out_as_it_is(own: Api, kind: type[BaseException]) -> None:
    async def main() -> None:
        async with own.m.TaskGroup() as group:
            group.create_task(forever(own))
            await own.m.sleep(0)
            raise kind

    with pytest.raises(kind):
        own.run(main())


def test_an_inner_group_is_ended_by_the_outer_ones_failure(own: Api) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as raised:
            async with own.m.TaskGroup() as outer:
                outer.create_task(fail(own, 3))
                async with own.m.TaskGroup() as inner:
                    inner.create_task(forever(own))
        assert [type(exc) for exc in raised.value.exceptions] == [LookupError]
        assert own.m.current_task().cancelling() == 0

    own.run(main())
