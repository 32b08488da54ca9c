"""What a task promises: results, errors, cancellation, names, and what it refuses to drive."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import gc
import pickle
import socket
import sys
import types
import weakref
from typing import Any

import pytest

import yieldloop
from tests.conftest import Api


def test_the_result_of_the_coroutine_is_the_result_of_the_task(api: Api) -> None:
    async def child() -> int:
        return 42

    async def main() -> Any:
        task = api.m.create_task(child())
        assert not task.done()
        assert await task == 42
        assert task.done() and task.result() == 42 and task.exception() is None
        return await task

    assert api.run(main()) == 42


@pytest.mark.parametrize("value", [None, (1, 2), ValueError("a value"), StopIteration(3)])
def test_any_value_passes_through_a_future_unchanged(api: Api, value: Any) -> None:
    async def main() -> Any:
        future = api.m.get_running_loop().create_future()
        api.m.get_running_loop().call_soon(future.set_result, value)
        return await future

    assert api.run(main()) is value


class Thing:
    """Something that can be referred to weakly."""


def ended_by_hand(api: Api, value: Any) -> StopIteration:
    """What ``next()`` raises at the end of an awaited future that has *value*."""
    loop = api.new_loop()
    try:
        future = loop.create_future()
        future.set_result(value)
        next(future.__await__())
    except StopIteration as stop:
        return stop.with_traceback(None)
    finally:
        loop.close()
    raise AssertionError("it waits")


def test_the_stop_iteration_of_an_await_says_what_any_other_says(api: Api) -> None:
    stop = ended_by_hand(api, 5)
    assert (stop.value, stop.args, str(stop), repr(stop)) == (5, (5,), "5", "StopIteration(5)")
    for again in (copy.copy(stop), pickle.loads(pickle.dumps(stop))):
        assert (type(again), again.value, again.args) == (StopIteration, 5, (5,))


def test_a_stop_iteration_that_was_kept_leaves_nothing_to_later_ones(api: Api) -> None:
    for _ in range(3):
        kept = [ended_by_hand(api, Thing()) for _ in range(40)]  # more than are ever kept for use again
        for place, stop in enumerate(kept):
            if place % 4 == 0:
                stop.add_note("a note")
            elif place % 4 == 1:
                stop.args = (1, 2)
            elif place % 4 == 2:
                stop.__suppress_context__ = True
        things = [weakref.ref(stop.value) for stop in kept]
        stop = None
        kept.clear()
        assert not any(thing() for thing in things)
    for _ in range(40):
        stop = ended_by_hand(api, 5)
        assert stop.args == (5,) and not stop.__suppress_context__ and not hasattr(stop, "__notes__")


def test_a_stop_iteration_in_a_circle_is_collected(api: Api) -> None:
    def circle(derived: bool) -> Any:
        stop: Any = ended_by_hand(api, thing := Thing())
        if derived:
            stop = type("Derived", (type(stop),), {})(thing)
        stop.itself = stop
        return weakref.ref(thing)

    things = [circle(derived) for derived in (False, True) for _ in range(20)]
    gc.collect()
    assert not any(thing() for thing in things)


def test_a_debugger_sees_a_plain_stop_iteration_in_an_await(api: Api) -> None:
    """bdb passes over those without a traceback, if the type is the builtin one itself."""
    seen = []

    def trace(frame: Any, event: str, arg: Any) -> Any:
        if event == "exception" and arg[2] is None:
            seen.append(arg[0])
        return trace

    async def main() -> int:
        future = api.m.get_running_loop().create_future()
        future.set_result(5)
        sys._getframe().f_trace = trace
        sys.settrace(trace)
        try:
            return await future  # type: ignore[no-any-return]
        finally:
            sys.settrace(before)

    before = sys.gettrace()
    assert api.run(main()) == 5
    assert all(kind is StopIteration for kind in seen)


def test_an_exception_is_raised_where_the_task_is_awaited(api: Api) -> None:
    async def child() -> None:
        raise LookupError("gone")

    async def main() -> None:
        task = api.m.create_task(child())
        with pytest.raises(LookupError, match="gone"):
            await task
        assert isinstance(task.exception(), LookupError)

    api.run(main())


def test_cancellation_arrives_where_the_coroutine_waits(api: Api) -> None:
    async def main() -> None:
        where: list[str] = []

        async def child() -> None:
            try:
                await api.m.get_running_loop().create_future()
            except api.m.CancelledError as exc:
                where.append(str(exc))
                raise

        task = api.m.create_task(child())
        await api.m.sleep(0)
        assert task.cancel("enough") and task.cancelling() == 1
        with pytest.raises(api.m.CancelledError):
            await task
        assert task.cancelled() and not task.cancel() and where == ["enough"]

    api.run(main())


def test_a_task_may_refuse_to_be_cancelled_and_uncancel(api: Api) -> None:
    async def main() -> None:
        async def stubborn() -> str:
            try:
                await api.m.sleep(3600)
            except api.m.CancelledError:
                task = api.m.current_task()
                assert task.cancelling() == 1 and task.uncancel() == 0
            await api.m.sleep(0)
            return "still here"

        task = api.m.create_task(stubborn())
        await api.m.sleep(0)
        task.cancel()
        assert await task == "still here" and not task.cancelled()

    api.run(main())


def test_a_task_cancelled_before_its_first_step_never_runs(api: Api) -> None:
    async def main() -> None:
        ran: list[int] = []

        async def child() -> None:
            ran.append(1)

        task = api.m.create_task(child())
        task.cancel()
        with pytest.raises(api.m.CancelledError):
            await task
        assert ran == []

    api.run(main())


def test_a_task_cancelled_by_itself_in_its_last_step_is_cancelled(api: Api) -> None:
    async def main() -> None:
        async def child() -> None:
            api.m.current_task().cancel()

        task = api.m.create_task(child())
        with pytest.raises(api.m.CancelledError):
            await task

    api.run(main())


def test_stock_and_own_see_one_current_task_and_one_set_of_tasks(ours: Api) -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is yieldloop.current_task() and isinstance(task, asyncio.Task)
        child = ours.m.create_task(ours.m.sleep(0))
        assert asyncio.all_tasks() == yieldloop.all_tasks() == {task, child}
        asyncio.get_running_loop().call_soon(lambda: seen.append(asyncio.current_task()))
        seen: list[Any] = []
        await child
        assert seen == [None] and asyncio.all_tasks() == {task}

    ours.run(main())


def test_ours_pass_every_check_that_the_standard_library_makes(ours: Api) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        assert isinstance(future, asyncio.Future) and asyncio.isfuture(future) and yieldloop.isfuture(future)
        assert isinstance(loop, asyncio.AbstractEventLoop)
        assert isinstance(asyncio.current_task(), asyncio.Task)
        handle = loop.call_later(60, print)
        assert isinstance(handle, asyncio.TimerHandle) and isinstance(loop.call_soon(int), asyncio.Handle)
        handle.cancel()
        future.set_result(1)
        assert await asyncio.wait_for(future, 1) == 1

    ours.run(main())


def test_stock_tasks_and_futures_work_on_our_loop(ours: Api) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        stock = asyncio.Future(loop=loop)
        loop.call_soon(stock.set_result, "stock future")
        assert await stock == "stock future"

        async def child() -> Any:
            own = loop.create_future()
            loop.call_soon(own.set_result, asyncio.current_task())
            return await own

        task = asyncio.tasks.Task(child(), loop=loop)
        assert type(task) is asyncio.Task and await task is task

    ours.run(main())


def test_our_tasks_and_futures_work_on_the_standard_librarys_loop() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def child() -> Any:
            future = yieldloop.Future(loop=loop)
            loop.call_soon(future.set_result, 7)
            assert asyncio.current_task() is task
            return await future + await asyncio.sleep(0, 1)

        task = yieldloop.Task(child(), loop=loop)
        assert task in asyncio.all_tasks()
        assert await task == 8
        again = yieldloop.Task(asyncio.sleep(3600), loop=loop)
        await asyncio.sleep(0)
        again.cancel()
        with pytest.raises(asyncio.CancelledError):
            await again

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())


def test_a_marked_generator_is_a_coroutine_and_mixes_with_native_ones(ours: Api) -> None:
    async def native(future: Any) -> Any:
        return await future

    @yieldloop.coroutine
    def inner(future: Any) -> Any:
        result = yield from native(future)
        return result + 1

    @yieldloop.coroutine
    def outer() -> Any:
        loop = yieldloop.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        yield  # gives up the turn
        first = yield from future
        other = loop.create_future()
        loop.call_soon(other.set_exception, KeyError("k"))
        try:
            yield from other
        except KeyError:
            pass
        again = loop.create_future()
        loop.call_soon(again.set_result, 10)
        return first + (yield from inner(again))

    deprecated = pytest.deprecated_call() if sys.version_info >= (3, 14) else contextlib.nullcontext()
    with deprecated:
        assert yieldloop.iscoroutinefunction(outer)

    async def main() -> None:
        assert await outer() == 12
        assert await yieldloop.Task(outer()) == 12

    ours.run(main())


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        pytest.param(
            lambda: _plain_generator(),
            "mark its function with @yieldloop.coroutine",
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="up to 3.11 every generator counts as a coroutine"),
        ),
        (lambda: _plain_generator, "call it"),
        (lambda: _native, "call it"),
        (lambda: 42, "a coroutine was expected, got 42"),
        (lambda: _async_generator(), "async for"),
    ],
)
def test_what_is_no_coroutine_is_refused_with_the_next_step(our_loop: Any, make: Any, hint: str) -> None:
    with pytest.raises(TypeError, match=hint):
        our_loop.create_task(make())
    assert not our_loop._tasks


def _plain_generator() -> Any:
    yield 1


async def _native() -> None: ...


async def _async_generator() -> Any:
    yield 1


@types.coroutine
def _yields(value: Any) -> Any:
    return (yield value)


@pytest.mark.parametrize("value", [5, "text", object(), [1]])
def test_a_bad_yield_is_answered_in_the_coroutine(ours: Api, value: Any) -> None:
    async def main() -> str:
        with pytest.raises(RuntimeError, match=r"Task got bad yield: .*expects a future"):
            await _yields(value)
        return "goes on"

    assert ours.run(main()) == "goes on"


def test_a_future_yielded_bare_or_of_another_loop_or_itself_is_refused(ours: Api) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="yield was used instead of yield from"):
            await _yields(loop.create_future())
        other = ours.new_loop()
        foreign = other.create_future()
        with pytest.raises(RuntimeError, match="attached to a different loop"):
            await foreign
        other.close()
        with pytest.raises(RuntimeError, match="cannot await on itself"):
            await asyncio.current_task()  # type: ignore[misc]

    ours.run(main())


def test_a_pending_task_is_held_by_its_loop(ours: Api) -> None:
    async def main() -> None:
        done: list[int] = []

        async def forgotten() -> None:
            await ours.m.sleep(0.001)
            done.append(1)

        ref = weakref.ref(ours.m.create_task(forgotten()))
        await ours.m.sleep(0)
        gc.collect()
        assert ref() is not None
        while not done:
            await ours.m.sleep(0)
        await ours.m.sleep(0)
        gc.collect()
        assert ref() is None

    ours.run(main())


def test_an_exception_nobody_retrieves_is_reported_with_the_creation_site(ours: Api) -> None:
    reports: list[dict[str, Any]] = []

    async def main() -> None:
        ours.m.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))

        async def fails() -> None:
            raise ZeroDivisionError("nobody looks")

        ours.m.create_task(fails())  # the line to be named
        await ours.m.sleep(0)
        await ours.m.sleep(0)
        gc.collect()

    ours.run(main())
    (context,) = reports
    assert context["message"] == "Task exception was never retrieved"
    assert isinstance(context["exception"], ZeroDivisionError)
    site = context["source_traceback"][-1]
    assert site.filename == __file__ and "the line to be named" in site.line


def test_an_exception_nobody_can_retrieve_any_more_is_reported_at_once(api: Api) -> None:
    async def main(make: Any) -> list[str]:
        reports: list[str] = []
        api.m.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context["message"]))

        async def fails() -> None:
            raise ZeroDivisionError("nobody looks")

        make(fails())
        await api.m.sleep(0)
        return reports

    gc.disable()  # nothing may hold the task in a circle that only the collector opens
    try:
        for make in (asyncio.Task, api.m.Task):
            assert api.run(main(make)) == ["Task exception was never retrieved"]
    finally:
        gc.enable()


WAITS = {
    "future": lambda m, reader, sock: m.get_running_loop().create_future(),
    "event": lambda m, reader, sock: m.Event().wait(),
    "turn": lambda m, reader, sock: m.sleep(0),
    "sleep": lambda m, reader, sock: m.sleep(60),
    "read": lambda m, reader, sock: reader.read(),
    "line": lambda m, reader, sock: reader.readline(),
    "socket": lambda m, reader, sock: m.get_running_loop().sock_recv(sock, 10),
    "limit": lambda m, reader, sock: m.wait_for(reader.read(), 60),
}


@pytest.mark.parametrize("what", WAITS)
def test_what_a_cancelled_task_had_is_freed_at_once(api: Api, what: str) -> None:
    class Thing: ...

    async def main() -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await api.m.open_connection(sock=ours)
        theirs.setblocking(False)
        held: list[Any] = []

        async def holds() -> None:
            thing = Thing()
            held.append(weakref.ref(thing))
            await WAITS[what](api.m, reader, theirs)

        task = api.m.create_task(holds())
        await api.m.sleep(0)
        task.cancel()
        await api.m.wait([task])
        assert task.cancelled()
        del task
        await api.m.sleep(0)
        freed = held[0]() is None
        writer.close()
        await writer.wait_closed()
        theirs.close()
        assert freed

    gc.disable()  # as above
    try:
        api.run(main())
    finally:
        gc.enable()


def test_a_context_that_is_none_is_refused_at_the_call(our_loop: Any) -> None:
    async def child() -> None:
        pass

    coro = child()
    with pytest.raises(TypeError, match=r"a contextvars\.Context was expected, got 'ctx'"):
        our_loop.create_task(coro, context="ctx")
    with pytest.raises(TypeError, match=r"a contextvars\.Context was expected, got 'ctx'"):
        yieldloop.Task(coro, loop=our_loop, context="ctx")
    coro.close()


@pytest.mark.skipif(sys.version_info < (3, 15), reason="before Python 3.15 a second __init__() is a fresh start")
def test_a_future_or_task_begins_only_once(our_loop: Any) -> None:
    async def child() -> None:
        pass

    future, task = our_loop.create_future(), our_loop.create_task(child())
    with pytest.raises(RuntimeError, match="is already initialized"):
        future.__init__(loop=our_loop)
    coro = child()
    with pytest.raises(RuntimeError, match="is already initialized"):
        task.__init__(coro, loop=our_loop)
    coro.close()
    our_loop.run_until_complete(task)


def attributed(api: Api, what: str, loop: Any) -> Any:
    """A future, a task or a loop."""
    if what == "loop":
        return loop
    if what == "future":
        return loop.create_future()
    return loop.create_task(asyncio_sleep(api))


async def asyncio_sleep(api: Api) -> None:
    await api.m.sleep(0)


@pytest.mark.parametrize("what", ["future", "task", "loop"])
def test_a_program_sets_attributes_and_takes_them_back(api: Api, loop: Any, what: str) -> None:
    thing = attributed(api, what, loop)
    with pytest.raises(AttributeError, match="mine"):
        thing.mine
    thing.mine = value = Thing()
    assert thing.mine is value
    if hasattr(thing, "__dict__"):  # the standard library's futures in C hide theirs
        assert vars(thing)["mine"] is value
        vars(thing)["other"] = 2
        assert thing.other == 2
    del thing.mine
    assert not hasattr(thing, "mine")
    if what == "task":
        loop.run_until_complete(thing)


@pytest.mark.parametrize("what", ["future", "task", "loop"])
def test_attributes_go_with_their_owner_and_in_a_circle_with_the_garbage(api: Api, what: str) -> None:
    for circle in (False, True):
        loop = api.new_loop()
        thing = attributed(api, what, loop)
        if what == "task":
            loop.run_until_complete(thing)
        value = Thing()
        thing.mine = value
        if circle:
            value.owner = thing  # type: ignore[attr-defined]
        seen = weakref.ref(value)
        loop.close()
        del value, thing, loop
        if circle or what == "loop":
            gc.collect()
        assert seen() is None


def test_a_loop_keeps_nothing_of_its_own_among_the_attributes_of_programs(ours: Api) -> None:
    async def main() -> Any:
        loop = ours.m.get_running_loop()
        await loop.run_in_executor(None, int)
        await loop.getaddrinfo("localhost", 80)
        server = await ours.m.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        reader, writer = await ours.m.open_connection(*server.sockets[0].getsockname())
        await reader.read()
        writer.close()
        server.close()
        async with ours.m.TaskGroup() as group:
            group.create_task(asyncio_sleep(ours))
        await loop.shutdown_default_executor()
        return vars(loop)

    assert ours.run(main()) == {}


def test_a_task_group_keeps_nothing_of_its_own_there_either() -> None:
    assert vars(yieldloop.TaskGroup()) == {}


def test_a_create_task_of_the_loops_own_is_called_by_who_starts_tasks(ours: Api) -> None:
    async def main() -> list[Any]:
        loop = ours.m.get_running_loop()
        plain, calls = loop.create_task, []

        def noted(coro: Any, **kwargs: Any) -> Any:
            calls.append(coro.__name__)
            return plain(coro, **kwargs)

        await ours.m.gather(asyncio_sleep(ours))
        loop.create_task = noted
        await ours.m.gather(asyncio_sleep(ours))
        async with ours.m.TaskGroup() as group:
            group.create_task(asyncio_sleep(ours))
        del loop.create_task
        await ours.m.gather(asyncio_sleep(ours))
        return calls

    assert ours.run(main()) == ["asyncio_sleep"] * 2


@pytest.mark.parametrize("kind", ["future", "task"])
def test_a_subclass_that_forgot_the_constructor_is_told_so(kind: str) -> None:
    base: Any = yieldloop.Future if kind == "future" else yieldloop.Task

    class Forgetful(base):
        def __init__(self) -> None:
            pass

    made = Forgetful()
    assert not made.done() and not made.cancelled()
    for call in (made.result, made.exception):
        with pytest.raises(asyncio.InvalidStateError):
            call()
    for call in (made.get_loop, made.cancel, made.__await__, lambda: made.add_done_callback(print)):
        with pytest.raises(RuntimeError, match="is not initialized"):
            call()
    with pytest.raises(AttributeError, match="unheard_of"):
        made.unheard_of


def test_eager_tasks_run_at_once_and_may_end_before_they_are_returned(ours: Api) -> None:
    async def main() -> None:
        loop = ours.m.get_running_loop()
        seen: list[Any] = []

        async def child(park: bool) -> int:
            seen.append(asyncio.current_task())
            if park:
                await ours.m.sleep(0)
                seen.append(asyncio.current_task())
            return 3

        outer = asyncio.current_task()
        at_once = loop.create_task(child(False), eager_start=True)
        assert at_once.done() and at_once.result() == 3 and asyncio.current_task() is outer
        parked = loop.create_task(child(True), eager_start=True)
        assert not parked.done() and seen == [at_once, parked]
        assert await parked == 3 and seen == [at_once, parked, parked]

    ours.run(main())


def test_whoever_meets_an_eager_factory_can_tell_it_and_find_its_constructor(api: Api) -> None:
    if not hasattr(api.m, "create_eager_task_factory"):
        pytest.skip("eager tasks came with Python 3.12")
    made: list[Any] = []

    def construct(coro: Any, **keywords: Any) -> Any:
        made.append(coro)
        return api.m.Task(coro, **keywords)

    factory = api.m.create_eager_task_factory(construct)
    assert factory.__code__ is api.m.eager_task_factory.__code__
    assert [cell.cell_contents for cell in factory.__closure__] == [construct]
    assert [cell.cell_contents for cell in api.m.eager_task_factory.__closure__] == [api.m.Task]

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        return await loop.create_task(asyncio.sleep(0, "eager"))

    assert api.run(main()) == "eager" and made


def test_the_eager_factory_makes_every_task_eager(ours: Api) -> None:
    async def main() -> None:
        loop = ours.m.get_running_loop()
        loop.set_task_factory(yieldloop.eager_task_factory)

        async def child() -> str:
            return ours.m.current_task().get_name()

        task = loop.create_task(child(), name="before the first step")
        assert task.done() and task.result() == "before the first step"

    ours.run(main())


def test_a_task_factory_is_passed_what_this_pythons_own_loop_would_pass(api: Api) -> None:
    async def main() -> list[Any]:
        loop = api.m.get_running_loop()
        passed: list[Any] = []

        def factory(loop: Any, coro: Any, **keywords: Any) -> Any:
            passed.append(sorted(keywords))
            return api.m.Task(coro, loop=loop, **keywords)

        loop.set_task_factory(factory)
        context = contextvars.copy_context()
        named = loop.create_task(api.m.sleep(0), name="given")
        await asyncio.gather(loop.create_task(api.m.sleep(0)), named, loop.create_task(api.m.sleep(0), context=context))
        assert named.get_name() == "given"
        loop.set_task_factory(None)  # the end of the run makes tasks too
        return passed

    if sys.version_info[:3] == (3, 13, 3):
        expected = [["context", "name"]] * 3
    else:
        expected = [["name"] if sys.version_info >= (3, 14) else [], [], ["context"]]
    assert api.run(main()) == expected


def test_names_are_numbered_and_can_be_given(api: Api) -> None:
    async def main() -> None:
        task = api.m.create_task(api.m.sleep(0))
        assert task.get_name().startswith("Task-")
        named = api.m.create_task(api.m.sleep(0), name=7)
        assert named.get_name() == "7"
        named.set_name("other")
        assert named.get_name() == "other"
        await api.m.gather(task, named)

    api.run(main())


def test_a_given_context_is_used_and_not_copied(api: Api) -> None:
    var: contextvars.ContextVar[int] = contextvars.ContextVar("var", default=0)

    async def child() -> None:
        var.set(5)

    async def main() -> None:
        context = contextvars.copy_context()
        await api.m.create_task(child(), context=context)
        assert context[var] == 5 and var.get() == 0

    api.run(main())


def test_the_stack_of_a_parked_task_ends_where_it_waits(api: Api) -> None:
    async def main() -> None:
        async def child() -> None:
            await api.m.sleep(3600)

        task = api.m.create_task(child())
        await api.m.sleep(0)
        (frame,) = task.get_stack()
        assert frame.f_code.co_name == "child"
        task.cancel()
        await api.m.wait([task])

    api.run(main())


def test_a_keyboard_interrupt_in_a_task_ends_the_run(api: Api) -> None:
    async def child() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        await api.m.create_task(child())

    with pytest.raises(KeyboardInterrupt):
        api.run(main())


def test_a_done_future_refuses_a_second_result(api: Api) -> None:
    async def main() -> None:
        future = api.m.get_running_loop().create_future()
        with pytest.raises(api.m.InvalidStateError):
            future.result()
        future.set_result(1)
        with pytest.raises(api.m.InvalidStateError):
            future.set_result(2)
        with pytest.raises(api.m.InvalidStateError):
            future.set_exception(ValueError())
        assert not future.cancel()

    api.run(main())


def test_a_stop_iteration_as_exception_is_wrapped(ours: Api) -> None:
    async def main() -> None:
        future = ours.m.get_running_loop().create_future()
        future.set_exception(StopIteration(1))
        with pytest.raises(RuntimeError, match="StopIteration interacts badly") as caught:
            await future
        assert isinstance(caught.value.__cause__, StopIteration)

    ours.run(main())


def test_a_look_alike_future_can_be_awaited(ours: Api) -> None:
    class Duck:
        _asyncio_future_blocking = False

        def __init__(self, loop: Any) -> None:
            self._loop = loop
            self._callbacks: list[Any] = []
            loop.call_soon(self.fire)

        def get_loop(self) -> Any:
            return self._loop

        def add_done_callback(self, fn: Any, *, context: Any = None) -> None:
            self._callbacks.append((fn, context))

        def fire(self) -> None:
            for fn, context in self._callbacks:
                self._loop.call_soon(fn, self, context=context)

        def result(self) -> str:
            return "quack"

        def __await__(self) -> Any:
            self._asyncio_future_blocking = True
            yield self
            return self.result()

    async def main() -> Any:
        assert yieldloop.isfuture(Duck(asyncio.get_running_loop()))
        return await Duck(asyncio.get_running_loop())

    assert ours.run(main()) == "quack"


def test_call_graphs_know_who_waits(ours: Api) -> None:
    async def main() -> None:
        future = ours.m.get_running_loop().create_future()

        async def waiter() -> None:
            await future

        task = ours.m.create_task(waiter())
        await ours.m.sleep(0)
        assert future._asyncio_awaited_by == {task}
        future.set_result(None)
        await task
        assert future._asyncio_awaited_by is None

    ours.run(main())


def test_many_tasks_leave_no_reference_behind(ours: Api) -> None:
    async def main() -> None:
        loop = ours.m.get_running_loop()
        for _ in range(3):  # the loop keeps some handles to use them again
            await ours.m.gather(*[ours.m.sleep(0) for _ in range(1000)])
        before = sys.getrefcount(loop)
        for _ in range(3):
            await ours.m.gather(*[ours.m.sleep(0) for _ in range(1000)])
        gc.collect()
        assert abs(sys.getrefcount(loop) - before) < 20

    ours.run(main())


def test_no_task_is_current_in_a_callback_when_debug_mode_has_just_begun(api: Api) -> None:
    seen = []

    async def main() -> None:
        loop = api.m.get_running_loop()
        loop.call_soon(lambda: seen.append(asyncio.current_task()))
        loop.set_debug(True)
        await api.m.sleep(0)
        loop.set_debug(False)

    api.run(main())
    assert seen == [None]


@pytest.mark.parametrize("suspends", [False, True])
def test_a_task_that_was_settled_from_outside_is_not_held(ours: Api, suspends: bool) -> None:
    told = []

    async def main() -> Any:
        loop = ours.m.get_running_loop()
        loop.set_exception_handler(lambda loop, context: told.append(type(context["exception"])))

        async def settled(thing: Thing) -> None:
            yieldloop.Future.set_result(asyncio.current_task(), 1)
            if suspends:
                await ours.m.sleep(0)

        ours.m.create_task(settled(Thing()))
        things = [weakref.ref(obj) for obj in gc.get_objects() if type(obj) is Thing]
        for _ in range(3):
            await ours.m.sleep(0)
        gc.collect()
        return [bool(thing()) for thing in things]

    assert ours.run(main()) == [False]
    assert told == [asyncio.InvalidStateError]
