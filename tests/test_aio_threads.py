"""What crosses between the loop and threads, and what a call graph shows."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import io
import threading
from typing import Any

import pytest

import yieldloop
from tests.conftest import Api
from yieldloop.aio.staggered import staggered_race

OWN = {
    "stock-loop": Api("own", yieldloop, asyncio.SelectorEventLoop),
    "own-loop": Api("own", yieldloop, yieldloop.new_event_loop),
}


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest) -> Api:
    """Ours, on the standard library's loop and on our own."""
    return OWN[request.param]


def later(api: Api) -> Any:
    return api.m.get_running_loop().create_future()


# --- threads -----------------------------------------------------------------------------------------------------------


def test_to_thread_takes_context_and_arguments_along(own: Api) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var")

    def work(a: int, *, b: int) -> tuple[Any, ...]:
        return a, b, var.get(), threading.current_thread() is threading.main_thread()

    async def main() -> None:
        var.set("seen")
        assert await own.m.to_thread(work, 1, b=2) == (1, 2, "seen", False)
        with pytest.raises(LookupError):
            await own.m.to_thread({}.__getitem__, "nothing")

    own.run(main())


def test_a_coroutine_given_from_a_thread_runs_on_the_loop(own: Api) -> None:
    async def double(x: int) -> int:
        await own.m.sleep(0)
        if x < 0:
            raise ValueError(x)
        return x * 2

    async def main() -> None:
        loop = own.m.get_running_loop()

        def thread() -> int:
            with pytest.raises(ValueError, match="-1"):
                own.m.run_coroutine_threadsafe(double(-1), loop).result(10)
            return own.m.run_coroutine_threadsafe(double(21), loop).result(10)  # type: ignore[no-any-return]

        assert await own.m.to_thread(thread) == 42
        with pytest.raises(TypeError, match="A coroutine object is required, not 5"):
            own.m.run_coroutine_threadsafe(5, loop)

    own.run(main())


def test_cancelling_the_threads_future_cancels_the_task(own: Api) -> None:
    async def main() -> None:
        loop = own.m.get_running_loop()
        ended = later(own)

        async def wait_long() -> None:
            try:
                await later(own)
            except own.m.CancelledError:
                ended.set_result("cancelled")
                raise

        future = own.m.run_coroutine_threadsafe(wait_long(), loop)
        await own.m.sleep(0)
        await own.m.sleep(0)
        assert future.cancel()
        assert await ended == "cancelled"

    own.run(main())


def test_a_wrapped_future_follows_the_threads_and_back(own: Api) -> None:
    async def main() -> None:
        theirs: concurrent.futures.Future[int] = concurrent.futures.Future()
        ours = own.m.wrap_future(theirs)
        assert own.m.wrap_future(ours) is ours
        threading.Thread(target=theirs.set_result, args=(1,)).start()
        assert await ours == 1
        theirs = concurrent.futures.Future()
        ours = own.m.wrap_future(theirs)
        ours.cancel()
        await own.m.sleep(0)
        assert theirs.cancelled()
        theirs = concurrent.futures.Future()
        ours = own.m.wrap_future(theirs)
        theirs.set_exception(concurrent.futures.InvalidStateError("theirs"))
        with pytest.raises(own.m.InvalidStateError, match="theirs"):
            await ours
        with pytest.raises(AssertionError, match=r"concurrent\.futures\.Future is expected"):
            own.m.wrap_future(5)

    own.run(main())


# --- call graphs ---------------------------------------------------------------------------------------------------------


def _names(graph: Any) -> list[str]:
    return [entry.frame.f_code.co_name for entry in graph.call_stack]


