"""Exercises of chapter 6, solved: python -m pytest guide/exercises/06_future.py"""

from importlib import import_module

chapter6 = import_module("06_future")
Future, Loop, step = chapter6.Future, chapter6.Loop, chapter6.step


def gather(loop, futures):
    """1. The future of a list: all results, in the order of `futures`. All of them succeed, in any order."""
    whole = Future(loop)
    missing = len(futures)

    def one_is_there(future):
        nonlocal missing
        missing -= 1
        if missing == 0:
            whole.set_result([future.result() for future in futures])

    for future in futures:
        future.add_done_callback(one_is_there)
    return whole


def test_the_results_stand_in_the_order_of_the_futures():
    loop = Loop()
    first, second = Future(loop), Future(loop)
    whole = gather(loop, [first, second])
    loop.call_soon(second.set_result, 2)
    loop.call_soon(first.set_result, 1)
    assert loop.run_until_complete(whole) == [1, 2]


class Event:
    """2. wait() parks until somebody calls set(); after that it goes straight on."""

    def __init__(self, loop):
        self.happened = Future(loop)

    def set(self):
        if not self.happened.done():
            self.happened.set_result(None)

    def wait(self):
        yield from self.happened


def test_one_event_wakes_all_who_wait_and_lets_pass_who_comes_later():
    loop = Loop()
    event = Event(loop)
    noted = []

    def waiter(name):
        yield from event.wait()
        noted.append(name)

    step(waiter("a"))
    step(waiter("b"))
    assert noted == []
    event.set()
    event.set()
    loop.run_once()
    assert noted == ["a", "b"]
    step(waiter("late"))
    assert noted == ["a", "b", "late"]


def test_who_settles_a_future_finishes_first():
    """3. In which order are the three words noted, and why would it be bad if set_result() called the callbacks itself?"""
    loop = Loop()
    future = Future(loop)
    noted = []
    future.add_done_callback(lambda done: noted.append("told"))

    def settle():
        noted.append("before")
        future.set_result(None)
        noted.append("after")

    loop.call_soon(settle)
    loop.run_once()
    loop.run_once()
    assert noted == ["before", "after", "told"]
