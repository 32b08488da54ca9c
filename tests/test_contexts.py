"""What a callback and a task run in: a copy of its maker's context, whoever else was made at the same time.

What lives here: what can be seen of it, on each asyncio; compiled, copies are made late and shared (`engine/_contexts.py`), and
none of these tests may be able to tell. And that nothing is kept alive by it.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from typing import Any

import pytest

from tests.conftest import Api

var: contextvars.ContextVar[Any] = contextvars.ContextVar("var", default="unset")


class Thing:
    """Something that can be referred to weakly."""


def test_a_callback_sees_the_values_of_the_moment_at_which_it_was_made(api: Api) -> None:
    async def main() -> list[Any]:
        loop = api.m.get_running_loop()
        seen: list[Any] = []
        for value in ("a", "b", "b", "c"):
            var.set(value)
            loop.call_soon(lambda: seen.append(var.get()))
        var.set("later")
        loop.call_later(0, lambda: seen.append(var.get()))
        var.set("last")
        await api.m.sleep(0.01)
        return seen

    assert api.run(main()) == ["a", "b", "b", "c", "later"]


def test_what_a_callback_sets_is_seen_by_no_other_one(api: Api) -> None:
    async def main() -> list[Any]:
        loop = api.m.get_running_loop()
        seen: list[Any] = []

        def look_and_set(value: int) -> None:
            seen.append(var.get())
            var.set(value)
            seen.append(var.get())

        for value in range(3):
            loop.call_soon(look_and_set, value)
        await api.m.sleep(0)
        await api.m.sleep(0)
        return [*seen, var.get()]

    assert api.run(main()) == ["unset", 0, "unset", 1, "unset", 2, "unset"]


def test_what_a_callback_sets_and_takes_back_leaves_no_trace(api: Api) -> None:
    async def main() -> list[Any]:
        loop = api.m.get_running_loop()
        seen: list[Any] = []

        def set_and_reset() -> None:
            token = var.set("mine")
            var.reset(token)
            seen.append(var.get())

        for _ in range(3):
            loop.call_soon(set_and_reset)
        await api.m.sleep(0)
        await api.m.sleep(0)
        return seen

    assert api.run(main()) == ["unset"] * 3


def test_a_task_keeps_what_it_set_from_step_to_step_and_shares_it_with_nobody(api: Api) -> None:
    async def one(value: int) -> bool:
        await api.m.sleep(0)  # a step that sets nothing comes first
        assert var.get() == "outer"
        token = var.set(value)
        for _ in range(3):
            await api.m.sleep(0)
            assert var.get() == value
        var.reset(token)  # in the context in which it was made, or this raises
        await api.m.sleep(0)
        return bool(var.get() == "outer")

    async def main() -> list[bool]:
        var.set("outer")
        found = await api.m.gather(*[one(i) for i in range(20)])
        assert var.get() == "outer"
        return list(found)

    assert api.run(main()) == [True] * 20


def test_a_callback_that_raises_takes_what_it_set_with_it(api: Api) -> None:
    async def main() -> list[Any]:
        loop = api.m.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        seen: list[Any] = []

        def set_and_raise() -> None:
            var.set("raised")
            raise ValueError

        for _ in range(3):
            loop.call_soon(lambda: seen.append(var.get()))
            loop.call_soon(set_and_raise)
        loop.call_soon(lambda: seen.append(var.get()))
        await api.m.sleep(0)
        await api.m.sleep(0)
        return [*seen, var.get()]

    assert api.run(main()) == ["unset"] * 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_error_that_ends_the_run_leaves_no_context_entered(api: Api, error: type[BaseException]) -> None:
    def set_and_raise() -> None:
        var.set("raised")
        raise error

    seen: list[Any] = []
    loop = api.new_loop()
    try:
        loop.call_soon(lambda: seen.append(var.get()))
        loop.call_soon(set_and_raise)
        loop.call_soon(lambda: seen.append(var.get()))
        with pytest.raises(error):
            loop.run_forever()
        seen.append(var.get())
        loop.call_soon(loop.stop)
        loop.run_forever()
        seen.append(var.get())
    finally:
        loop.close()
    assert seen == ["unset"] * 4


def test_an_eager_step_within_a_callback_and_the_callback_see_their_own_values(api: Api) -> None:
    if api.m is asyncio and sys.version_info < (3, 12):
        pytest.skip("eager tasks came with Python 3.12")

    async def main() -> list[Any]:
        loop = api.m.get_running_loop()
        loop.set_task_factory(api.m.eager_task_factory)
        seen: list[Any] = []

        async def child(name: str) -> None:
            seen.append((name, var.get()))
            var.set(name)
            await api.m.sleep(0)
            seen.append((name, var.get()))

        async def unmoved() -> None:
            await api.m.sleep(0)
            seen.append(("unmoved", var.get()))

        def callback(tasks: list[Any]) -> None:
            tasks.append(loop.create_task(child("one")))
            tasks.append(loop.create_task(unmoved()))
            seen.append(("callback", var.get()))
            var.set("callback")
            tasks.append(loop.create_task(child("two")))
            seen.append(("callback", var.get()))

        tasks: list[Any] = []
        loop.call_soon(callback, tasks)
        loop.call_soon(lambda: seen.append(("next", var.get())))
        while len(tasks) < 3:
            await api.m.sleep(0)
        for task in tasks:
            await task
        return [*seen, var.get()]

    assert api.run(main()) == [
        ("one", "unset"),
        ("callback", "unset"),
        ("two", "callback"),
        ("callback", "callback"),
        ("next", "unset"),
        ("one", "one"),
        ("unmoved", "unset"),
        ("two", "two"),
        "unset",
    ]


def test_a_task_made_by_a_callback_inherits_what_that_callback_set(api: Api) -> None:
    async def read() -> Any:
        await api.m.sleep(0)
        return var.get()

    async def main() -> list[Any]:
        loop = api.m.get_running_loop()
        tasks: list[Any] = []

        def begin(value: int) -> None:
            var.set(value)
            tasks.append(loop.create_task(read()))

        for value in range(3):
            loop.call_soon(begin, value)
        await api.m.sleep(0)
        await api.m.sleep(0)
        return [await task for task in tasks]

    assert api.run(main()) == [0, 1, 2]


def test_the_context_of_a_handle_is_the_one_that_it_runs_in(api: Api) -> None:
    if not hasattr(asyncio.Handle, "get_context"):
        pytest.skip("handles have no get_context() before Python 3.12")

    async def main() -> list[Any]:
        loop = api.m.get_running_loop()
        seen: list[Any] = []
        first = loop.call_soon(lambda: seen.append(var.get()))
        loop.call_soon(lambda: seen.append(var.get()))
        first.get_context().run(var.set, "from outside")
        await api.m.sleep(0)
        assert first.get_context()[var] == "from outside"
        return seen

    assert api.run(main()) == ["from outside", "unset"]


def test_the_context_of_a_task_is_the_one_that_it_runs_in(api: Api) -> None:
    async def one() -> Any:
        mine = api.m.current_task().get_context()
        before = mine.get(var)
        var.set("set by the task")
        assert mine[var] == "set by the task"
        await api.m.sleep(0)
        assert api.m.current_task().get_context() is mine
        return before

    async def main() -> None:
        if not hasattr(api.m.current_task(), "get_context"):
            pytest.skip("tasks have no get_context() before Python 3.12")
        task = api.m.create_task(one())
        other = api.m.create_task(one())
        task.get_context().run(var.set, "set from outside")
        assert await task == "set from outside"
        assert await other is None
        assert task.get_context()[var] == "set by the task"

    api.run(main())


def test_done_callbacks_run_in_copies_of_the_context_in_which_they_were_added(api: Api) -> None:
    async def main() -> list[Any]:
        future = api.m.get_running_loop().create_future()
        seen: list[Any] = []

        def look_and_set(_: Any) -> None:
            seen.append(var.get())
            var.set("leaked")

        for value in ("a", "b", "b"):
            var.set(value)
            future.add_done_callback(look_and_set)
        future.set_result(None)
        await api.m.sleep(0)
        await api.m.sleep(0)
        return seen

    assert api.run(main()) == ["a", "b", "b"]


def test_the_report_of_a_callback_that_raised_is_made_in_its_context(api: Api) -> None:
    if not hasattr(asyncio.Handle, "get_context"):
        pytest.skip("the standard library does so from Python 3.12 on")

    async def main() -> list[Any]:
        loop = api.m.get_running_loop()
        seen: list[Any] = []
        loop.set_exception_handler(lambda _loop, _context: seen.append(var.get()))

        def set_and_fail() -> None:
            var.set("mine")
            raise ValueError

        loop.call_soon(set_and_fail)
        loop.call_later(0, set_and_fail)
        loop.call_soon_threadsafe(set_and_fail)
        await api.m.sleep(0.01)
        return [*seen, var.get()]

    assert api.run(main()) == ["mine", "mine", "mine", "unset"]


def test_a_context_that_was_given_is_entered_itself(api: Api) -> None:
    async def main() -> None:
        loop = api.m.get_running_loop()
        mine = contextvars.copy_context()
        loop.call_soon(lambda: var.set("kept"), context=mine)
        await api.m.sleep(0)
        assert mine[var] == "kept"

        async def look() -> Any:
            return var.get()

        assert await loop.create_task(look(), context=mine) == "kept"

    api.run(main())


def test_a_callback_from_another_thread_sees_that_threads_values(api: Api) -> None:
    async def main() -> list[Any]:
        loop = api.m.get_running_loop()
        seen: list[Any] = []
        done = loop.create_future()
        var.set("the loop's")

        def other() -> None:
            loop.call_soon_threadsafe(lambda: seen.append(var.get()))
            var.set("the thread's")
            loop.call_soon_threadsafe(lambda: seen.append(var.get()))
            loop.call_soon_threadsafe(done.set_result, None)

        thread = threading.Thread(target=other)
        thread.start()
        await done
        thread.join()
        return seen

    assert api.run(main()) == ["unset", "the thread's"]


# --- nothing is kept ---------------------------------------------------------------------------------------------------


def test_the_loop_keeps_no_values_of_a_context_that_is_over(api: Api) -> None:
    async def one() -> weakref.ref[Thing]:
        thing = Thing()
        var.set(thing)
        api.m.get_running_loop().call_soon(lambda: None)
        await api.m.sleep(0)
        return weakref.ref(thing)

    async def main() -> None:
        found = await api.m.create_task(one())
        for _ in range(3):
            await api.m.sleep(0)
        gc.collect()
        assert found() is None

    api.run(main())


@pytest.mark.parametrize("how", ["run", "cancelled", "fired", "timer cancelled", "loop closed"])
def test_a_handle_in_a_cycle_with_its_owner_is_collected(api: Api, how: str) -> None:
    loop = api.new_loop()

    def owner() -> weakref.ref[Thing]:
        thing: Any = Thing()
        thing.call = lambda: thing
        if how in ("run", "cancelled", "loop closed"):
            thing.handle = loop.call_soon(thing.call)
        else:
            thing.handle = loop.call_later(0, thing.call)
        if "cancelled" in how:
            thing.handle.cancel()
        return weakref.ref(thing)

    found = owner()
    if how != "loop closed":
        loop.run_until_complete(api.m.sleep(0.001))
        loop.run_until_complete(api.m.sleep(0))
    loop.close()
    gc.collect()
    assert found() is None


@pytest.mark.leaves("timers", "entries")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_loop_that_is_dropped_with_work_in_it_is_collected(ours: Api) -> None:
    def drop() -> weakref.ref[Any]:
        loop = ours.new_loop()
        loop.run_until_complete(ours.m.sleep(0))
        for _ in range(3):
            loop.call_soon(print, loop)
            loop.call_later(1, print, loop)
        return weakref.ref(loop)

    found = drop()
    gc.collect()
    gc.collect()
    assert found() is None


def test_the_collector_may_run_anywhere_among_hidden_entries(ours: Api) -> None:
    """With a collection after each few allocations, callbacks still get what they were given."""
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:

        async def main() -> None:
            loop = ours.m.get_running_loop()
            seen: list[Any] = []
            kept = []
            for i in range(300):
                kept.append(loop.call_soon(seen.append, [i]))
                loop.call_soon(lambda i=i: seen.append([-i]))
                timer = loop.call_later(0, seen.append, [i])
                if i % 2:
                    timer.cancel()
            await ours.m.sleep(0.001)
            await ours.m.sleep(0)
            assert sorted(map(sum, seen)) == sorted([*range(300), *range(-299, 1), *range(0, 300, 2)])

        ours.run(main())
    finally:
        gc.set_threshold(*before)


@pytest.mark.parametrize("close", [False, True])
def test_a_loop_keeps_nothing_of_the_context_that_it_ran_in(api: Api, close: bool) -> None:
    loop = api.new_loop()

    def run() -> Any:
        var.set(thing := Thing())
        loop.call_soon(int)
        if not close:
            loop.run_until_complete(api.m.sleep(0))
        return weakref.ref(thing)

    try:
        thing = contextvars.copy_context().run(run)
        if close:
            loop.close()
        gc.collect()
        assert thing() is None
    finally:
        loop.close()