def test_a_graph_follows_every_way_of_waiting(own: Api) -> None:
    ways = {}

    async def by_await(task: Any) -> None:
        await task

    async def by_gather(task: Any) -> None:
        await own.m.gather(task)

    async def by_wait(task: Any) -> None:
        await own.m.wait([task])

    async def by_shield(task: Any) -> None:
        await own.m.shield(task)

    async def by_as_completed(task: Any) -> None:
        async for _ in own.m.as_completed([task]):
            pass

    async def by_wait_for(task: Any) -> None:
        await own.m.wait_for(task, 30)

    async def main() -> None:
        for way in (by_await, by_gather, by_wait, by_shield, by_as_completed, by_wait_for):
            gate = later(own)

            async def inner(gate: Any = gate) -> None:
                await gate

            task = own.m.create_task(inner())
            waiter = own.m.create_task(way(task), name=way.__name__)
            await own.m.sleep(0)
            await own.m.sleep(0)
            graph = own.m.capture_call_graph(task)
            ways[way.__name__] = [w.future.get_name() for w in _tasks_above(graph)]
            assert _names(graph)[-1:] == ["inner"]
            gate.set_result(None)
            await waiter
            assert own.m.capture_call_graph(task).awaited_by == ()

    own.run(main())
    assert ways == {name: [name] for name in ways}


def _tasks_above(graph: Any) -> list[Any]:
    return [w for w in graph.awaited_by if isinstance(w.future, asyncio.Task)]


def test_a_graph_shows_a_groups_parent_and_its_text_both(own: Api) -> None:
    texts: list[str] = []

    async def child() -> None:
        deep()

    def deep() -> None:
        texts.append(own.m.format_call_graph())
        out = io.StringIO()
        own.m.print_call_graph(file=out)
        texts.append(out.getvalue())
        assert _names(own.m.capture_call_graph()) == ["deep", "child"]
        assert _names(own.m.capture_call_graph(limit=1)) == ["child"]
        assert _names(own.m.capture_call_graph(limit=-1)) == ["deep"]
        assert _names(own.m.capture_call_graph(limit=0)) == []

    async def parent() -> None:
        async with own.m.TaskGroup() as group:
            group.create_task(child(), name="the-child")

    async def main() -> None:
        own.m.current_task().set_name("the-parent")
        await parent()

    own.run(main())
    for text in texts:
        assert text.index("the-child") < text.index("Awaited by:") < text.index("the-parent")
        assert ", in async " in text and "deep()" in text
        assert "print_call_graph" not in text


def test_a_graph_of_futures_that_wait_for_each_other_ends(own: Api) -> None:
    async def main() -> None:
        one, two = later(own), later(own)
        own.m.future_add_to_awaited_by(one, two)
        own.m.future_add_to_awaited_by(two, one)
        assert own.m.capture_call_graph(one).awaited_by[0].future is two
        own.m.future_discard_from_awaited_by(one, two)
        assert own.m.capture_call_graph(one).awaited_by == ()
        with pytest.raises(TypeError, match="compatible"):
            own.m.capture_call_graph(5)

    own.run(main())
    with pytest.raises(RuntimeError, match="outside of a running event loop"):
        own.m.capture_call_graph()


# --- the race of attempts ------------------------------------------------------------------------------------------------


def test_a_race_takes_the_first_success_and_cancels_the_rest(own: Api) -> None:
    ended: list[str] = []

    async def hang() -> None:
        try:
            await later(own)
        finally:
            ended.append("hang")

    async def fail() -> None:
        raise LookupError

    async def win() -> str:
        return "won"

    async def main() -> None:
        result, index, errors = await staggered_race([fail, hang, win, fail], 0.01)
        assert (result, index) == ("won", 2)
        assert type(errors[0]) is LookupError and errors[2] is None and len(errors) == 3
        assert ended == ["hang"]
        assert (await staggered_race([fail, fail], None))[:2] == (None, None)
        assert await staggered_race([], 1) == (None, None, [])

    own.run(main())


def test_a_race_that_is_cancelled_ends_its_attempts_first(own: Api) -> None:
    ended: list[str] = []

    async def hang() -> None:
        try:
            await later(own)
        finally:
            await own.m.sleep(0)
            ended.append("hang")

    async def main() -> None:
        task = own.m.create_task(staggered_race([hang, hang], 30))
        for _ in range(3):
            await own.m.sleep(0)
        task.cancel()
        with pytest.raises(own.m.CancelledError):
            await task
        assert ended == ["hang"]

    own.run(main())
