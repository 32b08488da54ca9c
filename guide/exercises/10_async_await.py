"""Exercises of chapter 10, solved: python -m pytest guide/exercises/10_async_await.py"""

import types
from importlib import import_module

chapter10 = import_module("10_async_await")
Loop, Future, sleep = chapter10.Loop, chapter10.Future, chapter10.sleep


@types.coroutine
def let_others_run():
    """1. `await let_others_run()` gives up one turn."""
    yield


def test_two_tasks_take_turns():
    loop = Loop()
    noted = []

    async def count(name):
        for number in range(3):
            noted.append(f"{name}{number}")
            await let_others_run()

    async def both():
        for task in [loop.create_task(count("a")), loop.create_task(count("b"))]:
            await task

    loop.run(both())
    loop.close()
    assert noted == ["a0", "b0", "a1", "b1", "a2", "b2"]


class Later:
    """2. `await Later(loop, seconds)`: an object with a method of one line."""

    def __init__(self, loop, delay):
        self.loop, self.delay = loop, delay

    def __await__(self):
        return sleep(self.loop, self.delay).__await__()


def test_an_object_can_be_awaited_as_often_as_one_likes():
    loop = Loop()

    async def twice():
        later, begin = Later(loop, 0.005), loop.time()
        await later
        await later
        return loop.time() - begin

    assert loop.run(twice()) >= 0.01
    loop.close()


def by_hand(coro):
    """3. Runs a coroutine that waits for nothing, without a loop; returns its result."""
    try:
        coro.send(None)
    except StopIteration as end:
        return end.value
    coro.close()
    raise RuntimeError("it waits")


def test_a_coroutine_that_does_not_wait_needs_no_loop():
    loop = Loop()
    done = Future(loop)
    done.set_result(20)

    async def add():
        return await done + 1

    async def waits():
        await Future(loop)

    assert by_hand(add()) == 21
    try:
        by_hand(waits())
    except RuntimeError as error:
        assert str(error) == "it waits"
    else:
        raise AssertionError("it did not wait")
    loop.close()
