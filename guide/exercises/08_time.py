"""Exercises of chapter 8, solved: python -m pytest guide/exercises/08_time.py"""

import heapq
from importlib import import_module

chapter8 = import_module("08_time")
Loop, PretendedClock, sleep = chapter8.Loop, chapter8.PretendedClock, chapter8.sleep


def sleep_sort(numbers):
    """1. Sorts by sleeping: each number waits as long as it is large."""
    loop = Loop(PretendedClock())
    result = []

    def one(number):
        yield from sleep(loop, number)
        result.append(number)

    chapter8.together(loop, *map(one, numbers))
    return result


def test_numbers_are_sorted_by_those_who_sleep_longest():
    assert sleep_sort([30, 10, 20, 10]) == [10, 10, 20, 30]


def every(loop, period, times, function):
    """2. Calls the function at fixed times, however long a call takes."""
    when = loop.time()
    for _ in range(times):
        when += period
        yield from sleep(loop, when - loop.time())
        function()


def test_a_slow_call_does_not_shift_the_ones_after_it():
    loop = Loop(PretendedClock())
    called = []

    def slow():
        called.append(loop.time())
        loop.clock.sleep(0.75)

    chapter8.together(loop, every(loop, 1, 4, slow))
    assert called == [1, 2, 3, 4]


class SweepingLoop(Loop):
    """3. Does not keep cancelled timers: once they are the majority, they are swept."""

    def __init__(self, clock):
        super().__init__(clock)
        self.cancelled = 0

    def call_at(self, when, callback, *args):
        timer = super().call_at(when, callback, *args)
        cancel = timer.cancel

        def cancel_and_count():
            if not timer.cancelled:
                cancel()
                self.cancelled += 1
                if self.cancelled > len(self.timers) / 2:
                    self.sweep()

        timer.cancel = cancel_and_count
        return timer

    def sweep(self):
        self.timers = [timer for timer in self.timers if not timer.cancelled]
        heapq.heapify(self.timers)
        self.cancelled = 0


def test_timers_that_are_always_cancelled_do_not_pile_up():
    for kind, most in (Loop, 1000), (SweepingLoop, 2):
        loop = kind(PretendedClock())
        for _ in range(1000):
            loop.call_later(60, print).cancel()
        assert len(loop.timers) <= most
    assert len(loop.timers) < 2 and loop.how_long() is None


def test_a_sweep_leaves_the_others_in_their_order():
    loop = SweepingLoop(PretendedClock())
    fired = []
    timers = [loop.call_later(delay, fired.append, delay) for delay in (5, 3, 8, 1, 9, 2)]
    for timer in timers[1:5]:
        timer.cancel()
    while loop.how_long() is not None:
        loop.run_once()
    assert fired == [2, 5]
