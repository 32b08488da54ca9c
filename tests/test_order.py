"""The order in which things run, which programs lean on."""

from __future__ import annotations

import contextvars
from typing import Any

import pytest

from tests.conftest import Api


def test_callbacks_run_in_the_order_of_their_scheduling(loop: Any) -> None:
    seen: list[int] = []
    for i in range(100):
        loop.call_soon(seen.append, i)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == list(range(100))


def test_what_becomes_ready_meanwhile_waits_for_the_next_iteration(loop: Any) -> None:
    seen: list[str] = []

    def first() -> None:
        loop.call_soon(seen.append, "later")
        loop.stop()

    loop.call_soon(first)
    loop.call_soon(seen.append, "same iteration")
    loop.run_forever()
    assert seen == ["same iteration"]


def test_a_wake_up_takes_its_place_among_callbacks(api: Api) -> None:
    async def main() -> list[str]:
        loop = api.m.get_running_loop()
        seen: list[str] = []
        future = loop.create_future()

        async def waiter() -> None:
            await future
            seen.append("task")

        task = api.m.create_task(waiter())
        await api.m.sleep(0)
        loop.call_soon(seen.append, "before")
        future.set_result(None)
        loop.call_soon(seen.append, "after")
        await task
        return seen

    assert api.run(main()) == ["before", "task", "after"]


def test_waiters_and_callbacks_of_one_future_are_told_oldest_first(api: Api) -> None:
    async def main() -> list[Any]:
        future = api.m.get_running_loop().create_future()
        seen: list[Any] = []

        async def waiter(i: int) -> None:
            await future
            seen.append(i)

        one = api.m.create_task(waiter(1))
        await api.m.sleep(0)
        future.add_done_callback(lambda _: seen.append("callback"))
        two = api.m.create_task(waiter(2))
        await api.m.sleep(0)
        future.set_result(None)
        await one
        await two
        return seen

    assert api.run(main()) == [1, "callback", 2]


def test_tasks_take_turns(api: Api) -> None:
    async def main() -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []

        async def worker(name: str) -> None:
            for i in range(3):
                seen.append((name, i))
                await api.m.sleep(0)

        await api.m.gather(worker("a"), worker("b"))
        return seen

    assert api.run(main()) == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_a_task_first_runs_after_what_was_ready_before_it(api: Api) -> None:
    async def main() -> list[str]:
        loop = api.m.get_running_loop()
        seen: list[str] = []

        async def child() -> None:
            seen.append("child")

        loop.call_soon(seen.append, "first")
        task = loop.create_task(child())
        loop.call_soon(seen.append, "last")
        assert seen == []
        await task
        return seen

    assert api.run(main()) == ["first", "child", "last"]


def test_timers_with_one_deadline_fire_in_the_order_of_arming(our_loop: Any) -> None:
    seen: list[int] = []
    when = our_loop.time() + 0.001
    for i in range(50):
        our_loop.call_at(when, seen.append, i)
    our_loop.call_at(when, our_loop.stop)
    our_loop.run_forever()
    assert seen == list(range(50))


def test_each_callback_runs_in_a_copy_of_its_schedulers_context(loop: Any) -> None:
    var: contextvars.ContextVar[int] = contextvars.ContextVar("var", default=0)
    seen: list[int] = []

    def callback() -> None:
        seen.append(var.get())
        var.set(99)

    var.set(1)
    loop.call_soon(callback)
    var.set(2)
    loop.call_soon(callback)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [1, 2]
    assert var.get() == 2


def test_a_task_keeps_its_context_over_its_waits(api: Api) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="outside")

    async def worker(name: str) -> str:
        var.set(name)
        for _ in range(3):
            await api.m.sleep(0)
            assert var.get() == name
        return var.get()

    async def main() -> list[str]:
        result: list[str] = await api.m.gather(worker("a"), worker("b"))
        assert var.get() == "outside"
        return result

    assert api.run(main()) == ["a", "b"]


@pytest.mark.parametrize("when", [-3e-9, -1e-9, -2e-9, 0.0, -5.0, -1e300, float("-inf")])
def test_a_deadline_long_past_is_due_at_once(loop: Any, when: float) -> None:
    ran: list[str] = []
    loop.call_at(when, ran.append, "past")
    loop.call_later(0.0, loop.stop)
    loop.run_forever()
    assert ran == ["past"]


def test_deadlines_long_past_run_in_their_order(loop: Any) -> None:
    ran: list[float] = []
    for when in (-1.0, float("-inf"), -3e-9, -7.5, 0.0):
        loop.call_at(when, ran.append, when)
    loop.call_later(0.0, loop.stop)
    loop.run_forever()
    assert ran == sorted(ran) and len(ran) == 5
